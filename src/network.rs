//! A trained network with its preprocessing: from raw samples to predictions, classes and scores.

use nalgebra::DMatrix;

use crate::activation::{Activation, Sigmoid};
use crate::data::{DataError, Labels, Standardizer, check_classes, check_samples};
use crate::error::{RiskError, ShapeError};
use crate::feature::{FeatureMap, predict};
use crate::inputs::{Inputs, with_bias};
use crate::measure::EmpiricalMeasure;
use crate::real::Real;

mod file;
mod score;

/// A function `x -> y` of raw samples: the predictions of a measure, with the standardisation of
/// inputs and targets, the bias and the names of the classes.
///
/// For a sample `x` in `R^(d')`: `x` is standardised, the coordinate 1 of a bias is appended, the
/// measure predicts `h = int Phi(w)(x) dmu(w)` in `R^k`, and the standardisation of the targets is
/// inverted. Each of these is optional except the measure.
///
/// A network with classes has either two of them and one output, as trained by the logistic loss,
/// or `k >= 2` of them and k outputs, as trained by the softmax cross-entropy.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// // h(x) = (x)_+ - 1: two neurons of weight 1/2, on inputs with a bias.
/// let points = DMatrix::from_column_slice(3, 2, &[2.0, 1.0, 0.0, -2.0, 0.0, 1.0]);
/// let mu = EmpiricalMeasure::uniform(points)?;
/// let network = Network::new(Ridge::new(Relu, 2), mu)?
///     .with_bias()?
///     .with_classes(&["small", "large"])?;
///
/// let x = DMatrix::from_row_slice(1, 3, &[-5.0, 0.5, 3.0]);
/// assert_eq!(network.predict(&x)?.as_slice(), &[-1.0, -0.5, 2.0]);
/// assert_eq!(network.predict_class(&x)?, [0, 0, 1]);
/// assert_eq!(network.accuracy(&x, &Labels::new(["small", "large", "large"])?)?, 2.0 / 3.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Network<F, T> {
    features: F,
    measure: EmpiricalMeasure<T>,
    bias: bool,
    input_scale: Option<Standardizer<T>>,
    target_scale: Option<Standardizer<T>>,
    /// Empty for a regression.
    classes: Vec<String>,
}

impl<F: FeatureMap<T>, T: Real> Network<F, T> {
    /// The network of a measure, on inputs that are neither standardised nor extended.
    ///
    /// # Errors
    /// [`DataError::Shape`] if the particles do not have the dimension of the map, or if it has 0
    /// inputs or outputs; [`DataError::Parameter`] and [`DataError::Measure`] for a parameter of the
    /// map or an entry of the measure that is not valid.
    pub fn new(features: F, measure: EmpiricalMeasure<T>) -> Result<Self, DataError> {
        features.check()?;
        for (what, size) in [
            ("input dimension of the feature map", features.input_dim()),
            (
                "number of outputs of the feature map",
                features.output_dim(),
            ),
        ] {
            ShapeError::check(what, size.max(1), size)?;
        }
        let network = Self {
            features,
            measure,
            bias: false,
            input_scale: None,
            target_scale: None,
            classes: Vec::new(),
        };
        network.check_measure(&network.measure)?;
        Ok(network)
    }

    /// Appends the coordinate 1 to every sample, after its standardisation.
    ///
    /// Call it before [`with_input_scale`](Self::with_input_scale).
    ///
    /// # Errors
    /// [`DataError::Shape`] if the map has one input only, or the inputs are standardised already.
    pub fn with_bias(mut self) -> Result<Self, DataError> {
        let d = self.features.input_dim();
        ShapeError::check("input dimension of the feature map", d.max(2), d)?;
        if let Some(scale) = &self.input_scale {
            ShapeError::check("number of standardised coordinates", d - 1, scale.dim())?;
        }
        self.bias = true;
        Ok(self)
    }

