//! Risks, energies, certificates and sparse methods.

use std::time::Duration;

use nalgebra::{DMatrix, DVector};
use wasserflow::optimality::{
    Certifiable, Certificate, Decay, DualRisk, Effort, Search, certify, certify_within,
};
use wasserflow::prelude::*;
use wasserflow::sparse::{self, FrankWolfe};
use wasserflow::testing::Rank;

use crate::measures::{extreme_measures, invalid_measures};
use crate::suite::{COUNTS, NUMBERS, Suite};

pub fn calls(suite: &Suite<'_>) {
    risks::<f32>(suite);
    risks::<f64>(suite);
    stochastic_risks::<f32>(suite);
    stochastic_risks::<f64>(suite);
    energies::<f32>(suite);
    energies::<f64>(suite);
    certificates::<f32>(suite);
    certificates::<f64>(suite);
    bounds(suite);
    sums_over_ranks(suite);
}

fn risks<T: Real>(suite: &Suite<'_>) {
    let matrix = |rows, columns, x: f64| DMatrix::from_element(rows, columns, real::<T>(x));
    for x in NUMBERS {
        for (n, targets) in [(0, 0), (1, 1), (3, 3), (3, 2), (3, 4)] {
            let at = (x, n, targets);
            suite.call("EmpiricalRisk::new", at, || {
                EmpiricalRisk::new(
                    Square,
                    matrix(2, n, 1.0),
                    DVector::from_element(targets, real(x)),
                )
            });
            suite.call("EmpiricalRisk::new", at, || {
                EmpiricalRisk::new(
                    Logistic,
                    matrix(0, n, x),
                    DVector::from_element(targets, real(x)),
                )
            });
            suite.call("EmpiricalRisk::with_outputs", at, || {
                EmpiricalRisk::with_outputs(Huber(x), matrix(2, n, 1.0), matrix(2, targets, 0.0))
            });
            suite.call("EmpiricalRisk::with_outputs", at, || {
                EmpiricalRisk::with_outputs(Square, matrix(2, n, x), matrix(0, targets, 0.0))
            });
            let risk = EmpiricalRisk::new(Square, matrix(2, 3, 1.0), DVector::zeros(3)).unwrap();
            suite.call("EmpiricalRisk::sample_weights", at, || {
                risk.sample_weights(vec![real(x); targets])
            });
            let softmax = SoftmaxCrossEntropy::new(matrix(2, 3, 1.0), vec![0, 1, 0], 2).unwrap();
            suite.call("SoftmaxCrossEntropy::sample_weights", at, || {
                softmax.sample_weights(vec![real::<T>(x); targets])
            });
        }
        for classes in COUNTS {
            for label in COUNTS {
                suite.call("SoftmaxCrossEntropy::new", (x, classes, label), || {
                    SoftmaxCrossEntropy::new(matrix(1, 2, x), vec![0, label], classes)
                });
            }
        }
    }
    let square = EmpiricalRisk::new(Square, matrix(2, 3, 1.0), DVector::zeros(3)).unwrap();
    suite.call("EmpiricalRisk::loss", (), || *square.loss());
    suite.call("EmpiricalRisk::targets", (), || square.targets().len());
    suite.call("EmpiricalRisk::weights", (), || square.weights().len());
    let softmax = SoftmaxCrossEntropy::new(matrix(2, 3, 1.0), vec![0, 1, 0], 2).unwrap();
    suite.call("SoftmaxCrossEntropy::labels", (), || softmax.labels().len());
    suite.call("SoftmaxCrossEntropy::weights", (), || {
        softmax.weights().len()
    });
    risk(suite, 0, square);
    risk(suite, 1, softmax);
    let y = matrix(2, 3, 1e20);
    risk(
        suite,
        2,
        EmpiricalRisk::with_outputs(Square, matrix(2, 3, 1.0), y).unwrap(),
    );
    risk(
        suite,
        3,
        EmpiricalRisk::new(
            Logistic,
            matrix(2, 1, 1.0),
            DVector::from_element(1, T::one()),
        )
        .unwrap(),
    );
}

