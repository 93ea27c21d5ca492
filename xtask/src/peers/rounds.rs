//! Interleaved rounds of short slices: one peer, the reference (weir), is measured before and after each of the others, and each
//! is compared with the mean of the two. What a machine does over minutes then happens to both sides of every ratio.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::commands::Backend;
use super::figures::Figures;
use super::kernel;
use super::load::{Generator, Load, Run};
use super::options::Options;
use super::peer::Peer;
use super::process::Leashed;

/// How much of a slice's load has passed before it is measured: connections are opened in it.
const LEAD_IN: Duration = Duration::from_millis(500);
/// How much of it is left when the measurement ends.
const LEAD_OUT: Duration = Duration::from_millis(100);
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

/// What the rounds of one peer at one number of connections gave: one entry per slice in each of them, but one per round in
/// `relative`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rounds {
    /// CPU time per request, µs.
    pub(crate) cpu_us: Figures,
    /// CPU time per request over that of the reference, before and after.
    pub(crate) relative: Figures,
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
            "cpu_over_reference": self.relative.to_json(),
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
    backend: &Backend,
    running: &mut [Running],
    connections: u32,
) -> Result<Vec<Rounds>, String> {
    let mut all = vec![Rounds::default(); running.len()];
    for one in running.iter_mut() {
        eprintln!("{connections} connections, warm-up: {}", one.peer);
        generator.run(one.address, connections, options.slice_s)?;
        one.program.check_alive()?;
    }
    let peers: Vec<Peer> = running.iter().map(|one| one.peer).collect();
    let reference = peers.iter().position(|peer| *peer == Peer::Weir).unwrap_or(0);
    let mut slice = |index: usize| {
        let rounds = &mut all[index];
        measure_once(
            options,
            generator,
            backend,
            &mut running[index],
            connections,
            rounds,
        )
    };
    let mut relatives = vec![Figures::default(); peers.len()];
    let mut before = slice(reference)?;
    for round in 0..options.rounds as usize {
        for index in order(peers.len(), reference, round) {
            let cpu_us = slice(index)?;
            let after = slice(reference)?;
            let relative = 2.0 * cpu_us / (before + after);
            relatives[index].push(relative);
            eprintln!(
                "{connections} connections, round {} of {}: {:<8}{cpu_us:7.2} µs/request, {relative:5.2} x {}",
                round + 1,
                options.rounds,
                peers[index],
                peers[reference],
            );
            before = after;
        }
        relatives[reference].push(1.0);
    }
    for (rounds, relative) in all.iter_mut().zip(relatives) {
        rounds.relative = relative;
    }
    Ok(all)
}

/// All but the reference in the order of a round: it rotates, and every other round runs backwards.
fn order(count: usize, reference: usize, round: usize) -> Vec<usize> {
    let mut others: Vec<usize> = (0..count).filter(|index| *index != reference).collect();
    if !others.is_empty() {
        let shift = round / 2 % others.len();
        others.rotate_left(shift);
    }
    if round % 2 == 1 {
        others.reverse();
    }
    others
}

/// One slice, and what a request cost in it, µs. A disturbed one is made again, and the last one counts whatever it is.
fn measure_once(
    options: &Options,
    generator: &Generator,
    backend: &Backend,
    one: &mut Running,
    connections: u32,
    rounds: &mut Rounds,
) -> Result<f64, String> {
    let mut attempt = 0;
    loop {
        let sample = Sample::take(options, generator, backend, one, connections)?;
        rounds.errors += sample.load.errors;
        let disturbed =
            sample.other_percent > OTHER_LIMIT_PERCENT || sample.stolen_percent > STOLEN_LIMIT_PERCENT;
        if disturbed && attempt < REPEATS {
            attempt += 1;
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
        return Ok(sample.cpu_us);
    }
}

/// One slice of one peer.
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
        backend: &Backend,
        one: &mut Running,
        connections: u32,
    ) -> Result<Self, String> {
        let length = Duration::from_secs(u64::from(options.slice_s));
        let (processes, backends) = (one.program.processes(), backend.program.processes());
        let run = generator.start(one.address, connections, options.slice_s)?;
        let moment = || Moment::now(&processes, &backends, &run, backend);
        thread::sleep(LEAD_IN);
        let begin = moment()?;
        thread::sleep(length.saturating_sub(LEAD_IN + LEAD_OUT));
        let end = moment()?;
        let load = run.finish()?;
        one.program.check_alive()?;
        let requests = end.answered - begin.answered;
        if requests == 0 {
            return Err(format!("{} answered nothing", one.peer));
        }
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let machine_ns = (end.at - begin.at).as_nanos() as f64 * cores as f64;
        let others_ns = (end.busy_ns - begin.busy_ns).saturating_sub(end.known_ns - begin.known_ns);
        Ok(Self {
            cpu_us: (end.own_ns - begin.own_ns) as f64 / 1e3 / requests as f64,
            other_percent: others_ns as f64 * 100.0 / machine_ns,
            stolen_percent: (end.stolen_ns - begin.stolen_ns) as f64 * 100.0 / machine_ns,
            load,
        })
    }
}

/// What has been used up at one moment.
struct Moment {
    at: Instant,
    /// Requests answered.
    answered: u64,
    /// CPU time of the peer.
    own_ns: u64,
    /// CPU time of peer, backend and load generator.
    known_ns: u64,
    /// CPU time of everybody.
    busy_ns: u64,
    /// What the hypervisor has taken.
    stolen_ns: u64,
}

impl Moment {
    fn now(own: &[u32], backends: &[u32], run: &Run, backend: &Backend) -> Result<Self, String> {
        let own_ns = kernel::cpu_ns(own);
        let answered = backend.answered()?;
        let (busy_ns, stolen_ns) = kernel::machine_ns();
        Ok(Self {
            at: Instant::now(),
            answered,
            own_ns,
            known_ns: own_ns + kernel::cpu_ns(backends) + kernel::cpu_ns(&[run.process()]),
            busy_ns,
            stolen_ns,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_has_everybody_but_the_reference() {
        assert_eq!(order(4, 1, 0), [0, 2, 3]);
        assert_eq!(order(4, 1, 1), [3, 2, 0]);
        assert_eq!(order(4, 1, 2), [2, 3, 0]);
        assert_eq!(order(4, 1, 3), [0, 3, 2]);
        assert!(order(1, 0, 5).is_empty());
    }
}
