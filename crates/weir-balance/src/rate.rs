//! Who stands out among endpoints by the rates of one interval (Envoy's failure percentage and success rate).

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use weir_model::PassiveCheck;

use crate::change::EjectionCause;

/// What the request path counts between two sweeps.
#[derive(Debug, Default)]
pub(crate) struct Count {
    all: AtomicU32,
    good: AtomicU32,
}

/// The answers of one endpoint in one interval.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    index: u32,
    all: u32,
    good: u32,
}

impl Rate {
    fn success_percent(&self) -> f64 {
        f64::from(self.good) * 100.0 / f64::from(self.all.max(1))
    }

    fn failure_percent(&self) -> f64 {
        100.0 - self.success_percent()
    }
}

impl Count {
    /// One more.
    #[inline]
    pub(crate) fn add(&self, is_good: bool) {
        self.all.fetch_add(1, Relaxed);
        if is_good {
            self.good.fetch_add(1, Relaxed);
        }
    }

    /// What was counted of the endpoint of `index`; counting begins anew.
    pub(crate) fn take(&self, index: u32) -> Rate {
        let good = self.good.swap(0, Relaxed);
        let all = self.all.swap(0, Relaxed);
        Rate {
            // Another worker may be between its two counts.
            good: good.min(all),
            all,
            index,
        }
    }
}

/// Endpoints that are to be ejected by their rates, and why.
pub(crate) fn outliers(check: &PassiveCheck, rates: &[Rate]) -> Vec<(u32, EjectionCause)> {
    let mut causes: Vec<(u32, EjectionCause)> = Vec::new();
    if let Some(rule) = check.success_rate {
        let judged: Vec<&Rate> = enough(rates, rule.requests_min, rule.endpoints_min);
        let threshold = success_threshold(&judged, rule.factor_milli);
        let outliers = judged.iter().filter(|rate| rate.success_percent() < threshold);
        causes.extend(outliers.map(|rate| {
            let cause = EjectionCause::SuccessRate {
                succeeded_percent: rate.success_percent() as u32,
                threshold_percent: threshold as u32,
            };
            (rate.index, cause)
        }));
    }
    if let Some(rule) = check.failure_percentage {
        let judged = enough(rates, rule.requests_min, rule.endpoints_min);
        let threshold_percent = rule.threshold.number();
        let failing = judged
            .iter()
            .filter(|rate| rate.failure_percent() >= f64::from(threshold_percent));
        causes.extend(failing.map(|rate| {
            let cause = EjectionCause::FailurePercentage {
                failed_percent: rate.failure_percent() as u32,
                threshold_percent,
            };
            (rate.index, cause)
        }));
    }
    causes
}

/// Those with enough requests; nobody when they are too few.
fn enough(rates: &[Rate], requests_min: u32, endpoints_min: u32) -> Vec<&Rate> {
    let judged: Vec<&Rate> = rates
        .iter()
        .filter(|rate| rate.all >= requests_min.max(1))
        .collect();
    if judged.len() < endpoints_min as usize {
        return Vec::new();
    }
    judged
}

/// The mean success rate less `factor_milli` thousandths of the standard deviation, percent.
fn success_threshold(judged: &[&Rate], factor_milli: u32) -> f64 {
    let count = judged.len().max(1) as f64;
    let mean = judged.iter().map(|rate| rate.success_percent()).sum::<f64>() / count;
    let squares = judged.iter().map(|rate| (rate.success_percent() - mean).powi(2));
    let deviation = (squares.sum::<f64>() / count).sqrt();
    mean - deviation * f64::from(factor_milli) / 1_000.0
}
