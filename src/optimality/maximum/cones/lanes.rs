//! Loops over samples in blocks of lanes.
//!
//! Every loop has a fixed order of evaluation. It is compiled for each instruction set, so that the
//! compiler vectorises it.

use super::blocks::{Block, LANES, Lanes, SampleColumn, SampleRows};
use crate::numeric::error_bounds::CompensatedSum;
use crate::numeric::simd::{Multiversion, multiversion};

/// Blocks whose terms are summed without compensation: a compensated addition for 8 fused ones.
const CHUNK: usize = 8;

/// The error of a [`weighted_sum`] and of [`chords`] in units of `EPS sum |terms|`: half a unit
/// for the product, each of `CHUNK + 3` additions, and the value of the compensated sum of chunks.
pub(super) const SUM_ERROR: f64 = 0.5 * (CHUNK as f64 + 5.0) + 0.5;

/// `v_i.x_j` for all vertices and samples.
pub(super) fn products<const D: usize>(
    x: &SampleRows<D>,
    v: &[[f64; D]; D],
    out: &mut SampleRows<D>,
) {
    struct Code<'a, const D: usize>(&'a SampleRows<D>, &'a [[f64; D]; D], &'a mut SampleRows<D>);
    impl<const D: usize> Multiversion for Code<'_, D> {
        type Output = ();
        #[inline(always)]
        fn run<const FUSED: bool>(self) {
            let v = self.1.map(|v| v.map(Lanes::splat));
            for (x, z) in self.0.blocks.iter().zip(&mut self.2.blocks) {
                for i in 0..D {
                    let mut sum = x[0].map2(v[i][0], |x, v| x * v);
                    for r in 1..D {
                        sum = sum.add_product::<FUSED>(x[r], v[i][r]);
                    }
                    z[i] = sum;
                }
            }
        }
    }
    out.blocks.resize(x.blocks.len(), [Lanes::ZERO; D]);
    out.len = x.len;
    multiversion(Code(x, v, out));
}

#[inline(always)]
fn product<const FUSED: bool, const D: usize>(x: &Block<D>, v: &[Lanes; D]) -> Lanes {
    let mut sum = x[0].map2(v[0], |x, v| x * v);
    for r in 1..D {
        sum = sum.add_product::<FUSED>(x[r], v[r]);
    }
    sum
}

/// `b.x_j` for all samples.
pub(super) fn project<const D: usize>(x: &SampleRows<D>, b: &[f64; D], out: &mut SampleColumn) {
    struct Code<'a, const D: usize>(&'a SampleRows<D>, &'a [f64; D], &'a mut SampleColumn);
    impl<const D: usize> Multiversion for Code<'_, D> {
        type Output = ();
        #[inline(always)]
        fn run<const FUSED: bool>(self) {
            let b = self.1.map(Lanes::splat);
            for (x, z) in self.0.blocks.iter().zip(&mut self.2.blocks) {
                *z = product::<FUSED, D>(x, &b);
            }
        }
    }
    out.resize(x.len);
    multiversion(Code(x, b, out));
}

/// `z_j + d.x_j` has another sign than `z_j`: the candidates for breakpoints, with `d.x_j` in
/// `change`.
pub(super) fn sign_changes<const D: usize>(
    x: &SampleRows<D>,
    d: &[f64; D],
    z: &SampleColumn,
    change: &mut SampleColumn,
    found: &mut Vec<u32>,
) {
    struct Code<'a, const D: usize> {
        x: &'a SampleRows<D>,
        d: &'a [f64; D],
        z: &'a SampleColumn,
        change: &'a mut SampleColumn,
        found: &'a mut Vec<u32>,
    }
    impl<const D: usize> Multiversion for Code<'_, D> {
        type Output = ();
        #[inline(always)]
        fn run<const FUSED: bool>(self) {
            let d = self.d.map(Lanes::splat);
            let blocks = self.x.blocks.iter().zip(&self.z.blocks);
            for (q, ((x, z), change)) in blocks.zip(&mut self.change.blocks).enumerate() {
                *change = product::<FUSED, D>(x, &d);
                let mut signs = [0_u64; LANES];
                let mut any = 0;
                for l in 0..LANES {
                    signs[l] = (z.0[l].to_bits() ^ (z.0[l] + change.0[l]).to_bits()) >> 63;
                    any |= signs[l];
                }
                if any != 0 {
                    for l in 0..LANES {
                        if signs[l] != 0 {
                            self.found.push((q * LANES + l) as u32);
                        }
                    }
                }
            }
        }
    }
    change.resize(x.len);
    found.clear();
    multiversion(Code {
        x,
        d,
        z,
        change,
        found,
    });
}

