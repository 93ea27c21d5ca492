//! Failover: destinations and endpoints that stand in for each other (rows LB25 to LB27, MC04).

use weir_model::{
    Algorithm, BalanceSpec, ConsistentHash, Failover, Filter, Forward, HashSource, HashTable, HeaderChange,
    MissingKey, Retry, RetryCondition, RetryConditions, RetryLimit, Tier, Weight,
};

use super::*;
use crate::harness::Response;

/// A plan whose only rule has a destination per group, each with its tier, its weight and its endpoints.
fn plan(groups: &[(u64, u64, &[SocketAddr])]) -> Plan {
    let mut plan = Plan::new();
    for (place, (_, _, addresses)) in groups.iter().enumerate() {
        plan.backend(&format!("b{place}"), addresses);
    }
    let all: Vec<u32> = (0..groups.len() as u32).collect();
    plan.rules.push(prefix_rule("", forward_to(&all)));
    plan.forward(|forward| {
        for (destination, (tier, weight, _)) in forward.destinations.iter_mut().zip(groups) {
            destination.tier = Tier::new(*tier).unwrap();
            destination.weight = Weight::new(*weight).unwrap();
        }
        forward.balance = Arc::new(BalanceSpec {
            algorithm: Algorithm::RoundRobin,
            ..BalanceSpec::default()
        });
    })
}

/// Probed, and in a panic below 50 % as by default.
fn probed(plan: Plan) -> Plan {
    let mut spec = checked(check());
    spec.health.panic_threshold = Percent::new(50).unwrap();
    treat(plan, spec)
}

fn started(plan: &Plan, endpoints: usize) -> Watched {
    let watched = Watched::new(plan);
    eventually("all are known", || watched.said().len() >= endpoints);
    watched
}

