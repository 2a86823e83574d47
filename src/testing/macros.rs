//! One line a part: a module of tests in both precisions.

/// The tests `single` and `double` of a law over a strategy, in a module; `T` is the scalar.
#[doc(hidden)]
#[macro_export]
macro_rules! prove_laws {
    ($name:ident, $strategy:expr, $values:pat => $law:expr) => {
        #[cfg(test)]
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            #[test]
            fn single() {
                #[allow(dead_code)]
                type T = f32;
                $crate::testing::strategies::prove($strategy, |$values| $law);
            }

            #[test]
            fn double() {
                #[allow(dead_code)]
                type T = f64;
                $crate::testing::strategies::prove($strategy, |$values| $law);
            }
        }
    };
}

/// Tests the laws of an [`Activation`](crate::activation::Activation), and with `homogeneous` its declared degree.
///
/// ```
/// use wasserflow::activation_laws;
/// use wasserflow::prelude::*;
///
/// activation_laws!(tanh: Tanh);
/// activation_laws!(relu: Relu, homogeneous);
/// ```
///
/// Each line is a module of the name given, with the tests `single` and `double`.
#[macro_export]
macro_rules! activation_laws {
    ($name:ident: $activation:expr) => {
        $crate::prove_laws!($name, $crate::testing::strategies::intervals::<T>(), (a, b) => {
            $crate::testing::check_activation::<T>(&$activation, a, b)
        });
    };
    ($name:ident: $activation:expr, homogeneous) => {
        $crate::prove_laws!(
            $name,
            ($crate::testing::strategies::intervals::<T>(), $crate::testing::strategies::scales::<T>()),
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
/// use wasserflow::loss_laws;
/// use wasserflow::prelude::*;
///
/// loss_laws!(logistic: Logistic);
/// loss_laws!(huber: Huber(0.5));
/// ```
#[macro_export]
macro_rules! loss_laws {
    ($name:ident: $loss:expr) => {
        $crate::prove_laws!(
            $name,
            ($crate::testing::strategies::numbers::<T>(), $crate::testing::strategies::intervals::<T>()),
            (y, (a, b)) => {
                let y = $crate::testing::accepted_target::<T>(&$loss, y)?;
                $crate::testing::check_loss::<T>(&$loss, y, a, b)
            }
        );
    };
}

/// Tests the laws of a [`Risk`](crate::risk::Risk), made for a [`Case`](crate::testing::Case).
///
/// ```
/// use wasserflow::risk_laws;
/// use wasserflow::prelude::*;
///
/// risk_laws!(square: |case| EmpiricalRisk::with_outputs(Square, case.inputs(), case.targets()).unwrap());
/// ```
#[macro_export]
macro_rules! risk_laws {
    ($name:ident: |$case:ident| $risk:expr) => {
        $crate::prove_laws!($name, $crate::testing::strategies::cases(), $case => {
            $crate::testing::check_risk::<T>(&$risk, $case.seed)
        });
    };
}

/// Tests the laws of a [`FeatureMap`](crate::feature::FeatureMap), made for a [`Case`](crate::testing::Case), and with `homogeneous`
/// its declared degree.
///
/// ```
/// use wasserflow::feature_map_laws;
/// use wasserflow::prelude::*;
///
/// feature_map_laws!(ridge: |case| Ridge::with_outputs(Relu, case.d, case.k), homogeneous);
/// ```
#[macro_export]
macro_rules! feature_map_laws {
    ($name:ident: |$case:ident| $map:expr) => {
        $crate::prove_laws!($name, $crate::testing::strategies::cases(), $case => {
            $crate::testing::check_feature_map::<T>(&$map, $case)
        });
    };
    ($name:ident: |$case:ident| $map:expr, homogeneous) => {
        $crate::prove_laws!($name, $crate::testing::strategies::cases(), $case => {
            let map = $map;
            $crate::testing::check_feature_map::<T>(&map, $case)?;
            $crate::testing::check_homogeneity::<T>(&map, $case)
        });
    };
}

/// Tests the laws of an [`Energy`](crate::energy::Energy), made for a [`Case`](crate::testing::Case), and with `convex` its convexity
/// in the measure.
///
/// ```
/// use wasserflow::energy_laws;
/// use wasserflow::prelude::*;
///
/// energy_laws!(decay: |case| PotentialEnergy::new(WeightDecay::new(0.1).unwrap(), case.d), convex);
/// ```
#[macro_export]
macro_rules! energy_laws {
    ($name:ident: |$case:ident| $energy:expr) => {
        $crate::prove_laws!($name, $crate::testing::strategies::cases(), $case => {
            $crate::testing::check_energy::<T>(&mut $energy, $case)
        });
    };
    ($name:ident: |$case:ident| $energy:expr, convex) => {
        $crate::prove_laws!($name, $crate::testing::strategies::cases(), $case => {
            let mut energy = $energy;
            $crate::testing::check_energy::<T>(&mut energy, $case)?;
            $crate::testing::check_convexity::<T>(&mut energy, $case)
        });
    };
}

/// Tests the laws of an [`Integrator`](crate::integrator::Integrator), and with `proximal` those of a JKO step, for gamma from 1e-6 to 1e6.
///
/// ```
/// use wasserflow::integrator_laws;
/// use wasserflow::prelude::*;
///
/// integrator_laws!(rk4: Rk4);
/// ```
#[macro_export]
macro_rules! integrator_laws {
    ($name:ident: $integrator:expr) => {
        $crate::prove_laws!($name, $crate::testing::strategies::seeds(), seed => {
            $crate::testing::check_integrator::<T, _>(|| $integrator, seed)
        });
    };
    ($name:ident: $integrator:expr, proximal) => {
        $crate::prove_laws!($name, $crate::testing::strategies::seeds(), seed => {
            $crate::testing::check_integrator::<T, _>(|| $integrator, seed)?;
            $crate::testing::check_jko::<T, _>(|| $integrator, seed)
        });
    };
}

/// Tests the laws of a [`Potential`](crate::energy::Potential), made for a [`Case`](crate::testing::Case) on `R^d`.
///
/// ```
/// use wasserflow::potential_laws;
/// use wasserflow::prelude::*;
///
/// potential_laws!(decay: |case| WeightDecay::new(0.1).unwrap());
/// ```
#[macro_export]
macro_rules! potential_laws {
    ($name:ident: |$case:ident| $potential:expr) => {
        $crate::prove_laws!($name, $crate::testing::strategies::cases(), $case => {
            $crate::testing::check_potential::<T>(&$potential, $case.d, $case.seed)
        });
    };
}

/// Tests the laws of a [`Kernel`](crate::energy::Kernel), made for a [`Case`](crate::testing::Case).
///
/// ```
/// use wasserflow::kernel_laws;
/// use wasserflow::prelude::*;
///
/// kernel_laws!(arc_cosine: |case| ArcCosine::new(case.d));
/// ```
#[macro_export]
macro_rules! kernel_laws {
    ($name:ident: |$case:ident| $kernel:expr) => {
        $crate::prove_laws!($name, $crate::testing::strategies::cases(), $case => {
            $crate::testing::check_kernel::<T>(&$kernel, $case.m, $case.seed)
        });
    };
}
