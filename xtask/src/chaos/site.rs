//! Configurations: a Gateway, a Service and routes to it, to which a policy is added.

use std::fmt::Write as _;

/// A Gateway on `port`, the Service `shop` over these loopback ports, and the HTTPRoute `shop` to it.
pub(crate) fn shop(port: u16, backends: &[u16]) -> String {
    gateway(port) + &service(backends) + &route("shop", "/")
}

/// A Gateway on `port`.
pub(crate) fn gateway(port: u16) -> String {
    format!(
        "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: chaos}}
spec:
  gatewayClassName: weir
  addresses: [{{type: IPAddress, value: 127.0.0.1}}]
  listeners:
  - {{name: http, protocol: HTTP, port: {port}}}
"
    )
}

/// The Service `shop` over these loopback ports.
pub(crate) fn service(backends: &[u16]) -> String {
    let mut text = "\
---
apiVersion: v1
kind: Service
metadata: {name: shop}
spec:
  ports: [{name: http, port: 80, targetPort: http}]
"
    .to_owned();
    for port in backends {
        // Writing into a string cannot fail.
        let _written = write!(
            text,
            "\
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: shop-{port}, labels: {{kubernetes.io/service-name: shop}}}}
addressType: IPv4
ports: [{{name: http, port: {port}}}]
endpoints: [{{addresses: [127.0.0.1], conditions: {{ready: true}}}}]
"
        );
    }
    text
}

/// An HTTPRoute to the Service `shop` under a path.
pub(crate) fn route(name: &str, path: &str) -> String {
    format!(
        "\
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}}}
spec:
  parentRefs: [{{name: chaos}}]
  rules:
  - matches: [{{path: {{type: PathPrefix, value: {path}}}}}]
    backendRefs: [{{name: shop, port: 80}}]
"
    )
}

/// weir's own TrafficPolicy on an HTTPRoute, with this specification beside its target.
pub(crate) fn traffic_policy(route: &str, spec: &str) -> String {
    format!(
        "\
---
apiVersion: weir.dev/v1alpha1
kind: TrafficPolicy
metadata: {{name: {route}}}
spec:
  targetRefs: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: {route}}}]
  {spec}
"
    )
}
