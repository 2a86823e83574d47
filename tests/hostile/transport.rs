//! Distances and couplings.

use nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;
use wasserflow::transport::{Coupling, balanced, cone_w2, sliced_w2, w1, w2, wp};

use crate::measures::{extreme_measures, invalid_measures};
use crate::suite::{COUNTS, NUMBERS, Suite};

pub fn calls(suite: &Suite<'_>) {
    in_precision::<f32>(suite);
    in_precision::<f64>(suite);
}

/// Points on a grid, with or without weights.
fn grid<T: Real>(p: usize, m: usize, scale: f64, weighted: bool) -> Vec<EmpiricalMeasure<T>> {
    let points = DMatrix::from_fn(p, m, |l, i| real::<T>(scale * ((3 * l + 5 * i) % 7) as f64));
    let weights = DVector::from_fn(m, |i, _| {
        if weighted {
            real(1.0 + (i % 3) as f64)
        } else {
            T::one()
        }
    });
    EmpiricalMeasure::weighted(points, weights)
        .into_iter()
        .map(|mu| normalise(mu))
        .collect()
}

/// The measure of mass 1.
fn normalise<T: Real>(mu: EmpiricalMeasure<T>) -> EmpiricalMeasure<T> {
    let mass = mu.mass();
    let weights = DVector::from_iterator(mu.len(), mu.weights().iter().map(|&c| c / mass));
    EmpiricalMeasure::weighted(mu.into_points(), weights).unwrap()
}

fn in_precision<T: Real>(suite: &Suite<'_>) {
    for p in [1, 2, 3, 8] {
        let mut measures = extreme_measures::<T>(p);
        measures.extend(invalid_measures(p));
        for scale in [
            5e-324, 1e-310, 1e-165, 1e-23, 1e-7, 1.0, 1e8, 1e20, 1e155, 1e300,
        ] {
            for m in [1, 3, 9] {
                measures.extend(grid(p, m, scale, false));
                measures.extend(grid(p, m, scale, true));
            }
        }
        for mu in &measures {
            suite.call("EmpiricalMeasure::normalised", mu.mass(), || {
                mu.normalised()
            });
        }
        let count = measures.len();
        for i in 0..count {
            // Neighbours of like and of unlike sizes.
            for j in [i, (i + 1) % count, (i + 7) % count, (i + count / 2) % count] {
                pair(suite, (p, i, j), &measures[i], &measures[j]);
            }
        }
    }
    let (mu, nu) = (
        &grid::<T>(2, 3, 1.0, true)[0],
        &grid::<T>(3, 3, 1.0, true)[0],
    );
    pair(suite, (2, 3, 0), mu, nu);
    for p in NUMBERS.into_iter().chain([40.0, 182.0, 900.0, 1e4]) {
        for (mu, nu) in [(mu, mu), (mu, &grid::<T>(2, 5, 3.0, false)[0])] {
            let result = suite.call("transport::wp", p, || wp(mu, nu, real(p)));
            coupling(suite, (2, p as usize, 0), mu, nu, result);
        }
    }
    for outputs in COUNTS {
        suite.call("transport::balanced", outputs, || balanced(mu, outputs));
        suite.call("transport::cone_w2", outputs, || cone_w2(mu, mu, outputs));
    }
    for x in NUMBERS {
        for (rows, columns) in [(2, 1), (2, 3), (0, 0), (3, 1), (2, 0)] {
            let directions = DMatrix::from_element(rows, columns, real::<T>(x));
            suite.call("transport::sliced_w2", (x, rows, columns), || {
                sliced_w2(mu, mu, &directions)
            });
        }
    }
}

fn pair<T: Real>(
    suite: &Suite<'_>,
    at: (usize, usize, usize),
    mu: &EmpiricalMeasure<T>,
    nu: &EmpiricalMeasure<T>,
) {
    let result = suite.call("transport::w2", at, || w2(mu, nu));
    coupling(suite, at, mu, nu, result);
    let result = suite.call("transport::w1", at, || w1(mu, nu));
    coupling(suite, at, mu, nu, result);
    suite.call("transport::cone_w2", at, || cone_w2(mu, nu, 1));
    suite.call("transport::balanced", at, || balanced(mu, 1));
    let directions = DMatrix::from_element(mu.dim(), 2, T::one());
    suite.call("transport::sliced_w2", at, || {
        sliced_w2(mu, nu, &directions)
    });
}

fn coupling<T: Real>(
    suite: &Suite<'_>,
    at: (usize, usize, usize),
    mu: &EmpiricalMeasure<T>,
    nu: &EmpiricalMeasure<T>,
    result: Option<Result<Coupling<T>, impl std::error::Error>>,
) {
    let Some(Ok(coupling)) = result else { return };
    suite.call("Coupling::exponent", at, || coupling.exponent());
    let plan = suite
        .call("Coupling::plan", at, || coupling.plan().to_vec())
        .unwrap();
    let cost = suite
        .call("Coupling::cost", at, || coupling.cost())
        .unwrap();
    let gap = suite.call("Coupling::gap", at, || coupling.gap()).unwrap();
    let distance = suite
        .call("Coupling::distance", at, || coupling.distance())
        .unwrap();
    suite.call("Coupling::squared_distance", at, || {
        coupling.squared_distance()
    });
    let potentials = suite.call("Coupling::potentials", at, || {
        let (phi, psi) = coupling.potentials();
        phi.iter().chain(psi).all(|x| x == x)
    });
    let at = (at, mu.len(), nu.len(), mu.mass(), nu.mass());
    suite.check(potentials == Some(true), "potentials are numbers", at);
    suite.check(gap >= T::zero(), "gap >= 0", (at, gap));
    suite.check(cost >= T::zero(), "cost >= 0", (at, cost));
    // A cost that overflows is known up to an infinite gap.
    suite.check(
        cost.is_finite() || !gap.is_finite(),
        "overflow has no finite gap",
        (at, cost, gap),
    );
    // A mass above 1 may take the distance beyond the largest number.
    let representable = distance.is_finite() || mu.mass() > T::one();
    suite.check(
        distance >= T::zero() && representable,
        "a distance",
        (at, distance),
    );
    for t in [0.0, 0.5, 1.0, -1.0, 2.0, f64::NAN, f64::INFINITY] {
        suite.call("Coupling::interpolate", (at, t), || {
            coupling.interpolate(mu, nu, real(t))
        });
    }
    suite.call("Coupling::interpolate", (at, "swapped"), || {
        coupling.interpolate(nu, mu, T::one())
    });
    suite.check(!plan.is_empty(), "a plan", at);
    for (x, y) in [(mu, nu), (nu, mu), (mu, mu)] {
        suite.call("Coupling::update", at, || coupling.update(x, y));
    }
}
