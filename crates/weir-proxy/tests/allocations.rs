//! The plain path allocates nothing in steady state. A binary of its own: the allocator counts for the whole process.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    unsafe_code,
    reason = "an allocator is unsafe by nature; this one only counts"
)]

#[path = "it/harness/mod.rs"]
#[allow(dead_code, reason = "the other tests use the rest")]
mod harness;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use harness::{Backend, Plan, Rig};

struct Counting;

static IS_COUNTING: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Clients and backends share the process; only workers count.
    static IS_EXEMPT: Cell<bool> = const { Cell::new(false) };
}

fn count() {
    if IS_COUNTING.load(Ordering::Relaxed) && !IS_EXEMPT.with(Cell::get) {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    // SAFETY: as the system's allocator, to which everything is passed on.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    // SAFETY: as the system's allocator, to which everything is passed on.
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    // SAFETY: as the system's allocator, to which everything is passed on.
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn the_plain_path_allocates_nothing_once_warm() {
    IS_EXEMPT.with(|exempt| exempt.set(true));
    let backend = Backend::scripted(|_, stream| {
        IS_EXEMPT.with(|exempt| exempt.set(true));
        let mut buffer = [0; 4096];
        while stream.get_mut().read(&mut buffer).is_ok_and(|length| length > 0) {
            stream
                .get_mut()
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nserver: x\r\n\r\nok")
                .unwrap();
        }
    });
    let rig = Rig::new(&Plan::to(&[backend.address]));
    let mut clients: Vec<_> = (0..4).map(|_| rig.client()).collect();
    let mut run = |rounds: usize| {
        for _ in 0..rounds {
            for (number, client) in clients.iter_mut().enumerate() {
                let request = if number % 2 == 0 {
                    "GET /a?b=c HTTP/1.1\r\nHost: test\r\nUser-Agent: x\r\nAccept: */*\r\n\r\n"
                } else {
                    "POST /a HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nCookie: a=b\r\n\r\nhello"
                };
                client.send(request);
                assert_eq!(client.response().text(), "ok");
            }
        }
    };
    IS_COUNTING.store(true, Ordering::Relaxed);
    run(100);
    let warming = ALLOCATIONS.swap(0, Ordering::Relaxed);
    assert!(warming > 0, "opening connections allocates, so this counts");
    run(500);
    IS_COUNTING.store(false, Ordering::Relaxed);
    let allocations = ALLOCATIONS.load(Ordering::Relaxed);
    // Once a second a worker looks around, and slots of its wheel grow the first time they are used.
    assert!(allocations <= 8, "{allocations} for 2,000 requests");
}
