//! Tokens and comma-separated lists (RFC 9110 5.6.1, 5.6.2).

/// May `byte` stand in a token, and so in a field name or a method (RFC 9110 5.6.2)?
#[inline]
#[must_use]
pub const fn is_token_byte(byte: u8) -> bool {
    CLASSES[byte as usize] & IN_TOKEN != 0
}

/// Is `bytes` a token: one or more token bytes?
#[inline]
#[must_use]
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| is_token_byte(byte))
}

/// The same with a word on `_`, in one pass: whether the token has none of it; `None` when `bytes` is no token.
#[inline]
pub(crate) fn token_without_underscore(bytes: &[u8]) -> Option<bool> {
    let common = bytes
        .iter()
        .fold(!0, |common, &byte| common & CLASSES[usize::from(byte)]);
    (common & IN_TOKEN != 0 && !bytes.is_empty()).then_some(common & NO_UNDERSCORE != 0)
}

/// May `byte` stand in a field value (RFC 9110 5.5): visible, space, tab or obs-text?
#[inline]
#[must_use]
pub const fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// `bytes` without spaces and tabs at both ends (OWS, RFC 9110 5.6.3).
#[inline]
#[must_use]
pub fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The non-empty members of a comma-separated list, trimmed (RFC 9110 5.6.1.2: empty members are skipped).
/// Quoted strings are not understood; no list that weir reads may contain them.
pub fn list(value: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    value
        .split(|&byte| byte == b',')
        .map(trim)
        .filter(|member| !member.is_empty())
}

/// The byte may stand in a token.
const IN_TOKEN: u8 = 1;
/// The byte is not `_`.
const NO_UNDERSCORE: u8 = 2;

static CLASSES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let value = byte as u8;
        let is_token = value.is_ascii_alphanumeric()
            || matches!(
                value,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        table[byte] = if is_token { IN_TOKEN } else { 0 } | if value == b'_' { 0 } else { NO_UNDERSCORE };
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_members_are_trimmed_and_empty_ones_skipped() {
        let members: Vec<&[u8]> = list(b" a ,,\tb,c d,").collect();
        assert_eq!(members, [&b"a"[..], b"b", b"c d"]);
        assert_eq!(list(b" , ").count(), 0);
    }

    #[test]
    fn token_bytes_are_those_of_rfc_9110_5_6_2() {
        for byte in 0..=255u8 {
            let delimiter = b"\"(),/:;<=>?@[\\]{}".contains(&byte);
            assert_eq!(
                is_token_byte(byte),
                byte.is_ascii_graphic() && !delimiter,
                "{byte:#x}"
            );
        }
        assert!(!is_token(b""));
        for (bytes, expected) in [
            ("", None),
            ("a:", None),
            ("_ ", None),
            ("a-b", Some(true)),
            ("_", Some(false)),
            ("a_b", Some(false)),
        ] {
            assert_eq!(token_without_underscore(bytes.as_bytes()), expected, "{bytes}");
        }
    }
}
