//! The configuration of the demonstration: `examples/load-balancing.yaml` with the ports at hand.

use std::fmt::Write as _;

/// The host that the example's routes serve.
pub(crate) const HOST: &str = "www.example.com";
/// The gateway's port in the example.
pub(crate) const GATEWAY_PORT: u16 = 8080;
/// The backends' ports in the example.
pub(crate) const BACKEND_PORTS: [u16; 4] = [9001, 9002, 9003, 9004];

const TEXT: &str = include_str!("../../../../examples/load-balancing.yaml");

/// The example on certain ports.
#[derive(Clone, Debug)]
pub(crate) struct Example {
    gateway_port: u16,
    backend_ports: [u16; 4],
}

/// One route of the example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExampleRoute {
    /// The path prefix it serves.
    pub(crate) path: &'static str,
    /// Key of its only rule in the data plane.
    pub(crate) rule_key: &'static str,
    /// What its policy does, in a few words.
    pub(crate) policy: &'static str,
    /// Flags of `curl` that show it, before the URL.
    curl: &'static str,
}

impl Example {
    /// In the order of the page it follows.
    pub(crate) const ROUTES: [ExampleRoute; 7] = [
        ExampleRoute {
            path: "/round",
            rule_key: "httproute/default/round-robin-route/rule/0",
            policy: "each backend in turn",
            curl: "",
        },
        ExampleRoute {
            path: "/random",
            rule_key: "httproute/default/random-route/rule/0",
            policy: "an independent draw",
            curl: "",
        },
        ExampleRoute {
            path: "/least",
            rule_key: "httproute/default/least-request-route/rule/0",
            policy: "fewest requests in flight",
            curl: "",
        },
        ExampleRoute {
            path: "/source",
            rule_key: "httproute/default/source-ip-route/rule/0",
            policy: "by the client's address",
            curl: "",
        },
        ExampleRoute {
            path: "/header",
            rule_key: "httproute/default/header-route/rule/0",
            policy: "by the header FooBar",
            curl: "-H 'FooBar: 1.2.3.4' ",
        },
        ExampleRoute {
            path: "/cookie",
            rule_key: "httproute/default/cookie-route/rule/0",
            policy: "by the cookie FooBar; without one, one is set",
            curl: "--cookie 'FooBar=1.2.3.4' ",
        },
        ExampleRoute {
            path: "/endpoint-override-header",
            rule_key: "httproute/default/endpoint-override-header-route/rule/0",
            policy: "the backend that x-custom-host names, else each in turn",
            curl: "-H 'x-custom-host: 127.0.0.1:BACKEND' ",
        },
    ];

    /// The example with these ports instead of its own.
    pub(crate) fn new(gateway_port: u16, backend_ports: [u16; 4]) -> Self {
        Self {
            gateway_port,
            backend_ports,
        }
    }

    /// The configuration, as a file would hold it.
    pub(crate) fn text(&self) -> String {
        let mut ports = vec![(GATEWAY_PORT, self.gateway_port)];
        ports.extend(BACKEND_PORTS.into_iter().zip(self.backend_ports));
        let lines = TEXT.lines().map(|line| {
            let port = line
                .trim_start()
                .strip_prefix("port: ")
                .and_then(|port| port.parse::<u16>().ok());
            match ports.iter().find(|(written, _)| Some(*written) == port) {
                Some((written, used)) => line.replace(&written.to_string(), &used.to_string()),
                None => line.to_owned(),
            }
        });
        lines.fold(String::with_capacity(TEXT.len()), |text, line| {
            text + &line + "\n"
        })
    }

    /// What each route does, and a command line that shows it and can be pasted into a shell.
    pub(crate) fn curl_lines(&self) -> String {
        let mut text = String::new();
        for route in Self::ROUTES {
            let flags = route.curl.replace("BACKEND", &self.backend_ports[0].to_string());
            let (port, path, policy) = (self.gateway_port, route.path, route.policy);
            // Writing into a string cannot fail.
            let _written = writeln!(
                text,
                "  {policy}\n    curl -s -H 'Host: {HOST}' {flags}http://127.0.0.1:{port}{path}"
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_port_of_the_example_is_replaced_and_nothing_else() {
        assert_eq!(Example::new(GATEWAY_PORT, BACKEND_PORTS).text(), TEXT);
        let text = Example::new(40_000, [40_001, 40_002, 40_003, 40_004]).text();
        let changed: Vec<_> = text
            .lines()
            .zip(TEXT.lines())
            .filter(|(new, old)| new != old)
            .map(|(new, _)| new.trim())
            .collect();
        assert_eq!(
            changed,
            [
                "port: 40000",
                "port: 40001",
                "port: 40002",
                "port: 40003",
                "port: 40004"
            ]
        );
    }

    #[test]
    fn every_route_of_the_list_is_in_the_example() {
        for route in Example::ROUTES {
            assert!(TEXT.contains(&format!("value: {}\n", route.path)), "{route:?}");
            let name = route.rule_key.split('/').nth(2).expect("a name");
            assert!(TEXT.contains(&format!("\n  name: {name}\n")), "{route:?}");
        }
        assert_eq!(TEXT.matches("\nkind: HTTPRoute\n").count(), Example::ROUTES.len());
    }
}
