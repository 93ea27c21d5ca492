//! Why heads and trailer sections are refused.

/// Why a head was refused. Each is the sender's fault and final for its connection: where the next message
/// begins is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeadError {
    /// A line that does not end in CR LF, or too many empty lines before a request (RFC 9112 2.2).
    LineEnding,
    /// Not exactly `method SP target SP version` (RFC 9112 3).
    RequestLine,
    /// Not exactly `version SP status SP reason`, or a status outside 100 to 599 (RFC 9112 4).
    StatusLine,
    /// A target of no known form, with bytes that no target may have, or of a form that the method may not
    /// have (RFC 9112 3.2).
    Target,
    /// A target over the limit.
    TargetTooLong,
    /// Something in the place of the version that is not one (RFC 9112 2.3).
    Version,
    /// A version of HTTP that this codec does not speak.
    VersionUnsupported,
    /// A field name that is no token, space before the colon, or a folded line (RFC 9112 5.1, 5.2).
    FieldName,
    /// A control byte in a field value, a bare CR among them (RFC 9110 5.5).
    FieldValue,
    /// One field over the limit.
    FieldTooLarge,
    /// More fields than the limit.
    TooManyFields,
    /// The whole head over the limit.
    HeadTooLarge,
}

impl HeadError {
    /// The status to answer a request with. For a response head it is always 502.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::LineEnding
            | Self::RequestLine
            | Self::StatusLine
            | Self::Target
            | Self::Version
            | Self::FieldName
            | Self::FieldValue => 400,
            Self::TargetTooLong => 414,
            Self::FieldTooLarge | Self::TooManyFields | Self::HeadTooLarge => 431,
            Self::VersionUnsupported => 505,
        }
    }

    /// A stable word for logs and metrics.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::LineEnding => "line_ending",
            Self::RequestLine => "request_line",
            Self::StatusLine => "status_line",
            Self::Target => "target",
            Self::TargetTooLong => "target_too_long",
            Self::Version => "version",
            Self::VersionUnsupported => "version_unsupported",
            Self::FieldName => "field_name",
            Self::FieldValue => "field_value",
            Self::FieldTooLarge => "field_too_large",
            Self::TooManyFields => "too_many_fields",
            Self::HeadTooLarge => "head_too_large",
        }
    }
}

impl std::fmt::Display for HeadError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "the message head is refused: {}", self.reason())
    }
}

impl std::error::Error for HeadError {}
