//! Sends requests when they are due, on one thread.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use super::{End, Exchange, Outcome, Plan};
use crate::{Events, Poller};

/// How much one read takes at most.
const READ_BYTES: usize = 16 * 1024;

/// Runs a load to its end. Fails when this machine does, not when the target does.
pub fn run(plan: &Plan) -> io::Result<Outcome> {
    let mut client = Client {
        plan,
        poller: Poller::new()?,
        begin: Instant::now(),
        connections: Vec::new(),
        idle: Vec::new(),
        awaited: VecDeque::new(),
        open_requests: 0,
        scratch: vec![0; READ_BYTES],
        outcome: Outcome::default(),
    };
    client.run()?;
    client
        .outcome
        .exchanges
        .sort_unstable_by_key(|exchange| exchange.number);
    Ok(client.outcome)
}

struct Client<'p> {
    plan: &'p Plan,
    poller: Poller,
    begin: Instant,
    /// Indexed by descriptor.
    connections: Vec<Option<Connection>>,
    /// Connections without a request, the one used last at the end.
    idle: Vec<RawFd>,
    /// When requests are late, in that order. Those that have ended may still stand here.
    awaited: VecDeque<(Duration, RawFd, u32)>,
    open_requests: usize,
    scratch: Vec<u8>,
    outcome: Outcome,
}

struct Connection {
    socket: OwnedFd,
    request: Option<Request>,
    /// Bytes of the response so far.
    input: Vec<u8>,
}

struct Request {
    number: u32,
    is_post: bool,
    due: Duration,
    /// What is not sent yet.
    rest: Vec<u8>,
}

impl Client<'_> {
    fn run(&mut self) -> io::Result<()> {
        let schedule = self.plan.schedule();
        let mut events = Events::new();
        let mut next = 0;
        while next < schedule.len() || self.open_requests > 0 {
            while let Some((due, is_post)) = schedule.get(next).copied()
                && due <= self.begin.elapsed()
            {
                self.send(next as u32, due, is_post)?;
                next += 1;
            }
            self.give_up();
            let next_due = schedule.get(next).map(|(due, _)| *due);
            let next_late = self.awaited.front().map(|(late, _, _)| *late);
            let wake = [next_due, next_late].into_iter().flatten().min();
            let now = self.begin.elapsed();
            let patience = wake.map_or(Duration::ZERO, |wake| wake.saturating_sub(now));
            self.poller.wait_for(&mut events, patience)?;
            for fd in events.ready() {
                self.serve(fd);
            }
        }
        Ok(())
    }

    fn send(&mut self, number: u32, due: Duration, is_post: bool) -> io::Result<()> {
        let fd = match self.idle.pop() {
            Some(fd) => fd,
            None => self.open()?,
        };
        let target = self.plan.target;
        let rest = match is_post {
            false => format!("GET /{number} HTTP/1.1\r\nHost: {target}\r\n\r\n"),
            true => {
                format!("POST /{number} HTTP/1.1\r\nHost: {target}\r\nContent-Length: 8\r\n\r\n{number:08}")
            }
        };
        self.awaited.push_back((due + self.plan.patience, fd, number));
        self.open_requests += 1;
        if let Some(Some(connection)) = self.connections.get_mut(fd as usize) {
            connection.request = Some(Request {
                number,
                is_post,
                due,
                rest: rest.into_bytes(),
            });
        }
        // A connection that is still being made says so by an event.
        self.serve(fd);
        Ok(())
    }

    fn open(&mut self) -> io::Result<RawFd> {
        let socket = crate::connect(self.plan.target)?;
        let fd = socket.as_raw_fd();
        self.poller.add_stream(fd)?;
        if self.connections.len() <= fd as usize {
            self.connections.resize_with(fd as usize + 1, || None);
        }
        self.connections[fd as usize] = Some(Connection {
            socket,
            request: None,
            input: Vec::new(),
        });
        Ok(fd)
    }

    /// Moves a connection on as far as it goes.
    fn serve(&mut self, fd: RawFd) {
        let Some(Some(connection)) = self.connections.get_mut(fd as usize) else {
            return;
        };
        let end = match connection.advance(&mut self.scratch) {
            Ok(None) => return,
            Ok(Some(Response { status, is_last })) => {
                if is_last || !connection.input.is_empty() {
                    self.settle(fd, End::Answered(status));
                    self.connections[fd as usize] = None;
                } else {
                    self.settle(fd, End::Answered(status));
                    self.idle.push(fd);
                }
                return;
            }
            Err(_) => End::Broken,
        };
        self.settle(fd, end);
        self.idle.retain(|idle| *idle != fd);
        self.connections[fd as usize] = None;
    }

    /// Ends the requests whose time is over, and their connections.
    fn give_up(&mut self) {
        let now = self.begin.elapsed();
        while let Some((late, fd, number)) = self.awaited.front().copied()
            && late <= now
        {
            self.awaited.pop_front();
            let is_open = matches!(
                self.connections.get(fd as usize),
                Some(Some(Connection { request: Some(request), .. })) if request.number == number
            );
            if is_open {
                self.settle(fd, End::Late);
                self.connections[fd as usize] = None;
            }
        }
    }

    fn settle(&mut self, fd: RawFd, end: End) {
        let Some(Some(connection)) = self.connections.get_mut(fd as usize) else {
            return;
        };
        if let Some(request) = connection.request.take() {
            self.open_requests -= 1;
            self.outcome.exchanges.push(Exchange {
                number: request.number,
                is_post: request.is_post,
                due: request.due,
                latency: self.begin.elapsed().saturating_sub(request.due),
                end,
            });
        }
    }
}

