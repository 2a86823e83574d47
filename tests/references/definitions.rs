//! Energies and velocities against an independent reference in `f64`: the definitions in nested
//! loops, without code of the crate. Scalar functions are also compared with a table computed with
//! 60 digits.

use std::collections::BTreeSet;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;

// ---- the reference ----

const ACTIVATIONS: [&str; 14] = [
    "relu",
    "leaky_relu",
    "relu_power_1",
    "relu_power_2",
    "relu_power_3",
    "abs",
    "identity",
    "softplus",
    "tanh",
    "sigmoid",
    "erf",
    "gelu",
    "silu",
    "sine",
];
const LOSSES: [&str; 8] = [
    "square",
    "logistic",
    "huber",
    "exponential",
    "hinge",
    "smooth_hinge",
    "quantile",
    "softmax",
];

/// `erf` by its Maclaurin series, or by the continued fraction of `erfc` where that converges fast.
fn erf(u: f64) -> f64 {
    let z = u.abs();
    let value = if z < 2.5 {
        let (mut term, mut sum) = (z, z);
        for k in 1..80 {
            let k = f64::from(k);
            term *= -z * z / k;
            sum += term / (2.0 * k + 1.0);
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    } else {
        let mut fraction = 0.0;
        for k in (1..120).rev() {
            fraction = 0.5 * f64::from(k) / (z + fraction);
        }
        1.0 - (-z * z).exp() / std::f64::consts::PI.sqrt() / (z + fraction)
    };
    value * u.signum()
}

/// `(sigma(u), sigma'(u))`.
fn sigma(name: &str, u: f64) -> (f64, f64) {
    let step = if u > 0.0 { 1.0 } else { 0.0 };
    let s = 1.0 / (1.0 + (-u).exp());
    let cdf = 0.5 * (1.0 + erf(u / 2.0_f64.sqrt()));
    match name {
        "relu" | "relu_power_1" => (step * u, step),
        "leaky_relu" => (u * (0.125 + 0.875 * step), 0.125 + 0.875 * step),
        "relu_power_2" => (step * u * u, step * 2.0 * u),
        "relu_power_3" => (step * u * u * u, step * 3.0 * u * u),
        "abs" => (u * (2.0 * step - 1.0), 2.0 * step - 1.0),
        "identity" => (u, 1.0),
        "softplus" => ((1.0 + u.exp()).ln(), s),
        "tanh" => (u.sinh() / u.cosh(), 1.0 / u.cosh().powi(2)),
        "sigmoid" => (s, s * s * (-u).exp()),
        "erf" => (erf(u), 2.0 / std::f64::consts::PI.sqrt() * (-u * u).exp()),
        "gelu" => (
            u * cdf,
            cdf + u * (-u * u / 2.0).exp() / std::f64::consts::TAU.sqrt(),
        ),
        "silu" => (u * s, s + u * s * s * (-u).exp()),
        "sine" => (u.sin(), u.cos()),
        _ => unreachable!("{name}"),
    }
}

/// `(l(y, h), dl/dh)`.
fn loss(name: &str, y: f64, h: f64) -> (f64, f64) {
    let (r, z) = (h - y, 1.0 - y * h);
    match name {
        "square" => (r * r / 2.0, r),
        "huber" if r.abs() <= 0.75 => (r * r / 2.0, r),
        "huber" => (0.75 * r.abs() - 0.75 * 0.75 / 2.0, 0.75 * r.signum()),
        "quantile" if r > 0.0 => (0.75 * r, 0.75),
        "quantile" => (-0.25 * r, -0.25),
        "logistic" => ((1.0 + (-y * h).exp()).ln(), -y / (1.0 + (y * h).exp())),
        "exponential" => ((-y * h).exp(), -y * (-y * h).exp()),
        "hinge" | "smooth_hinge" if z <= 0.0 => (0.0, 0.0),
        "hinge" => (z, -y),
        "smooth_hinge" if z <= 0.5 => (z * z, -2.0 * y * z),
        "smooth_hinge" => (z - 0.25, -y),
        _ => unreachable!("{name}"),
    }
}

/// A problem whose numbers are exact in `f32`.
struct Problem {
    activation: &'static str,
    loss: &'static str,
    radial: bool,
    k: usize,
    d: usize,
    n: usize,
    m: usize,
    x: Vec<f64>,
    /// `k x n`; for softmax the classes, one a sample.
    y: Vec<f64>,
    /// Weights of the samples; `None` for `1/n`.
    c: Option<Vec<f64>>,
    w: Vec<f64>,
    weights: Vec<f64>,
    lambda: f64,
}

impl Problem {
    fn particle(&self, i: usize) -> &[f64] {
        &self.w[i * (self.k + self.d)..][..self.k + self.d]
    }

    fn sample(&self, j: usize) -> &[f64] {
        &self.x[j * self.d..][..self.d]
    }

    fn sample_weight(&self, j: usize) -> f64 {
        self.c.as_ref().map_or(1.0 / self.n as f64, |c| c[j])
    }

    /// The neuron without its output weights, `f(b)`, and `grad_b f`.
    fn neuron(&self, b: &[f64], x: &[f64]) -> (f64, Vec<f64>) {
        let product: f64 = b.iter().zip(x).map(|(b, x)| b * x).sum();
        if !self.radial {
            let (s, ds) = sigma(self.activation, product);
            return (s, x.iter().map(|x| ds * x).collect());
        }
        let r = b.iter().map(|b| b * b).sum::<f64>().sqrt();
        if r == 0.0 {
            return (0.0, vec![0.0; x.len()]);
        }
        // |b| sigma(e.x), de/db = (I - e e^T) / |b|.
        let e: Vec<f64> = b.iter().map(|b| b / r).collect();
        let u = product / r;
        let (s, ds) = sigma(self.activation, u);
        (
            r * s,
            e.iter()
                .zip(x)
                .map(|(e, x)| s * e + ds * (x - u * e))
                .collect(),
        )
    }

    fn predictions(&self) -> Vec<f64> {
        let mut h = vec![0.0; self.k * self.n];
        for j in 0..self.n {
            for i in 0..self.m {
                let (a, b) = self.particle(i).split_at(self.k);
                let (f, _) = self.neuron(b, self.sample(j));
                for l in 0..self.k {
                    h[j * self.k + l] += self.weights[i] * a[l] * f;
                }
            }
        }
        h
    }

    /// `(R(h), grad R(h))`.
    fn risk(&self, h: &[f64]) -> (f64, Vec<f64>) {
        let (mut value, mut gradient) = (0.0, vec![0.0; h.len()]);
        for j in 0..self.n {
            let c = self.sample_weight(j);
            if self.loss == "softmax" {
                let h = &h[j * self.k..][..self.k];
                let (total, class) = (h.iter().map(|h| h.exp()).sum::<f64>(), self.y[j] as usize);
                value += c * (total.ln() - h[class]);
                for l in 0..self.k {
                    gradient[j * self.k + l] =
                        c * (h[l].exp() / total - if l == class { 1.0 } else { 0.0 });
                }
            } else {
                for i in j * self.k..(j + 1) * self.k {
                    let (l, dl) = loss(self.loss, self.y[i], h[i]);
                    value += c * l;
                    gradient[i] = c * dl;
                }
            }
        }
        (value, gradient)
    }

    /// `F'(mu)(w)` and `-grad_w F'(mu)(w)`, for `g = grad R(h_mu)`.
    fn variation(&self, w: &[f64], g: &[f64]) -> (f64, Vec<f64>) {
        let mut value = self.lambda * w.iter().map(|w| w * w).sum::<f64>();
        let mut descent: Vec<f64> = w.iter().map(|w| -2.0 * self.lambda * w).collect();
        let (a, b) = w.split_at(self.k);
        for j in 0..self.n {
            let (f, df) = self.neuron(b, self.sample(j));
            for l in 0..self.k {
                let g = g[j * self.k + l];
                value += g * a[l] * f;
                descent[l] -= g * f;
                for (descent, df) in descent[self.k..].iter_mut().zip(&df) {
                    *descent -= g * a[l] * df;
                }
            }
        }
        (value, descent)
    }

    fn energy(&self) -> f64 {
        let decay: f64 = (0..self.m)
            .map(|i| self.weights[i] * self.particle(i).iter().map(|w| w * w).sum::<f64>())
            .sum();
        self.risk(&self.predictions()).0 + self.lambda * decay
    }
}

// ---- problems ----

fn draw(rng: &mut impl Rng) -> f64 {
    // 12 random bits in [-1, 1]: exact in f32, and never 0.
    f64::from(rng.random_range(0_i32..2048) * 2 + 1 - 2048) / 2048.0
}

/// Problem number `index`. Data near kinks are rejected: two orders of summation may disagree on
/// the sign of a preactivation that is 0 up to rounding.
fn problem(
    index: usize,
    activation: &'static str,
    loss_name: &'static str,
    radial: bool,
) -> Problem {
    let rng = &mut ChaCha8Rng::seed_from_u64(index as u64);
    let n = [
        1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 31, 64, 65, 130, 257,
    ][index % 21];
    let m = [1, 2, 5, 8, 13, 33][rng.random_range(0..6)];
    let d = [1, 2, 3, 5, 8, 17][rng.random_range(0..6)];
    let k = if loss_name == "softmax" || index.is_multiple_of(2) {
        3
    } else {
        1
    };
    loop {
        let w: Vec<f64> = (0..m * (k + d)).map(|_| 1.5 * draw(rng)).collect();
        let far = |x: &[f64]| {
            let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
            w.chunks(k + d).all(|w| {
                let product: f64 = w[k..].iter().zip(x).map(|(b, x)| b * x).sum();
                product.abs() > 1e-3 * norm(&w[k..]) * norm(x)
            })
        };
        let mut x: Vec<f64> = Vec::new();
        while x.len() < n * d {
            let candidate: Vec<f64> = (0..d)
                .map(|_| draw(rng) * [2.0, 1.0, 0.5][d.ilog2().min(5) as usize / 2])
                .collect();
            if far(&candidate) {
                x.extend(candidate);
            }
        }
        let y = match loss_name {
            "softmax" => (0..n).map(|_| rng.random_range(0..k) as f64).collect(),
            "square" | "huber" | "quantile" => (0..k * n).map(|_| 2.0 * draw(rng)).collect(),
            _ => (0..k * n)
                .map(|_| if rng.random_bool(0.5) { 1.0 } else { -1.0 })
                .collect(),
        };
        let positive = |len: usize, rng: &mut ChaCha8Rng| -> Vec<f64> {
            (0..len).map(|_| draw(rng).abs()).collect()
        };
        let c = (loss_name != "softmax" && index % 3 == 1).then(|| {
            let mut c = positive(n, rng);
            c[n / 2] = if n > 1 { 0.0 } else { 0.5 };
            c
        });
        let mut weights = vec![1.0 / m as f64; m];
        if !index.is_multiple_of(3) {
            weights = positive(m, rng);
            if m > 1 {
                weights[m / 2] = 0.0;
            }
        }
        let lambda = [0.0, 0.0625][index / 2 % 2];
        let problem = Problem {
            activation,
            loss: loss_name,
            radial,
            k,
            d,
            n,
            m,
            x,
            y,
            c,
            w,
            weights,
            lambda,
        };
        let h = problem.predictions();
        let at_kink = |(&y, &h): (&f64, &f64)| match loss_name {
            "quantile" => (h - y).abs() < 1e-3,
            "hinge" => (1.0 - y * h).abs() < 1e-3,
            // Not a kink: if one sample dominates, the relative error is the absolute error of its
            // margin.
            "exponential" => h.abs() > 4.0,
            _ => false,
        };
        if !problem.y.iter().zip(&h).any(at_kink) {
            return problem;
        }
    }
}

fn problems() -> Vec<Problem> {
    let mut all = Vec::new();
    for radial in [false, true] {
        for activation in ACTIVATIONS {
            for loss in LOSSES {
                all.push(problem(all.len(), activation, loss, radial));
            }
        }
    }
    all
}

// ---- the crate ----

fn feature_map<T: Real>(problem: &Problem) -> Box<dyn FeatureMap<T>> {
    fn on<T: Real, A: Activation<T> + 'static>(
        activation: A,
        problem: &Problem,
    ) -> Box<dyn FeatureMap<T>> {
        let &Problem { d, k, radial, .. } = problem;
        match (radial, k) {
            (false, 1) => Box::new(Ridge::new(activation, d)),
            (false, _) => Box::new(Ridge::with_outputs(activation, d, k)),
            (true, 1) => Box::new(Radial::new(activation, d)),
            (true, _) => Box::new(Radial::with_outputs(activation, d, k)),
        }
    }
    match problem.activation {
        "relu" => on(Relu, problem),
        "leaky_relu" => on(LeakyRelu(0.125), problem),
        "relu_power_1" => on(ReluPower(1), problem),
        "relu_power_2" => on(ReluPower(2), problem),
        "relu_power_3" => on(ReluPower(3), problem),
        "abs" => on(Abs, problem),
        "identity" => on(Identity, problem),
        "softplus" => on(Softplus, problem),
        "tanh" => on(Tanh, problem),
        "sigmoid" => on(Sigmoid, problem),
        "erf" => on(Erf, problem),
        "gelu" => on(Gelu, problem),
        "silu" => on(Silu, problem),
        "sine" => on(Sine, problem),
        name => unreachable!("{name}"),
    }
}

