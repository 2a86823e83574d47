//! Exact transport against brute force, an independent simplex solver, and the dual certificate.

use nalgebra::{DMatrix, DVector};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wasserflow::prelude::*;
use wasserflow::transport::{self, Coupling, TransportError};

type Measure = EmpiricalMeasure<f64>;

fn uniform(dim: usize, points: Vec<f64>) -> Measure {
    let m = points.len() / dim;
    Measure::uniform(DMatrix::from_vec(dim, m, points)).unwrap()
}

fn weighted(dim: usize, points: Vec<f64>, weights: Vec<f64>) -> Measure {
    let m = weights.len();
    Measure::weighted(
        DMatrix::from_vec(dim, m, points),
        DVector::from_vec(weights),
    )
    .unwrap()
}

fn cube(rng: &mut impl Rng, len: usize) -> Vec<f64> {
    (0..len).map(|_| rng.random_range(-1.0..1.0)).collect()
}

fn cost(mu: &Measure, nu: &Measure, i: usize, j: usize, p: f64) -> f64 {
    let squares = mu
        .particle(i)
        .iter()
        .zip(nu.particle(j))
        .map(|(x, y)| (x - y) * (x - y));
    squares.sum::<f64>().powf(0.5 * p)
}

/// The optimality conditions of a coupling: marginals, dual feasibility, equal primal and dual
/// values.
fn certify(mu: &Measure, nu: &Measure, coupling: &Coupling<f64>, p: f64) {
    let (n, m) = (mu.len(), nu.len());
    let mass = mu.mass();
    let (mut a, mut b) = (vec![0.0; n], vec![0.0; m]);
    let mut primal = 0.0;
    for &(i, j, c) in coupling.plan() {
        assert!(c > 0.0);
        a[i] += c;
        b[j] += c;
        primal += c * cost(mu, nu, i, j, p);
    }
    for (found, given) in a.iter().zip(mu.weights()).chain(b.iter().zip(nu.weights())) {
        assert!(
            (found - given).abs() <= 1e-13 * mass,
            "marginal {found} instead of {given}"
        );
    }
    let (phi, psi) = coupling.potentials();
    let mut largest = 0.0_f64;
    let mut worst = f64::INFINITY;
    for i in 0..n {
        for j in 0..m {
            let c = cost(mu, nu, i, j, p);
            largest = largest.max(c);
            worst = worst.min(c - phi[i] - psi[j]);
        }
    }
    // costs are differences of coordinates: if clouds coincide, the rounding error is that of the
    // coordinates
    let size = mu.points().amax().max(nu.points().amax());
    let tolerance = 1e-12 * largest + (1e-15 * size).powf(p);
    assert!(
        worst >= -tolerance,
        "potentials exceed a cost by {} of {largest}",
        -worst
    );
    let value =
        |weights: &[f64], u: &[f64]| -> f64 { weights.iter().zip(u).map(|(c, u)| c * u).sum() };
    let dual = value(mu.weights(), phi) + value(nu.weights(), psi);
    assert!(
        (primal - dual).abs() <= tolerance * mass,
        "primal {primal}, dual {dual}, largest cost {largest}"
    );
    assert!((primal - coupling.cost()).abs() <= 1e-14 * primal);
    assert!(coupling.gap() <= tolerance * mass);
}

/// The least mean cost over all permutations.
fn brute_force(mu: &Measure, nu: &Measure, p: f64) -> f64 {
    fn search(mu: &Measure, nu: &Measure, p: f64, i: usize, used: u32, sum: f64, best: &mut f64) {
        if i == mu.len() {
            *best = best.min(sum);
            return;
        }
        for j in 0..nu.len() {
            if used >> j & 1 == 0 {
                search(
                    mu,
                    nu,
                    p,
                    i + 1,
                    used | 1 << j,
                    sum + cost(mu, nu, i, j, p),
                    best,
                );
            }
        }
    }
    let mut best = f64::INFINITY;
    search(mu, nu, p, 0, 0, 0.0, &mut best);
    best / mu.len() as f64
}

#[test]
fn ten_thousand_small_cases_equal_brute_force() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for case in 0..10_000 {
        let (m, dim) = (rng.random_range(1..=6), rng.random_range(1..=4));
        // every third case has its points on a coarse grid: ties and duplicates
        let mut points = cube(&mut rng, 2 * m * dim);
        if case % 3 == 0 {
            points.iter_mut().for_each(|x| *x = (2.0 * *x).round());
        }
        let nu = uniform(dim, points.split_off(m * dim));
        let mu = uniform(dim, points);
        let p = [2.0, 1.0, 3.5][case % 5 % 3];
        let coupling = transport::wp(&mu, &nu, p).unwrap();
        let least = brute_force(&mu, &nu, p);
        assert!(
            (coupling.cost() - least).abs() <= 1e-13 * (1.0 + least),
            "case {case}: {} {least}",
            coupling.cost()
        );
        certify(&mu, &nu, &coupling, p);
    }
}

