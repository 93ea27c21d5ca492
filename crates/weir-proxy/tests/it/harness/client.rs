//! A client that writes bytes and reads responses, strictly.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::only_value;

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    unread: Vec<u8>,
}

/// A whole response; names lower case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
}

impl Response {
    /// The only value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        only_value(&self.fields, name)
    }

    pub(crate) fn reason(&self) -> &str {
        self.field("x-weir-reason").unwrap_or_default()
    }

    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::from_stream(TcpStream::connect(address).unwrap())
    }

    pub(crate) fn from_stream(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.send_bytes(text.as_bytes());
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// One request without body on this connection.
    pub(crate) fn get(&mut self, path: &str) -> Response {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
        self.response()
    }

    pub(crate) fn finish_sending(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// The next response to a request other than `HEAD`, interim ones included.
    pub(crate) fn response(&mut self) -> Response {
        self.response_to("GET").expect("a whole response")
    }

    /// The next response; `Err` says how the connection ended before it did.
    pub(crate) fn response_to(&mut self, method: &str) -> Result<Response, String> {
        let head = self.head()?;
        let mut response = parse_head(&head);
        let has_body = method != "HEAD" && response.status >= 200 && ![204, 304].contains(&response.status);
        if !has_body {
            return Ok(response);
        }
        let length = response
            .field("content-length")
            .map(|value| value.parse::<usize>().unwrap());
        if response.field("transfer-encoding").is_some() {
            assert_eq!(length, None, "both framings: {head}");
            self.read_chunks(&mut response)?;
        } else if let Some(length) = length {
            response.body = self.take(length)?;
        } else {
            self.read_end(&mut response.body)?;
        }
        Ok(response)
    }

    /// Whether the connection has ended cleanly, with nothing more to read.
    pub(crate) fn is_closed(&mut self) -> bool {
        let mut rest = std::mem::take(&mut self.unread);
        self.read_end(&mut rest).is_ok() && rest.is_empty()
    }

    pub(crate) fn head(&mut self) -> Result<String, String> {
        loop {
            if let Some(end) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = self.take(end + 4)?;
                return Ok(String::from_utf8(head).unwrap());
            }
            self.fill()?;
        }
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<Vec<u8>, String> {
        while self.unread.len() < length {
            self.fill()?;
        }
        Ok(self.unread.drain(..length).collect())
    }

    /// The next chunk's data; `None` at the end of the body.
    pub(crate) fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = usize::from_str_radix(&self.line().unwrap(), 16).unwrap();
        let data = self.take(size).unwrap();
        assert_eq!(self.take(2).unwrap(), b"\r\n");
        (size > 0).then_some(data)
    }

    fn read_chunks(&mut self, response: &mut Response) -> Result<(), String> {
        loop {
            let size = usize::from_str_radix(&self.line()?, 16).unwrap();
            if size == 0 {
                break;
            }
            response.body.extend(self.take(size)?);
            assert_eq!(self.take(2)?, b"\r\n");
        }
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(": ") else {
                assert_eq!(line, "");
                return Ok(());
            };
            response
                .trailers
                .push((name.to_ascii_lowercase(), value.to_owned()));
        }
    }

    fn line(&mut self) -> Result<String, String> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|two| two == b"\r\n") {
                let mut line = self.take(end + 2)?;
                line.truncate(end);
                return Ok(String::from_utf8(line).unwrap());
            }
            self.fill()?;
        }
    }

    fn read_end(&mut self, into: &mut Vec<u8>) -> Result<(), String> {
        into.append(&mut self.unread);
        self.stream
            .read_to_end(into)
            .map(|_| ())
            .map_err(|error| format!("{:?}", error.kind()))
    }

    fn fill(&mut self) -> Result<(), String> {
        let mut buffer = [0; 64 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => Err(format!("end after {:?}", String::from_utf8_lossy(&self.unread))),
            Ok(length) => {
                self.unread.extend_from_slice(&buffer[..length]);
                Ok(())
            }
            // A process that was stopped for a moment reads on; sockets with a timeout leave that to it.
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("nothing comes"),
            Err(error) => Err(format!("{:?}", error.kind())),
        }
    }
}

fn parse_head(head: &str) -> Response {
    let mut lines = head.trim_end_matches("\r\n").split("\r\n");
    let status = lines.next().unwrap().strip_prefix("HTTP/1.1 ").expect(head)[..3]
        .parse()
        .unwrap();
    let fields = lines
        .map(|line| line.split_once(": ").expect(line))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    Response {
        status,
        head: head.to_owned(),
        fields,
        ..Response::default()
    }
}
