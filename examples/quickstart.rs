//! Training of a two-layer network to a certified global minimum, by the Wasserstein gradient flow.
//!
//! The labels are those of a network of three neurons. The flow minimises the regularised risk
//! `F(mu) = (1/n) sum_j (h_mu(x_j) - y_j)^2 / 2 + lambda int |w|^2 dmu` over the measures `mu` of
//! neurons `w = (a, b)`, with `h_mu(x) = int a (b.x)_+ dmu(w)`. The certificate bounds
//! `F(mu) - F*`, where `F*` is the minimum over networks of any width; for inputs in the plane no
//! search is involved. Proximal steps (`Jko`) converge at the kinks of the rectifier: explicit
//! Euler steps oscillate there, and the gap is 1.5e-5 after 100 000 of them.
//!
//! ```sh
//! cargo run --release --example quickstart    # with --features plot: target/quickstart.svg too
//! ```
//!
//! It takes well under a second, so `--smoke` is accepted without effect.

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use wasserflow::nalgebra::DVector;
use wasserflow::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    // 50 samples of y = |x_1| - (x_2)_+ in the plane. Columns are points.
    let x = init::gaussian::<f64>(2, 50, 1.0, &mut rng)?.into_points();
    let y = DVector::from_fn(50, |j, _| x[(0, j)].abs() - x[(1, j)].max(0.0));

    let risk = EmpiricalRisk::new(Square, x, y)?;
    let decay = WeightDecay::new(0.01)?; // lambda
    let energy = MeanFieldRisk::new(Ridge::new(Relu, 2), risk)?.regularized(decay);

    let mut flow = ParticleFlow::new(energy, Jko::default(), 10.0)?; // proximal steps of size 10
    let mut state = flow.start(init::sphere(3, 50, &mut rng)?)?; // 50 neurons (a, b_1, b_2)
    // At most 500 steps, with a certificate after every 5, until the certified gap is at most 1e-6.
    let (reason, certificate) = sparse::run_until_optimal(&mut flow, &mut state, 1e-6, 5, 500)?;

    println!("{reason:?} after {} steps", state.step());
    let (f, gap, bound) = (state.energy(), certificate.gap(), certificate.bound());
    println!("F(mu) = {f:.6}, F(mu) - F* <= {gap:.1e}, {bound:?}");
    match certificate.escape() {
        Some(w) => println!("a neuron {w:.3?} would decrease F, by at most the gap"),
        None => println!("no additional neuron would decrease F"),
    }
    assert!(reason.converged() && gap <= 1e-6);

    #[cfg(feature = "plot")]
    {
        // The labels are those of the neurons (a, b) = (1, e_1), (1, -e_1) and (-1, e_2).
        let teacher = [1.0, 1.0, 0.0, 1.0, -1.0, 0.0, -1.0, 0.0, 1.0];
        let teacher = nalgebra::DMatrix::from_column_slice(3, 3, &teacher) * 3_f64.sqrt();
        std::fs::create_dir_all("target")?;
        wasserflow::plot::neurons(state.measure())
            .teacher(&EmpiricalMeasure::uniform(teacher)?)
            .title("50 neurons at the minimum")
            .save("target/quickstart.svg")?;
    }
    Ok(())
}
