//! weir's own ways of balancing, from YAML and tenants files to what endpoints get (rows LB08, LB09, LB11, CH11, BX01, BX04).

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::harness::{
    Backends, Client, Gateway, Process, Request, Spread, balanced_routes, endpoints, free_port, gateway,
    gateway_and_service, load,
};

/// Four backends, of which the last is slow.
fn one_slow() -> Backends {
    let mut delays = [Duration::from_millis(2); 4];
    delays[3] = Duration::from_millis(300);
    Backends::with_delays(&delays)
}

/// The share of the slow backend in a load of 400, percent.
fn share_of_slow(gateway: &Gateway, target: &str) -> u64 {
    let request = Request { target, headers: &[] };
    load(gateway.address, request, 400, 8).of("backend-4") / 4
}

#[test]
fn lb08_bx01_a_slow_backend_is_fled() {
    let backends = one_slow();
    let port = free_port();
    let types = ["Adaptive", "PeakEwma", "RoundRobin"];
    let blocks = types.map(|name| format!("{{type: {name}}}"));
    let routes = balanced_routes(&blocks.each_ref().map(String::as_str));
    let gateway = Gateway::start(port, &(gateway_and_service(port, &backends.ports()) + &routes));
    for target in ["/0", "/1"] {
        let share = share_of_slow(&gateway, target);
        assert!(share <= 8, "{target}: {share} %");
    }
    assert_eq!(share_of_slow(&gateway, "/2"), 25, "in turn");
}

/// A tenants file with one tenant under `/t/` over these ports.
fn tenant(port: u16, ports: &[u16], lines: &str) -> String {
    let services: Vec<String> = ports
        .iter()
        .map(|port| format!("{{name: s{port}, url: 'http://127.0.0.1:{port}'}}"))
        .collect();
    format!(
        "server: {{port: {port}}}\ntenants:\n  - name: t\n    path_prefix: /t/\n    services: [{}]\n{lines}",
        services.join(", ")
    )
}

#[test]
fn lb08_bx01_tenants_have_the_same_ways() {
    let backends = one_slow();
    for name in ["Adaptive", "PeakEwma"] {
        let port = free_port();
        let lines = format!("    load_balancer: {{type: {name}}}\n");
        let gateway = Gateway::start(port, &tenant(port, &backends.ports(), &lines));
        let share = share_of_slow(&gateway, "/t/");
        assert!(share <= 8, "{name}: {share} %");
    }
}

#[test]
fn ch09_ch13_tenants_have_hashes_bounds_and_sessions() {
    let backends = Backends::start(4);
    let port = free_port();
    let lines = "    load_balancer:\n      type: ConsistentHash\n      loadBoundPercent: 125\n      consistentHash:\n        \
                 type: Header\n        header: {name: X-User}\n        fallbacks: [{type: Cookie, cookie: {name: id}}]\n        \
                 ringHash: {minSize: 2048}\n    policy: {sessionPersistence: {cookie: {name: s}}}\n";
    let gateway = Gateway::start(port, &tenant(port, &backends.ports(), lines));
    let mut client = Client::connect(gateway.address);
    let mut spread = Spread::default();
    for user in 0..40 {
        let user = user.to_string();
        let first = client.get("/t/", &[("X-User", &user)]);
        let by_cookie = client.get("/t/", &[("Cookie", &format!("id={user}"))]);
        assert_eq!(by_cookie.pod(), first.pod(), "the same key from another source");
        let set = first.header("set-cookie").expect("a token");
        let token = set.split(';').next().expect("a pair");
        let other = client.get("/t/", &[("X-User", "another"), ("Cookie", token)]);
        assert_eq!((other.pod(), other.header("set-cookie")), (first.pod(), None));
        spread.count(first.pod());
    }
    assert_eq!(spread.pods(), 4, "{spread:?}");
}

/// Both tables, by the same header.
const TABLES: [&str; 2] = [
    "{type: ConsistentHash, consistentHash: {type: Header, header: {name: k}, ringHash: {}}}",
    "{type: ConsistentHash, consistentHash: {type: Header, header: {name: k}}}",
];

