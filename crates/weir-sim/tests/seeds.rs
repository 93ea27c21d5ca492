//! Seeds of the simulated world.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and a replayed seed prints its trace"
)]

/// How many seeds a run of the tests takes unless `WEIR_SIM_SEEDS` says otherwise.
const SEEDS: u64 = 256;

#[test]
fn seeds_hold_the_invariants() {
    if let Ok(seed) = std::env::var("WEIR_SIM_SEED") {
        return replay(seed.parse().unwrap());
    }
    let number = |name: &str, usual| std::env::var(name).map_or(usual, |text| text.parse().unwrap());
    let first = number("WEIR_SIM_FIRST", 0);
    let last = first + number("WEIR_SIM_SEEDS", SEEDS);
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let runs =
        (0..threads).map(|thread| std::thread::spawn(move || run_every(first + thread..last, threads)));
    let failed: Vec<String> = runs
        .collect::<Vec<_>>()
        .into_iter()
        .flat_map(|run| run.join().unwrap())
        .collect();
    assert!(
        failed.is_empty(),
        "{} seeds failed:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

fn run_every(seeds: std::ops::Range<u64>, every: u64) -> Vec<String> {
    let mut failed = Vec::new();
    for seed in seeds.step_by(every as usize) {
        let outcome = weir_sim::run(seed, false).unwrap();
        if let Some(violation) = outcome.violations.first() {
            failed.push(format!("seed {seed}: {violation}\n    replay: WEIR_SIM_SEED={seed} cargo test -p weir-sim --test seeds -- --nocapture"));
        }
    }
    failed
}

fn replay(seed: u64) {
    let outcome = weir_sim::run(seed, true).unwrap();
    println!("{}", outcome.trace);
    println!(
        "seed {seed}: {} requests, {} steps, {} s, trace {:016x}",
        outcome.requests,
        outcome.steps,
        outcome.time_us / 1_000_000,
        outcome.hash
    );
    assert!(outcome.violations.is_empty(), "{:?}", outcome.violations);
}

#[test]
fn rl08_a_seed_replays_exactly() {
    for seed in [0, 7] {
        let (one, two) = (
            weir_sim::run(seed, false).unwrap(),
            weir_sim::run(seed, true).unwrap(),
        );
        assert_eq!(
            (one.hash, one.steps, one.lines),
            (two.hash, two.steps, two.lines),
            "seed {seed}"
        );
    }
}
