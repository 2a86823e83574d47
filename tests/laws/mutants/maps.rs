//! Mistakes in feature maps.

use wasserflow::nalgebra::DMatrix;
use wasserflow::prelude::*;
use wasserflow::testing::strategies::cases;
use wasserflow::testing::{
    Case, ProvidedBatches, check_feature_map, check_homogeneity, check_same_map,
};

use super::mutant;

#[derive(Clone, Copy, PartialEq)]
enum Mistake {
    None,
    ValueIgnoresScale,
    VjpOverwrites,
    VjpOffByOneThousandth,
    VjpSign,
    JvpWithoutOutputWeights,
    MeanUnweighted,
    TailOfSamplesDropped,
    TailOfParticlesDropped,
    PredictionsTransposed,
    SumRestarts,
    OutputNotOverwritten,
    VelocitySign,
    VelocityWeighted,
    GradientEvaluatedTwice,
    GradientAtOtherPredictions,
    RiskNotReturned,
    LastSampleDropped,
    LastPointOfTheVariation,
    VariationKeepsOldOutput,
    JvpUnweighted,
    WorkspaceRead,
}

/// `a tanh(b.x)` with overridden batches, which sum in another order than the provided ones, and a
/// mistake.
struct Map {
    ridge: Ridge<Tanh>,
    mistake: Mistake,
}

impl Map {
    fn new(case: Case, mistake: Mistake) -> Self {
        Self {
            ridge: Ridge::with_outputs(Tanh, case.d, case.k),
            mistake,
        }
    }
}

