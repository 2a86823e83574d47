//! The maximum of a concave piecewise linear function over a simplicial cone, by an active-set
//! method for the dual.
//!
//! Source of the scheme: J. Nocedal and S. J. Wright, Numerical optimization, 2006, section 16.5
//! (active sets for convex quadratic programs), with exact searches along piecewise quadratics.

use super::blocks::{SampleColumn, SampleRows};
use super::lanes::{axpy, project, select_positive, sign_changes, weighted_sum};

/// Iterations at most. Usually 3 to 12; the multipliers are a proof after any number.
const ITERATIONS: usize = 64;

/// The step, relative to the largest force, at which b is the minimiser for the active set.
const STEP_TOLERANCE: f64 = 1e-14;

/// The violation of the bounds of a multiplier, relative to the largest force, that is rounding.
const MULTIPLIER_TOLERANCE: f64 = 1e-13;

/// The sine between a normal and the span of the others up to which it is dependent.
const DEPENDENT: f64 = 1e-11;

/// A constraint that holds with equality.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Active {
    /// `b.x_j = 0`: the multiplier is between 0 and `c_j`.
    Sample(usize),
    /// `b.n_i = 0`: the multiplier is at least 0.
    Face(usize),
}

/// `max a.b - sum_j c_j (b.x_j)_+ - |b|^2 / 2` over b with `b.n_i >= 0`, `c_j > 0`.
///
/// Its solution `y = a - sum_j s_j x_j + sum_i r_i n_i`, `0 <= s_j <= c_j`, `r_i >= 0`, is the
/// shortest vector of this form, and `|y|` the maximum of the function without its last term over
/// the vectors of the cone with `|b| <= 1`.
#[derive(Debug, Clone, Default)]
pub(super) struct ConcaveProblem<const D: usize> {
    /// `x_j`.
    pub(super) x: SampleRows<D>,
    /// `c_j`.
    pub(super) c: SampleColumn,
    /// `s_j`, the result.
    pub(super) multipliers: SampleColumn,
    /// `b.x_j`. Its sign bit decides the side of a sample at 0.
    value: SampleColumn,
    /// `d.x_j` for the current step.
    change: SampleColumn,
    candidates: Vec<u32>,
    breakpoints: Vec<(f64, u32)>,
}

pub(super) fn inner<const D: usize>(u: &[f64; D], v: &[f64; D]) -> f64 {
    let mut sum = 0.0;
    for r in 0..D {
        sum += u[r] * v[r];
    }
    sum
}

fn add_scaled<const D: usize>(u: &mut [f64; D], s: f64, v: &[f64; D]) {
    for r in 0..D {
        u[r] += s * v[r];
    }
}

/// The active constraints: at most D of them, with independent normals.
struct ActiveNormals<const D: usize> {
    len: usize,
    list: [Active; D],
    normals: [[f64; D]; D],
    /// An orthonormal basis of the normals, `normals = basis triangle`.
    basis: [[f64; D]; D],
    triangle: [[f64; D]; D],
}

impl<const D: usize> ActiveNormals<D> {
    fn new() -> Self {
        Self {
            len: 0,
            list: [Active::Face(0); D],
            normals: [[0.0; D]; D],
            basis: [[0.0; D]; D],
            triangle: [[0.0; D]; D],
        }
    }

    fn contains(&self, constraint: Active) -> bool {
        self.list[..self.len].contains(&constraint)
    }

    /// Adds a constraint; returns false if its normal depends on the others.
    fn add(&mut self, constraint: Active, normal: [f64; D]) -> bool {
        let p = self.len;
        if p == D {
            return false;
        }
        self.list[p] = constraint;
        self.normals[p] = normal;
        let mut v = normal;
        // Twice, for orthogonality to rounding.
        self.triangle[p] = [0.0; D];
        for _ in 0..2 {
            for q in 0..p {
                let s = inner(&self.basis[q], &v);
                add_scaled(&mut v, -s, &self.basis[q]);
                self.triangle[p][q] += s;
            }
        }
        let length = inner(&v, &v).sqrt();
        if length <= DEPENDENT {
            return false;
        }
        self.triangle[p][p] = length;
        self.basis[p] = v.map(|v| v / length);
        self.len += 1;
        true
    }

