//! The inner product and the curvature of an energy.

use nalgebra::DMatrix;

use super::super::case::Draws;
use super::super::slope::rounding;
use super::super::violation::{Violation, within};
use crate::energy::Energy;
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, real, to_f64};

/// `sum_i c_i <u_i, v_i>`, and the sum of the absolute values of its terms.
fn inner<T: Real>(mu: &EmpiricalMeasure<T>, u: &DMatrix<T>, v: &DMatrix<T>) -> (f64, f64) {
    let (mut sum, mut scale) = (0.0, 0.0);
    for (i, &c) in mu.weights().iter().enumerate() {
        for (&u, &v) in u.column(i).iter().zip(v.column(i).iter()) {
            let term = to_f64(c) * to_f64(u) * to_f64(v);
            sum += term;
            scale += term.abs();
        }
    }
    (sum, scale)
}

pub(super) fn check<T: Real>(
    energy: &mut dyn Energy<T>,
    mu: &EmpiricalMeasure<T>,
    draws: &mut Draws,
    at: impl Fn() -> String,
) -> Result<(), Violation> {
    let (p, m) = mu.points().shape();
    let mut field = || DMatrix::<T>::from_vec(p, m, draws.direction(p * m));
    let (u, v) = (field(), field());
    let (sum, scale) = inner(mu, &u, &v);
    let error = (to_f64(energy.inner(mu, &u, &v)) - sum).abs();
    within(
        "inner(u, v) = sum_i c_i <u_i, v_i>",
        error,
        rounding::<T>() * scale,
        &at,
    )?;

    let mut curved = |u: &DMatrix<T>| {
        let mut out = DMatrix::from_element(p, m, real(f64::NAN));
        energy.curvature(mu, u, &mut out).map(|()| out)
    };
    let (Some(cu), Some(cv)) = (curved(&u), curved(&v)) else {
        return Ok(());
    };
    let ((uv, scale_uv), (vu, scale_vu), (uu, scale_uu)) =
        (inner(mu, &cu, &v), inner(mu, &cv, &u), inner(mu, &cu, &u));
    // The factors of |u| and |v| in the sums inside; a curvature by differences knows eps^(2/3).
    let size =
        |c: &DMatrix<T>, u: &DMatrix<T>| to_f64(c.amax()) * to_f64(u.amax()) * (p * m) as f64;
    let by_differences = 100.0 * to_f64(crate::real::epsilon::<T>()).powf(2.0 / 3.0);
    let tolerance = rounding::<T>() * (scale_uv + scale_vu)
        + by_differences * (size(&cu, &v) + size(&cv, &u)) * to_f64(mu.mass());
    within(
        "<C u, v> = <u, C v> in L2(mu)",
        (uv - vu).abs(),
        tolerance,
        &at,
    )?;
    within(
        "<C u, u> >= 0 in L2(mu)",
        -uu,
        by_differences * (scale_uu + size(&cu, &u) * to_f64(mu.mass())),
        &at,
    )
}
