//! What stands before a request: sizes, places, faults, passwords and buffering (feature rows KT20, KT26, KT34; Envoy
//! Gateway `faultInjection`, `requestBuffer`). Rate limits are in `rate_limits`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::harness::{
    Backend, Client, Plan, Response, Rig, eventually, forward_to, prefix_rule, read_head, respond,
};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use weir_model::{
    Action, BasicAuth, BasicUser, Cors, FaultAbort, FaultDelay, Filter, Fraction, OriginPattern,
    ParallelLimit, PasswordDigest, Redirect, Retry, RetryCondition, RetryConditions, TrafficSpec,
};

/// Everything to one backend, under conditions.
pub(crate) fn gated(backend: &Backend, change: impl FnOnce(&mut TrafficSpec)) -> Rig {
    Rig::new(&Plan::to(&[backend.address]).traffic(change))
}

pub(crate) fn ask(rig: &Rig, request: &str) -> Response {
    let mut client = rig.client();
    client.send(request);
    client.response()
}

pub(crate) fn failures(rig: &Rig, reason: &str) -> u64 {
    let failures = rig.gateway.stats().failures;
    let counted = failures.iter().filter(|failure| *failure.reason == *reason);
    counted.map(|failure| failure.count).sum()
}

#[test]
fn kt26_sizes_are_refused_one_byte_above_their_limit() {
    let backend = Backend::named("ok");
    let rig = gated(&backend, |traffic| {
        traffic.request_limits.body_bytes = Some(10);
        traffic.request_limits.head_bytes = Some(40);
        traffic.request_limits.target_bytes = Some(8);
    });
    let with_body = |length: usize| {
        let body = "x".repeat(length);
        format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    let chunked = |parts: &[usize]| {
        let chunks: String = parts
            .iter()
            .map(|length| format!("{length:x}\r\n{}\r\n", "x".repeat(*length)))
            .collect();
        format!("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")
    };
    // `Host: h` and its line end are nine bytes, `a: ` and the other's are five.
    let with_field = |bytes: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: h\r\na: {}\r\n\r\n",
            "v".repeat(bytes - 14)
        )
    };
    let with_target = |bytes: usize| format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "t".repeat(bytes - 1));
    for (request, status, reason) in [
        (with_body(10), 200, ""),
        (with_body(11), 413, "body_too_large"),
        (chunked(&[10]), 200, ""),
        (chunked(&[4, 6]), 200, ""),
        (chunked(&[11]), 413, "body_too_large"),
        (chunked(&[4, 6, 1]), 413, "body_too_large"),
        (with_field(40), 200, ""),
        (with_field(41), 431, "head_too_large"),
        (with_target(8), 200, ""),
        (with_target(9), 414, "target_too_long"),
        ("GET / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 200, ""),
    ] {
        let response = ask(&rig, &request);
        assert_eq!(
            (response.status, response.reason()),
            (status, reason),
            "{request}"
        );
    }
    for (reason, count) in [
        ("body_too_large", 3),
        ("head_too_large", 1),
        ("target_too_long", 1),
    ] {
        assert_eq!(failures(&rig, reason), count, "{reason}");
    }
}

#[test]
fn kt26_a_connection_outlives_a_refusal_that_leaves_it_sound() {
    let backend = Backend::named("ok");
    let rig = gated(&backend, |traffic| {
        traffic.request_limits.body_bytes = Some(10);
        traffic.request_limits.target_bytes = Some(8);
    });
    let mut client = rig.client();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\nhello world");
    assert_eq!(client.response().status, 413);
    assert_eq!(client.get("/123456789").status, 414);
    assert_eq!(client.get("/").status, 200);
    // A client that waits to be asked for a body that is too large is told at once, and not asked.
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.response().status, 413);
    assert!(client.is_closed());
}

/// Answers only when told to.
fn held() -> (Backend, std::sync::mpsc::Sender<()>) {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let backend = Backend::answering(move |_| {
        // Without anybody to release it any more it goes on.
        let _ = released.lock().unwrap().recv();
        respond(200, "", b"ok")
    });
    (backend, release)
}

