//! Laws of distances as energies, of margins, and of functions of a measure.

use wasserflow::law_tests;
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::optimality::{certify, f1_margin, f2_margin};
use wasserflow::prelude::*;
use wasserflow::testing::{Case, Failure, Violation, strategies};
use wasserflow::transport::{
    HellingerKantorovichEnergy, SinkhornEnergy, SlicedW2Energy, W2Energy, gaussian_w2_squared,
};

/// Requires `error <= tolerance`; NaN is a violation.
pub fn within(
    law: &'static str,
    error: f64,
    tolerance: f64,
    at: impl std::fmt::Debug,
) -> Result<(), Violation> {
    let failure = Failure::Inexact { error, tolerance };
    let at = format!("{at:?}");
    if error <= tolerance {
        Ok(())
    } else {
        Err(Violation { law, failure, at })
    }
}

pub fn f64_of<T: Real>(x: T) -> f64 {
    x.to_f64().unwrap()
}

/// The machine epsilon.
pub fn eps<T: Real>() -> f64 {
    f64_of(T::default_epsilon())
}

/// A measure of mass 1.
fn unit<T: Real>(case: Case, stream: u64, m: usize) -> EmpiricalMeasure<T> {
    let mu: EmpiricalMeasure<T> = case.rng(stream).measure(case.d, m);
    mu.normalised().unwrap()
}

/// Equal measures of equal weights, for the sliced distance.
fn uniform<T: Real>(case: Case, stream: u64, m: usize) -> EmpiricalMeasure<T> {
    EmpiricalMeasure::uniform(case.rng(stream).matrix(case.d, m)).unwrap()
}

/// The measure in the reverse order, with its first particle split into two of half the weight.
pub fn split<T: Real>(mu: &EmpiricalMeasure<T>) -> EmpiricalMeasure<T> {
    let m = mu.len();
    let order = (1..m).rev().chain([0, 0]);
    let (mut points, mut weights) = (Vec::new(), Vec::new());
    for i in order {
        points.extend_from_slice(mu.particle(i));
        weights.push(mu.weight(i) * real(if i == 0 { 0.5 } else { 1.0 }));
    }
    let points = DMatrix::from_vec(mu.dim(), m + 1, points);
    EmpiricalMeasure::weighted(points, DVector::from_vec(weights)).unwrap()
}

/// `mu` moved by h.
fn moved<T: Real>(mu: &EmpiricalMeasure<T>, h: &DMatrix<T>) -> EmpiricalMeasure<T> {
    let mut nu = mu.clone();
    nu.displace(T::one(), h);
    nu
}

/// A size of squared distances: coordinates are in `[-2, 2]`.
fn size(case: Case) -> f64 {
    16.0 * case.d as f64
}

/// The laws of half a squared distance of measures of mass 1, `make(nu)` with the target nu, whose
/// values have the relative accuracy `accuracy`:
/// F >= 0, F = 0 at the target, symmetry, functions of the measure, and `v = -grad F` up to terms of
/// second order: `F(mu + h) <= F(mu) - <v, h> + |h|^2 / 2` (semiconcavity).
fn check_distance<T: Real, E: Energy<T>>(
    make: impl Fn(EmpiricalMeasure<T>) -> E,
    [mu, nu]: [EmpiricalMeasure<T>; 2],
    accuracy: f64,
    case: Case,
) -> Result<(), Violation> {
    let value = |target: &EmpiricalMeasure<T>, mu: &EmpiricalMeasure<T>| {
        f64_of(make(target.clone()).value(mu))
    };
    let tolerance = accuracy * size(case);
    let found = value(&nu, &mu);
    within("F >= 0", -found, 0.0, case)?;
    within("F(nu) = 0", value(&nu, &nu).abs(), tolerance, case)?;
    within("symmetry", (found - value(&mu, &nu)).abs(), tolerance, case)?;
    let law = "F is a function of the measure";
    within(
        law,
        (found - value(&nu, &split(&mu))).abs(),
        tolerance,
        case,
    )?;
    let mut v = mu.points().clone();
    let same = f64_of(make(nu.clone()).velocity(&mu, &mut v));
    within("velocity returns F", (found - same).abs(), tolerance, case)?;
    let direction: DMatrix<T> = case.rng(7).matrix(case.d, mu.len());
    for scale in [1.0, 0.01, -0.01] {
        let h = &direction * real::<T>(scale);
        let (mut slope, mut square) = (0.0, 0.0);
        for i in 0..mu.len() {
            let c = f64_of(mu.weight(i));
            for l in 0..case.d {
                let (v, h) = (f64_of(v[(l, i)]), f64_of(h[(l, i)]));
                slope -= c * v * h;
                square += c * h * h;
            }
        }
        let excess = value(&nu, &moved(&mu, &h)) - (found + slope + 0.5 * square);
        within(
            "F(mu + h) <= F(mu) - <v, h> + |h|^2 / 2",
            excess,
            tolerance,
            case,
        )?;
    }
    Ok(())
}

