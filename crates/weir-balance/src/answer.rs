//! What an endpoint's answers have shown: how long they take, how many fail, since when it has been silent.
//!
//! Sixteen bytes of an endpoint's cache line. A record is one load and one store without a read-modify-write: of
//! two workers that record in the same instant one is lost, which an average does not notice.

use std::hint::select_unpredictable;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// How a try ended, as far as the endpoint is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It answered, and nothing in the answer says that it is in trouble.
    Success,
    /// It could not be reached, broke off, timed out, or answered with a status that means so (500, 502, 503, 504).
    Failure,
    /// A failure that asks for time (`Retry-After`, RFC 9110 10.2.3). An endpoint that mostly fails is left alone
    /// for that long, at most a minute.
    Pushback {
        /// The time asked for.
        retry_after_ms: u32,
    },
    /// The client went away first. Nobody's failure; a wait longer than usual counts as slowness.
    Abandoned,
}

/// Latencies are kept in sixteenths of a microsecond, at most 16.7 s.
const LATENCY_MAX: u64 = (1 << LATENCY_BITS) - 1;
const LATENCY_BITS: u32 = 28;
/// Failure rates are kept in 4,096ths.
const FAILURES_ALL: u32 = 1 << FAILURES_BITS;
const FAILURES_BITS: u32 = 12;
/// Times are kept in milliseconds modulo 4.6 hours.
const STAMP_BITS: u32 = 24;
const _: () = assert!(LATENCY_BITS + FAILURES_BITS + STAMP_BITS == 64);

/// Time over which answers are averaged, each moving the average by at least 1/32 and at most 1/8.
const WINDOW_MS: u64 = 1_000;
/// Each answer moves the failure rate by this part of the difference.
const FAILURES_STEP: u32 = 32;
/// What one certain failure costs, in successful answers: a rate `f` makes an endpoint `1 + 8 f / (1 - f)` times as
/// dear.
const FAILURE_PRICE: u32 = 8;
/// A price of 1 in the unit of [`Standing::price`], and the greatest: 64.
pub(crate) const PRICE_ONE: u32 = 16;
const PRICE_MAX: u32 = 64 * PRICE_ONE;
/// Without answers, what speaks against an endpoint is halved in this time, until it is tried again.
const EASE_MS: u32 = 1 << 11;
/// Half-life of a peak (Finagle's time constant of 10 s).
const PEAK_HALF_LIFE_MS: u32 = 6_931;
/// Longest `Retry-After` that is heeded.
const PUSHBACK_MAX_MS: u32 = 60_000;

/// See the module.
#[derive(Debug)]
pub(crate) struct Answers {
    /// Latency, failure rate and time of the last answer in one word, so that they belong together.
    seen: AtomicU64,
    /// Peak-sensitive latency, microseconds.
    peak_us: AtomicU32,
    /// Since when an answer is awaited and none has come, milliseconds.
    silent_since: AtomicU32,
}

/// How an endpoint stands at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Standing {
    /// Mean latency, or the present silence if that is longer; 0 when nothing is known.
    pub(crate) latency: u32,
    /// What its failures make of it, in [`PRICE_ONE`]ths.
    pub(crate) price: u32,
    /// How many times what speaks against it has been halved for lack of news. 0 while an answer is awaited: one try
    /// is enough to find out.
    pub(crate) eased: u32,
    pub(crate) in_flight: u32,
}

/// [`Standing`] of an endpoint of which little is to be said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Brief {
    /// Mean latency, or the present silence if that is longer; 0 when nothing is known.
    pub(crate) latency: u32,
    /// What its failures make of it, in [`PRICE_ONE`]ths.
    pub(crate) price: u32,
    pub(crate) in_flight: u32,
    /// There is recent news, and nothing has been halved.
    pub(crate) is_ordinary: bool,
}

impl Answers {
    pub(crate) fn new() -> Self {
        Self {
            seen: AtomicU64::new(0),
            peak_us: AtomicU32::new(0),
            silent_since: AtomicU32::new(0),
        }
    }

