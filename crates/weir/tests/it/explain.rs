//! `weir explain` (row BX11).

use crate::harness::{Folder, example_on, weir};

/// Two routes more: one that loses to the example's by its shorter prefix, one with a split, one that redirects.
const MORE: &str = "\
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: catch-all, namespace: default}
spec:
  parentRefs: [{name: eg}]
  hostnames: [www.example.com]
  rules:
    - backendRefs: [{name: backend, port: 3000}]
    - name: only-seven
      matches: [{path: {type: PathPrefix, value: /round}, headers: [{name: x-user, value: '7'}]}]
      backendRefs: [{name: backend, port: 3000}]
    - matches: [{path: {type: PathPrefix, value: /split}}]
      backendRefs: [{name: backend, port: 3000, weight: 90}, {name: none, port: 3000, weight: 10}]
    - matches: [{path: {type: Exact, value: /old}}]
      filters: [{type: RequestRedirect, requestRedirect: {statusCode: 301, hostname: new.example.com}}]
";

struct Files {
    folder: Folder,
}

impl Files {
    fn new() -> Self {
        let folder = Folder::new();
        folder.write("a.yaml", &example_on(8080, &[9001, 9002, 9003, 9004]));
        folder.write("b.yaml", MORE);
        Self { folder }
    }

    /// Explains with these arguments; paths are shown without their folder.
    fn explain(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let folder = self.folder.path().to_str().expect("UTF-8");
        let mut all = vec!["explain", "-c", folder];
        all.extend(arguments);
        let finished = weir(&all, "");
        assert_eq!(finished.stderr, "", "{arguments:?}");
        (finished.code, finished.stdout.replace(&format!("{folder}/"), ""))
    }
}

#[test]
fn bx11_the_whole_way_is_told_with_its_origins() {
    let (code, text) = Files::new().explain(&["http://www.example.com:8080/round/trip?x=1", "--n", "1000"]);
    assert_eq!(code, Some(0));
    let expected = "\
request   GET www.example.com/round/trip?x=1 from 127.0.0.1
note      the configuration has 1 error: see weir check
listener  default/eg/http on 127.0.0.1:8080   host *   (a.yaml:28:7)
route     HTTPRoute default/round-robin-route rule 1   PathPrefix /round   (a.yaml:133:7)
          not HTTPRoute default/catch-all rule 2   PathPrefix /round, header x-user=7: header x-user missing   (b.yaml:10:7)
          beat HTTPRoute default/catch-all rule 1   PathPrefix /: shorter path   (b.yaml:9:7)
          and 8 more matches that do not apply
policy    BackendTrafficPolicy default/round-robin-policy   RoundRobin   (a.yaml:144:9)
backend   Service default/backend port 3000   4 endpoints   (a.yaml:41:7)
          127.0.0.1:9001   backend-1
          127.0.0.1:9002   backend-2
          127.0.0.1:9003   backend-3
          127.0.0.1:9004   backend-4
pick      each endpoint in turn, by weight
predicted 1000 requests like this one, 10 at a time, seed 1
          assumed: all endpoints healthy and equally fast, no slow start, one connection each
                250   25.0%  127.0.0.1:9001
                250   25.0%  127.0.0.1:9002
                250   25.0%  127.0.0.1:9003
                250   25.0%  127.0.0.1:9004
";
    assert_eq!(text, expected);
}

#[test]
fn bx11_a_hash_names_the_endpoint_and_predicts_it() {
    let files = Files::new();
    for arguments in [
        vec!["http://www.example.com:8080/header", "-H", "FooBar: 1.2.3.4"],
        vec!["http://www.example.com:8080/cookie", "--cookie", "FooBar=1.2.3.4"],
        vec!["http://www.example.com:8080/source", "--from-ip", "10.1.2.3"],
    ] {
        let mut all = arguments.clone();
        all.extend(["-o", "json", "--n", "100"]);
        let (code, text) = files.explain(&all);
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((code, &value["schema"]), (Some(0), &"weir.explain/v1".into()));
        let endpoint = value["forward"]["endpoint"]
            .as_str()
            .expect("the request decides");
        let endpoints = value["forward"]["destinations"][0]["endpoints"]
            .as_array()
            .expect("endpoints");
        let index = endpoints
            .iter()
            .position(|one| one["address"] == endpoint)
            .expect("one of them");
        assert_eq!(
            value["forward"]["predicted"]["picked"][0][index], 100,
            "{arguments:?} {value:#}"
        );
    }
}

#[test]
fn bx11_without_a_cookie_the_prediction_spreads() {
    let (_, text) =
        Files::new().explain(&["http://www.example.com:8080/cookie", "-o", "json", "--n", "1000"]);
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(value["forward"]["endpoint"], serde_json::Value::Null);
    let picked = value["forward"]["predicted"]["picked"][0]
        .as_array()
        .expect("counts");
    assert!(
        picked
            .iter()
            .all(|count| count.as_u64().is_some_and(|count| count > 150)),
        "{picked:?}"
    );
}

