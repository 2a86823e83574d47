//! Numbers, errors, inputs, measures, starts and studies.

use nalgebra::{DMatrix, DVector};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wasserflow::prelude::*;
use wasserflow::study::Width;

use crate::suite::{COUNTS, NUMBERS, PLANTED, Suite};

pub fn calls(suite: &Suite<'_>) {
    errors(suite);
    in_precision::<f32>(suite);
    in_precision::<f64>(suite);
    random_starts(suite);
    studies(suite);
}

fn in_precision<T: Real>(suite: &Suite<'_>) {
    numbers::<T>(suite);
    inputs::<T>(suite);
    measures::<T>(suite);
    starts::<T>(suite);
}

/// Shapes of small matrices, empty ones included.
const SHAPES: [(usize, usize); 7] = [(0, 0), (0, 2), (2, 0), (1, 1), (1, 3), (3, 1), (2, 3)];

/// Matrices of all shapes with each of the numbers.
fn matrices<T: Real>() -> impl Iterator<Item = DMatrix<T>> {
    SHAPES.into_iter().flat_map(|(rows, columns)| {
        NUMBERS.into_iter().flat_map(move |x| {
            let all = DMatrix::from_element(rows, columns, real::<T>(x));
            let mut one = DMatrix::from_element(rows, columns, T::one());
            if let Some(last) = one.as_mut_slice().last_mut() {
                *last = real(x);
            }
            [all, one]
        })
    })
}

/// Measures that constructors accept: of extreme size, with ties and weights of 0.
pub fn extreme_measures<T: Real>(p: usize) -> Vec<EmpiricalMeasure<T>> {
    let mut measures = Vec::new();
    for scale in [
        0.0, 5e-324, 1e-300, 1e-160, 1e-40, 1.0, 1e15, 1e37, 1e160, 1e300,
    ] {
        for m in [1, 2, 5] {
            let points = DMatrix::from_fn(p, m, |l, i| {
                real::<T>(scale * (1.0 + ((3 * l + 7 * i) % 5) as f64 - 2.0 * (i % 2) as f64))
            });
            if let Ok(mu) = EmpiricalMeasure::uniform(points.clone()) {
                measures.push(mu);
            }
            for c in [0.0, 1e-320, 1e-20, 1.0, 1e20, 1e300] {
                let weights = DVector::from_fn(m, |i, _| real::<T>(if i == 0 { c } else { 0.5 }));
                if let Ok(mu) = EmpiricalMeasure::weighted(points.clone(), weights) {
                    measures.push(mu);
                }
            }
        }
    }
    // Ties, and near-ties.
    let ties = DMatrix::from_fn(p, 4, |_, i| real::<T>(1.0 + 1e-12 * (i / 2) as f64));
    measures.extend(EmpiricalMeasure::uniform(ties));
    measures
}

/// Measures that no constructor accepts, made by `points_mut` and `weights_mut`.
pub fn invalid_measures<T: Real>(p: usize) -> Vec<EmpiricalMeasure<T>> {
    let mut measures = Vec::new();
    for x in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(real::<T>) {
        let mut mu = EmpiricalMeasure::uniform(DMatrix::from_element(p, 3, T::one())).unwrap();
        mu.points_mut()[p] = x;
        measures.push(mu);
    }
    for c in [f64::NAN, f64::INFINITY, -1.0].map(real::<T>) {
        let mut mu = EmpiricalMeasure::uniform(DMatrix::from_element(p, 3, T::one())).unwrap();
        mu.weights_mut()[1] = c;
        measures.push(mu);
    }
    measures
}

fn numbers<T: Real>(suite: &Suite<'_>) {
    for x in NUMBERS {
        let y = suite.call("real::real", x, || real::<T>(x));
        suite.check(
            y.is_some_and(|y| x.is_nan() || y == y),
            "a number is a number",
            y,
        );
    }
}

fn errors(suite: &Suite<'_>) {
    for x in NUMBERS {
        let positive = suite.call("ParameterError::check_positive", x, || {
            ParameterError::check_positive("x", x)
        });
        let expected = x > 0.0 && x < f64::INFINITY;
        suite.check(
            positive.is_some_and(|r| r.is_ok() == expected),
            "positive",
            x,
        );
        let nonnegative = suite.call("ParameterError::check_nonnegative", x, || {
            ParameterError::check_nonnegative("x", x)
        });
        let expected = (0.0..f64::INFINITY).contains(&x);
        suite.check(
            nonnegative.is_some_and(|r| r.is_ok() == expected),
            "nonnegative",
            x,
        );
        suite.call("ParameterError::check_positive_in", x, || {
            ParameterError::check_positive_in::<f32>("x", x)
        });
        for holds in [true, false] {
            suite.call("ParameterError::check", x, || {
                ParameterError::check(holds, "x", "y", x)
            });
        }
    }
}

