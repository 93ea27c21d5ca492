//! What a pick costs: nanoseconds per pick for each policy at 10, 1,000 and 10,000 endpoints, median of rounds.
//! `--json` prints one object per line; an argument measures only the picks whose name begins with it. Endpoints hold 0 to 7 requests, so that loads differ.

use std::hint::black_box;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use weir_balance::{
    Answer, Balancer, Counted, Counters, EndpointState, KeyView, Lease, Member, OverrideHosts, Permit, Pick,
    Rng, Scope, SessionTimeouts, Split, TokenKey, TokenKeys, hash_key, request_key,
};
use weir_model::{
    Algorithm, BalanceSpec, Choices, ConsistentHash, Endpoint, EndpointAddress, EndpointOverride, HashSource,
    HashTable, LeastRequest, LoadBound, MissingKey, RingSize, SlowStart, Weight,
};

const SIZES: [usize; 3] = [10, 1_000, 10_000];
const ROUNDS: usize = 401;
const BUILDS: usize = 15;
// Short rounds: most of them run undisturbed on a busy machine.
const PICKS: u32 = 10_000;

fn main() -> io::Result<()> {
    let json = std::env::args().any(|argument| argument == "--json");
    let mut out = io::stdout().lock();
    if !json {
        writeln!(
            out,
            "{:<44} {:>10} {:>10} {:>10}",
            "ns per pick, endpoints:", SIZES[0], SIZES[1], SIZES[2]
        )?;
    }
    let only = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with("--"));
    if let Some(only) = only {
        for (name, spec, weighted) in policies()
            .into_iter()
            .filter(|(name, ..)| name.starts_with(&only))
        {
            report(
                &mut out,
                json,
                name,
                &SIZES.map(|size| pick_cost_ns(&spec, size, weighted)),
            )?;
        }
        return Ok(());
    }
    for (name, spec, weighted) in policies() {
        let costs = SIZES.map(|size| pick_cost_ns(&spec, size, weighted));
        report(&mut out, json, name, &costs)?;
    }
    report(
        &mut out,
        json,
        "round robin, two threads on one cursor",
        &SIZES.map(contended_cost_ns),
    )?;
    report(
        &mut out,
        json,
        "hash, key of a 10-byte header included",
        &SIZES.map(hash_cost_ns),
    )?;
    report(
        &mut out,
        json,
        "override of one address",
        &SIZES.map(override_cost_ns),
    )?;
    report(&mut out, json, "lease begin and end", &SIZES.map(lease_cost_ns))?;
    report(
        &mut out,
        json,
        "lease watched, answered and ended",
        &SIZES.map(watch_cost_ns),
    )?;
    report(
        &mut out,
        json,
        "breaker: one place taken and given back",
        &[permit_cost_ns()],
    )?;
    report(&mut out, json, "session token verified", &[token_cost_ns(false)])?;
    report(&mut out, json, "session token written", &[token_cost_ns(true)])?;
    report(
        &mut out,
        json,
        "key: source address",
        &[key_cost_ns(HashSource::SourceIp {
            prefix_length_v4: 32,
            prefix_length_v6: 128,
        })],
    )?;
    report(
        &mut out,
        json,
        "key: one header",
        &[key_cost_ns(HashSource::Headers(vec!["foobar".into()]))],
    )?;
    report(
        &mut out,
        json,
        "split of 90/10 by cursor",
        &[split_cost_ns(false)],
    )?;
    report(&mut out, json, "split of 90/10 by hash", &[split_cost_ns(true)])?;
    report(
        &mut out,
        json,
        "build: Maglev 65537, microseconds",
        &SIZES.map(|size| build_cost_us(size, false)),
    )?;
    report(
        &mut out,
        json,
        "build: Maglev 65537 weighted, microseconds",
        &SIZES.map(|size| build_cost_us(size, true)),
    )
}