/// Risks whose samples are drawn in every step.
fn stochastic_risks<T: Real>(suite: &Suite<'_>) {
    let matrix = |rows, columns, x: f64| DMatrix::from_element(rows, columns, real::<T>(x));
    for batch in COUNTS {
        for seed in [0, u64::MAX] {
            let full = EmpiricalRisk::new(Quantile(0.5), matrix(2, 3, 1.0), DVector::zeros(3));
            let risk = suite.call("MinibatchRisk::new", (batch, seed), || {
                MinibatchRisk::new(full.unwrap(), batch, seed)
            });
            let Some(Ok(mut risk)) = risk else { continue };
            suite.call("MinibatchRisk::full", batch, || risk.full().inputs().len());
            suite.call("MinibatchRisk::batches", batch, || risk.batches());
            stochastic(suite, batch, &mut risk);
            suite.call("MinibatchRisk::samples", batch, || risk.samples().len());
            suite.call("MinibatchRisk::epoch", batch, || risk.epoch());
            let mut energy = MeanFieldRisk::new(Ridge::new(Relu, 2), risk).unwrap();
            for p in [2, 3] {
                for mu in extreme_measures::<T>(p)
                    .into_iter()
                    .chain(invalid_measures(p))
                    .step_by(7)
                {
                    suite.call("MeanFieldRisk::full_value", (batch, p), || {
                        energy.full_value(&mu)
                    });
                }
            }
        }
    }
    for x in NUMBERS.map(real::<T>) {
        for (d, k) in [(1, 1), (0, 1), (1, 0), (usize::MAX, 1), (2, 1 << 62)] {
            for batch in COUNTS {
                let at = (x, d, k, batch);
                let mut calls = 0;
                // Valid samples at first, then x.
                let mut next = move || {
                    calls += 1;
                    if calls < 5 { T::one() } else { x }
                };
                let mut other = next;
                let risk = suite.call("ExpectedRisk::new", at, || {
                    ExpectedRisk::new(Logistic, (d, k), batch, 7, move |_, x: &mut [T], y| {
                        x.fill_with(&mut next);
                        y.fill(x[0]);
                    })
                });
                if let Some(Ok(mut risk)) = risk {
                    stochastic(suite, batch, &mut risk);
                    suite.call("ExpectedRisk::samples", at, || {
                        risk.samples().targets().len()
                    });
                    suite.call("ExpectedRisk::shard", at, || risk.shard::<T>(u64::MAX));
                }
                let risk = suite.call("ExpectedRisk::softmax", at, || {
                    ExpectedRisk::softmax((d, k), batch, 7, move |rng, x: &mut [T], y| {
                        x.fill_with(&mut other);
                        *y = rng.index(2);
                    })
                });
                if let Some(Ok(mut risk)) = risk {
                    stochastic(suite, batch, &mut risk);
                }
            }
        }
        let mut square = EmpiricalRisk::new(Square, matrix(2, 3, 1.0), DVector::zeros(3)).unwrap();
        let fill = |_, to: &mut [T], y: &mut [T]| {
            to.fill(x);
            y.fill(x);
        };
        suite.call("ExpectedRisk::of", x, || {
            ExpectedRisk::of(square.clone(), 1, |_, x: &mut [T], y: &mut [T]| {
                fill(0, x, y)
            })
        });
        suite.call("EmpiricalRisk::refill", x, || square.refill(fill));
        suite.call("Refill::refill", x, || {
            Refill::refill(&mut square, &mut { fill })
        });
        let mut softmax = SoftmaxCrossEntropy::new(matrix(2, 3, 1.0), vec![0; 3], 2).unwrap();
        for class in COUNTS {
            suite.call("SoftmaxCrossEntropy::refill", (x, class), || {
                softmax.refill(|_, to, y| {
                    to.fill(x);
                    *y = class;
                })
            });
        }
    }
    for step in COUNTS {
        let mut rng = suite
            .call("SampleRng::new", step, || {
                SampleRng::new(u64::MAX, 0, step, step)
            })
            .unwrap();
        suite.call("SampleRng::next_u64", step, || rng.next_u64());
        let u = suite.call("SampleRng::uniform", step, || rng.uniform());
        suite.check(
            u.is_some_and(|u| (0.0..1.0).contains(&u)),
            "uniform in [0, 1)",
            u,
        );
        let z = suite.call("SampleRng::normal", step, || rng.normal());
        suite.check(z.is_some_and(f64::is_finite), "a finite normal number", z);
        let index = suite.call("SampleRng::index", step, || rng.index(step));
        suite.check(index.is_none_or(|i| i < step), "an index below n", index);
    }
}

