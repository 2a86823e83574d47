//! Spans and events for subscribers of the crate `tracing`. Without the feature `tracing` the macros
//! expand to nothing, and their fields are not evaluated.
//!
//! | level | span | event at its end |
//! | --- | --- | --- |
//! | info | `run`, `run until optimal`, `Frank-Wolfe` | the reason for stopping |
//! | debug | `proximal step`, `certificate`, `checkpoint` | work and residual; gap and bound |
//! | trace | `step`, `inner solve` | step size, energy and dissipation; iterations and residual |

/// Enters a span until the end of the enclosing block.
macro_rules! span {
    ($level:ident, $name:literal $(, $field:ident = $value:expr)*) => {
        #[cfg(feature = "tracing")]
        let _entered =
            ::tracing::span!(::tracing::Level::$level, $name $(, $field = $value)*).entered();
    };
}
pub(crate) use span;

/// Emits an event with a message.
macro_rules! event {
    ($level:ident, $message:literal $(, $field:ident = $value:expr)*) => {
        #[cfg(feature = "tracing")]
        {
            ::tracing::event!(::tracing::Level::$level, $($field = $value,)* $message);
        }
    };
}
pub(crate) use event;
