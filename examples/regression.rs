//! Fuel consumption of cars, in miles per gallon: a regression with standardised targets and a
//! category, stopped by a validation part, on ten random splits.
//! `--json` prints one line of JSON, `--smoke` takes one split.
//!
//! ```sh
//! cargo run --release --features csv,plot --example regression
//! ```

use std::error::Error;

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use wasserflow::nalgebra::DMatrix;
use wasserflow::observe::UntilValidation;
use wasserflow::prelude::*;

#[path = "common/scores.rs"]
mod scores;

/// `R^2` on the test part, of the measure with the least validation error along the flow.
fn r_squared(x: &DMatrix<f64>, y: &DMatrix<f64>, seed: u64) -> Result<f64, Box<dyn Error>> {
    let split = Split::random(x.ncols(), 0.2, seed)?;
    let ([x, x_test], [y, y_test]) = (split.columns(x)?, split.columns(y)?);
    let split = Split::random(x.ncols(), 0.2, seed)?;
    let ([x, x_valid], [y, y_valid]) = (split.columns(&x)?, split.columns(&y)?);
    let (scale, target_scale) = (Standardizer::fit(&x)?, Standardizer::fit(&y)?);
    let x = with_bias(scale.transform(&x)?);
    let risk = EmpiricalRisk::with_outputs(Square, x, target_scale.transform(&y)?)?;
    let map = Ridge::new(Relu, risk.inputs().dim());
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let start = init::balanced(map.input_dim(), 100, 1.0, rng)?;
    let mut network = Network::new(&map, start.clone())?
        .with_bias()?
        .with_input_scale(scale)?
        .with_target_scale(target_scale)?;
    let energy = MeanFieldRisk::new(&map, risk)?.regularized(WeightDecay::new(1e-3)?);
    let mut flow = ParticleFlow::new(energy, Euler, 0.1)?;
    let mut stop = UntilValidation::new(1, 200, |mu: &EmpiricalMeasure<f64>| {
        let set = network.set_measure(mu.clone());
        let error = set.and_then(|()| network.mean_squared_error(&x_valid, &y_valid));
        error.unwrap_or(f64::NAN) // not better
    });
    let mut state = flow.start(start)?;
    flow.run(&mut state, 10_000, &mut stop)?;
    let best = stop.into_best();
    network.set_measure(best.ok_or("no validation error is a number")?)?;
    Ok(network.r_squared(&x_test, &y_test)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = scores::Options::read();
    let table = data::read_csv(&include_bytes!("../data/auto_mpg.csv")[..])?;
    let (y, origin) = (table.numbers(&["mpg"])?, table.labels("origin")?.one_hot()?);
    let numbers = table.numbers_except(&["mpg", "origin", "name"])?;
    let mut x = numbers.insert_rows(6, 3, 0.0); // for the three origins
    x.rows_mut(6, 3).copy_from(&origin);
    let scores = (0..options.splits as u64).map(|seed| r_squared(&x, &y, seed));
    options.report("R^2", [("trained", scores.collect::<Result<_, _>>()?)])
}
