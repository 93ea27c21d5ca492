//! Weights, of backendRefs and of endpoints, and references that lead nowhere (rows LB04, LB07, MC02, MC03, CH12, BX13).

use std::collections::BTreeMap;

use crate::harness::{Backends, Client, Gateway, balanced_routes, free_port, gateway_and_service};

/// A gateway on these rules of one route, over Services `one` and `two` with two endpoints each, and `empty`.
fn serving(rules: &str, further: &str) -> (Backends, Gateway) {
    let backends = Backends::start(4);
    let (ports, port) = (backends.ports(), free_port());
    let mut config = gateway_and_service(port, &[]);
    for (name, ports) in [("one", &ports[..2]), ("two", &ports[2..]), ("empty", &[])] {
        config.push_str(&format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: default}}\nspec: {{ports: \
             [{{name: http, port: 80}}]}}\n"
        ));
        for (index, backend_port) in ports.iter().enumerate() {
            config.push_str(&format!(
                "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: {name}-{index}, \
                 namespace: default, labels: {{kubernetes.io/service-name: {name}}}}}\naddressType: IPv4\nports: \
                 [{{name: http, port: {backend_port}}}]\nendpoints: [{{addresses: [127.0.0.1]}}]\n"
            ));
        }
    }
    config.push_str(&format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: split, namespace: \
         default}}\nspec:\n  parentRefs: [{{name: eg}}]\n  rules:\n{rules}{further}"
    ));
    (backends, Gateway::start(port, &config))
}

/// A rule under a path with these backendRefs.
fn rule(path: &str, refs: &str) -> String {
    format!("  - {{matches: [{{path: {{value: {path}}}}}], backendRefs: [{refs}]}}\n")
}

/// Statuses of `count` requests on one connection.
fn statuses(gateway: &Gateway, path: &str, count: usize) -> BTreeMap<u16, usize> {
    let mut client = Client::connect(gateway.address);
    let mut statuses = BTreeMap::new();
    for _ in 0..count {
        *statuses.entry(client.get(path, &[]).status).or_default() += 1;
    }
    statuses
}

#[test]
fn mc02_requests_follow_the_weights_of_backend_refs() {
    let rules = [
        rule(
            "/ninety",
            "{name: one, port: 80, weight: 90}, {name: two, port: 80, weight: 10}",
        ),
        rule(
            "/all",
            "{name: one, port: 80, weight: 100}, {name: two, port: 80, weight: 0}",
        ),
        rule("/half", "{name: one, port: 80}, {name: two, port: 80, weight: 1}"),
        rule(
            "/great",
            "{name: one, port: 80, weight: 1000000}, {name: two, port: 80, weight: 1000000}",
        ),
        rule(
            "/none",
            "{name: one, port: 80, weight: 0}, {name: two, port: 80, weight: 0}",
        ),
    ];
    let (backends, gateway) = serving(&rules.concat(), "");
    for (path, share) in [("/ninety", 90), ("/all", 100), ("/half", 50), ("/great", 50)] {
        let before = backends.requests();
        assert_eq!(
            statuses(&gateway, path, 100),
            BTreeMap::from([(200, 100)]),
            "{path}"
        );
        let counts: Vec<u64> = backends
            .requests()
            .iter()
            .zip(before)
            .map(|(after, before)| after - before)
            .collect();
        // Gateway API conformance allows 3 of 100 either way; a smooth split needs none.
        assert_eq!(counts[0] + counts[1], share, "{path} {counts:?}");
    }
    let before = backends.requests();
    assert_eq!(
        statuses(&gateway, "/none", 20),
        BTreeMap::from([(500, 20)]),
        "all weights are 0"
    );
    assert_eq!(backends.requests(), before);
}

