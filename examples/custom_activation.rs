//! A custom activation: an implementation of two methods, accepted by every feature map, risk and
//! integrator.
//!
//! Gaussian ridges `a exp(-(b.x)^2 / 2)` learn the sine on the line. The loops over the samples are
//! compiled for this activation by monomorphisation. With `--features plot` the example draws
//! `target/custom_activation.svg`.

use std::error::Error;
use std::f64::consts::PI;

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::observe::{Trace, UntilTarget};
use wasserflow::prelude::*;

/// `sigma(u) = exp(-u^2 / 2)`, `sigma'(u) = -u sigma(u)`.
#[derive(Debug, Clone, Copy)]
struct Gauss;

impl<T: Real> Activation<T> for Gauss {
    #[inline]
    fn value(&self, u: T) -> T {
        (u * u * real(-0.5)).exp()
    }
    #[inline]
    fn derivative(&self, u: T) -> T {
        -u * self.value(u)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let n = 50;
    let x = DMatrix::from_fn(1, n, |_, j| PI * (2.0 * j as f64 / (n - 1) as f64 - 1.0)); // from -pi to pi
    let y = DVector::from_fn(n, |j, _| x[j].sin());
    let risk = EmpiricalRisk::new(Square, with_bias(x.clone()), y.clone())?;
    let energy = MeanFieldRisk::new(Ridge::new(Gauss, 2), risk)?;

    let mut flow = ParticleFlow::new(energy, Euler, 0.1)?;
    let start = init::gaussian(3, 50, 1.0, &mut ChaCha8Rng::seed_from_u64(0))?;
    let mut state = flow.start(start)?;
    println!("sin x by 50 neurons a exp(-(b.x)^2 / 2), F is half the mean square error");
    println!("t = {:>6.1}  F = {:.1e}", state.time(), state.energy());
    let mut trace = Trace::new();
    let mut observers = (UntilTarget::new(1e-3)?, &mut trace);
    let reason = flow.run_until(&mut state, 1000.0, &mut observers)?;
    println!(
        "t = {:>6.1}  F = {:.1e}  stopped by: {reason:?}",
        state.time(),
        state.energy()
    );
    assert!(reason.converged());

    #[cfg(feature = "plot")]
    {
        use wasserflow::plot::{self, BLUE, Figure, GREY, Style};
        let h = predict(
            flow.energy().features(),
            state.measure(),
            &Inputs::new(with_bias(x.clone()))?,
        )?;
        let curve = |h: &[f64]| Vec::from_iter(x.iter().zip(h).map(|(&x, &h)| [x, h]));
        std::fs::create_dir_all("target")?;
        Figure::new()
            .points(
                curve(y.as_slice()),
                Style::new(GREY).hollow().label("samples of sin x"),
            )
            .line(curve(h.as_slice()), Style::new(BLUE).label("network"))
            .x_label("x")
            .title("50 Gaussian ridges")
            .beside(plot::energy(&trace).log_y().title("Energy"))
            .save("target/custom_activation.svg")?;
        println!("Figure: target/custom_activation.svg");
    }
    Ok(())
}