fn report(out: &mut impl Write, json: bool, name: &str, costs: &[f64]) -> io::Result<()> {
    if json {
        let costs: Vec<String> = costs.iter().map(|cost| format!("{cost:.1}")).collect();
        return writeln!(out, "{{\"name\":\"{name}\",\"costs\":[{}]}}", costs.join(","));
    }
    write!(out, "{name:<44}")?;
    costs.iter().try_for_each(|cost| write!(out, " {cost:>10.1}"))?;
    writeln!(out)
}

fn policies() -> Vec<(&'static str, BalanceSpec, bool)> {
    let least = |choices, bias_milli| Algorithm::LeastRequest(LeastRequest { choices, bias_milli });
    let plain = |algorithm| BalanceSpec {
        algorithm,
        ..BalanceSpec::default()
    };
    let ramping = |algorithm| BalanceSpec {
        slow_start: Some(SlowStart {
            window: Duration::from_secs(10),
            aggression_milli: 1_000,
            min_weight_percent: 10,
        }),
        ..plain(algorithm)
    };
    vec![
        ("round robin", plain(Algorithm::RoundRobin), false),
        ("round robin, weights", plain(Algorithm::RoundRobin), true),
        (
            "round robin, slow start configured",
            ramping(Algorithm::RoundRobin),
            false,
        ),
        ("random", plain(Algorithm::Random), false),
        ("random, weights", plain(Algorithm::Random), true),
        ("least request", plain(least(Choices::Sample(2), 1_000)), false),
        (
            "least request, slow start configured",
            ramping(least(Choices::Sample(2), 1_000)),
            false,
        ),
        (
            "least request, weights",
            plain(least(Choices::Sample(2), 1_000)),
            true,
        ),
        (
            "least request, weights, bias 0.5",
            plain(least(Choices::Sample(2), 500)),
            true,
        ),
        ("adaptive", plain(Algorithm::Adaptive), false),
        (
            "adaptive, slow start configured",
            ramping(Algorithm::Adaptive),
            false,
        ),
        ("adaptive, weights", plain(Algorithm::Adaptive), true),
        ("peak EWMA", plain(Algorithm::PeakEwma), false),
        ("hash, key given", plain(hash()), false),
        ("hash, key given, weights", plain(hash()), true),
        ("hash on a ring, key given", plain(ring()), false),
        (
            "hash, key given, bounded load",
            BalanceSpec {
                load_bound: LoadBound::new(125),
                ..plain(hash())
            },
            false,
        ),
    ]
}

fn hash() -> Algorithm {
    Algorithm::ConsistentHash(ConsistentHash {
        sources: vec![HashSource::Headers(vec!["foobar".into()])],
        table: HashTable::default(),
        missing_key: MissingKey::Random,
    })
}

fn ring() -> Algorithm {
    Algorithm::ConsistentHash(ConsistentHash {
        sources: vec![HashSource::Headers(vec!["foobar".into()])],
        table: HashTable::Ring(RingSize::default()),
        missing_key: MissingKey::Random,
    })
}

fn members(count: usize, weighted: bool) -> Vec<Member> {
    let mut rng = Rng::from_seed(3);
    (0..count)
        .map(|number| {
            let address = SocketAddr::from((
                [10, (number >> 16) as u8, (number >> 8) as u8, number as u8],
                8080,
            ));
            let state = Arc::new(EndpointState::new(0));
            (0..rng.below(8)).for_each(|_| state.begin());
            let mut answered = Lease::watched(&*state, 1 << 40);
            let latency = Duration::from_micros(500 + u64::from(rng.below(1_000)));
            answered.answered(1 << 40, latency, Answer::Success);
            drop(answered);
            let weight = if weighted { 1 + number as u64 % 7 } else { 1 };
            let endpoint = Endpoint {
                weight: Weight::new(weight).unwrap_or(Weight::ONE),
                ..Endpoint::new(EndpointAddress::Tcp(address))
            };
            Member::new(endpoint, state)
        })
        .collect()
}

