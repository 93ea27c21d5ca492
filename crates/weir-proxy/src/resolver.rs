//! Names of backends, resolved again and again beside the workers (row LB32).
//!
//! An answer holds for its time to live or for the time that the policy names, then the name is asked for again. A lookup that fails
//! changes nothing: the last good addresses stay. What an answer can do is bounded (reliability row 29).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::Notify;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, timeout};
use weir_balance::Rng;
use weir_model::{Config, DnsSpec, limits};
use weir_net::{DnsResolver, Resolution, Resolve};

use crate::Event;
use crate::compile::{Name, names_of};
use crate::control::Control;
use crate::lock::lock;
use crate::shared::Shared;

/// Listeners that could not be opened are tried again this often.
const RETRY: Duration = Duration::from_secs(3);
/// A name that did not resolve is asked for again after this, and up to as much again by chance.
const NAME_RETRY: Duration = limits::DNS_REFRESH_MIN;
/// A name server that does not answer is given up after this.
const PATIENCE: Duration = Duration::from_secs(20);
/// How far at most a name is asked for after its time to live is over.
const DELAY_MAX: Duration = Duration::from_millis(500);

type Answer = Result<Resolution, Arc<str>>;

/// The thread that resolves.
#[derive(Debug)]
pub(crate) struct Resolver {
    wake: Arc<Notify>,
    is_stopped: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Resolver {
    /// Looks at the configuration: it may have new names.
    pub(crate) fn look(&self) {
        self.wake.notify_one();
    }

    /// Ends the thread; lookups under way are left to themselves.
    pub(crate) fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        self.wake.notify_one();
        if let Some(thread) = lock(&self.thread).take() {
            // It holds nothing that a panic could have left half done.
            let _ = thread.join();
        }
    }
}

/// Starts the thread.
pub(crate) fn start(shared: Arc<Shared>, control: Arc<Mutex<Control>>) -> io::Result<Resolver> {
    let (wake, is_stopped) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
    let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
    let own = shared.options.resolver.clone();
    let work = Work {
        resolver: own.unwrap_or_else(|| Arc::new(DnsResolver::default())),
        shared,
        control,
        wake: Arc::clone(&wake),
        is_stopped: Arc::clone(&is_stopped),
        config: Arc::default(),
        ids: HashMap::new(),
        names: BTreeMap::new(),
        last_id: 0,
        queue: BinaryHeap::new(),
        under_way: HashMap::new(),
        rng: Rng::from_seed(weir_net::seed()),
    };
    let thread = std::thread::Builder::new()
        .name("weir-resolver".into())
        .spawn(move || {
            runtime.block_on(work.run());
            runtime.shutdown_background();
        })?;
    Ok(Resolver {
        wake,
        is_stopped,
        thread: Some(thread).into(),
    })
}

struct Work {
    resolver: Arc<dyn Resolve>,
    shared: Arc<Shared>,
    control: Arc<Mutex<Control>>,
    wake: Arc<Notify>,
    is_stopped: Arc<AtomicBool>,
    /// Whose names these are.
    config: Arc<Config>,
    ids: HashMap<Name, u64>,
    names: BTreeMap<u64, Watched>,
    /// Ids are never used again.
    last_id: u64,
    /// When each name that is not being looked up is due; those that are gone are passed over.
    queue: BinaryHeap<Reverse<(Instant, u64)>>,
    under_way: HashMap<Id, u64>,
    rng: Rng,
}

/// A name that is resolved.
struct Watched {
    name: Name,
    /// Why the last lookup failed; told once.
    error: Option<Arc<str>>,
}

impl Work {
    async fn run(mut self) {
        let mut lookups = JoinSet::new();
        let mut listeners_at = Instant::now() + RETRY;
        while !self.is_stopped.load(Ordering::Relaxed) {
            self.follow_config();
            let next = self.begin_due(&mut lookups).min(listeners_at);
            tokio::select! {
                () = self.wake.notified() => {}
                () = tokio::time::sleep_until(next) => {
                    if Instant::now() >= listeners_at {
                        lock(&self.control).open_missing();
                        listeners_at = Instant::now() + RETRY;
                    }
                }
                Some(ended) = lookups.join_next_with_id() => {
                    let mut all = vec![ended];
                    while let Some(ended) = lookups.try_join_next_with_id() {
                        all.push(ended);
                    }
                    self.learn(all);
                }
            }
        }
    }

    /// Takes up the names of the running configuration, and forgets those that it does not have.
    fn follow_config(&mut self) {
        let config = Arc::clone(lock(&self.control).compiler().config());
        if Arc::ptr_eq(&config, &self.config) {
            return;
        }
        let now = Instant::now();
        let mut before = std::mem::take(&mut self.ids);
        for name in names_of(&config) {
            if self.ids.contains_key(&name) {
                continue;
            }
            let id = before.remove(&name).unwrap_or_else(|| {
                self.last_id += 1;
                self.queue.push(Reverse((now, self.last_id)));
                let name = name.clone();
                self.names.insert(self.last_id, Watched { name, error: None });
                self.last_id
            });
            self.ids.insert(name, id);
        }
        for gone in before.into_values() {
            self.names.remove(&gone);
        }
        self.config = config;
    }

