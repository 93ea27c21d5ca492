//! Session persistence from YAML through the binary (rows CH13 to CH15, BX15).

use std::collections::BTreeSet;

use crate::harness::{Backends, Client, Folder, Gateway, Response, free_port, gateway_and_service, weir};

/// A route with this rule, and further objects.
fn config(port: u16, backend_ports: &[u16], rule: &str, further: &str) -> String {
    gateway_and_service(port, backend_ports)
        + &format!(
            "\
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: shop, namespace: default}}
spec:
  parentRefs: [{{name: eg}}]
  rules: [{{backendRefs: [{{name: backend, port: 3000}}], {rule}}}]
{further}"
        )
}

/// A weir policy for that route.
fn policy(spec: &str) -> String {
    format!(
        "\
---
apiVersion: weir.dev/v1alpha1
kind: TrafficPolicy
metadata: {{name: shop, namespace: default}}
spec:
  targetRefs: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: shop}}]
  {spec}
"
    )
}

const BY_COOKIE: &str = "\
matches: [{path: {type: PathPrefix, value: /shop}}],
 sessionPersistence: {sessionName: Session-A, absoluteTimeout: 10s, cookieConfig: {lifetimeType: Permanent}}";

/// The cookie, as a client sends it back, and what follows it.
fn cookie(answer: &Response) -> (String, String) {
    let set = answer.header("set-cookie").expect("a cookie is set");
    let (pair, rest) = set.split_once("; ").expect("attributes");
    (pair.to_owned(), rest.to_owned())
}

fn is_at(gateway: &Gateway, header: (&str, &str), pod: &str) {
    let mut client = Client::connect(gateway.address);
    for _ in 0..10 {
        let answer = client.get("/shop/cart", &[header]);
        assert_eq!((answer.pod().as_str(), answer.header("set-cookie")), (pod, None));
    }
}

#[test]
fn ch13_a_session_is_kept_by_cookie_and_by_header() {
    let backends = Backends::start(4);
    let port = free_port();
    let gateway = Gateway::start(port, &config(port, &backends.ports(), BY_COOKIE, ""));
    gateway
        .process
        .stderr
        .wait_after(0, "sessions are lost at the next start");
    let mut pods = BTreeSet::new();
    for _ in 0..12 {
        let first = Client::connect(gateway.address).get("/shop", &[]);
        let (pair, rest) = cookie(&first);
        assert!(pair.starts_with("Session-A=\""), "{pair}");
        assert_eq!(rest, "Path=/shop; Max-Age=10; HttpOnly");
        is_at(&gateway, ("Cookie", &pair), &first.pod());
        pods.insert(first.pod());
    }
    assert!(pods.len() > 1, "{pods:?}");

    // A reload to a header: the warning is not said again, and sessions begin anew.
    let by_header = config(
        port,
        &backends.ports(),
        "sessionPersistence: {type: Header, sessionName: Session-A}",
        "",
    );
    gateway.rewrite(&by_header, " in force (");
    let first = Client::connect(gateway.address).get("/", &[]);
    let token = first.header("session-a").expect("a header").to_owned();
    is_at(&gateway, ("session-A", &token), &first.pod());
    let said = gateway.process.stderr.text();
    assert_eq!(said.matches("sessions are lost").count(), 1, "{said}");
}

#[test]
fn ch13_ch15_a_policy_gives_a_route_its_sessions() {
    let backends = Backends::start(4);
    let port = free_port();
    let sessions = "sessionPersistence: {mode: Balanced, absoluteTimeout: 1h, cookie: {name: websocket-route, \
                    lifetimeType: Permanent, attributes: {SameSite: Lax}}}";
    let gateway = Gateway::start(port, &config(port, &backends.ports()[..2], "", &policy(sessions)));
    let asked: Vec<_> = (0..60)
        .map(|_| Client::connect(gateway.address).get("/", &[]))
        .map(|answer| {
            let (pair, rest) = cookie(&answer);
            assert_eq!(rest, "Path=/; Max-Age=3600; SameSite=Lax; HttpOnly");
            is_at(&gateway, ("Cookie", &pair), &answer.pod());
            (pair, answer.pod())
        })
        .collect();
    gateway.rewrite(
        &config(port, &backends.ports(), "", &policy(sessions)),
        " in force (",
    );
    let mut client = Client::connect(gateway.address);
    let moved: Vec<String> = asked
        .iter()
        .map(|(pair, before)| (client.get("/", &[("Cookie", pair)]).pod(), before))
        .filter(|(after, before)| after != *before)
        .map(|(after, _)| after)
        .collect();
    // Half of 60, four deviations on either side.
    assert!((14..=46).contains(&moved.len()), "{moved:?}");
    assert!(
        moved.iter().all(|pod| pod == "backend-3" || pod == "backend-4"),
        "{moved:?}"
    );
}

