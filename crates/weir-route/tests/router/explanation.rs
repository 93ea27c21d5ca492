//! Explanations: for one request, which matches were considered and why each lost.

use std::sync::Arc;

use weir_model::{Listener, Route};
use weir_route::{Explanation, Miss, Outranked, Refusal, Router, Verdict};

use crate::support::{Request, listener, matches, route, section};

fn explain(listener: &Listener, routes: &[Arc<Route>], request: &Request) -> Explanation {
    request.ask(|parts| Router::build(listener, routes).explain(parts))
}

/// One route under every host; the verdicts in order of precedence, each with the index of its match.
fn check(texts: &[&str], request: &Request, expected: &[(u32, Verdict)]) {
    let routes = [route("only", None, vec![matches(texts)])];
    let told = explain(&listener(vec![section("*", &[(0, &["*"])])]), &routes, request);
    let verdicts: Vec<_> = told
        .candidates
        .into_iter()
        .map(|one| (one.at.match_index, one.verdict))
        .collect();
    assert_eq!(verdicts, expected, "{request:?}");
}

#[test]
fn bx11_every_loser_says_why() {
    let outranked = Verdict::Outranked;
    let refused = |refusals: &[Refusal]| Verdict::Refused(refusals.to_vec());
    check(
        &[
            "/a",
            "/a POST: x:1",
            "=/a/b",
            "~/a/.",
            "/a/b GET:",
            "/a/b x:1 ?q=1",
            "/a/b ?q=1",
            "/z",
        ],
        &Request::new("h/a/b?q=1").with(&[("x", "1")]),
        &[
            (2, Verdict::Chosen),
            (3, outranked(Outranked::PathKind)),
            (4, outranked(Outranked::PathKind)),
            (5, outranked(Outranked::PathKind)),
            (6, outranked(Outranked::PathKind)),
            (1, refused(&[Refusal::Method])),
            (0, outranked(Outranked::PathKind)),
            (7, refused(&[Refusal::Path])),
        ],
    );
    check(
        &[
            "/a/b",
            "/a/b GET:",
            "/a/b x:1 y:1",
            "/a/b x:1",
            "/a/b ?q=1",
            "/a",
            "~/(",
        ],
        &Request::new("h/a/b?q=2").with(&[("x", "2")]),
        &[
            (6, refused(&[Refusal::Pattern("/(".into())])),
            (1, Verdict::Chosen),
            (
                2,
                refused(&[
                    Refusal::HeaderDiffers("x".into()),
                    Refusal::HeaderMissing("y".into()),
                ]),
            ),
            (3, refused(&[Refusal::HeaderDiffers("x".into())])),
            (4, refused(&[Refusal::QueryDiffers("q".into())])),
            (0, outranked(Outranked::Method)),
            (5, outranked(Outranked::PathLength)),
        ],
    );
    check(
        &["/ x:1 y:1", "/ x:1", "/ ?q=1 ?r=1", "/ ?q=1", "/ ?s=1"],
        &Request::new("h/?q=1&r=1").with(&[("x", "1"), ("y", "1")]),
        &[
            (0, Verdict::Chosen),
            (1, outranked(Outranked::HeaderCount)),
            (2, outranked(Outranked::HeaderCount)),
            (3, outranked(Outranked::HeaderCount)),
            (4, refused(&[Refusal::QueryMissing("s".into())])),
        ],
    );
    check(
        &["/ ?q=1 ?r=1", "/ ?q=1"],
        &Request::new("h/?q=1&r=1"),
        &[(0, Verdict::Chosen), (1, outranked(Outranked::QueryCount))],
    );
    check(
        &["/", "/"],
        &Request::new("h/"),
        &[(0, Verdict::Chosen), (1, outranked(Outranked::MatchOrder))],
    );
}

