//! AVX-512 and AVX2 on x86-64.
#![expect(
    unsafe_code,
    reason = "intrinsics, called only with a value that proves that the processor supports them"
)]

use std::arch::x86_64::*;
use std::mem::transmute;

use super::Simd;
use super::level::{level, simd};

level!(
    /// AVX2 with FMA (the level x86-64-v3).
    Avx2: is_x86_feature_detected, "sse3", "ssse3", "sse4.1", "sse4.2", "popcnt", "avx", "avx2",
    "bmi1", "bmi2", "fma", "f16c", "lzcnt"
);
level!(
    /// AVX-512 F, BW, CD, DQ and VL (the level x86-64-v4).
    Avx512: is_x86_feature_detected, "sse3", "ssse3", "sse4.1", "sse4.2", "popcnt", "avx", "avx2",
    "bmi1", "bmi2", "fma", "f16c", "lzcnt", "avx512f", "avx512bw", "avx512cd", "avx512dq",
    "avx512vl"
);

simd! {
    Avx512: f32 x 16 in __m512, mask __mmask16, masked true;
    vector splat[x: f32]() = _mm512_set1_ps(x);
    vector add(a, b) = _mm512_add_ps(a, b);
    vector sub(a, b) = _mm512_sub_ps(a, b);
    vector mul(a, b) = _mm512_mul_ps(a, b);
    vector mul_add(a, b, c) = _mm512_fmadd_ps(a, b, c);
    vector neg_mul_add(a, b, c) = _mm512_fnmadd_ps(a, b, c);
    vector div(a, b) = _mm512_div_ps(a, b);
    vector sqrt(a) = _mm512_sqrt_ps(a);
    vector neg(a) = _mm512_xor_ps(a, _mm512_set1_ps(-0.0));
    vector abs(a) = _mm512_andnot_ps(_mm512_set1_ps(-0.0), a);
    vector copy_sign(a, sign) = _mm512_castsi512_ps(_mm512_ternarylogic_epi32::<0xCA>(
        _mm512_castps_si512(_mm512_set1_ps(-0.0)),
        _mm512_castps_si512(sign),
        _mm512_castps_si512(a),
    ));
    vector scale(a, shifted) = _mm512_castsi512_ps(_mm512_add_epi32(
        _mm512_slli_epi32::<23>(_mm512_castps_si512(shifted)),
        _mm512_castps_si512(a),
    ));
    vector min(a, b) = _mm512_min_ps(a, b);
    vector max(a, b) = _mm512_max_ps(a, b);
    vector select_negative(sign, on, off) = _mm512_mask_blend_ps(_mm512_movepi32_mask(_mm512_castps_si512(sign)), off, on);
    vector or(a, b) = _mm512_or_ps(a, b);
    vector select[mask: __mmask16](on, off) = _mm512_mask_blend_ps(mask, off, on);
    vector bit[index: usize]() = _mm512_set1_epi32(1 << index);
    vector shift(word) = _mm512_castsi512_ps(_mm512_srli_epi32::<4>(_mm512_castps_si512(word)));
    vector zip_low(a, b) = _mm512_permutex2var_ps(a, transmute::<[i32; 16], __m512i>([0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23]), b);
    vector zip_high(a, b) = _mm512_permutex2var_ps(a, transmute::<[i32; 16], __m512i>([8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31]), b);
    scalar less(a, b) -> __mmask16 = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b);
    scalar less_equal(a, b) -> __mmask16 = _mm512_cmp_ps_mask::<_CMP_LE_OQ>(a, b);
    scalar has_bit(word, bit) -> __mmask16 =
        _mm512_test_epi32_mask(_mm512_castps_si512(word), _mm512_castps_si512(bit));
    scalar any[mask: __mmask16]() -> bool = _cvtmask16_u32(mask) != 0;
    scalar bits[mask: __mmask16]() -> u32 = _cvtmask16_u32(mask);
    scalar reduce_sum(a) -> f32 = sum_ps(_mm256_add_ps(
        _mm512_castps512_ps256(a),
        _mm512_extractf32x8_ps::<1>(a),
    ));
    hint prefetch(x) = _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(x).cast());
    table lookup(table, index) =
        _mm512_permutexvar_ps(transmute::<[f32; 16], __m512i>(index), transmute::<[f32; 16], __m512>(*table));
}

