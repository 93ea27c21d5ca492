//! Configurations for tests.

/// The example of the repository, on these ports.
pub(crate) fn example_on(port: u16, backend_ports: &[u16]) -> String {
    let text = include_str!("../../../../../examples/load-balancing.yaml");
    let written = [8080, 9001, 9002, 9003, 9004];
    let used: Vec<u16> = std::iter::once(port)
        .chain(backend_ports.iter().copied())
        .collect();
    assert_eq!(used.len(), written.len());
    written
        .iter()
        .zip(used)
        .fold(text.to_owned(), |text, (written, used)| {
            let line = format!("port: {written}\n");
            assert_eq!(
                text.matches(&line).count(),
                1,
                "{line:?} stands in the example once"
            );
            text.replace(&line, &format!("port: {used}\n"))
        })
}

/// A Gateway on `port`, and a Service `backend` with port 3000 over these loopback ports. Routes are to be added.
pub(crate) fn gateway_and_service(port: u16, backend_ports: &[u16]) -> String {
    gateway(port) + &endpoints(backend_ports)
}

/// One route, `only`, to the Service `backend`.
pub(crate) const ROUTE: &str = "\
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: only, namespace: default}
spec:
  parentRefs: [{name: eg}]
  rules: [{backendRefs: [{name: backend, port: 3000}]}]
";

/// A BackendTrafficPolicy over [`ROUTE`] with this field in its `spec`, or with several, each on a line of its own.
pub(crate) fn route_policy(name: &str, fields: &str) -> String {
    let fields = fields.replace('\n', "\n  ");
    format!(
        "\
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata: {{name: {name}, namespace: default}}
spec:
  targetRefs: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: only}}]
  {fields}
"
    )
}

/// A Gateway on `port`, and a Service `backend` with port 3000 and no endpoints.
pub(crate) fn gateway(port: u16) -> String {
    format!(
        "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: eg, namespace: default}}
spec:
  gatewayClassName: eg
  addresses: [{{type: IPAddress, value: 127.0.0.1}}]
  listeners:
    - {{name: http, protocol: HTTP, port: {port}}}
---
apiVersion: v1
kind: Service
metadata: {{name: backend, namespace: default}}
spec:
  ports: [{{name: http, port: 3000, targetPort: http}}]
"
    )
}

/// Endpoints of the Service `backend` on these loopback ports.
pub(crate) fn endpoints(backend_ports: &[u16]) -> String {
    let mut text = String::new();
    for (index, backend_port) in backend_ports.iter().enumerate() {
        text.push_str(&format!(
            "\
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: backend-{index}, namespace: default, labels: {{kubernetes.io/service-name: backend}}}}
addressType: IPv4
ports: [{{name: http, port: {backend_port}}}]
endpoints: [{{addresses: [127.0.0.1], conditions: {{ready: true}}}}]
"
        ));
    }
    text
}

/// HTTPRoutes to the Service `backend`, one for each of weir's `loadBalancer` blocks and under the path of its index:
/// `/0`, `/1` and so on.
pub(crate) fn balanced_routes(load_balancers: &[&str]) -> String {
    let mut text = String::new();
    for (index, load_balancer) in load_balancers.iter().enumerate() {
        text.push_str(&format!(
            "\
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: route-{index}, namespace: default}}
spec:
  parentRefs: [{{name: eg}}]
  rules:
    - matches: [{{path: {{type: PathPrefix, value: /{index}}}}}]
      backendRefs: [{{name: backend, port: 3000}}]
---
apiVersion: weir.dev/v1alpha1
kind: TrafficPolicy
metadata: {{name: policy-{index}, namespace: default}}
spec:
  targetRefs: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: route-{index}}}]
  loadBalancer: {load_balancer}
"
        ));
    }
    text
}