/// Median over rounds of the cost of one call, in nanoseconds.
fn median_ns(mut call: impl FnMut(u32)) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            (0..PICKS).for_each(&mut call);
            start.elapsed().as_nanos() as f64 / f64::from(PICKS)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

fn pick_cost_ns(spec: &BalanceSpec, size: usize, weighted: bool) -> f64 {
    let balancer = Balancer::new(spec, members(size, weighted));
    let (cursor, mut rng, mut keys) = (AtomicU64::new(1 << 40), Rng::from_seed(1), Rng::from_seed(2));
    let hashed = matches!(spec.algorithm, Algorithm::ConsistentHash(_));
    median_ns(|_| {
        let key = if hashed { Some(keys.next_u64()) } else { None };
        let mut pick = Pick {
            key,
            key_source: 0,
            cursor: &cursor,
            rng: &mut rng,
            now_ms: 1 << 40,
            override_hosts: None,
            tried: &[],
        };
        let _ = black_box(balancer.pick(&mut pick));
    })
}

/// As [`pick_cost_ns`], while another thread picks from the same balancer with the same cursor.
fn contended_cost_ns(size: usize) -> f64 {
    let spec = BalanceSpec {
        algorithm: Algorithm::RoundRobin,
        ..BalanceSpec::default()
    };
    let balancer = Balancer::new(&spec, members(size, false));
    let (cursor, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let pick = |rng: &mut Rng| {
        let mut pick = Pick {
            key: None,
            key_source: 0,
            cursor: &cursor,
            rng,
            now_ms: 0,
            override_hosts: None,
            tried: &[],
        };
        let _ = black_box(balancer.pick(&mut pick));
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut rng = Rng::from_seed(1);
            while !stop.load(Relaxed) {
                pick(&mut rng);
            }
        });
        let mut rng = Rng::from_seed(2);
        let cost_ns = median_ns(|_| pick(&mut rng));
        stop.store(true, Relaxed);
        cost_ns
    })
}

fn hash_cost_ns(size: usize) -> f64 {
    let spec = BalanceSpec {
        algorithm: hash(),
        ..BalanceSpec::default()
    };
    let balancer = Balancer::new(&spec, members(size, false));
    let (cursor, mut rng) = (AtomicU64::new(0), Rng::from_seed(1));
    let mut view = Request::default();
    median_ns(|number| {
        view.value[..4].copy_from_slice(&number.to_le_bytes());
        let key = request_key(black_box(&spec), &view);
        let mut pick = Pick {
            key: key.map(|key| key.hash),
            key_source: 0,
            cursor: &cursor,
            rng: &mut rng,
            now_ms: 1 << 40,
            override_hosts: None,
            tried: &[],
        };
        let _ = black_box(balancer.pick(&mut pick));
    })
}

fn override_cost_ns(size: usize) -> f64 {
    let overriding = EndpointOverride {
        headers: vec!["foobar".into()],
        strict: false,
        trusted: Vec::new(),
        strip: false,
        report_header: None,
    };
    let spec = BalanceSpec {
        endpoint_override: Some(overriding.clone()),
        ..BalanceSpec::default()
    };
    let balancer = Balancer::new(&spec, members(size, false));
    let (cursor, mut rng) = (AtomicU64::new(0), Rng::from_seed(1));
    let view = Request {
        value: *b"10.0.0.3:8080",
    };
    median_ns(|_| {
        let hosts = OverrideHosts::find(black_box(&overriding), &view);
        let mut pick = Pick {
            key: None,
            key_source: 0,
            cursor: &cursor,
            rng: &mut rng,
            now_ms: 1 << 40,
            override_hosts: hosts.as_ref(),
            tried: &[],
        };
        let _ = black_box(balancer.pick(&mut pick));
    })
}

fn lease_cost_ns(size: usize) -> f64 {
    let members = members(size, false);
    let mut rng = Rng::from_seed(1);
    median_ns(|_| {
        let member = &members[rng.below(size as u32) as usize];
        black_box(Lease::new(&*member.state));
    })
}