law_tests!(w2, strategies::cases(), case => {
    let measures = [unit::<T>(case, 1, case.m), unit(case, 2, 4)];
    check_distance(|nu| W2Energy::new(nu).unwrap(), measures, 64.0 * eps::<T>(), case)
});
law_tests!(sliced_w2, strategies::cases(), case => {
    let measures = [unit::<T>(case, 1, case.m), unit(case, 2, 4)];
    let make = |nu| SlicedW2Energy::new(nu, 5, 3).unwrap();
    check_distance(make, measures, 64.0 * eps::<T>(), case)
});
law_tests!(sinkhorn, strategies::cases(), case => {
    let case = Case { m: case.m.min(5), ..case };
    let measures = [uniform::<T>(case, 1, case.m), uniform(case, 2, 3)];
    let make = |nu| SinkhornEnergy::half_square(nu, real::<T>(0.5)).unwrap();
    let value = |target: &EmpiricalMeasure<T>, mu: &EmpiricalMeasure<T>| {
        f64_of(make(target.clone()).value(mu))
    };
    let [mu, nu] = &measures;
    let tolerance = (1e-5 + 256.0 * eps::<T>()) * size(case);
    let found = value(nu, mu);
    within("F >= 0", -found, 0.0, case)?;
    within("F(nu) = 0", value(nu, nu).abs(), tolerance, case)?;
    within("symmetry", (found - value(mu, nu)).abs(), tolerance, case)?;
    within("F of a measure", (found - value(nu, &split(mu))).abs(), tolerance, case)
});

/// Laws of half the squared Hellinger-Kantorovich distance or its Gaussian variant.
fn check_unbalanced<T: Real>(gaussian: bool, case: Case) -> Result<(), Violation> {
    let make = |nu: &EmpiricalMeasure<T>| match gaussian {
        true => HellingerKantorovichEnergy::gaussian(nu.clone()).unwrap(),
        false => HellingerKantorovichEnergy::new(nu.clone()).unwrap(),
    };
    let mu: EmpiricalMeasure<T> = case.rng(1).measure(case.d, case.m);
    let nu: EmpiricalMeasure<T> = case.rng(2).measure(case.d, 4);
    let rho: EmpiricalMeasure<T> = case.rng(3).measure(case.d, 3);
    let value = |nu: &EmpiricalMeasure<T>, mu: &EmpiricalMeasure<T>| f64_of(make(nu).value(mu));
    let tolerance = 1e-12 + 64.0 * eps::<T>();
    let found = value(&nu, &mu);
    within("F >= 0", -found, 0.0, case)?;
    within("F(nu) = 0", value(&nu, &nu), tolerance, case)?;
    within("symmetry", (found - value(&mu, &nu)).abs(), tolerance, case)?;
    within(
        "F of a measure",
        (found - value(&nu, &split(&mu))).abs(),
        tolerance,
        case,
    )?;
    let bound = 0.5 * (f64_of(mu.mass()) + f64_of(nu.mass()));
    within("2 F <= M + M'", found - bound, tolerance, case)?;
    let scaled = |mu: &EmpiricalMeasure<T>| {
        let mut mu = mu.clone();
        mu.weights_mut().iter_mut().for_each(|c| *c *= real(4.0));
        mu
    };
    let error = (value(&scaled(&nu), &scaled(&mu)) - 4.0 * found).abs();
    within("F(s mu, s nu) = s F(mu, nu)", error, 4.0 * tolerance, case)?;
    if !gaussian {
        let [a, b, c] =
            [(&nu, &mu), (&rho, &mu), (&nu, &rho)].map(|(nu, mu)| (2.0 * value(nu, mu)).sqrt());
        within(
            "triangle inequality",
            a - b - c,
            1e-6 + tolerance.sqrt(),
            case,
        )?;
    }
    // Convexity: F(rho) >= F(mu) + int F'(mu) d(rho - mu).
    let mut energy = make(&nu);
    let at = |points: &DMatrix<T>| (vec![T::zero(); points.ncols()], points.clone());
    let (mut own, mut descent) = at(mu.points());
    energy.first_variation(&mu, mu.points(), &mut own, &mut descent);
    let (mut other, mut descent) = at(rho.points());
    energy.first_variation(&mu, rho.points(), &mut other, &mut descent);
    let integral = |mu: &EmpiricalMeasure<T>, f: &[T]| -> f64 {
        let terms = mu.weights().iter().zip(f).filter(|(c, _)| **c > T::zero());
        terms.map(|(&c, &f)| f64_of(c) * f64_of(f)).sum()
    };
    let (own, other) = (integral(&mu, &own), integral(&rho, &other));
    if own.is_finite() && other.is_finite() {
        let scale = 1.0 + own.abs() + other.abs();
        let excess = found + other - own - value(&nu, &rho);
        let law = "F(rho) >= F(mu) + int F'(mu) d(rho - mu)";
        within(law, excess, (1e-7 + 64.0 * eps::<T>()) * scale, case)?;
    }
    Ok(())
}

