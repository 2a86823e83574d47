//! Half the squared Hellinger-Kantorovich distance as a user-defined energy: conic descent with the
//! rates (1, 1) is its flow; and closed forms of the maximum mean discrepancy.
//!
//! `HK^2 = min_P KL(P 1 | mu) + KL(P^T 1 | nu) + sum_ij P_ij c_ij`, `c = -2 log cos min(D, pi/2)`
//! (Liero, Mielke and Savare 2018), and Gaussian-HK with the cost `D^2`.

use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;

fn measure(points: &[f64], weights: &[f64]) -> EmpiricalMeasure<f64> {
    let points = DMatrix::from_row_slice(1, points.len(), points);
    EmpiricalMeasure::weighted(points, DVector::from_column_slice(weights)).unwrap()
}

/// `HK^2 / 2` to `target`, or half the square of Gaussian-HK, on the line.
struct HalfSquare {
    target: EmpiricalMeasure<f64>,
    gaussian: bool,
}

impl HalfSquare {
    /// `exp(-c)` at the distance D.
    fn affinity(&self, distance: f64) -> f64 {
        if self.gaussian {
            (-distance * distance).exp()
        } else {
            distance
                .abs()
                .min(std::f64::consts::FRAC_PI_2)
                .cos()
                .powi(2)
        }
    }

    /// `dc/dD`.
    fn slope(&self, distance: f64) -> f64 {
        if self.gaussian {
            2.0 * distance
        } else {
            2.0 * distance.tan()
        }
    }

    /// The optimal plan P, by multiplicative updates with half the gradient.
    fn plan(&self, mu: &EmpiricalMeasure<f64>) -> DMatrix<f64> {
        let (m, n) = (mu.len(), self.target.len());
        let affinity = DMatrix::from_fn(m, n, |i, j| {
            self.affinity(mu.particle(i)[0] - self.target.particle(j)[0])
        });
        let mut plan = affinity.map(|k| if k > 1e-20 { 1.0 } else { 0.0 });
        for _ in 0..20_000 {
            let (rows, columns) = (plan.column_sum(), plan.row_sum());
            let mut change = 0.0_f64;
            for i in 0..m {
                for j in 0..n {
                    let ratio = mu.weight(i) * self.target.weight(j) * affinity[(i, j)]
                        / (rows[i] * columns[j]);
                    if plan[(i, j)] > 1e-300 {
                        let next = plan[(i, j)] * ratio.sqrt();
                        change = change.max((next - plan[(i, j)]).abs());
                        plan[(i, j)] = next;
                    }
                }
            }
            if change < 1e-16 {
                break;
            }
        }
        plan
    }
}

impl Energy<f64> for HalfSquare {
    fn particle_dim(&self) -> usize {
        1
    }
    /// At the optimal plan the minimum is `mu(R) + nu(R) - 2 P(R x R)`.
    fn value(&mut self, mu: &EmpiricalMeasure<f64>) -> f64 {
        0.5 * (mu.mass() + self.target.mass()) - self.plan(mu).sum()
    }
    fn velocity(&mut self, mu: &EmpiricalMeasure<f64>, out: &mut DMatrix<f64>) -> f64 {
        let mut values = vec![0.0; mu.len()];
        self.first_variation(mu, mu.points(), &mut values, out)
            .unwrap()
    }
    /// `F'(mu)(w_i) = (1 - (P 1)_i / c_i) / 2` at the particles, which is where flows need it.
    fn first_variation(
        &mut self,
        mu: &EmpiricalMeasure<f64>,
        at: &DMatrix<f64>,
        values: &mut [f64],
        descent: &mut DMatrix<f64>,
    ) -> Option<f64> {
        if at != mu.points() {
            return None;
        }
        let plan = self.plan(mu);
        for i in 0..mu.len() {
            let shares = (0..self.target.len()).map(|j| {
                let distance = mu.particle(i)[0] - self.target.particle(j)[0];
                let share = plan[(i, j)] / mu.weight(i);
                let slope = if share > 0.0 {
                    self.slope(distance)
                } else {
                    0.0
                };
                (share, share * slope)
            });
            let (share, slope) = shares.fold((0.0, 0.0), |(s, t), (u, v)| (s + u, t + v));
            values[i] = 0.5 * (1.0 - share);
            descent[(0, i)] = -0.5 * slope;
        }
        Some(0.5 * (mu.mass() + self.target.mass()) - plan.sum())
    }
}

fn distances(mu: &EmpiricalMeasure<f64>, target: &EmpiricalMeasure<f64>) -> [f64; 2] {
    [false, true].map(|gaussian| {
        let target = target.clone();
        2.0 * HalfSquare { target, gaussian }.value(mu)
    })
}

