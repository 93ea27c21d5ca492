//! Deadlines without a timer each: a coarse wheel per worker.
//!
//! A connection owns one [`Timer`] for its whole life. Moving its deadline later is a store to a cell; moving it
//! earlier costs a place in the wheel only when the wheel would otherwise come by too late. The wheel looks at every
//! timer at least once in [`VISIT_MS`] and wakes the task whose deadline has passed. So a request that sets
//! three deadlines and meets them all pays a few nanoseconds, and a short deadline still fires within
//! [`SLOT_MS`] of its time.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// Precision of a deadline, milliseconds.
pub(crate) const SLOT_MS: u64 = 10;
/// Longest time between two looks at one timer, milliseconds.
const VISIT_MS: u64 = 1000;
/// Looks that are merely due, not urgent, gather on multiples of this.
const VISIT_GATHER_MS: u64 = 100;
const SLOTS: usize = 256;
const _: () = assert!(SLOTS as u64 * SLOT_MS > VISIT_MS + 2 * VISIT_GATHER_MS);

/// No deadline.
pub(crate) const NEVER: u64 = u64::MAX;

/// The deadline of one task.
#[derive(Debug)]
pub(crate) struct Timer {
    deadline_ms: Cell<u64>,
    /// When the wheel looks at it next; [`NEVER`] when it is in no slot.
    visit_ms: Cell<u64>,
    waker: RefCell<Option<Waker>>,
}

impl Timer {
    /// A timer without deadline.
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self {
            deadline_ms: Cell::new(NEVER),
            visit_ms: Cell::new(NEVER),
            waker: RefCell::new(None),
        })
    }

    /// The timer of the task that asks for it.
    pub(crate) async fn of_task() -> Rc<Self> {
        let timer = Self::new();
        poll_fn(|task| {
            timer.register(task.waker());
            Poll::Ready(())
        })
        .await;
        timer
    }

    /// Which task to wake.
    pub(crate) fn register(&self, waker: &Waker) {
        *self.waker.borrow_mut() = Some(waker.clone());
    }

    /// When it fires; milliseconds since the process's epoch.
    #[cfg(test)]
    fn deadline_ms(&self) -> u64 {
        self.deadline_ms.get()
    }
}

/// The timers of one worker.
#[derive(Debug)]
pub(crate) struct Wheel {
    slots: RefCell<Vec<Vec<Rc<Timer>>>>,
    /// Every slot up to this time has been looked at; a multiple of [`SLOT_MS`].
    turned_ms: Cell<u64>,
    /// When there is something to do next.
    next_ms: Cell<u64>,
    spare: RefCell<Vec<Rc<Timer>>>,
}

impl Wheel {
    pub(crate) fn new(now_ms: u64) -> Self {
        Self {
            slots: RefCell::new(vec![Vec::new(); SLOTS]),
            turned_ms: Cell::new(now_ms / SLOT_MS * SLOT_MS),
            next_ms: Cell::new(NEVER),
            spare: RefCell::new(Vec::new()),
        }
    }

    /// Moves a deadline.
    pub(crate) fn set(&self, timer: &Rc<Timer>, deadline_ms: u64) {
        timer.deadline_ms.set(deadline_ms);
        if deadline_ms < timer.visit_ms.get() {
            self.place(timer, deadline_ms);
        }
    }

    /// Looks at every timer whose slot has come and wakes those whose deadline has passed.
    pub(crate) fn turn(&self, now_ms: u64) {
        let from_ms = self.turned_ms.get();
        let to_ms = now_ms / SLOT_MS * SLOT_MS;
        let turns = (to_ms.saturating_sub(from_ms) / SLOT_MS).min(SLOTS as u64);
        self.turned_ms.set(to_ms.max(from_ms));
        let mut due = self.spare.take();
        for turn in 0..turns {
            due.append(&mut self.slots.borrow_mut()[slot_of(to_ms - turn * SLOT_MS)]);
        }
        for timer in due.drain(..) {
            self.visit(&timer, now_ms);
        }
        self.spare.replace(due);
        self.plan();
    }

    /// When [`Self::turn`] has something to do next; [`NEVER`] when the wheel is empty.
    pub(crate) fn next_ms(&self) -> u64 {
        self.next_ms.get()
    }

    /// Wakes every task that has a deadline.
    pub(crate) fn wake_all(&self) {
        for timer in self.slots.borrow().iter().flatten() {
            if let Some(waker) = &*timer.waker.borrow() {
                waker.wake_by_ref();
            }
        }
    }

    fn visit(&self, timer: &Rc<Timer>, now_ms: u64) {
        let stale = timer.visit_ms.get() > now_ms;
        if stale || Rc::strong_count(timer) == 1 {
            return;
        }
        timer.visit_ms.set(NEVER);
        if timer.deadline_ms.get() <= now_ms {
            if let Some(waker) = &*timer.waker.borrow() {
                waker.wake_by_ref();
            }
        } else if timer.deadline_ms.get() != NEVER {
            self.place(timer, timer.deadline_ms.get());
        }
    }

    fn plan(&self) {
        let slots = self.slots.borrow();
        let first = (1..=SLOTS as u64)
            .map(|turn| self.turned_ms.get() + turn * SLOT_MS)
            .find(|time_ms| !slots[slot_of(*time_ms)].is_empty());
        self.next_ms.set(first.unwrap_or(NEVER));
    }

