//! Adversarial problems: ties, near ties, collinear and far atoms, all scales of coordinates and
//! weights, and chains of related problems for warm starts.

use std::fmt;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::checker::Atoms;

/// The property of a case that is under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Coordinates of size 1, equal weights.
    Plain,
    /// Coordinates of size 1, any weights and total masses from 1e-20 to 1e20.
    Weights,
    /// One atom at a distance of 1e6, 1e7 or 1e8.
    Far,
    /// Coordinates from subnormal to 1e300 (f32: 1e38).
    Scale,
    /// One or both clouds are far from the origin.
    Offset,
    /// Exponents of 40 and more.
    Power,
    /// `update` from the coupling of a related problem.
    Update,
}

pub const FAMILIES: [Family; 7] = [
    Family::Plain,
    Family::Weights,
    Family::Far,
    Family::Scale,
    Family::Offset,
    Family::Power,
    Family::Update,
];

/// A chain of problems: the first is solved cold, and each other by `update` from the one before.
#[derive(Clone, Debug)]
pub struct Case {
    pub family: Family,
    /// The seed of the generator, from which the case can be repeated.
    pub seed: u64,
    /// Whether the scalar is f32.
    pub single: bool,
    pub p: f64,
    pub problems: Vec<(Atoms, Atoms)>,
}

impl Case {
    /// The number of coordinates, in all: to report the smallest cases.
    pub fn size(&self) -> usize {
        let sizes = self
            .problems
            .iter()
            .map(|(mu, nu)| mu.points.len() + nu.points.len());
        sizes.sum()
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let scalar = if self.single { "f32" } else { "f64" };
        write!(
            f,
            "{:?}, seed {}, {scalar}, p = {:?}",
            self.family, self.seed, self.p
        )?;
        for (k, (mu, nu)) in self.problems.iter().enumerate() {
            let call = if k == 0 { "wp" } else { "update" };
            write!(f, "\n    {call}, d = {}:", mu.dim)?;
            for (name, atoms) in [("mu", mu), ("nu", nu)] {
                write!(
                    f,
                    "\n        {name} = {:?}, weights {:?}",
                    atoms.points, atoms.weights
                )?;
            }
        }
        Ok(())
    }
}

