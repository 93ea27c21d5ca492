//! Headers that say for whom a connection is: a reader of the specification's words finds the addresses that were written.
#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use libfuzzer_sys::fuzz_target;
use weir_wire::proxy_header::{LENGTH_MAX, write_v1, write_v2};

fuzz_target!(|input: &[u8]| {
    let mut input = input;
    let pair = address(&mut input).zip(address(&mut input));
    // Both in one family, the newer one if need be.
    let expected = pair.map(|(source, destination)| {
        let canonical = [source, destination].map(|one| one.ip().to_canonical());
        let is_old = canonical.iter().all(IpAddr::is_ipv4);
        let shown = canonical.map(|ip| match ip {
            IpAddr::V4(old) if !is_old => IpAddr::V6(old.to_ipv6_mapped()),
            ip => ip,
        });
        [(shown[0], source.port()), (shown[1], destination.port())]
    });
    for (write, read) in [
        (
            write_v1 as fn(&mut Vec<u8>, _),
            read_v1 as fn(&[u8]) -> Option<[(IpAddr, u16); 2]>,
        ),
        (write_v2, read_v2),
    ] {
        let mut out = b"before".to_vec();
        write(&mut out, pair);
        let header = out.strip_prefix(b"before").expect("what was there stays");
        assert!(header.len() <= LENGTH_MAX);
        assert_eq!(read(header), expected, "{}", header.escape_ascii());
    }
});

/// An address from the front of the input; `None` when there is none.
fn address(input: &mut &[u8]) -> Option<SocketAddr> {
    let (kind, rest) = input.split_first()?;
    let (port, rest) = rest.split_first_chunk::<2>()?;
    let port = u16::from_be_bytes(*port);
    let (address, rest) = match kind % 3 {
        0 => {
            let (octets, rest) = rest.split_first_chunk::<4>()?;
            (SocketAddr::from((Ipv4Addr::from(*octets), port)), rest)
        }
        1 => {
            let (octets, rest) = rest.split_first_chunk::<4>()?;
            (
                SocketAddr::from((Ipv4Addr::from(*octets).to_ipv6_mapped(), port)),
                rest,
            )
        }
        _ => {
            let (octets, rest) = rest.split_first_chunk::<16>()?;
            // A scope and a flow are no part of what is told.
            (
                SocketAddrV6::new(Ipv6Addr::from(*octets), port, 7, 9).into(),
                rest,
            )
        }
    };
    *input = rest;
    Some(address)
}

/// Section 2.1: one line of words.
fn read_v1(header: &[u8]) -> Option<[(IpAddr, u16); 2]> {
    let text = str::from_utf8(header).expect("ASCII");
    let line = text.strip_suffix("\r\n").expect("a line end");
    let words: Vec<&str> = line.split(' ').collect();
    if words == ["PROXY", "UNKNOWN"] {
        return None;
    }
    let [
        signature,
        family,
        source,
        destination,
        source_port,
        destination_port,
    ] = words[..]
    else {
        panic!("six words: {line:?}");
    };
    assert_eq!(signature, "PROXY");
    let read = |ip: &str, port: &str| -> (IpAddr, u16) {
        let ip: IpAddr = ip.parse().expect("an address");
        assert_eq!(family, if ip.is_ipv4() { "TCP4" } else { "TCP6" });
        assert!(port == "0" || !port.starts_with('0'), "{port}");
        (ip, port.parse().expect("a port"))
    };
    Some([read(source, source_port), read(destination, destination_port)])
}

/// Section 2.2: a signature, four bytes, addresses.
fn read_v2(header: &[u8]) -> Option<[(IpAddr, u16); 2]> {
    let rest = header
        .strip_prefix(&[
            0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a,
        ])
        .expect("the signature");
    let (&[command, family, high, low], addresses) = rest.split_first_chunk::<4>().expect("four bytes");
    assert_eq!(usize::from(u16::from_be_bytes([high, low])), addresses.len());
    if command == 0x20 {
        assert_eq!((family, addresses), (0, &[][..]));
        return None;
    }
    assert_eq!(command, 0x21, "version 2, PROXY");
    let width = match family {
        0x11 => 4,
        0x21 => 16,
        other => panic!("family {other:#x}"),
    };
    assert_eq!(addresses.len(), 2 * width + 4);
    let read = |place: usize| -> (IpAddr, u16) {
        let octets = &addresses[place * width..(place + 1) * width];
        let ip = match <[u8; 4]>::try_from(octets) {
            Ok(octets) => IpAddr::from(octets),
            Err(_) => IpAddr::from(<[u8; 16]>::try_from(octets).expect("sixteen bytes")),
        };
        let port = 2 * width + 2 * place;
        (ip, u16::from_be_bytes([addresses[port], addresses[port + 1]]))
    };
    Some([read(0), read(1)])
}
