//! Macros that define the tests of a component in both precisions.

/// Defines a module with the tests `single` and `double` of a law over the values of a strategy.
///
/// `T` is the scalar. Used by the macros of this file only.
#[doc(hidden)]
#[macro_export]
macro_rules! law_tests {
    ($name:ident, $strategy:expr, $values:pat => $law:expr) => {
        #[cfg(test)]
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            #[test]
            fn single() {
                #[allow(dead_code)]
                type T = f32;
                $crate::testing::strategies::assert_law($strategy, |$values| $law);
            }

            #[test]
            fn double() {
                #[allow(dead_code)]
                type T = f64;
                $crate::testing::strategies::assert_law($strategy, |$values| $law);
            }
        }
    };
}

/// Tests the laws of an [`Activation`](crate::activation::Activation), and with `homogeneous` its
/// declared degree.
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::testing::activation_laws;
///
/// activation_laws!(tanh: Tanh);
/// activation_laws!(relu: Relu, homogeneous);
/// ```
///
/// Each line defines a module of the given name with the tests `single` and `double`.
#[macro_export]
macro_rules! activation_laws {
    ($name:ident: $activation:expr) => {
        $crate::law_tests!($name, $crate::testing::strategies::intervals::<T>(), (a, b) => {
            $crate::testing::check_activation::<T>(&$activation, a, b)
        });
    };
    ($name:ident: $activation:expr, homogeneous) => {
        $crate::law_tests!(
            $name,
            (
                $crate::testing::strategies::intervals::<T>(),
                $crate::testing::strategies::scales::<T>(),
            ),
            ((a, b), s) => {
                $crate::testing::check_activation::<T>(&$activation, a, b)?;
                $crate::testing::check_homogeneous_activation::<T>(&$activation, a, s)
            }
        );
    };
}

/// Tests the laws of a [`Loss`](crate::loss::Loss), at targets that it accepts.
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::testing::loss_laws;
///
/// loss_laws!(logistic: Logistic);
/// loss_laws!(huber: Huber(0.5));
/// ```
#[macro_export]
macro_rules! loss_laws {
    ($name:ident: $loss:expr) => {
        $crate::law_tests!(
            $name,
            (
                $crate::testing::strategies::numbers::<T>(),
                $crate::testing::strategies::intervals::<T>(),
            ),
            (y, (a, b)) => {
                let y = $crate::testing::accepted_target::<T>(&$loss, y)?;
                $crate::testing::check_loss::<T>(&$loss, y, a, b)
            }
        );
    };
}

/// Tests the laws of a [`Risk`](crate::risk::Risk), constructed from a
/// [`Case`](crate::testing::Case), and with `resampled` that its samples are keyed on the step.
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::testing::risk_laws;
///
/// risk_laws!(square: |case| {
///     EmpiricalRisk::with_outputs(Square, case.inputs(), case.targets()).unwrap()
/// });
/// ```
#[macro_export]
macro_rules! risk_laws {
    ($name:ident: |$case:ident| $risk:expr) => {
        $crate::law_tests!($name, $crate::testing::strategies::cases(), $case => {
            $crate::testing::check_risk::<T>(&$risk, $case.seed)
        });
    };
    ($name:ident: |$case:ident| $risk:expr, resampled) => {
        $crate::law_tests!($name, $crate::testing::strategies::cases(), $case => {
            $crate::testing::check_risk::<T>(&$risk, $case.seed)?;
            $crate::testing::check_resampled_risk::<T, _>(|| $risk, $case.seed)
        });
    };
}

/// Tests the laws of a [`FeatureMap`](crate::feature::FeatureMap), constructed from a
/// [`Case`](crate::testing::Case), and with `homogeneous` its declared degree.
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::testing::feature_map_laws;
///
/// feature_map_laws!(ridge: |case| Ridge::with_outputs(Relu, case.d, case.k), homogeneous);
/// ```
#[macro_export]
macro_rules! feature_map_laws {
    ($name:ident: |$case:ident| $map:expr) => {
        $crate::law_tests!($name, $crate::testing::strategies::cases(), $case => {
            $crate::testing::check_feature_map::<T>(&$map, $case)
        });
    };
    ($name:ident: |$case:ident| $map:expr, homogeneous) => {
        $crate::law_tests!($name, $crate::testing::strategies::cases(), $case => {
            let map = $map;
            $crate::testing::check_feature_map::<T>(&map, $case)?;
            $crate::testing::check_homogeneity::<T>(&map, $case)
        });
    };
}