fn matrix<T: Real>(rows: usize, columns: usize, numbers: &[f64]) -> DMatrix<T> {
    DMatrix::from_iterator(rows, columns, numbers.iter().map(|&x| real(x)))
}

fn risk<T: Real>(problem: &Problem) -> Box<dyn Risk<T>> {
    fn on<T: Real, L: Loss<T> + 'static>(loss: L, problem: &Problem) -> Box<dyn Risk<T>> {
        let &Problem { n, d, k, .. } = problem;
        let x = matrix(d, n, &problem.x);
        let y = matrix(k, n, &problem.y);
        let risk = match k {
            1 => EmpiricalRisk::new(loss, x, DVector::from_column_slice(y.as_slice())).unwrap(),
            _ => EmpiricalRisk::with_outputs(loss, x, y).unwrap(),
        };
        match &problem.c {
            Some(c) => Box::new(
                risk.sample_weights(DVector::from_iterator(n, c.iter().map(|&c| real(c))))
                    .unwrap(),
            ),
            None => Box::new(risk),
        }
    }
    match problem.loss {
        "square" => on(Square, problem),
        "logistic" => on(Logistic, problem),
        "huber" => on(Huber(0.75), problem),
        "exponential" => on(Exponential, problem),
        "hinge" => on(Hinge, problem),
        "smooth_hinge" => on(SmoothHinge(0.5), problem),
        "quantile" => on(Quantile(0.25), problem),
        "softmax" => {
            let labels = problem.y.iter().map(|&y| y as usize).collect();
            Box::new(
                SoftmaxCrossEntropy::new(
                    matrix(problem.d, problem.n, &problem.x),
                    labels,
                    problem.k,
                )
                .unwrap(),
            )
        }
        name => unreachable!("{name}"),
    }
}