simd! {
    Avx512: f64 x 8 in __m512d, mask __mmask8, masked true;
    vector splat[x: f64]() = _mm512_set1_pd(x);
    vector add(a, b) = _mm512_add_pd(a, b);
    vector sub(a, b) = _mm512_sub_pd(a, b);
    vector mul(a, b) = _mm512_mul_pd(a, b);
    vector mul_add(a, b, c) = _mm512_fmadd_pd(a, b, c);
    vector neg_mul_add(a, b, c) = _mm512_fnmadd_pd(a, b, c);
    vector div(a, b) = _mm512_div_pd(a, b);
    vector sqrt(a) = _mm512_sqrt_pd(a);
    vector neg(a) = _mm512_xor_pd(a, _mm512_set1_pd(-0.0));
    vector abs(a) = _mm512_andnot_pd(_mm512_set1_pd(-0.0), a);
    vector copy_sign(a, sign) = _mm512_castsi512_pd(_mm512_ternarylogic_epi64::<0xCA>(
        _mm512_castpd_si512(_mm512_set1_pd(-0.0)),
        _mm512_castpd_si512(sign),
        _mm512_castpd_si512(a),
    ));
    vector scale(a, shifted) = _mm512_castsi512_pd(_mm512_add_epi64(
        _mm512_slli_epi64::<52>(_mm512_castpd_si512(shifted)),
        _mm512_castpd_si512(a),
    ));
    vector min(a, b) = _mm512_min_pd(a, b);
    vector max(a, b) = _mm512_max_pd(a, b);
    vector select_negative(sign, on, off) = _mm512_mask_blend_pd(_mm512_movepi64_mask(_mm512_castpd_si512(sign)), off, on);
    vector or(a, b) = _mm512_or_pd(a, b);
    vector select[mask: __mmask8](on, off) = _mm512_mask_blend_pd(mask, off, on);
    vector bit[index: usize]() = _mm512_set1_epi64(1 << index);
    vector shift(word) = _mm512_castsi512_pd(_mm512_srli_epi64::<4>(_mm512_castpd_si512(word)));
    vector zip_low(a, b) = _mm512_permutex2var_pd(a, transmute::<[i64; 8], __m512i>([0, 8, 1, 9, 2, 10, 3, 11]), b);
    vector zip_high(a, b) = _mm512_permutex2var_pd(a, transmute::<[i64; 8], __m512i>([4, 12, 5, 13, 6, 14, 7, 15]), b);
    scalar less(a, b) -> __mmask8 = _mm512_cmp_pd_mask::<_CMP_LT_OQ>(a, b);
    scalar less_equal(a, b) -> __mmask8 = _mm512_cmp_pd_mask::<_CMP_LE_OQ>(a, b);
    scalar has_bit(word, bit) -> __mmask8 =
        _mm512_test_epi64_mask(_mm512_castpd_si512(word), _mm512_castpd_si512(bit));
    scalar any[mask: __mmask8]() -> bool = _cvtmask8_u32(mask) != 0;
    scalar bits[mask: __mmask8]() -> u32 = _cvtmask8_u32(mask);
    scalar reduce_sum(a) -> f64 = sum_pd(_mm256_add_pd(
        _mm512_castpd512_pd256(a),
        _mm512_extractf64x4_pd::<1>(a),
    ));
    hint prefetch(x) = _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(x).cast());
    table lookup(table, index) = {
        let [low, high] = transmute::<[f64; 16], [__m512d; 2]>(*table);
        _mm512_permutex2var_pd(low, transmute::<[f64; 8], __m512i>(index), high)
    };
    pairs lookup_pairs(table, index) = {
        let words = _mm512_cvtepi64_epi32(transmute::<[f64; 8], __m512i>(index));
        let [low, high] = [_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words)];
        let ([a, b], [c, d]) = (pairs(table, low), pairs(table, high));
        let even = _mm512_insertf64x4::<1>(_mm512_castpd256_pd512(a), c);
        let odd = _mm512_insertf64x4::<1>(_mm512_castpd256_pd512(b), d);
        [_mm512_unpacklo_pd(even, odd), _mm512_unpackhi_pd(even, odd)]
    };
}

