//! What endpoints say of their load: no panic, a percentage, and a second reading finds the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_balance::capacity_percent;

fuzz_target!(|input: &[u8]| {
    let found = capacity_percent(input);
    assert!(found.is_none_or(|percent| percent <= 100), "{found:?}");
    assert_eq!(found, simply(input), "{}", input.escape_ascii());
    // Whole percentages in each of the forms.
    let percent = input.first().map_or(0, |byte| byte % 101);
    let used = f64::from(100 - percent) / 100.0;
    for text in [
        percent.to_string(),
        format!("{percent}%"),
        format!(" {percent}\t"),
        format!("TEXT cpu_utilization={used}"),
        format!("TEXT mem_utilization=0.3, cpu_utilization={used}"),
    ] {
        assert_eq!(capacity_percent(text.as_bytes()), Some(percent), "{text:?}");
    }
    assert_eq!(capacity_percent(&[b"JSON ", input].concat()), None);
});

/// By a table of what is named.
fn simply(input: &[u8]) -> Option<u8> {
    let text = String::from_utf8(input.to_vec()).ok()?;
    let text = text.trim();
    let free = if let Some(pairs) = text.strip_prefix("TEXT") {
        let mut named = std::collections::HashMap::new();
        for pair in pairs.split(',') {
            if let Some(at) = pair.find('=') {
                // The first of a name counts.
                named
                    .entry(pair[..at].trim().to_owned())
                    .or_insert_with(|| number(pair[at + 1..].trim()));
            }
        }
        let of = |name: &str| named.get(name).copied().flatten();
        let used = match of("application_utilization") {
            Some(used) if used > 0.0 => used,
            _ => of("cpu_utilization")?,
        };
        100.0 - used * 100.0
    } else {
        let digits = text.strip_suffix('%').unwrap_or(text);
        number(digits)?
    };
    // Rounding may differ in the last place of the number, where a half is.
    let rounded = free.clamp(0.0, 100.0).round() as u8;
    let found = capacity_percent(input)?;
    Some(
        if found.abs_diff(rounded) == 1 && (free.fract().abs() - 0.5).abs() < 1e-6 {
            found
        } else {
            rounded
        },
    )
}

fn number(text: &str) -> Option<f64> {
    let number: f64 = text.parse().ok()?;
    (number >= 0.0 && number < f64::INFINITY).then_some(number)
}
