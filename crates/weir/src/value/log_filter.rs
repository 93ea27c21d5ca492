//! What is logged, and how.

use std::str::FromStr;

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LogLevel {
    /// Something does not work.
    Error,
    /// Something may not be as meant.
    Warn,
    /// What a person wants to know.
    Info,
    /// What helps to find out why.
    Debug,
}

/// The value of `--log`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogFilter {
    /// Events that matter less are not written.
    pub(crate) level: LogLevel,
    /// As JSON lines.
    pub(crate) json: bool,
}

impl FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut filter = Self {
            level: LogLevel::Info,
            json: false,
        };
        for word in text.split(',') {
            match word {
                "error" => filter.level = LogLevel::Error,
                "warn" => filter.level = LogLevel::Warn,
                "info" => filter.level = LogLevel::Info,
                "debug" => filter.level = LogLevel::Debug,
                "json" => filter.json = true,
                "text" => filter.json = false,
                _ => {
                    return Err("expected error, warn, info or debug, and perhaps json: info,json".to_owned());
                }
            }
        }
        Ok(filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn op11_the_log_filter_takes_a_level_and_a_form() {
        for (text, expected) in [
            ("debug", Some((LogLevel::Debug, false))),
            ("json", Some((LogLevel::Info, true))),
            ("warn,json", Some((LogLevel::Warn, true))),
            ("json,error", Some((LogLevel::Error, true))),
            ("", None),
            ("loud", None),
        ] {
            let expected = expected.map(|(level, json)| LogFilter { level, json });
            assert_eq!(text.parse().ok(), expected, "{text:?}");
        }
    }
}
