//! `weir proxy`.

use std::net::SocketAddr;

use crate::harness::{Backends, Folder, Process, Request, free_port, load, weir};

/// A running `weir proxy` over these backends, and where it listens.
fn start(backends: &Backends, flags: &[&str]) -> (Process, SocketAddr) {
    let from = format!("127.0.0.1:{}", free_port());
    let to: Vec<_> = backends
        .ports()
        .iter()
        .map(|port| format!("127.0.0.1:{port}"))
        .collect();
    let mut arguments = vec!["proxy", "--from", from.as_str()];
    for target in &to {
        arguments.extend(["--to", target]);
    }
    arguments.extend(flags);
    let process = Process::start(&arguments);
    process.stderr.wait_after(0, "generation 1 in force");
    (process, from.parse().expect("an address"))
}

#[test]
fn op11_proxy_balances_without_a_file() {
    let backends = Backends::start(2);
    let plain = Request {
        target: "/any",
        headers: &[],
    };
    let (_process, address) = start(&backends, &["--lb", "rr"]);
    assert_eq!(load(address, plain, 100, 10).counts(), [50, 50]);
    let (_process, address) = start(&backends, &["--lb", "hash:header=X-User"]);
    for user in ["1", "2", "3"] {
        let request = Request {
            target: "/any",
            headers: &[("x-user", user)],
        };
        assert_eq!(load(address, request, 20, 4).counts(), [20]);
    }
    let (mut process, address) = start(&backends, &[]);
    assert_eq!(load(address, plain, 100, 10).total(), 100);
    process.signal("TERM");
    assert_eq!(process.wait().code(), Some(0), "{}", process.stderr.text());
}

#[test]
fn op11_proxy_believes_the_proxies_it_is_told_to() {
    let backends = Backends::start(4);
    let by_client = |flags: &[&str]| {
        let mut all = vec!["--lb", "hash:source-ip"];
        all.extend(flags);
        let (_process, address) = start(&backends, &all);
        let mut pods = std::collections::BTreeSet::new();
        for client in 1..=20 {
            let forwarded = format!("10.0.0.{client}");
            let request = Request {
                target: "/",
                headers: &[("X-Forwarded-For", forwarded.as_str())],
            };
            let spread = load(address, request, 2, 1);
            assert_eq!(spread.pods(), 1, "{spread:?}");
            pods.extend(spread.0.into_keys());
        }
        pods.len()
    };
    assert_eq!(by_client(&[]), 1, "the header is not believed by default");
    assert!(by_client(&["--trusted-hops", "1"]) > 1);
    assert!(by_client(&["--trusted-cidr", "127.0.0.0/8"]) > 1);
}

#[test]
fn op11_the_printed_configuration_is_a_good_one() {
    let flags = [
        "proxy",
        "--from",
        ":8080",
        "--to",
        "10.0.0.7:80",
        "--to",
        "api.internal:80",
        "--print-config",
    ];
    let printed = weir(&flags, "");
    assert_eq!((printed.code, printed.stderr.as_str()), (Some(0), ""));
    let folder = Folder::new();
    let path = folder.write("weir.yaml", &printed.stdout);
    let checked = weir(&["check", path.to_str().expect("UTF-8")], "");
    assert_eq!(checked.code, Some(0), "{checked:?}");
    assert!(
        checked.stdout.ends_with(": 0 errors, 0 warnings (6 objects)\n"),
        "{}",
        checked.stdout
    );
}