    /// Standardises the inputs.
    ///
    /// ```
    /// use wasserflow::nalgebra::DMatrix;
    /// use wasserflow::prelude::*;
    ///
    /// let mu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 1, &[1.0, 1.0]))?;
    /// let x = DMatrix::from_row_slice(1, 2, &[10.0, 30.0]);
    /// let network = Network::new(Ridge::new(Relu, 1), mu)?.with_input_scale(Standardizer::fit(&x)?)?;
    /// assert_eq!(network.predict(&x)?.as_slice(), &[0.0, 1.0]); // (-1)_+ and (1)_+
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`DataError::Shape`] if the number of coordinates is not [`input_dim`](Self::input_dim).
    pub fn with_input_scale(mut self, scale: Standardizer<T>) -> Result<Self, DataError> {
        let what = "number of standardised coordinates";
        ShapeError::check(what, self.input_dim(), scale.dim())?;
        self.input_scale = Some(scale);
        Ok(self)
    }

    /// Inverts the standardisation of the targets: predictions are in the units of the data.
    ///
    /// # Errors
    /// [`DataError::Shape`] if the number of coordinates is not k, or the network has classes.
    pub fn with_target_scale(mut self, scale: Standardizer<T>) -> Result<Self, DataError> {
        let what = "number of standardised targets";
        ShapeError::check(what, self.output_dim(), scale.dim())?;
        ShapeError::check("number of classes of a regression", 0, self.classes.len())?;
        self.target_scale = Some(scale);
        Ok(self)
    }

    /// Names the classes, in the order of their indices.
    ///
    /// # Errors
    /// [`DataError::Classes`] for fewer than two classes, [`DataError::Twice`] for a repeated name,
    /// [`DataError::Shape`] if their number is neither k nor 2 with `k = 1`, or if the targets are
    /// standardised.
    pub fn with_classes(mut self, classes: &[impl AsRef<str>]) -> Result<Self, DataError> {
        let classes: Vec<String> = classes.iter().map(|c| c.as_ref().to_owned()).collect();
        check_classes(&classes)?;
        let k = self.output_dim();
        let expected = if k == 1 { 2 } else { k };
        ShapeError::check("number of classes", expected, classes.len())?;
        let scaled = usize::from(self.target_scale.is_some());
        ShapeError::check("number of standardisations of class labels", 0, scaled)?;
        self.classes = classes;
        Ok(self)
    }

    /// Replaces the measure, such as by that of a later state of the same flow.
    ///
    /// # Errors
    /// As [`new`](Self::new); the network is then unchanged.
    pub fn set_measure(&mut self, measure: EmpiricalMeasure<T>) -> Result<(), DataError> {
        self.check_measure(&measure)?;
        self.measure = measure;
        Ok(())
    }

    fn check_measure(&self, measure: &EmpiricalMeasure<T>) -> Result<(), DataError> {
        let p = self.features.particle_dim();
        ShapeError::check("dimension of the particles", p, measure.dim())?;
        Ok(measure.check()?)
    }

    /// The number of coordinates of a raw sample, without that of the bias.
    pub fn input_dim(&self) -> usize {
        self.features.input_dim() - usize::from(self.bias)
    }

    /// `k`, the number of outputs.
    pub fn output_dim(&self) -> usize {
        self.features.output_dim()
    }

    /// The predictions at the samples `x` (`d' x n`), `k x n`, in the units of the targets.
    ///
    /// For a network with classes these are the logits `h`.
    ///
    /// # Errors
    /// [`DataError::Shape`] if `x` does not have [`input_dim`](Self::input_dim) rows;
    /// [`DataError::Empty`] if `n = 0`; [`DataError::Entry`] for the first entry that is not finite,
    /// in `x`, in the standardised inputs or in the predictions.
    pub fn predict(&self, x: &DMatrix<T>) -> Result<DMatrix<T>, DataError> {
        ShapeError::check("number of coordinates", self.input_dim(), x.nrows())?;
        check_samples(x)?;
        let x = match &self.input_scale {
            Some(scale) => scale.transform(x)?,
            None => x.clone(),
        };
        let x = Inputs::new(if self.bias { with_bias(x) } else { x }).map_err(invalid)?;
        let h = predict(&self.features, &self.measure, &x)?;
        check_samples(&h)?;
        match &self.target_scale {
            Some(scale) => scale.invert(&h),
            None => Ok(h),
        }
    }

    /// The class indices at the samples: that of the largest output, or 1 if `h > 0` and otherwise 0
    /// for a single output.
    ///
    /// # Errors
    /// As [`predict`](Self::predict); [`DataError::Classes`] for a network without classes.
    pub fn predict_class(&self, x: &DMatrix<T>) -> Result<Vec<usize>, DataError> {
        let h = self.logits(x)?;
        let class = |h: &[T]| match h {
            [h] => usize::from(*h > T::zero()),
            _ => (0..h.len()).fold(0, |best, l| if h[l] > h[best] { l } else { best }),
        };
        Ok(h.as_slice().chunks_exact(h.nrows()).map(class).collect())
    }

    /// The probabilities of the classes at the samples, one row a class.
    ///
    /// They are `1 / (1 + exp(-h))` of the second class for a single output, and otherwise
    /// `exp(h_l) / sum_i exp(h_i)`, evaluated without overflow. These are the probabilities of the
    /// logistic model if the network was trained by [`Logistic`](crate::loss::Logistic) or
    /// [`SoftmaxCrossEntropy`](crate::risk::SoftmaxCrossEntropy).
    ///
    /// ```
    /// use wasserflow::nalgebra::DMatrix;
    /// use wasserflow::prelude::*;
    ///
    /// let mu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 1, &[1.0, 1.0]))?;
    /// let network = Network::new(Ridge::new(Relu, 1), mu)?.with_classes(&["no", "yes"])?;
    /// let p = network.predict_probability(&DMatrix::from_element(1, 1, f64::ln(3.0)))?;
    /// assert!((p[(0, 0)] - 0.25).abs() < 1e-15 && (p[(1, 0)] - 0.75).abs() < 1e-15);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`predict_class`](Self::predict_class).
    pub fn predict_probability(&self, x: &DMatrix<T>) -> Result<DMatrix<T>, DataError> {
        let h = self.logits(x)?;
        if h.nrows() == 1 {
            let sigmoid = |u| Activation::<T>::value(&Sigmoid, u);
            let probability = |c: usize, j: usize| sigmoid(if c == 0 { -h[j] } else { h[j] });
            return Ok(DMatrix::from_fn(2, h.ncols(), probability));
        }
        let mut p = h;
        for mut p in p.column_iter_mut() {
            let largest = p.max();
            p.apply(|h| *h = (*h - largest).exp());
            let sum = p.sum();
            p /= sum;
        }
        Ok(p)
    }

    /// The fraction of samples whose predicted class is their label.
    ///
    /// Classes are compared by name, so that the labels may list theirs in another order.
    ///
    /// # Errors
    /// As [`predict_class`](Self::predict_class); [`DataError::Shape`] if the number of labels is
    /// not n; [`DataError::Label`] for the first label that is not a class of the network.
    pub fn accuracy(&self, x: &DMatrix<T>, labels: &Labels) -> Result<f64, DataError> {
        ShapeError::check("number of labels", x.ncols(), labels.len())?;
        let predicted = self.predict_class(x)?;
        let mut correct = 0;
        for (sample, (&y, &c)) in labels.indices().iter().zip(&predicted).enumerate() {
            let label = &labels.classes()[y];
            if !self.classes.contains(label) {
                return Err(DataError::Label {
                    sample,
                    label: label.clone(),
                });
            }
            correct += usize::from(self.classes[c] == *label);
        }
        Ok(correct as f64 / labels.len() as f64)
    }

    /// The mean squared error `(1/(k n)) sum_j |h_j - y_j|^2` with the targets `y` (`k x n`).
    ///
    /// Infinite if it exceeds the range of `f64`.
    ///
    /// # Errors
    /// As [`predict`](Self::predict); [`DataError::Shape`] if `y` is not `k x n`;
    /// [`DataError::Entry`] for the first target that is not finite.
    pub fn mean_squared_error(&self, x: &DMatrix<T>, y: &DMatrix<T>) -> Result<f64, DataError> {
        let h = self.predictions_of(x, y)?;
        Ok(score::mean_squared_error(&h, y))
    }

    /// The coefficient of determination `R^2 = 1 - sum_j (h_j - y_j)^2 / sum_j (y_j - mean y)^2`,
    /// the mean over the outputs.
    ///
    /// 1 for exact predictions, 0 for the mean of the targets, and negative for worse ones.
    ///
    /// ```
    /// use wasserflow::nalgebra::DMatrix;
    /// use wasserflow::prelude::*;
    ///
    /// let mu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 1, &[1.0, 1.0]))?;
    /// let network = Network::new(Ridge::new(Relu, 1), mu)?; // h(x) = (x)_+
    /// let (x, y) = (DMatrix::from_row_slice(1, 2, &[1.0, 3.0]), DMatrix::from_row_slice(1, 2, &[1.0, 4.0]));
    /// assert_eq!(network.mean_squared_error(&x, &y)?, 0.5);
    /// assert!((network.r_squared(&x, &y)? - (1.0 - 1.0 / 4.5)).abs() < 1e-15);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`mean_squared_error`](Self::mean_squared_error); [`DataError::Parameter`] if all targets
    /// of an output are equal.
    pub fn r_squared(&self, x: &DMatrix<T>, y: &DMatrix<T>) -> Result<f64, DataError> {
        let h = self.predictions_of(x, y)?;
        Ok(score::r_squared(&h, y)?)
    }

    fn predictions_of(&self, x: &DMatrix<T>, y: &DMatrix<T>) -> Result<DMatrix<T>, DataError> {
        ShapeError::check("number of outputs", self.output_dim(), y.nrows())?;
        ShapeError::check("number of targets", x.ncols(), y.ncols())?;
        check_samples(y)?;
        self.predict(x)
    }

    fn logits(&self, x: &DMatrix<T>) -> Result<DMatrix<T>, DataError> {
        if self.classes.is_empty() {
            return Err(DataError::Classes { found: 0 });
        }
        self.predict(x)
    }
}

impl<F, T> Network<F, T> {
    /// The feature map.
    pub fn features(&self) -> &F {
        &self.features
    }

    /// The measure of the neurons.
    pub fn measure(&self) -> &EmpiricalMeasure<T> {
        &self.measure
    }

    /// Returns true if the coordinate 1 is appended to every sample.
    pub fn has_bias(&self) -> bool {
        self.bias
    }

    /// The standardisation of the inputs.
    pub fn input_scale(&self) -> Option<&Standardizer<T>> {
        self.input_scale.as_ref()
    }

    /// The standardisation of the targets.
    pub fn target_scale(&self) -> Option<&Standardizer<T>> {
        self.target_scale.as_ref()
    }

    /// The names of the classes; empty for a regression.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }
}

/// The error of inputs that are not valid.
fn invalid(error: RiskError) -> DataError {
    match error {
        RiskError::Input {
            sample,
            coordinate,
            value,
        } => DataError::Entry {
            sample,
            coordinate,
            value,
        },
        RiskError::Shape(error) => error.into(),
        RiskError::Parameter(error) => error.into(),
        _ => DataError::Empty {
            what: "a matrix of samples",
        },
    }
}
