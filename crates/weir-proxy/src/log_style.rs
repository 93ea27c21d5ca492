//! How records of exchanges are written, and which of them (row OP08).

use std::fmt;

/// What the access log says of each exchange, and of which ones.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogStyle {
    /// How a record is written.
    pub format: LogFormat,
    /// Part of the records that are written, 0 to 1; `None` for all. What went wrong is always written.
    pub sample: Option<f64>,
    /// Only what went wrong is written: answers of 5xx, none, and those that weir gave itself.
    pub errors_only: bool,
}

/// How a record is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// As one JSON object.
    #[default]
    Json,
    /// As one JSON object with the fields of Envoy Gateway's default access log.
    Envoy,
    /// As a line of text.
    Text(LogTemplate),
}

/// A line of text with places for values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogTemplate {
    pub(crate) parts: Vec<LogPart>,
}

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LogPart {
    Text(Box<str>),
    Value(LogValue),
    /// A header of the request, by its name in lower case.
    Header(Box<str>),
}

/// A value of a record. Their names are those of the JSON form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogValue {
    StartTime,
    /// As in the logs of web servers: `21/Nov/2026:17:20:00 +0000`.
    ClfTime,
    Method,
    Path,
    Protocol,
    Status,
    Reason,
    /// Envoy's response flags.
    Flags,
    Retries,
    /// Every try: endpoint and what came of it.
    Attempts,
    BytesReceived,
    BytesSent,
    DurationMs,
    XForwardedFor,
    UserAgent,
    RequestId,
    Authority,
    Endpoint,
    Backend,
    Policy,
    PickReason,
    Peer,
    ClientIp,
    Listener,
    Route,
}

/// A text is no template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTemplateError {
    /// A `{` without its `}`.
    Open,
    /// There is no value of that name.
    Unknown(String),
}

/// What nginx and Apache call combined.
const COMBINED: &str = "{client_ip} - - [{clf_time}] \"{method} {path} {protocol}\" {status} {bytes_sent} \
                        \"{header:referer}\" \"{user_agent}\"";

const VALUES: [(&str, LogValue); 25] = [
    ("start_time", LogValue::StartTime),
    ("clf_time", LogValue::ClfTime),
    ("method", LogValue::Method),
    ("path", LogValue::Path),
    ("protocol", LogValue::Protocol),
    ("status", LogValue::Status),
    ("reason", LogValue::Reason),
    ("flags", LogValue::Flags),
    ("retries", LogValue::Retries),
    ("attempts", LogValue::Attempts),
    ("bytes_received", LogValue::BytesReceived),
    ("bytes_sent", LogValue::BytesSent),
    ("duration_ms", LogValue::DurationMs),
    ("x_forwarded_for", LogValue::XForwardedFor),
    ("user_agent", LogValue::UserAgent),
    ("request_id", LogValue::RequestId),
    ("authority", LogValue::Authority),
    ("endpoint", LogValue::Endpoint),
    ("backend", LogValue::Backend),
    ("policy", LogValue::Policy),
    ("pick_reason", LogValue::PickReason),
    ("peer", LogValue::Peer),
    ("client_ip", LogValue::ClientIp),
    ("listener", LogValue::Listener),
    ("route", LogValue::Route),
];

impl LogStyle {
    /// Whether every record is written.
    pub(crate) fn is_everything(&self) -> bool {
        self.sample.is_none() && !self.errors_only
    }
}

impl LogFormat {
    /// `json`, `envoy`, `combined`, or a template such as `{method} {path} {status}`; `{{` is a brace.
    ///
    /// # Errors
    /// The template names a value that there is not, or a brace is left open.
    pub fn parse(text: &str) -> Result<Self, LogTemplateError> {
        match text {
            "json" => Ok(Self::Json),
            "envoy" => Ok(Self::Envoy),
            "combined" => LogTemplate::parse(COMBINED).map(Self::Text),
            text => LogTemplate::parse(text).map(Self::Text),
        }
    }
}

impl LogTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// It names a value that there is not, or a brace is left open.
    pub fn parse(text: &str) -> Result<Self, LogTemplateError> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('{') {
            plain.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('{') {
                plain.push('{');
                rest = after;
                continue;
            }
            let end = rest.find('}').ok_or(LogTemplateError::Open)?;
            let name = &rest[..end];
            if !plain.is_empty() {
                parts.push(LogPart::Text(std::mem::take(&mut plain).into()));
            }
            let value = VALUES.iter().find(|(known, _)| *known == name);
            parts.push(match (value, name.strip_prefix("header:")) {
                (Some((_, value)), _) => LogPart::Value(*value),
                (None, Some(header)) if !header.is_empty() => {
                    LogPart::Header(header.to_ascii_lowercase().into())
                }
                _ => return Err(LogTemplateError::Unknown(name.to_owned())),
            });
            rest = &rest[end + 1..];
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(LogPart::Text(plain.into()));
        }
        Ok(Self { parts })
    }
}

impl fmt::Display for LogTemplateError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => out.write_str("a { has no }; write {{ for a brace"),
            Self::Unknown(name) => {
                let names: Vec<&str> = VALUES.iter().map(|(name, _)| *name).collect();
                write!(
                    out,
                    "there is no {{{name}}}: there are header:NAME, {}",
                    names.join(", ")
                )
            }
        }
    }
}

impl std::error::Error for LogTemplateError {}

/// Appends a value to a line of text. What could end the line or a quoted value is written as `\xHH`; nothing is `-`.
pub(crate) fn write_text(line: &mut Vec<u8>, value: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    if value.is_empty() {
        line.push(b'-');
    }
    for byte in value {
        if matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\') {
            line.push(*byte);
        } else {
            let (high, low) = (DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]);
            line.extend_from_slice(&[b'\\', b'x', high, low]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn op08_templates_name_values_and_nothing_else() {
        let template = LogTemplate::parse("{{x} {method} {header:X-User}!").expect("a template");
        assert_eq!(
            template.parts,
            [
                LogPart::Text("{x} ".into()),
                LogPart::Value(LogValue::Method),
                LogPart::Text(" ".into()),
                LogPart::Header("x-user".into()),
                LogPart::Text("!".into()),
            ]
        );
        for (text, expected) in [
            ("{method", LogTemplateError::Open),
            ("{verb}", LogTemplateError::Unknown("verb".to_owned())),
            ("{header:}", LogTemplateError::Unknown("header:".to_owned())),
            ("{}", LogTemplateError::Unknown(String::new())),
        ] {
            let error = LogTemplate::parse(text).expect_err(text);
            assert_eq!(error, expected);
            assert!(!error.to_string().is_empty());
        }
        assert!(matches!(LogFormat::parse("combined"), Ok(LogFormat::Text(_))));
        assert_eq!(LogFormat::parse("json"), Ok(LogFormat::Json));
        assert_eq!(LogFormat::parse("envoy"), Ok(LogFormat::Envoy));
    }

    #[test]
    fn d6_no_value_ends_a_line_of_text() {
        let mut line = Vec::new();
        write_text(&mut line, b"a\"b\\c\n\xff~");
        write_text(&mut line, b"");
        assert_eq!(String::from_utf8_lossy(&line), r"a\x22b\x5Cc\x0A\xFF~-");
    }
}
