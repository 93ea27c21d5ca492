//! Balancing end to end (feature rows LB, CH, EO, BX13, RL07).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crate::harness::{Backend, Plan, Response, Rig, eventually, forward_to, prefix_rule, respond};
use weir_model::{
    Action, Algorithm, BalanceSpec, Cidr, ConsistentHash, CookieSpec, Destination, EndpointOverride,
    FixedAnswer, HashSource, HashTable, MissingKey, Target, Weight,
};
use weir_proxy::Options;

fn spec(algorithm: Algorithm) -> BalanceSpec {
    BalanceSpec {
        algorithm,
        ..BalanceSpec::default()
    }
}

fn hash(source: HashSource) -> BalanceSpec {
    spec(Algorithm::ConsistentHash(ConsistentHash {
        sources: vec![source],
        table: HashTable::default(),
        missing_key: MissingKey::default(),
    }))
}

/// Four backends that say their own address.
fn four() -> Vec<Backend> {
    (0..4)
        .map(|_| Backend::answering(|seen| respond(200, "", seen.field("host").unwrap().as_bytes())))
        .collect()
}

fn addresses(backends: &[Backend]) -> Vec<SocketAddr> {
    backends.iter().map(|backend| backend.address).collect()
}

fn counts(backends: &[Backend]) -> Vec<usize> {
    backends.iter().map(|backend| backend.seen().len()).collect()
}

fn ask(rig: &Rig, lines: &str) -> Response {
    let mut client = rig.client();
    client.send(&format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n"));
    client.response()
}

#[test]
fn lb02_rl07_round_robin_is_exact_over_workers() {
    for workers in [1, 2, 8] {
        let backends = four();
        let plan = Plan::to(&addresses(&backends)).balance(spec(Algorithm::RoundRobin));
        let rig = Rig::with(
            &plan,
            Options {
                workers,
                ..Options::default()
            },
        );
        std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    let mut client = rig.client();
                    (0..10).for_each(|_| assert_eq!(client.get("/").status, 200));
                });
            }
        });
        assert_eq!(counts(&backends), [50; 4], "{workers} workers");
        // A response is counted after it is sent.
        let requests = || rig.gateway.stats().rules["httproute/default/route/rule/0"].requests;
        eventually("all are counted", || requests() == 200);
        let stats = rig.gateway.stats();
        let rule = &stats.rules["httproute/default/route/rule/0"];
        assert_eq!(
            (rule.requests, rule.classes[2], rule.endpoints.len()),
            (200, 200, 4)
        );
        assert!(rule.endpoints.iter().all(|endpoint| endpoint.requests == 50));
        assert!(rule.latency_quantile_us(0.5) > 0);
    }
}

#[test]
fn lb03_gateways_do_not_all_begin_with_the_same_endpoint() {
    let backends = four();
    let plan = Plan::to(&addresses(&backends)).balance(spec(Algorithm::RoundRobin));
    for seed in 0..24 {
        let rig = Rig::with(
            &plan,
            Options {
                workers: 1,
                seed: Some(seed),
                ..Options::default()
            },
        );
        rig.get("/");
    }
    let reached = counts(&backends).iter().filter(|count| **count > 0).count();
    assert!(reached >= 3, "{:?}", counts(&backends));
}

#[test]
fn rl08_a_seed_repeats_every_choice() {
    let backends = four();
    let plan = Plan::to(&addresses(&backends)).balance(spec(Algorithm::Random));
    let run = || {
        let rig = Rig::with(
            &plan,
            Options {
                workers: 1,
                seed: Some(42),
                ..Options::default()
            },
        );
        let before = counts(&backends);
        let mut client = rig.client();
        (0..40).for_each(|_| assert_eq!(client.get("/").status, 200));
        let after = counts(&backends);
        after
            .iter()
            .zip(before)
            .map(|(after, before)| after - before)
            .collect::<Vec<_>>()
    };
    let first = run();
    assert_eq!(run(), first);
    assert!(first.iter().filter(|count| **count > 0).count() > 1);
}

/// Time as the number of requests that the fast endpoints have answered: no load of the machine changes who is slow.
#[derive(Default)]
struct Course {
    place: Mutex<Place>,
    moved: Condvar,
}

