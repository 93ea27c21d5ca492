//! Monotonic time, read rarely and handed out often.

use std::cell::Cell;
use std::time::Instant;

/// The instant that every clock of a process counts from, so that times of different workers compare.
#[derive(Clone, Copy, Debug)]
pub struct Epoch(Instant);

impl Epoch {
    /// Counting starts now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Microseconds since the start; reads the system clock.
    pub fn elapsed_us(self) -> u64 {
        #[cfg(feature = "simulation")]
        if let Some(now_us) = crate::simulation::now_us() {
            return now_us;
        }
        // In 64 bits, which last for half a million years.
        let elapsed = self.0.elapsed();
        elapsed.as_secs() * 1_000_000 + u64::from(elapsed.subsec_micros())
    }

    /// Milliseconds since the start; reads the system clock.
    pub fn elapsed_ms(self) -> u64 {
        self.elapsed_us() / 1000
    }
}

/// One thread's view of the time: the last reading, refreshed where precision matters and free elsewhere.
#[derive(Debug)]
pub struct Clock {
    epoch: Epoch,
    read_us: Cell<u64>,
    /// The same in milliseconds: asked for often, so divided once.
    read_ms: Cell<u64>,
}

impl Clock {
    /// A clock that counts from `epoch`.
    pub fn new(epoch: Epoch) -> Self {
        let now_us = epoch.elapsed_us();
        Self {
            epoch,
            read_us: Cell::new(now_us),
            read_ms: Cell::new(now_us / 1000),
        }
    }

    /// Reads the system clock and remembers the reading; microseconds since the epoch.
    pub fn refresh_us(&self) -> u64 {
        let now_us = self.epoch.elapsed_us();
        self.read_us.set(now_us);
        self.read_ms.set(now_us / 1000);
        now_us
    }

    /// Reads the system clock and remembers the reading; milliseconds since the epoch.
    pub fn refresh_ms(&self) -> u64 {
        self.refresh_us();
        self.read_ms.get()
    }

    /// The last reading, microseconds since the epoch.
    pub fn read_us(&self) -> u64 {
        self.read_us.get()
    }

    /// The last reading, milliseconds since the epoch.
    pub fn read_ms(&self) -> u64 {
        self.read_ms.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_stays_until_it_is_refreshed() {
        let clock = Clock::new(Epoch::start());
        let before = clock.read_us();
        while clock.epoch.elapsed_us() <= before {
            std::hint::spin_loop();
        }
        assert_eq!(clock.read_us(), before);
        assert!(clock.refresh_us() > before);
        assert_eq!(clock.read_us() / 1000, clock.read_ms());
    }
}
