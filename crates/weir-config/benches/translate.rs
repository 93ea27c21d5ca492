//! Time to translate 10,000 HTTPRoutes, and to follow a change of endpoints:
//! `cargo bench -p weir-config --bench translate`.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use weir_config::resource::ResourceSet;
use weir_config::translate::{Options, Translator, Update, translate};

const ROUTES: usize = 10_000;

const GATEWAY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: eg, namespace: shop}
spec:
  gatewayClassName: weir
  listeners:
    - {name: http, protocol: HTTP, port: 8080}
";

const POLICY: &str = "---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata: {name: all, namespace: shop}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: eg}]
  loadBalancer: {type: RoundRobin}
";

fn route(index: usize, services: usize) -> String {
    let (first, second) = (index % services, (index + 1) % services);
    format!(
        "---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: route-{index}, namespace: shop}}
spec:
  parentRefs: [{{name: eg}}]
  hostnames: [\"host-{index}.example.com\"]
  rules:
    - matches:
        - path: {{type: PathPrefix, value: /api/v{index}}}
          headers: [{{name: x-version, value: \"{index}\"}}]
      filters:
        - type: RequestHeaderModifier
          requestHeaderModifier: {{set: [{{name: x-route, value: route-{index}}}]}}
      backendRefs:
        - {{name: backend-{first}, port: 80, weight: 90}}
        - {{name: backend-{second}, port: 80, weight: 10}}
      timeouts: {{request: 10s}}
"
    )
}

fn service(index: usize, endpoints: usize) -> String {
    let mut text = format!(
        "---
apiVersion: v1
kind: Service
metadata: {{name: backend-{index}, namespace: shop}}
spec: {{ports: [{{name: http, port: 80, targetPort: 8080}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: backend-{index}-a, namespace: shop, labels: {{kubernetes.io/service-name: backend-{index}}}}}
addressType: IPv4
ports: [{{name: http, port: 8080}}]
endpoints:
"
    );
    for endpoint in 0..endpoints {
        let (high, low) = (endpoint / 250, endpoint % 250 + 1);
        writeln!(
            text,
            "  - {{addresses: [10.{}.{high}.{low}], conditions: {{ready: true}}}}",
            index % 250
        )
        .unwrap();
    }
    text
}

fn read(services: usize, endpoints: usize, policy: &str) -> ResourceSet {
    let mut files = vec![("gateway.yaml".to_string(), format!("{GATEWAY}{policy}"))];
    let mut text = String::new();
    (0..ROUTES).for_each(|index| text += &route(index, services));
    files.push(("routes.yaml".to_string(), text));
    for index in 0..services {
        files.push((format!("service-{index:05}.yaml"), service(index, endpoints)));
    }
    ResourceSet::from_texts(files.iter().map(|(name, text)| (name.as_str(), text.as_str())))
}

fn best<T>(name: &str, mut run: impl FnMut() -> T) -> T {
    let mut least = Duration::MAX;
    let mut last = None;
    for _ in 0..15 {
        let start = Instant::now();
        let result = run();
        least = least.min(start.elapsed());
        last = Some(result);
    }
    println!("{name:64} {:8.2} ms", least.as_secs_f64() * 1e3);
    last.unwrap()
}

fn main() {
    let options = Options::files();
    for (services, endpoints) in [(100, 100), (10_000, 1)] {
        for (words, policy) in [("no policy", ""), ("a policy", POLICY)] {
            let set = read(services, endpoints, policy);
            let name = format!("{ROUTES} routes, {services} Services of {endpoints}, {words}");
            let translation = best(&name, || translate(&set, &options));
            let config = &translation.config;
            assert_eq!(
                (config.routes.len(), config.backends.len()),
                (ROUTES, services),
                "{:?}",
                translation.problems.first()
            );
        }
    }
    follow_endpoints(100, 100);
    follow_endpoints(1, 10_000);
}

/// One endpoint of one Service comes and goes.
fn follow_endpoints(services: usize, endpoints: usize) {
    let before = read(services, endpoints, "");
    let mut translator = Translator::new(&before, Options::files());
    let mut smaller = before.clone();
    let other = ResourceSet::from_texts([("service-00000.yaml", &*service(0, endpoints - 1))]);
    let slice = |set: &ResourceSet| {
        set.objects
            .iter()
            .position(|placed| &*placed.resource.object.name == "backend-0-a")
    };
    let place = slice(&smaller).unwrap();
    std::sync::Arc::make_mut(&mut smaller.objects)[place] = other.objects[slice(&other).unwrap()].clone();
    let mut turn = 0;
    let name = format!("{ROUTES} routes, {services} Services of {endpoints}: an endpoint comes or goes");
    best(&name, || {
        turn += 1;
        let set = if turn % 2 == 1 { &smaller } else { &before };
        assert!(matches!(translator.update(set), Update::Endpoints(changes) if changes.len() == 1));
    });
    translator.update(&before);
    turn = 0;
    let mut renamed = before.clone();
    std::sync::Arc::make_mut(&mut renamed.objects).remove(1);
    best(
        &format!("{ROUTES} routes, {services} Services of {endpoints}: a route comes or goes"),
        || {
            turn += 1;
            let set = if turn % 2 == 1 { &renamed } else { &before };
            assert!(matches!(translator.update(set), Update::Config));
        },
    );
}
