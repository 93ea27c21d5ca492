//! Which tenant serves a request, and in which form its services get it.

use super::get;
use crate::harness::{Backends, Client, Gateway, Request, Response, free_port, head, load};

/// Five tenants over five backends: host and path, host, path, everything, and a wildcard.
fn five(port: u16, backends: &[u16]) -> String {
    format!(
        "\
server: {{port: {port}, address: 127.0.0.1}}
tenants:
  - name: hybrid
    domains: [api.example.com]
    path_prefix: /v2/
    services: [{{name: s, url: 'http://127.0.0.1:{}'}}]
  - name: host
    domains: [API.example.com., localhost, 127.0.0.1, '::1']
    services: [{{name: s, url: 'http://127.0.0.1:{}'}}]
  - name: path
    path_prefix: /v2/
    services: [{{name: s, url: 'http://127.0.0.1:{}'}}]
  - name: longer
    domains: [api.example.com]
    path_prefix: /v2/admin/
    services: [{{name: s, url: 'http://127.0.0.1:{}'}}]
  - name: wild
    domains: ['*.example.com']
    path_prefix: /w/
    services: [{{name: s, url: 'http://127.0.0.1:{}'}}]
",
        backends[0], backends[1], backends[2], backends[3], backends[4]
    )
}

/// Which backend answered, by number; 0 for 404.
fn number(response: &Response) -> u32 {
    match response.status {
        404 => 0,
        _ => response
            .pod()
            .rsplit('-')
            .next()
            .and_then(|digits| digits.parse().ok())
            .expect("a number"),
    }
}