/// The case of a seed, with at most `limit` atoms a side.
pub fn case(family: Family, seed: u64, limit: usize) -> Case {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed ^ (family as u64) << 48);
    let single = rng.random_bool(0.25);
    let p = match family {
        Family::Power => pick(rng, &[40.0, 100.0, 182.0, 1000.0]),
        _ => pick(rng, &[1.0, 2.0, 2.0, 2.0, 3.0, 4.0, 1.5, 3.5]),
    };
    let dim = pick(rng, &[1, 1, 2, 2, 2, 3, 4, 6, 7, 8]);
    let most = pick(rng, &[2, 3, 4, 4, 6, 6, 10, 15, 40]).min(limit);
    let n = rng.random_range(1..=most);
    let m = if rng.random_bool(0.5) {
        n
    } else {
        rng.random_range(1..=most)
    };
    let (mut x, mut y) = clouds(rng, dim, n, m);
    let far = match family {
        Family::Far => true,
        _ => family == Family::Update && rng.random_bool(0.1),
    };
    if far {
        let radius = pick(rng, &[1e6, 1e7, 1e8]);
        let direction: Vec<f64> = (0..dim)
            .map(|_| radius * rng.random_range(-1.0..1.0))
            .collect();
        x[..dim].copy_from_slice(&direction);
        if rng.random_bool(0.7) {
            y[..dim].copy_from_slice(&direction);
            if rng.random_bool(0.5) {
                y[0] += rng.random_range(-1.0..1.0);
            }
        }
    }
    let scale = match family {
        Family::Scale if single => pick(rng, &[1e-45, 1e-40, 1e-30, 1e-23, 1e-8, 1e15, 1e20, 1e38]),
        Family::Scale => pick(
            rng,
            &[
                5e-324, 1e-322, 1e-310, 1e-200, 1e-165, 1e-100, 1e-7, 1e100, 1e155, 1e200, 1e300,
            ],
        ),
        Family::Power => pick(rng, &[1e-2, 0.1, 1.0, 1.0, 1.0, 10.0]),
        _ => 1.0,
    };
    // Coordinates remain below the largest of the scalar type.
    let size = x
        .iter()
        .chain(&y)
        .fold(1.0_f64, |size, z| size.max(z.abs()));
    let factor = if scale > 1e30 { scale / size } else { scale };
    x.iter_mut().chain(&mut y).for_each(|z| *z *= factor);
    if family == Family::Offset {
        let offset = pick(rng, &[10.0, 1e3, 1e6, 1e12, 1e18]);
        let both = rng.random_bool(0.6);
        let by: Vec<f64> = (0..dim)
            .map(|_| offset * rng.random_range(-1.0..1.0))
            .collect();
        translate(&mut y, &by);
        if both {
            translate(&mut x, &by);
        }
    }
    let weighted = match family {
        Family::Plain => false,
        Family::Weights => true,
        _ => rng.random_bool(0.6),
    };
    let (a, b) = if weighted {
        weights(rng, n, m, family == Family::Weights)
    } else {
        (vec![1.0 / n as f64; n], vec![1.0 / m as f64; m])
    };
    let atoms = |points: Vec<f64>, weights: Vec<f64>| {
        let mut atoms = Atoms {
            dim,
            points,
            weights,
        };
        if single {
            let numbers = atoms.points.iter_mut().chain(&mut atoms.weights);
            numbers.for_each(|z| *z = f64::from(*z as f32));
        }
        atoms
    };
    let mut problems = vec![(atoms(x.clone(), a.clone()), atoms(y.clone(), b.clone()))];
    if family == Family::Update {
        for _ in 0..pick(rng, &[1, 1, 1, 2, 3]) {
            change(rng, dim, &mut x, &mut y);
            let (mut a, mut b) = (a.clone(), b.clone());
            if n > 1 && rng.random_bool(0.1) {
                x.truncate((n - 1) * dim);
                (a, b) = (vec![1.0 / (n - 1) as f64; n - 1], vec![1.0 / m as f64; m]);
                problems.push((atoms(x.clone(), a), atoms(y.clone(), b)));
                break;
            }
            match rng.random_range(0..6) {
                0 => (a, b) = weights(rng, n, m, false),
                1 => (a, b) = (vec![1.0 / n as f64; n], vec![1.0 / m as f64; m]),
                _ => {}
            }
            problems.push((atoms(x.clone(), a), atoms(y.clone(), b)));
        }
    }
    Case {
        family,
        seed,
        single,
        p,
        problems,
    }
}

/// Weighted clouds in the plane with one atom at a distance of `radius` in both.
pub fn large(seed: u64, atoms: usize, radius: f64) -> Case {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let direction = [rng.random_range(0.5..1.0), rng.random_range(-1.0..1.0)];
    let mut cloud = || -> Vec<f64> {
        let mut x: Vec<f64> = (0..2 * atoms)
            .map(|_| rng.random_range(-1.0..1.0))
            .collect();
        x[0] = radius * direction[0] + seed as f64;
        x[1] = radius * direction[1];
        x
    };
    let (x, y) = (cloud(), cloud());
    // The far atoms have the same weight, so that the optimal plan leaves them in place.
    let mut side = |points| {
        let mut weights: Vec<f64> = (0..atoms).map(|_| rng.random_range(0.1..1.0)).collect();
        let share = 1.0 / atoms as f64;
        let others = (1.0 - share) / weights[1..].iter().sum::<f64>();
        weights[1..].iter_mut().for_each(|c| *c *= others);
        weights[0] = share;
        Atoms {
            dim: 2,
            points,
            weights,
        }
    };
    Case {
        family: Family::Far,
        seed,
        single: false,
        p: 2.0,
        problems: vec![(side(x), side(y))],
    }
}

