//! Interactions, scores, kernel energies, noise, entropies.

use nalgebra::DMatrix;
use wasserflow::prelude::*;
use wasserflow::testing::{self, Case};
use wasserflow::transport::{
    HellingerKantorovichEnergy, SinkhornEnergy, SlicedW2Energy, W2Energy, gaussian_w2_squared,
};

use crate::measures::{extreme_measures, invalid_measures};
use crate::problems::energy;
use crate::suite::{COUNTS, NUMBERS, Suite};

pub fn calls(suite: &Suite<'_>) {
    in_precision::<f32>(suite);
    in_precision::<f64>(suite);
}

fn in_precision<T: Real>(suite: &Suite<'_>) {
    interactions::<T>(suite);
    scores::<T>(suite);
    energies::<T>(suite);
    noise::<T>(suite);
    entropies::<T>(suite);
    distances::<T>(suite);
    covariances::<T>(suite);
    margins::<T>(suite);
    laws::<T>(suite);
}

fn interactions<T: Real>(suite: &Suite<'_>) {
    for x in NUMBERS {
        for y in NUMBERS {
            let power = suite.call("PowerLaw::new", (x, y), || PowerLaw::new(x, y));
            if let Some(Ok(power)) = power {
                suite.call("PowerLaw::exponent", x, || power.exponent());
                suite.call("PowerLaw::strength", y, || power.strength());
                interaction::<T>(suite, (x, y), &power);
            }
            let [h, s] = [x, y].map(real::<T>);
            let bump = suite.call("GaussianInteraction::new", (x, y), || {
                GaussianInteraction::new(h, s)
            });
            if let Some(Ok(bump)) = bump {
                suite.call("GaussianInteraction::bandwidth", x, || bump.bandwidth());
                suite.call("GaussianInteraction::strength", y, || bump.strength());
                interaction::<T>(suite, (x, y), &bump);
            }
        }
        if let Some(Ok(riesz)) = suite.call("Riesz::new", x, || Riesz::new(x)) {
            suite.call("Riesz::exponent", x, || riesz.exponent());
            interaction::<T>(suite, (x, 0.0), &riesz);
        }
    }
}

fn interaction<T: Real>(suite: &Suite<'_>, at: (f64, f64), w: &dyn Interaction<T>) {
    suite.call("Interaction::is_singular", at, || w.is_singular());
    for z in NUMBERS.map(real::<T>) {
        suite.call("Interaction::value", (at, z), || w.value(&[z, z]));
    }
    for len in [NUMBERS.len(), 0] {
        let (mut s, mut d) = (NUMBERS.map(real::<T>), NUMBERS.map(real::<T>));
        suite.call("Interaction::radial", (at, len), || {
            w.radial(&mut s, &mut d[..len])
        });
    }
    let range = suite.call("Interaction::radial_range", at, || w.radial_range());
    let holds = range.is_some_and(|[least, largest]| least <= largest || largest <= least);
    suite.check(holds, "a range of squares has two numbers", (at, range));
    for lens in [[2, 2], [0, 0], [1, 2], [2, 0]] {
        let [z, mut out] = lens.map(|len| vec![T::one(); len]);
        suite.call("Interaction::gradient", (at, lens), || {
            w.gradient(&z, T::one(), &mut out)
        });
        suite.call("Interaction::value_and_gradient", (at, lens), || {
            w.value_and_gradient(&z, T::one(), &mut out)
        });
    }
}

/// A score of one value.
struct Always<T>(T);

impl<T: Real> Score<T> for Always<T> {
    fn score(&self, _: &[T], out: &mut [T]) {
        out.fill(self.0);
    }
    fn hessian_product(&self, _: &[T], _: &[T], out: &mut [T]) {
        out.fill(self.0);
    }
}

impl<T: Real> RadialKernel<T> for Always<T> {
    fn derivatives(&self, _: T) -> [T; 4] {
        [self.0; 4]
    }
}

impl<T: Real> Interaction<T> for Always<T> {
    fn value(&self, _: &[T]) -> T {
        self.0
    }
    fn gradient(&self, _: &[T], _: T, out: &mut [T]) {
        out.fill(self.0);
    }
}

impl<T: Real> ConditionallyPositive<T> for Always<T> {}

