//! The formats `f32` and `f64`: their bits and the coefficients of their polynomials.
//!
//! The coefficients are minimax, computed with the Remez exchange in 220 bits. Each comment gives
//! the largest error before rounding, in the weight that the comment names.

use super::nodes::{NODES, Nodes};
use crate::numeric::simd::SimdScalar;
use crate::real::to_f64;

/// `f32` or `f64`.
pub(crate) trait Float: SimdScalar {
    /// 1.5 times the power of two whose last bit has the weight 1. Adding it rounds a number to an
    /// integer, which the low bits then hold.
    const SHIFT: Self;
    /// `exp(-TAIL)` rounds to 0, and `exp(TAIL)` to infinity.
    const TAIL: Self;
    /// Digits that an exponent is raised by, so that `exp(-TAIL)` is normal.
    const BITS: Self;
    /// `2^-BITS` and `2^BITS`.
    const SCALES: [Self; 2];
    /// Splits the digits of a number into halves (Dekker): `2^27 + 1`, `2^12 + 1`.
    const SPLIT: Self;
    /// `log 2` in two parts; multiples of the first are exact.
    const LN_2: [Self; 2];
    /// `(exp r - 1 - r) / r^2` on `|r| <= log(2)/2`, error relative to `1 / r`.
    const EXP: &'static [Self];
    /// `L(s^2)` in `log((1 + s)/(1 - s)) = 2 s + s^3 L(s^2)`, for
    /// `1/sqrt 2 <= (1 + s)/(1 - s) <= sqrt 2`, error relative to `1 / s^2`.
    const LOG: &'static [Self];
    /// `erf(x)/x - 1` in `x^2 <= 1`, error relative to `erf(x)/x`.
    const ERF: &'static [Self];
    /// `(tanh(z) - z)/z^3` in `z^2`, `|z| <= log(2)/4`, error relative to `1/z^2`.
    const TANH: &'static [Self];
    /// `(atan(x) - x)/x^3` in `x^2`, `x <= tan(pi/8)`, error relative to `1/x^2`.
    const ATAN: &'static [Self];
    /// `(sin r - r cos r)/r^3` in `r^2`, `r <= 1/2`, relative error.
    const ARC_COSINE: &'static [Self];
    /// Numerator and denominator of `exp(x^2/2) P(N <= -x)` in `0 <= x <= 39` (14.5 in `f32`),
    /// relative error. All coefficients are positive.
    const MILLS: [&'static [Self]; 2];
    /// The normal distribution at [`Nodes`], or `None` if the formula without a table is faster.
    const NODES: Option<&'static Nodes<Self>>;
    /// `(sin r - r)/r^3` and `(cos r - 1 + r^2/2)/r^4` in `r^2`, `|r| <= pi/4`; evaluated in `f64`
    /// for `f32` too.
    const SIN: &'static [f64];
    /// See [`SIN`](Self::SIN).
    const COS: &'static [f64];
    /// True if the distance from a multiple of `pi/2` is required to the last bits of `f64`.
    const DOUBLE: bool;

    /// `2^k self` for `SHIFT + k`, a normal number or 0; self is normal.
    fn times_power_of_two(self, shifted: Self) -> Self;

    /// `(k, m)` with `x = 2^k m`, `1/sqrt 2 <= m < sqrt 2`, for positive normal x.
    fn split(self) -> (Self, Self);

    /// The nearest number of the format.
    fn narrow(x: f64) -> Self;

    #[inline(always)]
    fn widen(self) -> f64 {
        to_f64(self)
    }
}

impl Float for f64 {
    const SHIFT: f64 = 1.5 * (1_u64 << 52) as f64;
    const TAIL: f64 = 746.0;
    const BITS: f64 = 64.0;
    const SCALES: [f64; 2] = [1.0 / (1_u128 << 64) as f64, (1_u128 << 64) as f64];
    const SPLIT: f64 = ((1 << 27) + 1) as f64;
    const LN_2: [f64; 2] = [0.6931471805598903, 5.497923018708371e-14];
    // 2^-55.6
    const EXP: &'static [f64] = &[
        0.5000000000000006,
        0.16666666666666685,
        0.04166666666657362,
        0.008333333333314548,
        0.0013888888932380285,
        0.00019841269903113438,
        2.4801504443868243e-05,
        2.7557227889080416e-06,
        2.762632739803149e-07,
        2.5114491310876775e-08,
    ];
    // 2^-58.5
    const LOG: &'static [f64] = &[
        0.6666666666666735,
        0.3999999999941111,
        0.2857142874325923,
        0.2222219847623143,
        0.18183569732233623,
        0.15313903316627284,
        0.14797508156422653,
    ];
    // 2^-56.9
    const ERF: &'static [f64] = &[
        0.12837916709551256,
        -0.3761263890318352,
        0.112837916709442,
        -0.026866170643113415,
        0.005223977606130842,
        -0.0008548325929766244,
        0.0001205529358693695,
        -1.4924712439534814e-05,
        1.6447132699786621e-06,
        -1.6206318752969208e-07,
        1.3710988704190523e-08,
        -7.779462971761597e-10,
    ];
    // 2^-57.8
    const TANH: &'static [f64] = &[
        -0.3333333333333249,
        0.13333333332784644,
        -0.053968252783279345,
        0.021869370792211913,
        -0.008857310910355291,
        0.0034448595675877687,
    ];
    // 2^-59.5
    const ATAN: &'static [f64] = &[
        -0.333333333333332,
        0.19999999999954,
        -0.1428571428023966,
        0.11111110785674978,
        -0.09090897822618128,
        0.07692061382691763,
        -0.06663117404327504,
        0.05847986647520729,
        -0.050397427022686896,
        0.03807565009321061,
        -0.017919293760503573,
    ];
    // 2^-57.7
    const ARC_COSINE: &'static [f64] = &[
        0.3333333333333333,
        -0.033333333333332923,
        0.001190476190457566,
        -2.2045855068167872e-05,
        2.5051873477582994e-07,
        -1.9189024424001532e-09,
    ];
    // 2^-54.1
    const MILLS: [&'static [f64]; 2] = [
        &[
            0.5,
            0.7748789820431984,
            0.5940538699790396,
            0.2893382491670048,
            0.09770195259425432,
            0.023623245657144683,
            0.004089493167701566,
            0.0004904441421382664,
            3.725666933855476e-05,
            1.3858173049725023e-06,
        ],
        &[
            1.0,
            2.347642524889252,
            2.561255464851793,
            1.7144029478301894,
            0.7820543908221133,
            0.25496652710587514,
            0.060437109624238934,
            0.010344227812668732,
            0.0012328348828502798,
            9.338862078046511e-05,
            3.4737288401273127e-06,
        ],
    ];
    const NODES: Option<&'static Nodes<f64>> = Some(&NODES);
    // 2^-58.0, relative to 1/r^2, and 2^-64.2, relative to 1/r^4
    const SIN: &'static [f64] = &[
        -0.16666666666666632,
        0.00833333333332237,
        -0.00019841269829771162,
        2.755731367863911e-06,
        -2.5050755954992092e-08,
        1.5896666048580796e-10,
    ];
    const COS: &'static [f64] = &[
        0.0416666666666666,
        -0.0013888888888874075,
        2.4801587289448662e-05,
        -2.7557314341943445e-07,
        2.0875721777215395e-09,
        -1.1359566430737872e-11,
    ];
    const DOUBLE: bool = true;

    #[inline(always)]
    fn times_power_of_two(self, shifted: f64) -> f64 {
        f64::from_bits((shifted.to_bits() << 52).wrapping_add(self.to_bits()))
    }

    #[inline(always)]
    fn split(self) -> (f64, f64) {
        const OFFSET: u64 = 1.0_f64.to_bits() - std::f64::consts::FRAC_1_SQRT_2.to_bits();
        let biased = (self.to_bits().wrapping_add(OFFSET)) >> 52;
        let k = f64::from_bits(Self::SHIFT.to_bits().wrapping_add(biased)) - Self::SHIFT;
        let m = self.to_bits().wrapping_sub(biased.wrapping_sub(1023) << 52);
        (k - 1023.0, f64::from_bits(m))
    }

    #[inline(always)]
    fn narrow(x: f64) -> f64 {
        x
    }
}

