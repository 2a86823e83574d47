//! The law kit.

use nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;
use wasserflow::testing::problems::{self, Quadratic};
use wasserflow::testing::{self, Case, CaseRng, Rank, strategies};

use crate::suite::{NUMBERS, PLANTED, Suite};

pub fn calls(suite: &Suite<'_>) {
    cases(suite);
    laws::<f32>(suite);
    laws::<f64>(suite);
    generators(suite);
    known_problems::<f32>(suite);
    known_problems::<f64>(suite);
}

/// Cases with each size 0, or 1, or small.
fn all_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for n in [0, 1, 3] {
        for m in [0, 1, 3] {
            for d in [0, 1, 3] {
                for k in [0, 1, 3] {
                    for seed in [0, u64::MAX] {
                        cases.push(Case { n, m, d, k, seed });
                    }
                }
            }
        }
    }
    cases
}

fn cases(suite: &Suite<'_>) {
    for case in all_cases() {
        suite.call("Case::inputs", case, || case.inputs::<f32>());
        suite.call("Case::targets", case, || case.targets::<f64>());
        suite.call("Case::signs", case, || case.signs::<f64>());
        suite.call("Case::labels", case, || case.labels());
        suite.call("Case::rng", case, || case.rng(u64::MAX).index(3));
        for p in [0, 1, 3] {
            suite.call("Case::measure", (case, p), || case.measure::<f64>(p));
        }
    }
    let mut rng = suite
        .call("CaseRng::new", (), || CaseRng::new(u64::MAX))
        .unwrap();
    for n in [0, 1, usize::MAX, 1 << 32, 1 << 33] {
        let index = suite.call("CaseRng::index", n, || rng.index(n));
        suite.check(
            index.is_none_or(|index| index < n),
            "an index below n",
            (n, index),
        );
    }
    for a in NUMBERS {
        for b in NUMBERS {
            suite.call("CaseRng::uniform", (a, b), || rng.uniform::<f32>(a, b));
        }
    }
    suite.call("CaseRng::coordinate", (), || rng.coordinate::<f32>());
    for len in [0, 1, 9] {
        suite.call("CaseRng::coordinates", len, || rng.coordinates::<f32>(len));
        suite.call("CaseRng::direction", len, || rng.direction::<f64>(len));
        for columns in [0, 1, 9] {
            suite.call("CaseRng::matrix", (len, columns), || {
                rng.matrix::<f32>(len, columns)
            });
            suite.call("CaseRng::measure", (len, columns), || {
                rng.measure::<f32>(len, columns)
            });
        }
    }
}

/// Parts that return the same number whatever they are asked.
#[derive(Clone, Copy)]
struct Always<T>(T);

impl<T: Real> Activation<T> for Always<T> {
    fn value(&self, _: T) -> T {
        self.0
    }
    fn derivative(&self, _: T) -> T {
        self.0
    }
}

impl<T> Homogeneous for Always<T> {
    fn degree(&self) -> u32 {
        u32::MAX
    }
}

impl<T: Real> Loss<T> for Always<T> {
    fn value(&self, _: T, _: T) -> T {
        self.0
    }
    fn derivative(&self, _: T, _: T) -> T {
        self.0
    }
}

impl<T: Real> Potential<T> for Always<T> {
    fn value(&self, _: &[T]) -> T {
        self.0
    }
    fn gradient(&self, _: &[T], _: T, out: &mut [T]) {
        out.fill(self.0);
    }
}

impl<T: Real> Kernel<T> for Always<T> {
    fn dim(&self) -> usize {
        2
    }
    fn value(&self, _: &[T], _: &[T]) -> T {
        self.0
    }
    fn gradient(&self, _: &[T], _: &[T], _: T, out: &mut [T]) {
        out.fill(self.0);
    }
}

impl<T: Real> FeatureMap<T> for Always<T> {
    fn particle_dim(&self) -> usize {
        2
    }
    fn input_dim(&self) -> usize {
        1
    }
    fn add_value(&self, _: &[T], _: &[T], _: T, out: &mut [T]) {
        out.fill(self.0);
    }
    fn add_vjp(&self, _: &[T], _: &[T], _: &[T], out: &mut [T]) {
        out.fill(self.0);
    }
}

impl<T: Real> Energy<T> for Always<T> {
    fn particle_dim(&self) -> usize {
        2
    }
    fn value(&mut self, _: &EmpiricalMeasure<T>) -> T {
        self.0
    }
    fn velocity(&mut self, _: &EmpiricalMeasure<T>, out: &mut DMatrix<T>) -> T {
        out.fill(self.0);
        self.0
    }
}

/// An integrator whose steps take, and propose, the same time whatever it is asked.
#[derive(Clone, Copy)]
struct Takes<T>(T, Option<T>);

