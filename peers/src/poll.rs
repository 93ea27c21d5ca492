//! Edge-triggered epoll.
#![allow(unsafe_code, reason = "the yardstick calls the kernel directly")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// How many events one wait returns at most.
const BATCH: usize = 512;

/// An epoll instance. Descriptors are registered once, for both directions, edge-triggered; they leave by being
/// closed.
pub struct Poller {
    epoll: OwnedFd,
}

impl Poller {
    /// A new instance. Fails when the process is out of descriptors.
    pub fn new() -> io::Result<Self> {
        // SAFETY: takes no pointer; a non-negative result is a descriptor that nobody else owns.
        let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if epoll < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just created, owned by nobody else.
        let epoll = unsafe { OwnedFd::from_raw_fd(epoll) };
        Ok(Self { epoll })
    }

    /// Watches a connection in both directions.
    pub fn add_stream(&self, fd: RawFd) -> io::Result<()> {
        self.add(
            fd,
            libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET,
        )
    }

    /// Watches a listening socket; level-triggered, so that one accept per event loses nothing.
    pub fn add_listener(&self, fd: RawFd) -> io::Result<()> {
        self.add(fd, libc::EPOLLIN)
    }

    /// Fills `events` with what is ready; waits at most `timeout_ms`, for ever when negative.
    pub fn wait(&self, events: &mut Events, timeout_ms: i32) -> io::Result<()> {
        let capacity = events.raw.capacity() as i32;
        // SAFETY: the vector's spare capacity holds `capacity` events, and the kernel writes at most that many.
        let count = unsafe {
            libc::epoll_wait(
                self.epoll.as_raw_fd(),
                events.raw.as_mut_ptr(),
                capacity,
                timeout_ms,
            )
        };
        let count = match count {
            -1 if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => 0,
            -1 => return Err(io::Error::last_os_error()),
            count => count as usize,
        };
        // SAFETY: the kernel has initialised the first `count` events.
        unsafe { events.raw.set_len(count) };
        Ok(())
    }

    /// The same with a time that is exact to microseconds, which `epoll_wait` is not.
    pub fn wait_for(&self, events: &mut Events, patience: Duration) -> io::Result<()> {
        let mut epoll = libc::pollfd {
            fd: self.epoll.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let time = libc::timespec {
            tv_sec: patience.as_secs() as libc::time_t,
            tv_nsec: patience.subsec_nanos().into(),
        };
        // SAFETY: both outlive the call, one descriptor is given, and no signal mask is set.
        let count = unsafe { libc::ppoll(&raw mut epoll, 1, &raw const time, std::ptr::null()) };
        match count {
            -1 if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted => {
                Err(io::Error::last_os_error())
            }
            _ => self.wait(events, 0),
        }
    }

    fn add(&self, fd: RawFd, interest: i32) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: interest as u32,
            u64: fd as u64,
        };
        // SAFETY: `event` outlives the call.
        match unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// A reusable list of descriptors that are ready.
pub struct Events {
    raw: Vec<libc::epoll_event>,
}

impl Events {
    /// An empty list.
    pub fn new() -> Self {
        Self {
            raw: Vec::with_capacity(BATCH),
        }
    }

    /// The descriptors of the last wait.
    pub fn ready(&self) -> impl Iterator<Item = RawFd> + '_ {
        self.raw.iter().map(|event| event.u64 as RawFd)
    }
}

impl Default for Events {
    fn default() -> Self {
        Self::new()
    }
}
