//! A user-defined scalar: everything runs on it, without SIMD implementations, with the results of
//! `f64`.

use std::fmt::{Display, Formatter, Result as FmtResult};
use std::ops::{
    Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Range, Rem, RemAssign, Sub, SubAssign,
};

use approx::{AbsDiffEq, RelativeEq, UlpsEq};
use num_traits::{FromPrimitive, Num, One, Signed, ToPrimitive, Zero};
use simba::scalar::SubsetOf;
use wasserflow::nalgebra::{ComplexField, DMatrix, DVector, Field, RealField, SimdValue};
use wasserflow::prelude::*;
use wasserflow::testing::{Case, ProvidedBatches};

/// A double behind a new type, without SIMD implementations.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
struct Wrapped(f64);

impl Display for Wrapped {
    fn fmt(&self, f: &mut Formatter<'_>) -> FmtResult {
        self.0.fmt(f)
    }
}

macro_rules! operators {
    ($($operator:ident $method:ident $assign:ident $assign_method:ident),*) => {$(
        impl $operator for Wrapped {
            type Output = Self;
            fn $method(self, other: Self) -> Self {
                Self(self.0.$method(other.0))
            }
        }
        impl $assign for Wrapped {
            fn $assign_method(&mut self, other: Self) {
                self.0.$assign_method(other.0);
            }
        }
    )*};
}
operators!(
    Add add AddAssign add_assign, Sub sub SubAssign sub_assign, Mul mul MulAssign mul_assign,
    Div div DivAssign div_assign, Rem rem RemAssign rem_assign
);

impl Neg for Wrapped {
    type Output = Self;
    fn neg(self) -> Self {
        Self(-self.0)
    }
}

impl Zero for Wrapped {
    fn zero() -> Self {
        Self(0.0)
    }
    fn is_zero(&self) -> bool {
        self.0 == 0.0
    }
}

impl One for Wrapped {
    fn one() -> Self {
        Self(1.0)
    }
}

impl Num for Wrapped {
    type FromStrRadixErr = <f64 as Num>::FromStrRadixErr;
    fn from_str_radix(text: &str, radix: u32) -> Result<Self, Self::FromStrRadixErr> {
        f64::from_str_radix(text, radix).map(Self)
    }
}

impl Signed for Wrapped {
    fn abs(&self) -> Self {
        Self(self.0.abs())
    }
    fn abs_sub(&self, other: &Self) -> Self {
        Self((self.0 - other.0).max(0.0))
    }
    fn signum(&self) -> Self {
        Self(self.0.signum())
    }
    fn is_positive(&self) -> bool {
        self.0 > 0.0
    }
    fn is_negative(&self) -> bool {
        self.0 < 0.0
    }
}

impl FromPrimitive for Wrapped {
    fn from_i64(n: i64) -> Option<Self> {
        f64::from_i64(n).map(Self)
    }
    fn from_u64(n: u64) -> Option<Self> {
        f64::from_u64(n).map(Self)
    }
    fn from_f64(x: f64) -> Option<Self> {
        Some(Self(x))
    }
}

impl ToPrimitive for Wrapped {
    fn to_i64(&self) -> Option<i64> {
        self.0.to_i64()
    }
    fn to_u64(&self) -> Option<u64> {
        self.0.to_u64()
    }
    fn to_f64(&self) -> Option<f64> {
        Some(self.0)
    }
}

macro_rules! inside {
    ($($scalar:ty: $to:expr, $from:expr;)*) => {$(
        impl SubsetOf<Wrapped> for $scalar {
            fn to_superset(&self) -> Wrapped {
                $to(*self)
            }
            fn from_superset_unchecked(wrapped: &Wrapped) -> Self {
                $from(*wrapped)
            }
            fn is_in_subset(_: &Wrapped) -> bool {
                true
            }
        }
    )*};
}
inside! {
    f64: Wrapped, |wrapped: Wrapped| wrapped.0;
    f32: |x| Wrapped(f64::from(x)), |wrapped: Wrapped| wrapped.0 as f32;
    Wrapped: |wrapped| wrapped, |wrapped| wrapped;
}

impl SimdValue for Wrapped {
    const LANES: usize = 1;
    type Element = Self;
    type SimdBool = bool;
    fn splat(x: Self) -> Self {
        x
    }
    fn extract(&self, _: usize) -> Self {
        *self
    }
    #[expect(
        unsafe_code,
        reason = "the trait has this method; nothing here is unsafe"
    )]
    unsafe fn extract_unchecked(&self, _: usize) -> Self {
        *self
    }
    fn replace(&mut self, _: usize, x: Self) {
        *self = x;
    }
    #[expect(
        unsafe_code,
        reason = "the trait has this method; nothing here is unsafe"
    )]
    unsafe fn replace_unchecked(&mut self, _: usize, x: Self) {
        *self = x;
    }
    fn select(self, condition: bool, other: Self) -> Self {
        if condition { self } else { other }
    }
}

