//! Problems with known solutions: exact flows, orders of convergence, conic descent, Wasserstein
//! distances.

mod bandwidths;
mod birth_death;
mod blob;
mod blob_orders;
mod conic;
mod distances;
mod exact_flows;
mod frozen;
mod heavy_ball;
mod hellinger_kantorovich;
mod implicit_bias;
mod interaction;
mod isotropic;
mod jko;
mod langevin;
mod lazy;
mod order;
mod sampling;
mod transport;
mod transport_along_flows;
mod transport_exact;
mod transport_periphery;
mod transport_scales;
mod tv_path;
