//! Diagnosis of breast cancer from 30 measurements of cell nuclei, by trained features, fixed
//! features and logistic regression: from a table to test accuracies over ten stratified splits.
//!
//! ```sh
//! cargo run --release --features csv --example classify
//! ```
//!
//! `--smoke` takes one split.

use std::{env, error::Error, ops::Range};

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;

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
    let table = data::read_csv(&include_bytes!("../data/wdbc.csv")[..])?;
    let (x, y) = (table.numbers_except(&["benign"])?, table.labels("benign")?);
    let d = x.nrows() + 1; // the bias
    let smoke = env::args().any(|argument| argument == "--smoke");
    let splits = if smoke { 1 } else { 10 };
    let mut accuracies = [(); 3].map(|()| DVector::zeros(splits));
    for s in 0..splits {
        let data = (&x, &y, &Split::stratified(&y, 0.2, s as u64)?);
        let neurons = init::balanced(d, 20, 1.0, &mut ChaCha8Rng::seed_from_u64(s as u64))?;
        let mut one = DMatrix::zeros(1 + d, 1);
        one[0] = 1.0; // h(x) = a b.x with a = 1
        let one = EmpiricalMeasure::uniform(one)?;
        accuracies[0][s] = accuracy(Relu, (neurons.clone(), 0..0), data)?;
        accuracies[1][s] = accuracy(Relu, (neurons, 1..1 + d), data)?;
        accuracies[2][s] = accuracy(Identity, (one, 0..1), data)?;
    }
    println!("test accuracy, mean and standard deviation over {splits} stratified splits:");
    for (model, a) in ["trained", "fixed", "linear"].iter().zip(accuracies) {
        println!("{model:<8} {:.3} +- {:.3}", a.mean(), a.variance().sqrt());
    }
    Ok(())
}