/// `z += s d`
pub(super) fn axpy(z: &mut SampleColumn, s: f64, d: &SampleColumn) {
    struct Code<'a>(&'a mut SampleColumn, f64, &'a SampleColumn);
    impl Multiversion for Code<'_> {
        type Output = ();
        #[inline(always)]
        fn run<const FUSED: bool>(self) {
            let s = Lanes::splat(self.1);
            for (z, d) in self.0.blocks.iter_mut().zip(&self.2.blocks) {
                *z = z.add_product::<FUSED>(s, *d);
            }
        }
    }
    multiversion(Code(z, s, d));
}

/// `c_j` if the sign bit of `z_j` is clear, else 0.
pub(super) fn select_positive(c: &SampleColumn, z: &SampleColumn, out: &mut SampleColumn) {
    struct Code<'a>(&'a SampleColumn, &'a SampleColumn, &'a mut SampleColumn);
    impl Multiversion for Code<'_> {
        type Output = ();
        #[inline(always)]
        fn run<const FUSED: bool>(self) {
            let blocks = self.0.blocks.iter().zip(&self.1.blocks);
            for ((c, z), out) in blocks.zip(&mut self.2.blocks) {
                *out = c.map2(*z, |c, z| if z.is_sign_positive() { c } else { 0.0 });
            }
        }
    }
    out.resize(c.len);
    multiversion(Code(c, z, out));
}

/// `sum_j s_j x_j`, within `SUM_ERROR EPS sum_j |s_j|`.
pub(super) fn weighted_sum<const D: usize>(
    x: &SampleRows<D>,
    s: &SampleColumn,
) -> [CompensatedSum; D] {
    struct Code<'a, const D: usize>(&'a SampleRows<D>, &'a SampleColumn, [CompensatedSum; D]);
    impl<const D: usize> Multiversion for Code<'_, D> {
        type Output = [CompensatedSum; D];
        #[inline(always)]
        fn run<const FUSED: bool>(mut self) -> Self::Output {
            let chunks = self.0.blocks.chunks(CHUNK);
            for (x, s) in chunks.zip(self.1.blocks.chunks(CHUNK)) {
                let mut sums = [Lanes::ZERO; D];
                for (x, s) in x.iter().zip(s) {
                    for r in 0..D {
                        sums[r] = sums[r].add_product::<FUSED>(x[r], *s);
                    }
                }
                for r in 0..D {
                    self.2[r].add(sums[r].sum());
                }
            }
            self.2
        }
    }
    multiversion(Code(x, s, [CompensatedSum::default(); D]))
}

/// `sum_j c_j (z_ij)_+` for every vertex, within `SUM_ERROR EPS sum_j |c_j|` of the sum for the
/// given z.
pub(super) fn chords<const D: usize>(z: &SampleRows<D>, c: &SampleColumn) -> [f64; D] {
    struct Code<'a, const D: usize>(&'a SampleRows<D>, &'a SampleColumn, [CompensatedSum; D]);
    impl<const D: usize> Multiversion for Code<'_, D> {
        type Output = [f64; D];
        #[inline(always)]
        fn run<const FUSED: bool>(mut self) -> Self::Output {
            let chunks = self.0.blocks.chunks(CHUNK);
            for (z, c) in chunks.zip(self.1.blocks.chunks(CHUNK)) {
                let mut sums = [Lanes::ZERO; D];
                for (z, c) in z.iter().zip(c) {
                    for i in 0..D {
                        let z = Lanes(z[i].0.map(|z| if z > 0.0 { z } else { 0.0 }));
                        sums[i] = sums[i].add_product::<FUSED>(z, *c);
                    }
                }
                for i in 0..D {
                    self.2[i].add(sums[i].sum());
                }
            }
            self.2.map(|sum| sum.value())
        }
    }
    multiversion(Code(z, c, [CompensatedSum::default(); D]))
}

