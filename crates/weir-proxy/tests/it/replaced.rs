//! Answers in place of others (Envoy Gateway `responseOverride`).

use std::io::Write;
use std::sync::Arc;

use weir_model::{
    Compressor, ContentEncoding, HeaderChange, HeaderMatch, PathRewrite, Redirect, ReplacedAnswer,
    Replacement, ResponseOverride, ResponseSource, StatusSet, TrafficSpec, ValueMatch,
};

use crate::harness::{Backend, Client, Plan, Response, Rig, read_request, respond};

fn of_status(status: u16, replacement: Replacement) -> ResponseOverride {
    ResponseOverride {
        statuses: StatusSet::one(status).unwrap(),
        headers: Vec::new(),
        source: ResponseSource::All,
        replacement,
    }
}

fn page(status: Option<u16>, body: &str) -> Replacement {
    Replacement::Answer(ReplacedAnswer {
        status,
        content_type: Some("text/html".into()),
        body: Some(body.as_bytes().into()),
        headers: HeaderChange::default(),
    })
}

fn plan(backend: &Backend, overrides: Vec<ResponseOverride>) -> Plan {
    let mut plan = Plan::to(&[backend.address]);
    plan.rules[0].traffic = Some(Arc::new(TrafficSpec {
        overrides,
        ..TrafficSpec::default()
    }));
    plan
}

fn asked(client: &mut Client, method: &str) -> Response {
    client.send(&format!("{method} /a/b?c=1 HTTP/1.1\r\nHost: www.test\r\n\r\n"));
    client.response_to(method).unwrap()
}

#[test]
fn a_response_of_an_endpoint_is_replaced_and_its_connection_lives_on() {
    let backend = Backend::answering(|_| {
        let fields = "content-type: text/plain\r\netag: \"e\"\r\nlast-modified: x\r\nretry-after: 7\r\n\
                      content-encoding: gzip\r\ndate: then\r\nset-cookie: a=1\r\n";
        respond(503, fields, &[b'x'; 5_000])
    });
    let rig = Rig::new(&plan(&backend, vec![of_status(503, page(None, "<h1>soon</h1>"))]));
    let mut client = rig.client();
    for _ in 0..3 {
        let response = asked(&mut client, "GET");
        assert_eq!((response.status, response.text()), (503, "<h1>soon</h1>"));
        assert_eq!(response.field("content-type"), Some("text/html"));
        // What does not describe the body stays.
        assert_eq!(response.field("retry-after"), Some("7"));
        assert_eq!(response.field("set-cookie"), Some("a=1"));
        assert_eq!(response.field("date"), Some("then"));
        for gone in ["etag", "last-modified", "content-encoding"] {
            assert_eq!(response.field(gone), None, "{gone}");
        }
    }
    let response = asked(&mut client, "HEAD");
    assert_eq!(
        (response.status, response.field("content-length")),
        (503, Some("13"))
    );
    assert_eq!(backend.connections(), 1);
}

#[test]
fn a_response_that_has_not_come_whole_takes_its_connection_with_it() {
    let backend = Backend::scripted(|_, stream| {
        while read_request(stream).is_some() {
            let head = "HTTP/1.1 500 X\r\ncontent-length: 1000\r\n\r\nonly a part";
            stream.get_mut().write_all(head.as_bytes()).unwrap();
        }
    });
    let rig = Rig::new(&plan(&backend, vec![of_status(500, page(Some(200), "fine"))]));
    let mut client = rig.client();
    for _ in 0..2 {
        let response = asked(&mut client, "GET");
        assert_eq!((response.status, response.text()), (200, "fine"));
    }
    assert_eq!(backend.connections(), 2);
}

#[test]
fn the_first_override_that_applies_counts() {
    let backend = Backend::answering(|seen| {
        let status = seen.line.split('/').nth(1).unwrap()[..3].parse().unwrap();
        respond(status, "x-kind: first\r\nx-kind: second\r\n", b"own")
    });
    let conditional = |value: ValueMatch| ResponseOverride {
        headers: vec![HeaderMatch {
            name: "x-kind".into(),
            value,
        }],
        ..of_status(404, page(None, "by header"))
    };
    let overrides = vec![
        conditional(ValueMatch::Exact("first".into())),
        conditional(ValueMatch::Regex("first,.*d".into())),
        of_status(404, page(None, "never")),
        ResponseOverride {
            statuses: StatusSet::of([500..=503, 505..=599]).unwrap(),
            ..of_status(500, page(Some(502), "by range"))
        },
        ResponseOverride {
            source: ResponseSource::Local,
            ..of_status(504, page(None, "not weir's"))
        },
    ];
    let rig = Rig::new(&plan(&backend, overrides));
    for (status, expected) in [
        (404, (404, "by header")),
        (500, (502, "by range")),
        (503, (502, "by range")),
        (504, (504, "own")),
        (200, (200, "own")),
    ] {
        let response = rig.get(&format!("/{status}"));
        assert_eq!((response.status, response.text()), expected, "{status}");
    }
}

