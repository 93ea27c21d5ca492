//! Fields of a BackendTrafficPolicy about endpoints and the connections to them, from YAML to what an endpoint sees (rows
//! LB28, LB29, LB30, HC01, HC04; Envoy Gateway `timeout`, `circuitBreaker`, `retry`, `connection`, `tcpKeepalive`,
//! `healthCheck`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use crate::harness::{
    Client, Gateway, PATIENCE, ROUTE, Reply, Witness, answer_of, free_port, gateway_and_service, head,
    route_policy,
};

/// A gateway on one route to a backend under a policy with these fields, each on a line of its own.
fn gateway(backend: &Witness, fields: &[&str]) -> Gateway {
    let port = free_port();
    let config =
        gateway_and_service(port, &backend.ports) + ROUTE + &route_policy("fields", &fields.join("\n"));
    let gateway = Gateway::start_with(port, &config, &["--reason-header"]);
    // A field that is misspelt here would show nothing.
    let said = gateway.process.stderr.text();
    assert!(!said.contains("warning[") && !said.contains("error["), "{said}");
    gateway
}

fn always(reply: Reply) -> Witness {
    Witness::start(1, move |_, _| reply.clone())
}

fn good() -> Reply {
    Reply::Bytes(answer_of("backend", 200, ""))
}

#[test]
fn each_time_bound_ends_an_exchange_for_its_own_reason() {
    let backend = always(Reply::Silence);
    for (fields, reason) in [
        (
            "requestTimeout: 200ms, maxStreamDuration: 1h, streamIdleTimeout: 1h",
            "request_timeout",
        ),
        (
            "requestTimeout: 1h, maxStreamDuration: 200ms, streamIdleTimeout: 1h",
            "stream_timeout",
        ),
        (
            "requestTimeout: 1h, maxStreamDuration: 1h, streamIdleTimeout: 200ms",
            "stream_idle_timeout",
        ),
    ] {
        let gateway = gateway(&backend, &[&format!("timeout: {{http: {{{fields}}}}}")]);
        let mut client = Client::connect(gateway.address);
        let started = Instant::now();
        let response = client.get("/", &[]);
        let reason = (504, Some(reason));
        assert_eq!(
            (response.status, response.header("x-weir-reason")),
            reason,
            "{fields}"
        );
        // Clocks count whole milliseconds.
        assert!(started.elapsed() >= Duration::from_millis(198), "{fields}");
    }
}

#[test]
fn lb30_a_connection_serves_so_many_requests_and_may_rest_so_long() {
    let times = |idle: &str, most: &str| {
        format!("timeout: {{http: {{connectionIdleTimeout: {idle}, maxConnectionDuration: {most}}}}}")
    };
    for (field, connections) in [
        ("loadBalancer: {type: RoundRobin}".to_owned(), 1),
        (times("1h", "1h"), 1),
        (times("100ms", "1h"), 2),
        ("circuitBreaker: {maxRequestsPerConnection: 2}".to_owned(), 3),
        ("circuitBreaker: {maxRequestsPerConnection: 1}".to_owned(), 6),
    ] {
        let backend = always(good());
        let gateway = gateway(&backend, &[&field]);
        let mut client = Client::connect(gateway.address);
        for turn in 0..6 {
            if turn == 3 {
                std::thread::sleep(Duration::from_millis(300));
            }
            assert_eq!(client.get("/", &[]).status, 200);
        }
        let found = backend.connections();
        // A busy machine may pause where the test does not.
        let is_late = field.contains("100ms") && found > connections;
        assert!(
            found == connections || is_late,
            "{field}: {found}, not {connections}"
        );
    }
    // One that is never at rest ends by its age.
    let backend = always(good());
    let gateway = gateway(&backend, &[&times("1h", "1s")]);
    let (mut client, started) = (Client::connect(gateway.address), Instant::now());
    while started.elapsed() < Duration::from_millis(1300) {
        assert_eq!(client.get("/", &[]).status, 200);
    }
    assert!(backend.connections() >= 2);
}

