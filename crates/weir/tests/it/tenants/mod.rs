//! Tenants files through the binary.

mod check;
mod reload;
mod routing;

use crate::harness::{Client, Response};

/// A GET for a host.
fn get(client: &mut Client, host: &str, target: &str) -> Response {
    client.get(target, &[("Host", host)])
}
