//! The data plane as the binary knows it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use weir_balance::Change;
use weir_config::translate::EndpointChange;
use weir_model::{Action, Config, EndpointAddress, EndpointSource};
use weir_net::{DnsResolver, Resolve};
use weir_proxy::{AccessLog, Event, Gateway, Judge, LogStyle, Options, Stats};

use super::session_keys;
use crate::error::{CommandError, Exit};
use crate::flags::PlaneArgs;
use crate::log::{Level, Log};

/// A running data plane.
#[derive(Debug)]
pub(crate) struct Plane {
    gateway: Arc<Gateway>,
    addresses: Mutex<Vec<SocketAddr>>,
    log: Log,
    /// No session key was given, and it has not been said yet what that means.
    is_keyless: AtomicBool,
}

impl Plane {
    /// Starts one that serves nothing yet.
    ///
    /// # Errors
    /// Threads cannot be started, the access log cannot be opened, or the session key cannot be read.
    pub(crate) fn start(flags: &PlaneArgs, log: Log) -> Result<Self, CommandError> {
        let access_log = match flags.access_log.as_str() {
            "off" => AccessLog::Off,
            "stdout" => AccessLog::Stdout,
            path => AccessLog::File(PathBuf::from(path)),
        };
        let session_keys = session_keys::read(flags.session_key_file.as_deref())?;
        let is_keyless = AtomicBool::new(session_keys.is_none());
        let own_servers = !flags.name_server.is_empty();
        let options = Options {
            resolver: own_servers
                .then(|| Arc::new(DnsResolver::new(flags.name_server.clone())) as Arc<dyn Resolve>),
            session_keys,
            workers: flags.threads.map_or(0, usize::from),
            seed: flags.seed,
            access_log,
            log_style: LogStyle {
                format: flags.access_log_format.clone(),
                sample: flags.access_log_sample.map(|percent| percent / 100.0),
                errors_only: flags.access_log_errors_only,
            },
            reason_header: flags.reason_header,
            events: Some(Arc::new(move |event| tell(log, &event))),
            ..Options::default()
        };
        let gateway = Gateway::start(options)
            .map_err(|error| CommandError::new(Exit::Failed, "cannot start the data plane").why(error))?;
        Ok(Self {
            gateway: Arc::new(gateway),
            addresses: Mutex::default(),
            log,
            is_keyless,
        })
    }

    /// Puts a configuration in force.
    pub(crate) fn publish(&self, config: &Arc<Config>) {
        if has_sessions(config) && self.is_keyless.swap(false, Ordering::Relaxed) {
            let message = "sessions are lost at the next start, and no other process knows them: there is no session key; \
                           give every process the same with --session-key-file or WEIR_SESSION_KEY";
            self.log.event(Level::Warn, "session_key_missing", message, &[]);
        }
        let report = self.gateway.publish(config.clone());
        let bound = report.listeners.into_iter().filter_map(|(_, bound)| bound.ok());
        *self.addresses.lock().unwrap_or_else(PoisonError::into_inner) = bound.collect();
    }

    /// Puts new endpoints in force; everything else is as before. `config` has them already.
    pub(crate) fn change_endpoints(&self, config: &Arc<Config>, changes: &[EndpointChange]) {
        for change in changes {
            let changed = match &change.value.endpoints {
                EndpointSource::Static(endpoints) => self
                    .gateway
                    .update_endpoints(&change.value.key, endpoints.clone())
                    .is_ok(),
                EndpointSource::Names(_) => false,
            };
            if !changed {
                // Names are resolved by the data plane, which learns of them with the whole configuration.
                return self.publish(config);
            }
        }
    }

    /// The addresses that accepted connections after the last publication.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The data plane itself.
    pub(crate) fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// All counters.
    pub(crate) fn stats(&self) -> Stats {
        self.gateway.stats()
    }

    /// Opens the access log again.
    pub(crate) fn reopen_access_log(&self) {
        self.gateway.reopen_access_log();
    }

