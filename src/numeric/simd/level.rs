//! Macros that define a level: its type, and its operations in terms of intrinsics.
//!
//! The modules that use them must import the intrinsics, `transmute` and [`Simd`](super::Simd), and
//! expect `unsafe_code`.

/// Defines the type of a level, which only its `detect` constructs, with all of these features.
macro_rules! level {
    ($(#[$doc:meta])* $level:ident: $detected:ident, $($feature:tt),+) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub(super) struct $level(());

        impl $level {
            pub(super) fn detect() -> Option<Self> {
                ($(std::arch::$detected!($feature))&&+).then_some(Self(()))
            }

            /// Runs `code`, which is to be inlined, compiled with the features enabled.
            #[inline(always)]
            pub(super) fn vectorize<O>(self, code: impl FnOnce() -> O) -> O {
                #[inline]
                $(#[target_feature(enable = $feature)])+
                fn enabled<O>(code: impl FnOnce() -> O) -> O {
                    code()
                }
                // SAFETY: `self` was constructed after all of the features had been detected.
                unsafe { enabled(code) }
            }
        }
    };
}

/// Implements [`Simd`]: each operation is an expression in registers.
macro_rules! simd {
    (
        $level:ty: $scalar:ident x $lanes:literal in $register:ty, mask $mask:ty;
        splat: $splat:expr;
        $(vector $op:ident($($v:ident),*) = $value:expr;)+
        $(mask $test:ident($x:ident, $y:ident) = $truth:expr;)+
        any($any:ident) = $is_any:expr;
        select($m:ident, $on:ident, $off:ident) = $selected:expr;
        bit($index:ident) = $bit:expr;
        reduce_sum($sum:ident) = $total:expr;
    ) => {
        // SAFETY (all blocks): a value of the level exists only if the processor has its features,
        // hence the intrinsics; arrays and registers have equal sizes and no invalid bit patterns.
        impl Simd<$scalar> for $level {
            type Vector = [$scalar; $lanes];
            type Mask = $mask;

            #[inline(always)]
            fn vectors(x: &[$scalar]) -> &[[$scalar; $lanes]] {
                x.as_chunks().0
            }
            #[inline(always)]
            fn lanes(vector: &[$scalar; $lanes]) -> &[$scalar] {
                vector
            }
            #[inline(always)]
            fn vectors_mut(x: &mut [$scalar]) -> &mut [[$scalar; $lanes]] {
                x.as_chunks_mut().0
            }
            #[inline(always)]
            fn splat(self, x: $scalar) -> [$scalar; $lanes] {
                // SAFETY: see above.
                unsafe { transmute($splat(x)) }
            }
            #[inline(always)]
            fn zero(self) -> [$scalar; $lanes] {
                [0.0; $lanes]
            }
            $(
                #[inline(always)]
                fn $op(self, $($v: [$scalar; $lanes]),*) -> [$scalar; $lanes] {
                    // SAFETY: see above.
                    unsafe {
                        $(let $v: $register = transmute($v);)*
                        transmute($value)
                    }
                }
            )+
            $(
                #[inline(always)]
                fn $test(self, $x: [$scalar; $lanes], $y: [$scalar; $lanes]) -> $mask {
                    // SAFETY: see above.
                    unsafe {
                        let $x: $register = transmute($x);
                        let $y: $register = transmute($y);
                        $truth
                    }
                }
            )+
            #[inline(always)]
            fn any(self, $any: $mask) -> bool {
                // SAFETY: see above.
                unsafe { $is_any }
            }
            #[inline(always)]
            fn select(
                self,
                $m: $mask,
                $on: [$scalar; $lanes],
                $off: [$scalar; $lanes],
            ) -> [$scalar; $lanes] {
                // SAFETY: see above.
                unsafe {
                    let $on: $register = transmute($on);
                    let $off: $register = transmute($off);
                    transmute($selected)
                }
            }
            #[inline(always)]
            fn bit(self, $index: usize) -> [$scalar; $lanes] {
                // SAFETY: see above.
                unsafe { transmute($bit) }
            }
            #[inline(always)]
            fn reduce_sum(self, $sum: [$scalar; $lanes]) -> $scalar {
                // SAFETY: see above.
                unsafe {
                    let $sum: $register = transmute($sum);
                    $total
                }
            }
        }
    };
}

pub(super) use {level, simd};