#[derive(Default)]
struct Place {
    answered: usize,
    /// Requests that the slow endpoint has not answered yet.
    held: usize,
    /// Clients that have requests left.
    clients: usize,
}

impl Course {
    fn step(&self, change: impl FnOnce(&mut Place)) {
        change(&mut self.place.lock().unwrap());
        self.moved.notify_all();
    }

    /// Takes as long as so many answers of the others, or until nobody is left who could get one.
    fn hold(&self, answers: usize) {
        let mut place = self.place.lock().unwrap();
        let due = place.answered + answers;
        place.held += 1;
        self.moved.notify_all();
        let is_to_wait = |place: &mut Place| place.answered < due && place.held < place.clients;
        let mut place = self.moved.wait_while(place, is_to_wait).unwrap();
        place.held -= 1;
    }
}

#[test]
fn lb01_a_slow_endpoint_gets_little() {
    const CLIENTS: usize = 20;
    let course = Arc::new(Course::default());
    course.step(|place| place.clients = CLIENTS);
    let seen = Arc::clone(&course);
    let slow = Backend::answering(move |_| {
        seen.hold(150);
        respond(200, "", b"")
    });
    let fast: Vec<_> = (0..3)
        .map(|_| {
            let seen = Arc::clone(&course);
            Backend::answering(move |_| {
                seen.step(|place| place.answered += 1);
                respond(200, "", b"")
            })
        })
        .collect();
    let mut all = vec![slow.address];
    all.extend(addresses(&fast));
    let rig = Rig::with(
        &Plan::to(&all),
        Options {
            workers: 2,
            ..Options::default()
        },
    );
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = rig.client();
                (0..30).for_each(|_| assert_eq!(client.get("/").status, 200));
                course.step(|place| place.clients -= 1);
            });
        }
    });
    let share = slow.seen().len();
    assert!(share < 60, "{share} of 600");
}

#[test]
fn mc02_mc03_weights_split_also_over_what_cannot_be_served() {
    let backends = four();
    let mut plan = Plan::new();
    plan.backend("a", &addresses(&backends[..1]));
    plan.backend("b", &addresses(&backends[1..2]));
    plan.backend("empty", &[]);
    let mut action = forward_to(&[0, 1, 2]);
    let weight = |value| Weight::new(value).unwrap();
    if let Action::Forward(forward) = &mut action {
        forward.destinations[0].weight = weight(6);
        forward.destinations[1].weight = weight(0);
        forward.destinations[2].weight = weight(1);
        let answer = FixedAnswer {
            status: 500,
            reason: "BackendNotFound".into(),
            allow: None,
        };
        forward.destinations.push(Destination {
            weight: weight(3),
            tier: weir_model::Tier::FIRST,
            target: Target::Answer(answer),
            filters: Vec::new(),
        });
    }
    plan.rules.push(prefix_rule("", action));
    let rig = Rig::new(&plan);
    let mut client = rig.client();
    let mut statuses = BTreeMap::new();
    for _ in 0..100 {
        *statuses.entry(client.get("/").status).or_insert(0) += 1;
    }
    assert_eq!(statuses, BTreeMap::from([(200, 60), (500, 30), (503, 10)]));
    assert_eq!(backends[1].seen().len(), 0);
}

#[test]
fn ch02_a_header_pins_and_ch18_the_pick_is_visible() {
    let backends = four();
    let mut spec = hash(HashSource::Headers(vec!["foobar".into()]));
    spec.report_header = Some("x-weir-pick".into());
    let rig = Rig::new(&Plan::to(&addresses(&backends)).balance(spec));
    let mut picks = Vec::new();
    for value in ["1.2.3.4", "1.2.3.4", "1.2.3.5", "x"] {
        let response = ask(&rig, &format!("FooBar: {value}\r\n"));
        picks.push(response.field("x-weir-pick").unwrap().to_owned());
    }
    assert_eq!(picks[0], picks[1]);
    for _ in 0..20 {
        ask(&rig, "foobar: 1.2.3.4\r\n");
    }
    assert!(
        counts(&backends).iter().any(|count| *count >= 22),
        "{:?}",
        counts(&backends)
    );
}

