//! The inner product and the Gauss-Newton curvature of an energy.

use nalgebra::DMatrix;

use crate::energy::Energy;
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, epsilon, to_f64};
use crate::testing::case::CaseRng;
use crate::testing::evaluation::nan_matrix;
use crate::testing::rounding::{Computed, rounding};
use crate::testing::violation::{Violation, within};

/// Checks `inner`, and the symmetry and positivity of `curvature`.
pub(super) fn check<T: Real>(
    energy: &mut dyn Energy<T>,
    mu: &EmpiricalMeasure<T>,
    rng: &mut CaseRng,
    at: impl Fn() -> String,
) -> Result<(), Violation> {
    let (p, m) = mu.points().shape();
    let mut field = || DMatrix::<T>::from_vec(p, m, rng.direction(p * m));
    let (u, v) = (field(), field());
    let law = "inner(u, v) = sum_i c_i <u_i, v_i>";
    let expected = inner(mu, &u, &v);
    let error = (to_f64(energy.inner(mu, &u, &v)) - expected.value).abs();
    within(law, error, rounding::<T>() * expected.scale, &at)?;

    let mut curvature = |u: &DMatrix<T>| {
        let mut out = nan_matrix(p, m);
        energy.curvature(mu, u, &mut out).map(|()| out)
    };
    let (Some(cu), Some(cv)) = (curvature(&u), curvature(&v)) else {
        return Ok(());
    };
    let (cu_v, cv_u, cu_u) = (inner(mu, &cu, &v), inner(mu, &cv, &u), inner(mu, &cu, &u));
    // A bound on the terms of an inner product. It also covers sums inside the curvature.
    let bound =
        |c: &DMatrix<T>, u: &DMatrix<T>| to_f64(c.amax()) * to_f64(u.amax()) * (p * m) as f64;
    // A curvature by finite differences has an error of the order eps^(2/3).
    let differences = 100.0 * to_f64(epsilon::<T>()).powf(2.0 / 3.0);
    let mass = to_f64(mu.mass());

    let law = "<C u, v> = <u, C v> in L2(mu)";
    let tolerance = rounding::<T>() * (cu_v.scale + cv_u.scale)
        + differences * (bound(&cu, &v) + bound(&cv, &u)) * mass;
    within(law, (cu_v.value - cv_u.value).abs(), tolerance, &at)?;
    let tolerance = differences * (cu_u.scale + bound(&cu, &u) * mass);
    within("<C u, u> >= 0 in L2(mu)", -cu_u.value, tolerance, &at)
}

/// `sum_i c_i <u_i, v_i>`.
fn inner<T: Real>(mu: &EmpiricalMeasure<T>, u: &DMatrix<T>, v: &DMatrix<T>) -> Computed {
    let mut sum = Computed::default();
    for (i, &c) in mu.weights().iter().enumerate() {
        for (&u, &v) in u.column(i).iter().zip(v.column(i).iter()) {
            let term = to_f64(c) * to_f64(u) * to_f64(v);
            sum.add(term, term.abs());
        }
    }
    sum
}
