//! How well a rate was kept.

use anyhow::{Context as _, ensure};

/// What a paced broadcast's requests say of its rate.
#[derive(Debug)]
pub struct Pace {
    /// How far the mean is from what was set, of a hundred.
    pub error_pct: f64,
    /// The fullest 100 ms over their share.
    pub burst_ratio: f64,
}

impl Pace {
    /// Of requests by slot. The last slot, in which the broadcast ended, has no whole share and is left out of the rate.
    #[expect(clippy::cast_precision_loss, reason = "a number of pushes fits a double")]
    pub fn of(slots: &[u32], slot_ms: u64, per_second: u32) -> anyhow::Result<Self> {
        let window = usize::try_from(100 / slot_ms)?;
        let whole = slots.len().checked_sub(1).context("nothing arrived")?;
        ensure!(whole > 10 * window, "too short a run to judge a rate by");
        let sum = |slots: &[u32]| slots.iter().map(|count| f64::from(*count)).sum::<f64>();
        let rate = sum(&slots[..whole]) / (whole as f64 * slot_ms as f64 / 1e3);
        let worst = slots.windows(window).map(sum).fold(0.0, f64::max);
        Ok(Self {
            error_pct: (rate / f64::from(per_second) - 1.0).abs() * 100.0,
            burst_ratio: worst / (f64::from(per_second) / 10.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two seconds of slots of 10 ms at 10,000 a second, and the slot in which it ended.
    fn even() -> Vec<u32> {
        let mut slots = vec![100; 200];
        slots.push(3);
        slots
    }

    fn pace(slots: &[u32]) -> Pace {
        Pace::of(slots, 10, 10_000).expect("long enough")
    }

    #[test]
    fn an_even_rate_has_no_error_and_no_burst_and_its_end_is_no_slowness() {
        let Pace { error_pct, burst_ratio } = pace(&even());
        assert!(error_pct < 1e-9, "{error_pct}");
        assert!((burst_ratio - 1.0).abs() < 1e-9, "{burst_ratio}");
    }

    #[test]
    fn the_fullest_hundred_milliseconds_count_wherever_they_begin() {
        let mut slots = even();
        // Across the border of two tenths of a second: 300 more than the share of 1,000.
        slots[95..105].fill(130);
        let Pace { error_pct, burst_ratio } = pace(&slots);
        assert!((burst_ratio - 1.3).abs() < 1e-9, "{burst_ratio}");
        assert!((error_pct - 1.5).abs() < 1e-9, "{error_pct}");
    }

    #[test]
    fn too_slow_is_an_error_as_well_as_too_fast() {
        let slow: Vec<u32> = even().iter().map(|count| count * 9 / 10).collect();
        assert!((pace(&slow).error_pct - 10.0).abs() < 1e-9);
    }

    #[test]
    fn a_second_is_too_short_to_judge_by() {
        assert!(Pace::of(&[100; 101], 10, 10_000).is_err());
        assert!(Pace::of(&[], 10, 10_000).is_err());
    }
}
