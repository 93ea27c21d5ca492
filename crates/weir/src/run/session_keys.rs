//! The keys that session tokens are signed with.

use std::path::Path;

use weir_balance::{TokenKey, TokenKeys};

use crate::error::{CommandError, Exit};

/// Keys longer than that are another file.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Where a key may be given without a file.
const VARIABLE: &str = "WEIR_SESSION_KEY";

/// The keys of `path`, else those of the environment; `None` when there are none.
///
/// # Errors
/// They cannot be read, or one is too short.
pub(crate) fn read(path: Option<&Path>) -> Result<Option<TokenKeys>, CommandError> {
    let Some(path) = path else {
        let text = std::env::var_os(VARIABLE).filter(|text| !text.is_empty());
        return text
            .map(|text| parse(text.as_encoded_bytes(), VARIABLE))
            .transpose();
    };
    let place = path.display().to_string();
    let refuse = |why: String| {
        CommandError::new(Exit::Usage, "cannot read the session key")
            .place(&place)
            .why(why)
    };
    let size = std::fs::metadata(path).map_err(|error| refuse(error.to_string()))?;
    if size.len() > FILE_BYTES_MAX {
        return Err(refuse("the file is larger than 64 KiB".to_owned()));
    }
    let text = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
    parse(&text, &place).map(Some)
}

/// One key per line, the signing one first; lines that are empty or begin with `#` are skipped.
fn parse(text: &[u8], place: &str) -> Result<TokenKeys, CommandError> {
    let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let mut keys = Vec::new();
    for (number, line) in (1..).zip(lines) {
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let key = TokenKey::new(line).map_err(|_| {
            CommandError::new(Exit::Usage, "a session key is too short")
                .place(format!("{place}:{number}"))
                .why(format!("it has {} characters; 32 are the least", line.len()))
                .next("make one with: openssl rand -base64 48")
        })?;
        keys.push(key);
    }
    if keys.is_empty() {
        let error = CommandError::new(Exit::Usage, "there is no session key").place(place);
        return Err(error.next("make one with: openssl rand -base64 48"));
    }
    Ok(TokenKeys::new(keys))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bx15_keys_are_lines_of_at_least_32_characters() {
        let (one, other) = ("1".repeat(32), "2".repeat(40));
        for (text, expected) in [
            (one.clone(), Ok(1)),
            (format!("{one}\n"), Ok(1)),
            (format!("# new\n{one}\r\n\n  # old\n  {other}  \n"), Ok(2)),
            (String::new(), Err("there is no session key")),
            ("# nothing\n".to_owned(), Err("there is no session key")),
            (format!("{one}\nshort\n"), Err("file:2")),
            ("1".repeat(31), Err("31 characters; 32 are the least")),
        ] {
            match (parse(text.as_bytes(), "file"), expected) {
                (Ok(keys), Ok(count)) => {
                    let shown = format!("{keys:?}");
                    assert_eq!(shown.matches("secret not shown").count(), count, "{shown}");
                }
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
                (found, expected) => panic!("{text:?}: {found:?}, expected {expected:?}"),
            }
        }
    }
}
