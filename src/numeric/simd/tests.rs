//! Every level against scalar arithmetic.

use super::*;

/// Compares every operation with scalar arithmetic, lane by lane.
macro_rules! check {
    ($name:ident, $scalar:ident) => {
        fn $name<S: Simd<$scalar>>(simd: S) {
            let (max, inf) = (<$scalar>::MAX, <$scalar>::INFINITY);
            let list = [
                0.0, -0.0, 1.0, -1.0, 0.1, -2.5, max, -max, 3e-30, inf, 7.0, 1.1, -inf, 1e30,
            ];
            let cycle = |from: usize, step: usize| -> Vec<$scalar> {
                let entry = |l| list[(from + step * l) % list.len()];
                (0..16).map(entry).collect()
            };
            let if_else = |is, on, off| if is { on } else { off };
            for from in 0..list.len() {
                let [x, y, z] = [cycle(from, 1), cycle(from / 2, 3), cycle(3, 5)];
                let [a, b, c] = [&x, &y, &z].map(|x| S::vectors(x)[0]);
                let lanes = S::lanes(&a).len();
                let (zero, one, bit) = (simd.zero(), simd.splat(1.0), simd.bit(from));
                let (less, less_equal) = (simd.less(a, b), simd.less_equal(a, b));
                let has_bit = simd.has_bit(a, bit);
                // Adding 0 removes the sign of a zero, which depends on the level.
                let unsigned = |v| simd.add(v, zero);
                type Expected<'a> = &'a dyn Fn(usize) -> $scalar;
                let operations: [(&str, S::Vector, Expected<'_>); 20] = [
                    ("zero", zero, &|_| 0.0),
                    ("splat", simd.splat(x[0]), &|_| x[0]),
                    ("add", simd.add(a, b), &|l| x[l] + y[l]),
                    ("sub", simd.sub(a, b), &|l| x[l] - y[l]),
                    ("mul", simd.mul(a, b), &|l| x[l] * y[l]),
                    ("mul_add", simd.mul_add(a, b, c), &|l| {
                        if_else(S::FUSED, x[l].mul_add(y[l], z[l]), x[l] * y[l] + z[l])
                    }),
                    ("div", simd.div(a, b), &|l| x[l] / y[l]),
                    ("sqrt", simd.sqrt(a), &|l| x[l].sqrt()),
                    ("neg", simd.neg(a), &|l| -x[l]),
                    ("abs", simd.abs(a), &|l| x[l].abs()),
                    ("copy_sign", simd.copy_sign(a, b), &|l| x[l].copysign(y[l])),
                    ("min", unsigned(simd.min(a, b)), &|l| x[l].min(y[l]) + 0.0),
                    ("max", unsigned(simd.max(a, b)), &|l| x[l].max(y[l]) + 0.0),
                    ("positive_part", unsigned(simd.positive_part(a)), &|l| {
                        x[l].max(0.0) + 0.0
                    }),
                    ("select_positive", simd.select_positive(a, b, c), &|l| {
                        if_else(x[l] > 0.0, y[l], z[l])
                    }),
                    ("less", simd.select(less, b, c), &|l| {
                        if_else(x[l] < y[l], y[l], z[l])
                    }),
                    ("less_equal", simd.select(less_equal, b, c), &|l| {
                        if_else(x[l] <= y[l], y[l], z[l])
                    }),
                    ("bit", bit, &|_| <$scalar>::from_bits(1 << from)),
                    ("or", simd.or(a, bit), &|l| {
                        <$scalar>::from_bits(x[l].to_bits() | 1 << from)
                    }),
                    ("has_bit", simd.select(has_bit, one, zero), &|l| {
                        (x[l].to_bits() >> from & 1) as _
                    }),
                ];
                for (name, v, expected) in operations {
                    for (l, &v) in S::lanes(&v).iter().enumerate() {
                        let (e, [x, y, z]) = (expected(l), [x[l], y[l], z[l]]);
                        let equal = v.to_bits() == e.to_bits() || v.is_nan() && e.is_nan();
                        assert!(equal, "{name}({x}, {y}, {z}) = {v}, not {e}");
                    }
                }
                assert_eq!(simd.any(less), (0..lanes).any(|l| x[l] < y[l]));
                let bits = (0..lanes).fold(0, |bits, l| bits | u32::from(x[l] < y[l]) << l);
                assert_eq!(simd.bits(less), bits);
                assert_eq!(simd.any(less_equal), (0..lanes).any(|l| x[l] <= y[l]));
            }
            let terms: Vec<$scalar> = (0..16).map(|l| 0.1 + 0.7 * l as $scalar).collect();
            let a = S::vectors(&terms)[0];
            let mut halves = S::lanes(&a).to_vec();
            while halves.len() > 1 {
                let upper = halves.split_off(halves.len() / 2);
                halves = halves.iter().zip(upper).map(|(a, b)| a + b).collect();
            }
            assert_eq!(simd.reduce_sum(a), halves[0]);
            let power = simd.power_of_two(simd.splat(1.5 / <$scalar>::EPSILON - 5.0));
            assert_eq!(S::lanes(&power)[0], 1.0 / 32.0);
            let power = simd.neg_mul_add(power, simd.splat(32.0), simd.splat(3.0));
            assert_eq!(S::lanes(&power)[0], 2.0);
        }
    };
}
check!(check_f32, f32);
check!(check_f64, f64);

#[test]
fn every_level_computes_as_scalar_arithmetic() {
    fn check<S: Simd<f32> + Simd<f64>>(level: Option<S>) {
        if let Some(simd) = level {
            check_f32(simd);
            check_f64(simd);
        }
    }
    check(Some(Portable));
    #[cfg(target_arch = "x86_64")]
    check(Avx2::detect());
    #[cfg(target_arch = "x86_64")]
    check(Avx512::detect());
    #[cfg(target_arch = "aarch64")]
    check(Neon::detect());
}
