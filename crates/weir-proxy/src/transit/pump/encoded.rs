//! The same for a body that is encoded on its way.
//!
//! What has come in is encoded and written before more is read; when nothing more is there, the encoder is flushed, so
//! that events reach their recipient one by one. A body that comes and goes without ever blocking gives way to others
//! after [`TURN_BYTES`] and what came in last: encoding costs more time than moving.

use std::task::{Context, Poll, ready};

use weir_net::Stream;
use weir_wire::h1::chunked::write_chunk;

use super::{Encoder, Framing, Input, Output, Pump, PumpFailure, Reader};

/// Data encoded in one turn at most, before others have theirs.
const TURN_BYTES: usize = 32 * 1024;

/// A coding under way.
#[derive(Debug)]
pub(super) struct Encoding {
    encoder: Encoder,
    /// How what is encoded goes out. The pump's own framing is [`Framing::Plain`] meanwhile.
    framing: Framing,
    /// The sender's chunks may end with trailers.
    had_chunks: bool,
}

impl Encoding {
    fn frame(&mut self, output: &mut Output) -> u64 {
        let framing = self.framing;
        self.encoder.drain(|bytes| write(framing, bytes, output))
    }
}

impl Pump {
    /// Encodes what is sent from now on; to be said before anything is.
    pub(crate) fn encode(&mut self, encoder: Encoder) {
        self.encoding = Some(Box::new(Encoding {
            encoder,
            framing: self.framing,
            had_chunks: self.reader == Reader::Chunked,
        }));
        self.framing = Framing::Plain;
    }

    /// As [`Pump::poll`].
    #[cold]
    pub(super) fn poll_encoded(
        &mut self,
        task: &mut Context<'_>,
        source: &mut Stream,
        input: &mut Input,
        sink: &mut Stream,
        output: &mut Output,
    ) -> Poll<Result<(), PumpFailure>> {
        let Some(mut encoding) = self.encoding.take() else {
            return Poll::Ready(Ok(()));
        };
        let polled = self.poll_parts(&mut encoding, task, (source, input), (sink, output));
        if polled.is_pending() {
            self.encoding = Some(encoding);
            return Poll::Pending;
        }
        ready!(polled)?;
        let Encoding {
            encoder,
            framing,
            had_chunks,
        } = *encoding;
        let rest = encoder.finish().map_err(|_| PumpFailure::Encoder)?;
        self.moved += write(framing, &rest, output);
        self.framing = framing;
        self.write_end(had_chunks, output);
        self.poll_send(task, sink, output)
    }

    /// Ready when the sender has sent everything and the encoder has taken it in.
    fn poll_parts(
        &mut self,
        encoding: &mut Encoding,
        task: &mut Context<'_>,
        (source, input): (&mut Stream, &mut Input),
        (sink, output): (&mut Stream, &mut Output),
    ) -> Poll<Result<(), PumpFailure>> {
        let mut left = TURN_BYTES;
        loop {
            ready!(self.poll_send(task, sink, output))?;
            if left == 0 {
                task.waker().wake_by_ref();
                return Poll::Pending;
            }
            if let Some(length) = self.next_part(input, output)? {
                let written = encoding.encoder.write(&input.unread()[..length]);
                written.map_err(|_| PumpFailure::Encoder)?;
                self.moved += encoding.frame(output);
                input.consume(length);
                self.end_part(length, output);
                left = left.saturating_sub(length);
                continue;
            }
            if self.reader == Reader::Done {
                return Poll::Ready(Ok(()));
            }
            match self.poll_read(task, source, input, output) {
                Poll::Ready(read) => read?,
                Poll::Pending if encoding.encoder.is_dirty() => {
                    encoding.encoder.flush().map_err(|_| PumpFailure::Encoder)?;
                    self.moved += encoding.frame(output);
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Writes all of the output and forgets it.
    fn poll_send(
        &mut self,
        task: &mut Context<'_>,
        sink: &mut Stream,
        output: &mut Output,
    ) -> Poll<Result<(), PumpFailure>> {
        ready!(self.poll_flush(task, sink, output))?;
        output.clear();
        Poll::Ready(Ok(()))
    }
}

/// Writes encoded bytes and says how many there were.
fn write(framing: Framing, bytes: &[u8], output: &mut Output) -> u64 {
    match framing {
        // An empty chunk would end the body (RFC 9112 7.1).
        Framing::Chunked if bytes.is_empty() => {}
        Framing::Chunked => write_chunk(&mut output.bytes, bytes),
        Framing::Plain => output.bytes.extend_from_slice(bytes),
    }
    bytes.len() as u64
}