#[test]
fn bx11_conditions_splits_redirects_and_misses() {
    let files = Files::new();
    for (arguments, code, parts) in [
        (
            vec!["http://www.example.com:8080/round", "-H", "X-User: 7"],
            0,
            vec!["catch-all rule 2 (only-seven)"],
        ),
        (
            vec!["http://www.example.com:8080/split", "--n", "1000"],
            0,
            vec![
                "90.0% of the requests to Service default/backend",
                "10.0% of the requests to 500",
                "100   10.0%  answered 500",
            ],
        ),
        (
            vec!["http://www.example.com:8080/old"],
            0,
            vec!["redirect  301 to ", "new.example.com"],
        ),
        (
            vec!["POST", "http://www.example.com:8080/least"],
            0,
            vec!["request   POST", "LeastRequest", "fewer requests in flight"],
        ),
        (
            vec![
                "http://www.example.com:8080/endpoint-override-header",
                "-H",
                "x-custom-host: 127.0.0.1:9003",
            ],
            0,
            vec!["127.0.0.1:9003   backend-3   <- this request"],
        ),
        (
            vec![
                "http://www.example.com:8080/endpoint-override-header",
                "-H",
                "x-custom-host: 10.0.0.1:1",
            ],
            0,
            vec!["each endpoint in turn, by weight (x-custom-host names no endpoint of this backend)"],
        ),
        (
            vec!["http://other.example.com:8080/round"],
            1,
            vec!["answer    404"],
        ),
        (
            vec!["http://www.example.com:9999/round"],
            1,
            vec!["none on this port; the configuration listens on 127.0.0.1:8080"],
        ),
        (
            vec!["http://127.0.0.1/round", "-H", "Host: www.example.com"],
            0,
            vec!["explained on port 8080", "round-robin-route"],
        ),
    ] {
        let (found, text) = files.explain(&arguments);
        assert_eq!(found, Some(code), "{arguments:?}\n{text}");
        for part in parts {
            assert!(text.contains(part), "{arguments:?} {part:?}\n{text}");
        }
    }
}

/// Policies that compete for the rules of the example's routes: on a rule, on a route, on the listener, on the
/// Gateway, twice on one target, merged, refused, and on a section that is not there.
const POLICIES: &str = "\
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata: {name: whole, namespace: default}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: eg}]
  loadBalancer: {type: Random}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata: {name: port, namespace: default}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: eg, sectionName: http}]
  loadBalancer: {type: RoundRobin}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata: {name: later, namespace: default}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: round-robin-route}]
  loadBalancer: {type: Random}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata: {name: misspelt, namespace: default}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: catch-all, sectionName: only-eight}]
  loadBalancer: {type: Random}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata: {name: seven, namespace: default}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: catch-all, sectionName: only-seven}]
  mergeType: StrategicMerge
  timeout: {http: {requestTimeout: 3s}}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata: {name: refused, namespace: default}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: random-route}]
  loadBalancer: {type: Quickest}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: ClientTrafficPolicy
metadata: {name: clients, namespace: default}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: eg}]
  clientIPDetection: {xForwardedFor: {numTrustedHops: 1}}
";

#[test]
fn bx11_policies_that_lost_are_named_with_the_reason() {
    let files = Files::new();
    files.folder.write("c.yaml", POLICIES);
    for (arguments, parts) in [
        (
            vec!["http://www.example.com:8080/round"],
            vec![
                "policy    BackendTrafficPolicy default/later   Random   (c.yaml:17:18)",
                "          not BackendTrafficPolicy default/round-robin-policy on the route: BackendTrafficPolicy \
                 default/later has the same target, and its name comes first   (a.yaml:144:9)",
                "          not BackendTrafficPolicy default/port on the listener: overridden by \
                 BackendTrafficPolicy default/later, which is nearer   (c.yaml:10:18)",
                "          not BackendTrafficPolicy default/whole on the gateway: overridden by \
                 BackendTrafficPolicy default/later, which is nearer   (c.yaml:3:18)",
                "client    ClientTrafficPolicy default/clients on the gateway: the most specific one applies",
            ],
        ),
        (
            vec!["http://www.example.com:8080/round", "-H", "X-User: 7"],
            vec![
                "policy    BackendTrafficPolicy default/seven   RoundRobin",
                "          with BackendTrafficPolicy default/seven on the rule: merged over BackendTrafficPolicy \
                 default/port   ",
                "          with BackendTrafficPolicy default/port on the listener: gives what \
                 BackendTrafficPolicy default/seven leaves open (mergeType)",
                "          not BackendTrafficPolicy default/misspelt on the rule: there is no section named \
                 \"only-eight\"",
            ],
        ),
    ] {
        let (_, text) = files.explain(&arguments);
        for part in parts {
            assert!(text.contains(part), "{arguments:?} {part:?}\n{text}");
        }
    }
}

