//! A problem whose derivatives are known as dense matrices, for the tests of the parts of a step.

use nalgebra::{DMatrix, DVector, DVectorView};

use super::{Point, Proximal};
use crate::energy::Energy;
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, real};

/// `F(mu) = <u, A u> / 2 + int V dmu` with `u = int w dmu` and `V(w) = <w, B w> / 2 + (e.w)^3 / 6 + b.w`.
pub struct Known<T> {
    /// `A`, the curvature of Gauss and Newton.
    pub outer: DMatrix<T>,
    /// `B`.
    pub own: DMatrix<T>,
    /// `e`.
    pub cubic: DVector<T>,
    /// `b`.
    pub linear: DVector<T>,
    /// Says nothing of first variation and curvature.
    pub silent: bool,
}

impl<T: Real> Known<T> {
    fn mean(&self, mu: &EmpiricalMeasure<T>) -> DVector<T> {
        mu.points() * DVector::from_column_slice(mu.weights())
    }

    /// `V(w)` and its gradient.
    fn potential(&self, w: DVectorView<'_, T>) -> (T, DVector<T>) {
        let (bent, s) = (&self.own * w, self.cubic.dot(&w));
        let value = w.dot(&bent) * real(0.5) + s * s * s / real(6.0) + self.linear.dot(&w);
        (
            value,
            bent + &self.cubic * (s * s * real::<T>(0.5)) + &self.linear,
        )
    }
}

impl<T: Real> Energy<T> for Known<T> {
    fn particle_dim(&self) -> usize {
        self.own.nrows()
    }

    fn value(&mut self, mu: &EmpiricalMeasure<T>) -> T {
        let u = self.mean(mu);
        let sum = |sum, (w, &c): (DVectorView<'_, T>, &T)| sum + c * self.potential(w).0;
        mu.points()
            .column_iter()
            .zip(mu.weights())
            .fold(u.dot(&(&self.outer * &u)) * real(0.5), sum)
    }

    fn velocity(&mut self, mu: &EmpiricalMeasure<T>, out: &mut DMatrix<T>) -> T {
        let pull = &self.outer * self.mean(mu);
        for (mut out, w) in out.column_iter_mut().zip(mu.points().column_iter()) {
            out.copy_from(&-(&pull + self.potential(w).1));
        }
        self.value(mu)
    }

    fn first_variation(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        at: &DMatrix<T>,
        values: &mut [T],
        descent: &mut DMatrix<T>,
    ) -> Option<T> {
        let pull = &self.outer * self.mean(mu);
        for (i, (w, value)) in at.column_iter().zip(values).enumerate() {
            let (own, gradient) = self.potential(w);
            *value = pull.dot(&w) + own;
            descent.set_column(i, &-(&pull + gradient));
        }
        (!self.silent).then(|| self.value(mu))
    }

    fn curvature(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        v: &DMatrix<T>,
        out: &mut DMatrix<T>,
    ) -> Option<()> {
        let bent = &self.outer * (v * DVector::from_column_slice(mu.weights()));
        out.column_iter_mut()
            .for_each(|mut out| out.copy_from(&bent));
        (!self.silent).then_some(())
    }
}

/// Numbers in `[-1, 1)` (xorshift).
pub struct Draw(pub u64);

impl Draw {
    pub fn unit<T: Real>(&mut self) -> T {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        real((self.0 >> 40) as f64 / (1_u64 << 23) as f64 - 1.0)
    }

    pub fn matrix<T: Real>(&mut self, (p, m): (usize, usize)) -> DMatrix<T> {
        DMatrix::from_fn(p, m, |_, _| self.unit())
    }

    pub fn vector<T: Real>(&mut self, p: usize) -> DVector<T> {
        DVector::from_fn(p, |_, _| self.unit())
    }

