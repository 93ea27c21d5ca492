//! What `/metrics` says of traffic: picks, tries, misses, connections (rows OP06, OP07).

use super::api::wait_for_metric;
use crate::harness::{
    ADMIN, Admin, Backends, Client, Gateway, ROUTE, balanced_routes, endpoints, free_port, gateway,
    gateway_and_service, lint, scripted,
};

/// The policies of the routes `/0` to `/2`.
const BALANCERS: [&str; 3] = [
    "{type: RoundRobin}",
    "{type: ConsistentHash, consistentHash: {type: Header, header: {name: x-user}}}",
    "{type: RoundRobin, endpointOverride: {extractFrom: [{header: x-host}]}}",
];

/// A route `/session` whose clients come back by a header.
const SESSION: &str = "\
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: session, namespace: default}
spec:
  parentRefs: [{name: eg}]
  rules:
    - matches: [{path: {type: PathPrefix, value: /session}}]
      backendRefs: [{name: backend, port: 3000}]
      sessionPersistence: {sessionName: x-session, type: Header}
";

/// A listener whose host is not that of other requests.
const OTHER_HOST: &str = "\
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: other, namespace: default}
spec:
  gatewayClassName: eg
  addresses: [{type: IPAddress, value: 127.0.0.1}]
  listeners:
    - {name: http, protocol: HTTP, port: PORT, hostname: only.example.com}
";

fn all(admin: &mut Admin) -> String {
    let metrics = String::from_utf8(admin.get("/metrics").body).expect("text");
    assert_eq!(lint(&metrics), Vec::<String>::new(), "{metrics}");
    metrics
}

/// The series of a family with their values, those of other families left out.
fn series(metrics: &str, family: &str) -> Vec<String> {
    let lines = metrics.lines().filter_map(|line| line.strip_prefix(family));
    let own = lines.filter(|rest| rest.starts_with(['{', ' ']));
    own.map(str::to_owned).collect()
}

#[test]
fn op06_picks_are_counted_by_what_decided() {
    let backends = Backends::start(2);
    let port = free_port();
    let config = gateway_and_service(port, &backends.ports()) + &balanced_routes(&BALANCERS) + SESSION;
    let gateway = Gateway::start_with(port, &config, &ADMIN);
    let mut admin = Admin::of_gateway(&gateway);
    let mut client = Client::connect(gateway.address);
    let host = format!("127.0.0.1:{}", backends.ports()[1]);
    for (target, headers, times) in [
        ("/0", vec![], 3),
        ("/1", vec![("x-user", "ann")], 4),
        ("/1", vec![], 2),
        ("/2", vec![("x-host", &*host)], 5),
        ("/2", vec![], 1),
    ] {
        for _ in 0..times {
            assert_eq!(client.get(target, &headers).status, 200);
        }
    }
    let first = client.get("/session", &[]);
    let token = first.header("x-session").expect("a token").to_owned();
    for _ in 0..6 {
        assert_eq!(
            client.get("/session", &[("x-session", &token)]).pod(),
            first.pod()
        );
    }
    // Picks are counted as they are made, so the last answer is after the last of them.
    let metrics = all(&mut admin);
    let backend = "backend=\"service/default/backend/3000\"";
    assert_eq!(
        series(&metrics, "weir_lb_picks_total"),
        [
            ("affinity", 4),
            ("no_key", 2),
            ("override", 5),
            // Three in turn, one without an override, and the one that began the session.
            ("policy", 5),
            ("session", 6),
        ]
        .map(|(reason, count)| format!("{{{backend},reason=\"{reason}\"}} {count}"))
    );
}