fn inputs<T: Real>(suite: &Suite<'_>) {
    for x in matrices::<T>() {
        let finite = x.iter().all(|x| x.is_finite()) && !x.is_empty();
        let inputs = suite.call("Inputs::new", &x, || Inputs::new(x.clone()));
        let Some(inputs) = inputs else { continue };
        suite.check(inputs.is_ok() == finite, "finite, non-empty inputs", &x);
        suite.call("inputs::with_bias", &x, || with_bias(x.clone()));
        for dim in COUNTS {
            suite.call("Inputs::from_slice", (dim, x.len()), || {
                Inputs::from_slice(dim, x.as_slice())
            });
        }
        let Ok(mut inputs) = inputs else { continue };
        suite.call("Inputs::dim", &x, || inputs.dim());
        suite.call("Inputs::len", &x, || inputs.len());
        suite.call("Inputs::points", &x, || inputs.points().clone());
        for j in COUNTS {
            suite.call("Inputs::point", j, || inputs.point(j).len());
        }
        let before = inputs.points().clone();
        for value in NUMBERS.map(real::<T>) {
            let mut inputs = inputs.clone();
            let refilled = suite.call("Inputs::refill", value, || {
                inputs.refill(|_, x| x.fill(value))
            });
            if refilled.is_some_and(|result| result.is_err()) {
                suite.check(
                    *inputs.points() == before,
                    "a refused refill changes nothing",
                    value,
                );
            }
        }
        suite.call("Inputs::refill", PLANTED, || {
            inputs.refill(|_, _| panic!("{PLANTED}"))
        });
        suite.check(
            *inputs.points() == before,
            "a panic changes nothing",
            PLANTED,
        );
    }
}

fn measures<T: Real>(suite: &Suite<'_>) {
    for points in matrices::<T>() {
        let finite = points.iter().all(|x| x.is_finite()) && !points.is_empty();
        let mu = suite.call("EmpiricalMeasure::uniform", &points, || {
            EmpiricalMeasure::uniform(points.clone())
        });
        suite.check(
            mu.is_some_and(|mu| mu.is_ok() == finite),
            "finite points",
            &points,
        );
        for len in 0..4 {
            for c in NUMBERS {
                let weights = DVector::from_element(len, real::<T>(c));
                let valid = weights.iter().all(|c| c.is_finite() && *c >= T::zero());
                let mu = suite.call("EmpiricalMeasure::weighted", (&points, c), || {
                    EmpiricalMeasure::weighted(points.clone(), weights)
                });
                let expected = finite && valid && len == points.ncols();
                suite.check(
                    mu.is_some_and(|mu| mu.is_ok() == expected),
                    "weights",
                    (c, len),
                );
            }
        }
    }
    for p in [1, 3] {
        let all = extreme_measures::<T>(p)
            .into_iter()
            .chain(invalid_measures(p));
        for mut mu in all {
            let m = mu.len();
            suite.call("EmpiricalMeasure::check", &mu, || mu.check());
            suite.call("EmpiricalMeasure::dim", &mu, || mu.dim());
            suite.call("EmpiricalMeasure::len", &mu, || mu.len());
            suite.call("EmpiricalMeasure::mass", &mu, || mu.mass());
            suite.call("EmpiricalMeasure::second_moment", &mu, || {
                mu.second_moment()
            });
            suite.call("EmpiricalMeasure::weights", &mu, || mu.weights().len());
            suite.call("EmpiricalMeasure::points", &mu, || mu.points().len());
            suite.call("EmpiricalMeasure::into_points", &mu, || {
                mu.clone().into_points()
            });
            suite.call("EmpiricalMeasure::points_mut", m, || mu.points_mut().len());
            suite.call("EmpiricalMeasure::weights_mut", m, || {
                mu.weights_mut().len()
            });
            for i in COUNTS {
                suite.call("EmpiricalMeasure::particle", i, || mu.particle(i).len());
                suite.call("EmpiricalMeasure::weight", i, || mu.weight(i));
            }
            for (rows, columns) in SHAPES.into_iter().chain([(p, m)]) {
                for s in NUMBERS.map(real::<T>) {
                    let v = DMatrix::from_element(rows, columns, s);
                    suite.call(
                        "EmpiricalMeasure::displace",
                        (s, rows, columns, p, m),
                        || mu.clone().displace(s, &v),
                    );
                }
            }
            for k in COUNTS {
                suite.call("measure::symmetrised", (k, p), || init::symmetrised(&mu, k));
            }
        }
    }
}

