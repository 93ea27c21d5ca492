//! The data plane as the rest of weir sees it.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use weir_balance::{Change, Override, Rng, TokenKey, TokenKeys};
use weir_model::{Config, Endpoint, EndpointAddress, ListenerKey};
use weir_net::Epoch;

use crate::access_log::AccessLogger;
use crate::command::{Command, inbox};
use crate::compile::{BackendReport, Compiler, UnknownBackend, UnknownEndpoint};
use crate::control::{Control, PublishReport};
use crate::health::HealthReport;
use crate::lock::lock;
use crate::prober::Prober;
use crate::resolver::{self, Resolver};
use crate::shared::Shared;
use crate::stats::Stats;
use crate::{Event, Options, thread};

/// Part of the files that client connections may take; each may need another for its endpoint.
const CONNECTION_FILES_PERCENT: u64 = 45;

/// Files that weir needs for itself: standard streams, pollers, listeners, the watcher of the configuration.
const OWN_FILES: u64 = 32;

/// Client connections that are taken however few files there are: to serve nobody would be worse than to run short.
const CONNECTIONS_LEAST: u64 = 8;

/// A running data plane. Dropping it stops it at once; [`Gateway::drain`] first lets exchanges finish.
#[derive(Debug)]
pub struct Gateway {
    shared: Arc<Shared>,
    control: Arc<Mutex<Control>>,
    resolver: Resolver,
    workers: Mutex<Vec<JoinHandle<io::Result<()>>>>,
    log_thread: Mutex<Option<JoinHandle<()>>>,
}

/// What became of the connections that were open when weir began to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainReport {
    /// Connections that were cut because they did not finish in time.
    pub connections_cut: u32,
}