/// Values and derivatives after refreshes to any step.
fn stochastic<T: Real>(suite: &Suite<'_>, index: usize, risk: &mut dyn Risk<T>) {
    for step in COUNTS {
        let at = (index, step);
        suite.call("Risk::refresh", at, || risk.refresh(step));
        suite.call("Risk::check", at, || risk.check());
        let kn = risk.output_dim() * risk.inputs().len();
        for len in [0, kn, kn + 1] {
            for x in NUMBERS.map(real::<T>) {
                let (h, mut g) = (vec![x; len], vec![x; len]);
                let at = (at, len, x);
                suite.call("Risk::value", at, || risk.value(&h));
                suite.call("Risk::value_and_gradient", at, || {
                    risk.value_and_gradient(&h, &mut g)
                });
                suite.call("Risk::curvature", at, || risk.curvature(&h, &h, &mut g));
                suite.call("Risk::value_and_gradient_range", at, || {
                    risk.value_and_gradient_range(1..len, &h, &mut g)
                });
            }
        }
        suite.call("Risk::kinks", at, || {
            let mut last = None;
            risk.kinks(&mut |i, _| last = Some(i));
            last
        });
    }
}

fn risk<T: Real>(suite: &Suite<'_>, index: usize, mut risk: impl Risk<T> + DualRisk) {
    suite.call("Risk::check", index, || risk.check());
    suite.call("Risk::inputs", index, || risk.inputs().len());
    let k = suite
        .call("Risk::output_dim", index, || risk.output_dim())
        .unwrap();
    suite.call("Risk::kinks", index, || {
        let mut last = None;
        risk.kinks(&mut |i, _| last = Some(i));
        last
    });
    suite.call("Risk::is_separable", index, || risk.is_separable());
    for step in COUNTS {
        suite.call("Risk::refresh", (index, step), || risk.refresh(step));
    }
    let n = risk.inputs().len();
    let kn = k * n;
    for x in NUMBERS.map(real::<T>) {
        let (h, mut g, mut c) = (vec![x; kn], vec![x; kn], vec![x; kn]);
        let at = (index, x);
        let value = suite.call("Risk::value", at, || risk.value(&h));
        let pair = suite.call("Risk::value_and_gradient", at, || {
            risk.value_and_gradient(&h, &mut g)
        });
        suite.call("Risk::curvature", at, || risk.curvature(&h, &h, &mut c));
        if x.is_finite() {
            let numbers = value.is_some_and(|r| r == r) && pair.is_some_and(|r| r == r);
            suite.check(numbers, "a risk is a number", (at, value, pair));
            suite.check(g.iter().all(|g| g == g), "a gradient is a number", (at, &g));
        }
        let double = |x: T| {
            if x == x {
                x.to_f64().unwrap_or(f64::NAN)
            } else {
                f64::NAN
            }
        };
        let (h, mut u) = (vec![double(x); kn], vec![0.0; kn]);
        suite.call("DualRisk::slope", at, || risk.slope(&h, &mut u));
        for c in NUMBERS {
            let bound = suite.call("DualRisk::conjugate", (at, c), || risk.conjugate(&u, c));
            let number = bound.is_some_and(|bound| bound.is_none_or(|bound| bound == bound));
            suite.check(
                number || !u.iter().all(|u| u.is_finite()) || c != c,
                "a bound",
                (at, c, bound),
            );
            let radius = vec![c.abs(); n];
            let (mut low, mut high) = (u.clone(), u.clone());
            suite.call("DualRisk::subdifferential", (at, c), || {
                risk.subdifferential(&h, &radius, &mut low, &mut high)
            });
            let bound = suite.call("DualRisk::upper", (at, c), || risk.upper(&h, &radius));
            let number = bound.is_some_and(|bound| bound == bound);
            suite.check(
                number || x != x || c != c || !x.is_finite(),
                "upper",
                (at, c, bound),
            );
        }
    }
    for lens in [
        [0; 3],
        [kn + 1; 3],
        [kn, kn - 1, kn],
        [kn, kn, kn + 1],
        [kn - 1, kn, kn],
    ] {
        let [h, u, mut out] = lens.map(|len| vec![T::one(); len]);
        let at = (index, lens);
        suite.call("Risk::value", at, || risk.value(&h));
        suite.call("Risk::value_and_gradient", at, || {
            risk.value_and_gradient(&h, &mut out)
        });
        suite.call("Risk::curvature", at, || risk.curvature(&h, &u, &mut out));
        for range in [
            0..0,
            0..1,
            1..n,
            0..n,
            0..n + 1,
            n..n + 5,
            usize::MAX - 1..usize::MAX,
        ] {
            suite.call("Risk::value_and_gradient_range", (at, &range), || {
                risk.value_and_gradient_range(range.clone(), &h, &mut out)
            });
        }
        let [h, u, mut out] = lens.map(|len| vec![1.0; len]);
        suite.call("DualRisk::slope", at, || risk.slope(&h, &mut out));
        suite.call("DualRisk::upper", at, || risk.upper(&h, &u));
        let mut other = out.clone();
        suite.call("DualRisk::subdifferential", at, || {
            risk.subdifferential(&h, &u, &mut out, &mut other)
        });
        suite.call("DualRisk::conjugate", at, || risk.conjugate(&u, 1.0));
    }
}

