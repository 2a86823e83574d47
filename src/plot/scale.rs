//! Scales: the positions of numbers on an axis.

use super::failure::PlotError;

/// The data of one axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Extent {
    low: f64,
    high: f64,
    /// The smallest positive number.
    positive: f64,
}

impl Extent {
    pub(super) fn new() -> Self {
        Self {
            low: f64::INFINITY,
            high: f64::NEG_INFINITY,
            positive: f64::INFINITY,
        }
    }

    pub(super) fn add(&mut self, x: f64) {
        self.low = self.low.min(x);
        self.high = self.high.max(x);
        if x > 0.0 {
            self.positive = self.positive.min(x);
        }
    }
}

/// Space on either side of the data, relative to their range.
const MARGIN: f64 = 0.04;
/// Ranges that are narrower than this, relative to their numbers, are those of a constant.
const NARROW: f64 = 1e-9;
/// Numbers below this are drawn as 0 on a linear axis.
const TINY: f64 = 1e-290;
/// The exponents of the powers of ten that are finite and positive.
pub(super) const POWERS: [f64; 2] = [-323.0, 308.0];

/// The range of an axis: of numbers, or of their decimal logarithms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    pub(super) log: bool,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Scale {
    /// The scale of a range that the user chose.
    pub(super) fn fixed(
        axis: &'static str,
        log: bool,
        [low, high]: [f64; 2],
    ) -> Result<Self, PlotError> {
        let invalid = |requirement| PlotError::Axis { axis, requirement };
        if !(low.is_finite() && high.is_finite() && low < high) {
            return Err(invalid("have a finite, increasing range"));
        }
        if log && low <= 0.0 {
            return Err(invalid("have a positive range, because it is logarithmic"));
        }
        let scale = if log {
            let [low, high] = [low, high].map(libm::log10);
            Self { log, low, high }
        } else {
            Self { log, low, high }
        };
        let unit = scale.unit();
        if (unit < TINY && !log) || scale.high / unit - scale.low / unit < NARROW {
            return Err(invalid("have a range that is wider than rounding errors"));
        }
        Ok(scale)
    }

    /// The scale that contains all data; a logarithmic one also `powers` powers of ten.
    pub(super) fn of_data(
        axis: &'static str,
        log: bool,
        data: Extent,
        powers: u8,
    ) -> Result<Self, PlotError> {
        if data.low > data.high {
            return Err(PlotError::Empty { what: "a panel" });
        }
        if !log {
            return Ok(Self::linear(data.low, data.high));
        }
        if data.positive > data.high {
            return Err(PlotError::Axis {
                axis,
                requirement: "contain a positive value, because it is logarithmic",
            });
        }
        let [mut low, mut high] = [data.positive, data.high].map(libm::log10);
        let margin = if low < high {
            MARGIN * (high - low)
        } else {
            MARGIN
        };
        (low, high) = (low - margin, high + margin);
        for _ in 0..powers {
            if high.floor() - low.ceil() + 1.0 >= f64::from(powers) {
                break;
            }
            let [below, above] = [low.ceil() - 1.0, high.floor() + 1.0];
            if above > POWERS[1] || (below >= POWERS[0] && low - below <= above - high) {
                low = below;
            } else {
                high = above;
            }
        }
        Ok(Self { log, low, high })
    }

    fn linear(low: f64, high: f64) -> Self {
        let log = false;
        let unit = low.abs().max(high.abs());
        if unit < TINY {
            let (low, high) = if unit == 0.0 {
                (-1.0, 1.0)
            } else {
                (-TINY, TINY)
            };
            return Self { log, low, high };
        }
        // Numbers of size 1: differences neither overflow nor underflow.
        let (low, high) = (low / unit, high / unit);
        let half = (high - low) / 2.0;
        let margin = if half < NARROW {
            0.05
        } else {
            2.0 * MARGIN * half
        };
        let limit = |x: f64| x.clamp(f64::MIN, f64::MAX);
        Self {
            log,
            low: limit((low - margin) * unit),
            high: limit((high + margin) * unit),
        }
    }

    /// The smallest and the largest number.
    pub(super) fn range(&self) -> [f64; 2] {
        let number = |x: f64| match self.log {
            true => libm::pow(10.0, x).clamp(f64::from_bits(1), f64::MAX),
            false => x,
        };
        [number(self.low), number(self.high)]
    }

    /// The largest number of the range.
    fn unit(&self) -> f64 {
        self.low.abs().max(self.high.abs())
    }

    /// The position of `x` in the range, 0 at its low end and 1 at its high end; `None` for the
    /// logarithm of a number that is not positive.
    pub(super) fn fraction(&self, x: f64) -> Option<f64> {
        /// Positions beyond this are far outside the panel.
        const FAR: f64 = 1e6;
        let x = match self.log {
            true if x <= 0.0 => return None,
            true => libm::log10(x),
            false => x,
        };
        let unit = self.unit();
        let length = self.high / unit - self.low / unit;
        Some(((x / unit - self.low / unit) / length).clamp(-FAR, FAR))
    }
}
