//! The laws of every component of the crate, by the macros that users have.

use wasserflow::prelude::*;
use wasserflow::testing::problems::{Dirichlet, Quadratic, Quartic};
use wasserflow::testing::strategies::{assert_law, cases, seeds};
use wasserflow::testing::{Rank, check_all_reduce, check_distributed, check_energy};
use wasserflow::*;

/// A component that overrides no provided method.
struct RequiredMethodsOnly<P>(P);

impl<T: Real, A: Activation<T>> Activation<T> for RequiredMethodsOnly<A> {
    fn value(&self, u: T) -> T {
        self.0.value(u)
    }
    fn derivative(&self, u: T) -> T {
        self.0.derivative(u)
    }
}

impl<T: Real, L: Loss<T>> Loss<T> for RequiredMethodsOnly<L> {
    fn value(&self, target: T, prediction: T) -> T {
        self.0.value(target, prediction)
    }
    fn derivative(&self, target: T, prediction: T) -> T {
        self.0.derivative(target, prediction)
    }
}

/// For risks with one output.
impl<T: Real, R: Risk<T>> Risk<T> for RequiredMethodsOnly<R> {
    fn inputs(&self) -> &Inputs<T> {
        self.0.inputs()
    }
    fn value(&self, h: &[T]) -> T {
        self.0.value(h)
    }
    fn value_and_gradient(&self, h: &[T], out: &mut [T]) -> T {
        self.0.value_and_gradient(h, out)
    }
}

activation_laws!(relu: Relu, homogeneous);
activation_laws!(leaky_relu: LeakyRelu(0.1), homogeneous);
activation_laws!(relu_power_one: ReluPower(1), homogeneous);
activation_laws!(relu_square: ReluPower(2), homogeneous);
activation_laws!(relu_cube: ReluPower(3), homogeneous);
activation_laws!(absolute_value: Abs, homogeneous);
activation_laws!(identity: Identity, homogeneous);
activation_laws!(softplus: Softplus);
activation_laws!(tanh: Tanh);
activation_laws!(sigmoid: Sigmoid);
activation_laws!(erf: Erf);
activation_laws!(gelu: Gelu);
activation_laws!(silu: Silu);
activation_laws!(sine: Sine);
activation_laws!(borrowed: &ReluPower(2), homogeneous);
activation_laws!(tanh_by_required_methods: RequiredMethodsOnly(Tanh));

loss_laws!(square: Square);
loss_laws!(huber: Huber(0.5));
loss_laws!(quantile: Quantile(0.75));
loss_laws!(logistic: Logistic);
loss_laws!(exponential: Exponential);
loss_laws!(hinge: Hinge);
loss_laws!(smooth_hinge: SmoothHinge(0.5));
loss_laws!(square_by_required_methods: RequiredMethodsOnly(Square));
loss_laws!(huber_by_required_methods: RequiredMethodsOnly(Huber(0.5)));

risk_laws!(square_risk: |case| EmpiricalRisk::with_outputs(Square, case.inputs(), case.targets()).unwrap());
risk_laws!(huber_risk: |case| EmpiricalRisk::with_outputs(Huber(0.5), case.inputs(), case.targets()).unwrap());
risk_laws!(logistic_risk: |case| EmpiricalRisk::with_outputs(Logistic, case.inputs(), case.signs()).unwrap());
risk_laws!(hinge_risk: |case| EmpiricalRisk::with_outputs(Hinge, case.inputs(), case.signs()).unwrap());
risk_laws!(weighted_risk: |case| {
    let weights = case.rng(20).measure::<T>(1, case.n).weights().to_vec();
    EmpiricalRisk::with_outputs(Square, case.inputs(), case.targets()).unwrap().sample_weights(weights).unwrap()
});
risk_laws!(risk_by_required_methods: |case| {
    let y = testing::Case { k: 1, ..case }.signs::<T>();
    RequiredMethodsOnly(EmpiricalRisk::with_outputs(Logistic, case.inputs(), y).unwrap())
});
risk_laws!(softmax: |case| SoftmaxCrossEntropy::new(case.inputs(), case.labels(), case.k).unwrap());

risk_laws!(weighted_softmax: |case| {
    let weights = case.rng(20).measure::<T>(1, case.n).weights().to_vec();
    let risk = SoftmaxCrossEntropy::new(case.inputs(), case.labels(), case.k).unwrap();
    risk.sample_weights(weights).unwrap()
});

