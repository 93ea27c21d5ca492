//! Tenants files through the binary.

mod admission;
mod check;
mod documented;
mod error_handlers;
mod health;
mod isolation;
mod keystone;
mod policy;
mod reload;
mod routing;
mod services;

use crate::harness::{Client, Response};

/// A GET for a host.
fn get(client: &mut Client, host: &str, target: &str) -> Response {
    client.get(target, &[("Host", host)])
}

/// A file with one tenant under `/t/` over one service, with these further lines at the top and in the tenant.
fn one_tenant(port: u16, backend: u16, top: &str, tenant: &str) -> String {
    format!(
        "\
server: {{port: {port}}}
{top}
tenants:
  - name: t
    path_prefix: /t/
    services: [{{name: s, url: 'http://127.0.0.1:{backend}'}}]
{tenant}
"
    )
}