    pub(crate) fn forget(&self) {
        self.seen.store(0, Relaxed);
        self.peak_us.store(0, Relaxed);
    }

    /// The first of the answers that are now awaited has begun to be.
    pub(crate) fn begin_waiting(&self, now_ms: u64) {
        self.silent_since.store(now_ms as u32, Relaxed);
    }

    pub(crate) fn record(&self, now_ms: u64, latency: Duration, answer: Answer) {
        self.silent_since.store(now_ms as u32, Relaxed);
        let seen = Seen::unpack(self.seen.load(Relaxed));
        let elapsed_ms = seen.elapsed_ms(now_ms);
        let sample = u64::try_from(latency.as_micros())
            .unwrap_or(u64::MAX)
            .saturating_mul(16)
            .clamp(1, LATENCY_MAX) as u32;
        // A quick failure says nothing of how long an answer takes, and a client may leave as soon as it likes.
        let tells_latency = match answer {
            Answer::Success => true,
            Answer::Failure | Answer::Pushback { .. } => seen.latency > 0 && sample > seen.latency,
            Answer::Abandoned => sample > seen.latency,
        };
        if tells_latency {
            let peak_us = self.peak_us.load(Relaxed);
            self.peak_us
                .store(peak(peak_us, (sample / 16).max(1), elapsed_ms), Relaxed);
        }
        let failures = match answer {
            Answer::Success => {
                let eased = eased(seen.failures, elapsed_ms);
                eased - eased.div_ceil(FAILURES_STEP)
            }
            Answer::Failure | Answer::Pushback { .. } => {
                (seen.failures + (FAILURES_ALL - seen.failures) / FAILURES_STEP).min(FAILURES_ALL - 1)
            }
            Answer::Abandoned => seen.failures,
        };
        let wait_ms = match answer {
            Answer::Pushback { retry_after_ms } if failures >= FAILURES_ALL / 2 => {
                retry_after_ms.min(PUSHBACK_MAX_MS)
            }
            _ => 0,
        };
        let latency = if tells_latency {
            averaged(seen.latency, sample, elapsed_ms)
        } else {
            seen.latency
        };
        let stamp = (now_ms as u32).wrapping_add(wait_ms);
        self.seen.store(
            Seen {
                latency,
                failures,
                stamp,
            }
            .pack(),
            Relaxed,
        );
    }

    #[inline]
    pub(crate) fn standing(&self, in_flight: u32, awaited: bool, now_ms: u64) -> Standing {
        let seen = Seen::unpack(self.seen.load(Relaxed));
        Standing {
            latency: seen.latency.max(self.silence(awaited, now_ms)),
            price: price(seen.failures),
            eased: select_unpredictable(awaited, 0, seen.elapsed_ms(now_ms) / EASE_MS),
            in_flight,
        }
    }

    #[inline]
    pub(crate) fn brief(&self, in_flight: u32, awaited: bool, now_ms: u64) -> Brief {
        let seen = Seen::unpack(self.seen.load(Relaxed));
        Brief {
            latency: seen.latency.max(self.silence(awaited, now_ms)),
            price: price(seen.failures),
            in_flight,
            is_ordinary: awaited | (seen.elapsed_ms(now_ms) < EASE_MS),
        }
    }

    /// For how long an answer has been awaited and none has come, as a latency.
    #[inline]
    fn silence(&self, awaited: bool, now_ms: u64) -> u32 {
        let silent_ms = (now_ms as u32).wrapping_sub(self.silent_since.load(Relaxed)) as i32;
        // A clock that is behind another worker's is no silence.
        let silence = (silent_ms.max(0) as u64 * 16_000).min(LATENCY_MAX) as u32;
        select_unpredictable(awaited, silence, 0)
    }

