//! `weir demo`.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::Command;

use crate::harness::{Folder, Process, Request, free_port, load, weir};

/// A running demonstration on a port of its own, and where it listens.
fn start() -> (Process, SocketAddr) {
    let port = free_port();
    let demo = Process::start(&["demo", "--port", &port.to_string()]);
    demo.stdout.wait_after(0, "Ctrl-C stops.");
    (demo, SocketAddr::from(([127, 0, 0, 1], port)))
}

#[test]
fn the_demonstration_counts_what_is_sent_and_stops_cleanly() {
    let (mut demo, address) = start();
    let spread = load(
        address,
        Request {
            target: "/round",
            headers: &[],
        },
        40,
        4,
    );
    assert_eq!(spread.counts(), [10, 10, 10, 10]);
    demo.stdout.wait_after(
        0,
        "/round 40 requests: backend-1 10 25%, backend-2 10 25%, backend-3 10 25%, backend-4 10 25%, p50 ",
    );
    demo.signal("INT");
    assert_eq!(demo.wait().code(), Some(0), "{}", demo.stderr.text());
    assert!(
        demo.stdout.text().contains("stopping after 40 requests"),
        "{}",
        demo.stdout.text()
    );
    assert!(!demo.stdout.text().contains('\x1b'), "no control codes on a pipe");
}

#[test]
fn every_printed_curl_line_works_as_it_is() {
    let (demo, _) = start();
    let text = demo.stdout.text();
    let lines: Vec<_> = text
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("curl "))
        .collect();
    assert_eq!(lines.len(), 7, "{text}");
    if Command::new("curl").arg("--version").output().is_err() {
        // Nothing to try the lines with on this machine.
        return;
    }
    for line in lines {
        let pods: BTreeSet<_> = (0..4)
            .map(|_| {
                let output = Command::new("sh").args(["-c", line]).output().expect("a shell");
                let body: serde_json::Value = serde_json::from_slice(&output.stdout).expect(line);
                body["pod"].as_str().expect("a pod").to_owned()
            })
            .collect();
        let expected = match line.rsplit('/').next() {
            Some("round") => 4..=4,
            Some("random" | "least") => 1..=4,
            _ => 1..=1,
        };
        assert!(expected.contains(&pods.len()), "{line} {pods:?}");
    }
}

#[test]
fn a_taken_port_falls_back_or_fails_as_asked() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let finished = weir(&["demo", "--port", &port], "");
    assert_eq!(finished.code, Some(1));
    assert!(finished.stderr.contains("weir demo --port 0"), "{finished:?}");
    // Two at once: the second one takes other ports for its gateway and its backends.
    let first = Process::start(&["demo", "--port", "0"]);
    first.stdout.wait_after(0, "Ctrl-C stops.");
    let second = Process::start(&["demo", "--port", "0"]);
    second.stdout.wait_after(0, "Ctrl-C stops.");
    assert!(first.stdout.text().lines().next() != second.stdout.text().lines().next());
}

#[test]
fn the_written_configuration_is_good_and_nothing_is_overwritten() {
    let folder = Folder::new();
    let target = folder.path().join("new");
    let target = target.to_str().expect("UTF-8");
    let written = weir(&["demo", "--write", target, "--port", "8888"], "");
    assert_eq!(written.code, Some(0), "{written:?}");
    let checked = weir(&["check", target], "");
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let explained = weir(
        &["explain", "-c", target, "http://www.example.com:8888/round"],
        "",
    );
    assert_eq!(explained.code, Some(0), "{explained:?}");
    let again = weir(&["demo", "--write", target], "");
    assert_eq!(again.code, Some(1), "{again:?}");
}
