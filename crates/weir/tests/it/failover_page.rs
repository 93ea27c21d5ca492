//! `docs/failover.md`, run: its configuration and its policies are served as they stand, but for addresses and for times that
//! would make a test wait (rows LB26 to LB28, MC04, HC10).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::docs::yaml_block;
use crate::harness::{
    Client, Gateway, NameServer, PATIENCE, Process, Says, answer_of, free_port, scripted, weir,
};

const PAGE: &str = "docs/failover.md";
/// Probes that find out fast; the page leaves their times to weir.
const FAST: (&str, &str) = (
    "      type: HTTP\n",
    "      type: HTTP\n      interval: 50ms\n      unhealthyThreshold: 1\n",
);

/// The text with one of its parts replaced.
fn with(text: &str, (written, used): (&str, &str)) -> String {
    assert_eq!(text.matches(written).count(), 1, "{written} in {text}");
    text.replace(written, used)
}

/// The page's configuration on this port, with these endpoints for `shop` and this one for `shop-elsewhere`.
fn shop(port: u16, ports: &[u16], elsewhere: u16) -> String {
    const WRITTEN: &str = concat!(
        "  - ip: {address: 10.0.0.1, port: 80}\n",
        "  - ip: {address: 10.0.0.2, port: 80}\n",
    );
    let endpoints: String = ports
        .iter()
        .map(|port| format!("  - ip: {{address: 127.0.0.1, port: {port}}}\n"))
        .collect();
    let text = yaml_block(PAGE, "kind: Gateway\n");
    let text = with(&text, ("port: 8080}", &format!("port: {port}}}")));
    let text = with(&text, (WRITTEN, &endpoints));
    let (written, used) = ("example, port: 80}", format!("example, port: {elsewhere}}}"));
    with(&text, (written, &used))
}

/// The page's policy about tiers.
fn tiers() -> String {
    format!(
        "---\n{}",
        with(&yaml_block(PAGE, "overprovisioningPercent"), FAST)
    )
}

/// Serves it; the name on the page is this machine's.
fn start(port: u16, config: &str) -> Gateway {
    let server = NameServer::start(|name, _| {
        assert_eq!(name, "shop.elsewhere.example");
        Says::Addresses(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)], 3_600)
    });
    let server = server.address.to_string();
    Gateway::start_with(port, config, &["--reason-header", "--name-server", &server])
}

fn echo(port: u16) -> Process {
    let process = Process::start(&["echo", "--listen", &format!("127.0.0.1:{port}")]);
    process.stdout.wait_after(0, "echo: http");
    process
}

