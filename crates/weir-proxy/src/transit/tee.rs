//! A request body on its way to a mirror: the same data, bounded, never waited for.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use weir_model::limits;

/// The end that the upload writes to. Dropping it without [`Tee::finish`] says that the body was cut.
#[derive(Debug)]
pub(crate) struct Tee(Rc<RefCell<Shared>>);

/// The end that the mirror reads from.
#[derive(Debug)]
pub(crate) struct TeeEnd(Rc<RefCell<Shared>>);

#[derive(Debug, Default)]
struct Shared {
    data: VecDeque<u8>,
    state: State,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// All data was written.
    Finished,
    /// The upload was cut, or the mirror did not keep up.
    Cut,
}

/// A tee's two ends.
pub(crate) fn tee() -> (Tee, TeeEnd) {
    let shared = Rc::new(RefCell::new(Shared::default()));
    (Tee(Rc::clone(&shared)), TeeEnd(shared))
}

impl Tee {
    /// Adds data; a mirror that is [`limits::BUFFER_BYTES`] behind is given up.
    pub(crate) fn push(&self, data: &[u8]) {
        let mut shared = self.0.borrow_mut();
        if shared.state != State::Open {
            return;
        }
        if shared.data.len() + data.len() > limits::BUFFER_BYTES {
            shared.end(State::Cut);
        } else {
            shared.data.extend(data);
            shared.wake();
        }
    }

    /// Says that the body is complete.
    pub(crate) fn finish(&self) {
        self.0.borrow_mut().end(State::Finished);
    }
}

impl Drop for Tee {
    fn drop(&mut self) {
        self.0.borrow_mut().end(State::Cut);
    }
}

impl TeeEnd {
    /// Moves what has come to `out`. `Some(true)`: there may be more. `Some(false)`: that was all. `None`: the body
    /// was cut.
    pub(crate) fn poll_take(&self, task: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<Option<bool>> {
        let mut shared = self.0.borrow_mut();
        if shared.state == State::Cut {
            return Poll::Ready(None);
        }
        let is_open = shared.state == State::Open;
        if shared.data.is_empty() && is_open {
            shared.waker = Some(task.waker().clone());
            return Poll::Pending;
        }
        out.extend(shared.data.drain(..));
        Poll::Ready(Some(is_open))
    }
}

impl Shared {
    fn end(&mut self, state: State) {
        if self.state == State::Open {
            self.state = state;
            self.wake();
        }
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(end: &TeeEnd) -> Poll<Option<(bool, usize)>> {
        let mut out = Vec::new();
        end.poll_take(&mut Context::from_waker(Waker::noop()), &mut out)
            .map(|more| more.map(|more| (more, out.len())))
    }

    #[test]
    fn data_arrives_and_its_end_is_told_from_a_cut() {
        let (start, end) = tee();
        assert_eq!(take(&end), Poll::Pending);
        start.push(b"abc");
        assert_eq!(take(&end), Poll::Ready(Some((true, 3))));
        start.push(b"d");
        start.finish();
        drop(start);
        assert_eq!(take(&end), Poll::Ready(Some((false, 1))));

        let (start, end) = tee();
        start.push(b"abc");
        drop(start);
        assert_eq!(take(&end), Poll::Ready(None));
    }

    #[test]
    fn a_mirror_that_does_not_keep_up_is_given_up() {
        let (start, end) = tee();
        start.push(&vec![0; limits::BUFFER_BYTES]);
        start.push(b"x");
        assert_eq!(take(&end), Poll::Ready(None));
    }
}
