//! `docs/names.md`, run: its policy is served as it stands, but for a time that would make a test wait, and what the page says
//! of lookups is looked at from both sides (row LB32).

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::docs::yaml_block;
use crate::harness::{Client, Gateway, NameServer, PATIENCE, Process, Says, free_port, gateway};

const PAGE: &str = "docs/names.md";
/// Response codes (RFC 1035 4.1.1): the server failed; no such name.
const SERVER_FAILURE: u8 = 2;
const NO_SUCH_NAME: u8 = 3;
/// Type of a question for IPv4 addresses.
const A: u16 = 1;

/// Backends at these addresses, all on one port, each named like its address.
fn echoes(addresses: &[&str]) -> (u16, Vec<Process>) {
    let port = free_port();
    let echo = |address: &&str| {
        let ip: IpAddr = address.parse().expect("an address");
        let listen = SocketAddr::new(ip, port).to_string();
        let process = Process::start(&["echo", "--listen", &listen, "--name", address]);
        process.stdout.wait_after(0, "echo: http");
        process
    };
    (port, addresses.iter().map(echo).collect())
}

/// What a name server is asked, and what it says.
#[derive(Clone)]
struct Words {
    said: Arc<Mutex<Says>>,
    asked: Arc<Mutex<Vec<(String, u16, Instant)>>>,
}

impl Words {
    fn new(says: Says) -> (Words, NameServer) {
        let words = Words {
            said: Arc::new(Mutex::new(says)),
            asked: Arc::default(),
        };
        let own = words.clone();
        let server = NameServer::start(move |name, kind| {
            let question = (name.to_owned(), kind, Instant::now());
            own.asked.lock().expect("not poisoned").push(question);
            own.said.lock().expect("not poisoned").clone()
        });
        (words, server)
    }

    fn say(&self, says: Says) {
        *self.said.lock().expect("not poisoned") = says;
    }

    /// When IPv4 addresses of the name were asked for.
    fn asked(&self, name: &str) -> Vec<Instant> {
        let asked = self.asked.lock().expect("not poisoned");
        let asked = asked.iter().filter(|(one, kind, _)| one == name && *kind == A);
        asked.map(|(_, _, at)| *at).collect()
    }

