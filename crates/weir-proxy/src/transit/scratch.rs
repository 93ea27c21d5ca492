//! Everything that an exchange writes into, borrowed from the worker while it lasts. A connection that waits for its
//! next request owns none of this.

use weir_model::limits;
use weir_wire::{HeadLimits, RequestHead, ResponseHead};

use super::buffer::{Input, Output};
use super::edits::Edits;
use super::pump::Pump;

/// Bounds on heads, of requests and responses alike.
pub(crate) const HEAD_LIMITS: HeadLimits = HeadLimits {
    head_bytes: limits::HEAD_BYTES,
    fields: limits::HEAD_FIELDS,
    field_bytes: limits::FIELD_BYTES,
    target_bytes: limits::TARGET_BYTES,
};

/// Buffers and parsed heads of one exchange. Reused; allocates nothing once it has grown.
#[derive(Debug)]
pub(crate) struct Scratch {
    /// The request's head; offsets into the pinned part of `client_in`.
    pub(crate) request: RequestHead,
    /// The response's head; offsets into the pinned part of `upstream_in`.
    pub(crate) response: ResponseHead,
    pub(crate) client_in: Input,
    pub(crate) client_out: Output,
    pub(crate) upstream_in: Input,
    pub(crate) upstream_out: Output,
    /// The request's body.
    pub(crate) upload: Pump,
    /// The response's body.
    pub(crate) download: Pump,
    pub(crate) request_edits: Edits,
    pub(crate) response_edits: Edits,
    /// The request's path as it is matched and forwarded, with the query as it came.
    pub(crate) target: String,
    /// The request's host as it is matched: lower case, without port.
    pub(crate) host: String,
    /// Room for a value in the making.
    pub(crate) text: Vec<u8>,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self {
            request: RequestHead::new(HEAD_LIMITS),
            response: ResponseHead::new(HEAD_LIMITS),
            client_in: Input::new(),
            client_out: Output::default(),
            upstream_in: Input::new(),
            upstream_out: Output::default(),
            upload: Pump::new(),
            download: Pump::new(),
            request_edits: Edits::default(),
            response_edits: Edits::default(),
            target: String::new(),
            host: String::new(),
            text: Vec::new(),
        }
    }

    /// Makes it ready for the next request of the same connection: unread bytes of the client stay.
    pub(crate) fn begin(&mut self) {
        self.client_in.unpin();
        self.request.clear();
        self.response.clear();
        self.client_out.clear();
        self.upstream_in.reset();
        self.upstream_out.clear();
        self.upload.halt();
        self.download.halt();
        self.request_edits.clear();
        self.response_edits.clear();
    }

    /// Makes it ready for another connection.
    pub(crate) fn reset(&mut self) {
        self.begin();
        self.client_in.reset();
        self.text.clear();
    }
}
