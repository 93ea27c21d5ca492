//! How the access log is written, and of which requests (row OP08).

use crate::harness::{
    Backends, Client, Folder, Gateway, balanced_routes, endpoints, free_port, gateway, gateway_and_service,
    route_policy, scripted, weir,
};

const ROUTE: &str = "\
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: only, namespace: default}
spec:
  parentRefs: [{name: eg}]
  rules: [{matches: [{path: {value: /on}}], backendRefs: [{name: backend, port: 3000}]}]
";

/// The lines after these requests, which are GETs of a target with some headers.
fn lines(flags: &[&str], requests: &[(&str, &[(&str, &str)])]) -> Vec<String> {
    let backends = Backends::start(1);
    let folder = Folder::new();
    let log = folder.path().join("access.log");
    let port = free_port();
    let flags = [&["--access-log", log.to_str().expect("UTF-8")], flags].concat();
    let mut gateway = Gateway::start_with(
        port,
        &(gateway_and_service(port, &backends.ports()) + ROUTE),
        &flags,
    );
    let mut client = Client::connect(gateway.address);
    for (target, headers) in requests {
        client.get(target, headers);
    }
    drop(client);
    gateway.process.signal("TERM");
    assert_eq!(gateway.process.wait().code(), Some(0));
    let text = std::fs::read_to_string(&log).expect("a log");
    text.lines().map(str::to_owned).collect()
}

#[test]
fn op08_lines_of_text_by_a_template_and_as_web_servers_write_them() {
    let headers: &[(&str, &str)] = &[("x-user", "a\"b"), ("user-agent", "test/1")];
    let template = "{method} {path} {status} {reason} {header:x-user} {header:x-none} {{} {route}";
    let found = lines(
        &["--access-log-format", template],
        &[("/on?x", headers), ("/off", &[])],
    );
    assert_eq!(
        found,
        [
            "GET /on?x 200 via_upstream a\\x22b - {} httproute/default/only/rule/0",
            "GET /off 404 no_route - - {} -",
        ]
    );
    let found = lines(
        &["--access-log-format", "{policy} {retries} {reason}"],
        &[("/on", &[]), ("/off", &[])],
    );
    assert_eq!(found, ["LeastRequest 0 via_upstream", "- 0 no_route"]);
    let found = lines(&["--access-log-format", "combined"], &[("/on", headers)]);
    let line = &found[0];
    assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
    assert!(line.contains(" +0000] \"GET /on HTTP/1.1\" 200 "), "{line}");
    assert!(line.ends_with(" \"-\" \"test/1\""), "{line}");
}

/// The lines, and what the gateway with this route over these endpoints is asked.
fn lines_of(config: &str, port: u16, flags: &[&str], ask: impl FnOnce(&Gateway)) -> Vec<String> {
    let folder = Folder::new();
    let log = folder.path().join("access.log");
    let flags = [&["--access-log", log.to_str().expect("UTF-8")], flags].concat();
    let mut gateway = Gateway::start_with(port, config, &flags);
    ask(&gateway);
    gateway.process.signal("TERM");
    assert_eq!(gateway.process.wait().code(), Some(0));
    let text = std::fs::read_to_string(&log).expect("a log");
    text.lines().map(str::to_owned).collect()
}