#[test]
fn ch05_a_made_up_cookie_leads_back_to_where_it_was_made() {
    let backends = four();
    let cookie = CookieSpec {
        name: "FooBar".into(),
        ttl: Some(Duration::from_secs(60)),
        attributes: vec![("SameSite".into(), "Strict".into())],
    };
    let rig = Rig::new(&Plan::to(&addresses(&backends)).balance(hash(HashSource::Cookie(cookie))));
    for _ in 0..5 {
        let before = counts(&backends);
        let response = ask(&rig, "Cookie: foo=bar\r\n");
        let text = response.field("set-cookie").unwrap().to_owned();
        let value = text
            .strip_prefix("FooBar=\"")
            .and_then(|rest| rest.get(..16))
            .expect(&text);
        assert!(value.bytes().all(|byte| byte.is_ascii_hexdigit()), "{text}");
        assert_eq!(
            text,
            format!("FooBar=\"{value}\"; Max-Age=60; SameSite=Strict; HttpOnly")
        );
        let served = (0..4)
            .find(|index| counts(&backends)[*index] > before[*index])
            .unwrap();
        for _ in 0..5 {
            let before = backends[served].seen().len();
            let response = ask(&rig, &format!("Cookie: foo=bar; FooBar=\"{value}\"\r\n"));
            assert_eq!(response.field("set-cookie"), None);
            assert_eq!(backends[served].seen().len(), before + 1);
        }
    }
    // CH07: other cookies arrive as they were sent.
    let cookies: Vec<_> = backends
        .iter()
        .flat_map(Backend::seen)
        .map(|seen| seen.field("cookie").map(str::to_owned))
        .collect();
    assert!(
        cookies
            .iter()
            .flatten()
            .all(|cookie| cookie.starts_with("foo=bar"))
    );
}

#[test]
fn bx13_a_client_is_pinned_while_shares_follow_weights() {
    let backends = four();
    let mut plan = Plan::new();
    plan.backend("a", &addresses(&backends[..2]));
    plan.backend("b", &addresses(&backends[2..]));
    let mut action = forward_to(&[0, 1]);
    if let Action::Forward(forward) = &mut action {
        forward.destinations[0].weight = Weight::new(9).unwrap();
    }
    plan.rules.push(prefix_rule("", action));
    let rig = Rig::new(&plan.balance(hash(HashSource::Headers(vec!["user".into()]))));
    let mut client = rig.client();
    let mut in_b = 0;
    for user in 0..300 {
        let mut reached = Vec::new();
        for _ in 0..2 {
            let before = counts_fast(&backends);
            client.send(&format!("GET / HTTP/1.1\r\nHost: a\r\nUser: {user}\r\n\r\n"));
            client.response();
            let after = counts_fast(&backends);
            reached.push((0..4).find(|index| after[*index] > before[*index]).unwrap());
        }
        assert_eq!(reached[0], reached[1], "user {user}");
        in_b += usize::from(reached[0] >= 2);
    }
    assert!((12..=50).contains(&in_b), "{in_b} of 300 for a tenth");
}

fn counts_fast(backends: &[Backend]) -> Vec<usize> {
    backends.iter().map(Backend::requests).collect()
}

