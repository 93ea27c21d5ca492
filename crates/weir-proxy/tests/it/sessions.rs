//! Session persistence end to end (feature rows CH13 to CH15, BX04, BX15).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::harness::{Backend, Plan, Response, Rig, endpoint, forward_to, prefix_rule, respond};
use weir_balance::{TokenKey, TokenKeys};
use weir_model::{
    Action, Algorithm, BalanceSpec, ConsistentHash, CookieLifetime, CookiePath, Forward, HashSource,
    HashTable, MissingKey, PathMatch, Period, Persistence, PersistenceMode, TokenCarrier, TokenCookie,
    Weight,
};
use weir_proxy::Options;

fn cookie() -> TokenCookie {
    TokenCookie {
        path: CookiePath::OfMatch,
        lifetime: CookieLifetime::Session,
        attributes: Vec::new(),
    }
}

fn by(carrier: TokenCarrier) -> Persistence {
    Persistence {
        name: "s".into(),
        carrier,
        absolute_timeout: None,
        mode: PersistenceMode::Persistent,
    }
}

fn by_cookie() -> Persistence {
    by(TokenCarrier::Cookie(cookie()))
}

fn round_robin() -> BalanceSpec {
    BalanceSpec {
        algorithm: Algorithm::RoundRobin,
        ..BalanceSpec::default()
    }
}

fn set(persistence: Persistence) -> impl FnOnce(&mut Forward) {
    |forward| {
        forward.persistence = Some(Arc::new(persistence));
        forward.balance = Arc::new(round_robin());
    }
}

/// Backends that say their number.
fn numbered(count: usize) -> Vec<Backend> {
    (0..count)
        .map(|number| Backend::answering(move |_| respond(200, "", number.to_string().as_bytes())))
        .collect()
}

fn addresses(backends: &[Backend]) -> Vec<SocketAddr> {
    backends.iter().map(|backend| backend.address).collect()
}

fn keys(seed: u8) -> Options {
    Options {
        workers: 2,
        reason_header: true,
        session_keys: Some(TokenKeys::new(vec![TokenKey::new(&[seed; 32]).unwrap()])),
        ..Options::default()
    }
}