#[test]
fn lb30_so_many_connections_are_opened_ahead() {
    // Two endpoints.
    for (preconnect, connections) in [
        ("{}", 1),
        ("{perEndpointPercent: 200}", 2),
        ("{perEndpointPercent: 300}", 3),
        ("{predictivePercent: 400}", 4),
    ] {
        let backend = Witness::start(2, move |_, _| good());
        let fields = [
            "loadBalancer: {type: RoundRobin}",
            &format!("connection: {{preconnect: {preconnect}}}"),
        ];
        let gateway = gateway(&backend, &fields);
        assert_eq!(Client::connect(gateway.address).get("/", &[]).status, 200);
        let deadline = Instant::now() + PATIENCE;
        while backend.accepted() < connections && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
        // One too many would come at once.
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(backend.accepted(), connections, "{preconnect}");
    }
}

#[test]
fn lb30_so_many_connections_are_used_and_so_many_requests_wait_for_one() {
    for (limits, held, waiting) in [
        ("{maxConnections: 1, maxPendingRequests: 1}", 1, 1),
        ("{maxConnections: 3, maxPendingRequests: 2}", 3, 2),
        // Two endpoints.
        ("{perEndpoint: {maxConnections: 1}, maxPendingRequests: 1}", 2, 1),
    ] {
        let is_open = Arc::new(AtomicBool::new(false));
        let gate = Arc::clone(&is_open);
        let backend = Witness::start(2, move |_, _| {
            while !gate.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
            good()
        });
        let gateway = gateway(&backend, &[&format!("circuitBreaker: {limits}")]);
        let (answers, received) = channel();
        let ask = || {
            let (answers, mut client) = (answers.clone(), Client::connect(gateway.address));
            std::thread::spawn(move || {
                let response = client.get("/", &[]);
                // Nobody listens when the test has failed.
                let _sent = answers.send((
                    response.status,
                    response.header("x-weir-reason").map(str::to_owned),
                ));
            });
        };
        // One after the other: who connects counts as waiting, too.
        for arrived in 1..=held {
            ask();
            backend.wait_for(arrived);
        }
        // Some of these wait and the others are refused, whichever come first.
        let refused = 4;
        (0..waiting + refused).for_each(|_| ask());
        let next = || received.recv_timeout(PATIENCE).expect("an answer");
        for _ in 0..refused {
            let expected = (503, Some("backend_pending_requests_full".to_owned()));
            assert_eq!(next(), expected, "{limits}");
        }
        assert_eq!(backend.requests(), held, "{limits}");
        is_open.store(true, Ordering::SeqCst);
        for _ in 0..held + waiting {
            assert_eq!(next().0, 200, "{limits}");
        }
        assert_eq!(backend.requests(), held + waiting, "{limits}");
    }
}

/// Everything is answered 503, which is tried again this often; nobody waits long.
fn retried(times: u32) -> String {
    let on = "retryOn: {triggers: [retriable-status-codes], httpStatusCodes: [503]}";
    let wait = "perRetry: {backOff: {baseInterval: 1ms, maxInterval: 1ms}}";
    format!("retry: {{numRetries: {times}, {on}, {wait}}}")
}

#[test]
fn lb29_retries_have_a_number_or_a_budget() {
    // Limits, retries of each request, requests, tries.
    for (limits, retries, requests, tries) in [
        ("{maxConnections: 1024}", 2, 1, 3),
        ("{maxParallelRetries: 1}", 2, 1, 3),
        ("{maxParallelRetries: 0}", 2, 1, 1),
        (
            "{retryBudget: {percent: {numerator: 0}, minRetryConcurrency: 0}}",
            1,
            20,
            20,
        ),
        (
            "{retryBudget: {percent: {numerator: 50}, minRetryConcurrency: 0}}",
            1,
            20,
            30,
        ),
        (
            "{retryBudget: {percent: {numerator: 1, denominator: 4}, minRetryConcurrency: 0}}",
            1,
            20,
            25,
        ),
        // So many can be had at once, and a further one in a second.
        (
            "{retryBudget: {percent: {numerator: 0}, minRetryConcurrency: 1}}",
            5,
            1,
            2,
        ),
    ] {
        let backend = always(Reply::Bytes(answer_of("backend", 503, "")));
        let gateway = gateway(
            &backend,
            &[&retried(retries), &format!("circuitBreaker: {limits}")],
        );
        let mut client = Client::connect(gateway.address);
        for _ in 0..requests {
            assert_eq!(client.get("/", &[]).status, 503);
        }
        assert_eq!(backend.requests(), tries, "{limits}");
    }
}