impl<T: Real> Integrator<T> for Takes<T> {
    fn order(&self) -> u32 {
        1
    }
    fn step(
        &mut self,
        energy: &mut dyn Energy<T>,
        state: &mut State<T>,
        _: T,
    ) -> Result<Step<T>, StepError> {
        state.evaluate(energy);
        let mut step = Step::new(self.0);
        step.next = self.1;
        Ok(step)
    }
}

fn laws<T: Real>(suite: &Suite<'_>) {
    for x in NUMBERS.map(real::<T>) {
        let always = Always(x);
        for y in NUMBERS.map(real::<T>) {
            let at = (x, y);
            suite.call("testing::check_activation", at, || {
                testing::check_activation(&always, y, T::one())
            });
            suite.call("testing::check_activation", at, || {
                testing::check_activation(&Gelu as &dyn Activation<T>, x, y)
            });
            suite.call("testing::check_homogeneous_activation", at, || {
                testing::check_homogeneous_activation(&always, y, T::one())
            });
            suite.call("testing::check_homogeneous_activation", at, || {
                testing::check_homogeneous_activation(&Relu, x, y)
            });
            suite.call("testing::check_loss", at, || {
                testing::check_loss(&always, y, T::one(), T::zero())
            });
            suite.call("testing::check_loss", at, || {
                testing::check_loss(&Square, T::one(), x, y)
            });
            suite.call("testing::accepted_target", at, || {
                testing::accepted_target(&Logistic, y)
            });
        }
        suite.call("testing::check_kernel", x, || {
            testing::check_kernel(&always, 3, 1)
        });
        suite.call("testing::check_potential", x, || {
            testing::check_potential(&always, 2, 1)
        });
        suite.call("testing::check_energy", x, || {
            testing::check_energy(
                &mut Always(x),
                Case {
                    n: 3,
                    m: 2,
                    d: 1,
                    k: 1,
                    seed: 1,
                },
            )
        });
        for case in all_cases() {
            suite.call("testing::check_feature_map", (x, case), || {
                testing::check_feature_map(&always, case)
            });
        }
        for next in NUMBERS.map(real::<T>).map(Some).into_iter().chain([None]) {
            suite.call("testing::check_integrator", (x, next), || {
                testing::check_integrator(|| Takes(x, next), 1)
            });
        }
        suite.call("testing::check_jko", x, || {
            testing::check_jko(|| Takes(x, None), 1)
        });
        for friction in NUMBERS {
            suite.call("testing::check_momentum_integrator", (x, friction), || {
                testing::check_momentum_integrator(|| Takes(x, None), friction, 1)
            });
        }
        for seed in [0, u64::MAX] {
            suite.call("testing::check_resampled_risk", (x, seed), || {
                let fill = move |_: &mut SampleRng, to: &mut [T], y: &mut [T]| {
                    to.fill(x);
                    y.fill(x);
                };
                let risk = EmpiricalRisk::new(Square, DMatrix::zeros(1, 2), DVector::zeros(2));
                let make = || ExpectedRisk::of(risk.clone().unwrap(), seed, fill);
                make().map(|_| testing::check_resampled_risk(|| make().unwrap(), seed))
            });
        }
        for case in all_cases() {
            suite.call("testing::check_resampled_energy", (x, case), || {
                testing::check_resampled_energy(|| Always(x), case)
            });
        }
    }
    suite.call("testing::check_kernel", "none", || {
        testing::check_kernel::<T>(&ArcCosine::new(0), 0, 1)
    });
    for p in [0, 1] {
        suite.call("testing::check_potential", p, || {
            testing::check_potential::<T>(&(), p, 1)
        });
    }
    for case in all_cases() {
        let map = Ridge::with_outputs(Relu, case.d, case.k);
        suite.call("testing::check_feature_map", case, || {
            testing::check_feature_map::<T>(&map, case)
        });
        suite.call("testing::check_batches", case, || {
            testing::check_batches::<T>(&map, case)
        });
        suite.call("testing::check_same_map", case, || {
            testing::check_same_map::<T>(&map, &Ridge::with_outputs(Relu, 1, 1), case)
        });
        suite.call("testing::check_homogeneity", case, || {
            testing::check_homogeneity::<T>(&map, case)
        });
        let smooth = suite.call("testing::smooth_network", case, || {
            problems::smooth_network::<T>(case)
        });
        let Some(mut energy) = smooth else { continue };
        suite.call("testing::check_energy", case, || {
            testing::check_energy(&mut energy, case)
        });
        for l in [0, 1, usize::MAX] {
            suite.call("testing::check_energy_within", (case, l), || {
                testing::check_energy_within(&mut energy, &[l, l], case)
            });
        }
        suite.call("testing::check_convexity", case, || {
            testing::check_convexity(&mut energy, case)
        });
        let risk = EmpiricalRisk::with_outputs(Square, case.inputs::<T>(), case.targets());
        if let Ok(mut network) = MeanFieldRisk::new(map, risk.unwrap()) {
            suite.call("testing::check_certificate", case, || {
                testing::check_certificate(&mut network, case)
            });
        }
        suite.call("testing::check_risk", case, || {
            testing::check_risk(energy.risk(), case.seed)
        });
        suite.call("testing::check_distributed", case, || {
            let part = |rank| problems::smooth_network::<T>(case).distributed(rank);
            let parts = Rank::group(2).into_iter().map(part).collect();
            testing::check_distributed(&mut energy, parts, case)
        });
    }
    suite.call("testing::check_distributed", "no ranks", || {
        let case = Case {
            n: 3,
            m: 2,
            d: 1,
            k: 1,
            seed: 1,
        };
        testing::check_distributed(
            &mut problems::smooth_network::<T>(case),
            Vec::<problems::SmoothNetwork<T>>::new(),
            case,
        )
    });
    for dt in NUMBERS {
        suite.call("testing::check_distributed_flow", dt, || {
            let case = Case {
                n: 3,
                m: 2,
                d: 1,
                k: 1,
                seed: 1,
            };
            let make = |rank| match rank {
                Some(rank) => problems::smooth_network::<T>(case).distributed(rank),
                None => problems::smooth_network(case),
            };
            let mu = case.measure(2);
            testing::check_distributed_flow(make, || Euler, &mu, real(dt), 1)
        });
    }
    for size in [0, 1, 2] {
        suite.call("testing::check_all_reduce", size, || {
            testing::check_all_reduce::<T, _>(Rank::group(size), u64::MAX)
        });
    }
    proximal_steps::<T>(suite);
}

