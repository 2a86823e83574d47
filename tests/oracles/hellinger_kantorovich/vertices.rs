//! Plans at the scale of small weights and small differences of costs, against closed forms.

use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;
use wasserflow::testing::CaseRng;
use wasserflow::transport::HellingerKantorovichEnergy;

type Measure = EmpiricalMeasure<f64>;

fn planar(points: &[[f64; 2]], weights: &[f64]) -> Measure {
    let points = DMatrix::from_fn(2, points.len(), |l, i| points[i][l]);
    EmpiricalMeasure::weighted(points, DVector::from_column_slice(weights)).unwrap()
}

/// The cost of a distance and its derivative over the distance.
fn cost(is_conic: bool, distance: f64) -> [f64; 2] {
    if is_conic {
        let slope = if distance > 0.0 {
            distance.tan() / distance
        } else {
            1.0
        };
        [-(-distance.sin().powi(2)).ln_1p(), 2.0 * slope]
    } else {
        [distance * distance, 2.0]
    }
}

fn energies(nu: &Measure) -> [(bool, HellingerKantorovichEnergy<f64>); 2] {
    [
        (true, HellingerKantorovichEnergy::new(nu.clone()).unwrap()),
        (
            false,
            HellingerKantorovichEnergy::gaussian(nu.clone()).unwrap(),
        ),
    ]
}

/// One particle w of weight a, and a heavier one out of reach (in the conic cost): with
/// `Q = sum_j b_j e^(-c_j)` the plan is `P_j = b_j e^(-c_j) (a/Q)^(1/2)`, and
/// `2 F = M + M' - 2 (a Q)^(1/2)`.
#[test]
fn a_single_particle_in_reach() {
    let mut rng = CaseRng::new(5);
    for exponent in 0..34 {
        for (diameter, count) in [(1.0, 2), (1.0, 3), (0.1, 3), (1e-3, 2), (1e-6, 3)] {
            let a = 10.0_f64.powi(-exponent);
            let mut point = || [0, 1].map(|_| diameter * rng.uniform::<f64>(-0.5, 0.5));
            let w = point();
            let y: Vec<[f64; 2]> = (0..count).map(|_| point()).collect();
            let b: Vec<f64> = (0..count).map(|j| 1.0 + j as f64).collect();
            let nu = planar(&y, &b);
            for (is_conic, mut energy) in energies(&nu) {
                let others = [(vec![w], vec![a]), (vec![w, [9.0, 9.0]], vec![a, 1e3 * a])];
                for (points, weights) in &others[..if is_conic { 2 } else { 1 }] {
                    let mu = planar(points, weights);
                    let mut v = mu.points().clone();
                    let value = energy.velocity(&mu, &mut v);
                    let (mut q, mut exact) = (0.0, [0.0; 2]);
                    for (y, b) in y.iter().zip(&b) {
                        let z = [w[0] - y[0], w[1] - y[1]];
                        let [c, slope] = cost(is_conic, z[0].hypot(z[1]));
                        q += b * (-c).exp();
                        for l in 0..2 {
                            exact[l] -= 0.5 * slope * z[l] * b * (-c).exp();
                        }
                    }
                    let exact = exact.map(|x| x / (a * q).sqrt());
                    let (mass, id) = (mu.mass() + nu.mass(), (exponent, diameter, is_conic));
                    let f = 0.5 * mass - (a * q).sqrt();
                    // The rounding of F is that of the masses, or of their product.
                    let scale = 2e-14 * (mu.mass() * nu.mass()).sqrt() + 1e-15 * f;
                    assert!((value - f).abs() <= scale, "{id:?}: {value:e} {f:e}");
                    assert!(energy.gap() <= scale, "{id:?}: {:e}", energy.gap());
                    let size = exact[0].hypot(exact[1]);
                    let error = (v[0] - exact[0]).hypot(v[1] - exact[1]);
                    assert!(error <= 1e-10 * size, "{id:?}: {error:e} {size:e}");
                    // The potential has a kink at a divided particle; its direction is that of the plan.
                    let (mut values, mut descent) = ([0.0; 2], v.clone());
                    let values = &mut values[..mu.len()];
                    energy.first_variation(&mu, mu.points(), values, &mut descent);
                    assert_eq!(descent, v, "{id:?}");
                }
            }
        }
    }
}