impl Gateway {
    /// Starts the workers. They serve nothing until the first [`Gateway::publish`].
    ///
    /// Fails when the system gives no threads or the access log cannot be opened.
    pub fn start(options: Options) -> io::Result<Self> {
        let workers = match options.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        };
        let seed = options.seed.unwrap_or_else(weir_net::seed);
        let epoch = Epoch::start();
        let connections_max = options.limits.connections.unwrap_or_else(|| {
            let share = weir_net::file_limit()
                .saturating_sub(OWN_FILES)
                .saturating_mul(CONNECTION_FILES_PERCENT)
                / 100;
            u32::try_from(share.max(CONNECTIONS_LEAST)).unwrap_or(u32::MAX)
        });
        let sink = options.events.clone();
        let log = AccessLogger::start(&options.access_log, move |error| {
            if let Some(sink) = &sink {
                sink(Event::AccessLogFailed {
                    error: error.to_string().into(),
                });
            }
        })?;
        let (logger, log_thread) = log.unzip();
        let (inboxes, outlets): (Vec<_>, Vec<_>) = (0..workers).map(|_| inbox()).unzip();
        let keys = options.session_keys.clone().unwrap_or_else(keys_of_its_own);
        let shared = Arc::new(Shared::new(options, inboxes, logger, connections_max, epoch));
        let prober = Prober::start(Arc::clone(&shared), Rng::from_seed(!seed))?;
        let control = Arc::new(Mutex::new(Control::new(
            Arc::clone(&shared),
            Compiler::new(epoch, Rng::from_seed(seed), keys, workers),
            prober,
        )));
        let resolver = resolver::start(Arc::clone(&shared), Arc::clone(&control))?;
        let mut threads = Vec::with_capacity(workers);
        for (index, inbox) in outlets.into_iter().enumerate() {
            threads.push(start_worker(index, &shared, seed, inbox)?);
        }
        Ok(Self {
            shared,
            control,
            resolver,
            workers: threads.into(),
            log_thread: log_thread.into(),
        })
    }

    /// Makes `config` the running configuration. Requests under way finish under the one they began with; an equal
    /// configuration changes nothing. A listener that cannot be opened does not keep the rest from being served.
    pub fn publish(&self, config: Arc<Config>) -> PublishReport {
        let report = lock(&self.control).publish(config);
        self.resolver.look();
        report
    }

    /// Replaces the endpoints of one backend, by its key, without looking at anything else (row BX14).
    pub fn update_endpoints(&self, backend: &str, endpoints: Arc<[Endpoint]>) -> Result<(), UnknownBackend> {
        lock(&self.control).update_endpoints(backend, endpoints)
    }

    /// Lets a person's decision hold at the endpoint of that address, for every backend that lists it, until the next one
    /// (row HC18). It outlives publications; the default takes it back. Says what it changed.
    pub fn set_override(
        &self,
        endpoint: &EndpointAddress,
        decided: Override,
    ) -> Result<Vec<Change>, UnknownEndpoint> {
        lock(&self.control).decide(endpoint, decided)
    }

    /// What people have decided, ordered by address; also of endpoints that no backend lists at the moment.
    pub fn overrides(&self) -> Vec<(EndpointAddress, Override)> {
        lock(&self.control).compiler().overrides()
    }

    /// What goes on at every backend, ordered by key.
    pub fn backends(&self) -> Vec<BackendReport> {
        lock(&self.control).compiler().report()
    }

    /// Every listener, in order of its key: the address that it is bound to, or why it is not.
    pub fn listeners(&self) -> Vec<(ListenerKey, Result<SocketAddr, Arc<str>>)> {
        lock(&self.control).listeners()
    }

    /// Number of the running snapshot; 0 before the first publication.
    pub fn generation(&self) -> u64 {
        self.shared.generation()
    }

    /// The running configuration, endpoint updates included.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(lock(&self.control).compiler().config())
    }

    /// All counters, added up over the workers.
    pub fn stats(&self) -> Stats {
        Stats {
            connections_open: u64::from(self.shared.loads.total()),
            log_records_dropped: self.shared.logger.as_ref().map_or(0, |logger| logger.dropped()),
            ..self.shared.registry.report()
        }
    }

    /// What is known of the endpoints that are checked.
    pub fn health(&self) -> HealthReport {
        lock(&self.control).compiler().health()
    }

    /// Opens the access log's file anew, after somebody has moved it.
    pub fn reopen_access_log(&self) {
        if let Some(logger) = &self.shared.logger {
            logger.reopen();
        }
    }

    /// Stops accepting, lets the exchanges under way finish for at most `timeout`, then stops. Blocks.
    pub fn drain(&self, timeout: Duration) -> DrainReport {
        self.shared.is_draining.store(true, Ordering::Relaxed);
        self.tell_all(|| Command::Drain);
        let deadline = Instant::now() + timeout;
        while self.shared.loads.total() > 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let report = DrainReport {
            connections_cut: self.shared.loads.total(),
        };
        self.stop();
        report
    }

    /// Stops now. Connections under way are cut. Blocks until the workers have ended; does nothing the second time.
    pub fn stop(&self) {
        self.resolver.stop();
        if !lock(&self.control).prober().stop() {
            self.shared.tell(Event::ProberFailed);
        }
        self.tell_all(|| Command::Stop);
        for (index, worker) in lock(&self.workers).drain(..).enumerate() {
            if !matches!(worker.join(), Ok(Ok(()))) {
                self.shared.tell(Event::WorkerFailed { worker: index });
            }
        }
        if let Some(thread) = lock(&self.log_thread).take() {
            if let Some(logger) = &self.shared.logger {
                logger.finish();
            }
            // It ends after the records under way; that it might have panicked changes nothing any more.
            let _ = thread.join();
        }
    }

    fn tell_all(&self, command: impl Fn() -> Command) {
        self.shared.tell_workers(command);
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A key that no other process has.
fn keys_of_its_own() -> TokenKeys {
    TokenKeys::new(TokenKey::new(&weir_net::secret()).into_iter().collect())
}

fn start_worker(
    index: usize,
    shared: &Arc<Shared>,
    seed: u64,
    inbox: crate::command::Inbox,
) -> io::Result<JoinHandle<io::Result<()>>> {
    let shared = Arc::clone(shared);
    let rng = Rng::from_seed(seed ^ (index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    std::thread::Builder::new()
        .name(format!("weir-worker-{index}"))
        .spawn(move || thread::run(index, shared, rng, inbox))
}
