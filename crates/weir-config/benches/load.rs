//! Time to read 10,000 HTTPRoutes: `cargo bench -p weir-config --bench load`.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use weir_config::resource::{Reader, ResourceSet};
use weir_config::source::FileSource;
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
    for files in [1, 100] {
        reload(files, bytes);
    }
}

/// Loads the routes from that many files, then again and again with one route changed in between.
fn reload(files: usize, bytes: usize) {
    let folder = std::env::temp_dir().join(format!("weir-load-{}-{files}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let per_file = ROUTES / files;
    let write = |file: usize, changed: Option<(usize, usize)>| {
        let weight = |index| {
            changed
                .filter(|(route, _)| *route == index)
                .map_or(90, |(_, weight)| weight)
        };
        let routes = file * per_file..(file + 1) * per_file;
        let text: String = routes.map(|index| route(index, weight(index))).collect();
        std::fs::write(folder.join(format!("{file:03}.yaml")), text).unwrap();
    };
    for file in 0..files {
        write(file, None);
    }
    best(&format!("load {files} files, first"), bytes, || {
        FileSource::new(vec![folder.clone()]).load()
    });
    let mut source = FileSource::new(vec![folder.clone()]);
    source.load();
    best(&format!("load {files} files, unchanged"), bytes, || {
        assert!(source.load().change.is_nothing());
    });
    let mut least = Duration::MAX;
    for weight in 0..7 {
        write(0, Some((per_file / 2, weight)));
        let start = Instant::now();
        assert_eq!(source.load().change.changed, 1);
        least = least.min(start.elapsed());
    }
    println!(
        "load {files} files, one changed         {:8.2} ms",
        least.as_secs_f64() * 1e3
    );
    std::fs::remove_dir_all(&folder).unwrap();
}
