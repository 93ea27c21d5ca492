//! Connections that begin with the client's address (Envoy Gateway `proxyProtocol`).

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use weir_model::{
    ActiveCheck, Cidr, ClientIp, ConnectionSpec, Filter, Fraction, HealthSpec, Mirror, Probe, ProxyProtocol,
    TcpProbe, UpstreamSpec,
};

use crate::harness::{Backend, Plan, Rig, eventually, read_request, respond};

/// Reads the header that every connection begins with, and answers requests with it.
fn backend() -> (Backend, Arc<Mutex<Vec<String>>>) {
    let headers: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&headers);
    let backend = Backend::scripted(move |_, stream| {
        let Some(header) = read_header(stream) else { return };
        log.lock().unwrap().push(header.clone());
        while read_request(stream).is_some() {
            let answer = respond(200, "", header.as_bytes());
            if stream.get_mut().write_all(&answer).is_err() {
                return;
            }
        }
    });
    (backend, headers)
}

/// A header of version 1, or one of version 2 written like that.
fn read_header(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut start = [0; 12];
    stream.read_exact(&mut start).ok()?;
    if start != *b"\r\n\r\n\0\r\nQUIT\n" {
        let mut line = start.to_vec();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).ok()?;
            line.push(byte[0]);
        }
        return Some(String::from_utf8(line).unwrap().trim_end().to_owned());
    }
    let mut rest = [0; 4];
    stream.read_exact(&mut rest).unwrap();
    let mut body = vec![0; usize::from(u16::from_be_bytes([rest[2], rest[3]]))];
    stream.read_exact(&mut body).unwrap();
    if rest == [0x20, 0, 0, 0] {
        return Some("LOCAL".to_owned());
    }
    assert_eq!(rest, [0x21, 0x11, 0, 12]);
    let ip = |bytes: &[u8]| bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(".");
    let port = |place| u16::from_be_bytes([body[place], body[place + 1]]);
    Some(format!(
        "V2 {} {} {} {}",
        ip(&body[..4]),
        ip(&body[4..8]),
        port(8),
        port(10)
    ))
}

fn spec(version: ProxyProtocol) -> Arc<UpstreamSpec> {
    Arc::new(UpstreamSpec {
        connection: ConnectionSpec {
            proxy_protocol: Some(version),
            ..ConnectionSpec::default()
        },
        ..UpstreamSpec::default()
    })
}

fn plan(address: SocketAddr, version: ProxyProtocol) -> Plan {
    Plan::to(&[address]).forward(|forward| forward.upstream = spec(version))
}

#[test]
fn an_endpoint_is_told_whose_connection_it_is_and_no_other_client_uses_it() {
    for (version, word) in [(ProxyProtocol::V1, "PROXY TCP4"), (ProxyProtocol::V2, "V2")] {
        let (backend, _) = backend();
        let rig = Rig::new(&plan(backend.address, version));
        let mut clients = [rig.client(), rig.client(), rig.client()];
        for _ in 0..3 {
            for client in &mut clients {
                let port = client.stream.local_addr().unwrap().port();
                let expected = format!("{word} 127.0.0.1 127.0.0.1 {port} {}", rig.address.port());
                assert_eq!(client.get("/").text(), expected);
            }
        }
        // Each client's own connection serves it again.
        assert_eq!(backend.connections(), 3);
    }
}

#[test]
fn the_address_told_is_the_one_that_the_listener_believes() {
    let (backend, _) = backend();
    let mut plan = plan(backend.address, ProxyProtocol::V1);
    plan.client_ip = ClientIp::TrustedCidrs(vec![Cidr::parse("127.0.0.0/8").unwrap()]);
    let rig = Rig::new(&plan);
    let mut client = rig.client();
    for (named, connections) in [("10.9.8.7", 1), ("10.9.8.7", 1), ("10.9.8.6", 2)] {
        client.send(&format!(
            "GET / HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: {named}\r\n\r\n"
        ));
        let expected = format!("PROXY TCP4 {named} 127.0.0.1 0 {}", rig.address.port());
        assert_eq!(client.response().text(), expected);
        assert_eq!(backend.connections(), connections);
    }
}

#[test]
fn routes_with_and_without_a_header_never_share_connections() {
    // The same endpoint twice: what one rule's connections begin with would be garbage to the other's.
    let plain = Backend::scripted(|_, stream| {
        let mut first = [0; 5];
        let is_proxied = stream.get_ref().peek(&mut first).unwrap() == 5 && first == *b"PROXY";
        if is_proxied {
            read_header(stream);
        }
        while read_request(stream).is_some() {
            let body = if is_proxied { "proxied" } else { "plain" };
            if stream
                .get_mut()
                .write_all(&respond(200, "", body.as_bytes()))
                .is_err()
            {
                return;
            }
        }
    });
    let mut plan = Plan::new();
    plan.backend("only", &[plain.address]);
    for prefix in ["/proxied", "/plain"] {
        plan.rules.push(crate::harness::prefix_rule(
            prefix,
            crate::harness::forward_to(&[0]),
        ));
        if prefix == "/proxied" {
            plan = plan.forward(|forward| forward.upstream = spec(ProxyProtocol::V1));
        }
    }
    let rig = Rig::new(&plan);
    let mut client = rig.client();
    for _ in 0..3 {
        assert_eq!(client.get("/proxied").text(), "proxied");
        assert_eq!(client.get("/plain").text(), "plain");
    }
    assert_eq!(plain.connections(), 2);
}

#[test]
fn probes_and_copies_have_their_header_too() {
    for (version, of_probe, of_client) in [
        (ProxyProtocol::V1, "PROXY UNKNOWN", "PROXY TCP4 127.0.0.1"),
        (ProxyProtocol::V2, "LOCAL", "V2 127.0.0.1"),
    ] {
        let (backend, headers) = backend();
        let (shadow, copies) = self::backend();
        let mut plan = plan(backend.address, version);
        let mirror = plan.backend("shadow", &[shadow.address]);
        plan.rules[0].filters.push(Filter::Mirror(Mirror {
            backend: mirror,
            fraction: Fraction::ALL,
        }));
        let plan = plan.forward(|forward| {
            let spec = Arc::make_mut(&mut forward.upstream);
            spec.health = HealthSpec {
                active: Some(Arc::new(ActiveCheck {
                    probe: Probe::Tcp(TcpProbe::default()),
                    ..ActiveCheck::default()
                })),
                ..HealthSpec::default()
            };
        });
        let rig = Rig::new(&plan);
        assert_eq!(rig.get("/").status, 200);
        let has = |headers: &Mutex<Vec<String>>, start: &str| {
            headers
                .lock()
                .unwrap()
                .iter()
                .any(|header| header.starts_with(start))
        };
        eventually("a probe came", || has(&headers, of_probe));
        eventually("the request came", || has(&headers, of_client));
        eventually("the copy came", || has(&copies, of_client));
    }
}
