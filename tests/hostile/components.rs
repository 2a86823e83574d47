//! Activations, losses, feature maps, kernels and potentials.

use nalgebra::DMatrix;
use wasserflow::prelude::*;
use wasserflow::testing::problems::{Dirichlet, Quadratic, Quartic};

use crate::measures::{extreme_measures, invalid_measures};
use crate::suite::{COUNTS, NUMBERS, Suite};

pub fn calls(suite: &Suite<'_>) {
    in_precision::<f32>(suite);
    in_precision::<f64>(suite);
    workspaces(suite);
}

fn in_precision<T: Real>(suite: &Suite<'_>) {
    activations::<T>(suite);
    losses::<T>(suite);
    kernels::<T>(suite);
    potentials::<T>(suite);
    feature_maps::<T>(suite);
}

fn activations<T: Real>(suite: &Suite<'_>) {
    let valid: [&dyn Activation<T>; 16] = [
        &Relu,
        &LeakyRelu(0.1),
        &LeakyRelu(-1e300),
        &ReluPower(0),
        &ReluPower(3),
        &Abs,
        &Identity,
        &Softplus,
        &Tanh,
        &Sigmoid,
        &Erf,
        &Gelu,
        &Silu,
        &Sine,
        &ReluPower(1000),
        &LeakyRelu(1e-300),
    ];
    for (index, sigma) in valid.into_iter().enumerate() {
        activation(suite, index, sigma);
    }
    for a in NUMBERS {
        activation::<T>(suite, 100, &LeakyRelu(a));
    }
    for k in [u32::MAX, u32::MAX - 1, 1 << 31] {
        activation::<T>(suite, 101, &ReluPower(k));
        suite.call("Homogeneous::degree", k, || {
            Homogeneous::degree(&ReluPower(k))
        });
        suite.call("Homogeneous::degree", k, || {
            Ridge::new(ReluPower(k), 2).degree()
        });
        suite.call("Homogeneous::degree", k, || {
            Homogeneous::degree(&Radial::new(ReluPower(k), 2))
        });
    }
}

fn activation<T: Real>(suite: &Suite<'_>, index: usize, sigma: &dyn Activation<T>) {
    suite.call("Activation::slopes", index, || sigma.slopes());
    let valid = suite
        .call("Activation::check", index, || sigma.check())
        .is_some_and(|check| check.is_ok());
    for u in NUMBERS.map(real::<T>) {
        let at = (index, u);
        suite.call("Activation::value", at, || sigma.value(u));
        suite.call("Activation::derivative", at, || sigma.derivative(u));
        let pair = suite.call("Activation::value_and_derivative", at, || {
            sigma.value_and_derivative(u)
        });
        if u.is_finite() && valid && index < 100 {
            let number = pair.is_some_and(|(s, ds)| s == s && ds == ds);
            suite.check(number, "sigma and its derivative are numbers", (at, pair));
        }
        for len in [0, 1, 9] {
            let mut x = vec![u; len];
            suite.call("Activation::apply", at, || sigma.apply(&mut x));
            for other in [0, 1, 9] {
                let (mut x, mut ds) = (vec![u; len], vec![u; other]);
                suite.call(
                    "Activation::apply_with_derivative",
                    (at, len, other),
                    || sigma.apply_with_derivative(&mut x, &mut ds),
                );
            }
        }
    }
}

fn losses<T: Real>(suite: &Suite<'_>) {
    let valid: [&dyn Loss<T>; 7] = [
        &Square,
        &Logistic,
        &Exponential,
        &Hinge,
        &SmoothHinge(0.5),
        &Huber(0.5),
        &Quantile(0.3),
    ];
    for (index, loss) in valid.into_iter().enumerate() {
        loss_calls(suite, index, loss);
    }
    for x in NUMBERS {
        loss_calls(suite, 100, &SmoothHinge(x) as &dyn Loss<T>);
        loss_calls(suite, 101, &Huber(x) as &dyn Loss<T>);
        loss_calls(suite, 102, &Quantile(x) as &dyn Loss<T>);
    }
}

