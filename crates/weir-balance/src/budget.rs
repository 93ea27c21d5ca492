//! The retry budget (row LB29): retries in proportion to requests, so that a failing backend gets little more than was
//! offered.
//!
//! An account: each request pays in its percentage of a retry, each retry takes one out, and at most a hundred are
//! saved up for the moment in which something dies. Where that is less than `min_concurrency` retries a second, the
//! time that has passed pays for what is missing: the two do not add up. Envoy compares retries
//! with requests in flight instead. Requests that fail at once are hardly ever in flight, so that rule refuses the few
//! retries that would help, while its minimum lets a few fast ones through again and again: three at once, 25 ms
//! each, are 120 a second whatever was offered. The account bounds tries to 1.2 times the requests, or three retries a
//! second if that is more, for failures of any speed (Finagle's `RetryBudget`, GEP-3388).

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use weir_model::RetryBudget;

/// Retries that can be saved up.
const SAVED_MAX: u64 = 100;
/// The account is kept in thousandths of a retry.
const RETRY: u64 = 1_000;
const BALANCE_BITS: u32 = 20;
const BEGUN_BITS: u32 = 24;
const STAMP_BITS: u32 = 20;
const _: () = assert!(SAVED_MAX * RETRY < 1 << BALANCE_BITS && BALANCE_BITS + BEGUN_BITS + STAMP_BITS == 64);

/// How far the workers' clocks may be apart, milliseconds; much more than they ever are.
const SKEW_MAX_MS: u64 = 10_000;

/// The account in one word: what is in it, up to which request it has been paid in (modulo), and up to which millisecond
/// time has been used up (modulo). 0 when nothing was ever withdrawn. Requests pay in when somebody wants to withdraw, so
/// that they cost nothing before.
#[derive(Debug, Default)]
pub(crate) struct Budget(AtomicU64);

impl Budget {
    /// Takes out a retry, if there is one. `begun` counts all requests ever, modulo 2^32.
    pub(crate) fn withdraw(&self, budget: RetryBudget, begun: u32, now_ms: u64) -> bool {
        let after = |word: u64| {
            let min = u64::from(budget.min_concurrency);
            // Time that is worth a retry; a second's worth of them may be had at once.
            let worth_ms = RETRY.div_ceil(min.max(1));
            let (balance, idle_ms) = (paid_in(word, budget, begun), idle_ms(word, now_ms));
            let (left, idle_ms) = pay(balance, idle_ms.min(worth_ms * min), worth_ms)?;
            let begun = u64::from(begun) % (1 << BEGUN_BITS);
            // Never 0, which means untouched.
            let stamp = (now_ms.wrapping_sub(idle_ms) % (1 << STAMP_BITS)).max(1);
            Some(left | begun << BALANCE_BITS | stamp << (BALANCE_BITS + BEGUN_BITS))
        };
        self.0.try_update(Relaxed, Relaxed, after).is_ok()
    }
}

/// What is left of the money and the time, milliseconds, when a retry has been paid for. Money goes first; the time in
/// which it came in pays for nothing else.
fn pay(balance: u64, idle_ms: u64, worth_ms: u64) -> Option<(u64, u64)> {
    match balance.checked_sub(RETRY) {
        Some(left) => Some((left, idle_ms.saturating_sub(worth_ms))),
        None => Some((balance, idle_ms.checked_sub(worth_ms)?)),
    }
}

/// Money, with what requests have paid in since.
fn paid_in(word: u64, budget: RetryBudget, begun: u32) -> u64 {
    let balance = word % (1 << BALANCE_BITS);
    let mut requests = u64::from(begun);
    if word != 0 {
        requests = requests.wrapping_sub(word >> BALANCE_BITS) % (1 << BEGUN_BITS);
    }
    (balance + requests * u64::from(budget.percent.number()) * RETRY / 100).min(SAVED_MAX * RETRY)
}

