//! Balancers against simulated backends: the evidence for the algorithms that go by answers. `-- --nocapture` prints
//! the figures.

#![allow(clippy::print_stdout)]

mod world;

use weir_model::{Algorithm, LeastRequest};
use world::{Mood, Outcome, Scene, Service, run};

fn least_request() -> Algorithm {
    Algorithm::LeastRequest(LeastRequest::default())
}

/// Ten backends with four servers each, that is 400 requests a second each, at that part of all their capacity.
fn ten(service: Service, load: f64) -> Scene {
    Scene {
        moods: vec![Vec::new(); 10],
        service,
        servers: 4,
        rate: 4_000.0 * load,
        seconds: 12.0,
        warm_up: 0.0,
        retries: 0,
        weights: Vec::new(),
        gateways: 1,
    }
}

/// One of them ten times slower, one answers 503 at once.
fn trapped(scene: Scene) -> Scene {
    let mut moods = scene.moods.clone();
    moods[SLOW] = vec![(0.0, Mood::Serves(10.0))];
    moods[TRAP] = vec![(0.0, Mood::Refuses)];
    Scene { moods, ..scene }
}

const SLOW: usize = 3;
const TRAP: usize = 7;

fn show(name: &str, algorithm: &Algorithm, outcome: &Outcome) {
    let label = match algorithm {
        Algorithm::LeastRequest(_) => "LeastRequest",
        other => &format!("{other:?}"),
    };
    println!(
        "{name:<34} {label:<12} p50 {:7.2} p99 {:9.2} p99.9 {:9.2} ms, {:5.2} % errors, slow {:.2} %, trap {:.2} %",
        outcome.percentile(0.5),
        outcome.percentile(0.99),
        outcome.percentile(0.999),
        100.0 * f64::from(outcome.errors) / (f64::from(outcome.errors) + outcome.latencies_ms.len() as f64),
        100.0 * outcome.share(SLOW),
        100.0 * outcome.share(TRAP),
    );
}

/// Outcomes of the same scene under several algorithms.
fn compare<const N: usize>(name: &str, scene: &Scene, algorithms: [Algorithm; N]) -> [Outcome; N] {
    algorithms.map(|algorithm| {
        let outcome = run(&algorithm, scene, 1);
        show(name, &algorithm, &outcome);
        outcome
    })
}

#[test]
fn bx01_a_slow_backend_and_a_trap_do_not_hurt() {
    let (one, unbounded) = (1, 0);
    for (name, scene) in [
        ("fixed", ten(Service::Fixed, 0.6)),
        ("exponential", ten(Service::Exponential, 0.6)),
        ("exponential, 45 %", ten(Service::Exponential, 0.45)),
        (
            "exponential, retries",
            Scene {
                retries: 2,
                ..ten(Service::Exponential, 0.6)
            },
        ),
        (
            "fixed, no queues",
            Scene {
                servers: unbounded,
                ..ten(Service::Fixed, 0.6)
            },
        ),
        (
            "exponential, one server",
            Scene {
                servers: one,
                rate: 600.0,
                ..ten(Service::Exponential, 0.6)
            },
        ),
        (
            "fixed, two gateways",
            Scene {
                gateways: 2,
                ..ten(Service::Fixed, 0.6)
            },
        ),
    ] {
        let [least, rotation, adaptive] = compare(
            &format!("slow and trap, {name}"),
            &trapped(scene),
            [least_request(), Algorithm::RoundRobin, Algorithm::Adaptive],
        );
        let p99 = adaptive.percentile(0.99);
        assert!(p99 <= 0.5 * least.percentile(0.99), "{name}");
        assert!(p99 <= 0.5 * rotation.percentile(0.99), "{name}");
        assert!(adaptive.share(TRAP) <= 0.01, "{name}: {}", adaptive.share(TRAP));
        assert!(adaptive.share(SLOW) <= 0.01, "{name}: {}", adaptive.share(SLOW));
    }
}

#[test]
fn bx01_few_requests_are_enough_to_learn() {
    let scene = Scene {
        rate: 40.0,
        seconds: 120.0,
        ..trapped(ten(Service::Exponential, 0.6))
    };
    let [least, adaptive] = compare(
        "slow and trap, 40 requests/s",
        &scene,
        [least_request(), Algorithm::Adaptive],
    );
    assert!(adaptive.percentile(0.99) <= 0.5 * least.percentile(0.99));
    assert!(adaptive.share(TRAP) <= 0.01, "{}", adaptive.share(TRAP));
}

