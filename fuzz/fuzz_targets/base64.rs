//! Base64: a text is taken when it is the one that its bytes are written as, and only then.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_wire::base64;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fuzz_target!(|input: &[u8]| {
    // Any bytes come back.
    assert_eq!(base64::decode(&encode(input)).as_deref(), Some(input));
    let Ok(text) = str::from_utf8(input) else {
        return;
    };
    let bytes = simply(text);
    let is_the_one = encode(&bytes) == text;
    assert_eq!(base64::decode(text), is_the_one.then_some(bytes), "{text:?}");
});

/// The bytes of all characters that mean something, whatever else is there.
fn simply(text: &str) -> Vec<u8> {
    let values = text
        .bytes()
        .filter_map(|byte| ALPHABET.iter().position(|one| *one == byte));
    let bits: Vec<bool> = values
        .flat_map(|value| (0..6).rev().map(move |place| value >> place & 1 == 1))
        .collect();
    let byte = |bits: &[bool]| bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
    bits.chunks_exact(8).map(byte).collect()
}

fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let mut padded = [0; 3];
        padded[..three.len()].copy_from_slice(three);
        let bits = u32::from_be_bytes([0, padded[0], padded[1], padded[2]]);
        for place in 0..4 {
            text.push(match place > three.len() {
                true => '=',
                false => char::from(ALPHABET[(bits >> (18 - 6 * place)) as usize & 63]),
            });
        }
    }
    text
}