type Network<L, T> = MeanFieldRisk<Ridge<Relu>, EmpiricalRisk<L, T>, T, WeightDecay<T>>;

/// A network with inputs in `R^d` of the given size.
fn network<L: Loss<T>, T: Real>(loss: L, d: usize, scale: f64, lambda: f64) -> Network<L, T> {
    let x = DMatrix::from_fn(d, 4, |l, j| {
        real::<T>(scale * ((l + 2 * j) % 5) as f64 - scale)
    });
    let y = DVector::from_fn(4, |j, _| if j % 2 == 0 { T::one() } else { -T::one() });
    let risk = EmpiricalRisk::new(loss, x, y).unwrap();
    let decay = WeightDecay::new(real(lambda)).unwrap();
    MeanFieldRisk::new(Ridge::new(Relu, d), risk)
        .unwrap()
        .regularized(decay)
}

fn energies<T: Real>(suite: &Suite<'_>) {
    let decay = WeightDecay::new(T::one()).unwrap();
    for p in COUNTS {
        let energy = suite.call("PotentialEnergy::new", p, || PotentialEnergy::new(decay, p));
        suite.call("PotentialEnergy::potential", p, || {
            energy.map(|e| *e.potential())
        });
    }
    let x = DMatrix::from_element(2, 3, T::one());
    for (d, k) in [
        (2, 1),
        (3, 1),
        (2, 2),
        (2, 0),
        (usize::MAX, 1),
        (2, usize::MAX),
    ] {
        suite.call("MeanFieldRisk::new", (d, k), || {
            let risk = EmpiricalRisk::new(Square, x.clone(), DVector::zeros(3)).unwrap();
            MeanFieldRisk::new(Ridge::with_outputs(Relu, d, k), risk)
        });
    }
    for a in NUMBERS {
        suite.call("MeanFieldRisk::new", ("slope", a), || {
            let risk = EmpiricalRisk::new(Square, x.clone(), DVector::zeros(3)).unwrap();
            MeanFieldRisk::new(Ridge::new(LeakyRelu(a), 2), risk)
        });
    }
    let mut net = network::<_, T>(Square, 2, 1.0, 0.1);
    suite.call("MeanFieldRisk::regularized", (), || {
        let risk = EmpiricalRisk::new(Square, x.clone(), DVector::zeros(3)).unwrap();
        MeanFieldRisk::new(Ridge::new(Relu, 2), risk).map(|energy| energy.regularized(decay))
    });
    suite.call("MeanFieldRisk::features", (), || *net.features());
    suite.call("MeanFieldRisk::risk", (), || net.risk().inputs().len());
    suite.call("MeanFieldRisk::risk_mut", (), || {
        net.risk_mut().inputs().len()
    });
    suite.call("MeanFieldRisk::potential", (), || net.potential().lambda());
    for p in [2, 3, 4] {
        for mu in extreme_measures::<T>(p)
            .into_iter()
            .chain(invalid_measures(p))
            .step_by(7)
        {
            for len in [0, 3, 4, 5] {
                let mut h = vec![T::one(); len];
                suite.call("MeanFieldRisk::predict", (p, len), || {
                    net.predict(&mu, &mut h)
                });
            }
        }
    }
    let target = |p| EmpiricalMeasure::uniform(DMatrix::from_element(p, 2, T::one())).unwrap();
    for (dim, p) in [(2, 2), (2, 3), (0, 1), (usize::MAX, 1)] {
        suite.call("Mmd::new", (dim, p), || {
            Mmd::new(ArcCosine::new(dim), target(p))
        });
        suite.call("Sum::new", (dim, p), || {
            Sum::new(
                PotentialEnergy::new(decay, dim),
                PotentialEnergy::new(decay, p),
            )
        });
    }
    for mu in invalid_measures::<T>(2) {
        suite.call("Mmd::new", "invalid target", || {
            Mmd::new(ArcCosine::new(2), mu)
        });
    }
    let mut mmd = Mmd::new(ArcCosine::new(3), target(3)).unwrap();
    suite.call("Mmd::kernel", (), || *mmd.kernel());
    suite.call("Mmd::target", (), || mmd.target().len());
    let mut gaussian = Mmd::new(Gaussian::new(3, T::one()).unwrap(), target(3)).unwrap();
    let mut sum = Sum::new(
        PotentialEnergy::new(decay, 3),
        network::<_, T>(Logistic, 2, 1.0, 0.0),
    )
    .unwrap();
    suite.call("Sum::parts", (), || sum.parts().0.potential().lambda());
    energy(suite, 0, &mut net);
    energy(suite, 1, &mut mmd);
    energy(suite, 2, &mut gaussian);
    energy(suite, 3, &mut sum);
    energy::<T>(suite, 4, &mut PotentialEnergy::new(decay, 3));
    energy(suite, 5, &mut network::<_, T>(Logistic, 2, 1e18, 0.1));
    energy(suite, 6, &mut network::<_, T>(Hinge, 2, 1e-18, 0.1));
}

