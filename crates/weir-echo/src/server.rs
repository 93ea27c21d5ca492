//! One echo backend: a listening socket, its options, and its end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::connection;
use crate::options::Shared;
use crate::{Counters, Identity, Options};

/// A running echo backend. Dropping it stops accepting and cuts its connections; [`Echo::stop`] lets them finish.
#[derive(Debug)]
pub struct Echo {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    finished: mpsc::Receiver<()>,
    accept: JoinHandle<()>,
}

impl Echo {
    /// Binds `address` (port 0 takes a free one) and serves on the current tokio runtime.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn bind(address: SocketAddr, mut options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        if options.identity.pod.is_empty() {
            options.identity.pod = format!("echo-{}", address.port());
        }
        let shared = Arc::new(Shared {
            port: address.port(),
            options,
            counters: Arc::default(),
        });
        let (stop, stopped) = watch::channel(false);
        let (alive, finished) = mpsc::channel(1);
        let accept = tokio::spawn(accept(listener, shared.clone(), stopped, alive));
        Ok(Self {
            address,
            shared,
            stop,
            finished,
            accept,
        })
    }

    /// The bound address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Who it says it is.
    pub fn identity(&self) -> &Identity {
        &self.shared.options.identity
    }

    /// What it has seen; stays valid after the backend has ended.
    pub fn counters(&self) -> Arc<Counters> {
        self.shared.counters.clone()
    }

    /// Stops accepting, closes idle connections, and waits at most `grace` for requests in progress; then cuts
    /// the rest. Returns whether all finished.
    pub async fn stop(mut self, grace: Duration) -> bool {
        self.stop.send_replace(true);
        // Every connection holds a sender; the channel closes with the last one.
        tokio::time::timeout(grace, self.finished.recv()).await.is_ok()
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    mut stopped: watch::Receiver<bool>,
    alive: mpsc::Sender<()>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let served = connection::serve(stream, shared.clone(), stopped.clone());
                let alive = alive.clone();
                let counters = shared.counters.clone();
                counters.count_connection();
                tokio::spawn(async move {
                    // A client that goes away ends its connection; nobody waits for the reason.
                    let _ended = served.await;
                    counters.count_closed();
                    drop(alive);
                });
            }
            // Out of file descriptors, or the client left before it was accepted.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}
