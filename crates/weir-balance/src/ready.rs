//! The endpoints that an algorithm chooses from: ready, with a weight, in one dense array.

use std::sync::Arc;

use crate::endpoint::{EndpointState, Member};
use crate::pick::Pick;
use crate::rng::Rng;
use crate::slow_start::Ramp;

/// How often an algorithm draws again before it takes the next usable endpoint in order.
pub(crate) const DRAWS: u32 = 16;

/// The members that may be picked by an algorithm. Algorithms speak of positions in here; only the balancer
/// knows the members' indexes.
#[derive(Debug)]
pub(crate) struct Ready {
    states: Box<[Arc<EndpointState>]>,
    indexes: Box<[u32]>,
    ramp: Option<Ramp>,
}

impl Ready {
    /// `indexes` are those of the ready members, in order.
    pub(crate) fn new(members: &[Member], indexes: Vec<u32>, ramp: Option<Ramp>) -> Self {
        let states = indexes
            .iter()
            .map(|index| Arc::clone(&members[*index as usize].state))
            .collect();
        Self {
            states,
            indexes: indexes.into(),
            ramp,
        }
    }

    #[inline]
    pub(crate) fn len(&self) -> u32 {
        self.states.len() as u32
    }

    #[inline]
    pub(crate) fn state(&self, position: u32) -> &EndpointState {
        &self.states[position as usize]
    }

    #[inline]
    pub(crate) fn index(&self, position: u32) -> u32 {
        self.indexes[position as usize]
    }

    /// Whether the endpoint may serve this try.
    #[inline]
    pub(crate) fn is_usable(&self, position: u32, tried: &[u32]) -> bool {
        self.state(position).is_available() && (tried.is_empty() || !tried.contains(&self.index(position)))
    }

    /// Whether the endpoint may serve this try and, when it is new, takes this request.
    #[inline]
    pub(crate) fn admits(&self, position: u32, pick: &mut Pick<'_>) -> bool {
        self.is_usable(position, pick.tried)
            && match &self.ramp {
                None => true,
                Some(ramp) => ramp.admits(self.state(position).added_at_ms(), pick.now_ms, pick.rng),
            }
    }

    /// Whether the endpoint takes the request of this `seed`, when it is new: the same answer each time.
    #[inline]
    pub(crate) fn is_grown(&self, position: u32, now_ms: u64, seed: u64) -> bool {
        if self.ramp.is_none() {
            return true;
        }
        let factor = self.factor(position, now_ms);
        factor >= 1.0 || Rng::from_seed(seed ^ u64::from(position)).unit() < factor
    }

    /// Share of its weight that a usable endpoint has now: below 1 during its slow start.
    #[inline]
    pub(crate) fn factor(&self, position: u32, now_ms: u64) -> f64 {
        self.ramp.as_ref().map_or(1.0, |ramp| {
            ramp.factor(self.state(position).added_at_ms(), now_ms)
        })
    }

    /// The first usable endpoint at `start` or after it, going round once. Ramps do not count: somebody must serve.
    pub(crate) fn next_usable(&self, start: u32, tried: &[u32]) -> Option<u32> {
        (start..self.len())
            .chain(0..start.min(self.len()))
            .find(|position| self.is_usable(*position, tried))
    }
}
