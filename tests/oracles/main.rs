//! Problems with known solutions: exact flows, orders of convergence, conic descent, Wasserstein
//! distances.

mod conic;
mod exact_flows;
mod frozen;
mod heavy_ball;
mod order;
mod transport;
mod transport_along_flows;
mod transport_exact;
mod transport_periphery;
mod transport_scales;
