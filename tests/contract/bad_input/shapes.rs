//! Wrong shapes at the seams of infallible methods are documented panics that name the argument,
//! the size required and the size found.

use wasserflow::feature::{PredictionGradient, ProvidedBatches};
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;

use super::{network, refuses, students, x};

fn uniform(p: usize, m: usize) -> EmpiricalMeasure<f64> {
    EmpiricalMeasure::uniform(x(p, m)).unwrap()
}

fn matrix(rows: usize, columns: usize) -> DMatrix<f64> {
    DMatrix::zeros(rows, columns)
}

/// Wrong shapes of a `p x m` field.
fn other_shapes(p: usize, m: usize) -> [DMatrix<f64>; 5] {
    [(p + 1, m), (p - 1, m), (p, m + 1), (p, m - 1), (m, p)].map(|(r, c)| matrix(r, c))
}

// ---- feature maps ----

/// A user-defined map with the provided batch methods: `Phi(w)(x)_l = w_l x_0`.
struct Linear;

impl FeatureMap<f64> for Linear {
    fn particle_dim(&self) -> usize {
        3
    }
    fn input_dim(&self) -> usize {
        1
    }
    fn output_dim(&self) -> usize {
        3
    }
    fn add_value(&self, w: &[f64], x: &[f64], scale: f64, out: &mut [f64]) {
        for (out, w) in out.iter_mut().zip(w) {
            *out += scale * w * x[0];
        }
    }
    fn add_vjp(&self, _: &[f64], x: &[f64], g: &[f64], out: &mut [f64]) {
        for (out, g) in out.iter_mut().zip(g) {
            *out += g * x[0];
        }
    }
}

fn maps() -> Vec<Box<dyn FeatureMap<f64>>> {
    vec![
        Box::new(Linear),
        Box::new(Ridge::new(Relu, 2)),
        Box::new(Ridge::new(Softplus, 5)),
        Box::new(Ridge::with_outputs(Abs, 1, 2)),
        Box::new(Radial::new(Tanh, 2)),
        Box::new(Radial::with_outputs(Relu, 3, 3)),
        Box::new(ProvidedBatches(Ridge::with_outputs(Relu, 2, 2))),
    ]
}

