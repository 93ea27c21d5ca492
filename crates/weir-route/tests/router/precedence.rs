//! Gateway API's rules of matching, one table each. A case names a request and the match that must serve it.

use std::sync::Arc;

use weir_model::{Action, Filter, FixedAnswer, HeaderChange, Listener, Match, Route, RouteId};
use weir_route::{Hit, Miss, Router, are_chosen_alike};

use crate::support::{Request, listener, matches, matching, route, section};

/// What serves a request, as (route, rule, match).
type Served = Result<(u32, u32, u32), Miss>;

const NO_ROUTE: Served = Err(Miss::NoRoute);

fn check(listener: &Listener, routes: &[Arc<Route>], cases: &[(Request, Served)]) {
    let router = Router::build(listener, routes);
    for (request, expected) in cases {
        let found = request.ask(|parts| router.find(parts));
        assert_eq!(
            found.map(|hit| (hit.route.0, hit.rule, hit.match_index)),
            *expected,
            "{request:?}"
        );
    }
}

/// One route under every host with one rule of these matches; a case names the request and the match.
fn check_matches(texts: &[&str], cases: &[(&str, Option<u32>)]) {
    let routes = [route("only", None, vec![matches(texts)])];
    let cases = cases.iter().map(|(request, served)| {
        (
            Request::new(request),
            served.map_or(NO_ROUTE, |match_index| Ok((0, 0, match_index))),
        )
    });
    check(
        &listener(vec![section("*", &[(0, &["*"])])]),
        &routes,
        &cases.collect::<Vec<_>>(),
    );
}

/// Routes with one match each, all under every host.
fn check_routes(routes: &[(&str, Option<i64>, &str)], cases: &[(&str, Option<u32>)]) {
    let built = routes
        .iter()
        .map(|(name, created, text)| route(name, *created, vec![matches(&[text])]));
    let built: Vec<_> = built.collect();
    let attachments: Vec<(u32, &[&str])> = (0..built.len() as u32).map(|at| (at, &["*"][..])).collect();
    let cases = cases.iter().map(|(request, served)| {
        (
            Request::new(request),
            served.map_or(NO_ROUTE, |route| Ok((route, 0, 0))),
        )
    });
    check(
        &listener(vec![section("*", &attachments)]),
        &built,
        &cases.collect::<Vec<_>>(),
    );
}

/// Rule 1, paths; conformance HTTPRoutePathMatchOrder and HTTPRouteMatching.
#[test]
fn ga03_exact_precedes_regex_precedes_the_longest_prefix() {
    check_matches(
        &[
            "/match/prefix",
            "=/match/exact/one",
            "/match",
            "=/match/exact",
            "/match/prefix/one",
            "/",
            "~/match/ex[a-z]+",
        ],
        &[
            ("h/match/exact/one", Some(1)),
            ("h/match/exact", Some(3)),
            ("h/match", Some(2)),
            ("h/match/prefix/one/any", Some(4)),
            ("h/match/prefix/any", Some(0)),
            ("h/match/any", Some(2)),
            ("h/match/extra", Some(6)),
            ("h/match/extra/more", Some(2)),
            ("h/", Some(5)),
            ("h/other", Some(5)),
        ],
    );
}

/// Rule 1: where Gateway API leaves the order to the implementation, the longer expression precedes.
#[test]
fn ga03_a_longer_expression_precedes_a_shorter_one() {
    check_matches(
        &["~/a.*", "~/a/b/.*", "~/[a-z]+/b/c", "~.*", "~/a/b/c?"],
        &[
            ("h/a/b/c", Some(2)),
            ("h/a/b/x", Some(1)),
            ("h/a/b/", Some(1)),
            ("h/x/b/c", Some(2)),
            ("h/ax", Some(0)),
            ("h/z", Some(3)),
            ("h*", Some(3)),
        ],
    );
}

