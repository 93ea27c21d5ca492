//! `weir check`.

use crate::harness::{Backends, Client, Folder, Gateway, example_on, free_port, gateway_and_service, weir};

const DANGLING: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: eg
spec:
  gatewayClassName: eg
  listeners:
    - name: http
      protocol: HTTP
      port: 8080
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: shop
spec:
  parentRefs:
    - name: eg
  rules:
    - backendRefs:
        - name: cart
          port: 3000
";

#[test]
fn op11_a_good_configuration_exits_with_0() {
    let folder = Folder::new();
    let path = folder.write("weir.yaml", &example_on(8080, &[9001, 9002, 9003, 9004]));
    let path = path.to_str().expect("UTF-8");
    let checked = weir(&["check", path], "");
    assert_eq!(checked.code, Some(0), "{checked:?}");
    assert_eq!(
        checked.stdout,
        format!("{path}: 0 errors, 0 warnings (21 objects)\n")
    );
    let quiet = weir(&["check", "-q", path], "");
    assert_eq!((quiet.code, quiet.stdout.as_str()), (Some(0), ""));
}

#[test]
fn op11_an_error_exits_with_3_and_shows_the_place_in_every_format() {
    let folder = Folder::new();
    let path = folder.write("weir.yaml", DANGLING);
    let path = path.to_str().expect("UTF-8");
    let text = weir(&["check", path], "");
    assert_eq!(text.code, Some(3), "{text:?}");
    for part in [
        format!("{path}:21:17"),
        "cart".to_owned(),
        "21 |".to_owned(),
        "error[".to_owned(),
    ] {
        assert!(text.stdout.contains(&part), "{part}\n{}", text.stdout);
    }
    let json = weir(&["check", "-o", "json", path], "");
    let value: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!(json.code, Some(3));
    assert_eq!(value["schema"], "weir.check/v1");
    assert_eq!(value["ok"], false);
    let problems = value["problems"].as_array().expect("problems");
    let error = problems
        .iter()
        .find(|problem| problem["severity"] == "error")
        .expect("an error");
    assert_eq!((&error["line"], &error["column"]), (&21.into(), &17.into()));
    let github = weir(&["check", "-o", "github", path], "");
    assert_eq!(github.code, Some(3));
    assert!(
        github
            .stdout
            .contains(&format!("::error file={path},line=21,col=17")),
        "{}",
        github.stdout
    );
}

#[test]
fn op11_standard_input_is_read_and_a_missing_path_is_an_error() {
    let checked = weir(&["check", "-"], DANGLING);
    assert_eq!(checked.code, Some(3), "{checked:?}");
    assert!(checked.stdout.contains("<stdin>:21:17"), "{}", checked.stdout);
    let missing = weir(&["check", "/nonexistent/weir.yaml"], "");
    assert_eq!(missing.code, Some(3), "{missing:?}");
    assert!(
        missing.stdout.contains("/nonexistent/weir.yaml"),
        "{}",
        missing.stdout
    );
}

#[test]
fn op11_warnings_count_as_errors_when_strict() {
    let folder = Folder::new();
    let text = example_on(8080, &[9001, 9002, 9003, 9004])
        .replace("  hostnames:\n", "  hostnamez: 1\n  hostnames:\n");
    let path = folder.write("weir.yaml", &text);
    let path = path.to_str().expect("UTF-8");
    let lax = weir(&["check", path], "");
    let strict = weir(&["check", "--strict", path], "");
    assert_eq!((lax.code, strict.code), (Some(0), Some(3)), "{lax:?}");
    assert!(lax.stdout.contains("hostnamez"), "{}", lax.stdout);
}

/// Two listeners of one Gateway that nothing tells apart, and one that is fine.
const CONFLICT: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: eg}
spec:
  gatewayClassName: eg
  listeners:
    - {name: left, protocol: HTTP, port: 8081}
    - {name: fine, protocol: HTTP, port: 8080}
    - {name: right, protocol: HTTP, port: 8081}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop}
spec:
  parentRefs: [{name: eg}]
  rules:
    - filters: [{type: RequestRedirect, requestRedirect: {hostname: shop.example.com}}]
";

