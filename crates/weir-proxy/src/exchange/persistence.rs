//! Session persistence (GEP-1619): between stops 5 and 7 the token that the client has brought, at stop 9 the one that it is
//! given.

use weir_balance::{HashKey, Token, TokenSubject, write_session_cookie};
use weir_model::{CookieLifetime, PersistenceMode, TokenCarrier};
use weir_net::wall;
use weir_wire::h1::encode;
use weir_wire::{Known, cookie};

use super::pick::Chosen;
use super::route::{self, Found, Way};
use super::{Exchange, Failure};
use crate::compile::{
    BalancerSlot, CompiledBalancer, CompiledDestination, CompiledForward, CompiledSessions, Goal, Snapshot,
};

/// Tokens that are looked at in one request. A client that sends more, such as cookies for several paths, has none.
const TOKENS_MAX: usize = 4;

/// What is known of a client's session.
#[derive(Debug)]
pub(super) struct Visit<'v> {
    sessions: &'v CompiledSessions,
    /// Which match the request met.
    match_index: u32,
    /// Now, seconds since 1970.
    now_s: u64,
    token: Option<Token>,
    kind: VisitKind,
}

/// How the session finds its endpoint.
#[derive(Clone, Copy, Debug)]
enum VisitKind {
    /// By name: the index among the members of the destination's balancer, if the session is somewhere.
    Named(Option<u32>),
    /// By what is left: its endpoint has no room (row BX04).
    Crowded,
    /// By this key.
    Keyed(u64),
}

/// Where a session is.
struct Place<'v> {
    destination: &'v CompiledDestination,
    /// The destination's balancer.
    slot: BalancerSlot,
    /// The endpoint among its members.
    index: u32,
    has_room: bool,
}

/// Chooses the destination of a rule with sessions: the one where the session is, whatever its weight, else as rules
/// without sessions do.
#[cold]
pub(super) fn choose<'v>(
    exchange: &Exchange<'_>,
    snapshot: &'v Snapshot,
    found: &Found<'v>,
    (forward, sessions): (&'v CompiledForward, &'v CompiledSessions),
    request_key: Option<HashKey>,
) -> Result<Way<'v>, Failure> {
    let now_s = wall::unix_ms() / 1_000;
    let mut visit = Box::new(Visit {
        sessions,
        match_index: found.match_index,
        now_s,
        token: find_token(exchange, sessions, now_s),
        kind: VisitKind::Named(None),
    });
    if sessions.spec.mode == PersistenceMode::Balanced {
        let draw = || exchange.worker.rng.borrow_mut().next_u64();
        let session = visit.session().unwrap_or_else(draw);
        visit.kind = VisitKind::Keyed(session);
        let key = HashKey {
            hash: session,
            source: 0,
            new_cookie: None,
        };
        let way = route::choose_by_policy(exchange, snapshot, found, forward, Some(key))?;
        return Ok(Way {
            key: request_key,
            visit: Some(visit),
            ..way
        });
    }
    match visit.place(exchange, snapshot, forward) {
        Some(Place { has_room: false, .. }) => visit.kind = VisitKind::Crowded,
        Some(Place {
            destination,
            slot,
            index,
            ..
        }) => {
            visit.kind = VisitKind::Named(Some(index));
            return Ok(Way {
                forward,
                destination,
                slot,
                key: request_key,
                visit: Some(visit),
            });
        }
        None => {}
    }
    let way = route::choose_by_policy(exchange, snapshot, found, forward, request_key)?;
    Ok(Way {
        visit: Some(visit),
        ..way
    })
}