    fn remove(&mut self, at: usize) {
        let (list, normals, len) = (self.list, self.normals, self.len);
        self.len = at;
        for p in at + 1..len {
            self.add(list[p], normals[p]);
        }
    }

    /// The part of `force` orthogonal to the normals, and the coefficients of the rest.
    fn project(&self, force: &[f64; D]) -> ([f64; D], [f64; D]) {
        let (mut y, mut s) = (*force, [0.0; D]);
        for _ in 0..2 {
            for q in 0..self.len {
                let t = inner(&self.basis[q], &y);
                add_scaled(&mut y, -t, &self.basis[q]);
                s[q] += t;
            }
        }
        for p in (0..self.len).rev() {
            s[p] /= self.triangle[p][p];
            for q in 0..p {
                s[q] -= self.triangle[p][q] * s[p];
            }
        }
        (y, s)
    }
}

impl<const D: usize> ConcaveProblem<D> {
    pub(super) fn clear(&mut self) {
        self.x.clear();
        self.c.clear();
        self.multipliers.clear();
    }

    pub(super) fn push(&mut self, x: [f64; D], c: f64) {
        self.x.push(x);
        self.c.push(c);
    }

    /// Solves the problem from `start`, which is in the cone: writes the multipliers and returns y.
    ///
    /// `faces` are the unit normals of the faces, or `None` for the whole space. The search ends
    /// early at multipliers that prove the maximum to be at most `cut`.
    pub(super) fn solve(
        &mut self,
        a: &[f64; D],
        faces: Option<&[[f64; D]; D]>,
        start: &[f64; D],
        cut: f64,
    ) -> [f64; D] {
        let mut b = *start;
        self.select_tangent(&b);
        // `a - sum_j s_j x_j` over the samples that are not active.
        let mut force = *a;
        let sum = weighted_sum(&self.x, &self.multipliers);
        for r in 0..D {
            force[r] -= sum[r].value();
        }
        let mut active = ActiveNormals::new();
        let mut iterations = 0;
        let (y, coefficients) = loop {
            iterations += 1;
            let (y, coefficients) = active.project(&force);
            let scale = inner(&force, &force).sqrt();
            let mut worst = (MULTIPLIER_TOLERANCE * scale, None);
            for q in 0..active.len {
                let violation = match active.list[q] {
                    Active::Sample(j) => {
                        f64::max(-coefficients[q], coefficients[q] - self.c.get(j))
                    }
                    Active::Face(_) => coefficients[q],
                };
                if violation > worst.0 {
                    worst = (violation, Some(q));
                }
            }
            if worst.1.is_none() && inner(&y, &y).sqrt() <= cut {
                break (y, coefficients);
            }
            let mut d = y;
            add_scaled(&mut d, -1.0, &b);
            let moved = inner(&d, &d).sqrt() > STEP_TOLERANCE * scale;
            if iterations == ITERATIONS || (!moved && worst.1.is_none()) {
                break (y, coefficients);
            }
            if moved {
                self.step(&mut b, &d, &mut force, &mut active, faces);
            } else if let Some(q) = worst.1 {
                if let Active::Sample(j) = active.list[q] {
                    if coefficients[q] > 0.0 {
                        add_scaled(&mut force, -self.c.get(j), &self.x.row(j));
                        self.value.set(j, 0.0);
                    } else {
                        self.value.set(j, -0.0);
                    }
                }
                active.remove(q);
            }
        };
        select_positive(&self.c, &self.value, &mut self.multipliers);
        for q in 0..active.len {
            if let Active::Sample(j) = active.list[q] {
                let s = coefficients[q].clamp(0.0, self.c.get(j));
                self.multipliers.set(j, s);
            }
        }
        y
    }