/// The transport problem as a linear program in standard form, solved by a dense two-phase simplex
/// with Bland's rule.
fn linear_program(mu: &Measure, nu: &Measure, p: f64) -> f64 {
    let (n, m) = (mu.len(), nu.len());
    // the last equation follows from the others
    let (rows, arcs) = (n + m - 1, n * m);
    let columns = arcs + rows;
    let mut table = DMatrix::<f64>::zeros(rows + 1, columns + 1);
    for i in 0..n {
        for j in 0..m {
            table[(i, i * m + j)] = 1.0;
            if j + 1 < m {
                table[(n + j, i * m + j)] = 1.0;
            }
        }
        table[(i, columns)] = mu.weight(i);
    }
    for j in 0..m - 1 {
        table[(n + j, columns)] = nu.weight(j);
    }
    let mut basis: Vec<usize> = (arcs..columns).collect();
    for r in 0..rows {
        table[(r, arcs + r)] = 1.0;
    }
    for phase in 0..2 {
        // the objective in terms of the non-basic variables
        let price = |column: usize| match phase {
            0 => f64::from(column >= arcs),
            _ if column >= arcs => 0.0,
            _ => cost(mu, nu, column / m, column % m, p),
        };
        for c in 0..=columns {
            let direct = if c < columns { price(c) } else { 0.0 };
            table[(rows, c)] = direct
                - (0..rows)
                    .map(|r| price(basis[r]) * table[(r, c)])
                    .sum::<f64>();
        }
        let open = if phase == 0 { columns } else { arcs };
        while let Some(enter) = (0..open).find(|&c| table[(rows, c)] < -1e-11) {
            let ratio = |r: usize| table[(r, columns)].max(0.0) / table[(r, enter)];
            let leave = (0..rows)
                .filter(|&r| table[(r, enter)] > 1e-9)
                .min_by(|&r, &s| ratio(r).total_cmp(&ratio(s)).then(basis[r].cmp(&basis[s])));
            let leave = leave.expect("transport is bounded");
            let pivot = table[(leave, enter)];
            for c in 0..=columns {
                table[(leave, c)] /= pivot;
            }
            for r in (0..=rows).filter(|&r| r != leave) {
                let factor = table[(r, enter)];
                for c in 0..=columns {
                    let change = factor * table[(leave, c)];
                    table[(r, c)] -= change;
                }
            }
            basis[leave] = enter;
        }
    }
    -table[(rows, columns)]
}

#[test]
fn weighted_cases_equal_a_linear_program() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    for case in 0..600 {
        let (n, m, dim) = (
            rng.random_range(1..=7),
            rng.random_range(1..=7),
            rng.random_range(1..=3),
        );
        let mut a: Vec<f64> = (0..n).map(|_| rng.random_range(0.0..1.0)).collect();
        let mut b: Vec<f64> = (0..m).map(|_| rng.random_range(0.0..1.0)).collect();
        if case % 4 == 0 {
            a.iter_mut()
                .chain(&mut b)
                .for_each(|c| *c = (3.0 * *c).ceil());
        }
        if case % 5 == 0 && n > 1 {
            a[0] = 0.0;
        }
        let mass = [1.0, 3.0, 1e-8, 1e8][case % 4];
        for c in [&mut a, &mut b] {
            let sum: f64 = c.iter().sum();
            c.iter_mut().for_each(|c| *c *= mass / sum);
        }
        let (x, y) = (cube(&mut rng, n * dim), cube(&mut rng, m * dim));
        let (mu, nu) = (
            weighted(dim, x.clone(), a.clone()),
            weighted(dim, y.clone(), b.clone()),
        );
        let p = [2.0, 1.0, 1.5][case % 3];
        let coupling = transport::wp(&mu, &nu, p).unwrap();
        certify(&mu, &nu, &coupling, p);
        // the program is solved for mass 1
        let unit = |c: Vec<f64>| c.into_iter().map(|c| c / mass).collect();
        let least =
            mass * linear_program(&weighted(dim, x, unit(a)), &weighted(dim, y, unit(b)), p);
        assert!(
            (coupling.cost() - least).abs() <= 1e-9 * mass,
            "case {case}: {} {least}",
            coupling.cost()
        );
    }
}