fn loss_calls<T: Real>(suite: &Suite<'_>, index: usize, loss: &dyn Loss<T>) {
    let valid = suite.call("Loss::check", index, || loss.check());
    let valid = valid.is_some_and(|check| check.is_ok());
    for y in NUMBERS.map(real::<T>) {
        let accepted = suite.call("Loss::check_target", (index, y), || loss.check_target(y));
        let accepted = accepted.is_some_and(|check| check.is_ok());
        suite.check(
            !accepted || y.is_finite(),
            "an accepted target is finite",
            (index, y),
        );
        let kink = suite.call("Loss::kink", (index, y), || loss.kink(y));
        let ordered = kink.is_some_and(|kink| {
            kink.is_none_or(|kink| kink.at.is_finite() && kink.left <= kink.right)
        });
        suite.check(
            ordered || !valid || !accepted,
            "a slope rises at a kink",
            (index, y, kink),
        );
        for h in NUMBERS.map(real::<T>) {
            let at = (index, y, h);
            let value = suite.call("Loss::value", at, || loss.value(y, h));
            let derivative = suite.call("Loss::derivative", at, || loss.derivative(y, h));
            suite.call("Loss::value_and_derivative", at, || {
                loss.value_and_derivative(y, h)
            });
            let second = suite.call("Loss::second_derivative", at, || {
                loss.second_derivative(y, h)
            });
            suite.call("Loss::conjugate", at, || loss.conjugate(y, h));
            if valid && accepted && h.is_finite() {
                let numbers = [value, derivative, second].into_iter().flatten();
                let numbers = numbers.filter(|x| x == x).count();
                let found = (at, value, derivative, second);
                suite.check(
                    numbers == 3,
                    "a loss and its derivatives are numbers",
                    found,
                );
                suite.check(
                    value.is_some_and(|l| l >= T::zero()),
                    "a loss is >= 0",
                    found,
                );
                suite.check(second.is_some_and(|s| s >= T::zero()), "convexity", found);
            }
        }
    }
    for lens in [
        [0; 4],
        [3; 4],
        [3, 2, 3, 3],
        [3, 3, 0, 3],
        [3, 3, 3, 1],
        [1, 3, 3, 3],
    ] {
        let [y, h, mut l, mut dl] = lens.map(|len| vec![T::one(); len]);
        suite.call("Loss::values_and_derivatives", lens, || {
            loss.values_and_derivatives(&y, &h, &mut l, &mut dl)
        });
    }
}

fn kernels<T: Real>(suite: &Suite<'_>) {
    for x in NUMBERS {
        for dim in COUNTS {
            suite.call("Gaussian::new", (dim, x), || {
                Gaussian::<T>::new(dim, real(x))
            });
        }
    }
    for dim in COUNTS {
        let kernel = suite.call("ArcCosine::new", dim, || ArcCosine::new(dim));
        suite.call("ArcCosine::dim", dim, || kernel.map(|kernel| kernel.dim()));
        if let Some(kernel) = kernel {
            suite.call("Kernel::dim", dim, || Kernel::<T>::dim(&kernel));
            suite.call("Kernel::dim", dim, || {
                Kernel::<T>::dim(&WithOutputWeight(kernel))
            });
        }
    }
    let narrow = Gaussian::new(2, real::<T>(1e-10)).unwrap();
    let unit = Gaussian::new(2, T::one()).unwrap();
    kernel(suite, 0, &unit);
    kernel(suite, 1, &narrow);
    kernel::<T>(suite, 2, &ArcCosine::new(2));
    kernel::<T>(suite, 3, &WithOutputWeight(ArcCosine::new(1)));
    kernel::<T>(
        suite,
        4,
        &WithOutputWeight(Gaussian::new(1, T::one()).unwrap()),
    );
    kernel::<T>(suite, 5, &ArcCosine::new(0));
}

fn kernel<T: Real>(suite: &Suite<'_>, index: usize, kernel: &dyn Kernel<T>) {
    let dim = suite.call("Kernel::dim", index, || kernel.dim());
    suite.call("Kernel::arc_cosine", index, || kernel.arc_cosine());
    for len in [NUMBERS.len(), 0] {
        let (mut s, mut d) = (NUMBERS.map(real::<T>), NUMBERS.map(real::<T>));
        suite.call("Kernel::radial", (index, len), || {
            kernel.radial(&mut s, &mut d[..len])
        });
    }
    for x in NUMBERS.map(real::<T>) {
        for y in NUMBERS.map(real::<T>) {
            let (w, v) = (vec![x; dim.unwrap_or(0)], vec![y; dim.unwrap_or(0)]);
            let k = suite.call("Kernel::value", (index, x, y), || kernel.value(&w, &v));
            if index < 4 && x.is_finite() && y.is_finite() {
                // A product of numbers below the root of the largest does not overflow.
                let small = |x: T| x.abs() < real(1e18);
                let holds = k.is_some_and(|k| k == k || !(small(x) && small(y)));
                suite.check(holds, "k is a number", (index, x, y, k));
            }
        }
    }
    for lens in [
        [2; 4],
        [0; 4],
        [1, 2, 2, 2],
        [2, 3, 2, 2],
        [2, 2, 1, 2],
        [2, 2, 2, 0],
        [3; 4],
    ] {
        let [w, v, mut dw, mut dv] = lens.map(|len| vec![T::one(); len]);
        let one = T::one();
        suite.call("Kernel::value", (index, lens), || kernel.value(&w, &v));
        suite.call("Kernel::gradient", (index, lens), || {
            kernel.gradient(&w, &v, one, &mut dw)
        });
        suite.call("Kernel::value_and_gradient", (index, lens), || {
            kernel.value_and_gradient(&w, &v, one, &mut dw)
        });
        suite.call("Kernel::value_and_gradients", (index, lens), || {
            kernel.value_and_gradients(&w, &v, [one; 2], &mut dw, &mut dv)
        });
    }
}

