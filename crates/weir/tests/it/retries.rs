//! `retry` of an HTTPRoute's rule, as it is written, through the gateway (row LB28; GEP-1731, docs/resilience.md).

use std::time::Duration;

use crate::harness::{Client, Gateway, Reply, Witness, answer_of, free_port, gateway_and_service, head};

/// What a rule says, what its backend does, and what comes of it.
struct Case {
    /// Further fields of the rule.
    fields: &'static str,
    method: &'static str,
    /// What the backend does with the first tries; all others are answered 200.
    first: Vec<Reply>,
    status: u16,
    tries: usize,
}

/// Asks once and says how far apart the tries were.
fn check(case: Case) -> Vec<Duration> {
    let Case {
        fields,
        method,
        first,
        status,
        tries,
    } = case;
    let context = format!("{method} with {fields:?}, backend: {first:?}");
    let backend = Witness::start(1, move |before, _| {
        let good = || Reply::Bytes(answer_of("backend", 200, ""));
        first.get(before).cloned().unwrap_or_else(good)
    });
    let port = free_port();
    let config = gateway_and_service(port, &backend.ports)
        + &format!(
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: only, namespace: \
             default}}\nspec:\n  parentRefs: [{{name: eg}}]\n  rules: [{{backendRefs: [{{name: backend, port: \
             3000}}]{fields}}}]\n"
        );
    let gateway = Gateway::start(port, &config);
    let mut client = Client::connect(gateway.address);
    client.send(head(method, "/", &[]));
    let found = client.response(method).status;
    let arrivals = backend.arrivals();
    assert_eq!((found, arrivals.len()), (status, tries), "{context}");
    let gaps = arrivals
        .windows(2)
        .map(|pair| pair[1].at.duration_since(pair[0].at));
    gaps.collect()
}

#[test]
fn lb28_a_route_says_which_answers_are_tried_again_and_how_often() {
    let status = |code| Reply::Bytes(answer_of("backend", code, ""));
    for (fields, method, first, expected, tries) in [
        ("", "GET", vec![status(503); 9], 503, 1),
        (
            ", retry: {codes: [503], attempts: 2}",
            "GET",
            vec![status(503); 9],
            503,
            3,
        ),
        (
            ", retry: {codes: [503], attempts: 1}",
            "GET",
            vec![status(503); 9],
            503,
            2,
        ),
        (
            ", retry: {codes: [503], attempts: 0}",
            "GET",
            vec![status(503); 9],
            503,
            1,
        ),
        (", retry: {codes: [503]}", "GET", vec![status(503); 9], 503, 3),
        // The first good answer is the client's.
        (
            ", retry: {codes: [503], attempts: 2}",
            "GET",
            vec![status(503)],
            200,
            2,
        ),
        (
            ", retry: {codes: [500, 503], attempts: 2}",
            "GET",
            vec![status(503), status(500)],
            200,
            3,
        ),
        // Only what is listed, and that for every method.
        (
            ", retry: {codes: [503], attempts: 2}",
            "GET",
            vec![status(500)],
            500,
            1,
        ),
        (", retry: {attempts: 2}", "GET", vec![status(503)], 503, 1),
        (
            ", retry: {codes: [503], attempts: 2}",
            "POST",
            vec![status(503); 9],
            503,
            3,
        ),
    ] {
        check(Case {
            fields,
            method,
            first,
            status: expected,
            tries,
        });
    }
}

#[test]
fn lb28_a_route_with_retry_tries_again_what_was_broken_off() {
    for (fields, method, resets, status, tries) in [
        // On a connection that was new, only `retry` helps.
        ("", "GET", 9, 502, 1),
        (", retry: {attempts: 2}", "GET", 9, 502, 3),
        (", retry: {attempts: 2}", "GET", 2, 200, 3),
        (", retry: {attempts: 0}", "GET", 9, 502, 1),
        (", retry: {codes: [500], attempts: 1}", "GET", 1, 200, 2),
        // It may have been received, and counts twice (RFC 9110 9.2.2).
        (", retry: {attempts: 2}", "POST", 9, 502, 1),
    ] {
        let first = vec![Reply::Reset; resets];
        check(Case {
            fields,
            method,
            first,
            status,
            tries,
        });
    }
}

#[test]
fn lb28_a_routes_backoff_is_the_least_time_between_tries() {
    let backoff = Duration::from_millis(300);
    let gaps = check(Case {
        fields: ", retry: {codes: [503], attempts: 2, backoff: 300ms}",
        method: "GET",
        first: vec![Reply::Bytes(answer_of("backend", 503, "")); 9],
        status: 503,
        tries: 3,
    });
    // Clocks count whole milliseconds.
    let least = backoff - Duration::from_millis(2);
    assert!(gaps.iter().all(|gap| *gap >= least), "{gaps:?}");
}