#[test]
fn lb28_a_backoff_has_a_base_and_a_greatest_length() {
    for (retries, backoff, tries) in [
        (2, "{baseInterval: 1ms, maxInterval: 1000h}", 3..=3),
        (2, "{maxInterval: 1ms}", 3..=3),
        // What would be waited longer than the request has left is not waited for.
        (2, "{baseInterval: 1000h, maxInterval: 1000h}", 1..=1),
        (2, "{baseInterval: 1000h}", 1..=1),
        // 1.5 s on average; without a greatest length 13.5 s.
        (30, "{baseInterval: 100ms, maxInterval: 100ms}", 31..=31),
        // Each may be twice as long as the one before it.
        (30, "{baseInterval: 100ms, maxInterval: 1000h}", 2..=25),
    ] {
        let backend = always(Reply::Bytes(answer_of("backend", 503, "")));
        let on = "retryOn: {triggers: [retriable-status-codes], httpStatusCodes: [503]}";
        let retry = format!("retry: {{numRetries: {retries}, {on}, perRetry: {{backOff: {backoff}}}}}");
        let limits = "circuitBreaker: {maxParallelRetries: 1}";
        let gateway = gateway(
            &backend,
            &[&retry, limits, "timeout: {http: {requestTimeout: 6s}}"],
        );
        assert_eq!(Client::connect(gateway.address).get("/", &[]).status, 503);
        let found = backend.requests();
        assert!(tries.contains(&found), "{backoff}: {found}");
    }
}

#[test]
fn half_of_the_buffer_limit_is_read_ahead() {
    let body = "x".repeat(200_000);
    for (field, most) in [
        ("loadBalancer: {type: RoundRobin}", 16 << 10),
        ("connection: {bufferLimit: 8Ki}", 4 << 10),
        ("connection: {bufferLimit: 2Ki}", 1 << 10),
    ] {
        let head = b"HTTP/1.1 200 X\r\nconnection: close\r\n\r\n".to_vec();
        let backend = always(Reply::Last(head, body.clone().into_bytes()));
        let gateway = gateway(&backend, &[field]);
        let mut client = Client::connect(gateway.address);
        client.send(self::head("GET", "/", &[("connection", "close")]));
        // Each piece that was read is a chunk (RFC 9112 7.1).
        let text = String::from_utf8(client.rest()).expect("ASCII");
        let (_, chunks) = text.split_once("\r\n\r\n").expect("a head");
        let chunks: Vec<usize> = chunks
            .split("\r\n")
            .step_by(2)
            .map_while(|size| usize::from_str_radix(size, 16).ok())
            .collect();
        assert_eq!(chunks.iter().sum::<usize>(), body.len(), "{field}: {chunks:?}");
        let longest = chunks.iter().max();
        assert!(
            (most / 2..=most).contains(longest.expect("chunks")),
            "{field}: {chunks:?}"
        );
    }
}

