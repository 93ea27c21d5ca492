//! The chunked transfer coding (RFC 9112 7.1), both ways.
//!
//! The decoder is strict: sizes are 1 to 16 hex digits and nothing else, lines end in CR LF, extensions are
//! bounded and dropped. It borrows the input and keeps its state between calls, so any split of the input gives
//! the same data.

use std::ops::Range;

use crate::head::FIELDS_CEILING;
use crate::head::lines::field_lines;
use crate::{Fields, HeadError, HeadLimits};

/// Ends a chunked body without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
/// Ends the data; trailer lines and an empty line follow.
pub const LAST_CHUNK_BEFORE_TRAILERS: &[u8] = b"0\r\n";
/// Ends the data of each chunk.
pub const CHUNK_END: &[u8] = b"\r\n";

/// Digits of a chunk size; 16 hex digits are 64 bits.
const SIZE_DIGITS_MAX: u8 = 16;
/// Greatest chunk, so that sums of a size and an offset cannot overflow.
const SIZE_MAX: u64 = i64::MAX as u64;

/// Room for trailers that a decoder keeps from message to message, bytes.
const TRAILER_BYTES_KEPT: usize = 256;

/// Bounds on what is not data in a chunked body. All inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkLimits {
    /// Extensions of one size line, bytes.
    pub extension_bytes: usize,
    /// Extensions of all size lines of one message, bytes.
    pub extensions_bytes: usize,
    /// The trailer section, bounded like a head.
    pub trailers: HeadLimits,
}

/// Why a chunked body was refused. The sender's fault and final: close the connection; a response that has
/// begun is cut off without a last chunk, a request not yet answered gets [`ChunkError::status`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkError {
    /// A chunk size that is not 1 to 16 hex digits, or is above 2^63 - 1.
    Size,
    /// A control byte in a chunk extension.
    Extension,
    /// Extensions over a limit.
    ExtensionTooLarge,
    /// A line that does not end in CR LF, or data not followed by it.
    LineEnding,
    /// A trailer section that is refused.
    Trailer(HeadError),
}

impl ChunkError {
    /// The status to answer a request with. For a response it is always 502.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Size | Self::Extension | Self::ExtensionTooLarge | Self::LineEnding => 400,
            Self::Trailer(error) => error.status(),
        }
    }

    /// A stable word for logs and metrics.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Size => "chunk_size",
            Self::Extension => "chunk_extension",
            Self::ExtensionTooLarge => "chunk_extension_too_large",
            Self::LineEnding => "chunk_line_ending",
            Self::Trailer(_) => "trailer",
        }
    }
}

impl std::fmt::Display for ChunkError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "the chunked body is refused: {}", self.reason())
    }
}

impl std::error::Error for ChunkError {}

/// What one call of [`Decoder::decode`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Bytes of the input that are done with, the data among them. Drop them before the next call.
    pub consumed: usize,
    /// What they held.
    pub event: ChunkEvent,
}

/// An event of a chunked body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChunkEvent {
    /// Data, at this range of the input; never empty.
    Data(Range<usize>),
    /// All input is used up; the body goes on.
    More,
    /// The body has ended; its trailers are complete. Input behind `consumed` is the next message.
    End,
}

/// Decodes one chunked body after another.
#[derive(Clone, Debug)]
pub struct Decoder {
    state: State,
    limits: ChunkLimits,
    extension_bytes: usize,
    extensions_bytes: usize,
    trailer_bytes: Vec<u8>,
    trailers: Fields,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size { value: u64, digits: u8 },
    Extension { value: u64 },
    SizeLineFeed { value: u64 },
    Data { left: u64 },
    DataReturn,
    DataLineFeed,
    Trailers { line_start: usize },
    End,
}

impl State {
    const BEGIN: Self = Self::Size { value: 0, digits: 0 };
}

impl Decoder {
    /// A decoder at the start of a body.
    #[must_use]
    pub fn new(limits: ChunkLimits) -> Self {
        Self {
            state: State::BEGIN,
            limits,
            extension_bytes: 0,
            extensions_bytes: 0,
            trailer_bytes: Vec::new(),
            trailers: Fields::default(),
        }
    }

    /// Back to the start of a body, for the next message. Room that large trailers took is given back.
    pub fn reset(&mut self) {
        self.state = State::BEGIN;
        self.extension_bytes = 0;
        self.extensions_bytes = 0;
        self.trailer_bytes.clear();
        self.trailer_bytes.shrink_to(TRAILER_BYTES_KEPT);
        self.trailers.clear();
    }