fn starts<T: Real>(suite: &Suite<'_>) {
    for m in COUNTS {
        for x in NUMBERS {
            suite.call("measure::circle", (m, x), || init::circle::<T>(m, x));
        }
        for p in COUNTS {
            for (low, high) in [
                (0.0, 1.0),
                (f64::NAN, 1.0),
                (f64::MIN, f64::MAX),
                (1.0, 0.0),
            ] {
                suite.call("measure::grid", (p, m, low, high), || {
                    init::grid::<T>(p, m, low, high)
                });
            }
        }
    }
}

/// A generator that returns the same bits for ever.
struct Constant(u64);

impl rand::TryRng for Constant {
    type Error = std::convert::Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(self.0 as u32)
    }
    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(self.0)
    }
    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Self::Error> {
        dst.fill(self.0 as u8);
        Ok(())
    }
}

fn random_starts(suite: &Suite<'_>) {
    fn with(suite: &Suite<'_>, rng: &mut dyn Rng) {
        for p in COUNTS {
            for m in COUNTS {
                suite.call("measure::sphere", (p, m), || init::sphere::<f64>(p, m, rng));
                suite.call("measure::sphere", (p, m), || init::sphere::<f32>(p, m, rng));
                for x in NUMBERS {
                    suite.call("measure::gaussian", (p, m, x), || {
                        init::gaussian::<f64>(p, m, x, rng)
                    });
                    suite.call("measure::balanced", (p, m, x), || {
                        init::balanced::<f32>(p, m, x, rng)
                    });
                    for k in COUNTS {
                        suite.call("measure::balanced_outputs", (k, p, m, x), || {
                            init::balanced_outputs::<f64>(k, p, m, x, rng)
                        });
                    }
                }
            }
        }
    }
    with(suite, &mut ChaCha8Rng::seed_from_u64(1));
    with(suite, &mut Constant(0x5555_5555_5555_5555));
}

fn studies(suite: &Suite<'_>) {
    for values in [
        vec![],
        vec![f64::NAN],
        vec![1.0, f64::NAN, -f64::NAN],
        NUMBERS.to_vec(),
    ] {
        let width = |particles| Width {
            particles,
            values: values.clone(),
        };
        for x in NUMBERS {
            suite.call("Width::successes", x, || width(3).successes(x));
            suite.call("Width::success_rate", x, || width(3).success_rate(x));
        }
        suite.call("Width::median", &values, || width(3).median());
        for (a, b) in [(0, 0), (0, 1), (1, 1), (1, usize::MAX)] {
            suite.call("study::slope", (a, b, &values), || {
                study::slope(&[width(a), width(b)])
            });
        }
    }
    suite.call("study::slope", "none", || study::slope(&[]));
    for successes in COUNTS {
        for trials in COUNTS {
            suite.call("study::wilson", (successes, trials), || {
                study::wilson(successes, trials)
            });
        }
    }
    for widths in [vec![], vec![0], vec![1, usize::MAX]] {
        for seeds in [0..0, 3..1, 0..2, u64::MAX - 1..u64::MAX] {
            let run = |m: usize, seed: u64| Ok::<_, String>(m as f64 + seed as f64);
            suite.call("study::runs", (&widths, &seeds), || {
                study::runs(&widths, seeds.clone(), run)
            });
            suite.call("study::width", (&widths, &seeds), || {
                study::width(&widths, seeds.clone(), run)
            });
        }
    }
    let fails = |_: usize, seed: u64| if seed == 1 { Err("refused") } else { Ok(0.0) };
    let result = suite.call("study::width", "error", || {
        study::width(&[1, 2], 0..2, fails)
    });
    suite.check(
        result == Some(Err("refused")),
        "the error of a run",
        &result,
    );
    suite.call("study::runs", PLANTED, || {
        study::runs(&[1], 0..2, |_, _| -> Result<(), ()> { panic!("{PLANTED}") })
    });
}
