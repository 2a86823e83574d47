//! SplitMix64: a small generator of fixed sequences, for searches, for keyed samples and for the law kit.
//!
//! Source: G. L. Steele, D. Lea and C. H. Flood, *Fast splittable pseudorandom number generators*,
//! OOPSLA 2014.

/// The state of the generator: a counter.
#[derive(Debug, Clone)]
pub(crate) struct SplitMix64(u64);

impl SplitMix64 {
    /// The sequence of `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A sequence for each tuple of words: the words are hashed one after the other, each by one
    /// step of the generator, which is a bijection of the state.
    pub(crate) fn keyed(words: [u64; 4]) -> Self {
        let hash = |key: u64, word: u64| Self(key ^ word).next_u64();
        Self(words.into_iter().fold(0, hash))
    }

    /// A uniform index below `n >= 1`, with a bias below `n / 2^64`.
    pub(crate) fn index(&mut self, n: usize) -> usize {
        ((u128::from(self.next_u64()) * n as u128) >> 64) as usize
    }

    /// The next 64 bits.
    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A uniform number in `[0, 1)`, a multiple of `2^-53`.
    pub(crate) fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A standard normal number (Box-Muller).
    pub(crate) fn normal(&mut self) -> f64 {
        let (r, t) = (1.0 - self.uniform(), self.uniform());
        (-2.0 * r.ln()).sqrt() * (std::f64::consts::TAU * t).cos()
    }
}