/// The smallest and the largest of `z_ij` over the vertices, that of number `side` replaced by
/// `middle`.
pub(super) fn extents<const D: usize>(
    z: &SampleRows<D>,
    replaced: Option<(usize, &SampleColumn)>,
    low: &mut SampleColumn,
    high: &mut SampleColumn,
) {
    struct Code<'a, const D: usize> {
        z: &'a SampleRows<D>,
        replaced: Option<(usize, &'a SampleColumn)>,
        low: &'a mut SampleColumn,
        high: &'a mut SampleColumn,
    }
    impl<const D: usize> Multiversion for Code<'_, D> {
        type Output = ();
        #[inline(always)]
        fn run<const FUSED: bool>(self) {
            let (side, middle) = match self.replaced {
                Some((side, middle)) => (side, Some(&middle.blocks)),
                None => (D, None),
            };
            let out = self.low.blocks.iter_mut().zip(&mut self.high.blocks);
            for (q, (z, (low, high))) in self.z.blocks.iter().zip(out).enumerate() {
                let mut z = *z;
                if let Some(middle) = middle {
                    z[side] = middle[q];
                }
                let (mut smallest, mut largest) = (z[0], z[0]);
                for i in 1..D {
                    smallest = smallest.map2(z[i], |s, z| if z < s { z } else { s });
                    largest = largest.map2(z[i], |s, z| if z > s { z } else { s });
                }
                (*low, *high) = (smallest, largest);
            }
        }
    }
    low.resize(z.len);
    high.resize(z.len);
    multiversion(Code {
        z,
        replaced,
        low,
        high,
    });
}

/// The errors of the chords on every edge at the point of coefficients `alpha`, and their moments.
///
/// For products `a, -b` of opposite signs with the vertices p and q the error is
/// `e_j = c_j min(alpha_p a, alpha_q b)`, and the sample vanishes at the share `s_j = a / (a + b)`
/// of the edge from p: `(sum_j e_j, sum_j e_j s_j)`.
pub(super) fn edge_errors<const D: usize>(
    z: &SampleRows<D>,
    c: &SampleColumn,
    alpha: &[f64; D],
) -> [[(f64, f64); D]; D] {
    struct Code<'a, const D: usize>(&'a SampleRows<D>, &'a SampleColumn, &'a [f64; D]);
    impl<const D: usize> Multiversion for Code<'_, D> {
        type Output = [[(f64, f64); D]; D];
        #[inline(always)]
        fn run<const FUSED: bool>(self) -> Self::Output {
            let Self(z, c, alpha) = self;
            let mut errors = [[(0.0, 0.0); D]; D];
            for p in 0..D {
                for q in p + 1..D {
                    let (mut sum, mut moment) = (Lanes::ZERO, Lanes::ZERO);
                    for (z, c) in z.blocks.iter().zip(&c.blocks) {
                        for l in 0..LANES {
                            let (a, b) = (z[p].0[l], z[q].0[l]);
                            let crosses = a * b < 0.0;
                            let (a, b) = (a.abs(), b.abs());
                            let error = c.0[l] * smaller(alpha[p] * a, alpha[q] * b);
                            let error = if crosses { error } else { 0.0 };
                            let share = if crosses { a / (a + b) } else { 0.0 };
                            sum.0[l] += error;
                            moment.0[l] += error * share;
                        }
                    }
                    errors[p][q] = (sum.sum(), moment.sum());
                }
            }
            errors
        }
    }
    multiversion(Code(z, c, alpha))
}

/// The minimum without the rules for NaN, one instruction.
#[inline(always)]
fn smaller(a: f64, b: f64) -> f64 {
    if a < b { a } else { b }
}