#[test]
fn batches_of_feature_maps() {
    for phi in maps() {
        let (p, d, k) = (phi.particle_dim(), phi.input_dim(), phi.output_dim());
        let (m, n) = (4, 7);
        let ws = &mut Workspace::default();
        let (mu, inputs) = (uniform(p, m), Inputs::new(x(d, n)).unwrap());
        let mut h = vec![0.0; k * n];
        let g = vec![1.0; k * n];
        let (mut v, mut values) = (matrix(p, m), vec![0.0; m]);
        let sum = |_, h: &[f64], g: &mut [f64]| {
            g.fill(1.0);
            h.iter().sum()
        };

        // The right shapes.
        phi.predict(&mu, &inputs, &mut h, ws);
        phi.variation(mu.points(), &inputs, &g, &mut values, &mut v, ws);
        phi.jvp(&mu, &v.clone(), &inputs, &mut h, ws);
        phi.velocity(
            &mu,
            &inputs,
            &mut PredictionGradient::new(false, &mut { sum }),
            &mut v,
            ws,
        );

        for bad in [uniform(p + 1, m), uniform(p - 1, m), uniform(p + 3, m)] {
            let words = [
                "dimension of the particles",
                &format!("{p}, found {}", bad.dim()),
            ];
            refuses(|| phi.predict(&bad, &inputs, &mut h, ws), &words);
            let mut field = matrix(bad.dim(), m);
            let at = bad.points();
            refuses(
                || phi.variation(at, &inputs, &g, &mut values, &mut field, ws),
                &words,
            );
            refuses(|| phi.jvp(&bad, at, &inputs, &mut h, ws), &words);
            let mut evaluate = sum;
            let gradient = &mut PredictionGradient::new(true, &mut evaluate);
            refuses(
                || phi.velocity(&bad, &inputs, gradient, &mut field, ws),
                &words,
            );
        }
        for bad in [d + 1, d.max(2) - 1, d + 4]
            .into_iter()
            .filter(|&bad| bad != d)
        {
            let bad = Inputs::new(x(bad, n)).unwrap();
            let words = [
                "dimension of the inputs",
                &format!("{d}, found {}", bad.dim()),
            ];
            let w = mu.points();
            refuses(|| phi.predict(&mu, &bad, &mut h, ws), &words);
            refuses(
                || phi.variation(w, &bad, &g, &mut values, &mut v, ws),
                &words,
            );
            refuses(|| phi.jvp(&mu, w, &bad, &mut h, ws), &words);
            let mut evaluate = sum;
            let gradient = &mut PredictionGradient::new(true, &mut evaluate);
            refuses(|| phi.velocity(&mu, &bad, gradient, &mut v, ws), &words);
        }
        for len in [0, 1, k * n - 1, k * n + 1, k * (n + 1), k * (n - 1)] {
            let mut bad = vec![0.0; len];
            let w = mu.points();
            refuses(
                || phi.predict(&mu, &inputs, &mut bad, ws),
                &["length of the predictions"],
            );
            refuses(
                || phi.jvp(&mu, w, &inputs, &mut bad, ws),
                &["length of the predictions"],
            );
            refuses(
                || phi.variation(w, &inputs, &bad, &mut values, &mut v, ws),
                &["length of the gradient"],
            );
        }
        for len in [0, m - 1, m + 1] {
            let mut bad = vec![0.0; len];
            refuses(
                || phi.variation(mu.points(), &inputs, &g, &mut bad, &mut v, ws),
                &["number of values", "4"],
            );
        }
        for mut bad in other_shapes(p, m)
            .into_iter()
            .filter(|bad| bad.shape() != (p, m))
        {
            refuses(
                || phi.jvp(&mu, &bad, &inputs, &mut h, ws),
                &["shape of the field"],
            );
            let mut evaluate = sum;
            let gradient = &mut PredictionGradient::new(true, &mut evaluate);
            refuses(
                || phi.velocity(&mu, &inputs, gradient, &mut bad, ws),
                &["shape of the velocities"],
            );
            refuses(
                || phi.variation(mu.points(), &inputs, &g, &mut values, &mut bad, ws),
                &["shape of the descent directions"],
            );
        }
    }
    // No outputs.
    let none = Ridge::with_outputs(Relu, 2, 0);
    let inputs = Inputs::new(x(2, 3)).unwrap();
    refuses(
        || none.predict(&uniform(2, 1), &inputs, &mut [], &mut Workspace::default()),
        &["number of outputs", "1, found 0"],
    );
    refuses(
        || PredictionGradient::new(false, &mut |_, _, _| 0.0).evaluate(0..1, &[1.0], &mut [0.0; 2]),
        &["length of the gradient"],
    );
}