#[test]
fn conflicting_listeners_are_refused_together_and_alone() {
    let folder = Folder::new();
    let path = folder.write("weir.yaml", CONFLICT);
    let path = path.to_str().expect("UTF-8");
    let checked = weir(&["check", path], "");
    assert_eq!(checked.code, Some(3), "{checked:?}");
    for part in [
        format!("{path}:7:42"),
        format!("{path}:9:43"),
        "listener left claims the same port and hostname as listener right".to_owned(),
        "listener right claims the same port and hostname as listener left".to_owned(),
        "give each its own hostname or port".to_owned(),
        "2 errors".to_owned(),
    ] {
        assert!(checked.stdout.contains(&part), "{part}\n{}", checked.stdout);
    }
    let explained = |port: u16| weir(&["explain", "-c", path, &format!("http://a:{port}/")], "").code;
    assert_eq!((explained(8080), explained(8081)), (Some(0), Some(1)));
}

/// What becomes of a gateway whose configuration has something unknown in it.
struct Unknown {
    name: &'static str,
    /// Filters of the rule `/b`.
    filters: &'static str,
    /// Head and `spec` of another object.
    object: &'static str,
    /// How it is reported.
    code: &'static str,
    is_error: bool,
}

const POLICY: &str = "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: BackendTrafficPolicy";

/// Row OP14: what decides how traffic is treated and is unknown is an error: a gateway does not start with an unknown type of
/// a policy, and denies a rule with an unknown filter; what nobody reads is a warning, and traffic goes on. A strict gateway
/// refuses to start for any error.
const UNKNOWNS: [Unknown; 6] = [
    Unknown {
        name: "type of a load balancer",
        filters: "",
        object: "loadBalancer: {type: Nonsense}",
        code: "E0320",
        is_error: true,
    },
    Unknown {
        name: "type of a health check",
        filters: "",
        object: "healthCheck: {active: {type: Nonsense}}",
        code: "E0320",
        is_error: true,
    },
    Unknown {
        name: "type of a filter",
        filters: "{type: Nonsense}",
        object: "",
        code: "E0104",
        is_error: true,
    },
    Unknown {
        name: "kind of a group that weir knows",
        filters: "",
        object: "kind: BackendTraficPolicy",
        code: "W0110",
        is_error: false,
    },
    Unknown {
        name: "field of a policy",
        filters: "",
        object: "loadBalancer: {type: Random, slowStrat: {window: 10s}}",
        code: "W0101",
        is_error: false,
    },
    Unknown {
        name: "field of a filter",
        filters: "{type: RequestHeaderModifier, requestHeaderModifier: {sett: []}}",
        object: "",
        code: "W0101",
        is_error: false,
    },
];

#[test]
fn op14_what_is_unknown_is_denied_where_it_decides_and_a_warning_elsewhere() {
    let backends = Backends::start(1);
    for unknown in UNKNOWNS {
        let (name, port) = (unknown.name, free_port());
        let routes: String = [("left", "/a", ""), ("right", "/b", unknown.filters)]
            .map(|(route, path, filters)| {
                format!(
                    "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n\
                     metadata: {{name: {route}, namespace: default}}\nspec:\n  parentRefs: [{{name: eg}}]\n  rules:\n    \
                     - matches: [{{path: {{type: PathPrefix, value: {path}}}}}]\n      filters: [{filters}]\n      \
                     backendRefs: [{{name: backend, port: 3000}}]\n"
                )
            })
            .concat();
        let (head, spec) = match unknown.object.strip_prefix("kind: ") {
            Some(kind) => (POLICY.replace("BackendTrafficPolicy", kind), "retry: {}"),
            None => (POLICY.to_owned(), unknown.object),
        };
        let policy = format!(
            "---\n{head}\nmetadata: {{name: odd, namespace: default}}\nspec:\n  \
             targetRefs: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: right}}]\n  {spec}\n"
        );
        let config = gateway_and_service(port, &backends.ports()) + &routes + &policy;
        let folder = Folder::new();
        let path = folder.write("weir.yaml", &config);
        let path = path.to_str().expect("UTF-8");
        if unknown.code == "E0320" {
            let refused = weir(&["run", "-c", path], "");
            assert_eq!(refused.code, Some(3), "{name}: {refused:?}");
        } else {
            let flags: &[&str] = if unknown.is_error { &[] } else { &["--strict"] };
            let gateway = Gateway::start_with(port, &config, flags);
            let mut client = Client::connect(gateway.address);
            let statuses = ["/a", "/b"].map(|path| client.get(path, &[]).status);
            let odd = if unknown.is_error { 500 } else { 200 };
            assert_eq!(statuses, [200, odd], "{name}");
        }
        let checked = weir(&["check", path], "");
        assert!(checked.stdout.contains(unknown.code), "{name}: {checked:?}");
        assert_eq!(
            checked.code,
            Some(if unknown.is_error { 3 } else { 0 }),
            "{name}: {checked:?}"
        );
        assert_eq!(weir(&["check", "--strict", path], "").code, Some(3), "{name}");
        if unknown.is_error {
            let refused = weir(&["run", "--strict", "-c", path], "");
            assert_eq!(refused.code, Some(3), "{name}: {refused:?}");
        }
    }
}

