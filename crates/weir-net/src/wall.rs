//! Wall-clock time, for records and dates only: it may jump, so nothing else depends on it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970 in UTC; 0 when the system's clock stands before that.
pub fn unix_ms() -> u64 {
    #[cfg(feature = "simulation")]
    if let Some(now_us) = crate::simulation::now_us() {
        return crate::simulation::BEGAN_UNIX_MS + now_us / 1000;
    }
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// Writes a time as RFC 3339 with milliseconds: `1994-11-06T08:49:37.000Z`.
pub fn write_rfc3339(unix_ms: u64, out: &mut Vec<u8>) {
    let time = Civil::of(unix_ms / 1000);
    number(time.year, 4, out);
    for (mark, value) in [
        (b'-', time.month),
        (b'-', time.day),
        (b'T', time.hour),
        (b':', time.minute),
        (b':', time.second),
    ] {
        out.push(mark);
        number(value, 2, out);
    }
    out.push(b'.');
    number(unix_ms % 1000, 3, out);
    out.push(b'Z');
}

/// Writes a time as an HTTP date (RFC 9110 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
pub fn write_http_date(unix_ms: u64, out: &mut Vec<u8>) {
    const DAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
    const MONTHS: [&[u8; 3]; 12] = [
        b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
    ];
    let time = Civil::of(unix_ms / 1000);
    out.extend_from_slice(DAYS[(time.days % 7) as usize]);
    out.extend_from_slice(b", ");
    number(time.day, 2, out);
    out.push(b' ');
    out.extend_from_slice(MONTHS[(time.month as usize - 1) % 12]);
    out.push(b' ');
    number(time.year, 4, out);
    for (mark, value) in [(b' ', time.hour), (b':', time.minute), (b':', time.second)] {
        out.push(mark);
        number(value, 2, out);
    }
    out.extend_from_slice(b" GMT");
}

/// A time in the proleptic Gregorian calendar, UTC.
struct Civil {
    /// Since 1970-01-01, a Thursday.
    days: u64,
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
}

impl Civil {
    fn of(unix_s: u64) -> Self {
        let days = unix_s / 86_400;
        // Counted from 0000-03-01, leap days come last in their year and a 400-year era repeats exactly.
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = if month_from_march < 10 {
            month_from_march + 3
        } else {
            month_from_march - 9
        };
        Self {
            days,
            year: era * 400 + year_of_era + u64::from(month <= 2),
            month,
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
            hour: unix_s / 3600 % 24,
            minute: unix_s / 60 % 60,
            second: unix_s % 60,
        }
    }
}

fn number(value: u64, width: u32, out: &mut Vec<u8>) {
    out.extend(
        (0..width)
            .rev()
            .map(|place| b'0' + (value / 10_u64.pow(place) % 10) as u8),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_standards_want() {
        for (unix_ms, rfc3339, http) in [
            (0, "1970-01-01T00:00:00.000Z", "Thu, 01 Jan 1970 00:00:00 GMT"),
            (
                784_111_777_005,
                "1994-11-06T08:49:37.005Z",
                "Sun, 06 Nov 1994 08:49:37 GMT",
            ),
            (
                951_782_400_000,
                "2000-02-29T00:00:00.000Z",
                "Tue, 29 Feb 2000 00:00:00 GMT",
            ),
            (
                951_868_799_999,
                "2000-02-29T23:59:59.999Z",
                "Tue, 29 Feb 2000 23:59:59 GMT",
            ),
            (
                4_107_542_400_000,
                "2100-03-01T00:00:00.000Z",
                "Mon, 01 Mar 2100 00:00:00 GMT",
            ),
            (
                1_735_689_599_000,
                "2024-12-31T23:59:59.000Z",
                "Tue, 31 Dec 2024 23:59:59 GMT",
            ),
        ] {
            let (mut first, mut second) = (Vec::new(), Vec::new());
            write_rfc3339(unix_ms, &mut first);
            write_http_date(unix_ms, &mut second);
            assert_eq!(String::from_utf8_lossy(&first), rfc3339);
            assert_eq!(String::from_utf8_lossy(&second), http);
        }
        assert!(unix_ms() > 1_700_000_000_000);
    }
}
