//! Mistakes in risks.

use std::ops::Range;

use wasserflow::nalgebra::DMatrix;
use wasserflow::prelude::*;
use wasserflow::testing::strategies::cases;
use wasserflow::testing::{Case, check_resampled_energy, check_resampled_risk, check_risk};

use super::mutant;

#[derive(Clone, Copy, PartialEq)]
enum Mistake {
    GradientWithoutReciprocal,
    TailOfTheGradientDropped,
    FirstOutputOnly,
    GradientWithoutWeights,
    ValueOfTheGradientDoubled,
    AddsToTheGradient,
    NotConvex,
    RangeOfFirstSamples,
    CurvatureTransposed,
    CurvatureDoubled,
    CurvatureNegative,
}

/// `R(h) = (1/n) sum_j c_j sum_l (h_jl - y_jl)^2 / 2`, with a mistake.
struct Square<T> {
    x: Inputs<T>,
    y: DMatrix<T>,
    c: Vec<T>,
    mistake: Mistake,
}

impl<T: Real> Square<T> {
    fn new(case: Case, mistake: Mistake) -> Self {
        let c = (0..case.n).map(|j| real(1.0 + (j % 3) as f64)).collect();
        Self {
            x: Inputs::new(case.inputs()).unwrap(),
            y: case.targets(),
            c,
            mistake,
        }
    }

    fn reciprocal(&self) -> T {
        T::one() / real(self.x.len() as f64)
    }
}

impl<T: Real> Risk<T> for Square<T> {
    fn inputs(&self) -> &Inputs<T> {
        &self.x
    }
    fn output_dim(&self) -> usize {
        self.y.nrows()
    }
    fn value(&self, h: &[T]) -> T {
        let k = self.y.nrows();
        let mut sum = T::zero();
        for (i, (&h, &y)) in h.iter().zip(&self.y).enumerate() {
            sum += self.c[i / k] * (h - y) * (h - y) * real(0.5);
        }
        if self.mistake == Mistake::NotConvex {
            sum -= h[0] * h[0] * real(2.0);
        }
        sum * self.reciprocal()
    }
    fn value_and_gradient(&self, h: &[T], out: &mut [T]) -> T {
        let (k, kn) = (self.y.nrows(), h.len());
        for i in 0..kn {
            let c = if self.mistake == Mistake::GradientWithoutWeights {
                T::one()
            } else {
                self.c[i / k]
            };
            let r = if self.mistake == Mistake::GradientWithoutReciprocal {
                T::one()
            } else {
                self.reciprocal()
            };
            let g = c * r * (h[i] - self.y[i]);
            let g = if self.mistake == Mistake::NotConvex && i == 0 {
                g - h[0] * r * real(4.0)
            } else {
                g
            };
            let dropped = match self.mistake {
                Mistake::TailOfTheGradientDropped => i >= kn / 8 * 8 && kn > 8,
                Mistake::FirstOutputOnly => i % k > 0,
                _ => false,
            };
            let g = if dropped { T::zero() } else { g };
            out[i] = if self.mistake == Mistake::AddsToTheGradient {
                out[i] + g
            } else {
                g
            };
        }
        let value = self.value(h);
        if self.mistake == Mistake::ValueOfTheGradientDoubled {
            value + value
        } else {
            value
        }
    }
    fn is_separable(&self) -> bool {
        self.mistake == Mistake::RangeOfFirstSamples
    }
    fn value_and_gradient_range(&self, samples: Range<usize>, h: &[T], out: &mut [T]) -> T {
        if !self.is_separable() {
            return self.value_and_gradient(h, out);
        }
        let _ = samples; // the mistake
        let mut sum = T::zero();
        for (i, (&h, out)) in h.iter().zip(out).enumerate() {
            let (r, c) = (
                h - self.y[i],
                self.c[i / self.y.nrows()] * self.reciprocal(),
            );
            *out = c * r;
            sum += c * r * r * real(0.5);
        }
        sum
    }
    fn curvature(&self, _: &[T], u: &[T], out: &mut [T]) {
        let (k, n) = self.y.shape();
        for (i, (out, &u)) in out.iter_mut().zip(u).enumerate() {
            let (c, r) = (self.c[i / k], self.reciprocal());
            *out = match self.mistake {
                Mistake::CurvatureTransposed => self.c[i % n] * r * u,
                Mistake::CurvatureDoubled => real::<T>(2.0) * c * r * u,
                Mistake::CurvatureNegative => -c * r * u,
                Mistake::NotConvex if i == 0 => (c - real(4.0)) * r * u,
                _ => c * r * u,
            };
        }
    }
}

