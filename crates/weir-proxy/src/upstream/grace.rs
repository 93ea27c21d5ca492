//! What is granted to a probe whose deadline has passed, since a deadline alone does not say who was late.

use std::cell::Cell;

/// Counts what a probe has got done.
#[derive(Debug, Default)]
pub(super) struct Steps(Cell<u32>);

impl Steps {
    /// The connection is open, or bytes went out or came in.
    pub(super) fn advance(&self) {
        self.0.set(self.0.get().wrapping_add(1));
    }

    /// How many there were; wraps.
    pub(super) fn made(&self) -> u32 {
        self.0.get()
    }
}

/// What a probe is granted, with its next deadline in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Granted {
    /// One more look at its socket.
    Look(u64),
    /// All its time, from now on.
    Time(u64),
    /// Nothing: the endpoint was too slow.
    Nothing,
}

/// One probe's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grace {
    timeout_ms: u64,
    /// Its time was granted anew.
    had_time: bool,
    /// The sockets have been looked at since the deadline.
    had_look: bool,
}

impl Grace {
    /// Nothing granted yet.
    pub(super) fn new(timeout_ms: u64) -> Self {
        Self {
            timeout_ms,
            had_time: false,
            had_look: false,
        }
    }

    /// What follows a deadline. `is_moving`: behind it there was still something to do, and it has been done. Then it was
    /// done too late for an answer, and once the endpoint gets its time from now on.
    pub(super) fn next(&mut self, is_moving: bool, now_ms: u64) -> Granted {
        if is_moving && !self.had_time {
            (self.had_time, self.had_look) = (true, false);
            Granted::Time(now_ms.saturating_add(self.timeout_ms))
        } else if self.had_look {
            Granted::Nothing
        } else {
            self.had_look = true;
            // The loop looks at its sockets before it looks at its clock: a look lies between now and any time to come.
            Granted::Look(now_ms.saturating_add(1))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hc04_a_passed_deadline_is_granted_a_look_and_once_the_time_of_a_late_step() {
        use Granted::{Look, Nothing, Time};
        for (moves, granted) in [
            (&[false, false][..], &[Look(501), Nothing][..]),
            (&[true, false, false], &[Time(600), Look(501), Nothing]),
            (
                &[false, true, false, false],
                &[Look(501), Time(600), Look(501), Nothing],
            ),
            // An endpoint that trickles is granted no more than that.
            (&[true, true, true], &[Time(600), Look(501), Nothing]),
        ] {
            let mut grace = Grace::new(100);
            let found: Vec<_> = moves
                .iter()
                .map(|is_moving| grace.next(*is_moving, 500))
                .collect();
            assert_eq!(found, granted, "{moves:?}");
        }
    }
}
