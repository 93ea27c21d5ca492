//! Lookups against a name server that does what a test wants (row LB32).
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod name_server;

use std::net::IpAddr;
use std::time::Duration;

use name_server::{NO_SUCH_NAME, NameServer, Says};
use weir_model::LookupFamily;
use weir_net::{DnsResolver, Resolution, Resolve, ResolveError};

fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().expect(text)).collect()
}

fn look_up(server: &NameServer, name: &str, family: LookupFamily) -> Result<Resolution, ResolveError> {
    let resolver = DnsResolver::new(vec![server.address]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(resolver.resolve(name, family))
}

#[test]
fn lb32_families_are_asked_for_as_wanted() {
    let server = NameServer::start(|name, _| {
        Says::Addresses(
            match name {
                "four.test" => addresses(&["10.0.0.2", "10.0.0.1"]),
                "six.test" => addresses(&["2001:db8::1"]),
                _ => addresses(&["10.0.0.1", "2001:db8::1"]),
            },
            7,
        )
    });
    let (four, six, both): (&[&str], &[&str], &[&str]) =
        (&["10.0.0.1"], &["2001:db8::1"], &["10.0.0.1", "2001:db8::1"]);
    use LookupFamily::{Both, PreferV4, PreferV6, V4, V6};
    for (name, family, expected) in [
        ("four.test", V4, Some(&["10.0.0.1", "10.0.0.2"][..])),
        ("four.test", V6, None),
        ("four.test", PreferV6, Some(&["10.0.0.1", "10.0.0.2"])),
        ("six.test", V4, None),
        ("six.test", PreferV4, Some(six)),
        ("six.test", Both, Some(six)),
        ("both.test", V4, Some(four)),
        ("both.test", V6, Some(six)),
        ("both.test", PreferV4, Some(four)),
        ("both.test", PreferV6, Some(six)),
        ("both.test", Both, Some(both)),
    ] {
        let found = look_up(&server, name, family);
        match expected {
            None => assert_eq!(found, Err(ResolveError::Empty), "{name} {family:?}"),
            Some(expected) => {
                let found = found.expect(name);
                assert_eq!(found.bounded(9), addresses(expected), "{name} {family:?}");
                assert_eq!(found.ttl, Some(Duration::from_secs(7)), "{name} {family:?}");
            }
        }
    }
}

#[test]
fn lb32_an_answer_holds_as_long_as_its_shortest_part_and_is_not_remembered() {
    let mut count = 0;
    let server = NameServer::start(move |_, _| {
        count += 1;
        let found = format!("10.0.0.{count}");
        Says::Alias("target.test", 3, addresses(&[&found]), 3_600)
    });
    let resolver = DnsResolver::new(vec![server.address]);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        for expected in ["10.0.0.1", "10.0.0.2"] {
            let found = resolver.resolve("alias.test", LookupFamily::V4).await.unwrap();
            assert_eq!(found.addresses, addresses(&[expected]));
            assert_eq!(found.ttl, Some(Duration::from_secs(3)));
        }
    });
}

#[test]
fn lb32_failures_are_told_apart() {
    let server = NameServer::start(|name, _| match name {
        "unknown.test" => Says::Code(NO_SUCH_NAME),
        "broken.test" => Says::Code(2),
        "refused.test" => Says::Code(5),
        _ => Says::Garbage,
    });
    let of = |name| look_up(&server, name, LookupFamily::PreferV4).expect_err(name);
    assert_eq!(of("unknown.test"), ResolveError::Unknown);
    for name in ["broken.test", "refused.test", "garbage.test"] {
        assert!(
            matches!(of(name), ResolveError::Failed(_)),
            "{name}: {:?}",
            of(name)
        );
    }
}

#[test]
fn lb32_a_long_answer_comes_over_tcp_and_a_forged_one_is_not_taken() {
    let server = NameServer::start(|name, _| match name {
        "many.test" => Says::Addresses(
            (0..1_000u32)
                .map(|one| IpAddr::from((one + 0x0a00_0000).to_be_bytes()))
                .collect(),
            60,
        ),
        _ => Says::Forgery(addresses(&["10.6.6.6"])),
    });
    let found = look_up(&server, "many.test", LookupFamily::V4).expect("over TCP");
    assert_eq!((found.addresses.len(), found.bounded(256).len()), (1_000, 256));
    let forged = look_up(&server, "forged.test", LookupFamily::V4);
    assert!(matches!(forged, Err(ResolveError::Failed(_))), "{forged:?}");
}
