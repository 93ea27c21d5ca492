//! What a request may ask of an echo backend in its query.

use std::fmt;
use std::time::Duration;

/// Longest delay that a request may ask for.
const DELAY_MAX: Duration = Duration::from_secs(600);
/// Greatest chunk that a request may ask for, bytes.
const CHUNK_MAX: u64 = 1 << 20;
/// Greatest body that a request may ask for, bytes.
const SIZE_MAX: u64 = 1 << 40;

/// What a request asks for: `?size=BYTES&t=250ms&r=503&chunk=N`. Parameters of other names are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Knobs {
    /// `size`: answer with that many bytes of filler instead of the JSON.
    pub size: Option<u64>,
    /// `t`: wait before answering; a bare number is in milliseconds.
    pub delay: Option<Duration>,
    /// `r`: the status, 200 to 599.
    pub status: Option<u16>,
    /// `chunk`: send the body chunked, in pieces of that many bytes.
    pub chunk: Option<usize>,
}

/// A knob whose value cannot be used. The client is at fault; trying again changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnobError {
    /// The parameter as received.
    pub parameter: String,
    /// What it must be.
    pub expected: &'static str,
}

impl fmt::Display for KnobError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "query parameter {:?}: expected {}",
            self.parameter, self.expected
        )
    }
}

impl std::error::Error for KnobError {}

impl Knobs {
    /// Reads the query of a request target. The last parameter of a name wins.
    ///
    /// # Errors
    /// A parameter of a known name with a value out of bounds.
    pub fn of_target(target: &str) -> Result<Self, KnobError> {
        let mut knobs = Self::default();
        let query = target.split_once('?').map_or("", |(_, query)| query);
        for parameter in query.split('&') {
            let Some((name, value)) = parameter.split_once('=') else {
                continue;
            };
            let error = |expected| KnobError {
                parameter: parameter.to_owned(),
                expected,
            };
            match name {
                "size" => {
                    let size = bytes(value).filter(|size| *size <= SIZE_MAX);
                    knobs.size = Some(size.ok_or_else(|| error("bytes, such as 1024, 64k or 1m"))?);
                }
                "t" => {
                    let delay = delay(value).filter(|delay| *delay <= DELAY_MAX);
                    knobs.delay = Some(delay.ok_or_else(|| error("a time up to 600s, such as 250ms or 2s"))?);
                }
                "r" => {
                    let status = value.parse().ok().filter(|status| (200..=599).contains(status));
                    knobs.status = Some(status.ok_or_else(|| error("a status from 200 to 599"))?);
                }
                "chunk" => {
                    let chunk = bytes(value).filter(|chunk| (1..=CHUNK_MAX).contains(chunk));
                    let chunk = chunk.ok_or_else(|| error("bytes from 1 to 1m"))?;
                    knobs.chunk = usize::try_from(chunk).ok();
                }
                _ => {}
            }
        }
        Ok(knobs)
    }
}

/// `1024`, `64k`, `10m` or `1g`, in powers of 1024.
fn bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        _ => return None,
    };
    number(digits)?.checked_mul(unit)
}

/// `250`, `250ms`, `250us`, `2s` or `1m`.
fn delay(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let micros = match &text[digits.len()..] {
        "us" => 1,
        "" | "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        _ => return None,
    };
    number(digits)?.checked_mul(micros).map(Duration::from_micros)
}

/// Decimal digits only: no sign, no blank.
fn number(digits: &str) -> Option<u64> {
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lt01_knobs_are_read_from_the_query() {
        let ms = Duration::from_millis;
        for (target, expected) in [
            ("/", Knobs::default()),
            ("/?", Knobs::default()),
            ("/a?b=c&size&=", Knobs::default()),
            (
                "/?size=0",
                Knobs {
                    size: Some(0),
                    ..Knobs::default()
                },
            ),
            (
                "/?size=64k&t=250ms",
                Knobs {
                    size: Some(65_536),
                    delay: Some(ms(250)),
                    ..Knobs::default()
                },
            ),
            (
                "/?t=1500",
                Knobs {
                    delay: Some(ms(1500)),
                    ..Knobs::default()
                },
            ),
            (
                "/?t=2s&t=3s",
                Knobs {
                    delay: Some(ms(3000)),
                    ..Knobs::default()
                },
            ),
            (
                "/?r=503&chunk=7",
                Knobs {
                    status: Some(503),
                    chunk: Some(7),
                    ..Knobs::default()
                },
            ),
        ] {
            assert_eq!(Knobs::of_target(target), Ok(expected), "{target}");
        }
    }

    #[test]
    fn lt01_knobs_out_of_bounds_are_refused() {
        for target in [
            "/?size=-1",
            "/?size=+1",
            "/?size=",
            "/?size=2t",
            "/?size=99999999999999999999",
            "/?size=9999g",
            "/?t=x",
            "/?t=601s",
            "/?r=100",
            "/?r=600",
            "/?r=abc",
            "/?chunk=0",
            "/?chunk=2m",
            "/?size=1\u{e9}",
        ] {
            assert!(Knobs::of_target(target).is_err(), "{target}");
        }
    }
}