fn scores<T: Real>(suite: &Suite<'_>) {
    for x in NUMBERS {
        let length = real::<T>(x);
        let kernel = suite.call("InverseMultiquadric::new", x, || {
            InverseMultiquadric::new(length)
        });
        if let Some(Ok(kernel)) = kernel {
            suite.call("InverseMultiquadric::length", x, || kernel.length());
            for s in NUMBERS.map(real::<T>) {
                suite.call("RadialKernel::derivatives", (x, s), || {
                    kernel.derivatives(s)
                });
            }
            suite.call("RadialKernel::slice_derivatives", x, || {
                let [mut s, mut a, mut b, mut c] = [NUMBERS.map(real::<T>); 4];
                kernel.slice_derivatives(&mut s, [&mut a, &mut b, &mut c]);
                s
            });
        }
        if let Ok(kernel) = Gaussian::new(2, length) {
            suite.call("Gaussian::bandwidth", x, || kernel.bandwidth());
            for s in NUMBERS.map(real::<T>) {
                suite.call("RadialKernel::derivatives", (x, s), || {
                    kernel.derivatives(s)
                });
            }
            suite.call("RadialKernel::slice_derivatives", x, || {
                let [mut s, mut a, mut b, mut c] = [NUMBERS.map(real::<T>); 4];
                kernel.slice_derivatives(&mut s, [&mut a, &mut b, &mut c]);
                s
            });
        }
        let (w, mut out) = (vec![length; 2], vec![length; 3]);
        let score = Always(length);
        suite.call("Score::score", x, || score.score(&w, &mut out));
        suite.call("Score::hessian_product", x, || {
            score.hessian_product(&w, &w, &mut out)
        });
    }
}

fn energies<T: Real>(suite: &Suite<'_>) {
    let log = PowerLaw::new(0.0, -1.0).unwrap();
    for p in COUNTS {
        let interacting = suite.call("InteractionEnergy::new", p, || {
            InteractionEnergy::<_, T>::new(log, p)
        });
        suite.call("InteractionEnergy::interaction", p, || {
            interacting.map(|energy| *energy.interaction())
        });
        let unit = Gaussian::new(p, T::one()).unwrap();
        suite.call("SteinDiscrepancy::new", p, || {
            SteinDiscrepancy::new(Always(T::one()), unit, p).particle_dim()
        });
    }
    for x in NUMBERS {
        for y in NUMBERS {
            let [variance, exponent] = [x, y].map(real::<T>);
            let blob = suite.call("Blob::porous_medium", (x, y), || {
                Blob::porous_medium(3, exponent, variance)
            });
            if let Some(Ok(blob)) = blob {
                suite.call("Blob::exponent", (x, y), || blob.exponent());
                suite.call("Blob::variance", (x, y), || blob.variance());
            }
        }
        let blob = suite.call("Blob::entropy", x, || Blob::entropy(3, real::<T>(x)));
        if let Some(Ok(mut blob)) = blob {
            for (p, len) in [(3, 2), (2, 2), (3, 1)] {
                let mu = EmpiricalMeasure::uniform(DMatrix::from_element(p, 2, T::one())).unwrap();
                let mut out = vec![T::one(); len];
                suite.call("Blob::density", (x, p, len), || {
                    blob.density(&mu, mu.points(), &mut out)
                });
            }
        }
    }
    let riesz = Riesz::new(1.0).unwrap();
    for mu in extreme_measures::<T>(3)
        .into_iter()
        .chain(invalid_measures(3))
    {
        let at = (mu.len(), mu.points().as_slice()[0], mu.weight(0));
        let distance = suite.call("EnergyDistance::new", at, || EnergyDistance::new(riesz, mu));
        if let Some(Ok(distance)) = distance {
            suite.call("EnergyDistance::kernel", at, || *distance.kernel());
            suite.call("EnergyDistance::target", at, || distance.target().len());
        }
    }
    let target = EmpiricalMeasure::uniform(DMatrix::from_element(3, 2, T::one())).unwrap();
    for x in NUMBERS.map(real::<T>) {
        suite.call("EnergyDistance::new", x, || {
            EnergyDistance::new(Always(x), target.clone())
        });
    }
    let mut distance = EnergyDistance::new(riesz, target).unwrap();
    for p in [3, 2] {
        for mu in extreme_measures::<T>(p)
            .into_iter()
            .chain(invalid_measures(p))
        {
            let at = (p, mu.len(), mu.points().as_slice()[0]);
            suite.call("Energy::check_measure", at, || distance.check_measure(&mu));
        }
    }
    energy(suite, 20, &mut InteractionEnergy::<_, T>::new(log, 3));
    let quartic = PowerLaw::new(4.0, 1.0).unwrap();
    energy(suite, 21, &mut InteractionEnergy::<_, T>::new(quartic, 3));
    energy(suite, 22, &mut distance);
    let unit = Gaussian::new(3, T::one()).unwrap();
    let mut stein = SteinDiscrepancy::new(Always(T::one()), unit, 3);
    energy(suite, 23, &mut stein);
    energy(suite, 28, &mut Blob::entropy(3, T::one()).unwrap());
    let blob = Blob::porous_medium(3, real(2.5), T::one());
    energy(suite, 29, &mut blob.unwrap());
    let nan = real::<T>(f64::NAN);
    energy(suite, 24, &mut SteinDiscrepancy::new(Always(nan), unit, 3));
}

