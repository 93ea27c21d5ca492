//! The configuration that the flags of `weir proxy` mean, written out. It is loaded like any other, so that the
//! flags can do nothing that a file cannot, and `--print-config` shows a file to go on from.

use std::fmt::Write as _;
use std::net::SocketAddr;

use crate::value::{Balance, Target};

/// What the flags say.
#[derive(Clone, Debug)]
pub(crate) struct ProxyText<'a> {
    /// Where to listen.
    pub(crate) from: SocketAddr,
    /// Where to send; not empty.
    pub(crate) to: &'a [Target],
    /// How requests are spread.
    pub(crate) balance: &'a Balance,
    /// Number of proxies in front.
    pub(crate) trusted_hops: Option<u32>,
    /// Addresses of the proxies in front.
    pub(crate) trusted_cidrs: &'a [String],
}

impl ProxyText<'_> {
    /// The configuration as YAML documents.
    pub(crate) fn text(&self) -> String {
        let mut out = self.gateway();
        let mut references = String::new();
        // Envoy Gateway's Backend holds names or addresses, never both.
        let is_name = |target: &&Target| matches!(target, Target::Name(..));
        let (names, addresses): (Vec<_>, Vec<_>) = self.to.iter().partition(is_name);
        for (object, targets) in [("to-addresses", addresses), ("to-names", names)] {
            if !targets.is_empty() {
                out.push_str(&backend(object, &targets));
                let weight = targets.len();
                // Writing into a string cannot fail.
                let _written = write!(
                    references,
                    "        - group: gateway.envoyproxy.io\n          kind: Backend\n          name: {object}\n          \
                     weight: {weight}\n"
                );
            }
        }
        let _written = write!(
            out,
            "\
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: all
  namespace: default
spec:
  parentRefs:
    - name: proxy
  rules:
    - backendRefs:
{references}---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata:
  name: all
  namespace: default
spec:
  targetRefs:
    - group: gateway.networking.k8s.io
      kind: HTTPRoute
      name: all
  loadBalancer:
{}",
            load_balancer(self.balance)
        );
        out + &self.client_policy()
    }

    fn gateway(&self) -> String {
        let (address, port) = (self.from.ip(), self.from.port());
        let addresses = match address.is_unspecified() && address.is_ipv4() {
            true => String::new(),
            false => format!(
                "  addresses:\n    - type: IPAddress\n      value: {}\n",
                quoted(&address.to_string())
            ),
        };
        format!(
            "\
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata:
  name: weir
spec:
  controllerName: weir.dev/gateway-controller
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: proxy
  namespace: default
spec:
  gatewayClassName: weir
{addresses}  listeners:
    - name: http
      protocol: HTTP
      port: {port}
"
        )
    }

    fn client_policy(&self) -> String {
        let detection = match (self.trusted_hops, self.trusted_cidrs) {
            (Some(hops), _) => format!("      numTrustedHops: {hops}\n"),
            (None, []) => return String::new(),
            (None, cidrs) => {
                let items: String = cidrs
                    .iter()
                    .map(|cidr| format!("        - {}\n", quoted(cidr)))
                    .collect();
                format!("      trustedCIDRs:\n{items}")
            }
        };
        format!(
            "\
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: ClientTrafficPolicy
metadata:
  name: proxy
  namespace: default
spec:
  targetRefs:
    - group: gateway.networking.k8s.io
      kind: Gateway
      name: proxy
  clientIPDetection:
    xForwardedFor:
{detection}"
        )
    }
}

fn backend(object: &str, targets: &[&Target]) -> String {
    let mut endpoints = String::new();
    for target in targets {
        let entry = match target {
            Target::Ip(address) => {
                let host = quoted(&address.ip().to_string());
                format!(
                    "    - ip:\n        address: {host}\n        port: {}\n",
                    address.port()
                )
            }
            Target::Name(name, port) => {
                format!(
                    "    - fqdn:\n        hostname: {}\n        port: {port}\n",
                    quoted(name)
                )
            }
            Target::Unix(path) => format!("    - unix:\n        path: {}\n", quoted(path)),
        };
        endpoints.push_str(&entry);
    }
    format!(
        "\
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata:
  name: {object}
  namespace: default
spec:
  endpoints:
{endpoints}"
    )
}