/// A response that has been received as a whole.
struct Response {
    status: u16,
    /// The connection ends with it.
    is_last: bool,
}

impl Connection {
    /// Writes and reads what can be. An error is the end of the connection.
    fn advance(&mut self, scratch: &mut [u8]) -> io::Result<Option<Response>> {
        let fd = self.socket.as_raw_fd();
        if let Some(request) = &mut self.request {
            while !request.rest.is_empty() {
                match crate::write(fd, &request.rest)? {
                    Some(sent) => drop(request.rest.drain(..sent)),
                    None => break,
                }
            }
        }
        while let Some(length) = read(fd, scratch)? {
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.input.extend_from_slice(&scratch[..length]);
        }
        if self.request.is_none() && !self.input.is_empty() {
            return Err(io::Error::other("a response that nobody asked for"));
        }
        take_response(&mut self.input)
    }
}

/// As [`crate::read`]; a connection that does not stand yet has nothing to read.
fn read(fd: RawFd, scratch: &mut [u8]) -> io::Result<Option<usize>> {
    match crate::read(fd, scratch) {
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(None),
        other => other,
    }
}

/// Takes a whole response with `Content-Length` off the front.
fn take_response(input: &mut Vec<u8>) -> io::Result<Option<Response>> {
    let Some(head_end) = input.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&input[..head_end]).map_err(io::Error::other)?;
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1.1 "))
        .and_then(|line| line.get(..3))
        .and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::other("no status line"))?;
    let (mut length, mut is_last) = (None, false);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse::<usize>().ok();
        } else if name.eq_ignore_ascii_case("connection") {
            is_last = value.trim().eq_ignore_ascii_case("close");
        }
    }
    let length = length.ok_or_else(|| io::Error::other("a response without Content-Length"))?;
    let whole = head_end + 4 + length;
    if input.len() < whole {
        return Ok(None);
    }
    input.drain(..whole);
    Ok(Some(Response { status, is_last }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{SocketAddr, SocketAddrV4, TcpListener};

    #[test]
    fn a_response_is_taken_when_it_is_whole() {
        let whole = b"HTTP/1.1 503 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab";
        for length in 0..whole.len() {
            let mut input = whole[..length].to_vec();
            assert!(take_response(&mut input).expect("a part").is_none(), "{length}");
        }
        let mut input = whole.to_vec();
        let response = take_response(&mut input).expect("valid").expect("whole");
        assert!(response.status == 503 && response.is_last && input.is_empty());
        for wrong in [
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 2\r\n\r\n",
        ] {
            assert!(take_response(&mut wrong.as_bytes().to_vec()).is_err(), "{wrong}");
        }
    }

    /// Answers one connection after the other; what `answer` returns for the number in the target, and ends without it.
    fn server(answer: impl Fn(u32) -> Option<&'static str> + Send + Clone + 'static) -> SocketAddrV4 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let SocketAddr::V4(address) = listener.local_addr().expect("an address") else {
            panic!("IPv4 was asked for");
        };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, answer) = (stream.expect("a connection"), answer.clone());
                std::thread::spawn(move || {
                    let mut input = [0; 1024];
                    while let Ok(length @ 1..) = stream.read(&mut input) {
                        let text = String::from_utf8_lossy(&input[..length]).into_owned();
                        let target = text.split(['/', ' ']).nth(2).expect("a target");
                        let Some(answer) = answer(target.parse().expect("a number")) else {
                            return;
                        };
                        stream.write_all(answer.as_bytes()).expect("the client reads");
                    }
                });
            }
        });
        address
    }

    const GOOD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

    #[test]
    fn every_request_has_an_end() {
        let address = server(|number| match number % 10 {
            3 => None,
            4 => Some("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"),
            5 => Some("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no"),
            _ => Some(GOOD),
        });
        let plan = Plan {
            posts_percent: 50,
            patience: Duration::from_millis(300),
            ..Plan::new(address, 500.0, Duration::from_millis(200))
        };
        let outcome = run(&plan).expect("this machine works");
        assert_eq!(outcome.exchanges.len(), 100);
        for exchange in &outcome.exchanges {
            let expected = match exchange.number % 10 {
                3 => End::Broken,
                4 => End::Answered(503),
                5 => End::Late,
                _ => End::Answered(200),
            };
            assert_eq!(exchange.end, expected, "{exchange:?}");
        }
    }

    #[test]
    fn a_pause_is_billed_to_all_who_would_have_come_meanwhile() {
        let address = server(|number| {
            if number == 20 {
                std::thread::sleep(Duration::from_millis(100));
            }
            Some(GOOD)
        });
        let outcome = run(&Plan::new(address, 200.0, Duration::from_millis(300))).expect("works");
        // The others find connections of their own.
        let slow = outcome
            .exchanges
            .iter()
            .filter(|exchange| exchange.latency >= Duration::from_millis(100));
        assert!(slow.map(|exchange| exchange.number).any(|number| number == 20));
        let nobody = server(|_| None);
        let outcome = run(&Plan::new(nobody, 200.0, Duration::from_millis(100))).expect("works");
        assert_eq!(outcome.losses(), "GET broken x 20");
    }
}
