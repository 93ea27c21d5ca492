//! Backends that take connections only to break them off.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a port may be taken by somebody who is about to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// Counts connections and breaks them off. Dropping it ends it.
pub struct Trapdoor {
    count: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Trapdoor {
    /// Listens on these loopback ports. Fails when somebody else goes on listening there.
    pub fn open(ports: &[u16]) -> io::Result<Self> {
        let mut trapdoor = Self {
            count: Arc::default(),
            ended: Arc::default(),
            threads: Vec::new(),
        };
        for port in ports {
            let listener = bind(*port)?;
            let (count, ended) = (Arc::clone(&trapdoor.count), Arc::clone(&trapdoor.ended));
            trapdoor.threads.push(std::thread::spawn(move || {
                while !ended.load(Relaxed) {
                    match listener.accept() {
                        Ok(_) => drop(count.fetch_add(1, Relaxed)),
                        Err(_) => std::thread::sleep(Duration::from_millis(1)),
                    }
                }
            }));
        }
        Ok(trapdoor)
    }

    /// Connections so far.
    pub fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }
}

impl Drop for Trapdoor {
    fn drop(&mut self) {
        self.ended.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            // It does nothing that could panic.
            let _ended = thread.join();
        }
    }
}

fn bind(port: u16) -> io::Result<TcpListener> {
    let begin = Instant::now();
    loop {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(listener) => {
                listener.set_nonblocking(true)?;
                return Ok(listener);
            }
            Err(error) if error.kind() == ErrorKind::AddrInUse && begin.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::TcpStream;

    #[test]
    fn connections_are_counted_and_end() {
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("an address");
        drop(free);
        let trapdoor = Trapdoor::open(&[address.port()]).expect("a free port");
        for _ in 0..3 {
            let mut stream = TcpStream::connect(address).expect("it listens");
            assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
        }
        assert_eq!(trapdoor.count(), 3);
        drop(trapdoor);
        assert!(TcpStream::connect(address).is_err());
    }
}