fn load_balancer(balance: &Balance) -> String {
    let hash = |kind: &str, rest: &str| {
        format!("    type: ConsistentHash\n    consistentHash:\n      type: {kind}\n{rest}")
    };
    match balance {
        Balance::Least => "    type: LeastRequest\n".to_owned(),
        Balance::RoundRobin => "    type: RoundRobin\n".to_owned(),
        Balance::Random => "    type: Random\n".to_owned(),
        Balance::HashSourceIp => hash("SourceIP", ""),
        Balance::HashHeader(name) => hash(
            "Header",
            &format!("      header:\n        name: {}\n", quoted(name)),
        ),
        // A session cookie for the whole site, so that a browser keeps its backend until it is closed.
        Balance::HashCookie(name) => hash(
            "Cookie",
            &format!(
                "      cookie:\n        name: {}\n        ttl: 0s\n        attributes:\n          Path: /\n          \
                 SameSite: Lax\n",
                quoted(name)
            ),
        ),
        Balance::HashQuery(name) => hash(
            "QueryParams",
            &format!("      queryParams:\n        - name: {}\n", quoted(name)),
        ),
    }
}

/// A YAML string in double quotes; JSON strings are YAML strings.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use weir_model::{Action, Algorithm, ClientIp, EndpointSource, Target as Destination};

    use super::*;
    use crate::config;
    use crate::value::{parse_balance, parse_target};

    #[test]
    fn op11_every_combination_of_flags_is_a_configuration_without_problems() {
        let mixed = [
            "10.0.0.7:9000",
            "[::1]:9000",
            "api.internal:80",
            "unix:/run/app.sock",
        ];
        for from in ["0.0.0.0:8080", "127.0.0.1:8080", "[::1]:8080", "[::]:8080"] {
            for lb in [
                "least",
                "rr",
                "random",
                "hash:source-ip",
                "hash:header=X-User",
                "hash:cookie=sid",
                "hash:query=q",
            ] {
                for (hops, cidrs) in [
                    (None, vec![]),
                    (Some(2), vec![]),
                    (None, vec!["10.0.0.0/8".to_owned()]),
                ] {
                    let to: Vec<_> = mixed.iter().map(|text| parse_target(text).expect(text)).collect();
                    let balance = parse_balance(lb).expect(lb);
                    let text = ProxyText {
                        from: from.parse().expect(from),
                        to: &to,
                        balance: &balance,
                        trusted_hops: hops,
                        trusted_cidrs: &cidrs,
                    }
                    .text();
                    let read = config::of_text("flags", &text);
                    assert_eq!(read.problems, [], "{from} {lb}:\n{text}");
                    let listener = &read.translation.config.listeners[0];
                    assert_eq!(listener.key.address.to_string(), from);
                    assert_eq!(
                        listener.client_ip == ClientIp::Peer,
                        hops.is_none() && cidrs.is_empty()
                    );
                }
            }
        }
    }

    #[test]
    fn op11_targets_share_the_requests_equally() {
        let to: Vec<_> = ["a:1", "10.0.0.1:2", "b:3", "c:4"]
            .iter()
            .map(|text| parse_target(text).expect(text))
            .collect();
        let balance = parse_balance("rr").expect("a policy");
        let from = "0.0.0.0:8080".parse().expect("an address");
        let text = ProxyText {
            from,
            to: &to,
            balance: &balance,
            trusted_hops: None,
            trusted_cidrs: &[],
        }
        .text();
        let config = config::of_text("flags", &text).translation.config;
        let Action::Forward(forward) = &config.routes[0].rules[0].action else {
            panic!("{config:?}")
        };
        assert_eq!(forward.balance.algorithm, Algorithm::RoundRobin);
        let shares: Vec<_> = forward
            .destinations
            .iter()
            .map(|destination| {
                let Destination::Backend(backend) = destination.target else {
                    panic!("{destination:?}")
                };
                let endpoints = match &config.backend(backend).endpoints {
                    EndpointSource::Static(endpoints) => endpoints.len(),
                    EndpointSource::Names(names) => names.len(),
                };
                (destination.weight.number(), endpoints)
            })
            .collect();
        assert_eq!(shares, [(1, 1), (3, 3)]);
    }
}
