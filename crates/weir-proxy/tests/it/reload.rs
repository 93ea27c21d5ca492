//! Publishing under load (issue section 6, rows BX14 and RL02).

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use crate::harness::{
    Backend, Plan, Rig, endpoint, eventually, forward_to, prefix_rule, read_request, respond,
};
use weir_model::{EndpointSource, Filter, HeaderChange, NamedEndpoint, Port};
use weir_proxy::Options;

#[test]
fn rl02_an_equal_configuration_changes_nothing() {
    let backend = Backend::named("a");
    let plan = Plan::to(&[backend.address]);
    let rig = Rig::new(&plan);
    let mut client = rig.client();
    client.get("/");
    for _ in 0..3 {
        let report = rig.gateway.publish(Arc::new(plan.config()));
        assert!(!report.is_changed);
        assert_eq!((report.generation, report.listeners.len()), (1, 1));
        client.get("/");
    }
    assert_eq!(backend.connections(), 1);
    eventually("all are counted", || {
        rig.gateway.stats().rules.values().next().unwrap().requests == 4
    });
}

#[test]
fn g1_reloads_under_load_lose_nothing() {
    let backends: Vec<_> = (0..3).map(|_| Backend::named("a")).collect();
    let all: Vec<_> = backends.iter().map(|backend| backend.address).collect();
    let plan = |generation: usize| {
        let mut plan = Plan::new();
        plan.backend("a", &all[..1 + generation % 3]);
        plan.backend("b", &all[generation % 2..]);
        let mut rule = prefix_rule("", forward_to(&[0, 1]));
        let set = vec![("x-generation".into(), generation.to_string().into())];
        rule.filters = vec![Filter::ResponseHeaders(HeaderChange {
            set,
            ..HeaderChange::default()
        })];
        plan.rules.push(rule);
        plan.rules
            .extend((0..generation % 5).map(|extra| prefix_rule(&format!("/{extra}"), forward_to(&[1]))));
        plan
    };
    let rig = Rig::with(
        &plan(0),
        Options {
            workers: 2,
            ..Options::default()
        },
    );
    let (is_over, served) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = rig.client();
                while !is_over.load(Ordering::Relaxed) {
                    assert_eq!(client.get("/x").status, 200);
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for generation in 1..100 {
            assert!(
                rig.gateway
                    .publish(Arc::new(plan(generation).config()))
                    .is_changed
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(served.load(Ordering::Relaxed) > 100);
    let response = rig.get("/x");
    assert_eq!(response.field("x-generation"), Some("99"));
}

#[test]
fn a_request_under_way_finishes_under_the_configuration_it_began_with() {
    let (answer, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let slow = Backend::scripted(move |_, stream| {
        while read_request(stream).is_some() {
            wait.lock().unwrap().recv().unwrap();
            stream.get_mut().write_all(&respond(200, "", b"old")).unwrap();
        }
    });
    let new = Backend::named("new");
    let rig = Rig::new(&Plan::to(&[slow.address]));
    let mut client = rig.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the request arrives", || slow.connections() == 1);
    rig.gateway.publish(Arc::new(Plan::to(&[new.address]).config()));
    assert_eq!(rig.get("/").text(), "new");
    answer.send(()).unwrap();
    assert_eq!(client.response().text(), "old");
    assert_eq!(client.get("/").text(), "new");
}

#[test]
fn unused_connections_to_an_endpoint_that_left_are_closed_and_those_that_stayed_are_kept() {
    let (closed, ended) = mpsc::channel();
    let closed = std::sync::Mutex::new(closed);
    let leaving = Backend::scripted(move |_, stream| {
        while read_request(stream).is_some() {
            stream.get_mut().write_all(&respond(200, "", b"leaving")).unwrap();
        }
        closed.lock().unwrap().send(()).unwrap();
    });
    let staying = Backend::named("staying");
    let rig = Rig::new(
        &Plan::to(&[leaving.address, staying.address]).balance(weir_model::BalanceSpec {
            algorithm: weir_model::Algorithm::RoundRobin,
            ..Default::default()
        }),
    );
    let mut client = rig.client();
    (0..4).for_each(|_| assert_eq!(client.get("/").status, 200));
    let only = [endpoint(staying.address)].into();
    rig.gateway
        .update_endpoints("service/default/only/80", only)
        .unwrap();
    ended
        .recv_timeout(Duration::from_secs(5))
        .expect("closed without another request");
    (0..4).for_each(|_| assert_eq!(client.get("/").text(), "staying"));
    assert_eq!(staying.connections(), 1);
    assert!(
        rig.gateway
            .update_endpoints("service/default/other/80", [].into())
            .is_err()
    );
}

#[test]
fn bx14_a_change_among_ten_thousand_endpoints_is_quick() {
    let backend = Backend::named("a");
    let filler = |index: u32| {
        let address = std::net::Ipv4Addr::from(0x0a00_0000 + index);
        endpoint((address, 80).into())
    };
    let rig = Rig::new(&Plan::to(&[backend.address]));
    let mut fastest = Duration::MAX;
    for round in 0..5 {
        let mut endpoints: Vec<_> = (0..10_000).map(|index| filler(index + round)).collect();
        endpoints.push(endpoint(backend.address));
        let start = Instant::now();
        rig.gateway
            .update_endpoints("service/default/only/80", endpoints.into())
            .unwrap();
        fastest = fastest.min(start.elapsed());
    }
    let bound = if cfg!(debug_assertions) { 150 } else { 10 };
    assert!(fastest < Duration::from_millis(bound), "{fastest:?}");
}

#[test]
fn listeners_come_and_go() {
    let backend = Backend::named("a");
    let mut plan = Plan::to(&[backend.address]);
    let rig = Rig::new(&plan);
    let mut kept = rig.client();
    assert_eq!(kept.get("/").status, 200);
    plan.listen = "127.0.0.2:0".parse().unwrap();
    let report = rig.gateway.publish(Arc::new(plan.config()));
    let address = *report.listeners[0].1.as_ref().unwrap();
    assert_eq!(report.listeners.len(), 1);
    assert!(kept.is_closed(), "idle connections of a removed listener end");
    eventually("the old address is closed", || {
        std::net::TcpStream::connect(rig.address).is_err()
    });
    let mut client = crate::harness::Client::connect(address);
    assert_eq!(client.get("/").status, 200);
}

#[test]
fn a_port_in_use_costs_that_listener_only_and_is_tried_again() {
    let backend = Backend::named("a");
    let holder = std::net::TcpListener::bind("127.0.0.3:0").unwrap();
    let taken = holder.local_addr().unwrap();
    let plan = Plan::to(&[backend.address]);
    let rig = Rig::new(&plan);
    let mut config = plan.config();
    let mut second = plan.clone();
    second.listen = taken;
    config.listeners.extend(second.config().listeners);
    let report = rig.gateway.publish(Arc::new(config.clone()));
    assert!(report.listeners[0].1.is_ok());
    let error = report.listeners[1].1.as_ref().unwrap_err();
    assert!(error.contains(&taken.to_string()), "{error}");
    assert_eq!(rig.get("/").status, 200);
    drop(holder);
    let report = rig.gateway.publish(Arc::new(config));
    assert!(!report.is_changed);
    assert_eq!(*report.listeners[1].1.as_ref().unwrap(), taken);
    assert_eq!(crate::harness::Client::connect(taken).get("/").status, 200);
}

#[test]
fn row29_names_are_resolved_kept_and_unknown_ones_are_no_failure_to_start() {
    let backend = Backend::named("a");
    let port = |number: u16| Port::new(u64::from(number)).unwrap();
    let mut plan = Plan::new();
    let good = NamedEndpoint::new("localhost".into(), port(backend.address.port()));
    let bad = NamedEndpoint::new("no-such-name.invalid".into(), port(80));
    plan.backends
        .push(("a".into(), EndpointSource::Names(vec![good].into())));
    plan.backends
        .push(("b".into(), EndpointSource::Names(vec![bad].into())));
    plan.rules = vec![
        prefix_rule("/good", forward_to(&[0])),
        prefix_rule("/bad", forward_to(&[1])),
    ];
    let events = Arc::new(std::sync::Mutex::new(BTreeSet::new()));
    let log = Arc::clone(&events);
    let sink: weir_proxy::EventSink = Arc::new(move |event| {
        if let weir_proxy::Event::NameFailed { name, .. } = event {
            log.lock().unwrap().insert(name);
        }
    });
    let rig = Rig::with(
        &plan,
        Options {
            workers: 1,
            events: Some(sink),
            ..Options::default()
        },
    );
    eventually("the name resolves", || rig.get("/good").status == 200);
    assert_eq!(rig.get("/bad").status, 503);
    eventually("the failure is told", || {
        events.lock().unwrap().contains("no-such-name.invalid")
    });
    // What is known of a name outlasts a reload: there is no moment without its addresses.
    for path in ["/more", "/most"] {
        plan.rules.push(prefix_rule(path, forward_to(&[0])));
        assert!(rig.gateway.publish(Arc::new(plan.config())).is_changed);
        assert_eq!(rig.get(path).status, 200, "{path}");
    }
}
