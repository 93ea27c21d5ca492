//! Medians and ranges of repeated measurements.

use serde_json::{Value, json};

/// Several measurements of one thing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Figures(Vec<f64>);

impl Figures {
    /// Adds a measurement.
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The middle one; the mean of the two middle ones when their number is even. `None` without measurements.
    pub(crate) fn median(&self) -> Option<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let upper = *sorted.get(sorted.len() / 2)?;
        match sorted.len() % 2 {
            0 => Some((sorted[sorted.len() / 2 - 1] + upper) / 2.0),
            _ => Some(upper),
        }
    }

    /// The smallest and the largest.
    pub(crate) fn range(&self) -> Option<(f64, f64)> {
        let low = self.0.iter().copied().min_by(f64::total_cmp)?;
        let high = self.0.iter().copied().max_by(f64::total_cmp)?;
        Some((low, high))
    }

    /// One by one: each measurement divided by the other's of the same round.
    pub(crate) fn ratios(&self, other: &Self) -> Self {
        Self(
            self.0
                .iter()
                .zip(&other.0)
                .map(|(own, others)| own / others)
                .collect(),
        )
    }

    /// One by one: the smaller one of each round.
    pub(crate) fn smaller(&self, other: &Self) -> Self {
        Self(
            self.0
                .iter()
                .zip(&other.0)
                .map(|(own, others)| own.min(*others))
                .collect(),
        )
    }

    /// Median, range and all values.
    pub(crate) fn to_json(&self) -> Value {
        let range = self.range();
        json!({
            "median": self.median().map(round),
            "min": range.map(|(low, _)| round(low)),
            "max": range.map(|(_, high)| round(high)),
            "rounds": self.0.iter().copied().map(round).collect::<Vec<_>>(),
        })
    }
}

/// Four decimals: more would be noise.
fn round(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(values: &[f64]) -> Figures {
        Figures(values.to_vec())
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(figures(&[]).median(), None);
        assert_eq!(figures(&[3.0, 1.0, 2.0]).median(), Some(2.0));
        assert_eq!(figures(&[4.0, 1.0, 2.0, 3.0]).median(), Some(2.5));
        assert_eq!(figures(&[4.0, 1.0, 2.0]).range(), Some((1.0, 4.0)));
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let own = figures(&[10.0, 30.0]);
        let other = figures(&[10.0, 20.0]);
        assert_eq!(own.ratios(&other), figures(&[1.0, 1.5]));
        assert_eq!(own.smaller(&figures(&[20.0, 5.0])), figures(&[10.0, 5.0]));
    }
}