fn noise<T: Real>(suite: &Suite<'_>) {
    let decay = || PotentialEnergy::new(WeightDecay::new(T::one()).unwrap(), 2);
    let start = || EmpiricalMeasure::uniform(DMatrix::from_element(2, 3, T::one())).unwrap();
    let advance = |integrator: &mut dyn Integrator<T>| {
        let Ok(mut flow) = ParticleFlow::new(decay(), integrator, real(0.1)) else {
            return;
        };
        let mut state = flow.start(start()).unwrap();
        let _ = flow.run(&mut state, 3, &mut ());
        assert!(state.measure().check().is_ok());
    };
    for x in NUMBERS {
        let tau = real::<T>(x);
        let euler = suite.call("Langevin::new", x, || Langevin::new(tau, u64::MAX));
        if let Some(Ok(euler)) = euler {
            suite.call("Langevin::order", x, || euler.order());
            for offset in COUNTS {
                let euler = suite.call("Langevin::particles", (x, offset), || {
                    euler.particles(offset, offset)
                });
                suite.call("Integrator::step", (x, offset), || {
                    advance(&mut euler.unwrap())
                });
            }
        }
        let annealed = suite.call("Langevin::annealed", x, || {
            Langevin::annealed(wasserflow::integrator::from_fn(move |_, _| tau), 0)
        });
        suite.call("Integrator::step", x, || advance(&mut annealed.unwrap()));
        for y in NUMBERS {
            let kinetic = suite.call("KineticLangevin::new", (x, y), || {
                KineticLangevin::new(tau, y, 1)
            });
            let Some(Ok(kinetic)) = kinetic else { continue };
            suite.call("KineticLangevin::order", x, || kinetic.order());
            suite.call("KineticLangevin::friction", y, || kinetic.friction());
            let mut kinetic = suite
                .call("KineticLangevin::particles", (x, y), || {
                    kinetic.particles(usize::MAX, usize::MAX)
                })
                .unwrap();
            suite.call("Integrator::step", (x, y), || advance(&mut kinetic));
            let mut state = State::new(start());
            suite.call("KineticLangevin::momentum", (x, y), || {
                kinetic.momentum(&state)
            });
            state.memory_mut().field(0, (1, 1));
            state.memory_mut().scalars = vec![tau];
            suite.call("KineticLangevin::momentum", (x, y), || {
                kinetic.momentum(&state)
            });
            suite.call("KineticLangevin::annealed", (x, y), || {
                KineticLangevin::annealed(Constant::new(T::one()).unwrap(), y, 1)
            });
            let mut births = suite
                .call("BirthDeath::new", (x, y), || BirthDeath::new(x, y))
                .unwrap();
            suite.call("BirthDeath::order", (x, y), || births.order());
            suite.call("Integrator::step", (x, y), || advance(&mut births));
        }
        for dim in [0, 1, 2] {
            let kernel = Gaussian::new(dim, T::one()).unwrap();
            let svgd = suite.call("Svgd::new", (x, dim), || Svgd::new(kernel, tau));
            let Some(Ok(mut svgd)) = svgd else { continue };
            suite.call("Svgd::kernel", (x, dim), || *svgd.kernel());
            suite.call("Svgd::order", (x, dim), || svgd.order());
            suite.call("Integrator::step", (x, dim), || advance(&mut svgd));
        }
    }
}

