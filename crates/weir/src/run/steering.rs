//! What people decide about endpoints by hand (row HC18): kept over reloads, shown until it is taken back.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use weir_admin::{Order, OverrideState, Refusal, Selector, Verb};
use weir_balance::{Override, Use};
use weir_model::{EndpointAddress, Weight};
use weir_proxy::{BackendReport, Gateway};

use crate::log::unix_ms;

/// The decisions in force.
#[derive(Debug, Default)]
pub(super) struct Steering {
    decisions: Mutex<BTreeMap<EndpointAddress, Decision>>,
    changed: Condvar,
    watch: Mutex<bool>,
}

#[derive(Clone, Debug, Default)]
struct Decision {
    holds: Override,
    since_unix_ms: u64,
    until_unix_ms: Option<u64>,
    reason: Option<String>,
}

/// A clock that was set may make a deadline come late by this much.
const PATIENCE_MAX: Duration = Duration::from_secs(60);

impl Steering {
    /// Lets an order hold. Gives the addresses of the endpoints.
    pub(super) fn decide(
        self: &Arc<Self>,
        gateway: &Arc<Gateway>,
        order: &Order,
    ) -> Result<Vec<String>, Refusal> {
        let addresses = resolve(&order.endpoints, &gateway.backends(), &self.lock())?;
        let mut decisions = self.lock();
        for address in &addresses {
            let mut decision = decisions.get(address).cloned().unwrap_or_default();
            decision.holds = apply(order.verb, decision.holds)?;
            decision.since_unix_ms = unix_ms();
            let lasts_ms = order.lasts.map(|lasts| lasts.as_millis() as u64);
            decision.until_unix_ms = lasts_ms.map(|lasts_ms| decision.since_unix_ms.saturating_add(lasts_ms));
            decision.reason.clone_from(&order.reason);
            let done = gateway.set_override(address, decision.holds);
            done.map_err(|error| Refusal::Unknown(error.to_string()))?;
            if decision.holds.is_default() {
                decisions.remove(address);
            } else {
                decisions.insert(address.clone(), decision);
            }
        }
        drop(decisions);
        if order.lasts.is_some() {
            self.watch(gateway)?;
        }
        Ok(addresses.iter().map(ToString::to_string).collect())
    }

    /// All of them, for people.
    pub(super) fn states(&self, backends: &[weir_admin::BackendState]) -> Vec<OverrideState> {
        let is_listed = |address: &str| {
            let mut endpoints = backends.iter().flat_map(|backend| &backend.endpoints);
            endpoints.any(|endpoint| endpoint.address == address)
        };
        let state = |(address, decision): (&EndpointAddress, &Decision)| OverrideState {
            address: address.to_string(),
            usage: match decision.holds.usage {
                Use::Serving => "serving",
                Use::Draining => "draining",
                Use::Disabled => "disabled",
            }
            .to_owned(),
            weight: decision.holds.weight.map(Weight::number),
            since_unix_ms: decision.since_unix_ms,
            until_unix_ms: decision.until_unix_ms,
            reason: decision.reason.clone(),
            is_listed: is_listed(&address.to_string()),
        };
        self.lock().iter().map(state).collect()
    }

    /// Starts the thread that takes decisions back in time, or makes it look at a new one.
    fn watch(self: &Arc<Self>, gateway: &Arc<Gateway>) -> Result<(), Refusal> {
        let mut is_watched = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        if !*is_watched {
            let (steering, gateway) = (Arc::downgrade(self), Arc::downgrade(gateway));
            std::thread::Builder::new()
                .name("weir-decisions".to_owned())
                .spawn(move || take_back_in_time(&steering, &gateway))
                .map_err(|error| Refusal::Failed(format!("cannot start a thread: {error}")))?;
            *is_watched = true;
        }
        self.changed.notify_all();
        Ok(())
    }

