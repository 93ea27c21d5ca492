//! Names of backends, resolved again and again beside the workers.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use weir_balance::Rng;
use weir_model::{Port, limits};

use crate::Event;
use crate::compile::names_of;
use crate::control::Control;
use crate::lock::lock;
use crate::shared::Shared;

/// Listeners that could not be opened are tried again this often; names that never resolved, too.
const RETRY: Duration = Duration::from_secs(3);
/// A name server that does not answer is given up after this.
const PATIENCE: Duration = Duration::from_secs(20);

type Name = (Arc<str>, Port);
type Answer = Result<Vec<std::net::SocketAddr>, Arc<str>>;

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
    let work = Work {
        shared,
        control,
        wake: Arc::clone(&wake),
        is_stopped: Arc::clone(&is_stopped),
        due: HashMap::new(),
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
    shared: Arc<Shared>,
    control: Arc<Mutex<Control>>,
    wake: Arc<Notify>,
    is_stopped: Arc<AtomicBool>,
    /// When each name is to be resolved next.
    due: HashMap<Name, Instant>,
    rng: Rng,
}

impl Work {
    async fn run(mut self) {
        let mut lookups = JoinSet::new();
        while !self.is_stopped.load(Ordering::Relaxed) {
            let next = self.begin_due(&mut lookups);
            tokio::select! {
                () = self.wake.notified() => {}
                () = tokio::time::sleep_until(next) => lock(&self.control).open_missing(),
                Some(Ok((name, answer))) = lookups.join_next() => self.learn(name, answer),
            }
        }
    }

    /// Begins the lookups whose time has come; says when to look again.
    fn begin_due(&mut self, lookups: &mut JoinSet<(Name, Answer)>) -> Instant {
        let config = Arc::clone(lock(&self.control).compiler().config());
        let names: Vec<Name> = names_of(&config)
            .map(|(name, port)| (name.into(), port))
            .collect();
        self.due.retain(|name, _| names.contains(name));
        let now = Instant::now();
        for name in names {
            let due = *self.due.entry(name.clone()).or_insert(now);
            if due <= now {
                // Moved on before the answer is there, so that a slow server is not asked twice at once.
                self.due.insert(name.clone(), now + PATIENCE + RETRY);
                lookups.spawn(look_up(name));
            }
        }
        self.due.values().copied().fold(now + RETRY, Instant::min)
    }

    fn learn(&mut self, name: Name, answer: Answer) {
        let wait = match answer {
            Ok(addresses) => {
                let mut control = lock(&self.control);
                if let Some(snapshot) = control.compiler().learn_name(&name.0, name.1, addresses) {
                    control.install(snapshot);
                }
                // Spread, so that many names do not ask at once (reliability row 29).
                limits::DNS_REFRESH.mul_f64(0.9 + self.rng.unit() * 0.2)
            }
            Err(error) => {
                self.shared.tell(Event::NameFailed {
                    name: Arc::clone(&name.0),
                    error,
                });
                RETRY.mul_f64(1.0 + self.rng.unit())
            }
        };
        if let Some(due) = self.due.get_mut(&name) {
            *due = Instant::now() + wait;
        }
    }
}

async fn look_up(name: Name) -> (Name, Result<Vec<std::net::SocketAddr>, Arc<str>>) {
    let lookup = weir_net::resolve(&name.0, name.1.number(), limits::DNS_ANSWERS);
    let answer = match timeout(PATIENCE, lookup).await {
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(error)) => Err(error.to_string().into()),
        Err(_) => Err("the name server does not answer".into()),
    };
    (name, answer)
}
