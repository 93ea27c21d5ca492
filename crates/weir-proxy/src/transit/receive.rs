//! A whole body into memory.

use std::task::{Context, Poll, ready};

use weir_model::limits;
use weir_net::Stream;

use super::buffer::{Input, Output};
use super::pump::{Framing, Pump, PumpFailure, Stall};

impl Pump {
    /// Appends the data of the body to `body`; ready when that was all, or with an error when it does not come. How much it
    /// may be is up to [`Pump::bound`].
    pub(crate) fn poll_receive(
        &mut self,
        task: &mut Context<'_>,
        source: &mut Stream,
        input: &mut Input,
        body: &mut Output,
    ) -> Poll<Result<(), PumpFailure>> {
        self.framing = Framing::Plain;
        self.keep(usize::MAX);
        loop {
            while !self.is_received() && !input.is_empty() {
                let mut part = Output::default();
                self.decode_all(input, &mut part)?;
                body.bytes.append(&mut part.bytes);
            }
            if self.is_received() {
                return Poll::Ready(Ok(()));
            }
            self.stall = Stall::Source;
            match ready!(input.poll_fill(source, task, limits::BUFFER_BYTES / 2)) {
                Ok(0) => return Poll::Ready(Err(PumpFailure::SourceEnded)),
                Ok(length) => {
                    self.received += length as u64;
                    self.progress += 1;
                }
                Err(_) => return Poll::Ready(Err(PumpFailure::Source)),
            }
        }
    }
}