fn number<T: Real>(x: T) -> f64 {
    x.to_f64().unwrap()
}

/// `max |found - expected| <= tolerance max |expected|`.
fn compare<T: Real>(what: &str, problem: &Problem, found: &[T], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(0.0_f64, |max, x| max.max(x.abs()));
    for (index, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let (
            found,
            Problem {
                activation,
                loss,
                radial,
                k,
                d,
                n,
                m,
                ..
            },
        ) = (number(found), problem);
        assert!(
            (found - expected).abs() <= tolerance * scale,
            "{what}[{index}] = {found:e}, reference {expected:e}, scale {scale:e}: \
             {activation}, {loss}, radial = {radial}, n = {n}, m = {m}, d = {d}, k = {k}"
        );
    }
}

fn agrees<T: Real>(tolerance: f64) {
    let problems = problems();
    let residues: BTreeSet<_> = problems.iter().map(|problem| problem.n % 8).collect();
    assert!(problems.len() >= 60 && residues.len() == 8);
    for (index, problem) in problems.iter().enumerate() {
        let (p, m) = (problem.k + problem.d, problem.m);
        let weights = DVector::from_iterator(m, problem.weights.iter().map(|&c| real(c)));
        let mu = if index.is_multiple_of(3) {
            EmpiricalMeasure::<T>::uniform(matrix(p, m, &problem.w)).unwrap()
        } else {
            EmpiricalMeasure::weighted(matrix(p, m, &problem.w), weights).unwrap()
        };
        let decay = WeightDecay::new(real::<T>(problem.lambda)).unwrap();
        let mut energy = MeanFieldRisk::new(feature_map::<T>(problem), risk::<T>(problem))
            .unwrap()
            .regularized(decay);

        let h = problem.predictions();
        let (_, g) = problem.risk(&h);
        let mut predictions = vec![T::one(); h.len()];
        energy.predict(&mu, &mut predictions);
        compare("h", problem, &predictions, &h, tolerance);

        let expected: Vec<f64> = (0..m)
            .flat_map(|i| problem.variation(problem.particle(i), &g).1)
            .collect();
        let mut v = DMatrix::from_element(p, m, T::one());
        let value = energy.velocity(&mu, &mut v);
        compare("velocity", problem, v.as_slice(), &expected, tolerance);
        compare(
            "F",
            problem,
            &[value, energy.value(&mu)],
            &[problem.energy(); 2],
            tolerance,
        );

        // The first variation, at points other than particles.
        let rng = &mut ChaCha8Rng::seed_from_u64(!index as u64);
        let w: Vec<f64> = (0..3 * p).map(|_| draw(rng)).collect();
        let expected: Vec<_> = w.chunks(p).map(|w| problem.variation(w, &g)).collect();
        let (mut values, mut descent) = ([T::one(); 3], DMatrix::from_element(p, 3, T::one()));
        let value = energy
            .first_variation(&mu, &matrix(p, 3, &w), &mut values, &mut descent)
            .unwrap();
        compare("F", problem, &[value], &[problem.energy()], tolerance);
        let smooth = !["relu", "leaky_relu", "relu_power_1", "abs"].contains(&problem.activation);
        if smooth || T::default_epsilon() < real(1e-10) {
            let pairs: Vec<f64> = expected.iter().flat_map(|(value, _)| [*value]).collect();
            compare(
                "first variation",
                problem,
                &values,
                &pairs,
                10.0 * tolerance,
            );
            let fields: Vec<f64> = expected
                .into_iter()
                .flat_map(|(_, descent)| descent)
                .collect();
            compare(
                "descent",
                problem,
                descent.as_slice(),
                &fields,
                10.0 * tolerance,
            );
        }
    }
}