law_tests!(hellinger_kantorovich, strategies::cases(), case => check_unbalanced::<T>(false, case));
law_tests!(gaussian_hellinger_kantorovich, strategies::cases(), case => {
    check_unbalanced::<T>(true, case)
});

// Bures: a metric, and the closed form of commuting covariances.
law_tests!(bures, strategies::cases(), case => {
    let d = case.d;
    let mut rng = case.rng(4);
    let mut law = || -> (DVector<T>, DMatrix<T>) {
        let root: DMatrix<T> = rng.matrix(d, d);
        (DVector::from_vec(rng.coordinates(d)), &root * root.transpose())
    };
    let laws = [law(), law(), law()];
    let square = |i: usize, j: usize| {
        let [(a, cov_a), (b, cov_b)] = [&laws[i], &laws[j]];
        f64_of(gaussian_w2_squared((a, cov_a), (b, cov_b)).unwrap())
    };
    let size = 16.0 * (d * d) as f64;
    let tolerance = 8.0 * eps::<T>().sqrt() * size;
    let means = f64_of((&laws[0].0 - &laws[1].0).norm_squared());
    within("W2^2 >= |a - b|^2", means - square(0, 1), tolerance, case)?;
    within("symmetry", (square(0, 1) - square(1, 0)).abs(), tolerance, case)?;
    within("W2 = 0 of equal laws", square(0, 0), tolerance, case)?;
    let [a, b, c] = [(0, 1), (0, 2), (2, 1)].map(|(i, j)| square(i, j).sqrt());
    within("triangle inequality", a - b - c, 4.0 * tolerance.sqrt(), case)?;
    let traces = f64_of(laws[0].1.trace()).sqrt() - f64_of(laws[1].1.trace()).sqrt();
    let law = "W2^2 >= |a - b|^2 + (tr^(1/2) - tr^(1/2))^2";
    within(law, means + traces * traces - square(0, 1), tolerance, case)?;
    let roots: [DVector<T>; 2] = [5, 6].map(|stream| {
        DVector::from_vec(case.rng(stream).coordinates(d)).abs()
    });
    let diagonal = |root: &DVector<T>| DMatrix::from_diagonal(&root.component_mul(root));
    let zero = DVector::zeros(d);
    let parts = [(&zero, &diagonal(&roots[0])), (&zero, &diagonal(&roots[1]))];
    let found = f64_of(gaussian_w2_squared(parts[0], parts[1]).unwrap());
    let exact = f64_of((&roots[0] - &roots[1]).norm_squared());
    within("of diagonal covariances", (found - exact).abs(), tolerance, case)
});

