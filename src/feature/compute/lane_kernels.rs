//! Kernels of the passes with particles in the lanes: preactivations, predictions, and the sums of
//! a velocity.

use crate::numeric::packed::line;
use crate::numeric::simd::{
    Launch, Simd, SimdKernel, SimdScalar, dispatch, launch, same, same_mut, with_simd_scalar,
};
use crate::real::Real;

/// Lines of particles whose values are added to the predictions at a time.
pub(super) const LINES: usize = 4;

/// Features of a block at most with 32 registers of one line; with 16 of half a line, 5.
const MOST: usize = 20;

/// Features of a block at most, so that its sums stay in registers.
pub(super) fn max_features() -> usize {
    dispatch(MostFeatures)
}

/// The kernel that returns the features of a block at most.
struct MostFeatures;

impl SimdKernel for MostFeatures {
    type Scalar = f32;
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd<f32>, const R: usize, const V: usize>(self, _: S) -> usize {
        most_features::<V>()
    }
}

/// Features of a block at most if a line has `V` vectors.
const fn most_features<const V: usize>() -> usize {
    match V {
        1 => MOST,
        2 | 4 => 5,
        _ => 1,
    }
}

/// Preactivations of some lines of particles `b` (each `d x W`) on a panel of packed samples, to
/// the first half of the memory of each line.
pub(super) fn preactivations<T: Real>(d: usize, samples: &[T], b: &[T], stored: &mut [T]) {
    with_simd_scalar!(T as E => {
        let (samples, b, stored) = (same::<_, E>(samples), same(b), same_mut(stored));
        Preactivations { d, samples, b, stored }.launch();
    });
}

/// `h_j += c_i a_i sigma(u_ij)`, for each lane separately.
pub(super) fn add_outputs<T: Real>(ca: &[T], stored: &[T], h: &mut [T]) {
    with_simd_scalar!(T as E => {
        let (ca, stored, h) = (same::<_, E>(ca), same(stored), same_mut(h));
        Outputs { ca, stored, h }.launch();
    });
}

/// The sums of the lanes of each line.
pub(super) fn sum_lanes<T: Real>(lanes: &[T], h: &mut [T]) {
    with_simd_scalar!(T as E => {
        SumLanes { lanes: same::<_, E>(lanes), h: same_mut(h) }.launch();
    });
}

/// `u_ij = b_i . x_j` for some lines of particles and the samples of a panel.
struct Preactivations<'a, E> {
    d: usize,
    /// The samples, packed in lines.
    samples: &'a [E],
    /// `b` in lines of particles, `d x W`.
    b: &'a [E],
    /// The memory of values and derivatives of each line: u replaces the values.
    stored: &'a mut [E],
}

/// `h_j += c_i a_i sigma(u_ij)` for some lines of particles, each lane separately.
struct Outputs<'a, E> {
    /// `c_i a_i`
    ca: &'a [E],
    stored: &'a [E],
    /// A line of sums for each sample.
    h: &'a mut [E],
}

/// `h_j = sum of line j`.
struct SumLanes<'a, E> {
    lanes: &'a [E],
    h: &'a mut [E],
}

/// `S_i += sum_j g_j sigma(u_ij)` and `G_i += sum_j sigma'(u_ij) (g_j x_j)` for the samples of a
/// panel and some lines of particles.
pub(super) struct Sums<'a, E> {
    pub(super) d: usize,
    /// Features of a block; the last one may have fewer.
    pub(super) width: usize,
    /// `g`, without padding.
    pub(super) g: &'a [E],
    /// `g_j x_j` by blocks of features, and in a block by samples.
    pub(super) gx: &'a [E],
    /// Values and derivatives of each line, padded.
    pub(super) stored: &'a [E],
    /// Scalars stored for a line of particles.
    pub(super) stored_line: usize,
    /// `(S, G)` of each line, `(1 + d) x W`.
    pub(super) sums: &'a mut [E],
}

launch!(Preactivations, Outputs, SumLanes, Sums);