/// Rule 2; conformance HTTPRouteExactPathMatching.
#[test]
fn ga03_prefixes_match_by_element_and_exact_paths_match_exactly() {
    check_matches(
        &["/v2", "=/one", "=/two/", "/V2/x", "=/x//y"],
        &[
            ("h/v2", Some(0)),
            ("h/v2/", Some(0)),
            ("h/v2/x", Some(0)),
            ("h/v2//x", Some(0)),
            ("h/v2example", None),
            ("h/v", None),
            ("h/V2", None),
            ("h/V2/x/", Some(3)),
            ("h/one", Some(1)),
            ("h/one/", None),
            ("h/One", None),
            ("h/one/a", None),
            ("h/two", None),
            ("h/two/", Some(2)),
            ("h/x/y", None),
            ("h/x//y", Some(4)),
            ("h/", None),
        ],
    );
}

#[test]
fn ga03_the_prefix_slash_matches_all_paths_but_not_an_asterisk() {
    check_matches(
        &["/", "=/"],
        &[
            ("h/", Some(1)),
            ("h/a", Some(0)),
            ("h//", Some(0)),
            ("h*", None),
            ("h", None),
        ],
    );
}

/// Rule 1, conditions; conformance HTTPRouteMethodMatching.
#[test]
fn ga03_a_method_precedes_headers_which_precede_query_parameters() {
    let rules = [
        "/",
        "/ POST:",
        "/ x:1 y:1",
        "/ x:1",
        "/ ?q=1 ?r=1 ?s=1",
        "/ ?q=1",
        "/ GET: ?q=2",
    ];
    let routes = [route("only", None, vec![matches(&rules)])];
    let ask = |text: &str, headers: &[(&str, &str)]| Request::new(text).with(headers);
    let both = [("x", "1"), ("y", "1")];
    check(
        &listener(vec![section("*", &[(0, &["*"])])]),
        &routes,
        &[
            (ask("POST h/", &both), Ok((0, 0, 1))),
            (ask("post h/", &[]), Ok((0, 0, 0))),
            (ask("GET h/", &both), Ok((0, 0, 2))),
            (ask("GET h/?q=1&r=1&s=1", &both[..1]), Ok((0, 0, 3))),
            (ask("GET h/?q=1&r=1&s=1", &[]), Ok((0, 0, 4))),
            (ask("GET h/?q=1&r=1", &[]), Ok((0, 0, 5))),
            (ask("GET h/?q=2", &both), Ok((0, 0, 6))),
            (ask("GET h/?q=3", &[]), Ok((0, 0, 0))),
        ],
    );
}

/// Rule 1: a longer path precedes whatever the conditions are; rule 3: all conditions of a match hold, any match.
#[test]
fn ga03_paths_precede_conditions_and_a_failed_condition_falls_back() {
    check_matches(
        &["/a POST: ?q=1", "/a/b", "=/a/b/c PUT:", "/ GET: ?q=1"],
        &[
            ("POST h/a/b?q=1", Some(1)),
            ("POST h/a/c?q=1", Some(0)),
            ("GET h/a/c?q=1", Some(3)),
            ("POST h/a/c", None),
            ("PUT h/a/b/c", Some(2)),
            ("GET h/a/b/c", Some(1)),
        ],
    );
}

