//! Functions that may be longer than the rule says: each with its length and its reason. Lengths only go down.

/// Where the list is.
pub(crate) const PATH: &str = "xtask/tidy-ratchet.txt";

/// A function that may be long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exception {
    /// The file, from the repository's root.
    pub(crate) path: String,
    /// The function's name.
    pub(crate) function: String,
    /// Its greatest length, lines.
    pub(crate) lines: usize,
    /// The line of the list, counted from 1.
    pub(crate) listed_at: usize,
}

/// Reads lines of the form `PATH FUNCTION LINES REASON...`; empty lines and `#` lines are skipped.
pub(crate) fn parse(text: &str) -> Result<Vec<Exception>, String> {
    let mut exceptions = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let problem = || {
            format!(
                "{PATH}:{}: wanted PATH FUNCTION LINES REASON, found {line}",
                index + 1
            )
        };
        let [path, function, lines, _, ..] = words[..] else {
            return Err(problem());
        };
        exceptions.push(Exception {
            path: path.to_owned(),
            function: function.to_owned(),
            lines: lines.parse().map_err(|_| problem())?,
            listed_at: index + 1,
        });
    }
    Ok(exceptions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exception_has_a_reason() {
        let list = parse("# list\n\na.rs run 80 a table that reads best whole\n").expect("a list");
        assert_eq!(
            (list[0].function.as_str(), list[0].lines, list[0].listed_at),
            ("run", 80, 3)
        );
        assert!(parse("a.rs run 80").is_err());
        assert!(parse("a.rs run many reasons").is_err());
    }
}
