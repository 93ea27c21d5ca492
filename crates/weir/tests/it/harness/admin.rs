//! The admin API of a running binary, asked by the strict client.

use std::net::SocketAddr;

use super::{Client, Gateway, Process, Response, head};

/// The token that tests use.
pub(crate) const TOKEN: &str = "a-token-for-tests-only";

/// Flags that serve the admin API on a free port, with a token that opens it to changes.
pub(crate) const ADMIN: [&str; 4] = ["--admin", "127.0.0.1:0", "--admin-token", TOKEN];

/// Where a process serves it.
fn admin_address(process: &Process) -> SocketAddr {
    let line = process.stderr.wait_after(0, "admin on 127.0.0.1:");
    let (_, address) = line.rsplit_once(' ').expect("an address at the end");
    address.parse().expect("an address")
}

/// Its admin API.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) address: SocketAddr,
    client: Client,
}

impl Admin {
    /// That of a process that was started with [`ADMIN`].
    pub(crate) fn of(process: &Process) -> Self {
        let address = admin_address(process);
        Self {
            address,
            client: Client::connect(address),
        }
    }

    /// That of a gateway.
    pub(crate) fn of_gateway(gateway: &Gateway) -> Self {
        Self::of(&gateway.process)
    }

    /// Asks, without the token.
    pub(crate) fn get(&mut self, target: &str) -> Response {
        self.ask("GET", target, &[])
    }

    /// Asks for something to be done, with the token.
    pub(crate) fn post(&mut self, target: &str) -> Response {
        self.ask("POST", target, &[("authorization", &format!("Bearer {TOKEN}"))])
    }

    /// Asks.
    pub(crate) fn ask(&mut self, method: &str, target: &str, headers: &[(&str, &str)]) -> Response {
        let host = self.address.to_string();
        let mut all = vec![("host", host.as_str())];
        all.extend_from_slice(headers);
        self.client.send(head(method, target, &all));
        self.client.response(method)
    }
}
