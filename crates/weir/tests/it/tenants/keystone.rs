//! Files as keystone-gateway's versions have them, served unchanged but for the ports (row KT01).

use crate::harness::{Backends, Client, Gateway, free_port, head, weir};

/// Two services and a health interval: the first version.
const FIRST: &str = "\
tenants:
  - name: orders
    path_prefix: /orders/
    health_interval: 10
    services:
      - name: orders-blue
        url: http://localhost:1
        health: /healthz
      - name: orders-green
        url: http://localhost:2
        health: /healthz
  - name: stock
    path_prefix: /stock/
    services:
      - name: stock
        url: http://localhost:3
        health: /
";

/// Hosts, hosts with paths, and paths.
const HOSTS: &str = "\
admin_base_path: /admin
tenants:
  - name: portal
    domains:
      - portal.example.org
      - www.portal.example.org
    services:
      - {name: portal, url: 'http://localhost:1', health: /up}
  - name: partners
    domains: [partners.example.org]
    path_prefix: /v1/
    health_interval: 15
    services:
      - {name: partners, url: 'http://localhost:2', health: /up}
  - name: files
    path_prefix: /files/
    services:
      - {name: files, url: 'http://localhost:3', health: ''}
";

/// Every key of the file itself, with scripts that are switched on and none to run.
const DOCUMENTED: &str = "\
admin_base_path: \"/\"
lua_routing:
  enabled: true
  scripts_dir: ./scripts
  global_scripts: []
tls:
  enabled: false
  cert_file: ''
  key_file: ''
compression:
  enabled: true
  level: 6
  content_types:
    - text/html
    - text/css
    - application/json
tenants:
  - name: billing
    domains: [billing.example.org]
    services:
      - name: billing
        url: http://localhost:1/base
        health: /health
  - name: reports
    path_prefix: /reports/
    services:
      - name: reports
        url: http://localhost:2/base?from=gateway
        health: /health
";

/// Limits and a port of its own.
const LIMITS: &str = "\
server:
  port: 8080
request_limits:
  max_body_size: 10485760
  max_header_size: 1048576
  max_url_size: 8192
lua_routing:
  enabled: false
compression: {enabled: false}
tenants:
  - name: intake
    path_prefix: /intake/
    health_interval: 30
    services:
      - {name: intake, url: 'http://127.0.0.1:1', health: /ready}
";

/// The last form: middleware, metrics, routes of tenants.
const LAST: &str = "\
middleware:
  request_id: true
  real_ip: true
  logging: true
  recovery: true
  timeout: 10
  throttle: 100
metrics:
  enabled: false
  path: /metrics
lua_routing:
  enabled: false
  state_pool_size: 10
  module_paths: []
  module_cpaths: []
tenants:
  - name: people
    path_prefix: /people/
    services:
      - {name: directory, url: 'http://localhost:1', health: /health}
      - {name: photos, url: 'http://localhost:2', health: /health}
    routes:
      - {method: GET, pattern: '/{id}', backend: directory}
      - {method: GET, pattern: '/{id}/photo', backend: photos}
    route_groups:
      - pattern: /admin
        routes:
          - {method: POST, pattern: /import, backend: directory}
";

/// With the environment, as documented there.
const ENVIRONMENT: &str = "\
tenants:
  - name: search
    domains: [\"${SEARCH_DOMAIN_OF_NOBODY:-search.example.org}\", localhost]
    services:
      - name: search
        url: \"http://${SEARCH_HOST_OF_NOBODY:-127.0.0.1}:1\"
        health: /status
  - name: suggest
    path_prefix: /suggest/
    services:
      - {name: suggest, url: 'http://localhost:2', health: /status}
";

/// A request, and the number of the backend that gets it with this path.
type Case = (
    &'static str,
    &'static str,
    &'static str,
    &'static [u32],
    &'static str,
);

const FILES: [(&str, &[Case]); 6] = [
    (
        FIRST,
        &[
            ("GET", "a", "/orders/1", &[1, 2], "/1"),
            ("GET", "a", "/stock/", &[3], "/"),
        ],
    ),
    (
        HOSTS,
        &[
            ("GET", "www.portal.example.org", "/a", &[1], "/a"),
            ("GET", "partners.example.org", "/v1/a", &[2], "/a"),
            ("GET", "a", "/files/a", &[3], "/a"),
        ],
    ),
    (
        DOCUMENTED,
        &[
            ("GET", "billing.example.org", "/a", &[1], "/base/a"),
            ("GET", "a", "/reports/a?b=c", &[2], "/base/a?from=gateway&b=c"),
        ],
    ),
    (LIMITS, &[("POST", "a", "/intake/a", &[1], "/a")]),
    (
        LAST,
        &[
            ("GET", "a", "/people/7", &[1], "/7"),
            ("GET", "a", "/people/7/photo", &[2], "/7/photo"),
            ("POST", "a", "/people/admin/import", &[1], "/admin/import"),
        ],
    ),
    (
        ENVIRONMENT,
        &[
            ("GET", "search.example.org", "/a", &[1], "/a"),
            ("GET", "a", "/suggest/a", &[2], "/a"),
        ],
    ),
];

#[test]
fn kt01_files_of_keystone_are_served_unchanged() {
    let backends = Backends::start(3);
    for (file, cases) in FILES {
        let mut text = file.to_owned();
        for (number, port) in (1..).zip(backends.ports()) {
            for host in ["localhost:", "127.0.0.1:", "127.0.0.1}:"] {
                for end in ["'", "\"", "\n", "/base"] {
                    text = text.replace(&format!("{host}{number}{end}"), &format!("{host}{port}{end}"));
                }
            }
        }
        let finished = weir(&["check", "-o", "json", "-"], &text);
        let report: serde_json::Value = serde_json::from_str(&finished.stdout).expect("JSON");
        for problem in report["problems"].as_array().expect("a list") {
            // Notes say what else to write; nothing else is said.
            let code = problem["code"].as_str().expect("a code");
            assert!(code.starts_with('N'), "{problem:#}\n{text}");
        }
        let port = free_port();
        let gateway = Gateway::start_with(port, &text, &["--addr", &format!("127.0.0.1:{port}")]);
        let mut client = Client::connect(gateway.address);
        for (method, host, target, expected, path) in cases {
            client.send(head(method, target, &[("Host", host), ("Content-Length", "0")]));
            let response = client.response(method);
            let pod = response.pod();
            let is_expected = expected.iter().any(|number| pod == format!("backend-{number}"));
            assert!(is_expected, "{host} {target}: {pod}");
            assert_eq!(response.json()["path"], *path, "{host} {target}");
        }
    }
}