    /// Writes the multipliers of the tangent at b: `c_j` if `b.x_j > 0`, else 0.
    pub(super) fn select_tangent(&mut self, b: &[f64; D]) {
        project(&self.x, b, &mut self.value);
        select_positive(&self.c, &self.value, &mut self.multipliers);
    }

    /// The exact search from b along d, the step to the minimiser of the current piece.
    fn step(
        &mut self,
        b: &mut [f64; D],
        d: &[f64; D],
        force: &mut [f64; D],
        active: &mut ActiveNormals<D>,
        faces: Option<&[[f64; D]; D]>,
    ) {
        sign_changes(
            &self.x,
            d,
            &self.value,
            &mut self.change,
            &mut self.candidates,
        );
        for &constraint in &active.list[..active.len] {
            if let Active::Sample(j) = constraint {
                self.change.set(j, 0.0);
            }
        }
        self.breakpoints.clear();
        for &j in &self.candidates {
            let (z, change) = (self.value.get(j as usize), self.change.get(j as usize));
            if change != 0.0 {
                self.breakpoints.push(((-z / change).clamp(0.0, 1.0), j));
            }
        }
        self.breakpoints
            .sort_unstable_by(|(s, i), (t, j)| s.total_cmp(t).then(i.cmp(j)));
        let mut end = (1.0, None);
        for (i, n) in faces.into_iter().flatten().enumerate() {
            let (distance, rate) = (inner(n, b), inner(n, d));
            if rate < 0.0 && !active.contains(Active::Face(i)) {
                let s = (distance / -rate).max(0.0);
                if s < end.0 {
                    end = (s, Some(Active::Face(i)));
                }
            }
        }
        // The derivative along d is `jumps - curvature (1 - s)`.
        let curvature = inner(d, d);
        let mut jumps = 0.0;
        let mut crossed = 0;
        for &(s, j) in &self.breakpoints {
            if s >= end.0 || jumps >= curvature * (1.0 - s) {
                break;
            }
            let j = j as usize;
            jumps += self.c.get(j) * self.change.get(j).abs();
            if jumps >= curvature * (1.0 - s) {
                end = (s, Some(Active::Sample(j)));
                break;
            }
            crossed += 1;
        }
        let flat = 1.0 - jumps / curvature;
        if flat < end.0 && !matches!(end.1, Some(Active::Sample(_))) {
            end = (flat, None);
        }
        add_scaled(b, end.0, d);
        axpy(&mut self.value, end.0, &self.change);
        for &constraint in &active.list[..active.len] {
            if let Active::Sample(j) = constraint {
                self.value.set(j, 0.0);
            }
        }
        // Signs as decided here, whatever the rounding.
        for (i, &(_, j)) in self.breakpoints.iter().enumerate() {
            let j = j as usize;
            let (z, rises) = (self.value.get(j), self.change.get(j) > 0.0);
            let crosses = i < crossed;
            let positive = rises == crosses;
            if z.is_sign_positive() != positive {
                self.value.set(j, if positive { 0.0 } else { -0.0 });
            }
            let pinned = end.1 == Some(Active::Sample(j));
            if crosses {
                let s = if rises { -1.0 } else { 1.0 };
                add_scaled(force, s * self.c.get(j), &self.x.row(j));
            } else if pinned && !rises {
                add_scaled(force, self.c.get(j), &self.x.row(j));
            }
        }
        match end.1 {
            Some(Active::Sample(j)) => {
                if active.add(Active::Sample(j), self.x.row(j)) {
                    self.value.set(j, 0.0);
                } else {
                    self.value.set(j, -0.0);
                }
            }
            Some(Active::Face(i)) => {
                if let Some(faces) = faces {
                    active.add(Active::Face(i), faces[i]);
                }
            }
            None => {}
        }
    }
}