/// A particle of weight t beside the axis of symmetry of two points of the target moves to the nearer
/// one alone, how close it may be: the difference of the costs is `2 off s^2`, beside a gap of 1e-14.
#[test]
fn a_weight_beside_an_axis_of_symmetry() {
    for exponent in [2, 3, 5, 6, 7, 9, 12, 15] {
        let t = 10.0_f64.powi(-exponent);
        for off in [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-8, 1e-10] {
            for s in [1.0, 0.1, 1e-2, 1e-3] {
                let y = [[-0.5 * s, 0.0], [0.5 * s, 0.0]];
                let w = [[0.0, 0.3 * s], [off * s, -0.2 * s]];
                let nu = planar(&y, &[0.5, 0.5]);
                for (is_conic, mut energy) in energies(&nu) {
                    let mu = planar(&w, &[1.0, t]);
                    let mut v = mu.points().clone();
                    energy.velocity(&mu, &mut v);
                    let z = [w[1][0] - y[1][0], w[1][1] - y[1][1]];
                    let [c, slope] = cost(is_conic, z[0].hypot(z[1]));
                    let [of_other, _] = cost(is_conic, y[1][0].hypot(w[0][1]));
                    let psi = -0.5 * ((-of_other).exp() + t * (-c).exp()).ln();
                    let rate = -0.5 * slope * (psi - c).exp();
                    let error = (v[2] - rate * z[0]).hypot(v[3] - rate * z[1]);
                    let id = (t, off, s, is_conic);
                    assert!(
                        error <= 1e-11 * z[0].hypot(z[1]),
                        "{id:?}: {v} {rate} {z:?}"
                    );
                }
            }
        }
    }
}

/// A point without mass at which two points of the target attain the minimum of the potential: the mean
/// of their directions, by the mass that they receive, in any order of the particles and of the target.
#[test]
fn points_without_mass_on_a_kink() {
    for (diameter, is_far) in [(1.0, false), (1e-2, false), (1e-6, false), (1.0, true)] {
        let s = 0.5 * diameter;
        let y = [[-s, 0.0], [s, 0.0], [s, 0.0], [0.0, 9.0]];
        let far = if is_far { 0.5 } else { 0.0 };
        let b = [3.0, 1.0, 2.0, far];
        let x = [[-s, 0.1 * s], [s, 0.1 * s], [0.0, 0.3 * s], [0.1, 9.1]];
        let a = [1.0, 1.0, 0.0, far];
        for order in [[0, 1, 2, 3], [2, 1, 0, 3], [3, 1, 2, 0], [1, 3, 0, 2]] {
            let nu = planar(&order.map(|j| y[j]), &order.map(|j| b[j]));
            let mu = planar(&order.map(|i| x[i]), &order.map(|i| a[i]));
            for (is_conic, mut energy) in energies(&nu) {
                let (mut values, mut descent) = ([0.0; 4], mu.points().clone());
                energy.first_variation(&mu, mu.points(), &mut values, &mut descent);
                let probe = order.iter().position(|&i| i == 2).unwrap();
                let [c, slope] = cost(is_conic, s.hypot(0.3 * s));
                let [own, _] = cost(is_conic, 0.1 * s);
                // `e^(-phi) = 3 e^(-psi)` and `phi + psi = own` in each half.
                let density = 3.0_f64.sqrt() * (0.5 * own - c).exp();
                let exact = -0.5 * density * slope * 0.3 * s;
                let found = [descent[(0, probe)], descent[(1, probe)]];
                let error = found[0].hypot(found[1] - exact);
                let id = (diameter, is_far, order, is_conic);
                assert!(error <= 1e-12 * exact.abs(), "{id:?}: {found:?} {exact:e}");
            }
        }
    }
}
