//! Balancing beyond Envoy Gateway's page: starts, exact loads, ramps, where policies apply, threads and seeds.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::harness::{
    Backends, Client, Gateway, Request, answer_of, balanced_routes, endpoints, free_port, gateway,
    gateway_and_service, head, load, scripted,
};

fn plain(target: &str) -> Request<'_> {
    Request { target, headers: &[] }
}

/// A gateway with these flags that balances over `backends` in each of these ways.
fn balanced(backends: &Backends, load_balancers: &[&str], flags: &[&str]) -> Gateway {
    let port = free_port();
    let config = gateway_and_service(port, &backends.ports()) + &balanced_routes(load_balancers);
    Gateway::start_with(port, &config, flags)
}

/// A policy of Envoy Gateway's kind on a target, with this `loadBalancer`.
fn policy(name: &str, target: &str, load_balancer: &str) -> String {
    format!(
        "---\napiVersion: gateway.envoyproxy.io/v1alpha1\nkind: BackendTrafficPolicy\nmetadata: {{name: {name}, \
         namespace: default}}\nspec:\n  targetRefs: [{{group: gateway.networking.k8s.io, {target}}}]\n  loadBalancer: \
         {load_balancer}\n"
    )
}

#[test]
fn lb03_fresh_processes_do_not_all_begin_with_the_same_backend() {
    let backends = Backends::start(4);
    // Two of four only: once in six million runs.
    for _ in 0..25 {
        let gateway = balanced(&backends, &["{type: RoundRobin}"], &["--threads", "1"]);
        assert_eq!(Client::connect(gateway.address).get("/0", &[]).status, 200);
    }
    let reached = backends.requests().iter().filter(|count| **count > 0).count();
    assert!(reached >= 3, "{:?}", backends.requests());
}

#[test]
fn lb06_the_next_request_goes_to_the_backend_with_the_fewest_in_flight() {
    let backends = Backends::start(4);
    let gateway = balanced(
        &backends,
        &[
            "{type: RoundRobin, endpointOverride: {extractFrom: [{header: x-host}]}}",
            "{type: LeastRequest, leastRequest: {choices: All}}",
        ],
        &[],
    );
    // The distribution on Envoy Gateway's page: 30, 24, 27 and 19 requests are in flight.
    let mut held = Vec::new();
    let mut hold = |target: &str, headers: &[(&str, &str)]| {
        let before: u64 = backends.requests().iter().sum();
        let mut client = Client::connect(gateway.address);
        client.send(head("GET", target, headers));
        held.push(client);
        while backends.requests().iter().sum::<u64>() == before {
            std::thread::yield_now();
        }
    };
    for (port, count) in backends.ports().iter().zip([30, 24, 27, 19]) {
        let named = format!("127.0.0.1:{port}");
        (0..count).for_each(|_| hold("/0?t=600s", &[("x-host", &named)]));
    }
    assert_eq!(backends.requests(), [30, 24, 27, 19]);
    // The load counts for every rule that uses the endpoint, whoever brought it there.
    let mut client = Client::connect(gateway.address);
    for _ in 0..3 {
        assert_eq!(client.get("/1", &[]).pod(), "backend-4");
    }
    (0..5).for_each(|_| hold("/1?t=600s", &[]));
    assert_eq!(backends.requests(), [30, 24, 27, 19 + 3 + 5]);
    // Now the second and the fourth have 24 each, and then each in turn up to the third's 27.
    (0..6).for_each(|_| hold("/1?t=600s", &[]));
    assert_eq!(backends.requests(), [30, 24 + 3, 27, 27 + 3]);
}

#[test]
fn lb14_a_new_backend_gets_its_share_gradually() {
    const WINDOW: Duration = Duration::from_secs(5);
    let (backends, port) = (Backends::start(2), free_port());
    let ports = backends.ports();
    let base = gateway(port) + &balanced_routes(&["{type: RoundRobin, slowStart: {window: 5s}}"]);
    let started = Instant::now();
    let gateway = Gateway::start(port, &(base.clone() + &endpoints(&ports[..1])));
    let share_of_new = || {
        let spread = load(gateway.address, plain("/0"), 1000, 4);
        spread.of("backend-2") as f64 / spread.total() as f64
    };
    // The old one has to be past its own ramp. Time itself is what this test is about, so it sleeps.
    std::thread::sleep((WINDOW + Duration::from_millis(300)).saturating_sub(started.elapsed()));
    let added = Instant::now();
    gateway.rewrite(&(base + &endpoints(&ports)), "endpoints only");
    let early = share_of_new();
    // Linear, from the part that one second is; however slow this machine is, the ramp is not further than this.
    let elapsed = added.elapsed().max(Duration::from_secs(1));
    let factor = (elapsed.as_secs_f64() / WINDOW.as_secs_f64()).min(1.0);
    assert!(early > 0.0, "a new endpoint is not left out");
    // 0.06 is five standard deviations of a thousand draws.
    assert!(
        early < factor / (1.0 + factor) + 0.06,
        "{early} where {factor} of its weight counts"
    );
    std::thread::sleep((WINDOW + Duration::from_millis(300)).saturating_sub(added.elapsed()));
    let late = share_of_new();
    assert!((0.49..=0.51).contains(&late), "{late}");
}

