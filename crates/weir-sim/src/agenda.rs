//! What is to happen when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Things to come, by time. What falls on one microsecond comes in the order that its tie-break says.
#[derive(Debug)]
pub(crate) struct Agenda<T> {
    heap: BinaryHeap<Reverse<Item<T>>>,
    numbers: u64,
}

#[derive(Debug)]
struct Item<T> {
    key: (u64, u64, u64),
    what: T,
}

impl<T> PartialEq for Item<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<T> Eq for Item<T> {}

impl<T> PartialOrd for Item<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Item<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

impl<T> Agenda<T> {
    pub(crate) fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            numbers: 0,
        }
    }

    /// Puts something down for a time.
    pub(crate) fn put(&mut self, at_us: u64, tie_break: u64, what: T) {
        self.numbers += 1;
        let key = (at_us, tie_break, self.numbers);
        self.heap.push(Reverse(Item { key, what }));
    }

    /// When the next thing is due.
    pub(crate) fn next_us(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse(item)| item.key.0)
    }

    /// Takes the next thing that is due.
    pub(crate) fn take_due(&mut self, now_us: u64) -> Option<T> {
        if self.next_us()? > now_us {
            return None;
        }
        self.heap.pop().map(|Reverse(item)| item.what)
    }
}