#[test]
fn one_particle_and_one_sample() {
    fn check<F: FeatureMap<f64>>(phi: &F) {
        let (p, d, k) = (phi.particle_dim(), phi.input_dim(), phi.output_dim());
        let call = |w: usize, x: usize, v: usize, k: usize| {
            let (w, x, v) = (vec![1.0; w], vec![1.0; x], vec![1.0; v]);
            let mut out = vec![0.0; k];
            phi.add_jvp(&w, &x, &v, 1.0, &mut out);
            let mut product = v;
            phi.add_vjp(&w, &x, &out, &mut product);
            phi.add_value(&w, &x, 1.0, &mut out);
        };
        call(p, d, p, k);
        for bad in [0, 1, p - 1, p + 1].into_iter().filter(|&bad| bad != p) {
            refuses(|| call(bad, d, p, k), &["length of the particle"]);
            refuses(|| call(p, d, bad, k), &["length of the direction"]);
            let (w, mut out) = (vec![1.0; bad], vec![0.0; k]);
            refuses(
                || phi.add_value(&w, &vec![1.0; d], 1.0, &mut out),
                &["length of the particle"],
            );
            refuses(
                || phi.add_vjp(&vec![1.0; p], &vec![1.0; d], &out, &mut vec![0.0; bad]),
                &["length of the product"],
            );
        }
        for bad in [0, d - 1, d + 1] {
            refuses(|| call(p, bad, p, k), &["length of the sample"]);
            let mut out = vec![0.0; k];
            refuses(
                || phi.add_value(&vec![1.0; p], &vec![1.0; bad], 1.0, &mut out),
                &["length of the sample"],
            );
        }
        for bad in [0, k - 1, k + 1] {
            refuses(|| call(p, d, p, bad), &["number of outputs"]);
            let mut out = vec![0.0; bad];
            refuses(
                || phi.add_value(&vec![1.0; p], &vec![1.0; d], 1.0, &mut out),
                &["number of outputs"],
            );
            let g = vec![1.0; bad];
            refuses(
                || phi.add_vjp(&vec![1.0; p], &vec![1.0; d], &g, &mut vec![0.0; p]),
                &["number of outputs"],
            );
        }
    }
    check(&Ridge::new(Relu, 2));
    check(&Ridge::with_outputs(Softplus, 3, 2));
    check(&Radial::new(Tanh, 2));
    check(&Radial::with_outputs(Relu, 2, 3));
    check(&ProvidedBatches(Ridge::new(Relu, 4)));
}

// ---- risks ----

/// A user-defined risk with the provided curvature.
struct HalfSquare(Inputs<f64>);

impl Risk<f64> for HalfSquare {
    fn inputs(&self) -> &Inputs<f64> {
        &self.0
    }
    fn value(&self, h: &[f64]) -> f64 {
        h.iter().map(|h| h * h / 2.0).sum()
    }
    fn value_and_gradient(&self, h: &[f64], out: &mut [f64]) -> f64 {
        out.copy_from_slice(h);
        self.value(h)
    }
}

#[test]
fn risks() {
    let y = DMatrix::from_element(2, 5, 1.0);
    let risks: [Box<dyn Risk<f64>>; 4] = [
        Box::new(EmpiricalRisk::with_outputs(Square, x(2, 5), y.clone()).unwrap()),
        Box::new(EmpiricalRisk::with_outputs(Logistic, x(2, 5), y).unwrap()),
        Box::new(EmpiricalRisk::new(Hinge, x(1, 10), DVector::from_element(10, 1.0)).unwrap()),
        Box::new(SoftmaxCrossEntropy::new(x(2, 5), vec![0, 1, 0, 1, 1], 2).unwrap()),
    ];
    let right = [0.5; 10];
    for risk in &risks {
        let k = risk.output_dim();
        risk.value_and_gradient_range(1..3, &right[..2 * k], &mut [0.0; 10][..2 * k]);
        for len in [0, 1, 4, 9, 11, 20] {
            let (bad, mut out) = (vec![0.5; len], vec![0.0; len]);
            let mut gradient = [0.0; 10];
            let predictions = ["length of the predictions", "10"];
            refuses(|| risk.value(&bad), &predictions);
            refuses(
                || risk.value_and_gradient(&bad, &mut gradient),
                &predictions,
            );
            refuses(
                || risk.value_and_gradient(&bad, &mut out.clone()),
                &predictions,
            );
            refuses(|| risk.curvature(&bad, &right, &mut gradient), &predictions);
            refuses(
                || risk.value_and_gradient(&right, &mut out),
                &["gradient", "10"],
            );
            refuses(
                || risk.curvature(&right, &right, &mut out),
                &["product", "10"],
            );
            refuses(
                || risk.curvature(&right, &bad, &mut gradient),
                &["field", "10"],
            );
            if len != 2 * k {
                let mut gradient = vec![0.0; 2 * k];
                refuses(
                    || risk.value_and_gradient_range(1..3, &bad, &mut gradient),
                    &["predictions"],
                );
                let h = &right[..2 * k];
                refuses(
                    || risk.value_and_gradient_range(1..3, h, &mut out),
                    &["gradient"],
                );
            }
        }
        let n = risk.inputs().len();
        let h = &right[..2 * k];
        refuses(
            || risk.value_and_gradient_range(n - 1..n + 1, h, &mut vec![0.0; 2 * k]),
            &["range"],
        );
    }
    let provided = HalfSquare(Inputs::new(x(1, 10)).unwrap());
    for len in [0, 9, 11] {
        let bad = vec![0.5; len];
        refuses(
            || provided.curvature(&right, &bad, &mut [0.0; 10]),
            &["field"],
        );
        refuses(
            || provided.curvature(&right, &right, &mut bad.clone()),
            &["product"],
        );
    }
}