/// A backend whose probes find it well or not, as the test says. It answers requests all the same, and counts them.
struct Patient {
    port: u16,
    name: &'static str,
    is_well: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl Patient {
    fn named(name: &'static str) -> Self {
        let (is_well, asked) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
        let (found, count) = (Arc::clone(&is_well), Arc::clone(&asked));
        let port = scripted(move |head| {
            if head.starts_with("GET /healthz ") {
                let status = if found.load(Ordering::SeqCst) { 200 } else { 500 };
                return answer_of(name, status, "");
            }
            count.fetch_add(1, Ordering::SeqCst);
            answer_of(name, 200, "")
        });
        Self {
            port,
            name,
            is_well,
            asked,
        }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Changes, and waits until the gateway knows.
    fn turn(&self, gateway: &Gateway, is_well: bool) {
        let log = &gateway.process.stderr;
        let before = log.count();
        self.is_well.store(is_well, Ordering::SeqCst);
        let word = if is_well { "is healthy" } else { "is unhealthy" };
        log.wait_after(before, &format!(":{} {word}", self.port));
    }
}

/// Four endpoints of `shop` and one elsewhere, under the page's policy with a change and more of it; all are known to be well.
fn patients(change: (&str, &str), more: &str) -> ([Patient; 4], Patient, Gateway) {
    let shops = ["one", "two", "three", "four"].map(Patient::named);
    let elsewhere = Patient::named("elsewhere");
    let port = free_port();
    let ports: Vec<u16> = shops.iter().map(|patient| patient.port).collect();
    let config = shop(port, &ports, elsewhere.port) + &with(&tiers(), change) + more;
    let gateway = start(port, &config);
    for patient in shops.iter().chain([&elsewhere]) {
        gateway
            .process
            .stderr
            .wait_after(0, &format!(":{} is healthy", patient.port));
    }
    (shops, elsewhere, gateway)
}

const UNCHANGED: (&str, &str) = ("  failover:\n", "  failover:\n");

/// Who answers so many requests, or with which status.
fn answers(gateway: &Gateway, requests: u32) -> BTreeMap<String, u32> {
    let mut client = Client::connect(gateway.address);
    let mut counts = BTreeMap::new();
    for _ in 0..requests {
        let response = client.get("/", &[]);
        let who = match response.status {
            200 => response.pod(),
            status => status.to_string(),
        };
        *counts.entry(who).or_default() += 1;
    }
    counts
}

fn of(counts: &BTreeMap<String, u32>, who: &str) -> u32 {
    counts.get(who).copied().unwrap_or_default()
}

#[test]
fn lb26_without_checks_the_next_tier_serves_what_nobody_in_this_one_took() {
    let ports = [free_port(), free_port(), free_port()];
    let [first, second, _elsewhere] = ports.map(echo);
    let names = ports.map(|port| format!("echo-{port}"));
    let port = free_port();
    let gateway = start(port, &shop(port, &ports[..2], ports[2]));
    assert_eq!(of(&answers(&gateway, 40), &names[2]), 0);
    drop(first);
    assert_eq!(answers(&gateway, 40), BTreeMap::from([(names[1].clone(), 40)]));
    drop(second);
    assert_eq!(answers(&gateway, 40), BTreeMap::from([(names[2].clone(), 40)]));
}

#[test]
fn lb26_a_tier_carries_its_usable_part_times_1_4() {
    let (shops, _elsewhere, gateway) = patients(UNCHANGED, "");
    let spilled = || of(&answers(&gateway, 400), "elsewhere");
    assert_eq!(spilled(), 0, "all four");
    shops[0].turn(&gateway, false);
    assert_eq!(spilled(), 0, "three of four");
    shops[1].turn(&gateway, false);
    // 120 with a deviation of 9: this is beyond five of them.
    let found = spilled();
    assert!((72..=168).contains(&found), "two of four: {found}");
    shops[2].turn(&gateway, false);
    shops[3].turn(&gateway, false);
    assert_eq!(spilled(), 400, "none of four");
}

#[test]
fn hc10_nothing_dead_is_asked_as_long_as_another_tier_can_take_over() {
    let (shops, elsewhere, gateway) = patients(UNCHANGED, "");
    for dead in &shops[1..] {
        dead.turn(&gateway, false);
    }
    let asked = || shops[1..].iter().map(Patient::asked).sum::<usize>();
    let before = asked();
    let found = answers(&gateway, 200);
    assert_eq!(of(&found, "one") + of(&found, "elsewhere"), 200, "{found:?}");
    assert!(of(&found, "one") > 0 && of(&found, "elsewhere") > 0, "{found:?}");
    assert_eq!(asked(), before);
    // Without the other one all together carry too little, so the few that are well do not bear everything.
    elsewhere.turn(&gateway, false);
    let found = answers(&gateway, 200);
    assert!(shops.iter().all(|shop| of(&found, shop.name) > 0), "{found:?}");
}

#[test]
fn lb27_failback_waits_once_and_not_at_all_for_somebody_who_is_needed() {
    const DELAY: Duration = Duration::from_secs(3);
    let (shops, elsewhere, gateway) = patients(("failbackDelay: 30s", "failbackDelay: 3s"), "");
    let turn_all = |is_well| {
        for shop in &shops {
            shop.turn(&gateway, is_well);
        }
    };
    let mut client = Client::connect(gateway.address);
    // What no request meets has no consequence.
    turn_all(false);
    turn_all(true);
    assert_ne!(client.get("/", &[]).pod(), "elsewhere");

    turn_all(false);
    assert_eq!(client.get("/", &[]).pod(), "elsewhere");
    let begun = Instant::now();
    turn_all(true);
    while begun.elapsed() < DELAY / 2 {
        assert_eq!(client.get("/", &[]).pod(), "elsewhere");
    }
    // A reload in the middle, of this very rule.
    let reloaded = Instant::now();
    let config = std::fs::read_to_string(gateway.path()).expect("written");
    let changed = ("overprovisioningPercent: 140", "overprovisioningPercent: 141");
    gateway.rewrite(&with(&config, changed), "generation 2 in force");
    while client.get("/", &[]).pod() == "elsewhere" {
        assert!(reloaded.elapsed() < DELAY, "the reload began the delay anew");
    }
    // The workers' clock counts whole milliseconds: less than one may be missing.
    assert!(begun.elapsed() > DELAY - Duration::from_millis(1));

    turn_all(false);
    assert_eq!(client.get("/", &[]).pod(), "elsewhere");
    let begun = Instant::now();
    turn_all(true);
    assert_eq!(client.get("/", &[]).pod(), "elsewhere");
    elsewhere.turn(&gateway, false);
    assert_ne!(client.get("/", &[]).pod(), "elsewhere");
    assert!(begun.elapsed() < DELAY, "too slow to show anything");
}

#[test]
fn lb26_keys_keep_their_endpoint_and_the_same_ones_spill_over() {
    const KEYS: usize = 60;
    let by_user =
        "  loadBalancer: {type: ConsistentHash, consistentHash: {type: Header, header: {name: x-user}}}\n";
    let (shops, _elsewhere, gateway) = patients(UNCHANGED, by_user);
    let served = || -> Vec<String> {
        let mut client = Client::connect(gateway.address);
        (0..KEYS)
            .map(|key| client.get("/", &[("x-user", &key.to_string())]).pod())
            .collect()
    };
    let before = served();
    assert!(!before.contains(&"elsewhere".to_owned()), "{before:?}");
    shops[0].turn(&gateway, false);
    shops[1].turn(&gateway, false);
    let after = served();
    assert_eq!(served(), after, "chance decides");
    let spilled = after.iter().filter(|pod| *pod == "elsewhere").count();
    // 18 with a deviation of 4.
    assert!((2..=38).contains(&spilled), "{spilled} of {KEYS}");
    for (was, is) in before.iter().zip(&after) {
        let is_alive = [shops[2].name, shops[3].name].contains(&&**was);
        assert!(!is_alive || is == was || is == "elsewhere", "{was} became {is}");
    }
}

#[test]
fn lb26_the_first_that_names_a_tier_decides() {
    let page = shop(8080, &[9001], 9002);
    let policy = with(&tiers(), ("priority: 1\n", "priority: 3\n"));
    let reference = "name: shop-elsewhere}";
    let beside = |priority: u32| {
        let used = format!("name: shop-elsewhere, priority: {priority}}}");
        with(&page, (reference, &used))
    };
    for (config, tier) in [
        (page.clone(), Some("tier 1")),
        (page.clone() + &policy, Some("tier 3")),
        (beside(127) + &policy, Some("tier 127")),
        (beside(0) + &policy, None),
        (with(&page, ("  fallback: true\n", "")), None),
    ] {
        let explained = weir(&["explain", "-c", "-", "http://www.example.com:8080/"], &config);
        let of = |name: &str| {
            let mut lines = explained.stdout.lines();
            let line = lines.find(|line| line.starts_with("backend") && line.contains(name));
            line.unwrap_or_else(|| panic!("{name}: {}{}", explained.stdout, explained.stderr))
        };
        let (first, second) = (of("Backend default/shop "), of("Backend default/shop-elsewhere"));
        assert!(!first.contains("tier"), "{first}");
        match tier {
            Some(tier) => assert!(second.contains(&format!("   {tier}   ")), "{tier}: {second}"),
            None => assert!(!second.contains("tier"), "{second}"),
        }
    }
    let checked = weir(&["check", "-o", "json", "-"], &beside(128));
    assert!(
        checked.stdout.contains("priority") && checked.code != Some(0),
        "{checked:?}"
    );
}

/// `shop` and `shop-elsewhere` in one tier, under a policy that checks, with more of it.
fn side_by_side(more: &str) -> ([Patient; 4], Patient, Gateway) {
    let shops = ["one", "two", "three", "four"].map(Patient::named);
    let elsewhere = Patient::named("elsewhere");
    let port = free_port();
    let ports: Vec<u16> = shops.iter().map(|patient| patient.port).collect();
    let config = with(&shop(port, &ports, elsewhere.port), ("  fallback: true\n", ""));
    let checks = "  healthCheck: {panicThreshold: 0, active: {type: HTTP, http: {path: /healthz}, interval: 50ms, unhealthyThreshold: 1}}\n";
    let gateway = start(port, &format!("{config}---\n{more}{checks}"));
    for patient in shops.iter().chain([&elsewhere]) {
        gateway
            .process
            .stderr
            .wait_after(0, &format!(":{} is healthy", patient.port));
    }
    (shops, elsewhere, gateway)
}

#[test]
fn mc04_the_share_of_a_dead_backend_is_answered_or_goes_to_the_other() {
    let policy = yaml_block(PAGE, "redistribute: true");
    let plain = with(&policy, ("  failover:\n    redistribute: true\n", ""));
    for (policy, is_shared) in [(plain, false), (policy, true)] {
        let (shops, _elsewhere, gateway) = side_by_side(&policy);
        let share = || of(&answers(&gateway, 1_000), "elsewhere");
        assert_eq!(share(), 500, "all four");
        shops[0].turn(&gateway, false);
        assert_eq!(share(), 500, "three of four are more than 72 %");
        shops[1].turn(&gateway, false);
        let half = share();
        shops[2].turn(&gateway, false);
        shops[3].turn(&gateway, false);
        let none = answers(&gateway, 1_000);
        if is_shared {
            // Half of it times 1.4 is seven to ten: 588 with a deviation of 16 at most.
            assert!((508..=668).contains(&half), "{half}");
            assert_eq!(of(&none, "elsewhere"), 1_000, "{none:?}");
        } else {
            assert_eq!(half, 500);
            assert_eq!((of(&none, "elsewhere"), of(&none, "503")), (500, 500), "{none:?}");
        }
    }
}

/// The same, and waits until the name has been resolved.
fn start_resolved(port: u16, config: &str) -> Gateway {
    let straight = "---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: straight}
spec:
  parentRefs: [{name: eg}]
  rules:
  - matches: [{path: {value: /straight}}]
    backendRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: shop-elsewhere}]
";
    let gateway = start(port, &format!("{config}{straight}"));
    let mut client = Client::connect(gateway.address);
    let begun = Instant::now();
    while client.get("/straight", &[]).header("x-weir-reason").is_some() {
        assert!(begun.elapsed() < PATIENCE, "the name is not resolved");
    }
    gateway
}