#[test]
fn bx11_objects_lose_by_host_age_and_name() {
    let slash = || vec![matches(&["/"])];
    let routes = [
        route("a/wide", Some(1), slash()),
        route("a/young", Some(3), slash()),
        route("a/old", Some(2), slash()),
        route(
            "a/old-too",
            Some(2),
            vec![matches(&["/x"]), matches(&["/"]), matches(&["/"])],
        ),
        route("a/ageless", None, slash()),
        route("a/old", Some(2), slash()),
    ];
    let host: &[&str] = &["a.com"];
    let sections = vec![section(
        "*",
        &[(0, &["*"]), (1, host), (2, host), (3, host), (4, host), (5, host)],
    )];
    let told = explain(&listener(sections), &routes, &Request::new("a.com/"));
    let verdicts: Vec<_> = told
        .candidates
        .iter()
        .map(|one| (one.at.route.0, one.at.rule, one.verdict.clone()))
        .collect();
    let outranked = Verdict::Outranked;
    assert_eq!(
        verdicts,
        [
            (3, 0, Verdict::Refused(vec![Refusal::Path])),
            (2, 0, Verdict::Chosen),
            (5, 0, outranked(Outranked::Attachment)),
            (3, 1, outranked(Outranked::Name)),
            (3, 2, outranked(Outranked::Name)),
            (1, 0, outranked(Outranked::Created)),
            (4, 0, outranked(Outranked::Created)),
            (0, 0, outranked(Outranked::Host)),
        ]
    );
    let told = explain(
        &listener(vec![section("*", &[(3, host)])]),
        &routes,
        &Request::new("a.com/"),
    );
    assert_eq!(told.candidates[2].verdict, outranked(Outranked::RuleOrder));
}

#[test]
fn bx11_the_section_and_what_it_hides_are_named() {
    let routes = ["empty", "narrow"].map(|name| route(name, None, vec![matches(&["/"])]));
    let sections = vec![
        section("*", &[(0, &["*"])]),
        section("*.example.com", &[(1, &["www.example.com"])]),
        section("*.example.com", &[]),
    ];
    let told = explain(
        &listener(sections.clone()),
        &routes,
        &Request::new("api.example.com/"),
    );
    assert_eq!(
        (told.outcome, &told.sections[..]),
        (Err(Miss::NoRoute), &[1, 2][..])
    );
    assert_eq!(
        told.section_host.map(|host| host.to_string()).as_deref(),
        Some("*.example.com")
    );
    let verdicts: Vec<_> = told
        .candidates
        .into_iter()
        .map(|one| (one.host.to_string(), one.verdict))
        .collect();
    assert_eq!(
        verdicts,
        [
            (
                "www.example.com".to_owned(),
                Verdict::Refused(vec![Refusal::Host])
            ),
            ("*".to_owned(), Verdict::Refused(vec![Refusal::Isolated])),
        ]
    );
    let told = explain(
        &listener(sections[1..].to_vec()),
        &routes,
        &Request::new("other.org/"),
    );
    assert_eq!(
        (told.outcome, told.sections.len(), told.section_host),
        (Err(Miss::NoHost), 0, None)
    );
    assert_eq!(told.candidates.len(), 1);
}

#[test]
fn bx11_the_nearest_twenty_are_shown() {
    let mut texts: Vec<String> = (0..500).map(|at| format!("/far/{at}")).collect();
    texts.extend((0..30).map(|at| format!("/near/by/{at}")));
    texts.extend(["/near POST:".to_owned(), "/near".to_owned()]);
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let routes = [route("only", None, vec![matches(&texts)])];
    let told = explain(
        &listener(vec![section("*", &[(0, &["*"])])]),
        &routes,
        &Request::new("h/near/by/x"),
    );
    assert_eq!((told.candidates.len(), told.omitted), (20, 532 - 20));
    let shown: Vec<u32> = told.candidates.iter().map(|one| one.at.match_index).collect();
    assert!(shown.iter().all(|at| *at >= 500), "{shown:?}");
    assert_eq!(shown[18..], [530, 531]);
    assert_eq!(told.candidates[19].verdict, Verdict::Chosen);
    assert_eq!(
        told.candidates[18].verdict,
        Verdict::Refused(vec![Refusal::Method])
    );
}

/// What stands just before and just after the chosen match is shown, each match under a host once.
#[test]
fn bx11_neighbours_of_the_chosen_match_are_shown() {
    let mut texts = vec!["/ POST:"; 40];
    texts.extend(["/"; 41]);
    let routes = [route("only", None, vec![matches(&texts)])];
    let twice = section("*", &[(0, &["a.com", "a.com"]), (0, &["a.com"])]);
    let told = explain(&listener(vec![twice]), &routes, &Request::new("a.com/"));
    assert_eq!((told.candidates.len(), told.omitted), (20, 81 - 20));
    let shown: Vec<u32> = told.candidates.iter().map(|one| one.at.match_index).collect();
    assert_eq!(shown, (30..50).collect::<Vec<_>>());
    assert_eq!(told.candidates[10].verdict, Verdict::Chosen);
}
