//! `Upgrade` (RFC 9110 7.8): whether a request asks to leave HTTP/1.1, and whether a 101 fits the question.

use crate::connection::Connection;
use crate::framing::{self, BodyLength};
use crate::token::{is_token, list};
use crate::{Fields, Known, RequestHead, ResponseHead, Version};

/// Why an upgrade is refused. The client's fault: answer 400 and close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpgradeError {
    /// The request has a body; what follows its head would be read in two ways.
    Body,
    /// A member of `Upgrade` is no `name` or `name/version`.
    Protocol,
}

impl std::fmt::Display for UpgradeError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Body => "a request to upgrade has a body",
            Self::Protocol => "`upgrade` names no valid protocol",
        })
    }
}

impl std::error::Error for UpgradeError {}

/// Does the request ask for an upgrade that weir may pass on? Ignored, as RFC 9110 7.8 allows, are: a request
/// of HTTP/1.0, `Upgrade` without `Connection: upgrade`, and requests for nothing but `h2c`.
pub fn is_requested(head: &RequestHead, connection: &Connection, bytes: &[u8]) -> Result<bool, UpgradeError> {
    if !connection.is_upgrade || head.version == Version::Http10 || !head.fields.has(Known::Upgrade) {
        return Ok(false);
    }
    let mut members = head.fields.values(Known::Upgrade, bytes).flat_map(list);
    if !members.all(is_protocol) {
        return Err(UpgradeError::Protocol);
    }
    if protocols(&head.fields, bytes).next().is_none() {
        return Ok(false);
    }
    match framing::request_body(head, bytes) {
        Ok(BodyLength::Empty | BodyLength::Length(0)) => Ok(true),
        Ok(BodyLength::Length(_) | BodyLength::Chunked | BodyLength::UntilClose) | Err(_) => {
            Err(UpgradeError::Body)
        }
    }
}

/// The protocols that `Upgrade` lists, in order, without `h2c`: an upstream that took it would carry requests
/// that weir does not see.
pub fn protocols<'b>(fields: &'b Fields, bytes: &'b [u8]) -> impl Iterator<Item = &'b [u8]> {
    fields
        .values(Known::Upgrade, bytes)
        .flat_map(list)
        .filter(|member| !is_h2c(member))
}

/// Does a 101 answer the question: does each protocol that it names stand in the request (RFC 9110 7.8)?
#[must_use]
pub fn is_answered(request: &Fields, request_bytes: &[u8], response: &ResponseHead, bytes: &[u8]) -> bool {
    let mut answers = protocols(&response.fields, bytes).peekable();
    let asked = |answer: &[u8]| protocols(request, request_bytes).any(|one| one.eq_ignore_ascii_case(answer));
    response.status == 101 && answers.peek().is_some() && answers.all(asked)
}

fn is_h2c(member: &[u8]) -> bool {
    let name = member.split(|&byte| byte == b'/').next().unwrap_or_default();
    name.eq_ignore_ascii_case(b"h2c") || name.eq_ignore_ascii_case(b"h2")
}

fn is_protocol(member: &[u8]) -> bool {
    let mut parts = member.split(|&byte| byte == b'/');
    let is_good = parts.by_ref().take(2).all(is_token);
    is_good && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::tests::{request, response};

    #[test]
    fn row10_which_requests_ask_for_an_upgrade() {
        for (version, lines, expected) in [
            ("1.1", "", Ok(false)),
            ("1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\n", Ok(true)),
            (
                "1.1",
                "Connection: keep-alive, upgrade\r\nUpgrade: WebSocket\r\nContent-Length: 0\r\n",
                Ok(true),
            ),
            ("1.1", "Upgrade: websocket\r\n", Ok(false)),
            ("1.1", "Connection: upgrade\r\n", Ok(false)),
            ("1.0", "Connection: upgrade\r\nUpgrade: websocket\r\n", Ok(false)),
            (
                "1.1",
                "Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: A\r\n",
                Ok(false),
            ),
            (
                "1.1",
                "Connection: upgrade\r\nUpgrade: H2C, websocket\r\n",
                Ok(true),
            ),
            ("1.1", "Connection: upgrade\r\nUpgrade: foo/2\r\n", Ok(true)),
            (
                "1.1",
                "Connection: upgrade\r\nUpgrade: foo/2/3\r\n",
                Err(UpgradeError::Protocol),
            ),
            (
                "1.1",
                "Connection: upgrade\r\nUpgrade: a b\r\n",
                Err(UpgradeError::Protocol),
            ),
            (
                "1.1",
                "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n",
                Err(UpgradeError::Body),
            ),
            (
                "1.1",
                "Connection: upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n",
                Err(UpgradeError::Body),
            ),
        ] {
            let text = format!("GET / HTTP/{version}\r\nHost: a\r\n{lines}\r\n");
            let head = request(text.as_bytes()).unwrap();
            let connection = Connection::of(&head.fields, text.as_bytes()).unwrap();
            assert_eq!(
                is_requested(&head, &connection, text.as_bytes()),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn row10_a_switch_must_be_one_that_was_asked_for() {
        let asked = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket, foo/2, h2c\r\n\r\n";
        let request = request(asked).unwrap();
        for (answer, expected) in [
            ("HTTP/1.1 101 S\r\nUpgrade: WebSocket\r\n\r\n", true),
            ("HTTP/1.1 101 S\r\nUpgrade: foo/2\r\n\r\n", true),
            ("HTTP/1.1 101 S\r\nUpgrade: foo\r\n\r\n", false),
            ("HTTP/1.1 101 S\r\nUpgrade: h2c\r\n\r\n", false),
            ("HTTP/1.1 101 S\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\nUpgrade: websocket\r\n\r\n", false),
        ] {
            let head = response(answer.as_bytes()).unwrap();
            assert_eq!(
                is_answered(&request.fields, asked, &head, answer.as_bytes()),
                expected,
                "{answer}"
            );
        }
    }
}
