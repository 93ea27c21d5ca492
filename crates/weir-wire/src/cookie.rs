//! Finding a cookie (RFC 6265 4.2, read as leniently as servers do: nothing here affects framing).

use crate::token::trim;

/// The value of the first cookie called `name` (case-sensitive) in the values of all `Cookie` fields in order.
/// Quotes around it are taken off; an empty value is a value.
pub fn value<'b>(fields: impl Iterator<Item = &'b [u8]>, name: &[u8]) -> Option<&'b [u8]> {
    pairs(fields)
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

/// All cookies in order. A piece without `=` is none and is skipped.
pub fn pairs<'b>(fields: impl Iterator<Item = &'b [u8]>) -> impl Iterator<Item = (&'b [u8], &'b [u8])> {
    fields
        .flat_map(|field| field.split(|&byte| byte == b';'))
        .filter_map(|pair| {
            let equals = memchr::memchr(b'=', pair)?;
            let (key, value) = (trim(&pair[..equals]), trim(&pair[equals + 1..]));
            let value = match value {
                [b'"', inner @ .., b'"'] => inner,
                _ => value,
            };
            Some((key, value))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_value_over_several_fields() {
        let fields: [&[u8]; 2] = [b"a=1; sid=\"x y\";b=; c", b"sid=late; d= 5 ;A=upper; e=a=b; f=\""];
        for (name, expected) in [
            ("a", Some("1")),
            ("A", Some("upper")),
            ("sid", Some("x y")),
            ("b", Some("")),
            ("c", None),
            ("d", Some("5")),
            ("e", Some("a=b")),
            ("f", Some("\"")),
            ("si", None),
            ("", None),
        ] {
            let found = value(fields.into_iter(), name.as_bytes());
            assert_eq!(found, expected.map(str::as_bytes), "{name}");
        }
        assert_eq!(value([].into_iter(), b"a"), None);
    }
}
