//! The environment variables that configuration may refer to.

use std::fs;

use crate::resource::Environment;

/// Where variables may be written down, in the current directory.
const FILE: &str = ".env";
/// A longer one is no list of variables.
const FILE_BYTES: u64 = 1024 * 1024;

/// The variables of the process, and those of `.env` that the process does not have. Variables that are not text are
/// left out.
pub(super) fn of_process() -> Environment {
    let is_small = fs::metadata(FILE).is_ok_and(|facts| facts.is_file() && facts.len() <= FILE_BYTES);
    let text = if is_small {
        fs::read_to_string(FILE).unwrap_or_default()
    } else {
        String::new()
    };
    let own = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Environment::new(lines(&text).chain(own))
}

/// `NAME=value` line by line: empty lines and comments are skipped, `export` before the name and quotes around the
/// value are dropped.
fn lines(text: &str) -> impl Iterator<Item = (String, String)> {
    text.lines().filter_map(|line| {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once('=')?;
        let (name, value) = (name.trim(), value.trim());
        let is_name = !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let quoted = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
        let bare = || {
            value
                .split_once(" #")
                .map_or(value, |(value, _)| value.trim_end())
        };
        let value = quoted('"').or_else(|| quoted('\'')).unwrap_or_else(bare);
        is_name.then(|| (name.to_owned(), value.to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kt29_an_env_file_is_read_line_by_line() {
        let text =
            "# comment\n\nA=1\nexport B = two \nC=\"a b # c\"\nD='x'\nE=x # y\nF=\nnot a line\n=x\nG-H=1\n";
        let found: Vec<(String, String)> = lines(text).collect();
        let shown: Vec<String> = found
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(shown, ["A=1", "B=two", "C=a b # c", "D=x", "E=x", "F="]);
    }
}
