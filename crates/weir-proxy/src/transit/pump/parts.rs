//! What comes in, part by part: decoded by the sender's framing, written in weir's.

use weir_wire::h1::chunked::{self, ChunkEvent, SizeLine};
use weir_wire::h1::encode;
use weir_wire::trailer;

use super::{COPY_BYTES, Framing, Input, OUTPUT_BYTES, Output, Pump, PumpFailure, Reader};

impl Pump {
    /// Decodes until enough waits to be written or nothing is left to decode.
    pub(in crate::transit) fn decode_all(
        &mut self,
        input: &mut Input,
        output: &mut Output,
    ) -> Result<(), PumpFailure> {
        while self.direct == 0 && output.pending().len() < OUTPUT_BYTES {
            let Some(length) = self.next_part(input, output)? else {
                return Ok(());
            };
            self.emit(length, input, output);
        }
        Ok(())
    }

    /// How many of the unread bytes are data; `None` when there are none left, or none have come.
    #[inline]
    pub(super) fn next_part(
        &mut self,
        input: &mut Input,
        output: &mut Output,
    ) -> Result<Option<usize>, PumpFailure> {
        loop {
            let unread = input.unread();
            return Ok(Some(match self.reader {
                Reader::Done => return Ok(None),
                _ if unread.is_empty() => return Ok(None),
                Reader::Length(left) => unread.len().min(usize::try_from(left).unwrap_or(usize::MAX)),
                Reader::UntilClose => unread.len(),
                Reader::Chunked => {
                    let step = self.decoder.decode(unread)?;
                    match step.event {
                        ChunkEvent::Data(data) => {
                            if data.len() as u64 > self.chunks_max.saturating_sub(self.moved) {
                                return Err(PumpFailure::TooLong);
                            }
                            input.consume(data.start);
                            data.len()
                        }
                        ChunkEvent::More => {
                            input.consume(step.consumed);
                            continue;
                        }
                        ChunkEvent::End => {
                            input.consume(step.consumed);
                            self.finish(output);
                            continue;
                        }
                    }
                }
            }));
        }
    }

    /// Sends the first `length` unread bytes on their way.
    fn emit(&mut self, length: usize, input: &mut Input, output: &mut Output) {
        let is_kept = self.is_replayable && output.bytes.len() + length <= self.kept_max;
        if output.is_empty() && output.sent() > 0 && !is_kept {
            output.clear();
            self.is_replayable = false;
        }
        self.moved += length as u64;
        for tee in &self.tees {
            tee.push(&input.unread()[..length]);
        }
        if self.framing == Framing::Chunked {
            output
                .bytes
                .extend_from_slice(SizeLine::new(length as u64).as_bytes());
        }
        if length > COPY_BYTES && !is_kept {
            self.direct = length;
        } else {
            output.bytes.extend_from_slice(&input.unread()[..length]);
            input.consume(length);
            self.end_part(length, output);
        }
    }

    /// What comes behind a part of the data.
    pub(super) fn end_part(&mut self, length: usize, output: &mut Output) {
        if self.framing == Framing::Chunked {
            output.bytes.extend_from_slice(chunked::CHUNK_END);
        }
        if let Reader::Length(left) = &mut self.reader {
            *left -= length as u64;
            if *left == 0 {
                self.finish(output);
            }
        }
    }

    /// The sender has sent everything.
    pub(super) fn finish(&mut self, output: &mut Output) {
        let had_chunks = self.reader == Reader::Chunked;
        self.reader = Reader::Done;
        for tee in self.tees.drain(..) {
            tee.finish();
        }
        self.write_end(had_chunks, output);
    }

    /// Writes what ends the body in weir's framing.
    pub(super) fn write_end(&self, had_chunks: bool, output: &mut Output) {
        if self.framing == Framing::Plain {
            return;
        }
        if !(had_chunks && self.keeps_trailers && !self.decoder.trailers().0.is_empty()) {
            output.bytes.extend_from_slice(chunked::LAST_CHUNK);
            return;
        }
        let (fields, bytes) = self.decoder.trailers();
        output
            .bytes
            .extend_from_slice(chunked::LAST_CHUNK_BEFORE_TRAILERS);
        encode::fields(&mut output.bytes, bytes, fields, |field| {
            !trailer::is_forbidden(field, bytes)
        });
        encode::end(&mut output.bytes);
    }
}