fn patients<const N: usize>(names: [&'static str; N]) -> [Patient; N] {
    names.map(|name| Patient::new(name, 200))
}

fn address(patient: &Patient) -> SocketAddr {
    patient.backend.address
}

/// Makes `patient` fail its probes, and waits until that is known.
fn kill(watched: &Watched, patient: &Patient) {
    let before = watched.said().len();
    patient.set(500);
    eventually("its death is known", || watched.said().len() > before);
}

fn revive(watched: &Watched, patient: &Patient) {
    let before = watched.said().len();
    patient.set(200);
    eventually("its life is known", || watched.said().len() > before);
}

/// Requests of 400 that each answered.
fn counts(watched: &Watched, names: &[&str]) -> Vec<usize> {
    let found = answers(&watched.rig, 400);
    let of = |name: &&str| found.get(*name).copied().unwrap_or(0);
    let counts: Vec<usize> = names.iter().map(of).collect();
    assert_eq!(counts.iter().sum::<usize>(), 400, "{found:?}");
    counts
}

#[test]
fn lb24_lb25_lb26_the_second_tier_gets_what_the_first_cannot_carry_and_there_is_no_panic() {
    let names = ["a", "b", "c", "d", "e"];
    let all = patients(names);
    let first: Vec<SocketAddr> = all[..4].iter().map(address).collect();
    let watched = started(&probed(plan(&[(0, 1, &first), (1, 1, &[address(&all[4])])])), 5);
    assert_eq!(counts(&watched, &names), [100, 100, 100, 100, 0]);
    kill(&watched, &all[0]);
    assert_eq!(counts(&watched, &names)[4], 0, "three of four carry all");
    kill(&watched, &all[1]);
    let found = counts(&watched, &names);
    assert_eq!(found[..2], [0, 0], "{found:?}");
    assert!((80..160).contains(&found[4]), "30 % spill over: {found:?}");
    kill(&watched, &all[2]);
    let found = counts(&watched, &names);
    // By itself the first backend would panic with a quarter left; but the second can take over.
    assert_eq!(found[..3], [0, 0, 0], "{found:?}");
    assert!((210..310).contains(&found[4]), "65 % spill over: {found:?}");
    kill(&watched, &all[3]);
    assert_eq!(counts(&watched, &names), [0, 0, 0, 0, 400]);
    for patient in &all[..4] {
        revive(&watched, patient);
    }
    assert_eq!(counts(&watched, &names)[4], 0);
}

#[test]
fn lb25_when_all_tiers_are_dead_there_is_panic() {
    let [a, b] = patients(["a", "b"]);
    let watched = started(
        &probed(plan(&[(0, 1, &[address(&a)]), (1, 1, &[address(&b)])])),
        2,
    );
    kill(&watched, &a);
    kill(&watched, &b);
    // Tried all the same: the answers are the endpoints' own.
    assert_eq!(
        answers(&watched.rig, 20),
        BTreeMap::from([("500".to_owned(), 20)])
    );
    assert_eq!(watched.rig.get("/").field("x-weir-reason"), None);
}

#[test]
fn lb27_requests_return_after_the_delay_and_a_reload_does_not_shorten_it() {
    const DELAY: Duration = Duration::from_millis(600);
    let [a, b] = patients(["a", "b"]);
    let plan = probed(plan(&[(0, 1, &[address(&a)]), (3, 1, &[address(&b)])]));
    let mut plan = plan.forward(|forward| forward.failover.failback_delay = DELAY);
    let watched = started(&plan, 2);
    assert_eq!(counts(&watched, &["a", "b"]), [400, 0]);
    kill(&watched, &a);
    assert_eq!(counts(&watched, &["a", "b"]), [0, 400]);
    let begun = Instant::now();
    revive(&watched, &a);
    assert!(answers(&watched.rig, 4).contains_key("b"));
    plan.rules[0].timeouts.backend_request = Some(Duration::from_secs(7));
    watched.rig.gateway.publish(Arc::new(plan.config()));
    let back = loop {
        match watched.rig.get("/").text() {
            "a" => break begun.elapsed(),
            other => assert_eq!(other, "b"),
        }
    };
    assert!(back >= DELAY && back < DELAY * 3, "{back:?}");
    assert_eq!(counts(&watched, &["a", "b"]), [400, 0]);
}

#[test]
fn mc04_the_share_of_a_dead_backend_goes_to_the_others_when_that_is_wanted() {
    let names = ["a", "b", "c"];
    let all = patients(names);
    let groups: Vec<[SocketAddr; 1]> = all.iter().map(|one| [address(one)]).collect();
    let groups: Vec<(u64, u64, &[SocketAddr])> = [60, 30, 10]
        .into_iter()
        .zip(&groups)
        .map(|(weight, addresses)| (0, weight, &addresses[..]))
        .collect();
    let keeping = treat(plan(&groups), checked(check()));
    let watched = started(&keeping, 3);
    assert_eq!(counts(&watched, &names), [240, 120, 40]);
    kill(&watched, &all[1]);
    let found = answers(&watched.rig, 400);
    assert_eq!(found["503"], 120, "its share stays its own: {found:?}");

    let sharing = keeping.forward(|forward| forward.failover.redistribute = true);
    watched.rig.gateway.publish(Arc::new(sharing.config()));
    let found = counts(&watched, &names);
    assert!(
        found[1] == 0 && (320..365).contains(&found[0]),
        "6 to 1: {found:?}"
    );
    revive(&watched, &all[1]);
    assert_eq!(counts(&watched, &names), [240, 120, 40]);
}

/// Who serves each of 40 users.
fn places(watched: &Watched) -> Vec<String> {
    let mut client = watched.rig.client();
    let mut ask = |user: usize| {
        client.send(&format!(
            "GET / HTTP/1.1\r\nHost: test\r\nx-user: user-{user}\r\n\r\n"
        ));
        client.response().text().to_owned()
    };
    (0..40).map(&mut ask).collect()
}

#[test]
fn lb26_bx13_a_key_keeps_its_endpoint_and_moves_only_when_that_cannot_serve() {
    let all = patients(["a", "b", "c", "d"]);
    let addresses: Vec<SocketAddr> = all.iter().map(address).collect();
    let plan = plan(&[
        (0, 1, &addresses[..1]),
        (0, 1, &addresses[1..2]),
        (1, 1, &addresses[2..]),
    ]);
    let plan = probed(plan).balance(BalanceSpec {
        algorithm: Algorithm::ConsistentHash(ConsistentHash {
            sources: vec![HashSource::Headers(vec!["x-user".into()])],
            table: HashTable::default(),
            missing_key: MissingKey::Random,
        }),
        ..BalanceSpec::default()
    });
    let plan = plan.forward(|forward| forward.failover.redistribute = true);
    let watched = started(&plan, 4);
    let before = places(&watched);
    assert_eq!(before, places(&watched));
    assert!(
        before.iter().all(|place| ["a", "b"].contains(&&**place)),
        "{before:?}"
    );
    kill(&watched, &all[1]);
    let after = places(&watched);
    assert_eq!(after, places(&watched));
    for (before, after) in before.iter().zip(&after) {
        assert!(
            after == before || ["c", "d"].contains(&&**after) || before == "b",
            "{before} to {after}"
        );
        assert_ne!(after, "b");
    }
    revive(&watched, &all[1]);
    assert_eq!(places(&watched), before);
}

/// Answers 503 to everything.
fn refusing() -> Backend {
    Backend::answering(|_| respond(503, "", b""))
}

fn retrying(plan: Plan, attempts: u32, per_tier: Option<u32>) -> Plan {
    plan.forward(|forward: &mut Forward| {
        forward.retry = Some(Arc::new(Retry {
            attempts,
            conditions: RetryConditions::of(&[RetryCondition::Status]),
            attempts_per_tier: per_tier.and_then(NonZeroU32::new),
            ..Retry::default()
        }));
        let mut spec = UpstreamSpec::clone(&forward.upstream);
        spec.breakers.retries = RetryLimit::Parallel(u32::MAX);
        forward.upstream = Arc::new(spec);
    })
}

fn post(rig: &Rig) -> Response {
    let mut client = rig.client();
    client.send("POST /p HTTP/1.1\r\nHost: test\r\ncontent-length: 4\r\n\r\nbody");
    client.response()
}

#[test]
fn lb28_after_so_many_attempts_retries_move_on_to_the_next_tier() {
    let (one, two, last) = (refusing(), refusing(), Backend::named("last"));
    let groups: [(u64, u64, &[SocketAddr]); 3] = [
        (0, 1, &[one.address]),
        (1, 1, &[two.address]),
        (2, 1, &[last.address]),
    ];
    let mark = |forward: &mut Forward| {
        for (place, destination) in forward.destinations.iter_mut().enumerate() {
            destination.filters = vec![Filter::RequestHeaders(HeaderChange {
                set: vec![("x-place".into(), place.to_string().into())],
                ..HeaderChange::default()
            })];
        }
    };
    // Attempts in a tier, and how many each of the tiers gets.
    for (per_tier, status, expected) in [
        (Some(2), 200, [2, 2, 1]),
        (Some(1), 200, [1, 1, 1]),
        (None, 503, [5, 0, 0]),
    ] {
        let rig = Rig::new(&retrying(plan(&groups), 4, per_tier).forward(mark));
        let before = [one.requests(), two.requests(), last.requests()];
        let response = post(&rig);
        assert_eq!(response.status, status, "{per_tier:?}");
        let after = [one.requests(), two.requests(), last.requests()];
        assert_eq!(
            [0, 1, 2].map(|at| after[at] - before[at]),
            expected,
            "{per_tier:?}"
        );
    }
    for (place, backend) in [&one, &two, &last].into_iter().enumerate() {
        for seen in backend.seen() {
            // The filters of the destination that it went to, and the whole of the body.
            assert_eq!(seen.field("x-place"), Some(&*place.to_string()));
            assert_eq!((&*seen.line, &*seen.body), ("POST /p HTTP/1.1", &b"body"[..]));
        }
    }
}

#[test]
fn lb28_tiers_inside_a_backend_are_moved_through_as_well_and_begin_anew_at_the_end() {
    let (one, two, last) = (refusing(), refusing(), refusing());
    let endpoints = [(0, &one), (0, &two), (1, &last)].map(|(tier, backend)| Endpoint {
        tier: Tier::new(tier).unwrap(),
        ..endpoint(backend.address)
    });
    let mut plan = Plan::to(&[]);
    plan.backends[0].1 = EndpointSource::Static(endpoints.into());
    let rig = Rig::new(&retrying(plan, 1, Some(1)));
    assert_eq!(post(&rig).status, 503);
    assert_eq!((one.requests() + two.requests(), last.requests()), (1, 1));
}

#[test]
fn lb26_without_any_check_a_request_that_could_not_be_sent_goes_to_the_next_tier() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let second = Backend::named("second");
    let rig = Rig::new(&plan(&[(0, 1, &[closed]), (1, 1, &[second.address])]));
    for _ in 0..5 {
        let response = post(&rig);
        assert_eq!((response.status, response.text()), (200, "second"));
    }
    assert_eq!(second.seen()[0].body, b"body");
}

