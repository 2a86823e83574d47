//! Forwards a trait to pointers to its implementations.

/// Implements a trait for pointers by forwarding every listed method.
///
/// The provided methods are listed too: with the default implementation a pointer would lose a
/// fused or vectorised override. A trait whose methods all have the receiver `&self` is forwarded
/// to `&`, `&mut`, `Box`, `Rc` and `Arc`; one with a method on `&mut self` to `&mut` and `Box`.
/// `Rc` and `Arc` are omitted if the trait requires `Sync` but not `Send`.
///
/// ```text
/// forward! {
///     impl[T: Real, F: FeatureMap<T> + ?Sized] FeatureMap<T>; for &F, Box<F>; {
///         fn particle_dim(&self) -> usize;
///     }
/// }
/// ```
macro_rules! forward {
    (impl $generics:tt $Trait:path; for $($pointer:ty),+ ; $methods:tt) => {
        $($crate::forward::forward!(@impl $generics $Trait; $pointer; $methods);)+
    };
    (@impl [$($generics:tt)*] $Trait:path; $pointer:ty; {
        $(fn $name:ident $arguments:tt $(-> $output:ty)?;)*
    }) => {
        impl<$($generics)*> $Trait for $pointer {
            $($crate::forward::forward!(@method $name $arguments $(-> $output)?);)*
        }
    };
    (@method $name:ident (&self $(, $argument:ident: $type:ty)* $(,)?) $(-> $output:ty)?) => {
        #[inline]
        fn $name(&self $(, $argument: $type)*) $(-> $output)? {
            (**self).$name($($argument),*)
        }
    };
    (@method $name:ident (&mut self $(, $argument:ident: $type:ty)* $(,)?) $(-> $output:ty)?) => {
        #[inline]
        fn $name(&mut self $(, $argument: $type)*) $(-> $output)? {
            (**self).$name($($argument),*)
        }
    };
}
pub(crate) use forward;
