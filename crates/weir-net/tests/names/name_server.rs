//! A name server of a few lines, over UDP and TCP, that says what a test wants.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};

/// What is said to one question.
#[derive(Clone, Debug)]
#[allow(
    dead_code,
    reason = "not every test binary that includes this needs all of it"
)]
pub(crate) enum Says {
    /// These addresses, as far as they are of the kind that is asked for, for that many seconds.
    Addresses(Vec<IpAddr>, u32),
    /// The name is an alias of this one, for that many seconds; its addresses follow.
    Alias(&'static str, u32, Vec<IpAddr>, u32),
    /// This response code (RFC 1035 4.1.1).
    Code(u8),
    /// An answer to somebody else: another identifier.
    Forgery(Vec<IpAddr>),
    /// Bytes that are no message.
    Garbage,
}

/// Response code of a name that does not exist.
#[allow(dead_code, reason = "not every test binary that includes this needs it")]
pub(crate) const NO_SUCH_NAME: u8 = 3;

type Answers = Arc<Mutex<Box<dyn FnMut(&str, u16) -> Says + Send>>>;

/// Its address.
#[derive(Debug)]
pub(crate) struct NameServer {
    pub(crate) address: SocketAddr,
}

/// Type of the records that hold IPv4 addresses; of IPv6 addresses it is 28 (RFC 3596).
pub(crate) const A: u16 = 1;

impl NameServer {
    /// Answers each question, a name in lower case and a type, with what `says` says.
    pub(crate) fn start(says: impl FnMut(&str, u16) -> Says + Send + 'static) -> Self {
        let (udp, tcp) = loop {
            let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
            let address = tcp.local_addr().expect("an address");
            if let Ok(udp) = UdpSocket::bind(address) {
                break (udp, tcp);
            }
        };
        let address = tcp.local_addr().expect("an address");
        let says: Answers = Arc::new(Mutex::new(Box::new(says)));
        let shared = Arc::clone(&says);
        std::thread::spawn(move || serve_udp(&udp, &shared));
        std::thread::spawn(move || serve_tcp(&tcp, &says));
        Self { address }
    }
}

/// Longest answer over UDP; a longer one is cut and marked so.
const UDP_BYTES: usize = 512;

fn serve_udp(socket: &UdpSocket, says: &Answers) {
    let mut question = [0; 1_500];
    while let Ok((length, peer)) = socket.recv_from(&mut question) {
        let Some(mut reply) = answer(&question[..length], says) else {
            continue;
        };
        if reply.len() > UDP_BYTES {
            // TC (RFC 1035 4.1.1), and no records.
            reply.truncate(12 + question_length(&question));
            reply[2] |= 2;
            reply[6..8].fill(0);
        }
        let _ = socket.send_to(&reply, peer);
    }
}

fn serve_tcp(listener: &TcpListener, says: &Answers) {
    for mut stream in listener.incoming().map_while(Result::ok) {
        let mut length = [0; 2];
        if stream.read_exact(&mut length).is_err() {
            continue;
        }
        let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
        if stream.read_exact(&mut question).is_err() {
            continue;
        }
        if let Some(reply) = answer(&question, says) {
            let length = u16::try_from(reply.len()).expect("a length").to_be_bytes();
            let _ = stream.write_all(&[&length[..], &reply].concat());
        }
    }
}

/// Length of the question behind the header: a name, its type and its class.
fn question_length(message: &[u8]) -> usize {
    let mut at = 12;
    while message[at] != 0 {
        at += 1 + usize::from(message[at]);
    }
    at + 5 - 12
}

fn name_of(message: &[u8]) -> String {
    let mut labels = Vec::new();
    let mut at = 12;
    while message[at] != 0 {
        let end = at + 1 + usize::from(message[at]);
        labels.push(String::from_utf8_lossy(&message[at + 1..end]).to_lowercase());
        at = end;
    }
    labels.join(".")
}

fn answer(message: &[u8], says: &Answers) -> Option<Vec<u8>> {
    let length = question_length(message);
    let asked = &message[12..12 + length];
    let kind = u16::from_be_bytes([asked[length - 4], asked[length - 3]]);
    let said = (says.lock().expect("no panic"))(&name_of(message), kind);
    let mut id = [message[0], message[1]];
    let (mut code, mut records, mut count) = (0, Vec::new(), 0u16);
    match said {
        Says::Garbage => return Some(vec![message[0], message[1], 0x81, 0x80, 0xff, 0xff, 0xff]),
        Says::Code(wanted) => code = wanted,
        Says::Addresses(addresses, ttl) => count += push(&mut records, &[0xc0, 12], &addresses, kind, ttl),
        Says::Forgery(addresses) => {
            id[0] ^= 0x55;
            count += push(&mut records, &[0xc0, 12], &addresses, kind, 60);
        }
        Says::Alias(name, alias_ttl, addresses, ttl) => {
            let mut target = Vec::new();
            for label in name.split('.') {
                target.push(u8::try_from(label.len()).expect("a label"));
                target.extend_from_slice(label.as_bytes());
            }
            target.push(0);
            record(&mut records, &[0xc0, 12], 5, alias_ttl, &target);
            count += 1 + push(&mut records, &target, &addresses, kind, ttl);
        }
    }
    let mut reply = vec![id[0], id[1], 0x81, 0x80 | code, 0, 1];
    reply.extend_from_slice(&count.to_be_bytes());
    reply.extend_from_slice(&[0; 4]);
    reply.extend_from_slice(asked);
    reply.extend_from_slice(&records);
    Some(reply)
}

fn push(records: &mut Vec<u8>, name: &[u8], addresses: &[IpAddr], kind: u16, ttl: u32) -> u16 {
    let mut count = 0;
    for address in addresses {
        match address {
            IpAddr::V4(address) if kind == A => record(records, name, kind, ttl, &address.octets()),
            IpAddr::V6(address) if kind != A => record(records, name, kind, ttl, &address.octets()),
            IpAddr::V4(_) | IpAddr::V6(_) => continue,
        }
        count += 1;
    }
    count
}

fn record(records: &mut Vec<u8>, name: &[u8], kind: u16, ttl: u32, content: &[u8]) {
    records.extend_from_slice(name);
    records.extend_from_slice(&kind.to_be_bytes());
    records.extend_from_slice(&[0, 1]);
    records.extend_from_slice(&ttl.to_be_bytes());
    records.extend_from_slice(&u16::try_from(content.len()).expect("a length").to_be_bytes());
    records.extend_from_slice(content);
}
