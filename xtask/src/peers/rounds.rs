//! Interleaved rounds: everybody in turn, in an order that rotates, so that whatever else happens on the machine
//! happens to all of them.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::figures::Figures;
use super::kernel;
use super::load::{Generator, Load};
use super::options::Options;
use super::peer::Peer;
use super::process::Leashed;

/// How often a disturbed measurement is made again.
const REPEATS: u32 = 2;
/// Share of the machine that others may use in a measurement before it counts as disturbed, percent.
const OTHER_LIMIT_PERCENT: f64 = 10.0;
/// Share of the machine that the hypervisor may take, percent.
const STOLEN_LIMIT_PERCENT: f64 = 1.0;

/// A peer that is up.
pub(crate) struct Running {
    /// Who.
    pub(crate) peer: Peer,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Its processes.
    pub(crate) program: Leashed,
}

/// What the rounds of one peer at one number of connections gave; one entry per round in each of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rounds {
    /// CPU time per request, µs.
    pub(crate) cpu_us: Figures,
    /// Requests per second.
    pub(crate) rate: Figures,
    /// Median latency, ms.
    pub(crate) p50_ms: Figures,
    /// 99th percentile of latency, ms.
    pub(crate) p99_ms: Figures,
    /// Share of the machine that others than proxy, generator and backend used, percent.
    pub(crate) other_percent: Figures,
    /// Share of the machine that the hypervisor took, percent.
    pub(crate) stolen_percent: Figures,
    /// Failed requests and connections in all rounds.
    pub(crate) errors: u64,
    /// Measurements that were disturbed and made again.
    pub(crate) repeated: u32,
}

impl Rounds {
    /// For programs.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "cpu_us_per_request": self.cpu_us.to_json(),
            "requests_per_s": self.rate.to_json(),
            "p50_ms": self.p50_ms.to_json(),
            "p99_ms": self.p99_ms.to_json(),
            "other_cpu_percent": self.other_percent.to_json(),
            "stolen_cpu_percent": self.stolen_percent.to_json(),
            "errors": self.errors,
            "repeated": self.repeated,
        })
    }
}

/// Measures everybody at one number of connections. The result is in the order of `running`.
pub(crate) fn measure(
    options: &Options,
    generator: &Generator,
    backend: &Leashed,
    running: &mut [Running],
    connections: u32,
) -> Result<Vec<Rounds>, String> {
    let mut all = vec![Rounds::default(); running.len()];
    for one in running.iter_mut() {
        eprintln!("{connections} connections, warm-up: {}", one.peer);
        generator.run(one.address, connections, options.warm_up_s)?;
        one.program.check_alive()?;
    }
    for round in 0..options.rounds as usize {
        for turn in 0..running.len() {
            let index = (turn + round) % running.len();
            let one = &mut running[index];
            measure_once(options, generator, backend, one, connections, &mut all[index])?;
            eprintln!(
                "{connections} connections, round {} of {}: {:<8}{:7.2} µs/request",
                round + 1,
                options.rounds,
                one.peer,
                all[index].cpu_us.last().unwrap_or_default(),
            );
        }
    }
    Ok(all)
}

/// One measurement; a disturbed one is made again, and the last one counts whatever it is.
fn measure_once(
    options: &Options,
    generator: &Generator,
    backend: &Leashed,
    one: &mut Running,
    connections: u32,
    rounds: &mut Rounds,
) -> Result<(), String> {
    for attempt in 0..=REPEATS {
        let sample = Sample::take(options, generator, backend, one, connections)?;
        rounds.errors += sample.load.errors;
        let disturbed =
            sample.other_percent > OTHER_LIMIT_PERCENT || sample.stolen_percent > STOLEN_LIMIT_PERCENT;
        if disturbed && attempt < REPEATS {
            rounds.repeated += 1;
            eprintln!(
                "disturbed: {:.0} % of the machine went elsewhere; again",
                sample.other_percent
            );
            continue;
        }
        rounds.cpu_us.push(sample.cpu_us);
        rounds.rate.push(sample.load.rate());
        rounds.p50_ms.push(sample.load.p50_us as f64 / 1e3);
        rounds.p99_ms.push(sample.load.p99_us as f64 / 1e3);
        rounds.other_percent.push(sample.other_percent);
        rounds.stolen_percent.push(sample.stolen_percent);
        break;
    }
    Ok(())
}

/// One measurement of one peer.
struct Sample {
    load: Load,
    cpu_us: f64,
    other_percent: f64,
    stolen_percent: f64,
}

impl Sample {
    fn take(
        options: &Options,
        generator: &Generator,
        backend: &Leashed,
        one: &mut Running,
        connections: u32,
    ) -> Result<Self, String> {
        let processes = one.program.processes();
        let backends = backend.processes();
        let known = || kernel::cpu_ns(&processes) + kernel::cpu_ns(&backends) + kernel::waited_children_ns();
        let (own_begin, known_begin) = (kernel::cpu_ns(&processes), known());
        let (busy_begin, stolen_begin) = kernel::machine_ns();
        let load = generator.run(one.address, connections, options.measure_s)?;
        let (own_end, known_end) = (kernel::cpu_ns(&processes), known());
        let (busy_end, stolen_end) = kernel::machine_ns();
        one.program.check_alive()?;
        if load.requests == 0 {
            return Err(format!("{} answered nothing", one.peer));
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let machine_ns = load.duration_us as f64 * 1e3 * cores as f64;
        let others_ns = (busy_end - busy_begin).saturating_sub(known_end - known_begin);
        Ok(Self {
            cpu_us: (own_end - own_begin) as f64 / 1e3 / load.requests as f64,
            other_percent: others_ns as f64 * 100.0 / machine_ns,
            stolen_percent: (stolen_end - stolen_begin) as f64 * 100.0 / machine_ns,
            load,
        })
    }
}