risk_laws!(minibatch: |case| {
    MinibatchRisk::new(square::<T>(case), batch(case), case.seed).unwrap()
}, resampled);
risk_laws!(minibatch_of_a_loss_with_kinks: |case| {
    let full = EmpiricalRisk::with_outputs(Quantile(0.75), case.inputs::<T>(), case.targets()).unwrap();
    MinibatchRisk::new(full, batch(case), case.seed).unwrap()
}, resampled);
risk_laws!(minibatch_of_a_weighted_softmax: |case| {
    let weights = case.rng(20).measure::<T>(1, case.n).weights().to_vec();
    let full = SoftmaxCrossEntropy::new(case.inputs(), case.labels(), case.k).unwrap();
    MinibatchRisk::new(full.sample_weights(weights).unwrap(), batch(case), case.seed).unwrap()
}, resampled);
risk_laws!(expected_square: |case| {
    ExpectedRisk::new(Square, (case.d, case.k), case.n, case.seed, normal_samples::<T>).unwrap()
}, resampled);
risk_laws!(expected_softmax: |case| {
    let sampler = |rng: &mut SampleRng, x: &mut [T], y: &mut usize| {
        x.fill_with(|| real(rng.normal()));
        *y = rng.index(case.k);
    };
    ExpectedRisk::softmax((case.d, case.k), case.n, case.seed, sampler).unwrap().shard(3).unwrap()
}, resampled);

feature_map_laws!(ridge_relu: |case| Ridge::with_outputs(Relu, case.d, case.k), homogeneous);
feature_map_laws!(ridge_leaky_relu: |case| Ridge::with_outputs(LeakyRelu(0.1), case.d, case.k), homogeneous);
feature_map_laws!(ridge_relu_square: |case| Ridge::with_outputs(ReluPower(2), case.d, case.k), homogeneous);
feature_map_laws!(ridge_abs: |case| Ridge::with_outputs(Abs, case.d, case.k), homogeneous);
feature_map_laws!(ridge_identity: |case| Ridge::with_outputs(Identity, case.d, case.k), homogeneous);
feature_map_laws!(ridge_softplus: |case| Ridge::with_outputs(Softplus, case.d, case.k));
feature_map_laws!(ridge_tanh: |case| Ridge::with_outputs(Tanh, case.d, case.k));
feature_map_laws!(ridge_sigmoid: |case| Ridge::with_outputs(Sigmoid, case.d, case.k));
feature_map_laws!(ridge_erf: |case| Ridge::with_outputs(Erf, case.d, case.k));
feature_map_laws!(ridge_gelu: |case| Ridge::with_outputs(Gelu, case.d, case.k));
feature_map_laws!(ridge_silu: |case| Ridge::with_outputs(Silu, case.d, case.k));
feature_map_laws!(ridge_sine: |case| Ridge::with_outputs(Sine, case.d, case.k));
feature_map_laws!(radial_relu: |case| Radial::with_outputs(Relu, case.d, case.k), homogeneous);
feature_map_laws!(radial_tanh: |case| Radial::with_outputs(Tanh, case.d, case.k), homogeneous);
feature_map_laws!(radial_softplus: |case| Radial::with_outputs(Softplus, case.d, case.k), homogeneous);
feature_map_laws!(boxed_map: |case| Box::new(Ridge::with_outputs(Tanh, case.d, case.k)) as Box<dyn FeatureMap<T>>);
feature_map_laws!(dirichlet: |case| Dirichlet { order: 7 });

energy_laws!(square_relu: |case| mean_field(Ridge::with_outputs(Relu, case.d, case.k), square::<T>(case)), convex);
energy_laws!(square_tanh: |case| mean_field(Ridge::with_outputs(Tanh, case.d, case.k), square::<T>(case)), convex);
energy_laws!(square_radial: |case| mean_field(Radial::with_outputs(Sigmoid, case.d, case.k), square::<T>(case)), convex);
energy_laws!(regularized: |case| {
    let decay = (WeightDecay::new(0.25).unwrap(), Quartic);
    mean_field(Ridge::with_outputs(Relu, case.d, case.k), square::<T>(case)).regularized(decay)
}, convex);
energy_laws!(logistic_relu: |case| {
    let risk = EmpiricalRisk::with_outputs(Logistic, case.inputs::<T>(), case.signs()).unwrap();
    mean_field(Ridge::with_outputs(Relu, case.d, case.k), risk)
}, convex);
energy_laws!(hinge_tanh: |case| {
    let risk = EmpiricalRisk::with_outputs(Hinge, case.inputs::<T>(), case.signs()).unwrap();
    mean_field(Ridge::with_outputs(Tanh, case.d, case.k), risk)
}, convex);
energy_laws!(softmax_tanh: |case| {
    let risk = SoftmaxCrossEntropy::new(case.inputs::<T>(), case.labels(), case.k).unwrap();
    mean_field(Ridge::with_outputs(Tanh, case.d, case.k), risk)
}, convex);
energy_laws!(decay: |case| PotentialEnergy::new(WeightDecay::new(0.1).unwrap(), case.d), convex);
energy_laws!(quartic_energy: |case| PotentialEnergy::new(Quartic, case.d), convex);
energy_laws!(mmd_arc_cosine: |case| {
    Mmd::new(WithOutputWeight(ArcCosine::new(case.d)), case.rng(21).measure::<T>(1 + case.d, 4)).unwrap()
}, convex);
energy_laws!(mmd_gaussian: |case| {
    Mmd::new(Gaussian::new(case.d, 0.75).unwrap(), case.rng(21).measure::<T>(case.d, 4)).unwrap()
}, convex);
energy_laws!(sum: |case| {
    let first = mean_field(Ridge::with_outputs(Tanh, case.d, case.k), square::<T>(case));
    Sum::new(first, PotentialEnergy::new(WeightDecay::new(0.1).unwrap(), case.d + case.k)).unwrap()
}, convex);