simd! {
    Avx2: f32 x 8 in __m256, mask __m256, masked false;
    vector splat[x: f32]() = _mm256_set1_ps(x);
    vector add(a, b) = _mm256_add_ps(a, b);
    vector sub(a, b) = _mm256_sub_ps(a, b);
    vector mul(a, b) = _mm256_mul_ps(a, b);
    vector mul_add(a, b, c) = _mm256_fmadd_ps(a, b, c);
    vector neg_mul_add(a, b, c) = _mm256_fnmadd_ps(a, b, c);
    vector div(a, b) = _mm256_div_ps(a, b);
    vector sqrt(a) = _mm256_sqrt_ps(a);
    vector neg(a) = _mm256_xor_ps(a, _mm256_set1_ps(-0.0));
    vector abs(a) = _mm256_andnot_ps(_mm256_set1_ps(-0.0), a);
    vector copy_sign(a, sign) =
        _mm256_or_ps(_mm256_andnot_ps(_mm256_set1_ps(-0.0), a), _mm256_and_ps(_mm256_set1_ps(-0.0), sign));
    vector scale(a, shifted) = _mm256_castsi256_ps(_mm256_add_epi32(
        _mm256_slli_epi32::<23>(_mm256_castps_si256(shifted)),
        _mm256_castps_si256(a),
    ));
    vector min(a, b) = _mm256_min_ps(a, b);
    vector max(a, b) = _mm256_max_ps(a, b);
    vector select_negative(sign, on, off) = _mm256_blendv_ps(off, on, sign);
    vector or(a, b) = _mm256_or_ps(a, b);
    vector select[mask: __m256](on, off) = _mm256_blendv_ps(off, on, mask);
    vector bit[index: usize]() = _mm256_set1_epi32(1 << index);
    vector shift(word) = _mm256_castsi256_ps(_mm256_srli_epi32::<4>(_mm256_castps_si256(word)));
    vector zip_low(a, b) = _mm256_permute2f128_ps::<0x20>(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
    vector zip_high(a, b) = _mm256_permute2f128_ps::<0x31>(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
    scalar less(a, b) -> __m256 = _mm256_cmp_ps::<_CMP_LT_OQ>(a, b);
    scalar less_equal(a, b) -> __m256 = _mm256_cmp_ps::<_CMP_LE_OQ>(a, b);
    scalar has_bit(word, bit) -> __m256 = _mm256_castsi256_ps(_mm256_cmpeq_epi32(
        _mm256_castps_si256(_mm256_and_ps(word, bit)),
        _mm256_castps_si256(bit),
    ));
    scalar any[mask: __m256]() -> bool = _mm256_movemask_ps(mask) != 0;
    scalar bits[mask: __m256]() -> u32 = _mm256_movemask_ps(mask) as u32;
    scalar reduce_sum(a) -> f32 = sum_ps(a);
    hint prefetch(x) = _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(x).cast());
}

simd! {
    Avx2: f64 x 4 in __m256d, mask __m256d, masked false;
    vector splat[x: f64]() = _mm256_set1_pd(x);
    vector add(a, b) = _mm256_add_pd(a, b);
    vector sub(a, b) = _mm256_sub_pd(a, b);
    vector mul(a, b) = _mm256_mul_pd(a, b);
    vector mul_add(a, b, c) = _mm256_fmadd_pd(a, b, c);
    vector neg_mul_add(a, b, c) = _mm256_fnmadd_pd(a, b, c);
    vector div(a, b) = _mm256_div_pd(a, b);
    vector sqrt(a) = _mm256_sqrt_pd(a);
    vector neg(a) = _mm256_xor_pd(a, _mm256_set1_pd(-0.0));
    vector abs(a) = _mm256_andnot_pd(_mm256_set1_pd(-0.0), a);
    vector copy_sign(a, sign) =
        _mm256_or_pd(_mm256_andnot_pd(_mm256_set1_pd(-0.0), a), _mm256_and_pd(_mm256_set1_pd(-0.0), sign));
    vector scale(a, shifted) = _mm256_castsi256_pd(_mm256_add_epi64(
        _mm256_slli_epi64::<52>(_mm256_castpd_si256(shifted)),
        _mm256_castpd_si256(a),
    ));
    vector min(a, b) = _mm256_min_pd(a, b);
    vector max(a, b) = _mm256_max_pd(a, b);
    vector select_negative(sign, on, off) = _mm256_blendv_pd(off, on, sign);
    vector or(a, b) = _mm256_or_pd(a, b);
    vector select[mask: __m256d](on, off) = _mm256_blendv_pd(off, on, mask);
    vector bit[index: usize]() = _mm256_set1_epi64x(1 << index);
    vector shift(word) = _mm256_castsi256_pd(_mm256_srli_epi64::<4>(_mm256_castpd_si256(word)));
    vector zip_low(a, b) = _mm256_permute2f128_pd::<0x20>(_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b));
    vector zip_high(a, b) = _mm256_permute2f128_pd::<0x31>(_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b));
    scalar less(a, b) -> __m256d = _mm256_cmp_pd::<_CMP_LT_OQ>(a, b);
    scalar less_equal(a, b) -> __m256d = _mm256_cmp_pd::<_CMP_LE_OQ>(a, b);
    scalar has_bit(word, bit) -> __m256d = _mm256_castsi256_pd(_mm256_cmpeq_epi64(
        _mm256_castpd_si256(_mm256_and_pd(word, bit)),
        _mm256_castpd_si256(bit),
    ));
    scalar any[mask: __m256d]() -> bool = _mm256_movemask_pd(mask) != 0;
    scalar bits[mask: __m256d]() -> u32 = _mm256_movemask_pd(mask) as u32;
    scalar reduce_sum(a) -> f64 = sum_pd(a);
    hint prefetch(x) = _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(x).cast());
    pairs lookup_pairs(table, index) = {
        let [low, high] = transmute::<[f64; 4], [__m128; 2]>(index);
        let words = _mm_castps_si128(_mm_shuffle_ps::<0x88>(low, high));
        let [even, odd] = pairs(table, words);
        [_mm256_unpacklo_pd(even, odd), _mm256_unpackhi_pd(even, odd)]
    };
}

