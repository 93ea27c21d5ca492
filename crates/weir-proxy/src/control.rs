//! Publishing: what runs is replaced here, one publication at a time.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use weir_balance::{Change, Override};
use weir_model::{Config, Endpoint, EndpointAddress, ListenerKey};

use crate::command::Command;
use crate::compile::{Compiler, Snapshot, UnknownBackend, UnknownEndpoint};
use crate::prober::Prober;
use crate::shared::Shared;
use crate::{Event, Judge};

/// What one publication did.
#[derive(Clone, Debug)]
pub struct PublishReport {
    /// Generation of the running snapshot.
    pub generation: u64,
    /// Whether the configuration differs from the one before. When not, nothing was touched.
    pub is_changed: bool,
    /// Every listener, in order of its key: the address that it is bound to, or why it is not.
    pub listeners: Vec<(ListenerKey, Result<SocketAddr, Arc<str>>)>,
}

/// What publishing changes, one publication at a time.
#[derive(Debug)]
pub(crate) struct Control {
    shared: Arc<Shared>,
    compiler: Compiler,
    prober: Prober,
    listeners: BTreeMap<ListenerKey, Result<SocketAddr, Arc<str>>>,
}

impl Control {
    /// Control over workers that serve nothing yet.
    pub(crate) fn new(shared: Arc<Shared>, compiler: Compiler, prober: Prober) -> Self {
        Self {
            shared,
            compiler,
            prober,
            listeners: BTreeMap::new(),
        }
    }

    /// Makes a configuration the running one.
    pub(crate) fn publish(&mut self, config: Arc<Config>) -> PublishReport {
        let snapshot = self.compiler.compile(config);
        let is_changed = snapshot.is_some();
        if let Some(snapshot) = snapshot {
            self.install(snapshot);
            self.close_removed();
        }
        self.open_missing();
        PublishReport {
            generation: self.compiler.snapshot().generation,
            is_changed,
            listeners: self.listeners(),
        }
    }

    /// Replaces the endpoints of one backend.
    pub(crate) fn update_endpoints(
        &mut self,
        backend: &str,
        endpoints: Arc<[Endpoint]>,
    ) -> Result<(), UnknownBackend> {
        if let Some(snapshot) = self.compiler.update_endpoints(backend, endpoints)? {
            self.install(snapshot);
        }
        Ok(())
    }

    /// Lets a person's decision hold at an endpoint.
    pub(crate) fn decide(
        &mut self,
        address: &EndpointAddress,
        decided: Override,
    ) -> Result<Vec<Change>, UnknownEndpoint> {
        let (changes, snapshot) = self.compiler.decide(address, decided)?;
        match snapshot {
            Some(snapshot) => self.install(snapshot),
            // Unused connections to what is disabled are closed.
            None => self.shared.tell_workers(|| Command::Refresh),
        }
        for change in &changes {
            self.shared.tell(Event::EndpointChanged {
                endpoint: address.clone(),
                judge: Judge::Person,
                change: change.clone(),
            });
        }
        Ok(changes)
    }

    /// Every listener, in order of its key: the address that it is bound to, or why it is not.
    pub(crate) fn listeners(&self) -> Vec<(ListenerKey, Result<SocketAddr, Arc<str>>)> {
        let listeners = self.listeners.iter();
        listeners.map(|(key, state)| (*key, state.clone())).collect()
    }

    /// The part of this that the resolver uses.
    pub(crate) fn compiler(&mut self) -> &mut Compiler {
        &mut self.compiler
    }

    /// The thread that probes.
    pub(crate) fn prober(&self) -> &Prober {
        &self.prober
    }

    /// Hands a snapshot to the workers.
    pub(crate) fn install(&mut self, snapshot: Arc<Snapshot>) {
        // First, so that requests wait no longer than they must for endpoints that are not known yet.
        self.prober.change(self.compiler.check_changes());
        self.shared.publish(snapshot);
        self.shared.tell_workers(|| Command::Refresh);
    }

    fn close_removed(&mut self) {
        let config = Arc::clone(self.compiler.config());
        let shared = &self.shared;
        self.listeners.retain(|key, state| {
            let kept = config.listeners.iter().any(|listener| listener.key == *key);
            if !kept && state.is_ok() {
                shared.tell_workers(|| Command::Close(*key));
                shared.tell(Event::ListenerClosed { key: *key });
            }
            kept
        });
    }

    /// Opens the listeners that are not open.
    pub(crate) fn open_missing(&mut self) {
        let config = Arc::clone(self.compiler.config());
        for listener in &config.listeners {
            let key = listener.key;
            let before = self.listeners.get(&key);
            if matches!(before, Some(Ok(_))) {
                continue;
            }
            let state = self.open(key);
            match &state {
                Ok(address) => self.shared.tell(Event::ListenerOpened {
                    key,
                    address: *address,
                }),
                Err(error) if before != Some(&state) => {
                    self.shared.tell(Event::ListenerFailed {
                        key,
                        error: Arc::clone(error),
                    });
                }
                Err(_) => {}
            }
            self.listeners.insert(key, state);
        }
    }

    fn open(&self, key: ListenerKey) -> Result<SocketAddr, Arc<str>> {
        let said = |error: &dyn std::error::Error| Arc::from(error.to_string());
        let sockets =
            weir_net::listen(key.address, self.shared.inboxes.len()).map_err(|error| said(&error))?;
        let address = sockets
            .first()
            .map_or(Ok(key.address), |socket| socket.local_address());
        for (inbox, socket) in self.shared.inboxes.iter().zip(sockets) {
            // A worker that is gone was reported; the others' sockets serve.
            let _ = inbox.send(Command::Open { key, socket });
        }
        address.map_err(|error| said(&error))
    }
}
