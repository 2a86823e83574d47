//! The random numbers of one sample.

use crate::numeric::splitmix::SplitMix64;

/// The generator of one sample, keyed on `(seed, shard, step, sample)`.
///
/// The sequence is a function of the key: drawing the samples in another order, by other threads
/// or in a run that resumes gives the same numbers. With the feature `rand` it is a generator of
/// the crate `rand` (`rand::Rng`), for the distributions of `rand_distr`.
///
/// ```
/// use wasserflow::prelude::*;
///
/// let mut rng = SampleRng::new(7, 0, 100, 3);
/// let (u, z) = (rng.uniform(), rng.normal());
/// assert!((0.0..1.0).contains(&u) && z.is_finite());
/// assert_eq!(SampleRng::new(7, 0, 100, 3).uniform(), u);
/// assert_ne!(SampleRng::new(7, 1, 100, 3).uniform(), u);
/// ```
///
/// Source: G. L. Steele, D. Lea and C. H. Flood, Fast splittable pseudorandom number generators,
/// OOPSLA 2014 (SplitMix64; the words of the key are hashed by its steps).
#[derive(Debug, Clone)]
pub struct SampleRng(SplitMix64);

impl SampleRng {
    /// The generator of sample j of a step.
    pub fn new(seed: u64, shard: u64, step: usize, j: usize) -> Self {
        Self(SplitMix64::keyed([seed, shard, step as u64, j as u64]))
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A uniform number in `[0, 1)`, a multiple of `2^-53`.
    pub fn uniform(&mut self) -> f64 {
        self.0.uniform()
    }

    /// A standard normal number (Box-Muller).
    pub fn normal(&mut self) -> f64 {
        self.0.normal()
    }

    /// A uniform index below `n`.
    ///
    /// # Panics
    /// If `n = 0`.
    pub fn index(&mut self, n: usize) -> usize {
        assert!(n > 0, "n must be at least 1, found 0");
        self.0.index(n)
    }
}

#[cfg(feature = "rand")]
impl rand::TryRng for SampleRng {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok((self.next_u64() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(self.next_u64())
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        for bytes in out.chunks_mut(size_of::<u64>()) {
            bytes.copy_from_slice(&self.next_u64().to_le_bytes()[..bytes.len()]);
        }
        Ok(())
    }
}
