//! Equal settings for everybody.
//!
//! Two workers; keep-alive towards clients and a pool towards the backend, neither of which runs out during a
//! run; the same two endpoints in turn; X-Forwarded-For and X-Forwarded-Proto added; no access log, no metrics
//! where they can be switched off.

use std::fs;
use std::net::SocketAddrV4;
use std::path::Path;

use super::peer::Peer;

/// Where a proxy listens and what it forwards to.
pub(crate) struct Site<'a> {
    /// Where its files go.
    pub(crate) directory: &'a Path,
    /// Its port on 127.0.0.1.
    pub(crate) port: u16,
    /// The backend's port on 127.0.0.1 and on 127.0.0.2.
    pub(crate) backend_port: u16,
}

impl Site<'_> {
    /// Writes the peer's configuration and returns its command line.
    pub(crate) fn prepare(&self, peer: Peer, program: &Path) -> Result<Vec<String>, String> {
        let program = program.display().to_string();
        let line = match peer {
            Peer::Floor => format!(
                "{program} --listen 127.0.0.1:{} --to 127.0.0.1:{1},127.0.0.2:{1} --threads 2",
                self.port, self.backend_port
            ),
            Peer::Weir => {
                format!(
                    "{program} run -c {} --threads 2",
                    self.write("weir.yaml", &weir(self))?
                )
            }
            Peer::Nginx => format!(
                "{program} -e stderr -c {}",
                self.write("nginx.conf", &nginx(self))?
            ),
            Peer::Haproxy => format!("{program} -db -f {}", self.write("haproxy.cfg", &haproxy(self))?),
            Peer::Envoy => format!(
                "{program} --concurrency 2 --disable-hot-restart --log-level error -c {}",
                self.write("envoy.yaml", &envoy(self))?
            ),
            Peer::Caddy => format!(
                "env GOMAXPROCS=2 {program} run --adapter caddyfile --config {}",
                self.write("Caddyfile", &caddy(self))?
            ),
        };
        Ok(line.split(' ').map(str::to_owned).collect())
    }

    fn write(&self, name: &str, text: &str) -> Result<String, String> {
        let path = self.directory.join(name);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(path.display().to_string())
    }
}

/// Round robin, as everybody else has here; weir's own default would be least request.
fn weir(site: &Site<'_>) -> String {
    let Site {
        port, backend_port, ..
    } = site;
    format!(
        r#"apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: weir}}
spec: {{controllerName: weir.dev/gateway-controller}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: peers, namespace: default}}
spec:
  gatewayClassName: weir
  listeners:
    - {{name: http, protocol: HTTP, port: {port}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: peers, namespace: default}}
spec:
  parentRefs: [{{name: peers}}]
  rules:
    - matches: [{{path: {{type: PathPrefix, value: /}}}}]
      backendRefs: [{{name: backend, port: 80}}]
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata: {{name: peers, namespace: default}}
spec:
  targetRefs: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: peers}}]
  loadBalancer: {{type: RoundRobin}}
---
apiVersion: v1
kind: Service
metadata: {{name: backend, namespace: default}}
spec:
  ports: [{{name: http, port: 80, targetPort: {backend_port}}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: backend-1
  namespace: default
  labels: {{kubernetes.io/service-name: backend}}
addressType: IPv4
ports: [{{name: http, port: {backend_port}, protocol: TCP}}]
endpoints:
  - {{addresses: [127.0.0.1], conditions: {{ready: true}}}}
  - {{addresses: [127.0.0.2], conditions: {{ready: true}}}}
"#
    )
}

fn nginx(site: &Site<'_>) -> String {
    let Site {
        port,
        backend_port,
        directory,
    } = site;
    let directory = directory.display();
    format!(
        r#"daemon off;
worker_processes 2;
pid {directory}/nginx.pid;
error_log stderr error;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    client_body_temp_path {directory}/nginx-body;
    proxy_temp_path {directory}/nginx-proxy;
    fastcgi_temp_path {directory}/nginx-fastcgi;
    uwsgi_temp_path {directory}/nginx-uwsgi;
    scgi_temp_path {directory}/nginx-scgi;
    upstream backend {{
        server 127.0.0.1:{backend_port};
        server 127.0.0.2:{backend_port};
        keepalive 1024;
        keepalive_timeout 600s;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} reuseport;
        location / {{
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
        }}
    }}
}}
"#
    )
}

fn haproxy(site: &Site<'_>) -> String {
    let Site {
        port, backend_port, ..
    } = site;
    format!(
        "global
    nbthread 2
    maxconn 8000
    tune.pool-high-fd-ratio 90
    tune.pool-low-fd-ratio 90
defaults
    mode http
    timeout connect 10s
    timeout client 600s
    timeout server 600s
    timeout http-keep-alive 600s
    http-reuse always
    option forwardfor
frontend peers
    bind 127.0.0.1:{port} shards by-thread
    http-request set-header X-Forwarded-Proto http
    default_backend backend
backend backend
    balance roundrobin
    default-server pool-max-conn -1 pool-purge-delay 600s
    server first 127.0.0.1:{backend_port}
    server second 127.0.0.2:{backend_port}
"
    )
}

fn envoy(site: &Site<'_>) -> String {
    let endpoint = |host: u8| SocketAddrV4::new([127, 0, 0, host].into(), site.backend_port);
    envoy_with(site.port, "ROUND_ROBIN", &[endpoint(1), endpoint(2)])
}

/// Envoy's configuration for these endpoints, with a load-balancing policy.
pub(crate) fn envoy_with(port: u16, lb_policy: &str, endpoints: &[SocketAddrV4]) -> String {
    let endpoints: String = endpoints
        .iter()
        .map(|endpoint| {
            let (host, port) = (endpoint.ip(), endpoint.port());
            let address = format!("{{socket_address: {{address: {host}, port_value: {port}}}}}");
            format!("              - endpoint: {{address: {address}}}\n")
        })
        .collect();
    format!(
        r#"stats_config: {{stats_matcher: {{reject_all: true}}}}
static_resources:
  listeners:
    - name: peers
      address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
      enable_reuse_port: true
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: peers
                codec_type: HTTP1
                use_remote_address: true
                generate_request_id: false
                route_config:
                  virtual_hosts:
                    - name: all
                      domains: ["*"]
                      routes:
                        - match: {{prefix: /}}
                          route: {{cluster: backend, timeout: 15s}}
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
                      dynamic_stats: false
                      suppress_envoy_headers: true
  clusters:
    - name: backend
      type: STATIC
      connect_timeout: 10s
      lb_policy: {lb_policy}
      circuit_breakers:
        thresholds:
          - {{max_connections: 100000, max_pending_requests: 100000, max_requests: 100000}}
      load_assignment:
        cluster_name: backend
        endpoints:
          - lb_endpoints:
{endpoints}"#
    )
}

fn caddy(site: &Site<'_>) -> String {
    let Site {
        port, backend_port, ..
    } = site;
    format!(
        "{{
    admin off
    auto_https off
    persist_config off
    servers {{
        protocols h1
        timeouts {{
            idle 600s
        }}
    }}
}}
http://127.0.0.1:{port} {{
    bind 127.0.0.1
    reverse_proxy 127.0.0.1:{backend_port} 127.0.0.2:{backend_port} {{
        lb_policy round_robin
        transport http {{
            keepalive 600s
            keepalive_idle_conns 4096
            keepalive_idle_conns_per_host 2048
        }}
    }}
}}
"
    )
}
