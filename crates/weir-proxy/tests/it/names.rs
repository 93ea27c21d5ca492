//! Names of backends that change, fail and lie (row LB32).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use weir_model::{
    Algorithm, BalanceSpec, DnsSpec, EndpointSource, LookupFamily, NamedEndpoint, Period, Port,
};
use weir_net::{Resolution, Resolve, ResolveError, Resolving};
use weir_proxy::{Event, Options};

use crate::harness::{Backend, Plan, Rig, eventually, forward_to, prefix_rule, read_request, respond};

/// What a name server says, to be changed by the test, and what it was asked.
#[derive(Clone, Debug, Default)]
struct NameServer(Arc<Mutex<Says>>);

#[derive(Debug, Default)]
struct Says {
    answers: HashMap<String, Saying>,
    asked: Vec<(String, LookupFamily, Instant)>,
}

/// What is said of one name.
#[derive(Clone, Debug)]
enum Saying {
    Addresses(Vec<IpAddr>, Option<u64>),
    Failure,
    Panic,
    /// Only to those who ask for both families; others wait for ever.
    OnlyBoth(Vec<IpAddr>),
}

impl NameServer {
    fn say(&self, name: &str, says: Saying) {
        self.0.lock().unwrap().answers.insert(name.to_owned(), says);
    }

    /// These addresses, for that many seconds.
    fn say_addresses(&self, name: &str, last_parts: &[u8], ttl: u64) {
        let addresses = last_parts.iter().map(|part| IpAddr::from([127, 0, 0, *part]));
        self.say(name, Saying::Addresses(addresses.collect(), Some(ttl)));
    }

    fn asked(&self, name: &str) -> Vec<(LookupFamily, Instant)> {
        let says = self.0.lock().unwrap();
        let asked = says.asked.iter().filter(|(asked, ..)| asked == name);
        asked.map(|(_, family, when)| (*family, *when)).collect()
    }
}

impl Resolve for NameServer {
    fn resolve<'a>(&'a self, name: &'a str, family: LookupFamily) -> Resolving<'a> {
        let says = {
            let mut says = self.0.lock().unwrap();
            says.asked.push((name.to_owned(), family, Instant::now()));
            says.answers.get(name).cloned()
        };
        Box::pin(async move {
            let (addresses, ttl) = match says {
                Some(Saying::Addresses(addresses, ttl)) => (addresses, ttl),
                Some(Saying::OnlyBoth(addresses)) if family == LookupFamily::Both => (addresses, None),
                Some(Saying::OnlyBoth(_)) => std::future::pending().await,
                Some(Saying::Failure) | None => return Err(ResolveError::Failed("refused".to_owned())),
                Some(Saying::Panic) => std::panic::resume_unwind(Box::new("a defect")),
            };
            Ok(Resolution {
                addresses,
                ttl: ttl.map(Duration::from_secs),
            })
        })
    }
}

/// Backends `a`, `b` and `c` at 127.0.0.1, 127.0.0.2 and 127.0.0.3, on one port.
fn three() -> [Backend; 3] {
    loop {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        let others = [2, 3].map(|part| TcpListener::bind((Ipv4Addr::new(127, 0, 0, part), port)));
        if let [Ok(second), Ok(third)] = others {
            return [(first, "a"), (second, "b"), (third, "c")].map(|(listener, name)| {
                Backend::answering_on(listener, move |_| respond(200, "", name.as_bytes()))
            });
        }
    }
}

fn plan(name: &str, port: u16, dns: DnsSpec) -> Plan {
    let port = Port::new(u64::from(port)).unwrap();
    let mut plan = Plan::new();
    let named = NamedEndpoint::new(name.into(), port);
    plan.backends
        .push(("a".into(), EndpointSource::Names(vec![named].into())));
    plan.dns = dns;
    plan.rules = vec![prefix_rule("", forward_to(&[0]))];
    plan.balance(BalanceSpec {
        algorithm: Algorithm::RoundRobin,
        ..BalanceSpec::default()
    })
}

/// A gateway that asks `server`, with what it says of names.
fn started(plan: &Plan, server: &NameServer) -> (Rig, Arc<Mutex<Vec<String>>>) {
    let said: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&said);
    let events = move |event| {
        if let Event::NameFailed { name, error } = event {
            log.lock().unwrap().push(format!("{name}: {error}"));
        }
    };
    let options = Options {
        workers: 1,
        reason_header: true,
        seed: Some(7),
        resolver: Some(Arc::new(server.clone())),
        events: Some(Arc::new(events)),
        ..Options::default()
    };
    (Rig::with(plan, options), said)
}

fn wait_for(rig: &Rig, text: &str) {
    eventually(text, || {
        let response = rig.get("/");
        response.status == 200 && response.text() == text
    });
}

fn counts(rig: &Rig, requests: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let mut client = rig.client();
    for _ in 0..requests {
        *counts.entry(client.get("/").text().to_owned()).or_default() += 1;
    }
    counts
}

