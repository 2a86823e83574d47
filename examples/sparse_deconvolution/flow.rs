//! The integrator of the published experiment, as one's own: forward in the risk, backward in the price of mass.

use wasserflow::prelude::*;

/// Forward-backward steps for particles `(a, t)` of the price `lambda |a|`, halved until F does not rise.
///
/// `z = w - dt grad R'`, then `a = sign(z) (|z| - dt lambda)_+`: a particle at `a = 0` stays there while `|eta| <= lambda`.
#[derive(Debug, Clone, Copy)]
pub struct ForwardBackward {
    pub lambda: f64,
    /// The longest step.
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
        const HALVINGS: usize = 50;
        state.evaluate(energy);
        let (before, w, v) = (
            state.energy(),
            state.measure().points().clone(),
            state.velocity().clone(),
        );
        let mut taken = dt;
        for _ in 0..HALVINGS {
            let price = self.lambda * taken;
            let points = state.measure_mut().points_mut().chunks_exact_mut(2);
            for (out, (w, v)) in points.zip(
                w.as_slice()
                    .chunks_exact(2)
                    .zip(v.as_slice().chunks_exact(2)),
            ) {
                // The velocity of the risk alone: that of F has the slope of the price in it, 0 at a = 0.
                let slope = if w[0] == 0.0 {
                    0.0
                } else {
                    self.lambda * w[0].signum()
                };
                let z = w[0] + taken * (v[0] + slope);
                out[0] = z.signum() * (z.abs() - price).max(0.0);
                out[1] = w[1] + taken * v[1];
            }
            state.evaluate(energy);
            if state.energy() <= before * (1.0 + 1e-12) {
                return Ok(Step {
                    taken,
                    next: Some((1.25 * taken).min(self.longest)),
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
