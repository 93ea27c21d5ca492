//! Connecting to an endpoint.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpSocket, TcpStream, UnixStream};
use weir_model::EndpointAddress;

use crate::Stream;

/// Receive buffer of a connection to an endpoint, bytes, which the kernel doubles for its own needs. Left to itself the
/// kernel would take megabytes from an endpoint on behalf of a client that does not read, and the endpoint would feel
/// no back-pressure.
const RECEIVE_BUFFER_BYTES: u32 = 256 * 1024;

/// Opens a connection on the current runtime. TCP connections send small writes at once (`TCP_NODELAY`).
/// There is no time bound here: the caller stops waiting by dropping the future.
pub async fn connect(address: &EndpointAddress) -> io::Result<Stream> {
    match address {
        EndpointAddress::Tcp(address) => {
            let stream = connect_tcp(*address).await?;
            stream.set_nodelay(true)?;
            Ok(Stream::Tcp(stream))
        }
        EndpointAddress::Unix(path) => Ok(Stream::Unix(UnixStream::connect(&**path).await?)),
    }
}

async fn connect_tcp(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    socket.connect(address).await
}
