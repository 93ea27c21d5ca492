//! What becomes of responses and of connections to endpoints: the examples of `docs/responses.md`, run.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::harness::{Client, Gateway, Response, free_port};

/// The policy of that name in the documentation.
fn documented(name: &str) -> String {
    let text = include_str!("../../../../docs/responses.md");
    let found = text
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .find(|block| block.contains(&format!("\n  name: {name}\n")) && block.starts_with("apiVersion"));
    found.expect("a block of the page").to_owned()
}

/// A gateway with one route, named as in the documentation, to one backend, and a policy.
fn gateway(backend: u16, policy: &str) -> Gateway {
    let port = free_port();
    let route = "\
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop}
spec:
  parentRefs: [{name: eg}]
  rules: [{backendRefs: [{name: backend, port: 3000}]}]
";
    let config = crate::harness::gateway_and_service(port, &[backend]) + route + "---\n" + policy;
    Gateway::start_with(port, &config, &["--reason-header"])
}

/// Serves each connection on a thread; the function gets the request's path and answers.
pub(crate) fn backend(serve: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let serve = Arc::clone(&serve);
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream);
                while let Some(path) = request(&mut reader) {
                    serve(&path, reader.get_mut());
                }
            });
        }
    });
    port
}

/// Reads a head and says its path; a PROXY header before it is skipped.
fn request(reader: &mut BufReader<TcpStream>) -> Option<String> {
    if reader.fill_buf().ok()?.starts_with(b"\r\n\r\n\0") {
        let mut header = [0; 28];
        reader.read_exact(&mut header).ok()?;
    }
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    while line != "\r\n" {
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
    }
    Some(path)
}

pub(crate) fn answer(stream: &mut TcpStream, status: u16, media_type: &str, body: &str) {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {media_type}\r\netag: \"1\"\r\ncontent-length: {length}\r\n\r\n"
    );
    // A gateway that goes away early is another test's matter.
    let _ = stream.write_all((head + body).as_bytes());
}

fn get(gateway: &Gateway, path: &str, headers: &[(&str, &str)]) -> Response {
    Client::connect(gateway.address).get(path, headers)
}

#[test]
fn kt18_errors_are_json_for_who_asks() {
    let gateway = gateway(free_port(), "");
    let response = get(&gateway, "/", &[("accept", "application/json")]);
    assert_eq!(response.status, 502);
    assert_eq!(response.header("content-type"), Some("application/json"));
    let json = response.json();
    assert_eq!(json["error"], "Bad Gateway");
    assert_eq!(json["status"], 502);
    assert_eq!(
        Some(json["reason"].as_str().expect("a word")),
        response.header("x-weir-reason")
    );
    let response = get(&gateway, "/", &[]);
    assert_eq!(response.body, b"Bad Gateway\n");
}

#[test]
fn overrides_of_the_documentation_do_what_it_says() {
    let port = backend(|path, stream| match path {
        "/missing" => answer(stream, 404, "text/plain", "the backend's"),
        "/secret" => answer(stream, 401, "text/plain", "who are you?"),
        "/busy" => answer(stream, 503, "text/plain", "the backend's"),
        "/broken" => stream.shutdown(Shutdown::Both).expect("open"),
        _ => answer(stream, 200, "text/plain", "fine"),
    });
    let gateway = gateway(port, &documented("errors"));
    let missing = get(&gateway, "/missing", &[]);
    assert_eq!(
        (missing.status, &*missing.body),
        (404, &b"<h1>Nothing here</h1>"[..])
    );
    assert_eq!(missing.header("content-type"), Some("text/html"));
    assert_eq!(missing.header("etag"), None);
    let broken = get(&gateway, "/broken", &[]);
    assert_eq!(
        (broken.status, &*broken.body),
        (503, &b"{\"message\": \"back soon\"}"[..])
    );
    assert_eq!(broken.header("retry-after"), Some("10"));
    let busy = get(&gateway, "/busy", &[]);
    assert_eq!((busy.status, &*busy.body), (503, &b"the backend's"[..]));
    let secret = get(&gateway, "/secret", &[]);
    assert_eq!(secret.status, 302);
    assert_eq!(
        secret.header("location"),
        Some("https://login.example.com/sign-in")
    );
    assert_eq!(get(&gateway, "/", &[]).body, b"fine");
}

