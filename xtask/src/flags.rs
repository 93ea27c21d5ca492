//! Command-line flags of a task.

use std::fmt::Display;
use std::str::FromStr;

/// The flags that a task was given.
pub(crate) struct Flags {
    values: Vec<(String, Option<String>)>,
}

impl Flags {
    /// Reads `--name value`, `--name=value` and, for the names in `switches`, `--name`. An error names the
    /// argument that nobody knows.
    pub(crate) fn read(arguments: &[String], switches: &[&str], valued: &[&str]) -> Result<Self, String> {
        let mut values = Vec::new();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let (name, inline) = match argument.strip_prefix("--").unwrap_or_default().split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (argument.strip_prefix("--").unwrap_or_default(), None),
            };
            if switches.contains(&name) && inline.is_none() {
                values.push((name.to_owned(), None));
            } else if valued.contains(&name) {
                let value = inline.or_else(|| arguments.next().cloned());
                let value = value.ok_or_else(|| format!("--{name} needs a value"))?;
                values.push((name.to_owned(), Some(value)));
            } else {
                return Err(format!("unknown argument {argument}; see cargo xtask help"));
            }
        }
        Ok(Self { values })
    }

    /// Whether a switch was given.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.values.iter().any(|(given, _)| given == name)
    }

    /// The value of a flag, or `default`.
    pub(crate) fn value<T: FromStr<Err: Display>>(&self, name: &str, default: T) -> Result<T, String> {
        match self.text(name) {
            Some(text) => text.parse().map_err(|error| format!("--{name} {text}: {error}")),
            None => Ok(default),
        }
    }

    /// The values of a comma-separated flag, or `default`.
    pub(crate) fn list<T: FromStr<Err: Display>>(
        &self,
        name: &str,
        default: Vec<T>,
    ) -> Result<Vec<T>, String> {
        match self.text(name) {
            Some(text) => text
                .split(',')
                .map(|part| part.parse().map_err(|error| format!("--{name} {part}: {error}")))
                .collect(),
            None => Ok(default),
        }
    }

    /// The text of a flag; the last one counts.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.values
            .iter()
            .rev()
            .find(|(given, _)| given == name)
            .and_then(|(_, value)| value.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Flags, String> {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Flags::read(&arguments, &["quick"], &["rounds", "only"])
    }

    #[test]
    fn flags_have_values_switches_do_not() {
        let flags = read("--rounds 3 --quick --rounds=5 --only a,b").expect("flags");
        assert!(flags.has("quick"));
        assert_eq!(flags.value("rounds", 7), Ok(5));
        assert_eq!(
            flags.list("only", vec![]),
            Ok(vec!["a".to_owned(), "b".to_owned()])
        );
        assert_eq!(read("").and_then(|flags| flags.value("rounds", 7)), Ok(7));
    }

    #[test]
    fn what_is_not_a_flag_is_an_error() {
        for line in ["rounds", "--round 3", "--rounds", "--quick=yes", "-q"] {
            assert!(read(line).is_err(), "{line}");
        }
        assert!(
            read("--rounds many")
                .and_then(|flags| flags.value("rounds", 7))
                .is_err()
        );
    }
}