// ---- energies ----

/// A user-defined energy without checks, for the terms of a sum.
struct Unchecked;

impl Energy<f64> for Unchecked {
    fn particle_dim(&self) -> usize {
        3
    }
    fn value(&mut self, _: &EmpiricalMeasure<f64>) -> f64 {
        1.0
    }
    fn velocity(&mut self, _: &EmpiricalMeasure<f64>, out: &mut DMatrix<f64>) -> f64 {
        out.fill(0.0);
        1.0
    }
}

fn energies() -> Vec<Box<dyn Energy<f64>>> {
    let decay = || PotentialEnergy::new(WeightDecay::new(0.5).unwrap(), 3);
    let gaussian = Gaussian::new(3, 1.0).unwrap();
    vec![
        Box::new(network()),
        Box::new(decay()),
        Box::new(Mmd::new(gaussian, uniform(3, 4)).unwrap()),
        Box::new(Mmd::new(WithOutputWeight(ArcCosine::new(2)), uniform(3, 4)).unwrap()),
        Box::new(Sum::new(network(), decay()).unwrap()),
    ]
}

#[test]
fn energies_of_other_particles() {
    for mut energy in energies() {
        let (p, m) = (3, 5);
        let mu = students();
        for q in [1, 2, 4, 6] {
            let bad = uniform(q, m);
            let words = [
                "particle dimension of the measure",
                &format!("3, found {q}"),
            ];
            let (mut out, mut values) = (matrix(q, m), vec![0.0; m]);
            refuses(|| energy.value(&bad), &words);
            refuses(|| energy.velocity(&bad, &mut out), &words);
            let at = bad.points();
            refuses(
                || energy.first_variation(&bad, at, &mut values, &mut out),
                &words,
            );
            if energy
                .curvature(&mu, mu.points(), &mut matrix(p, m))
                .is_some()
            {
                refuses(|| energy.curvature(&bad, at, &mut out), &words);
            }
            refuses(
                || energy.first_variation(&mu, at, &mut values, &mut out),
                &["dimension of the points", &format!("3, found {q}")],
            );
            refuses(|| State::new(bad.clone()).evaluate(&mut *energy), &words);
        }
        for mut bad in other_shapes(p, m) {
            refuses(
                || energy.velocity(&mu, &mut bad),
                &["shape of the velocities"],
            );
            if energy
                .curvature(&mu, mu.points(), &mut matrix(p, m))
                .is_some()
            {
                refuses(
                    || energy.curvature(&mu, &bad, &mut matrix(p, m)),
                    &["shape of the field"],
                );
                refuses(
                    || energy.curvature(&mu, mu.points(), &mut bad),
                    &["shape of the product"],
                );
            }
            refuses(
                || energy.inner(&mu, &bad, mu.points()),
                &["shape of the first field"],
            );
            refuses(
                || energy.inner(&mu, mu.points(), &bad),
                &["shape of the second field"],
            );
            // Points of any number, but outputs of the same.
            let at = matrix(p, m + 3);
            refuses(
                || energy.first_variation(&mu, &at, &mut vec![0.0; m + 3], &mut bad),
                &["shape of the descent directions"],
            );
        }
        for len in [0, m, m + 2, m + 4] {
            let at = matrix(p, m + 3);
            refuses(
                || energy.first_variation(&mu, &at, &mut vec![0.0; len], &mut at.clone()),
                &["number of values"],
            );
        }
        let at = matrix(p, m + 3);
        let values = &mut vec![0.0; m + 3];
        assert!(
            energy
                .first_variation(&mu, &at, values, &mut at.clone())
                .is_some()
        );
    }
    // Terms that do not check.
    let mut sum = Sum::new(Unchecked, Unchecked).unwrap();
    refuses(
        || sum.velocity(&students(), &mut matrix(3, 4)),
        &["shape of the velocities"],
    );
    refuses(
        || sum.velocity(&uniform(2, 4), &mut matrix(2, 4)),
        &["particle dimension"],
    );
    refuses(|| sum.value(&uniform(2, 4)), &["particle dimension"]);
    let mut network = network();
    for len in [0, 8, 10, 18] {
        refuses(
            || network.predict(&students(), &mut vec![0.0; len]),
            &["length of the predictions", "9"],
        );
    }
    refuses(
        || network.predict(&uniform(4, 2), &mut [0.0; 9]),
        &["3, found 4"],
    );
    for bad in other_shapes(3, 5) {
        refuses(
            || students().displace(1.0, &bad),
            &["shape of the field", "(3, 5)"],
        );
    }
}

