//! Stop 5 for rules whose destinations stand in for each other: by tier and health (rows LB26, LB27, MC04), and the way
//! on to another tier after tries that came to nothing.

use std::sync::Arc;

use weir_balance::{Availability, Balancer, HashKey, Member, Spread, SpreadChoice};
use weir_model::Tier;

use super::failure::TryEnd;
use super::pick::Tries;
use super::route::{Found, Way};
use super::{Exchange, Failure, outbound};
use crate::compile::{CompiledForward, Goal, Snapshot};

/// What another way is looked for with.
pub(super) struct Detour<'d, 'v, 'e> {
    exchange: &'d mut Exchange<'e>,
    snapshot: &'v Snapshot,
    found: &'d Found<'v>,
    tries: &'d mut Tries<'v>,
}

/// Chooses among the destinations of a rule that has a spread.
#[inline(never)]
pub(super) fn choose<'v>(
    exchange: &Exchange<'_>,
    snapshot: &'v Snapshot,
    found: &Found<'v>,
    (forward, spread): (&'v CompiledForward, &Arc<Spread>),
    key: Option<HashKey>,
) -> Result<Way<'v>, Failure> {
    let way = spread_over(exchange, snapshot, found, (forward, spread), (key, &[]));
    way.unwrap_or_else(|| Err(Failure::answered(500, "no_destination")))
}

/// The same without the tiers of the destinations that are `passed` over; `None` when there is none then.
fn spread_over<'v>(
    exchange: &Exchange<'_>,
    snapshot: &'v Snapshot,
    found: &Found<'v>,
    (forward, spread): (&'v CompiledForward, &Arc<Spread>),
    (key, passed): (Option<HashKey>, &[u32]),
) -> Option<Result<Way<'v>, Failure>> {
    let worker = exchange.worker;
    let now_ms = worker.clock.read_ms();
    let mut choice = SpreadChoice {
        key: key.as_ref().map(|key| key.hash),
        cursor: &found.rule.live.cursor,
        rng: &mut worker.rng.borrow_mut(),
        now_ms,
        passed,
    };
    let pick = spread.next(&mut choice, |at| availability(snapshot, forward, at, now_ms))?;
    let destination = forward.destinations.get(pick.destination as usize)?;
    match &destination.goal {
        Goal::Answer(answer) => Some(Err(answer.into())),
        Goal::Balancer { slot, calm, .. } => Some(Ok(Way {
            forward,
            destination,
            slot: if pick.is_calm { *calm } else { *slot },
            key,
            visit: None,
        })),
    }
}

impl<'d, 'v, 'e> Detour<'d, 'v, 'e> {
    /// A look for another way than the one that the exchange is on.
    #[cold]
    pub(super) fn from(
        exchange: &'d mut Exchange<'e>,
        snapshot: &'v Snapshot,
        found: &'d Found<'v>,
        tries: &'d mut Tries<'v>,
    ) -> Self {
        Self {
            exchange,
            snapshot,
            found,
            tries,
        }
    }

