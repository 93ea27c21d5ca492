//! What is said of endpoints and probes.

use weir_admin::{ProbeFailureState, ProbeState};
use weir_balance::{Change, Override, ProbeOutcome, Use, Verdict};
use weir_proxy::{EndpointStanding, MemberReport, ProbeRecord, ProbeReport};

/// Why an endpoint is as it is; empty for one that serves.
pub(super) fn cause(member: &MemberReport) -> String {
    let changed = member.changed.as_ref().map(|record| &record.change);
    match (member.standing, changed) {
        (EndpointStanding::Serving, _) => String::new(),
        (EndpointStanding::Pending, _) => "its first probe has not ended".to_owned(),
        (EndpointStanding::Disabled, _) => "somebody disabled it".to_owned(),
        (EndpointStanding::Draining, _) if member.decided.usage == Use::Draining => {
            "somebody drains it".to_owned()
        }
        (EndpointStanding::Draining, _) => "the configuration says so".to_owned(),
        (EndpointStanding::Unhealthy, Some(Change::Unhealthy(cause))) => cause.to_string(),
        (EndpointStanding::Unhealthy, _) => {
            let last = member.probes.iter().filter_map(|probe| probe.failures.last());
            let last = last.max_by_key(|record| record.unix_ms);
            last.map_or_else(String::new, |record| {
                format!("a probe failed {}", outcome(record.outcome))
            })
        }
        (EndpointStanding::Ejected, Some(change @ Change::Ejected(_))) => change.to_string(),
        (EndpointStanding::Ejected, _) => "is ejected".to_owned(),
    }
}

/// What somebody has decided; empty when nothing.
pub(super) fn decided(decided: Override) -> String {
    let usage = match decided.usage {
        Use::Serving => None,
        Use::Draining => Some("draining".to_owned()),
        Use::Disabled => Some("disabled".to_owned()),
    };
    let weight = decided.weight.map(|weight| format!("weight {}", weight.number()));
    usage.into_iter().chain(weight).collect::<Vec<_>>().join(", ")
}

/// A check and what its probes have found.
pub(super) fn probe(report: &ProbeReport) -> ProbeState {
    ProbeState {
        check: report.check.to_string(),
        verdict: match report.verdict {
            Verdict::Unknown => "unknown",
            Verdict::Healthy => "healthy",
            Verdict::Unhealthy => "unhealthy",
        }
        .to_owned(),
        probes: report.probes,
        failed: report.failed,
        good_mean_us: (report.probes > report.failed).then_some(report.good_mean_us),
        last_unix_ms: report.last.map(|last| last.unix_ms),
        last: report.last.map(|last| outcome(last.outcome)).unwrap_or_default(),
        failures: report.failures.iter().map(failure).collect(),
    }
}

fn failure(record: &ProbeRecord) -> ProbeFailureState {
    ProbeFailureState {
        unix_ms: record.unix_ms,
        kind: record.outcome.word().to_owned(),
        what: outcome(record.outcome),
        duration_us: record.duration_us,
    }
}

fn outcome(outcome: ProbeOutcome) -> String {
    match outcome {
        ProbeOutcome::Good => "good".to_owned(),
        ProbeOutcome::Failed(failure) => failure.to_string(),
        ProbeOutcome::Withdrawn => "with an answer that asked for it".to_owned(),
        ProbeOutcome::Refuted(status) => format!("with status {status}"),
    }
}