/// Small problems that are difficult for a solver: extreme scales and powers, warm starts that do
/// not fit.
pub fn known() -> Vec<Case> {
    let atoms = |dim: usize, points: &[f64], weights: &[f64]| {
        let n = points.len() / dim;
        let weights = match weights.is_empty() {
            true => vec![1.0 / n as f64; n],
            false => weights.to_vec(),
        };
        Atoms {
            dim,
            points: points.to_vec(),
            weights,
        }
    };
    let mut cases = Vec::new();
    let mut add = |family, single, p, problems: &[(Atoms, Atoms)]| {
        cases.push(Case {
            family,
            seed: cases.len() as u64,
            single,
            p,
            problems: problems.to_vec(),
        });
    };
    // One atom each, on the line: the distance is |x - y|.
    for (p, x, y) in [
        (2.0, 1e200, -4e199),
        (2.0, 1e300, -1e300),
        (2.0, 5e-324, 0.0),
        (1.0, -8e-165, -9.7e-164),
        (4.0, 7.72e-311, 8.29e-311),
        (182.0, 10.0, -51.0),
        (182.0, -0.0078, -0.0039),
        (182.0, -0.0232, 0.0),
        (900.0, 0.0, 0.4),
        (1000.0, 0.01, -0.035),
    ] {
        let family = if p > 10.0 {
            Family::Power
        } else {
            Family::Scale
        };
        add(
            family,
            false,
            p,
            &[(atoms(1, &[x], &[]), atoms(1, &[y], &[]))],
        );
    }
    for (p, x, y) in [
        (4.0, 3.0, -9.735e17),
        (1.5, 1e-45, 0.0),
        (2.0, 3e38, -3e38),
        (3.0, 1.9e-14, 0.0),
    ] {
        let single = |x: f64| atoms(1, &[f64::from(x as f32)], &[]);
        add(Family::Scale, true, p, &[(single(x), single(y))]);
    }
    // Atoms against the origin: (54^182 + 3^182 + 2^182 + 1) / 4 is the power of the distance.
    let line = (
        atoms(1, &[1.0, 2.0, 3.0, 54.0], &[]),
        atoms(1, &[0.0; 4], &[]),
    );
    add(Family::Power, false, 182.0, &[line]);
    // The mass of 1e-20 has few quanta, and moves far.
    let far = (
        atoms(1, &[0.0, 1e12], &[1.0, 1e-20]),
        atoms(1, &[0.0, -1e12], &[1.0, 1e-20]),
    );
    add(Family::Weights, false, 2.0, &[far]);
    // In the plane: subnormal coordinates, and a power whose costs underflow.
    let point = atoms(2, &[-4.3375873547144e-311, -3.5332778689e-313], &[]);
    add(Family::Scale, false, 3.5, &[(point.clone(), point)]);
    let two = [-0.0025, 0.0012, 0.0067, 0.0019];
    let swapped = [0.0067, 0.0019, -0.0025, 0.0012];
    let weighted = (
        atoms(2, &two, &[0.625, 0.375]),
        atoms(2, &swapped, &[0.5, 0.5]),
    );
    add(Family::Power, false, 1000.0, &[weighted]);
    // A warm start from clouds of ten times the size.
    let times = |scale: f64| {
        let x = [0.4678146122969012 * scale, -0.5566669151883707 * scale];
        let y = [
            0.46782334719611185 * scale,
            -0.5566653512136508 * scale,
            0.4678151256983128 * scale,
            -0.5566674320777678 * scale,
        ];
        (atoms(2, &x, &[]), atoms(2, &y, &[]))
    };
    for scale in [0.1, 10.0, 1e-7, 1e-200, 1e200] {
        add(Family::Update, false, 2.0, &[times(1.0), times(scale)]);
    }
    // A plan with one entry a row that is not a permutation is not a start for an assignment.
    let square = [0.0, 0.0, 1.0, 0.0];
    let other = [0.0, 1.0, 1.0, 2.0];
    let first = (atoms(2, &square, &[]), atoms(2, &other, &[1.0, 0.0]));
    let second = (atoms(2, &square, &[]), atoms(2, &other, &[]));
    add(Family::Update, false, 2.0, &[first, second]);
    cases
}

fn pick<T: Copy>(rng: &mut impl Rng, choices: &[T]) -> T {
    choices[rng.random_range(0..choices.len())]
}

fn translate(points: &mut [f64], by: &[f64]) {
    for x in points.chunks_exact_mut(by.len()) {
        x.iter_mut().zip(by).for_each(|(x, by)| *x += by);
    }
}