/// Time that has paid for nothing yet, milliseconds.
fn idle_ms(word: u64, now_ms: u64) -> u64 {
    if word == 0 {
        return u64::MAX;
    }
    let idle_ms = now_ms.wrapping_sub(word >> (BALANCE_BITS + BEGUN_BITS)) % (1 << STAMP_BITS);
    // Another worker's clock may have been ahead.
    let is_past = idle_ms < (1 << STAMP_BITS) - SKEW_MAX_MS;
    if is_past { idle_ms } else { 0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use weir_model::Percent;

    use super::*;

    fn budget(percent: u64, min_concurrency: u32) -> RetryBudget {
        RetryBudget {
            percent: Percent::new(percent).expect("a percentage"),
            min_concurrency,
        }
    }

    /// Retries to be had at once.
    fn drain(account: &Budget, budget: RetryBudget, begun: u32, now_ms: u64) -> u32 {
        (0..200)
            .take_while(|_| account.withdraw(budget, begun, now_ms))
            .count() as u32
    }

    #[test]
    fn lb29_the_account_by_the_figures() {
        // Percent, minimum; then (requests begun, milliseconds, retries to be had).
        type Case = (u64, u32, &'static [(u32, u64, u32)]);
        let cases: [Case; 7] = [
            (20, 3, &[(0, 0, 3), (0, 333, 0), (0, 334, 1), (0, 1_336, 3)]),
            (20, 3, &[(10, 0, 3), (14, 0, 0), (15, 0, 1), (65, 0, 10)]),
            (20, 0, &[(4, 0, 0), (5, 0, 1), (5, 60_000, 0)]),
            (0, 3, &[(1_000, 0, 3), (2_000, 0, 0)]),
            (0, 0, &[(1_000, 60_000, 0)]),
            (100, 0, &[(10_000, 0, 100), (10_050, 0, 50)]),
            // The counter of requests and the clock wrap.
            (20, 0, &[(u32::MAX - 4, 0, 100), (5, 1 << 40, 2)]),
        ];
        for (percent, min, steps) in cases {
            let account = Budget::default();
            for (begun, after_ms, expected) in steps {
                let found = drain(&account, budget(percent, min), *begun, 900_000_000 + after_ms);
                assert_eq!(
                    found, *expected,
                    "{percent} %, {min}: {begun} requests, {after_ms} ms"
                );
            }
        }
    }

    #[test]
    fn lb29_money_and_time_do_not_add_up() {
        // Every request fails for 30 s and wants to be tried again; nothing was saved before.
        for (per_s, expected) in [
            (2_000, 2_000 * 30 / 5),
            (100, 100 * 30 / 5),
            (1, 30),
            (2, 60),
            (5, 3 * 30),
        ] {
            let (account, budget) = (Budget::default(), budget(20, 3));
            let mut retries = 0;
            for request in 1..=per_s * 30 {
                let now_ms = 5_000_000 + u64::from(request) * 1_000 / u64::from(per_s);
                retries += u32::from(account.withdraw(budget, request, now_ms));
            }
            // A second's worth of time is there at first.
            assert!(
                (expected..=expected + 3).contains(&retries),
                "{per_s} a second: {retries}"
            );
        }
    }

    #[test]
    fn lb29_a_clock_that_is_behind_gives_nothing() {
        let account = Budget::default();
        assert_eq!(drain(&account, budget(0, 3), 0, 50_000), 3);
        assert_eq!(drain(&account, budget(0, 3), 0, 49_990), 0);
        // A quarter of an hour later it is ahead again.
        assert_eq!(drain(&account, budget(0, 3), 0, 950_000), 3);
    }

    proptest! {
        #[test]
        fn lb29_retries_never_exceed_what_was_paid_in(
            percent in 0u64..=100,
            min in 0u32..10,
            steps in prop::collection::vec((0u32..50, 0u64..2_000), 1..100),
        ) {
            let (account, budget) = (Budget::default(), budget(percent, min));
            let (mut begun, mut now_ms, mut retries) = (0, 3_000_000, 0);
            for (requests, gap_ms) in steps {
                begun += requests;
                now_ms += gap_ms;
                retries += u64::from(drain(&account, budget, begun, now_ms));
                let granted = u64::from(begun) * percent * 10 + (now_ms - 3_000_000 + 1_000) * u64::from(min);
                prop_assert!(retries * 1_000 <= granted, "{retries} retries, {granted} thousandths paid in");
            }
        }
    }
}
