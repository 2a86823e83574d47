//! A custom integrator: the forward-backward splitting of the published experiment.

use wasserflow::prelude::*;

/// Forward-backward steps for particles `(a, t)` with the penalty `lambda |a|`, halved until F does
/// not increase.
///
/// An explicit step in the risk, `z = w - dt grad R'`, and the proximal operator of the penalty,
/// which is soft-thresholding: `a = sign(z) (|z| - dt lambda)_+`. A particle with `a = 0` stays
/// there while `|eta| <= lambda`.
#[derive(Debug, Clone, Copy)]
pub struct ForwardBackward {
    pub lambda: f64,
    /// The largest step.
    pub longest: f64,
}

impl Integrator<f64> for ForwardBackward {
    fn order(&self) -> u32 {
        1
    }

    fn step(
        &mut self,
        energy: &mut dyn Energy<f64>,
        state: &mut State<f64>,
        dt: f64,
    ) -> Result<Step<f64>, StepError> {
        /// 2^-50 of a step is below the rounding of the positions.
        const HALVINGS: usize = 50;
        /// The relative increase of F that is attributed to rounding.
        const ROUNDING: f64 = 1e-12;
        /// Growth of the step after an accepted one.
        const GROWTH: f64 = 1.25;
        state.evaluate(energy);
        let before = state.energy();
        let (w, v) = (state.measure().points().clone(), state.velocity().clone());
        let mut taken = dt;
        for _ in 0..HALVINGS {
            let threshold = self.lambda * taken;
            let points = state.measure_mut().points_mut().chunks_exact_mut(2);
            let old = w
                .as_slice()
                .chunks_exact(2)
                .zip(v.as_slice().chunks_exact(2));
            for (out, (w, v)) in points.zip(old) {
                // The velocity of F includes the derivative of the penalty (0 at a = 0), which is
                // removed.
                let derivative = if w[0] == 0.0 {
                    0.0
                } else {
                    self.lambda * w[0].signum()
                };
                let z = w[0] + taken * (v[0] + derivative);
                out[0] = z.signum() * (z.abs() - threshold).max(0.0);
                out[1] = w[1] + taken * v[1];
            }
            state.evaluate(energy);
            if state.energy() <= before * (1.0 + ROUNDING) {
                return Ok(Step {
                    taken,
                    next: Some((GROWTH * taken).min(self.longest)),
                });
            }
            taken *= 0.5;
        }
        Err(StepError::Inner {
            iterations: HALVINGS,
            residual: state.energy() - before,
        })
    }
}