pub fn energy<T: Real>(suite: &Suite<'_>, index: usize, energy: &mut dyn Energy<T>) {
    suite.call("Energy::check", index, || energy.check());
    suite.call("Energy::ranks", index, || energy.ranks().is_some());
    suite.call("Energy::sample_ranks", index, || {
        energy.sample_ranks().is_some()
    });
    suite.call("Energy::particle_dim", index, || energy.particle_dim());
    for step in COUNTS {
        suite.call("Energy::refresh", (index, step), || energy.refresh(step));
    }
    for p in [3, 2, 4] {
        for mu in extreme_measures::<T>(p)
            .into_iter()
            .chain(invalid_measures(p))
        {
            let m = mu.len();
            let at = (index, p, m, mu.points().as_slice()[0]);
            suite.call("Energy::value", at, || energy.value(&mu));
            for (rows, columns) in [(p, m), (p, m + 1), (p + 1, m), (0, 0)] {
                let v = DMatrix::from_element(rows, columns, T::one());
                let (mut out, mut values) = (v.clone(), vec![T::one(); columns]);
                let at = (at, rows, columns);
                suite.call("Energy::velocity", at, || energy.velocity(&mu, &mut out));
                suite.call("Energy::inner", at, || energy.inner(&mu, &v, &v));
                suite.call("Energy::inner", at, || energy.inner(&mu, &v, mu.points()));
                let mut field = mu.points().clone();
                suite.call("Energy::curvature", at, || {
                    energy.curvature(&mu, &v, &mut field)
                });
                suite.call("Energy::curvature", at, || {
                    energy.curvature(&mu, mu.points(), &mut out)
                });
                let len = rows * rows * columns;
                let [mut remainder, mut included] = [(); 2].map(|()| vec![T::one(); len]);
                suite.call("Energy::hessians", at, || {
                    energy.hessians(&mu, &mut remainder, &mut included)
                });
                suite.call("Energy::hessians", at, || {
                    energy.hessians(&mu, &mut remainder, &mut [])
                });
                for margin in [T::zero(), T::one(), real(f64::NAN)] {
                    suite.call("Energy::breakpoints", (at, margin), || {
                        let mut count = 0;
                        energy.breakpoints(&mu, &v, margin, &mut |_| count += 1);
                        count
                    });
                }
                suite.call("Energy::first_variation", at, || {
                    energy.first_variation(&mu, &v, &mut values, &mut out)
                });
                suite.call("Energy::first_variation", at, || {
                    energy.first_variation(&mu, mu.points(), &mut values, &mut out)
                });
            }
            for width in NUMBERS.map(real::<T>) {
                let mut field = mu.points().clone();
                for _ in 0..2 {
                    suite.call("Energy::relax", (at, width), || {
                        energy.relax(Some((&mu, width)))
                    });
                }
                suite.call("Energy::velocity", (at, width), || {
                    energy.velocity(&mu, &mut field)
                });
                suite.call("Energy::relax", at, || energy.relax(None));
            }
        }
    }
}

