//! Macros that define a level: its type, and its operations in terms of intrinsics.
//!
//! The modules that use them must import the intrinsics, `transmute` and [`Simd`](super::Simd), and
//! expect `unsafe_code`.

/// Defines the type of a level, which only its `detect` constructs, with all of these features.
macro_rules! level {
    ($(#[$doc:meta])* $level:ident: $detected:ident, $($feature:tt),+) => {
        $(#[$doc])*
        ///
        /// The field is private: a value exists only if `detect` has detected all features.
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
                // SAFETY: `self` exists only if `detect` has detected every feature that `enabled`
                // requires: both are generated from one list.
                unsafe { enabled(code) }
            }
        }
    };
}

/// Implements [`Simd`](super::Simd): each operation is an expression in registers.
///
/// `vector` operations return a vector, `scalar` operations any other type. The arguments in
/// parentheses are vectors; an argument of another type precedes them in brackets.
macro_rules! simd {
    (
        $level:ty: $scalar:ident x $lanes:literal in $register:ty, mask $mask:ty, masked $masked:literal;
        $(vector $op:ident $([$x:ident: $of:ty])? ($($v:ident),*) = $value:expr;)+
        $(scalar $function:ident $([$y:ident: $in:ty])? ($($u:ident),*) -> $out:ty = $result:expr;)+
        $(hint prefetch($p:ident) = $hint:expr;)?
        $(table lookup($table:ident, $index:ident) = $entries:expr;)?
        $(pairs lookup_pairs($pairs:ident, $at:ident) = $found:expr;)?
    ) => {
        impl Simd<$scalar> for $level {
            type Vector = [$scalar; $lanes];
            type Mask = $mask;
            const FUSED: bool = true;
            const GROUP: usize = 4;
            const MASKED: bool = $masked;

            #[inline(always)]
            fn vectors(x: &[$scalar]) -> &[[$scalar; $lanes]] {
                x.as_chunks().0
            }
            #[inline(always)]
            fn vectors_mut(x: &mut [$scalar]) -> &mut [[$scalar; $lanes]] {
                x.as_chunks_mut().0
            }
            #[inline(always)]
            fn lanes(vector: &[$scalar; $lanes]) -> &[$scalar] {
                vector
            }
            #[inline(always)]
            fn zero(self) -> [$scalar; $lanes] {
                [0.0; $lanes]
            }
            $(
                #[inline(always)]
                fn $op(self, $($x: $of,)? $($v: [$scalar; $lanes]),*) -> [$scalar; $lanes] {
                    // SAFETY: `self` exists only if the processor has the features of the level,
                    // which include those of the intrinsics. The compiler checks that arrays and
                    // registers have equal sizes; all bit patterns are valid for both.
                    unsafe {
                        $(let $v: $register = transmute($v);)*
                        transmute($value)
                    }
                }
            )+
            $(
                #[inline(always)]
                fn $function(self, $($y: $in,)? $($u: [$scalar; $lanes]),*) -> $out {
                    // SAFETY: as for the vector operations; the result is not reinterpreted.
                    unsafe {
                        $(let $u: $register = transmute($u);)*
                        $result
                    }
                }
            )+
            $(
                #[inline(always)]
                fn lookup(
                    self,
                    $table: &[$scalar; 16],
                    $index: [$scalar; $lanes],
                ) -> [$scalar; $lanes] {
                    // SAFETY: as for the vector operations.
                    unsafe { transmute($entries) }
                }
            )?
            $(
                #[inline(always)]
                fn lookup_pairs(
                    self,
                    $pairs: &[[$scalar; 2]; 1024],
                    $at: [$scalar; $lanes],
                ) -> [[$scalar; $lanes]; 2] {
                    // SAFETY: as for the vector operations.
                    unsafe { transmute($found) }
                }
            )?
            $(
                #[inline(always)]
                fn prefetch(self, $p: &$scalar) {
                    // SAFETY: the instruction reads nothing, at any address.
                    unsafe { $hint }
                }
            )?
        }
    };
}

pub(super) use {level, simd};
