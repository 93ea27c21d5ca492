//! Tests of the chunked coding (RFC 9112 7.1).

use proptest::prelude::*;

use super::*;
use crate::Known;
use crate::head::tests::LIMITS;

const CHUNK_LIMITS: ChunkLimits = ChunkLimits {
    extension_bytes: 256,
    extensions_bytes: 16 * 1024,
    trailers: LIMITS,
};

#[derive(Debug, PartialEq, Eq)]
struct Body {
    data: Vec<u8>,
    trailers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Bytes left behind the end; `None` when the body has no end.
    rest: Option<usize>,
}

/// Decodes `input` fed in pieces of `piece` bytes.
fn decode_by(decoder: &mut Decoder, input: &[u8], piece: usize) -> Result<Body, ChunkError> {
    decoder.reset();
    let mut body = Body {
        data: Vec::new(),
        trailers: Vec::new(),
        rest: None,
    };
    let mut used = 0;
    let mut end = 0;
    while end < input.len() && body.rest.is_none() {
        end = (end + piece).min(input.len());
        loop {
            let step = decoder.decode(&input[used..end])?;
            if let ChunkEvent::Data(range) = step.event.clone() {
                assert!(!range.is_empty() && range.end == step.consumed);
                body.data.extend_from_slice(&input[used..end][range]);
            }
            used += step.consumed;
            match step.event {
                ChunkEvent::Data(_) => {}
                ChunkEvent::More => {
                    assert_eq!(used, end, "all input is used when more is asked for");
                    break;
                }
                ChunkEvent::End => {
                    body.rest = Some(input.len() - used);
                    break;
                }
            }
        }
    }
    let (fields, bytes) = decoder.trailers();
    body.trailers = fields
        .iter()
        .map(|one| (one.name.of(bytes).to_vec(), one.value.of(bytes).to_vec()))
        .collect();
    Ok(body)
}

/// The outcome, after checking that no split of the input changes it.
fn decode(input: &[u8]) -> Result<Body, ChunkError> {
    let mut decoder = Decoder::new(CHUNK_LIMITS);
    let whole = decode_by(&mut decoder, input, usize::MAX / 2);
    for piece in 1..=input.len().min(40) {
        assert_eq!(
            decode_by(&mut decoder, input, piece),
            whole,
            "{} by {piece}",
            input.escape_ascii()
        );
    }
    whole
}

fn check_refused(input: &str, expected: ChunkError) {
    assert_eq!(decode(input.as_bytes()), Err(expected), "{input:?}");
}

#[test]
fn good_bodies() {
    for (input, data, rest) in [
        ("0\r\n\r\n", "", Some(0)),
        ("5\r\nhello\r\n0\r\n\r\n", "hello", Some(0)),
        (
            "5\r\nhello\r\n3\r\n\r\n.\r\n0\r\n\r\nGET /",
            "hello\r\n.",
            Some(5),
        ),
        (
            "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
            "01234567890123456789",
            Some(0),
        ),
        ("0000000000000001\r\nx\r\n0000000000000000\r\n\r\n", "x", Some(0)),
        ("1;a\r\nx\r\n0;b=\"c; d\"\r\n\r\n", "x", Some(0)),
        ("1; a = \t\u{e9}\r\nx\r\n0\r\n\r\n", "x", Some(0)),
        ("5\r\nhel", "hel", None),
        ("5\r\nhello\r\n", "hello", None),
        ("5\r\nhello\r\n0\r\n", "hello", None),
        ("7fffffffffffffff\r\nx", "x", None),
        ("", "", None),
    ] {
        let body = decode(input.as_bytes()).unwrap();
        assert_eq!(
            (body.data.as_slice(), body.rest),
            (data.as_bytes(), rest),
            "{input:?}"
        );
        assert!(body.trailers.is_empty());
    }
}

/// Among them RUSTSEC-2021-0079 (a size that overflows), CVE-2025-55315 and CVE-2023-39326 (extensions).
#[test]
fn row04_sizes_that_are_refused() {
    for size in [
        "",
        " 1",
        "\t1",
        "+1",
        "-1",
        "0x1",
        "x1",
        "1_0",
        "g",
        "1 ",
        "1\t",
        "1 ;a",
        "1,",
        "\x001",
        "\u{661}",
        "\"1\"",
        "00000000000000001",
        "8000000000000000",
        "ffffffffffffffff",
        "10000000000000000",
        "1h",
        ";a",
    ] {
        check_refused(&format!("{size}\r\nx\r\n0\r\n\r\n"), ChunkError::Size);
        check_refused(&format!("1\r\nx\r\n{size}\r\n\r\n"), ChunkError::Size);
    }
}