/// Rule 3; conformance HTTPRouteHeaderMatching.
#[test]
fn ga03_headers_match_by_name_in_any_case_and_exact_value() {
    let rules = [
        "/ version:one",
        "/ version:two",
        "/ version:two color:orange",
        "/ color:blue",
        "/ n:~[0-9]+,[0-9]+",
    ];
    let routes = [route("only", None, vec![matches(&rules)])];
    let ask = |headers: &[(&str, &str)]| Request::new("h/").with(headers);
    check(
        &listener(vec![section("*", &[(0, &["*"])])]),
        &routes,
        &[
            (ask(&[("Version", "one")]), Ok((0, 0, 0))),
            (ask(&[("version", "two")]), Ok((0, 0, 1))),
            (ask(&[("VERSION", "two"), ("Color", "orange")]), Ok((0, 0, 2))),
            (ask(&[("Color", "blue"), ("Version", "one")]), Ok((0, 0, 0))),
            (ask(&[("color", "Blue")]), NO_ROUTE),
            (ask(&[("color", "bluer")]), NO_ROUTE),
            (ask(&[]), NO_ROUTE),
            // Several fields of one name are one value, joined by commas (RFC 9110 5.2).
            (ask(&[("n", "1"), ("N", "22")]), Ok((0, 0, 4))),
            (ask(&[("n", "1")]), NO_ROUTE),
            (ask(&[("version", "one"), ("version", "two")]), NO_ROUTE),
        ],
    );
}

/// Rule 3: of several conditions on one header or parameter only the first counts, for matching and for order.
#[test]
fn ga03_only_the_first_condition_of_a_name_counts() {
    let rules = ["/ x:1 X:2", "/ y:1 z:1", "/ ?q=1 ?q=2", "/ ?q=1 ?r=1"];
    let routes = [route("only", None, vec![matches(&rules)])];
    let ask = |text: &str, headers: &[(&str, &str)]| Request::new(text).with(headers);
    check(
        &listener(vec![section("*", &[(0, &["*"])])]),
        &routes,
        &[
            (ask("h/", &[("x", "1")]), Ok((0, 0, 0))),
            (ask("h/", &[("x", "2")]), NO_ROUTE),
            (ask("h/", &[("x", "1"), ("y", "1"), ("z", "1")]), Ok((0, 0, 1))),
            (ask("h/?q=1", &[]), Ok((0, 0, 2))),
            (ask("h/?q=1&r=1", &[]), Ok((0, 0, 3))),
        ],
    );
}

/// Rule 3; conformance HTTPRouteQueryParamMatching.
#[test]
fn ga03_query_parameters_match_exactly_by_their_first_value() {
    check_matches(
        &[
            "/ ?animal=whale",
            "/ ?animal=dolphin",
            "/ ?animal=dolphin ?color=blue",
            "/ ?ANIMAL=Whale",
            "/ ?n=~[0-9]+",
            "/ ?p=~a%20b",
            "/ ?p=~c.d",
        ],
        &[
            ("h/?animal=whale", Some(0)),
            ("h/?animal=dolphin", Some(1)),
            ("h/?color=blue&animal=dolphin", Some(2)),
            ("h/?ANIMAL=Whale", Some(3)),
            ("h/?animal=Whale", None),
            ("h/?animal=whale&animal=dolphin", Some(0)),
            ("h/?animal=dolphin&animal=whale", Some(1)),
            ("h/?n=42", Some(4)),
            ("h/?n=42x", None),
            ("h/?n=%34%32", Some(4)),
            ("h/?p=a%20b", Some(5)),
            ("h/?p=c%20d", Some(6)),
            ("h/?p=c%2520d", None),
            ("h/?n", None),
            ("h/?animal=wh%61le", Some(0)),
            ("h/?animal=%77hale%20", None),
            ("h/", None),
        ],
    );
}

/// Rule 1: ties go to the older object, then to the name, then to what is written first.
#[test]
fn ga03_ties_go_to_age_then_name_then_order() {
    check_routes(
        &[
            ("b/y", Some(5), "/a"),
            ("a/z", Some(5), "/a"),
            ("a/a", None, "/a"),
            ("z/z", Some(4), "/b"),
            ("a/a", Some(5), "/b"),
            ("z/z", None, "/c"),
            ("a/b", None, "/c"),
            // The slash is part of the name that is compared, and precedes letters but not the hyphen.
            ("ns/x", None, "/d"),
            ("ns-1/x", None, "/d"),
            ("ns/x", None, "/e"),
            ("nsa/a", None, "/e"),
        ],
        &[
            ("h/a", Some(1)),
            ("h/b", Some(3)),
            ("h/c", Some(6)),
            ("h/d", Some(8)),
            ("h/e", Some(9)),
            ("h/f", None),
        ],
    );
    let rules = vec![matches(&["/x", "/a"]), matches(&["/a", "/x"])];
    let routes = [route("only", None, rules)];
    check(
        &listener(vec![section("*", &[(0, &["*"])])]),
        &routes,
        &[
            (Request::new("h/a"), Ok((0, 0, 1))),
            (Request::new("h/x"), Ok((0, 0, 0))),
        ],
    );
}

