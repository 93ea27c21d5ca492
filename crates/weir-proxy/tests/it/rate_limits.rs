//! How often requests may come (feature row KT33; Envoy Gateway `rateLimit.local`).

use std::sync::Arc;

use crate::admission::{ask, failures, gated};
use crate::harness::{Backend, Plan, Response, Rig, eventually, forward_to, prefix_rule};
use weir_model::{
    Cidr, ClientIp, ClientSelector, HeaderMatch, HeaderSelector, MethodSelector, PathMatch, PathSelector,
    QueryMatch, QuerySelector, Rate, RateLimit, RateLimitRule, RateUnit, SourceSelector, ValueMatch,
};
use weir_proxy::Options;

fn limit(requests: u32, unit: RateUnit, selectors: Vec<ClientSelector>) -> RateLimitRule {
    RateLimitRule {
        key: format!("policy/rule/{requests}").into(),
        selectors,
        rate: Rate { requests, unit },
    }
}

fn rates(rules: Vec<RateLimitRule>) -> Option<RateLimit> {
    Some(RateLimit { rules, headers: true })
}

#[test]
fn kt33_requests_over_the_rate_are_answered_429_and_told_when_to_come_back() {
    let backend = Backend::named("ok");
    let plan = Plan::to(&[backend.address]);
    let limited = |headers| {
        plan.clone().traffic(|traffic| {
            traffic.rate_limit = Some(RateLimit {
                rules: vec![limit(3, RateUnit::Hour, Vec::new())],
                headers,
            });
        })
    };
    let rig = Rig::new(&limited(true));
    let facts = |response: &Response| {
        let number = |name| response.field(name).map(|value| value.parse::<u64>().unwrap());
        (
            response.status,
            number("x-ratelimit-limit"),
            number("x-ratelimit-remaining"),
        )
    };
    for left in [2, 1, 0] {
        assert_eq!(facts(&rig.get("/")), (200, Some(3), Some(left)));
    }
    let refused = rig.get("/");
    assert_eq!(facts(&refused), (429, Some(3), Some(0)));
    assert_eq!(refused.reason(), "rate_limited");
    for name in ["x-ratelimit-reset", "retry-after"] {
        let seconds: u64 = refused.field(name).unwrap().parse().unwrap();
        assert!((1..=1200).contains(&seconds), "{name}: {seconds}");
    }
    assert_eq!(backend.requests(), 3);
    assert_eq!(failures(&rig, "rate_limited"), 1);
    // A reload that leaves the rule as it is leaves its buckets as they are; it may be told less.
    let mut reloaded = limited(false);
    reloaded.rules.push(prefix_rule("/other", forward_to(&[0])));
    rig.gateway.publish(Arc::new(reloaded.config()));
    let refused = rig.get("/");
    assert_eq!(facts(&refused), (429, None, None));
    assert!(refused.field("retry-after").is_some());
    assert_eq!(facts(&rig.get("/other")), (200, None, None));
    // Another rate is another limit.
    let other = plan.clone().traffic(|traffic| {
        traffic.rate_limit = rates(vec![RateLimitRule {
            rate: Rate {
                requests: 1,
                unit: RateUnit::Second,
            },
            ..limit(3, RateUnit::Hour, Vec::new())
        }]);
    });
    rig.gateway.publish(Arc::new(other.config()));
    assert_eq!(rig.get("/").status, 200);
    eventually("a second has passed", || rig.get("/").status == 200);
}

fn header(name: &str, value: &str, invert: bool) -> HeaderSelector {
    HeaderSelector::Value {
        condition: HeaderMatch {
            name: name.into(),
            value: ValueMatch::Exact(value.into()),
        },
        invert,
    }
}

