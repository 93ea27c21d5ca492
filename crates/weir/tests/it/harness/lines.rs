//! Lines that a process writes, kept and awaited.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use super::PATIENCE;

/// Every line so far, and whether more can come.
#[derive(Clone, Debug)]
pub(crate) struct Lines(Arc<(Mutex<Seen>, Condvar)>);

#[derive(Debug, Default)]
struct Seen {
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    /// Reads `from` to its end on a thread of its own.
    pub(crate) fn follow(from: impl Read + Send + 'static) -> Self {
        let lines = Self(Arc::default());
        let writer = lines.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(from).split(b'\n') {
                let Ok(line) = line else { break };
                writer.change(|seen| seen.lines.push(String::from_utf8_lossy(&line).into_owned()));
            }
            writer.change(|seen| seen.ended = true);
        });
        lines
    }

    /// How many there are: pass it to [`Self::wait_after`] to wait for something new.
    pub(crate) fn count(&self) -> usize {
        self.0
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .lines
            .len()
    }

    /// All so far, joined.
    pub(crate) fn text(&self) -> String {
        self.0
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .lines
            .join("\n")
    }

    /// Waits for a line that contains `part` after the first `skipped` ones.
    pub(crate) fn wait_after(&self, skipped: usize, part: &str) -> String {
        let (seen, changed) = &*self.0;
        let deadline = Instant::now() + PATIENCE;
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(line) = seen.lines.iter().skip(skipped).find(|line| line.contains(part)) {
                return line.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !seen.ended && !left.is_zero(),
                "no line with {part:?} after line {skipped}; ended: {}; all lines:\n{}",
                seen.ended,
                seen.lines.join("\n")
            );
            seen = changed
                .wait_timeout(seen, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Waits for the end and returns everything.
    pub(crate) fn wait_end(&self) -> String {
        let (seen, changed) = &*self.0;
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (seen, timeout) = changed
            .wait_timeout_while(seen, PATIENCE, |seen| !seen.ended)
            .unwrap_or_else(PoisonError::into_inner);
        assert!(
            !timeout.timed_out(),
            "the process does not end; its lines:\n{}",
            seen.lines.join("\n")
        );
        seen.lines.join("\n")
    }

    fn change(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.0.0.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.1.notify_all();
    }
}
