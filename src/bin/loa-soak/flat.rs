//! What "flat" means.
//!
//! A process warms up: pools fill, caches are read, allocators keep what they once needed. So the run is cut into thirds, and the **last** third's
//! median is held against the **middle** third's, long after everything has happened at least once. Medians, because a broadcast under way
//! needs more than a pause. Memory may differ by 5 % and 2 MB: that much an allocator moves by itself between two looks. File descriptors may
//! differ by 4, for a pool of connections opens and closes some as it likes. Only growth counts: what shrinks does not leak.
//!
//! In half an hour the middles of those thirds are ten minutes apart, so a leak is found from about half a megabyte a minute on in a process of
//! 60 MB, or from a descriptor in two minutes. The slope, by least squares over all but the first sixth, is shown beside it and judges
//! nothing: one late step would bend it.

/// Memory may grow by this share between the thirds …
const SHARE: f64 = 0.05;
/// … and by this, megabytes.
const MEGABYTES: f64 = 2.0;
/// File descriptors may grow by so many.
const FILES: f64 = 4.0;

/// One quantity over time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Course {
    /// Medians of the three thirds of the time.
    pub thirds: [f64; 3],
    /// Growth an hour by least squares, the first sixth left out.
    pub an_hour: f64,
}

impl Course {
    /// Of pairs of seconds and values, in order. Nothing can be said of fewer than six.
    pub fn of(samples: &[(f64, f64)]) -> Option<Self> {
        let (begin, end) = (samples.first()?.0, samples.last()?.0);
        let third = (end - begin) / 3.0;
        let median_of = |from: f64, to: f64| {
            let within = samples.iter().filter(|(at, _)| (from..=to).contains(at));
            median(within.map(|(_, value)| *value).collect())
        };
        if samples.len() < 6 {
            return None;
        }
        let warm: Vec<(f64, f64)> =
            samples.iter().copied().filter(|(at, _)| *at >= begin + (end - begin) / 6.0).collect();
        Some(Self {
            thirds: [
                median_of(begin, begin + third)?,
                median_of(begin + third, begin + 2.0 * third)?,
                median_of(begin + 2.0 * third, end)?,
            ],
            an_hour: slope(&warm) * 3600.0,
        })
    }

    /// From the middle third to the last, percent.
    pub fn growth_percent(self) -> f64 {
        let [_, middle, last] = self.thirds;
        if middle > 0.0 { (last - middle) / middle * 100.0 } else { 0.0 }
    }

    /// Whether memory, megabytes, has stayed.
    pub fn memory_is_flat(self) -> bool {
        let [_, middle, last] = self.thirds;
        last <= middle * (1.0 + SHARE) + MEGABYTES
    }

    /// Whether file descriptors have stayed.
    pub fn files_are_flat(self) -> bool {
        let [_, middle, last] = self.thirds;
        last <= middle + FILES
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// By least squares, a second.
fn slope(samples: &[(f64, f64)]) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a few hundred samples")]
    let count = samples.len() as f64;
    let (mean_at, mean) = (
        samples.iter().map(|(at, _)| at).sum::<f64>() / count,
        samples.iter().map(|(_, value)| value).sum::<f64>() / count,
    );
    let along: f64 = samples.iter().map(|(at, value)| (at - mean_at) * (value - mean)).sum();
    let spread: f64 = samples.iter().map(|(at, _)| (at - mean_at).powi(2)).sum();
    if spread > 0.0 { along / spread } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half an hour of looks, a warm-up to `base` and a growth from there; every seventh look falls into a broadcast.
    fn course(base: f64, a_minute: f64) -> Course {
        let samples: Vec<(f64, f64)> = (0..600)
            .map(|look| {
                let at = f64::from(look) * 3.0;
                let warm = base * (1.0 - 0.4 * (-at / 60.0).exp());
                let busy = if look % 7 == 0 { 9.0 } else { 0.0 };
                (at, warm + busy + a_minute * at / 60.0)
            })
            .collect();
        Course::of(&samples).expect("600 samples")
    }

    #[test]
    fn a_process_that_has_warmed_up_is_flat() {
        let steady = course(60.0, 0.0);
        assert!(steady.memory_is_flat() && steady.files_are_flat(), "{steady:?}");
        assert!(steady.growth_percent().abs() < 0.5 && steady.an_hour.abs() < 5.0, "{steady:?}");
    }

    #[test]
    fn a_leak_of_a_megabyte_a_minute_is_not_flat() {
        let leaking = course(60.0, 1.0);
        assert!(!leaking.memory_is_flat(), "{leaking:?}");
        assert!((leaking.an_hour - 60.0).abs() < 6.0, "{leaking:?}");
        assert!(course(60.0, -1.0).memory_is_flat(), "what shrinks does not leak");
    }

    #[test]
    fn a_descriptor_lost_every_minute_is_not_flat() {
        assert!(!course(40.0, 1.0).files_are_flat());
        assert!(course(40.0, 0.1).files_are_flat());
    }

    #[test]
    fn nothing_is_said_of_a_run_too_short() {
        assert_eq!(Course::of(&[(0.0, 1.0), (3.0, 1.0), (6.0, 1.0)]), None);
    }
}