/// Every kind of object that has a status, with its good and its bad ones.
const JUDGED: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: eg}
spec: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: eg}
spec:
  gatewayClassName: eg
  listeners: [{name: http, protocol: HTTP, port: 8080}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: good}
spec:
  parentRefs: [{name: eg}]
  rules: [{filters: [{type: RequestRedirect, requestRedirect: {hostname: shop.example.com}}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: dangling}
spec:
  parentRefs: [{name: eg}]
  hostnames: [dangling.example.com]
  rules: [{backendRefs: [{name: nobody, port: 80}]}]
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata: {name: whole}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: eg}]
  loadBalancer: {type: RoundRobin}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata: {name: first, creationTimestamp: \"2024-01-01T00:00:00Z\"}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: good}]
  loadBalancer: {type: Random}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata: {name: second, creationTimestamp: \"2025-01-01T00:00:00Z\"}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: good}]
  loadBalancer: {type: LeastRequest}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata: {name: merged}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: dangling}]
  mergeType: StrategicMerge
  loadBalancer: {type: LeastRequest}
";

#[test]
fn lb20_statuses_say_who_was_accepted_overridden_merged_and_conflicted() {
    let folder = Folder::new();
    let path = folder.write("weir.yaml", JUDGED);
    let path = path.to_str().expect("UTF-8");
    let json = weir(&["check", "-o", "json", path], "");
    let value: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
    let statuses = value["statuses"].as_array().expect("statuses");
    let status = |name: &str, kind: &str| {
        let one = |status: &&serde_json::Value| status["name"] == name && status["kind"] == kind;
        statuses
            .iter()
            .find(one)
            .map(|one| one["status"].clone())
            .expect("a status")
    };
    let said = |conditions: &serde_json::Value, kind: &str| {
        let conditions = conditions.as_array().expect("conditions");
        let one = conditions.iter().find(|one| one["type"] == kind);
        one.map_or(String::new(), |one| {
            format!("{} {}", one["status"], one["reason"]).replace('"', "")
        })
    };
    let class = status("eg", "GatewayClass");
    assert_eq!(said(&class["conditions"], "Accepted"), "True Accepted");
    let gateway = status("eg", "Gateway");
    assert_eq!(said(&gateway["conditions"], "Programmed"), "True Programmed");
    assert_eq!(gateway["listeners"][0]["attachedRoutes"], 2);
    for (route, resolved) in [
        ("good", "True ResolvedRefs"),
        ("dangling", "False BackendNotFound"),
    ] {
        let parent = &status(route, "HTTPRoute")["parents"][0];
        assert_eq!(
            said(&parent["conditions"], "Accepted"),
            "True Accepted",
            "{route}"
        );
        assert_eq!(said(&parent["conditions"], "ResolvedRefs"), resolved, "{route}");
        assert_eq!(parent["parentRef"]["name"], "eg");
    }
    for (policy, kind, expected) in [
        ("first", "Accepted", "True Accepted"),
        ("second", "Accepted", "False Conflicted"),
        ("whole", "Overridden", "True Overridden"),
        ("merged", "Merged", "True Merged"),
    ] {
        let ancestor = &status(policy, "BackendTrafficPolicy")["ancestors"][0];
        assert_eq!(
            said(&ancestor["conditions"], kind),
            expected,
            "{policy} {ancestor:#}"
        );
    }
    let text = weir(&["check", "--statuses", path], "").stdout;
    for part in ["listener http takes", "attached 2", "Accepted=False Conflicted: "] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(!weir(&["check", path], "").stdout.contains("Accepted=True"));
}
