//! What weir says when it has nothing to pass on (feature rows KT16, KT18).

use std::time::Duration;

use weir_model::{Cidr, ClientIp, Filter, IdentityFields};
use weir_proxy::{AccessLog, Options};

use crate::harness::{Backend, Plan, Response, Rig, forward_to, prefix_rule, respond};

fn asked(rig: &Rig, path: &str, fields: &str) -> Response {
    let mut client = rig.client();
    client.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n{fields}\r\n"));
    client.response()
}

#[test]
fn kt18_errors_come_as_text_or_as_json() {
    let rig = Rig::new(&Plan::new());
    let json = "{\"error\":\"Not Found\",\"reason\":\"no_route\",\"status\":404}\n";
    for (accept, media_type, body) in [
        ("", "text/plain; charset=utf-8", "Not Found\n"),
        ("Accept: */*\r\n", "text/plain; charset=utf-8", "Not Found\n"),
        (
            "Accept: text/html, */*;q=0.8\r\n",
            "text/plain; charset=utf-8",
            "Not Found\n",
        ),
        ("Accept: application/json\r\n", "application/json", json),
        (
            "Accept: application/json, text/plain;q=0.9\r\n",
            "application/json",
            json,
        ),
    ] {
        let response = asked(&rig, "/", accept);
        assert_eq!(response.status, 404);
        assert_eq!(
            (response.field("content-type"), response.text()),
            (Some(media_type), body),
            "{accept}"
        );
        assert_eq!(response.reason(), "no_route");
    }
}

#[test]
fn kt18_reasons_stay_private_unless_they_are_asked_for() {
    let rig = Rig::with(&Plan::new(), Options::default());
    let response = asked(&rig, "/", "Accept: application/json\r\n");
    assert_eq!(response.text(), "{\"error\":\"Not Found\",\"status\":404}\n");
    assert_eq!(response.field("x-weir-reason"), None);
}

#[test]
fn kt16_a_request_keeps_its_id_if_it_is_good_and_its_sender_trusted() {
    let long = "a".repeat(129);
    let cases = [
        ("10.0.0.0/8", "abc-1", false),
        ("127.0.0.0/8", "abc-1", true),
        ("127.0.0.0/8", "Root=1-67891233-abcdef012345678912345678", true),
        ("127.0.0.0/8", "a b", false),
        ("127.0.0.0/8", "a\"b", false),
        ("127.0.0.0/8", "<script>", false),
        ("127.0.0.0/8", "", false),
        ("127.0.0.0/8", &long, false),
    ];
    for (trusted, sent, is_kept) in cases {
        let backend = Backend::answering(|_| respond(200, "", b""));
        let mut plan = Plan::to(&[backend.address]);
        plan.client_ip = ClientIp::TrustedCidrs(vec![Cidr::parse(trusted).unwrap()]);
        plan.rules[0].filters.push(Filter::Identity(IdentityFields {
            response_request_id: true,
            ..IdentityFields::default()
        }));
        let rig = Rig::new(&plan);
        let response = asked(&rig, "/", &format!("X-Request-Id: {sent}\r\n"));
        let seen = backend.take();
        let upstream = seen.field("x-request-id").unwrap();
        assert_eq!(response.field("x-request-id"), Some(upstream), "{sent}");
        assert_eq!(upstream == sent, is_kept, "{trusted} {sent}");
        if !is_kept {
            assert_eq!((upstream.len(), &upstream[14..15]), (36, "4"), "a UUID");
        }
    }
    // Two of them are none.
    let backend = Backend::answering(|_| respond(200, "", b""));
    let mut plan = Plan::to(&[backend.address]);
    plan.client_ip = ClientIp::TrustedCidrs(vec![Cidr::parse("127.0.0.1").unwrap()]);
    let rig = Rig::new(&plan);
    asked(&rig, "/", "X-Request-Id: a\r\nX-Request-Id: b\r\n");
    assert_eq!(backend.take().field("x-request-id").unwrap().len(), 36);
}

#[test]
fn kt16_failures_carry_the_id_too() {
    let mut plan = Plan::to(&[]);
    plan.client_ip = ClientIp::TrustedCidrs(vec![Cidr::parse("127.0.0.1").unwrap()]);
    plan.rules[0].filters.push(Filter::Identity(IdentityFields {
        response_request_id: true,
        ..IdentityFields::default()
    }));
    let rig = Rig::new(&plan);
    let response = asked(&rig, "/", "X-Request-Id: abc\r\n");
    assert_eq!(
        (response.status, response.field("x-request-id")),
        (503, Some("abc"))
    );
    let response = asked(&rig, "/", "");
    assert_eq!(response.field("x-request-id").unwrap().len(), 36);
}

#[test]
fn kt16_the_log_has_the_id_that_endpoints_get_and_no_other() {
    let backend = Backend::answering(|_| respond(200, "", b""));
    let path = std::env::temp_dir().join(format!("weir-ids-{}.log", std::process::id()));
    let options = Options {
        workers: 1,
        access_log: AccessLog::File(path.clone()),
        ..Options::default()
    };
    let mut plan = Plan::to(&[backend.address]);
    plan.rules.clear();
    plan.rules.push(prefix_rule("/a", forward_to(&[0])));
    let rig = Rig::with(&plan, options);
    asked(&rig, "/a", "X-Request-Id: forged\r\n");
    asked(&rig, "/other", "X-Request-Id: forged\r\n");
    rig.gateway.drain(Duration::from_secs(5));
    let log = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let id = backend.take().field("x-request-id").unwrap().to_owned();
    assert!(log.contains(&format!("\"request_id\":\"{id}\"")), "{log}");
    assert!(!log.contains("forged"), "{log}");
}
