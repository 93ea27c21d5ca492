//! Who an echo backend says it is, and the JSON that says so.

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};
use serde_json::{Map, Value};

/// Who a backend says it is, in the words of Gateway API's echo-basic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// `namespace` of the answer.
    pub namespace: String,
    /// `ingress` of the answer.
    pub ingress: String,
    /// `service` of the answer.
    pub service: String,
    /// `pod` of the answer.
    pub pod: String,
}

/// What an answer repeats of the request.
pub(crate) struct Seen<'a> {
    /// Target as received.
    pub(crate) path: &'a str,
    /// The authority, from the target or from `Host`.
    pub(crate) host: &'a str,
    /// As received.
    pub(crate) method: &'a str,
    /// `HTTP/1.1` or `HTTP/1.0`.
    pub(crate) proto: &'a str,
    /// Names as received, values in the order received.
    pub(crate) headers: &'a [(String, String)],
}

impl Identity {
    /// The answer's body: one JSON object, indented by one space like echo-basic's.
    pub(crate) fn json(&self, seen: &Seen<'_>) -> Vec<u8> {
        let mut object = Map::new();
        let mut put = |key: &str, text: &str| object.insert(key.to_owned(), Value::from(text));
        put("path", seen.path);
        put("host", seen.host);
        put("method", seen.method);
        put("proto", seen.proto);
        object.insert("headers".to_owned(), headers(seen.headers));
        let mut put = |key: &str, text: &str| object.insert(key.to_owned(), Value::from(text));
        put("namespace", &self.namespace);
        put("ingress", &self.ingress);
        put("service", &self.service);
        put("pod", &self.pod);
        let mut out = Vec::with_capacity(512);
        let mut serializer = Serializer::with_formatter(&mut out, PrettyFormatter::with_indent(b" "));
        // Writing a JSON value into memory cannot fail: its keys are strings and a vector takes every byte.
        let _written = Value::Object(object).serialize(&mut serializer);
        out.push(b'\n');
        out
    }
}

/// A header name as Go's `net/textproto` spells it: the first letter and each letter after a hyphen in upper
/// case, the rest in lower case. Names that are not tokens stay as they are.
pub fn canonical_name(name: &str) -> String {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !name.bytes().all(token) {
        return name.to_owned();
    }
    let mut upper = true;
    let mut out = String::with_capacity(name.len());
    for letter in name.chars() {
        out.push(if upper {
            letter.to_ascii_uppercase()
        } else {
            letter.to_ascii_lowercase()
        });
        upper = letter == '-';
    }
    out
}

/// Go's server keeps `Host`, `Transfer-Encoding` and `Trailer` out of the header map; maps are written sorted.
fn headers(fields: &[(String, String)]) -> Value {
    let mut names: Vec<(String, &str)> = fields
        .iter()
        .map(|(name, value)| (canonical_name(name), value.as_str()))
        .collect();
    names.retain(|(name, _)| !matches!(name.as_str(), "Host" | "Transfer-Encoding" | "Trailer"));
    names.sort_by(|left, right| left.0.cmp(&right.0));
    let mut object: Map<String, Value> = Map::new();
    for (name, value) in names {
        match object.get_mut(&name) {
            Some(Value::Array(values)) => values.push(Value::from(value)),
            _ => {
                object.insert(name, Value::Array(vec![Value::from(value)]));
            }
        }
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelled_like_go_spells_them() {
        for (name, canonical) in [
            ("x-request-id", "X-Request-Id"),
            ("ACCEPT", "Accept"),
            ("x--y", "X--Y"),
            ("etag", "Etag"),
            ("not a token", "not a token"),
            ("", ""),
        ] {
            assert_eq!(canonical_name(name), canonical);
        }
    }

    #[test]
    fn lt01_the_answer_has_the_shape_of_echo_basic() {
        let identity = Identity {
            namespace: "default".into(),
            ingress: String::new(),
            service: "backend".into(),
            pod: "backend-1".into(),
        };
        let fields = [
            ("user-agent", "curl"),
            ("x-a", "1"),
            ("host", "h"),
            ("X-A", "2"),
            ("accept", "*/*"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let seen = Seen {
            path: "/cookie?x=1",
            host: "www.example.com",
            method: "GET",
            proto: "HTTP/1.1",
            headers: &fields,
        };
        let expected = r#"{
 "path": "/cookie?x=1",
 "host": "www.example.com",
 "method": "GET",
 "proto": "HTTP/1.1",
 "headers": {
  "Accept": [
   "*/*"
  ],
  "User-Agent": [
   "curl"
  ],
  "X-A": [
   "1",
   "2"
  ]
 },
 "namespace": "default",
 "ingress": "",
 "service": "backend",
 "pod": "backend-1"
}
"#;
        assert_eq!(String::from_utf8(identity.json(&seen)).expect("UTF-8"), expected);
    }
}
