//! What an endpoint says of its load in a response header (row HC15).

/// How much an endpoint can still take, percent. Reads `60`, `60%` (as HAProxy's agents say it), and the text form of
/// ORCA: `TEXT application_utilization=0.4, cpu_utilization=0.7`, where the first of the two counts when it is there.
/// `None` for anything else, which is as good as nothing said.
pub fn capacity_percent(value: &[u8]) -> Option<u8> {
    let text = str::from_utf8(value).ok()?.trim();
    let remaining = match text.strip_prefix("TEXT") {
        Some(pairs) => 1.0 - utilization(pairs)?,
        None => number(text.strip_suffix('%').unwrap_or(text))? / 100.0,
    };
    Some((remaining.clamp(0.0, 1.0) * 100.0).round() as u8)
}

fn utilization(pairs: &str) -> Option<f64> {
    let value_of = |wanted: &str| {
        let mut pairs = pairs.split(',').filter_map(|pair| pair.split_once('='));
        let (_, value) = pairs.find(|(name, _)| name.trim() == wanted)?;
        number(value.trim())
    };
    let own = value_of("application_utilization").filter(|found| *found > 0.0);
    own.or_else(|| value_of("cpu_utilization"))
}

/// A finite number that is not negative.
fn number(text: &str) -> Option<f64> {
    let found = text.parse::<f64>().ok()?;
    (found.is_finite() && found >= 0.0).then_some(found)
}

#[cfg(test)]
mod tests {
    use weir_model::{Algorithm, BalanceSpec, LeastRequest, LoadReport};

    use super::*;
    use crate::Balancer;
    use crate::world::{World, members, spec};

    #[test]
    fn hc15_values_and_what_they_say() {
        for (value, expected) in [
            ("60", Some(60)),
            ("60%", Some(60)),
            (" 0 ", Some(0)),
            ("250%", Some(100)),
            ("12.6", Some(13)),
            ("TEXT cpu_utilization=0.25", Some(75)),
            ("TEXT cpu_utilization=0.25,application_utilization=0.9", Some(10)),
            (
                "TEXT application_utilization=0, cpu_utilization=0.3, rps_fractional=12",
                Some(70),
            ),
            ("TEXT application_utilization=1.8", Some(0)),
            ("TEXT mem_utilization=0.5", None),
            ("TEXT cpu_utilization=much", None),
            ("TEXT cpu_utilization=-1", None),
            ("TEXT cpu_utilization=nan", None),
            ("-5", None),
            ("inf", None),
            ("", None),
            ("%", None),
            ("JSON {}", None),
        ] {
            assert_eq!(capacity_percent(value.as_bytes()), expected, "{value:?}");
        }
        assert_eq!(capacity_percent(b"\xff"), None);
    }

    #[test]
    fn hc15_shares_follow_what_endpoints_say_until_that_is_old() {
        for algorithm in [
            Algorithm::RoundRobin,
            Algorithm::LeastRequest(LeastRequest::default()),
            Algorithm::Adaptive,
            Algorithm::PeakEwma,
        ] {
            let reporting = BalanceSpec {
                load_report: Some(LoadReport::default()),
                ..spec(algorithm.clone())
            };
            let deaf = spec(algorithm.clone());
            let members = members(&[1; 2]);
            members[0].state.report_capacity(25, 1_000_100);
            members[1].state.report_capacity(100, 1_000_100);
            let (deaf, reporting) = (
                Balancer::new(&deaf, members.clone()),
                Balancer::new(&reporting, members),
            );
            let mut world = World::new(3);
            let share = |counts: Vec<u32>| f64::from(counts[0]) / f64::from(counts[0] + counts[1]);
            let plain = share(world.counts(&deaf, 4_000));
            let found = share(world.counts(&reporting, 4_000));
            assert!((0.4..0.6).contains(&plain), "{algorithm:?}: {plain}");
            // A fifth by weight; two choices take less from the weak one.
            assert!((0.08..0.3).contains(&found), "{algorithm:?}: {found}");
            world.now_ms = 1_000_100;
            let old = share(world.counts(&reporting, 4_000));
            assert!((0.4..0.6).contains(&old), "{algorithm:?}: {old}");
        }
    }

    #[test]
    fn hc15_one_that_can_take_nothing_is_still_asked_now_and_then() {
        let reporting = BalanceSpec {
            load_report: Some(LoadReport::default()),
            ..spec(Algorithm::RoundRobin)
        };
        let members = members(&[1; 2]);
        members[0].state.report_capacity(0, u64::MAX >> 8);
        let balancer = Balancer::new(&reporting, members);
        let counts = World::new(3).counts(&balancer, 4_000);
        assert!((100..350).contains(&counts[0]), "{counts:?}");
    }
}