#[test]
fn parts_of_a_response_are_replaced_while_its_body_passes() {
    let backend = Backend::answering(|_| respond(418, "x-old: 1\r\nx-more: a\r\n", b"the endpoint's"));
    let parts = Replacement::Answer(ReplacedAnswer {
        status: Some(200),
        content_type: Some("text/html".into()),
        body: None,
        headers: HeaderChange {
            set: vec![
                ("x-old".into(), "2".into()),
                ("content-length".into(), "1".into()),
            ],
            add: vec![("x-more".into(), "b".into())],
            remove: Vec::new(),
        },
    });
    let rig = Rig::new(&plan(&backend, vec![of_status(418, parts)]));
    let response = asked(&mut rig.client(), "GET");
    assert_eq!((response.status, response.text()), (200, "the endpoint's"));
    assert_eq!(response.field("x-old"), Some("2"));
    assert_eq!(response.field("x-more"), Some("a,b"));
    assert_eq!(response.field("content-type"), None, "it is the endpoint's body");
}

#[test]
fn a_status_without_body_gets_none_and_one_with_gets_one() {
    let status = |status| {
        Replacement::Answer(ReplacedAnswer {
            status: Some(status),
            ..ReplacedAnswer::default()
        })
    };
    for (from, to, length) in [(200, 204, None), (204, 200, Some("0")), (304, 200, Some("0"))] {
        let backend = Backend::answering(move |_| match from {
            200 => respond(200, "", b"body"),
            _ => format!("HTTP/1.1 {from} X\r\n\r\n").into_bytes(),
        });
        let rig = Rig::new(&plan(&backend, vec![of_status(from, status(to))]));
        let mut client = rig.client();
        for _ in 0..2 {
            let response = asked(&mut client, "GET");
            assert_eq!(response.status, to, "{from}");
            assert_eq!(response.field("content-length"), length, "{from}");
            assert!(response.body.is_empty());
        }
        assert_eq!(backend.connections(), 1);
    }
}

#[test]
fn a_redirect_takes_the_place_of_a_response() {
    let backend = Backend::answering(|_| respond(401, "www-authenticate: Basic\r\n", b"who?"));
    let redirect = Replacement::Redirect(Redirect {
        scheme: Some("https".into()),
        host: Some("login.test".into()),
        path: Some(PathRewrite::Full("/sign-in".into())),
        port: None,
        status: 302,
        is_relative: false,
    });
    let rig = Rig::new(&plan(&backend, vec![of_status(401, redirect)]));
    let mut client = rig.client();
    let response = asked(&mut client, "GET");
    assert_eq!((response.status, response.text()), (302, ""));
    assert_eq!(response.field("location"), Some("https://login.test/sign-in?c=1"));
    assert_eq!(response.field("content-length"), Some("0"));
    assert_eq!(response.field("www-authenticate"), None);
}

#[test]
fn weirs_own_failures_are_replaced_too() {
    let backend = Backend::scripted(|_, stream| {
        read_request(stream);
    });
    for (source, applies) in [
        (ResponseSource::All, true),
        (ResponseSource::Local, true),
        (ResponseSource::Backend, false),
    ] {
        let override_ = ResponseOverride {
            source,
            ..of_status(502, page(Some(503), "back soon"))
        };
        let rig = Rig::new(&plan(&backend, vec![override_]));
        let mut client = rig.client();
        let response = asked(&mut client, "GET");
        let expected = if applies {
            (503, "back soon")
        } else {
            (502, "Bad Gateway\n")
        };
        assert_eq!((response.status, response.text()), expected, "{source:?}");
        assert_eq!(response.reason(), "upstream_closed");
        let response = asked(&mut client, "HEAD");
        assert_eq!(response.status, expected.0);
        assert_eq!(
            response.field("content-length"),
            Some(&*expected.1.len().to_string())
        );
    }
}

#[test]
fn a_failure_is_known_by_its_reason() {
    let backend = Backend::scripted(|_, stream| {
        read_request(stream);
    });
    for (reason, applies) in [("upstream_closed", true), ("connect_failed", false)] {
        let override_ = ResponseOverride {
            statuses: StatusSet::none(),
            headers: vec![HeaderMatch {
                name: "x-weir-reason".into(),
                value: ValueMatch::Exact(reason.into()),
            }],
            source: ResponseSource::Local,
            replacement: page(None, "known"),
        };
        // Also where clients are not told.
        let options = weir_proxy::Options {
            workers: 1,
            ..weir_proxy::Options::default()
        };
        let rig = Rig::with(&plan(&backend, vec![override_]), options);
        let response = asked(&mut rig.client(), "GET");
        assert_eq!(response.text() == "known", applies, "{reason}");
        assert_eq!(response.field("x-weir-reason"), None);
    }
}

#[test]
fn a_replaced_body_is_sent_as_it_stands_whatever_the_rule_compresses() {
    let backend = Backend::answering(|_| respond(500, "content-type: text/plain\r\n", &[b'a'; 1_000]));
    let mut plan = plan(&backend, vec![of_status(500, page(None, &"b".repeat(1_000)))]);
    let spec = Arc::make_mut(plan.rules[0].traffic.as_mut().unwrap());
    spec.compressors = vec![Compressor {
        encoding: ContentEncoding::Gzip,
        level: None,
        min_bytes: 30,
        content_types: Vec::new(),
    }];
    let rig = Rig::new(&plan);
    let mut client = rig.client();
    client.send("GET / HTTP/1.1\r\nHost: test\r\nAccept-Encoding: gzip\r\n\r\n");
    let response = client.response();
    assert_eq!(response.field("content-encoding"), None);
    assert_eq!(response.text(), "b".repeat(1_000));
}