#[test]
fn eo01_to_eo10_a_header_names_the_endpoint() {
    let backends = four();
    let rule = EndpointOverride {
        headers: vec!["x-host".into(), "x-other".into()],
        strict: false,
        trusted: Vec::new(),
        strip: true,
        report_header: Some("x-served-by".into()),
    };
    let balance = |rule: EndpointOverride| BalanceSpec {
        algorithm: Algorithm::RoundRobin,
        endpoint_override: Some(rule),
        ..BalanceSpec::default()
    };
    let rig = Rig::new(&Plan::to(&addresses(&backends)).balance(balance(rule.clone())));
    let wanted = backends[2].address.to_string();
    for lines in [
        format!("X-Host: {wanted}\r\n"),
        format!("X-Other: {wanted}\r\n"),
        format!("X-Host: 192.168.1.1:80, {wanted}\r\n"),
        format!("X-Host: 192.168.1.1:80\r\nX-Other: {wanted}\r\n"),
    ] {
        for _ in 0..5 {
            let response = ask(&rig, &lines);
            assert_eq!(response.field("x-served-by"), Some(&*wanted), "{lines}");
        }
    }
    assert!(
        backends[2]
            .seen()
            .iter()
            .all(|seen| seen.field("x-host").is_none())
    );
    // EO02, EO07: not one of ours, so the policy decides.
    for _ in 0..8 {
        assert_eq!(ask(&rig, "X-Host: 192.168.1.100:3000\r\n").status, 200);
    }
    assert!(
        counts(&backends).iter().all(|count| *count >= 2),
        "{:?}",
        counts(&backends)
    );

    let strict = EndpointOverride {
        strict: true,
        ..rule.clone()
    };
    let rig = Rig::new(&Plan::to(&addresses(&backends)).balance(balance(strict)));
    assert_eq!(ask(&rig, "X-Host: 192.168.1.100:3000\r\n").status, 503);
    assert_eq!(ask(&rig, "").status, 200);

    let distrusted = EndpointOverride {
        trusted: vec![Cidr::parse("10.0.0.0/8").unwrap()],
        ..rule
    };
    let rig = Rig::new(&Plan::to(&addresses(&backends)).balance(balance(distrusted)));
    let reached: std::collections::BTreeSet<_> = (0..4)
        .map(|_| {
            ask(&rig, &format!("X-Host: {wanted}\r\n"))
                .field("x-served-by")
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(reached.len(), 4, "an untrusted peer names nothing");
}

#[test]
fn an_endpoint_that_refuses_connections_is_passed_by() {
    let backends = four();
    let dead = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut all = addresses(&backends[..2]);
    all.push(dead);
    let rig = Rig::new(&Plan::to(&all).balance(spec(Algorithm::RoundRobin)));
    let mut client = rig.client();
    for number in 0..30 {
        client.send(&format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n{}",
            number % 10
        ));
        assert_eq!(client.response().status, 200);
    }
    assert_eq!(counts(&backends).iter().sum::<usize>(), 30);
}

/// Ports of loopback on which nobody listens.
fn dead(count: usize) -> Vec<SocketAddr> {
    let bind = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listeners: Vec<_> = (0..count).map(|_| bind()).collect();
    listeners.iter().map(|one| one.local_addr().unwrap()).collect()
}

#[test]
fn rl05_a_try_after_a_refused_connection_goes_to_an_endpoint_that_was_not_tried() {
    // Two of three are dead: three tries always reach the third unless one of them is wasted on a dead one.
    for algorithm in [
        spec(Algorithm::Random),
        spec(Algorithm::RoundRobin),
        spec(Algorithm::LeastRequest(weir_model::LeastRequest::default())),
        hash(HashSource::Headers(vec!["x-user".into()])),
    ] {
        let alive = Backend::answering(|seen| respond(200, "", seen.body.as_slice()));
        let mut all = dead(2);
        all.push(alive.address);
        let rig = Rig::new(&Plan::to(&all).balance(algorithm.clone()));
        let mut client = rig.client();
        for number in 0..40 {
            // Nothing was sent to who refused, so that a POST is as safe as a GET, and its body arrives once.
            client.send(&format!(
                "POST / HTTP/1.1\r\nHost: a\r\nX-User: {number}\r\nContent-Length: 2\r\n\r\n{number:02}"
            ));
            let response = client.response();
            assert_eq!(response.status, 200, "{algorithm:?}");
            assert_eq!(response.body, format!("{number:02}").as_bytes());
        }
        assert_eq!(alive.seen().len(), 40, "{algorithm:?}");
    }
}

#[test]
fn rl05_there_are_three_tries_at_most() {
    let alive = Backend::answering(|_| respond(200, "", b""));
    let mut all = dead(3);
    all.push(alive.address);
    let rig = Rig::new(&Plan::to(&all).balance(spec(Algorithm::RoundRobin)));
    let answers: Vec<u16> = (0..40).map(|_| ask(&rig, "").status).collect();
    // In turn: whoever meets the three dead ones first has no try left for the fourth.
    assert!(answers.contains(&200) && answers.contains(&502), "{answers:?}");
    assert!(
        answers.iter().all(|status| [200, 502].contains(status)),
        "{answers:?}"
    );
}