#[test]
fn kt33_selectors_say_which_requests_count() {
    let backend = Backend::named("ok");
    let only = |change: &dyn Fn(&mut ClientSelector)| {
        let mut selector = ClientSelector::default();
        change(&mut selector);
        selector
    };
    let cidr = |text| Cidr::parse(text).unwrap();
    let source = |text, invert| SourceSelector {
        cidr: cidr(text),
        invert,
        distinct: false,
    };
    let path = |path, invert| Some(PathSelector { path, invert });
    let query = |value: &str, invert| QuerySelector::Value {
        condition: QueryMatch {
            name: "q".into(),
            value: ValueMatch::Exact(value.into()),
        },
        invert,
    };
    let get = "GET /a/b?q=1 HTTP/1.1\r\nHost: h\r\nx-plan: free\r\n\r\n";
    let post = "POST /c?q=2 HTTP/1.1\r\nHost: h\r\nx-plan: paid\r\n\r\n";
    let bare = "PUT / HTTP/1.1\r\nHost: h\r\n\r\n";
    let method = |method: &str, invert| MethodSelector {
        method: method.into(),
        invert,
    };
    type Case<'a> = (ClientSelector, [(&'a str, bool); 3]);
    let cases: Vec<Case<'_>> = vec![
        (
            only(&|selector| selector.headers = vec![header("x-plan", "free", false)]),
            [(get, true), (post, false), (bare, false)],
        ),
        (
            only(&|selector| selector.headers = vec![header("x-plan", "free", true)]),
            [(get, false), (post, true), (bare, true)],
        ),
        (
            only(&|selector| selector.methods = vec![method("GET", false), method("PUT", false)]),
            [(get, true), (post, false), (bare, true)],
        ),
        (
            only(&|selector| selector.methods = vec![method("GET", true)]),
            [(get, false), (post, true), (bare, true)],
        ),
        (
            only(&|selector| selector.path = path(PathMatch::Prefix("/a".into()), false)),
            [(get, true), (post, false), (bare, false)],
        ),
        (
            only(&|selector| selector.path = path(PathMatch::Regex("/[ac].*".into()), true)),
            [(get, false), (post, false), (bare, true)],
        ),
        (
            only(&|selector| selector.query = vec![query("1", false)]),
            [(get, true), (post, false), (bare, false)],
        ),
        (
            only(&|selector| selector.query = vec![query("1", true)]),
            [(get, false), (post, true), (bare, true)],
        ),
        (
            only(&|selector| selector.source = Some(source("127.0.0.0/8", false))),
            [(get, true), (post, true), (bare, true)],
        ),
        (
            only(&|selector| selector.source = Some(source("127.0.0.0/8", true))),
            [(get, false), (post, false), (bare, false)],
        ),
        (
            only(&|selector| {
                selector.headers = vec![header("x-plan", "free", false)];
                selector.methods = vec![method("POST", false)];
            }),
            [(get, false), (post, false), (bare, false)],
        ),
    ];
    for (selector, requests) in cases {
        let rig = gated(&backend, |traffic| {
            traffic.rate_limit = rates(vec![limit(0, RateUnit::Hour, vec![selector.clone()])]);
        });
        for (request, is_counted) in requests {
            let expected = if is_counted { 429 } else { 200 };
            assert_eq!(ask(&rig, request).status, expected, "{selector:?}\n{request}");
        }
    }
}