#[test]
fn bx01_equal_backends_are_served_no_worse_than_by_least_request() {
    let scenes = [
        ("fixed", ten(Service::Fixed, 0.6)),
        ("exponential", ten(Service::Exponential, 0.6)),
        ("exponential, 85 %", ten(Service::Exponential, 0.85)),
        ("mixed", ten(Service::Mixed, 0.6)),
        ("mixed, 80 %", ten(Service::Mixed, 0.8)),
        (
            "no queues",
            Scene {
                servers: 0,
                ..ten(Service::Exponential, 0.6)
            },
        ),
        (
            "one server",
            Scene {
                servers: 1,
                rate: 600.0,
                ..ten(Service::Exponential, 0.6)
            },
        ),
        (
            "four gateways",
            Scene {
                gateways: 4,
                ..ten(Service::Exponential, 0.6)
            },
        ),
        (
            "2 % errors everywhere",
            Scene {
                moods: vec![vec![(0.0, Mood::Flaky(0.98))]; 10],
                ..ten(Service::Exponential, 0.6)
            },
        ),
        (
            "10 % errors everywhere",
            Scene {
                moods: vec![vec![(0.0, Mood::Flaky(0.9))]; 10],
                ..ten(Service::Exponential, 0.6)
            },
        ),
    ];
    for (name, scene) in scenes {
        let [least, adaptive] = compare(
            &format!("equal, {name}"),
            &scene,
            [least_request(), Algorithm::Adaptive],
        );
        for part in [0.5, 0.99] {
            let (ours, theirs) = (adaptive.percentile(part), least.percentile(part));
            assert!(ours <= 1.02 * theirs, "{name}, {part}: {ours} against {theirs}");
        }
        for backend in 0..10 {
            assert!(
                (0.07..0.13).contains(&adaptive.share(backend)),
                "{name}: {:?}",
                adaptive.picks
            );
        }
    }
}

#[test]
fn bx01_backends_of_two_generations_both_work() {
    for (factor, load) in [(3.0, 0.45), (1.5, 0.6)] {
        let mut scene = ten(Service::Exponential, load);
        for moods in scene.moods.iter_mut().step_by(2) {
            moods.push((0.0, Mood::Serves(factor)));
        }
        let [least, adaptive] = compare(
            &format!("half of them {factor} times slower"),
            &scene,
            [least_request(), Algorithm::Adaptive],
        );
        assert!(adaptive.percentile(0.99) <= 1.02 * least.percentile(0.99));
    }
}

/// Tries of a backend in a second.
fn rate_at(outcome: &Outcome, backend: usize, second: f64) -> f64 {
    let inside = |time: &&f64| (second..second + 1.0).contains(*time);
    outcome.tries[backend].iter().filter(inside).count() as f64
}

#[test]
fn bx01_a_recovered_backend_is_found_again() {
    for (name, mood, within) in [
        ("slow", Mood::Serves(10.0), 8.0),
        ("refusing", Mood::Refuses, 14.0),
        ("hanging", Mood::Hangs, 16.0),
    ] {
        for (pace, rate) in [("busy", 2_400.0), ("quiet", 100.0)] {
            let mut scene = Scene {
                rate,
                seconds: 60.0,
                ..ten(Service::Exponential, 0.6)
            };
            scene.moods[SLOW] = vec![(10.0, mood), (30.0, Mood::Serves(1.0))];
            let outcome = run(&Algorithm::Adaptive, &scene, 2);
            show(
                &format!("{name} for 20 s, {pace}"),
                &Algorithm::Adaptive,
                &outcome,
            );
            let fair = scene.rate / 10.0;
            let before = rate_at(&outcome, SLOW, 9.0);
            let ill = (14..30)
                .map(|second| rate_at(&outcome, SLOW, f64::from(second)))
                .sum::<f64>()
                / 16.0;
            let back = (0..30).find(|second| rate_at(&outcome, SLOW, 30.0 + f64::from(*second)) > 0.5 * fair);
            println!(
                "    {before} tries/s before, {ill:.2} while ill, half its share again after {back:?} s"
            );
            assert!(before > 0.4 * fair, "{name}, {pace}");
            assert!(
                ill < 0.02 * fair + 0.6,
                "{name}, {pace}: {ill} tries a second while ill"
            );
            assert!(
                back.is_some_and(|second| f64::from(second) <= within),
                "{name}, {pace}: {back:?}"
            );
            // Nor does it get more than the others once it is back.
            let after = (50..60)
                .map(|second| rate_at(&outcome, SLOW, f64::from(second)))
                .sum::<f64>()
                / 10.0;
            assert!(
                (0.7 * fair..1.4 * fair).contains(&after),
                "{name}, {pace}: {after}"
            );
        }
    }
}