#[test]
fn op08_every_try_is_told_with_what_decided_and_what_came_of_it() {
    let (dead, port) = (free_port(), free_port());
    let good = scripted(|head| {
        let status = if head.starts_with("POST") {
            "503 No"
        } else {
            "200 Yes"
        };
        format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").into_bytes()
    });
    let policy = "{type: ConsistentHash, consistentHash: {type: Header, header: {name: x-user}}}";
    let retry = "\
---
apiVersion: weir.dev/v1alpha1
kind: TrafficPolicy
metadata: {name: policy-0, namespace: default}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: route-0}]
  retry: {numRetries: 1, retryOn: {triggers: [connect-failure]}}
  loadBalancer: ";
    let routes = balanced_routes(&[policy]);
    let (route, _) = routes
        .split_once("---\napiVersion: weir.dev")
        .expect("a policy follows");
    let config = gateway(port) + &endpoints(&[dead, good]) + route + retry + policy + "\n";
    let ask = |gateway: &Gateway| {
        let mut client = Client::connect(gateway.address);
        // Some of these keys are the dead endpoint's.
        for key in 0..20 {
            let key = key.to_string();
            assert_eq!(client.get("/0", &[("x-user", &key)]).status, 200);
        }
        client.send("POST /0 HTTP/1.1\r\nHost: a\r\nx-user: 1\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(client.response("POST").status, 503);
        assert_eq!(client.get("/off", &[]).status, 404);
    };
    let records: Vec<serde_json::Value> = lines_of(&config, port, &[], ask)
        .iter()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let is = |record: &serde_json::Value, index: usize, (port, reason, result): (u16, &str, &str)| {
        let one = &record["attempts"][index];
        let endpoint = format!("127.0.0.1:{port}");
        assert_eq!(
            (&one["endpoint"], &one["pick_reason"], &one["result"]),
            (&endpoint.into(), &reason.into(), &result.into()),
            "{record:#}"
        );
        assert!(one["duration_ms"].is_number(), "{record:#}");
    };
    let mut retried = 0;
    for record in &records[..20] {
        let attempts = record["attempts"].as_array().expect("a list");
        assert_eq!(record["flags"], "", "{record:#}");
        if attempts.len() == 1 {
            is(record, 0, (good, "affinity", "200"));
            assert_eq!(
                (&record["pick_reason"], &record["retries"]),
                (&"affinity".into(), &0.into())
            );
        } else {
            retried += 1;
            is(record, 0, (dead, "affinity", "connect_failed"));
            is(record, 1, (good, "retry", "200"));
            assert_eq!(
                (&record["pick_reason"], &record["retries"]),
                (&"retry".into(), &1.into())
            );
        }
    }
    assert!((1..20).contains(&retried), "{retried}");
    let posted = &records[20];
    let last = posted["attempts"].as_array().expect("a list").len() - 1;
    assert_eq!(posted["attempts"][last]["result"], "503", "{posted:#}");
    assert_eq!(
        posted["flags"],
        if posted["retries"] == 0 { "" } else { "URX" },
        "{posted:#}"
    );
    let missed = &records[21];
    assert_eq!(
        (&missed["flags"], &missed["pick_reason"], &missed["attempts"]),
        (&"NR".into(), &"".into(), &serde_json::json!([])),
        "{missed:#}"
    );
}

#[test]
fn op08_flags_say_what_envoys_say() {
    let (dead, silent) = (free_port(), scripted(|_| Vec::new()));
    let closing = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        std::thread::spawn(move || listener.incoming().for_each(drop));
        port
    };
    let template = ["--access-log-format", "{flags} {pick_reason} {attempts}"];
    for (endpoint, policy, request, status, expected) in [
        (
            dead,
            "",
            "/on",
            502,
            format!("UF policy 127.0.0.1:{dead}=connect_failed"),
        ),
        (
            silent,
            "timeout: {http: {requestTimeout: 200ms}}",
            "/on",
            504,
            format!("UT policy 127.0.0.1:{silent}=request_timeout"),
        ),
        (
            closing,
            "",
            "/on",
            502,
            format!("UC policy 127.0.0.1:{closing}=upstream_closed"),
        ),
        (
            dead,
            "circuitBreaker: {maxParallelRequests: 0}",
            "/on",
            503,
            "UO - -".to_owned(),
        ),
        (
            silent,
            "faultInjection: {delay: {fixedDelay: 1ms}, abort: {httpStatus: 418}}",
            "/on",
            418,
            "DI,FI - -".to_owned(),
        ),
        (dead, "", "/on/../..", 400, "DPE - -".to_owned()),
        (dead, "", "/off", 404, "NR - -".to_owned()),
    ] {
        let port = free_port();
        let policy = if policy.is_empty() {
            String::new()
        } else {
            route_policy("policy", policy)
        };
        let config = gateway_and_service(port, &[endpoint]) + ROUTE + &policy;
        let found = lines_of(&config, port, &template, |gateway| {
            assert_eq!(
                Client::connect(gateway.address).get(request, &[]).status,
                status,
                "{expected}"
            );
        });
        assert_eq!(found, [expected]);
    }
}

