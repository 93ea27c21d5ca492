//! Tests of client addresses.

use super::*;

const PEER: &str = "10.0.0.1";

fn client(values: &[&str], rule: ClientRule<'_>) -> String {
    client_address(
        PEER.parse().unwrap(),
        values.iter().map(|value| value.as_bytes()),
        rule,
    )
    .to_string()
}

#[test]
fn row21_nothing_is_believed_by_default() {
    assert_eq!(client(&["1.1.1.1"], ClientRule::Peer), PEER);
    assert_eq!(client(&["1.1.1.1"], ClientRule::Hops(0)), PEER);
}

#[test]
fn row21_hops_are_counted_from_the_right() {
    let list: &[&str] = &["6.6.6.6, 1.1.1.1", "2.2.2.2 ,\t3.3.3.3"];
    for (values, hops, expected) in [
        (list, 1, "3.3.3.3"),
        (list, 2, "2.2.2.2"),
        (list, 3, "1.1.1.1"),
        (list, 4, "6.6.6.6"),
        (list, 5, PEER),
        (list, u32::MAX, PEER),
        (&[], 1, PEER),
        (&[""], 1, PEER),
        (&["1.1.1.1,"], 1, PEER),
        (&["1.1.1.1, unknown"], 1, PEER),
        (&["1.1.1.1, unknown"], 2, "1.1.1.1"),
        (&["1.1.1.1:5555"], 1, "1.1.1.1"),
        (&["[2001:db8::1]:5555"], 1, "2001:db8::1"),
        (&["[2001:db8::1]"], 1, "2001:db8::1"),
        (&["2001:DB8::1"], 1, "2001:db8::1"),
        (&["\"1.1.1.1\""], 1, "1.1.1.1"),
        (&["\"[2001:db8::1]:1\""], 1, "2001:db8::1"),
        (&["::ffff:1.1.1.1"], 1, "1.1.1.1"),
        (&["for=1.1.1.1"], 1, PEER),
        (&["1.1.1.1.1"], 1, PEER),
        (&["01.1.1.1"], 1, PEER),
        (&["1.1.1.1 2.2.2.2"], 1, PEER),
        (&["[1.1.1.1]"], 1, PEER),
        (&["2001:db8::1:99999:"], 1, PEER),
        (&["\u{e9}"], 1, PEER),
    ] {
        assert_eq!(
            client(values, ClientRule::Hops(hops)),
            expected,
            "{values:?} {hops}"
        );
    }
}

#[test]
fn row21_trusted_networks_are_walked_from_the_peer() {
    let inside = |address: IpAddr| address.to_string().starts_with("10.");
    let all = |_: IpAddr| true;
    for (values, is_trusted, expected) in [
        (
            &["1.1.1.1, 10.0.0.9"][..],
            &inside as &dyn Fn(IpAddr) -> bool,
            "1.1.1.1",
        ),
        (&["6.6.6.6, 1.1.1.1, 10.0.0.9"], &inside, "1.1.1.1"),
        (&["6.6.6.6, 1.1.1.1"], &inside, "1.1.1.1"),
        (&["6.6.6.6", "1.1.1.1", "10.0.0.9"], &inside, "1.1.1.1"),
        (&[], &inside, PEER),
        (&["10.0.0.8, 10.0.0.9"], &inside, "10.0.0.8"),
        (&["1.1.1.1, garbage, 10.0.0.9"], &inside, "10.0.0.9"),
        (&["1.1.1.1, garbage"], &inside, PEER),
        (&["1.1.1.1,"], &inside, PEER),
        (&["1.1.1.1, 2.2.2.2"], &all, "1.1.1.1"),
        (&["1.1.1.1"], &(|_: IpAddr| false), PEER),
    ] {
        assert_eq!(
            client(values, ClientRule::Trusted(is_trusted)),
            expected,
            "{values:?}"
        );
    }
}

#[test]
fn a_mapped_peer_is_an_ipv4_peer() {
    let peer = "::ffff:10.0.0.1".parse().unwrap();
    assert_eq!(
        client_address(peer, [].into_iter(), ClientRule::Peer).to_string(),
        PEER
    );
}

#[test]
fn appending() {
    for (values, peer, expected) in [
        (&[][..], "10.0.0.1", "x-forwarded-for: 10.0.0.1\r\n"),
        (
            &["1.1.1.1"],
            "255.100.99.0",
            "x-forwarded-for: 1.1.1.1, 255.100.99.0\r\n",
        ),
        (&["a, b", "", "c"], "::1", "x-forwarded-for: a, b, c, ::1\r\n"),
        (&[], "::ffff:1.2.3.4", "x-forwarded-for: 1.2.3.4\r\n"),
        (&[], "2001:db8::1", "x-forwarded-for: 2001:db8::1\r\n"),
    ] {
        let mut out = Vec::new();
        append(
            &mut out,
            values.iter().map(|value| value.as_bytes()),
            peer.parse().unwrap(),
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
    for octet in 0..=255u8 {
        let mut out = Vec::new();
        address_text(&mut out, [octet, 0, 1, octet].into());
        assert_eq!(String::from_utf8(out).unwrap(), format!("{octet}.0.1.{octet}"));
    }
}
