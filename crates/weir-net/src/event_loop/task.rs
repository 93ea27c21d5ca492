//! The tasks of a loop and the queues of those that are to run.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::Waker;

use crate::sys;

/// Names a task of one loop, for ever: what comes after it in the same place has another generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskId {
    index: u32,
    generation: u32,
}

impl TaskId {
    /// No task of any loop.
    pub(super) const NONE: Self = Self {
        index: u32::MAX,
        generation: u32::MAX,
    };
}

/// A future and its own waker.
pub(super) struct Task {
    pub(super) future: Pin<Box<dyn Future<Output = ()>>>,
    pub(super) waker: Waker,
}

/// All tasks of a loop.
#[derive(Default)]
pub(super) struct Tasks {
    places: Vec<Place>,
    /// Places without a task.
    free: Vec<u32>,
    ready: VecDeque<TaskId>,
    /// Those that wait for the end of the round.
    late: VecDeque<TaskId>,
}

struct Place {
    generation: u32,
    /// In one of the two queues.
    is_queued: bool,
    /// The task was aborted while it was being polled.
    is_aborted: bool,
    /// Absent while the task is being polled.
    task: Option<Task>,
}

impl Tasks {
    /// Adds a task, ready.
    pub(super) fn insert(&mut self, make: impl FnOnce(TaskId) -> Task) -> TaskId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place {
                generation: 0,
                is_queued: false,
                is_aborted: false,
                task: None,
            });
            (self.places.len() - 1) as u32
        });
        let place = &mut self.places[index as usize];
        let id = TaskId {
            index,
            generation: place.generation,
        };
        debug_assert!(place.task.is_none() && !place.is_queued && !place.is_aborted);
        place.task = Some(make(id));
        self.wake(id);
        id
    }

    /// Queues a task unless it is queued already or gone.
    pub(super) fn wake(&mut self, id: TaskId) {
        if let Some(place) = self.places.get_mut(id.index as usize)
            && place.generation == id.generation
            && !place.is_queued
        {
            place.is_queued = true;
            self.ready.push_back(id);
        }
    }

    /// Queues a task for the end of the round; `false` when it may as well go on, since nobody else waits to run.
    pub(super) fn delay(&mut self, id: TaskId) -> bool {
        if self.ready.is_empty() && self.late.is_empty() {
            return false;
        }
        // One that has been woken meanwhile is polled again before.
        if let Some(place) = self.place(id)
            && !place.is_queued
        {
            place.is_queued = true;
            self.late.push_back(id);
        }
        true
    }

    /// Whether a task waits to be polled.
    pub(super) fn is_ready(&self) -> bool {
        !self.ready.is_empty() || !self.late.is_empty()
    }

    /// How many tasks there are.
    #[cfg(feature = "simulation")]
    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Takes the next ready task out, to be polled and given to [`Self::put_back`] or [`Self::finish`].
    pub(super) fn take_ready(&mut self) -> Option<(TaskId, Task)> {
        loop {
            let id = self.ready.pop_front()?;
            if let Some(task) = self.take(id) {
                return Some((id, task));
            }
        }
    }

    /// The same for those that wait for the end of the round.
    pub(super) fn take_late(&mut self) -> Option<(TaskId, Task)> {
        loop {
            let id = self.late.pop_front()?;
            if let Some(task) = self.take(id) {
                return Some((id, task));
            }
        }
    }

    fn take(&mut self, id: TaskId) -> Option<Task> {
        let place = self.place(id)?;
        place.is_queued = false;
        place.task.take()
    }

    /// Has the memory fetched that the tasks after the one just taken need: with hundreds of connections it is in no cache near
    /// the processor any more when their turn comes.
    pub(super) fn prefetch(&self) {
        let place = |at: usize| self.places.get(self.ready.get(at)?.index as usize);
        if let Some(task) = place(0).and_then(|place| place.task.as_ref()) {
            sys::prefetch(&*task.future);
        }
        if let Some(place) = place(1) {
            sys::prefetch(place);
        }
    }

    /// Keeps a task that goes on; returns it, to be dropped, when it was aborted meanwhile.
    pub(super) fn put_back(&mut self, id: TaskId, task: Task) -> Option<Task> {
        let place = self.place(id)?;
        if place.is_aborted {
            self.finish(id);
            return Some(task);
        }
        place.task = Some(task);
        None
    }

    /// Frees the place of a task that was taken out.
    pub(super) fn finish(&mut self, id: TaskId) {
        if let Some(place) = self.place(id) {
            debug_assert!(place.task.is_none());
            place.generation = place.generation.wrapping_add(1);
            place.is_queued = false;
            place.is_aborted = false;
            self.free.push(id.index);
        }
    }

    /// Ends a task; returns it to be dropped, unless it is gone or being polled.
    pub(super) fn abort(&mut self, id: TaskId) -> Option<Task> {
        let place = self.place(id)?;
        let task = place.task.take();
        if task.is_some() {
            self.finish(id);
        } else {
            place.is_aborted = true;
        }
        task
    }

    /// Ends the task in the place of this number, to be dropped; `None` behind the last place.
    pub(super) fn take_at(&mut self, index: usize) -> Option<Option<Task>> {
        let generation = self.places.get(index)?.generation;
        Some(self.abort(TaskId {
            index: index as u32,
            generation,
        }))
    }

    fn place(&mut self, id: TaskId) -> Option<&mut Place> {
        self.places
            .get_mut(id.index as usize)
            .filter(|place| place.generation == id.generation)
    }
}