    /// Peak latency in microseconds and the price of failures, both decayed; the latency is 0 when nothing is known.
    #[inline]
    pub(crate) fn peak(&self, now_ms: u64) -> (u32, u32) {
        let seen = Seen::unpack(self.seen.load(Relaxed));
        let elapsed_ms = seen.elapsed_ms(now_ms);
        (
            halved(self.peak_us.load(Relaxed), elapsed_ms, PEAK_HALF_LIFE_MS),
            price(eased(seen.failures, elapsed_ms)),
        )
    }
}

/// [`Answers::seen`] unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    latency: u32,
    failures: u32,
    stamp: u32,
}

impl Seen {
    #[inline]
    fn unpack(word: u64) -> Self {
        Self {
            latency: (word & LATENCY_MAX) as u32,
            failures: (word >> LATENCY_BITS) as u32 & (FAILURES_ALL - 1),
            stamp: (word >> (LATENCY_BITS + FAILURES_BITS)) as u32,
        }
    }

    fn pack(self) -> u64 {
        u64::from(self.latency)
            | u64::from(self.failures) << LATENCY_BITS
            | u64::from(self.stamp) << (LATENCY_BITS + FAILURES_BITS)
    }

    /// Time since the last answer; 0 before a time asked for has come.
    #[inline]
    fn elapsed_ms(self, now_ms: u64) -> u32 {
        let elapsed = (now_ms as u32).wrapping_sub(self.stamp) << (32 - STAMP_BITS);
        (elapsed as i32).max(0) as u32 >> (32 - STAMP_BITS)
    }
}

/// The average with one more sample. A bad one that follows a long time without news confirms what was known before; a
/// good one goes on from what time has made of it.
fn averaged(latency: u32, sample: u32, elapsed_ms: u32) -> u32 {
    if latency == 0 {
        return sample;
    }
    let eased = eased(latency, elapsed_ms);
    let from = if sample > eased { latency } else { eased };
    let weight = (u64::from(elapsed_ms) * 256 / WINDOW_MS).clamp(8, 32) as i64;
    let moved = i64::from(from) + (i64::from(sample) - i64::from(from)) * weight / 256;
    moved.clamp(1, LATENCY_MAX as i64) as u32
}

/// What time without news has left of what spoke against an endpoint. In whole steps, so that what is asked often enough is
/// a plain average.
#[inline]
fn eased(value: u32, elapsed_ms: u32) -> u32 {
    value.checked_shr(elapsed_ms / EASE_MS).unwrap_or(0)
}

/// Finagle's peak: up at once, down by time.
fn peak(peak_us: u32, sample_us: u32, elapsed_ms: u32) -> u32 {
    if sample_us >= peak_us {
        sample_us
    } else {
        sample_us + halved(peak_us - sample_us, elapsed_ms, PEAK_HALF_LIFE_MS)
    }
}

#[inline]
fn price(failures: u32) -> u32 {
    if failures == 0 {
        return PRICE_ONE;
    }
    let extra = PRICE_ONE * FAILURE_PRICE * failures / (FAILURES_ALL - failures);
    (PRICE_ONE + extra).min(PRICE_MAX)
}