/// A backend that answers everything so, and keeps the heads of what it was asked.
fn keeping(name: &'static str, status: u16) -> (u16, Arc<Mutex<Vec<String>>>) {
    let heads: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = Arc::clone(&heads);
    let port = scripted(move |head| {
        if head.starts_with("GET / ") {
            kept.lock().expect("not poisoned").push(head.to_ascii_lowercase());
        }
        answer_of(name, status, "")
    });
    (port, heads)
}

#[test]
fn lb28_retries_move_on_as_the_page_says() {
    let policy = yaml_block(PAGE, "numAttemptsPerPriority");
    let staying = with(&policy, ("    numAttemptsPerPriority: 1\n", ""));
    // Whether the tiers answer 200; the status, and how often each was asked.
    for (policy, second, status, asked) in [
        (&policy, 200, 200, [1, 1]),
        (&policy, 502, 502, [2, 2]),
        (&staying, 200, 503, [4, 0]),
    ] {
        let (first, second) = (keeping("first", 503), keeping("second", second));
        let port = free_port();
        let page = shop(port, &[first.0], second.0);
        let gateway = start_resolved(port, &format!("{page}---\n{policy}"));
        // The budget has three retries at once.
        let response = Client::connect(gateway.address).get("/", &[]);
        let found = [&first.1, &second.1].map(|heads| heads.lock().expect("not poisoned").len());
        assert_eq!((response.status, found), (status, asked));
    }
}

#[test]
fn lb28_a_request_is_written_anew_for_the_backend_that_it_goes_to() {
    let (first, second) = (keeping("first", 503), keeping("second", 200));
    let port = free_port();
    let adding = |name: &str| {
        format!(
            "name: {name}, filters: [{{type: RequestHeaderModifier, requestHeaderModifier: {{add: [{{name: x-for, value: {name}}}]}}}}]}}"
        )
    };
    let config = shop(port, &[first.0], second.0);
    let config = ["shop", "shop-elsewhere"].iter().fold(config, |text, name| {
        with(&text, (&format!("name: {name}}}"), &adding(name)))
    });
    let policy = yaml_block(PAGE, "numAttemptsPerPriority");
    let gateway = start_resolved(port, &format!("{config}---\n{policy}"));
    assert_eq!(Client::connect(gateway.address).get("/", &[]).pod(), "second");
    for (heads, name) in [(first.1, "shop"), (second.1, "shop-elsewhere")] {
        let heads = heads.lock().expect("not poisoned");
        let fields: Vec<&str> = heads[0]
            .lines()
            .filter(|line| line.starts_with("x-for:"))
            .collect();
        assert_eq!(fields, [format!("x-for: {name}")]);
    }
}