/// Two clouds of size about 1 to 10.
fn clouds(rng: &mut ChaCha8Rng, dim: usize, n: usize, m: usize) -> (Vec<f64>, Vec<f64>) {
    let style = rng.random_range(0..9);
    let step = 10.0_f64.powf(rng.random_range(-12.0..-3.0));
    let axis: Vec<f64> = (0..dim).map(|_| rng.random_range(-1.0..1.0)).collect();
    let few: Vec<f64> = (0..3 * dim).map(|_| rng.random_range(-1.0..1.0)).collect();
    let cloud = |rng: &mut ChaCha8Rng, atoms: usize| -> Vec<f64> {
        let random = |rng: &mut ChaCha8Rng| -> Vec<f64> {
            (0..dim).map(|_| rng.random_range(-1.0..1.0)).collect()
        };
        let mut points = Vec::new();
        for _ in 0..atoms {
            let point: Vec<f64> = match style {
                0 | 1 => random(rng),
                // Ties, on a small and on a large grid.
                2 => random(rng).iter().map(|x| (3.0 * x).round()).collect(),
                3 => random(rng).iter().map(|x| (100.0 * x).round()).collect(),
                // Duplicates and near-duplicates.
                4 | 5 => {
                    let k = rng.random_range(0..3);
                    let noise = if style == 5 { step } else { 0.0 };
                    let base = few[k * dim..][..dim].iter().zip(random(rng));
                    base.map(|(x, z)| x + noise * z).collect()
                }
                // Collinear.
                6 => {
                    let t = (5.0 * rng.random_range(-1.0_f64..1.0)).round();
                    axis.iter().map(|x| t * x).collect()
                }
                // One point.
                7 => few[..dim].to_vec(),
                // Clusters of different sizes.
                _ => {
                    let size = pick(rng, &[1e-6, 1e-3, 1.0]);
                    random(rng).iter().map(|x| size * x).collect()
                }
            };
            points.extend(point);
        }
        points
    };
    let x = cloud(rng, n);
    let mut y = cloud(rng, m);
    // The other cloud in another order, with or without noise.
    if rng.random_bool(0.15) {
        let noise = pick(rng, &[0.0, step]);
        for (k, y) in y.chunks_exact_mut(dim).enumerate() {
            let i = n - 1 - k % n;
            for (y, x) in y.iter_mut().zip(&x[i * dim..]) {
                *y = x + noise * rng.random_range(-1.0..1.0);
            }
        }
    }
    (x, y)
}

/// Weights of equal total mass, up to rounding.
fn weights(rng: &mut ChaCha8Rng, n: usize, m: usize, all: bool) -> (Vec<f64>, Vec<f64>) {
    let style = rng.random_range(0..if all { 6 } else { 3 });
    let mut side = |atoms: usize| -> Vec<f64> {
        let mut weight = || match style {
            0 | 1 => rng.random_range(0.0..1.0),
            2 => f64::from(rng.random_range(1..4)),
            3 => 10.0_f64.powf(rng.random_range(-20.0..0.0)),
            4 => 1.0 + f64::EPSILON * f64::from(rng.random_range(0..2)),
            _ => 1.0,
        };
        let mut c: Vec<f64> = (0..atoms).map(|_| weight()).collect();
        for c in &mut c[1..] {
            if rng.random_bool(0.1) {
                *c = 0.0;
            }
        }
        c
    };
    let (mut a, mut b) = (side(n), side(m));
    let mass = match all {
        true => pick(rng, &[1.0, 1.0, 3.0, 1e-20, 1e-8, 1e8, 1e20]),
        false => 1.0,
    };
    for c in [&mut a, &mut b] {
        let sum: f64 = c.iter().sum();
        c.iter_mut().for_each(|c| *c *= mass / sum);
    }
    (a, b)
}

/// A related problem: moved, shrunk, grown, translated or collapsed clouds.
fn change(rng: &mut ChaCha8Rng, dim: usize, x: &mut [f64], y: &mut [f64]) {
    let mut by = |size: f64| -> Vec<f64> {
        (0..dim)
            .map(|_| size * rng.random_range(-1.0..1.0))
            .collect()
    };
    let (step, small, large) = (by(0.1), by(1e-9), by(1e3));
    let kind = rng.random_range(0..11);
    let scale = [0.1, 1e-7, 1e-30, 10.0, 1e5];
    match kind {
        0..=4 => x.iter_mut().chain(y).for_each(|z| *z *= scale[kind]),
        5 => translate(y, &large),
        6 => {
            translate(x, &large);
            translate(y, &large);
        }
        7 => x
            .iter_mut()
            .for_each(|x| *x += step[0] * rng.random_range(-1.0..1.0)),
        8 => translate(x, &small),
        9 => x.fill(step[0]),
        _ => x.iter_mut().chain(y).for_each(|z| *z = -*z),
    }
}
