//! Recovery of a teacher network by the flow of the population risk, which has a closed form for
//! rectifier neurons.
//!
//! `E[(h_mu(x) - h_nu(x))^2] / 2` over `x ~ N(0, I)` is half the squared maximum mean discrepancy
//! of the measures of neurons mu and nu. Its kernel is `a a'` times the arc-cosine kernel of `b`
//! and `b'`. No samples are drawn. With `--features plot` the example draws
//! `target/population_risk.svg`: the angles of the neurons to those of the teacher.

use std::error::Error;

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use wasserflow::nalgebra::DMatrix;
use wasserflow::observe::{LogSpaced, Snapshots, Trace, UntilTarget};
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
    let mut trace = LogSpaced::new(1.02, Trace::new())?;
    let mut paths = LogSpaced::new(1.1, Snapshots::new())?;
    let mut observers = (UntilTarget::new(1e-5)?, &mut trace, &mut paths);
    let reason = flow.run_until(&mut state, 5000.0, &mut observers)?;
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
    #[cfg(feature = "plot")]
    draw(&trace.into_inner(), &paths.into_inner())?;
    Ok(())
}

/// The energy, and the angle of `b` to the closest direction of the teacher for each neuron.
#[cfg(feature = "plot")]
fn draw(trace: &Trace<f64>, paths: &Snapshots<f64>) -> Result<(), Box<dyn Error>> {
    use wasserflow::plot::{self, BLUE, Figure, Style, VERMILION};
    let angle = |w: &[f64]| {
        let norm = w[1..].iter().map(|b| b * b).sum::<f64>().sqrt();
        let largest = w[1..].iter().fold(-norm, |b, &c| b.max(c));
        (largest / norm).min(1.0).acos().to_degrees()
    };
    let taken = || paths.taken().iter().filter(|(t, _)| *t > 0.0);
    let path = |i: usize| taken().map(move |(t, mu)| [*t, angle(mu.particle(i))]);
    let mut angles = Figure::new();
    for (label, colour, sign) in [("a > 0", BLUE, 1.0), ("a < 0", VERMILION, -1.0)] {
        let (_, last) = paths.taken().last().ok_or("an empty trajectory")?;
        let members = (0..last.len()).filter(|&i| sign * last.particle(i)[0] > 0.0);
        let style = Style::new(colour).width(1.0).opacity(0.7).label(label);
        angles = angles.lines(members.map(path), style);
    }
    let angles = angles.log_x().x_label("time t").y_label("angle, degrees");
    let energy = plot::energy(trace).log_x().log_y().title("Energy");
    std::fs::create_dir_all("target")?;
    energy
        .beside(angles.title("Angles of neurons to the teacher"))
        .save("target/population_risk.svg")?;
    println!("Figure: target/population_risk.svg");
    Ok(())
}