#[test]
fn bx11_how_endpoints_and_requests_are_treated_is_told() {
    let files = Files::new();
    let policy = "
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata: {name: first, namespace: default}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: random-route}]
  healthCheck: {panicThreshold: 10, active: {type: HTTP, http: {path: /healthz}}}
  retry: {numRetries: 4}
  timeout: {http: {requestTimeout: 3s}}
";
    let treatment = [
        "probe GET /healthz expects [200] host www.example.com every 3s within 1s down 3 up 1",
        "panic below 10 %",
        "retry 4 on connect-failure,refused-stream,status,cancelled,unavailable statuses [503] after 25ms to 250ms",
        "timeouts request 3s try off connect 10s idle 3600s",
    ];
    files.folder.write("c.yaml", policy);
    let (_, text) = files.explain(&["http://www.example.com:8080/random"]);
    let shown = format!("treatment {}\n", treatment.join("\n          "));
    assert!(text.contains(&shown), "{shown}\n{text}");
    let (_, json) = files.explain(&["http://www.example.com:8080/random", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(
        json["forward"]["treatment"],
        serde_json::json!(treatment),
        "{json}"
    );
    let (_, text) = files.explain(&["http://www.example.com:8080/round"]);
    assert!(!text.contains("treatment"), "the default is not told: {text}");
}

#[test]
fn bx11_policies_that_lost_are_told_to_programs() {
    let files = Files::new();
    files.folder.write("c.yaml", POLICIES);
    let policies = |path: &str| {
        let (_, text) = files.explain(&[&format!("http://www.example.com:8080{path}"), "-o", "json"]);
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let listed = value["policies"].as_array().expect("policies").iter();
        let rows = listed.map(|one| {
            let text = |field: &str| one[field].as_str().unwrap_or("-").to_owned();
            (text("object"), text("level"), text("verdict"), text("fault"))
        });
        (rows.collect::<Vec<_>>(), value)
    };
    let row = |name: &str, level: &str, verdict: &str| {
        let object = format!("BackendTrafficPolicy default/{name}");
        (object, level.to_owned(), verdict.to_owned(), "-".to_owned())
    };
    let (rows, value) = policies("/round");
    let expected = [
        row("later", "route", "applies"),
        row("round-robin-policy", "route", "conflicted"),
        row("port", "listener", "overridden"),
        row("whole", "gateway", "overridden"),
    ];
    assert_eq!(rows[..4], expected, "{value:#}");
    assert_eq!(value["policies"][1]["origin"]["line"], 144);
    let (rows, value) = policies("/random");
    let refused = rows
        .iter()
        .find(|row| row.0.ends_with("/refused"))
        .expect("it is listed");
    assert!(refused.3.contains("Quickest"), "{value:#}");
}

#[test]
fn bx11_sessions_bounds_tiers_and_retries_have_a_line_each() {
    let files = Files::new();
    let objects = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop, namespace: default}
spec:
  parentRefs: [{name: eg}]
  hostnames: [www.example.com]
  rules:
    - matches: [{path: {type: PathPrefix, value: /shop}}]
      backendRefs: [{name: backend, port: 3000}, {name: backend, port: 3000, priority: 2}]
      sessionPersistence: {sessionName: cart}
---
apiVersion: weir.dev/v1alpha1
kind: TrafficPolicy
metadata: {name: shop, namespace: default}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: shop}]
  loadBalancer: {type: LeastRequest, loadBoundPercent: 150}
  retry: {numRetries: 3, numAttemptsPerPriority: 2}
";
    files.folder.write("c.yaml", objects);
    let (_, text) = files.explain(&["http://www.example.com:8080/shop"]);
    let expected = "\
sessions  a client with a token in cookie cart goes to the endpoint that it names, as long as that is usable, whatever the weights
load      an endpoint with more than 150 % of the mean load is passed over by hashes and left by sessions
tiers     0, 2 in turn: the next gets requests when fewer than 72 % of the endpoints before it are usable
retries   up to 3 after the first try, each at an endpoint that was not tried, 2 in each tier
pick      ";
    assert!(text.contains(expected), "{text}");
    assert!(text.contains("load bound 150 % of the mean\n"), "{text}");
    let (_, json) = files.explain(&["http://www.example.com:8080/shop", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    for field in ["sessions", "load_bound", "tiers", "retries"] {
        assert!(json["forward"][field].is_string(), "{field} {json:#}");
    }
    let (_, text) = files.explain(&["http://www.example.com:8080/round"]);
    for label in ["sessions", "load ", "tiers", "retries"] {
        assert!(
            !text.contains(&format!("\n{label}")),
            "what a rule has not is not told: {text}"
        );
    }
}
