//! The endpoints that an algorithm chooses from: ready, with a weight, of one tier, in one dense array.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::answer::Brief;
use crate::endpoint::{EndpointState, Member};
use crate::pick::Pick;
use crate::rng::Rng;
use crate::seat::DECIDED;
use crate::slow_start::Ramp;
use crate::tiers::Availability;

/// How often an algorithm draws again before it takes the next usable endpoint in order.
pub(crate) const DRAWS: u32 = 16;

/// The members that may be picked by an algorithm. Algorithms speak of positions in here; only the balancer
/// knows the members' indexes.
#[derive(Debug)]
pub(crate) struct Ready {
    entries: Box<[Entry]>,
    indexes: Box<[u32]>,
    parts: Option<Parts>,
    /// Age at which an endpoint has its full share for sure; 0 when it always has.
    grown_after_ms: u64,
    /// What may speak against an endpoint at all: everything, or in a panic what a person decided.
    heeded: AtomicU64,
}

/// Why an endpoint may have less than its whole weight.
#[derive(Debug)]
struct Parts {
    ramp: Option<Ramp>,
    /// Endpoints say themselves how much they can still take.
    are_reported: bool,
}

impl Parts {
    fn factor(&self, state: &EndpointState, now_ms: u64) -> f64 {
        let ramp = self.ramp.as_ref();
        let grown = ramp.map_or(1.0, |ramp| ramp.factor(state.added_at_ms(), now_ms));
        if self.are_reported {
            grown * state.capacity(now_ms)
        } else {
            grown
        }
    }
}

#[derive(Debug)]
struct Entry {
    state: Arc<EndpointState>,
    /// What may speak against this endpoint here.
    heeded: u64,
}

/// An endpoint at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// Nothing speaks against it; whether it was tried is another question.
    pub(crate) is_usable: bool,
    /// It is not in its slow start.
    pub(crate) is_grown: bool,
    pub(crate) in_flight: u32,
}

impl Ready {
    /// `indexes` are those of the ready members, in order. `are_reported`: they say themselves how much they can take.
    pub(crate) fn new(members: &[Member], indexes: Vec<u32>, ramp: Option<Ramp>, are_reported: bool) -> Self {
        let entries = indexes
            .iter()
            .map(|index| &members[*index as usize])
            .map(|member| Entry {
                state: Arc::clone(&member.state),
                heeded: member.heeded(),
            })
            .collect();
        Self {
            entries,
            indexes: indexes.into(),
            grown_after_ms: match are_reported {
                // Whoever goes the short way would not ask.
                true => u64::MAX,
                false => ramp.as_ref().map_or(0, Ramp::window_ms),
            },
            parts: (are_reported || ramp.is_some()).then_some(Parts { ramp, are_reported }),
            heeded: AtomicU64::new(u64::MAX),
        }
    }

    #[inline]
    pub(crate) fn len(&self) -> u32 {
        self.entries.len() as u32
    }

    #[inline]
    pub(crate) fn state(&self, position: u32) -> &EndpointState {
        &self.entries[position as usize].state
    }

    #[inline]
    pub(crate) fn index(&self, position: u32) -> u32 {
        self.indexes[position as usize]
    }

    /// Where a member stands, if it is here.
    pub(crate) fn position(&self, index: u32) -> Option<u32> {
        self.indexes
            .binary_search(&index)
            .ok()
            .map(|position| position as u32)
    }

    /// Whether the endpoint may serve this try.
    #[inline]
    pub(crate) fn is_usable(&self, position: u32, tried: &[u32]) -> bool {
        let entry = &self.entries[position as usize];
        entry.state.against(entry.heeded & self.heeded.load(Relaxed)) == 0
            && (tried.is_empty() || !tried.contains(&self.index(position)))
    }

    /// What an algorithm that compares endpoints has to know of one, read at once.
    #[inline]
    pub(crate) fn look(&self, position: u32, now_ms: u64) -> Look {
        let entry = &self.entries[position as usize];
        Look {
            is_usable: entry.state.against(entry.heeded & self.heeded.load(Relaxed)) == 0,
            is_grown: self.is_grown_up(&entry.state, now_ms),
            in_flight: entry.state.in_flight(),
        }
    }

    /// The same for one that goes by answers.
    #[inline]
    pub(crate) fn brief(&self, position: u32, now_ms: u64) -> Brief {
        let entry = &self.entries[position as usize];
        let mut brief = entry.state.brief(now_ms);
        brief.is_ordinary &= (entry.state.against(entry.heeded & self.heeded.load(Relaxed)) == 0)
            & self.is_grown_up(&entry.state, now_ms);
        brief
    }

    #[inline]
    fn is_grown_up(&self, state: &EndpointState, now_ms: u64) -> bool {
        now_ms.saturating_sub(state.added_at_ms()) >= self.grown_after_ms
    }

    /// Whether the endpoint may serve this try and, when it is new, takes this request.
    #[inline]
    pub(crate) fn admits(&self, position: u32, pick: &mut Pick<'_>) -> bool {
        self.is_usable(position, pick.tried)
            && match &self.parts {
                None => true,
                Some(parts) => {
                    let factor = parts.factor(self.state(position), pick.now_ms);
                    factor >= 1.0 || pick.rng.unit() < factor
                }
            }
    }

    /// Whether the endpoint takes the request of this `seed`, when it is new: the same answer each time.
    #[inline]
    pub(crate) fn is_grown(&self, position: u32, now_ms: u64, seed: u64) -> bool {
        if self.parts.is_none() {
            return true;
        }
        let factor = self.factor(position, now_ms);
        factor >= 1.0 || Rng::from_seed(seed ^ u64::from(position)).unit() < factor
    }

    /// Share of its weight that a usable endpoint has now: below 1 during its slow start, or by its own word.
    #[inline]
    pub(crate) fn factor(&self, position: u32, now_ms: u64) -> f64 {
        let parts = self.parts.as_ref();
        parts.map_or(1.0, |parts| parts.factor(self.state(position), now_ms))
    }

    /// The first usable endpoint at `start` or after it, going round once. Ramps do not count: somebody must serve.
    pub(crate) fn next_usable(&self, start: u32, tried: &[u32]) -> Option<u32> {
        (start..self.len())
            .chain(0..start.min(self.len()))
            .find(|position| self.is_usable(*position, tried))
    }

    /// Whether all endpoints are to be used but those that a person has taken out (row LB25).
    pub(crate) fn set_panic(&self, panics: bool) {
        let heeded = if panics { DECIDED } else { u64::MAX };
        if self.heeded.load(Relaxed) != heeded {
            self.heeded.store(heeded, Relaxed);
        }
    }

    /// Whether that is so.
    pub(crate) fn panics(&self) -> bool {
        self.heeded.load(Relaxed) == DECIDED
    }

    /// How many endpoints there are, and how many of them nothing speaks against. Those that a person has taken out do
    /// not count.
    pub(crate) fn availability(&self) -> Availability {
        let mut found = Availability::default();
        for entry in &self.entries {
            let against = entry.state.against(entry.heeded);
            if against & DECIDED != 0 {
                continue;
            }
            let pending = entry.state.pending(entry.heeded);
            if against == 0 {
                found.usable += 1;
                found.total += 1;
            } else if against & !pending == 0 {
                found.pending += 1;
            } else {
                found.total += 1;
            }
        }
        found
    }
}
