//! Chance from a seed: the same seed throws the same.

use std::time::Duration;

/// SplitMix64 (Steele, Lea, Flood 2014): small, and good enough to choose with.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// A sequence of its own for each round, so that round 37 can be looked at alone.
    pub fn of_round(seed: u64, round: u32) -> Self {
        let mut dice = Self(seed ^ u64::from(round).wrapping_mul(0xd134_2543_de82_ef95));
        dice.next();
        dice
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// `0..n`; 0 when `n` is.
    pub fn below(&mut self, n: u32) -> u32 {
        // The remainder of a division by `n` is below it.
        u32::try_from(self.next() % u64::from(n.max(1))).unwrap_or(0)
    }

    /// From `least` to `most`, both possible.
    pub fn between(&mut self, least: u32, most: u32) -> u32 {
        least + self.below(most.saturating_sub(least) + 1)
    }

    /// A moment in a span.
    pub fn moment(&mut self, from: Duration, to: Duration) -> Duration {
        let span = u32::try_from(to.saturating_sub(from).as_millis()).unwrap_or(u32::MAX);
        from + Duration::from_millis(self.below(span).into())
    }

    /// One of these. Never ask it of none.
    pub fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(u32::try_from(of.len()).unwrap_or(u32::MAX)) as usize]
    }

    /// Yes, in so many of a hundred cases.
    pub fn chance(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_throws_the_same_and_each_round_its_own() {
        let throws = |seed, round| {
            let mut dice = Dice::of_round(seed, round);
            (0..8).map(|_| dice.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(throws(7, 3), throws(7, 3));
        assert_ne!(throws(7, 3), throws(7, 4));
        assert_ne!(throws(7, 3), throws(8, 3));
    }
}