#[test]
fn hc02_a_request_that_waits_for_the_first_probe_goes_where_there_is_life() {
    let hole = Backend::scripted(|_, stream| {
        let _head = read_head(stream);
        std::thread::sleep(Duration::from_secs(60));
    });
    // Known only after the request has come, and before the first is.
    let second = Backend::answering(|request| {
        if request.line.contains("/healthz") {
            std::thread::sleep(Duration::from_millis(100));
        }
        respond(200, "", b"second")
    });
    let mut spec = checked(check());
    if let Some(check) = &mut spec.health.active {
        Arc::make_mut(check).timeout = Period::clamped(Duration::from_millis(400));
    }
    let plan = treat(plan(&[(0, 1, &[hole.address]), (1, 1, &[second.address])]), spec);
    let rig = Rig::new(&plan);
    assert_eq!(rig.get("/").text(), "second");
}

#[test]
fn lb26_a_plain_rule_has_no_spread_and_failover_settings_alone_make_none() {
    let [a, b] = patients(["a", "b"]);
    let same: [(u64, u64, &[SocketAddr]); 2] = [(2, 3, &[address(&a)]), (2, 1, &[address(&b)])];
    let plan = plan(&same).forward(|forward| {
        forward.failover = Failover {
            failback_delay: Duration::from_secs(9),
            ..Failover::default()
        };
    });
    let watched = Watched::new(&plan);
    assert_eq!(counts(&watched, &["a", "b"]), [300, 100], "exactly by turns");
}
