//! A custom loss: value, derivative, and a check of the targets.
//!
//! Poisson regression: counts y with a rate that depends on x, and the loss `exp(h) - y h`, whose
//! expectation is minimal at the logarithm of the rate. With `--features plot` the example draws
//! `target/custom_loss.svg`.

use std::error::Error;

use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;

/// The Poisson loss `l(y, h) = exp(h) - y h` of a count y: the negative log-likelihood of the rate
/// `exp(h)`, up to a constant.
#[derive(Debug, Clone, Copy)]
struct Poisson;

impl<T: Real> Loss<T> for Poisson {
    fn value(&self, y: T, h: T) -> T {
        h.exp() - y * h
    }
    fn derivative(&self, y: T, h: T) -> T {
        h.exp() - y
    }
    fn check_target(&self, y: T) -> Result<(), &'static str> {
        if y >= T::zero() && y.fract() == T::zero() {
            Ok(())
        } else {
            Err("a count 0, 1, 2, ..")
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    // A Poisson count is the number of arrivals in a unit of time, with exponential waiting times
    // between them.
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let rate = |x: f64| (1.5 * x.abs()).exp();
    let n = 2000;
    let x = DMatrix::from_fn(1, n, |_, _| rng.random_range(-1.0..1.0));
    let y = DVector::from_fn(n, |j, _| {
        let waits = (0..).scan(0.0, |t, _| {
            Some((*t -= (1.0 - rng.random::<f64>()).ln() / rate(x[j]), *t).1)
        });
        waits.take_while(|&t| t < 1.0).count() as f64
    });
    let error = EmpiricalRisk::new(Poisson, x.clone(), y.map(|y| y - 0.5)).err();
    let error = error.ok_or("a target that is not an integer was accepted")?;
    println!("invalid target: {error}");

    let risk = EmpiricalRisk::new(Poisson, with_bias(x.clone()), y.clone())?;
    let mut flow = ParticleFlow::new(MeanFieldRisk::new(Ridge::new(Relu, 2), risk)?, Euler, 0.1)?;
    let mut state = flow.start(init::balanced(2, 20, 1.0, &mut rng)?)?;
    flow.run_until(&mut state, 50.0, &mut ())?;

    let at = [-1.0, -0.5, 0.0, 0.5, 1.0];
    let inputs = Inputs::new(with_bias(DMatrix::from_row_slice(1, 5, &at)))?;
    let h = predict(flow.energy().features(), state.measure(), &inputs)?;
    println!("    x  rate  prediction");
    for (x, h) in at.into_iter().zip(h.iter()) {
        println!("{x:>5.1}  {:>4.1}  {:>10.2}", rate(x), h.exp());
        assert!((h.exp() / rate(x)).ln().abs() < 0.2);
    }

    #[cfg(feature = "plot")]
    {
        use wasserflow::plot::{BLUE, Figure, GREY, Style, VERMILION};
        let grid = DMatrix::from_fn(1, 101, |_, j| j as f64 / 50.0 - 1.0);
        let h = predict(
            flow.energy().features(),
            state.measure(),
            &Inputs::new(with_bias(grid.clone()))?,
        )?;
        let counts = x.iter().zip(&y).take(500).map(|(&x, &y)| [x, y]);
        let fit = grid.iter().zip(&h).map(|(&x, h)| [x, h.exp()]);
        std::fs::create_dir_all("target")?;
        Figure::new()
            .points(
                counts,
                Style::new(GREY)
                    .radius(2.0)
                    .opacity(0.4)
                    .label("500 of the counts"),
            )
            .line(
                grid.iter().map(|&x| [x, rate(x)]),
                Style::new(VERMILION).dashed().label("rate"),
            )
            .line(fit, Style::new(BLUE).label("network"))
            .x_label("x")
            .y_label("count")
            .title("Poisson regression")
            .save("target/custom_loss.svg")?;
        println!("Figure: target/custom_loss.svg");
    }
    Ok(())
}