/// The softmax cross-entropy with a mistake.
struct Softmax<T> {
    x: Inputs<T>,
    y: Vec<usize>,
    classes: usize,
    c: Vec<T>,
    cancels: bool,
}

impl<T: Real> Softmax<T> {
    fn new(case: Case, cancels: bool) -> Self {
        let c = (0..case.n).map(|j| real(1.0 + (j % 3) as f64)).collect();
        let (x, y) = (Inputs::new(case.inputs()).unwrap(), case.labels());
        Self {
            x,
            y,
            classes: case.k,
            c,
            cancels,
        }
    }
}

impl<T: Real> Risk<T> for Softmax<T> {
    fn inputs(&self) -> &Inputs<T> {
        &self.x
    }
    fn output_dim(&self) -> usize {
        self.classes
    }
    fn value(&self, h: &[T]) -> T {
        self.value_and_gradient(h, &mut vec![T::zero(); h.len()])
    }
    fn value_and_gradient(&self, h: &[T], out: &mut [T]) -> T {
        self.value_and_gradient_range(0..self.y.len(), h, out)
    }
    fn is_separable(&self) -> bool {
        true
    }
    fn value_and_gradient_range(&self, samples: Range<usize>, h: &[T], out: &mut [T]) -> T {
        let k = self.classes;
        let mut sum = T::zero();
        for (j, (h, g)) in samples.zip(h.chunks(k).zip(out.chunks_mut(k))) {
            let (y, max) = (self.y[j], h.iter().fold(h[0], |max, &h| max.max(h)));
            let others = |skip: usize| {
                let terms = (0..k).filter(|&l| l != skip).map(|l| (h[l] - max).exp());
                terms.fold(T::zero(), |sum, term| sum + term)
            };
            let total = others(k);
            let label = (h[y] - max).exp();
            // max + log(total) - h_y and p_y - 1 cancel at large margins.
            let (value, slope) = if self.cancels {
                (max + total.ln() - h[y], label / total - T::one())
            } else if label == T::one() {
                (others(y).ln_1p(), -others(y) / total)
            } else {
                (max - h[y] + total.ln(), -others(y) / total)
            };
            for l in 0..k {
                g[l] = (h[l] - max).exp() / total;
            }
            g[y] = slope;
            // The mistake of the stable form: weights in the value only.
            let c = if self.cancels { self.c[j] } else { T::one() };
            g.iter_mut().for_each(|g| *g *= c);
            sum += self.c[j] * value;
        }
        sum
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Resampling {
    ByCallCount,
    FromTheLastSamples,
    ReportsNoChange,
    NewDimension,
    GeneratorOfItsOwn,
}

/// The risk `(1/2) (h - step)^2` of a sample drawn in every step, with a mistake.
struct Resampled<T> {
    x: Inputs<T>,
    mistake: Resampling,
    calls: usize,
}

impl<T: Real> Resampled<T> {
    fn new(mistake: Resampling) -> Self {
        let x = Inputs::new(DMatrix::from_element(1, 1, T::one())).unwrap();
        Self {
            x,
            mistake,
            calls: 0,
        }
    }
}

impl<T: Real> Risk<T> for Resampled<T> {
    fn inputs(&self) -> &Inputs<T> {
        &self.x
    }
    fn output_dim(&self) -> usize {
        if self.mistake == Resampling::NewDimension {
            1 + self.calls
        } else {
            1
        }
    }
    fn value(&self, h: &[T]) -> T {
        let r = h[0] - self.x.point(0)[0];
        r * r * real(0.5)
    }
    fn value_and_gradient(&self, h: &[T], out: &mut [T]) -> T {
        out[0] = h[0] - self.x.point(0)[0];
        self.value(h)
    }
    fn refresh(&mut self, step: usize) -> bool {
        self.calls += 1;
        let (mistake, calls) = (self.mistake, self.calls);
        let draw = |_, x: &mut [T]| {
            x[0] = match mistake {
                Resampling::ByCallCount => real(calls as f64 * 0.25),
                Resampling::FromTheLastSamples => x[0] + real(step as f64 * 0.25),
                Resampling::GeneratorOfItsOwn if step > 3 => real(calls as f64 * 0.25),
                _ => real(step as f64 * 0.25),
            }
        };
        self.x.refill(draw).unwrap();
        self.mistake != Resampling::ReportsNoChange
    }
}

#[test]
fn stochastic_risks() {
    for (name, mistake) in [
        (
            "samples: keyed on the number of calls",
            Resampling::ByCallCount,
        ),
        (
            "samples: moved from the last ones",
            Resampling::FromTheLastSamples,
        ),
        (
            "samples: a change that is not reported",
            Resampling::ReportsNoChange,
        ),
        (
            "samples: another number of outputs",
            Resampling::NewDimension,
        ),
        (
            "samples: keyed on the number of calls from step 4 on",
            Resampling::GeneratorOfItsOwn,
        ),
    ] {
        mutant!(name, cases(), case => {
            check_resampled_risk::<T, _>(|| Resampled::<T>::new(mistake), case.seed)
        });
    }
    let energy = "energy: samples keyed on the number of calls";
    mutant!(energy, cases(), case => {
        let make = || {
            let risk = Resampled::<T>::new(Resampling::ByCallCount);
            MeanFieldRisk::new(Ridge::new(Tanh, 1), risk).unwrap()
        };
        check_resampled_energy::<T, _>(make, case)
    });
}

#[test]
fn risks() {
    for (name, cancels) in [
        ("risk: a softmax that cancels at large margins", true),
        (
            "risk: sample weights of a softmax dropped in the gradient",
            false,
        ),
    ] {
        mutant!(name, cases(), case => check_risk::<T>(&Softmax::<T>::new(case, cancels), case.seed));
    }
    for (name, mistake) in [
        (
            "risk: 1/n dropped in the gradient",
            Mistake::GradientWithoutReciprocal,
        ),
        (
            "risk: tail n mod 8 of the gradient dropped",
            Mistake::TailOfTheGradientDropped,
        ),
        (
            "risk: gradient of the first output only",
            Mistake::FirstOutputOnly,
        ),
        (
            "risk: sample weights dropped in the gradient",
            Mistake::GradientWithoutWeights,
        ),
        (
            "risk: value returned beside the gradient doubled",
            Mistake::ValueOfTheGradientDoubled,
        ),
        ("risk: adds to the gradient", Mistake::AddsToTheGradient),
        ("risk: not convex in one coordinate", Mistake::NotConvex),
        (
            "risk: the range of samples is ignored",
            Mistake::RangeOfFirstSamples,
        ),
        (
            "risk: k and n transposed in the curvature",
            Mistake::CurvatureTransposed,
        ),
        ("risk: curvature doubled", Mistake::CurvatureDoubled),
        ("risk: curvature negative", Mistake::CurvatureNegative),
    ] {
        mutant!(name, cases(), case => check_risk::<T>(&Square::new(case, mistake), case.seed));
    }
}