/// What a probe gets while it is to fail, else what a request gets.
fn probed(is_down: &Arc<AtomicBool>, pod: &'static str) -> u16 {
    let is_down = Arc::clone(is_down);
    scripted(move |head| {
        let is_failing = head.contains("/healthz") && is_down.load(Ordering::SeqCst);
        answer_of(pod, if is_failing { 503 } else { 200 }, "")
    })
}

#[test]
fn lb14_hc13_a_backend_that_recovers_gets_its_share_gradually() {
    const WINDOW: Duration = Duration::from_secs(5);
    let (is_down, never) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
    let (steady, flaky) = (probed(&never, "steady"), probed(&is_down, "flaky"));
    let port = free_port();
    let config = gateway_and_service(port, &[steady, flaky])
        + &balanced_routes(&[
            "{type: RoundRobin, slowStart: {window: 5s, aggression: 0.25, minWeightPercent: 1}}\n  healthCheck: {active: \
             {type: HTTP, interval: 50ms, http: {path: /healthz}}}",
        ]);
    let started = Instant::now();
    let gateway = Gateway::start(port, &config);
    let log = &gateway.process.stderr;
    log.wait_after(0, &format!(":{flaky} is healthy"));
    is_down.store(true, Ordering::SeqCst);
    log.wait_after(0, &format!(":{flaky} is unhealthy"));
    let share_of_flaky = || {
        let spread = load(gateway.address, plain("/0"), 1000, 4);
        spread.of("flaky") as f64 / spread.total() as f64
    };
    assert!(share_of_flaky() == 0.0, "an unhealthy backend gets nothing");
    // The other one has to be past its own ramp. Time itself is what this test is about, so it sleeps.
    std::thread::sleep((WINDOW + Duration::from_millis(300)).saturating_sub(started.elapsed()));
    let recovered = Instant::now();
    let before = log.count();
    is_down.store(false, Ordering::SeqCst);
    log.wait_after(before, &format!(":{flaky} is healthy"));
    let early = share_of_flaky();
    // The fourth power, from the part that one second is; however slow this machine is, the ramp is not further.
    let elapsed = recovered.elapsed().max(Duration::from_secs(1));
    let factor = (elapsed.as_secs_f64() / WINDOW.as_secs_f64())
        .min(1.0)
        .powi(4)
        .max(0.01);
    // 0.06 is five standard deviations of a thousand draws.
    assert!(
        early < factor / (1.0 + factor) + 0.06,
        "{early} where {factor} of its weight counts"
    );
    std::thread::sleep((WINDOW + Duration::from_millis(300)).saturating_sub(recovered.elapsed()));
    let late = share_of_flaky();
    assert!((0.49..=0.51).contains(&late), "{late}");
}

#[test]
fn lb15_a_policy_with_slow_start_and_no_rotation_is_refused() {
    let backends = Backends::start(1);
    let port = free_port();
    let routes = balanced_routes(&["{type: RoundRobin}", "{type: Random, slowStart: {window: 10s}}"]);
    let gateway = Gateway::start(port, &(gateway_and_service(port, &backends.ports()) + &routes));
    let log = gateway.process.stderr.text();
    for part in [
        "error[E0308]: slowStart is supported for",
        "the type is Random",
        "Accepted=False, Invalid",
    ] {
        assert!(log.contains(part), "{part} {log}");
    }
    let mut client = Client::connect(gateway.address);
    assert_eq!(
        (client.get("/0", &[]).status, client.get("/1", &[]).status),
        (200, 500)
    );
}

#[test]
fn lb10_a_table_size_that_is_no_prime_costs_its_rules_only() {
    let backends = Backends::start(1);
    let hash = |size: u32| {
        format!("{{type: ConsistentHash, consistentHash: {{type: SourceIP, tableSize: {size}}}}}")
    };
    let gateway = balanced(&backends, &[&hash(65_537), &hash(65_536), &hash(11)], &[]);
    let mut client = Client::connect(gateway.address);
    let statuses = ["/0", "/1", "/2"].map(|path| client.get(path, &[]).status);
    assert_eq!(statuses, [200, 500, 200]);
    assert!(
        gateway
            .process
            .stderr
            .text()
            .contains("invalid TableSize value 65536"),
        "{}",
        gateway.process.stderr.text()
    );
}

