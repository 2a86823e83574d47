//! Diagnosis of breast cancer from 30 measurements of cell nuclei, by trained features, fixed
//! features and logistic regression: from a table to test accuracies over ten stratified splits.
//! `--json` prints one line of JSON, `--smoke` takes one split.
//!
//! ```sh
//! cargo run --release --features csv,plot --example classify
//! ```

use std::{error::Error, ops::Range};

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use wasserflow::nalgebra::DMatrix;
use wasserflow::prelude::*;

#[path = "common/scores.rs"]
mod scores;

/// The test accuracy of the measure after 400 Euler steps of 0.1 from `start`, in which the `frozen`
/// coordinates of the neurons keep their values.
fn accuracy<A: Activation<f64>>(
    sigma: A,
    (start, frozen): (EmpiricalMeasure<f64>, Range<usize>),
    (x, y, split): (&DMatrix<f64>, &Labels, &Split),
) -> Result<f64, Box<dyn Error>> {
    let ([x_train, x_test], [y_train, y_test]) = (split.columns(x)?, split.labels(y)?);
    let scale = Standardizer::fit(&x_train)?; // of the training part only
    let inputs = with_bias(scale.transform(&x_train)?);
    let map = Ridge::new(sigma, inputs.nrows());
    let risk = EmpiricalRisk::new(Logistic, inputs, y_train.signs()?)?;
    let energy = MeanFieldRisk::new(&map, risk)?.regularized(WeightDecay::new(1e-3)?);
    let mut flow = ParticleFlow::new(Frozen::new(energy, frozen)?, Euler, 0.1)?;
    let mut state = flow.start(start)?;
    flow.run(&mut state, 400, &mut ())?;
    let network = Network::new(&map, state.into_measure())?.with_bias()?;
    let network = network.with_input_scale(scale)?.with_classes(y.classes())?;
    Ok(network.accuracy(&x_test, &y_test)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = scores::Options::read();
    let table = data::read_csv(&include_bytes!("../data/wdbc.csv")[..])?;
    let (x, y) = (table.numbers_except(&["benign"])?, table.labels("benign")?);
    let d = x.nrows() + 1; // the bias
    let mut models = ["trained", "fixed", "linear"].map(|model| (model, Vec::new()));
    for seed in 0..options.splits as u64 {
        let data = (&x, &y, &Split::stratified(&y, 0.2, seed)?);
        let neurons = init::balanced(d, 20, 1.0, &mut ChaCha8Rng::seed_from_u64(seed))?;
        let mut one = DMatrix::zeros(1 + d, 1);
        one[0] = 1.0; // h(x) = a b.x with a = 1
        let one = EmpiricalMeasure::uniform(one)?;
        let trained = accuracy(Relu, (neurons.clone(), 0..0), data)?;
        let fixed = accuracy(Relu, (neurons, 1..1 + d), data)?;
        let linear = accuracy(Identity, (one, 0..1), data)?;
        let scores = models.iter_mut().zip([trained, fixed, linear]);
        scores.for_each(|(model, score)| model.1.push(score));
    }
    options.report("accuracy", models)
}