    fn place(&self, timer: &Rc<Timer>, deadline_ms: u64) {
        let turned_ms = self.turned_ms.get();
        let latest_ms = (turned_ms + VISIT_MS).next_multiple_of(VISIT_GATHER_MS);
        let visit_ms = deadline_ms
            .min(latest_ms)
            .max(turned_ms + 1)
            .next_multiple_of(SLOT_MS);
        timer.visit_ms.set(visit_ms);
        self.slots.borrow_mut()[slot_of(visit_ms)].push(Rc::clone(timer));
        self.next_ms.set(self.next_ms.get().min(visit_ms));
    }
}

fn slot_of(time_ms: u64) -> usize {
    (time_ms / SLOT_MS) as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    struct Rig {
        wheel: Wheel,
        timer: Rc<Timer>,
        wakes: Arc<Wakes>,
        now_ms: u64,
    }

    impl Rig {
        fn new() -> Self {
            let (wakes, timer) = (Arc::new(Wakes::default()), Timer::new());
            timer.register(&Waker::from(Arc::clone(&wakes)));
            Self {
                wheel: Wheel::new(5),
                timer,
                wakes,
                now_ms: 5,
            }
        }

        /// Turns the wheel when it asks for it until `end_ms`; returns the times at which the task was woken.
        fn run(&mut self, end_ms: u64) -> Vec<u64> {
            let mut woken = Vec::new();
            loop {
                let next_ms = self.wheel.next_ms();
                if next_ms > end_ms {
                    self.now_ms = end_ms;
                    return woken;
                }
                self.now_ms = next_ms;
                let before = self.wakes.0.load(Ordering::Relaxed);
                self.wheel.turn(next_ms);
                if self.wakes.0.load(Ordering::Relaxed) > before {
                    woken.push(next_ms);
                }
            }
        }
    }

    #[test]
    fn a_deadline_fires_once_and_within_a_slot_of_its_time() {
        for deadline_ms in [6, 10, 11, 99, 1_000, 1_234, 60_000, 60_001] {
            let mut rig = Rig::new();
            rig.wheel.set(&rig.timer, deadline_ms);
            let woken = rig.run(200_000);
            assert_eq!(woken.len(), 1, "{deadline_ms}");
            assert!(
                (deadline_ms..=deadline_ms + SLOT_MS).contains(&woken[0]),
                "{deadline_ms}: {woken:?}"
            );
        }
    }

    #[test]
    fn a_deadline_that_moves_fires_at_its_last_place() {
        let mut rig = Rig::new();
        rig.wheel.set(&rig.timer, 60_000);
        assert!(rig.run(30_000).is_empty());
        rig.wheel.set(&rig.timer, 30_050);
        rig.wheel.set(&rig.timer, 90_000);
        assert!(rig.run(80_000).is_empty());
        rig.wheel.set(&rig.timer, 80_020);
        assert_eq!(rig.run(81_000), [80_020]);
        rig.wheel.set(&rig.timer, 81_500);
        assert_eq!(rig.run(90_000), [81_500]);
    }

    #[test]
    fn a_deadline_that_moves_back_and_forth_takes_one_place_per_visit_not_per_move() {
        let rig = Rig::new();
        for _ in 0..1000 {
            rig.wheel.set(&rig.timer, 15_000);
            rig.wheel.set(&rig.timer, 60_000);
        }
        let places: usize = rig.wheel.slots.borrow().iter().map(Vec::len).sum();
        assert_eq!(places, 1);
    }

    #[test]
    fn an_earlier_deadline_is_what_the_wheel_waits_for() {
        let rig = Rig::new();
        assert_eq!(rig.wheel.next_ms(), NEVER);
        for (deadline_ms, next_ms) in [(100, 100), (50, 50), (70, 50)] {
            rig.wheel.set(&rig.timer, deadline_ms);
            assert_eq!(rig.wheel.next_ms(), next_ms, "{deadline_ms}");
        }
        rig.wheel.turn(60);
        assert_eq!(rig.wheel.next_ms(), 70);
    }

    #[test]
    fn timers_of_finished_tasks_leave_the_wheel_and_a_pause_loses_none() {
        let mut rig = Rig::new();
        let others: Vec<_> = (0..300).map(|_| Timer::new()).collect();
        for (other, time_ms) in others.iter().zip((10..).step_by(10)) {
            other.register(&Waker::from(Arc::clone(&rig.wakes)));
            rig.wheel.set(other, time_ms * 100);
        }
        rig.wheel.set(&rig.timer, 500);
        let gone = Timer::new();
        rig.wheel.set(&gone, 400);
        drop(gone);
        rig.wheel.turn(100_000);
        let fired = others
            .iter()
            .filter(|other| other.deadline_ms() <= 100_000)
            .count();
        assert_eq!(rig.wakes.0.load(Ordering::Relaxed), 1 + fired);
        rig.run(400_000);
        assert_eq!(rig.wakes.0.load(Ordering::Relaxed), 1 + others.len());
        assert_eq!(rig.wheel.slots.borrow().iter().map(Vec::len).sum::<usize>(), 0);
    }
}