fn proximal_steps<T: Real>(suite: &Suite<'_>) {
    let case = Case {
        n: 3,
        m: 2,
        d: 1,
        k: 1,
        seed: 1,
    };
    for gamma in NUMBERS.map(real::<T>) {
        suite.call("testing::check_distributed_step", gamma, || {
            let make = |rank| {
                let energy = problems::smooth_network::<T>(case);
                match rank {
                    Some(rank) => energy.distributed(rank),
                    None => energy,
                }
            };
            testing::check_distributed_step(make, &case.measure(2), gamma)
        });
    }
    for p in [1, 2] {
        let mu = EmpiricalMeasure::uniform(DMatrix::from_element(p, 2, T::one())).unwrap();
        for gamma in NUMBERS.map(real::<T>) {
            for tolerance in [0.0, 1e-3, f64::NAN] {
                suite.call(
                    "testing::check_proximal_step",
                    (p, gamma, tolerance),
                    || {
                        testing::check_proximal_step(
                            &mut Jko::default(),
                            &mut problems::smooth_network::<T>(case),
                            &mu,
                            gamma,
                            tolerance,
                        )
                    },
                );
            }
        }
    }
}

fn generators(suite: &Suite<'_>) {
    use wasserflow::testing::proptest::prelude::*;
    suite.call("testing::intervals", (), || {
        drop(strategies::intervals::<f32>().boxed())
    });
    suite.call("testing::numbers", (), || {
        drop(strategies::numbers::<f32>().boxed())
    });
    suite.call("testing::scales", (), || {
        drop(strategies::scales::<f32>().boxed())
    });
    suite.call("testing::cases", (), || drop(strategies::cases().boxed()));
    suite.call("testing::seeds", (), || drop(strategies::seeds().boxed()));
    suite.call("testing::assert_law", (), || {
        strategies::assert_law(strategies::seeds(), |_| Ok(()))
    });
    suite.call("testing::assert_law", PLANTED, || {
        strategies::assert_law(strategies::seeds(), |_| panic!("{PLANTED}"))
    });
}

fn known_problems<T: Real>(suite: &Suite<'_>) {
    for d in [0, 1, 3] {
        for teachers in [0, 2] {
            for n in [0, 1, 3] {
                suite.call("testing::teacher_student", (d, teachers, n), || {
                    problems::teacher_student::<T>(d, teachers, n, u64::MAX)
                });
            }
        }
    }
    for x in NUMBERS.map(real::<T>) {
        for n in [0, 1, 5] {
            suite.call("testing::deconvolution", (x, n), || {
                problems::deconvolution(&[(x, x)], n)
            });
        }
        suite.call("testing::one_neuron", x, || {
            problems::one_neuron(x, x, x, x)
        });
        suite.call("testing::one_neuron", x, || {
            problems::one_neuron(T::one(), T::one(), real(0.5), x)
        });
        let quadratic = Quadratic {
            rate: x,
            centre: vec![x],
        };
        suite.call("Quadratic::flow", x, || quadratic.flow(&[x], x));
        for rate in NUMBERS {
            for friction in NUMBERS {
                let centre = vec![rate];
                let quadratic = Quadratic { rate, centre };
                suite.call("Quadratic::oscillation", (rate, friction), || {
                    quadratic.oscillation(&[friction], friction, rate)
                });
            }
        }
    }
    suite.call("testing::safran_shamir", (), || {
        problems::safran_shamir::<T>().1.len()
    });
}
