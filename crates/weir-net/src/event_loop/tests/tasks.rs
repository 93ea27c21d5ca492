//! Tasks: spawned, woken, aborted, broken.

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::{Bed, Watch, pause, run};
use crate::event_loop::{Clockwork, EventLoop};

/// Counts its drops.
struct Tracer(Rc<Cell<u32>>);

impl Drop for Tracer {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

fn tracer() -> (Tracer, Rc<Cell<u32>>) {
    let drops = Rc::new(Cell::new(0));
    (Tracer(Rc::clone(&drops)), drops)
}

#[test]
fn tasks_run_in_the_order_in_which_they_were_spawned() {
    let order = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&order);
    run(|event_loop| async move {
        for number in 0..300 {
            let order = Rc::clone(&order);
            event_loop.spawn(async move { order.borrow_mut().push(number) });
        }
        assert!(order.borrow().is_empty(), "never at once");
        while order.borrow().len() < 300 {
            pause().await;
        }
    });
    assert_eq!(*seen.borrow(), (0..300).collect::<Vec<_>>());
}

/// Lets rounds pass: more tasks are ready than one round takes.
async fn pause_for_rounds() {
    for _ in 0..300 {
        pause().await;
    }
}

/// Says when it went on.
async fn go_on_late(event_loop: EventLoop, order: Rc<RefCell<Vec<&'static str>>>, who: &'static str) {
    order.borrow_mut().push("asks");
    poll_fn(|task| event_loop.poll_round_end(task)).await;
    order.borrow_mut().push(who);
}

