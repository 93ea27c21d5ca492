//! Endpoint override: the request names its endpoint in a header, `IP:PORT[,IP:PORT...]`, IPv6 in brackets.
//!
//! A name is only ever looked up among the endpoints that the rule has anyway ([`crate::Balancer`]), so that no
//! request can make weir connect to somewhere else (row EO07).

use std::net::SocketAddr;

use weir_model::EndpointOverride;

use crate::key::KeyView;

/// Headers that may name an endpoint (Envoy Gateway `endpointOverride.extractFrom`).
const HEADERS_MAX: usize = 10;

/// The values that name endpoints in a request, in the order in which they count.
#[derive(Clone, Copy, Debug)]
pub struct OverrideHosts<'a> {
    values: [&'a [u8]; HEADERS_MAX],
    length: usize,
}

impl<'a> OverrideHosts<'a> {
    /// The first value of each header that `spec` names. `None` when all are absent or blank, or when the peer is not
    /// trusted to name endpoints (row EO09): then the policy decides as usual, also under a strict override.
    pub fn find<V: KeyView + ?Sized>(spec: &EndpointOverride, view: &'a V) -> Option<Self> {
        let trusted =
            spec.trusted.is_empty() || spec.trusted.iter().any(|cidr| cidr.contains(view.peer().ip()));
        if !trusted {
            return None;
        }
        let mut found = Self {
            values: [&[]; HEADERS_MAX],
            length: 0,
        };
        for name in spec.headers.iter().take(HEADERS_MAX) {
            let mut first = None;
            view.header_values(name, &mut |value| {
                first.get_or_insert(value);
            });
            if let Some(value) = first.filter(|value| !value.trim_ascii().is_empty()) {
                found.values[found.length] = value;
                found.length += 1;
            }
        }
        (found.length > 0).then_some(found)
    }

