//! NEON on AArch64.
#![expect(
    unsafe_code,
    reason = "intrinsics, called only with a value that proves that the processor supports them"
)]

use std::arch::aarch64::*;
use std::mem::transmute;

use super::Simd;
use super::level::{level, simd};

level!(
    /// NEON (Advanced SIMD).
    Neon: is_aarch64_feature_detected, "neon"
);

simd! {
    Neon: f32 x 4 in float32x4_t, mask uint32x4_t, masked false;
    vector splat[x: f32]() = vdupq_n_f32(x);
    vector add(a, b) = vaddq_f32(a, b);
    vector sub(a, b) = vsubq_f32(a, b);
    vector mul(a, b) = vmulq_f32(a, b);
    vector mul_add(a, b, c) = vfmaq_f32(c, a, b);
    vector neg_mul_add(a, b, c) = vfmsq_f32(c, a, b);
    vector div(a, b) = vdivq_f32(a, b);
    vector sqrt(a) = vsqrtq_f32(a);
    vector neg(a) = vnegq_f32(a);
    vector abs(a) = vabsq_f32(a);
    vector copy_sign(a, sign) = vbslq_f32(vreinterpretq_u32_f32(vdupq_n_f32(-0.0)), sign, a);
    vector scale(a, shifted) = vaddq_u32(
        vshlq_n_u32::<23>(vreinterpretq_u32_f32(shifted)),
        vreinterpretq_u32_f32(a),
    );
    vector min(a, b) = vminq_f32(a, b);
    vector max(a, b) = vmaxq_f32(a, b);
    vector select_negative(sign, on, off) = vbslq_f32(vcltzq_s32(vreinterpretq_s32_f32(sign)), on, off);
    vector or(a, b) = vorrq_u32(vreinterpretq_u32_f32(a), vreinterpretq_u32_f32(b));
    vector select[mask: uint32x4_t](on, off) = vbslq_f32(mask, on, off);
    vector bit[index: usize]() = vdupq_n_u32(1 << index);
    vector shift(word) = vshrq_n_u32::<4>(vreinterpretq_u32_f32(word));
    vector zip_low(a, b) = vzip1q_f32(a, b);
    vector zip_high(a, b) = vzip2q_f32(a, b);
    scalar less(a, b) -> uint32x4_t = vcltq_f32(a, b);
    scalar less_equal(a, b) -> uint32x4_t = vcleq_f32(a, b);
    scalar has_bit(word, bit) -> uint32x4_t =
        vtstq_u32(vreinterpretq_u32_f32(word), vreinterpretq_u32_f32(bit));
    scalar any[mask: uint32x4_t]() -> bool = vmaxvq_u32(mask) != 0;
    scalar bits[mask: uint32x4_t]() -> u32 =
        vaddvq_u32(vandq_u32(mask, transmute::<[u32; 4], uint32x4_t>([1, 2, 4, 8])));
    scalar reduce_sum(a) -> f32 = {
        let halves = vadd_f32(vget_low_f32(a), vget_high_f32(a));
        vget_lane_f32::<0>(halves) + vget_lane_f32::<1>(halves)
    };
}

simd! {
    Neon: f64 x 2 in float64x2_t, mask uint64x2_t, masked false;
    vector splat[x: f64]() = vdupq_n_f64(x);
    vector add(a, b) = vaddq_f64(a, b);
    vector sub(a, b) = vsubq_f64(a, b);
    vector mul(a, b) = vmulq_f64(a, b);
    vector mul_add(a, b, c) = vfmaq_f64(c, a, b);
    vector neg_mul_add(a, b, c) = vfmsq_f64(c, a, b);
    vector div(a, b) = vdivq_f64(a, b);
    vector sqrt(a) = vsqrtq_f64(a);
    vector neg(a) = vnegq_f64(a);
    vector abs(a) = vabsq_f64(a);
    vector copy_sign(a, sign) = vbslq_f64(vreinterpretq_u64_f64(vdupq_n_f64(-0.0)), sign, a);
    vector scale(a, shifted) = vaddq_u64(
        vshlq_n_u64::<52>(vreinterpretq_u64_f64(shifted)),
        vreinterpretq_u64_f64(a),
    );
    vector min(a, b) = vminq_f64(a, b);
    vector max(a, b) = vmaxq_f64(a, b);
    vector select_negative(sign, on, off) = vbslq_f64(vcltzq_s64(vreinterpretq_s64_f64(sign)), on, off);
    vector or(a, b) = vorrq_u64(vreinterpretq_u64_f64(a), vreinterpretq_u64_f64(b));
    vector select[mask: uint64x2_t](on, off) = vbslq_f64(mask, on, off);
    vector bit[index: usize]() = vdupq_n_u64(1 << index);
    vector shift(word) = vshrq_n_u64::<4>(vreinterpretq_u64_f64(word));
    vector zip_low(a, b) = vzip1q_f64(a, b);
    vector zip_high(a, b) = vzip2q_f64(a, b);
    scalar less(a, b) -> uint64x2_t = vcltq_f64(a, b);
    scalar less_equal(a, b) -> uint64x2_t = vcleq_f64(a, b);
    scalar has_bit(word, bit) -> uint64x2_t =
        vtstq_u64(vreinterpretq_u64_f64(word), vreinterpretq_u64_f64(bit));
    scalar any[mask: uint64x2_t]() -> bool = vmaxvq_u32(vreinterpretq_u32_u64(mask)) != 0;
    scalar bits[mask: uint64x2_t]() -> u32 =
        vaddvq_u64(vandq_u64(mask, transmute::<[u64; 2], uint64x2_t>([1, 2]))) as u32;
    scalar reduce_sum(a) -> f64 = vgetq_lane_f64::<0>(a) + vgetq_lane_f64::<1>(a);
}
