//! Many measurements, one figure.

use serde::Serialize;

/// A figure and how many measurements it is of.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Figure {
    /// What it came to.
    pub value: f64,
    /// Of so many.
    #[serde(skip)]
    pub of: usize,
}

impl Figure {
    /// Measured once.
    pub const fn once(value: f64) -> Self {
        Self { value, of: 1 }
    }
}

/// The middle one; of an even number the mean of the two.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<Figure> {
    let values = sorted(values);
    let of = values.len();
    let (upper, lower) = (values.get(of / 2)?, values.get(of.checked_sub(1)? / 2)?);
    Some(Figure { value: f64::midpoint(*lower, *upper), of })
}

/// The value that so many of a hundred do not exceed.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a rank among a few dozen"
)]
pub fn percentile(values: impl IntoIterator<Item = f64>, of_hundred: f64) -> Option<Figure> {
    let values = sorted(values);
    let of = values.len();
    let rank = (of as f64 * of_hundred / 100.0).ceil() as usize;
    let value = *values.get(rank.saturating_sub(1))?;
    Some(Figure { value, of })
}

/// The greatest.
pub fn most(values: impl IntoIterator<Item = f64>) -> Option<Figure> {
    percentile(values, 100.0)
}

/// Each whole path over the mean of the two ceilings that bracket it; the median.
pub fn ratio(whole: &[f64], bracketing: &[f64]) -> Option<Figure> {
    let means = bracketing.windows(2).map(|pair| f64::midpoint(pair[0], pair[1]));
    median(whole.iter().zip(means).map(|(whole, mean)| whole / mean))
}

/// One figure over another.
pub fn over(a: Option<Figure>, b: Option<Figure>) -> Option<Figure> {
    let (a, b) = (a?, b?);
    Some(Figure { value: a.value / b.value, of: a.of.min(b.of) })
}

fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle_one_and_of_two_their_mean() {
        assert_eq!(median([]), None);
        assert_eq!(median([7.0]), Some(Figure::once(7.0)));
        assert_eq!(median([9.0, 1.0, 2.0]), Some(Figure { value: 2.0, of: 3 }));
        assert_eq!(median([9.0, 1.0, 2.0, 4.0]), Some(Figure { value: 3.0, of: 4 }));
    }

    #[test]
    fn of_fifty_the_p99_is_the_worst_and_of_a_hundred_the_worst_but_one() {
        let up_to = |most: u32| (1..=most).rev().map(f64::from);
        assert_eq!(percentile(up_to(50), 99.0), Some(Figure { value: 50.0, of: 50 }));
        assert_eq!(percentile(up_to(100), 99.0), Some(Figure { value: 99.0, of: 100 }));
        assert_eq!(percentile(up_to(100), 50.0), Some(Figure { value: 50.0, of: 100 }));
        assert_eq!(percentile([], 99.0), None);
        assert_eq!(most([3.0, 8.0, 5.0]), Some(Figure { value: 8.0, of: 3 }));
    }

    #[test]
    fn a_run_is_compared_with_the_two_ceilings_beside_it() {
        // Means 20, 40, 60; shares 0.5, 0.25, 0.75.
        let ratio = ratio(&[10.0, 10.0, 45.0], &[10.0, 30.0, 50.0, 70.0]);
        assert_eq!(ratio, Some(Figure { value: 0.5, of: 3 }));
    }

    #[test]
    fn a_quotient_is_of_the_fewer_measurements() {
        let (a, b) = (Figure { value: 6.0, of: 5 }, Figure { value: 4.0, of: 3 });
        assert_eq!(over(Some(a), Some(b)), Some(Figure { value: 1.5, of: 3 }));
        assert_eq!(over(Some(a), None), None);
    }
}