#[test]
fn kt33_a_limit_without_selectors_is_for_what_no_other_counts() {
    let backend = Backend::named("ok");
    let free = ClientSelector {
        headers: vec![header("x-plan", "free", false)],
        ..ClientSelector::default()
    };
    let rig = gated(&backend, |traffic| {
        traffic.rate_limit = rates(vec![
            limit(2, RateUnit::Hour, Vec::new()),
            limit(4, RateUnit::Hour, vec![free.clone()]),
            limit(3, RateUnit::Hour, vec![free]),
        ]);
    });
    let status = |fields: &str| ask(&rig, &format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n")).status;
    let of_free: Vec<_> = (0..5).map(|_| status("x-plan: free\r\n")).collect();
    assert_eq!(of_free, [200, 200, 200, 429, 429], "the strictest counts");
    let of_others: Vec<_> = (0..3).map(|_| status("")).collect();
    assert_eq!(of_others, [200, 200, 429]);
}

#[test]
fn kt33_what_is_refused_takes_no_token_of_other_limits() {
    let backend = Backend::named("ok");
    let with = |name: &str| ClientSelector {
        headers: vec![HeaderSelector::Distinct(name.into())],
        ..ClientSelector::default()
    };
    let rig = gated(&backend, |traffic| {
        traffic.rate_limit = rates(vec![
            limit(2, RateUnit::Hour, vec![with("x-all")]),
            limit(1, RateUnit::Hour, vec![with("x-user")]),
        ]);
    });
    let status = |user: &str| {
        ask(
            &rig,
            &format!("GET / HTTP/1.1\r\nHost: h\r\nx-all: 1\r\nx-user: {user}\r\n\r\n"),
        )
        .status
    };
    assert_eq!(["a", "a", "a", "b", "c"].map(status), [200, 429, 429, 200, 429]);
}

#[test]
fn kt33_each_distinct_client_has_its_own_bucket() {
    let backend = Backend::named("ok");
    let mut plan = Plan::to(&[backend.address]).traffic(|traffic| {
        traffic.rate_limit = rates(vec![limit(
            1,
            RateUnit::Hour,
            vec![
                ClientSelector {
                    source: Some(SourceSelector {
                        cidr: Cidr::parse("0.0.0.0/0").unwrap(),
                        invert: false,
                        distinct: true,
                    }),
                    ..ClientSelector::default()
                },
                ClientSelector {
                    headers: vec![HeaderSelector::Distinct("x-key".into())],
                    query: vec![QuerySelector::Distinct("k".into())],
                    ..ClientSelector::default()
                },
            ],
        )]);
    });
    plan.client_ip = ClientIp::TrustedHops(1);
    let rig = Rig::new(&plan);
    let mut client = rig.client();
    let mut status = |address: &str, key: &[u8], query: &str| {
        let mut request =
            format!("GET /{query} HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: {address}\r\n").into_bytes();
        if !key.is_empty() {
            request.extend_from_slice(b"X-Key: ");
            request.extend_from_slice(key);
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        client.send_bytes(&request);
        client.response().status
    };
    // Keys that are no UTF-8 are told apart as well.
    for (address, key, query, expected) in [
        ("10.0.0.1", &b"a"[..], "?k=1", 200),
        ("10.0.0.1", b"a", "?k=1", 429),
        ("10.0.0.2", b"a", "?k=1", 200),
        ("10.0.0.1", b"b", "?k=1", 200),
        ("10.0.0.1", b"a", "?k=2", 200),
        ("10.0.0.1", b"\xff\xfe", "?k=1", 200),
        ("10.0.0.1", b"\xff\xfd", "?k=1", 200),
        ("10.0.0.1", b"\xff\xfe", "?k=1", 429),
        // Whoever does not say who it is, and whoever comes from elsewhere, is not counted.
        ("10.0.0.1", b"", "?k=1", 200),
        ("10.0.0.1", b"", "?k=1", 200),
        ("10.0.0.1", b"a", "", 200),
        ("10.0.0.1", b"a", "", 200),
        ("2001:db8::1", b"a", "?k=1", 200),
        ("2001:db8::1", b"a", "?k=1", 200),
    ] {
        assert_eq!(status(address, key, query), expected, "{address} {key:?} {query}");
    }
    // Thousands of clients come by; none of them is taken for another.
    for number in 0..5_000 {
        let key = number.to_string();
        assert_eq!(status("10.9.9.9", key.as_bytes(), "?k=1"), 200, "{number}");
    }
    for number in [0, 1, 2_500, 4_999] {
        let key = number.to_string();
        assert_eq!(status("10.9.9.9", key.as_bytes(), "?k=1"), 429, "{number}");
    }
}

#[test]
fn kt33_workers_share_a_limit() {
    let backend = Backend::named("ok");
    let plan = Plan::to(&[backend.address]).traffic(|traffic| {
        traffic.rate_limit = rates(vec![limit(100, RateUnit::Hour, Vec::new())]);
    });
    let rig = Rig::with(
        &plan,
        Options {
            workers: 3,
            seed: Some(7),
            ..Options::default()
        },
    );
    let passed = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = rig.client();
                    (0..40).filter(|_| client.get("/").status == 200).count()
                })
            })
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .sum::<usize>()
    });
    assert_eq!(passed, 100);
}
