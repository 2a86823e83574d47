//! Plane vectors sorted by angle, with arc queries and rounding bounds for signs of inner products.
//!
//! Angles are measured by a monotone pseudo-angle (the "diamond angle", in the 1-norm), which
//! needs one division and no trigonometric function. It is stored as an integer that wraps at a
//! full turn.

use std::ops::Range;

use crate::real::{Real, to_f64};

mod radix;

/// A quarter turn in the unit of all angles, `2^-32` of a turn. Angles wrap as `u32` does.
pub(crate) const QUARTER: u32 = 1 << 30;

/// The number of angles that [`AngularOrder::lower_bound`] compares without a branch.
const SCAN: usize = 4;

/// The inner product `b.x` in the rounding of `T`.
///
/// Its sign decides whether a neuron is active. It must be rounded exactly as in the definition of
/// the feature map: otherwise the sweep and the definition would disagree near the boundary.
#[inline(always)]
pub(crate) fn dot<T: Real>(b: [T; 2], x: [T; 2]) -> T {
    b[0] * x[0] + b[1] * x[1]
}

/// Converts both coordinates to `f64`.
#[inline(always)]
pub(crate) fn widen<T: Real>(v: [T; 2]) -> [f64; 2] {
    [to_f64(v[0]), to_f64(v[1])]
}

/// The diamond angle of `v = (x, y)`.
///
/// It is `|y| / (|x| + |y|)` of a quarter turn in the first quadrant, and its reflection in the
/// other quadrants. It increases with the angle of `v`, and increases by [`QUARTER`] if `v` is
/// rotated by a quarter turn. The error is at most one unit.
#[inline(always)]
fn angle([x, y]: [f64; 2]) -> u32 {
    /// From 2^52 on consecutive `f64` differ by 1: adding it rounds to an integer, which then
    /// occupies the low bits of the significand.
    const INTEGERS: f64 = (1_u64 << 52) as f64;
    // Halved first: |x| + |y| could overflow.
    let (half_x, half_y) = (0.5 * x.abs(), 0.5 * y.abs());
    let t = half_y / (half_x + half_y);
    let t = if x < 0.0 { 2.0 - t } else { t };
    let t = if y < 0.0 { 4.0 - t } else { t };
    (t * f64::from(QUARTER) + INTEGERS).to_bits() as u32
}

/// The maximum norm `|v|_inf`.
#[inline(always)]
fn max_norm(v: [f64; 2]) -> f64 {
    let (x, y) = (v[0].abs(), v[1].abs());
    if x > y { x } else { y }
}

/// The constants of the floating-point format of `T`, `f32` or `f64`, that bound the rounding error
/// of an inner product.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Format {
    /// The deviation from a right angle up to which rounding may change the sign of the inner
    /// product of normal vectors.
    angle_tolerance: u32,
    /// The smallest normal number.
    min_normal: f64,
    /// The smallest subnormal number.
    min_subnormal: f64,
    /// A quarter of the largest number: below it inner products do not overflow.
    overflow_bound: f64,
}

impl Format {
    /// The format of `T`.
    pub(crate) fn of<T: Real>() -> Self {
        // The rounding error of the two products and their sum is at most eps |q| |v|, that of the
        // two angles one unit each; the remaining units cover rounding up.
        let angle_tolerance = 4 + (to_f64(T::default_epsilon()) * f64::from(QUARTER)) as u32;
        let [min_normal, min_subnormal, max] = if size_of::<T>() == size_of::<f32>() {
            [f32::MIN_POSITIVE, f32::from_bits(1), f32::MAX].map(f64::from)
        } else {
            [f64::MIN_POSITIVE, f64::from_bits(1), f64::MAX]
        };
        Self {
            angle_tolerance,
            min_normal,
            min_subnormal,
            overflow_bound: 0.25 * max,
        }
    }
}

/// A set of plane vectors in a fixed order: normal vectors by angle, then subnormal, then zero
/// ones.
///
/// A vector is subnormal if its maximum norm is below the smallest normal number. Inner products
/// with such a vector may underflow to 0, hence its angle does not determine their sign.
#[derive(Debug, Clone)]
pub(crate) struct AngularOrder<T> {
    /// The angles of the normal vectors in increasing order, followed by [`SCAN`] times `u32::MAX`.
    angles: Vec<u32>,
    /// The number of normal vectors.
    sorted: usize,
    /// The smallest angle, 0 for an empty set of normal vectors.
    first: u32,
    /// The vectors in this order.
    vectors: Vec<[T; 2]>,
    /// The original index of each vector.
    index: Vec<u32>,
    /// The inverse of `index`: the position of each original index.
    position: Vec<u32>,
    /// `buckets[r]`: the first position with an angle whose leading bits are at least `r`.
    buckets: Vec<u32>,
    /// The number of trailing bits of an angle that its bucket ignores.
    shift: u32,
    /// The number of vectors that are not zero.
    nonzero: usize,
    /// The smallest maximum norm of a normal vector.
    min_norm: f64,
    /// The largest maximum norm of a normal vector.
    max_norm: f64,
    /// Sort keys: the angle in the upper half, the original index in the lower half.
    entries: Vec<u64>,
    /// Scratch space of the sort.
    scratch: Vec<u64>,
}

