//! A path is matched and forwarded in one spelling (reliability row 20): no spelling of a guarded path reaches what
//! stands beside the guard.

use super::stage::{Scripted, Site, once, statuses};
use crate::harness::{Gateway, free_port, gateway_and_service};

/// `/admin` goes to the Service `backend`, everything else to `open`.
fn guarded(guard: &Scripted, open: &Scripted) -> Site {
    let port = free_port();
    let config = gateway_and_service(port, &[guard.port()])
        + &format!(
            "\
---
apiVersion: v1
kind: Service
metadata: {{name: open, namespace: default}}
spec:
  ports: [{{name: http, port: 3000, targetPort: http}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: open, namespace: default, labels: {{kubernetes.io/service-name: open}}}}
addressType: IPv4
ports: [{{name: http, port: {}}}]
endpoints: [{{addresses: [127.0.0.1], conditions: {{ready: true}}}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: guard, namespace: default}}
spec:
  parentRefs: [{{name: eg}}]
  rules:
    - matches:
        - {{path: {{type: PathPrefix, value: /admin}}}}
        - {{path: {{type: Exact, value: /exact}}}}
        - {{path: {{type: RegularExpression, value: '/regex/[a-z]+'}}}}
      backendRefs: [{{name: backend, port: 3000}}]
    - matches: [{{path: {{type: PathPrefix, value: /}}}}]
      backendRefs: [{{name: open, port: 3000}}]
",
            open.port()
        );
    Gateway::start(port, &config).into()
}

fn ask(gateway: &Site, target: &str) -> u16 {
    let request = format!("GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    let (text, _) = once(gateway.address, request);
    match statuses(&text)[..] {
        [status] => status,
        _ => panic!("{target}: {text}"),
    }
}

#[test]
fn rl05_row20_every_spelling_of_a_guarded_path_meets_the_guard() {
    let (guard, open) = (Scripted::polite(), Scripted::polite());
    let gateway = guarded(&guard, &open);
    for (target, forwarded) in [
        ("/admin", "/admin"),
        ("/admin/", "/admin/"),
        ("/admin/x", "/admin/x"),
        ("/%61dmin", "/admin"),
        ("/%61%64%6d%69%6e", "/admin"),
        ("/%61%64%6D%69%6E/x", "/admin/x"),
        ("//admin", "/admin"),
        ("///admin//x", "/admin/x"),
        ("/./admin", "/admin"),
        ("/.//./admin", "/admin"),
        ("/x/../admin", "/admin"),
        ("/x/%2e%2e/admin", "/admin"),
        ("/x/.%2E/admin", "/admin"),
        ("/x/%2e./admin", "/admin"),
        ("/%2e/admin", "/admin"),
        ("/a/b/../../admin", "/admin"),
        ("/a/./../admin", "/admin"),
        ("/a//../admin", "/admin"),
        ("/a/..//admin", "/admin"),
        ("/admin/.", "/admin/"),
        ("/admin/x/..", "/admin/"),
        ("/admin/x/%2e%2e", "/admin/"),
        ("/admin?x=/../y", "/admin?x=/../y"),
        ("/admin?%2f%00", "/admin?%2f%00"),
        ("/admin?a?b", "/admin?a?b"),
        ("http://h/x/../admin", "/admin"),
        ("http://h//admin", "/admin"),
        ("/exact", "/exact"),
        ("/%65xact", "/exact"),
        ("//exact", "/exact"),
        ("/x/../exact", "/exact"),
        ("/regex/abc", "/regex/abc"),
        ("/regex//abc", "/regex/abc"),
        ("/regex/%61bc", "/regex/abc"),
        ("/admin/%c3%a9", "/admin/%C3%A9"),
        ("/admin/%c0%af", "/admin/%C0%AF"),
        ("/admin/a%20b", "/admin/a%20b"),
        ("/admin/a;b=c", "/admin/a;b=c"),
    ] {
        assert_eq!(ask(&gateway, target), 200, "{target}");
        assert_eq!(
            guard
                .received()
                .pop()
                .map(|found| found.target().to_owned())
                .as_deref(),
            Some(forwarded),
            "{target}"
        );
    }
    assert!(open.received().is_empty(), "{:?}", open.targets());
}

#[test]
fn rl05_row20_what_servers_read_differently_is_refused() {
    let (guard, open) = (Scripted::polite(), Scripted::polite());
    let gateway = guarded(&guard, &open);
    for target in [
        "/x/..%2fadmin",
        "/x%2f..%2fadmin",
        "/x/..%2Fadmin",
        "/..%5cadmin",
        "/x\\..\\admin",
        "/x/..\\admin",
        "/x/..%5Cadmin",
        "/admin%00",
        "/%00/admin",
        "/admin%2500/%00",
        "/..",
        "/../admin",
        "/../../admin",
        "/x/../../admin",
        "/%2e%2e/admin",
        "/.%2e/",
        "/..;/admin",
        "/x/..;/admin",
        "/x/..;a=b/admin",
        "/.;/admin",
        "/x/%2e%2e;/admin",
        "/%",
        "/%4",
        "/%zz",
        "/%u0061dmin",
        "/admin%",
        "/admin#x",
        "/ad\u{e9}min",
    ] {
        assert_eq!(ask(&gateway, target), 400, "{target}");
    }
    assert!(
        open.received().is_empty() && guard.received().is_empty(),
        "{:?} {:?}",
        open.targets(),
        guard.targets()
    );
}

#[test]
fn rl05_row20_other_paths_arrive_as_they_were_matched() {
    let (guard, open) = (Scripted::polite(), Scripted::polite());
    let gateway = guarded(&guard, &open);
    for (target, forwarded) in [
        ("/", "/"),
        ("//", "/"),
        ("/adminx", "/adminx"),
        ("/Admin", "/Admin"),
        ("/admin/../x", "/x"),
        ("/admin/%2e%2e/x", "/x"),
        ("/admin/../../x", ""),
        ("/x/...", "/x/..."),
        ("/x/.../y", "/x/.../y"),
        ("/.../", "/.../"),
        ("/x/.y", "/x/.y"),
        ("/x/..y", "/x/..y"),
        ("/exact/", "/exact/"),
        ("/regex/", "/regex/"),
        ("/x?", "/x?"),
        ("/?/admin", "/?/admin"),
        ("/x?%0d%0a", "/x?%0d%0a"),
        ("/%2561dmin", "/%2561dmin"),
        ("/x/%252e%252e/admin", "/x/%252e%252e/admin"),
        ("/x%3f/admin", "/x%3F/admin"),
        ("/x%23/admin", "/x%23/admin"),
        ("/%0d%0a", "/%0D%0A"),
        ("/\"<>|^`{}", "/\"<>|^`{}"),
        ("/'", "/'"),
    ] {
        if forwarded.is_empty() {
            assert_eq!(ask(&gateway, target), 400, "{target}");
            continue;
        }
        assert_eq!(ask(&gateway, target), 200, "{target}");
        assert_eq!(
            open.received()
                .pop()
                .map(|found| found.target().to_owned())
                .as_deref(),
            Some(forwarded),
            "{target}"
        );
    }
    assert!(guard.received().is_empty(), "{:?}", guard.targets());
}
