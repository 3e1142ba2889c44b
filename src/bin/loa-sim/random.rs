//! Repeatable pseudo-random numbers (SplitMix64) for everything that must come out the same for the same seed.
//! Secrets never come from here, except those of simulated phones, which must be repeatable and protect nothing.

use std::hash::Hasher;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Sebastiano Vigna's SplitMix64.
#[derive(Clone, Debug)]
pub struct SplitMix(u64);

impl SplitMix {
    /// A stream of its own for each seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The stream of item `index` of family `family` under `seed`.
    pub fn of(seed: u64, family: u64, index: u64) -> Self {
        let mut outer = Self(seed ^ family.wrapping_mul(0xd6e8_feb8_6659_fd93));
        Self(outer.next() ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// `N` bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        for chunk in out.chunks_mut(8) {
            let word = self.next().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        out
    }

    /// Appends `count` characters of the URL-safe base64 alphabet.
    pub fn letters(&mut self, count: usize, out: &mut String) {
        let mut left = count;
        while left > 0 {
            let mut word = self.next();
            for _ in 0..left.min(10) {
                out.push(char::from(ALPHABET[(word & 63) as usize]));
                word >>= 6;
            }
            left -= left.min(10);
        }
    }
}

/// The same 64 bits for the same address in every process. At a million addresses two share one with a chance of 1 in 37 million.
pub fn address_hash(address: &[u8]) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(address);
    hasher.finish()
}
