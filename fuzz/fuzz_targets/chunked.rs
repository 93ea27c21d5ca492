//! The chunked coding: no panic, the same in any pieces, and what is written reads back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_wire::HeadLimits;
use weir_wire::h1::chunked::{
    ChunkError, ChunkEvent, ChunkLimits, Decoder, LAST_CHUNK_BEFORE_TRAILERS, write_chunk,
};
use weir_wire::h1::encode;

/// Small, so that inputs of a fuzzer reach them.
const LIMITS: ChunkLimits = ChunkLimits {
    extension_bytes: 16,
    extensions_bytes: 64,
    trailers: HeadLimits {
        head_bytes: 256,
        fields: 8,
        field_bytes: 64,
        target_bytes: 0,
    },
};

#[derive(Debug, PartialEq, Eq)]
struct Body {
    data: Vec<u8>,
    trailers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Offset behind the body, once it has ended.
    end: Option<usize>,
}

fuzz_target!(|input: &[u8]| {
    let [piece, bytes @ ..] = input else { return };
    let piece = usize::from(*piece).max(1);
    let mut decoder = Decoder::new(LIMITS);
    let whole = decode(&mut decoder, bytes, bytes.len().max(1));
    let slow = decode(&mut decoder, bytes, piece);
    assert_eq!(whole, slow, "pieces of {piece}");
    if let Ok(body) = &whole {
        check_simply(body, bytes);
        check_written(&mut decoder, body, piece);
    }
    // Any bytes are a body once they are written as one.
    check_written(
        &mut decoder,
        &Body {
            data: bytes.to_vec(),
            trailers: Vec::new(),
            end: Some(0),
        },
        piece,
    );
});

fn decode(decoder: &mut Decoder, input: &[u8], piece: usize) -> Result<Body, ChunkError> {
    decoder.reset();
    let mut body = Body {
        data: Vec::new(),
        trailers: Vec::new(),
        end: None,
    };
    let (mut used, mut end) = (0, 0);
    while end < input.len() && body.end.is_none() {
        end = (end + piece).min(input.len());
        loop {
            let available = &input[used..end];
            let step = decoder.decode(available)?;
            assert!(step.consumed <= available.len());
            used += step.consumed;
            match step.event {
                ChunkEvent::Data(range) => {
                    assert!(!range.is_empty() && range.end == step.consumed);
                    body.data.extend_from_slice(&available[range]);
                }
                ChunkEvent::More => {
                    assert_eq!(used, end, "more is asked for when all is used");
                    break;
                }
                ChunkEvent::End => {
                    body.end = Some(used);
                    break;
                }
            }
        }
    }
    assert_eq!(decoder.is_ended(), body.end.is_some());
    let (fields, bytes) = decoder.trailers();
    assert!(bytes.len() <= LIMITS.trailers.head_bytes && fields.len() <= LIMITS.trailers.fields);
    body.trailers = fields
        .iter()
        .map(|field| (field.name.of(bytes).to_vec(), field.value.of(bytes).to_vec()))
        .collect();
    Ok(body)
}

/// A second, simple reading of a body that has ended.
fn check_simply(body: &Body, input: &[u8]) {
    let Some(end) = body.end else { return };
    let mut rest = &input[..end];
    let mut data = Vec::new();
    loop {
        let line = rest
            .windows(2)
            .position(|pair| pair == b"\r\n")
            .expect("a size line ends");
        let text = str::from_utf8(rest[..line].split(|byte| *byte == b';').next().unwrap()).expect("hex");
        assert!((1..=16).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let size = usize::from_str_radix(text, 16).expect("a size");
        assert!(!rest[..line].contains(&b'\n') && !rest[..line].contains(&b'\r'));
        rest = &rest[line + 2..];
        if size == 0 {
            break;
        }
        data.extend_from_slice(&rest[..size]);
        assert_eq!(&rest[size..size + 2], b"\r\n");
        rest = &rest[size + 2..];
    }
    assert_eq!(data, body.data);
    assert!(rest == b"\r\n" || rest.ends_with(b"\r\n\r\n"));
    assert_eq!(
        rest.iter().filter(|byte| **byte == b'\n').count(),
        body.trailers.len() + 1
    );
}

fn check_written(decoder: &mut Decoder, body: &Body, piece: usize) {
    if body.end.is_none() {
        return;
    }
    let mut out = Vec::new();
    for chunk in body.data.chunks(piece) {
        write_chunk(&mut out, chunk);
    }
    out.extend_from_slice(LAST_CHUNK_BEFORE_TRAILERS);
    for (name, value) in &body.trailers {
        encode::field_checked(&mut out, name, value).expect("a parsed field is good");
    }
    encode::end(&mut out);
    let length = out.len();
    out.extend_from_slice(b"next");
    let again = decode(decoder, &out, piece);
    // Written with a space that was not there, a section may go over its limit.
    if again == Err(ChunkError::Trailer(weir_wire::HeadError::HeadTooLarge)) {
        return;
    }
    let again = again.expect("what is written is good");
    assert_eq!(
        (&again.data, &again.trailers, again.end),
        (&body.data, &body.trailers, Some(length))
    );
}
