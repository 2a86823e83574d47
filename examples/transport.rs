//! What transport sees of a flow: the plan between two states, and how fast samples approach each other with their number.
//!
//! Left, a cloud flows to a circle and the optimal plan couples two of its states. Right, the mean `W_2^2` between two
//! samples of the unit square, which falls like `log(m) / m`. Writes `target/transport.svg`.

#[path = "common/svg.rs"]
mod svg;

use std::error::Error;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use svg::{Axis, Svg};
use wasserflow::nalgebra::DMatrix;
use wasserflow::{EmpiricalMeasure, Gaussian, Heun, Mmd, ParticleFlow, init, transport};

fn main() -> Result<(), Box<dyn Error>> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut picture = Svg::new(820.0, 400.0);

    let energy = Mmd::new(Gaussian::new(2, 0.5)?, init::circle(60, 1.0)?)?;
    let mut flow = ParticleFlow::new(energy, Heun, 0.5)?;
    let mut state = flow.start(init::gaussian(2, 60, 0.3, &mut rng)?)?;
    let early = state.measure().clone();
    flow.run_until(&mut state, 200.0, &mut ())?;
    let late = state.measure();
    let coupling = transport::w2(&early, late)?;
    let travelled = (early.points() - late.points()).norm() / f64::sqrt(60.0);
    println!("W2 between the states {:.4}, gap {:.1e}", coupling.distance(), coupling.gap());
    println!("each particle to where it went itself {travelled:.4}");
    assert!(coupling.distance() <= travelled);
    let (x, y) = (Axis::linear([-1.3, 1.3], [0.0, 400.0]), Axis::linear([-1.3, 1.3], [400.0, 0.0]));
    let at = |w: &[f64]| [x.at(w[0]), y.at(w[1])];
    for &(i, j, _) in coupling.plan() {
        picture.line([at(early.particle(i)), at(late.particle(j))], "stroke=\"#0072B2\" stroke-opacity=\"0.5\"");
        picture.circle(at(early.particle(i)), 3.0, "fill=\"#999\"");
        picture.circle(at(late.particle(j)), 3.0, "fill=\"#D55E00\"");
    }

    let sizes = [50, 100, 200, 400, 800];
    let mut means = Vec::new();
    for m in sizes {
        let mut sum = 0.0;
        for _ in 0..8 {
            let mut sample = || EmpiricalMeasure::uniform(DMatrix::from_fn(2, m, |_, _| rng.random::<f64>()));
            sum += transport::w2(&sample()?, &sample()?)?.squared_distance();
        }
        means.push(sum / 8.0);
        println!("m = {m:>4}  mean W2^2 = {:.2e}", sum / 8.0);
    }
    let slope = (means[4] / means[0]).ln() / 16.0_f64.ln();
    println!("slope in m: {slope:.2}");
    assert!((-1.2..-0.6).contains(&slope));
    let (m, w) = (Axis::log([40.0, 1000.0], [460.0, 800.0]), Axis::log([5e-4, 5e-2], [360.0, 20.0]));
    let points: Vec<_> =
        sizes.iter().zip(&means).map(|(&size, &mean)| [m.at(f64::from(size as u32)), w.at(mean)]).collect();
    picture.line([[460.0, 20.0], [460.0, 360.0], [800.0, 360.0]], "fill=\"none\" stroke=\"#333\"");
    picture.line(points.iter().copied(), "fill=\"none\" stroke=\"#0072B2\"");
    for (&point, (size, mean)) in points.iter().zip(sizes.iter().zip(&means)) {
        picture.circle(point, 4.0, "fill=\"#0072B2\"");
        picture.text([point[0] - 8.0, 376.0], "font-size=\"12\"", &size.to_string());
        picture.text([point[0] + 6.0, point[1] - 6.0], "font-size=\"12\"", &format!("{mean:.1e}"));
    }
    picture.text([600.0, 394.0], "font-size=\"13\"", "m");
    picture.text([470.0, 34.0], "font-size=\"13\"", "mean W2^2 between two samples");
    println!("Figure: {}", picture.write("transport.svg")?.display());
    Ok(())
}