#[test]
fn a_body_of_an_override_may_stand_in_a_config_map() {
    let port = backend(|_, stream| answer(stream, 404, "text/plain", "the backend's"));
    let policy = documented("page");
    let gateway = gateway(port, &policy);
    let page = get(&gateway, "/", &[]);
    assert_eq!((page.status, &*page.body), (404, &b"<h1>Nothing here</h1>\n"[..]));
    let text = std::fs::read_to_string(gateway.path()).expect("the gateway's file");
    gateway.rewrite(&text.replace("Nothing here", "Gone"), "generation 2 in force");
    assert_eq!(get(&gateway, "/", &[]).body, b"<h1>Gone</h1>\n");
}

#[test]
fn kt23_responses_are_compressed_as_policies_and_tenants_files_say() {
    let text = "again and again ".repeat(100);
    let sent = text.clone();
    let port = backend(move |_, stream| answer(stream, 200, "text/html", &sent));
    let by_policy = gateway(port, &documented("small"));
    let tenants_port = free_port();
    let file = format!(
        "server: {{port: {tenants_port}}}\ncompression: {{level: 9}}\n\
         tenants: [{{name: t, path_prefix: /, services: [{{name: s, url: 'http://127.0.0.1:{port}'}}]}}]\n"
    );
    let by_tenant = Gateway::start(tenants_port, &file);
    for gateway in [&by_policy, &by_tenant] {
        for coding in ["gzip", "br", "zstd"] {
            let response = get(gateway, "/", &[("accept-encoding", coding)]);
            assert_eq!(response.header("content-encoding"), Some(coding));
            assert_eq!(response.header("vary"), Some("Accept-Encoding"));
            assert_eq!(response.header("etag"), Some("W/\"1\""));
            assert!(
                response.body.len() < 200,
                "{coding}: {} bytes",
                response.body.len()
            );
        }
        // RFC 1952 2.3.1.
        let gzip = get(gateway, "/", &[("accept-encoding", "gzip, br;q=0.5")]);
        assert_eq!(gzip.body[..3], [0x1f, 0x8b, 8]);
        let plain = get(gateway, "/", &[("accept-encoding", "identity")]);
        assert_eq!(plain.body, text.as_bytes());
    }
}

#[test]
fn lb30_connections_of_the_documentation_are_waited_for() {
    let is_open = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&is_open);
    let port = backend(move |_, stream| {
        while !gate.load(Ordering::SeqCst) {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        answer(stream, 200, "text/plain", "x");
    });
    let policy = documented("connections").replace("maxConnections: 100", "maxConnections: 1");
    let gateway = gateway(port, &policy);
    let refused = AtomicUsize::new(0);
    let served = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..60)
            .map(|_| {
                scope.spawn(|| {
                    let response = get(&gateway, "/", &[]);
                    if response.status != 200 {
                        assert_eq!(response.status, 503);
                        let reason = response.header("x-weir-reason");
                        assert_eq!(reason, Some("backend_pending_requests_full"));
                        refused.fetch_add(1, Ordering::SeqCst);
                    }
                    response.status == 200
                })
            })
            .collect();
        // One has the connection, fifty wait, the others are refused at once.
        while refused.load(Ordering::SeqCst) < 9 {
            std::thread::yield_now();
        }
        is_open.store(true, Ordering::SeqCst);
        let served = asked.into_iter().map(|asked| asked.join().expect("an answer"));
        served.filter(|served| *served).count()
    });
    assert!((50..=51).contains(&served), "{served} of 60");
}
