//! One body on its way from one connection to the other. Both directions of an exchange use it.
//!
//! What comes in is decoded by its own framing and goes out in weir's: chunks are written anew from the data, so that
//! nothing of the sender's framing reaches the recipient. Nothing is read while something waits to be written, so a
//! slow recipient slows the sender and a body holds two buffers at most.

mod encoded;
mod pace;
mod parts;

use std::io;
use std::num::NonZeroU32;
use std::task::{Context, Poll, ready};

use weir_model::limits;
use weir_net::Stream;
use weir_wire::BodyLength;
use weir_wire::h1::chunked::{ChunkError, ChunkLimits, Decoder};

use super::buffer::{Input, Output};
use super::encoder::Encoder;
use super::scratch::HEAD_LIMITS;
use super::tee::Tee;
use encoded::Encoding;
use pace::Pace;

/// Up to this much data is copied behind the head or the chunk line before it; more is written from where it is.
const COPY_BYTES: usize = 4 * 1024;
/// Unread input at most, unless said otherwise: half of what may be in flight in one direction.
const INPUT_BYTES: usize = limits::BUFFER_BYTES / 2;
/// Unread input that is always allowed: less would be a system call for a handful of bytes.
const INPUT_BYTES_MIN: usize = 512;
/// Decoding stops while this much waits to be written.
const OUTPUT_BYTES: usize = 16 * 1024;

/// How a body goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Data alone: its length was announced, or the end of the connection ends it.
    Plain,
    /// In chunks.
    Chunked,
}

/// Which side a pump waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stall {
    /// The sender.
    Source,
    /// The recipient.
    Sink,
}

/// Why a body did not arrive.
#[derive(Debug)]
pub(crate) enum PumpFailure {
    /// The sender's connection ended before the body did.
    SourceEnded,
    /// The sender's connection broke.
    Source,
    /// The sender's chunks are refused.
    Malformed(ChunkError),
    /// There is more of it than there may be.
    TooLong,
    /// The recipient's connection broke.
    Sink,
    /// The body could not be encoded: weir's own trouble.
    Encoder,
}

impl From<ChunkError> for PumpFailure {
    fn from(error: ChunkError) -> Self {
        Self::Malformed(error)
    }
}

/// What is left to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    Done,
    Length(u64),
    Chunked,
    UntilClose,
}

/// A body in transit. Reused from exchange to exchange.
#[derive(Debug)]
pub(crate) struct Pump {
    reader: Reader,
    pub(super) framing: Framing,
    /// Apart, because most bodies are not chunked and the rest is looked at for each.
    decoder: Box<Decoder>,
    keeps_trailers: bool,
    /// What is sent is encoded. Boxed, because most bodies go as they are.
    encoding: Option<Box<Encoding>>,
    /// Unread input at most, bytes.
    input_bytes: usize,
    /// The first bytes of the input that are to be written behind the output.
    direct: usize,
    is_replayable: bool,
    /// Output of up to this many bytes is kept after it was written.
    kept_max: usize,
    /// Copies of the data go there.
    tees: Vec<Tee>,
    /// Data in chunks that there may be, bytes.
    chunks_max: u64,
    /// Bytes read from the source.
    pub(super) received: u64,
    /// Bytes of data sent on their way.
    moved: u64,
    /// Counts reads and writes that moved something.
    pub(super) progress: u64,
    pub(super) stall: Stall,
    pace: Pace,
}

impl Pump {
    /// A pump with nothing to do.
    pub(crate) fn new() -> Self {
        let chunk_limits = ChunkLimits {
            extension_bytes: limits::CHUNK_EXTENSION_BYTES,
            extensions_bytes: limits::CHUNK_EXTENSIONS_BYTES,
            trailers: HEAD_LIMITS,
        };
        Self {
            reader: Reader::Done,
            framing: Framing::Plain,
            decoder: Box::new(Decoder::new(chunk_limits)),
            keeps_trailers: false,
            encoding: None,
            input_bytes: INPUT_BYTES,
            direct: 0,
            is_replayable: true,
            kept_max: 0,
            tees: Vec::new(),
            chunks_max: u64::MAX,
            received: 0,
            moved: 0,
            progress: 0,
            stall: Stall::Source,
            pace: Pace::begun(0),
        }
    }

