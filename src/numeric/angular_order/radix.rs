//! Sorting by the upper halves, stably: the lower halves are in order before.

/// Below this length a comparison sort is faster.
const SHORT: usize = 800;
const DIGIT: u32 = 11;
const BUCKETS: usize = 1 << DIGIT;

#[inline(always)]
fn digit(entry: u64, pass: usize) -> usize {
    (entry >> (32 + pass as u32 * DIGIT)) as usize % BUCKETS
}

pub(crate) fn sort(entries: &mut Vec<u64>, spare: &mut Vec<u64>) {
    if entries.len() < SHORT {
        return entries.sort_unstable();
    }
    spare.resize(entries.len(), 0);
    let mut counts = [[0_u32; BUCKETS]; 3];
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
            let place = &mut starts[digit(entry, pass)];
            spare[*place as usize] = entry;
            *place += 1;
        }
        std::mem::swap(entries, spare);
    }
}