energy_laws!(minibatch_tanh: |case| {
    let risk = MinibatchRisk::new(square::<T>(case), batch(case), case.seed).unwrap();
    mean_field(Ridge::with_outputs(Tanh, case.d, case.k), risk)
}, resampled);
energy_laws!(expected_relu: |case| {
    let size = (case.d, case.k);
    let risk = ExpectedRisk::new(Huber(0.5), size, case.n, case.seed, normal_samples::<T>).unwrap();
    mean_field(Ridge::with_outputs(Relu, case.d, case.k), risk)
}, resampled);
energy_laws!(sum_of_two_minibatches: |case| {
    let part = |seed| {
        let risk = MinibatchRisk::new(square::<T>(case), batch(case), seed).unwrap();
        mean_field(Ridge::with_outputs(Tanh, case.d, case.k), risk)
    };
    Sum::new(part(1), part(2)).unwrap()
}, resampled);
energy_laws!(frozen_inner_weights: |case| {
    let energy = mean_field(Ridge::with_outputs(Relu, case.d, case.k), square::<T>(case));
    Frozen::new(energy, case.k..case.k + case.d).unwrap()
}, within 0..case.k);
energy_laws!(frozen_output_weights: |case| {
    let energy = mean_field(Ridge::with_outputs(Relu, case.d, case.k), square::<T>(case));
    Frozen::new(energy.regularized(Quartic), 0..case.k).unwrap()
}, within case.k..case.k + case.d);
energy_laws!(frozen_odd_coordinates: |case| {
    let risk = EmpiricalRisk::with_outputs(Hinge, case.inputs::<T>(), case.signs()).unwrap();
    let energy = mean_field(Ridge::with_outputs(Abs, case.d, case.k), risk);
    Frozen::new(energy, (1..case.k + case.d).step_by(2)).unwrap()
}, within (0..case.k + case.d).step_by(2));
energy_laws!(frozen_softmax: |case| {
    let risk = SoftmaxCrossEntropy::new(case.inputs::<T>(), case.labels(), case.k).unwrap();
    let energy = mean_field(Ridge::with_outputs(Tanh, case.d, case.k), risk);
    Frozen::new(energy, [case.k]).unwrap()
}, within (0..case.k + case.d).filter(|&l| l != case.k));
energy_laws!(nothing_frozen: |case| {
    let energy = mean_field(Ridge::with_outputs(Tanh, case.d, case.k), square::<T>(case));
    Frozen::new(energy, []).unwrap()
}, convex);
certificate_laws!(certified_square: |case| {
    let decay = WeightDecay::new(real::<T>(0.03125)).unwrap();
    mean_field(Ridge::with_outputs(Relu, case.d, case.k), square::<T>(case)).regularized(decay)
});
certificate_laws!(certified_logistic: |case| {
    let risk = EmpiricalRisk::with_outputs(Logistic, case.inputs::<T>(), case.signs()).unwrap();
    let decay = WeightDecay::new(real::<T>(0.03125)).unwrap();
    mean_field(Ridge::with_outputs(LeakyRelu(0.25), case.d, case.k), risk).regularized(decay)
});
certificate_laws!(certified_hinge: |case| {
    let risk = EmpiricalRisk::with_outputs(Hinge, case.inputs::<T>(), case.signs()).unwrap();
    let decay = WeightDecay::new(real::<T>(0.03125)).unwrap();
    mean_field(Ridge::with_outputs(Abs, case.d, case.k), risk).regularized(decay)
});
certificate_laws!(certified_mmd: |case| {
    Mmd::new(WithOutputWeight(ArcCosine::new(case.d)), case.rng(21).measure::<T>(1 + case.d, 4)).unwrap()
});