#[test]
fn hc01_a_probe_sends_its_body_and_judges_what_comes_back() {
    let active = |fields: &str| {
        let times = "interval: 50ms, timeout: 5s, unhealthyThreshold: 1";
        format!("healthCheck: {{active: {{type: HTTP, {times}, http: {{path: /healthz, {fields}}}}}}}")
    };
    for payload in ["{type: Text, text: ping}", "{type: Binary, binary: cGluZw==}"] {
        let backend = always(good());
        let fields = active(&format!("method: POST, requestBody: {payload}"));
        let _gateway = gateway(&backend, &[&fields]);
        backend.wait_for(1);
        let text = &backend.arrivals()[0].text;
        assert!(text.starts_with("POST /healthz HTTP/1.1\r\n"), "{text}");
        assert!(text.ends_with("\r\n\r\nping"), "{payload}: {text}");
    }
    for (payload, line) in [
        ("{type: Text, text: '\"backend\"'}", " is healthy"),
        (
            "{type: Text, text: '\"another\"'}",
            " is unhealthy: its first probe",
        ),
        ("{type: Binary, binary: YmFja2VuZA==}", " is healthy"),
        (
            "{type: Binary, binary: YW5vdGhlcg==}",
            " is unhealthy: its first probe",
        ),
    ] {
        let backend = always(good());
        let gateway = gateway(&backend, &[&active(&format!("expectedResponse: {payload}"))]);
        let first = gateway.process.stderr.wait_after(0, "healthy");
        assert!(first.contains(line), "{payload}: {first}");
    }
}

#[test]
fn hc04_the_first_probe_waits_a_while() {
    let check = |jitter: &str| {
        let times = format!("interval: 1h, timeout: 2s{jitter}");
        format!("healthCheck: {{active: {{type: HTTP, {times}, http: {{path: /healthz}}}}}}")
    };
    let probes = |fields: &str| {
        let backend = always(good());
        let gateway = gateway(&backend, &[fields]);
        // A request waits for the first probe, as long as a probe may take.
        let status = Client::connect(gateway.address).get("/", &[]).status;
        let arrivals = backend.arrivals();
        let probes = arrivals
            .iter()
            .filter(|arrival| arrival.text.contains("/healthz"));
        (status, probes.count())
    };
    assert_eq!(probes(&check("")), (200, 1));
    // A random time: it is over once in some ten thousand runs.
    assert_eq!(probes(&check(", initialJitter: 5h")), (503, 0));
}

/// The kernel's timer of the connections to this port: its kind, and hundredths of a second until it ends
/// (`proc_pid_net(5)`, `/proc/net/tcp`).
fn timer(port: u16) -> Option<(u8, u64)> {
    let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
    let remote = format!("0100007F:{port:04X}");
    table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (address, state, timer) = (fields.get(2)?, fields.get(3)?, fields.get(5)?);
        let (kind, left) = timer.split_once(':')?;
        let is_it = *address == remote && *state == "01";
        is_it.then(|| Some((kind.parse().ok()?, u64::from_str_radix(left, 16).ok()?)))?
    })
}

#[test]
fn a_connection_at_rest_is_kept_alive_after_so_long() {
    for (field, idle_s) in [
        ("loadBalancer: {type: RoundRobin}", None),
        (
            "tcpKeepalive: {idleTime: 500s, interval: 7s, probes: 3}",
            Some(500),
        ),
        ("tcpKeepalive: {idleTime: 90s, interval: 7s}", Some(90)),
    ] {
        let backend = always(good());
        let gateway = gateway(&backend, &[field]);
        assert_eq!(Client::connect(gateway.address).get("/", &[]).status, 200);
        let deadline = Instant::now() + PATIENCE;
        // 1: something sent is not acknowledged yet.
        let (kind, left) = loop {
            match timer(backend.ports[0]) {
                Some((1, _)) => assert!(Instant::now() < deadline, "{field}: never acknowledged"),
                Some(timer) => break timer,
                // A system without this table.
                None => return,
            }
        };
        match idle_s {
            None => assert_eq!(kind, 0, "{field}"),
            Some(idle_s) => {
                let left_s = left / 100;
                assert!(
                    kind == 2 && (idle_s - 30..=idle_s).contains(&left_s),
                    "{field}: {kind} {left_s}"
                );
            }
        }
    }
}
