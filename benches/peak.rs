//! The peak rate of fused multiply-adds.

use std::hint::black_box;

/// Rounds of the independent chains of fused multiply-adds that measure the peak.
pub(crate) const ROUNDS: usize = 10_000;

/// Chains of fused multiply-adds in flight, enough to hide the latency of two units.
pub(crate) const CHAINS: usize = 12;

/// A function that runs [`CHAINS`] chains for [`ROUNDS`] rounds in registers of `f64`.
macro_rules! chains {
    ($name:ident, $feature:tt, $splat:ident, $mul_add:ident) => {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = $feature)]
        fn $name() {
            use std::arch::x86_64::*;
            let (a, b) = ($splat(black_box(0.999)), $splat(black_box(0.001)));
            let mut sums = [$splat(1.0); CHAINS];
            for _ in 0..ROUNDS {
                for sum in &mut sums {
                    *sum = $mul_add(*sum, a, b);
                }
            }
            black_box(sums);
        }
    };
}
chains!(chains_512, "avx512f", _mm512_set1_pd, _mm512_fmadd_pd);
chains!(chains_256, "avx,fma", _mm256_set1_pd, _mm256_fmadd_pd);

/// Runs the chains on the widest registers; returns their lanes. Scalar outside x86-64.
#[expect(
    unsafe_code,
    reason = "calls of functions that need instructions, after detection"
)]
pub(crate) fn chains() -> usize {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the feature was detected.
        unsafe { chains_512() };
        return 8;
    } else if is_x86_feature_detected!("avx") && is_x86_feature_detected!("fma") {
        // SAFETY: the features were detected.
        unsafe { chains_256() };
        return 4;
    }
    let (a, b) = (black_box(0.999), black_box(0.001));
    let mut sums = [1.0_f64; CHAINS];
    for _ in 0..ROUNDS {
        for sum in &mut sums {
            *sum = sum.mul_add(a, b);
        }
    }
    black_box(sums);
    1
}