/// D14: unit masses at distance .8, and beyond pi / 2; D15: pairs.
#[test]
fn values() {
    let (mu, nu) = (measure(&[0.0], &[1.0]), measure(&[0.8], &[2.0]));
    for (found, exact) in distances(&mu, &nu)
        .into_iter()
        .zip([1.029_415_85, 0.946_140_367])
    {
        assert!((found - exact).abs() < 5e-9, "{found}, {exact}");
    }
    let far = distances(&mu, &measure(&[1.7], &[2.0]))[0];
    assert!((far - 3.0).abs() < 1e-15, "{far}");

    let (mu, nu) = (
        measure(&[0.0, 1.0], &[1.0, 0.5]),
        measure(&[0.5, 2.2], &[0.7, 1.2]),
    );
    for (found, exact) in distances(&mu, &nu)
        .into_iter()
        .zip([1.355_490_90, 1.169_226_88])
    {
        assert!((found - exact).abs() < 1e-8, "{found}, {exact}");
    }
    let target = nu;
    let plan = HalfSquare {
        target,
        gaussian: false,
    }
    .plan(&mu);
    for (found, exact) in plan.iter().zip([0.681_503, 0.109_552, 0.0, 0.231_200]) {
        assert!((found - exact).abs() < 1e-6, "{found}, {exact}");
    }
}

/// D16: along the flow from `a d_x` to `b d_y` the measure is the geodesic at `s = 1 - exp(-t)`, and
/// `HK^2` decays as `exp(-2 t)`. The method has order 1: Richardson's extrapolation of two runs.
#[test]
fn conic_descent_follows_the_geodesic() {
    let time = 2.0_f64.ln();
    let run = |steps: usize| {
        let target = measure(&[0.8], &[2.0]);
        let energy = HalfSquare {
            target,
            gaussian: false,
        };
        let dt = time / steps as f64;
        let mut flow = ParticleFlow::new(energy, Conic::new(1.0, 1.0), dt).unwrap();
        let mut state = flow.start(measure(&[0.0], &[1.0])).unwrap();
        let start = state.energy();
        flow.run_until(&mut state, time, &mut ()).unwrap();
        let mu = state.measure();
        [
            mu.weight(0),
            0.8 - mu.particle(0)[0],
            state.energy() / start,
        ]
    };
    let (coarse, fine, finest) = (run(1000), run(2000), run(4000));
    for (i, exact) in [1.242_646_04, 0.327_586_987, 0.25].into_iter().enumerate() {
        let extrapolated = 2.0 * finest[i] - fine[i];
        println!("{extrapolated} exact {exact}, at 4000 steps {}", finest[i]);
        assert!(
            (extrapolated - exact).abs() < 1e-7,
            "{extrapolated}, {exact}"
        );
        let order = (coarse[i] - exact) / (fine[i] - exact);
        assert!((1.9..2.1).contains(&order), "{order}");
    }
}

/// `-dF/dt = int (|grad F'|^2 + 4 F'^2) dmu = 2 F`: the squared metric speed of a geodesic flow.
#[test]
fn the_dissipation_is_twice_the_energy() {
    let target = measure(&[0.8], &[2.0]);
    let mut energy = HalfSquare {
        target,
        gaussian: false,
    };
    for mu in [measure(&[0.0], &[1.0]), measure(&[1.9], &[0.3])] {
        let (mut value, mut descent) = (vec![0.0], DMatrix::zeros(1, 1));
        let points = mu.points().clone();
        let f = energy.first_variation(&mu, &points, &mut value, &mut descent);
        let found = mu.weight(0) * (descent[(0, 0)].powi(2) + 4.0 * value[0].powi(2));
        assert!((found - 2.0 * f.unwrap()).abs() < 1e-12, "{found}, {f:?}");
    }
}

/// D7: half the squared discrepancy of unit masses at distance r, and the distance along its flow.
#[test]
fn a_unit_mass_in_the_flow_of_the_discrepancy() {
    let energy = || Mmd::new(Gaussian::new(1, 1.0).unwrap(), measure(&[0.0], &[1.0])).unwrap();
    let value = energy().value(&measure(&[1.0], &[1.0]));
    assert!((value - 0.393_469_340).abs() < 5e-10, "{value}");
    for (start, time, exact) in [(1.0, 1.0, 0.463_016_936), (3.0, 10.0, 2.309_813_31)] {
        let mut flow = ParticleFlow::new(energy(), Rk4, 0.005).unwrap();
        let mut state = flow.start(measure(&[start], &[1.0])).unwrap();
        flow.run_until(&mut state, time, &mut ()).unwrap();
        let found = state.measure().particle(0)[0];
        assert!((found - exact).abs() < 5e-9, "{found}, {exact}");
    }
}

/// D8: half the squared discrepancy of N(0, 1) and N(1, 1/4), sigma = 1: by midpoints of a grid,
/// on which Gaussian integrals converge faster than any power.
#[test]
fn the_discrepancy_of_normal_laws() {
    let normal = |mean: f64, deviation: f64| {
        let z: Vec<f64> = (-80..=80).map(|i| 0.1 * f64::from(i)).collect();
        let density = |z: &f64| 0.1 * (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt();
        let points: Vec<f64> = z.iter().map(|z| mean + deviation * z).collect();
        measure(&points, &z.iter().map(density).collect::<Vec<_>>())
    };
    let kernel = Gaussian::new(1, 1.0).unwrap();
    let value = Mmd::new(kernel, normal(1.0, 0.5))
        .unwrap()
        .value(&normal(0.0, 1.0));
    assert!((value - 0.163_098_490).abs() < 5e-10, "{value}");
}