impl<T> Default for AngularOrder<T> {
    fn default() -> Self {
        Self {
            angles: Vec::new(),
            sorted: 0,
            first: 0,
            vectors: Vec::new(),
            index: Vec::new(),
            position: Vec::new(),
            buckets: Vec::new(),
            shift: 0,
            nonzero: 0,
            min_norm: f64::INFINITY,
            max_norm: 0.0,
            entries: Vec::new(),
            scratch: Vec::new(),
        }
    }
}

impl<T: Real> AngularOrder<T> {
    /// Sorts the columns of `x` (`2 x n`).
    pub(crate) fn fill(&mut self, x: &[T]) {
        self.sort(x.len() / 2, |j| [x[2 * j], x[2 * j + 1]]);
    }

    /// Sorts `len < 2^32` vectors. Allocates nothing if at least as many were sorted before.
    pub(crate) fn sort(&mut self, len: usize, vector: impl Fn(usize) -> [T; 2]) {
        self.collect_entries(len, &vector);
        // `scratch` holds the subnormal and zero vectors; `index` stores them during the sort.
        let original = |&entry: &u64| entry as u32;
        self.index.clear();
        self.index.extend(self.scratch.iter().map(original));
        radix::sort(&mut self.entries, &mut self.scratch);

        self.angles.clear();
        let angle = |&entry: &u64| (entry >> 32) as u32;
        self.angles.extend(self.entries.iter().map(angle));
        self.group_equal_vectors(&vector);
        self.fill_buckets();
        self.sorted = self.angles.len();
        self.first = self.angles.first().copied().unwrap_or(0);
        self.angles.extend([u32::MAX; SCAN]);

        let others = self.index.len();
        self.index.extend(self.entries.iter().map(original));
        self.index.rotate_left(others);
        self.vectors.clear();
        let vectors = self.index.iter().map(|&i| vector(i as usize));
        self.vectors.extend(vectors);
        self.position.resize(len, 0);
        for (s, &i) in self.index.iter().enumerate() {
            self.position[i as usize] = s as u32;
        }
    }

    /// Writes the normal vectors to `entries`, and the subnormal ones, followed by the zero
    /// vectors, to `scratch`. Sets the norm bounds and the number of nonzero vectors.
    fn collect_entries(&mut self, len: usize, vector: impl Fn(usize) -> [T; 2]) {
        let min_normal = Format::of::<T>().min_normal;
        let (mut min, mut max) = (f64::INFINITY, 0.0);
        self.entries.clear();
        self.entries.extend((0..len).map(|i| {
            let v = widen(vector(i));
            let norm = max_norm(v);
            min = if norm < min { norm } else { min };
            max = if norm > max { norm } else { max };
            u64::from(angle(v)) << 32 | i as u64
        }));
        self.scratch.clear();
        self.nonzero = len;
        if min < min_normal {
            let (entries, scratch) = (&mut self.entries, &mut self.scratch);
            let norm = |entry: u64| max_norm(widen(vector(entry as u32 as usize)));
            min = f64::INFINITY;
            entries.retain(|&entry| {
                let norm = norm(entry);
                if norm < min_normal {
                    scratch.push(entry);
                } else {
                    min = min.min(norm);
                }
                norm >= min_normal
            });
            scratch.sort_unstable_by_key(|&entry| (norm(entry) == 0.0, entry as u32));
            self.nonzero = entries.len() + scratch.partition_point(|&entry| norm(entry) > 0.0);
        }
        (self.min_norm, self.max_norm) = (min, max);
    }

    /// Makes equal vectors adjacent among those of equal angle: one inner product then classifies
    /// all of them.
    fn group_equal_vectors(&mut self, vector: impl Fn(usize) -> [T; 2]) {
        // Adding 0 maps -0 to 0, which compare as different.
        let key = |entry: u64| widen(vector(entry as u32 as usize)).map(|s| s + 0.0);
        let mut start = 0;
        for end in 1..=self.angles.len() {
            if self.angles.get(end) == Some(&self.angles[start]) {
                continue;
            }
            if end - start > 2 {
                self.entries[start..end].sort_unstable_by(|&e, &f| {
                    let ([x, y], [z, w]) = (key(e), key(f));
                    x.total_cmp(&z).then(y.total_cmp(&w)).then(e.cmp(&f))
                });
            }
            start = end;
        }
    }