#[test]
fn bx01_four_gateways_do_not_run_after_each_other() {
    // A backend that recovers must not be stormed, and the others must not swing: the busiest second of any backend stays
    // near the mean.
    let mut scene = Scene {
        gateways: 4,
        seconds: 40.0,
        ..ten(Service::Exponential, 0.6)
    };
    scene.moods[SLOW] = vec![(5.0, Mood::Serves(10.0)), (20.0, Mood::Serves(1.0))];
    let outcome = run(&Algorithm::Adaptive, &scene, 3);
    show("four gateways, one slow for 15 s", &Algorithm::Adaptive, &outcome);
    let busiest = (0..10)
        .flat_map(|backend| (1..39).map(move |second| (backend, f64::from(second))))
        .map(|(backend, second)| rate_at(&outcome, backend, second))
        .fold(0.0, f64::max);
    println!(
        "    busiest second of a backend: {busiest} tries, mean {}",
        scene.rate / 10.0
    );
    assert!(busiest < 1.5 * scene.rate / 9.0, "{busiest}");
}

#[test]
fn bx01_weights_are_honoured() {
    for (count, per_weight) in [(6, 0.01), (6, 0.5), (6, 3.0), (20, 0.01), (20, 0.5), (20, 3.0)] {
        let weights: Vec<u64> = (0..count).map(|number| [1, 2, 3][number % 3]).collect();
        let sum = weights.iter().sum::<u64>() as f64;
        // Requests in flight for one weight, on average.
        let rate = sum * per_weight / 0.010;
        let scene = Scene {
            moods: vec![Vec::new(); count],
            servers: 0,
            rate,
            seconds: 100_000.0 / rate,
            weights: weights.clone(),
            ..ten(Service::Fixed, 0.6)
        };
        for algorithm in [least_request(), Algorithm::Adaptive] {
            let outcome = run(&algorithm, &scene, 4);
            let shares: Vec<f64> = (0..3)
                .map(|class| {
                    let mine = (class..count).step_by(3);
                    mine.map(|backend| outcome.share(backend)).sum::<f64>() * 6.0 / [1.0, 2.0, 3.0][class]
                })
                .collect();
            println!(
                "{count} backends, {per_weight} in flight per weight: {algorithm:?} gives {shares:.3?} of what is due"
            );
            if algorithm == Algorithm::Adaptive {
                assert!(shares.iter().all(|share| (share - 1.0).abs() < 0.3), "{shares:?}");
            }
        }
    }
}

#[test]
fn lb08_peak_ewma_beats_least_request_with_a_slow_backend() {
    let mut scene = ten(Service::Exponential, 0.6);
    scene.moods[SLOW] = vec![(0.0, Mood::Serves(10.0))];
    let [least, peak, adaptive] = compare(
        "one of ten slow",
        &scene,
        [least_request(), Algorithm::PeakEwma, Algorithm::Adaptive],
    );
    assert!(peak.percentile(0.99) < 0.9 * least.percentile(0.99));
    assert!(adaptive.percentile(0.99) <= peak.percentile(0.99));
}

#[test]
fn lb08_peak_ewma_flees_a_trap() {
    let mut scene = ten(Service::Exponential, 0.6);
    scene.moods[TRAP] = vec![(0.0, Mood::Refuses)];
    let [peak] = compare("one of ten refuses", &scene, [Algorithm::PeakEwma]);
    assert!(peak.share(TRAP) <= 0.01, "{}", peak.share(TRAP));
}