/// Which pod serves each of `keys` keys.
fn placed(gateway: &Gateway, target: &str, keys: usize) -> Vec<String> {
    let mut client = Client::connect(gateway.address);
    let mut pod = |key: usize| client.get(target, &[("k", &format!("key-{key}"))]).pod();
    (0..keys).map(&mut pod).collect()
}

/// How many places differ, and how many of those had not been `lost`.
fn moved(before: &[String], after: &[String], lost: &str) -> (usize, usize) {
    let pairs = || before.iter().zip(after).filter(|(before, after)| before != after);
    (
        pairs().count(),
        pairs().filter(|(before, _)| *before != lost).count(),
    )
}

#[test]
fn lb09_adding_one_of_five_moves_a_fifth_of_the_keys() {
    const KEYS: usize = 1_500;
    let backends = Backends::start(5);
    let (ports, port) = (backends.ports(), free_port());
    let config = |ports: &[u16]| gateway(port) + &balanced_routes(&TABLES) + &endpoints(ports);
    let weir = Gateway::start(port, &config(&ports[..4]));
    let before = ["/0", "/1"].map(|target| placed(&weir, target, KEYS));
    weir.rewrite(&config(&ports), " in force (");
    for (before, (target, foreign_max)) in before.iter().zip([("/0", 0), ("/1", KEYS / 20)]) {
        let after = placed(&weir, target, KEYS);
        let (all, _) = moved(before, &after, "");
        assert!((KEYS / 10..=KEYS / 4).contains(&all), "{target}: {all} moved");
        let foreign = before
            .iter()
            .zip(&after)
            .filter(|(was, is)| was != is && *is != "backend-5");
        assert!(foreign.count() <= foreign_max, "{target}");
    }
}

#[test]
fn ch11_a_lost_backends_keys_move_come_back_and_hardly_any_others_do() {
    const KEYS: usize = 1_500;
    let ports = [(); 4].map(|()| free_port());
    let echo = |port: u16| {
        let process = Process::start(&["echo", "--listen", &format!("127.0.0.1:{port}")]);
        process.stdout.wait_after(0, "echo: http");
        process
    };
    let mut backends: Vec<Process> = ports.iter().map(|port| echo(*port)).collect();
    let lost = format!("echo-{}", ports[3]);
    let port = free_port();
    let checked = |table: &str| {
        format!(
            "{table}\n  healthCheck: {{active: {{type: TCP, tcp: {{}}, interval: 50ms, timeout: 500ms, unhealthyThreshold: 1}}}}"
        )
    };
    let blocks = TABLES.map(checked);
    let routes = balanced_routes(&blocks.each_ref().map(String::as_str));
    let gateway = Gateway::start(port, &(gateway_and_service(port, &ports) + &routes));
    let log = &gateway.process.stderr;
    for port in ports {
        log.wait_after(0, &format!(":{port} is healthy"));
    }
    let before = ["/0", "/1"].map(|target| placed(&gateway, target, KEYS));
    let said = log.count();
    drop(backends.pop());
    log.wait_after(said, &format!(":{} is unhealthy", ports[3]));
    for (before, target) in before.iter().zip(["/0", "/1"]) {
        let (all, foreign) = moved(before, &placed(&gateway, target, KEYS), &lost);
        let own = before.iter().filter(|pod| **pod == lost).count();
        assert_eq!((all, foreign), (own, 0), "{target}: only its own keys move");
    }
    let said = log.count();
    backends.push(echo(ports[3]));
    log.wait_after(said, &format!(":{} is healthy", ports[3]));
    for (before, target) in before.iter().zip(["/0", "/1"]) {
        assert_eq!(&placed(&gateway, target, KEYS), before, "{target}: all come back");
    }
}

