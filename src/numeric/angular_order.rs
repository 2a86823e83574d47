//! Vectors of the plane in the order of their angle.

use std::ops::Range;

use crate::real::{Real, to_f64};

mod radix;

/// A quarter turn: angles are counted in `2^-32` of a turn and wrap as `u32` does.
pub(crate) const QUARTER: u32 = 1 << 30;

/// So many places of an arc are compared at once.
const PAD: usize = 4;

/// The computed inner product, as the plain method rounds it: its sign decides who is active.
#[inline(always)]
pub(crate) fn dot<T: Real>(b: [T; 2], x: [T; 2]) -> T {
    b[0] * x[0] + b[1] * x[1]
}

#[inline(always)]
pub(crate) fn widen<T: Real>(v: [T; 2]) -> [f64; 2] {
    [to_f64(v[0]), to_f64(v[1])]
}

/// The diamond angle of `v`: `|y| / (|x| + |y|)` of a quarter turn in the first quadrant, mirrored into the others.
///
/// It grows with the angle of `v`, turns by [`QUARTER`] when `v` does, and is off by at most one unit.
#[inline(always)]
fn angle([x, y]: [f64; 2]) -> u32 {
    const INTEGERS: f64 = (1_u64 << 52) as f64; // from here on the last bit of a number is 1
    let (half_x, half_y) = (0.5 * x.abs(), 0.5 * y.abs()); // halves: their sum is finite
    let t = half_y / (half_x + half_y);
    let t = if x < 0.0 { 2.0 - t } else { t };
    let t = if y < 0.0 { 4.0 - t } else { t };
    (t * f64::from(QUARTER) + INTEGERS).to_bits() as u32
}

/// `|v|_inf`
#[inline(always)]
fn norm(v: [f64; 2]) -> f64 {
    let (x, y) = (v[0].abs(), v[1].abs());
    if x > y { x } else { y }
}

/// What rounding in the format of `T`, `f32` or `f64`, does to the sign of an inner product.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Format {
    /// The difference from a right angle up to which rounding may turn the sign.
    doubt: u32,
    /// The smallest normal number, the smallest of all, and a quarter of the largest.
    normal: f64,
    subnormal: f64,
    large: f64,
}

impl Format {
    pub(crate) fn of<T: Real>() -> Self {
        // Two products are off by half an epsilon of |q| |v|, two angles by a unit, and one rounds up.
        let doubt = 4 + (to_f64(T::default_epsilon()) * f64::from(QUARTER)) as u32;
        if size_of::<T>() == size_of::<f32>() {
            Self {
                doubt,
                normal: f32::MIN_POSITIVE.into(),
                subnormal: f32::from_bits(1).into(),
                large: 0.25 * f64::from(f32::MAX),
            }
        } else {
            Self {
                doubt,
                normal: f64::MIN_POSITIVE,
                subnormal: f64::from_bits(1),
                large: 0.25 * f64::MAX,
            }
        }
    }
}

/// Vectors sorted by angle; then those of subnormal size, whose inner products may vanish; then the zeros.
#[derive(Debug, Clone)]
pub(crate) struct Circle<T> {
    /// The angles of the sorted, and [`PAD`] of the largest.
    angles: Vec<u32>,
    sorted: usize,
    first: u32,
    vectors: Vec<[T; 2]>,
    /// The index that a vector had before sorting, and its inverse.
    index: Vec<u32>,
    place: Vec<u32>,
    /// `guide[r]`: the first place whose angle, shifted to the right, is at least r.
    guide: Vec<u32>,
    shift: u32,
    nonzero: usize,
    /// The range of `|v|_inf` of the sorted.
    least: f64,
    largest: f64,
    entries: Vec<u64>,
    spare: Vec<u64>,
}

impl<T> Default for Circle<T> {
    fn default() -> Self {
        Self {
            angles: Vec::new(),
            sorted: 0,
            first: 0,
            vectors: Vec::new(),
            index: Vec::new(),
            place: Vec::new(),
            guide: Vec::new(),
            shift: 0,
            nonzero: 0,
            least: f64::INFINITY,
            largest: 0.0,
            entries: Vec::new(),
            spare: Vec::new(),
        }
    }
}

impl<T: Real> Circle<T> {
    /// Sorts the columns of `x` (`2 x n`).
    pub(crate) fn fill(&mut self, x: &[T]) {
        self.sort(x.len() / 2, |j| [x[2 * j], x[2 * j + 1]]);
    }

    /// Sorts `len < 2^32` vectors. Nothing is allocated when as many were sorted before.
    pub(crate) fn sort(&mut self, len: usize, vector: impl Fn(usize) -> [T; 2]) {
        let format = Format::of::<T>();
        let (mut least, mut largest) = (f64::INFINITY, 0.0);
        self.entries.clear();
        self.entries.extend((0..len).map(|i| {
            let v = widen(vector(i));
            let size = norm(v);
            least = if size < least { size } else { least };
            largest = if size > largest { size } else { largest };
            u64::from(angle(v)) << 32 | i as u64
        }));
        self.spare.clear();
        self.nonzero = len;
        if least < format.normal {
            let Self { entries, spare, .. } = self;
            let size = |entry: u64| norm(widen(vector(entry as u32 as usize)));
            least = f64::INFINITY;
            entries.retain(|&entry| {
                let size = size(entry);
                if size < format.normal {
                    spare.push(entry);
                } else {
                    least = least.min(size);
                }
                size >= format.normal
            });
            spare.sort_unstable_by_key(|&entry| (size(entry) == 0.0, entry as u32));
            self.nonzero = entries.len() + spare.partition_point(|&entry| size(entry) > 0.0);
        }
        (self.least, self.largest) = (least, largest);
        self.index.clear();
        self.index
            .extend(self.spare.iter().map(|&entry| entry as u32));
        radix::sort(&mut self.entries, &mut self.spare);

        self.angles.clear();
        self.angles
            .extend(self.entries.iter().map(|&entry| (entry >> 32) as u32));
        self.join_equals(&vector);
        self.guide();
        self.sorted = self.angles.len();
        self.first = self.angles.first().copied().unwrap_or(0);
        self.angles.extend([u32::MAX; PAD]);
        let small = self.index.len();
        self.index
            .extend(self.entries.iter().map(|&entry| entry as u32));
        self.index.rotate_left(small);
        self.vectors.clear();
        self.vectors
            .extend(self.index.iter().map(|&i| vector(i as usize)));
        self.place.resize(len, 0);
        for (s, &i) in self.index.iter().enumerate() {
            self.place[i as usize] = s as u32;
        }
    }