    /// Takes back what is due and gives the time until the next one is.
    fn take_back_due(decisions: &mut BTreeMap<EndpointAddress, Decision>, gateway: &Gateway) -> Duration {
        let now_ms = unix_ms();
        decisions.retain(|address, decision| {
            let is_due = decision.until_unix_ms.is_some_and(|until_ms| until_ms <= now_ms);
            // One whose endpoint is gone was all that was left of it.
            is_due.then(|| gateway.set_override(address, Override::default()));
            !is_due
        });
        let next_ms = decisions
            .values()
            .filter_map(|decision| decision.until_unix_ms)
            .min();
        next_ms.map_or(PATIENCE_MAX, |next_ms| {
            Duration::from_millis(next_ms.saturating_sub(now_ms)).min(PATIENCE_MAX)
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<EndpointAddress, Decision>> {
        self.decisions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take_back_in_time(steering: &Weak<Steering>, gateway: &Weak<Gateway>) {
    loop {
        let (Some(steering), Some(gateway)) = (steering.upgrade(), gateway.upgrade()) else {
            return;
        };
        // Held until it waits: a decision that comes in between would wake nobody.
        let mut decisions = steering.lock();
        let patience = Steering::take_back_due(&mut decisions, &gateway);
        drop(gateway);
        // Whoever is woken for nothing looks once more.
        let _ = steering.changed.wait_timeout(decisions, patience);
    }
}

fn apply(verb: Verb, before: Override) -> Result<Override, Refusal> {
    let used = |usage| Override { usage, ..before };
    Ok(match verb {
        Verb::Drain => used(Use::Draining),
        Verb::Disable => used(Use::Disabled),
        Verb::Enable => used(Use::Serving),
        Verb::Reset => Override::default(),
        Verb::Weight(number) => Override {
            weight: Some(
                Weight::new(number.into())
                    .filter(|weight| weight.number() > 0)
                    .ok_or_else(|| {
                        Refusal::Invalid(format!(
                            "{number} is no weight of an endpoint; to send nothing there, drain it"
                        ))
                    })?,
            ),
            ..before
        },
    })
}

/// The addresses of the endpoints that are meant.
fn resolve(
    selector: &Selector,
    backends: &[BackendReport],
    decisions: &BTreeMap<EndpointAddress, Decision>,
) -> Result<Vec<EndpointAddress>, Refusal> {
    let Selector { endpoint, backend } = selector;
    let is_meant = |key: &str| match backend {
        Some(backend) => {
            let below = key
                .split_once('/')
                .and_then(|(_, rest)| rest.strip_prefix(&**backend));
            key == backend || below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
        None => true,
    };
    let meant: Vec<&BackendReport> = backends.iter().filter(|one| is_meant(&one.key)).collect();
    if let (true, Some(backend)) = (meant.is_empty(), backend) {
        return Err(Refusal::Unknown(format!("there is no backend {backend}")));
    }
    let address = match endpoint.parse() {
        Ok(address) => Some(EndpointAddress::Tcp(address)),
        Err(_) => endpoint
            .starts_with('/')
            .then(|| EndpointAddress::Unix(endpoint.as_str().into())),
    };
    let mut found = Vec::new();
    let mut keys = Vec::new();
    for one in meant {
        let before = found.len();
        found.extend(
            one.endpoints
                .iter()
                .filter(|member| match &address {
                    Some(address) => member.address == *address,
                    None => *member.name == **endpoint,
                })
                .map(|member| member.address.clone()),
        );
        if found.len() > before {
            keys.push(&*one.key);
        }
    }
    found.sort();
    found.dedup();
    match address {
        // What was decided can be taken back also while no backend lists the endpoint.
        Some(address) if found.is_empty() && decisions.contains_key(&address) => Ok(vec![address]),
        None if keys.len() > 1 && backend.is_none() => Err(Refusal::Invalid(format!(
            "several backends have an endpoint {endpoint}: name one of {}",
            keys.join(", ")
        ))),
        _ if found.is_empty() => Err(Refusal::Unknown(format!("there is no endpoint {endpoint}"))),
        _ => Ok(found),
    }
}
