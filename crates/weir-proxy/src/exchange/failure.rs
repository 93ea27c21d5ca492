//! What can go wrong with an exchange. [`super::respond`] alone turns it into a status.

use std::sync::Arc;

use weir_balance::NoPick;
use weir_route::Miss;
use weir_wire::HeadError;
use weir_wire::connection::TooManyNominations;
use weir_wire::framing::FramingError;
use weir_wire::h1::chunked::ChunkError;
use weir_wire::h1::encode::EncodeError;
use weir_wire::host::HostError;
use weir_wire::path::PathError;

/// A request that went wrong.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// What the client is told.
    pub(crate) status: u16,
    /// A stable word for logs, counters and `x-weir-reason`.
    pub(crate) reason: Reason,
    /// What remains of the client's connection.
    pub(crate) client: ClientFate,
    /// Whether another try may help.
    pub(crate) retry: Retry,
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

/// Whether another try may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    /// No, or it might do twice what was asked for once.
    No,
    /// On another endpoint: this one was never reached and nothing was sent.
    OtherEndpoint,
}

impl Failure {
    /// The client's fault; where its next request begins is not known.
    pub(crate) fn refused(status: u16, reason: &'static str) -> Self {
        Self {
            status,
            reason: Reason::Own(reason),
            client: ClientFate::Closes,
            retry: Retry::No,
        }
    }

    /// Anybody's fault; the client's connection is sound.
    pub(crate) fn answered(status: u16, reason: &'static str) -> Self {
        Self {
            status,
            reason: Reason::Own(reason),
            client: ClientFate::Lives,
            retry: Retry::No,
        }
    }

    /// The client is gone: nobody to answer.
    pub(crate) fn client_gone(reason: &'static str) -> Self {
        Self {
            status: 0,
            reason: Reason::Own(reason),
            client: ClientFate::Gone,
            retry: Retry::No,
        }
    }

    /// The endpoint was never reached.
    pub(crate) fn unreached(status: u16, reason: &'static str) -> Self {
        Self {
            retry: Retry::OtherEndpoint,
            ..Self::answered(status, reason)
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
            retry: Retry::No,
        }
    }
}
