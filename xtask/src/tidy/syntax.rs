//! Just enough of Rust's lexical grammar to tell code from comments and literals.

/// What a byte of a file belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Code,
    Comment,
    Literal,
}

/// A file's text three times, each of the same length and with the same lines: what does not belong is blank.
pub(crate) struct Layers {
    /// Only code; the insides of string and character literals are blank.
    pub(crate) code: String,
    /// Only comments.
    pub(crate) comments: String,
}

/// Separates code from comments.
pub(crate) fn separate(text: &str) -> Layers {
    let parts = classify(text.as_bytes());
    let keep = |wanted: Part| {
        text.char_indices()
            .map(|(at, letter)| {
                let kept = letter == '\n' || parts[at] == wanted;
                // Blanks as wide as the letter keep every offset.
                if kept {
                    letter.to_string()
                } else {
                    " ".repeat(letter.len_utf8())
                }
            })
            .collect()
    };
    Layers {
        code: keep(Part::Code),
        comments: keep(Part::Comment),
    }
}

fn classify(bytes: &[u8]) -> Vec<Part> {
    let mut parts = vec![Part::Code; bytes.len()];
    let mut at = 0;
    while at < bytes.len() {
        let (end, part) = token(bytes, at);
        if part == Part::Literal {
            // The delimiters stay code, so that a literal is still seen to be there.
            parts[(at + 1).min(end)..end.saturating_sub(1).max(at + 1).min(end)].fill(Part::Literal);
        } else {
            parts[at..end].fill(part);
        }
        at = end;
    }
    parts
}

/// The end of what begins at `at`, and what it is.
fn token(bytes: &[u8], at: usize) -> (usize, Part) {
    let rest = &bytes[at..];
    if rest.starts_with(b"//") {
        let length = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        return (at + length, Part::Comment);
    }
    if rest.starts_with(b"/*") {
        return (at + block_comment(rest), Part::Comment);
    }
    let starts_word = at == 0 || !is_word(bytes[at - 1]);
    if starts_word && let Some(length) = raw_string(rest) {
        return (at + length, Part::Literal);
    }
    match rest[0] {
        b'"' => (at + string(rest), Part::Literal),
        b'\'' => match character(rest) {
            Some(length) => (at + length, Part::Literal),
            None => (at + 1, Part::Code),
        },
        _ => (at + 1, Part::Code),
    }
}

/// Block comments nest.
fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn string(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// `r"..."`, `r#"..."#`, also with `b` or `c` before.
fn raw_string(rest: &[u8]) -> Option<usize> {
    let prefix = usize::from(matches!(rest[0], b'b' | b'c'));
    let after = rest.get(prefix..)?.strip_prefix(b"r")?;
    let hashes = after.iter().take_while(|byte| **byte == b'#').count();
    after.get(hashes..)?.strip_prefix(b"\"")?;
    let open = prefix + 1 + hashes + 1;
    let mut close = vec![b'"'];
    close.resize(hashes + 1, b'#');
    let body = rest
        .get(open..)?
        .windows(close.len())
        .position(|window| window == close);
    Some(body.map_or(rest.len(), |length| open + length + close.len()))
}

/// A character literal; `None` for a lifetime.
fn character(rest: &[u8]) -> Option<usize> {
    let text = rest.get(1..)?;
    if text.first() == Some(&b'\\') {
        let close = text.iter().skip(2).position(|byte| *byte == b'\'')?;
        return Some(close + 4);
    }
    let width = match text.first()? {
        0..=0x7f => 1,
        0x80..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xff => 4,
    };
    (text.get(width) == Some(&b'\'')).then_some(width + 2)
}

/// Whether a byte may be part of a word.
pub(crate) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Where `needle` stands in `code` as a word of its own; a needle that ends in punctuation is bounded in front only.
pub(crate) fn find_words<'a>(code: &'a str, needle: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(needle).map(|(at, _)| at).filter(move |at| {
        let bytes = code.as_bytes();
        let starts = !is_word(needle.as_bytes()[0]) || *at == 0 || !is_word(bytes[at - 1]);
        let end = at + needle.len();
        let ends = !is_word(needle.as_bytes()[needle.len() - 1])
            || bytes.get(end).is_none_or(|byte| !is_word(*byte));
        starts && ends
    })
}

/// The end of a bracketed part that opens at `open`: just behind its closing bracket.
pub(crate) fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_comments_are_told_apart() {
        for (text, code) in [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            ("f(\"a // b\")", "f(\"      \")"),
            (r#"f("a\"b")"#, r#"f("    ")"#),
            (r###"f(r#"a"b"#, x)"###, r###"f(r      #, x)"###),
            ("'a' 'b", "' ' 'b"),
            (r"'\'' x", r"'  ' x"),
            (r"'\u{1F600}' x", r"'         ' x"),
            ("&'static str", "&'static str"),
            ("'é' x", "'  ' x"),
            ("for_r\"x\"", "for_r\" \""),
        ] {
            assert_eq!(separate(text).code, code, "{text}");
        }
        assert_eq!(separate("a // b").comments, "  // b");
    }

    #[test]
    fn words_are_whole() {
        let at = |code: &'static str, needle: &'static str| find_words(code, needle).collect::<Vec<_>>();
        assert_eq!(at("unsafe_code unsafe {}", "unsafe"), [12]);
        assert_eq!(at("x.unwrap() y.unwrap_or()", ".unwrap()"), [1]);
        assert_eq!(at("my_tokio tokio::x", "tokio"), [9]);
    }

    #[test]
    fn brackets_close() {
        let code = "fn a() { b[{ 1 }]; } fn c";
        assert_eq!(closing(code, 7), 20);
    }
}