    /// The addresses named, in order. What is not an address with a port is passed over.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.values[..self.length]
            .iter()
            .flat_map(|value| value.split(|byte| *byte == b','))
            .filter_map(|name| std::str::from_utf8(name.trim_ascii()).ok()?.parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use weir_model::{Algorithm, BalanceSpec, Cidr, EndpointAddress, EndpointCondition};

    use super::*;
    use crate::world::{Request, World, members, spec};
    use crate::{Balancer, NoPick, PickReason, Unavailable};

    const HEADER: &str = "x-custom-host";

    fn rule(headers: &[&str], strict: bool) -> EndpointOverride {
        EndpointOverride {
            headers: headers.iter().map(|name| (*name).into()).collect(),
            strict,
            trusted: Vec::new(),
            strip: false,
            report_header: None,
        }
    }

    fn overriding(rule: &EndpointOverride) -> BalanceSpec {
        BalanceSpec {
            endpoint_override: Some(rule.clone()),
            ..spec(Algorithm::RoundRobin)
        }
    }

    /// Round robin over 10.0.0.1 to 10.0.0.4, port 8080, and [2001:db8::5]:8080.
    fn five(rule: &EndpointOverride) -> Balancer {
        let mut five = members(&[1; 5]);
        five[4].endpoint.address = EndpointAddress::Tcp("[2001:db8::5]:8080".parse().expect("an address"));
        Balancer::new(&overriding(rule), five)
    }

    fn naming(value: &str) -> Request {
        Request::default().header(HEADER, value)
    }

    /// Index of the endpoint, and whether the override decided.
    fn pick(
        rule: &EndpointOverride,
        balancer: &Balancer,
        request: &Request,
        world: &mut World,
    ) -> Result<(u32, bool), NoPick> {
        let hosts = OverrideHosts::find(rule, request);
        let picked = world.pick_for(balancer, None, hosts.as_ref())?;
        Ok((picked.index, picked.reason == PickReason::Override))
    }

    #[test]
    fn eo01_eo02_eo05_values_and_what_they_name() {
        let rule = rule(&[HEADER], false);
        let balancer = five(&rule);
        for (value, named) in [
            ("10.0.0.3:8080", Some(2)),
            ("  10.0.0.3:8080\t", Some(2)),
            ("[2001:db8::5]:8080", Some(4)),
            ("[2001:0DB8:0::0005]:8080", Some(4)),
            ("[::ffff:10.0.0.2]:8080", Some(1)),
            ("10.0.0.9:8080,10.0.0.2:8080", Some(1)),
            ("abc , 10.0.0.4:8080", Some(3)),
            (",,10.0.0.1:8080,", Some(0)),
            ("192.168.1.100:3000", None),
            ("10.0.0.3", None),
            ("10.0.0.3:8081", None),
            ("2001:db8::5:8080", None),
            ("10.0.0.3:99999", None),
            ("10.0.0.3:8080x", None),
            ("localhost:8080", None),
            ("abc", None),
            ("", None),
            (" , ", None),
        ] {
            let mut world = World::new(0);
            let mut picks = Vec::new();
            for _ in 0..10 {
                let (index, by_override) = pick(&rule, &balancer, &naming(value), &mut world).expect(value);
                assert_eq!(by_override, named.is_some(), "{value}");
                picks.push(index);
            }
            match named {
                Some(index) => assert_eq!(picks, [index; 10], "{value}"),
                None => assert_eq!(picks, [0, 1, 2, 3, 4, 0, 1, 2, 3, 4], "{value}"),
            }
        }
    }

    #[test]
    fn eo03_without_the_header_the_policy_decides() {
        // A blank header names nothing either, so a strict override is not asked.
        let requests = [Request::default(), naming(""), naming(" ")];
        for strict in [false, true] {
            let rule = rule(&[HEADER], strict);
            let (balancer, mut world) = (five(&rule), World::new(0));
            let order: Vec<_> = (0..5)
                .map(|turn| pick(&rule, &balancer, &requests[turn % 3], &mut world))
                .collect();
            assert_eq!(order, (0..5).map(|index| Ok((index, false))).collect::<Vec<_>>());
        }
    }

    #[test]
    fn eo04_the_first_available_wins_and_a_retry_takes_the_next() {
        let rule = rule(&[HEADER], false);
        let (balancer, mut world) = (five(&rule), World::new(0));
        let request = naming("10.0.0.2:8080, 10.0.0.4:8080, 10.0.0.1:8080");
        for expected in [1, 3, 0] {
            assert_eq!(pick(&rule, &balancer, &request, &mut world), Ok((expected, true)));
            world.tried.push(expected);
        }
        // All named have been tried: the policy goes on among the others.
        assert!(matches!(
            pick(&rule, &balancer, &request, &mut world),
            Ok((2 | 4, false))
        ));
        world.tried.clear();
        balancer.members()[1].state.raise(Unavailable::Unhealthy);
        assert_eq!(pick(&rule, &balancer, &request, &mut world), Ok((3, true)));
    }

    #[test]
    fn eo06_headers_count_in_order_and_only_their_first_value() {
        let rule = rule(&["first", "second"], false);
        let (balancer, mut world) = (five(&rule), World::new(0));
        let both = Request::default()
            .header("second", "10.0.0.1:8080")
            .header("first", "10.0.0.4:8080");
        assert_eq!(pick(&rule, &balancer, &both, &mut world), Ok((3, true)));
        world.tried.push(3);
        assert_eq!(pick(&rule, &balancer, &both, &mut world), Ok((0, true)));
        world.tried.clear();
        let repeated = Request::default()
            .header("first", "abc")
            .header("first", "10.0.0.4:8080");
        assert_eq!(pick(&rule, &balancer, &repeated, &mut world), Ok((0, false)));
    }

    #[test]
    fn eo07_only_usable_members_can_be_named() {
        let rule = rule(&[HEADER], false);
        let mut four = members(&[1, 1, 0, 1]);
        four[1].endpoint.condition = EndpointCondition::Draining;
        let (balancer, mut world) = (Balancer::new(&overriding(&rule), four), World::new(0));
        balancer.members()[3].state.raise(Unavailable::Draining);
        for stranger in [
            "10.0.0.2:8080",
            "10.0.0.3:8080",
            "10.0.0.4:8080",
            "169.254.169.254:80",
            "127.0.0.1:8080",
        ] {
            assert_eq!(
                pick(&rule, &balancer, &naming(stranger), &mut world),
                Ok((0, false)),
                "{stranger}"
            );
        }
    }

    #[test]
    fn eo08_strict_means_no_fallback() {
        let rule = rule(&[HEADER], true);
        let (balancer, mut world) = (five(&rule), World::new(0));
        assert_eq!(
            pick(&rule, &balancer, &naming("10.0.0.2:8080"), &mut world),
            Ok((1, true))
        );
        for value in ["192.168.1.100:3000", "abc"] {
            assert_eq!(
                pick(&rule, &balancer, &naming(value), &mut world),
                Err(NoPick::Override),
                "{value}"
            );
        }
        world.tried.push(1);
        assert_eq!(
            pick(&rule, &balancer, &naming("10.0.0.2:8080"), &mut world),
            Err(NoPick::Override)
        );
    }

    #[test]
    fn eo09_only_trusted_peers_may_name_an_endpoint() {
        let trusted = vec![
            Cidr::parse("10.0.0.0/8").expect("a prefix"),
            Cidr::parse("::1").expect("a prefix"),
        ];
        let rule = EndpointOverride {
            trusted,
            ..rule(&[HEADER], true)
        };
        let (balancer, mut world) = (five(&rule), World::new(0));
        for (peer, by_override) in [("10.9.9.9:1", true), ("[::1]:1", true), ("192.168.0.1:1", false)] {
            // What the client says of its own address does not matter: the peer is asked.
            let request = Request {
                peer: peer.parse().expect("an address"),
                ..naming("10.0.0.4:8080")
            };
            let picked = pick(&rule, &balancer, &request, &mut world).map(|(_, by_override)| by_override);
            assert_eq!(picked, Ok(by_override), "{peer}");
        }
    }

    #[test]
    fn a_rule_without_override_ignores_the_header() {
        let rule = rule(&[HEADER], true);
        let balancer = Balancer::new(&spec(Algorithm::RoundRobin), members(&[1; 4]));
        assert_eq!(
            pick(&rule, &balancer, &naming("10.0.0.4:8080"), &mut World::new(0)),
            Ok((0, false))
        );
    }
}
