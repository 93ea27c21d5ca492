//! Connecting to an endpoint.

use std::future::poll_fn;
use std::io;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use weir_model::EndpointAddress;

use crate::Stream;
use crate::event_loop::EventLoop;
#[cfg(feature = "simulation")]
use crate::simulation::MemorySocket;
use crate::transport::Transport;

/// Receive buffer of a connection to an endpoint, bytes, which the kernel doubles for its own needs. Left to itself the
/// kernel would take megabytes from an endpoint on behalf of a client that does not read, and the endpoint would feel
/// no back-pressure.
const RECEIVE_BUFFER_BYTES: usize = 256 * 1024;

/// Opens a connection. TCP connections send small writes at once (`TCP_NODELAY`).
/// There is no time bound here: the caller stops waiting by dropping the future, which closes the socket.
pub async fn connect(event_loop: &EventLoop, address: &EndpointAddress) -> io::Result<Stream> {
    // Not registered before it is connecting: a socket that is not looks hung up to the poller.
    let stream = Stream::register(event_loop, dial(event_loop, address)?)?;
    poll_fn(|task| stream.poll_connected(task)).await?;
    Ok(stream)
}

fn dial(event_loop: &EventLoop, address: &EndpointAddress) -> io::Result<Transport> {
    #[cfg(feature = "simulation")]
    if event_loop.is_simulated() {
        return Ok(Transport::Memory(MemorySocket::dial(address)?));
    }
    #[cfg(not(feature = "simulation"))]
    let _ = event_loop;
    let socket = match address {
        EndpointAddress::Tcp(address) => {
            let socket = Socket::new(
                Domain::for_address(*address),
                Type::STREAM.nonblocking(),
                Some(Protocol::TCP),
            )?;
            socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
            socket.set_tcp_nodelay(true)?;
            begin(&socket, &(*address).into())?;
            socket
        }
        EndpointAddress::Unix(path) => {
            let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
            // At once or not at all: a full backlog is an error (connect(2): EAGAIN).
            begin(&socket, &SockAddr::unix(&**path)?)?;
            socket
        }
    };
    Ok(Transport::Kernel(socket))
}

fn begin(socket: &Socket, address: &SockAddr) -> io::Result<()> {
    match socket.connect(address) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::event_loop::tests::run;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;
    use std::time::Duration;

    #[test]
    fn a_connection_carries_bytes_both_ways() {
        run(|event_loop| async move {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = EndpointAddress::Tcp(listener.local_addr().unwrap());
            let mut stream = connect(&event_loop, &address).await.unwrap();
            let (mut far, _) = listener.accept().unwrap();
            poll_fn(|task| stream.poll_write(task, b"there")).await.unwrap();
            let mut buffer = [0; 5];
            far.read_exact(&mut buffer).unwrap();
            assert_eq!(&buffer, b"there");
            far.write_all(b"back").unwrap();
            let length = poll_fn(|task| stream.poll_read(task, &mut buffer)).await.unwrap();
            assert_eq!(&buffer[..length], b"back");
        });
    }

    #[test]
    fn keepalive_is_what_was_asked_for() {
        run(|event_loop| async move {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = EndpointAddress::Tcp(listener.local_addr().unwrap());
            let stream = connect(&event_loop, &address).await.unwrap();
            let socket = stream.socket();
            assert!(!socket.keepalive().unwrap());
            stream.keep_alive(Duration::from_millis(1_500), Duration::from_secs(7), 4);
            assert!(socket.keepalive().unwrap());
            assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(2));
            assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(7));
            assert_eq!(socket.tcp_keepalive_retries().unwrap(), 4);
        });
    }

    #[test]
    fn an_address_without_a_listener_refuses() {
        run(|event_loop| async move {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = EndpointAddress::Tcp(listener.local_addr().unwrap());
            drop(listener);
            let error = connect(&event_loop, &address).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
            let nowhere = EndpointAddress::Unix("/nonexistent/socket".into());
            let error = connect(&event_loop, &nowhere).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
        });
    }

    #[test]
    fn a_full_unix_socket_is_an_error_not_a_wait() {
        let path = std::env::temp_dir().join(format!("weir-dial-{}", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        socket2::SockRef::from(&listener).listen(1).unwrap();
        let address = EndpointAddress::Unix(path.to_str().unwrap().into());
        run(|event_loop| async move {
            let mut open = Vec::new();
            let error = loop {
                match connect(&event_loop, &address).await {
                    Ok(stream) => open.push(stream),
                    Err(error) => break error,
                }
            };
            assert_eq!((open.len(), error.kind()), (2, io::ErrorKind::WouldBlock));
        });
        std::fs::remove_file(&path).unwrap();
    }
}
