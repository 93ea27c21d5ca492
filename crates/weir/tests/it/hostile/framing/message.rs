//! Messages that are refused, and how that is checked.

use crate::hostile::stage::{End, HIDDEN, Raw, SOON, Scripted, all, get, once, site, statuses};

/// A message and the status that it must get; the connection must end behind it. 200: it is served.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) bytes: Vec<u8>,
    pub(super) status: u16,
}

pub(super) fn case(name: &'static str, bytes: impl AsRef<[u8]>, status: u16) -> Case {
    Case {
        name,
        bytes: bytes.as_ref().to_vec(),
        status,
    }
}

/// A POST with these framing lines, then `body`, then the hidden request.
pub(super) fn framed(name: &'static str, lines: &str, body: &str) -> Case {
    let text = format!("POST /refused HTTP/1.1\r\nHost: www.example.com\r\n{lines}\r\n\r\n{body}{HIDDEN}");
    case(name, text, 400)
}

/// A GET with one odd line among its fields.
pub(super) fn line(name: &'static str, line: impl AsRef<[u8]>) -> Case {
    let mut bytes = b"GET /refused HTTP/1.1\r\nHost: www.example.com\r\n".to_vec();
    bytes.extend_from_slice(line.as_ref());
    bytes.extend_from_slice(b"\r\nX-Last: 1\r\n\r\n");
    bytes.extend_from_slice(HIDDEN.as_bytes());
    case(name, bytes, 400)
}

/// Every message gets its status, once, and the end of its connection; nothing hidden arrives, nothing refused either
/// unless its head was sound.
pub(super) fn check(cases: &[Case], may_forward_head: bool) {
    let backend = Scripted::polite();
    let gateway = site(&[backend.port()]);
    all(cases, |case| {
        let (text, end) = once(gateway.address, &case.bytes);
        let found = statuses(&text);
        let is_closing = text.to_ascii_lowercase().contains("connection: close");
        if found == [case.status] && end == End::Closed && is_closing {
            return Ok(());
        }
        Err(format!(
            "{}: {:?} gave {end:?} {text:?}",
            case.name,
            String::from_utf8_lossy(&case.bytes)
        ))
    });
    let (text, _) = {
        let mut client = Raw::connect(gateway.address);
        client.send(get("/after"));
        client.read_until(SOON, |bytes| bytes.ends_with(b"/after"))
    };
    assert_eq!(statuses(&text), [200]);
    let targets = backend.targets();
    assert!(!targets.iter().any(|target| target == "/hidden"), "{targets:?}");
    assert!(may_forward_head || targets == ["/after"], "{targets:?}");
}
