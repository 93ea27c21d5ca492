//! Messages on their way through: buffers, bodies in motion, changes to heads, and all of it in one reusable piece.
//!
//! This folder owns bytes in memory. It reads from and writes to streams but knows neither routes nor endpoints.

mod buffer;
mod edits;
mod encoder;
mod pump;
mod receive;
mod scratch;
mod tee;

pub(crate) use buffer::Output;
pub(crate) use edits::Edits;
pub(crate) use encoder::{Encoder, EncoderMemory};
pub(crate) use pump::{Framing, PumpFailure, Stall};
pub(crate) use scratch::{FreeList, HEAD_LIMITS, RequestScratch, ResponseScratch};
pub(crate) use tee::{TeeEnd, tee};
