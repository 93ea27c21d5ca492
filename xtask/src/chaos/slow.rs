//! Ten backends of which one is ten times slower and one fails at once; then ten equal ones.
//!
//! The backends sleep, so what is slow is slow whatever else the machine does. Requests come at random and at a pace that nothing
//! slows down, so a request that waits is billed for its wait. Everybody gets the same requests, in turn.

use std::net::SocketAddrV4;
use std::time::Duration;

use peers::pace::{self, Arrivals, End, Exchange, Plan};
use peers::queue::{Backend, Queues};

use super::options::Fault;
use super::report::{Limit, Report};
use super::stage::{Running, Stage};
use super::{document, site};
use crate::peers::{self as rivals, Figures, free_port};

/// Part of what the good backends can do.
const LOAD: f64 = 0.6;
/// Requests that a backend works on at a time.
const SEATS: usize = 4;
/// Mean time that a backend needs for a request.
const SERVICE: Duration = Duration::from_millis(10);

/// How long it takes.
struct Size {
    rounds: u64,
    measure: Duration,
}

/// Who balances.
struct Balancer {
    name: &'static str,
    running: Running,
    p99_ms: Figures,
    p50_ms: Figures,
    /// Part of the requests that went to the backend that fails, percent.
    trapped_percent: Figures,
    /// Requests without an answer of a backend, in all rounds.
    lost: usize,
}

/// Measures both.
pub(crate) fn run(stage: &Stage, is_short: bool, report: &mut Report) -> Result<(), String> {
    let size = |rounds, seconds| Size {
        rounds,
        measure: Duration::from_secs(seconds),
    };
    let (uneven, equal) = if is_short {
        (size(1, 3), size(1, 3))
    } else {
        (size(4, 8), size(7, 8))
    };
    measure_uneven(stage, &uneven, report)?;
    measure_equal(stage, &equal, report)
}

fn measure_uneven(stage: &Stage, size: &Size, report: &mut Report) -> Result<(), String> {
    let mut backends = backends(stage)?;
    backends[3].service = SERVICE * 10;
    backends[7].service = Duration::ZERO;
    backends[7].status = 503;
    let queues = start(&backends)?;
    let mut balancers = vec![
        adaptive(stage, &backends)?,
        least_request(stage, &backends)?,
        envoy(stage, &backends)?,
    ];
    measure(&backends, &queues, &mut balancers, size)?;
    tell(report, "one slow, one fails", &balancers);
    let [adaptive, least_request, envoy] = &balancers[..] else {
        return Err("three balancers were started".to_owned());
    };
    let mut section = report.section(Fault::Slow, "one slow, one fails");
    let mut judge = |what, figures: Figures, most| {
        let median = figures.median().ok_or("no rounds")?;
        section.judge(what, median, Limit::Most(most));
        Ok::<(), String>(())
    };
    judge(
        "p99 of Adaptive / LeastRequest",
        adaptive.p99_ms.ratios(&least_request.p99_ms),
        0.5,
    )?;
    judge(
        "p99 of Adaptive / Envoy",
        adaptive.p99_ms.ratios(&envoy.p99_ms),
        0.5,
    )?;
    judge(
        "Adaptive, part of the requests that fail, %",
        adaptive.trapped_percent.clone(),
        1.0,
    )
}

fn measure_equal(stage: &Stage, size: &Size, report: &mut Report) -> Result<(), String> {
    let backends = backends(stage)?;
    let queues = start(&backends)?;
    let mut balancers = vec![adaptive(stage, &backends)?, least_request(stage, &backends)?];
    measure(&backends, &queues, &mut balancers, size)?;
    tell(report, "all equal", &balancers);
    let ratio = balancers[0].p99_ms.ratios(&balancers[1].p99_ms).median();
    let mut section = report.section(Fault::Slow, "all equal");
    section.judge(
        "p99 of Adaptive / LeastRequest",
        ratio.ok_or("no rounds")?,
        Limit::Most(1.02),
    );
    Ok(())
}

/// Ten equal ones.
fn backends(stage: &Stage) -> Result<Vec<Backend>, String> {
    let backend = |port: &u16| Backend {
        address: SocketAddrV4::new([127, 0, 0, 1].into(), *port),
        seats: SEATS,
        service: SERVICE,
        status: 200,
    };
    Ok(stage.ports(10)?.iter().map(backend).collect())
}

fn start(backends: &[Backend]) -> Result<Queues, String> {
    Queues::start(backends, 1).map_err(|error| format!("the backends: {error}"))
}