#[test]
fn lb32_traffic_follows_a_name_within_its_time_to_live_and_a_second() {
    let backends = three();
    let server = NameServer::default();
    server.say_addresses("api.test", &[1], 1);
    let (rig, _) = started(
        &plan("api.test", backends[0].address.port(), DnsSpec::default()),
        &server,
    );
    wait_for(&rig, "a");
    for (part, text) in [(2, "b"), (1, "a")] {
        server.say_addresses("api.test", &[part], 1);
        let begun = Instant::now();
        wait_for(&rig, text);
        assert!(
            begun.elapsed() < Duration::from_millis(2_000),
            "{:?}",
            begun.elapsed()
        );
        assert_eq!(counts(&rig, 20), BTreeMap::from([(text.to_owned(), 20)]));
    }
    let asked = server.asked("api.test");
    let gaps = asked.windows(2).map(|two| two[1].1 - two[0].1);
    assert!(gaps.min().unwrap() >= Duration::from_millis(950), "{asked:?}");
}

#[test]
fn lb32_all_addresses_of_a_name_are_balanced() {
    let backends = three();
    let server = NameServer::default();
    server.say_addresses("api.test", &[3, 1, 2, 1], 60);
    let (rig, _) = started(
        &plan("api.test", backends[0].address.port(), DnsSpec::default()),
        &server,
    );
    eventually("it resolves", || rig.get("/").status == 200);
    let expected = ["a", "b", "c"].map(|name| (name.to_owned(), 10));
    assert_eq!(counts(&rig, 30), expected.into());
}

#[test]
fn lb32_a_lookup_that_fails_keeps_the_last_good_answer_and_is_told_once() {
    let backends = three();
    let server = NameServer::default();
    server.say_addresses("api.test", &[1], 0);
    let (rig, said) = started(
        &plan("api.test", backends[0].address.port(), DnsSpec::default()),
        &server,
    );
    wait_for(&rig, "a");
    for (says, error) in [
        (Saying::Failure, "refused"),
        (
            Saying::Addresses(Vec::new(), Some(0)),
            "the answer has no address that can be used",
        ),
        (Saying::Panic, "the lookup panicked"),
    ] {
        let asked = server.asked("api.test").len();
        server.say("api.test", says);
        eventually("it is asked twice", || {
            server.asked("api.test").len() >= asked + 2
        });
        let told = format!("api.test: {error}");
        eventually("the failure is told", || said.lock().unwrap().contains(&told));
        assert_eq!(rig.get("/").text(), "a", "{error}");
    }
    assert_eq!(said.lock().unwrap().len(), 3, "{said:?}");
    server.say_addresses("api.test", &[2], 60);
    wait_for(&rig, "b");
}

#[test]
fn lb32_an_answer_with_thousands_of_addresses_is_bounded() {
    let everywhere = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = everywhere.local_addr().unwrap().port();
    let reached: Arc<Mutex<BTreeSet<SocketAddr>>> = Arc::default();
    let log = Arc::clone(&reached);
    let _backend = Backend::scripted_on(everywhere, move |_, stream| {
        log.lock().unwrap().insert(stream.get_ref().local_addr().unwrap());
        while read_request(stream).is_some() {
            std::io::Write::write_all(stream.get_mut(), &respond(200, "", b"")).unwrap();
        }
    });
    let server = NameServer::default();
    let many = (0..5_000u32).map(|one| IpAddr::from((one + 0x7f01_0000).to_be_bytes()));
    server.say("api.test", Saying::Addresses(many.collect(), Some(60)));
    let (rig, _) = started(&plan("api.test", port, DnsSpec::default()), &server);
    eventually("it resolves", || rig.get("/").status == 200);
    let mut client = rig.client();
    for _ in 0..600 {
        assert_eq!(client.get("/").status, 200);
    }
    assert_eq!(reached.lock().unwrap().len(), 256);
}

#[test]
fn lb32_the_policy_says_how_often_and_in_which_family() {
    let backends = three();
    let server = NameServer::default();
    server.say_addresses("api.test", &[1], 3_600);
    let dns = DnsSpec {
        refresh: Period::clamped(Duration::from_millis(1)),
        respect_ttl: false,
        family: LookupFamily::V4,
    };
    let (rig, _) = started(&plan("api.test", backends[0].address.port(), dns), &server);
    wait_for(&rig, "a");
    server.say_addresses("api.test", &[2], 3_600);
    let begun = Instant::now();
    wait_for(&rig, "b");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    let asked = server.asked("api.test");
    assert!(
        asked.iter().all(|(family, _)| *family == LookupFamily::V4),
        "{asked:?}"
    );
    let gaps = asked.windows(2).map(|two| two[1].1 - two[0].1);
    assert!(
        gaps.min().unwrap() >= Duration::from_millis(950),
        "never more often: {asked:?}"
    );
}

#[test]
fn lb32_a_new_policy_about_names_takes_no_endpoint_away() {
    let backends = three();
    let server = NameServer::default();
    let both = ["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
    server.say("api.test", Saying::OnlyBoth(both.into()));
    let dns = |family| DnsSpec {
        family,
        ..DnsSpec::default()
    };
    let port = backends[0].address.port();
    let (rig, _) = started(&plan("api.test", port, dns(LookupFamily::Both)), &server);
    wait_for(&rig, "a");
    for refresh in [40, 50] {
        let dns = DnsSpec {
            refresh: Period::clamped(Duration::from_secs(refresh)),
            ..dns(LookupFamily::V4)
        };
        rig.gateway
            .publish(Arc::new(plan("api.test", port, dns).config()));
        assert_eq!(counts(&rig, 8), BTreeMap::from([("a".to_owned(), 8)]));
    }
}