fn potentials<T: Real>(suite: &Suite<'_>) {
    for x in NUMBERS {
        let decay = suite.call("WeightDecay::new", x, || WeightDecay::new(real::<T>(x)));
        if let Some(Ok(decay)) = decay {
            suite.call("WeightDecay::lambda", x, || decay.lambda());
            potential(suite, 0, &decay);
        }
    }
    let quadratic = Quadratic {
        rate: T::one(),
        centre: vec![T::zero(); 2],
    };
    potential(suite, 1, &quadratic);
    potential::<T>(suite, 2, &Quartic);
    potential::<T>(suite, 3, &());
    potential::<T>(suite, 4, &(Quartic, WeightDecay::new(T::one()).unwrap()));
    for x in NUMBERS.map(real::<T>) {
        suite.call("Quadratic::flow", x, || quadratic.flow(&[x, x], x));
        suite.call("Quadratic::flow", x, || quadratic.flow(&[x], x));
        suite.call("Quartic::flow", x, || Quartic::flow(&[x, x], x));
    }
}

fn potential<T: Real>(suite: &Suite<'_>, index: usize, potential: &dyn Potential<T>) {
    for x in NUMBERS.map(real::<T>) {
        suite.call("Potential::value", (index, x), || potential.value(&[x, x]));
    }
    for lens in [[2; 3], [0; 3], [1, 2, 2], [2, 1, 2], [2, 2, 1], [3; 3]] {
        let [w, v, mut out] = lens.map(|len| vec![T::one(); len]);
        suite.call("Potential::gradient", (index, lens), || {
            potential.gradient(&w, T::one(), &mut out)
        });
        suite.call("Potential::curvature", (index, lens), || {
            potential.curvature(&w, &v, &mut out)
        });
    }
}

fn feature_maps<T: Real>(suite: &Suite<'_>) {
    for d in COUNTS {
        for k in COUNTS {
            let ridge = suite.call("Ridge::with_outputs", (d, k), || {
                Ridge::with_outputs(Relu, d, k)
            });
            let Some(ridge) = ridge else { continue };
            suite.call("Ridge::activation", (d, k), || *ridge.activation());
            suite.call("Ridge::particle_dim", (d, k), || ridge.particle_dim());
            suite.call("Ridge::input_dim", (d, k), || ridge.input_dim());
            suite.call("Ridge::output_dim", (d, k), || ridge.output_dim());
            suite.call("FeatureMap::particle_dim", (d, k), || {
                FeatureMap::<T>::particle_dim(&ridge)
            });
        }
        suite.call("Ridge::new", d, || Ridge::new(Relu, d));
        suite.call("Radial::new", d, || {
            let radial = Radial::new(Tanh, d);
            FeatureMap::<T>::particle_dim(&radial)
        });
    }
    feature_map::<T>(suite, 0, &Ridge::new(Relu, 2));
    feature_map::<T>(suite, 1, &Ridge::with_outputs(Tanh, 3, 2));
    feature_map::<T>(suite, 2, &Radial::new(Softplus, 2));
    feature_map::<T>(suite, 3, &Dirichlet { order: 2 });
    feature_map::<T>(suite, 4, &Ridge::with_outputs(Relu, 0, 0));
    feature_map::<T>(suite, 5, &Ridge::new(Abs, 9));
    feature_map::<T>(
        suite,
        6,
        &wasserflow::feature::ProvidedBatches(Ridge::new(Gelu, 2)),
    );
}

