//! Bytes on their way through: what was read and is not used yet, what is to be written.

use std::io;
use std::task::{Context, Poll, ready};

use weir_net::Stream;

/// Capacity that a buffer keeps: a body in transit moves 16 KiB per system call.
pub(crate) const BUFFER_KEPT_BYTES: usize = 16 * 1024;
/// Capacity of a buffer that mostly takes a head and nothing else: with what else an exchange owns it fits a page.
pub(crate) const BUFFER_SMALL_BYTES: usize = 2 * 1024;

/// Bytes read from one connection. The first part may be pinned: a head that offsets point into stays where those
/// offsets find it while the body behind it comes and goes.
#[derive(Debug)]
pub(crate) struct Input {
    /// Fully initialised, so that reads need neither unsafe code nor clearing.
    bytes: Box<[u8]>,
    /// Where the pinned part begins.
    pin: usize,
    /// Where the unread part begins; the pinned part ends at or before it.
    start: usize,
    /// Where the unread part ends.
    end: usize,
    /// Length of the pinned part.
    pinned_length: usize,
}

impl Input {
    /// With so much room. A small one becomes one of [`BUFFER_KEPT_BYTES`] as soon as a read fills it.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self {
            bytes: vec![0; bytes].into_boxed_slice(),
            pin: 0,
            start: 0,
            end: 0,
            pinned_length: 0,
        }
    }

    /// The bytes that are not used yet.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// The bytes that offsets may point into.
    pub(crate) fn pinned(&self) -> &[u8] {
        &self.bytes[self.pin..self.pin + self.pinned_length]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Moves the first `length` unread bytes to the pinned part, which must be empty.
    pub(crate) fn pin(&mut self, length: usize) {
        debug_assert!(self.pinned_length == 0 && length <= self.end - self.start);
        self.pin = self.start;
        self.pinned_length = length;
        self.start += length;
    }

    /// Gives the pinned part up.
    pub(crate) fn unpin(&mut self) {
        self.pinned_length = 0;
        self.pin = self.start;
        self.rewind_when_empty();
    }

    /// Marks the first `length` unread bytes as used.
    pub(crate) fn consume(&mut self, length: usize) {
        debug_assert!(length <= self.end - self.start);
        self.start += length;
        self.rewind_when_empty();
    }

    /// Forgets everything; gives memory back when the buffer had grown.
    pub(crate) fn reset(&mut self) {
        if self.bytes.len() > BUFFER_KEPT_BYTES {
            *self = Self::with_capacity(BUFFER_KEPT_BYTES);
        } else {
            (self.pin, self.start, self.end, self.pinned_length) = (0, 0, 0, 0);
        }
    }

    /// Reads once, growing up to `capacity_max` bytes in all when there is no room left; no more than that is ever unread.
    /// `Ok(0)` is the end of the stream; [`io::ErrorKind::StorageFull`] says that the buffer is full of unread bytes.
    pub(crate) fn poll_fill(
        &mut self,
        stream: &mut Stream,
        task: &mut Context<'_>,
        capacity_max: usize,
    ) -> Poll<io::Result<usize>> {
        if self.end == self.bytes.len() && !self.make_room(capacity_max) {
            return Poll::Ready(Err(io::ErrorKind::StorageFull.into()));
        }
        let end = self.bytes.len().min(self.start.saturating_add(capacity_max));
        if end <= self.end {
            return Poll::Ready(Err(io::ErrorKind::StorageFull.into()));
        }
        let length = ready!(stream.poll_read(task, &mut self.bytes[self.end..end]))?;
        self.filled(length);
        Poll::Ready(Ok(length))
    }

    /// The same without waiting.
    pub(crate) fn try_fill(&mut self, stream: &Stream, capacity_max: usize) -> io::Result<usize> {
        if self.end == self.bytes.len() && !self.make_room(capacity_max) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let length = stream.try_read(&mut self.bytes[self.end..])?;
        self.filled(length);
        Ok(length)
    }

    /// Takes note of a read. One that leaves no room in a small buffer shows that there is more to come.
    fn filled(&mut self, length: usize) {
        self.end += length;
        if self.end == self.bytes.len() && self.end < BUFFER_KEPT_BYTES {
            self.grow(BUFFER_KEPT_BYTES);
        }
    }

    fn grow(&mut self, capacity: usize) {
        let mut grown = std::mem::take(&mut self.bytes).into_vec();
        grown.reserve_exact(capacity - grown.len());
        grown.resize(capacity, 0);
        self.bytes = grown.into_boxed_slice();
    }

    fn rewind_when_empty(&mut self) {
        if self.start == self.end {
            self.start = self.pin + self.pinned_length;
            self.end = self.start;
            if self.pinned_length == 0 {
                (self.pin, self.start, self.end) = (0, 0, 0);
            }
        }
    }

    fn make_room(&mut self, capacity_max: usize) -> bool {
        let unread = self.start..self.end;
        if self.pin > 0 || self.start > self.pin + self.pinned_length {
            self.bytes.copy_within(self.pin..self.pin + self.pinned_length, 0);
            self.bytes.copy_within(unread.clone(), self.pinned_length);
            self.pin = 0;
            self.start = self.pinned_length;
            self.end = self.start + unread.len();
        }
        if self.end < self.bytes.len() {
            return true;
        }
        let capacity = (self.bytes.len() * 2).min(capacity_max);
        if capacity <= self.bytes.len() {
            return false;
        }
        self.grow(capacity);
        true
    }
}

