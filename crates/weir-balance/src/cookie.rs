//! The cookies that weir makes: one that carries a generated hash key (rows CH05 and CH06), one that carries a
//! session's token (row CH13).

use std::fmt;
use std::sync::Arc;

use weir_model::{CookieSpec, TokenCookie};

/// A generated cookie value: 16 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CookieValue([u8; 16]);

impl CookieValue {
    pub(crate) fn from_hash(hash: u64) -> Self {
        let mut digits = [0; 16];
        for (place, digit) in digits.iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(hash >> (60 - 4 * place)) as usize & 15];
        }
        Self(digits)
    }

    /// The digits.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for CookieValue {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "CookieValue({})", self.0.escape_ascii())
    }
}

/// Appends the value of a `Set-Cookie` field, in Envoy's form: the value quoted, `Max-Age` unless it is 0, the
/// attributes in their order, `HttpOnly` last and once.
pub fn write_set_cookie(spec: &CookieSpec, value: &[u8], out: &mut Vec<u8>) {
    write_pair(&spec.name, value, out);
    let age_s = spec.ttl.map_or(0, |ttl| ttl.as_secs());
    if age_s > 0 {
        write_age(age_s, out);
    }
    write_attributes(&spec.attributes, &["HttpOnly"], out);
}

/// Appends the value of a `Set-Cookie` field with a session's token: `Path`, `Max-Age` when the cookie is to outlive the
/// browser, seconds, the configured attributes in their order, `HttpOnly`.
pub fn write_session_cookie(
    (name, cookie): (&str, &TokenCookie),
    token: &[u8],
    path: &str,
    age_s: Option<u64>,
    out: &mut Vec<u8>,
) {
    write_pair(name, token, out);
    out.extend_from_slice(b"; Path=");
    out.extend_from_slice(path.as_bytes());
    if let Some(age_s) = age_s {
        write_age(age_s, out);
    }
    write_attributes(&cookie.attributes, &["HttpOnly", "Path", "Max-Age"], out);
}

fn write_pair(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"=\"");
    out.extend_from_slice(value);
    out.push(b'"');
}

fn write_age(age_s: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"; Max-Age=");
    out.extend_from_slice(age_s.to_string().as_bytes());
}

/// All but those that are written by themselves, and `HttpOnly`.
fn write_attributes(attributes: &[(Arc<str>, Arc<str>)], own: &[&str], out: &mut Vec<u8>) {
    let is_own = |name: &str| own.iter().any(|own| name.eq_ignore_ascii_case(own));
    for (name, value) in attributes.iter().filter(|(name, _)| !is_own(name)) {
        out.extend_from_slice(b"; ");
        out.extend_from_slice(name.as_bytes());
        if !value.is_empty() {
            out.push(b'=');
            out.extend_from_slice(value.as_bytes());
        }
    }
    out.extend_from_slice(b"; HttpOnly");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn ch06_the_text_follows_the_configuration() {
        type Case<'a> = (Option<u64>, &'a [(&'a str, &'a str)], &'a str);
        let cases: [Case<'_>; 8] = [
            (
                Some(60),
                &[("SameSite", "Strict")],
                "; Max-Age=60; SameSite=Strict; HttpOnly",
            ),
            (Some(60), &[], "; Max-Age=60; HttpOnly"),
            (Some(0), &[], "; HttpOnly"),
            (Some(0), &[("Path", "/shop")], "; Path=/shop; HttpOnly"),
            (None, &[("SameSite", "Lax")], "; SameSite=Lax; HttpOnly"),
            (
                Some(3_600),
                &[("Secure", ""), ("Partitioned", "")],
                "; Max-Age=3600; Secure; Partitioned; HttpOnly",
            ),
            (
                Some(5),
                &[("Domain", "example.com"), ("Path", "/"), ("SameSite", "None")],
                "; Max-Age=5; Domain=example.com; Path=/; SameSite=None; HttpOnly",
            ),
            (
                Some(60),
                &[("httponly", ""), ("SameSite", "Strict")],
                "; Max-Age=60; SameSite=Strict; HttpOnly",
            ),
        ];
        for (ttl_s, attributes, expected) in cases {
            let spec = CookieSpec {
                name: "FooBar".into(),
                ttl: ttl_s.map(Duration::from_secs),
                attributes: attributes
                    .iter()
                    .map(|(name, value)| ((*name).into(), (*value).into()))
                    .collect(),
            };
            let mut text = Vec::new();
            write_set_cookie(
                &spec,
                CookieValue::from_hash(0x8835_8b94_4270_0c56).as_bytes(),
                &mut text,
            );
            assert_eq!(
                text.escape_ascii().to_string(),
                format!("FooBar=\\\"88358b9442700c56\\\"{expected}")
            );
        }
    }

    #[test]
    fn a_value_keeps_its_leading_zeros() {
        assert_eq!(CookieValue::from_hash(0xfe).as_bytes(), b"00000000000000fe");
    }
}
