//! Sessions and keys: who came back where, and how many keys a change moves (I8).

use std::net::SocketAddr;

use weir_balance::Rng;
use weir_model::{Algorithm, ConsistentHash, EndpointAddress, HashTable, PersistenceMode, TokenCarrier};
use weir_proxy::simulation::EndpointLoad;

use crate::homes::{KEYS, Owners, Token};
use crate::ledger::{Arrival, Entry};
use crate::message::Head;
use crate::plan::{Plan, SESSION_NAME};
use crate::rules::{RuleKind, SECOND};
use crate::sim::Sim;

impl Plan {
    /// The field by which a client comes back.
    pub(crate) fn session_field(&self, token: &str) -> String {
        match self.persistence.carrier {
            TokenCarrier::Cookie(_) => format!("Cookie: other=1; {SESSION_NAME}={token}\r\n"),
            TokenCarrier::Header => format!("{SESSION_NAME}: {token}\r\n"),
        }
    }

    /// How many points each of so many endpoints of the keyed rule has on its ring, if that has one.
    fn ring_points(&self, endpoints: usize) -> Option<u32> {
        match &self.keyed.algorithm {
            Algorithm::ConsistentHash(ConsistentHash {
                table: HashTable::Ring(size),
                ..
            }) => Some(size.min().div_ceil(endpoints.max(1) as u32).next_power_of_two()),
            _ => None,
        }
    }

    /// The token that a response gives.
    fn token_of(&self, head: &Head) -> Option<String> {
        match self.persistence.carrier {
            TokenCarrier::Cookie(_) => {
                let (name, rest) = head.value("set-cookie")?.split_once('=')?;
                let token = rest.split(';').next().unwrap_or_default();
                (name == SESSION_NAME).then(|| token.to_owned())
            }
            TokenCarrier::Header => head.value(SESSION_NAME).map(str::to_owned),
        }
    }
}

impl Sim {
    pub(crate) fn is_of(&self, load: &EndpointLoad, index: usize) -> bool {
        let mut listed = self.listed[index].iter();
        listed.any(|address| load.address == EndpointAddress::Tcp(*address))
    }

    /// I8: while nothing happens that may move them, requests with one key go to one endpoint, and so do those with
    /// the token of one session, as long as that endpoint can be used.
    pub(crate) fn check_affinity(&mut self, id: u64, entry: &Entry, arrival: Arrival, address: SocketAddr) {
        let is_still = arrival.shakes == self.shakes && entry.deliveries.is_empty();
        if !is_still || self.plan.has_small_limits {
            return;
        }
        let session = entry.session.as_ref().filter(|_| entry.kind == RuleKind::Session);
        if let Some(home) = session.map(|session| session.home)
            && self.is_home_usable(home)
            && home != address
        {
            self.violated(format!(
                "I8: the session of #{id} goes to {address}, it is at {home}"
            ));
        }
        // A session whose endpoint is gone is nowhere until it has another token; one that is balanced is where its key is.
        let is_keyed = self.plan.persistence.mode == PersistenceMode::Balanced;
        let key = match entry.kind {
            RuleKind::Keyed => entry.key.map(|key| key.to_string()),
            _ => session.filter(|_| is_keyed).map(|session| session.text.clone()),
        };
        let Some(key) = key else {
            return;
        };
        let before = self.sessions.insert(key.clone(), (address, self.shakes));
        if let Some((other, _)) = before.filter(|(other, shakes)| *shakes == self.shakes && *other != address)
        {
            self.violated(format!(
                "I8: #{id} with key {key} goes to {address}, the one before to {other}"
            ));
        }
    }

    /// Whether a session has an endpoint of its own that can be used. Sessions that are balanced move with the endpoints.
    fn is_home_usable(&self, home: SocketAddr) -> bool {
        let is_home = |load: &EndpointLoad| {
            load.is_listed && load.is_available && load.address == EndpointAddress::Tcp(home)
        };
        self.plan.persistence.mode == PersistenceMode::Persistent && self.loads.iter().any(is_home)
    }

    /// I8: who was served elsewhere than before is told so. The client remembers.
    pub(crate) fn note_session(&mut self, index: usize, id: u64, head: &Head) {
        let Some(entry) = self.ledger.entries.get(&id) else {
            return;
        };
        let mut answers = entry.deliveries.iter();
        let served = answers.rfind(|one| one.answered.is_some()).map(|one| one.address);
        let (RuleKind::Session, Some(home), Some(_)) = (entry.kind, served, head.number("x-sim-id")) else {
            return;
        };
        let carried = entry.session.clone();
        let is_persistent = self.plan.persistence.mode == PersistenceMode::Persistent;
        let is_known = |session: &Token| !is_persistent || session.home == home;
        let text = match (self.plan.token_of(head), carried) {
            (Some(text), _) => text,
            (None, Some(session)) if is_known(&session) => session.text,
            (None, carried) => {
                return self.violated(format!(
                    "I8: #{id} was served by {home}, its client is not told: {carried:?}"
                ));
            }
        };
        self.clients[index].session = Some(Token { text, home });
    }

    /// I8: when endpoints come and go, those keys move that belonged to one that went or belong to one that came.
    pub(crate) fn check_owners(&mut self) {
        let is_usable =
            |load: &&EndpointLoad| load.is_listed && load.is_available && self.is_of(load, SECOND);
        let usable = self.loads.iter().filter(is_usable);
        let mut usable: Vec<SocketAddr> = usable.filter_map(address_of).collect();
        usable.sort_unstable();
        if usable == self.owners.usable {
            return;
        }
        let before = std::mem::take(&mut self.owners);
        let panics = usable.len() * 100 < self.listed[SECOND].len() * usize::from(self.plan.panic_percent);
        if panics || usable.is_empty() {
            return;
        }
        let mut rng = Rng::from_seed(KEYS as u64);
        let keys: Vec<u64> = (0..KEYS).map(|_| rng.next_u64()).collect();
        let owners = self.plane.owners(&RuleKind::Keyed.key(), &keys);
        let owners: Vec<SocketAddr> = owners
            .into_iter()
            .filter_map(|owner| match owner {
                EndpointAddress::Tcp(address) => Some(address),
                EndpointAddress::Unix(_) => None,
            })
            .collect();
        let points = self.plan.ring_points(self.listed[SECOND].len());
        let now = Owners {
            usable,
            points,
            owners,
        };
        if let Some(problem) = before.moved_to(&now) {
            let (was, is) = (&before.usable, &now.usable);
            self.violated(format!("I8: {problem}, from {was:?} to {is:?}"));
        }
        self.owners = now;
    }
}

fn address_of(load: &EndpointLoad) -> Option<SocketAddr> {
    match load.address {
        EndpointAddress::Tcp(address) => Some(address),
        EndpointAddress::Unix(_) => None,
    }
}