#[test]
fn lb04_weights_are_served_smoothly() {
    let backends = Backends::start(3);
    let (ports, port) = (backends.ports(), free_port());
    let mut config = gateway_and_service(port, &[]);
    for (name, backend_port) in ["a", "b", "c"].iter().zip(&ports) {
        config.push_str(&format!(
            "---\napiVersion: gateway.envoyproxy.io/v1alpha1\nkind: Backend\nmetadata: {{name: {name}, namespace: \
             default}}\nspec: {{endpoints: [{{ip: {{address: 127.0.0.1, port: {backend_port}}}}}]}}\n"
        ));
    }
    let refs = [("a", 5), ("b", 1), ("c", 1)].map(|(name, weight)| {
        format!("{{group: gateway.envoyproxy.io, kind: Backend, name: {name}, weight: {weight}}}")
    });
    config.push_str(&format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: split, namespace: \
         default}}\nspec:\n  parentRefs: [{{name: eg}}]\n  rules: [{{backendRefs: [{}]}}]\n",
        refs.join(", ")
    ));
    let gateway = Gateway::start(port, &config);
    let mut client = Client::connect(gateway.address);
    let pods: Vec<String> = (0..70).map(|_| client.get("/", &[]).pod()).collect();
    assert_eq!(backends.requests(), [50, 10, 10], "{pods:?}");
    let longest = pods.chunk_by(|one, next| one == next).map(<[String]>::len).max();
    assert!(longest <= Some(5), "{longest:?} in a row: {pods:?}");
    for pod in ["backend-2", "backend-3"] {
        let places: Vec<usize> = (0..70).filter(|place| pods[*place] == pod).collect();
        assert!(
            places
                .windows(2)
                .all(|pair| (4..=10).contains(&(pair[1] - pair[0]))),
            "{pod} {places:?}"
        );
    }
}

/// Slices of the Service `backend`, each over one of these ports, with this annotation.
fn weighted_slices(ports: &[u16], weights: &[&str]) -> String {
    let slices = ports.iter().zip(weights).enumerate();
    let slice = |(index, (port, weight)): (usize, (&u16, &&str))| {
        format!(
            "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: backend-{index}\n  namespace: \
             default\n  labels: {{kubernetes.io/service-name: backend}}\n  annotations: {{weir.dev/weight: \"{weight}\"}}\n\
             addressType: IPv4\nports: [{{name: http, port: {port}}}]\nendpoints: [{{addresses: [127.0.0.1]}}]\n"
        )
    };
    slices.map(slice).collect()
}

/// Counts of this many requests in a row, and how often one backend had them without a break.
fn served(backends: &Backends, gateway: &Gateway, target: &str, count: usize) -> (Vec<u64>, usize) {
    let before = backends.requests();
    let mut client = Client::connect(gateway.address);
    let pods: Vec<String> = (0..count).map(|_| client.get(target, &[]).pod()).collect();
    let longest = pods.chunk_by(|one, next| one == next).map(<[String]>::len).max();
    let counts = backends.requests().into_iter().zip(before);
    let counts = counts.map(|(after, before)| after - before).collect();
    (counts, longest.unwrap_or_default())
}

