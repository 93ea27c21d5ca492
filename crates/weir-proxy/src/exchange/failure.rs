//! What can go wrong with an exchange. [`super::respond`] alone turns it into a status.

use std::sync::Arc;

use weir_balance::{NoPick, Overflow, Scope};
use weir_route::Miss;
use weir_wire::HeadError;
use weir_wire::connection::TooManyNominations;
use weir_wire::framing::FramingError;
use weir_wire::h1::chunked::ChunkError;
use weir_wire::h1::encode::EncodeError;
use weir_wire::host::HostError;
use weir_wire::path::PathError;

use crate::transit::PumpFailure;

/// A request that went wrong.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// What the client is told.
    pub(crate) status: u16,
    /// A stable word for logs, counters and `x-weir-reason`.
    pub(crate) reason: Reason,
    /// What remains of the client's connection.
    pub(crate) client: ClientFate,
    /// What it says of the try at an endpoint.
    pub(crate) end: TryEnd,
}

/// A stable word: one of weir's own, or one of the configuration's.
#[derive(Clone, Debug)]
pub(crate) enum Reason {
    Own(&'static str),
    Configured(Arc<str>),
    /// The path exists, but not for this method; these are the methods that there are.
    NotAllowed(Arc<str>),
}

impl Reason {
    pub(crate) fn word(&self) -> &str {
        match self {
            Self::Own(word) => word,
            Self::Configured(word) => word,
            Self::NotAllowed(_) => "method_not_allowed",
        }
    }
}

/// What a failure leaves of the client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientFate {
    /// The next request may follow.
    Lives,
    /// It is answered and closed: where the next request begins is not known.
    Closes,
    /// It is gone or cannot be answered.
    Gone,
}

/// How a try ended that brought no response. Decides whether another one may follow ([`super::retry`]), and whether the
/// endpoint is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TryEnd {
    /// There was none, or what ended it was not the endpoint's doing.
    Unrelated,
    /// The endpoint was never reached: nothing was sent.
    Unreached,
    /// One of weir's own limits stood before the endpoint: nothing was sent.
    Full,
    /// The connection ended, broke, or brought something that is no response, before there was a whole head.
    Unanswered,
    /// The endpoint did not answer, or did not take the request, in time.
    TimedOut,
}

impl TryEnd {
    /// Whether the endpoint is to blame.
    pub(crate) fn is_of_endpoint(self) -> bool {
        match self {
            Self::Unreached | Self::Unanswered | Self::TimedOut => true,
            Self::Unrelated | Self::Full => false,
        }
    }
}

impl Failure {
    /// The client's fault; where its next request begins is not known.
    pub(crate) fn refused(status: u16, reason: &'static str) -> Self {
        Self {
            status,
            reason: Reason::Own(reason),
            client: ClientFate::Closes,
            end: TryEnd::Unrelated,
        }
    }

    /// Anybody's fault; the client's connection is sound.
    pub(crate) fn answered(status: u16, reason: &'static str) -> Self {
        Self {
            status,
            reason: Reason::Own(reason),
            client: ClientFate::Lives,
            end: TryEnd::Unrelated,
        }
    }

    /// The client is gone: nobody to answer.
    pub(crate) fn client_gone(reason: &'static str) -> Self {
        Self {
            status: 0,
            reason: Reason::Own(reason),
            client: ClientFate::Gone,
            end: TryEnd::Unrelated,
        }
    }

    /// The endpoint's fault; the client's connection is sound.
    pub(crate) fn of_endpoint(end: TryEnd, status: u16, reason: &'static str) -> Self {
        Self {
            end,
            ..Self::answered(status, reason)
        }
    }
}

impl Failure {
    /// What it means that a request's body did not come.
    pub(crate) fn of_upload(failure: PumpFailure) -> Self {
        match failure {
            PumpFailure::Malformed(error) => error.into(),
            PumpFailure::TooLong => Self::refused(413, "body_too_large"),
            PumpFailure::Encoder => Self::refused(500, "encoding_failed"),
            PumpFailure::Source | PumpFailure::SourceEnded | PumpFailure::Sink => {
                Self::client_gone("client_gone_uploading")
            }
        }
    }
}

impl From<HeadError> for Failure {
    fn from(error: HeadError) -> Self {
        Self::refused(error.status(), error.reason())
    }
}

impl From<FramingError> for Failure {
    fn from(error: FramingError) -> Self {
        Self::refused(error.status(), error.reason())
    }
}

impl From<ChunkError> for Failure {
    fn from(error: ChunkError) -> Self {
        Self::refused(error.status(), error.reason())
    }
}

impl From<TooManyNominations> for Failure {
    fn from(_: TooManyNominations) -> Self {
        Self::refused(400, "connection_too_long")
    }
}

impl From<HostError> for Failure {
    fn from(error: HostError) -> Self {
        Self::refused(error.status(), error.reason())
    }
}

impl From<PathError> for Failure {
    fn from(error: PathError) -> Self {
        Self::answered(error.status(), error.reason())
    }
}

impl From<EncodeError> for Failure {
    fn from(error: EncodeError) -> Self {
        Self::answered(
            500,
            match error {
                EncodeError::Name => "template_name",
                EncodeError::Value => "template_value",
                EncodeError::Method => "template_method",
                EncodeError::Target => "template_target",
            },
        )
    }
}

impl From<Miss> for Failure {
    fn from(miss: Miss) -> Self {
        Self::answered(
            404,
            match miss {
                Miss::NoHost => "no_host",
                Miss::NoRoute => "no_route",
            },
        )
    }
}

impl From<NoPick> for Failure {
    fn from(no_pick: NoPick) -> Self {
        Self::answered(
            503,
            match no_pick {
                NoPick::NoEndpoints => "no_endpoints",
                NoPick::Unavailable => "no_endpoint_available",
                NoPick::Pending => "no_endpoint_probed",
                NoPick::AllTried => "all_endpoints_tried",
                NoPick::Override => "override_unavailable",
            },
        )
    }
}

impl From<Overflow> for Failure {
    fn from(overflow: Overflow) -> Self {
        let end = match overflow.scope {
            Scope::Backend => TryEnd::Unrelated,
            Scope::Endpoint => TryEnd::Full,
        };
        Self::of_endpoint(end, 503, overflow.word())
    }
}

impl From<&weir_model::FixedAnswer> for Failure {
    fn from(answer: &weir_model::FixedAnswer) -> Self {
        let reason = match &answer.allow {
            Some(methods) => Reason::NotAllowed(Arc::clone(methods)),
            None => Reason::Configured(Arc::clone(&answer.reason)),
        };
        Self {
            status: answer.status,
            reason,
            client: ClientFate::Lives,
            end: TryEnd::Unrelated,
        }
    }
}
