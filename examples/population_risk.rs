//! Recovery of a teacher network by the flow of the population risk, which has a closed form for
//! rectifier neurons.
//!
//! `E[(h_mu(x) - h_nu(x))^2] / 2` over `x ~ N(0, I)` is half the squared maximum mean discrepancy
//! of the measures of neurons mu and nu. Its kernel is `a a'` times the arc-cosine kernel of `b`
//! and `b'`. No samples are drawn.

use std::error::Error;

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use wasserflow::nalgebra::DMatrix;
use wasserflow::observe::UntilTarget;
use wasserflow::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    // Teacher: a_k (e_k.x)_+ on the axes of R^5, with alternating signs.
    let d = 5;
    let sign = |k: usize| if k.is_multiple_of(2) { 1.0 } else { -1.0 };
    let teacher = DMatrix::from_fn(1 + d, d, |l, k| {
        if l == 0 {
            sign(k)
        } else {
            f64::from(l == 1 + k)
        }
    });
    let energy = Mmd::new(
        WithOutputWeight(ArcCosine::new(d)),
        EmpiricalMeasure::uniform(teacher)?,
    )?;

    let mut flow = ParticleFlow::new(energy, Heun, 0.5)?;
    let start = init::balanced(d, 30, 0.1, &mut ChaCha8Rng::seed_from_u64(0))?;
    let mut state = flow.start(start)?;
    println!("t = {:>6}  F = {:.1e}", state.time(), state.energy());
    let reason = flow.run_until(&mut state, 5000.0, &mut UntilTarget::new(1e-5)?)?;
    println!(
        "t = {:>6}  F = {:.1e}  stopped by: {reason:?}",
        state.time(),
        state.energy()
    );
    assert!(reason.converged());

    println!(
        "weight of the teacher's neuron k in the student: the sum of d c_i a_i |b_i| over its neurons within 20 degrees of e_k"
    );
    let student = state.measure();
    for k in 0..d {
        let mut weight = 0.0;
        for i in 0..student.len() {
            let (a, b) = (student.particle(i)[0], &student.particle(i)[1..]);
            let norm = b.iter().map(|b| b * b).sum::<f64>().sqrt();
            if b[k] > norm * 20_f64.to_radians().cos() {
                weight += d as f64 * student.weight(i) * a * norm;
            }
        }
        println!("  k = {k}: {weight:>6.3}, teacher {:>2}", sign(k));
    }
    Ok(())
}