/// One route with a named and an unnamed rule to the Service `backend`.
const SHOP: &str = "\
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop, namespace: default}
spec:
  parentRefs: [{name: eg}]
  rules:
    - name: pinned
      matches: [{path: {value: /pinned}}]
      backendRefs: [{name: backend, port: 3000}]
    - matches: [{path: {value: /spread}}]
      backendRefs: [{name: backend, port: 3000}]
";

const PINNED: &str = "{type: ConsistentHash, consistentHash: {type: SourceIP}}";
const SPREAD: &str = "{type: RoundRobin}";

/// How many backends serve 12 requests to each of the two rules of [`SHOP`].
fn reach(gateway: &Gateway) -> [usize; 2] {
    ["/pinned", "/spread"].map(|path| load(gateway.address, plain(path), 12, 1).pods())
}

#[test]
fn lb22_a_section_name_gives_the_policy_to_that_rule_only() {
    let (backends, port) = (Backends::start(4), free_port());
    let config = gateway_and_service(port, &backends.ports())
        + SHOP
        + &policy("all", "kind: HTTPRoute, name: shop", SPREAD)
        + &policy("one", "kind: HTTPRoute, name: shop, sectionName: pinned", PINNED);
    assert_eq!(reach(&Gateway::start(port, &config)), [1, 4]);
}

#[test]
fn lb20_the_nearest_policy_has_its_way_and_the_next_when_it_goes() {
    let (backends, port) = (Backends::start(4), free_port());
    let base = gateway_and_service(port, &backends.ports()) + SHOP;
    // Nearest last: each differs from the one before it.
    let policies = [
        policy("gateway", "kind: Gateway, name: eg", PINNED),
        policy("listener", "kind: Gateway, name: eg, sectionName: http", SPREAD),
        policy("route", "kind: HTTPRoute, name: shop", PINNED),
        policy("rule", "kind: HTTPRoute, name: shop, sectionName: pinned", SPREAD),
    ];
    let with = |count: usize| base.clone() + &policies[..count].concat();
    let gateway = Gateway::start(port, &with(4));
    assert_eq!(reach(&gateway), [4, 1]);
    for (left, expected) in [(3, [1, 1]), (2, [4, 4]), (1, [1, 1])] {
        gateway.rewrite(&with(left), " in force (");
        assert_eq!(reach(&gateway), expected, "{left} policies left");
    }
}

#[test]
fn lb20_of_two_policies_on_one_target_the_first_has_it() {
    let (backends, port) = (Backends::start(4), free_port());
    let target = "kind: HTTPRoute, name: shop";
    let base = gateway_and_service(port, &backends.ports()) + SHOP;
    let dated = |name: &str, load_balancer: &str, created: &str| {
        policy(name, target, load_balancer).replace(
            &format!("{{name: {name},"),
            &format!("{{name: {name}, creationTimestamp: '{created}',"),
        )
    };
    let by_name = base.clone() + &policy("b", target, SPREAD) + &policy("a", target, PINNED);
    let gateway = Gateway::start(port, &by_name);
    assert_eq!(reach(&gateway), [1, 1]);
    let by_age =
        base + &dated("b", SPREAD, "2026-01-01T00:00:00Z") + &dated("a", PINNED, "2026-01-02T00:00:00Z");
    gateway.rewrite(&by_age, " in force (");
    assert_eq!(reach(&gateway), [4, 4]);
    assert!(
        gateway.process.stderr.text().contains(
            "Unable to target HTTPRoute shop, another BackendTrafficPolicy has already attached to it"
        ),
        "{}",
        gateway.process.stderr.text()
    );
}

