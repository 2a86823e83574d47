//! Stable least-significant-digit radix sort of 64-bit entries by their upper 32 bits.
//!
//! The entries must be given in increasing order of their lower 32 bits. Since the sort is stable,
//! the result is then sorted by all 64 bits.

/// The length below which a comparison sort is faster.
const SHORT: usize = 800;

/// Bits of a digit: three passes of 11 bits cover the upper half.
const DIGIT: u32 = 11;

/// The number of passes.
const PASSES: usize = 3;

/// The number of values of a digit.
const BUCKETS: usize = 1 << DIGIT;

/// The digit of the upper half of `entry` that determines its bucket in `pass`.
#[inline(always)]
fn digit(entry: u64, pass: usize) -> usize {
    (entry >> (32 + pass as u32 * DIGIT)) as usize % BUCKETS
}

/// Sorts `entries` in increasing order. The content of `scratch` is unspecified afterwards.
///
/// Cost: `O(n)`; allocates only if `scratch` is shorter than `entries`.
pub(crate) fn sort(entries: &mut Vec<u64>, scratch: &mut Vec<u64>) {
    if entries.len() < SHORT {
        return entries.sort_unstable();
    }
    scratch.resize(entries.len(), 0);
    let mut counts = [[0_u32; BUCKETS]; PASSES];
    for &entry in entries.iter() {
        for (pass, counts) in counts.iter_mut().enumerate() {
            counts[digit(entry, pass)] += 1;
        }
    }
    for (pass, starts) in counts.iter_mut().enumerate() {
        let mut start = 0;
        for count in starts.iter_mut() {
            start += std::mem::replace(count, start);
        }
        for &entry in entries.iter() {
            let position = &mut starts[digit(entry, pass)];
            scratch[*position as usize] = entry;
            *position += 1;
        }
        std::mem::swap(entries, scratch);
    }
}
