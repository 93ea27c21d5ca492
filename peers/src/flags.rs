//! Command-line flags of the form `--name value`.

use std::fmt::Display;
use std::str::FromStr;

/// The flags of one command line, and a word on how to use them.
pub struct Flags {
    values: Vec<(String, String)>,
}

impl Flags {
    /// Reads the process's arguments. An error names the argument that is not a flag, a flag without a value,
    /// or a flag that is not in `known`.
    pub fn read(known: &[&str]) -> Result<Self, String> {
        let mut values = Vec::new();
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let name = argument
                .strip_prefix("--")
                .filter(|name| known.contains(name))
                .ok_or_else(|| {
                    format!(
                        "unknown argument {argument}; the flags are --{}",
                        known.join(", --")
                    )
                })?;
            let value = arguments
                .next()
                .ok_or_else(|| format!("--{name} needs a value"))?;
            values.push((name.to_owned(), value));
        }
        Ok(Self { values })
    }

    /// The value of a flag that must be there.
    pub fn required<T: FromStr<Err: Display>>(&self, name: &str) -> Result<T, String> {
        self.optional(name)?.ok_or_else(|| format!("--{name} is needed"))
    }

    /// The value of a flag, if it was given. An error names the flag and what is wrong with its value.
    pub fn optional<T: FromStr<Err: Display>>(&self, name: &str) -> Result<Option<T>, String> {
        self.values
            .iter()
            .rev()
            .find(|(given, _)| given == name)
            .map(|(_, value)| {
                value
                    .parse()
                    .map_err(|error| format!("--{name} {value}: {error}"))
            })
            .transpose()
    }

    /// The values of a comma-separated flag that must name at least one.
    pub fn list<T: FromStr<Err: Display>>(&self, name: &str) -> Result<Vec<T>, String> {
        let text: String = self.required(name)?;
        text.split(',')
            .map(|part| part.parse().map_err(|error| format!("--{name} {part}: {error}")))
            .collect()
    }
}
