//! How a tenant's services are treated: probes, bounds, retries, times (rows HC05, KT19, KT20, KT21, KT22, KT24).

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::{get, one_tenant};
use crate::harness::{Backends, Client, Gateway, PATIENCE, Response, free_port, head, weir};
use crate::responses::{answer, backend};

/// Good for requests; `/healthz` is answered with this status.
fn checked(name: &'static str, health: u16) -> u16 {
    backend(move |path, stream| match path {
        "/healthz" => answer(stream, health, "text/plain", name),
        _ => answer(stream, 200, "text/plain", name),
    })
}

/// Says its name, `/held` when the gate is open.
fn gated(name: &'static str, is_open: &Arc<AtomicBool>, held: &Arc<AtomicUsize>) -> u16 {
    let (gate, held) = (Arc::clone(is_open), Arc::clone(held));
    backend(move |path, stream| {
        if path == "/held" {
            held.fetch_add(1, Ordering::SeqCst);
            while !gate.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        answer(stream, 200, "text/plain", name);
    })
}

fn await_count(count: &AtomicUsize, expected: usize) {
    let deadline = Instant::now() + PATIENCE;
    while count.load(Ordering::SeqCst) < expected {
        assert!(Instant::now() < deadline, "{expected} arrive");
        std::thread::yield_now();
    }
}

fn asking(gateway: &Gateway, target: &str) -> Client {
    let mut client = Client::connect(gateway.address);
    client.send(head("GET", target, &[]));
    client
}

fn body(response: &Response) -> &str {
    std::str::from_utf8(&response.body).expect("text")
}

#[test]
fn hc05_kt21_a_tenants_policy_checks_services_without_a_health_path() {
    let (good, bad, own) = (checked("good", 200), checked("bad", 503), checked("own", 503));
    let port = free_port();
    let check = |probe: &str| {
        format!(
            "\
server: {{port: {port}}}
tenants:
  - name: t
    path_prefix: /t/
    policy: {{healthCheck: {{active: {{{probe}, interval: 50ms, timeout: 500ms, unhealthyThreshold: 1}}}}}}
    services:
      - {{name: good, url: 'http://127.0.0.1:{good}'}}
      - {{name: bad, url: 'http://127.0.0.1:{bad}'}}
      - {{name: own, url: 'http://127.0.0.1:{own}', health: /own}}
"
        )
    };
    let gateway = Gateway::start(port, &check("type: HTTP, http: {path: /healthz}"));
    let log = &gateway.process.stderr;
    log.wait_after(0, &format!("endpoint 127.0.0.1:{bad} is unhealthy"));
    for healthy in [good, own] {
        log.wait_after(0, &format!("endpoint 127.0.0.1:{healthy} is healthy"));
    }
    let mut client = Client::connect(gateway.address);
    let answers: Vec<Response> = (0..20).map(|_| get(&mut client, "h", "/t/")).collect();
    let of = |name: &str| answers.iter().filter(|answer| body(answer) == name).count();
    assert_eq!([of("good"), of("bad"), of("own")], [10, 0, 10]);
    // Whoever takes connections is good for a TCP probe.
    gateway.rewrite(&check("type: TCP, tcp: {}"), "generation 2 in force");
    log.wait_after(0, &format!("endpoint 127.0.0.1:{bad} is healthy"));
}

#[test]
fn kt22_max_connections_bounds_one_service_and_leaves_requests_to_the_others() {
    let (is_open, held, held_elsewhere) = (Arc::default(), Arc::default(), Arc::default());
    let one = gated("one", &is_open, &held);
    let other = gated("other", &is_open, &held_elsewhere);
    let port = free_port();
    let config = |rest: &str| {
        format!(
            "\
server: {{port: {port}}}
tenants:
  - name: t
    path_prefix: /t/
    services:
      - {{name: one, url: 'http://127.0.0.1:{one}', health_type: none, max_connections: 1}}
{rest}
"
        )
    };
    let finished = weir(&["check", "-o", "json", "-"], &config(""));
    let report: serde_json::Value = serde_json::from_str(&finished.stdout).expect("JSON");
    assert_eq!(report["problems"], serde_json::json!([]));

    let gateway = Gateway::start(port, &config(""));
    let mut asked: Vec<Client> = vec![asking(&gateway, "/t/held")];
    await_count(&held, 1);
    asked.extend((0..5).map(|_| asking(&gateway, "/t/held")));
    // They wait: nothing that could be awaited happens.
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(held.load(Ordering::SeqCst), 1, "one connection");
    is_open.store(true, Ordering::SeqCst);
    for client in &mut asked {
        assert_eq!(body(&client.response("GET")), "one");
    }

    is_open.store(false, Ordering::SeqCst);
    held.store(0, Ordering::SeqCst);
    let two = config(&format!(
        "      - {{name: other, url: 'http://127.0.0.1:{other}'}}"
    ));
    gateway.rewrite(&two, "generation 2 in force");
    let mut asked = Vec::new();
    // Turns are counted from anywhere.
    while held.load(Ordering::SeqCst) == 0 {
        asked.push(asking(&gateway, "/t/held"));
        let deadline = Instant::now() + PATIENCE;
        while held.load(Ordering::SeqCst) + held_elsewhere.load(Ordering::SeqCst) < asked.len() {
            assert!(Instant::now() < deadline, "it arrives");
            std::thread::yield_now();
        }
        assert!(asked.len() < 10, "the first service gets requests");
    }
    let mut client = Client::connect(gateway.address);
    for _ in 0..10 {
        assert_eq!(body(&get(&mut client, "h", "/t/")), "other");
    }
    is_open.store(true, Ordering::SeqCst);
    for client in &mut asked {
        assert_eq!(client.response("GET").status, 200);
    }
}

#[test]
fn kt22_services_of_one_address_that_differ_are_reported() {
    for (first, second, effect) in [
        ("", "", None),
        ("weight: 2", "weight: 3", None),
        ("health: /a", "health: /b", Some("health of a counts for both")),
        (
            "health_type: tcp",
            "health_type: none",
            Some("health_type of a counts for both"),
        ),
        (
            "health: /a, max_connections: 1",
            "priority: 1",
            Some("health and priority and max_connections of a counts for both"),
        ),
    ] {
        let text = format!(
            "\
tenants:
  - name: t
    path_prefix: /t/
    services:
      - {{name: a, url: 'http://10.0.0.1:80', {first}}}
      - {{name: b, url: 'http://10.0.0.1:80', {second}}}
      - {{name: c, url: 'http://10.0.0.1:81', health: /c}}
"
        );
        let finished = weir(&["check", "-o", "json", "-"], &text);
        let report: serde_json::Value = serde_json::from_str(&finished.stdout).expect("JSON");
        let problems = report["problems"].as_array().expect("a list").iter();
        // Some of them nobody checks.
        let problems: Vec<_> = problems.filter(|problem| problem["code"] != "W0417").collect();
        assert_eq!(problems.len(), usize::from(effect.is_some()), "{problems:#?}");
        if let Some(effect) = effect {
            let problem = problems[0];
            assert_eq!(
                (problem["code"].as_str(), problem["effect"].as_str()),
                (Some("W0415"), Some(effect))
            );
            assert_eq!(problem["line"], 6, "{problem:#}");
        }
    }
}

#[test]
fn kt19_errors_of_a_service_pass_as_they_are() {
    let port = free_port();
    let service = backend(|path, stream| {
        let status = &path[1..];
        let body = format!("{{\"error\": \"{status} of the service\"}}");
        let head = format!(
            "HTTP/1.1 {status} Its Own Words\r\ncontent-type: application/problem+json\r\nx-own: {status}\r\n\
             www-authenticate: Basic realm=\"its own\"\r\nretry-after: 7\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        // A gateway that goes away early fails the test elsewhere.
        let _ = stream.write_all((head + &body).as_bytes());
    });
    let gateway = Gateway::start(port, &one_tenant(port, service, "", ""));
    let mut client = Client::connect(gateway.address);
    for status in [400, 401, 403, 404, 500, 503] {
        let response = get(&mut client, "h", &format!("/t/{status}"));
        assert_eq!(response.status, status);
        let words = format!("{{\"error\": \"{status} of the service\"}}");
        assert_eq!(body(&response), words);
        for (name, value) in [
            ("content-type", "application/problem+json"),
            ("x-own", &status.to_string()),
            ("www-authenticate", "Basic realm=\"its own\""),
            ("retry-after", "7"),
            ("content-length", &words.len().to_string()),
        ] {
            assert_eq!(response.header(name), Some(value), "{status} {name}");
        }
    }
}

#[test]
fn kt21_a_tenants_policy_tries_again() {
    let good = checked("good", 200);
    let bad = backend(|_, stream| answer(stream, 503, "text/plain", "bad"));
    let port = free_port();
    let services = format!(
        "    services:
      - {{name: good, url: 'http://127.0.0.1:{good}'}}
      - {{name: bad, url: 'http://127.0.0.1:{bad}'}}"
    );
    let config = format!(
        "\
server: {{port: {port}}}
tenants:
  - name: once
    path_prefix: /once/
{services}
  - name: again
    path_prefix: /again/
    policy: {{retry: {{numRetries: 1, retryOn: {{triggers: [retriable-status-codes], httpStatusCodes: [503]}}}}}}
{services}
"
    );
    let gateway = Gateway::start(port, &config);
    let mut client = Client::connect(gateway.address);
    // Of two turns one is the bad one's: one retry, which the budget always has.
    let mut refused = |target| {
        let statuses = (0..2).map(|_| get(&mut client, "h", target).status);
        statuses.filter(|status| *status == 503).count()
    };
    assert_eq!(refused("/once/"), 1);
    assert_eq!(refused("/again/"), 0);
}

#[test]
fn kt20_kt21_a_full_tenant_leaves_the_other_one_at_the_same_service_alone() {
    let (is_open, held) = (Arc::default(), Arc::default());
    let service = gated("s", &is_open, &held);
    let port = free_port();
    let own = format!(
        "    policy: {{circuitBreaker: {{maxParallelRequests: 3}}}}
  - name: u
    path_prefix: /u/
    services: [{{name: s, url: 'http://127.0.0.1:{service}'}}]"
    );
    let gateway = Gateway::start_with(port, &one_tenant(port, service, "", &own), &["--reason-header"]);
    let mut asked: Vec<Client> = (0..3).map(|_| asking(&gateway, "/t/held")).collect();
    await_count(&held, 3);
    let mut client = Client::connect(gateway.address);
    for _ in 0..50 {
        let refused = get(&mut client, "h", "/t/");
        let reason = refused.header("x-weir-reason");
        assert_eq!((refused.status, reason), (503, Some("backend_requests_full")));
        let begun = Instant::now();
        assert_eq!(get(&mut client, "h", "/u/").status, 200);
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    }
    is_open.store(true, Ordering::SeqCst);
    for client in &mut asked {
        assert_eq!(client.response("GET").status, 200);
    }
}

/// A port whose listener takes no connection any more, and what keeps it so.
fn deaf() -> (u16, Vec<socket2::Socket>) {
    use socket2::{Domain, Socket, Type};
    let socket = || Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let listener = socket();
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    listener.bind(&any.into()).expect("a port");
    listener.listen(0).expect("listening");
    let address = listener.local_addr().expect("bound");
    let port = address.as_socket().expect("IPv4").port();
    let mut kept = vec![listener];
    for _ in 0..8 {
        let filler = socket();
        filler.set_nonblocking(true).expect("an option");
        // It is under way, or waits for ever: both fill the line.
        let _ = filler.connect(&address);
        kept.push(filler);
    }
    (port, kept)
}

#[test]
fn kt24_every_key_of_timeouts_holds() {
    let backends = Backends::with_delays(&[Duration::from_millis(1_500)]);
    let slow = backends.ports()[0];
    let (deaf, _kept) = deaf();
    let port = free_port();
    let file = "middleware: {timeout: 1}";
    let gateway = Gateway::start(port, &one_tenant(port, slow, "", ""));
    let mut client = Client::connect(gateway.address);
    assert_eq!(
        get(&mut client, "h", "/t/").status,
        200,
        "60 s when nothing is said"
    );
    for (generation, (service, top, timeouts, status, limit_ms)) in (2..).zip([
        (slow, "", "{request: 200ms}", 504, 1_400),
        (slow, "", "{service: 200ms}", 504, 1_400),
        (slow, file, "{}", 504, 1_450),
        (slow, file, "{request: 5}", 200, 10_000),
        (slow, file, "{request: 0}", 200, 10_000),
        (deaf, "", "{connect: 200ms}", 504, 8_000),
    ]) {
        let config = one_tenant(port, service, top, &format!("    timeouts: {timeouts}"));
        gateway.rewrite(&config, &format!("generation {generation} in force"));
        let begun = Instant::now();
        assert_eq!(get(&mut client, "h", "/t/").status, status, "{timeouts}");
        let taken = begun.elapsed();
        assert!(taken < Duration::from_millis(limit_ms), "{timeouts}: {taken:?}");
    }
}
