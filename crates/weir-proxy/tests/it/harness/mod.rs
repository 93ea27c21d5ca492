//! A gateway in this process, clients and backends of a few lines each.
// Two test binaries share it, and neither needs all of it; outside of tests nothing does.
#![allow(unused_imports, clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod backend;
mod client;
mod plan;

pub(crate) use backend::{Backend, read_head, read_request, respond};
pub(crate) use client::{Client, Response};
pub(crate) use plan::{Plan, endpoint, forward_to, prefix_rule};

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_proxy::{Gateway, Options};

/// A gateway that serves one listener.
pub(crate) struct Rig {
    pub(crate) gateway: Gateway,
    pub(crate) address: SocketAddr,
}

impl Rig {
    /// With one worker and failures that say why.
    pub(crate) fn new(plan: &Plan) -> Self {
        Self::with(
            plan,
            Options {
                workers: 1,
                reason_header: true,
                seed: Some(7),
                ..Options::default()
            },
        )
    }

    pub(crate) fn with(plan: &Plan, options: Options) -> Self {
        let gateway = Gateway::start(options).unwrap();
        let report = gateway.publish(Arc::new(plan.config()));
        let address = *report.listeners[0].1.as_ref().unwrap();
        Self { gateway, address }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// One request on a connection of its own.
    pub(crate) fn get(&self, path: &str) -> Response {
        let mut client = self.client();
        client.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
        client.response()
    }
}

/// The value of the field `name`, which must not be there twice.
fn only_value<'f>(fields: &'f [(String, String)], name: &str) -> Option<&'f str> {
    let mut values = fields
        .iter()
        .filter(|(other, _)| other == name)
        .map(|(_, value)| &**value);
    let first = values.next();
    assert!(values.next().is_none(), "{name} more than once: {fields:?}");
    first
}

/// Waits until `condition` holds; panics after 5 s.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(20), "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
