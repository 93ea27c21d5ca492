//! What has happened to an endpoint, for one line of a log, one event and one count each (row HC09).

use std::fmt;

use weir_model::Weight;

/// A change of an endpoint's state with its cause. Its `Display` is the rest of a sentence about the endpoint, for
/// example `is unhealthy: 3 probes in a row failed, the last with status 500`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Its probes are good: it is picked.
    Healthy(HealthyCause),
    /// Its probes fail: it is not picked.
    Unhealthy(UnhealthyCause),
    /// It is not picked for a while because of how it answered.
    Ejected(Ejection),
    /// Its ejection is over.
    Returned(ReturnCause),
    /// A person has changed how it is used.
    Decided(Decision),
}

/// Why an endpoint counts as healthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthyCause {
    /// The first probe was good.
    FirstProbe,
    /// As many probes in a row were good as the threshold says.
    Threshold(u32),
}

/// Why an endpoint counts as unhealthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnhealthyCause {
    /// The first probe failed.
    FirstProbe(ProbeFailure),
    /// As many probes in a row failed as the threshold says.
    Threshold {
        /// That many.
        probes: u32,
        /// What the last one met.
        last: ProbeFailure,
    },
    /// A probe was answered with a status that leaves no doubt (see [`weir_model::HttpProbe::retriable`]).
    Status(u16),
    /// An answer to a request said so itself (Envoy's `x-envoy-immediate-health-check-fail`).
    Asked,
}

/// What a failed probe met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeFailure {
    /// No answer in time.
    Timeout,
    /// Nobody listens.
    Refused,
    /// The name of the endpoint does not resolve, or there is no way to it.
    Unreachable,
    /// The connection was reset or closed before the answer was complete.
    Closed,
    /// What came is no HTTP response.
    Garbage,
    /// A status that is not expected.
    Status(u16),
    /// The answer does not contain what is expected.
    Content,
}

/// An endpoint is taken out for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ejection {
    /// Why.
    pub cause: EjectionCause,
    /// How long it lasts, milliseconds, unless a probe ends it earlier.
    pub lasts_ms: u64,
    /// Ejections in a row, this one included.
    pub times: u32,
}

/// Why an endpoint is ejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EjectionCause {
    /// That many 5xx answers, or failures to get one, in a row.
    Consecutive5xx(u32),
    /// That many answers of 502, 503 or 504, or failures to get one, in a row.
    ConsecutiveGateway(u32),
    /// That many failures to get an answer in a row.
    ConsecutiveLocal(u32),
    /// Too many requests of an interval failed.
    FailurePercentage {
        /// Percent of its requests that failed.
        failed_percent: u32,
        /// What is too many.
        threshold_percent: u32,
    },
    /// Clearly fewer requests of an interval succeeded than with the others.
    SuccessRate {
        /// Percent of its requests that succeeded.
        succeeded_percent: u32,
        /// What is too few, judging by the others.
        threshold_percent: u32,
    },
}

impl EjectionCause {
    /// A word for each, in the order of [`Self::place`].
    pub const WORDS: [&'static str; 5] = [
        "consecutive_5xx",
        "consecutive_gateway",
        "consecutive_local",
        "failure_percentage",
        "success_rate",
    ];

    /// Its place in [`Self::WORDS`].
    pub fn place(self) -> usize {
        match self {
            Self::Consecutive5xx(_) => 0,
            Self::ConsecutiveGateway(_) => 1,
            Self::ConsecutiveLocal(_) => 2,
            Self::FailurePercentage { .. } => 3,
            Self::SuccessRate { .. } => 4,
        }
    }
}

/// Why an ejection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReturnCause {
    /// Its time is over.
    Time,
    /// A probe was good.
    Probe,
}

/// What a person has decided about an endpoint (row HC18).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is used as configured.
    Serving,
    /// It finishes what it has and gets nothing new.
    Draining,
    /// It is out of use.
    Disabled,
    /// It has another weight than configured; `None`: the configured one again.
    Weight(Option<Weight>),
}

impl fmt::Display for Change {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Healthy(cause) => write!(out, "is healthy: {cause}"),
            Self::Unhealthy(cause) => write!(out, "is unhealthy: {cause}"),
            Self::Ejected(ejection) => ejection.fmt(out),
            Self::Returned(ReturnCause::Time) => out.write_str("is back: its ejection is over"),
            Self::Returned(ReturnCause::Probe) => {
                out.write_str("is back from its ejection: a probe was good")
            }
            Self::Decided(decision) => decision.fmt(out),
        }
    }
}