/// `value * 2^-(elapsed / half_life)`, straight between whole half-lives.
#[inline]
fn halved(value: u32, elapsed_ms: u32, half_life_ms: u32) -> u32 {
    let (times, rest) = (elapsed_ms / half_life_ms, elapsed_ms % half_life_ms);
    if times > 31 {
        return 0;
    }
    let value = u64::from(value >> times);
    (value - value * u64::from(rest) / (2 * u64::from(half_life_ms))) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW_MS: u64 = 5_000_000_000;

    fn ms(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    /// Mean latency, microseconds.
    fn latency_us(answers: &Answers) -> u32 {
        answers.standing(0, false, NOW_MS).latency / 16
    }

    /// Failure rate.
    fn failures(answers: &Answers) -> f64 {
        f64::from(Seen::unpack(answers.seen.load(Relaxed)).failures) / f64::from(FAILURES_ALL)
    }

    fn record(answers: &Answers, times: u32, gap_ms: u64, latency: Duration, answer: Answer) -> u64 {
        (0..times).fold(NOW_MS, |now_ms, _| {
            answers.record(now_ms + gap_ms, latency, answer);
            now_ms + gap_ms
        })
    }

    #[test]
    fn bx01_the_mean_follows_what_is_answered() {
        for (gap_ms, answers_until_there) in [(0, 160), (4, 160), (100, 45), (1_000, 45)] {
            let answers = Answers::new();
            answers.record(NOW_MS, ms(10), Answer::Success);
            assert_eq!(latency_us(&answers), 10_000, "the first is taken as it is");
            record(&answers, answers_until_there, gap_ms, ms(100), Answer::Success);
            assert!(
                latency_us(&answers) > 98_000,
                "{gap_ms}: {}",
                latency_us(&answers)
            );
            record(&answers, answers_until_there, gap_ms, ms(10), Answer::Success);
            assert!(
                latency_us(&answers) < 11_000,
                "{gap_ms}: {}",
                latency_us(&answers)
            );
        }
    }

    #[test]
    fn bx01_only_what_tells_latency_counts_as_latency() {
        for (answer, latency, expected_us) in [
            (Answer::Success, ms(1), 1_000),
            (Answer::Failure, ms(1), 10_000),
            (Answer::Pushback { retry_after_ms: 0 }, ms(1), 10_000),
            (Answer::Abandoned, ms(1), 10_000),
            (Answer::Failure, ms(100), 100_000),
            (Answer::Abandoned, ms(100), 100_000),
        ] {
            let answers = Answers::new();
            answers.record(NOW_MS, ms(10), Answer::Success);
            record(&answers, 300, 1, latency, answer);
            let found = latency_us(&answers);
            assert!(
                found.abs_diff(expected_us) < expected_us / 20,
                "{answer:?}: {found}"
            );
        }
        let failing = Answers::new();
        record(&failing, 300, 1, ms(1), Answer::Failure);
        assert_eq!(
            latency_us(&failing),
            0,
            "nothing is known of how long an answer takes"
        );
    }

    #[test]
    fn bx01_the_failure_rate_follows_the_failures() {
        let answers = Answers::new();
        record(&answers, 400, 1, ms(1), Answer::Failure);
        assert!(failures(&answers) > 0.98);
        assert_eq!(answers.standing(0, false, NOW_MS).price, PRICE_MAX);
        record(&answers, 400, 1, ms(1), Answer::Success);
        assert_eq!(failures(&answers), 0.0);
        assert_eq!(answers.standing(0, false, NOW_MS).price, PRICE_ONE);
        for number in 0..4_000 {
            let answer = if number % 10 == 0 {
                Answer::Failure
            } else {
                Answer::Success
            };
            answers.record(NOW_MS + number, ms(1), answer);
        }
        assert!(
            (0.06..0.14).contains(&failures(&answers)),
            "{}",
            failures(&answers)
        );
        assert!(
            (20..40).contains(&price(410)),
            "a tenth of failures costs less than a factor of 2.5"
        );
    }

    #[test]
    fn bx01_retry_after_keeps_an_endpoint_that_mostly_fails_alone() {
        let (answers, pushback) = (
            Answers::new(),
            Answer::Pushback {
                retry_after_ms: 30_000,
            },
        );
        answers.record(NOW_MS, ms(10), Answer::Success);
        answers.record(NOW_MS, ms(1), pushback);
        assert_eq!(
            answers.standing(0, false, NOW_MS + 10_300).eased,
            5,
            "one among good ones"
        );
        record(&answers, 40, 0, ms(1), pushback);
        for (after_ms, eased) in [(0, 0), (29_000, 0), (32_047, 0), (32_048, 1), (42_300, 6)] {
            assert_eq!(
                answers.standing(0, false, NOW_MS + after_ms).eased,
                eased,
                "after {after_ms} ms"
            );
        }
        answers.record(NOW_MS + 100, ms(10), Answer::Success);
        assert_eq!(
            answers.standing(0, false, NOW_MS + 2_200).eased,
            1,
            "a good answer ends it"
        );
        record(
            &answers,
            40,
            0,
            ms(1),
            Answer::Pushback {
                retry_after_ms: u32::MAX,
            },
        );
        assert_eq!(
            answers.standing(0, false, NOW_MS + 62_048).eased,
            1,
            "a minute is the most"
        );
    }

    #[test]
    fn bx01_time_stamps_survive_their_wrapping() {
        let wrap = 1 << STAMP_BITS;
        for now_ms in [wrap - 1, wrap, 3 * wrap - 500, (1 << 32) - 1] {
            let answers = Answers::new();
            answers.record(now_ms, ms(10), Answer::Success);
            assert_eq!(answers.standing(0, false, now_ms + 2_048).eased, 1);
            assert_eq!(
                answers.standing(0, false, now_ms - 5).eased,
                0,
                "another worker's clock is behind"
            );
            answers.begin_waiting(now_ms);
            assert_eq!(answers.standing(1, true, now_ms - 5).latency, 160_000);
            assert_eq!(answers.standing(1, true, now_ms + 20).latency, 320_000);
        }
    }

    #[test]
    fn lb08_a_peak_is_taken_at_once_and_decays_by_time() {
        let answers = Answers::new();
        answers.record(NOW_MS, ms(10), Answer::Success);
        answers.record(NOW_MS, ms(100), Answer::Success);
        assert_eq!(answers.peak(NOW_MS), (100_000, PRICE_ONE));
        let (half, _) = answers.peak(NOW_MS + 6_931);
        assert_eq!(half, 50_000);
        record(&answers, 100, 100, ms(10), Answer::Success);
        let (peak_us, _) = answers.peak(NOW_MS + 10_000);
        assert!(
            (40_000..57_000).contains(&peak_us),
            "{peak_us} after one time constant"
        );
    }

    proptest! {
        #[test]
        fn anything_can_be_recorded(
            steps in prop::collection::vec((any::<u64>(), any::<u64>(), 0u8..4, any::<u32>()), 1..40),
        ) {
            let answers = Answers::new();
            for (now_ms, latency_us, kind, retry_after_ms) in steps {
                let answer = match kind {
                    0 => Answer::Success,
                    1 => Answer::Failure,
                    2 => Answer::Abandoned,
                    _ => Answer::Pushback { retry_after_ms },
                };
                answers.record(now_ms, Duration::from_micros(latency_us), answer);
                let standing = answers.standing(3, latency_us % 2 == 0, now_ms);
                prop_assert!((PRICE_ONE..=PRICE_MAX).contains(&standing.price));
                prop_assert!(u64::from(standing.latency) <= LATENCY_MAX);
                answers.peak(now_ms.wrapping_add(u64::from(retry_after_ms)));
            }
        }

        #[test]
        fn what_is_packed_is_unpacked(latency in 0u32..1 << 28, failures in 0u32..1 << 12, stamp in 0u32..1 << 24) {
            let seen = Seen { latency, failures, stamp };
            prop_assert_eq!(Seen::unpack(seen.pack()), seen);
        }

        #[test]
        fn the_mean_stays_between_what_went_in(samples in prop::collection::vec(1u64..10_000, 1..60), gap_ms in 0u64..1_500) {
            let answers = Answers::new();
            let mut now_ms = NOW_MS;
            for sample in &samples {
                answers.record(now_ms, ms(*sample), Answer::Success);
                now_ms += gap_ms;
            }
            let (least, greatest) = (samples.iter().min().copied(), samples.iter().max().copied());
            let found = u64::from(latency_us(&answers));
            prop_assert!(found + 1 >= least.unwrap_or(0) * 1_000 - 1 && found <= greatest.unwrap_or(0) * 1_000);
        }
    }
}
