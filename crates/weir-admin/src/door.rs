//! Where the admin API is reached: sockets, opened before anything is served, so that what is wrong is said at once.

use std::fmt;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

/// A place to listen at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A TCP address; port 0 takes a free one.
    Tcp(SocketAddr),
    /// A Unix socket, for the user that runs weir alone.
    Unix(PathBuf),
}

/// What is answered there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    Everything,
    /// Metrics and whether weir is alive and ready, to everybody, without a token.
    Metrics,
    /// Only whether weir is alive and ready, to everybody, without a token.
    Health,
}

/// An open socket.
#[derive(Debug)]
pub struct Door {
    pub(crate) socket: DoorSocket,
    pub(crate) place: Place,
    pub(crate) scope: Scope,
}

/// Its listening end.
#[derive(Debug)]
pub(crate) enum DoorSocket {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// A socket's file, removed with this value unless it is another's by then.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    inode: u64,
}

/// A place cannot be listened at.
#[derive(Debug)]
pub struct DoorError {
    /// Where.
    pub place: Place,
    /// What the system says.
    pub error: io::Error,
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(out),
            Self::Unix(path) => write!(out, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for DoorError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "cannot listen on {}: {}", self.place, self.error)
    }
}

impl std::error::Error for DoorError {}

impl Place {
    /// Whether only this machine reaches it.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl Door {
    /// Opens one.
    ///
    /// # Errors
    /// The system refuses: in use, not allowed, no such address or folder.
    pub fn open(place: Place, scope: Scope) -> Result<Self, DoorError> {
        match open(&place) {
            Ok((socket, bound)) => Ok(Self {
                socket,
                place: bound,
                scope,
            }),
            Err(error) => Err(DoorError { place, error }),
        }
    }

    /// Where it is; with the port that the system chose.
    pub fn place(&self) -> &Place {
        &self.place
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode);
        if is_ours {
            // A leftover is found stale and replaced by the next one.
            let _leftover = fs::remove_file(&self.path);
        }
    }
}

fn open(place: &Place) -> io::Result<(DoorSocket, Place)> {
    match place {
        Place::Tcp(address) => {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            let bound = listener.local_addr()?;
            Ok((DoorSocket::Tcp(listener), Place::Tcp(bound)))
        }
        Place::Unix(path) => {
            let is_socket = |found: fs::Metadata| {
                use std::os::unix::fs::FileTypeExt as _;
                found.file_type().is_socket()
            };
            // Nobody answers there: a process that ended without cleaning up has left it.
            if fs::symlink_metadata(path).is_ok_and(is_socket) && UnixStream::connect(path).is_err() {
                fs::remove_file(path)?;
            }
            let listener = UnixListener::bind(path)?;
            fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
            listener.set_nonblocking(true)?;
            let file = SocketFile {
                inode: fs::symlink_metadata(path)?.ino(),
                path: path.clone(),
            };
            Ok((DoorSocket::Unix(listener, file), place.clone()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn op04_a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let path = std::env::temp_dir().join(format!("weir-door-{}.sock", std::process::id()));
        let open = || Door::open(Place::Unix(path.clone()), Scope::Everything);
        let first = open().expect("a socket");
        let mode = fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let error = open().expect_err("it is in use");
        assert_eq!(error.error.kind(), io::ErrorKind::AddrInUse, "{error}");
        drop(first);
        assert!(!path.exists(), "it is removed with its door");
        drop(UnixListener::bind(&path).expect("a socket that nobody will answer at"));
        assert!(path.exists());
        drop(open().expect("the stale one is replaced"));
        assert!(!path.exists());
    }

    #[test]
    fn op04_a_port_in_use_is_said() {
        let place = |text: &str| Place::Tcp(text.parse().expect("an address"));
        let first = Door::open(place("127.0.0.1:0"), Scope::Everything).expect("a port");
        let error = Door::open(first.place().clone(), Scope::Everything).expect_err("in use");
        assert_eq!(error.error.kind(), io::ErrorKind::AddrInUse);
        assert!(
            error.to_string().starts_with("cannot listen on 127.0.0.1:"),
            "{error}"
        );
        assert!(first.place().is_local() && !place("0.0.0.0:1").is_local());
    }
}
