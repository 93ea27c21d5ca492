//! A client that sends exactly the bytes it is told to and reads strictly. Its parser shares no code with weir.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

use super::PATIENCE;

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    /// Bytes received and not yet read as part of a response.
    input: Vec<u8>,
}

/// A response, fully received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) version: String,
    pub(crate) status: u16,
    /// Names as received.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
    /// Statuses of the interim responses before it.
    pub(crate) interim: Vec<u16>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).expect("a connection"))
    }

    /// Connects from a certain local address; on loopback that is how many clients are played.
    pub(crate) fn connect_from(source: IpAddr, address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
        socket
            .bind(&SocketAddr::new(source, 0).into())
            .expect("a local address");
        socket.connect(&address.into()).expect("a connection");
        Self::over(socket.into())
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("an option");
        stream.set_read_timeout(Some(PATIENCE)).expect("an option");
        stream.set_write_timeout(Some(PATIENCE)).expect("an option");
        Self {
            stream,
            input: Vec::new(),
        }
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the gateway reads");
    }

    /// Sends a GET with `Host: www.example.com` and these further header lines, and reads the answer.
    pub(crate) fn get(&mut self, target: &str, headers: &[(&str, &str)]) -> Response {
        self.send(head("GET", target, headers));
        self.response("GET")
    }

    /// Reads the response to a request of `method`, and the interim ones before it.
    pub(crate) fn response(&mut self, method: &str) -> Response {
        let mut interim = Vec::new();
        loop {
            let mut response = self.response_head();
            if (100..200).contains(&response.status) && response.status != 101 {
                interim.push(response.status);
                continue;
            }
            response.interim = interim;
            // RFC 9112 6.3.
            if method == "HEAD" || matches!(response.status, 101 | 204 | 304) {
                return response;
            }
            match (
                response.header("transfer-encoding"),
                response.header("content-length"),
            ) {
                (Some("chunked"), None) => self.chunks(&mut response),
                (None, Some(length)) => {
                    let length = length.parse().expect("a length");
                    response.body = self.exactly(length);
                }
                (None, None) => response.body = self.rest(),
                both => panic!("the end of the response cannot be told: {both:?}"),
            }
            return response;
        }
    }

    /// Reads exactly these bytes.
    pub(crate) fn expect_bytes(&mut self, expected: &str) {
        assert_eq!(String::from_utf8_lossy(&self.exactly(expected.len())), expected);
    }

    /// Everything until the gateway closes the connection.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = std::mem::take(&mut self.input);
        self.stream
            .read_to_end(&mut rest)
            .expect("the connection ends in order");
        rest
    }

    /// Waits until the gateway has closed the connection without another byte.
    pub(crate) fn expect_close(&mut self) {
        let rest = self.rest();
        assert!(
            rest.is_empty(),
            "unexpected bytes: {:?}",
            String::from_utf8_lossy(&rest)
        );
    }

    fn response_head(&mut self) -> Response {
        let line = self.line();
        let mut words = line.splitn(3, ' ');
        let version = words.next().expect("a version").to_owned();
        assert!(
            version == "HTTP/1.1" || version == "HTTP/1.0",
            "not a status line: {line:?}"
        );
        let status = words.next().and_then(|word| word.parse().ok()).expect("a status");
        Response {
            version,
            status,
            headers: self.fields(),
            ..Response::default()
        }
    }

    fn chunks(&mut self, response: &mut Response) {
        loop {
            let line = self.line();
            let size = usize::from_str_radix(&line, 16).expect("a chunk size without extensions");
            if size == 0 {
                response.trailers = self.fields();
                return;
            }
            response.body.extend(self.exactly(size));
            assert_eq!(self.line(), "", "a chunk ends with a line end");
        }
    }

    fn fields(&mut self) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        loop {
            let line = self.line();
            if line.is_empty() {
                return fields;
            }
            let (name, value) = line.split_once(':').expect("a field");
            assert!(!name.is_empty() && !name.contains(' '), "a field name: {line:?}");
            fields.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    /// A line without its CR LF.
    fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.input.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.input.drain(..=end).collect();
                let line = String::from_utf8(line).expect("a line is text");
                return line
                    .strip_suffix("\r\n")
                    .expect("a line ends with CR LF")
                    .to_owned();
            }
            self.more();
        }
    }

    fn exactly(&mut self, length: usize) -> Vec<u8> {
        while self.input.len() < length {
            self.more();
        }
        self.input.drain(..length).collect()
    }

    fn more(&mut self) {
        let mut block = [0; 16 * 1024];
        let read = read_some(&mut self.stream, &mut block).expect("the gateway answers in time");
        let so_far = String::from_utf8_lossy(&self.input);
        assert!(
            read > 0,
            "the connection ended in the middle of a response: {so_far:?}"
        );
        self.input.extend_from_slice(&block[..read]);
    }
}

impl Response {
    /// The value of a header that occurs at most once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self
            .headers
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} occurs twice: {:?}", self.headers);
        value
    }

    /// The body of an echo backend.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The pod that answered.
    pub(crate) fn pod(&self) -> String {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()["pod"].as_str().expect("a pod").to_owned()
    }
}

/// Reads what there is. A process that was stopped for a moment (a busy machine, Ctrl-Z) reads on: the kernel does not do
/// that by itself on sockets with a timeout.
pub(crate) fn read_some(stream: &mut impl Read, block: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(block) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// A request head with `Host: www.example.com`, unless the headers have a host.
pub(crate) fn head(method: &str, target: &str, headers: &[(&str, &str)]) -> String {
    let mut text = format!("{method} {target} HTTP/1.1\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        text.push_str("Host: www.example.com\r\n");
    }
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text + "\r\n"
}
