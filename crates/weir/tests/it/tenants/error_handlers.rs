//! What a tenant with explicit routes says of what it does not have (row KT30).

use crate::docs::yaml_block;
use crate::harness::{Backends, Client, Gateway, free_port, head, weir};

#[test]
fn kt30_error_handlers_answer_for_what_no_route_has_as_documented() {
    let backends = Backends::start(1);
    let port = free_port();
    let documented = yaml_block("docs/tenants.md", "error_handlers:");
    let config = documented.replace("10.0.0.1:80", &format!("127.0.0.1:{}", backends.ports()[0]));
    assert_ne!(config, documented);
    let gateway = Gateway::start(port, &format!("server: {{port: {port}}}\n{config}"));
    let mut client = Client::connect(gateway.address);
    for (method, target, status, content_type, allow, body) in [
        (
            "GET",
            "/api/nothing",
            404,
            "application/json",
            None,
            r#"{"error": "no such thing"}"#,
        ),
        (
            "DELETE",
            "/api/users",
            405,
            "text/plain; charset=utf-8",
            Some("GET"),
            "read only\n",
        ),
        // Another tenant's words are its own, and a tenant without any leaves the path to others.
        (
            "GET",
            "/plain/nothing",
            404,
            "text/plain; charset=utf-8",
            None,
            "Not Found\n",
        ),
    ] {
        client.send(head(method, target, &[]));
        let response = client.response(method);
        assert_eq!(response.status, status, "{target}");
        assert_eq!(response.header("content-type"), Some(content_type), "{target}");
        assert_eq!(response.header("allow"), allow, "{target}");
        assert_eq!(String::from_utf8_lossy(&response.body), body, "{target}");
    }
    // An answer of a service is its own.
    assert_eq!(client.get("/api/users", &[]).status, 200);
    assert_eq!(backends.requests(), [1]);
}

#[test]
fn kt30_what_is_not_there_is_guarded_like_what_is() {
    let backends = Backends::start(1);
    let port = free_port();
    let config = format!(
        "\
server: {{port: {port}}}
tenants:
  - name: crud
    path_prefix: /api/
    services: [{{name: users, url: 'http://127.0.0.1:{}'}}]
    routes: [{{method: GET, pattern: /users}}]
    error_handlers: {{not_found: {{status: 410, body: gone}}, method_not_allowed: {{status: 410}}}}
    basic_auth: {{users: [{{name: a, password: b}}]}}
",
        backends.ports()[0]
    );
    let gateway = Gateway::start(port, &config);
    let mut client = Client::connect(gateway.address);
    for (credentials, statuses) in [("", [401, 401, 401]), ("Basic YTpi", [200, 410, 410])] {
        for ((method, target), status) in [("GET", "/api/users"), ("PUT", "/api/users"), ("GET", "/api/x")]
            .into_iter()
            .zip(statuses)
        {
            client.send(head(method, target, &[("Authorization", credentials)]));
            let response = client.response(method);
            assert_eq!(response.status, status, "{credentials} {method} {target}");
        }
    }
}

#[test]
fn what_cannot_be_read_of_error_handlers_leaves_the_status_right() {
    for (handlers, code) in [
        ("{not_found: my_handler}", "W0401"),
        ("{not_found: {status: 99}}", "E0103"),
        ("{not_found: {content_type: \"a\\nb\"}}", "E0103"),
        ("[a]", "E0101"),
    ] {
        let config = format!(
            "tenants: [{{name: t, path_prefix: /t/, services: [{{name: s, url: 'http://10.0.0.1:80', health_type: none}}], \
             routes: [{{pattern: /x}}], error_handlers: {handlers}}}]"
        );
        let finished = weir(&["check", "-o", "json", "-"], &config);
        let report: serde_json::Value = serde_json::from_str(&finished.stdout).expect("JSON");
        let problem = &report["problems"][0];
        let said = (problem["code"].as_str(), problem["effect"].as_str());
        let effect = "the answer has the right status, and weir's own words";
        assert_eq!(said, (Some(code), Some(effect)), "{handlers}: {report:#}");
    }
}
