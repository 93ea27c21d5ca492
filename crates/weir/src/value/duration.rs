//! Times as Go and the Gateway API write them.

use std::time::Duration;

/// Reads `1h30m`, `250ms`, `1.5s`, `10us` or `0`.
///
/// # Errors
/// Anything else, in words for the user.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let expected = || format!("expected a time such as 250ms, 30s or 1h30m, got {text:?}");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest
            .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
            .unwrap_or(rest.len());
        let unit = rest[digits..]
            .find(|letter: char| letter.is_ascii_digit())
            .unwrap_or(rest.len() - digits);
        let number: f64 = rest[..digits].parse().map_err(|_| expected())?;
        let seconds = match &rest[digits..digits + unit] {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return Err(expected()),
        };
        let part = Duration::try_from_secs_f64(number * seconds).map_err(|_| expected())?;
        total = total.checked_add(part).ok_or_else(expected)?;
        rest = &rest[digits + unit..];
    }
    if text.is_empty() {
        Err(expected())
    } else {
        Ok(total)
    }
}

/// Writes a time the way [`parse_duration`] reads it, without needless parts.
pub(crate) fn duration_text(duration: Duration) -> String {
    let millis = duration.as_millis();
    let (hours, minutes, seconds, rest) = (
        millis / 3_600_000,
        millis / 60_000 % 60,
        millis / 1000 % 60,
        millis % 1000,
    );
    let parts = [(hours, "h"), (minutes, "m"), (seconds, "s"), (rest, "ms")];
    let text: String = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn op11_durations_are_written_as_go_writes_them() {
        let ms = Duration::from_millis;
        for (text, expected) in [
            ("250ms", Some(ms(250))),
            ("1h30m", Some(ms(5_400_000))),
            ("1.5s", Some(ms(1500))),
            ("30s", Some(ms(30_000))),
            ("0", Some(ms(0))),
            ("0s", Some(ms(0))),
            ("10us", Some(Duration::from_micros(10))),
            ("", None),
            ("30", None),
            ("s", None),
            ("-1s", None),
            ("1d", None),
            ("1s ", None),
            ("1e300h", None),
            ("99999999999999999999h", None),
            ("..s", None),
        ] {
            assert_eq!(parse_duration(text).ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_duration_is_read_back_as_written() {
        for millis in [0, 1, 999, 1000, 61_000, 3_600_000, 5_400_250] {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse_duration(&duration_text(duration)), Ok(duration));
        }
    }
}