#[test]
fn kt26_and_kt20_requests_at_once_are_bounded_for_each_key_alone() {
    let (slow, release) = held();
    let fast = Backend::named("fast");
    let mut plan = Plan::new();
    plan.backend("slow", &[slow.address]);
    plan.backend("fast", &[fast.address]);
    let limit = |key: &str, requests| ParallelLimit {
        key: key.into(),
        requests,
    };
    let mut add = |prefix: &str, backend, limit: ParallelLimit| {
        plan.rules.push(prefix_rule(prefix, forward_to(&[backend])));
        plan = plan
            .clone()
            .traffic(|traffic| traffic.request_limits.parallel = Some(limit));
    };
    add("/a", 0, limit("tenant/a", 2));
    add("/also-a", 1, limit("tenant/a", 2));
    add("/b", 1, limit("tenant/b", 2));
    add("/none", 1, limit("tenant/none", 0));
    let rig = Rig::new(&plan);
    let mut busy: Vec<Client> = (0..2)
        .map(|_| {
            let mut client = rig.client();
            client.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
            client
        })
        .collect();
    eventually("both wait", || slow.requests() == 2);
    for path in ["/a", "/also-a", "/none"] {
        let refused = rig.get(path);
        assert_eq!(
            (refused.status, refused.reason()),
            (503, "parallel_requests_full"),
            "{path}"
        );
        assert_eq!(refused.field("retry-after"), Some("1"));
    }
    for _ in 0..5 {
        assert_eq!(rig.get("/b").status, 200, "the other tenant's places are its own");
    }
    // A reload forgets nobody who is still there.
    plan.rules[2].traffic = None;
    rig.gateway.publish(Arc::new(plan.config()));
    assert_eq!(rig.get("/also-a").status, 503);
    for _ in 0..2 {
        release.send(()).unwrap();
    }
    for client in &mut busy {
        assert_eq!(client.response().status, 200);
    }
    // A place is free when the exchange is over, which is a moment after the client has its answer.
    eventually("places are free again", || rig.get("/also-a").status == 200);
    // A client that goes away gives its place back, too.
    for client in &mut busy {
        client.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    eventually("both wait again", || slow.requests() == 4);
    assert_eq!(rig.get("/also-a").status, 503);
    for client in busy {
        let socket = socket2::SockRef::from(&client.stream);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }
    eventually("gone clients' places are free", || {
        rig.get("/also-a").status == 200
    });
}

fn fraction(numerator: u32, denominator: u32) -> Fraction {
    Fraction::new(numerator, denominator).unwrap()
}

#[test]
fn faults_delay_and_answer_the_part_that_they_are_meant_for() {
    let backend = Backend::named("ok");
    let rig = gated(&backend, |traffic| {
        traffic.fault.abort = Some(FaultAbort {
            status: 418,
            fraction: fraction(1, 4),
        });
    });
    let mut client = rig.client();
    let mut aborted = 0;
    for _ in 0..1_000 {
        let response = client.get("/");
        match response.status {
            418 => {
                assert_eq!(response.reason(), "fault_abort");
                aborted += 1;
            }
            status => assert_eq!(status, 200),
        }
    }
    // Five standard deviations.
    assert!((182..=318).contains(&aborted), "{aborted}");
    assert_eq!(backend.requests(), 1_000 - aborted);

    let rig = gated(&backend, |traffic| {
        traffic.fault.delay = Some(FaultDelay {
            duration: Duration::from_millis(80),
            fraction: Fraction::ALL,
        });
        traffic.fault.abort = Some(FaultAbort {
            status: 204,
            fraction: Fraction::ALL,
        });
    });
    let start = Instant::now();
    let mut client = rig.client();
    let response = client.get("/");
    assert_eq!((response.status, response.field("content-length")), (204, None));
    assert!(
        start.elapsed() >= Duration::from_millis(80),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(
        client.get("/").status,
        204,
        "nothing stands between two answers without content"
    );
}

#[test]
fn a_client_that_goes_during_a_fault_does_not_reach_the_endpoint() {
    let backend = Backend::named("ok");
    let rig = gated(&backend, |traffic| {
        traffic.fault.delay = Some(FaultDelay {
            duration: Duration::from_secs(600),
            fraction: Fraction::ALL,
        });
    });
    let mut client = rig.client();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    std::thread::sleep(Duration::from_millis(20));
    socket2::SockRef::from(&client.stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(client);
    eventually("the client is gone", || failures(&rig, "client_gone") == 1);
    assert_eq!(backend.requests(), 0);
}

fn auth() -> BasicAuth {
    let user = |name: &str, password| BasicUser {
        name: name.into(),
        password,
    };
    BasicAuth {
        realm: "the shop".into(),
        users: vec![
            user("ann", PasswordDigest::Sha1(Sha1::digest(b"open sesame").into())),
            user("bob", PasswordDigest::Sha256(Sha256::digest(b"b").into())),
        ],
        forward_name: Some("x-user".into()),
    }
}

#[test]
fn kt34_basic_authentication_lets_in_who_is_known() {
    let backend =
        Backend::answering(|seen| respond(200, "", seen.field("x-user").unwrap_or_default().as_bytes()));
    let mut plan = Plan::to(&[backend.address]).traffic(|traffic| traffic.basic_auth = Some(auth()));
    plan.rules[0].filters.push(Filter::Cors(Arc::new(Cors {
        allow_origins: vec![OriginPattern::Any],
        allow_methods: Vec::new(),
        allow_headers: Vec::new(),
        expose_headers: Vec::new(),
        allow_credentials: false,
        max_age: Duration::ZERO,
    })));
    let rig = Rig::new(&plan);
    for (fields, status, reason, name) in [
        ("", 401, "credentials_missing", ""),
        // ann:open sesame
        ("Authorization: Basic YW5uOm9wZW4gc2VzYW1l\r\n", 200, "", "ann"),
        (
            "x-user: root\r\nAuthorization: basic YW5uOm9wZW4gc2VzYW1l\r\nX-User: root\r\n",
            200,
            "",
            "ann",
        ),
        // bob:b, bob:c
        ("Authorization: Basic Ym9iOmI=\r\n", 200, "", "bob"),
        ("Authorization: Basic Ym9iOmM=\r\n", 401, "credentials_wrong", ""),
        (
            "Authorization: Bearer Ym9iOmI=\r\n",
            401,
            "credentials_unreadable",
            "",
        ),
        (
            "Authorization: Basic Ym9iOmI\r\n",
            401,
            "credentials_unreadable",
            "",
        ),
        (
            "Authorization: Basic Ym9iOmI=\r\nAuthorization: Basic Ym9iOmI=\r\n",
            401,
            "credentials_missing",
            "",
        ),
    ] {
        let response = ask(&rig, &format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n"));
        assert_eq!((response.status, response.reason()), (status, reason), "{fields}");
        let challenge = response.field("www-authenticate");
        assert_eq!(
            challenge,
            (status == 401).then_some("Basic realm=\"the shop\", charset=\"UTF-8\""),
            "{fields}"
        );
        if status == 200 {
            assert_eq!(response.text(), name, "{fields}");
        }
    }
    // Bytes that are no text.
    let mut client = rig.client();
    client.send_bytes(b"GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Basic \xff\xfe\r\n\r\n");
    assert_eq!(client.response().status, 401);
    // Browsers send no credentials with a preflight.
    let preflight =
        "OPTIONS / HTTP/1.1\r\nHost: h\r\nOrigin: http://o\r\nAccess-Control-Request-Method: GET\r\n\r\n";
    let mut client = rig.client();
    client.send(preflight);
    assert_eq!(client.response_to("OPTIONS").unwrap().status, 204);
}

#[test]
fn kt34_passwords_guard_redirects_too_and_names_do_not_leak_into_them() {
    let mut plan = Plan::new();
    plan.rules.push(prefix_rule(
        "",
        Action::Redirect(Redirect {
            scheme: None,
            host: Some("elsewhere".into()),
            path: None,
            port: None,
            status: 302,
            is_relative: false,
        }),
    ));
    let rig = Rig::new(&plan.traffic(|traffic| traffic.basic_auth = Some(auth())));
    assert_eq!(rig.get("/").status, 401);
    let response = ask(
        &rig,
        "GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Basic Ym9iOmI=\r\n\r\n",
    );
    assert_eq!((response.status, response.field("x-user")), (302, None));
}

#[test]
fn a_buffered_body_is_whole_before_anything_is_forwarded() {
    let backend = Backend::answering(|seen| {
        let length = seen.field("content-length").unwrap_or("none");
        respond(
            200,
            "",
            format!("{length} {}", String::from_utf8_lossy(&seen.body)).as_bytes(),
        )
    });
    let rig = gated(&backend, |traffic| traffic.request_buffer_bytes = Some(100_000));
    let mut client = rig.client();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\nhello");
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(backend.connections(), 0, "half a body is nothing to forward");
    client.send(" world");
    assert_eq!(client.response().text(), "11 hello world");
    // Chunks become a length, whatever stands behind them.
    client.send(
        "POST / HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n\
         5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nx-sum: 1\r\n\r\n",
    );
    assert_eq!(client.response().text(), "11 hello world");
    let seen = backend.seen().pop().unwrap();
    assert_eq!((seen.field("trailer"), seen.trailers.len()), (None, 0));
    client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    assert_eq!(client.response().text(), "0 ");
    assert_eq!(client.get("/").text(), "none ");
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.response().status, 100);
    client.send("ok");
    assert_eq!(client.response().text(), "2 ok");
    // As large as it may be, in pieces that fill every buffer.
    let large = "0123456789".repeat(10_000);
    for (framing, body) in [
        ("Content-Length: 100000", large.clone()),
        (
            "Transfer-Encoding: chunked",
            format!(
                "{:x}\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n",
                60_000,
                &large[..60_000],
                40_000,
                &large[60_000..]
            ),
        ),
    ] {
        client.send(&format!("POST / HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n{body}"));
        let response = client.response();
        assert!(response.text() == format!("100000 {large}"), "{framing}");
    }
}

#[test]
fn a_body_that_is_too_large_to_buffer_is_refused_before_anything_is_forwarded() {
    let backend = Backend::named("ok");
    let rig = gated(&backend, |traffic| traffic.request_buffer_bytes = Some(10));
    let declared = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\nhello world";
    let chunked =
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n";
    for request in [declared, chunked] {
        let response = ask(&rig, request);
        assert_eq!((response.status, response.reason()), (413, "body_too_large"));
    }
    let mut client = rig.client();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
    assert_eq!(client.response().status, 400);
    assert_eq!(backend.connections(), 0);
}

#[test]
fn lb28_a_buffered_body_can_be_sent_again_whatever_its_length() {
    let dying = Backend::scripted(|_, stream| {
        // Reads the head, and dies with the body under way.
        read_head(stream);
    });
    let alive = Backend::answering(|seen| respond(200, "", seen.body.len().to_string().as_bytes()));
    let mut plan = Plan::to(&[dying.address, alive.address]).forward(|forward| {
        forward.retry = Some(Arc::new(Retry {
            conditions: RetryConditions::of(&[RetryCondition::Reset, RetryCondition::ConnectFailure]),
            ..Retry::default()
        }));
    });
    plan = plan.traffic(|traffic| traffic.request_buffer_bytes = Some(1 << 20));
    let rig = Rig::new(&plan);
    let body = "x".repeat(1 << 20);
    for _ in 0..8 {
        let response = ask(
            &rig,
            &format!(
                "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ),
        );
        assert_eq!((response.status, response.text()), (200, "1048576"));
    }
    assert!(dying.connections() > 0);
}