#[test]
fn lb11_one_hot_key_overloads_nobody() {
    let backends = Backends::with_delays(&[Duration::from_secs(2); 4]);
    let port = free_port();
    let bounded = TABLES.map(|table| table.replacen('{', "{loadBoundPercent: 125, ", 1));
    let routes = balanced_routes(&bounded.each_ref().map(String::as_str));
    let config = gateway_and_service(port, &backends.ports()) + &routes;
    let gateway = Gateway::start_with(port, &config, &["--threads", "1"]);
    for target in ["/0", "/1"] {
        let headers = [("k", "hot")];
        // All at once: each is in flight until the last has come.
        let spread = load(
            gateway.address,
            Request {
                target,
                headers: &headers,
            },
            100,
            100,
        );
        assert!(spread.counts().iter().all(|count| *count <= 32), "{spread:?}");
        assert_eq!(spread.pods(), 4, "{spread:?}");
    }
}

/// A client's cookie and the pod that it leads to.
type Jar = Mutex<Option<(String, String)>>;

/// Requests of clients that are active in proportion to one over their rank, 320 at a time; returns how many of those after
/// the first visits came to the client's pod, how many did not, and who served.
fn zipf(gateway: &Gateway, requests: usize) -> (usize, usize, BTreeMap<String, usize>) {
    const CLIENTS: usize = 1_000;
    let jars: Vec<Jar> = (0..CLIENTS).map(|_| Mutex::default()).collect();
    let ends: Vec<f64> = (1..=CLIENTS)
        .scan(0.0, |end, rank| {
            *end += 1.0 / rank as f64;
            Some(*end)
        })
        .collect();
    let drawn = |number: usize| {
        // Golden-ratio steps: the same clients in every run, well mixed.
        let unit = (number as f64 * 0.618_033_988_749_895).fract();
        ends.partition_point(|end| *end < unit * ends[CLIENTS - 1])
            .min(CLIENTS - 1)
    };
    let (next, hits, misses) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let served = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..320 {
            scope.spawn(|| {
                let mut client = Client::connect(gateway.address);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= requests {
                        return;
                    }
                    let jar = &jars[drawn(number)];
                    let known = jar.lock().expect("a jar").clone();
                    let cookie = known.as_ref().map(|(cookie, _)| ("Cookie", cookie.as_str()));
                    let answer = client.get("/0", cookie.as_slice());
                    let pod = answer.pod();
                    if let Some(set) = answer.header("set-cookie") {
                        let pair = set.split(';').next().expect("a pair").to_owned();
                        *jar.lock().expect("a jar") = Some((pair, pod.clone()));
                    }
                    if number >= requests / 2 {
                        *served.lock().expect("counts").entry(pod.clone()).or_default() += 1;
                        if let Some((_, home)) = known {
                            let count = if home == pod { &hits } else { &misses };
                            count.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    (
        hits.into_inner(),
        misses.into_inner(),
        served.into_inner().expect("counts"),
    )
}

#[test]
fn bx04_affinity_is_kept_and_bounded() {
    let backends = Backends::with_delays(&[Duration::from_millis(100); 4]);
    let port = free_port();
    let routes = balanced_routes(&[
        "{type: LeastRequest, loadBoundPercent: 125}\n  sessionPersistence: {cookie: {name: s}}",
    ]);
    let gateway = Gateway::start(port, &(gateway_and_service(port, &backends.ports()) + &routes));
    // On a busy machine answers come in crowds, crowds reach the bound, and who finds it reached goes elsewhere. That can only lower
    // the share, so the best of three counts; the bound holds each time.
    let is_kept = (0..3).any(|_| {
        let (hits, misses, served) = zipf(&gateway, 12_800);
        let greatest = *served.values().max().expect("somebody served") as f64;
        let mean = served.values().sum::<usize>() as f64 / 4.0;
        let hit_percent = hits * 100 / (hits + misses);
        println!(
            "{hit_percent} % at home, max/mean {:.3}, {served:?}",
            greatest / mean
        );
        assert!(greatest / mean <= 1.25, "{served:?}");
        hit_percent >= 95
    });
    assert!(is_kept, "never 95 % of the requests at home");
}