    /// Begins a body.
    pub(crate) fn begin(&mut self, length: BodyLength, framing: Framing, keeps_trailers: bool, now_ms: u64) {
        self.reader = match length {
            BodyLength::Empty | BodyLength::Length(0) => Reader::Done,
            BodyLength::Length(length) => Reader::Length(length),
            BodyLength::Chunked => Reader::Chunked,
            BodyLength::UntilClose => Reader::UntilClose,
        };
        if self.reader == Reader::Chunked {
            self.decoder.reset();
            self.chunks_max = u64::MAX;
        }
        self.framing = framing;
        self.keeps_trailers = keeps_trailers;
        self.encoding = None;
        self.input_bytes = INPUT_BYTES;
        self.direct = 0;
        self.is_replayable = true;
        self.kept_max = 0;
        self.tees.clear();
        self.received = 0;
        self.moved = 0;
        self.progress = 0;
        self.stall = Stall::Source;
        self.pace = Pace::begun(now_ms);
    }

    /// Takes a small body of known length that has come whole behind its head, the usual case, in one step.
    pub(crate) fn take_whole(&mut self, input: &mut Input, output: &mut Output) {
        if let Reader::Length(length) = self.reader
            && length <= COPY_BYTES as u64
            && length <= input.unread().len() as u64
            && self.framing == Framing::Plain
            && self.tees.is_empty()
            && self.encoding.is_none()
        {
            output.bytes.extend_from_slice(&input.unread()[..length as usize]);
            input.consume(length as usize);
            self.moved = length;
            self.reader = Reader::Done;
        }
    }

    /// Gives up whatever is under way.
    pub(crate) fn halt(&mut self) {
        self.reader = Reader::Done;
        self.encoding = None;
        self.direct = 0;
        self.tees.clear();
    }

    /// Lets no more than so many bytes be in flight, one half of them read ahead (Envoy Gateway `connection.bufferLimit`).
    pub(crate) fn narrow(&mut self, bytes: NonZeroU32) {
        let half = usize::try_from(bytes.get() / 2).unwrap_or(INPUT_BYTES);
        self.input_bytes = half.clamp(INPUT_BYTES_MIN, INPUT_BYTES);
    }

    /// Keeps what is written in the output, up to `bytes_max` in all, so that it can be sent again.
    pub(crate) fn keep(&mut self, bytes_max: usize) {
        self.kept_max = bytes_max;
    }

    /// Refuses a body in chunks whose data come to more than `bytes_max`.
    pub(crate) fn bound(&mut self, bytes_max: u64) {
        self.chunks_max = bytes_max;
    }

    /// Sends a copy of the data to `tee` from now on.
    pub(crate) fn add_tee(&mut self, tee: Tee) {
        self.tees.push(tee);
    }

    /// Whether the sender has sent all of it.
    pub(crate) fn is_received(&self) -> bool {
        self.reader == Reader::Done
    }

    /// Bytes of data sent on their way, without any framing.
    pub(crate) fn moved(&self) -> u64 {
        self.moved
    }

    /// Whether everything written so far is still in the output.
    pub(crate) fn is_replayable(&self) -> bool {
        self.is_replayable
    }

    /// Moves what can be moved; ready when the whole body has been written, or can never be.
    pub(crate) fn poll(
        &mut self,
        task: &mut Context<'_>,
        source: &mut Stream,
        input: &mut Input,
        sink: &mut Stream,
        output: &mut Output,
    ) -> Poll<Result<(), PumpFailure>> {
        if self.encoding.is_some() {
            return self.poll_encoded(task, source, input, sink, output);
        }
        if self.reader == Reader::Done && self.direct == 0 {
            return self.poll_flush(task, sink, output);
        }
        loop {
            self.decode_all(input, output)?;
            self.stall = Stall::Sink;
            ready!(self.poll_write(task, input, sink, output)).map_err(|_| PumpFailure::Sink)?;
            if self.is_received() {
                return Poll::Ready(Ok(()));
            }
            if !input.is_empty() {
                continue;
            }
            ready!(self.poll_read(task, source, input, output))?;
        }
    }

