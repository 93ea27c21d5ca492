//! Listening sockets: one per worker and address, so that the kernel spreads connections.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::task::{Context, Poll};

use socket2::{Domain, Protocol, Socket, Type};

use crate::event_loop::{EventLoop, Readiness, Side, Source};
#[cfg(feature = "simulation")]
use crate::simulation::{self, MemoryListener};
use crate::transport::Accepted;
#[cfg(feature = "simulation")]
use crate::transport::Transport;

/// Connections that wait to be accepted, per socket; the kernel cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Bytes that the kernel may hold unsent for one client. A send buffer that has grown to megabytes then fills no
/// further than this when the client stops reading, while what is on its way to a fast one is not bounded by it.
const UNSENT_BYTES: u32 = 128 * 1024;

/// Why an address cannot be listened on. Whoever configured the address, or another process, is at fault;
/// a later try may succeed.
#[derive(Debug)]
pub struct ListenError {
    /// The address that was asked for.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

impl fmt::Display for ListenError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "cannot listen on {}: {}", self.address, self.source)
    }
}

impl std::error::Error for ListenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// A listening socket that no loop has taken yet, non-blocking.
#[derive(Debug)]
pub struct Bound(Listening);

/// What accepts.
#[derive(Debug)]
enum Listening {
    Kernel(mio::net::TcpListener),
    #[cfg(feature = "simulation")]
    Memory(MemoryListener),
}

/// A listening socket on the thread of its loop.
#[derive(Debug)]
pub struct Listener {
    readiness: Readiness,
    listening: Listening,
}

impl From<TcpListener> for Bound {
    fn from(socket: TcpListener) -> Self {
        Self(Listening::Kernel(mio::net::TcpListener::from_std(socket)))
    }
}

impl Bound {
    /// The address that it listens on.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        match &self.0 {
            Listening::Kernel(socket) => socket.local_addr(),
            #[cfg(feature = "simulation")]
            Listening::Memory(listener) => Ok(listener.address()),
        }
    }
}

impl Listener {
    /// Fails when the poller has no room.
    pub fn new(event_loop: &EventLoop, Bound(listening): Bound) -> io::Result<Self> {
        let source = match &listening {
            Listening::Kernel(socket) => Source::Kernel(socket.as_fd()),
            #[cfg(feature = "simulation")]
            Listening::Memory(listener) => Source::Memory(listener.id()),
        };
        Ok(Self {
            readiness: Readiness::register(event_loop, source)?,
            listening,
        })
    }

    /// Waits for the next connection; it is non-blocking.
    pub fn poll_accept(&self, task: &mut Context<'_>) -> Poll<io::Result<(Accepted, SocketAddr)>> {
        loop {
            if self.readiness.poll(Side::Read, task).is_pending() {
                return Poll::Pending;
            }
            match self.try_accept() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                accepted => return Poll::Ready(accepted),
            }
        }
    }

    /// The same without waiting: [`io::ErrorKind::WouldBlock`] when no connection is there.
    pub fn try_accept(&self) -> io::Result<(Accepted, SocketAddr)> {
        let accepted = match &self.listening {
            Listening::Kernel(socket) => socket
                .accept()
                .map(|(stream, peer)| (std::net::TcpStream::from(stream).into(), peer)),
            #[cfg(feature = "simulation")]
            Listening::Memory(listener) => listener
                .accept()
                .map(|(socket, peer)| (Accepted(Transport::Memory(socket)), peer)),
        };
        if accepted
            .as_ref()
            .is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
        {
            self.readiness.block(Side::Read);
        }
        accepted
    }
}

/// Opens `count` non-blocking sockets that listen on one address and share its connections (`SO_REUSEPORT`).
/// Port 0 lets the system choose; all sockets then listen on the chosen port.
///
/// Fails when any other socket listens there already, also one of this user that shares its port: a second weir
/// on the same address is a mistake, not a way to get half of the connections.
pub fn listen(address: SocketAddr, count: usize) -> Result<Vec<Bound>, ListenError> {
    #[cfg(feature = "simulation")]
    if let Some(opened) = simulation::listen(address, count) {
        let bound = |listener| Bound(Listening::Memory(listener));
        return opened
            .map(|listeners| listeners.into_iter().map(bound).collect())
            .map_err(|source| ListenError { address, source });
    }
    let opened = open_all(address, count).map_err(|source| ListenError { address, source })?;
    Ok(opened.into_iter().map(Bound::from).collect())
}

fn open_all(address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    if address.port() != 0 {
        open(address, false)?;
    }
    let mut sockets = Vec::with_capacity(count);
    let mut bound = address;
    for _ in 0..count {
        let socket = open(bound, true)?;
        bound = socket.local_addr()?;
        sockets.push(socket);
    }
    Ok(sockets)
}

fn open(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking(),
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    if shared {
        // Accepted sockets inherit it, so it costs no system call per connection.
        #[cfg(target_os = "linux")]
        socket.set_tcp_notsent_lowat(UNSENT_BYTES)?;
        socket.listen(BACKLOG)?;
    }
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_share_the_port_that_the_system_chose() {
        let sockets = listen("127.0.0.1:0".parse().expect("address"), 3).expect("free port");
        let addresses: Vec<_> = sockets
            .iter()
            .map(|socket| socket.local_address().expect("bound"))
            .collect();
        assert_ne!(addresses[0].port(), 0);
        assert!(addresses.iter().all(|address| *address == addresses[0]));
    }

    #[test]
    fn a_port_in_use_is_refused_even_when_its_owner_would_share_it() {
        let first = listen("127.0.0.1:0".parse().expect("address"), 1).expect("free port");
        let address = first[0].local_address().expect("bound");
        let error = listen(address, 1).expect_err("in use");
        assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&address.to_string()));
        drop(first);
        listen(address, 1).expect("free again");
    }
}