// The entropy by nearest neighbours: similarities, order of the particles.
law_tests!(knn_entropy, strategies::cases(), case => {
    let (d, m) = (case.d, case.m + 2);
    let points = case.rng(5).matrix::<T>(d, m) + case.rng(6).matrix::<T>(d, m) * real::<T>(0.125);
    let k = 1 + case.k % (m - 1);
    let entropy = |points: DMatrix<T>| {
        f64_of(measure::knn_entropy(&EmpiricalMeasure::uniform(points).unwrap(), k).unwrap())
    };
    let found = entropy(points.clone());
    if found == f64::NEG_INFINITY {
        return Ok(());
    }
    let tolerance = 64.0 * eps::<T>() * (d * m) as f64 * (1.0 + found.abs());
    let scaled = entropy(&points * real::<T>(8.0)) - d as f64 * 8.0_f64.ln();
    within("H(s x) = H(x) + p log s", (scaled - found).abs(), tolerance, case)?;
    let rotated = DMatrix::from_fn(d, m, |l, i| points[(d - 1 - l, m - 1 - i)]);
    within("order and isometries", (entropy(rotated) - found).abs(), tolerance, case)
});

// The largest angle to the nearest direction: scales, isometries, additional particles.
law_tests!(separation, strategies::cases(), case => {
    let d = 2 + case.d % 2;
    let points = case.rng(5).matrix::<T>(d, case.m);
    let of = |points: &DMatrix<T>| {
        init::separation(&EmpiricalMeasure::uniform(points.clone()).unwrap())
    };
    let Ok(found) = of(&points) else {
        return Ok(()); // a particle at 0
    };
    let (found, tolerance) = (f64_of(found), 64.0 * eps::<T>() + 1e-7);
    let half_turn = std::f64::consts::PI;
    within("0 <= angle <= pi", (-found).max(found - half_turn), tolerance, case)?;
    let mut other = points.clone();
    for mut w in other.column_iter_mut() {
        w.swap_rows(0, 1);
        w *= -real::<T>(4.0);
    }
    let same = f64_of(of(&other).unwrap());
    within("scales and isometries", (same - found).abs(), tolerance, case)?;
    let mut more = points.clone().insert_column(case.m, real::<T>(0.0));
    let direction: Vec<T> = case.rng(6).direction(d);
    more.column_mut(case.m).copy_from_slice(&direction);
    match of(&more) {
        Ok(less) => within("fewer directions are farther", f64_of(less) - found, tolerance, case),
        Err(_) => Ok(()),
    }
});

// Margins are at most their bounds, which hold for every other network.
law_tests!(margins, strategies::cases(), case => {
    let map = Ridge::new(Relu, case.d);
    let (x, y) = (case.inputs::<T>(), case.signs::<T>());
    let y = DVector::from_iterator(case.n, (0..case.n).map(|j| y[(0, j)]));
    let of = |stream: u64| {
        let mu: EmpiricalMeasure<T> = case.rng(stream).measure(1 + case.d, case.m);
        let one = f1_margin(&map, &mu, &x, &y, None).unwrap();
        let two = f2_margin(&map, &mu, &x, &y, None).unwrap();
        (mu, one, two)
    };
    let (mu, one, two) = of(8);
    let (_, other, _) = of(9);
    within("value <= bound (F1)", one.value() - one.bound(), 0.0, case)?;
    within("value <= bound (F2)", two.value() - two.bound(), 0.0, case)?;
    within("the bound holds for other networks", other.value() - one.bound(), 0.0, case)?;
    within("and theirs for this one", one.value() - other.bound(), 0.0, case)?;
    let equal = vec![real::<T>(1.0); case.n];
    let dual = f1_margin(&map, &mu, &x, &y, Some(&equal)).unwrap();
    within("for all dual weights", one.value() - dual.bound(), 0.0, case)?;
    // F1 does not depend on the scale of the weights, F2 on that of the output weights.
    let mut scaled = mu.clone();
    scaled.weights_mut().iter_mut().for_each(|c| *c *= real::<T>(4.0));
    let found = f1_margin(&map, &scaled, &x, &y, None).unwrap().value();
    let tolerance = 1e-13 * (1.0 + one.value().abs());
    within("F1 of the scaled measure", (found - one.value()).abs(), tolerance, case)
});

