//! Random small configurations and requests: the router answers what the obviously right matcher answers.

use std::sync::Arc;

use crate::support::{Request, find_naively, listener, matching, route, section};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use weir_model::{Attachment, HostPattern, Listener, Route, RouteId};
use weir_route::{Refusal, Router, Verdict};

const HOSTS: &[&str] = &[
    "*",
    "*.com",
    "*.a.com",
    "*.b.a.com",
    "*.c.b.a.com",
    "a.com",
    "b.a.com",
    "c.b.a.com",
    "x.com",
    "d",
];
const ASKED: &[&str] = &[
    "",
    "com",
    "a.com",
    "b.a.com",
    "c.b.a.com",
    "d.c.b.a.com",
    "x.com",
    "y.x.com",
    "d",
    ".a.com",
    "z",
];
const PATHS: &[&str] = &[
    "/",
    "=/",
    "/a",
    "=/a",
    "=/a/",
    "/a/b",
    "=/a/b",
    "/a/b/c",
    "/ab",
    "=/ab",
    "/b",
    "~/a.*",
    "~/a/.*",
    "~/a/b",
    "~.*",
    "~/(a|b)/?",
    "~/a/b/[a-z]*",
    "~/(",
    "~/ab?",
    "=/b//c",
    "/b//c",
    "~/[ab]",
];
const WANTED: &[&str] = &[
    "/", "/a", "/a/", "/a/b", "/a/b/", "/a/b/c", "/a/b/c/d", "/ab", "/abc", "/b", "/b/", "/b//c", "/b//c/d",
    "/c", "*", "/A",
];
const CONDITIONS: &[&str] = &[
    "GET:",
    "POST:",
    "x:1",
    "x:2",
    "X:1",
    "y:1",
    "y:~[0-9]+",
    "x:1,2",
    "x:~(",
    "?q=1",
    "?q=a",
    "?q=%61",
    "?r=1",
    "?r=~a*",
];
const FIELDS: &[(&str, &str)] = &[("x", "1"), ("X", "2"), ("y", "1"), ("y", "z"), ("Y", "22")];
const QUERIES: &[&str] = &[
    "",
    "q=1",
    "q=a",
    "q=%61",
    "q=1&q=2",
    "q=2&q=1",
    "r=1&q=1",
    "q=1&r=aaa",
    "%71=1",
    "r",
    "Q=1",
];

/// A match on one of `paths`, with up to 3 conditions.
fn any_match(paths: &'static [&'static str]) -> impl Strategy<Value = String> {
    let conditions = prop_oneof![3 => subsequence(CONDITIONS, 0..=0), 4 => subsequence(CONDITIONS, 0..=3)];
    (select(paths), conditions).prop_map(|(path, conditions)| {
        std::iter::once(path)
            .chain(conditions)
            .collect::<Vec<_>>()
            .join(" ")
    })
}

fn any_route(paths: &'static [&'static str]) -> impl Strategy<Value = Arc<Route>> {
    let rules = prop::collection::vec(prop::collection::vec(any_match(paths), 1..4), 1..3);
    let name = select(&["a/x", "a-b/x", "a/y", "b/x"][..]);
    (name, prop::option::of(0_i64..3), rules).prop_map(|(name, created, rules)| {
        let rules = rules
            .iter()
            .map(|texts| texts.iter().map(|text| matching(text)).collect());
        route(name, created, rules.collect())
    })
}

/// Sections over random hosts, each with some of the routes under some hosts, intersected as translation does.
fn any_listener(routes: usize) -> impl Strategy<Value = Listener> {
    let hosts = prop_oneof![2 => subsequence(HOSTS, 1..=1), 3 => subsequence(HOSTS, 1..=3)];
    let attachments = prop::collection::vec((0..routes as u32, hosts), 1..7);
    let sections = prop::collection::vec(
        (prop_oneof![1 => Just("*"), 2 => select(HOSTS)], attachments),
        1..4,
    );
    sections.prop_map(|sections| {
        listener(
            sections
                .into_iter()
                .map(|(host, attachments)| {
                    let mut section = section(host, &[]);
                    for (route, hosts) in attachments {
                        let meet = |host: &&str| HostPattern::parse(host).intersect(&section.host);
                        let hosts: Vec<HostPattern> = hosts.iter().filter_map(meet).collect();
                        if !hosts.is_empty() {
                            section.attachments.push(Attachment {
                                route: RouteId(route),
                                hosts,
                            });
                        }
                    }
                    section
                })
                .collect(),
        )
    })
}

fn any_request() -> impl Strategy<Value = Request> {
    let headers = subsequence(FIELDS, 0..=FIELDS.len());
    let parts = (
        select(ASKED),
        select(WANTED),
        select(QUERIES),
        select(&["GET", "POST", "get"][..]),
        headers,
    );
    parts.prop_map(|(host, path, query, method, headers)| Request {
        host: host.to_owned(),
        path: path.to_owned(),
        query: (!query.is_empty()).then(|| query.to_owned()),
        method: method.to_owned(),
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    })
}

type Case = (Listener, Vec<Arc<Route>>, Vec<Request>);

/// Up to `routes` routes on `paths`, a listener for them, and requests.
fn any_case(paths: &'static [&'static str], routes: usize) -> impl Strategy<Value = Case> {
    prop::collection::vec(any_route(paths), 1..routes).prop_flat_map(|routes| {
        (
            any_listener(routes.len()),
            Just(routes),
            prop::collection::vec(any_request(), 40),
        )
    })
}

fn compare((listener, routes, requests): Case) -> Result<(), TestCaseError> {
    let router = Router::build(&listener, &routes);
    for request in requests {
        let expected = request.ask(|parts| find_naively(&listener, &routes, parts));
        prop_assert_eq!(
            request.ask(|parts| router.find(parts)),
            expected,
            "{:?}",
            &request
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ga03_find_answers_what_sorting_everything_answers(case in any_case(PATHS, 7)) {
        compare(case)?;
    }

    /// Few paths make lists long enough to be split by header and parameter.
    #[test]
    fn ga03_long_lists_of_one_path_answer_the_same(case in any_case(&["/", "=/a", "/a"], 24)) {
        compare(case)?;
    }

    #[test]
    fn bx11_explanations_agree_with_the_answer((listener, routes, requests) in any_case(PATHS, 7)) {
        let router = Router::build(&listener, &routes);
        for request in requests.iter().take(5) {
            let told = request.ask(|parts| router.explain(parts));
            prop_assert_eq!(told.outcome, request.ask(|parts| router.find(parts)));
            let chosen: Vec<_> = told.candidates.iter().filter(|one| one.verdict == Verdict::Chosen).collect();
            prop_assert_eq!(chosen.iter().map(|one| one.at).collect::<Vec<_>>(), Vec::from_iter(told.outcome.ok()));
            let at = told.candidates.iter().position(|one| one.verdict == Verdict::Chosen);
            for (place, one) in told.candidates.iter().enumerate() {
                match &one.verdict {
                    Verdict::Chosen => {}
                    Verdict::Outranked(_) => prop_assert!(at.is_some_and(|at| at < place)),
                    Verdict::Refused(refusals) => {
                        prop_assert!(!refusals.is_empty());
                        prop_assert_eq!(refusals.contains(&Refusal::Host), !one.host.matches(&request.host));
                    }
                }
            }
        }
    }
}