#[test]
fn lb04_lb07_endpoints_of_one_service_have_weights() {
    let backends = Backends::start(3);
    let (ports, port) = (backends.ports(), free_port());
    let config = |weights: &[&str]| {
        gateway_and_service(port, &[])
            + &weighted_slices(&ports, weights)
            + &balanced_routes(&["{type: RoundRobin}", "{type: LeastRequest}", "{type: Random}"])
    };
    let gateway = Gateway::start(port, &config(&["5", "127.0.0.1=1", "1"]));
    let (counts, longest) = served(&backends, &gateway, "/0", 70);
    assert_eq!(counts, [50, 10, 10]);
    assert!(longest <= 5, "{longest}");
    // Another weight is another load at once; 0 is none.
    gateway.rewrite(&config(&["1", "3", "0"]), " in force (");
    let (counts, _) = served(&backends, &gateway, "/1", 400);
    assert!((280..=320).contains(&counts[1]) && counts[2] == 0, "{counts:?}");
    // What cannot be understood weighs 1, and that is said.
    gateway.rewrite(&config(&["heavy", "127.0.0.9=7", "1"]), " in force (");
    assert_eq!(served(&backends, &gateway, "/0", 60).0, [20; 3]);
    let said = gateway.process.stderr.text();
    for part in [
        "\"heavy\" is no weight in the annotation weir.dev/weight",
        "no endpoint here is called \"127.0.0.9\"",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn lb04_endpoints_of_one_backend_have_weights() {
    let backends = Backends::start(3);
    let (ports, port) = (backends.ports(), free_port());
    let listed: Vec<String> = ports
        .iter()
        .map(|port| format!("{{ip: {{address: 127.0.0.1, port: {port}}}}}"))
        .collect();
    let config = format!(
        "{}---\napiVersion: gateway.envoyproxy.io/v1alpha1\nkind: Backend\nmetadata: {{name: app, namespace: default, \
         annotations: {{weir.dev/weight: \"127.0.0.1:{}=5\"}}}}\nspec: {{endpoints: [{}]}}\n---\napiVersion: \
         gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: app, namespace: default}}\nspec:\n  parentRefs: \
         [{{name: eg}}]\n  rules: [{{backendRefs: [{{group: gateway.envoyproxy.io, kind: Backend, name: app}}]}}]\n---\n\
         apiVersion: weir.dev/v1alpha1\nkind: TrafficPolicy\nmetadata: {{name: app, namespace: default}}\nspec: {{targetRefs: \
         [{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: app}}], loadBalancer: {{type: RoundRobin}}}}\n",
        gateway_and_service(port, &[]),
        ports[0],
        listed.join(", ")
    );
    let gateway = Gateway::start(port, &config);
    let (counts, longest) = served(&backends, &gateway, "/", 70);
    assert_eq!(counts, [50, 10, 10]);
    assert!(longest <= 5, "{longest}");
}

#[test]
fn mc03_a_bad_reference_costs_its_share_and_no_more() {
    let further = "\
---
apiVersion: v1
kind: Namespace
metadata: {name: far}
---
apiVersion: v1
kind: Service
metadata: {name: one, namespace: far}
spec: {ports: [{port: 80}]}
";
    let rules = [
        rule(
            "/missing",
            "{name: one, port: 80, weight: 3}, {name: nobody, port: 80, weight: 1}",
        ),
        rule(
            "/kind",
            "{name: one, port: 80, weight: 3}, {kind: ConfigMap, name: one, weight: 1}",
        ),
        rule(
            "/far",
            "{name: one, port: 80, weight: 3}, {name: one, namespace: far, port: 80, weight: 1}",
        ),
        rule(
            "/port",
            "{name: one, port: 80, weight: 3}, {name: one, port: 81, weight: 1}",
        ),
        rule(
            "/empty",
            "{name: one, port: 80, weight: 3}, {name: empty, port: 80, weight: 1}",
        ),
        rule(
            "/both",
            "{name: one, port: 80, weight: 2}, {name: nobody, port: 80}, {name: empty, port: 80}",
        ),
        rule("/only", "{name: nobody, port: 80}"),
        "  - {matches: [{path: {value: /nothing}}]}\n".to_owned(),
    ];
    let (backends, gateway) = serving(&rules.concat(), further);
    for (path, expected) in [
        ("/missing", vec![(200, 30), (500, 10)]),
        ("/kind", vec![(200, 30), (500, 10)]),
        ("/far", vec![(200, 30), (500, 10)]),
        ("/port", vec![(200, 30), (500, 10)]),
        ("/empty", vec![(200, 30), (503, 10)]),
        ("/both", vec![(200, 20), (500, 10), (503, 10)]),
        ("/only", vec![(500, 40)]),
        ("/nothing", vec![(500, 40)]),
    ] {
        assert_eq!(
            statuses(&gateway, path, 40),
            BTreeMap::from_iter(expected),
            "{path}"
        );
    }
    assert_eq!(backends.requests()[2..], [0, 0]);
}

#[test]
fn ch12_bx13_users_stay_where_they_are_while_shares_follow_weights() {
    let rules = "  - backendRefs: [{name: one, port: 80, weight: 95}, {name: two, port: 80, weight: 5}]\n";
    let policy = "\
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata: {name: pinned, namespace: default}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: split}]
  loadBalancer: {type: ConsistentHash, consistentHash: {type: Header, header: {name: X-User}}}
";
    let (backends, gateway) = serving(rules, policy);
    let mut clients = [(); 3].map(|()| Client::connect(gateway.address));
    let mut check = |user: usize, times: usize| {
        let user = format!("user-{user}");
        let pods: Vec<String> = (0..times)
            .map(|turn| clients[turn % 3].get("/", &[("X-User", &user)]).pod())
            .collect();
        assert!(pods.iter().all(|pod| *pod == pods[0]), "{user} {pods:?}");
    };
    for user in 0..2000 {
        check(user, 3);
    }
    let requests = backends.requests();
    let share = (requests[2] + requests[3]) as f64 / requests.iter().sum::<u64>() as f64;
    assert!((0.035..0.065).contains(&share), "{share} {requests:?}");
    for user in (0..2000).step_by(20) {
        check(user, 20);
    }
    assert!(requests.iter().all(|count| *count > 0), "{requests:?}");
}