    /// The number of vectors.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// The number of normal vectors, which occupy the first positions in the order of their angle.
    #[inline(always)]
    pub(crate) fn sorted(&self) -> usize {
        self.sorted
    }

    /// The number of vectors that are not zero.
    #[inline(always)]
    pub(crate) fn nonzero(&self) -> usize {
        self.nonzero
    }

    /// The vector at position `s`.
    #[inline(always)]
    pub(crate) fn vector(&self, s: usize) -> [T; 2] {
        self.vectors[s]
    }

    /// The original indices by position.
    #[inline(always)]
    pub(crate) fn indices(&self) -> &[u32] {
        &self.index
    }

    /// The position of the vector of original index `i`.
    #[inline(always)]
    pub(crate) fn position(&self, i: usize) -> usize {
        self.position[i] as usize
    }

    /// The angle of the normal vector at position `s`.
    #[inline(always)]
    pub(crate) fn angle(&self, s: usize) -> u32 {
        self.angles[s]
    }

    /// The positions of the angles in the closed arc from `angle` to `angle + width`, in two parts:
    /// up to the end of the order, and from its start if the arc wraps.
    pub(crate) fn arc(&self, angle: u32, width: u32) -> [Range<usize>; 2] {
        let (start, past) = (self.lower_bound(angle), angle.wrapping_add(width + 1));
        if past > angle {
            [start..self.lower_bound(past), 0..0]
        } else {
            [start..self.sorted, 0..self.lower_bound(past)]
        }
    }

    /// Fills `buckets`, about two a vector, so that a search inspects few angles.
    fn fill_buckets(&mut self) {
        let bits = (2 * self.angles.len()).max(2).ilog2();
        self.shift = u32::BITS - bits;
        self.buckets.clear();
        self.buckets.resize((1 << bits) + 1, 0);
        for (s, &angle) in self.angles.iter().enumerate() {
            self.buckets[(angle >> self.shift) as usize + 1] = s as u32 + 1;
        }
        let mut last = 0;
        for first in &mut self.buckets {
            last = last.max(*first);
            *first = last;
        }
    }

    /// The first position with an angle of at least `angle`.
    #[inline(always)]
    pub(crate) fn lower_bound(&self, angle: u32) -> usize {
        let bucket = (angle >> self.shift) as usize;
        let [start, end] = [bucket, bucket + 1].map(|bucket| self.buckets[bucket] as usize);
        if end - start > SCAN {
            return start + self.angles[start..end].partition_point(|&a| a < angle);
        }
        // Angles from `end` on belong to later buckets, hence are not smaller.
        let candidates = self.angles[start..start + SCAN].iter();
        candidates.fold(start, |s, &a| s + usize::from(a < angle))
    }

    /// Returns true if some angle lies in the closed arc from `angle` to `angle + width`, given
    /// `position = lower_bound(angle)`.
    #[inline(always)]
    pub(crate) fn intersects(&self, position: usize, angle: u32, width: u32) -> bool {
        // The angle is loaded in both cases, so that the choice needs no branch.
        let (next, first) = (self.angles[position], self.first);
        let next = if position == self.sorted { first } else { next };
        next.wrapping_sub(angle) <= width
    }

    /// The deviation from a right angle with `q` up to which rounding may change the sign of
    /// `q.v`, for every normal `v` of the set. `None` if no angle determines the sign.
    ///
    /// With the unit roundoff `u`, the rounding error is at most `2 u |q| |v|`, plus one subnormal
    /// number if a product underflows. Up to 22 degrees the sine of an angle exceeds the difference
    /// of the diamond angles, in quarter turns, minus a thirtieth of it.
    #[inline(always)]
    pub(crate) fn angle_tolerance(&self, q: [T; 2], format: Format) -> Option<u32> {
        let norm = max_norm(widen(q));
        let smallest = norm * self.min_norm;
        if !(smallest > 0.0 && norm * self.max_norm < format.overflow_bound) {
            return None;
        }
        // Underflow contributes less than one unit of angle if the product of the norms is larger.
        let underflow = 2.0 * f64::from(QUARTER) * format.min_subnormal;
        if smallest >= underflow {
            return Some(format.angle_tolerance);
        }
        let extra = (underflow / smallest) as u32;
        let tolerance = format.angle_tolerance.saturating_add(extra);
        (tolerance < QUARTER / 4).then_some(tolerance)
    }
}