impl<E: SimdScalar> SimdKernel for Preactivations<'_, E> {
    type Scalar = E;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<E>, const R: usize, const V: usize>(self, s: S) {
        match V {
            1 => self.tiles::<S, 8, 2, V>(s),
            2 | 4 => self.tiles::<S, 4, 1, V>(s),
            _ => self.tiles::<S, 1, 1, V>(s),
        }
    }
}

impl<E: SimdScalar> Preactivations<'_, E> {
    /// All lines of particles, P at a time.
    #[inline(always)]
    fn tiles<S: Simd<E>, const Q: usize, const P: usize, const V: usize>(self, s: S) {
        let (d, w) = (self.d, line::<E>());
        let stored = 2 * w * (self.samples.len() / d);
        let mut b = self.b.chunks_exact(P * w * d);
        let mut out = self.stored.chunks_exact_mut(P * stored);
        for (b, out) in b.by_ref().zip(out.by_ref()) {
            tile::<E, S, Q, P, V>(s, d, self.samples, b, out);
        }
        let rest = out.into_remainder().chunks_exact_mut(stored);
        for (b, out) in b.remainder().chunks_exact(w * d).zip(rest) {
            tile::<E, S, Q, 1, V>(s, d, self.samples, b, out);
        }
    }
}

/// P lines of particles on all samples, Q at a time.
#[inline(always)]
fn tile<E: SimdScalar, S: Simd<E>, const Q: usize, const P: usize, const V: usize>(
    s: S,
    d: usize,
    samples: &[E],
    b: &[E],
    out: &mut [E],
) {
    let (w, n) = (line::<E>(), samples.len() / d);
    let mut lines = [S::vectors(&b[..0]).as_chunks::<V>().0; P];
    for p in 0..P {
        lines[p] = &S::vectors(b).as_chunks::<V>().0[p * d..][..d];
    }
    let mut parts = out.chunks_exact_mut(2 * w * n);
    let rows: [_; P] = std::array::from_fn(|_| {
        let row = S::vectors_mut(parts.next().unwrap_or_default());
        row.as_chunks_mut::<V>().0[..n].as_chunks_mut::<Q>().0
    });
    let tiles = w / Q;
    for (l, x) in samples.chunks_exact(d * w).enumerate() {
        for q in 0..tiles {
            let (x, _) = x[q * Q..].as_chunks::<Q>();
            let mut u = [[[s.zero(); V]; P]; Q];
            for (f, x) in x.iter().step_by(tiles).take(d).enumerate() {
                for j in 0..Q {
                    let x = s.splat(x[j]);
                    for p in 0..P {
                        for v in 0..V {
                            u[j][p][v] = s.mul_add(x, lines[p][f][v], u[j][p][v]);
                        }
                    }
                }
            }
            for p in 0..P {
                let to = &mut rows[p][l * tiles + q];
                for j in 0..Q {
                    to[j] = u[j][p];
                }
            }
        }
    }
}

impl<E: SimdScalar> SimdKernel for Outputs<'_, E> {
    type Scalar = E;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<E>, const R: usize, const V: usize>(self, s: S) {
        if self.ca.len() == LINES * line::<E>() {
            self.lines::<S, LINES, V>(s);
        } else {
            self.lines::<S, 1, V>(s);
        }
    }
}

impl<E: SimdScalar> Outputs<'_, E> {
    /// All lines of particles, P at a time.
    #[inline(always)]
    fn lines<S: Simd<E>, const P: usize, const V: usize>(self, s: S) {
        let (w, n) = (line::<E>(), self.h.len());
        let (h, _) = S::vectors_mut(self.h).as_chunks_mut::<V>();
        let groups = self
            .ca
            .chunks_exact(P * w)
            .zip(self.stored.chunks_exact(2 * P * n));
        for (ca, stored) in groups {
            let mut rows = [S::vectors(&stored[..0]).as_chunks::<V>().0; P];
            let mut c = [[s.zero(); V]; P];
            for p in 0..P {
                rows[p] = &S::vectors(&stored[2 * p * n..]).as_chunks::<V>().0[..h.len()];
                c[p] = S::vectors(ca).as_chunks::<V>().0[p];
            }
            for j in 0..h.len() {
                let mut sum = h[j];
                for p in 0..P {
                    for v in 0..V {
                        sum[v] = s.mul_add(c[p][v], rows[p][j][v], sum[v]);
                    }
                }
                h[j] = sum;
            }
        }
    }
}