impl fmt::Display for HealthyCause {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FirstProbe | Self::Threshold(1) => out.write_str("a probe was good"),
            Self::Threshold(probes) => write!(out, "{probes} probes in a row were good"),
        }
    }
}

impl fmt::Display for UnhealthyCause {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FirstProbe(failure) => write!(out, "its first probe failed {failure}"),
            Self::Threshold { probes: 1, last } => write!(out, "a probe failed {last}"),
            Self::Threshold { probes, last } => {
                write!(out, "{probes} probes in a row failed, the last {last}")
            }
            Self::Status(status) => write!(out, "a probe was answered {status}"),
            Self::Asked => out.write_str("it asked for it in an answer"),
        }
    }
}

impl fmt::Display for ProbeFailure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => out.write_str("without an answer in time"),
            Self::Refused => out.write_str("with a refused connection"),
            Self::Unreachable => out.write_str("without a way to it"),
            Self::Closed => out.write_str("with a connection closed early"),
            Self::Garbage => out.write_str("with an answer that is not HTTP"),
            Self::Status(status) => write!(out, "with status {status}"),
            Self::Content => out.write_str("with unexpected content"),
        }
    }
}

impl fmt::Display for Ejection {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.lasts_ms as f64 / 1_000.0;
        write!(out, "is ejected for {seconds} s: ")?;
        match self.cause {
            EjectionCause::Consecutive5xx(count) => write!(out, "{count} 5xx or no answers in a row")?,
            EjectionCause::ConsecutiveGateway(count) => {
                write!(out, "{count} answers of 502, 503, 504 or none in a row")?;
            }
            EjectionCause::ConsecutiveLocal(count) => write!(out, "no answer {count} times in a row")?,
            EjectionCause::FailurePercentage {
                failed_percent,
                threshold_percent,
            } => write!(
                out,
                "{failed_percent} % of its requests failed, {threshold_percent} % are too many"
            )?,
            EjectionCause::SuccessRate {
                succeeded_percent,
                threshold_percent,
            } => write!(
                out,
                "{succeeded_percent} % of its requests succeeded, below {threshold_percent} % is far from the others"
            )?,
        }
        match self.times {
            1 => Ok(()),
            times => write!(out, " (ejection {times} in a row)"),
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serving => out.write_str("serves again: a person decided"),
            Self::Draining => out.write_str("is draining: a person decided"),
            Self::Disabled => out.write_str("is disabled: a person decided"),
            Self::Weight(Some(weight)) => write!(out, "has weight {}: a person decided", weight.number()),
            Self::Weight(None) => out.write_str("has its configured weight again: a person decided"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hc09_a_change_says_its_cause() {
        for (change, expected) in [
            (
                Change::Healthy(HealthyCause::Threshold(2)),
                "is healthy: 2 probes in a row were good",
            ),
            (
                Change::Unhealthy(UnhealthyCause::Threshold {
                    probes: 3,
                    last: ProbeFailure::Status(500),
                }),
                "is unhealthy: 3 probes in a row failed, the last with status 500",
            ),
            (
                Change::Unhealthy(UnhealthyCause::FirstProbe(ProbeFailure::Refused)),
                "is unhealthy: its first probe failed with a refused connection",
            ),
            (
                Change::Ejected(Ejection {
                    cause: EjectionCause::Consecutive5xx(5),
                    lasts_ms: 30_000,
                    times: 1,
                }),
                "is ejected for 30 s: 5 5xx or no answers in a row",
            ),
            (
                Change::Ejected(Ejection {
                    cause: EjectionCause::FailurePercentage {
                        failed_percent: 90,
                        threshold_percent: 85,
                    },
                    lasts_ms: 61_500,
                    times: 2,
                }),
                "is ejected for 61.5 s: 90 % of its requests failed, 85 % are too many (ejection 2 in a row)",
            ),
            (
                Change::Returned(ReturnCause::Probe),
                "is back from its ejection: a probe was good",
            ),
            (
                Change::Decided(Decision::Draining),
                "is draining: a person decided",
            ),
        ] {
            assert_eq!(change.to_string(), expected);
        }
    }
}