/// Bytes to be written to one connection.
#[derive(Debug, Default)]
pub(crate) struct Output {
    /// Where to append.
    pub(crate) bytes: Vec<u8>,
    sent: usize,
}

impl Output {
    /// With room for so many bytes.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            sent: 0,
        }
    }

    pub(crate) fn pending(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sent == self.bytes.len()
    }

    /// How many of the bytes have been written.
    pub(crate) fn sent(&self) -> usize {
        self.sent
    }

    /// Marks `length` pending bytes as written.
    pub(crate) fn advance(&mut self, length: usize) {
        debug_assert!(self.sent + length <= self.bytes.len());
        self.sent += length;
    }

    /// Makes everything pending again: the next connection gets the same bytes.
    pub(crate) fn rewind(&mut self) {
        self.sent = 0;
    }

    /// Forgets everything; gives memory back when the buffer had grown much.
    pub(crate) fn clear(&mut self) {
        self.sent = 0;
        self.bytes.clear();
        if self.bytes.capacity() > 2 * BUFFER_KEPT_BYTES {
            self.bytes = Vec::new();
        }
    }

    /// Writes everything; forgets nothing, so that [`Self::rewind`] works.
    pub(crate) fn poll_flush(&mut self, stream: &mut Stream, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.bytes.len() {
            let length = ready!(stream.poll_write(task, &self.bytes[self.sent..]))?;
            if length == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += length;
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(input: &mut Input, bytes: &[u8]) {
        input.bytes[input.end..input.end + bytes.len()].copy_from_slice(bytes);
        input.end += bytes.len();
    }

    #[test]
    fn a_pinned_head_survives_the_body_behind_it() {
        let mut input = Input::with_capacity(BUFFER_KEPT_BYTES);
        put(&mut input, b"old head body");
        input.consume(4);
        input.pin(5);
        assert_eq!((input.pinned(), input.unread()), (&b"head "[..], &b"body"[..]));
        input.consume(4);
        assert!(input.is_empty());
        assert_eq!(input.pinned(), b"head ");
        put(&mut input, b"more");
        input.end = input.bytes.len();
        input.consume(4);
        assert!(input.make_room(BUFFER_KEPT_BYTES));
        assert_eq!(input.pinned(), b"head ");
        assert_eq!(input.pin, 0);
        input.unpin();
        assert_eq!(input.pinned(), b"");
    }

    #[test]
    fn a_full_buffer_grows_to_its_bound_and_no_further() {
        let mut input = Input::with_capacity(BUFFER_KEPT_BYTES);
        input.end = BUFFER_KEPT_BYTES;
        assert!(input.make_room(BUFFER_KEPT_BYTES + 1));
        assert_eq!(input.bytes.len(), BUFFER_KEPT_BYTES + 1);
        input.end += 1;
        assert!(!input.make_room(BUFFER_KEPT_BYTES + 1));
        input.reset();
        assert_eq!(input.bytes.len(), BUFFER_KEPT_BYTES);
        assert!(input.is_empty());
    }

    #[test]
    fn a_small_buffer_that_a_read_fills_has_room_for_more_the_next_time() {
        let mut input = Input::with_capacity(BUFFER_SMALL_BYTES);
        put(&mut input, b"head body");
        input.pin(5);
        input.filled(BUFFER_SMALL_BYTES - 10);
        assert_eq!(input.bytes.len(), BUFFER_SMALL_BYTES);
        input.filled(1);
        assert_eq!(input.bytes.len(), BUFFER_KEPT_BYTES);
        assert_eq!(
            (input.pinned(), &input.unread()[..4]),
            (&b"head "[..], &b"body"[..])
        );
        assert_eq!(input.unread().len(), BUFFER_SMALL_BYTES - 5);
        input.reset();
        assert_eq!(input.bytes.len(), BUFFER_KEPT_BYTES);
    }

    #[test]
    fn everything_used_up_starts_over_at_the_front() {
        let mut input = Input::with_capacity(BUFFER_KEPT_BYTES);
        put(&mut input, b"abc");
        input.pin(1);
        input.consume(2);
        input.unpin();
        assert_eq!((input.pin, input.start, input.end), (0, 0, 0));
    }

    #[test]
    fn output_can_be_sent_again() {
        let mut output = Output::default();
        output.bytes.extend_from_slice(b"abc");
        output.advance(2);
        assert_eq!(
            (output.pending(), output.sent(), output.is_empty()),
            (&b"c"[..], 2, false)
        );
        output.rewind();
        assert_eq!(output.pending(), b"abc");
        output.clear();
        assert!(output.is_empty());
    }
}
