//! The text of a session token: base64url without padding (RFC 4648 5), for a length that leaves no bits over.

/// Bytes of a token.
pub(crate) const TOKEN_BYTES: usize = 36;
/// Characters of a token. A multiple of four for a multiple of three: every text has one meaning.
pub(crate) const TOKEN_CHARS: usize = TOKEN_BYTES / 3 * 4;
const _: () = assert!(TOKEN_BYTES.is_multiple_of(3));

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The token's text.
pub(crate) fn encode(bytes: &[u8; TOKEN_BYTES]) -> [u8; TOKEN_CHARS] {
    let mut text = [0; TOKEN_CHARS];
    for (four, three) in text.chunks_exact_mut(4).zip(bytes.chunks_exact(3)) {
        let bits = u32::from(three[0]) << 16 | u32::from(three[1]) << 8 | u32::from(three[2]);
        for (place, character) in four.iter_mut().enumerate() {
            *character = ALPHABET[(bits >> (18 - 6 * place)) as usize & 63];
        }
    }
    text
}

/// The token's bytes; `None` for any other length or character.
pub(crate) fn decode(text: &[u8]) -> Option<[u8; TOKEN_BYTES]> {
    if text.len() != TOKEN_CHARS {
        return None;
    }
    let mut bytes = [0; TOKEN_BYTES];
    for (three, four) in bytes.chunks_exact_mut(3).zip(text.chunks_exact(4)) {
        let mut bits = 0;
        for character in four {
            bits = bits << 6 | value(*character)?;
        }
        three.copy_from_slice(&bits.to_be_bytes()[1..]);
    }
    Some(bytes)
}

fn value(character: u8) -> Option<u32> {
    let value = match character {
        b'A'..=b'Z' => character - b'A',
        b'a'..=b'z' => character - b'a' + 26,
        b'0'..=b'9' => character - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(bytes: [u8; 32], more: [u8; 4]) {
            let mut all = [0; TOKEN_BYTES];
            all[..32].copy_from_slice(&bytes);
            all[32..].copy_from_slice(&more);
            prop_assert_eq!(decode(&encode(&all)), Some(all));
        }

        #[test]
        fn every_text_that_is_decoded_is_the_one_that_is_encoded(text in "[A-Za-z0-9_+/= -]{47,49}") {
            if let Some(bytes) = decode(text.as_bytes()) {
                prop_assert_eq!(&encode(&bytes)[..], text.as_bytes());
            }
        }
    }
}