impl<T: Real> FeatureMap<T> for Map {
    fn particle_dim(&self) -> usize {
        self.ridge.particle_dim()
    }
    fn input_dim(&self) -> usize {
        self.ridge.input_dim()
    }
    fn output_dim(&self) -> usize {
        self.ridge.output_dim()
    }
    fn add_value(&self, w: &[T], x: &[T], scale: T, out: &mut [T]) {
        let scale = if self.mistake == Mistake::ValueIgnoresScale {
            T::one()
        } else {
            scale
        };
        self.ridge.add_value(w, x, scale, out);
    }
    fn add_vjp(&self, w: &[T], x: &[T], g: &[T], out: &mut [T]) {
        let before = out.to_vec();
        self.ridge.add_vjp(w, x, g, out);
        for (c, (out, before)) in out.iter_mut().zip(before).enumerate() {
            let b = c >= self.ridge.output_dim();
            match self.mistake {
                Mistake::VjpOverwrites => *out -= before,
                Mistake::VjpOffByOneThousandth if b => {
                    *out = before + (*out - before) * real(1.001)
                }
                Mistake::VjpSign if b => *out = before - (*out - before),
                _ => {}
            }
        }
    }
    fn add_jvp(&self, w: &[T], x: &[T], v: &[T], scale: T, out: &mut [T]) {
        let mut v = v.to_vec();
        if self.mistake == Mistake::JvpWithoutOutputWeights {
            v[..self.ridge.output_dim()].fill(T::zero());
        }
        self.ridge.add_jvp(w, x, &v, scale, out);
    }
    fn predict(
        &self,
        mu: &EmpiricalMeasure<T>,
        x: &Inputs<T>,
        out: &mut [T],
        ws: &mut Workspace<T>,
    ) {
        let (k, n, m) = (self.ridge.output_dim(), x.len(), mu.len());
        let [sum] = ws.split([k]);
        if self.mistake == Mistake::OutputNotOverwritten {
            out.iter_mut()
                .for_each(|h| *h = if h.is_finite() { *h } else { T::one() });
        } else {
            out.fill(T::zero());
        }
        for j in 0..n {
            if self.mistake == Mistake::TailOfSamplesDropped && n > 8 && j >= n / 8 * 8 {
                continue;
            }
            if self.mistake != Mistake::WorkspaceRead {
                sum.fill(T::zero());
            }
            for i in (0..m).rev() {
                let c = if self.mistake == Mistake::MeanUnweighted {
                    T::one() / real(m as f64)
                } else {
                    mu.weight(i)
                };
                if self.mistake == Mistake::TailOfParticlesDropped && m > 8 && i >= m / 8 * 8 {
                    continue;
                }
                if self.mistake == Mistake::SumRestarts && i + 8 == m {
                    sum.fill(T::zero());
                }
                self.ridge.add_value(mu.particle(i), x.point(j), c, sum);
            }
            for (l, &sum) in sum.iter().enumerate() {
                let place = if self.mistake == Mistake::PredictionsTransposed {
                    l * n + j
                } else {
                    j * k + l
                };
                out[place] += sum;
            }
        }
    }
    fn velocity(
        &self,
        mu: &EmpiricalMeasure<T>,
        x: &Inputs<T>,
        gradient: &mut PredictionGradient<'_, T>,
        out: &mut DMatrix<T>,
        ws: &mut Workspace<T>,
    ) -> T {
        let kn = self.ridge.output_dim() * x.len();
        let (mut h, mut g) = (vec![T::zero(); kn], vec![T::zero(); kn]);
        self.predict(mu, x, &mut h, ws);
        if self.mistake == Mistake::GradientAtOtherPredictions {
            h[0] += T::one();
        }
        let mut value = T::zero();
        if gradient.is_separable() {
            let (k, samples) = (self.ridge.output_dim(), x.len());
            let dropped = usize::from(self.mistake == Mistake::LastSampleDropped && samples > 1);
            for first in (0..samples - dropped).step_by(2) {
                let range = first..(first + 2).min(samples);
                let outputs = k * range.start..k * range.end;
                value += gradient.evaluate(range, &h[outputs.clone()], &mut g[outputs]);
            }
        } else {
            value = gradient.evaluate(0..x.len(), &h, &mut g);
        }
        if self.mistake == Mistake::GradientEvaluatedTwice {
            value = gradient.evaluate(0..x.len(), &h, &mut g);
        }
        let mut values = vec![T::zero(); mu.len()];
        self.variation(mu.points(), x, &g, &mut values, out, ws);
        for (i, mut v) in out.column_iter_mut().enumerate() {
            match self.mistake {
                Mistake::VelocitySign => v *= -T::one(),
                Mistake::VelocityWeighted => v *= mu.weight(i),
                _ => {}
            }
        }
        if self.mistake == Mistake::RiskNotReturned {
            T::zero()
        } else {
            value
        }
    }
    fn variation(
        &self,
        w: &DMatrix<T>,
        x: &Inputs<T>,
        g: &[T],
        values: &mut [T],
        descent: &mut DMatrix<T>,
        ws: &mut Workspace<T>,
    ) {
        let old = values[0];
        ProvidedBatches(&self.ridge).variation(w, x, g, values, descent, ws);
        match self.mistake {
            Mistake::LastPointOfTheVariation => values[w.ncols() - 1] = T::zero(),
            Mistake::VariationKeepsOldOutput => values[0] += old,
            _ => {}
        }
    }
    fn jvp(
        &self,
        mu: &EmpiricalMeasure<T>,
        v: &DMatrix<T>,
        x: &Inputs<T>,
        out: &mut [T],
        ws: &mut Workspace<T>,
    ) {
        let mut mu = mu.clone();
        if self.mistake == Mistake::JvpUnweighted {
            let m = mu.len() as f64;
            mu.weights_mut().fill(real(1.0 / m));
        }
        ProvidedBatches(&self.ridge).jvp(&mu, v, x, out, ws);
    }
}

/// A pointer that forwards the required methods only.
struct Forgetful<F>(Box<F>);

impl<T: Real, F: FeatureMap<T>> FeatureMap<T> for Forgetful<F> {
    fn particle_dim(&self) -> usize {
        self.0.particle_dim()
    }
    fn input_dim(&self) -> usize {
        self.0.input_dim()
    }
    fn output_dim(&self) -> usize {
        self.0.output_dim()
    }
    fn add_value(&self, w: &[T], x: &[T], scale: T, out: &mut [T]) {
        self.0.add_value(w, x, scale, out);
    }
    fn add_vjp(&self, w: &[T], x: &[T], g: &[T], out: &mut [T]) {
        self.0.add_vjp(w, x, g, out);
    }
}

