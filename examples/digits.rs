//! Recognition of handwritten digits, 8 x 8 pixels: a network of 10 outputs trained by the softmax
//! cross-entropy, on ten stratified splits.
//!
//! ```sh
//! cargo run --release --features csv --example digits
//! ```
//!
//! `--smoke` takes one split and few steps.

use std::{env, error::Error};

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use wasserflow::nalgebra::DVector;
use wasserflow::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let table = data::read_csv(&include_bytes!("../data/digits.csv")[..])?;
    let (x, y) = (
        table.numbers_except::<f64>(&["digit"])?,
        table.labels("digit")?,
    );
    let smoke = env::args().any(|argument| argument == "--smoke");
    let (splits, steps) = if smoke { (1, 20) } else { (10, 300) };
    let mut accuracies = DVector::zeros(splits);
    for s in 0..splits {
        let split = Split::stratified(&y, 0.2, s as u64)?;
        let ([x_train, x_test], [y_train, y_test]) = (split.columns(&x)?, split.labels(&y)?);
        let scale = Standardizer::fit(&x_train)?; // of the training part only
        let inputs = with_bias(scale.transform(&x_train)?);
        let (d, k) = (inputs.nrows(), y.classes().len());
        let risk = SoftmaxCrossEntropy::new(inputs, y_train.indices().to_vec(), k)?;

        let map = Ridge::with_outputs(Relu, d, k);
        let energy = MeanFieldRisk::new(&map, risk)?.regularized(WeightDecay::new(1e-3)?);
        let mut rng = ChaCha8Rng::seed_from_u64(s as u64);
        let mut flow = ParticleFlow::new(energy, Euler, 1.0)?;
        let mut state = flow.start(init::balanced_outputs(k, d, 100, 1.0, &mut rng)?)?;
        flow.run(&mut state, steps, &mut ())?;

        let network = Network::new(&map, state.into_measure())?.with_bias()?;
        let network = network.with_input_scale(scale)?.with_classes(y.classes())?;
        accuracies[s] = network.accuracy(&x_test, &y_test)?;
    }
    let (mean, deviation) = (accuracies.mean(), accuracies.variance().sqrt());
    println!("test accuracy over {splits} stratified splits: {mean:.3} +- {deviation:.3}");
    Ok(())
}
