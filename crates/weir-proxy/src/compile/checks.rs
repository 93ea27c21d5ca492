//! Active and passive checks as long as something heeds them: who is probed how, who may be ejected.
//!
//! One probe per endpoint and check as it applies there, whatever number of backends, rules and workers use it
//! (row HC19). What changes is told to the prober after the snapshot is published.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use weir_balance::{Arrival, Ejector, Health, Rng, Seat, Verdict};
use weir_model::{
    ActiveCheck, Endpoint, EndpointProbe, HealthStart, PassiveCheck, Probe, ProxyProtocol, UpstreamSpec,
};

use super::live::LiveEndpoint;
use crate::health::{EjectionReport, ProbeHistory, ProbeReport};
use crate::lock::lock;

/// An endpoint under an active check.
#[derive(Debug)]
pub(crate) struct Probed {
    /// Unique in the process; never used again.
    pub(crate) id: u32,
    pub(crate) endpoint: Arc<LiveEndpoint>,
    pub(crate) check: Arc<ActiveCheck>,
    pub(crate) mode: ProbeMode,
    /// The header that its connections begin with.
    pub(crate) proxy_protocol: Option<ProxyProtocol>,
    /// Told by the prober's thread, and by a worker when an answer asks to take the endpoint out; others read.
    pub(crate) health: Mutex<Health>,
    pub(crate) history: ProbeHistory,
    seat: Option<Seat>,
}

/// What of a check is the endpoint's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProbeMode {
    /// The request of the check, perhaps at another path, perhaps with the endpoint's own host name.
    Request {
        path: Option<Arc<str>>,
        host: Option<Arc<str>>,
    },
    /// By connecting only.
    Connect,
    /// What a TCP check says.
    Payloads,
}

/// Passive health of one backend's endpoints, by member index.
#[derive(Debug)]
pub(crate) struct Passive {
    pub(crate) backend: Arc<str>,
    pub(crate) ejector: Ejector,
    pub(crate) endpoints: Arc<[Arc<LiveEndpoint>]>,
}

/// The endpoints of a backend under one [`UpstreamSpec`]: what is shared by all rules with an equal one.
#[derive(Debug)]
pub(crate) struct CheckedUpstream {
    pub(crate) spec: Arc<UpstreamSpec>,
    /// By member index; empty without an active check, `None` for an endpoint that is not probed.
    pub(crate) probed: Box<[Option<Arc<Probed>>]>,
    pub(crate) passive: Option<Arc<Passive>>,
}

/// What the prober is to do from now on.
#[derive(Debug, Default)]
pub(crate) struct CheckChanges {
    pub(crate) begin: Vec<Arc<Probed>>,
    /// By [`Probed::id`].
    pub(crate) end: Vec<u32>,
    /// All upstreams with passive checks, when any of them has changed.
    pub(crate) passive: Option<Vec<Arc<CheckedUpstream>>>,
}

/// All probes.
#[derive(Debug)]
pub(crate) struct Checks {
    rng: Rng,
    ids: u32,
    /// By endpoint number; with the number of upstreams that use each.
    by_endpoint: HashMap<u32, Vec<(Arc<Probed>, u32)>>,
    begun: Vec<Arc<Probed>>,
    ended: Vec<u32>,
}

impl Probed {
    /// Where balancers are to heed the check; `None` when the endpoint had no seat left.
    pub(crate) fn seat(&self) -> Option<Seat> {
        self.seat
    }

    /// What its probes do, for people, such as `GET /healthz`.
    pub(crate) fn text(&self) -> Arc<str> {
        let text = match (&self.mode, &self.check.probe) {
            (ProbeMode::Request { path, .. }, Probe::Http(http)) => {
                format!("{} {}", http.method, path.as_ref().unwrap_or(&http.path))
            }
            (_, Probe::Tcp(tcp)) if tcp.send.is_some() || tcp.receive.is_some() => "TCP payload".to_owned(),
            (_, Probe::Tcp(_) | Probe::Http(_)) => "TCP connect".to_owned(),
        };
        match self.check.port {
            Some(port) => format!("{text} on port {}", port.number()).into(),
            None => text.into(),
        }
    }
}

impl Passive {
    /// Its endpoints.
    pub(crate) fn report(&self) -> impl Iterator<Item = EjectionReport> {
        (0u32..)
            .zip(&*self.endpoints)
            .map(|(index, endpoint)| EjectionReport {
                backend: Arc::clone(&self.backend),
                endpoint: endpoint.address.clone(),
                is_ejected: self.ejector.is_ejected(index),
                times: endpoint.ejections().iter().sum(),
            })
    }
}

impl CheckedUpstream {
    /// The seats that the balancers' member of `index` is to heed.
    pub(crate) fn seats(&self, index: u32) -> impl Iterator<Item = Seat> {
        let probed = self.probed.get(index as usize).and_then(Option::as_ref);
        let passive = self.passive.as_ref();
        let probed = probed.and_then(|probed| probed.seat());
        let passive = passive.and_then(|passive| passive.ejector.seat(index));
        probed.into_iter().chain(passive)
    }
}

impl CheckChanges {
    pub(crate) fn is_empty(&self) -> bool {
        self.begin.is_empty() && self.end.is_empty() && self.passive.is_none()
    }
}

impl Checks {
    pub(crate) fn new(rng: Rng) -> Self {
        Self {
            rng,
            ids: 0,
            by_endpoint: HashMap::new(),
            begun: Vec::new(),
            ended: Vec::new(),
        }
    }

