//! Measures route lookup at 1, 100 and 10,000 routes: nanoseconds per lookup of the first route, of the last, of
//! none (a miss), and of all routes in a scattered order (caches see them as rarely as real traffic would show
//! them). Rounds of all cases are interleaved and the median is reported.
//!
//! `cargo run --release -p weir-route --example lookup_bench [-- --json]`

#![allow(clippy::print_stdout)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_model::{
    Action, Attachment, ClientIp, FixedAnswer, HeaderMatch, HostPattern, Listener, ListenerKey, Match,
    ObjectName, Origin, PathMatch, Route, RouteId, Rule, Section, Timeouts, ValueMatch,
};
use weir_route::{RequestParts, Router};

const SIZES: [usize; 3] = [1, 100, 10_000];
const ROUNDS: usize = 101;
/// Short enough that a round is seldom interrupted.
const LOOKUPS_PER_ROUND: usize = 10_000;
/// A lookup at any size may cost this many times what it costs with one route.
const FLAT_WITHIN: f64 = 1.2;

#[derive(Clone, Copy, PartialEq)]
enum Shape {
    OneHostManyPaths,
    ManyHostsOnePath,
    ManyHostsManyPaths,
    OnePathManyHeaders,
}

#[derive(Clone, Copy, PartialEq)]
enum Asked {
    First,
    Last,
    Miss,
    Scattered,
}

/// The request that one route serves.
struct Request {
    host: String,
    path: String,
    tenant: String,
}

struct Case {
    shape: Shape,
    routes: usize,
    asked: Asked,
    requests: Vec<Request>,
    rounds_ns: Vec<f64>,
}

fn main() {
    let json = std::env::args().any(|argument| argument == "--json");
    let (mut routers, mut cases, mut builds) = (Vec::new(), Vec::new(), Vec::new());
    for shape in Shape::ALL {
        for size in SIZES {
            let (listener, routes) = shape.configuration(size);
            builds.push((shape, size, build_time(&listener, &routes)));
            let router = Router::build(&listener, &routes);
            for asked in Asked::ALL {
                let requests = asked.requests(shape, size);
                check(&router, asked, &requests);
                cases.push((
                    routers.len(),
                    Case {
                        shape,
                        routes: size,
                        asked,
                        requests,
                        rounds_ns: Vec::new(),
                    },
                ));
            }
            routers.push(router);
        }
    }
    for _ in 0..ROUNDS {
        for (router, case) in &mut cases {
            case.rounds_ns.push(round(&routers[*router], &case.requests));
        }
    }
    let cases: Vec<Case> = cases.into_iter().map(|(_, case)| case).collect();
    if json {
        print_json(&cases);
    } else {
        print_table(&cases, &builds);
    }
}

impl Shape {
    const ALL: [Self; 4] = [
        Self::OneHostManyPaths,
        Self::ManyHostsOnePath,
        Self::ManyHostsManyPaths,
        Self::OnePathManyHeaders,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::OneHostManyPaths => "one host, many paths",
            Self::ManyHostsOnePath => "many hosts, one path",
            Self::ManyHostsManyPaths => "many hosts, many paths",
            Self::OnePathManyHeaders => "one path, many headers",
        }
    }

    /// The host, path prefix and tenant of route `at` of `size`.
    fn place(self, at: usize, size: usize) -> (String, String, Option<String>) {
        let hosts = size.isqrt().max(1);
        match self {
            Self::OneHostManyPaths => ("www.example.com".to_owned(), format!("/service-{at:05}"), None),
            Self::ManyHostsOnePath => (format!("host-{at:05}.example.com"), String::new(), None),
            Self::ManyHostsManyPaths => (
                format!("host-{:05}.example.com", at % hosts),
                format!("/service-{:05}", at / hosts),
                None,
            ),
            Self::OnePathManyHeaders => (
                "www.example.com".to_owned(),
                "/service".to_owned(),
                Some(format!("tenant-{at:05}")),
            ),
        }
    }

    fn request(self, at: usize, size: usize) -> Request {
        let (host, prefix, tenant) = self.place(at, size);
        Request {
            host,
            path: format!("{prefix}/items/42"),
            tenant: tenant.unwrap_or_else(|| "none".to_owned()),
        }
    }

    fn configuration(self, size: usize) -> (Listener, Vec<Arc<Route>>) {
        let places: Vec<_> = (0..size).map(|at| self.place(at, size)).collect();
        let routes = places
            .iter()
            .enumerate()
            .map(|(at, (_, prefix, tenant))| route(at, prefix, tenant.as_deref()));
        let attachment = |(route, (host, ..)): (u32, &(String, _, _))| Attachment {
            route: RouteId(route),
            hosts: vec![HostPattern::parse(host)],
        };
        let section = Section {
            name: "default/gateway/http".into(),
            host: HostPattern::Any,
            port: 80,
            attachments: (0..).zip(&places).map(attachment).collect(),
            origin: Origin::default(),
        };
        let key = ListenerKey {
            address: ([0, 0, 0, 0], 80).into(),
        };
        (
            Listener {
                key,
                sections: vec![section],
                client_ip: ClientIp::Peer,
            },
            routes.collect(),
        )
    }
}

impl Asked {
    const ALL: [Self; 4] = [Self::First, Self::Last, Self::Miss, Self::Scattered];

    fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Last => "last",
            Self::Miss => "miss",
            Self::Scattered => "scattered",
        }
    }

    fn requests(self, shape: Shape, size: usize) -> Vec<Request> {
        match self {
            Self::First => vec![shape.request(0, size)],
            Self::Last => vec![shape.request(size - 1, size)],
            Self::Miss => vec![shape.request(99_999, size)],
            // 7,919 is prime and divides none of the sizes: every route comes once, far from the one before.
            Self::Scattered => (0..size)
                .map(|at| shape.request(at * 7_919 % size, size))
                .collect(),
        }
    }
}

fn route(at: usize, prefix: &str, tenant: Option<&str>) -> Arc<Route> {
    let tenant = tenant.map(|tenant| HeaderMatch {
        name: "x-tenant".into(),
        value: ValueMatch::Exact(tenant.into()),
    });
    let one = Match {
        path: PathMatch::Prefix(prefix.into()),
        method: None,
        headers: tenant.into_iter().collect(),
        query: Vec::new(),
    };
    let rule = Rule {
        key: "".into(),
        name: None,
        matches: vec![one],
        filters: Vec::new(),
        action: Action::Answer(FixedAnswer {
            status: 500,
            reason: "".into(),
            allow: None,
        }),
        timeouts: Timeouts::default(),
        traffic: None,
        origin: Origin::default(),
    };
    let object = ObjectName::new("HTTPRoute", "default", format!("route-{at:05}"));
    Arc::new(Route {
        object,
        created: Some(0),
        rules: vec![rule],
        origin: Origin::default(),
    })
}

fn check(router: &Router, asked: Asked, requests: &[Request]) {
    for request in requests {
        assert_eq!(
            find(router, request),
            asked != Asked::Miss,
            "{} {}",
            request.host,
            request.path
        );
    }
}

fn find(router: &Router, request: &Request) -> bool {
    let headers = [
        ("user-agent", "bench"),
        ("accept", "*/*"),
        ("x-tenant", &*request.tenant),
    ];
    let parts = RequestParts {
        host: &request.host,
        path: &request.path,
        query: None,
        method: "GET",
        headers: black_box(&headers),
    };
    black_box(router.find(black_box(&parts))).is_ok()
}

/// Nanoseconds per lookup, after one pass to bring the tables back into the caches.
fn round(router: &Router, requests: &[Request]) -> f64 {
    let requests = || requests.iter().cycle().take(LOOKUPS_PER_ROUND);
    requests().for_each(|request| _ = find(router, request));
    let started = Instant::now();
    requests().for_each(|request| _ = find(router, request));
    started.elapsed().as_nanos() as f64 / LOOKUPS_PER_ROUND as f64
}

fn build_time(listener: &Listener, routes: &[Arc<Route>]) -> Duration {
    let mut times: Vec<Duration> = (0..7)
        .map(|_| {
            let started = Instant::now();
            black_box(Router::build(listener, routes));
            started.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// The median over rounds of this case's time over that of the one-route case, each round on its own.
fn growth(cases: &[Case], case: &Case) -> f64 {
    let smallest = cases
        .iter()
        .find(|other| (other.shape, other.asked, other.routes) == (case.shape, case.asked, 1));
    let smallest = smallest.map_or(&case.rounds_ns, |smallest| &smallest.rounds_ns);
    median(
        &case
            .rounds_ns
            .iter()
            .zip(smallest)
            .map(|(at, one)| at / one)
            .collect::<Vec<_>>(),
    )
}

fn print_table(cases: &[Case], builds: &[(Shape, usize, Duration)]) {
    println!(
        "{:<24}{:<11}{:>9}{:>9}{:>11}{:>17}",
        "ns per lookup", "", "1 route", "100", "10,000", "10,000 over 1"
    );
    for shape in Shape::ALL {
        for asked in Asked::ALL {
            let of = |case: &&Case| case.shape == shape && case.asked == asked;
            let figures: Vec<f64> = cases
                .iter()
                .filter(of)
                .map(|case| median(&case.rounds_ns))
                .collect();
            let last = cases.iter().rfind(of);
            let growth = last.map_or(0.0, |case| growth(cases, case));
            // The cache misses of scattered lookups grow with the tables; the bound is on the work.
            let verdict = if growth > FLAT_WITHIN && asked != Asked::Scattered {
                "  over 1.2"
            } else {
                ""
            };
            print!("{:<24}{:<11}", shape.name(), asked.name());
            println!(
                "{:>9.1}{:>9.1}{:>11.1}{growth:>17.2}{verdict}",
                figures[0], figures[1], figures[2]
            );
        }
    }
    println!(
        "\n{:<35}{:>9}{:>9}{:>11}",
        "microseconds per build", "1 route", "100", "10,000"
    );
    for shape in Shape::ALL {
        let of = builds.iter().filter(|(of, ..)| *of == shape);
        let figures: Vec<f64> = of.map(|(.., time)| time.as_nanos() as f64 / 1e3).collect();
        println!(
            "{:<35}{:>9.1}{:>9.1}{:>11.1}",
            shape.name(),
            figures[0],
            figures[1],
            figures[2]
        );
    }
}

/// One line for each question to each shape, with the costs by number of routes.
fn print_json(cases: &[Case]) {
    let name = |case: &Case| format!("{}: {}", case.asked.name(), case.shape.name());
    let mut names: Vec<String> = Vec::new();
    for case in cases {
        if !names.contains(&name(case)) {
            names.push(name(case));
        }
    }
    for one in names {
        let costs = cases.iter().filter(|case| name(case) == one);
        let costs: Vec<String> = costs
            .map(|case| format!("{:.2}", median(&case.rounds_ns)))
            .collect();
        println!(r#"{{"name":"{one}","costs":[{}]}}"#, costs.join(","));
    }
}