fn entropies<T: Real>(suite: &Suite<'_>) {
    for p in [1, 3] {
        for mu in extreme_measures::<T>(p)
            .into_iter()
            .chain(invalid_measures(p))
        {
            for k in COUNTS {
                let at = (p, mu.len(), mu.points().as_slice()[0], k);
                let entropy =
                    suite.call("measure::knn_entropy", at, || measure::knn_entropy(&mu, k));
                let number = entropy
                    .is_some_and(|entropy| entropy.is_ok_and(|x| x == x) || entropy.is_err());
                suite.check(number, "an entropy is a number", (at, entropy));
            }
        }
    }
}

fn distances<T: Real>(suite: &Suite<'_>) {
    for p in [1, 2, 3, 4] {
        for mu in extreme_measures::<T>(p)
            .into_iter()
            .chain(invalid_measures(p))
        {
            let at = (p, mu.len(), mu.points().as_slice()[0], mu.weight(0));
            suite.call("measure::separation", at, || init::separation(&mu));
            for seed in [0, u64::MAX] {
                let median = suite.call("measure::median_distance", (at, seed), || {
                    measure::median_distance(&mu, seed)
                });
                let number = median.is_some_and(|d| d.map_or(true, |d| d > T::zero()));
                suite.check(number, "a median distance is positive", (at, median));
                suite.call("Gaussian::median_heuristic", (at, seed), || {
                    Gaussian::median_heuristic(&mu, seed)
                });
                suite.call("Gaussian::median_heuristic_svgd", (at, seed), || {
                    Gaussian::median_heuristic_svgd(&mu, seed)
                });
            }
            suite.call("HellingerKantorovichEnergy::gaussian", at, || {
                HellingerKantorovichEnergy::gaussian(mu.clone()).map(drop)
            });
            let unbalanced = suite.call("HellingerKantorovichEnergy::new", at, || {
                HellingerKantorovichEnergy::new(mu.clone())
            });
            if let Some(Ok(mut unbalanced)) = unbalanced {
                suite.call("HellingerKantorovichEnergy::target", at, || {
                    unbalanced.target().len()
                });
                suite.call("HellingerKantorovichEnergy::plan", at, || {
                    unbalanced.plan(&mu)
                });
                suite.call("HellingerKantorovichEnergy::gap", at, || unbalanced.gap());
            }
            let exact = suite.call("W2Energy::new", at, || W2Energy::new(mu.clone()));
            if let Some(Ok(exact)) = exact {
                suite.call("W2Energy::target", at, || exact.target().len());
                suite.call("W2Energy::coupling", at, || exact.coupling().is_some());
            }
            suite.call("SinkhornEnergy::half_square", at, || {
                SinkhornEnergy::half_square(mu.clone(), T::one())
            });
            suite.call("SlicedW2Energy::new", at, || {
                SlicedW2Energy::new(mu.clone(), 3, 1)
            });
        }
    }
    let target = || EmpiricalMeasure::uniform(DMatrix::from_element(3, 2, T::one())).unwrap();
    for count in COUNTS {
        let sliced = suite.call("SlicedW2Energy::new", count, || {
            SlicedW2Energy::new(target(), count, u64::MAX)
        });
        if let Some(Ok(sliced)) = sliced {
            suite.call("SlicedW2Energy::target", count, || sliced.target().len());
            suite.call("SlicedW2Energy::directions", count, || {
                sliced.directions().len()
            });
            suite.call("SlicedW2Energy::resampled", count, || sliced.resampled());
        }
    }
    for x in NUMBERS {
        let entropic = suite.call("SinkhornEnergy::half_square", x, || {
            SinkhornEnergy::half_square(target(), real::<T>(x))
        });
        if let Some(Ok(entropic)) = entropic {
            suite.call("SinkhornEnergy::epsilon", x, || entropic.epsilon());
            suite.call("SinkhornEnergy::target", x, || entropic.target().len());
            suite.call("SinkhornEnergy::marginal_error", x, || {
                entropic.marginal_error()
            });
            suite.call("SinkhornEnergy::potentials", x, || {
                entropic.potentials().map(<[T]>::len)
            });
            suite.call("SinkhornEnergy::warm_started", x, || {
                entropic.clone().warm_started()
            });
            for count in [0, 1, 3] {
                suite.call("SinkhornEnergy::accuracy", (x, count), || {
                    entropic.clone().accuracy(real(x), count)
                });
            }
        }
    }
    energy(suite, 25, &mut W2Energy::new(target()).unwrap());
    let sliced = SlicedW2Energy::new(target(), 3, 1).unwrap();
    energy(suite, 26, &mut sliced.resampled());
    let entropic = SinkhornEnergy::half_square(target(), T::one()).unwrap();
    energy(suite, 27, &mut entropic.accuracy(real(1e-3), 5).unwrap());
    let unbalanced = HellingerKantorovichEnergy::new(target());
    energy(suite, 30, &mut unbalanced.unwrap());
    let unbalanced = HellingerKantorovichEnergy::gaussian(target());
    energy(suite, 31, &mut unbalanced.unwrap());
}