/// Rule 1: precedence is per match over all routes; conformance HTTPRouteMatchingAcrossRoutes.
#[test]
fn ga03_precedence_is_per_match_across_routes() {
    let routes = [
        route("part1", Some(1), vec![matches(&["/", "/ version:one"])]),
        route("part2", Some(2), vec![matches(&["/v2", "/ version:two"])]),
    ];
    let hosts: &[&str] = &["example.com", "example.net"];
    let both = listener(vec![section("*", &[(0, hosts), (1, &["example.com"])])]);
    let ask = |text: &str, headers: &[(&str, &str)]| Request::new(text).with(headers);
    check(
        &both,
        &routes,
        &[
            (ask("example.com/", &[]), Ok((0, 0, 0))),
            (ask("example.com/", &[("version", "one")]), Ok((0, 0, 1))),
            (ask("example.com/", &[("version", "two")]), Ok((1, 0, 1))),
            (ask("example.com/v2", &[("version", "one")]), Ok((1, 0, 0))),
            (ask("example.com/v2example", &[]), Ok((0, 0, 0))),
            (ask("example.net/v2", &[]), Ok((0, 0, 0))),
            (ask("example.org/", &[]), NO_ROUTE),
        ],
    );
}

/// Rule 1, hosts; conformance HTTPRouteHostnameIntersection.
#[test]
fn ga03_the_most_specific_host_precedes() {
    let any = || vec![matches(&["/"])];
    let routes: Vec<_> = ["specific", "narrow", "wide", "any"]
        .iter()
        .map(|name| route(name, None, any()))
        .collect();
    let all = section(
        "*",
        &[
            (3, &["*"]),
            (2, &["*.wildcard.io"]),
            (1, &["*.very.wildcard.io"]),
            (0, &["very.specific.com"]),
        ],
    );
    check(
        &listener(vec![all]),
        &routes,
        &[
            (Request::new("very.specific.com/s1"), Ok((0, 0, 0))),
            (Request::new("not.very.specific.com/s1"), Ok((3, 0, 0))),
            (Request::new("foo.wildcard.io/"), Ok((2, 0, 0))),
            (Request::new("very.wildcard.io/"), Ok((2, 0, 0))),
            (Request::new("a.very.wildcard.io/"), Ok((1, 0, 0))),
            (Request::new("b.a.very.wildcard.io/"), Ok((1, 0, 0))),
            (Request::new("wildcard.io/"), Ok((3, 0, 0))),
            (Request::new("xwildcard.io/"), Ok((3, 0, 0))),
            (Request::new("/"), Ok((3, 0, 0))),
        ],
    );
}