#[test]
fn different_numbers_of_equal_atoms() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for (n, m) in [(1, 40), (40, 1), (6, 4), (35, 50), (200, 300), (257, 90)] {
        for dim in [1, 2, 5] {
            let (mu, nu) = (
                uniform(dim, cube(&mut rng, n * dim)),
                uniform(dim, cube(&mut rng, m * dim)),
            );
            let coupling = transport::w2(&mu, &nu).unwrap();
            certify(&mu, &nu, &coupling, 2.0);
            let back = transport::w2(&nu, &mu).unwrap();
            assert!((coupling.cost() - back.cost()).abs() <= 1e-13 * coupling.cost());
        }
    }
}

#[test]
fn degenerate_clouds_are_certified() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let m = 300;
    let circle = |k: usize| {
        let t = k as f64 * std::f64::consts::TAU / m as f64;
        [t.cos(), t.sin()]
    };
    let clouds: Vec<(&str, Vec<f64>)> = vec![
        ("cube", cube(&mut rng, 2 * m)),
        ("one point", vec![0.25; 2 * m]),
        (
            "two points",
            (0..m)
                .flat_map(|k| [if k % 3 == 0 { 1.0 } else { -1.0 }, 0.5])
                .collect(),
        ),
        (
            "grid",
            (0..m)
                .flat_map(|k| [(k % 17) as f64, (k / 17) as f64])
                .collect(),
        ),
        (
            "line",
            (0..m).flat_map(|k| [k as f64, 2.0 * k as f64]).collect(),
        ),
        (
            "axis",
            cube(&mut rng, m)
                .into_iter()
                .flat_map(|x| [x, 0.0])
                .collect(),
        ),
        ("circle", (0..m).flat_map(circle).collect()),
        (
            "collapsed",
            cube(&mut rng, 2 * m)
                .iter()
                .map(|x| 1.0 + 1e-12 * x)
                .collect(),
        ),
        (
            "clusters",
            cube(&mut rng, 2 * m)
                .iter()
                .map(|x| x.round() + 1e-9 * x)
                .collect(),
        ),
    ];
    for (name, x) in &clouds {
        for (other, y) in &clouds {
            for weights in [false, true] {
                let (mut mu, nu) = (uniform(2, x.clone()), uniform(2, y.clone()));
                if weights {
                    let c: Vec<f64> = (0..m)
                        .map(|k| {
                            if k % 7 == 0 {
                                0.0
                            } else {
                                rng.random_range(0.1..1.0)
                            }
                        })
                        .collect();
                    let sum: f64 = c.iter().sum();
                    mu = weighted(2, x.clone(), c.into_iter().map(|c| c / sum).collect());
                }
                println!("{name} to {other}, weights {weights}");
                certify(&mu, &nu, &transport::w2(&mu, &nu).unwrap(), 2.0);
            }
        }
    }
}

#[test]
fn scales_and_offsets() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let (x, y) = (cube(&mut rng, 200), cube(&mut rng, 200));
    let reference = transport::w2(&uniform(2, x.clone()), &uniform(2, y.clone())).unwrap();
    for scale in [1e-150, 1e-8, 1e8, 1e150] {
        let times = |x: &[f64]| uniform(2, x.iter().map(|x| scale * x).collect());
        let coupling = transport::w2(&times(&x), &times(&y)).unwrap();
        assert_eq!(coupling.plan(), reference.plan(), "scale {scale}");
        assert!(
            (coupling.distance() / scale - reference.distance()).abs()
                <= 1e-13 * reference.distance()
        );
        let first = transport::w1(&times(&x), &times(&y)).unwrap();
        let unit = transport::w1(&uniform(2, x.clone()), &uniform(2, y.clone())).unwrap();
        assert!((first.cost() / scale - unit.cost()).abs() <= 1e-13 * unit.cost());
    }
    // far from the origin, and far from each other: the plan is that of the centred clouds
    let moved = |x: &[f64], by: f64| uniform(2, x.iter().map(|x| x + by).collect());
    let coupling = transport::w2(&moved(&x, 1e6), &moved(&y, -1e6)).unwrap();
    assert_eq!(coupling.plan(), reference.plan());
    let (phi, psi) = coupling.potentials();
    for &(i, j, _) in coupling.plan() {
        let c = cost(&moved(&x, 1e6), &moved(&y, -1e6), i, j, 2.0);
        assert!((c - phi[i] - psi[j]).abs() <= 1e-14 * c);
    }
}