#[test]
fn bx15_a_session_outlives_the_process_and_is_known_to_others_with_the_key() {
    let backends = Backends::start(4);
    let folder = Folder::new();
    let key = folder.write("key", "# made for this test\n0123456789abcdef0123456789abcdef\n");
    let flags = ["--session-key-file", key.to_str().expect("UTF-8")];
    let start = |flags: &[&str]| {
        let port = free_port();
        Gateway::start_with(port, &config(port, &backends.ports(), BY_COOKIE, ""), flags)
    };
    let (one, other) = (start(&flags), start(&flags));
    let asked: Vec<_> = (0..6)
        .map(|_| Client::connect(one.address).get("/shop", &[]))
        .map(|answer| (cookie(&answer).0, answer.pod()))
        .collect();
    for (pair, pod) in &asked {
        is_at(&other, ("Cookie", pair), pod);
    }
    drop((one, other));
    let again = start(&flags);
    for (pair, pod) in &asked {
        is_at(&again, ("Cookie", pair), pod);
    }
    let said = again.process.stderr.text();
    assert!(!said.contains("sessions are lost"), "{said}");
    let stranger = start(&[]);
    for (pair, _) in &asked {
        let answer = Client::connect(stranger.address).get("/shop", &[("Cookie", pair)]);
        assert_ne!(&cookie(&answer).0, pair);
    }
}

#[test]
fn ch13_sessions_over_a_service_with_its_own_affinity_are_refused() {
    let backends = Backends::start(1);
    let port = free_port();
    let sticky = |config: String| {
        let (before, after) = config
            .split_once("  ports: [{name: http, port: 3000")
            .expect("the Service");
        format!("{before}  sessionAffinity: ClientIP\n  ports: [{{name: http, port: 3000{after}")
    };
    let plain = sticky(config(port, &backends.ports(), "", ""));
    let gateway = Gateway::start(port, &plain);
    let said = gateway.process.stderr.text();
    assert!(
        said.contains("sessionAffinity of Service default/backend is not served"),
        "{said}"
    );
    assert_eq!(Client::connect(gateway.address).get("/", &[]).status, 200);
    let both = sticky(config(port, &backends.ports(), "sessionPersistence: {}", ""));
    gateway.rewrite(&both, " in force (");
    assert_eq!(Client::connect(gateway.address).get("/", &[]).status, 500);
    let said = gateway.process.stderr.text();
    let expected = "sessionPersistence does not go with the sessionAffinity of Service default/backend";
    assert!(said.contains(expected), "{said}");
    gateway.rewrite(
        &config(port, &backends.ports(), "sessionPersistence: {}", ""),
        " in force (",
    );
    assert_eq!(Client::connect(gateway.address).get("/", &[]).status, 200);
}

#[test]
fn bx15_a_bad_key_is_said_before_anything_is_served() {
    let folder = Folder::new();
    let short = folder.write("short", "secret\n");
    let empty = folder.write("empty", "\n# none\n");
    let config = folder.write("weir.yaml", &config(1, &[2], "", ""));
    for (path, part) in [
        (short.to_str().expect("UTF-8"), "a session key is too short"),
        (empty.to_str().expect("UTF-8"), "there is no session key"),
        ("/nowhere/key", "cannot read the session key"),
    ] {
        let config = config.to_str().expect("UTF-8");
        let finished = weir(&["run", "-c", config, "--session-key-file", path], "");
        assert_eq!(finished.code, Some(2), "{}", finished.stderr);
        assert!(finished.stderr.contains(part), "{}", finished.stderr);
        assert!(!finished.stderr.contains("listening"), "{}", finished.stderr);
    }
}