fn watch_cost_ns(size: usize) -> f64 {
    let members = members(size, false);
    let mut rng = Rng::from_seed(1);
    median_ns(|turn| {
        let member = &members[rng.below(size as u32) as usize];
        let now_ms = (1 << 40) + u64::from(turn / 100);
        let mut lease = Lease::watched(&*member.state, now_ms);
        lease.answered(
            now_ms,
            Duration::from_micros(500 + u64::from(turn)),
            Answer::Success,
        );
        black_box(lease);
    })
}

fn permit_cost_ns() -> f64 {
    let counters = Counters::striped(Scope::Backend, 1_024, 2);
    median_ns(|_| {
        let _ = black_box(Permit::take(
            &counters,
            Counted::ParallelRequests,
            black_box(1_024),
        ));
    })
}

fn token_cost_ns(written: bool) -> f64 {
    let keys = TokenKeys::new(TokenKey::new(&[7; 32]).into_iter().collect());
    let address = EndpointAddress::Tcp(SocketAddr::from(([10, 0, 0, 1], 8080)));
    let (mut text, mut out) = (Vec::new(), Vec::new());
    keys.write_endpoint(&address, b"rule", 1_790_000_000, 1_790_000_000, &mut text);
    median_ns(|_| {
        if written {
            out.clear();
            keys.write_endpoint(&address, b"rule", 1_790_000_000, 1_790_000_000, &mut out);
        } else {
            let _ = black_box(keys.verify(&text, b"rule", 1_790_000_000, SessionTimeouts::default()));
        }
    })
}

fn key_cost_ns(source: HashSource) -> f64 {
    let (sources, view) = ([source], Request::default());
    median_ns(|_| {
        black_box(hash_key(black_box(&sources), &view));
    })
}

fn split_cost_ns(hashed: bool) -> f64 {
    let weight = |number| Weight::new(number).unwrap_or(Weight::ONE);
    let split = Split::new([(weight(90), "one"), (weight(10), "two")]);
    let (cursor, mut keys) = (AtomicU64::new(0), Rng::from_seed(1));
    median_ns(|_| {
        let destination = if hashed {
            split.by_hash(keys.next_u64())
        } else {
            split.next(&cursor)
        };
        black_box(destination);
    })
}

fn build_cost_us(size: usize, weighted: bool) -> f64 {
    let spec = BalanceSpec {
        algorithm: hash(),
        ..BalanceSpec::default()
    };
    let members = members(size, weighted);
    let mut rounds: Vec<f64> = (0..BUILDS)
        .map(|_| {
            let members = members.clone();
            let start = Instant::now();
            black_box(Balancer::new(&spec, members));
            start.elapsed().as_nanos() as f64 / 1_000.0
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[BUILDS / 2]
}

/// A request with the header that the key and the override are read from, among others.
struct Request {
    value: [u8; 13],
}

impl Default for Request {
    fn default() -> Self {
        Self {
            value: *b"1.2.3.4.5.\0\0\0",
        }
    }
}

impl KeyView for Request {
    fn header_values<'a>(&'a self, name: &str, each: &mut dyn FnMut(&'a [u8])) {
        let value = if self.value[10] == 0 {
            &self.value[..10]
        } else {
            &self.value[..]
        };
        for (field, value) in [
            ("host", &b"example.com"[..]),
            ("accept", b"*/*"),
            ("foobar", value),
        ] {
            if field == name {
                each(value);
            }
        }
    }

    fn cookie(&self, _name: &str) -> Option<&[u8]> {
        None
    }

    fn query_parameter(&self, _name: &str) -> Option<&[u8]> {
        None
    }

    fn client_ip(&self) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(192, 168, 100, 200))
    }

    fn peer(&self) -> SocketAddr {
        SocketAddr::from(([192, 168, 100, 200], 40_000))
    }

    fn local(&self) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 1], 80))
    }
}