/// The path of certified minima: the zero network is one from `lambda_max` on, and F* and the norm are
/// monotone in lambda.
#[test]
fn path_of_total_variation() {
    strategies::assert_law(strategies::cases(), path_law);
}

fn path_law(case: Case) -> Result<(), Violation> {
    let case = Case {
        n: case.n.min(8),
        d: case.d.min(2),
        ..case
    };
    let energy = |lambda: f64| {
        let (x, y) = (case.inputs::<f64>(), case.targets::<f64>());
        let y = DMatrix::from_fn(1, case.n, |_, j| y[(0, j)]);
        let risk = EmpiricalRisk::with_outputs(Square, x, y).unwrap();
        let energy = MeanFieldRisk::new(Ridge::new(Relu, case.d), risk).unwrap();
        energy.regularized(WeightDecay::new(lambda).unwrap())
    };
    let zero = EmpiricalMeasure::uniform(DMatrix::zeros(1 + case.d, 1)).unwrap();
    let (lower, upper) = certify(&mut energy(1.0), &zero).maximum_bounds().unwrap();
    if lower < 1e-3 {
        return Ok(());
    }
    let above = certify(&mut energy(0.5 * upper * (1.0 + 1e-8)), &zero);
    let found = f64::from(u8::from(above.escape().is_some()));
    within("no atom is missing above lambda_max", found, 0.0, case)?;
    within("the gap is 0", above.gap(), 1e-10 * above.energy(), case)?;
    let (mut last, mut norm) = (above.energy(), 0.0);
    for share in [0.5, 0.25] {
        let mut energy = energy(0.5 * lower * share);
        let mut mu = zero.clone();
        let run = sparse::FrankWolfe::Corrective
            .run(&mut energy, &mut mu, 1e-7, 200)
            .unwrap();
        let (value, gap) = (run.1.energy(), run.1.gap());
        within("a certified gap", gap, 1e-6, case)?;
        within("F* increases with lambda", value - last, gap + 1e-9, case)?;
        let own = 0.5 * mu.second_moment();
        // Minima are unique only up to their gaps over the difference of lambda.
        let tolerance = 4.0 * (gap + 1e-7) / (lower * share);
        within(
            "the norm decreases with lambda",
            norm - own,
            tolerance,
            case,
        )?;
        (last, norm) = (value, own);
    }
    Ok(())
}

/// A distance with one mistake.
struct Wrong(W2Energy<f64>, &'static str);

impl Energy<f64> for Wrong {
    fn particle_dim(&self) -> usize {
        self.0.particle_dim()
    }
    fn value(&mut self, mu: &EmpiricalMeasure<f64>) -> f64 {
        let value = self.0.value(mu);
        match self.1 {
            "offset" => value + 1e-3,
            "asymmetric" => value * (1.0 + 0.01 * mu.second_moment()),
            "particles" => value * (1.0 + 0.01 * mu.len() as f64),
            _ => value,
        }
    }
    fn velocity(&mut self, mu: &EmpiricalMeasure<f64>, out: &mut DMatrix<f64>) -> f64 {
        let value = self.0.velocity(mu, out);
        *out *= if self.1 == "velocity" { 1.1 } else { 1.0 };
        match self.1 {
            "velocity" | "none" => value,
            _ => self.value(mu),
        }
    }
}

#[test]
fn mistakes_of_a_distance_are_detected() {
    let case = Case {
        n: 1,
        m: 5,
        d: 2,
        k: 1,
        seed: 3,
    };
    let law = |wrong: &'static str| {
        let measures = [unit::<f64>(case, 1, 5), unit(case, 2, 4)];
        let make = |nu| Wrong(W2Energy::new(nu).unwrap(), wrong);
        check_distance(make, measures, 1e-13, case).map_err(|violation| violation.law)
    };
    assert_eq!(law("none"), Ok(()));
    assert_eq!(law("offset"), Err("F(nu) = 0"));
    assert_eq!(law("asymmetric"), Err("symmetry"));
    assert!(law("particles").is_err());
    assert_eq!(
        law("velocity"),
        Err("F(mu + h) <= F(mu) - <v, h> + |h|^2 / 2")
    );
}
