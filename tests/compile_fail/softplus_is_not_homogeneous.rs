//! Homogeneity is in the types: a ridge map has a degree only where its activation has one.
use wasserflow::prelude::*;

fn needs_homogeneity(map: &impl Homogeneous) -> u32 {
    map.degree()
}

fn main() {
    needs_homogeneity(&Ridge::new(Relu, 2));
    needs_homogeneity(&Radial::new(Softplus, 2));
    needs_homogeneity(&Ridge::new(Softplus, 2));
}
