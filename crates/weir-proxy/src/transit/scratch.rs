//! Everything that an exchange writes into, borrowed from the worker while it is needed and no longer.
//!
//! A connection that waits for its next request owns none of this. One that waits for an endpoint owns the request's
//! part; the response's part is borrowed when the first byte is there and mostly given back in the same turn, so
//! that a worker reads all responses into the same warm memory.

use std::cell::{Cell, RefCell};

use weir_model::limits;
use weir_wire::{HeadLimits, RequestHead, ResponseHead};

use super::buffer::{BUFFER_KEPT_BYTES, BUFFER_SMALL_BYTES, Input, Output};
use super::edits::Edits;
use super::pump::Pump;

/// Bounds on heads, of requests and responses alike.
pub(crate) const HEAD_LIMITS: HeadLimits = HeadLimits {
    head_bytes: limits::HEAD_BYTES,
    fields: limits::HEAD_FIELDS,
    field_bytes: limits::FIELD_BYTES,
    target_bytes: limits::TARGET_BYTES,
};

/// Room that a fresh request's part has for the head that goes out, the target and the host. What ordinary requests
/// need is taken at once, so that it lies together: a worker with many requests under way comes back to cold memory,
/// and each page of it costs.
const HEAD_START_BYTES: usize = 1024;
const TARGET_START_BYTES: usize = 128;
const HOST_START_BYTES: usize = 64;

/// Unused pieces kept at most, per worker and kind.
const UNUSED_MAX: usize = 1024;

/// The request's part. Allocates nothing once it has grown.
#[derive(Debug)]
pub(crate) struct RequestScratch {
    /// Offsets into the pinned part of `input`.
    pub(crate) head: RequestHead,
    /// From the client.
    pub(crate) input: Input,
    /// To the endpoint.
    pub(crate) output: Output,
    pub(crate) upload: Pump,
    pub(crate) edits: Edits,
    /// The path as it is matched and forwarded, with the query as it came.
    pub(crate) target: String,
    /// The host as it is matched: lower case, without port.
    pub(crate) host: String,
}

/// The response's part. Allocates nothing once it has grown.
#[derive(Debug)]
pub(crate) struct ResponseScratch {
    /// Offsets into the pinned part of `input`.
    pub(crate) head: ResponseHead,
    /// From the endpoint.
    pub(crate) input: Input,
    /// To the client.
    pub(crate) output: Output,
    pub(crate) download: Pump,
    pub(crate) edits: Edits,
}

/// What a [`FreeList`] holds.
pub(crate) trait Reusable {
    fn new() -> Self;

    /// Forgets everything; keeps memory of ordinary size.
    fn reset(&mut self);
}

impl Reusable for RequestScratch {
    fn new() -> Self {
        Self {
            input: Input::with_capacity(BUFFER_SMALL_BYTES),
            head: RequestHead::new(HEAD_LIMITS),
            output: Output::with_capacity(HEAD_START_BYTES),
            upload: Pump::new(),
            edits: Edits::default(),
            target: String::with_capacity(TARGET_START_BYTES),
            host: String::with_capacity(HOST_START_BYTES),
        }
    }

    fn reset(&mut self) {
        self.begin();
        self.input.reset();
    }
}

impl RequestScratch {
    /// Makes it ready for the next request of the same connection: unread bytes stay.
    pub(crate) fn begin(&mut self) {
        self.input.unpin();
        self.head.clear();
        self.output.clear();
        self.upload.halt();
        self.edits.clear();
    }
}

impl Reusable for ResponseScratch {
    fn new() -> Self {
        Self {
            head: ResponseHead::new(HEAD_LIMITS),
            input: Input::with_capacity(BUFFER_KEPT_BYTES),
            output: Output::default(),
            download: Pump::new(),
            edits: Edits::default(),
        }
    }

    fn reset(&mut self) {
        self.head.clear();
        self.input.reset();
        self.output.clear();
        self.download.halt();
        self.edits.clear();
    }
}

/// Unused pieces of one kind, the one used last on top: its memory is warm.
#[derive(Debug)]
pub(crate) struct FreeList<T> {
    // The box keeps the futures that hold one small.
    #[allow(clippy::vec_box)]
    unused: RefCell<Vec<Box<T>>>,
    /// Fewest unused ones since the last sweep.
    fewest: Cell<usize>,
}

impl<T: Reusable> FreeList<T> {
    pub(crate) fn new() -> Self {
        Self {
            unused: RefCell::default(),
            fewest: Cell::new(0),
        }
    }

    /// One that is reset.
    pub(crate) fn take(&self) -> Box<T> {
        let mut unused = self.unused.borrow_mut();
        let piece = unused.pop();
        self.fewest.set(self.fewest.get().min(unused.len()));
        piece.unwrap_or_else(|| Box::new(T::new()))
    }

    /// Takes one back.
    pub(crate) fn give(&self, mut piece: Box<T>) {
        let mut unused = self.unused.borrow_mut();
        if unused.len() < UNUSED_MAX {
            piece.reset();
            unused.push(piece);
        }
    }

    /// Gives the memory back of all that were not needed since the last sweep, but one.
    pub(crate) fn sweep(&self) {
        let mut unused = self.unused.borrow_mut();
        let spare = self.fewest.get().min(unused.len().saturating_sub(1));
        unused.drain(..spare);
        self.fewest.set(unused.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Piece(u32);

    impl Reusable for Piece {
        fn new() -> Self {
            Self(7)
        }

        fn reset(&mut self) {
            self.0 = 0;
        }
    }

    #[test]
    fn pieces_come_back_reset_and_those_not_needed_are_given_up() {
        let list = FreeList::<Piece>::new();
        let pieces: Vec<_> = (0..5).map(|_| list.take()).collect();
        assert!(pieces.iter().all(|piece| piece.0 == 7));
        pieces.into_iter().for_each(|piece| list.give(piece));
        list.sweep();
        let (first, second) = (list.take(), list.take());
        assert_eq!((first.0, second.0), (0, 0));
        list.give(first);
        list.give(second);
        // Three were never needed between the two sweeps.
        list.sweep();
        assert_eq!(list.unused.borrow().len(), 2);
        list.sweep();
        assert_eq!(list.unused.borrow().len(), 1);
    }
}
