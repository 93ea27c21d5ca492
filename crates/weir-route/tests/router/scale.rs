//! What a lookup costs with many routes: no more than with one, but for caches (row BX09). `cargo xtask micro` measures
//! how flat exactly; here a bound that a scan over the routes would miss a thousandfold.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_model::Route;
use weir_route::{RequestParts, Router};

use crate::support::{listener, matching, route, section};

const ROUTES: usize = 10_000;
const LOOKUPS: u32 = 2_000;
/// How much more a lookup among [`ROUTES`] may cost than one among 1, on a busy machine and without optimisation.
const FACTOR_MAX: u32 = 8;

/// One rule for each path, all under one host.
fn by_path(count: usize) -> (Router, Vec<Arc<Route>>) {
    let rules = (0..count)
        .map(|at| vec![matching(&format!("/api/p{at}"))])
        .collect();
    let routes = vec![route("paths", None, rules)];
    let section = section("*", &[(0, &["www.example.com"])]);
    (Router::build(&listener(vec![section]), &routes), routes)
}

/// One route for each host.
fn by_host(count: usize) -> (Router, Vec<Arc<Route>>) {
    let names: Vec<String> = (0..count).map(|at| format!("h{at}.example.com")).collect();
    let routes: Vec<_> = (0..count)
        .map(|at| route(&format!("r{at}"), None, vec![vec![matching("/api")]]))
        .collect();
    let hosts: Vec<[&str; 1]> = names.iter().map(|name| [name.as_str()]).collect();
    let attachments: Vec<(u32, &[&str])> = (0u32..).zip(hosts.iter().map(|hosts| &hosts[..])).collect();
    (
        Router::build(&listener(vec![section("*", &attachments)]), &routes),
        routes,
    )
}

/// The least time that the lookups of one request took in several rounds.
fn cost(router: &Router, host: &str, path: &str, is_served: bool) -> Duration {
    let request = RequestParts {
        host,
        path,
        query: None,
        method: "GET",
        headers: &[("accept", "*/*")],
    };
    let round = || {
        let start = Instant::now();
        for _ in 0..LOOKUPS {
            assert_eq!(black_box(router).find(black_box(&request)).is_ok(), is_served);
        }
        start.elapsed()
    };
    (0..7).map(|_| round()).min().expect("rounds")
}

#[test]
fn bx09_a_lookup_among_ten_thousand_routes_costs_as_much_as_among_one() {
    let last = ROUTES - 1;
    let ((one, _one), (many, _many)) = (by_path(1), by_path(ROUTES));
    let least = cost(&one, "www.example.com", "/api/p0", true);
    for (path, is_served) in [
        ("/api/p0".to_owned(), true),
        (format!("/api/p{last}/x"), true),
        ("/api/none".to_owned(), false),
    ] {
        let found = cost(&many, "www.example.com", &path, is_served);
        assert!(found < least * FACTOR_MAX, "{path}: {found:?} against {least:?}");
    }
    let ((one, _one), (many, _many)) = (by_host(1), by_host(ROUTES));
    let least = cost(&one, "h0.example.com", "/api", true);
    for (host, is_served) in [
        ("h0.example.com".to_owned(), true),
        (format!("h{last}.example.com"), true),
        ("none.example.com".to_owned(), false),
    ] {
        let found = cost(&many, &host, "/api", is_served);
        assert!(found < least * FACTOR_MAX, "{host}: {found:?} against {least:?}");
    }
}