    /// The way again, now that a first probe has ended: another destination may be the better one.
    #[cold]
    pub(super) fn choose_again(mut self, way: Way<'v>) -> Result<Way<'v>, Failure> {
        let Some(spread) = &way.forward.spread else {
            return Ok(way);
        };
        match self.spread_over(&way, spread, &[]) {
            Some(next) => self.turn_to(way, next?),
            None => Ok(way),
        }
    }

    /// The way of the try that follows one which came to nothing: to another tier when this one has had the tries that its
    /// rule grants it, or when nothing could be sent to any of its endpoints.
    #[cold]
    pub(super) fn move_on(mut self, way: Way<'v>) -> Result<Way<'v>, Failure> {
        let tries = &mut *self.tries;
        let (Some((in_tier, end)), Some(balancer)) = (tries.standing(), self.snapshot.balancer(way.slot))
        else {
            return Ok(way);
        };
        let granted = way
            .forward
            .retry
            .as_ref()
            .and_then(|retry| retry.attempts_per_tier);
        let is_used_up = granted.is_some_and(|granted| in_tier >= granted.get());
        if is_used_up && leave_tier(&balancer.balancer, tries) {
            return Ok(way);
        }
        let is_unreached = end == TryEnd::Unreached && tries.tried().len() >= balancer.endpoints.len();
        if is_unreached
            && way.visit.as_ref().is_some_and(|visit| visit.is_named())
            && way.forward.spread.is_none()
        {
            return self.leave_session(way);
        }
        let spread = way.forward.spread.as_ref().filter(|_| is_used_up || is_unreached);
        let Some(spread) = spread else {
            return Ok(way);
        };
        let mut passed = tries.passed().to_vec();
        passed.extend(place_of(&way));
        match self.spread_over(&way, spread, &passed) {
            Some(Ok(next)) => self.turn_to(way, next),
            Some(Err(_)) | None => self.begin_anew(way, spread),
        }
    }

    /// All tiers have had their tries: the one that is best off has the next.
    fn begin_anew(mut self, way: Way<'v>, spread: &Arc<Spread>) -> Result<Way<'v>, Failure> {
        let way = match self.spread_over(&way, spread, &[]) {
            Some(Ok(next)) => self.turn_to(way, next)?,
            Some(Err(_)) | None => way,
        };
        self.tries.begin_anew();
        Ok(way)
    }

    fn spread_over(
        &self,
        way: &Way<'v>,
        spread: &Arc<Spread>,
        passed: &[u32],
    ) -> Option<Result<Way<'v>, Failure>> {
        let to = (way.forward, spread);
        spread_over(self.exchange, self.snapshot, self.found, to, (way.key, passed))
    }

    /// A session whose whole destination cannot be reached goes on at another one.
    fn leave_session(mut self, way: Way<'v>) -> Result<Way<'v>, Failure> {
        let forward = way.forward;
        let left = place_of(&way);
        let is_other = |place: u32| Some(place) != left;
        let place = forward.split.next_usable(&self.found.rule.live.cursor, is_other);
        let destination = place.and_then(|place| forward.destinations.get(place as usize));
        match destination.map(|destination| (destination, &destination.goal)) {
            Some((destination, Goal::Balancer { slot, .. })) => {
                let next = Way {
                    forward,
                    destination,
                    slot: *slot,
                    key: way.key,
                    visit: None,
                };
                self.turn_to(way, next)
            }
            Some((_, Goal::Answer(_))) | None => Ok(way),
        }
    }

    /// Goes another way from now on: the request is written anew, since destinations have filters of their own.
    fn turn_to(&mut self, mut way: Way<'v>, mut next: Way<'v>) -> Result<Way<'v>, Failure> {
        if std::ptr::eq(way.destination, next.destination) {
            next.visit = way.visit;
            return Ok(next);
        }
        match place_of(&way) {
            Some(given_up) if self.tries.move_to(&next, given_up) => {
                next.visit = way.visit.take();
                if let Some(visit) = &mut next.visit {
                    visit.leave();
                }
                outbound::rewrite_head(self.exchange, self.found, &next)?;
                Ok(next)
            }
            Some(_) | None => Ok(way),
        }
    }
}

/// Leaves the tiers of the endpoints that were tried for the others of the same destination, if any of those has one.
fn leave_tier(balancer: &Balancer, tries: &mut Tries<'_>) -> bool {
    let tier = |index: u32| balancer.member(index).map(|member| member.endpoint.tier);
    let left: Vec<Option<Tier>> = tries.tried().iter().map(|index| tier(*index)).collect();
    let members = || (0u32..).zip(balancer.members());
    let is_left = |member: &Member| left.contains(&Some(member.endpoint.tier));
    let has_others = members().any(|(_, member)| !is_left(member));
    if has_others {
        tries.pass_over(
            members()
                .filter(|(_, member)| is_left(member))
                .map(|(index, _)| index),
        );
    }
    has_others
}

/// Which of the destinations it leads to.
fn place_of(way: &Way<'_>) -> Option<u32> {
    let places = (0u32..).zip(&way.forward.destinations);
    let mut same = places.filter(|(_, one)| std::ptr::eq(*one, way.destination));
    same.next().map(|(place, _)| place)
}

/// How many endpoints of a destination can be used; `None` for one that weir answers itself.
fn availability(
    snapshot: &Snapshot,
    forward: &CompiledForward,
    at: u32,
    now_ms: u64,
) -> Option<Availability> {
    match &forward.destinations.get(at as usize)?.goal {
        Goal::Balancer { slot, .. } => Some(snapshot.balancer(*slot)?.balancer.availability(now_ms)),
        Goal::Answer(_) => None,
    }
}