impl Field for Wrapped {}

impl AbsDiffEq for Wrapped {
    type Epsilon = Self;
    fn default_epsilon() -> Self {
        Self(f64::EPSILON)
    }
    fn abs_diff_eq(&self, other: &Self, epsilon: Self) -> bool {
        self.0.abs_diff_eq(&other.0, epsilon.0)
    }
}

impl RelativeEq for Wrapped {
    fn default_max_relative() -> Self {
        Self(f64::EPSILON)
    }
    fn relative_eq(&self, other: &Self, epsilon: Self, relative: Self) -> bool {
        self.0.relative_eq(&other.0, epsilon.0, relative.0)
    }
}

impl UlpsEq for Wrapped {
    fn default_max_ulps() -> u32 {
        4
    }
    fn ulps_eq(&self, other: &Self, epsilon: Self, ulps: u32) -> bool {
        self.0.ulps_eq(&other.0, epsilon.0, ulps)
    }
}

macro_rules! delegate {
    ($($method:ident($($argument:ident),*)),*) => {$(
        fn $method(self $(, $argument: Self)*) -> Self {
            Self(ComplexField::$method(self.0 $(, $argument.0)*))
        }
    )*};
}

impl ComplexField for Wrapped {
    type RealField = Self;
    fn from_real(x: Self) -> Self {
        x
    }
    delegate!(
        real(),
        imaginary(),
        modulus(),
        modulus_squared(),
        argument(),
        norm1(),
        scale(s),
        unscale(s),
        floor(),
        ceil(),
        round(),
        trunc(),
        fract(),
        mul_add(a, b),
        abs(),
        hypot(b),
        recip(),
        conjugate(),
        sin(),
        cos(),
        tan(),
        asin(),
        acos(),
        atan(),
        sinh(),
        cosh(),
        tanh(),
        asinh(),
        acosh(),
        atanh(),
        log(base),
        log2(),
        log10(),
        ln(),
        ln_1p(),
        sqrt(),
        exp(),
        exp2(),
        exp_m1(),
        powf(n),
        powc(n),
        cbrt()
    );
    fn sin_cos(self) -> (Self, Self) {
        (Self(self.0.sin()), Self(self.0.cos()))
    }
    fn powi(self, n: i32) -> Self {
        Self(self.0.powi(n))
    }
    fn is_finite(&self) -> bool {
        self.0.is_finite()
    }
    fn try_sqrt(self) -> Option<Self> {
        ComplexField::try_sqrt(self.0).map(Self)
    }
}

macro_rules! constants {
    ($($name:ident),*) => {$(
        fn $name() -> Self {
            Self(<f64 as RealField>::$name())
        }
    )*};
}

impl RealField for Wrapped {
    fn is_sign_positive(&self) -> bool {
        self.0.is_sign_positive()
    }
    fn is_sign_negative(&self) -> bool {
        self.0.is_sign_negative()
    }
    fn copysign(self, sign: Self) -> Self {
        Self(self.0.copysign(sign.0))
    }
    fn max(self, other: Self) -> Self {
        Self(self.0.max(other.0))
    }
    fn min(self, other: Self) -> Self {
        Self(self.0.min(other.0))
    }
    fn clamp(self, min: Self, max: Self) -> Self {
        Self(self.0.clamp(min.0, max.0))
    }
    fn atan2(self, other: Self) -> Self {
        Self(self.0.atan2(other.0))
    }
    fn min_value() -> Option<Self> {
        <f64 as RealField>::min_value().map(Self)
    }
    fn max_value() -> Option<Self> {
        <f64 as RealField>::max_value().map(Self)
    }
    constants!(
        pi,
        two_pi,
        frac_pi_2,
        frac_pi_3,
        frac_pi_4,
        frac_pi_6,
        frac_pi_8,
        frac_1_pi,
        frac_2_pi,
        frac_2_sqrt_pi,
        e,
        log2_e,
        log10_e,
        ln_2,
        ln_10
    );
}

