//! The best instruction set of this processor.

use std::sync::OnceLock;

#[cfg(target_arch = "aarch64")]
use super::neon::Neon;
use super::portable::Portable;
#[cfg(target_arch = "x86_64")]
use super::x86::{Avx2, Avx512};
use super::{SimdKernel, SimdScalar};
use crate::numeric::packed::line;

/// The best instruction set of this processor.
#[derive(Debug, Clone, Copy)]
enum Level {
    Portable(Portable),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    #[cfg(target_arch = "aarch64")]
    Neon(Neon),
}

impl Level {
    #[inline]
    fn get() -> Self {
        static LEVEL: OnceLock<Level> = OnceLock::new();
        *LEVEL.get_or_init(Self::detect)
    }

    fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = Avx512::detect() {
            return Self::Avx512(simd);
        } else if let Some(simd) = Avx2::detect() {
            return Self::Avx2(simd);
        }
        #[cfg(target_arch = "aarch64")]
        if let Some(simd) = Neon::detect() {
            return Self::Neon(simd);
        }
        Self::Portable(Portable)
    }
}

macro_rules! simd_scalar {
    ($scalar:ty) => {
        impl SimdScalar for $scalar {
            #[inline(always)]
            fn low_bits(self) -> usize {
                self.to_bits() as usize
            }

            #[inline]
            fn dispatch<K: SimdKernel<Scalar = Self>>(kernel: K) -> K::Output {
                #[inline(never)]
                fn portable<K>(kernel: K, simd: Portable) -> K::Output
                where
                    K: SimdKernel<Scalar = $scalar>,
                {
                    kernel.run::<_, 2, { line::<$scalar>() }>(simd)
                }
                match Level::get() {
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx512(simd) => simd.vectorize(
                        #[inline(always)]
                        move || kernel.run::<_, 12, 1>(simd),
                    ),
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx2(simd) => simd.vectorize(
                        #[inline(always)]
                        move || kernel.run::<_, 6, 2>(simd),
                    ),
                    #[cfg(target_arch = "aarch64")]
                    Level::Neon(simd) => simd.vectorize(
                        #[inline(always)]
                        move || kernel.run::<_, 6, 4>(simd),
                    ),
                    Level::Portable(simd) => portable(kernel, simd),
                }
            }
        }
    };
}
simd_scalar!(f32);
simd_scalar!(f64);