fn margins<T: Real>(suite: &Suite<'_>) {
    use nalgebra::DVector;
    use wasserflow::optimality::{Margin, f1_margin, f2_margin};
    let check = |at: (usize, usize, f64, f64), margin: Option<Result<Margin, RiskError>>| {
        if let Some(Ok(margin)) = margin {
            let value = suite.call("Margin::value", at, || margin.value());
            let bound = suite.call("Margin::bound", at, || margin.bound());
            let holds = value
                .zip(bound)
                .is_some_and(|(value, bound)| value <= bound || value.is_nan() || bound.is_nan());
            suite.check(holds, "a margin is at most its bound", (at, margin));
        }
    };
    for p in [1, 2, 3] {
        for mu in extreme_measures::<T>(p)
            .into_iter()
            .chain(invalid_measures(p))
        {
            for x in NUMBERS {
                for (n, y) in [(2, 1.0), (1, -1.0), (2, x)] {
                    let at = (p, mu.len(), x, y);
                    let samples = DMatrix::from_element(2, n, real::<T>(x));
                    let labels = DVector::from_element(2, real::<T>(y));
                    let dual = [real::<T>(x), T::one()];
                    let map = Ridge::new(Relu, 2);
                    for dual in [None, Some(&dual[..]), Some(&dual[..1])] {
                        let margin = suite.call("optimality::f1_margin", at, || {
                            f1_margin(&map, &mu, &samples, &labels, dual)
                        });
                        check(at, margin);
                        let margin = suite.call("optimality::f2_margin", at, || {
                            f2_margin(&map, &mu, &samples, &labels, dual)
                        });
                        check(at, margin);
                    }
                }
            }
        }
    }
}

fn covariances<T: Real>(suite: &Suite<'_>) {
    use nalgebra::DVector;
    let vector = |d, x: f64| DVector::from_element(d, real::<T>(x));
    for x in NUMBERS {
        for (d, rows, columns) in [(0, 0, 0), (2, 2, 2), (2, 2, 1), (1, 2, 2), (3, 3, 3)] {
            let diagonal = DMatrix::from_diagonal_element(rows, columns, real::<T>(x));
            let full = DMatrix::from_element(rows, columns, real::<T>(x));
            for y in NUMBERS {
                let at = (x, y, d, rows, columns);
                for cov in [&diagonal, &full] {
                    let (a, b) = (vector(d, y), vector(d, x));
                    let distance = suite.call("transport::gaussian_w2_squared", at, || {
                        gaussian_w2_squared((&a, cov), (&b, &diagonal))
                    });
                    let number = distance.is_some_and(|d| d.map_or(true, |d| d >= T::zero()));
                    let small = x.abs() < 1e18 && y.abs() < 1e18;
                    suite.check(number || !small, "a distance is >= 0", at);
                }
            }
        }
    }
}

fn laws<T: Real>(suite: &Suite<'_>) {
    for x in NUMBERS {
        let always = Always(real::<T>(x));
        for p in [0, 1, 3] {
            suite.call("testing::check_interaction", (x, p), || {
                testing::check_interaction(&always, p, 1)
            });
            suite.call("testing::check_score", (x, p), || {
                testing::check_score(&always, p, 1)
            });
            for m in [0, 1, 3] {
                suite.call("testing::check_conditionally_positive", (x, p, m), || {
                    testing::check_conditionally_positive(&always, p, m, 1)
                });
            }
        }
        suite.call("testing::check_radial_kernel", x, || {
            testing::check_radial_kernel(&always, 1)
        });
    }
    for (n, m, d, k) in [(1, 3, 2, 1), (0, 1, 1, 1), (1, 0, 1, 1), (1, 1, 1, 1)] {
        let case = Case {
            n,
            m,
            d,
            k,
            seed: 1,
        };
        let log = PowerLaw::new(0.0, -1.0).unwrap();
        let mut energy = InteractionEnergy::<_, T>::new(log, 2);
        suite.call("testing::check_singular_energy", (n, m, d, k), || {
            testing::check_singular_energy(&mut energy, case)
        });
    }
}