#[test]
fn who_waits_for_the_end_of_a_round_runs_behind_all_that_are_ready_and_before_the_next_look() {
    struct Turns(Rc<RefCell<Vec<&'static str>>>);
    impl Clockwork for Turns {
        fn turn(&mut self) {
            self.0.borrow_mut().push("look");
        }
        fn patience(&self) -> Duration {
            Duration::from_secs(1)
        }
    }
    let order = Rc::new(RefCell::new(Vec::new()));
    let event_loop = EventLoop::new().unwrap();
    for who in ["first", "second"] {
        event_loop.spawn(go_on_late(event_loop.clone(), Rc::clone(&order), who));
    }
    let (inner, said) = (event_loop.clone(), Rc::clone(&order));
    event_loop.spawn(async move {
        said.borrow_mut().push("plain");
        inner.spawn(async move { said.borrow_mut().push("spawned") });
    });
    event_loop
        .run(pause_for_rounds(), &mut Turns(Rc::clone(&order)))
        .unwrap();
    assert_eq!(
        &order.borrow()[..8],
        [
            "look", "asks", "asks", "plain", "spawned", "first", "second", "look"
        ]
    );
}

#[test]
fn who_is_alone_or_polled_through_another_waker_does_not_wait_for_the_end_of_a_round() {
    run(|event_loop| async move {
        // Nobody else is ready: at once.
        let alone = poll_fn(|task| Poll::Ready(event_loop.poll_round_end(task))).await;
        assert_eq!(alone, Poll::Ready(()));
        event_loop.spawn(async {});
        let foreign = Context::from_waker(Waker::noop());
        assert_eq!(event_loop.poll_round_end(&foreign), Poll::Ready(()));
        let own = poll_fn(|task| Poll::Ready(event_loop.poll_round_end(task))).await;
        assert_eq!(own, Poll::Pending);
    });
}

#[test]
fn a_task_that_is_woken_or_aborted_while_it_waits_for_the_end_of_a_round_is_polled_once_or_never() {
    run(|event_loop| async move {
        let (tracer, drops) = tracer();
        let (bed, polls) = (Bed::default(), Rc::new(Cell::new(0)));
        let (waiting, counted, place) = (event_loop.clone(), Rc::clone(&polls), bed.clone());
        event_loop.spawn(async move {
            poll_fn(|task| {
                counted.set(counted.get() + 1);
                let _ = place.poll(task);
                waiting.poll_round_end(task)
            })
            .await;
        });
        let waiting = event_loop.clone();
        let aborted = event_loop.spawn(async move {
            let _tracer = tracer;
            poll_fn(|task| waiting.poll_round_end(task)).await;
            unreachable!("it was aborted");
        });
        let inner = event_loop.clone();
        event_loop.spawn(async move {
            bed.waker().wake();
            inner.abort(aborted);
        });
        pause_for_rounds().await;
        assert_eq!((polls.get(), drops.get()), (2, 1));
        assert_eq!(event_loop.panics(), 0);
    });
}

#[test]
fn an_aborted_task_is_dropped_and_a_later_one_in_its_place_is_not() {
    run(|event_loop| async move {
        let (tracer, drops) = tracer();
        let first = event_loop.spawn(async move {
            let _tracer = tracer;
            pending::<()>().await;
        });
        pause().await;
        assert_eq!(drops.get(), 0);
        event_loop.abort(first);
        assert_eq!(drops.get(), 1);
        let ran = Rc::new(Cell::new(false));
        let runs = Rc::clone(&ran);
        let second = event_loop.spawn(async move { runs.set(true) });
        event_loop.abort(first);
        pause().await;
        assert!(ran.get());
        event_loop.abort(second);
    });
}

#[test]
fn a_task_that_aborts_itself_ends_at_its_next_wait() {
    run(|event_loop| async move {
        let (tracer, drops) = tracer();
        let own = Rc::new(Cell::new(None));
        let (its_own, its_loop) = (Rc::clone(&own), event_loop.clone());
        own.set(Some(event_loop.spawn(async move {
            its_loop.abort(its_own.get().unwrap());
            assert_eq!(tracer.0.get(), 0);
            pause().await;
            unreachable!("aborted");
        })));
        pause().await;
        pause().await;
        assert_eq!((drops.get(), event_loop.panics()), (1, 0));
    });
}

#[test]
fn a_wake_for_a_task_that_is_gone_wakes_nobody() {
    run(|event_loop| async move {
        let bed = Bed::default();
        let its_bed = bed.clone();
        let first = event_loop.spawn(poll_fn(move |task| its_bed.poll(task)));
        pause().await;
        event_loop.abort(first);
        let polls = Rc::new(Cell::new(0));
        let its_polls = Rc::clone(&polls);
        event_loop.spawn(poll_fn(move |_| {
            its_polls.set(its_polls.get() + 1);
            Poll::<()>::Pending
        }));
        pause().await;
        assert_eq!(polls.get(), 1);
        bed.waker().wake();
        let waker = bed.waker();
        std::thread::spawn(move || waker.wake()).join().unwrap();
        pause().await;
        pause().await;
        assert_eq!(polls.get(), 1);
    });
}

#[test]
fn wakes_before_a_poll_are_one_poll() {
    run(|event_loop| async move {
        let (bed, polls) = (Bed::default(), Rc::new(Cell::new(0)));
        let (its_bed, its_polls) = (bed.clone(), Rc::clone(&polls));
        event_loop.spawn(poll_fn(move |task| {
            its_polls.set(its_polls.get() + 1);
            its_bed.poll(task)
        }));
        pause().await;
        for _ in 0..3 {
            bed.waker().wake();
        }
        pause().await;
        pause().await;
        assert_eq!(polls.get(), 2);
    });
}

#[test]
fn wakes_from_other_threads_are_never_lost() {
    const WAKES: usize = 20_000;
    let count = Arc::new(AtomicUsize::new(0));
    run(|_| async move {
        let polls = Cell::new(0);
        let mut threads = Vec::new();
        poll_fn(|task| {
            polls.set(polls.get() + 1);
            if threads.is_empty() {
                for _ in 0..2 {
                    let (count, waker) = (Arc::clone(&count), task.waker().clone());
                    threads.push(std::thread::spawn(move || {
                        for _ in 0..WAKES {
                            count.fetch_add(1, Ordering::Relaxed);
                            waker.wake_by_ref();
                        }
                    }));
                }
            }
            // Never the first time, so that at least one wake has to arrive.
            if polls.get() > 1 && count.load(Ordering::Relaxed) == 2 * WAKES {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn a_task_that_panics_ends_alone() {
    run(|event_loop| async move {
        let (tracer, drops) = tracer();
        event_loop.spawn(async move {
            let _tracer = tracer;
            panic!("a task of a test");
        });
        struct Bad;
        impl Drop for Bad {
            fn drop(&mut self) {
                panic!("the drop of a task of a test");
            }
        }
        let bad = Bad;
        let held = event_loop.spawn(async move {
            let _bad = bad;
            pause().await;
        });
        for _ in 0..3 {
            pause().await;
        }
        assert_eq!((drops.get(), event_loop.panics()), (1, 2));
        event_loop.abort(held);
    });
}

#[test]
fn a_main_task_that_panics_ends_the_loop_with_an_error() {
    let event_loop = EventLoop::new().unwrap();
    let ended = event_loop.run(
        async { panic!("the main task of a test") },
        &mut Watch(Instant::now()),
    );
    assert!(ended.is_err());
}

#[test]
fn the_end_of_a_loop_drops_its_tasks_and_what_comes_later() {
    let (tracer, drops) = tracer();
    let bed = Bed::default();
    let its_bed = bed.clone();
    let event_loop = run(|event_loop| async move {
        let its_loop = event_loop.clone();
        event_loop.spawn(async move {
            let (_tracer, _cycle) = (tracer, its_loop);
            poll_fn(|task| its_bed.poll(task)).await;
        });
        pause().await;
    });
    assert_eq!(drops.get(), 1);
    let waker = bed.waker();
    waker.wake_by_ref();
    std::thread::spawn(move || waker.wake()).join().unwrap();
    let late = Tracer(Rc::clone(&drops));
    event_loop.spawn(async move { drop(late) });
    assert_eq!(drops.get(), 2);
    assert_eq!(Rc::strong_count(&event_loop.0), 1, "nobody else holds the loop");
}

#[test]
fn a_task_that_is_always_ready_starves_neither_the_clockwork_nor_others() {
    struct Turns(Rc<Cell<u32>>);
    impl Clockwork for Turns {
        fn turn(&mut self) {
            self.0.set(self.0.get() + 1);
        }
        fn patience(&self) -> Duration {
            Duration::from_secs(1)
        }
    }
    let turns = Rc::new(Cell::new(0));
    let busy = Rc::new(Cell::new(0_u32));
    let (its_turns, its_busy) = (Rc::clone(&turns), Rc::clone(&busy));
    let event_loop = EventLoop::new().unwrap();
    let its_loop = event_loop.clone();
    let main = async move {
        for _ in 0..2 {
            let busy = Rc::clone(&its_busy);
            its_loop.spawn(async move {
                loop {
                    busy.set(busy.get() + 1);
                    pause().await;
                }
            });
        }
        while its_turns.get() < 10 {
            pause().await;
        }
    };
    event_loop.run(main, &mut Turns(Rc::clone(&turns))).unwrap();
    // Three tasks share each round's 127 polls.
    assert!((500..=900).contains(&busy.get()), "{}", busy.get());
}
