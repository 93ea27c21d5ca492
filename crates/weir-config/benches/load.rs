//! Time to read 10,000 HTTPRoutes: `cargo bench -p weir-config --bench load`.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use weir_config::resource::{Reader, ResourceSet};
use weir_config::yaml::{Parser, sections};

const ROUTES: usize = 10_000;

fn route(index: usize, weight: usize) -> String {
    let (first, second) = (index % 100, (index + 1) % 100);
    format!(
        "---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: route-{index}
  namespace: shop
  labels:
    app: route-{index}
spec:
  parentRefs:
    - name: eg
  hostnames:
    - \"host-{index}.example.com\"
  rules:
    - matches:
        - path:
            type: PathPrefix
            value: /api/v{index}
          headers:
            - name: x-version
              value: \"{index}\"
      filters:
        - type: RequestHeaderModifier
          requestHeaderModifier:
            set:
              - name: x-route
                value: route-{index}
      backendRefs:
        - name: backend-{first}
          port: 3000
          weight: {weight}
        - name: backend-{second}
          port: 3000
          weight: 10
      timeouts:
        request: 10s
"
    )
}

fn best<T>(name: &str, bytes: usize, mut run: impl FnMut() -> T) {
    let mut least = Duration::MAX;
    for _ in 0..7 {
        let start = Instant::now();
        std::hint::black_box(run());
        least = least.min(start.elapsed());
    }
    let rate = bytes as f64 / 1e6 / least.as_secs_f64();
    println!("{name:32} {:8.2} ms {rate:8.1} MB/s", least.as_secs_f64() * 1e3);
}

fn main() {
    let mut text = String::new();
    for index in 0..ROUTES {
        write!(text, "{}", route(index, 90)).unwrap();
    }
    let bytes = text.len();
    best("cut into documents", bytes, || sections(&text).len());
    best("parse", bytes, || {
        let mut parser = Parser::new();
        sections(&text)
            .iter()
            .map(|section| parser.parse(section.text).findings.len())
            .sum::<usize>()
    });
    best("parse and decode", bytes, || {
        let mut reader = Reader::new();
        sections(&text)
            .iter()
            .map(|section| reader.read(section.text))
            .collect::<Vec<_>>()
    });
    best("parse, decode and assemble", bytes, || {
        ResourceSet::from_texts([("routes.yaml", &*text)])
    });
}