    /// One more use of the probe of an endpoint; `None` when it is not to be probed. `is_new` says that nobody has used
    /// the endpoint before.
    pub(crate) fn take(
        &mut self,
        endpoint: &Endpoint,
        live: &Arc<LiveEndpoint>,
        (check, proxy_protocol): (&Arc<ActiveCheck>, Option<ProxyProtocol>),
        is_new: bool,
        now_ms: u64,
    ) -> Option<Arc<Probed>> {
        let mode = ProbeMode::of(endpoint, check)?;
        let entries = self.by_endpoint.entry(live.id).or_default();
        if let Some((probed, uses)) = entries.iter_mut().find(|(probed, _)| {
            probed.check == *check && probed.mode == mode && probed.proxy_protocol == proxy_protocol
        }) {
            *uses += 1;
            return Some(Arc::clone(probed));
        }
        // Another check of it knows that something is wrong: an edited check must not forget that.
        let is_sound = entries
            .iter()
            .all(|(probed, _)| lock(&probed.health).verdict() == Verdict::Healthy);
        let arrival = if is_new || (!is_sound && check.start != HealthStart::Healthy) {
            Arrival::New
        } else {
            Arrival::Serving
        };
        self.ids += 1;
        let health = Health::new(
            Arc::clone(check),
            Arc::clone(&live.state),
            arrival,
            now_ms,
            &mut self.rng,
        );
        let probed = Arc::new(Probed {
            id: self.ids,
            endpoint: Arc::clone(live),
            check: Arc::clone(check),
            mode,
            proxy_protocol,
            seat: health.seat(),
            health: Mutex::new(health),
            history: ProbeHistory::default(),
        });
        entries.push((Arc::clone(&probed), 1));
        self.begun.push(Arc::clone(&probed));
        Some(probed)
    }

    /// Takes one use of each probe back. One without any ends.
    pub(crate) fn give_back(&mut self, probed: &[Option<Arc<Probed>>]) {
        for probed in probed.iter().flatten() {
            let Some(entries) = self.by_endpoint.get_mut(&probed.endpoint.id) else {
                continue;
            };
            let ended = &mut self.ended;
            entries.retain_mut(|(entry, uses)| {
                *uses -= u32::from(entry.id == probed.id);
                if *uses == 0 {
                    ended.push(entry.id);
                }
                *uses > 0
            });
            if entries.is_empty() {
                self.by_endpoint.remove(&probed.endpoint.id);
            }
        }
    }

    /// The probes that have begun and ended since the last time.
    pub(crate) fn take_changes(&mut self) -> CheckChanges {
        let mut changes = CheckChanges {
            begin: std::mem::take(&mut self.begun),
            end: std::mem::take(&mut self.ended),
            passive: None,
        };
        // What came and went within one publication was never told.
        let is_gone = |probed: &Arc<Probed>| changes.end.contains(&probed.id);
        if !changes.end.is_empty() {
            changes.begin.retain(|probed| !is_gone(probed));
        }
        changes
    }

    /// What all probes have found, ordered by endpoint and check.
    pub(crate) fn report(&self) -> Vec<ProbeReport> {
        let all = self.by_endpoint.values().flatten();
        let mut reports: Vec<ProbeReport> = all
            .map(|(probed, _)| {
                let verdict = lock(&probed.health).verdict();
                let endpoint = probed.endpoint.address.clone();
                probed.history.report(endpoint, probed.text(), verdict)
            })
            .collect();
        reports.sort_by(|one, other| (&one.endpoint, &one.check).cmp(&(&other.endpoint, &other.check)));
        reports
    }
}

impl ProbeMode {
    /// How `check` applies to `endpoint`; `None` when it does not.
    fn of(endpoint: &Endpoint, check: &ActiveCheck) -> Option<Self> {
        let traits = endpoint.traits.as_deref();
        let own = traits.map_or(&EndpointProbe::AsBackend, |traits| &traits.probe);
        Some(match (own, &check.probe) {
            (EndpointProbe::Off, _) => return None,
            (_, Probe::Tcp(_)) => Self::Payloads,
            (EndpointProbe::Connect, Probe::Http(_)) => Self::Connect,
            (EndpointProbe::AsBackend | EndpointProbe::Path(_), Probe::Http(http)) => Self::Request {
                path: match own {
                    EndpointProbe::Path(path) => Some(Arc::clone(path)),
                    EndpointProbe::AsBackend | EndpointProbe::Connect | EndpointProbe::Off => None,
                },
                host: match http.host {
                    Some(_) => None,
                    None => traits.and_then(|traits| traits.host.clone()),
                },
            },
        })
    }
}

/// Passive health of a backend's endpoints, going on with what `before` knows if it checks the same.
pub(super) fn passive(
    backend: &Arc<str>,
    check: &Arc<PassiveCheck>,
    endpoints: &Arc<[Arc<LiveEndpoint>]>,
    before: Option<&Arc<Passive>>,
    now_ms: u64,
) -> Arc<Passive> {
    if let Some(before) = before
        && Arc::ptr_eq(&before.endpoints, endpoints)
    {
        return Arc::clone(before);
    }
    let states: Vec<_> = endpoints.iter().map(|live| Arc::clone(&live.state)).collect();
    let ejector = match before {
        Some(before) => before.ejector.with_endpoints(&states),
        None => Ejector::new(Arc::clone(check), &states, now_ms),
    };
    Arc::new(Passive {
        backend: Arc::clone(backend),
        ejector,
        endpoints: Arc::clone(endpoints),
    })
}
