//! A large configuration for weir, written as files, and the changes to it.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// Routes per file.
const ROUTES_PER_FILE: u32 = 100;

/// A directory that weir watches.
pub(crate) struct Routes {
    directory: PathBuf,
    port: u16,
    backend_port: u16,
    count: u32,
    /// The version of all routes that no change of one route has touched.
    version: u32,
}

impl Routes {
    /// Writes a gateway on `port`, `count` routes `/r/NUMBER` to a backend that stays, and the route `/moving`
    /// to one whose endpoint moves.
    pub(crate) fn write(directory: &Path, port: u16, backend_port: u16, count: u32) -> Result<Self, String> {
        let _ = fs::remove_dir_all(directory);
        fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        let mut routes = Self {
            directory: directory.to_owned(),
            port,
            backend_port,
            count,
            version: 0,
        };
        routes.replace("gateway.yaml", &routes.gateway())?;
        routes.move_endpoint(3)?;
        routes.change_all(0)?;
        Ok(routes)
    }

    /// Where the files are.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The number of the last route.
    pub(crate) fn last(&self) -> u32 {
        self.count.saturating_sub(1)
    }

    /// Makes `/r/0` answer with the header `X-Version: version`; the file holds 99 other routes.
    pub(crate) fn change_one(&self, version: u32) -> Result<(), String> {
        self.replace(&file_name(0), &self.file(0, version))
    }

    /// Makes all routes answer with the header `X-Version: version`.
    pub(crate) fn change_all(&mut self, version: u32) -> Result<(), String> {
        self.version = version;
        for file in 0..self.count.div_ceil(ROUTES_PER_FILE) {
            self.replace(&file_name(file), &self.file(file, version))?;
        }
        Ok(())
    }

    /// Moves the endpoint of `/moving` to 127.0.0.`host`.
    pub(crate) fn move_endpoint(&self, host: u8) -> Result<(), String> {
        self.replace("moving.yaml", &slice("moving", self.backend_port, &[host]))
    }

    fn gateway(&self) -> String {
        let mut text = format!(
            "apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: weir}}
spec: {{controllerName: weir.dev/gateway-controller}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: reload, namespace: default}}
spec:
  gatewayClassName: weir
  listeners:
    - {{name: http, protocol: HTTP, port: {}}}
---
",
            self.port
        );
        for name in ["steady", "moving"] {
            let _ = write!(
                text,
                "apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: default}}
spec:
  ports: [{{name: http, port: 80, targetPort: {}}}]
---
",
                self.backend_port
            );
        }
        text.push_str(&route("moving", "/moving", "moving", 0));
        text.push_str(&route("root", "/", "steady", 0));
        text.push_str(&slice("steady", self.backend_port, &[1, 2]));
        text
    }

    /// One file of routes: its first one with version `first`, the others with that of all.
    fn file(&self, file: u32, first: u32) -> String {
        let begin = file * ROUTES_PER_FILE;
        let end = (begin + ROUTES_PER_FILE).min(self.count);
        (begin..end)
            .map(|number| {
                let version = if number == begin { first } else { self.version };
                route(
                    &format!("route-{number}"),
                    &format!("/r/{number}"),
                    "steady",
                    version,
                )
            })
            .collect()
    }

    /// Writes beside the file and renames, as every careful program does.
    fn replace(&self, name: &str, text: &str) -> Result<(), String> {
        let path = self.directory.join(name);
        let beside = self.directory.join(format!(".{name}.new"));
        fs::write(&beside, text)
            .and_then(|()| fs::rename(&beside, &path))
            .map_err(|error| format!("{}: {error}", path.display()))
    }
}

fn file_name(file: u32) -> String {
    format!("routes-{file:04}.yaml")
}

fn route(name: &str, path: &str, backend: &str, version: u32) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}, namespace: default}}
spec:
  parentRefs: [{{name: reload}}]
  rules:
    - matches: [{{path: {{type: PathPrefix, value: {path}}}}}]
      filters:
        - type: ResponseHeaderModifier
          responseHeaderModifier:
            set: [{{name: X-Version, value: \"{version}\"}}]
      backendRefs: [{{name: {backend}, port: 80}}]
---
"
    )
}

fn slice(service: &str, port: u16, hosts: &[u8]) -> String {
    let endpoints: String = hosts
        .iter()
        .map(|host| format!("  - {{addresses: [127.0.0.{host}], conditions: {{ready: true}}}}\n"))
        .collect();
    format!(
        "apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: {service}-1
  namespace: default
  labels: {{kubernetes.io/service-name: {service}}}
addressType: IPv4
ports: [{{name: http, port: {port}, protocol: TCP}}]
endpoints:
{endpoints}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_change_changes_one_route_of_one_file() {
        let directory = std::env::temp_dir().join(format!("weir-routes-{}", std::process::id()));
        let mut routes = Routes::write(&directory, 1, 2, 250).expect("files");
        let read = |name: &str| fs::read_to_string(directory.join(name)).expect(name);
        let (first, last) = (read("routes-0000.yaml"), read("routes-0002.yaml"));
        assert_eq!(last.matches("kind: HTTPRoute").count(), 50);
        routes.change_one(7).expect("a change");
        assert_eq!(read("routes-0000.yaml").matches("value: \"7\"").count(), 1);
        assert_eq!(
            first
                .lines()
                .zip(read("routes-0000.yaml").lines())
                .filter(|(a, b)| a != b)
                .count(),
            1
        );
        assert_eq!(read("routes-0002.yaml"), last);
        routes.change_all(8).expect("a change");
        assert_eq!(read("routes-0002.yaml").matches("value: \"8\"").count(), 50);
        routes.move_endpoint(4).expect("a change");
        assert!(read("moving.yaml").contains("127.0.0.4"));
        fs::remove_dir_all(&directory).expect("the directory to go");
    }
}