#[test]
fn row04_line_ends_that_are_refused() {
    for (input, expected) in [
        ("1\nx\r\n0\r\n\r\n", ChunkError::Size),
        ("1\rx\r\n0\r\n\r\n", ChunkError::LineEnding),
        ("1\r\r\nx\r\n0\r\n\r\n", ChunkError::LineEnding),
        ("1\r\nx\n0\r\n\r\n", ChunkError::LineEnding),
        ("1\r\nxy\r\n0\r\n\r\n", ChunkError::LineEnding),
        ("1\r\nx0\r\n\r\n", ChunkError::LineEnding),
        ("1\r\nx\r0\r\n\r\n", ChunkError::LineEnding),
        ("1\r\nx\r\n\r\n0\r\n\r\n", ChunkError::Size),
        ("\r\n1\r\nx\r\n0\r\n\r\n", ChunkError::Size),
        ("1\r\nx\r\n0\n\r\n", ChunkError::Size),
        ("0\r\n\n", ChunkError::Trailer(HeadError::LineEnding)),
        ("0\r\na: b\n\r\n", ChunkError::Trailer(HeadError::LineEnding)),
        ("0\r\n\r\r\n\r\n", ChunkError::Trailer(HeadError::LineEnding)),
        ("1;a\nx\r\n0\r\n\r\n", ChunkError::LineEnding),
        ("1;a\rb\r\nx\r\n0\r\n\r\n", ChunkError::LineEnding),
        ("1;\"\r\n\"\r\nx\r\n0\r\n\r\n", ChunkError::Size),
        ("1;a\0\r\nx\r\n0\r\n\r\n", ChunkError::Extension),
        ("1;\u{7f}\r\nx\r\n0\r\n\r\n", ChunkError::Extension),
    ] {
        check_refused(input, expected);
    }
}

#[test]
fn row04_extensions_are_bounded() {
    let line = |bytes: usize| format!("1;{}\r\nx\r\n", "e".repeat(bytes - 1));
    assert!(decode(format!("{}0\r\n\r\n", line(256)).as_bytes()).is_ok());
    assert_eq!(
        decode(format!("{}0\r\n\r\n", line(257)).as_bytes()),
        Err(ChunkError::ExtensionTooLarge)
    );
    let many = |count: usize| format!("{}0\r\n\r\n", line(256).repeat(count));
    let mut decoder = Decoder::new(CHUNK_LIMITS);
    assert!(decode_by(&mut decoder, many(64).as_bytes(), 1000).is_ok());
    assert_eq!(
        decode_by(&mut decoder, many(65).as_bytes(), 1000),
        Err(ChunkError::ExtensionTooLarge)
    );
    // The sum is of one message.
    assert!(decode_by(&mut decoder, many(64).as_bytes(), 7).is_ok());
}

