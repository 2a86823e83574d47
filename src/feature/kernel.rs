//! The fused passes of ridge features: products, lanes, blocking and threads.

#[allow(dead_code, reason = "called by the dispatcher of the kernels")]
mod planar;
