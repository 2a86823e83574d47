//! Recognition of handwritten digits, 8 x 8 pixels: a network of 10 outputs trained by the softmax
//! cross-entropy on minibatches, on ten stratified splits.
//! `--json` prints one line of JSON, `--smoke` takes one split.
//!
//! ```sh
//! cargo run --release --features csv,plot --example digits
//! ```

use std::error::Error;

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use wasserflow::prelude::*;

#[path = "common/scores.rs"]
mod scores;

fn main() -> Result<(), Box<dyn Error>> {
    let options = scores::Options::read();
    let table = data::read_csv(&include_bytes!("../data/digits.csv")[..])?;
    let (x, y) = (
        table.numbers_except::<f64>(&["digit"])?,
        table.labels("digit")?,
    );
    let mut accuracies = Vec::new();
    for seed in 0..options.splits as u64 {
        let split = Split::stratified(&y, 0.2, seed)?;
        let ([x_train, x_test], [y_train, y_test]) = (split.columns(&x)?, split.labels(&y)?);
        let scale = Standardizer::fit(&x_train)?; // of the training part only
        let inputs = with_bias(scale.transform(&x_train)?);
        let (d, k) = (inputs.nrows(), y.classes().len());
        let risk = SoftmaxCrossEntropy::new(inputs, y_train.indices().to_vec(), k)?;
        let risk = MinibatchRisk::new(risk, 128, seed)?; // 12 steps are an epoch

        let map = Ridge::with_outputs(Relu, d, k);
        let energy = MeanFieldRisk::new(&map, risk)?.regularized(WeightDecay::new(1e-3)?);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut flow = ParticleFlow::scheduled(energy, Euler, Cosine::new(1.0, 0.01, 600)?)?;
        let mut state = flow.start(init::balanced_outputs(k, d, 100, 1.0, &mut rng)?)?;
        flow.run(&mut state, 600, &mut ())?;

        let network = Network::new(&map, state.into_measure())?.with_bias()?;
        let network = network.with_input_scale(scale)?.with_classes(y.classes())?;
        accuracies.push(network.accuracy(&x_test, &y_test)?);
    }
    options.report("accuracy", [("trained", accuracies)])
}