#[test]
fn lb19_each_way_to_name_a_target_gives_it_the_policy() {
    let (backends, port) = (Backends::start(4), free_port());
    let labelled = SHOP.replace("{name: shop,", "{name: shop, labels: {team: a, tier: web},");
    let base = gateway_and_service(port, &backends.ports()) + &labelled;
    let group = "group: gateway.networking.k8s.io";
    let gateway = Gateway::start(port, &base);
    for (number, (target, expected)) in [
        (format!("targetRef: {{{group}, kind: HTTPRoute, name: shop}}"), 1),
        (
            format!("targetRefs: [{{{group}, kind: HTTPRoute, name: shop}}]"),
            1,
        ),
        (format!("targetRefs: [{{{group}, kind: Gateway, name: eg}}]"), 1),
        (
            format!("targetRefs: [{{{group}, kind: Gateway, name: eg, sectionName: http}}]"),
            1,
        ),
        (
            "targetSelectors: [{kind: HTTPRoute, matchLabels: {team: a}}]".to_owned(),
            1,
        ),
        ("targetSelectors: [{kind: Gateway}]".to_owned(), 1),
        // LeastRequest, so several backends serve.
        (
            "targetSelectors: [{kind: HTTPRoute, matchLabels: {team: b}}]".to_owned(),
            4,
        ),
        (
            format!("targetRefs: [{{{group}, kind: Gateway, name: eg, sectionName: https}}]"),
            4,
        ),
        (
            format!("targetRefs: [{{{group}, kind: HTTPRoute, name: other}}]"),
            4,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let policy = format!(
            "---\napiVersion: gateway.envoyproxy.io/v1alpha1\nkind: BackendTrafficPolicy\nmetadata: {{name: p{number}, \
             namespace: default}}\nspec:\n  {target}\n  loadBalancer: {PINNED}\n"
        );
        gateway.rewrite(&(base.clone() + &policy), " in force (");
        // 32 draws of two that miss all but one of four backends: never.
        let pods = load(gateway.address, plain("/pinned"), 32, 1).pods();
        assert_eq!(pods == 1, expected == 1, "{target}: {pods}");
    }
}

#[test]
fn lb21_a_routes_policy_is_merged_over_its_gateways() {
    let (backends, port) = (Backends::start(4), free_port());
    let base = gateway_and_service(port, &backends.ports())
        + SHOP
        + &policy("gateway", "kind: Gateway, name: eg", "{type: Random}")
        + "  timeout: {http: {requestTimeout: 300ms}}\n";
    let route = |merge_type: &str| {
        policy("route", "kind: HTTPRoute, name: shop", PINNED)
            .replace("spec:\n", &format!("spec:\n{merge_type}"))
    };
    let gateway = Gateway::start(port, &(base.clone() + &route("")));
    let mut client = Client::connect(gateway.address);
    // Not merged: the route's policy stands alone, and the Gateway's timeout does not apply.
    assert_eq!(client.get("/spread?t=600ms", &[]).status, 200);
    assert_eq!(reach(&gateway), [1, 1]);
    for merge_type in ["StrategicMerge", "JSONMerge"] {
        let merged = base.clone() + &route(&format!("  mergeType: {merge_type}\n"));
        gateway.rewrite(&merged, " in force (");
        assert_eq!(
            client.get("/spread?t=3s", &[]).status,
            504,
            "{merge_type}: the Gateway's timeout"
        );
        assert_eq!(reach(&gateway), [1, 1], "{merge_type}: the route's balancer");
        // Back, so that the next way to merge is a change.
        gateway.rewrite(&(base.clone() + &route("")), " in force (");
    }
}

#[test]
fn rl07_shares_do_not_depend_on_the_number_of_threads() {
    let backends = Backends::start(4);
    let mut pinned = BTreeSet::new();
    for threads in ["1", "2", "8"] {
        let gateway = balanced(
            &backends,
            &["{type: RoundRobin}", PINNED, "{type: Random}"],
            &["--threads", threads],
        );
        let spread = load(gateway.address, plain("/0"), 400, 40);
        assert_eq!(spread.counts(), [100; 4], "{threads} threads: {spread:?}");
        let spread = load(gateway.address, plain("/1"), 40, 20);
        assert_eq!(spread.pods(), 1, "{threads} threads: {spread:?}");
        pinned.extend(spread.0.into_keys());
        // Three degrees of freedom: 33.0 is exceeded less than once in a million runs of three.
        let spread = load(gateway.address, plain("/2"), 400, 40);
        assert!(spread.chi_square(4) < 33.0, "{threads} threads: {spread:?}");
    }
    assert_eq!(
        pinned.len(),
        1,
        "one backend at any number of threads: {pinned:?}"
    );
}

#[test]
fn rl08_a_seed_repeats_every_choice_of_a_process() {
    let backends = Backends::start(4);
    let run = |seed: &str| {
        let gateway = balanced(
            &backends,
            &["{type: Random}", SPREAD],
            &["--threads", "1", "--seed", seed],
        );
        let mut client = Client::connect(gateway.address);
        ["/0", "/1"].map(|path| (0..30).map(|_| client.get(path, &[]).pod()).collect::<Vec<_>>())
    };
    let first = run("42");
    assert_eq!(run("42"), first);
    assert_ne!(run("43")[0], first[0], "4^30 sequences are possible");
}