/// Tests the laws of an [`Energy`](crate::energy::Energy), constructed from a
/// [`Case`](crate::testing::Case), with `convex` its convexity in the measure, and with `resampled`
/// that its samples are keyed on the step.
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::testing::energy_laws;
///
/// energy_laws!(decay: |case| {
///     PotentialEnergy::new(WeightDecay::new(0.1).unwrap(), case.d)
/// }, convex);
/// ```
///
/// With `within coordinates` the laws are those of
/// [`check_energy_within`](crate::testing::check_energy_within), with `singular` those of
/// [`check_singular_energy`](crate::testing::check_singular_energy).
#[macro_export]
macro_rules! energy_laws {
    ($name:ident: |$case:ident| $energy:expr) => {
        $crate::law_tests!($name, $crate::testing::strategies::cases(), $case => {
            $crate::testing::check_energy::<T>(&mut $energy, $case)
        });
    };
    ($name:ident: |$case:ident| $energy:expr, within $coordinates:expr) => {
        $crate::law_tests!($name, $crate::testing::strategies::cases(), $case => {
            let coordinates: ::std::vec::Vec<usize> = $coordinates.collect();
            $crate::testing::check_energy_within::<T>(&mut $energy, &coordinates, $case)
        });
    };
    ($name:ident: |$case:ident| $energy:expr, singular) => {
        $crate::law_tests!($name, $crate::testing::strategies::cases(), $case => {
            $crate::testing::check_singular_energy::<T>(&mut $energy, $case)
        });
    };
    ($name:ident: |$case:ident| $energy:expr, convex) => {
        $crate::law_tests!($name, $crate::testing::strategies::cases(), $case => {
            let mut energy = $energy;
            $crate::testing::check_energy::<T>(&mut energy, $case)?;
            $crate::testing::check_convexity::<T>(&mut energy, $case)
        });
    };
    ($name:ident: |$case:ident| $energy:expr, resampled) => {
        $crate::law_tests!($name, $crate::testing::strategies::cases(), $case => {
            $crate::testing::check_energy::<T>(&mut $energy, $case)?;
            $crate::testing::check_resampled_energy::<T, _>(|| $energy, $case)
        });
    };
}

/// Tests the laws of a [`Certifiable`](crate::optimality::Certifiable) energy.
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::testing::certificate_laws;
///
/// certificate_laws!(square: |case| {
///     let risk = EmpiricalRisk::with_outputs(Square, case.inputs::<T>(), case.targets()).unwrap();
///     MeanFieldRisk::new(Ridge::with_outputs(Relu, case.d, case.k), risk).unwrap()
/// });
/// ```
#[macro_export]
macro_rules! certificate_laws {
    ($name:ident: |$case:ident| $energy:expr) => {
        $crate::law_tests!($name, $crate::testing::strategies::cases(), $case => {
            $crate::testing::check_certificate::<T, _>(&mut $energy, $case)
        });
    };
}

/// Tests the laws of an [`Integrator`](crate::integrator::Integrator), with `proximal` those of a
/// proximal step, for gamma from 1e-6 to 1e6, and with `friction = gamma` those of a method of the
/// flow with momentum, `w'' = -gamma w' + v(w)`.
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::testing::integrator_laws;
///
/// integrator_laws!(rk4: Rk4);
/// integrator_laws!(heavy_ball: HeavyBall::new(2.0).unwrap(), friction = 2.0);
/// ```
#[macro_export]
macro_rules! integrator_laws {
    ($name:ident: $integrator:expr) => {
        $crate::law_tests!($name, $crate::testing::strategies::seeds(), seed => {
            $crate::testing::check_integrator::<T, _>(|| $integrator, seed)
        });
    };
    ($name:ident: $integrator:expr, proximal) => {
        $crate::law_tests!($name, $crate::testing::strategies::seeds(), seed => {
            $crate::testing::check_integrator::<T, _>(|| $integrator, seed)?;
            $crate::testing::check_jko::<T, _>(|| $integrator, seed)
        });
    };
    ($name:ident: $integrator:expr, friction = $friction:expr) => {
        $crate::law_tests!($name, $crate::testing::strategies::seeds(), seed => {
            $crate::testing::check_momentum_integrator::<T, _>(|| $integrator, $friction, seed)
        });
    };
}

/// Tests the laws of a [`Potential`](crate::energy::Potential) on `R^d`, constructed from a
/// [`Case`](crate::testing::Case).
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::testing::potential_laws;
///
/// potential_laws!(decay: |case| WeightDecay::new(0.1).unwrap());
/// ```
#[macro_export]
macro_rules! potential_laws {
    ($name:ident: |$case:ident| $potential:expr) => {
        $crate::law_tests!($name, $crate::testing::strategies::cases(), $case => {
            $crate::testing::check_potential::<T>(&$potential, $case.d, $case.seed)
        });
    };
}

/// Tests the laws of an [`Interaction`](crate::energy::Interaction) on `R^d`, constructed from a
/// [`Case`](crate::testing::Case).
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::testing::interaction_laws;
///
/// interaction_laws!(quartic: |case| PowerLaw::new(4.0, 1.0).unwrap());
/// ```
#[macro_export]
macro_rules! interaction_laws {
    ($name:ident: |$case:ident| $interaction:expr) => {
        $crate::law_tests!($name, $crate::testing::strategies::cases(), $case => {
            $crate::testing::check_interaction::<T>(&$interaction, $case.d, $case.seed)
        });
    };
}

/// Tests the laws of a [`Kernel`](crate::energy::Kernel), constructed from a
/// [`Case`](crate::testing::Case).
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::testing::kernel_laws;
///
/// kernel_laws!(arc_cosine: |case| ArcCosine::new(case.d));
/// ```
#[macro_export]
macro_rules! kernel_laws {
    ($name:ident: |$case:ident| $kernel:expr) => {
        $crate::law_tests!($name, $crate::testing::strategies::cases(), $case => {
            $crate::testing::check_kernel::<T>(&$kernel, $case.m, $case.seed)
        });
    };
}

#[doc(inline)]
pub use {
    activation_laws, certificate_laws, energy_laws, feature_map_laws, integrator_laws,
    interaction_laws, kernel_laws, loss_laws, potential_laws, risk_laws,
};
