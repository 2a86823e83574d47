//! Sums over all pairs of samples and particles in `f64`, with which sums over half spaces are
//! compared.

use wasserflow::nalgebra::{self, DMatrix, DVector};
use wasserflow::prelude::*;

pub fn to_f64<T: Real>(x: T) -> f64 {
    nalgebra::try_convert(x).expect("a number")
}

/// A piecewise linear activation with the slopes `(negative, zero, positive)`.
#[derive(Debug, Clone, Copy)]
pub struct PiecewiseLinear(pub [f64; 3]);

impl<T: Real> Activation<T> for PiecewiseLinear {
    fn value(&self, u: T) -> T {
        self.derivative(u) * u
    }
    fn derivative(&self, u: T) -> T {
        let [negative, zero, positive] = self.0;
        match u.partial_cmp(&T::zero()) {
            Some(std::cmp::Ordering::Greater) => real(positive),
            Some(std::cmp::Ordering::Equal) => real(zero),
            _ => real(negative),
        }
    }
    fn slopes(&self) -> Option<Slopes<T>> {
        let [negative, zero, positive] = self.0.map(real);
        Some(Slopes {
            negative,
            zero,
            positive,
        })
    }
}

pub const RELU: [f64; 3] = [0.0, 0.0, 1.0];
pub const LEAKY: [f64; 3] = [0.125, 0.125, 1.0];
pub const ABS: [f64; 3] = [-1.0, 0.0, 1.0];
pub const IDENTITY: [f64; 3] = [1.0, 1.0, 1.0];

/// A generator of 64 random bits (xorshift), enough for clouds of points.
pub struct Draw(pub u64);

impl Draw {
    fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, n: u64) -> u64 {
        (self.bits() >> 11) % n
    }

    /// In `[-1, 1)`.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }

    pub fn fill<T: Real>(&mut self, len: usize, mut entry: impl FnMut(&mut Self) -> f64) -> Vec<T> {
        (0..len).map(|_| real(entry(self))).collect()
    }
}

/// Samples, particles with k outputs, weights and the gradient to pull back.
pub struct Problem<T> {
    d: usize,
    k: usize,
    x: Vec<T>,
    w: Vec<T>,
    c: Vec<T>,
    g: Vec<T>,
    /// The roundings of a sum in T, in units of that of its result.
    roundings: f64,
}

impl<T: Real> Problem<T> {
    /// Random weights for points `x` and directions `b`, both `d x .`. The result is the rounded
    /// value of a sum in a higher precision for d = 2, and of one in T otherwise.
    pub fn new(draw: &mut Draw, [d, k]: [usize; 2], x: Vec<T>, b: &[T]) -> Self {
        let c = draw.fill(b.len() / d, |draw| draw.unit().abs());
        let g = draw.fill(x.len() / d * k, Draw::unit);
        let terms = (x.len() / d).max(b.len() / d) as f64;
        let roundings = if d == 2 { 4.0 } else { 4.0 + terms.sqrt() };
        let particle = |b: &[T]| -> Vec<T> {
            let mut w = draw.fill(k, Draw::unit);
            w.extend_from_slice(b);
            w
        };
        let w = b.chunks_exact(d).flat_map(particle).collect();
        Self {
            d,
            k,
            x,
            w,
            c,
            g,
            roundings,
        }
    }

