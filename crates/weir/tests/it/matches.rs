//! Which requests a route gets: matches, hostnames and what listeners allow, from YAML to the backend that answers (rows
//! GA02, GA03; Gateway API `HTTPRouteMatch`, `HTTPRouteSpec.hostnames`, `Listener.hostname`, `AllowedRoutes`).

use std::net::SocketAddr;

use crate::harness::{Backends, Client, Gateway, free_port, head};

/// A Service `backend` with one endpoint in this namespace, which has the label `team`.
fn namespace(name: &str, team: &str, backend_port: u16) -> String {
    format!(
        "\
---
apiVersion: v1
kind: Namespace
metadata: {{name: {name}, labels: {{team: {team}}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: backend, namespace: {name}}}
spec: {{ports: [{{name: http, port: 80}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: backend, namespace: {name}, labels: {{kubernetes.io/service-name: backend}}}}
addressType: IPv4
ports: [{{name: http, port: {backend_port}}}]
endpoints: [{{addresses: [127.0.0.1]}}]
"
    )
}

/// A route of a namespace on a listener. Each rule, a name and its matches, tells the backend its name.
fn route(namespace: &str, listener: &str, hostnames: &str, rules: &[(&str, &str)]) -> String {
    let name = rules[0].0;
    let mut text = format!(
        "\
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  parentRefs: [{{name: eg, namespace: default, sectionName: {listener}}}]
  hostnames: [{hostnames}]
  rules:
"
    );
    for (name, matches) in rules {
        text.push_str(&format!(
            "  - matches: [{matches}]\n    filters: [{{type: RequestHeaderModifier, requestHeaderModifier: {{set: \
             [{{name: x-rule, value: {name}}}]}}}}]\n    backendRefs: [{{name: backend, port: 80}}]\n"
        ));
    }
    text
}

/// Listeners of one Gateway, and namespaces `default`, `a` and `b` with a backend each.
fn gateway(listeners: &[String], routes: &[String]) -> (Backends, Gateway) {
    let (backends, port) = (Backends::start(1), free_port());
    let mut config = "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: eg, namespace: default}
spec:
  gatewayClassName: eg
  addresses: [{type: IPAddress, value: 127.0.0.1}]
  listeners:
"
    .to_owned();
    for listener in listeners {
        let listener = listener.replace("PORT", &port.to_string());
        config.push_str(&format!("  - {{protocol: HTTP, {listener}}}\n"));
    }
    for (name, team) in [("default", "none"), ("a", "red"), ("b", "blue")] {
        config.push_str(&namespace(name, team, backends.ports()[0]));
    }
    config.push_str(&routes.concat());
    let gateway = Gateway::start(port, &config);
    (backends, gateway)
}

/// The name of the rule that got the request; none when it was answered 404.
fn rule(
    address: SocketAddr,
    method: &str,
    host: &str,
    target: &str,
    headers: &[(&str, &str)],
) -> Option<String> {
    let mut client = Client::connect(address);
    let mut all = vec![("host", host)];
    all.extend_from_slice(headers);
    client.send(head(method, target, &all));
    let response = client.response(method);
    if response.status == 404 {
        return None;
    }
    assert_eq!(response.status, 200, "{method} {host}{target} {headers:?}");
    let seen = response.json();
    Some(seen["headers"]["X-Rule"][0].as_str().expect("a rule").to_owned())
}

#[test]
fn ga03_requests_are_matched_by_all_that_a_match_says() {
    let rules = [
        // The order in which they are written counts last.
        (
            "query-late",
            "{path: {value: /rank}, queryParams: [{name: q, value: '1'}]}",
        ),
        (
            "header-late",
            "{path: {value: /rank}, headers: [{name: x-one, value: '1'}]}",
        ),
        (
            "headers-late",
            "{path: {value: /rank}, headers: [{name: x-one, value: '1'}, {name: x-two, value: '2'}]}",
        ),
        ("method-late", "{path: {value: /rank}, method: GET}"),
        ("post", "{path: {value: /method}, method: POST}"),
        ("delete", "{path: {value: /method}, method: DELETE}"),
        (
            "exact",
            "{path: {value: /header}, headers: [{name: X-Env, value: canary}]}",
        ),
        (
            "regex",
            "{path: {value: /header}, headers: [{type: RegularExpression, name: x-version, value: 'v[0-9]+'}]}",
        ),
        (
            "param",
            "{path: {value: /query}, queryParams: [{name: Debug, value: 'a b'}]}",
        ),
        (
            "param-regex",
            "{path: {value: /query}, queryParams: [{type: RegularExpression, name: page, value: '[0-9]{2}'}]}",
        ),
        (
            "both",
            "{path: {value: /both}, headers: [{name: x-one, value: '1'}], queryParams: [{name: q, value: '1'}]}",
        ),
        (
            "either",
            "{path: {value: /left}}, {path: {value: /right}, method: PUT}",
        ),
        ("path-prefix", "{path: {type: PathPrefix, value: /path}}"),
        ("path-long", "{path: {type: PathPrefix, value: /path/long}}"),
        ("path-exact", "{path: {type: Exact, value: /path/exact}}"),
        (
            "path-regex",
            "{path: {type: RegularExpression, value: '/re/[a-c]+'}}",
        ),
    ];
    let listener = "name: http, port: PORT".to_owned();
    let (_backends, gateway) = gateway(&[listener], &[route("default", "http", "", &rules)]);
    type Case = (
        &'static str,
        &'static str,
        &'static [(&'static str, &'static str)],
        Option<&'static str>,
    );
    let cases: &[Case] = &[
        ("POST", "/method", &[], Some("post")),
        ("DELETE", "/method", &[], Some("delete")),
        ("GET", "/method", &[], None),
        ("GET", "/header", &[("x-env", "canary")], Some("exact")),
        ("GET", "/header", &[("X-ENV", "canary")], Some("exact")),
        ("GET", "/header", &[("x-env", "Canary")], None),
        ("GET", "/header", &[("x-env", "canary2")], None),
        ("GET", "/header", &[("x-version", "v12")], Some("regex")),
        // The whole value, as with Envoy.
        ("GET", "/header", &[("x-version", "v12b")], None),
        ("GET", "/header", &[("x-version", "rev12")], None),
        ("GET", "/header", &[], None),
        ("GET", "/query?Debug=a%20b", &[], Some("param")),
        ("GET", "/query?x=1&Debug=a%20b&y", &[], Some("param")),
        ("GET", "/query?debug=a%20b", &[], None),
        ("GET", "/query?Debug=a", &[], None),
        ("GET", "/query?page=12", &[], Some("param-regex")),
        ("GET", "/query?page=123", &[], None),
        ("GET", "/query?page=1a", &[], None),
        ("GET", "/query", &[], None),
        ("GET", "/both?q=1", &[("x-one", "1")], Some("both")),
        ("GET", "/both?q=1", &[], None),
        ("GET", "/both?q=2", &[("x-one", "1")], None),
        ("GET", "/left", &[], Some("either")),
        ("PUT", "/right", &[], Some("either")),
        ("GET", "/right", &[], None),
        ("GET", "/path", &[], Some("path-prefix")),
        ("GET", "/path/other", &[], Some("path-prefix")),
        ("GET", "/paths", &[], None),
        ("GET", "/path/long/way", &[], Some("path-long")),
        ("GET", "/path/exact", &[], Some("path-exact")),
        ("GET", "/path/exact/", &[], Some("path-prefix")),
        ("GET", "/re/abc", &[], Some("path-regex")),
        ("GET", "/re/abd", &[], None),
        // Method, then the number of headers, then that of query parameters.
        (
            "GET",
            "/rank?q=1",
            &[("x-one", "1"), ("x-two", "2")],
            Some("method-late"),
        ),
        (
            "PUT",
            "/rank?q=1",
            &[("x-one", "1"), ("x-two", "2")],
            Some("headers-late"),
        ),
        ("PUT", "/rank?q=1", &[("x-one", "1")], Some("header-late")),
        ("PUT", "/rank?q=1", &[], Some("query-late")),
    ];
    for (method, target, headers, expected) in cases {
        let found = rule(gateway.address, method, "www.example.com", target, headers);
        assert_eq!(found.as_deref(), *expected, "{method} {target} {headers:?}");
    }
}

#[test]
fn ga02_ga03_the_closest_hostname_has_the_request() {
    let all = "{path: {value: /}}";
    let listeners = [
        "name: any, port: PORT".to_owned(),
        "name: wild, port: PORT, hostname: '*.wild.example'".to_owned(),
        "name: own, port: PORT, hostname: own.wild.example".to_owned(),
    ];
    let routes = [
        route("default", "any", "one.host.example", &[("one", all)]),
        route("default", "any", "'*.host.example'", &[("some", all)]),
        route("default", "any", "'*.deep.host.example'", &[("deep", all)]),
        route("default", "any", "", &[("every", "{path: {value: /every}}")]),
        // Without hostnames of its own, a route has those of its listener.
        route("default", "wild", "", &[("wild", "{path: {value: /wild}}")]),
        // With, it has what both have.
        route(
            "default",
            "wild",
            "z.wild.example, z.other.example",
            &[("shared", "{path: {value: /shared}}")],
        ),
        route("default", "own", "", &[("own", "{path: {value: /own}}")]),
    ];
    let (_backends, gateway) = gateway(&listeners, &routes);
    for (host, target, expected) in [
        ("one.host.example", "/", Some("one")),
        ("ONE.Host.Example:8080", "/", Some("one")),
        ("two.host.example", "/", Some("some")),
        ("a.b.host.example", "/", Some("some")),
        ("a.deep.host.example", "/", Some("deep")),
        ("deep.host.example", "/", Some("some")),
        // A wildcard is at least one label.
        ("host.example", "/", None),
        ("one.host.example.org", "/", None),
        ("host.example", "/every", Some("every")),
        ("z.wild.example", "/wild", Some("wild")),
        ("a.b.wild.example", "/wild", Some("wild")),
        ("wild.example", "/wild", None),
        ("other.example", "/wild", None),
        ("z.wild.example", "/shared", Some("shared")),
        ("y.wild.example", "/shared", None),
        ("z.other.example", "/shared", None),
        // A request belongs to the listener with the closest hostname, and to no other.
        ("own.wild.example", "/own", Some("own")),
        ("own.wild.example", "/wild", None),
        ("z.wild.example", "/own", None),
        ("z.wild.example", "/every", None),
    ] {
        let found = rule(gateway.address, "GET", host, target, &[]);
        assert_eq!(found.as_deref(), expected, "{host} {target}");
    }
}

#[test]
fn ga02_listeners_take_routes_of_the_namespaces_they_allow() {
    let ports: Vec<u16> = (0..5).map(|_| free_port()).collect();
    let allowed = [
        "{namespaces: {from: Same}}",
        "{namespaces: {from: All}}",
        "{namespaces: {from: None}}",
        "{namespaces: {from: Selector, selector: {matchLabels: {team: red}}}}",
        "{namespaces: {from: Selector, selector: {matchExpressions: [{key: team, operator: NotIn, values: [red]}]}}}",
    ];
    let listener = |(index, port): (usize, &u16)| {
        format!("name: l{index}, port: {port}, allowedRoutes: {}", allowed[index])
    };
    let listeners: Vec<String> = ports.iter().enumerate().map(listener).collect();
    let mut routes = Vec::new();
    for index in 0..ports.len() {
        for (space, path) in [("default", "/default"), ("a", "/a"), ("b", "/b")] {
            let name = format!("{space}-{index}");
            let rules = [(&*name, &*format!("{{path: {{value: {path}}}}}"))];
            routes.push(route(space, &format!("l{index}"), "", &rules));
        }
    }
    let (_backends, _gateway) = gateway(&listeners, &routes);
    for (index, expected) in [
        [true, false, false],
        [true, true, true],
        [false, false, false],
        [false, true, false],
        [true, false, true],
    ]
    .into_iter()
    .enumerate()
    {
        let address = SocketAddr::from(([127, 0, 0, 1], ports[index]));
        for (space, is_allowed) in ["default", "a", "b"].into_iter().zip(expected) {
            let found = rule(address, "GET", "www.example.com", &format!("/{space}"), &[]);
            let expected = is_allowed.then(|| format!("{space}-{index}"));
            assert_eq!(found, expected, "{}", allowed[index]);
        }
    }
}