    /// Waits until they have been asked for so often.
    fn await_asked(&self, name: &str, times: usize) {
        let begun = Instant::now();
        while self.asked(name).len() < times {
            assert!(begun.elapsed() < PATIENCE, "{:?}", self.asked(name));
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

fn addresses(texts: &[&str], ttl: u32) -> Says {
    let parsed = texts.iter().map(|text| text.parse().expect(text)).collect();
    Says::Addresses(parsed, ttl)
}

/// A Backend of one name, and a route to it under a path; its policy is to be added.
fn route(route: &str, path: &str, host: &str, port: u16) -> String {
    format!(
        "\
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: {{name: {route}, namespace: default}}
spec: {{endpoints: [{{fqdn: {{hostname: {host}, port: {port}}}}}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {route}, namespace: default}}
spec:
  parentRefs: [{{name: eg}}]
  rules:
    - matches: [{{path: {{type: PathPrefix, value: {path}}}}}]
      backendRefs: [{{group: gateway.envoyproxy.io, kind: Backend, name: {route}}}]
"
    )
}

/// `shop`, whose backend is `api.test`, under the page's policy or none.
fn shop(port: u16, backend: u16, policy: &str) -> String {
    gateway(port) + &route("shop", "/", "api.test", backend) + "---\n" + policy
}

fn start(port: u16, config: &str, server: &NameServer) -> Gateway {
    Gateway::start_with(port, config, &["--name-server", &server.address.to_string()])
}

/// Who answers under a path.
fn pods(gateway: &Gateway, path: &str) -> BTreeSet<String> {
    let mut client = Client::connect(gateway.address);
    let answers = (0..12).map(|_| client.get(path, &[]));
    answers
        .map(|response| match response.status {
            200 => response.pod(),
            status => status.to_string(),
        })
        .collect()
}

/// Asks until exactly these answer.
fn await_pods(gateway: &Gateway, path: &str, expected: &[&str]) {
    let expected: BTreeSet<String> = expected.iter().map(|pod| (*pod).to_owned()).collect();
    let begun = Instant::now();
    loop {
        let found = pods(gateway, path);
        if found == expected {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{path}: {found:?}, not {expected:?}");
    }
}

#[test]
fn lb32_the_policy_of_the_page_refreshes_both_families_by_itself() {
    let (backend, _backends) = echoes(&["127.0.0.1", "127.0.0.2", "::1"]);
    let (words, server) = Words::new(addresses(&["127.0.0.1", "::1"], 3_600));
    let policy = yaml_block(PAGE, "dnsRefreshRate");
    assert_eq!(policy.matches("dnsRefreshRate: 10s").count(), 1);
    let policy = policy.replace("dnsRefreshRate: 10s", "dnsRefreshRate: 1s");
    let port = free_port();
    let gateway = start(port, &shop(port, backend, &policy), &server);
    await_pods(&gateway, "/", &["127.0.0.1", "::1"]);
    words.say(addresses(&["127.0.0.2", "::1"], 3_600));
    await_pods(&gateway, "/", &["127.0.0.2", "::1"]);
}

#[test]
fn lb32_each_family_is_what_the_page_says() {
    let (backend, _backends) = echoes(&["127.0.0.1", "::1"]);
    let server = NameServer::start(|name, _| match name {
        "both.test" => addresses(&["127.0.0.1", "::1"], 60),
        "four.test" => addresses(&["127.0.0.1"], 60),
        "six.test" => addresses(&["::1"], 60),
        _ => Says::Code(NO_SUCH_NAME),
    });
    let names = ["both.test", "four.test", "six.test"];
    let families: [(&str, [&[&str]; 3]); 6] = [
        ("lookupFamily: IPv4", [&["127.0.0.1"], &["127.0.0.1"], &["503"]]),
        ("lookupFamily: IPv6", [&["::1"], &["503"], &["::1"]]),
        (
            "lookupFamily: IPv4Preferred",
            [&["127.0.0.1"], &["127.0.0.1"], &["::1"]],
        ),
        (
            "lookupFamily: IPv6Preferred",
            [&["::1"], &["127.0.0.1"], &["::1"]],
        ),
        (
            "lookupFamily: IPv4AndIPv6",
            [&["127.0.0.1", "::1"], &["127.0.0.1"], &["::1"]],
        ),
        // The default.
        ("respectDnsTtl: true", [&["127.0.0.1"], &["127.0.0.1"], &["::1"]]),
    ];
    let port = free_port();
    let mut config = gateway(port);
    for (row, (family, _)) in families.iter().enumerate() {
        for (column, name) in names.iter().enumerate() {
            config += &route(
                &format!("r{row}{column}"),
                &format!("/{row}/{column}"),
                name,
                backend,
            );
            config += &format!(
                "\
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata: {{name: p{row}{column}, namespace: default}}
spec:
  targetRefs: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r{row}{column}}}]
  dns: {{{family}}}
"
            );
        }
    }
    let gateway = start(port, &config, &server);
    for (row, (_, expected)) in families.iter().enumerate() {
        for (column, expected) in expected.iter().enumerate() {
            await_pods(&gateway, &format!("/{row}/{column}"), expected);
        }
    }
}

#[test]
fn lb32_no_address_is_no_reason_not_to_start_and_no_failure_takes_one_away() {
    let (backend, _backends) = echoes(&["127.0.0.1"]);
    let (words, server) = Words::new(Says::Code(NO_SUCH_NAME));
    let port = free_port();
    let gateway = start(port, &shop(port, backend, ""), &server);
    let mut client = Client::connect(gateway.address);
    assert_eq!(client.get("/", &[]).status, 503);
    // Addresses that nobody can have are none, beside one that somebody has.
    words.say(addresses(
        &["0.0.0.0", "224.0.0.1", "255.255.255.255", "127.0.0.1"],
        1,
    ));
    await_pods(&gateway, "/", &["127.0.0.1"]);
    let log = &gateway.process.stderr;
    let before = log.count();
    for failure in [Says::Code(SERVER_FAILURE), Says::Garbage] {
        words.say(failure);
        let asked = words.asked("api.test").len();
        words.await_asked("api.test", asked + 3);
        assert_eq!(pods(&gateway, "/"), BTreeSet::from(["127.0.0.1".to_owned()]));
    }
    log.wait_after(before, "cannot resolve api.test");
    let said: Vec<String> = log.text().lines().skip(before).map(str::to_owned).collect();
    let complaints = said.iter().filter(|line| line.contains("cannot resolve")).count();
    assert!(complaints <= 2, "once for each cause: {said:?}");
}

#[test]
fn lb32_no_name_is_asked_for_more_than_once_a_second() {
    let (backend, _backends) = echoes(&["127.0.0.1"]);
    let (words, server) = Words::new(addresses(&["127.0.0.1"], 0));
    let port = free_port();
    let _gateway = start(port, &shop(port, backend, ""), &server);
    words.await_asked("api.test", 4);
    let asked = words.asked("api.test");
    for pair in asked.windows(2) {
        let between = pair[1] - pair[0];
        assert!(between > Duration::from_millis(900), "{between:?}");
        assert!(between < Duration::from_secs(5), "{between:?}");
    }
}

/// A name that the hosts file of this machine gives to the loopback address, if possible another than `localhost`, which needs
/// no file.
fn hosts_name() -> String {
    let file = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let mut names = file
        .lines()
        .filter_map(|line| line.split('#').next()?.trim().strip_prefix("127.0.0.1"))
        .flat_map(str::split_whitespace);
    let own = names.rfind(|name| !name.starts_with("localhost"));
    own.unwrap_or("localhost").to_owned()
}

#[test]
fn lb32_the_hosts_file_comes_first_and_an_address_is_not_looked_up() {
    let (backend, _backends) = echoes(&["127.0.0.1"]);
    let (words, server) = Words::new(addresses(&["127.0.0.1"], 60));
    let service = |name: &str, host: &str| {
        format!(
            "  - {{name: {name}, path_prefix: /{name}/, services: [{{name: s, url: \"http://{host}:{backend}\"}}]}}\n"
        )
    };
    let services = [
        ("file", &*hosts_name()),
        ("address", "127.0.0.1"),
        ("asked", "api.test"),
    ];
    let services: String = services.iter().map(|(name, host)| service(name, host)).collect();
    let port = free_port();
    let config = format!("server: {{port: {port}}}\ntenants:\n{services}");
    let gateway = start(port, &config, &server);
    for path in ["/file/", "/address/", "/asked/"] {
        await_pods(&gateway, path, &["127.0.0.1"]);
    }
    let asked = words.asked.lock().expect("not poisoned");
    assert!(asked.iter().all(|(name, ..)| name == "api.test"), "{asked:?}");
}

#[test]
fn lb32_another_name_server_is_asked_when_the_first_is_silent() {
    let (backend, _backends) = echoes(&["127.0.0.1"]);
    // Bound, and never read.
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let silent = socket.local_addr().expect("bound").to_string();
    let (_words, server) = Words::new(addresses(&["127.0.0.1"], 60));
    let server = server.address.to_string();
    let port = free_port();
    let flags = ["--name-server", &*silent, "--name-server", &*server];
    let gateway = Gateway::start_with(port, &shop(port, backend, ""), &flags);
    await_pods(&gateway, "/", &["127.0.0.1"]);
}