fn identity_has_distance_zero<T: Real>() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let points: Vec<T> = cube(&mut rng, 500).into_iter().map(real).collect();
    let mu = EmpiricalMeasure::uniform(DMatrix::from_vec(5, 100, points)).unwrap();
    let coupling = transport::w2(&mu, &mu).unwrap();
    assert_eq!(coupling.squared_distance(), T::zero());
    assert!(
        coupling
            .plan()
            .iter()
            .all(|&(i, j, c)| i == j && c == mu.weight(i))
    );
    assert_eq!(transport::w1(&mu, &mu).unwrap().distance(), T::zero());
}

#[test]
fn identity_in_both_precisions() {
    identity_has_distance_zero::<f32>();
    identity_has_distance_zero::<f64>();
}

#[test]
fn single_precision_points_are_coupled_in_double() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let points: Vec<f32> = cube(&mut rng, 800).into_iter().map(|x| x as f32).collect();
    let (x, y) = points.split_at(400);
    let single =
        |x: &[f32]| EmpiricalMeasure::uniform(DMatrix::from_column_slice(4, 100, x)).unwrap();
    let double = |x: &[f32]| uniform(4, x.iter().map(|&x| f64::from(x)).collect());
    let coupling = transport::w2(&single(x), &single(y)).unwrap();
    let reference = transport::w2(&double(x), &double(y)).unwrap();
    assert_eq!(
        coupling.squared_distance(),
        reference.squared_distance() as f32
    );
    let plan: Vec<_> = coupling.plan().iter().map(|&(i, j, _)| (i, j)).collect();
    assert_eq!(
        plan,
        reference
            .plan()
            .iter()
            .map(|&(i, j, _)| (i, j))
            .collect::<Vec<_>>()
    );
}

#[test]
fn the_line_agrees_with_the_plane() {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    for p in [1.0, 1.5, 2.0, 3.0] {
        let (x, y) = (cube(&mut rng, 70), cube(&mut rng, 50));
        let flat = |x: &[f64]| uniform(2, x.iter().flat_map(|&x| [x, 0.0]).collect());
        let line = transport::wp(&uniform(1, x.clone()), &uniform(1, y.clone()), p).unwrap();
        let plane = transport::wp(&flat(&x), &flat(&y), p).unwrap();
        assert!((line.cost() - plane.cost()).abs() <= 1e-13 * line.cost());
        certify(&uniform(1, x), &uniform(1, y), &line, p);
    }
}

#[test]
fn repeated_runs_agree_bit_for_bit_on_any_thread() {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let (mu, nu) = (
        uniform(3, cube(&mut rng, 1500)),
        uniform(3, cube(&mut rng, 1200)),
    );
    let here = transport::w2(&mu, &nu).unwrap();
    let there = std::thread::scope(|scope| {
        scope
            .spawn(|| transport::w2(&mu, &nu).unwrap())
            .join()
            .unwrap()
    });
    assert_eq!(here, there);
}

#[test]
fn errors_name_what_was_found() {
    let mu = uniform(2, vec![0.0; 4]);
    let error = transport::w2(&mu, &uniform(3, vec![0.0; 3])).unwrap_err();
    assert_eq!(error, TransportError::Dimension { mu: 2, nu: 3 });
    let heavy = weighted(2, vec![0.0; 4], vec![1.0, 1.0]);
    let error = transport::w2(&mu, &heavy).unwrap_err();
    assert_eq!(error, TransportError::Mass { mu: 1.0, nu: 2.0 });
    assert_eq!(
        error.to_string(),
        "measures must have equal, finite total mass > 0, as after `normalised`, found 1 and 2"
    );
    let empty = weighted(2, vec![0.0; 4], vec![0.0, 0.0]);
    assert_eq!(
        transport::w2(&empty, &empty).unwrap_err(),
        TransportError::Mass { mu: 0.0, nu: 0.0 }
    );
    let mut broken = mu.clone();
    broken.points_mut()[3] = f64::INFINITY;
    let point = MeasureError::Point {
        particle: 1,
        coordinate: 1,
        value: f64::INFINITY,
    };
    assert_eq!(
        transport::w2(&mu, &broken).unwrap_err(),
        TransportError::Measure(point)
    );
    for p in [0.5, f64::NAN, f64::INFINITY] {
        assert!(matches!(
            transport::wp(&mu, &mu, p),
            Err(TransportError::Parameter(_))
        ));
    }
}