fn feature_map<T: Real>(suite: &Suite<'_>, index: usize, phi: &dyn FeatureMap<T>) {
    suite.call("FeatureMap::check", index, || phi.check());
    suite.call("FeatureMap::particle_dim", index, || phi.particle_dim());
    suite.call("FeatureMap::input_dim", index, || phi.input_dim());
    suite.call("FeatureMap::output_dim", index, || phi.output_dim());
    let (p, d, k) = (phi.particle_dim(), phi.input_dim(), phi.output_dim());
    let one = T::one();
    // The right lengths, and each of them wrong.
    let right = [p, d, k, p];
    let mut lens = vec![right, [0; 4]];
    for position in 0..4 {
        for wrong in [0, right[position] + 1] {
            let mut len = right;
            len[position] = wrong;
            lens.push(len);
        }
    }
    for lens in lens {
        let at = (index, lens);
        let [w, x, mut h, mut v] = lens.map(|len| vec![one; len]);
        suite.call("FeatureMap::add_value", at, || {
            phi.add_value(&w, &x, one, &mut h)
        });
        suite.call("FeatureMap::add_vjp", at, || {
            phi.add_vjp(&w, &x, &h, &mut v)
        });
        suite.call("FeatureMap::add_jvp", at, || {
            phi.add_jvp(&w, &x, &v, one, &mut h)
        });
    }
    if p == 0 || d == 0 {
        return;
    }
    let inputs = |d: usize, n: usize| Inputs::new(DMatrix::from_element(d, n, one)).unwrap();
    let mut ws = Workspace::default();
    for q in [p, p + 1, p.max(2) - 1] {
        let measures = extreme_measures::<T>(q)
            .into_iter()
            .chain(invalid_measures(q));
        for (m, mu) in measures.enumerate() {
            let lens = if m % 10 == 0 {
                vec![5 * k, 0, 5 * k + 1]
            } else {
                vec![5 * k]
            };
            for d in if m % 10 == 0 { vec![d, d + 1] } else { vec![d] } {
                let x = inputs(d, 5);
                let at = (index, q, d, mu.points().as_slice()[0]);
                suite.call("feature::predict", at, || predict(phi, &mu, &x));
                for &len in &lens {
                    let mut h = vec![one; len];
                    let at = (at, len);
                    suite.call("FeatureMap::predict", at, || {
                        phi.predict(&mu, &x, &mut h, &mut ws)
                    });
                    let v = mu.points().clone();
                    suite.call("FeatureMap::jvp", at, || {
                        phi.jvp(&mu, &v, &x, &mut h, &mut ws)
                    });
                    suite.call("FeatureMap::breakpoints", at, || {
                        let mut count = 0;
                        phi.breakpoints(mu.points(), &v, &x, &h, one, &mut |_| count += 1);
                        count
                    });
                    let mut blocks = vec![one; q * q * mu.len()];
                    suite.call("FeatureMap::hessians", at, || {
                        phi.hessians(mu.points(), &x, &h, &mut blocks, &mut ws)
                    });
                    let (mut values, mut out) = (vec![one; mu.len()], v.clone());
                    suite.call("FeatureMap::variation", at, || {
                        phi.variation(mu.points(), &x, &h, &mut values, &mut out, &mut ws)
                    });
                    suite.call("FeatureMap::velocity", at, || {
                        let mut evaluate = |_: std::ops::Range<usize>, h: &[T], g: &mut [T]| {
                            g.copy_from_slice(h);
                            T::zero()
                        };
                        let mut gradient = PredictionGradient::new(true, &mut evaluate);
                        phi.velocity(&mu, &x, &mut gradient, &mut out, &mut ws)
                    });
                }
                let mut wrong = DMatrix::zeros(p, mu.len() + 1);
                let (mut h, mut values) = (vec![one; 5 * k], vec![one; mu.len()]);
                suite.call("FeatureMap::jvp", (at, "v"), || {
                    phi.jvp(&mu, &wrong, &x, &mut h, &mut ws)
                });
                suite.call("FeatureMap::breakpoints", (at, "v"), || {
                    phi.breakpoints(mu.points(), &wrong, &x, &h, one, &mut |_| ())
                });
                suite.call("FeatureMap::hessians", (at, "out"), || {
                    phi.hessians(mu.points(), &x, &h, &mut [], &mut ws)
                });
                suite.call("FeatureMap::variation", (at, "descent"), || {
                    phi.variation(mu.points(), &x, &h, &mut values, &mut wrong, &mut ws)
                });
            }
        }
    }
}

fn workspaces(suite: &Suite<'_>) {
    for a in COUNTS {
        for b in COUNTS {
            let mut ws = Workspace::<f32>::default();
            suite.call("Workspace::split", (a, b), || ws.split([a, b]).len());
            suite.call("Workspace::nest", (a, b), || ws.nest([a, b]).0.len());
        }
    }
    let mut evaluate = |_: std::ops::Range<usize>, _: &[f64], _: &mut [f64]| 0.0;
    let gradient = suite.call("PredictionGradient::new", (), || {
        PredictionGradient::new(false, &mut evaluate)
    });
    let mut gradient = gradient.unwrap();
    suite.call("PredictionGradient::is_separable", (), || {
        gradient.is_separable()
    });
    suite.call("PredictionGradient::evaluate", (), || {
        gradient.evaluate(0..1, &[0.0], &mut [])
    });
}
