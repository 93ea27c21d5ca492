//! How the access log is written, and of which requests (row OP08).

use crate::harness::{Backends, Client, Folder, Gateway, free_port, gateway_and_service, weir};

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