impl Float for f32 {
    const SHIFT: f32 = 1.5 * (1_u32 << 23) as f32;
    const TAIL: f32 = 104.0;
    const BITS: f32 = 32.0;
    const SCALES: [f32; 2] = [1.0 / (1_u64 << 32) as f32, (1_u64 << 32) as f32];
    const SPLIT: f32 = ((1 << 12) + 1) as f32;
    const LN_2: [f32; 2] = [0.69314575, 1.4286068e-06];
    // 2^-31.6, for |r| <= 0.36
    const EXP: &'static [f32] = &[
        0.5,
        0.16666667,
        0.041666303,
        0.008333263,
        0.0013945114,
        0.00019920101,
    ];
    // 2^-29.2
    const LOG: &'static [f32] = &[0.66666776, 0.39977497, 0.29873058];
    // 2^-29.6
    const ERF: &'static [f32] = &[
        0.12837917,
        -0.37612626,
        0.112835854,
        -0.026853815,
        0.0051883305,
        -0.00080102024,
        7.85385e-05,
    ];
    // 2^-32.1
    const TANH: &'static [f32] = &[-0.3333332, 0.13330828, -0.052628633];
    // 2^-30.5
    const ATAN: &'static [f32] = &[
        -0.33333316,
        0.19998488,
        -0.14243826,
        0.10595829,
        -0.06082994,
    ];
    // 2^-35.2
    const ARC_COSINE: &'static [f32] = &[0.33333334, -0.03333333, 0.0011904559, -2.1918233e-05];
    // 2^-27.3
    const MILLS: [&'static [f32]; 2] = [
        &[0.5, 0.43830073, 0.1832394, 0.040634654, 0.004116519],
        &[
            1.0,
            1.6744864,
            1.2025208,
            0.4694819,
            0.10186242,
            0.010318463,
        ],
    ];
    const NODES: Option<&'static Nodes<f32>> = None;
    // 2^-28.0 and 2^-33.3
    const SIN: &'static [f64] = &[
        -0.16666654912420012,
        0.008332175884548626,
        -0.0001951697261184884,
    ];
    const COS: &'static [f64] = &[
        0.04166664680974581,
        -0.001388736460450517,
        2.443810332516851e-05,
    ];
    const DOUBLE: bool = false;

    #[inline(always)]
    fn times_power_of_two(self, shifted: f32) -> f32 {
        f32::from_bits((shifted.to_bits() << 23).wrapping_add(self.to_bits()))
    }

    #[inline(always)]
    fn split(self) -> (f32, f32) {
        const OFFSET: u32 = 1.0_f32.to_bits() - std::f32::consts::FRAC_1_SQRT_2.to_bits();
        let biased = (self.to_bits().wrapping_add(OFFSET)) >> 23;
        let k = f32::from_bits(Self::SHIFT.to_bits().wrapping_add(biased)) - Self::SHIFT;
        let m = self.to_bits().wrapping_sub(biased.wrapping_sub(127) << 23);
        (k - 127.0, f32::from_bits(m))
    }

    #[inline(always)]
    fn narrow(x: f64) -> f32 {
        x as f32
    }
}
