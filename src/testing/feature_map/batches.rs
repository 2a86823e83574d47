//! The batch methods of a feature map against sums over particles and samples.

use super::batch::{Batch, Velocity};
use super::reference::{ParticleSums, SampleSums};
use crate::feature::FeatureMap;
use crate::numeric::vector::columns;
use crate::real::{Real, to_f64};
use crate::testing::case::Case;
use crate::testing::evaluation::confirm_nearby;
use crate::testing::rounding::{Computed, rounding};
use crate::testing::violation::{Violation, require, within};

/// Checks the batch methods against sums over particles and samples, computed in `f64` from
/// `add_value` and `add_vjp`.
///
/// - `predict`: `h(x_j) = sum_i c_i Phi(w_i)(x_j)`;
/// - `velocity`: `v_i = -sum_j DPhi(w_i)(x_j)^T g_j`, with the gradient evaluated at these
///   predictions, once for every sample, and the value of the risk returned; for a separable risk
///   the gradient is evaluated by ranges of samples, in order;
/// - `variation`: `sum_j <g_j, Phi(w)(x_j)>` and its descent direction, at any points;
/// - `jvp`: `u(x_j) = sum_i c_i DPhi(w_i)(x_j) v_i`.
///
/// The tolerance is `1e3 eps` times the sum of the absolute values of the terms. Outputs and the
/// workspace contain NaN before the calls. A failure must be confirmed at particles and points
/// nearby: a map may use either one-sided derivative at a kink that rounding can cross.
///
/// # Errors
/// The first law that fails.
///
/// # Panics
/// If a size of the case or of the map is 0.
pub fn check_batches<T: Real>(phi: &dyn FeatureMap<T>, case: Case) -> Result<(), Violation> {
    case.assert_sizes();
    let batch = Batch::new(phi, case);
    confirm_nearby(&batch.mu, &mut case.rng(16), |mu| {
        check(phi, &batch.moved_to(mu), case)
    })
}

fn check<T: Real>(phi: &dyn FeatureMap<T>, batch: &Batch<T>, case: Case) -> Result<(), Violation> {
    let p = phi.particle_dim();
    let at = || format!("{case:?}");
    let close = |law, found: &[T], expected: &[Computed]| {
        for (i, (&found, sum)) in found.iter().zip(expected).enumerate() {
            let error = (to_f64(found) - sum.value).abs();
            let at = || format!("entry {i}, {case:?}");
            within(law, error, rounding::<T>() * sum.scale, at)?;
        }
        Ok(())
    };
    let sums = ParticleSums::new(phi, batch);
    let h = batch.predict(phi);
    close("h(x_j) = sum_i c_i Phi(w_i)(x_j)", h.as_slice(), &sums.h)?;
    let u = batch.jvp(phi);
    close(
        "u(x_j) = sum_i c_i DPhi(w_i)(x_j) v_i",
        u.as_slice(),
        &sums.u,
    )?;

    for separable in [false, true] {
        let Velocity {
            value,
            h,
            v,
            calls,
            in_order,
        } = batch.velocity(phi, separable);
        let law = "velocity evaluates the gradient of the risk once, unless it is separable";
        require(
            law,
            separable || calls == 1,
            || format!("{calls} evaluations"),
            at,
        )?;
        let law = "velocity evaluates the gradient of the risk once for every sample, in order";
        let found = || "ranges that overlap or leave gaps".to_owned();
        require(law, in_order, found, at)?;
        let law = "velocity evaluates the gradient of the risk at the predictions";
        close(law, h.as_slice(), &sums.h)?;
        let risk = Computed::sum(h.iter().zip(&batch.g).map(|(&h, &g)| to_f64(h) * to_f64(g)));
        let error = (to_f64(value) - risk.value).abs();
        let law = "velocity returns R(h)";
        within(law, error, rounding::<T>() * risk.scale, at)?;
        for (i, v) in columns(v.as_slice(), p).enumerate() {
            let sums = SampleSums::new(phi, batch.mu.particle(i), &batch.x, &batch.g);
            close("v_i = -sum_j DPhi(w_i)(x_j)^T g_j", v, &sums.descent)?;
        }
    }
    let (values, descent) = batch.variation(phi);
    let points = columns(batch.at.as_slice(), p);
    for ((w, descent), value) in points.zip(columns(descent.as_slice(), p)).zip(values) {
        let sums = SampleSums::new(phi, w, &batch.x, &batch.g);
        close("F'(w) = sum_j <g_j, Phi(w)(x_j)>", &[value], &[sums.value])?;
        close(
            "-grad F'(w) = -sum_j DPhi(w)(x_j)^T g_j",
            descent,
            &sums.descent,
        )?;
    }
    Ok(())
}
