//! Trying again.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::{Period, StatusSet, limits};

/// When and how a request is tried again (Envoy Gateway `retry`, HTTPRoute `retry`). A retry never goes to an endpoint
/// that was tried, and [`crate::Breakers::retries`] bounds how many there are at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Tries after the first, at most [`limits::RETRIES_MAX`].
    pub attempts: u32,
    /// What is tried again.
    pub conditions: RetryConditions,
    /// Statuses that are tried again when [`RetryCondition::Status`] holds.
    pub statuses: StatusSet,
    /// Time for one try; `None`: [`crate::Timeouts::backend_request`] decides.
    pub try_timeout: Option<Period>,
    /// Waiting before each retry.
    pub backoff: Backoff,
    /// After that many tries in a tier the next tier is tried (Envoy Gateway `numAttemptsPerPriority`); `None`: the
    /// tier that serves is tried all the time.
    pub attempts_per_tier: Option<NonZeroU32>,
}

impl Default for Retry {
    /// Envoy Gateway's: 2 retries when the endpoint was not reached or refused, or answered 503.
    fn default() -> Self {
        Self {
            attempts: limits::RETRIES,
            conditions: RetryConditions::STANDARD,
            statuses: StatusSet::one(503).unwrap_or_default(),
            try_timeout: None,
            backoff: Backoff::default(),
            attempts_per_tier: None,
        }
    }
}

/// Waiting before a retry: the n-th waits a random time up to `base * 2^(n - 1)`, at most `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Before the first retry.
    pub base: Duration,
    /// Never longer; at least `base`.
    pub max: Duration,
    /// Also never shorter than `base`: HTTPRoute's `backoff` is a minimum (GEP-1731).
    pub is_minimum: bool,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            base: limits::RETRY_BACKOFF_BASE,
            max: limits::RETRY_BACKOFF_BASE * limits::RETRY_BACKOFF_FACTOR,
            is_minimum: false,
        }
    }
}

/// Something that may be tried again (Envoy Gateway `retryOn.triggers`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryCondition {
    /// `5xx`: a 5xx answer, or none.
    ServerError,
    /// `gateway-error`: a 502, 503 or 504 answer, or none.
    GatewayError,
    /// `reset`: no answer (disconnect, reset, timeout of the try).
    Reset,
    /// `reset-before-request`: no answer, and nothing of the request was sent.
    ResetBeforeRequest,
    /// `connect-failure`: the endpoint was not reached.
    ConnectFailure,
    /// `retriable-4xx`: a 409 answer.
    Retriable4xx,
    /// `refused-stream`: an HTTP/2 endpoint refused before it did anything.
    RefusedStream,
    /// `retriable-status-codes`: an answer whose status is in [`Retry::statuses`].
    Status,
    /// The time for one try is over. HTTPRoute's `retry` always means this one (GEP-1731).
    TryTimeout,
    /// gRPC status `cancelled`.
    GrpcCancelled,
    /// gRPC status `deadline-exceeded`.
    GrpcDeadlineExceeded,
    /// gRPC status `internal`.
    GrpcInternal,
    /// gRPC status `resource-exhausted`.
    GrpcResourceExhausted,
    /// gRPC status `unavailable`.
    GrpcUnavailable,
}

/// A set of [`RetryCondition`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetryConditions(u16);

impl RetryConditions {
    /// Envoy Gateway's default triggers.
    pub const STANDARD: Self = Self::of(&[
        RetryCondition::ConnectFailure,
        RetryCondition::RefusedStream,
        RetryCondition::GrpcUnavailable,
        RetryCondition::GrpcCancelled,
        RetryCondition::Status,
    ]);
    /// What HTTPRoute's `retry` means: listed statuses, and every failure to get an answer.
    pub const ROUTE: Self = Self::of(&[
        RetryCondition::ConnectFailure,
        RetryCondition::RefusedStream,
        RetryCondition::Reset,
        RetryCondition::TryTimeout,
        RetryCondition::Status,
    ]);

    /// The set of `conditions`.
    pub const fn of(conditions: &[RetryCondition]) -> Self {
        let (mut bits, mut at) = (0, 0);
        while at < conditions.len() {
            bits |= 1 << conditions[at] as u16;
            at += 1;
        }
        Self(bits)
    }

    /// The set with one more.
    #[must_use]
    pub const fn with(self, condition: RetryCondition) -> Self {
        Self(self.0 | 1 << condition as u16)
    }

    /// Whether `condition` is one of them.
    pub const fn holds(self, condition: RetryCondition) -> bool {
        self.0 & (1 << condition as u16) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lb28_defaults_are_envoy_gateways() {
        let retry = Retry::default();
        assert_eq!(retry.attempts, 2);
        for (condition, holds) in [
            (RetryCondition::ConnectFailure, true),
            (RetryCondition::RefusedStream, true),
            (RetryCondition::GrpcUnavailable, true),
            (RetryCondition::GrpcCancelled, true),
            (RetryCondition::Status, true),
            (RetryCondition::Reset, false),
            (RetryCondition::ServerError, false),
        ] {
            assert_eq!(retry.conditions.holds(condition), holds, "{condition:?}");
        }
        assert!(retry.statuses.contains(503) && !retry.statuses.contains(500));
        assert_eq!(retry.backoff.max, Duration::from_millis(250));
        assert!(
            RetryConditions::default()
                .with(RetryCondition::Reset)
                .holds(RetryCondition::Reset)
        );
    }
}