/// The sum of eight lanes, by halves.
#[inline]
#[target_feature(enable = "avx")]
fn sum_ps(a: __m256) -> f32 {
    let a = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
    let a = _mm_add_ps(a, _mm_movehl_ps(a, a));
    _mm_cvtss_f32(_mm_add_ss(a, _mm_shuffle_ps::<1>(a, a)))
}

/// The sum of four lanes, by halves.
#[inline]
#[target_feature(enable = "avx")]
fn sum_pd(a: __m256d) -> f64 {
    let a = _mm_add_pd(_mm256_castpd256_pd128(a), _mm256_extractf128_pd::<1>(a));
    _mm_cvtsd_f64(_mm_add_sd(a, _mm_unpackhi_pd(a, a)))
}

/// The pairs 0 and 2, 1 and 3 at the indices that are the lowest ten bits of the words.
///
/// Two gathers are 10 % faster for gelu with AVX-512, and as fast with AVX2, where it was measured
/// (`benches/README.md`); other processors may run a gather as many operations.
#[inline]
#[target_feature(enable = "avx2")]
fn pairs(table: &[[f64; 2]; 1024], words: __m128i) -> [__m256d; 2] {
    const BYTES: usize = size_of::<[f64; 2]>();
    let bytes = _mm_slli_epi32::<4>(words);
    let (first, last) = (_mm_cvtsi128_si64(bytes), _mm_extract_epi64::<1>(bytes));
    let pair = |offset: i64| {
        let offset = offset as usize & (1023 * BYTES);
        // SAFETY: the offset is that of an entry, since it is a multiple of `BYTES` of at most 1023.
        unsafe { _mm_loadu_pd(table.as_ptr().byte_add(offset).cast()) }
    };
    let two = |a, b| _mm256_insertf128_pd::<1>(_mm256_castpd128_pd256(pair(a)), pair(b));
    [two(first, last), two(first >> 32, last >> 32)]
}
