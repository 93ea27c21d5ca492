//! Sets of HTTP status codes.

use std::ops::RangeInclusive;

/// A set of HTTP status codes, 100 to 599, held as ranges: sorted, apart from each other and never empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct StatusSet(Vec<RangeInclusive<u16>>);

impl StatusSet {
    /// No code.
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Every code.
    pub fn all() -> Self {
        Self::one_range(100, 599)
    }

    /// `200` to `299`.
    pub fn successes() -> Self {
        Self::one_range(200, 299)
    }

    /// One code and no other. `None` out of bounds.
    pub fn one(code: u16) -> Option<Self> {
        Self::of([code..=code])
    }

    /// The codes of all `ranges`, which may overlap and stand in any order. `None` when a code is out of bounds or
    /// a range is empty.
    pub fn of(ranges: impl IntoIterator<Item = RangeInclusive<u16>>) -> Option<Self> {
        let mut ranges: Vec<_> = ranges.into_iter().collect();
        let is_valid =
            |range: &RangeInclusive<u16>| *range.start() >= 100 && *range.end() <= 599 && !range.is_empty();
        if !ranges.iter().all(is_valid) {
            return None;
        }
        ranges.sort_by_key(|range| *range.start());
        ranges.dedup_by(|later, earlier| {
            let joined = *later.start() <= *earlier.end() + 1;
            if joined {
                *earlier = *earlier.start()..=*earlier.end().max(later.end());
            }
            joined
        });
        Some(Self(ranges))
    }

    /// Whether `code` is one of them.
    pub fn contains(&self, code: u16) -> bool {
        self.0.iter().any(|range| range.contains(&code))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ranges in order.
    pub fn ranges(&self) -> &[RangeInclusive<u16>] {
        &self.0
    }

    fn one_range(first: u16, last: u16) -> Self {
        Self(vec![first..=last])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_joined_and_sorted() {
        let set = StatusSet::of([503..=503, 200..=204, 205..=299, 201..=202]).expect("valid");
        assert_eq!(set.ranges(), [200..=299, 503..=503]);
        for (code, inside) in [(199, false), (200, true), (299, true), (300, false), (503, true)] {
            assert_eq!(set.contains(code), inside, "{code}");
        }
        assert_eq!(StatusSet::of([200..=600]), None);
        assert_eq!(StatusSet::of([99..=99]), None);
        #[allow(clippy::reversed_empty_ranges)]
        let reversed = 300..=200;
        assert_eq!(StatusSet::of([reversed]), None);
        assert!(StatusSet::none().is_empty() && !StatusSet::none().contains(200));
    }
}
