//! Connecting to an endpoint.

use std::future::poll_fn;
use std::io;
use std::num::NonZeroU32;

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
/// `buffer_bytes` is the size of each of its two socket buffers, within what the kernel allows; for TCP only.
/// There is no time bound here: the caller stops waiting by dropping the future, which closes the socket.
pub async fn connect(
    event_loop: &EventLoop,
    address: &EndpointAddress,
    buffer_bytes: Option<NonZeroU32>,
) -> io::Result<Stream> {
    // Not registered before it is connecting: a socket that is not looks hung up to the poller.
    let stream = Stream::register(event_loop, dial(event_loop, address, buffer_bytes)?)?;
    poll_fn(|task| stream.poll_connected(task)).await?;
    Ok(stream)
}

fn dial(
    event_loop: &EventLoop,
    address: &EndpointAddress,
    buffer_bytes: Option<NonZeroU32>,
) -> io::Result<Transport> {
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
            set_buffers(&socket, buffer_bytes)?;
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

/// Before connecting: the receive buffer bounds the window that is offered with the first segment (tcp(7)).
fn set_buffers(socket: &Socket, bytes: Option<NonZeroU32>) -> io::Result<()> {
    let Some(bytes) = bytes else {
        return socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
    };
    // The kernel takes an `int`, and lowers what is more than it allows by itself.
    let bytes = bytes.get().min(i32::MAX.unsigned_abs()) as usize;
    socket.set_recv_buffer_size(bytes)?;
    socket.set_send_buffer_size(bytes)
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
            let mut stream = connect(&event_loop, &address, None).await.unwrap();
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
            let stream = connect(&event_loop, &address, None).await.unwrap();
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
    fn socket_buffers_are_what_was_asked_for_as_far_as_the_kernel_goes() {
        run(|event_loop| async move {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = EndpointAddress::Tcp(listener.local_addr().unwrap());
            let sizes = async |bytes: Option<u32>| {
                let stream = connect(&event_loop, &address, bytes.and_then(NonZeroU32::new)).await;
                let stream = stream.unwrap();
                let socket = stream.socket();
                (
                    socket.recv_buffer_size().unwrap(),
                    socket.send_buffer_size().unwrap(),
                )
            };
            // socket(7): the kernel doubles what is asked for.
            assert_eq!(sizes(Some(16_384)).await, (32_768, 32_768));
            assert!(sizes(None).await.0 > 32_768);
            let (least, most) = (sizes(Some(1)).await, sizes(Some(u32::MAX)).await);
            assert!(0 < least.0 && least.0 < 32_768, "{least:?}");
            assert!(most.0 > 32_768 && most.1 > 32_768, "{most:?}");
        });
    }

    #[test]
    fn an_address_without_a_listener_refuses() {
        run(|event_loop| async move {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = EndpointAddress::Tcp(listener.local_addr().unwrap());
            drop(listener);
            let error = connect(&event_loop, &address, None).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
            let nowhere = EndpointAddress::Unix("/nonexistent/socket".into());
            let error = connect(&event_loop, &nowhere, None).await.unwrap_err();
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
                match connect(&event_loop, &address, None).await {
                    Ok(stream) => open.push(stream),
                    Err(error) => break error,
                }
            };
            assert_eq!((open.len(), error.kind()), (2, io::ErrorKind::WouldBlock));
        });
        std::fs::remove_file(&path).unwrap();
    }
}
