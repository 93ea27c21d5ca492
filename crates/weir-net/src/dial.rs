//! Connecting to an endpoint.

use std::io;

use tokio::net::{TcpStream, UnixStream};
use weir_model::EndpointAddress;

use crate::Stream;

/// Opens a connection on the current runtime. TCP connections send small writes at once (`TCP_NODELAY`).
/// There is no time bound here: the caller stops waiting by dropping the future.
pub async fn connect(address: &EndpointAddress) -> io::Result<Stream> {
    match address {
        EndpointAddress::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Stream::Tcp(stream))
        }
        EndpointAddress::Unix(path) => Ok(Stream::Unix(UnixStream::connect(&**path).await?)),
    }
}