#[test]
fn kt02_kt03_kt04_kt05_kt06_kt07_the_most_specific_tenant_serves() {
    let backends = Backends::start(5);
    let port = free_port();
    let gateway = Gateway::start(port, &five(port, &backends.ports()));
    let mut client = Client::connect(gateway.address);
    for (host, target, expected) in [
        ("api.example.com", "/v2/x", 1),
        ("api.example.com", "/v2/", 1),
        ("api.example.com", "/v2/admin/x", 4),
        ("api.example.com", "/v2/adminx", 1),
        ("api.example.com", "/other", 2),
        ("api.example.com", "/v2x", 2),
        ("API.EXAMPLE.com:8080", "/v2/x", 1),
        ("api.example.com.", "/v2/x", 1),
        ("localhost", "/v2/x", 2),
        ("127.0.0.1:9", "/", 2),
        ("[::1]:8080", "/", 2),
        ("[0:0:0:0:0:0:0:1]", "/", 2),
        ("other.org", "/v2/x", 3),
        ("other.org", "/v2/admin/x", 3),
        ("other.org", "/", 0),
        ("www.example.com", "/w/x", 5),
        ("a.b.example.com", "/w/", 5),
        ("example.com", "/w/", 0),
        ("www.example.com", "/v2/x", 3),
        ("api.example.com", "/w/", 2),
    ] {
        let response = get(&mut client, host, target);
        assert_eq!(number(&response), expected, "{host} {target}");
    }
    let mut client = Client::connect(gateway.address);
    client.send("GET http://api.example.com:80/v2/x HTTP/1.1\r\nHost: api.example.com\r\n\r\n");
    assert_eq!(number(&client.response("GET")), 1, "kt05: absolute form");
    client.send("GET /v2/x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(number(&client.response("GET")), 3, "kt05: no host at all");
}

#[test]
fn kt01_the_example_is_served_as_it_says() {
    let backends = Backends::start(3);
    let port = free_port();
    let text =
        include_str!("../../../../../examples/tenants.yaml").replace("port: 8080", &format!("port: {port}"));
    let ports = (9001..).zip(backends.ports());
    let text = ports.fold(text, |text, (written, used)| {
        text.replace(&format!("localhost:{written}\n"), &format!("localhost:{used}\n"))
    });
    let gateway = Gateway::start(port, &text);
    // Services with a health path take part from their first probe on.
    for checked in &backends.ports()[..2] {
        let healthy = format!(":{checked} is healthy");
        gateway.process.stderr.wait_after(0, &healthy);
    }
    let spread = |host: &str, target: &str, requests| {
        let headers = [("Host", host)];
        let request = Request {
            target,
            headers: &headers,
        };
        load(gateway.address, request, requests, 1).counts()
    };
    assert_eq!(spread("api.example.com", "/v2/users", 10), [5, 5]);
    assert_eq!(spread("api.example.com", "/other", 4), [4]);
    assert_eq!(spread("a.b.api.example.com", "/", 4), [4]);
    assert_eq!(spread("anything", "/lb/x", 8), [6, 2]);
    let mut client = Client::connect(gateway.address);
    assert_eq!(
        get(&mut client, "api.example.com", "/v2/users").json()["path"],
        "/users"
    );
}

#[test]
fn kt10_kt11_kt13_prefixes_go_by_whole_segments() {
    let backends = Backends::start(1);
    let (port, backend) = (free_port(), backends.ports()[0]);
    let config = format!(
        "\
server: {{port: {port}}}
tenants:
  - {{name: a, path_prefix: /proxy/, services: [{{name: s, url: 'http://127.0.0.1:{backend}'}}]}}
  - {{name: b, path_prefix: /keep/, strip_prefix: false, services: [{{name: s, url: 'http://localhost:{backend}'}}]}}
  - {{name: c, path_prefix: /bare/, bare_prefix: match, services: [{{name: s, url: 'http://127.0.0.1:{backend}'}}]}}
  - {{name: d, path_prefix: /none/, bare_prefix: not_found, services: [{{name: s, url: 'http://127.0.0.1:{backend}'}}]}}
  - {{name: e, domains: [host.example], services: [{{name: s, url: 'http://127.0.0.1:{backend}'}}]}}
"
    );
    let gateway = Gateway::start(port, &config);
    let mut client = Client::connect(gateway.address);
    for (host, target, expected) in [
        ("x", "/proxy/test", Ok("/test")),
        ("x", "/proxy/", Ok("/")),
        ("x", "/proxy/proxy/", Ok("/proxy/")),
        ("x", "/proxy/a%20b?x=%2F&y", Ok("/a%20b?x=%2F&y")),
        ("x", "/proxy//test", Ok("/test")),
        ("x", "/proxy/a/../test/", Ok("/test/")),
        ("x", "/keep/test", Ok("/keep/test")),
        ("x", "/bare", Ok("/")),
        ("x", "/bare?a=b", Ok("/?a=b")),
        ("x", "/bare/x", Ok("/x")),
        ("host.example", "/proxy/test", Ok("/proxy/test")),
        ("x", "/proxyx/test", Err(404)),
        ("x", "/proxy/../test", Err(404)),
        ("x", "/none", Err(404)),
        ("x", "/proxy/a%2Fb", Err(400)),
        ("x", "/proxy/a%00b", Err(400)),
        ("x", "/proxy/../../test", Err(400)),
    ] {
        let mut client = Client::connect(gateway.address);
        let response = get(&mut client, host, target);
        let found = match response.status {
            200 => Ok(response.json()["path"].as_str().expect("a path").to_owned()),
            status => Err(status),
        };
        assert_eq!(found, expected.map(str::to_owned), "{host} {target}");
    }
    let redirected = get(&mut client, "x:8443", "/proxy?a=b");
    assert_eq!(
        (redirected.status, redirected.header("location")),
        (308, Some("/proxy/?a=b"))
    );
    client.send("GET /proxy/\0 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.response("GET").status, 400, "kt13");
}

#[test]
fn kt12_kt14_services_get_path_query_and_host_of_their_url() {
    let backends = Backends::start(1);
    let (port, backend) = (free_port(), backends.ports()[0]);
    let config = format!(
        "\
server: {{port: {port}}}
tenants:
  - name: base
    path_prefix: /a/
    services: [{{name: s, url: 'http://127.0.0.1:{backend}/v1/?key=1'}}]
  - name: keep
    path_prefix: /b/
    strip_prefix: false
    host_header: service
    services: [{{name: s, url: 'http://localhost:{backend}/v1'}}]
  - name: query
    path_prefix: /c/
    host_header: other.example
    services: [{{name: s, url: 'http://127.0.0.1:{backend}?k=v'}}]
  - name: rewrite
    path_prefix: /d/
    filters: [{{type: URLRewrite, urlRewrite: {{path: {{type: ReplacePrefixMatch, replacePrefixMatch: /new}}}}}}]
    services: [{{name: s, url: 'http://127.0.0.1:{backend}/v1'}}]
"
    );
    let gateway = Gateway::start(port, &config);
    let mut client = Client::connect(gateway.address);
    let host = format!("localhost:{backend}");
    for (target, path, expected_host) in [
        ("/a/x", "/v1/x?key=1", "client.example"),
        ("/a/?b=2", "/v1/?key=1&b=2", "client.example"),
        ("/a/x?", "/v1/x?key=1", "client.example"),
        ("/b/x?y", "/v1/b/x?y", &host),
        ("/c/x", "/x?k=v", "other.example"),
        ("/c/x?a=b&c", "/x?k=v&a=b&c", "other.example"),
        ("/d/x", "/v1/new/x", "client.example"),
    ] {
        let seen = get(&mut client, "client.example", target).json();
        assert_eq!(
            (seen["path"].as_str(), seen["host"].as_str()),
            (Some(path), Some(expected_host)),
            "{target}"
        );
    }
}

#[test]
fn kt22_requests_take_turns_by_weight() {
    let backends = Backends::start(3);
    let ports = backends.ports();
    let port = free_port();
    let config = format!(
        "\
server: {{port: {port}}}
tenants:
  - name: even
    path_prefix: /even/
    services:
      - {{name: a, url: 'http://127.0.0.1:{0}'}}
      - {{name: b, url: 'http://127.0.0.1:{1}'}}
      - {{name: c, url: 'http://127.0.0.1:{2}'}}
  - name: weighted
    path_prefix: /weighted/
    services:
      - {{name: a, url: 'http://127.0.0.1:{0}', weight: 6}}
      - {{name: b, url: 'http://127.0.0.1:{1}', weight: 3}}
      - {{name: c, url: 'http://127.0.0.1:{2}', weight: 1}}
  - name: bases
    path_prefix: /bases/
    services:
      - {{name: a, url: 'http://127.0.0.1:{0}/x', weight: 7}}
      - {{name: b, url: 'http://127.0.0.1:{1}/y', weight: 3}}
",
        ports[0], ports[1], ports[2]
    );
    let gateway = Gateway::start(port, &config);
    for (target, requests, expected) in [
        ("/even/", 9, vec![3, 3, 3]),
        ("/weighted/", 100, vec![60, 30, 10]),
        ("/bases/", 100, vec![70, 30]),
    ] {
        let request = Request { target, headers: &[] };
        assert_eq!(
            load(gateway.address, request, requests, 1).counts(),
            expected,
            "{target}"
        );
    }
}

#[test]
fn kt20_services_of_one_name_in_two_tenants_never_mix() {
    let backends = Backends::start(2);
    let ports = backends.ports();
    let port = free_port();
    let config = format!(
        "\
server: {{port: {port}}}
tenants:
  - {{name: one, domains: [one.example], services: [{{name: backend, url: 'http://127.0.0.1:{}'}}]}}
  - {{name: two, domains: [two.example], services: [{{name: backend, url: 'http://127.0.0.1:{}'}}]}}
",
        ports[0], ports[1]
    );
    let gateway = Gateway::start(port, &config);
    let mut client = Client::connect(gateway.address);
    for _ in 0..20 {
        assert_eq!(get(&mut client, "one.example", "/").pod(), "backend-1");
        assert_eq!(get(&mut client, "two.example", "/").pod(), "backend-2");
    }
}

#[test]
fn kt30_explicit_routes_go_by_method_and_pattern() {
    let backends = Backends::start(2);
    let ports = backends.ports();
    let port = free_port();
    let config = format!(
        "\
server: {{port: {port}}}
tenants:
  - name: crud
    path_prefix: /api/
    services:
      - {{name: users, url: 'http://127.0.0.1:{}'}}
      - {{name: files, url: 'http://127.0.0.1:{}'}}
    routes:
      - {{method: GET, pattern: '/users/{{id:[0-9]+}}', backend: users}}
      - {{method: GET, pattern: '/users', backend: users}}
      - {{method: POST, pattern: '/users', backend: files}}
      - {{method: PUT, pattern: '/users/*', backend: files}}
      - {{pattern: '/files/*', backend: files}}
    route_groups:
      - pattern: /v1
        routes: [{{method: GET, pattern: '/{{name}}/x', backend: users}}]
",
        ports[0], ports[1]
    );
    let gateway = Gateway::start(port, &config);
    let mut client = Client::connect(gateway.address);
    for (method, target, expected) in [
        ("GET", "/api/users/17", Ok(("backend-1", "/users/17"))),
        ("PUT", "/api/users/17", Ok(("backend-2", "/users/17"))),
        ("GET", "/api/users", Ok(("backend-1", "/users"))),
        ("POST", "/api/users", Ok(("backend-2", "/users"))),
        ("PATCH", "/api/files/a/b", Ok(("backend-2", "/files/a/b"))),
        ("GET", "/api/v1/joe/x", Ok(("backend-1", "/v1/joe/x"))),
        ("DELETE", "/api/users", Err((405, Some("GET, POST")))),
        ("DELETE", "/api/users/17", Err((405, Some("GET, PUT")))),
        ("GET", "/api/users/x", Err((405, Some("PUT")))),
        ("GET", "/api/v1/a/b/x", Err((404, None))),
        ("GET", "/api/nothing", Err((404, None))),
    ] {
        client.send(head(method, target, &[("Host", "x")]));
        let response = client.response(method);
        let found = match response.status {
            200 => Ok((
                response.pod(),
                response.json()["path"].as_str().expect("a path").to_owned(),
            )),
            status => Err((status, response.header("allow"))),
        };
        let expected = expected.map(|(pod, path)| (pod.to_owned(), path.to_owned()));
        assert_eq!(found, expected, "{method} {target}");
    }
}

#[test]
fn kt32_a_canary_gets_marked_requests_and_its_share() {
    let backends = Backends::start(2);
    let ports = backends.ports();
    let port = free_port();
    let config = format!(
        "\
server: {{port: {port}}}
tenants:
  - name: shop
    path_prefix: /
    services:
      - {{name: old, url: 'http://127.0.0.1:{}'}}
      - {{name: new, url: 'http://127.0.0.1:{}'}}
    canary:
      services: [new]
      percent: 10
      header: {{name: X-Canary, value: 'yes'}}
      cookie: {{name: canary, value: on.1}}
",
        ports[0], ports[1]
    );
    let gateway = Gateway::start(port, &config);
    let plain = Request {
        target: "/",
        headers: &[],
    };
    assert_eq!(load(gateway.address, plain, 100, 1).counts(), [90, 10]);
    for (name, value, is_canary) in [
        ("x-canary", "yes", true),
        ("Cookie", "canary=on.1", true),
        ("Cookie", "a=b; canary=on.1; c=d", true),
        ("Cookie", "a=b;canary=on.1", true),
        ("x-canary", "no", false),
        ("Cookie", "canary=on11", false),
        ("Cookie", "xcanary=on.1", false),
        ("Cookie", "canary=on.12", false),
    ] {
        let headers = [(name, value)];
        let marked = Request {
            target: "/",
            headers: &headers,
        };
        let spread = load(gateway.address, marked, 20, 1);
        let expected = if is_canary { 20 } else { 2 };
        assert_eq!(spread.of("backend-2"), expected, "{name}: {value}: {spread:?}");
    }
}