fn ask(rig: &Rig, path: &str, lines: &str) -> Response {
    let mut client = rig.client();
    client.send(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n{lines}\r\n"));
    client.response()
}

/// A `Cookie` line with this token.
fn with(token: &str) -> String {
    format!("Cookie: a=b; s=\"{token}\"; c=d\r\n")
}

/// The token of a `Set-Cookie`, and what follows it.
fn taken(response: &Response) -> (String, String) {
    let set = response.field("set-cookie").unwrap();
    let (token, rest) = set.strip_prefix("s=\"").unwrap().split_once('"').unwrap();
    (token.to_owned(), rest.to_owned())
}

fn is_at(rig: &Rig, lines: &str, backend: &str) {
    for _ in 0..8 {
        let response = ask(rig, "/", lines);
        assert_eq!((response.text(), response.field("set-cookie")), (backend, None));
        assert_eq!(response.field("s"), None);
    }
}

#[test]
fn ch13_a_session_comes_back_to_its_endpoint_by_cookie_and_by_header() {
    let backends = numbered(4);
    let rig = Rig::with(
        &Plan::to(&addresses(&backends)).forward(set(by_cookie())),
        keys(1),
    );
    let mut served = Vec::new();
    for _ in 0..4 {
        let first = ask(&rig, "/", "");
        let (token, rest) = taken(&first);
        assert_eq!(rest, "; Path=/; HttpOnly");
        is_at(&rig, &with(&token), first.text());
        served.push(first.text().to_owned());
    }
    served.sort();
    assert_eq!(served, ["0", "1", "2", "3"], "new sessions go round");

    let plan = Plan::to(&addresses(&backends)).forward(set(by(TokenCarrier::Header)));
    let rig = Rig::with(&plan, keys(1));
    for _ in 0..4 {
        let first = ask(&rig, "/", "");
        let token = first.field("s").expect("a header").to_owned();
        assert_eq!(first.field("set-cookie"), None);
        is_at(&rig, &format!("S: {token}\r\n"), first.text());
    }
}

#[test]
fn ch13_the_cookie_is_written_as_configured() {
    let backends = numbered(2);
    let hour = Some(Period::new(Duration::from_secs(3_600)).unwrap());
    let named = |name: &str, value: &str| (Arc::from(name), Arc::from(value));
    let fixed = || CookiePath::Fixed("/all".into());
    let cases = [
        (cookie(), None, "; Path=/a; HttpOnly"),
        (cookie(), hour, "; Path=/a; HttpOnly"),
        (
            TokenCookie {
                lifetime: CookieLifetime::Permanent,
                ..cookie()
            },
            hour,
            "; Path=/a; Max-Age=3600; HttpOnly",
        ),
        (
            TokenCookie {
                path: fixed(),
                lifetime: CookieLifetime::Session,
                attributes: vec![
                    named("SameSite", "Strict"),
                    named("Secure", ""),
                    named("path", "/x"),
                ],
            },
            None,
            "; Path=/all; SameSite=Strict; Secure; HttpOnly",
        ),
    ];
    for (cookie, absolute_timeout, expected) in cases {
        let persistence = Persistence {
            absolute_timeout,
            ..by(TokenCarrier::Cookie(cookie))
        };
        let mut plan = Plan::new();
        plan.backend("only", &addresses(&backends));
        plan.rules.push(prefix_rule("/a", forward_to(&[0])));
        plan = plan.forward(set(persistence));
        let rig = Rig::with(&plan, keys(1));
        assert_eq!(taken(&ask(&rig, "/a/b", "")).1, expected);
    }
}

#[test]
fn ch13_each_match_has_its_path() {
    let backends = numbered(2);
    let mut plan = Plan::to(&addresses(&backends)).forward(set(by_cookie()));
    let one = plan.rules[0].matches[0].clone();
    plan.rules[0].matches = [
        PathMatch::Exact("/login".into()),
        PathMatch::Prefix("/shop".into()),
        PathMatch::Regex("/users/[0-9]+/cart".into()),
    ]
    .map(|path| weir_model::Match { path, ..one.clone() })
    .into();
    let rig = Rig::with(&plan, keys(1));
    for (path, expected) in [
        ("/login", "/login"),
        ("/shop/x", "/shop"),
        ("/users/7/cart", "/users/"),
    ] {
        let (_, rest) = taken(&ask(&rig, path, ""));
        assert_eq!(rest, format!("; Path={expected}; HttpOnly"));
    }
}

/// Two backends of two endpoints each, with these weights.
fn weighted(backends: &[Backend], weights: [u64; 2], change: impl FnOnce(&mut Forward)) -> Plan {
    let mut plan = Plan::new();
    plan.backend("one", &addresses(&backends[..2]));
    plan.backend("other", &addresses(&backends[2..]));
    plan.rules.push(prefix_rule("", forward_to(&[0, 1])));
    plan.forward(|forward| {
        for (destination, weight) in forward.destinations.iter_mut().zip(weights) {
            destination.weight = Weight::new(weight).unwrap();
        }
        change(forward);
    })
}

#[test]
fn ch13_a_token_beats_weights_also_of_zero_and_hashes() {
    let backends = numbered(4);
    let rig = Rig::with(&weighted(&backends, [0, 1], set(by_cookie())), keys(1));
    let tokens: Vec<_> = (0..2)
        .map(|_| ask(&rig, "/", ""))
        .map(|first| (first.text().to_owned(), taken(&first).0))
        .collect();
    let mut served: Vec<_> = tokens.iter().map(|(backend, _)| backend.as_str()).collect();
    served.sort_unstable();
    assert_eq!(served, ["2", "3"]);
    let hashes = |forward: &mut Forward| {
        set(by_cookie())(forward);
        let hash = ConsistentHash {
            sources: vec![HashSource::Headers(vec!["user".into()])],
            table: HashTable::default(),
            missing_key: MissingKey::default(),
        };
        forward.balance = Arc::new(BalanceSpec {
            algorithm: Algorithm::ConsistentHash(hash),
            ..BalanceSpec::default()
        });
    };
    for plan in [
        weighted(&backends, [1, 0], set(by_cookie())),
        weighted(&backends, [99, 1], hashes),
    ] {
        // A reload: the token stays good.
        assert!(rig.gateway.publish(Arc::new(plan.config())).is_changed);
        for (backend, token) in &tokens {
            for user in 0..5 {
                is_at(&rig, &format!("{}User: {user}\r\n", with(token)), backend);
            }
        }
    }
    // New clients of the rule that hashes come by their hash, and get a token of where they were.
    for user in 0..20 {
        let first = ask(&rig, "/", &format!("User: {user}\r\n"));
        let again = ask(&rig, "/", &format!("User: {user}\r\n"));
        assert_eq!(first.text(), again.text());
        is_at(&rig, &with(&taken(&first).0), first.text());
    }
}

#[test]
fn ch14_altered_and_foreign_tokens_count_as_none() {
    let backends = numbered(4);
    let mut plan = Plan::to(&addresses(&backends)).forward(set(by_cookie()));
    let mut second = prefix_rule("/second", plan.rules[0].action.clone());
    second.matches[0].path = PathMatch::Prefix("/second".into());
    plan.rules.push(second);
    let rig = Rig::with(&plan, keys(1));
    let first = ask(&rig, "/", "");
    let (token, _) = taken(&first);
    for (backend, secret) in backends.iter().zip(0..) {
        let address = backend.address.to_string();
        assert!(!token.contains(&address), "{secret}");
    }
    for place in [0, 7, 20, 47] {
        let mut altered = token.clone().into_bytes();
        altered[place] = if altered[place] == b'A' { b'B' } else { b'A' };
        let altered = String::from_utf8(altered).unwrap();
        let served: Vec<_> = (0..4)
            .map(|_| ask(&rig, "/", &with(&altered)))
            .map(|response| (response.text().to_owned(), taken(&response).0))
            .collect();
        let mut backends: Vec<_> = served.iter().map(|(backend, _)| backend.as_str()).collect();
        backends.sort_unstable();
        assert_eq!(backends, ["0", "1", "2", "3"], "as if there were none: {place}");
        is_at(&rig, &with(&served[0].1), &served[0].0);
    }
    let other_rule = ask(&rig, "/second", &with(&token));
    assert!(
        other_rule.field("set-cookie").is_some(),
        "sessions are not shared between rules"
    );
    let other_key = Rig::with(&plan, keys(2));
    assert!(ask(&other_key, "/", &with(&token)).field("set-cookie").is_some());
    // The right one may stand behind others of the same name.
    let several = format!("Cookie: s=x; s=\"{}\"\r\nCookie: s={token}\r\n", "A".repeat(48));
    is_at(&rig, &several, first.text());
}

#[test]
fn bx15_a_token_holds_in_every_process_that_has_the_key() {
    let backends = numbered(4);
    let mut endpoints = addresses(&backends);
    let one = Rig::with(&Plan::to(&endpoints).forward(set(by_cookie())), keys(1));
    endpoints.reverse();
    let other = Rig::with(&Plan::to(&endpoints).forward(set(by_cookie())), keys(1));
    for _ in 0..4 {
        let first = ask(&one, "/", "");
        is_at(&other, &with(&taken(&first).0), first.text());
    }
    // Without a key each process has its own.
    let alone = [(); 2].map(|()| Rig::new(&Plan::to(&endpoints).forward(set(by_cookie()))));
    let first = ask(&alone[0], "/", "");
    is_at(&alone[0], &with(&taken(&first).0), first.text());
    assert!(
        ask(&alone[1], "/", &with(&taken(&first).0))
            .field("set-cookie")
            .is_some()
    );
}

#[test]
fn bx15_an_old_key_is_followed_and_the_token_written_anew() {
    let backends = numbered(4);
    let plan = Plan::to(&addresses(&backends)).forward(set(by_cookie()));
    let old = Rig::with(&plan, keys(1));
    let secrets = [2, 1].map(|seed| TokenKey::new(&[seed; 32]).unwrap());
    let both = Rig::with(
        &plan,
        Options {
            session_keys: Some(TokenKeys::new(secrets.into())),
            ..keys(2)
        },
    );
    let new = Rig::with(&plan, keys(2));
    let first = ask(&old, "/", "");
    let renewed = ask(&both, "/", &with(&taken(&first).0));
    assert_eq!(renewed.text(), first.text());
    is_at(&new, &with(&taken(&renewed).0), first.text());
}

#[test]
fn ch13_a_session_whose_endpoint_is_gone_or_fails_moves_on_with_a_new_token() {
    let backends = numbered(3);
    let rig = Rig::with(
        &Plan::to(&addresses(&backends)).forward(set(by_cookie())),
        keys(1),
    );
    let first = ask(&rig, "/", "");
    let (token, _) = taken(&first);
    let at: usize = first.text().parse().unwrap();
    // Nobody listens at the first of these any more: the try there fails, another follows.
    let dead = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut others = addresses(&backends);
    let gone = others.remove(at);
    let refusing = Rig::with(&Plan::to(&[dead, others[0]]).forward(set(by_cookie())), keys(1));
    let mut text = Vec::new();
    let keys = TokenKeys::new(vec![TokenKey::new(&[1; 32]).unwrap()]);
    let address = weir_model::EndpointAddress::Tcp(dead);
    let rule = b"httproute/default/route/rule/0";
    assert!(keys.write_endpoint(&address, rule, 1_700_000_000, 1_700_000_000, &mut text));
    let moved = ask(&refusing, "/", &with(str::from_utf8(&text).unwrap()));
    assert_eq!(moved.status, 200);
    is_at(&refusing, &with(&taken(&moved).0), moved.text());

    // The endpoint leaves, then comes back: who has moved stays there.
    let key = "service/default/only/80";
    rig.gateway
        .update_endpoints(key, others.iter().map(|address| endpoint(*address)).collect())
        .unwrap();
    let moved = ask(&rig, "/", &with(&token));
    assert_ne!(moved.text(), first.text());
    let (again, _) = taken(&moved);
    is_at(&rig, &with(&again), moved.text());
    let all = std::iter::once(gone).chain(others).map(endpoint).collect();
    rig.gateway.update_endpoints(key, all).unwrap();
    is_at(&rig, &with(&again), moved.text());
    is_at(&rig, &with(&token), first.text());
}

#[test]
fn ch13_a_session_leaves_a_destination_that_cannot_be_reached() {
    let backends = numbered(1);
    let dead = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut plan = Plan::new();
    plan.backend("dead", &[dead]);
    plan.backend("alive", &addresses(&backends));
    plan.rules.push(prefix_rule("", forward_to(&[0, 1])));
    let rig = Rig::with(&plan.forward(set(by_cookie())), keys(1));
    let mut text = Vec::new();
    let secrets = TokenKeys::new(vec![TokenKey::new(&[1; 32]).unwrap()]);
    let address = weir_model::EndpointAddress::Tcp(dead);
    let rule = b"httproute/default/route/rule/0";
    assert!(secrets.write_endpoint(&address, rule, 1_700_000_000, 1_700_000_000, &mut text));
    for _ in 0..6 {
        let moved = ask(&rig, "/", &with(str::from_utf8(&text).unwrap()));
        assert_eq!((moved.status, moved.text()), (200, "0"));
        is_at(&rig, &with(&taken(&moved).0), "0");
    }
}

#[test]
fn ch13_a_session_ends_when_its_time_has_come() {
    let backends = numbered(4);
    let persistence = Persistence {
        absolute_timeout: Period::new(Duration::from_secs(3_600)),
        ..by(TokenCarrier::Cookie(TokenCookie {
            lifetime: CookieLifetime::Permanent,
            ..cookie()
        }))
    };
    let rig = Rig::with(
        &Plan::to(&addresses(&backends)).forward(set(persistence)),
        keys(1),
    );
    let now_s = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let token = |begun_s: u64| {
        let keys = TokenKeys::new(vec![TokenKey::new(&[1; 32]).unwrap()]);
        let address = weir_model::EndpointAddress::Tcp(backends[2].address);
        let mut text = Vec::new();
        keys.write_endpoint(
            &address,
            b"httproute/default/route/rule/0",
            begun_s,
            begun_s,
            &mut text,
        );
        String::from_utf8(text).unwrap()
    };
    is_at(&rig, &with(&token(now_s - 3_500)), "2");
    let ended = ask(&rig, "/", &with(&token(now_s - 3_700)));
    assert_eq!(taken(&ended).1, "; Path=/; Max-Age=3600; HttpOnly");
}

#[test]
fn ch15_new_endpoints_take_their_share_of_balanced_sessions_and_none_of_persistent_ones() {
    let backends = numbered(4);
    for (mode, moved) in [
        (PersistenceMode::Persistent, 0..=0),
        // Half of 200, four deviations on either side.
        (PersistenceMode::Balanced, 72..=128),
    ] {
        let persistence = Persistence { mode, ..by_cookie() };
        let rig = Rig::with(
            &Plan::to(&addresses(&backends[..2])).forward(set(persistence.clone())),
            Options {
                seed: Some(3),
                ..keys(1)
            },
        );
        let sessions: Vec<_> = (0..200)
            .map(|_| ask(&rig, "/", ""))
            .map(|first| (first.text().to_owned(), taken(&first).0))
            .collect();
        let plan = Plan::to(&addresses(&backends)).forward(set(persistence));
        rig.gateway.publish(Arc::new(plan.config()));
        let after: Vec<_> = sessions
            .iter()
            .map(|(_, token)| {
                let response = ask(&rig, "/", &with(token));
                assert_eq!(response.field("set-cookie"), None, "the token stays the same");
                response.text().to_owned()
            })
            .collect();
        let pairs = || sessions.iter().map(|(before, _)| before).zip(&after);
        let count = pairs().filter(|(before, after)| before != after).count();
        assert!(moved.contains(&count), "{mode:?}: {count} of 200 moved");
        assert!(pairs().all(|(before, after)| before == after || after == "2" || after == "3"));
        for (_, token) in &sessions[..3] {
            let first = ask(&rig, "/", &with(token)).text().to_owned();
            is_at(&rig, &with(token), &first);
        }
    }
}

#[test]
fn ch15_balanced_sessions_follow_the_weights_of_destinations() {
    let backends = numbered(4);
    let balanced = || Persistence {
        mode: PersistenceMode::Balanced,
        ..by_cookie()
    };
    let rig = Rig::with(&weighted(&backends, [1, 0], set(balanced())), keys(1));
    let (token, _) = taken(&ask(&rig, "/", ""));
    let first = ask(&rig, "/", &with(&token)).text().to_owned();
    assert!(first == "0" || first == "1");
    is_at(&rig, &with(&token), &first);
    rig.gateway
        .publish(Arc::new(weighted(&backends, [0, 1], set(balanced())).config()));
    let moved = ask(&rig, "/", &with(&token)).text().to_owned();
    assert!(moved == "2" || moved == "3");
    is_at(&rig, &with(&token), &moved);
}

#[test]
fn rules_without_sessions_set_no_cookie() {
    let backends = numbered(1);
    let plan = Plan::to(&addresses(&backends));
    assert!(matches!(&plan.rules[0].action, Action::Forward(forward) if forward.persistence.is_none()));
    let response = ask(&Rig::new(&plan), "/", "Cookie: s=x\r\n");
    assert_eq!(response.field("set-cookie"), None);
}