/// Rule 1: a host precedes a path, yet a less specific host serves what the more specific one does not.
#[test]
fn ga03_hosts_precede_paths_and_a_miss_falls_through_to_wider_hosts() {
    let routes = [
        route("exact", None, vec![matches(&["/a", "/only POST:"])]),
        route("narrow", None, vec![matches(&["/b", "=/a/x"])]),
        route("wide", None, vec![matches(&["/c", "=/a/x"])]),
        route("any", None, vec![matches(&["/", "=/a/x"])]),
    ];
    let hosts = section(
        "*",
        &[(0, &["x.y.z"]), (1, &["*.y.z"]), (2, &["*.z"]), (3, &["*"])],
    );
    check(
        &listener(vec![hosts]),
        &routes,
        &[
            (Request::new("x.y.z/a/x"), Ok((0, 0, 0))),
            (Request::new("x.y.z/b"), Ok((1, 0, 0))),
            (Request::new("x.y.z/c"), Ok((2, 0, 0))),
            (Request::new("x.y.z/d"), Ok((3, 0, 0))),
            (Request::new("POST x.y.z/only"), Ok((0, 0, 1))),
            (Request::new("x.y.z/only"), Ok((3, 0, 0))),
            (Request::new("w.y.z/a/x"), Ok((1, 0, 1))),
            (Request::new("y.z/a/x"), Ok((2, 0, 1))),
            (Request::new("z/a/x"), Ok((3, 0, 1))),
        ],
    );
}

/// Rule 6; conformance GatewayHTTPListenerIsolation: the section is chosen first, and no other is asked.
#[test]
fn ga03_a_request_belongs_to_the_most_specific_section_only() {
    let route_of = |name: &str| route(name, None, vec![matches(&[&format!("/{name}")])]);
    let routes = ["empty", "wildcard", "foo", "exact"].map(route_of);
    let sections = vec![
        section("*", &[(0, &["*"])]),
        section("*.example.com", &[(1, &["*.example.com"])]),
        section("*.foo.example.com", &[(2, &["*.foo.example.com"])]),
        section("abc.foo.example.com", &[(3, &["abc.foo.example.com"])]),
    ];
    let mut cases = Vec::new();
    for (host, section) in [
        ("bar.com", 0),
        ("", 0),
        ("example.com", 0),
        ("bar.example.com", 1),
        ("foo.example.com", 1),
        ("bar.foo.example.com", 2),
        ("abc.foo.example.com", 3),
    ] {
        for (path, at) in ["empty", "wildcard", "foo", "exact"].iter().zip(0..) {
            cases.push((
                Request::new(&format!("{host}/{path}")),
                if at == section { Ok((at, 0, 0)) } else { NO_ROUTE },
            ));
        }
    }
    check(&listener(sections.clone()), &routes, &cases);
    let router = Router::build(&listener(sections[1..].to_vec()), &routes);
    let found = Request::new("bar.foo.example.com/foo").ask(|parts| router.find(parts));
    assert_eq!(
        found,
        Ok(Hit {
            section: 1,
            route: RouteId(2),
            rule: 0,
            match_index: 0
        })
    );
    for host in ["example.com", "bar.com", ""] {
        assert_eq!(
            Request::new(&format!("{host}/foo")).ask(|parts| router.find(parts)),
            Err(Miss::NoHost),
            "{host}"
        );
    }
}

/// Sections of two Gateways that share an address and a host compete as one.
#[test]
fn ga03_sections_of_one_host_share_it() {
    let routes = [
        route("left", Some(2), vec![matches(&["/", "/left"])]),
        route("right", Some(1), vec![matches(&["/", "/right"])]),
    ];
    let sections = vec![
        section("a.com", &[(0, &["a.com"])]),
        section("a.com", &[(1, &["a.com"])]),
    ];
    let router = Router::build(&listener(sections), &routes);
    for (path, section, match_index) in [("/left/x", 0, 1), ("/right", 1, 1), ("/other", 1, 0)] {
        let found = Request::new(&format!("a.com{path}")).ask(|parts| router.find(parts));
        assert_eq!(
            found,
            Ok(Hit {
                section,
                route: RouteId(section),
                rule: 0,
                match_index
            }),
            "{path}"
        );
    }
}

#[test]
fn ga03_nothing_attached_serves_nothing() {
    let ask = |hosts: &[&str], attachments: &[(u32, &[&str])]| {
        let sections = hosts.iter().map(|host| section(host, attachments)).collect();
        Request::new("a.com/").ask(|parts| Router::build(&listener(sections), &[]).find(parts))
    };
    assert_eq!(ask(&[], &[]), Err(Miss::NoHost));
    assert_eq!(ask(&["*"], &[]), Err(Miss::NoRoute));
    assert_eq!(ask(&["b.com"], &[]), Err(Miss::NoHost));
    assert_eq!(
        ask(&["*"], &[(7, &["*"])]),
        Err(Miss::NoRoute),
        "an attachment of no route is passed over"
    );
}