#[test]
fn kernels() {
    fn check(kernel: &dyn Kernel<f64>) {
        let p = kernel.dim();
        let right = vec![1.0; p];
        for len in [1, p - 1, p + 1, p + 4].into_iter().filter(|&len| len != p) {
            let (bad, mut out, mut other) = (vec![1.0; len], vec![0.0; p], vec![0.0; p]);
            refuses(|| kernel.value(&bad, &right), &["first point"]);
            refuses(|| kernel.value(&right, &bad), &["second point"]);
            refuses(|| kernel.value(&[], &right), &[]);
            refuses(
                || kernel.gradient(&bad, &right, 1.0, &mut out),
                &["first point"],
            );
            refuses(
                || kernel.gradient(&right, &bad, 1.0, &mut out),
                &["second point"],
            );
            refuses(
                || kernel.gradient(&right, &right, 1.0, &mut bad.clone()),
                &["gradient"],
            );
            refuses(
                || kernel.value_and_gradient(&bad, &right, 1.0, &mut out),
                &["first point"],
            );
            refuses(
                || kernel.value_and_gradient(&right, &bad, 1.0, &mut out),
                &["second point"],
            );
            refuses(
                || kernel.value_and_gradient(&right, &right, 1.0, &mut bad.clone()),
                &["gradient"],
            );
            let scales = [1.0, 1.0];
            let mut both = |w: &[f64], v: &[f64]| {
                kernel.value_and_gradients(w, v, scales, &mut out, &mut other)
            };
            refuses(|| both(&bad, &right), &["first point"]);
            refuses(|| both(&right, &bad), &["second point"]);
            let mut bad = bad.clone();
            refuses(
                || kernel.value_and_gradients(&right, &right, scales, &mut bad, &mut out),
                &["gradient"],
            );
            refuses(
                || kernel.value_and_gradients(&right, &right, scales, &mut out, &mut bad),
                &["gradient"],
            );
        }
    }
    check(&Gaussian::new(3, 1.0).unwrap());
    check(&ArcCosine::new(3));
    check(&WithOutputWeight(ArcCosine::new(2)));
    check(&WithOutputWeight(Gaussian::new(4, 2.0).unwrap()));
    // Zero vectors as well, for which the arc-cosine kernel returns early.
    refuses(
        || ArcCosine::new(2).value(&[0.0; 2], &[0.0; 3]),
        &["second point"],
    );
}

#[test]
fn potentials() {
    let decay = WeightDecay::new(0.5).unwrap();
    for len in [0, 2, 4] {
        let (w, bad) = ([1.0; 3], vec![1.0; len]);
        refuses(
            || decay.gradient(&w, 1.0, &mut bad.clone()),
            &["length of the gradient"],
        );
        refuses(
            || decay.curvature(&w, &bad, &mut [0.0; 3]),
            &["length of the direction"],
        );
        refuses(
            || decay.curvature(&w, &w, &mut bad.clone()),
            &["length of the gradient"],
        );
        refuses(
            || (decay, ()).gradient(&w, 1.0, &mut bad.clone()),
            &["length of the gradient"],
        );
    }
}
