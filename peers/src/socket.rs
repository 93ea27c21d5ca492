//! Non-blocking TCP sockets over IPv4.
#![allow(unsafe_code, reason = "the yardstick calls the kernel directly")]

use std::io;
use std::net::SocketAddrV4;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// A listening socket that shares its address with the other workers' (SO_REUSEPORT).
pub fn listen(address: SocketAddrV4) -> io::Result<OwnedFd> {
    let socket = stream_socket()?;
    set_option(&socket, libc::SOL_SOCKET, libc::SO_REUSEADDR)?;
    set_option(&socket, libc::SOL_SOCKET, libc::SO_REUSEPORT)?;
    let raw = raw_address(address);
    // SAFETY: `raw` outlives the call and its size is given.
    check(unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const raw).cast(),
            size_of_val(&raw) as u32,
        )
    })?;
    // SAFETY: takes no pointer.
    check(unsafe { libc::listen(socket.as_raw_fd(), 4096) })?;
    Ok(socket)
}

/// The next waiting connection with TCP_NODELAY set, or `None` when there is none.
pub fn accept(listener: RawFd) -> io::Result<Option<OwnedFd>> {
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: null is allowed for an address that nobody asks for.
    let fd = unsafe { libc::accept4(listener, std::ptr::null_mut(), std::ptr::null_mut(), flags) };
    if fd < 0 {
        let error = io::Error::last_os_error();
        let none = matches!(
            error.kind(),
            io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionAborted
        );
        return if none { Ok(None) } else { Err(error) };
    }
    // SAFETY: just accepted, owned by nobody else.
    let connection = unsafe { OwnedFd::from_raw_fd(fd) };
    set_option(&connection, libc::IPPROTO_TCP, libc::TCP_NODELAY)?;
    Ok(Some(connection))
}

/// A connection that is being made; a write fails with `WouldBlock` until it stands.
pub fn connect(address: SocketAddrV4) -> io::Result<OwnedFd> {
    let socket = stream_socket()?;
    set_option(&socket, libc::IPPROTO_TCP, libc::TCP_NODELAY)?;
    let raw = raw_address(address);
    // SAFETY: `raw` outlives the call and its size is given.
    let result = unsafe {
        libc::connect(
            socket.as_raw_fd(),
            (&raw const raw).cast(),
            size_of_val(&raw) as u32,
        )
    };
    match check(result) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(socket),
    }
}

/// Bytes received, 0 at the end of the stream, `None` when there is nothing yet.
pub fn read(fd: RawFd, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    // SAFETY: the buffer is valid for its length.
    transferred(unsafe { libc::recv(fd, buffer.as_mut_ptr().cast(), buffer.len(), 0) })
}

/// Bytes sent, or `None` when the socket takes nothing now.
pub fn write(fd: RawFd, bytes: &[u8]) -> io::Result<Option<usize>> {
    // SAFETY: the bytes are valid for their length.
    transferred(unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) })
}

/// Raises the limit on open files as far as the kernel lets this process: to `wanted` if it may, else to its
/// hard limit.
pub fn raise_file_limit(wanted: u64) {
    let mut limit = libc::rlimit {
        rlim_cur: wanted,
        rlim_max: wanted,
    };
    // SAFETY: `limit` outlives the calls.
    unsafe {
        if libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) != 0
            && libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0
        {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

fn stream_socket() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: takes no pointer.
    let fd = unsafe { libc::socket(libc::AF_INET, kind, 0) };
    check(fd)?;
    // SAFETY: just created, owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn set_option(socket: &OwnedFd, level: i32, option: i32) -> io::Result<()> {
    let on: i32 = 1;
    let size = size_of_val(&on) as u32;
    // SAFETY: `on` outlives the call and its size is given.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const on).cast(), size) })
}

fn raw_address(address: SocketAddrV4) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr {
            s_addr: u32::from_ne_bytes(address.ip().octets()),
        },
        sin_zero: [0; 8],
    }
}

fn check(result: i32) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

fn transferred(result: isize) -> io::Result<Option<usize>> {
    if result >= 0 {
        return Ok(Some(result as usize));
    }
    let error = io::Error::last_os_error();
    if error.kind() == io::ErrorKind::WouldBlock {
        Ok(None)
    } else {
        Err(error)
    }
}
