//! What a configuration may refer to and who serves it: ReferenceGrants, classes of Gateways, endpoints that are no IPv4
//! address (rows GA02, MC03; Gateway API `ReferenceGrant`, `GatewayClass`, Envoy Gateway `Backend`).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixListener;

use crate::harness::{Backends, Client, Folder, Gateway, answer_of, free_port, gateway, gateway_and_service};

/// A route of the namespace `default` with these rules.
fn route(rules: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: only, namespace: \
         default}}\nspec:\n  parentRefs: [{{name: eg}}]\n  rules:\n{rules}"
    )
}

/// A namespace with Services `one` and `two`, both over this port, and what it grants.
fn namespace(name: &str, backend_port: u16, from: &str, to: &str) -> String {
    let mut text = format!("---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n");
    for service in ["one", "two"] {
        text.push_str(&format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {service}, namespace: {name}}}\nspec: {{ports: \
             [{{name: http, port: 80}}]}}\n---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: \
             {service}, namespace: {name}, labels: {{kubernetes.io/service-name: {service}}}}}\naddressType: \
             IPv4\nports: [{{name: http, port: {backend_port}}}]\nendpoints: [{{addresses: [127.0.0.1]}}]\n"
        ));
    }
    if !from.is_empty() {
        text.push_str(&format!(
            "---\napiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\nmetadata: {{name: grant, \
             namespace: {name}}}\nspec: {{from: [{{{from}}}], to: [{{{to}}}]}}\n"
        ));
    }
    text
}

#[test]
fn mc03_a_grant_opens_what_it_names_and_nothing_else() {
    let (backends, port) = (Backends::start(1), free_port());
    let routes = "group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: default";
    let services = "group: '', kind: Service";
    let one = "group: '', kind: Service, name: one";
    let spaces = [
        // Name, who may refer, to what, whether Services `one` and `two` are served.
        ("named", routes, one, [200, 500]),
        ("open", routes, services, [200, 200]),
        (
            "other-space",
            "group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: open",
            services,
            [500, 500],
        ),
        (
            "other-kind",
            "group: gateway.networking.k8s.io, kind: GRPCRoute, namespace: default",
            services,
            [500, 500],
        ),
        (
            "other-group",
            "group: example.com, kind: HTTPRoute, namespace: default",
            services,
            [500, 500],
        ),
        ("other-target", routes, "group: '', kind: Secret", [500, 500]),
        ("closed", "", "", [500, 500]),
    ];
    let config = |withdrawn: &str| {
        let (mut text, mut rules) = (gateway_and_service(port, &[]), String::new());
        for (name, from, to, _) in &spaces {
            let from = if *name == withdrawn { "" } else { from };
            text.push_str(&namespace(name, backends.ports()[0], from, to));
            for service in ["one", "two"] {
                rules.push_str(&format!(
                    "  - {{matches: [{{path: {{value: /{name}/{service}}}}}], backendRefs: [{{name: {service}, namespace: \
                     {name}, port: 80}}]}}\n"
                ));
            }
        }
        text + &route(&rules)
    };
    let gateway = Gateway::start(port, &config(""));
    let check = |withdrawn: &str| {
        let mut client = Client::connect(gateway.address);
        for (name, _, _, expected) in &spaces {
            let found = ["one", "two"].map(|service| client.get(&format!("/{name}/{service}"), &[]).status);
            let expected = if *name == withdrawn { &[500, 500] } else { expected };
            assert_eq!(found, *expected, "{name}, without {withdrawn:?}");
        }
    };
    check("");
    // A grant that is withdrawn is missed by its own.
    gateway.rewrite(&config("open"), "generation 2 in force");
    check("open");
    gateway.rewrite(&config(""), "generation 3 in force");
    check("");
}

#[test]
fn ga02_gateways_of_this_controller_and_of_envoy_gateways_are_served() {
    let backends = Backends::start(1);
    for (controller, is_served) in [
        ("weir.dev/gateway-controller", true),
        ("gateway.envoyproxy.io/gatewayclass-controller", true),
        ("gateway.envoyproxy.io/gatewayclass", false),
        ("example.com/other", false),
    ] {
        let ports = [free_port(), free_port()];
        let rules = "  - {backendRefs: [{name: backend, port: 3000}]}\n";
        let both = "parentRefs: [{name: eg}, {name: second}]";
        let config = gateway_and_service(ports[0], &backends.ports())
            + &route(rules).replace("parentRefs: [{name: eg}]", both)
            + &format!(
                "\
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: classy}}
spec: {{controllerName: {controller}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: second, namespace: default}}
spec:
  gatewayClassName: classy
  addresses: [{{type: IPAddress, value: 127.0.0.1}}]
  listeners: [{{name: http, protocol: HTTP, port: {}}}]
",
                ports[1]
            );
        let gateway = Gateway::start(ports[0], &config);
        // The other Gateway is served in any case.
        assert_eq!(Client::connect(gateway.address).get("/", &[]).pod(), "backend-1");
        let second = std::net::SocketAddr::from(([127, 0, 0, 1], ports[1]));
        match is_served {
            true => assert_eq!(
                Client::connect(second).get("/", &[]).pod(),
                "backend-1",
                "{controller}"
            ),
            false => assert!(TcpStream::connect(second).is_err(), "{controller}"),
        }
    }
}

/// A Backend `app` with this endpoint, and a route to it.
fn backend(endpoint: &str) -> String {
    let rules = "  - {backendRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: app}]}\n";
    format!(
        "---\napiVersion: gateway.envoyproxy.io/v1alpha1\nkind: Backend\nmetadata: {{name: app, namespace: \
         default}}\nspec: {{endpoints: [{{{endpoint}}}]}}\n"
    ) + &route(rules)
}

#[test]
fn ga02_an_endpoint_may_be_a_unix_socket() {
    let (folder, port) = (Folder::new(), free_port());
    let path = folder.path().join("app.sock");
    let listener = UnixListener::bind(&path).expect("a socket");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let (mut room, mut seen) = ([0; 4096], Vec::new());
                while let Ok(length @ 1..) = stream.read(&mut room) {
                    seen.extend_from_slice(&room[..length]);
                    if seen.ends_with(b"\r\n\r\n") {
                        seen.clear();
                        stream
                            .write_all(&answer_of("in-a-file", 200, ""))
                            .expect("the gateway reads");
                    }
                }
            });
        }
    });
    let endpoint = format!("unix: {{path: {}}}", path.display());
    let gateway = Gateway::start(port, &(gateway(port) + &backend(&endpoint)));
    let mut client = Client::connect(gateway.address);
    for _ in 0..3 {
        assert_eq!(client.get("/", &[]).pod(), "in-a-file");
    }
}

#[test]
fn ga02_an_endpoint_may_be_an_ipv6_address() {
    let Some(backends) = Backends::start_v6() else {
        eprintln!("this machine has no IPv6 loopback: nothing to show");
        return;
    };
    let port = free_port();
    let endpoint = format!("ip: {{address: '::1', port: {}}}", backends.ports()[0]);
    let gateway = Gateway::start(port, &(gateway(port) + &backend(&endpoint)));
    assert_eq!(Client::connect(gateway.address).get("/", &[]).pod(), "backend-1");
    assert_eq!(backends.requests(), [1]);
}
