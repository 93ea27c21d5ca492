//! Outlier rules against tables, virtual time and chance.

use std::num::NonZeroU32;
use std::time::Duration;

use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
use weir_model::{FailurePercentage, Percent, Period, SuccessRate};

use super::*;

const BAD: TryOutcome = TryOutcome::Answered(500);
const GOOD: TryOutcome = TryOutcome::Answered(200);

fn check(max_percent: u64) -> PassiveCheck {
    PassiveCheck {
        max_ejection_percent: Percent::new(max_percent).expect("a percentage"),
        ..PassiveCheck::default()
    }
}

fn ejector(check: PassiveCheck, endpoints: usize) -> Ejector {
    let states: Vec<_> = (0..endpoints).map(|_| Arc::new(EndpointState::new(0))).collect();
    Ejector::new(Arc::new(check), &states, 0)
}

/// Records and, when it trips, ejects.
fn feed(ejector: &Ejector, index: u32, outcome: TryOutcome, now_ms: u64) -> Option<Change> {
    let trip = ejector.record(index, outcome)?;
    ejector.eject(index, trip, now_ms)
}

fn repeat<R>(count: u32, act: impl Fn() -> R) {
    for _ in 0..count {
        let _ = act();
    }
}

fn cause(change: Option<Change>) -> Option<EjectionCause> {
    match change {
        Some(Change::Ejected(ejection)) => Some(ejection.cause),
        _ => None,
    }
}

fn ejected(ejector: &Ejector) -> usize {
    (0..ejector.subjects.len() as u32)
        .filter(|index| ejector.is_ejected(*index))
        .count()
}

fn sweep(ejector: &Ejector, now_ms: u64) -> Vec<(u32, Change)> {
    let mut changes = Vec::new();
    ejector.sweep(now_ms, &mut changes);
    changes
}

#[test]
fn hc11_failures_in_a_row_eject() {
    let number = NonZeroU32::new;
    let gateway = PassiveCheck {
        consecutive_gateway: number(3),
        ..check(100)
    };
    let split = PassiveCheck {
        split_local: true,
        consecutive_local: number(2),
        ..check(100)
    };
    let off = PassiveCheck {
        consecutive_5xx: None,
        ..check(100)
    };
    // Statuses, `-` for no answer, `t` for no answer in time; what the last one causes, and none before.
    for (name, check, script, expected) in [
        (
            "5xx",
            check(100),
            "500 502 503 504 599",
            Some(EjectionCause::Consecutive5xx(5)),
        ),
        ("a good one between", check(100), "500 500 500 500 200 500", None),
        (
            "4xx is the client's",
            check(100),
            "500 500 500 500 404 500 500 500 500",
            None,
        ),
        (
            "no answer counts",
            check(100),
            "- t - - t",
            Some(EjectionCause::Consecutive5xx(5)),
        ),
        (
            "gateway",
            gateway.clone(),
            "502 503 504",
            Some(EjectionCause::ConsecutiveGateway(3)),
        ),
        (
            "gateway, no answer",
            gateway.clone(),
            "- t 503",
            Some(EjectionCause::ConsecutiveGateway(3)),
        ),
        (
            "500 is no gateway error",
            gateway,
            "502 503 500 502 503",
            Some(EjectionCause::Consecutive5xx(5)),
        ),
        (
            "split",
            split.clone(),
            "500 - 200 - 500 500 -  -",
            Some(EjectionCause::ConsecutiveLocal(2)),
        ),
        (
            "split: answers are counted apart",
            split,
            "500 - 500 500 500 - 500",
            Some(EjectionCause::Consecutive5xx(5)),
        ),
        ("off", off, "500 500 500 500 500 500 500", None),
    ] {
        let ejector = ejector(check, 1);
        let outcomes: Vec<TryOutcome> = script
            .split_whitespace()
            .map(|word| match word {
                "-" => TryOutcome::NoAnswer,
                "t" => TryOutcome::TimedOut,
                status => TryOutcome::Answered(status.parse().expect("a status")),
            })
            .collect();
        let (last, before) = outcomes.split_last().expect("not empty");
        for outcome in before {
            assert_eq!(cause(feed(&ejector, 0, *outcome, 0)), None, "{name}");
        }
        assert_eq!(cause(feed(&ejector, 0, *last, 0)), expected, "{name}");
        assert_eq!(ejector.is_ejected(0), expected.is_some(), "{name}");
        assert_eq!(
            ejector.subjects[0].state.is_available(),
            expected.is_none(),
            "{name}"
        );
    }
}

