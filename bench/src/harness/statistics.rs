//! Medians, with how far the rounds lie apart.

use serde::{Deserialize, Serialize};

/// A median, the least and the most.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Spread {
    /// Of at least one value.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median =
            if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
        Some(Spread { median, least, most })
    }

    /// Of the reciprocals of the values.
    pub fn inverse(self) -> Self {
        Spread { median: 1.0 / self.median, least: 1.0 / self.most, most: 1.0 / self.least }
    }
}

/// The smallest value that so many of a hundred do not exceed; `sorted` is not empty.
pub fn percentile(sorted: &[u64], percent: f64) -> u64 {
    let rank = (sorted.len() as f64 * percent / 100.0).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one_or_between_two() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Some(Spread { median: 2.0, least: 1.0, most: 3.0 }));
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]).map(|it| it.median), Some(2.5));
        assert_eq!(Spread::of([]), None);
        let halves = Spread { median: 0.5, least: 0.25, most: 1.0 };
        assert_eq!(Spread::of([1.0, 2.0, 4.0]).map(Spread::inverse), Some(halves));
    }

    #[test]
    fn a_percentile_is_a_value_that_was_there() {
        let values: Vec<u64> = (1..=1000).collect();
        assert_eq!([50.0, 99.0, 99.9, 100.0].map(|p| percentile(&values, p)), [500, 990, 999, 1000]);
        assert_eq!(percentile(&[7], 99.9), 7);
    }
}
