//! What weir says on standard error while it runs: one line per event, as text or as JSON.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use crate::flags::Global;
use crate::output;
use crate::value::LogFilter;
pub(crate) use crate::value::LogLevel as Level;

/// Writes events to standard error. Cheap to copy; lines of several threads never mix.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log {
    filter: LogFilter,
    color: bool,
}

impl Log {
    /// What the global flags ask for.
    pub(crate) fn new(global: &Global) -> Self {
        let level = match (global.quiet, global.verbose) {
            (true, _) => Level::Warn,
            (false, 0) => Level::Info,
            (false, _) => Level::Debug,
        };
        let filter = match global.log {
            Some(filter) if global.quiet || global.verbose > 0 => LogFilter { level, ..filter },
            Some(filter) => filter,
            None => LogFilter { level, json: false },
        };
        Self {
            filter,
            color: output::color_stderr(global.color),
        }
    }

    /// The same, but without notes unless they are asked for: for commands that print results of their own.
    pub(crate) fn for_warnings(global: &Global) -> Self {
        let mut log = Self::new(global);
        if global.log.is_none() && global.verbose == 0 {
            log.filter.level = log.filter.level.min(Level::Warn);
        }
        log
    }

    /// Whether events of `level` are written.
    pub(crate) fn shows(&self, level: Level) -> bool {
        level <= self.filter.level
    }

    /// Whether problems should be coloured; never in JSON lines.
    pub(crate) fn color(&self) -> bool {
        self.color && !self.filter.json
    }

    /// Whether lines are JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.filter.json
    }

    /// Several lines for people, written as they are. Never in JSON lines.
    pub(crate) fn block(&self, level: Level, text: &str) {
        if self.shows(level) && !self.filter.json {
            // Nobody is left to tell when standard error cannot be written.
            let _unheard = std::io::stderr().lock().write_all(text.as_bytes());
        }
    }

    /// Something may not be as meant.
    pub(crate) fn warn(&self, message: &str) {
        self.event(Level::Warn, "warning", message, &[]);
    }

    /// What a person wants to know.
    pub(crate) fn info(&self, message: &str) {
        self.event(Level::Info, "note", message, &[]);
    }

    /// What helps to find out why.
    pub(crate) fn debug(&self, message: &str) {
        self.event(Level::Debug, "detail", message, &[]);
    }

    /// An event with a name and fields for machines; `message` says the same to people.
    pub(crate) fn event(&self, level: Level, name: &str, message: &str, fields: &[(&str, Value)]) {
        if !self.shows(level) {
            return;
        }
        let line = if self.filter.json {
            json_line(level, name, message, fields)
        } else {
            text_line(level, message, self.color)
        };
        // Nobody is left to tell when standard error cannot be written.
        let _unheard = std::io::stderr().lock().write_all(line.as_bytes());
    }
}

/// The time of day, milliseconds since 1970.
pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn text_line(level: Level, message: &str, color: bool) -> String {
    let label = match (level, color) {
        (Level::Error, false) => "error: ",
        (Level::Error, true) => "\x1b[1;31merror\x1b[0m: ",
        (Level::Warn, false) => "warning: ",
        (Level::Warn, true) => "\x1b[1;33mwarning\x1b[0m: ",
        (Level::Info | Level::Debug, _) => "",
    };
    format!("weir: {label}{message}\n")
}

fn json_line(level: Level, name: &str, message: &str, fields: &[(&str, Value)]) -> String {
    let level = match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
    };
    let mut object = Map::new();
    object.insert("time".to_owned(), Value::from(unix_ms() as f64 / 1000.0));
    for (key, text) in [("level", level), ("event", name), ("message", message)] {
        object.insert(key.to_owned(), Value::from(text));
    }
    for (key, value) in fields {
        object.insert((*key).to_owned(), value.clone());
    }
    format!("{}\n", Value::Object(object))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn op11_json_lines_hold_message_and_fields() {
        let line = json_line(
            Level::Info,
            "generation",
            "generation 3 in force",
            &[("generation", 3.into())],
        );
        let value: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(value["event"], "generation");
        assert_eq!(value["generation"], 3);
        assert_eq!(value["level"], "info");
        assert!(line.ends_with("}\n") && line.matches('\n').count() == 1);
        assert_eq!(text_line(Level::Warn, "odd", false), "weir: warning: odd\n");
    }
}