#[test]
fn op06_tries_and_retries_are_counted_by_what_came_of_them() {
    let dead = free_port();
    let flaky = scripted(|head| {
        let status = if head.starts_with("POST") {
            "503 No"
        } else {
            "201 Yes"
        };
        format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").into_bytes()
    });
    let port = free_port();
    let config = gateway(port) + &balanced_routes(&["{type: RoundRobin}"]) + &endpoints(&[dead, flaky]);
    let gateway = Gateway::start_with(port, &config, &ADMIN);
    let mut admin = Admin::of_gateway(&gateway);
    let mut client = Client::connect(gateway.address);
    for _ in 0..4 {
        assert_eq!(client.get("/0", &[]).status, 201);
        client.send("POST /0 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(client.response("POST").status, 503);
    }
    let route = "httproute/default/route-0/rule/0";
    let class = |class: &str| format!("weir_requests_total{{route=\"{route}\",code_class=\"{class}\"}} 4");
    wait_for_metric(&mut admin, &class("5xx"));
    let metrics = wait_for_metric(&mut admin, &class("2xx"));
    assert_eq!(lint(&metrics), Vec::<String>::new(), "{metrics}");

    let labels = |method: &str, rest: &str| {
        format!(
            "url_scheme=\"http\",http_request_method=\"{method}\",network_protocol_version=\"1.1\"{rest}}}"
        )
    };
    let count = |series: &str| -> u64 {
        let line = metrics.lines().find_map(|line| line.strip_prefix(series));
        line.map_or(0, |value| value.trim().parse().expect("a number"))
    };
    let served = |method: &str, rest: &str| {
        let labels = labels(method, rest);
        count(&format!(
            "http_server_request_duration_seconds_count{{http_route=\"{route}\",{labels}"
        ))
    };
    assert_eq!(
        served("GET", ",http_response_status_code=\"201\""),
        4,
        "{metrics}"
    );
    let failed = ",http_response_status_code=\"503\",error_type=\"503\"";
    assert_eq!(served("POST", failed), 4, "{metrics}");

    let tried = |method: &str, rest: &str| {
        let labels = labels(method, rest);
        let own = format!("http_route=\"{route}\",backend=\"service/default/backend/3000\"");
        count(&format!(
            "http_client_request_duration_seconds_count{{{own},{labels}"
        ))
    };
    assert_eq!(tried("GET", ",http_response_status_code=\"201\""), 4, "{metrics}");
    assert_eq!(tried("POST", failed), 4, "{metrics}");
    let refused: u64 = ["GET", "POST"]
        .map(|method| tried(method, ",error_type=\"connect_failed\""))
        .iter()
        .sum();
    assert!(refused > 0, "{metrics}");

    let retries = |outcome: &str| {
        count(&format!(
            "weir_retries_total{{route=\"{route}\",outcome=\"{outcome}\"}}"
        ))
    };
    assert_eq!(retries("success") + retries("failed"), refused, "{metrics}");
    assert_eq!(
        retries("success"),
        tried("GET", ",error_type=\"connect_failed\""),
        "{metrics}"
    );
    let picks = |reason: &str| {
        count(&format!(
            "weir_lb_picks_total{{backend=\"service/default/backend/3000\",reason=\"{reason}\"}}"
        ))
    };
    assert_eq!((picks("policy"), picks("retry")), (8, refused), "{metrics}");
}

#[test]
fn op06_misses_and_connections_are_counted_by_listener() {
    let backends = Backends::start(1);
    let (port, other) = (free_port(), free_port());
    let config = gateway_and_service(port, &backends.ports())
        + &balanced_routes(&BALANCERS[..1])
        + &OTHER_HOST.replace("PORT", &other.to_string());
    let gateway = Gateway::start_with(port, &config, &ADMIN);
    let mut admin = Admin::of_gateway(&gateway);
    let mut clients: Vec<Client> = (0..3).map(|_| Client::connect(gateway.address)).collect();
    for client in &mut clients {
        assert_eq!(client.get("/nowhere", &[]).status, 404);
    }
    let mut stranger = Client::connect(([127, 0, 0, 1], other).into());
    assert_eq!(stranger.get("/", &[]).status, 404);
    let metrics = all(&mut admin);
    let listener = |port: u16| format!("listener=\"127.0.0.1:{port}\"");
    for (port, open, no_host, no_route) in [(port, 3, 0, 3), (other, 1, 1, 0)] {
        let listener = listener(port);
        for line in [
            format!("weir_open_connections{{{listener},protocol=\"http1\"}} {open}"),
            format!("weir_route_misses_total{{{listener},why=\"no_host\"}} {no_host}"),
            format!("weir_route_misses_total{{{listener},why=\"no_route\"}} {no_route}"),
        ] {
            assert!(metrics.lines().any(|other| other == line), "{line}\n{metrics}");
        }
    }
    drop(clients);
    let closed = format!("weir_open_connections{{{},protocol=\"http1\"}} 0", listener(port));
    wait_for_metric(&mut admin, &closed);
}

#[test]
fn op06_a_scrape_may_ask_for_a_part() {
    let backends = Backends::start(1);
    let port = free_port();
    let config = gateway_and_service(port, &backends.ports()) + &balanced_routes(&BALANCERS[..1]);
    let gateway = Gateway::start_with(port, &config, &ADMIN);
    let mut admin = Admin::of_gateway(&gateway);
    assert_eq!(Client::connect(gateway.address).get("/0", &[]).status, 200);
    // It is counted a moment after the client has its answer.
    let counted = "weir_requests_total{route=\"httproute/default/route-0/rule/0\",code_class=\"2xx\"} 1";
    wait_for_metric(&mut admin, counted);
    let families = |admin: &mut Admin, query: &str| -> Vec<String> {
        let answer = admin.get(&format!("/metrics{query}"));
        assert_eq!(answer.status, 200, "{query}");
        let text = String::from_utf8(answer.body).expect("text");
        assert_eq!(lint(&text), Vec::<String>::new(), "{text}");
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        types
            .filter_map(|rest| Some(rest.split_once(' ')?.0.to_owned()))
            .collect()
    };
    let whole = families(&mut admin, "");
    assert_eq!(
        families(&mut admin, "?scope=listener"),
        [
            "weir_listener_up",
            "weir_open_connections",
            "weir_route_misses_total"
        ]
    );
    let names = "?scope=endpoint&metrics=weir_endpoint_up,weir_endpoint_weight,weir_requests_total";
    assert_eq!(
        families(&mut admin, names),
        ["weir_endpoint_up", "weir_endpoint_weight"]
    );
    let rest = families(&mut admin, "?metrics=-weir_endpoint_up");
    assert!(rest.len() + 1 == whole.len() && !rest.contains(&"weir_endpoint_up".to_owned()));
    let refused = admin.get("/metrics?scope=server");
    assert_eq!(refused.status, 400);
    assert!(
        refused.json()["message"]
            .as_str()
            .is_some_and(|text| text.contains("endpoint"))
    );
}

#[test]
fn op07_the_documented_names_of_checks_are_served() {
    let backends = Backends::start(1);
    let port = free_port();
    let policy = "\
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata: {name: probes, namespace: default}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: eg}]
  healthCheck: {active: {type: HTTP, http: {path: /healthz}, interval: 50ms, timeout: 5s}}
";
    let config = gateway_and_service(port, &backends.ports()) + ROUTE + policy;
    let gateway = Gateway::start_with(port, &config, &ADMIN);
    let mut admin = Admin::of_gateway(&gateway);
    gateway.process.stderr.wait_after(0, "is healthy");
    let metrics = all(&mut admin);
    let labels = format!(
        "{{endpoint=\"127.0.0.1:{}\",check=\"GET /healthz\"}} ",
        backends.ports()[0]
    );
    for name in [
        "health_check_success_total",
        "health_check_failure_total",
        "health_check_duration_seconds_sum",
        "health_check_duration_seconds_count",
    ] {
        let found = metrics
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(&labels));
        let value: f64 = found.expect(name).parse().expect("a number");
        assert_eq!(
            value > 0.0,
            name != "health_check_failure_total",
            "{name} {value}"
        );
    }
}
