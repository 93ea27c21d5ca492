//! What probes have found, for people.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use weir_balance::{Change, ProbeOutcome, Verdict};
use weir_model::EndpointAddress;

use crate::Judge;
use crate::lock::lock;

/// Failed probes that are remembered, the last ones (row HC17).
const FAILURES_KEPT: usize = 5;

/// A probe is one part in this many of the score.
const SCORE_PROBES: f64 = 8.0;

/// What the probes of one endpoint under one check have found.
#[derive(Debug, Default)]
pub(crate) struct ProbeHistory(Mutex<Found>);

#[derive(Debug, Default)]
struct Found {
    probes: u64,
    failed: u64,
    changes: u64,
    good_us: u64,
    score: f64,
    last: Option<ProbeRecord>,
    failures: VecDeque<ProbeRecord>,
}

/// The health of all endpoints that are checked.
#[derive(Clone, Debug, Default)]
pub struct HealthReport {
    /// Ordered by endpoint and check.
    pub probes: Vec<ProbeReport>,
    /// Endpoints that backends with passive checks have, ordered by backend and endpoint.
    pub ejections: Vec<EjectionReport>,
}

/// An endpoint under an active check.
#[derive(Clone, Debug)]
pub struct ProbeReport {
    /// Which.
    pub endpoint: EndpointAddress,
    /// What its probes do, such as `GET /healthz`.
    pub check: Arc<str>,
    /// What it counts as.
    pub verdict: Verdict,
    /// Probes that have ended.
    pub probes: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// How often the verdict has changed.
    pub changes: u64,
    /// How many of the last ones were good, percent; the newer, the more one counts (row HC17).
    pub score: u8,
    /// Mean duration of the good ones, microseconds; 0 before the first.
    pub good_mean_us: u64,
    /// The last one.
    pub last: Option<ProbeRecord>,
    /// The last five that failed, the oldest first.
    pub failures: Vec<ProbeRecord>,
}

/// One probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeRecord {
    /// When it ended, milliseconds since 1970.
    pub unix_ms: u64,
    /// How long it took, microseconds.
    pub duration_us: u64,
    /// How it ended.
    pub outcome: ProbeOutcome,
}

/// What has become of an endpoint.
#[derive(Clone, Debug)]
pub struct ChangeRecord {
    /// When, milliseconds since 1970.
    pub unix_ms: u64,
    /// Who has found that out.
    pub judge: Judge,
    /// What, and why.
    pub change: Change,
}

/// An endpoint of a backend under a passive check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EjectionReport {
    /// Key of the backend.
    pub backend: Arc<str>,
    /// Which.
    pub endpoint: EndpointAddress,
    /// Whether it is ejected now.
    pub is_ejected: bool,
    /// How often the endpoint has been ejected, by whatever backend, since it was listed first.
    pub times: u64,
}

impl ProbeHistory {
    /// Notes a probe and whether it changed the verdict.
    pub(crate) fn note(&self, record: ProbeRecord, is_change: bool) {
        let mut found = lock(&self.0);
        let is_good = record.outcome == ProbeOutcome::Good;
        let points = if is_good { 100.0 } else { 0.0 };
        if found.probes == 0 {
            found.score = points;
        }
        found.score += (points - found.score) / SCORE_PROBES;
        found.probes += 1;
        found.changes += u64::from(is_change);
        found.last = Some(record);
        if is_good {
            found.good_us += record.duration_us;
            return;
        }
        found.failed += 1;
        if found.failures.len() == FAILURES_KEPT {
            found.failures.pop_front();
        }
        found.failures.push_back(record);
    }

    /// All of it.
    pub(crate) fn report(&self, endpoint: EndpointAddress, check: Arc<str>, verdict: Verdict) -> ProbeReport {
        let found = lock(&self.0);
        ProbeReport {
            endpoint,
            check,
            verdict,
            probes: found.probes,
            failed: found.failed,
            changes: found.changes,
            score: found.score.round() as u8,
            good_mean_us: found
                .good_us
                .checked_div(found.probes - found.failed)
                .unwrap_or(0),
            last: found.last,
            failures: found.failures.iter().copied().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use weir_balance::ProbeFailure;

    use super::*;

    #[test]
    fn hc17_the_last_five_failures_and_the_mean_of_the_good_are_kept() {
        let history = ProbeHistory::default();
        let record = |unix_ms, outcome| ProbeRecord {
            unix_ms,
            duration_us: unix_ms,
            outcome,
        };
        for time in [100, 200] {
            history.note(record(time, ProbeOutcome::Good), time == 100);
        }
        for time in 1..=7 {
            let outcome = ProbeOutcome::Failed(ProbeFailure::Status(500));
            history.note(record(time, outcome), time == 3);
        }
        let endpoint = EndpointAddress::Unix("/a".into());
        let report = history.report(endpoint, "GET /".into(), Verdict::Unhealthy);
        assert_eq!((report.probes, report.failed, report.changes), (9, 7, 2));
        assert_eq!(report.good_mean_us, 150);
        // Seven eighths, seven times.
        assert_eq!(report.score, 39);
        let words: Vec<&str> = report
            .failures
            .iter()
            .map(|failure| failure.outcome.word())
            .collect();
        assert_eq!(words, ["status"; 5]);
        assert_eq!(report.last.map(|last| last.unix_ms), Some(7));
        let times: Vec<u64> = report.failures.iter().map(|failure| failure.unix_ms).collect();
        assert_eq!(times, [3, 4, 5, 6, 7]);
    }
}