    /// `G G^T`
    pub fn positive<T: Real>(&mut self, p: usize) -> DMatrix<T> {
        let g: DMatrix<T> = self.matrix((p, p));
        &g * g.transpose()
    }
}

/// The known energy at `points`, with weights that differ.
pub struct Case<T> {
    pub energy: Known<T>,
    pub mu: EmpiricalMeasure<T>,
    pub points: DMatrix<T>,
    pub anchor: DMatrix<T>,
    pub rate: T,
    pub draw: Draw,
}

impl<T: Real> Case<T> {
    pub fn new(seed: u64, (p, m): (usize, usize)) -> Self {
        let mut draw = Draw(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        draw.unit::<T>();
        let points = draw.matrix((p, m));
        let weights = DVector::from_fn(m, |i, _| real(0.25 + 0.5 * i as f64));
        let energy = Known {
            outer: draw.positive(p),
            own: draw.positive(p),
            cubic: draw.vector(p),
            linear: draw.vector(p),
            silent: false,
        };
        let mu = EmpiricalMeasure::weighted(points.clone(), weights).expect("finite");
        Self {
            energy,
            mu,
            points,
            anchor: draw.matrix((p, m)),
            rate: real(0.75),
            draw,
        }
    }

    pub fn shape(&self) -> (usize, usize) {
        self.points.shape()
    }

    pub fn problem(&mut self) -> Proximal<'_, T> {
        Proximal {
            energy: &mut self.energy,
            mu: &mut self.mu,
            anchor: self.anchor.clone(),
            rate: self.rate,
        }
    }

    /// What is known at the points.
    pub fn start(&mut self) -> Point<T> {
        let zero = DMatrix::zeros(self.points.nrows(), self.points.ncols());
        let (v, velocity, gradient) = (self.points.clone(), zero.clone(), zero);
        let mut x = Point {
            v,
            velocity,
            gradient,
            energy: T::zero(),
            value: T::zero(),
        };
        self.problem().evaluate(&mut x);
        x
    }

    /// The Hessian of `V` at the particle `i`.
    pub fn block(&self, i: usize) -> DMatrix<T> {
        let e = &self.energy.cubic;
        &self.energy.own + e * e.transpose() * e.dot(&self.points.column(i))
    }

    /// The curvature of Gauss and Newton: `A c_j` from j to i.
    pub fn gauss_newton(&self) -> DMatrix<T> {
        let (p, m) = self.shape();
        let mut out = DMatrix::zeros(p * m, p * m);
        for (i, j) in (0..m * m).map(|k| (k / m, k % m)) {
            out.view_mut((i * p, j * p), (p, p))
                .copy_from(&(&self.energy.outer * self.mu.weight(j)));
        }
        out
    }

    /// The Hessian of `F` at the points.
    pub fn hessian(&self) -> DMatrix<T> {
        self.gauss_newton() + blocks((0..self.points.ncols()).map(|i| self.block(i)))
    }

    /// `sum_i c_i <u_i, v_i>`
    pub fn inner(&self, u: &DMatrix<T>, v: &DMatrix<T>) -> T {
        (0..u.ncols()).fold(T::zero(), |sum, i| {
            sum + self.mu.weight(i) * u.column(i).dot(&v.column(i))
        })
    }

    pub fn norm(&self, u: &DMatrix<T>) -> T {
        self.inner(u, u).sqrt()
    }
}

/// The block diagonal matrix of square blocks of one size.
pub fn blocks<T: Real>(blocks: impl IntoIterator<Item = DMatrix<T>>) -> DMatrix<T> {
    let blocks: Vec<DMatrix<T>> = blocks.into_iter().collect();
    let (p, m) = (blocks[0].nrows(), blocks.len());
    let mut out = DMatrix::zeros(p * m, p * m);
    for (i, block) in blocks.iter().enumerate() {
        out.view_mut((i * p, i * p), (p, p)).copy_from(block);
    }
    out
}

/// `M u`, of a field.
pub fn apply<T: Real>(matrix: &DMatrix<T>, u: &DMatrix<T>) -> DMatrix<T> {
    let out = matrix * DVector::from_column_slice(u.as_slice());
    DMatrix::from_column_slice(u.nrows(), u.ncols(), out.as_slice())
}

/// `M^-1 u`, of a field.
pub fn solve<T: Real>(matrix: &DMatrix<T>, u: &DMatrix<T>) -> DMatrix<T> {
    apply(&matrix.clone().try_inverse().expect("regular"), u)
}

pub fn identity<T: Real>(u: &DMatrix<T>) -> DMatrix<T> {
    DMatrix::identity(u.len(), u.len())
}

/// Holds `found` against `wanted`, entry by entry, relative to the largest.
#[track_caller]
pub fn assert_close<T: Real>(found: &DMatrix<T>, wanted: &DMatrix<T>, tolerance: T) {
    let off = (found - wanted).amax();
    assert!(
        off <= tolerance * wanted.amax(),
        "{off} off, {found} instead of {wanted}"
    );
}

/// Holds one number against another.
#[track_caller]
pub fn assert_near<T: Real>(found: T, wanted: T, tolerance: T) {
    assert!(
        (found - wanted).abs() <= tolerance * wanted.abs(),
        "{found} instead of {wanted}"
    );
}
