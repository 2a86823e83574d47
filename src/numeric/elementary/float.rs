//! The formats `f32` and `f64`: their bits and the coefficients of their polynomials.
//!
//! The coefficients are minimax, computed with the Remez exchange in 220 bits. Each comment gives
//! the largest error before rounding, in the weight that the comment names.

use crate::real::{Real, to_f64};

/// `f32` or `f64`.
pub(crate) trait Float: Real {
    /// 1.5 times the power of two whose last bit has the weight 1. Adding it rounds a number to an
    /// integer, which the low bits then hold.
    const SHIFT: Self;
    /// `exp(-TAIL)` rounds to 0, and `exp(TAIL)` to infinity.
    const TAIL: Self;
    /// `log 2` in two parts; multiples of the first are exact.
    const LN_2: [Self; 2];
    /// `(exp r - 1 - r) / r^2` on `|r| <= log(2)/2`, error relative to `1 / r`.
    const EXP: &'static [Self];
    /// `L(s^2)` in `log((1 + s)/(1 - s)) = 2 s + s^3 L(s^2)`, for
    /// `1/sqrt 2 <= (1 + s)/(1 - s) <= sqrt 2`, error relative to `1 / s^2`.
    const LOG: &'static [Self];
    /// `erf(x)/x - 1` in `x^2 <= 1`, error relative to `erf(x)/x`.
    const ERF: &'static [Self];
    /// `(1 + 2 x) exp(x^2) erfc(x)` in `t = (x - c)/(x + c)`, `0 <= x <= 29` (11 in `f32`),
    /// relative error.
    const ERFC: &'static [Self];
    /// The centre c of [`ERFC`](Self::ERFC).
    const ERFC_CENTRE: Self;
    /// `(sin r - r)/r^3` and `(cos r - 1 + r^2/2)/r^4` in `r^2`, `|r| <= pi/4`; evaluated in `f64`
    /// for `f32` too.
    const SIN: &'static [f64];
    /// See [`SIN`](Self::SIN).
    const COS: &'static [f64];
    /// True if the distance from a multiple of `pi/2` is required to the last bits of `f64`.
    const DOUBLE: bool;

    /// `2^k` as a product of two normal powers, `|k| <= TAIL / log 2`.
    fn powers(shifted: Self) -> [Self; 2];

    /// `2^k` for a normal result.
    fn power(shifted: Self) -> Self;

    /// The leading half of the digits: its square is exact.
    fn head(self) -> Self;

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
    // 2^-56.7
    const ERFC: &'static [f64] = &[
        1.2423492448711544,
        -0.14000918013761926,
        -0.010555596332214855,
        0.09751909515324046,
        -0.11508959816039398,
        0.08798315382549102,
        -0.0488233258231805,
        0.0190993309327086,
        -0.00421501996543217,
        -0.0003022677961945474,
        0.0005643848352134068,
        -0.00012151282435533613,
        -4.278414276606638e-05,
        2.4262170826840974e-05,
        2.333986859993036e-06,
        -3.816766962617274e-06,
        -5.5146381554656836e-08,
        6.029461572126985e-07,
        5.146903465797816e-09,
        -9.48334152540785e-08,
        -8.318554062169264e-09,
        1.0899862092715097e-08,
        2.6185311352953943e-09,
    ];
    const ERFC_CENTRE: f64 = 3.5;
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
    fn powers(shifted: f64) -> [f64; 2] {
        let k = shifted.to_bits().wrapping_sub(Self::SHIFT.to_bits() - 2048); // k + 2048
        let half = k >> 1;
        // The bias 1023 is 1024 - 1.
        [half - 1, k.wrapping_sub(half + 1)].map(|k| f64::from_bits(k << 52))
    }

    #[inline(always)]
    fn power(shifted: f64) -> f64 {
        let k = shifted.to_bits().wrapping_sub(Self::SHIFT.to_bits());
        f64::from_bits(k.wrapping_add(1023) << 52)
    }

    #[inline(always)]
    fn head(self) -> f64 {
        f64::from_bits(self.to_bits() & !((1 << 27) - 1))
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
    // 2^-28.5
    const ERFC: &'static [f32] = &[
        1.253008,
        -0.13562114,
        -0.0475625,
        0.12964654,
        -0.11926931,
        0.068296045,
        -0.023806285,
        0.0025591443,
        0.0020140675,
        -0.00075630535,
        -0.00025975183,
    ];
    const ERFC_CENTRE: f32 = 3.0;
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
    fn powers(shifted: f32) -> [f32; 2] {
        let k = shifted.to_bits().wrapping_sub(Self::SHIFT.to_bits() - 256); // k + 256
        let half = k >> 1;
        // The bias 127 is 128 - 1.
        [half - 1, k.wrapping_sub(half + 1)].map(|k| f32::from_bits(k << 23))
    }

    #[inline(always)]
    fn power(shifted: f32) -> f32 {
        let k = shifted.to_bits().wrapping_sub(Self::SHIFT.to_bits());
        f32::from_bits(k.wrapping_add(127) << 23)
    }

    #[inline(always)]
    fn head(self) -> f32 {
        f32::from_bits(self.to_bits() & !((1 << 12) - 1))
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