#[test]
fn hc11_never_more_than_the_greatest_percentage() {
    for (endpoints, percent, always_one, most) in [
        (10, 10, false, 1),
        (10, 0, false, 0),
        (10, 0, true, 1),
        (3, 10, false, 0),
        (3, 10, true, 1),
        (3, 33, false, 0),
        (3, 34, false, 1),
        (10, 50, false, 5),
        (10, 59, true, 5),
        (10, 100, false, 10),
        (1, 100, false, 1),
        (1, 99, false, 0),
    ] {
        let check = PassiveCheck {
            always_eject_one: always_one,
            ..check(percent)
        };
        let ejector = ejector(check, endpoints);
        for index in 0..endpoints as u32 {
            repeat(20, || feed(&ejector, index, BAD, 0));
        }
        assert_eq!(
            ejected(&ejector),
            most,
            "{endpoints} endpoints, {percent} %, one always: {always_one}"
        );
    }
}

#[test]
fn hc11_ejections_grow_and_are_forgiven() {
    let ejector = ejector(check(100), 1);
    let fail = |now_ms| match (0..5).find_map(|_| feed(&ejector, 0, BAD, now_ms)) {
        Some(Change::Ejected(ejection)) => (ejection.times, ejection.lasts_ms / 1_000),
        other => panic!("{other:?}"),
    };
    let mut now_ms = 0;
    // Ejected again at once after each return: the time grows to its greatest.
    for (times, lasts_s) in [
        (1, 30),
        (2, 60),
        (3, 90),
        (4, 120),
        (5, 150),
        (6, 180),
        (7, 210),
        (8, 240),
        (9, 270),
        (10, 300),
        (10, 300),
    ] {
        assert_eq!(fail(now_ms), (times, lasts_s));
        assert_eq!(sweep(&ejector, now_ms + lasts_s * 1_000 - 1), []);
        now_ms += lasts_s * 1_000;
        assert_eq!(
            sweep(&ejector, now_ms),
            [(0, Change::Returned(ReturnCause::Time))]
        );
    }
    // Each sweep in use forgives one; four of ten are left, and the next is the fifth.
    for _ in 0..6 {
        now_ms += 3_000;
        assert_eq!(sweep(&ejector, now_ms), []);
    }
    assert_eq!(fail(now_ms), (5, 150));
    now_ms += 150_000;
    sweep(&ejector, now_ms);
    for _ in 0..100 {
        now_ms += 3_000;
        sweep(&ejector, now_ms);
    }
    assert_eq!(fail(now_ms), (1, 30), "all is forgiven");
}

#[test]
fn hc11_a_base_over_the_greatest_time_holds() {
    let check = PassiveCheck {
        base_ejection: Period::clamped(Duration::from_secs(400)),
        ..check(100)
    };
    let ejector = ejector(check, 1);
    let change = (0..5).find_map(|_| feed(&ejector, 0, BAD, 0));
    assert!(matches!(change, Some(Change::Ejected(ejection)) if ejection.lasts_ms == 400_000));
}

#[test]
fn hc12_a_good_probe_ends_an_ejection() {
    let ejector = ejector(check(100), 2);
    assert_eq!(ejector.probe_good(0, 1), None);
    repeat(5, || feed(&ejector, 0, BAD, 10));
    assert_eq!(
        ejector.probe_good(0, 2_000),
        Some(Change::Returned(ReturnCause::Probe))
    );
    assert!(ejector.subjects[0].state.is_available());
    assert_eq!(
        ejector.subjects[0].state.added_at_ms(),
        2_000,
        "its share grows anew"
    );
    assert_eq!(ejector.probe_good(0, 2_001), None);
    // It takes the whole number of failures again.
    assert!((0..4).all(|_| feed(&ejector, 0, BAD, 3_000).is_none()));
    assert!(feed(&ejector, 0, BAD, 3_000).is_some());
}

