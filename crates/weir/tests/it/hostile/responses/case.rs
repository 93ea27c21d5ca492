//! What backends send and what clients see of it.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::harness::PATIENCE;
use crate::hostile::stage::{End, Scripted, Site, Then, once, report, site_with, statuses};

/// What an attacker's backend would like somebody else to get.
pub(super) const POISON: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";

/// What the client is to see of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sees {
    /// weir's 502.
    BadGateway,
    /// The beginning, and that it is not the whole; or weir's 502.
    Cut,
    /// A whole response.
    Whole(u16, &'static str),
}

pub(super) struct Case {
    pub(super) name: String,
    pub(super) method: &'static str,
    /// What the backend sends, in parts, with a moment between them.
    pub(super) parts: Vec<Vec<u8>>,
    pub(super) then: Then,
    pub(super) sees: Sees,
}

pub(super) fn sends(name: impl Into<String>, bytes: impl AsRef<[u8]>, sees: Sees) -> Case {
    Case {
        name: name.into(),
        method: "GET",
        parts: vec![bytes.as_ref().to_vec()],
        then: Then::Next,
        sees,
    }
}

/// Serves every case under a target of its own; a request between two cases must get its own answer.
pub(super) fn check(cases: Vec<Case>) {
    let script: Vec<_> = cases.iter().map(|case| (case.parts.clone(), case.then)).collect();
    let (sent, all_sent) = channel();
    let backend = Scripted::start(move |request, line| {
        let number = request
            .target()
            .strip_prefix("/case/")
            .and_then(|text| text.parse::<usize>().ok());
        let Some((number, (parts, then))) = number.and_then(|number| Some((number, script.get(number)?)))
        else {
            return line.ok(request.target());
        };
        let is_taken = parts.iter().enumerate().all(|(index, part)| {
            if index > 0 {
                std::thread::sleep(Duration::from_millis(15));
            }
            line.send(part)
        });
        // The test may be over.
        let _heard = sent.send(number);
        if is_taken { *then } else { Then::Close }
    });
    // One worker has one pool, so that a poisoned connection meets the next request.
    let gateway = site_with(&[backend.port()], "", &["--threads", "1"]);
    let mut failures = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let seen = see(&gateway, case.method, &format!("/case/{number}"));
        let is_right = match case.sees {
            Sees::BadGateway => seen.is_whole && seen.status == 502,
            Sees::Cut => !seen.is_whole || seen.status == 502,
            Sees::Whole(status, body) => seen.is_whole && seen.status == status && seen.body == body,
        };
        if !is_right {
            failures.push(format!("{}: {:?} was seen as {seen:?}", case.name, case.sees));
        }
        await_sent(&all_sent, number);
        let after = format!("/after/{number}");
        let seen = see(&gateway, "GET", &after);
        if !(seen.is_whole && seen.status == 200 && seen.body == after) {
            failures.push(format!("{}: the next request got {seen:?}", case.name));
        }
    }
    backend.received();
    report(&failures, cases.len());
}

/// Waits until the backend has sent everything that answers this request: what comes too much is to lie in wait before
/// the next request is sent. On a connection that is in use already nobody could tell it from an answer.
pub(super) fn await_sent(all_sent: &Receiver<usize>, number: usize) {
    while all_sent.recv_timeout(PATIENCE).expect("the backend is asked") != number {}
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
    /// Framed and complete.
    pub(super) is_whole: bool,
    pub(super) end: End,
}

/// One request on a connection of its own, which is to be closed behind the response.
pub(super) fn see(gateway: &Site, method: &str, target: &str) -> Seen {
    let request = format!("{method} {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    let (text, end) = once(gateway.address, request);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = statuses(&text).last().copied().unwrap_or(0);
    let header = |name: &str| {
        head.split("\r\n").find_map(|line| {
            let (other, value) = line.split_once(':')?;
            other.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    let is_bodiless = method == "HEAD" || matches!(status, 204 | 304);
    let (body, is_whole) = match (header("content-length"), header("transfer-encoding")) {
        _ if is_bodiless => (body.to_owned(), body.is_empty()),
        (Some(length), None) => (body.to_owned(), length.parse() == Ok(body.len())),
        (None, Some(_)) => unchunked(body),
        _ => (body.to_owned(), false),
    };
    Seen {
        status,
        head: head.to_owned(),
        body,
        is_whole: is_whole && end == End::Closed && text.contains("\r\n\r\n"),
        end,
    }
}

fn unchunked(mut rest: &str) -> (String, bool) {
    let mut body = String::new();
    while let Some((line, after)) = rest.split_once("\r\n") {
        let Ok(size) = usize::from_str_radix(line, 16) else {
            break;
        };
        if size == 0 {
            return (body, after == "\r\n");
        }
        let (Some(data), Some(next)) = (after.get(..size), after.get(size + 2..)) else {
            break;
        };
        body += data;
        rest = next;
    }
    (body, false)
}