    /// Compares the sweep with sums over all pairs in `f64`, in units of the sums of the sizes of
    /// an output's terms.
    pub fn check(&self, [negative, zero, positive]: [f64; 3], what: &str) {
        let Self {
            d,
            k,
            x,
            w,
            c,
            g,
            roundings,
        } = self;
        let (d, k, p, n, m) = (*d, *k, k + d, x.len() / d, c.len());
        let slope = |b: &[T], x: &[T]| {
            let u = b.iter().zip(x).fold(T::zero(), |u, (&b, &x)| u + b * x); // as rounded in T
            match u.partial_cmp(&T::zero()) {
                Some(std::cmp::Ordering::Greater) => positive,
                Some(std::cmp::Ordering::Equal) => zero,
                _ => negative,
            }
        };
        let wide = |v: &[T]| -> Vec<f64> { v.iter().map(|&s| to_f64(s)).collect() };
        let (fx, fw, fc, fg) = (wide(x), wide(w), wide(c), wide(g));
        // Outputs, the sums of their terms' sizes, and those with every member active.
        let (mut h, mut h_size, mut h_all) = (vec![0.0; n * k], vec![0.0; n * k], vec![0.0; n * k]);
        let (mut v, mut v_size, mut v_all) = (vec![0.0; m * p], vec![0.0; m * p], vec![0.0; m * p]);
        for j in 0..n {
            for i in 0..m {
                let (xj, wi) = (&fx[d * j..][..d], &fw[i * p..][..p]);
                let s = slope(&w[i * p + k..][..d], &x[d * j..][..d]);
                let products = || wi[k..].iter().zip(xj).map(|(b, x)| b * x);
                let u: f64 = products().sum();
                let u_size: f64 = products().map(f64::abs).sum();
                let mut add = |q: usize, r: usize, term: [f64; 2], size: [f64; 2]| {
                    h[q] += s * term[0];
                    h_size[q] += (s * size[0]).abs();
                    h_all[q] += size[0];
                    v[r] -= s * term[1];
                    v_size[r] += (s * size[1]).abs();
                    v_all[r] += size[1];
                };
                for l in 0..k {
                    let (ca, g) = (fc[i] * wi[l], fg[j * k + l]);
                    let size = [ca.abs() * u_size, g.abs() * u_size];
                    add(j * k + l, i * p + l, [ca * u, g * u], size);
                    for r in 0..d {
                        let term = g * wi[l] * xj[r];
                        add(j * k + l, i * p + k + r, [0.0, term], [0.0, term.abs()]);
                    }
                }
            }
        }
        let map = Ridge::with_outputs(PiecewiseLinear([negative, zero, positive]), d, k);
        let points = DMatrix::from_column_slice(p, m, w);
        let weights = DVector::from_column_slice(c);
        let mu = EmpiricalMeasure::weighted(points, weights).unwrap();
        let inputs = Inputs::new(DMatrix::from_column_slice(d, n, x)).unwrap();
        let mut ws = Workspace::default();
        let (mut out, mut values) = (vec![T::zero(); n * k], vec![T::zero(); m]);
        let mut descent = DMatrix::from_element(p, m, T::one());
        map.predict(&mu, &inputs, &mut out, &mut ws);
        map.variation(mu.points(), &inputs, g, &mut values, &mut descent, &mut ws);
        let descent = descent.as_slice();

        let unit = to_f64(T::default_epsilon());
        let count = n.max(m) as f64;
        let terms = count.sqrt() * f64::EPSILON; // of the sums here
        // A tree subtracts from the sum of all terms if none of the slopes is 0.
        let subtracts = d > 2 && negative != 0.0 && positive != 0.0;
        let of_all = if subtracts {
            roundings * unit
        } else {
            2_f64.powi(-100)
        };
        // It rounds inner products of predictions once, so that u > 0 where plain products cancel.
        let of_all_h = if d > 2 { roundings * unit } else { of_all };
        let close = |found: T, exact: f64, size: f64, all: f64, of_all: f64| {
            let least = if size_of::<T>() == 4 {
                f32::from_bits(1).into()
            } else {
                f64::from_bits(1)
            };
            let bound =
                (roundings * unit + 4.0 * terms) * size + of_all * all + 4.0 * count * least;
            (to_f64(found) - exact).abs() <= bound
        };
        for q in 0..n * k {
            assert!(
                close(out[q], h[q], h_size[q], h_all[q], of_all_h),
                "{what}: h[{q}] = {:e} instead of {:e} of {:e} of {:e}",
                to_f64(out[q]),
                h[q],
                h_size[q],
                h_all[q]
            );
        }
        for q in 0..m * p {
            assert!(
                close(descent[q], v[q], v_size[q], v_all[q], of_all),
                "{what}: v[{q}] = {:e} instead of {:e} of {:e} of {:e}",
                to_f64(descent[q]),
                v[q],
                v_size[q],
                v_all[q]
            );
        }
        for i in 0..m {
            let product =
                |u: &[f64], v: &[f64]| -> f64 { u[..k].iter().zip(v).map(|(a, b)| a * b).sum() };
            let value = -product(&fw[i * p..], &v[i * p..]);
            let absolute: Vec<f64> = fw[i * p..][..k].iter().map(|a| a.abs()).collect();
            let size = product(&absolute, &v_size[i * p..]);
            let all = product(&absolute, &v_all[i * p..]);
            assert!(
                close(values[i], value, size, all, of_all),
                "{what}: value {i}"
            );
        }
    }

    pub fn check_all(&self, what: &str) {
        for (slopes, name) in [
            (RELU, "relu"),
            (LEAKY, "leaky"),
            (ABS, "abs"),
            (IDENTITY, "identity"),
        ] {
            self.check(
                slopes,
                &format!("{what}, {name}, {}", std::any::type_name::<T>()),
            );
        }
    }
}