fn certificates<T: Real>(suite: &Suite<'_>)
where
    Relu: Activation<T>,
{
    for scale in [1e-18, 1.0, 1e18] {
        for lambda in [0.0, 1e-30, 0.1, 1e30] {
            for d in [1, 2, 3, 4] {
                let at = (scale, lambda, d);
                certified(
                    suite,
                    at,
                    &mut network::<_, T>(Square, d, scale, lambda),
                    d + 1,
                );
                certified(
                    suite,
                    at,
                    &mut network::<_, T>(Logistic, d, scale, lambda),
                    d + 1,
                );
                certified(
                    suite,
                    at,
                    &mut network::<_, T>(Hinge, d, scale, lambda),
                    d + 1,
                );
                certified(
                    suite,
                    at,
                    &mut network::<_, T>(Exponential, d, scale, lambda),
                    d + 1,
                );
            }
        }
    }
    let target = EmpiricalMeasure::uniform(DMatrix::from_element(3, 2, T::one())).unwrap();
    let mut mmd = Mmd::new(ArcCosine::new(3), target).unwrap();
    certified(suite, (0.0, 0.0, 3), &mut mmd, 3);
    sparse_of_networks::<T>(suite);
}

fn certified<T: Real, E: Certifiable<T>>(
    suite: &Suite<'_>,
    at: (f64, f64, usize),
    energy: &mut E,
    p: usize,
) {
    let dims = if at.0 == 1.0 {
        vec![p, p + 1, p - 1]
    } else {
        vec![p]
    };
    for q in dims {
        if q == 0 {
            continue;
        }
        let measures = extreme_measures::<T>(q)
            .into_iter()
            .step_by(if p > 3 { 17 } else { 5 });
        for mu in measures.chain(invalid_measures(q)) {
            let at = (at, q, mu.points().as_slice()[0], mu.weight(0));
            let certificate = suite.call("optimality::certify", at, || certify(energy, &mu));
            let Some(certificate) = certificate else {
                continue;
            };
            let gap = suite
                .call("Certificate::gap", at, || certificate.gap())
                .unwrap();
            suite.check(
                gap == gap && gap >= T::zero(),
                "a gap is a number >= 0",
                (at, gap),
            );
            let valid = mu.check().is_ok();
            suite.check(
                valid || !gap.is_finite(),
                "no gap of an invalid measure",
                (at, gap),
            );
            let estimate = suite.call("Certificate::optimistic_gap", at, || {
                certificate.optimistic_gap()
            });
            suite.check(
                estimate.is_some_and(|e| e <= gap),
                "estimate <= gap",
                (at, estimate),
            );
            suite.call("Certificate::budget", at, || certificate.budget());
            let contradiction = suite.call("Certificate::contradiction", at, || {
                certificate.contradiction()
            });
            suite.check(
                contradiction.is_some_and(|excess| excess.is_none()),
                "bounds of the losses of the crate are consistent",
                (at, contradiction),
            );
            suite.call("Certificate::bound", at, || certificate.bound());
            suite.call("Certificate::energy", at, || certificate.energy());
            let bounds = suite.call("Certificate::maximum_bounds", at, || {
                certificate.maximum_bounds()
            });
            suite.check(
                bounds.flatten().is_none_or(|(lower, upper)| lower <= upper),
                "lower <= upper",
                (at, bounds),
            );
            suite.call("Certificate::threshold", at, || certificate.threshold());
            let escape = suite.call("Certificate::escape", at, || {
                certificate.escape().map(<[T]>::to_vec)
            });
            if let Some(Some(w)) = escape {
                suite.check(
                    w.iter().all(|w| w.is_finite()),
                    "a finite direction",
                    (at, &w),
                );
                let inserted = suite.call("sparse::insert", at, || sparse::insert(energy, &mu, &w));
                if let Some(Some(nu)) = inserted {
                    let (before, after) = (energy.value(&mu), energy.value(&nu));
                    suite.check(after <= before, "F decreases", (at, before, after));
                }
            }
        }
    }
    let mu = EmpiricalMeasure::uniform(DMatrix::from_element(p, 2, T::one())).unwrap();
    for budget in NUMBERS {
        let certificate = suite.call("optimality::certify_within", (at, budget), || {
            certify_within(energy, &mu, real(budget))
        });
        let gap = certificate.map(|certificate| certificate.gap());
        suite.check(
            gap.is_some_and(|gap| gap == gap),
            "a gap is a number",
            (at, budget, gap),
        );
        for s in [1.0, budget] {
            let subgradient = [(real(s), mu.clone())];
            suite.call("Certifiable::combined_certificate", (at, s), || {
                energy.combined_certificate(&mu, &subgradient, &mut Search::new())
            });
        }
        suite.call("Certifiable::certificate", (at, budget), || {
            energy.certificate(&mu, &mut Search::new())
        });
        suite.call("Search::certify", (at, budget), || {
            Search::new().certify(energy, &mu)
        });
        let search = suite.call("Search::within", (at, budget), || {
            Search::new().within(budget)
        });
        if let Some(Ok(mut search)) = search {
            suite.call("Certifiable::certificate", (at, budget), || {
                search.certify(energy, &mu)
            });
            suite.call("Search::budget", (at, budget), || search.budget());
        }
    }
}

fn bounds(suite: &Suite<'_>) {
    for a in NUMBERS {
        for b in NUMBERS {
            let certificate = suite.call("Certificate::bounded", (a, b), || {
                Certificate::<f32>::bounded(a, b, None)
            });
            let gap = certificate.map(|certificate| certificate.gap());
            suite.check(
                gap.is_some_and(|gap| gap == gap),
                "a gap is a number",
                (a, b, gap),
            );
        }
        let search = suite.call("Search::with_target", a, || Search::new().with_target(a));
        if let Some(Ok(search)) = search {
            suite.call("Search::target", a, || search.target());
        }
        for cells in [0, 1, usize::MAX] {
            let effort = suite.call("Effort::new", (a, cells), || Effort::new(a, cells));
            let Some(Ok(effort)) = effort else {
                continue;
            };
            suite.call("Effort::tolerance", (a, cells), || effort.tolerance());
            suite.call("Effort::cells", (a, cells), || effort.cells());
            for limit in [Duration::ZERO, Duration::MAX] {
                let limited = suite.call("Effort::with_time_limit", limit, || {
                    effort.with_time_limit(limit)
                });
                suite.call("Effort::time_limit", limit, || {
                    limited.map(|limited| limited.time_limit())
                });
                let search = suite.call("Search::with_effort", (a, cells), || {
                    Search::new().with_effort(effort)
                });
                suite.call("Search::effort", (a, cells), || search.map(|s| s.effort()));
            }
        }
        if let Ok(decay) = WeightDecay::new(a) {
            suite.call("Decay::strength", a, || decay.strength());
        }
    }
    suite.call("Certificate::bounded", "escape", || {
        Certificate::<f64>::bounded(1.0, 0.0, Some(NUMBERS.to_vec()))
    });
    suite.call("Search::new", (), Search::new);
    suite.call("Decay::strength", (), || ().strength());
}

fn sparse_of_networks<T: Real>(suite: &Suite<'_>)
where
    Relu: Activation<T>,
{
    let variants = [
        FrankWolfe::Plain,
        FrankWolfe::Corrective,
        FrankWolfe::Sliding,
    ];
    for p in [3, 2, 4] {
        let measures = extreme_measures::<T>(p)
            .into_iter()
            .step_by(if p == 3 { 3 } else { 40 });
        for mu in measures.chain(invalid_measures(p)) {
            let at = (p, mu.points().as_slice()[0], mu.weight(0), mu.len());
            let map = Ridge::new(Relu, 2);
            suite.call("sparse::prune", at, || sparse::prune(&map, &mu));
            for tolerance in [0.0, 1e-3, 10.0, f64::NAN, -1.0, f64::INFINITY] {
                suite.call("sparse::merge", (at, tolerance), || {
                    sparse::merge(&map, &mu, real(tolerance))
                });
            }
            for (index, scale) in [1.0, 1e-18, 1e18].into_iter().enumerate() {
                let mut energy = network::<_, T>(Square, 2, scale, 0.1);
                let at = (at, index);
                suite.call("sparse::reweigh", at, || sparse::reweigh(&mut energy, &mu));
                for w in [
                    vec![],
                    vec![T::one(); p],
                    vec![T::one(); p + 1],
                    vec![real(f64::NAN); p],
                ] {
                    suite.call("sparse::insert", (at, &w), || {
                        sparse::insert(&mut energy, &mu, &w)
                    });
                    for variant in variants {
                        suite.call("FrankWolfe::step", (at, variant, &w), || {
                            variant.step(&mut energy, &mu, &w)
                        });
                    }
                }
                for gap in [0.0, 1e-6, -1.0, f64::NAN, f64::INFINITY] {
                    for variant in variants {
                        suite.call("FrankWolfe::run", (at, variant, gap), || {
                            variant.run(&mut energy, &mut mu.clone(), real(gap), 3)
                        });
                        suite.call("FrankWolfe::run_with", (at, variant, gap), || {
                            let search = &mut Search::new();
                            variant.run_with(search, &mut energy, &mut mu.clone(), real(gap), 1)
                        });
                    }
                }
            }
        }
    }
    let mut hinge = network::<_, T>(Hinge, 2, 1.0, 0.01);
    let mu = EmpiricalMeasure::uniform(DMatrix::from_element(3, 2, T::one())).unwrap();
    for variant in variants {
        suite.call("FrankWolfe::run", ("hinge", variant), || {
            variant.run(&mut hinge, &mut mu.clone(), T::zero(), 10)
        });
    }
}

fn sums_over_ranks(suite: &Suite<'_>) {
    for size in 0..3 {
        suite.call("Rank::group", size, || Rank::<f64>::group(size));
    }
    let alone = Rank::<f32>::group(1).remove(0);
    deal_out(suite, alone.clone());
    deal_out(suite, ());
    // Numbers of ranks that break the law.
    for (rank, size) in [(0, 0), (3, 2), (usize::MAX, usize::MAX)] {
        for len in COUNTS {
            suite.call("AllReduce::share", (rank, size, len), || {
                AllReduce::<f64>::share(&Numbered(rank, size), len).len() <= len
            });
        }
    }
    let mut alone = alone;
    for x in NUMBERS {
        for len in [0, 1, 9] {
            let mut x = vec![x as f32; len];
            suite.call("AllReduce::sum", len, || alone.sum(&mut x));
        }
    }
    for mu in extreme_measures::<f64>(3)
        .into_iter()
        .chain(invalid_measures(3))
    {
        let at = (mu.len(), mu.points()[0], mu.weight(0));
        let ranks = || Rank::group(1).remove(0);
        let decay = PotentialEnergy::new(WeightDecay::new(0.1).unwrap(), 3);
        suite.call("PotentialEnergy::distributed", at, || {
            decay.distributed(ranks()).value(&mu)
        });
        let target = EmpiricalMeasure::uniform(DMatrix::from_element(3, 2, 1.0)).unwrap();
        let mmd = Mmd::new(Gaussian::new(3, 1.0).unwrap(), target).unwrap();
        suite.call("Mmd::distributed", at, || {
            mmd.clone().distributed(ranks()).value(&mu)
        });
        let all = suite.call("SumOverRanks::new", at, || SumOverRanks::new(mmd, ranks()));
        let Some(mut all) = all else { continue };
        suite.call("SumOverRanks::energy", at, || all.energy().particle_dim());
        suite.call("SumOverRanks::energy_mut", at, || all.energy_mut().check());
        suite.call("Energy::value", at, || all.value(&mu));
        let quadratic = InteractionEnergy::new(PowerLaw::new(2.0, 1.0).unwrap(), 3);
        let all = suite.call("Gathered::new", at, || Gathered::new(quadratic, ranks()));
        let Some(mut all) = all else { continue };
        suite.call("Gathered::energy", at, || all.energy().particle_dim());
        suite.call("Gathered::energy_mut", at, || all.energy_mut().check());
        suite.call("Energy::value", at, || all.value(&mu));
    }
    suite.call("MeanFieldRisk::distributed", 1, || {
        let mut energy = network::<_, f32>(Square, 2, 1.0, 0.1).distributed(alone);
        energy.value(&EmpiricalMeasure::uniform(DMatrix::from_element(3, 2, 1.0)).unwrap())
    });
}

/// Ranks whose numbers may break the law, alone.
struct Numbered(usize, usize);

impl<T: Real> AllReduce<T> for Numbered {
    fn rank(&self) -> usize {
        self.0
    }
    fn size(&self) -> usize {
        self.1
    }
    fn sum(&mut self, _: &mut [T]) {}
}

/// Shares and collections of all measures on a single rank.
fn deal_out(suite: &Suite<'_>, mut ranks: impl AllReduce<f32>) {
    suite.call("AllReduce::rank", (), || ranks.rank());
    suite.call("AllReduce::size", (), || ranks.size());
    for x in NUMBERS {
        suite.call("AllReduce::gather", x, || {
            ranks.gather(&[x as f32; 3]).len()
        });
    }
    for len in COUNTS {
        suite.call("AllReduce::share", len, || ranks.share(len));
    }
    for mu in extreme_measures::<f32>(2)
        .into_iter()
        .chain(invalid_measures(2))
    {
        let at = (mu.len(), mu.points()[0], mu.weight(0));
        suite.call("EmpiricalMeasure::share", at, || mu.share(&ranks));
        suite.call("EmpiricalMeasure::collect", at, || mu.collect(&mut ranks));
        let state = State::new(mu);
        suite.call("State::share", at, || state.share(&ranks).to_parts());
        suite.call("State::collect", at, || {
            state.collect(&mut ranks).to_parts()
        });
    }
    for m in COUNTS.into_iter().filter(|&m| m < 1 << 20) {
        suite.call("measure::in_blocks", m, || {
            init::in_blocks(&ranks, m, u64::MAX, |_, len| init::circle(len, 1.0))
        });
        suite.call("measure::in_blocks", ("none", m), || {
            init::in_blocks(&ranks, m, 0, |_, _| init::circle(0, 1.0))
        });
        suite.call("measure::in_blocks", ("others", m), || {
            init::in_blocks(&ranks, m, 0, |_, len| {
                init::circle(len.wrapping_add(1), 1.0)
            })
        });
    }
    suite.call("measure::in_blocks", "endless", || {
        let one = || init::circle(1, 1.0);
        init::in_blocks(&ranks, usize::MAX, 0, |_, _| one())
    });
}