#[test]
fn energies_and_velocities_agree_in_f64() {
    agrees::<f64>(1e-11);
}

#[test]
fn energies_and_velocities_agree_in_f32() {
    agrees::<f32>(2e-5);
}

/// `sigma`, `sigma'`, `l` and `dl/dh` against 60 digits, including tails, cancellation and
/// overflow.
#[test]
fn scalar_functions_agree_with_the_table() {
    fn activation<T: Real>(name: &str, u: T) -> (T, T) {
        match name {
            "relu" => Relu.value_and_derivative(u),
            "leaky_relu" => LeakyRelu(0.125).value_and_derivative(u),
            "relu_power_3" => ReluPower(3).value_and_derivative(u),
            "abs" => Abs.value_and_derivative(u),
            "identity" => Identity.value_and_derivative(u),
            "softplus" => Softplus.value_and_derivative(u),
            "tanh" => Tanh.value_and_derivative(u),
            "sigmoid" => Sigmoid.value_and_derivative(u),
            "erf" => Erf.value_and_derivative(u),
            "gelu" => Gelu.value_and_derivative(u),
            "silu" => Silu.value_and_derivative(u),
            "sine" => Sine.value_and_derivative(u),
            name => unreachable!("{name}"),
        }
    }
    fn loss<T: Real>(name: &str, y: T, h: T) -> (T, T) {
        match name {
            "square" => Square.value_and_derivative(y, h),
            "logistic" => Logistic.value_and_derivative(y, h),
            "huber" => Huber(0.75).value_and_derivative(y, h),
            "exponential" => Exponential.value_and_derivative(y, h),
            "hinge" => Hinge.value_and_derivative(y, h),
            "smooth_hinge" => SmoothHinge(0.5).value_and_derivative(y, h),
            "quantile" => Quantile(0.25).value_and_derivative(y, h),
            name => unreachable!("{name}"),
        }
    }
    let mut compared = 0;
    for line in include_str!("data/scalars.txt").lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let numbers: Vec<f64> = words[2..]
            .iter()
            .map(|word| word.parse().unwrap())
            .collect();
        let (found, single) = match words[0] {
            "activation" => (
                activation(words[1], numbers[0]),
                activation(words[1], numbers[0] as f32),
            ),
            _ => (
                loss(words[1], numbers[0], numbers[1]),
                loss(words[1], numbers[0] as f32, numbers[1] as f32),
            ),
        };
        let [value, derivative] = numbers[numbers.len() - 2..] else {
            unreachable!()
        };
        // Relative to normal numbers: exp(-u^2/2) at u = 30 has a condition number of 900.
        // The derivative of tanh is 1 - tanh^2, accurate next to its largest value, 1.
        let saturates = if words[1] == "tanh" { 1e-3 } else { 0.0 };
        let close = |found: f64, expected: f64, tolerance: f64, least: f64| {
            (found - expected).abs() <= tolerance * expected.abs().max(least)
        };
        let ok = close(found.0, value, 1e-12, 1e-300)
            && close(found.1, derivative, 1e-12, 1e-300_f64.max(saturates));
        assert!(ok, "{line}: found {found:?}");
        // f32 where the argument is exact in it and the result is in its range.
        let exact = numbers[..numbers.len() - 2]
            .iter()
            .all(|&x| f64::from(x as f32) == x);
        if exact && (value as f32).is_finite() && (derivative as f32).is_finite() {
            let (s, ds) = (f64::from(single.0), f64::from(single.1));
            assert!(
                close(s, value, 1e-3, 1e-33)
                    && close(ds, derivative, 1e-3, 1e-33_f64.max(saturates)),
                "{line}: found {single:?} in f32"
            );
            compared += 1;
        }
    }
    assert!(compared > 300);
}