    /// Reads more, or takes note that there is no more.
    #[inline]
    fn poll_read(
        &mut self,
        task: &mut Context<'_>,
        source: &mut Stream,
        input: &mut Input,
        output: &mut Output,
    ) -> Poll<Result<(), PumpFailure>> {
        self.stall = Stall::Source;
        match ready!(input.poll_fill(source, task, self.input_bytes)) {
            Ok(0) if self.reader == Reader::UntilClose => self.finish(output),
            Ok(0) => return Poll::Ready(Err(PumpFailure::SourceEnded)),
            Ok(length) => {
                self.received += length as u64;
                self.progress += 1;
            }
            Err(_) => return Poll::Ready(Err(PumpFailure::Source)),
        }
        Poll::Ready(Ok(()))
    }

    /// Writes all of the output.
    #[inline]
    fn poll_flush(
        &mut self,
        task: &mut Context<'_>,
        sink: &mut Stream,
        output: &mut Output,
    ) -> Poll<Result<(), PumpFailure>> {
        self.stall = Stall::Sink;
        let sent = output.sent();
        let flushed = output.poll_flush(sink, task);
        self.progress += u64::from(output.sent() > sent);
        flushed.map_err(|_| PumpFailure::Sink)
    }

    /// Reads and forgets the rest of the body; ready when it has ended, or with an error when it does not within
    /// `bytes_max` or at all.
    pub(crate) fn poll_discard(
        &mut self,
        task: &mut Context<'_>,
        source: &mut Stream,
        input: &mut Input,
        bytes_max: u64,
    ) -> Poll<Result<(), PumpFailure>> {
        loop {
            self.tees.clear();
            while self.direct > 0 || (self.reader != Reader::Done && !input.is_empty()) {
                let mut nowhere = Output::default();
                self.framing = Framing::Plain;
                if self.direct > 0 {
                    let length = std::mem::take(&mut self.direct);
                    input.consume(length);
                    self.end_part(length, &mut nowhere);
                }
                self.decode_all(input, &mut nowhere)?;
            }
            if self.is_received() {
                return Poll::Ready(Ok(()));
            }
            if self.received > bytes_max {
                return Poll::Ready(Err(PumpFailure::SourceEnded));
            }
            match ready!(input.poll_fill(source, task, INPUT_BYTES)) {
                Ok(0) => return Poll::Ready(Err(PumpFailure::SourceEnded)),
                Ok(length) => self.received += length as u64,
                Err(_) => return Poll::Ready(Err(PumpFailure::Source)),
            }
        }
    }

    /// Writes the output and then the part of the input that is to follow it.
    fn poll_write(
        &mut self,
        task: &mut Context<'_>,
        input: &mut Input,
        sink: &mut Stream,
        output: &mut Output,
    ) -> Poll<io::Result<()>> {
        while !output.is_empty() || self.direct > 0 {
            let pending = output.pending();
            let direct = &input.unread()[..self.direct];
            let written = ready!(sink.poll_write_pair(task, pending, direct))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.progress += 1;
            let from_output = written.min(pending.len());
            output.advance(from_output);
            let from_input = written - from_output;
            if from_input > 0 {
                self.is_replayable = false;
                self.direct -= from_input;
                input.consume(from_input);
                if let Reader::Length(left) = &mut self.reader {
                    // The last part is accounted by `end_part`.
                    *left -= if self.direct == 0 { 0 } else { from_input as u64 };
                }
                if self.direct == 0 {
                    output.clear();
                    self.end_part(from_input, output);
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}