#[test]
fn hc11_a_refused_ejection_takes_as_many_failures_again() {
    let ejector = ejector(check(50), 2);
    let until_out = |index| (1..20).find(|_| feed(&ejector, index, BAD, 0).is_some());
    assert_eq!(until_out(0), Some(5));
    assert_eq!(until_out(1), None, "one of two is out");
    ejector.probe_good(0, 0);
    // 19 failures so far, counted anew at 5, 10 and 15.
    assert_eq!(until_out(1), Some(1));
}

/// Answers of each endpoint in one interval, then who is ejected by the sweep.
fn rates(check: PassiveCheck, answers: &[(u32, u32)]) -> Vec<(u32, EjectionCause)> {
    let check = PassiveCheck {
        consecutive_5xx: None,
        ..check
    };
    let ejector = ejector(check, answers.len());
    for (index, (good, bad)) in (0..).zip(answers) {
        repeat(*good, || ejector.record(index, GOOD));
        repeat(*bad, || ejector.record(index, BAD));
    }
    let changes = sweep(&ejector, 3_000);
    assert_eq!(sweep(&ejector, 6_000), [], "an interval is judged once");
    changes
        .into_iter()
        .map(|(index, change)| (index, cause(Some(change)).expect("an ejection")))
        .collect()
}

#[test]
fn hc11_failure_percentage_needs_volume_and_company() {
    let check = PassiveCheck {
        failure_percentage: Some(FailurePercentage::default()),
        ..check(100)
    };
    let of = |failed_percent| EjectionCause::FailurePercentage {
        failed_percent,
        threshold_percent: 85,
    };
    let fine = (100, 0);
    for (answers, expected) in [
        (vec![fine, fine, fine, fine, (15, 85)], vec![(4, of(85))]),
        (vec![fine, fine, fine, fine, (16, 84)], vec![]),
        // 50 requests are enough, 49 are not; nor are four endpoints.
        (vec![fine, fine, fine, fine, (0, 50)], vec![(4, of(100))]),
        (vec![fine, fine, fine, fine, (0, 49)], vec![]),
        (vec![fine, fine, fine, (0, 100)], vec![]),
        (vec![(0, 100); 5], (0..5).map(|index| (index, of(100))).collect()),
    ] {
        assert_eq!(rates(check.clone(), &answers), expected, "{answers:?}");
    }
}