impl Visit<'_> {
    /// Where the session is, if that can be used.
    fn place<'v>(
        &self,
        exchange: &Exchange<'_>,
        snapshot: &'v Snapshot,
        forward: &'v CompiledForward,
    ) -> Option<Place<'v>> {
        let subject = self.token?.subject;
        let now_ms = exchange.worker.clock.read_ms();
        forward.destinations.iter().find_map(|destination| {
            let Goal::Balancer { slot, calm, .. } = &destination.goal else {
                return None;
            };
            let index = snapshot.balancer(*slot)?.holder(subject)?;
            // The one that does not panic: as long as others can take over, nobody is sent to the dead.
            let balancer = &snapshot.balancer(*calm)?.balancer;
            balancer.may_serve(index, &[], now_ms).then(|| Place {
                destination,
                slot: *slot,
                index,
                has_room: balancer.has_room(index, now_ms),
            })
        })
    }

    /// The session has to go to another destination.
    pub(super) fn leave(&mut self) {
        if let VisitKind::Named(named) = &mut self.kind {
            *named = None;
        }
    }

    /// Whether the request went where it did because the session is there.
    pub(super) fn is_named(&self) -> bool {
        matches!(self.kind, VisitKind::Named(Some(_)))
    }

    /// The endpoint where the session is, if it may serve this try.
    pub(super) fn pick(&self, balancer: &CompiledBalancer, tried: &[u32], now_ms: u64) -> Option<u32> {
        let balance = &balancer.balancer;
        match self.kind {
            VisitKind::Named(named) => named.filter(|index| balance.may_serve(*index, tried, now_ms)),
            VisitKind::Crowded => balance.roomiest(tried, now_ms),
            VisitKind::Keyed(session) => {
                let holders = balancer.holders.as_ref()?;
                // In the order of the session's own: the first that has room, or the first at all.
                let mut full = Vec::new();
                loop {
                    let owner = holders.owner(session, |index| {
                        !full.contains(&index) && balance.may_serve(index, tried, now_ms)
                    });
                    match owner {
                        Some(index) if !balance.has_room(index, now_ms) => full.push(index),
                        Some(index) => return Some(index),
                        None => return full.first().copied(),
                    }
                }
            }
        }
    }

    /// Writes the token that the client is to bring next time, unless it has it already.
    pub(super) fn write(&self, chosen: &Chosen<'_>, out: &mut Vec<u8>) -> Result<(), Failure> {
        let Some(begun_s) = self.begun_s(chosen) else {
            return Ok(());
        };
        let CompiledSessions { spec, keys, rule, .. } = self.sessions;
        let mut token = Vec::with_capacity(64);
        let is_written = match self.kind {
            VisitKind::Named(_) | VisitKind::Crowded => {
                let address = &chosen.held.0.endpoint.address;
                keys.write_endpoint(address, rule.as_bytes(), begun_s, self.now_s, &mut token)
            }
            VisitKind::Keyed(session) => {
                keys.write_key(session, rule.as_bytes(), begun_s, self.now_s, &mut token)
            }
        };
        if !is_written {
            return Ok(());
        }
        match &spec.carrier {
            TokenCarrier::Header => encode::field_checked(out, spec.name.as_bytes(), &token)?,
            TokenCarrier::Cookie(cookie) => {
                let timeout_s = match cookie.lifetime {
                    CookieLifetime::Session => None,
                    CookieLifetime::Permanent => {
                        self.sessions.timeouts.absolute.map(|timeout| timeout.as_secs())
                    }
                };
                let gone_s = self.now_s.saturating_sub(begun_s);
                let age_s = timeout_s.map(|timeout_s| timeout_s.saturating_sub(gone_s));
                let mut text = Vec::with_capacity(128);
                let path = self.sessions.path(self.match_index);
                write_session_cookie((&spec.name, cookie), &token, path, age_s, &mut text);
                encode::field_checked(out, b"set-cookie", &text)?;
            }
        }
        Ok(())
    }

    /// When the session began that the response is to tell of, seconds since 1970; `None`: the client knows all.
    fn begun_s(&self, chosen: &Chosen<'_>) -> Option<u64> {
        let served = chosen.picked.index;
        let known = self.token.filter(|_| match self.kind {
            VisitKind::Named(named) => named == Some(served),
            VisitKind::Crowded => false,
            VisitKind::Keyed(_) => self.session().is_some(),
        });
        match known {
            Some(token) => token
                .is_due(self.now_s, self.sessions.timeouts)
                .then_some(token.begun_s),
            None => Some(self.now_s),
        }
    }

    /// The key that the token carries.
    fn session(&self) -> Option<u64> {
        match self.token?.subject {
            TokenSubject::Key(session) => Some(session),
            TokenSubject::Endpoint { .. } => None,
        }
    }
}

/// The first token of the request that this rule may follow. One that was altered, or is another rule's, counts as none
/// (row CH14).
fn find_token(exchange: &Exchange<'_>, sessions: &CompiledSessions, now_s: u64) -> Option<Token> {
    let (head, fields) = (exchange.head(), &exchange.scratch.head.fields);
    let name = sessions.spec.name.as_bytes();
    let verify = |text: &[u8]| {
        let verified = sessions
            .keys
            .verify(text, sessions.rule.as_bytes(), now_s, sessions.timeouts);
        verified.ok()
    };
    match &sessions.spec.carrier {
        TokenCarrier::Cookie(_) => cookie::pairs(fields.values(Known::Cookie, head))
            .filter(|(key, _)| *key == name)
            .take(TOKENS_MAX)
            .find_map(|(_, text)| verify(text)),
        TokenCarrier::Header => fields
            .iter()
            .filter(|field| field.name.of(head).eq_ignore_ascii_case(name))
            .take(TOKENS_MAX)
            .find_map(|field| verify(field.value.of(head))),
    }
}
