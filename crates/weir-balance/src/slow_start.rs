//! Slow start: a new or recovered endpoint gets its share gradually (row LB14).
//!
//! The ramp is an acceptance: an algorithm that has chosen an endpoint inside its ramp keeps it with the
//! probability of the ramp's factor, and goes on to the next candidate otherwise. Outside of ramps that costs one
//! comparison with a word on the cache line that the pick reads anyway.

use weir_model::SlowStart;

/// Elapsed time counts as at least this much (Envoy's rule), so that the first requests are not refused.
const ELAPSED_MIN_MS: u64 = 1_000;

/// `max(min_weight, (max(elapsed, 1 s) / window)^(1 / aggression))`.
#[derive(Clone, Debug)]
pub(crate) struct Ramp {
    window_ms: u64,
    exponent: f64,
    factor_min: f64,
}

impl Ramp {
    /// An aggression of 0 counts as 1 thousandth.
    pub(crate) fn new(spec: &SlowStart) -> Self {
        Self {
            window_ms: u64::try_from(spec.window.as_millis()).unwrap_or(u64::MAX),
            exponent: 1_000.0 / f64::from(spec.aggression_milli.max(1)),
            factor_min: f64::from(spec.min_weight_percent.min(100)) / 100.0,
        }
    }

    /// How long after it was added an endpoint has its full share, milliseconds.
    pub(crate) fn window_ms(&self) -> u64 {
        self.window_ms
    }

    /// The part of its full share that an endpoint added at `added_at_ms` has at `now_ms`.
    #[inline]
    pub(crate) fn factor(&self, added_at_ms: u64, now_ms: u64) -> f64 {
        let elapsed_ms = now_ms.saturating_sub(added_at_ms);
        if elapsed_ms >= self.window_ms {
            1.0
        } else {
            self.factor_inside(elapsed_ms)
        }
    }

    #[cold]
    fn factor_inside(&self, elapsed_ms: u64) -> f64 {
        let elapsed = elapsed_ms.max(ELAPSED_MIN_MS) as f64 / self.window_ms as f64;
        elapsed.powf(self.exponent).clamp(self.factor_min, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ramp(window_s: u64, aggression_milli: u32, min_weight_percent: u8) -> Ramp {
        Ramp::new(&SlowStart {
            window: Duration::from_secs(window_s),
            aggression_milli,
            min_weight_percent,
        })
    }

    #[test]
    fn lb14_the_factor_follows_the_curve() {
        for (window_s, aggression_milli, min_percent, elapsed_ms, factor) in [
            (10, 1_000, 10, 0, 0.1),
            (10, 1_000, 10, 1_000, 0.1),
            (10, 1_000, 10, 5_000, 0.5),
            (10, 1_000, 10, 9_999, 0.999_9),
            (10, 1_000, 10, 10_000, 1.0),
            (10, 1_000, 10, 12_000, 1.0),
            (60, 1_000, 10, 1_000, 0.1),
            (100, 1_000, 0, 0, 0.01),
            (10, 2_000, 10, 2_500, 0.5),
            (10, 500, 0, 5_000, 0.25),
            (0, 1_000, 10, 0, 1.0),
        ] {
            let found = ramp(window_s, aggression_milli, min_percent).factor(1_000, 1_000 + elapsed_ms);
            assert!(
                (found - factor).abs() < 1e-9,
                "{window_s} {aggression_milli} {min_percent} {elapsed_ms}: {found}"
            );
        }
    }

    #[test]
    fn an_endpoint_from_the_future_is_at_the_start_of_its_ramp() {
        assert!((ramp(10, 1_000, 10).factor(5_000, 0) - 0.1).abs() < 1e-9);
    }
}
