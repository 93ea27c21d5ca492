//! Percentages.

/// Reads `1%`, `0.5%` or a bare `1`, from 0 to 100.
///
/// # Errors
/// Anything else, in words for the user.
pub(crate) fn parse_percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text);
    number
        .parse()
        .ok()
        .filter(|percent| (0.0..=100.0).contains(percent))
        .ok_or_else(|| "expected a percentage from 0% to 100%, such as 1% or 0.5%".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_stay_between_0_and_100() {
        for (text, value) in [
            ("1%", Some(1.0)),
            ("0.5%", Some(0.5)),
            ("100", Some(100.0)),
            ("0", Some(0.0)),
        ] {
            assert_eq!(parse_percent(text).ok(), value, "{text}");
        }
        for text in ["", "%", "-1%", "101%", "NaN", "inf", "1%%", "one"] {
            assert!(parse_percent(text).is_err(), "{text}");
        }
    }
}