    /// Stops accepting and waits at most `timeout` for exchanges in progress; returns whether all finished.
    pub(crate) fn drain(&self, timeout: Duration) -> bool {
        self.gateway.drain(timeout).connections_cut == 0
    }
}

fn has_sessions(config: &Config) -> bool {
    let rules = config.routes.iter().flat_map(|route| &route.rules);
    let mut actions = rules.map(|rule| &rule.action);
    actions.any(|action| matches!(action, Action::Forward(forward) if forward.persistence.is_some()))
}

fn tell(log: Log, event: &Event) {
    match event {
        Event::ListenerOpened { key, address } => {
            let fields = [("address", json!(address)), ("configured", json!(key.address))];
            log.event(
                Level::Info,
                "listening",
                &format!("listening on {address}"),
                &fields,
            );
        }
        Event::ListenerFailed { key, error } => {
            log.event(
                Level::Error,
                "listener_failed",
                &format!("{error}; trying again"),
                &[("configured", json!(key.address))],
            );
        }
        Event::ListenerClosed { key } => {
            let message = format!("no longer listening on {}", key.address);
            log.event(
                Level::Info,
                "listener_closed",
                &message,
                &[("configured", json!(key.address))],
            );
        }
        Event::NameFailed { name, error } => {
            let message = format!("cannot resolve {name}: {error}; its last good addresses stay");
            log.event(Level::Warn, "name_failed", &message, &[("name", json!(&**name))]);
        }
        Event::EndpointChanged {
            endpoint,
            judge,
            change,
        } => tell_of_endpoint(log, endpoint, judge, change),
        Event::ConnectionsShed { bound } => {
            let message = format!("connections are refused: the bound on {bound} is reached");
            log.event(
                Level::Warn,
                "connections_shed",
                &message,
                &[("bound", json!(bound))],
            );
        }
        Event::AccessLogFailed { error } => {
            log.event(
                Level::Error,
                "access_log_failed",
                &format!("cannot write the access log: {error}"),
                &[],
            );
        }
        other => tell_of_defect(log, other),
    }
}

/// What weir itself has done wrong.
fn tell_of_defect(log: Log, event: &Event) {
    match event {
        Event::WorkerFailed { worker } => {
            let message = format!("worker {worker} died of a defect in weir; its connections are lost");
            log.event(
                Level::Error,
                "worker_failed",
                &message,
                &[("worker", json!(worker))],
            );
        }
        Event::ProbePanicked { endpoint } => {
            let message =
                format!("a probe of {endpoint} met a defect in weir; the next ones are made all the same");
            log.event(
                Level::Error,
                "probe_panicked",
                &message,
                &[("endpoint", json!(endpoint.to_string()))],
            );
        }
        Event::ProberFailed => {
            let message = "the prober died; endpoints stay as healthy as they were";
            log.event(Level::Error, "prober_failed", message, &[]);
        }
        other => log.debug(&format!("{other:?}")),
    }
}

/// One line per change (row HC09).
fn tell_of_endpoint(log: Log, endpoint: &EndpointAddress, judge: &Judge, change: &Change) {
    let (level, name) = match change {
        Change::Healthy(_) => (Level::Info, "endpoint_healthy"),
        Change::Unhealthy(_) => (Level::Warn, "endpoint_unhealthy"),
        Change::Ejected(_) => (Level::Warn, "endpoint_ejected"),
        Change::Returned(_) => (Level::Info, "endpoint_returned"),
        Change::Decided(_) => (Level::Info, "endpoint_decided"),
    };
    let (kind, judge) = match judge {
        Judge::Probe(check) => ("check", &**check),
        Judge::Backend(backend) => ("backend", &**backend),
        Judge::Person => ("by", "hand"),
    };
    let fields = [
        ("endpoint", json!(endpoint.to_string())),
        (kind, json!(judge)),
        ("cause", json!(change.to_string())),
    ];
    let message = match change {
        Change::Decided(_) => format!("endpoint {endpoint} {change}"),
        _ => format!("endpoint {endpoint} {change} ({kind} {judge})"),
    };
    log.event(level, name, &message, &fields);
}
