//! Sampling of the mean of three normal laws by four methods, drawn, beside its second moment.
//!
//! Times, step sizes and kernels were chosen after looking at the figure, `target/mixture.svg` with
//! `--features plot`. The flow of the Stein discrepancy ends on the axes of symmetry, as published
//! (A. Korba, P.-C. Aubin-Frankowski, S. Majewski and P. Ablin 2021, arXiv:2105.09994).

use std::{error::Error, f64::consts::TAU};

use wasserflow::prelude::*;

#[path = "common/rows.rs"]
mod rows;
use rows::Row;

/// The mean of the laws `N(CENTRES[k], S I)`.
#[derive(Debug)]
struct Mixture;

const CENTRES: [[f64; 2]; 3] = [[-0.8, -0.6], [0.8, -0.6], [0.0, 0.9]];
const S: f64 = 0.16;

/// The sum over k of the densities times `f(w - CENTRES[k])`, up to a constant.
fn sum(w: &[f64], f: impl Fn([f64; 2]) -> f64) -> f64 {
    let z = CENTRES.map(|c| [w[0] - c[0], w[1] - c[1]]);
    let term = |z: [f64; 2]| (-(z[0] * z[0] + z[1] * z[1]) / (2.0 * S)).exp() * f(z);
    z.into_iter().map(term).sum()
}

/// The mean of `f(w - CENTRES[k])` over the components, given w.
fn mean(w: &[f64], f: impl Fn([f64; 2]) -> f64) -> f64 {
    sum(w, f) / sum(w, |_| 1.0)
}

impl Score<f64> for Mixture {
    fn score(&self, w: &[f64], out: &mut [f64]) {
        (0..2).for_each(|l| out[l] = -mean(w, |z| z[l]) / S);
    }
    fn hessian_product(&self, w: &[f64], v: &[f64], out: &mut [f64]) {
        let along = |z: [f64; 2]| z[0] * v[0] + z[1] * v[1];
        let product = |l| mean(w, |z| z[l] * along(z)) - mean(w, |z| z[l]) * mean(w, along);
        (0..2).for_each(|l| out[l] = product(l) / (S * S) - v[l] / S);
    }
}

impl Potential<f64> for Mixture {
    fn value(&self, w: &[f64]) -> f64 {
        -sum(w, |_| 1.0).ln()
    }
    fn gradient(&self, w: &[f64], scale: f64, out: &mut [f64]) {
        (0..2).for_each(|l| out[l] += scale * mean(w, |z| z[l]) / S);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (at, radii) = ([0.9, 0.3], [0.3; 2]);
    let (many, few) = (rows::disc(5000, at, radii)?, rows::disc(60, at, radii)?);
    let v = || PotentialEnergy::new(Mixture, 2);
    let noise = (v(), Langevin::new(1.0, 7)?, 0.005);
    let momentum = (v(), KineticLangevin::new(1.0, 2.0, 7)?, 0.05);
    let svgd = (v(), Svgd::new(Gaussian::new(2, 0.4)?, 1.0)?, 0.02);
    let stein = SteinDiscrepancy::new(Mixture, InverseMultiquadric::new(0.6)?, 2);
    let stein = (stein, Heun, 0.01);
    let runs = [
        (Row::new("Langevin", noise, &many, 5.0)?, 0.05),
        (Row::new("with momentum", momentum, &many, 2.0)?, 0.05),
        (Row::new("SVGD", svgd, &few, 0.5)?, 0.1),
        (Row::new("Stein discrepancy", stein, &few, 2.0)?, 0.5),
    ];
    let exact = CENTRES.as_flattened().iter().map(|c| c * c).sum::<f64>() / 3.0 + 2.0 * S;
    let curves = [1.0, 2.0].map(|r| CENTRES.map(|c| rows::arc(c, r * S.sqrt(), [0.0, TAU])));
    let rows = runs.map(|(row, bound)| {
        let found = row.measures[4].second_moment();
        row.number(4, "second moment", found, exact, bound);
        (row, curves.concat())
    });
    rows::draw(&rows, 2.0)
}
