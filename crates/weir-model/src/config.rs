//! The configuration as meant.

use std::sync::Arc;

use crate::{Backend, BackendId, Listener, Route, RouteId};

/// Everything the data plane needs to know. Equal values mean that nothing changed: publishing an equal
/// `Config` touches no listener, no socket and no counter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Ordered by key.
    pub listeners: Vec<Arc<Listener>>,
    /// Indexed by [`RouteId`].
    pub routes: Vec<Arc<Route>>,
    /// Indexed by [`BackendId`]; ordered by key.
    pub backends: Vec<Arc<Backend>>,
}

impl Config {
    /// The backend of an id of this `Config`.
    pub fn backend(&self, id: BackendId) -> &Arc<Backend> {
        &self.backends[id.0 as usize]
    }

    /// The route of an id of this `Config`.
    pub fn route(&self, id: RouteId) -> &Arc<Route> {
        &self.routes[id.0 as usize]
    }
}