    /// Has the body ended?
    #[inline]
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.state == State::End
    }

    /// The trailer fields, once the body has ended, and the bytes that they are offsets into. Not yet filtered
    /// by [`crate::trailer::is_forbidden`].
    #[must_use]
    pub fn trailers(&self) -> (&Fields, &[u8]) {
        (&self.trailers, &self.trailer_bytes)
    }

    /// Decodes up to the next event. At the end of the body it goes on answering `End` with nothing consumed.
    pub fn decode(&mut self, input: &[u8]) -> Result<Step, ChunkError> {
        let mut position = 0;
        while let Some(&byte) = input.get(position) {
            match self.state {
                State::Data { left } => {
                    let available = (input.len() - position) as u64;
                    let length = left.min(available);
                    let range = position..position + length as usize;
                    self.state = if length == left {
                        State::DataReturn
                    } else {
                        State::Data { left: left - length }
                    };
                    return Ok(Step {
                        consumed: range.end,
                        event: ChunkEvent::Data(range),
                    });
                }
                State::Trailers { line_start } => {
                    position += self.trailer_line(line_start, &input[position..])?;
                }
                State::End => break,
                _ => {
                    self.line_byte(byte)?;
                    position += 1;
                }
            }
        }
        let event = if self.is_ended() {
            ChunkEvent::End
        } else {
            ChunkEvent::More
        };
        Ok(Step {
            consumed: position,
            event,
        })
    }

    /// One byte of a size line or of the line end behind data.
    fn line_byte(&mut self, byte: u8) -> Result<(), ChunkError> {
        self.state = match (self.state, byte) {
            (State::Size { digits: 1.., value }, b'\r') => State::SizeLineFeed { value },
            (State::Size { digits: 1.., value }, b';') => {
                self.extension_bytes = 0;
                self.count_extension()?;
                State::Extension { value }
            }
            (State::Size { value, digits }, _) => {
                let digit = hex_value(byte).ok_or(ChunkError::Size)?;
                // RFC 9112 7.1: recipients guard against sizes that overflow.
                if digits == SIZE_DIGITS_MAX || value > SIZE_MAX >> 4 {
                    return Err(ChunkError::Size);
                }
                State::Size {
                    value: value << 4 | u64::from(digit),
                    digits: digits + 1,
                }
            }
            (State::Extension { value }, b'\r') => State::SizeLineFeed { value },
            (State::Extension { value }, _) => {
                self.count_extension()?;
                // No byte that any reader could take for a line end or a string end (RFC 9112 7.1.1).
                if !crate::token::is_value_byte(byte) {
                    let is_line_feed = byte == b'\n';
                    return Err(if is_line_feed {
                        ChunkError::LineEnding
                    } else {
                        ChunkError::Extension
                    });
                }
                State::Extension { value }
            }
            (State::SizeLineFeed { value: 0 }, b'\n') => State::Trailers { line_start: 0 },
            (State::SizeLineFeed { value }, b'\n') => State::Data { left: value },
            (State::DataReturn, b'\r') => State::DataLineFeed,
            (State::DataLineFeed, b'\n') => State::BEGIN,
            _ => return Err(ChunkError::LineEnding),
        };
        Ok(())
    }

    #[inline]
    fn count_extension(&mut self) -> Result<(), ChunkError> {
        self.extension_bytes += 1;
        self.extensions_bytes += 1;
        let is_over = self.extension_bytes > self.limits.extension_bytes
            || self.extensions_bytes > self.limits.extensions_bytes;
        if is_over {
            Err(ChunkError::ExtensionTooLarge)
        } else {
            Ok(())
        }
    }

    /// Takes input up to the end of one line; the empty line ends the body.
    fn trailer_line(&mut self, line_start: usize, input: &[u8]) -> Result<usize, ChunkError> {
        let line_feed = memchr::memchr(b'\n', input);
        let taken = line_feed.map_or(input.len(), |offset| offset + 1);
        // `line_start` 0 and an empty line is the plain end and needs no room.
        if self.trailer_bytes.len() + taken > self.limits.trailers.head_bytes.max(2) {
            return Err(ChunkError::Trailer(HeadError::HeadTooLarge));
        }
        self.trailer_bytes.extend_from_slice(&input[..taken]);
        if line_feed.is_none() {
            return Ok(taken);
        }
        match &self.trailer_bytes[line_start..] {
            b"\r\n" => self.finish()?,
            [.., b'\r', b'\n'] => {
                self.state = State::Trailers {
                    line_start: self.trailer_bytes.len(),
                }
            }
            _ => return Err(ChunkError::Trailer(HeadError::LineEnding)),
        }
        Ok(taken)
    }

    fn finish(&mut self) -> Result<(), ChunkError> {
        self.state = State::End;
        if self.trailer_bytes.len() == 2 {
            return Ok(());
        }
        let room = self.limits.trailers.fields.min(FIELDS_CEILING);
        parse_fields(
            &self.trailer_bytes,
            room,
            self.limits.trailers.field_bytes,
            &mut self.trailers,
        )
        .map_err(ChunkError::Trailer)
    }
}

/// The size line of a chunk, as written before its data.
#[derive(Clone, Copy, Debug)]
pub struct SizeLine {
    bytes: [u8; 18],
    start: u8,
}

impl SizeLine {
    /// For a chunk of `length` bytes, which must not be 0: that would end the body.
    #[inline]
    #[must_use]
    pub fn new(length: u64) -> Self {
        debug_assert!(length > 0, "a chunk of no bytes ends the body");
        let mut bytes = *b"0000000000000000\r\n";
        let mut start = 16;
        let mut rest = length;
        loop {
            start -= 1;
            bytes[start] = b"0123456789abcdef"[(rest & 15) as usize];
            rest >>= 4;
            if rest == 0 {
                return Self {
                    bytes,
                    start: start as u8,
                };
            }
        }
    }

    /// The line with its CR LF.
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[usize::from(self.start)..]
    }
}

/// Writes `data` as one chunk; nothing when it is empty, because an empty chunk would end the body.
#[inline]
pub fn write_chunk(out: &mut Vec<u8>, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    out.extend_from_slice(SizeLine::new(data.len() as u64).as_bytes());
    out.extend_from_slice(data);
    out.extend_from_slice(CHUNK_END);
}

/// A second look at trailer lines, with the grammar of a head.
fn parse_fields(bytes: &[u8], room: usize, field_bytes: usize, fields: &mut Fields) -> Result<(), HeadError> {
    match field_lines(fields, bytes, 0, room, field_bytes)? {
        Some(end) if end == bytes.len() => Ok(()),
        _ => Err(HeadError::LineEnding),
    }
}

#[inline]
fn hex_value(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