#[test]
fn op08_the_fields_of_envoy_gateways_default_log() {
    let headers: &[(&str, &str)] = &[("user-agent", "test/1"), ("x-forwarded-for", "9.9.9.9")];
    let found = lines(
        &["--access-log-format", "envoy"],
        &[("/on?x", headers), ("/off", &[])],
    );
    let records: Vec<serde_json::Value> = found
        .iter()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    // The order of its fields is part of what people know.
    let mut at = 0;
    for name in [
        "start_time",
        "method",
        "x-envoy-origin-path",
        "protocol",
        "response_code",
        "response_flags",
        "response_code_details",
        "connection_termination_details",
        "upstream_transport_failure_reason",
        "bytes_received",
        "bytes_sent",
        "duration",
        "x-envoy-upstream-service-time",
        "x-forwarded-for",
        "user-agent",
        "x-request-id",
        ":authority",
        "upstream_host",
        "upstream_cluster",
        "upstream_local_address",
        "downstream_local_address",
        "downstream_remote_address",
        "requested_server_name",
        "route_name",
    ] {
        let field = format!("\"{name}\":");
        at += found[0][at..]
            .find(&field)
            .unwrap_or_else(|| panic!("{name}: {}", found[0]));
    }
    assert_eq!(
        records[0].as_object().expect("an object").len(),
        24,
        "{}",
        found[0]
    );
    for (name, expected) in [
        ("method", "GET".into()),
        ("x-envoy-origin-path", "/on?x".into()),
        ("response_code", 200.into()),
        ("response_flags", serde_json::Value::Null),
        ("response_code_details", "via_upstream".into()),
        ("x-forwarded-for", "9.9.9.9".into()),
        ("user-agent", "test/1".into()),
        ("upstream_cluster", "service/default/backend/3000".into()),
        ("requested_server_name", serde_json::Value::Null),
        ("route_name", "httproute/default/only/rule/0".into()),
    ] {
        assert_eq!(records[0][name], expected, "{name}");
    }
    let service_time = records[0]["x-envoy-upstream-service-time"].as_str();
    assert!(
        service_time.is_some_and(|time| time.parse::<u64>().is_ok()),
        "{}",
        found[0]
    );
    for (name, expected) in [
        ("response_code", 404.into()),
        ("response_flags", "NR".into()),
        ("upstream_host", serde_json::Value::Null),
        ("x-envoy-upstream-service-time", serde_json::Value::Null),
    ] {
        assert_eq!(records[1][name], expected, "{name}");
    }
}

#[test]
fn op08_what_went_wrong_is_always_written_and_of_the_rest_a_sample() {
    let requests: Vec<(&str, &[(&str, &str)])> =
        [("/on", &[][..]), ("/on?r=500", &[]), ("/off", &[])].repeat(20);
    let format = ["--access-log-format", "{status}"];
    let count = |found: &[String], status: &str| found.iter().filter(|line| *line == status).count();
    let found = lines(&[&format[..], &["--access-log-errors-only"]].concat(), &requests);
    assert_eq!(
        (count(&found, "200"), count(&found, "500"), count(&found, "404")),
        (0, 20, 20)
    );
    let found = lines(
        &[&format[..], &["--access-log-sample", "50%", "--seed", "1"]].concat(),
        &requests,
    );
    assert_eq!((count(&found, "500"), count(&found, "404")), (20, 20));
    assert!((2..=18).contains(&count(&found, "200")), "{found:?}");
}

#[test]
fn op08_a_template_with_a_mistake_is_wrong_usage() {
    let finished = weir(&["run", "--access-log-format", "{verb}"], "");
    assert_eq!(finished.code, Some(2), "{finished:?}");
    assert!(
        finished.stderr.contains("there is no {verb}"),
        "{}",
        finished.stderr
    );
}