/// The activations, by their scalar formulas.
#[test]
fn activations() {
    fn check<A: Activation<Wrapped> + Activation<f64>>(sigma: A) {
        for j in -400..=400 {
            let u = f64::from(j) / 16.0;
            let (wrapped, double): ((Wrapped, Wrapped), (f64, f64)) = (
                sigma.value_and_derivative(Wrapped(u)),
                sigma.value_and_derivative(u),
            );
            for (wrapped, double) in [(wrapped.0.0, double.0), (wrapped.1.0, double.1)] {
                assert!(
                    (wrapped - double).abs() <= 1e-14 * (double.abs() + f64::EPSILON),
                    "{u}: {wrapped:e} and {double:e}"
                );
            }
        }
    }
    check(Softplus);
    check(Sigmoid);
    check(Erf);
    check(Sine);
}

/// The provided batch methods.
#[test]
fn batches() {
    fn check<A: Activation<Wrapped> + Activation<f64> + Copy>(sigma: A, case: Case) {
        fn all<T: Real>(map: &dyn FeatureMap<T>, case: Case) -> Vec<f64> {
            let (mu, x) = (
                case.measure::<T>(map.particle_dim()),
                Inputs::new(case.inputs()).unwrap(),
            );
            let (p, m, kn) = (mu.dim(), mu.len(), case.k * case.n);
            let (g, v): (Vec<T>, DMatrix<T>) =
                (case.rng(30).coordinates(kn), case.rng(31).matrix(p, m));
            let (mut ws, mut h, mut u) = (
                Workspace::default(),
                vec![T::zero(); kn],
                vec![T::zero(); kn],
            );
            let (mut velocity, mut descent, mut values) =
                (v.clone(), v.clone(), vec![T::zero(); m]);
            map.predict(&mu, &x, &mut h, &mut ws);
            let mut gradient = |_: Range<usize>, h: &[T], out: &mut [T]| {
                out.copy_from_slice(&g);
                h[0]
            };
            let gradient = &mut PredictionGradient::new(false, &mut gradient);
            let risk = map.velocity(&mu, &x, gradient, &mut velocity, &mut ws);
            map.variation(mu.points(), &x, &g, &mut values, &mut descent, &mut ws);
            map.jvp(&mu, &v, &x, &mut u, &mut ws);
            let sizes = [map.particle_dim(), map.input_dim(), map.output_dim()]
                .map(|size| real(size as f64));
            let all = [
                &h[..],
                &[risk],
                velocity.as_slice(),
                &values,
                descent.as_slice(),
                &u,
                &sizes,
            ]
            .concat();
            all.into_iter().map(|x| x.to_f64().unwrap()).collect()
        }
        let close = |wrapped: Vec<f64>, double: Vec<f64>| {
            assert_eq!(wrapped.len(), double.len());
            for (wrapped, double) in wrapped.into_iter().zip(double) {
                assert!(
                    (wrapped - double).abs() <= 1e-12 * (1.0 + double.abs()),
                    "{wrapped:e} and {double:e}, {case:?}"
                );
            }
        };
        let (ridge, radial) = (
            Ridge::with_outputs(sigma, case.d, case.k),
            Radial::with_outputs(sigma, case.d, case.k),
        );
        close(
            all::<Wrapped>(&ridge, case),
            all::<f64>(&ProvidedBatches(ridge), case),
        );
        close(
            all::<Wrapped>(&radial, case),
            all::<f64>(&ProvidedBatches(radial), case),
        );
    }
    for (n, m, d, k) in [(1, 1, 1, 1), (9, 5, 2, 1), (200, 150, 2, 1), (13, 8, 3, 2)] {
        let case = Case {
            n,
            m,
            d,
            k,
            seed: 1,
        };
        check(Relu, case);
        check(Tanh, case);
        check(Gelu, case);
    }
}

#[test]
fn a_flow() {
    fn end<T: Real>() -> f64 {
        let case = Case {
            n: 9,
            m: 5,
            d: 2,
            k: 1,
            seed: 3,
        };
        let y = DVector::from_fn(9, |j, _| real(if j % 2 == 0 { 1.0 } else { -1.0 }));
        let risk = EmpiricalRisk::new(Logistic, case.inputs::<T>(), y).unwrap();
        let energy = MeanFieldRisk::new(Ridge::new(Silu, 2), risk).unwrap();
        let mut flow = ParticleFlow::new(energy, Rk4, real(0.1)).unwrap();
        let mut state = flow.start(case.measure(3)).unwrap();
        flow.run(&mut state, 20, &mut ()).unwrap();
        state.energy().to_f64().unwrap()
    }
    assert!((end::<Wrapped>() - end::<f64>()).abs() < 1e-13);
}