/// RFC 9112 7.1.2; hyper #4107, #4108: repeated trailers and their number.
#[test]
fn row13_trailers_are_fields_with_the_limits_of_fields() {
    let body = decode(b"1\r\nx\r\n0\r\nA: 1\r\nb:2 \r\nA: 3\r\n\r\nnext").unwrap();
    let expected = [(&b"A"[..], &b"1"[..]), (b"b", b"2"), (b"A", b"3")];
    let seen: Vec<_> = body
        .trailers
        .iter()
        .map(|(name, value)| (name.as_slice(), value.as_slice()))
        .collect();
    assert_eq!((seen.as_slice(), body.rest), (&expected[..], Some(4)));
    for (trailers, expected) in [
        ("a : b\r\n", HeadError::FieldName),
        (" a: b\r\n", HeadError::FieldName),
        ("a: b\r\n c\r\n", HeadError::FieldName),
        ("a\r\n", HeadError::FieldName),
        (": b\r\n", HeadError::FieldName),
        ("a: \0\r\n", HeadError::FieldValue),
        ("a: b\rc\r\n", HeadError::FieldValue),
    ] {
        check_refused(&format!("0\r\n{trailers}\r\n"), ChunkError::Trailer(expected));
    }
    let limits = ChunkLimits {
        trailers: HeadLimits {
            head_bytes: 100,
            fields: 5,
            field_bytes: 50,
            target_bytes: 0,
        },
        ..CHUNK_LIMITS
    };
    let mut decoder = Decoder::new(limits);
    let mut outcome = |trailers: String| {
        let input = format!("0\r\n{trailers}\r\n");
        let whole = decode_by(&mut decoder, input.as_bytes(), 1000).map(|body| body.trailers.len());
        let slow = decode_by(&mut decoder, input.as_bytes(), 1).map(|body| body.trailers.len());
        assert_eq!(slow, whole, "{input:?}");
        whole
    };
    assert_eq!(outcome("a: b\r\n".repeat(5)), Ok(5));
    assert_eq!(
        outcome("a: b\r\n".repeat(6)),
        Err(ChunkError::Trailer(HeadError::TooManyFields))
    );
    assert_eq!(outcome(format!("a: {}\r\n", "b".repeat(49))), Ok(1));
    assert_eq!(
        outcome(format!("a: {}\r\n", "b".repeat(50))),
        Err(ChunkError::Trailer(HeadError::FieldTooLarge))
    );
    assert_eq!(outcome(format!("a:{}b\r\n", " ".repeat(93))), Ok(1));
    assert_eq!(
        outcome(format!("a:{}b\r\n", " ".repeat(94))),
        Err(ChunkError::Trailer(HeadError::HeadTooLarge))
    );
    assert_eq!(outcome(String::new()), Ok(0));
    assert_eq!(ChunkError::Trailer(HeadError::HeadTooLarge).status(), 431);
}

#[test]
fn a_decoder_is_reused() {
    let mut decoder = Decoder::new(CHUNK_LIMITS);
    let body = decode_by(&mut decoder, b"1\r\nx\r\n0\r\nHost: 1\r\n\r\n", 3).unwrap();
    assert_eq!(body.trailers.len(), 1);
    assert!(decoder.is_ended() && decoder.trailers().0.has(Known::Host));
    assert_eq!(
        decoder.decode(b"more"),
        Ok(Step {
            consumed: 0,
            event: ChunkEvent::End
        })
    );
    let body = decode_by(&mut decoder, b"1\r\ny\r\n0\r\n\r\n", 3).unwrap();
    assert_eq!((body.data.as_slice(), body.trailers.len()), (&b"y"[..], 0));
}

#[test]
fn size_lines() {
    for (length, line) in [
        (1, "1\r\n"),
        (15, "f\r\n"),
        (16, "10\r\n"),
        (0xabc, "abc\r\n"),
        (u64::MAX, "ffffffffffffffff\r\n"),
    ] {
        assert_eq!(SizeLine::new(length).as_bytes(), line.as_bytes());
    }
    let mut out = Vec::new();
    write_chunk(&mut out, b"");
    assert!(out.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn encoded_then_decoded_is_the_same(
        chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..8),
        piece in 1usize..60,
    ) {
        let mut input = Vec::new();
        for chunk in &chunks {
            write_chunk(&mut input, chunk);
        }
        input.extend_from_slice(LAST_CHUNK);
        input.extend_from_slice(b"next");
        let body = decode_by(&mut Decoder::new(CHUNK_LIMITS), &input, piece).unwrap();
        prop_assert_eq!(body.data, chunks.concat());
        prop_assert!(body.rest.is_some());
    }

    /// Bytes that are almost a chunked body give the same events however they are split.
    #[test]
    fn splits_do_not_matter(
        pieces in proptest::collection::vec(
            prop_oneof![
                Just("1"), Just("0"), Just("3"), Just("\r\n"), Just("\r"), Just("\n"), Just("x"), Just(";"),
                Just("a: b\r\n"), Just("1\r\nx\r\n"), Just("3\r\nabc\r\n"), Just("0\r\n"), Just("\0"), Just(" "),
            ],
            0..14,
        ),
    ) {
        let _ = decode(pieces.concat().as_bytes());
    }
}