    /// Begins the lookups whose time has come, but not too many at once; says when to look again.
    fn begin_due(&mut self, lookups: &mut JoinSet<Answer>) -> Instant {
        let now = Instant::now();
        while let Some(Reverse((due, id))) = self.queue.peek().copied() {
            if lookups.len() >= limits::DNS_LOOKUPS {
                break;
            }
            if due > now {
                return due;
            }
            self.queue.pop();
            if let Some(watched) = self.names.get(&id) {
                let resolver = Arc::clone(&self.resolver);
                let handle = lookups.spawn(look_up(resolver, watched.name.clone()));
                self.under_way.insert(handle.id(), id);
            }
        }
        now + RETRY
    }

    /// Takes note of lookups that have ended; all of them are one publication.
    fn learn(&mut self, ended: Vec<Result<(Id, Answer), JoinError>>) {
        let mut found = Vec::new();
        for one in ended {
            let (task, answer) = one.unwrap_or_else(|error| (error.id(), Err("the lookup panicked".into())));
            let Some(id) = self.under_way.remove(&task) else {
                continue;
            };
            found.extend(self.learn_one(id, answer));
        }
        let mut control = lock(&self.control);
        if let Some(snapshot) = control.compiler().learn_names(found) {
            control.install(snapshot);
        }
    }

    fn learn_one(&mut self, id: u64, answer: Answer) -> Option<(Name, Vec<IpAddr>)> {
        // Gone while it was looked up.
        let watched = self.names.get_mut(&id)?;
        let draw = self.rng.unit();
        let answer = answer.and_then(|found| {
            let addresses = found.bounded(limits::DNS_ANSWERS);
            if addresses.is_empty() {
                return Err("the answer has no address that can be used".into());
            }
            Ok((addresses, wait_after(&watched.name.1, found.ttl, draw)))
        });
        let (found, wait) = match answer {
            Ok((addresses, wait)) => {
                watched.error = None;
                (Some((watched.name.clone(), addresses)), wait)
            }
            Err(error) => {
                if watched.error.as_ref() != Some(&error) {
                    watched.error = Some(Arc::clone(&error));
                    let name = Arc::clone(&watched.name.0);
                    self.shared.tell(Event::NameFailed { name, error });
                }
                (None, NAME_RETRY.mul_f64(1.0 + draw))
            }
        };
        self.queue.push(Reverse((Instant::now() + wait, id)));
        found
    }
}

async fn look_up(resolver: Arc<dyn Resolve>, (name, dns): Name) -> Answer {
    match timeout(PATIENCE, resolver.resolve(&name, dns.family)).await {
        Ok(answer) => answer.map_err(|error| error.to_string().into()),
        Err(_) => Err("the name server does not answer".into()),
    }
}

/// Time until a name is asked for again after an answer that holds for `ttl`; `draw` is random, from 0 to 1.
fn wait_after(dns: &DnsSpec, ttl: Option<Duration>, draw: f64) -> Duration {
    match ttl.filter(|_| dns.respect_ttl) {
        // Not earlier: caches on the way would only give the old answer again.
        Some(ttl) => {
            let wait = ttl.clamp(limits::DNS_REFRESH_MIN, limits::DNS_TTL_MAX);
            wait + (wait / 10).min(DELAY_MAX).mul_f64(draw)
        }
        // Spread, so that many names do not ask at once.
        None => {
            let wait = dns.refresh.duration().mul_f64(0.9 + 0.2 * draw);
            wait.max(limits::DNS_REFRESH_MIN)
        }
    }
}

#[cfg(test)]
mod tests {
    use weir_model::Period;

    use super::*;

    #[test]
    fn lb32_names_are_asked_for_when_their_answer_ends_or_as_the_policy_says() {
        let spec = |refresh, respect_ttl| DnsSpec {
            refresh: Period::clamped(Duration::from_millis(refresh)),
            respect_ttl,
            ..DnsSpec::default()
        };
        for (spec, ttl, least, most) in [
            (spec(30_000, true), Some(10), 10_000, 10_500),
            (spec(30_000, true), Some(2), 2_000, 2_200),
            (spec(30_000, true), Some(0), 1_000, 1_100),
            (spec(30_000, true), Some(u32::MAX.into()), 3_600_000, 3_600_500),
            (spec(30_000, true), None, 27_000, 33_000),
            (spec(30_000, false), Some(10), 27_000, 33_000),
            // Never more than once a second.
            (spec(1, false), Some(10), 1_000, 1_000),
        ] {
            let ttl = ttl.map(Duration::from_secs);
            let [early, late] = [0.0, 1.0].map(|draw| wait_after(&spec, ttl, draw).as_millis());
            assert_eq!((early, late), (least, most), "{spec:?} {ttl:?}");
        }
    }
}