#[test]
fn hc11_success_rate_is_judged_by_the_others() {
    let check = PassiveCheck {
        success_rate: Some(SuccessRate::default()),
        ..check(100)
    };
    let fine = (100, 0);
    for (answers, expected) in [
        // Mean 90 %, deviation 20 %: below 52 % is too few.
        (vec![fine, fine, fine, fine, (50, 50)], vec![(4, (50, 52))]),
        // Two outliers make each other less unusual: mean 80 %, deviation 24.5 %.
        (vec![fine, fine, fine, (50, 50), (50, 50)], vec![]),
        // All the same: nobody is an outlier, however bad.
        (vec![(1, 99); 5], vec![]),
        // Too few requests, too few endpoints.
        (vec![fine, fine, fine, fine, (49, 50)], vec![]),
        (vec![fine, fine, fine, (0, 100)], vec![]),
    ] {
        let found: Vec<_> = rates(check.clone(), &answers)
            .into_iter()
            .map(|(index, cause)| match cause {
                EjectionCause::SuccessRate {
                    succeeded_percent,
                    threshold_percent,
                } => (index, (succeeded_percent, threshold_percent)),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(found, expected, "{answers:?}");
    }
}

#[test]
fn hc11_split_rates_judge_answers_and_tries_apart() {
    let check = PassiveCheck {
        split_local: true,
        consecutive_5xx: None,
        consecutive_local: None,
        failure_percentage: Some(FailurePercentage {
            endpoints_min: 1,
            ..FailurePercentage::default()
        }),
        ..check(100)
    };
    let one = ejector(check, 2);
    repeat(100, || one.record(0, TryOutcome::NoAnswer));
    repeat(100, || one.record(1, BAD));
    let changes = sweep(&one, 3_000);
    assert_eq!(
        changes.iter().map(|(index, _)| *index).collect::<Vec<_>>(),
        [1, 0]
    );
}

#[test]
fn other_endpoints_keep_what_is_known_of_those_that_stay() {
    let before = ejector(check(100), 2);
    repeat(5, || feed(&before, 0, BAD, 0));
    repeat(4, || feed(&before, 1, BAD, 0));
    let states = [
        Arc::new(EndpointState::new(0)),
        Arc::clone(&before.subjects[1].state),
        Arc::clone(&before.subjects[0].state),
    ];
    let after = before.with_endpoints(&states);
    let due_ms = before.sweep_due_ms();
    assert_eq!(
        (0..3).map(|index| after.is_ejected(index)).collect::<Vec<_>>(),
        [false, false, true]
    );
    drop(before);
    assert!(!states[2].is_available(), "the seat stays taken");
    assert!(feed(&after, 1, BAD, 0).is_some(), "the fifth in a row");
    assert_eq!(after.sweep_due_ms(), due_ms);
    drop(after);
    assert!(states.iter().all(|state| state.is_available()));
}

#[test]
fn many_workers_eject_exactly_once() {
    let ejector = ejector(check(100), 1);
    let ejections = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10_000 {
                    let change = feed(&ejector, 0, BAD, 0);
                    ejections.fetch_add(u32::from(change.is_some()), Relaxed);
                }
            });
        }
    });
    assert_eq!(ejections.into_inner(), 1);
}

proptest! {
    /// Whatever happens: the percentage holds, an ejection lasts exactly as long as said unless a probe ends it, and
    /// the endpoint's bit is the truth.
    #[test]
    fn hc11_the_percentage_always_holds(
        endpoints in 1usize..12,
        percent in 0u64..=100,
        steps in proptest::collection::vec((any::<u8>(), 0u32..12, 0u64..20_000), 1..400),
    ) {
        let ejector = ejector(check(percent), endpoints);
        let mut over_ms = vec![None; endpoints];
        let mut now_ms = 0;
        for (kind, index, elapsed_ms) in steps {
            let index = index % endpoints as u32;
            now_ms += elapsed_ms;
            let mut changes = Vec::new();
            match kind % 8 {
                0 => ejector.sweep(now_ms, &mut changes),
                1 => changes.extend(feed(&ejector, index, GOOD, now_ms).map(|change| (index, change))),
                2 => changes.extend(ejector.probe_good(index, now_ms).map(|change| (index, change))),
                _ => for _ in 0..5 {
                    changes.extend(feed(&ejector, index, BAD, now_ms).map(|change| (index, change)));
                },
            }
            for (index, change) in changes {
                let over_ms: &mut Option<u64> = &mut over_ms[index as usize];
                match change {
                    Change::Ejected(ejection) => {
                        prop_assert!(over_ms.is_none() && ejection.times >= 1);
                        prop_assert!((30_000..=300_000).contains(&ejection.lasts_ms));
                        *over_ms = Some(now_ms + ejection.lasts_ms);
                    }
                    Change::Returned(ReturnCause::Time) => {
                        prop_assert!(over_ms.take().is_some_and(|over_ms| over_ms <= now_ms));
                    }
                    Change::Returned(ReturnCause::Probe) => prop_assert!(over_ms.take().is_some()),
                    other => prop_assert!(false, "{other:?}"),
                }
            }
            if kind % 8 == 0 {
                prop_assert!(over_ms.iter().flatten().all(|over_ms| *over_ms > now_ms));
            }
            for (index, over_ms) in (0u32..).zip(&over_ms) {
                prop_assert_eq!(ejector.is_ejected(index), over_ms.is_some());
                let is_available = ejector.subjects[index as usize].state.is_available();
                prop_assert_eq!(is_available, over_ms.is_none());
            }
            prop_assert!(ejected(&ejector) as u64 * 100 <= percent * endpoints as u64);
        }
    }
}