impl<E: SimdScalar> SimdKernel for SumLanes<'_, E> {
    type Scalar = E;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<E>, const R: usize, const V: usize>(self, s: S) {
        let (lanes, _) = S::vectors(self.lanes).as_chunks::<V>();
        for (lanes, h) in lanes.iter().zip(self.h) {
            let mut sum = lanes[0];
            for &lanes in &lanes[1..] {
                sum = s.add(sum, lanes);
            }
            *h = s.reduce_sum(sum);
        }
    }
}

impl<E: SimdScalar> SimdKernel for Sums<'_, E> {
    type Scalar = E;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<E>, const R: usize, const V: usize>(self, s: S) {
        let (d, n) = (self.d, self.g.len());
        let (rows, _) = S::vectors_mut(self.sums).as_chunks_mut::<V>();
        let lines = self.stored.chunks_exact(self.stored_line);
        for (rows, stored) in rows.chunks_exact_mut(d + 1).zip(lines) {
            let (values, ds) = stored.split_at(self.stored_line / 2);
            let values = &S::vectors(values).as_chunks::<V>().0[..n];
            let ds = &S::vectors(ds).as_chunks::<V>().0[..n];
            let (total, rows) = rows.split_at_mut(1);
            let blocks = self
                .gx
                .chunks(self.width * n)
                .zip(rows.chunks_mut(self.width));
            for (b, (gx, rows)) in blocks.enumerate() {
                macro_rules! width {
                    ($($width:literal)+) => {
                        match rows.len() {
                            $($width if $width <= const { most_features::<V>() } => {
                                let (gx, _) = gx.as_chunks::<$width>();
                                let total = if b == 0 { Some(&mut total[0]) } else { None };
                                sums::<E, S, $width, V>(s, (gx, self.g), [values, ds], rows, total);
                            })+
                            _ => unreachable!("a block has at most 20 features"),
                        }
                    };
                }
                width!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20);
            }
        }
    }
}

/// Adds the sums of a panel, F features, to `rows`, and those of the values to `total`.
#[inline(always)]
fn sums<E: SimdScalar, S: Simd<E>, const F: usize, const V: usize>(
    s: S,
    (gx, g): (&[[E; F]], &[E]),
    [values, ds]: [&[[S::Vector; V]]; 2],
    rows: &mut [[S::Vector; V]],
    total: Option<&mut [S::Vector; V]>,
) {
    let mut sums = [[s.zero(); V]; F];
    if let Some(total) = total {
        let mut sum = [s.zero(); V];
        for (((gx, &g), values), ds) in gx.iter().zip(g).zip(values).zip(ds) {
            for f in 0..F {
                let x = s.splat(gx[f]);
                for v in 0..V {
                    sums[f][v] = s.mul_add(x, ds[v], sums[f][v]);
                }
            }
            let g = s.splat(g);
            for v in 0..V {
                sum[v] = s.mul_add(g, values[v], sum[v]);
            }
        }
        for v in 0..V {
            total[v] = s.add(total[v], sum[v]);
        }
    } else {
        for (gx, ds) in gx.iter().zip(ds) {
            for f in 0..F {
                let x = s.splat(gx[f]);
                for v in 0..V {
                    sums[f][v] = s.mul_add(x, ds[v], sums[f][v]);
                }
            }
        }
    }
    for f in 0..F {
        for v in 0..V {
            rows[f][v] = s.add(rows[f][v], sums[f][v]);
        }
    }
}