    /// Among equal angles, puts equal vectors side by side, so that one inner product settles all of them.
    fn join_equals(&mut self, vector: impl Fn(usize) -> [T; 2]) {
        let mut start = 0;
        for end in 1..=self.angles.len() {
            if self.angles.get(end) == Some(&self.angles[start]) {
                continue;
            }
            if end - start > 2 {
                self.entries[start..end].sort_unstable_by(|&e, &f| {
                    let at = |entry: u64| widen(vector(entry as u32 as usize)).map(|s| s + 0.0); // -0 is 0
                    let ([x, y], [z, w]) = (at(e), at(f));
                    x.total_cmp(&z).then(y.total_cmp(&w)).then(e.cmp(&f))
                });
            }
            start = end;
        }
    }

    /// Vectors, however small.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// How many are in the order of their angle.
    #[inline(always)]
    pub(crate) fn sorted(&self) -> usize {
        self.sorted
    }

    /// How many are not zero.
    #[inline(always)]
    pub(crate) fn nonzero(&self) -> usize {
        self.nonzero
    }

    /// The vector in place `s` of the order.
    #[inline(always)]
    pub(crate) fn vector(&self, s: usize) -> [T; 2] {
        self.vectors[s]
    }

    /// The indices before sorting, in the order of the angle.
    #[inline(always)]
    pub(crate) fn indices(&self) -> &[u32] {
        &self.index
    }

    /// The place of the vector of index i.
    #[inline(always)]
    pub(crate) fn place(&self, i: usize) -> usize {
        self.place[i] as usize
    }

    /// The angle in place `s` of the sorted.
    #[inline(always)]
    pub(crate) fn angle(&self, s: usize) -> u32 {
        self.angles[s]
    }

    /// The places of the arc from `angle` to `angle + width`, before and after the end of the order.
    pub(crate) fn arc(&self, angle: u32, width: u32) -> [Range<usize>; 2] {
        let (start, past) = (self.seek(angle), angle.wrapping_add(width + 1));
        if past > angle {
            [start..self.seek(past), 0..0]
        } else {
            [start..self.sorted, 0..self.seek(past)]
        }
    }

    /// The first place of each of about two arcs a vector, so that a place is found in a few steps.
    fn guide(&mut self) {
        let bits = (2 * self.angles.len()).max(2).ilog2();
        self.shift = u32::BITS - bits;
        self.guide.clear();
        self.guide.resize((1 << bits) + 1, 0);
        for (s, &angle) in self.angles.iter().enumerate() {
            self.guide[(angle >> self.shift) as usize + 1] = s as u32 + 1;
        }
        let mut last = 0;
        for first in &mut self.guide {
            last = last.max(*first);
            *first = last;
        }
    }

    /// The first place whose angle is at least `angle`.
    #[inline(always)]
    pub(crate) fn seek(&self, angle: u32) -> usize {
        let arc = (angle >> self.shift) as usize;
        let (start, end) = (self.guide[arc] as usize, self.guide[arc + 1] as usize);
        if end - start > PAD {
            return start + self.angles[start..end].partition_point(|&a| a < angle);
        }
        let next = &self.angles[start..start + PAD]; // beyond `end` none is smaller
        next.iter().fold(start, |s, &a| s + usize::from(a < angle))
    }

    /// Whether a member of the arc from `angle` to `angle + width` lies in `place = seek(angle)`.
    #[inline(always)]
    pub(crate) fn intersects(&self, place: usize, angle: u32, width: u32) -> bool {
        let next = self.angles[place];
        let next = if place == self.sorted {
            self.first
        } else {
            next
        };
        next.wrapping_sub(angle) <= width
    }

    /// How near to a right angle with `q` the sign of a computed inner product is in doubt; `None`: everywhere.
    ///
    /// Rounding adds at most `2 u |q| |v|`, underflow at most one subnormal number; the sine of an angle up to 22
    /// degrees exceeds the difference of the diamond angles, in quarter turns, less a thirtieth.
    #[inline(always)]
    pub(crate) fn doubt(&self, q: [T; 2], format: Format) -> Option<u32> {
        let size = norm(widen(q));
        let least = size * self.least;
        if !(least > 0.0 && size * self.largest < format.large) {
            return None;
        }
        let lost = 2.0 * f64::from(QUARTER) * format.subnormal;
        if least >= lost {
            return Some(format.doubt);
        }
        let doubt = format.doubt.saturating_add((lost / least) as u32);
        (doubt < QUARTER / 4).then_some(doubt)
    }
}
