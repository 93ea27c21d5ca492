//! Echo backends in the test's process.

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::LazyLock;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use weir_echo::{Echo, Identity, Options};

use super::free_port;

/// All backends of all tests share one thread.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime starts")
});

/// Some echo backends named `backend-1`, `backend-2` and so on.
#[derive(Debug)]
pub(crate) struct Backends(Vec<Echo>);

impl Backends {
    /// `count` fast ones.
    pub(crate) fn start(count: usize) -> Self {
        Self::with_delays(&vec![Duration::ZERO; count])
    }

    /// One per delay.
    pub(crate) fn with_delays(delays: &[Duration]) -> Self {
        let start = |(index, delay): (usize, &Duration)| {
            let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
            bind(address, index, *delay).expect("a backend starts")
        };
        Self(delays.iter().enumerate().map(start).collect())
    }

    /// One on the IPv6 loopback address, if this machine has it.
    pub(crate) fn start_v6() -> Option<Self> {
        let address = SocketAddr::from((Ipv6Addr::LOCALHOST, free_port()));
        bind(address, 0, Duration::ZERO).ok().map(|echo| Self(vec![echo]))
    }

    /// Their ports.
    pub(crate) fn ports(&self) -> Vec<u16> {
        self.0.iter().map(|echo| echo.address().port()).collect()
    }

    /// Requests that each has received.
    pub(crate) fn requests(&self) -> Vec<u64> {
        self.0.iter().map(|echo| echo.counters().requests()).collect()
    }
}

fn bind(address: SocketAddr, index: usize, delay: Duration) -> std::io::Result<Echo> {
    let identity = Identity {
        namespace: "default".to_owned(),
        service: "backend".to_owned(),
        pod: format!("backend-{}", index + 1),
        ..Identity::default()
    };
    let options = Options {
        identity,
        delay,
        ..Options::default()
    };
    RUNTIME.block_on(Echo::bind(address, options))
}