/// An expression that cannot be compiled takes down its own match and nothing else.
#[test]
fn ga03_an_impossible_expression_matches_nothing() {
    check_matches(
        &["~/a(", "/a ?q=~(", "/a", "~/a|(?:/b)", "~/a)|(?:/z"],
        &[
            ("h/a", Some(3)),
            ("h/a(", None),
            ("h/a/x?q=1", Some(2)),
            ("h/z", None),
        ],
    );
}

/// A long list of one path is split by header and parameter; precedence is as ever.
#[test]
fn bx09_many_values_of_one_header_keep_their_order() {
    let mut rules: Vec<Match> = (0..1_000)
        .map(|at| matching(&format!("/ tenant:t{at}")))
        .collect();
    rules.push(matching("/ tenant:t5 beta:1"));
    rules.push(matching("/ POST: tenant:t7"));
    rules.push(matching("/ ?tenant=t8 ?beta=1"));
    rules.push(matching("/ tenant:~t1.*"));
    rules.extend((0..10).map(|at| matching(&format!("/ ?q=q{at}"))));
    rules.push(matching("/"));
    let routes = [route("only", None, vec![rules])];
    let ask = |text: &str, headers: &[(&str, &str)]| Request::new(text).with(headers);
    check(
        &listener(vec![section("*", &[(0, &["*"])])]),
        &routes,
        &[
            (ask("h/", &[("tenant", "t5")]), Ok((0, 0, 5))),
            (ask("h/", &[("tenant", "t5"), ("beta", "1")]), Ok((0, 0, 1_000))),
            (ask("h/", &[("tenant", "t999"), ("beta", "1")]), Ok((0, 0, 999))),
            (ask("GET h/", &[("tenant", "t7")]), Ok((0, 0, 7))),
            (ask("POST h/", &[("tenant", "t7")]), Ok((0, 0, 1_001))),
            (ask("h/?beta=1&tenant=%748", &[]), Ok((0, 0, 1_002))),
            (ask("h/", &[("tenant", "t1000")]), Ok((0, 0, 1_003))),
            (ask("h/", &[("tenant", "other")]), Ok((0, 0, 1_014))),
            (ask("h/", &[]), Ok((0, 0, 1_014))),
            (ask("h/?q=%714", &[]), Ok((0, 0, 1_008))),
            (ask("h/?q=q4&q=q5", &[("tenant", "t6")]), Ok((0, 0, 6))),
        ],
    );
}

#[test]
fn bx14_routes_that_differ_in_what_happens_then_are_chosen_alike() {
    let rules = || vec![vec![matching("/a x:1"), matching("=/b")], vec![matching("/c")]];
    let one = route("one", Some(5), rules());
    let mut other = Route::clone(&one);
    other.rules[1].action = Action::Answer(FixedAnswer {
        status: 404,
        reason: "Other".into(),
        allow: None,
    });
    other.rules[0]
        .filters
        .push(Filter::RequestHeaders(HeaderChange::default()));
    assert!(are_chosen_alike(&one, &other));
    let mut fewer = rules();
    fewer.pop();
    let mut swapped = rules();
    swapped.swap(0, 1);
    let mut changed = rules();
    changed[0][0] = matching("/a x:2");
    for unlike in [
        route("other", Some(5), rules()),
        route("one", Some(6), rules()),
        route("one", None, rules()),
        route("one", Some(5), fewer),
        route("one", Some(5), swapped),
        route("one", Some(5), changed),
    ] {
        assert!(!are_chosen_alike(&one, &unlike), "{unlike:?}");
    }
}
