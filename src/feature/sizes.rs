//! The sizes of a feature map, and the shapes of the arguments of its batch methods.

use nalgebra::DMatrix;

use super::FeatureMap;
use crate::error::assert_size;
use crate::inputs::Inputs;
use crate::real::Real;

/// The sizes of a feature map. Its batch methods assert the shapes of their arguments, once a call:
/// slices of other lengths would be truncated in silence.
pub(super) struct Sizes {
    /// The dimension of a particle.
    pub(super) p: usize,
    /// The dimension of a sample.
    pub(super) d: usize,
    /// The number of outputs.
    pub(super) k: usize,
}

impl Sizes {
    /// Asserts that particles `w` (`p x m`) and samples `x` have the dimensions of the map.
    #[track_caller]
    fn assert_dims<T: Real>(&self, w: &DMatrix<T>, x: &Inputs<T>) {
        assert_size(
            "number of outputs of the feature map",
            self.k.max(1),
            self.k,
        );
        assert_size("dimension of the particles", self.p, w.nrows());
        assert_size("dimension of the inputs", self.d, x.dim());
    }

    /// Asserts the shapes of [`FeatureMap::predict`](super::FeatureMap::predict).
    #[track_caller]
    pub(super) fn assert_predict<T: Real>(&self, w: &DMatrix<T>, x: &Inputs<T>, out: usize) {
        self.assert_dims(w, x);
        assert_size("length of the predictions", self.k * x.len(), out);
    }

    /// Asserts the shapes of [`FeatureMap::velocity`](super::FeatureMap::velocity).
    #[track_caller]
    pub(super) fn assert_velocity<T: Real>(&self, w: &DMatrix<T>, x: &Inputs<T>, out: &DMatrix<T>) {
        self.assert_dims(w, x);
        assert_size("shape of the velocities", w.shape(), out.shape());
    }

    /// Asserts the shapes of [`FeatureMap::variation`](super::FeatureMap::variation).
    #[track_caller]
    pub(super) fn assert_variation<T: Real>(
        &self,
        w: &DMatrix<T>,
        x: &Inputs<T>,
        g: usize,
        values: usize,
        descent: &DMatrix<T>,
    ) {
        self.assert_dims(w, x);
        assert_size("length of the gradient", self.k * x.len(), g);
        assert_size("number of values", w.ncols(), values);
        assert_size(
            "shape of the descent directions",
            w.shape(),
            descent.shape(),
        );
    }

    /// Asserts the shapes of [`FeatureMap::jvp`](super::FeatureMap::jvp).
    #[track_caller]
    pub(super) fn assert_jvp<T: Real>(
        &self,
        w: &DMatrix<T>,
        v: &DMatrix<T>,
        x: &Inputs<T>,
        out: usize,
    ) {
        self.assert_predict(w, x, out);
        assert_size("shape of the field", w.shape(), v.shape());
    }

    /// Asserts the shapes of [`FeatureMap::breakpoints`](super::FeatureMap::breakpoints).
    #[track_caller]
    pub(super) fn assert_breakpoints<T: Real>(
        &self,
        w: &DMatrix<T>,
        v: &DMatrix<T>,
        x: &Inputs<T>,
        g: usize,
    ) {
        self.assert_dims(w, x);
        assert_size("shape of the field", w.shape(), v.shape());
        assert_size("length of the gradient", self.k * x.len(), g);
    }

    /// Asserts the shapes of [`FeatureMap::hessians`](super::FeatureMap::hessians).
    #[track_caller]
    pub(super) fn assert_hessians<T: Real>(
        &self,
        w: &DMatrix<T>,
        x: &Inputs<T>,
        g: usize,
        out: usize,
    ) {
        self.assert_dims(w, x);
        assert_size("length of the gradient", self.k * x.len(), g);
        assert_size("length of the Hessians", self.p * self.p * w.ncols(), out);
    }
}

/// The sizes of a map, for the asserts of its batch methods.
pub(super) fn sizes<T: Real, F: FeatureMap<T> + ?Sized>(map: &F) -> Sizes {
    Sizes {
        p: map.particle_dim(),
        d: map.input_dim(),
        k: map.output_dim(),
    }
}