fn adaptive(stage: &Stage, backends: &[Backend]) -> Result<Balancer, String> {
    let policy = document::policy("Backends that are not alike")?;
    weir(stage, "Adaptive", &format!("---\n{policy}"), backends)
}

fn least_request(stage: &Stage, backends: &[Backend]) -> Result<Balancer, String> {
    let policy = site::traffic_policy("shop", "loadBalancer: {type: LeastRequest}");
    weir(stage, "LeastRequest", &policy, backends)
}

fn weir(stage: &Stage, name: &'static str, policy: &str, backends: &[Backend]) -> Result<Balancer, String> {
    let port = free_port()?;
    let ports: Vec<u16> = backends.iter().map(|backend| backend.address.port()).collect();
    let config = site::shop(port, &ports) + policy;
    let running = stage.weir(&format!("weir-{name}"), port, &config)?;
    Ok(Balancer::new(name, running))
}

fn envoy(stage: &Stage, backends: &[Backend]) -> Result<Balancer, String> {
    let port = free_port()?;
    let endpoints: Vec<SocketAddrV4> = backends.iter().map(|backend| backend.address).collect();
    let config = rivals::envoy_with(port, "LEAST_REQUEST", &endpoints);
    let config = stage.write("envoy.yaml", &config)?;
    let arguments = [
        "--concurrency",
        "2",
        "--disable-hot-restart",
        "--log-level",
        "error",
        "-c",
        &config,
    ];
    let mut program = stage.start_other("envoy", &rivals::envoy()?, &arguments)?;
    let address = SocketAddrV4::new([127, 0, 0, 1].into(), port);
    program.wait_until_it_listens(address.into())?;
    Ok(Balancer::new("Envoy", Running { program, address }))
}

/// Everybody in turn, in an order that rotates.
fn measure(
    backends: &[Backend],
    queues: &Queues,
    balancers: &mut [Balancer],
    size: &Size,
) -> Result<(), String> {
    let good = backends.iter().filter(|backend| backend.status == 200);
    let rate = LOAD * good.map(Backend::capacity).sum::<f64>();
    let failing = backends.iter().position(|backend| backend.status != 200);
    for round in 0..size.rounds {
        for turn in 0..balancers.len() {
            let index = (turn + round as usize) % balancers.len();
            let balancer = &mut balancers[index];
            let before = queues.requests();
            let plan = Plan {
                arrivals: Arrivals::Random,
                seed: round + 1,
                ..Plan::new(balancer.running.address, rate, size.measure)
            };
            let outcome = pace::run(&plan).map_err(|error| format!("the load: {error}"))?;
            balancer.running.program.check_alive()?;
            let is_lost = |exchange: &&Exchange| !matches!(exchange.end, End::Answered(200 | 503));
            balancer.lost += outcome.exchanges.iter().filter(is_lost).count();
            let after = queues.requests();
            let of = |index: usize| (after[index] - before[index]) as f64;
            let all: f64 = (0..backends.len()).map(of).sum();
            balancer
                .trapped_percent
                .push(failing.map_or(0.0, |failing| of(failing) * 100.0 / all));
            let p99_ms = outcome.latency(0.99).as_secs_f64() * 1e3;
            balancer.p99_ms.push(p99_ms);
            balancer.p50_ms.push(outcome.latency(0.5).as_secs_f64() * 1e3);
            eprintln!(
                "{rate:.0} requests/s, round {} of {}: {:<13} p99 {p99_ms:7.2} ms",
                round + 1,
                size.rounds,
                balancer.name,
            );
        }
    }
    Ok(())
}

fn tell(report: &mut Report, case: &str, balancers: &[Balancer]) {
    for balancer in balancers {
        let mut section = report.section(Fault::Slow, case);
        let what = format!("{}: requests lost", balancer.name);
        section.judge(&what, balancer.lost as f64, Limit::Most(0.0));
        for (what, figures) in [
            ("p50, ms", &balancer.p50_ms),
            ("p99, ms", &balancer.p99_ms),
            ("requests that fail, %", &balancer.trapped_percent),
        ] {
            if let Some(median) = figures.median() {
                section.tell(&format!("{}: {what}", balancer.name), median);
            }
        }
    }
}

impl Balancer {
    fn new(name: &'static str, running: Running) -> Self {
        Self {
            name,
            running,
            p99_ms: Figures::default(),
            p50_ms: Figures::default(),
            trapped_percent: Figures::default(),
            lost: 0,
        }
    }
}
