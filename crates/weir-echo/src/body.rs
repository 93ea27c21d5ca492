//! Reads request bodies and drops them, counting.

use weir_wire::BodyLength;
use weir_wire::h1::chunked::{ChunkEvent, ChunkLimits, Decoder};
use weir_wire::head::HeadLimits;

/// Roomier than any gateway's, so that a test of a gateway's limits meets the gateway's.
pub(crate) const LIMITS: HeadLimits = HeadLimits {
    head_bytes: 256 * 1024,
    fields: 256,
    field_bytes: 128 * 1024,
    target_bytes: 64 * 1024,
};
const CHUNK_LIMITS: ChunkLimits = ChunkLimits {
    extension_bytes: 16 * 1024,
    extensions_bytes: 16 * 1024 * 1024,
    trailers: LIMITS,
};

/// Where a body stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyState {
    /// More input is needed.
    Unfinished,
    /// The next byte belongs to the next request.
    Finished,
}

/// Reads one body.
#[derive(Debug)]
pub(crate) struct BodyReader {
    rest: Rest,
    body_bytes: u64,
}

#[derive(Debug)]
enum Rest {
    Length(u64),
    Chunked(Box<Decoder>),
}

impl BodyReader {
    /// A reader at the start of a request's body.
    pub(crate) fn new(length: BodyLength) -> Self {
        let rest = match length {
            // Requests never end with the connection (RFC 9112 6.3 rule 7).
            BodyLength::Empty | BodyLength::UntilClose => Rest::Length(0),
            BodyLength::Length(length) => Rest::Length(length),
            BodyLength::Chunked => Rest::Chunked(Box::new(Decoder::new(CHUNK_LIMITS))),
        };
        Self { rest, body_bytes: 0 }
    }

    /// Bytes of the body so far, without framing.
    pub(crate) fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// Takes what `input` holds of the body and says how many bytes that are.
    ///
    /// # Errors
    /// The chunks are not valid; in words for the client.
    pub(crate) fn advance(&mut self, input: &[u8]) -> Result<(usize, BodyState), String> {
        match &mut self.rest {
            Rest::Length(left) => {
                let taken = (*left).min(input.len() as u64);
                *left -= taken;
                self.body_bytes += taken;
                let state = if *left == 0 {
                    BodyState::Finished
                } else {
                    BodyState::Unfinished
                };
                Ok((taken as usize, state))
            }
            Rest::Chunked(decoder) => {
                let mut taken = 0;
                loop {
                    let step = decoder
                        .decode(&input[taken..])
                        .map_err(|error| error.to_string())?;
                    taken += step.consumed;
                    match step.event {
                        ChunkEvent::Data(range) => self.body_bytes += range.len() as u64,
                        ChunkEvent::More => return Ok((taken, BodyState::Unfinished)),
                        ChunkEvent::End => return Ok((taken, BodyState::Finished)),
                    }
                }
            }
        }
    }
}
