//! What a person decides about an endpoint by hand (row HC18). Kept by the caller over reloads until it is taken back.

use weir_model::Weight;

use crate::change::{Change, Decision};
use crate::endpoint::{EndpointState, Unavailable};

/// How an endpoint is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Use {
    /// As configured and as its health allows.
    #[default]
    Serving,
    /// It finishes what it has and gets nothing new, not even in a panic. It is probed as before.
    Draining,
    /// It is out of use: as draining, and it is not probed, and its unused connections are closed.
    Disabled,
}

/// All that a person has decided about an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Override {
    /// How it is used.
    pub usage: Use,
    /// Its weight in place of the configured one. Balancers are to be made anew when it changes.
    pub weight: Option<Weight>,
}

impl Override {
    /// Whether there is anything to show or to take back.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The weight that holds.
    pub fn weight(&self, configured: Weight) -> Weight {
        self.weight.unwrap_or(configured)
    }

    /// Makes `self` hold at an endpoint where `before` held. Says what that changed.
    pub fn apply(&self, before: &Self, state: &EndpointState) -> Vec<Change> {
        let set = |reason, holds| {
            if holds {
                state.raise(reason);
            } else {
                state.clear(reason);
            }
        };
        set(Unavailable::Draining, self.usage == Use::Draining);
        set(Unavailable::Disabled, self.usage == Use::Disabled);
        let usage = (self.usage != before.usage).then_some(match self.usage {
            Use::Serving => Decision::Serving,
            Use::Draining => Decision::Draining,
            Use::Disabled => Decision::Disabled,
        });
        let weight = (self.weight != before.weight).then_some(Decision::Weight(self.weight));
        usage.into_iter().chain(weight).map(Change::Decided).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use weir_model::{Algorithm, Percent};

    use super::*;
    use crate::world::{World, members, spec};
    use crate::{Balancer, CandidateSpec, NoPick};

    #[test]
    fn hc18_what_a_person_takes_out_stays_out_also_in_a_panic() {
        let members = members(&[1; 3]);
        let states: Vec<_> = members.iter().map(|member| Arc::clone(&member.state)).collect();
        let rules = CandidateSpec {
            panic_threshold: Percent::ALL,
            failover: weir_model::Failover::default(),
        };
        let balancer = Balancer::with_candidates(&spec(Algorithm::RoundRobin), rules, members);
        let mut world = World::new(1);
        let (serving, draining) = (
            Override::default(),
            Override {
                usage: Use::Draining,
                weight: None,
            },
        );
        let disabled = Override {
            usage: Use::Disabled,
            weight: Weight::new(5),
        };
        assert_eq!(
            draining.apply(&serving, &states[0]),
            [Change::Decided(Decision::Draining)]
        );
        assert_eq!(world.counts(&balancer, 100), [0, 50, 50]);
        states[1].raise(Unavailable::Unhealthy);
        states[2].raise(Unavailable::Unhealthy);
        assert_eq!(world.counts(&balancer, 100), [0, 50, 50], "panic");
        assert_eq!(
            disabled.apply(&draining, &states[0]),
            [
                Change::Decided(Decision::Disabled),
                Change::Decided(Decision::Weight(Weight::new(5)))
            ]
        );
        disabled.apply(&serving, &states[1]);
        disabled.apply(&serving, &states[2]);
        assert_eq!(world.try_pick(&balancer, None), Err(NoPick::Unavailable));
        let changes = serving.apply(&disabled, &states[0]);
        assert_eq!(changes[0], Change::Decided(Decision::Serving));
        assert_eq!(world.counts(&balancer, 10), [10, 0, 0]);
        assert_eq!(serving.apply(&serving, &states[0]), []);
        assert_eq!(
            (
                disabled.weight(Weight::ONE).number(),
                serving.weight(Weight::ONE).number()
            ),
            (5, 1)
        );
        assert!(serving.is_default() && !disabled.is_default());
    }
}