integrator_laws!(euler: Euler);
integrator_laws!(heun: Heun);
integrator_laws!(rk4: Rk4);
integrator_laws!(dormand_prince: DormandPrince::default());
integrator_laws!(jko: Jko::default(), proximal);
integrator_laws!(conic: Conic::new(0.5, 1.0));
integrator_laws!(heavy_ball_without_friction: HeavyBall::new(0.0).unwrap(), friction = 0.0);
integrator_laws!(underdamped_heavy_ball: HeavyBall::new(0.5).unwrap(), friction = 0.5);
integrator_laws!(critically_damped_heavy_ball: HeavyBall::new(4.0).unwrap(), friction = 4.0);
integrator_laws!(overdamped_heavy_ball: HeavyBall::new(10.0).unwrap(), friction = 10.0);
integrator_laws!(coarse_dormand_prince: DormandPrince::new(1e-2, 1e-3));

potential_laws!(no_potential: |case| ());
potential_laws!(weight_decay: |case| WeightDecay::new(0.25).unwrap());
potential_laws!(two_potentials: |case| (WeightDecay::new(0.25).unwrap(), Quartic));
potential_laws!(quadratic: |case| Quadratic { rate: 0.5, centre: case.rng(22).coordinates::<T>(case.d) });

kernel_laws!(arc_cosine: |case| ArcCosine::new(case.d));
kernel_laws!(with_output_weight: |case| WithOutputWeight(ArcCosine::new(case.d)));
kernel_laws!(gaussian: |case| Gaussian::new(case.d, 0.75).unwrap());

/// A batch size from 1 to n.
fn batch(case: testing::Case) -> usize {
    1 + case.seed as usize % case.n
}

fn normal_samples<T: Real>(rng: &mut SampleRng, x: &mut [T], y: &mut [T]) {
    x.fill_with(|| real(rng.normal()));
    y.fill_with(|| real(rng.normal()));
}

fn square<T: Real>(case: testing::Case) -> EmpiricalRisk<Square, T> {
    EmpiricalRisk::with_outputs(Square, case.inputs(), case.targets()).unwrap()
}

fn mean_field<T: Real, F: FeatureMap<T>, R: Risk<T>>(
    features: F,
    risk: R,
) -> MeanFieldRisk<F, R, T> {
    MeanFieldRisk::new(features, risk).unwrap()
}

#[test]
fn sums_over_ranks() {
    assert_law(seeds(), |seed| {
        check_all_reduce::<f32, _>(Rank::group(1 + seed as usize % 4), seed)
    });
    assert_law(seeds(), |seed| {
        check_all_reduce::<f64, _>(Rank::group(1 + seed as usize % 4), seed)
    });
}

#[test]
fn energies_over_ranks() {
    fn energy<T: Real>(
        case: testing::Case,
    ) -> MeanFieldRisk<Ridge<Tanh>, EmpiricalRisk<Square, T>, T, WeightDecay<T>> {
        let decay = WeightDecay::new(real(0.25)).unwrap();
        mean_field(Ridge::with_outputs(Tanh, case.d, case.k), square::<T>(case)).regularized(decay)
    }
    fn law<T: Real>(case: testing::Case) -> Result<(), testing::Violation> {
        let ranks = Rank::<T>::group(1 + case.seed as usize % 3).into_iter();
        check_distributed(
            &mut energy::<T>(case),
            ranks.map(|rank| energy(case).distributed(rank)).collect(),
            case,
        )
    }
    assert_law(cases(), law::<f32>);
    assert_law(cases(), law::<f64>);
}

/// The shared test problems satisfy the laws and have the stated solutions.
#[test]
fn problems_with_known_solutions() {
    assert_law(cases(), |case| {
        check_energy(
            &mut testing::problems::teacher_student::<f64>(case.d, 5, case.n, case.seed)
                .unwrap()
                .0,
            case,
        )?;
        check_energy(
            &mut testing::problems::deconvolution(&[(0.5, 0.25), (-1.0, 0.75)], case.n).unwrap(),
            case,
        )
    });
    let (energy, minimum) = testing::problems::safran_shamir::<f64>();
    let mut flow = ParticleFlow::new(energy, Rk4, 0.1).unwrap();
    let mut state = flow.start(minimum).unwrap();
    assert!(
        state.dissipation() < 1e-12,
        "the rounded minimum is nearly stationary: {}",
        state.dissipation()
    );
    flow.run_until(&mut state, 200.0, &mut ()).unwrap();
    assert!(
        state.dissipation() < 1e-20,
        "the flow converges to it: {}",
        state.dissipation()
    );
    assert!(
        (state.energy() - 0.02508).abs() < 5e-6,
        "F at the minimum: {}",
        state.energy()
    );
}