#[test]
fn maps() {
    for (name, mistake) in [
        (
            "map: add_value ignores its scale",
            Mistake::ValueIgnoresScale,
        ),
        ("map: add_vjp overwrites", Mistake::VjpOverwrites),
        ("map: add_vjp off by 1e-3", Mistake::VjpOffByOneThousandth),
        ("map: add_vjp of the wrong sign", Mistake::VjpSign),
        (
            "map: add_jvp without output weights",
            Mistake::JvpWithoutOutputWeights,
        ),
        ("map: unweighted mean", Mistake::MeanUnweighted),
        (
            "map: tail n mod 8 of the samples dropped",
            Mistake::TailOfSamplesDropped,
        ),
        (
            "map: tail m mod 8 of the particles dropped",
            Mistake::TailOfParticlesDropped,
        ),
        (
            "map: predictions transposed, k and n",
            Mistake::PredictionsTransposed,
        ),
        ("map: a sum over particles restarts", Mistake::SumRestarts),
        (
            "map: predict adds to its output",
            Mistake::OutputNotOverwritten,
        ),
        ("map: velocity of the wrong sign", Mistake::VelocitySign),
        ("map: velocity times the weight", Mistake::VelocityWeighted),
        (
            "map: gradient evaluated twice",
            Mistake::GradientEvaluatedTwice,
        ),
        (
            "map: gradient at other predictions",
            Mistake::GradientAtOtherPredictions,
        ),
        (
            "map: value of the risk not returned",
            Mistake::RiskNotReturned,
        ),
        (
            "map: last range of samples dropped",
            Mistake::LastSampleDropped,
        ),
        (
            "map: last point of the variation dropped",
            Mistake::LastPointOfTheVariation,
        ),
        (
            "map: variation adds to its output",
            Mistake::VariationKeepsOldOutput,
        ),
        ("map: jvp unweighted", Mistake::JvpUnweighted),
        (
            "map: reads the previous contents of the workspace",
            Mistake::WorkspaceRead,
        ),
    ] {
        mutant!(name, cases(), case => check_feature_map::<T>(&Map::new(case, mistake), case));
    }
    mutant!("map: a box that forwards no provided method", cases(), case => {
        let boxed = Forgetful(Box::new(Map::new(case, Mistake::None)));
        check_same_map::<T>(&Map::new(case, Mistake::None), &boxed, case)
    });
}

/// `|a|^power sgn(a) |b|` of claimed degree.
struct Power {
    power: f64,
    degree: u32,
}

impl Homogeneous for Power {
    fn degree(&self) -> u32 {
        self.degree
    }
}

impl<T: Real> FeatureMap<T> for Power {
    fn particle_dim(&self) -> usize {
        2
    }
    fn input_dim(&self) -> usize {
        1
    }
    fn add_value(&self, w: &[T], _: &[T], scale: T, out: &mut [T]) {
        out[0] += scale * w[0].signum() * w[0].abs().powf(real(self.power)) * w[1].abs();
    }
    fn add_vjp(&self, w: &[T], _: &[T], g: &[T], out: &mut [T]) {
        let power = w[0].abs().powf(real(self.power));
        if w[0] != T::zero() {
            out[0] += g[0] * real(self.power) * power / w[0].abs() * w[1].abs();
        }
        out[1] += g[0] * w[0].signum() * power * w[1].signum();
    }
}

#[test]
fn degrees() {
    mutant!("map: degree off by 0.1", cases(), case => {
        check_homogeneity::<T>(&Power { power: 1.1, degree: 2 }, case)
    });
    mutant!("map: degree claimed too high", cases(), case => {
        check_homogeneity::<T>(&Power { power: 1.0, degree: 3 }, case)
    });
}
