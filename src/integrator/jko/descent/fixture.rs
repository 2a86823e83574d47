//! Energies of particles that do not know of one another, and a descent among them, for the tests of the parts of a descent.

use nalgebra::DMatrix;

use super::super::proximal::{Point, Proximal};
use super::super::scratch::Scratch;
use super::super::search::Search;
use super::{Damping, Descent, Kinks};
use crate::energy::Energy;
use crate::measure::EmpiricalMeasure;

/// `V_i(w)`, which writes its gradient.
pub type Potential = Box<dyn Fn(usize, &[f64], &mut [f64]) -> f64>;

/// `F(mu) = int V_i dmu`, rounded to a multiple of the quantum where there is one; the gradients are exact.
pub struct Own {
    pub dim: usize,
    pub potential: Potential,
    pub quantum: f64,
    /// Velocities that were asked for.
    pub calls: usize,
}

impl Energy<f64> for Own {
    fn particle_dim(&self) -> usize {
        self.dim
    }

    fn value(&mut self, mu: &EmpiricalMeasure<f64>) -> f64 {
        let mut out = DMatrix::zeros(self.dim, mu.weights().len());
        self.velocity(mu, &mut out)
    }

    fn velocity(&mut self, mu: &EmpiricalMeasure<f64>, out: &mut DMatrix<f64>) -> f64 {
        self.calls += 1;
        let mut sum = 0.0;
        for (i, (mut out, w)) in out
            .column_iter_mut()
            .zip(mu.points().column_iter())
            .enumerate()
        {
            sum += mu.weight(i) * (self.potential)(i, w.as_slice(), out.as_mut_slice());
            out.neg_mut();
        }
        if self.quantum > 0.0 {
            (sum / self.quantum).round() * self.quantum
        } else {
            sum
        }
    }
}

/// Such an energy at points, from where it is free to move: `1 / gamma = 0` at first.
pub struct Bench {
    pub energy: Own,
    pub mu: EmpiricalMeasure<f64>,
    pub points: DMatrix<f64>,
    pub rate: f64,
}

impl Bench {
    pub fn new(
        weights: &[f64],
        points: &[f64],
        potential: impl Fn(usize, &[f64], &mut [f64]) -> f64 + 'static,
    ) -> Self {
        let points =
            DMatrix::from_column_slice(points.len() / weights.len(), weights.len(), points);
        let mu =
            EmpiricalMeasure::weighted(points.clone(), weights.to_vec().into()).expect("finite");
        let energy = Own {
            dim: points.nrows(),
            potential: Box::new(potential),
            quantum: 0.0,
            calls: 0,
        };
        Self {
            energy,
            mu,
            points,
            rate: 0.0,
        }
    }

    /// One particle of weight 1/2 on the line.
    pub fn line(from: f64, potential: impl Fn(f64) -> (f64, f64) + 'static) -> Self {
        Self::new(&[0.5], &[from], move |_, w, out| {
            let value;
            (value, out[0]) = potential(w[0]);
            value
        })
    }

    pub fn problem(&mut self) -> Proximal<'_, f64> {
        Proximal {
            energy: &mut self.energy,
            mu: &mut self.mu,
            anchor: self.points.clone(),
            rate: self.rate,
        }
    }

    /// What is known at `v`.
    pub fn at(&mut self, v: &DMatrix<f64>) -> Point<f64> {
        let [v, velocity, gradient] = [v, v, v].map(Clone::clone);
        let mut x = Point {
            v,
            velocity,
            gradient,
            energy: 0.0,
            value: 0.0,
        };
        self.problem().evaluate(&mut x);
        x
    }

    pub fn start(&mut self) -> Point<f64> {
        let v = self.points.clone();
        self.at(&v)
    }

    pub fn inner(&mut self, u: &DMatrix<f64>, v: &DMatrix<f64>) -> f64 {
        self.problem().inner(u, v)
    }

    /// A descent at `x` that has turned to `d`.
    pub fn descent(&mut self, x: &Point<f64>, d: &[f64], radius: f64) -> Descent<f64> {
        let (p, m) = x.v.shape();
        let mut descent = Descent {
            kinks: Kinks::new(m, radius),
            damping: Damping {
                value: 1.0,
                typical: 1.0,
            },
            exact: true,
            smooth: false,
            noise: 0.0,
            gain: 0.0,
            lessons: 0,
            forcing: 1e-8,
            evaluations: 0,
            products: 0,
            start: x.value,
            z: x.gradient.clone(),
            d: DMatrix::from_column_slice(p, m, d),
        };
        descent.kinks.shortest(x, &mut descent.z);
        descent
    }

    /// `<z, d>`
    pub fn slope(&mut self, descent: &Descent<f64>) -> f64 {
        self.inner(&descent.z, &descent.d)
    }

    /// Searches along `d`; every evaluation must be counted, and every field be given back.
    pub fn search(&mut self, descent: &mut Descent<f64>, x: &mut Point<f64>) -> Search {
        let (slope, residual) = (
            self.slope(descent),
            self.inner(&descent.z, &descent.z).sqrt(),
        );
        let mut scratch = Scratch::new(x.v.shape(), vec![x.v.clone()]);
        let (mut y, before) = (copy(x), self.energy.calls - descent.evaluations);
        let outcome = descent.search(
            &mut self.problem(),
            x,
            &mut y,
            slope,
            residual,
            &mut scratch,
        );
        assert_eq!(self.energy.calls - before, descent.evaluations);
        assert_eq!(scratch.into_fields().len(), 1);
        let found = self.at(&x.v);
        assert_eq!(
            (found.value, &found.gradient, &found.velocity),
            (x.value, &x.gradient, &x.velocity)
        );
        self.energy.calls -= 1;
        outcome
    }
}

pub fn copy(x: &Point<f64>) -> Point<f64> {
    Point {
        v: x.v.clone(),
        velocity: x.velocity.clone(),
        gradient: x.gradient.clone(),
        ..*x
    }
}
