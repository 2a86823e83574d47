//! Bisection for kinks along a direction, all particles at once.

use nalgebra::DMatrix;

use super::column::{axpy, column, column_mut, distance};
use super::objective::Point;
use crate::numeric::vector::dot;
use crate::real::{Real, real};

/// The relative width below which a bracket may count as a kink.
const KINK_WIDTH: f64 = 0.125;

/// The fraction of its jump that a kink keeps at that width.
const KINK_JUMP: f64 = 0.5;

/// A slope above `-0.25` times that at the start counts as ascent.
const ASCENT: f64 = -0.25;

/// The fractions of a direction that the particles take. A particle whose slope turns from descent
/// to ascent bisects for the turn.
pub(super) struct StepFractions<T> {
    fractions: Vec<T>,
    brackets: Vec<Option<BisectionBracket<T>>>,
}

/// Two fractions between which the slope of a particle turns from descent to ascent.
pub(super) struct BisectionBracket<T> {
    low: T,
    pub high: T,
    gradient_low: Vec<T>,
    pub gradient_high: Vec<T>,
    initial_width: T,
    initial_jump: T,
}

impl<T: Real> BisectionBracket<T> {
    /// The jump of the gradient over the bracket.
    pub fn jump(&self) -> T {
        distance(&self.gradient_low, &self.gradient_high)
    }

    /// Returns true if the jump remains while the bracket shrinks. Over a smooth turn of the slope
    /// both shrink alike.
    fn is_kink(&self) -> bool {
        let shrink = (self.high - self.low) / self.initial_width;
        shrink <= real(KINK_WIDTH) && self.jump() >= self.initial_jump * real(KINK_JUMP)
    }
}

impl<T: Real> StepFractions<T> {
    /// The whole direction for every particle.
    pub fn new(particles: usize) -> Self {
        Self {
            fractions: vec![T::one(); particles],
            brackets: (0..particles).map(|_| None).collect(),
        }
    }

    /// `v_i += min(t, t_i) d_i` with the fractions `t_i`.
    pub fn displace(&self, t: T, d: &DMatrix<T>, v: &mut DMatrix<T>) {
        for (i, &fraction) in self.fractions.iter().enumerate() {
            axpy(fraction.min(t), column(d, i), column_mut(v, i));
        }
    }

    /// Bisects for the particles whose slope along `d` turns from descent at `x` to ascent at the
    /// trial point `y`, which is that of step length `t`.
    pub fn bisect(&mut self, x: &Point<T>, y: &Point<T>, d: &DMatrix<T>, t: T) {
        let particles = self.fractions.iter_mut().zip(&mut self.brackets);
        for (i, (fraction, bracket)) in particles.enumerate() {
            let (gx, gy) = (column(&x.gradient, i), column(&y.gradient, i));
            let (slope_x, slope_y) = (dot(gx, column(d, i)), dot(gy, column(d, i)));
            let ascends = slope_x < T::zero() && slope_y > slope_x * real(ASCENT);
            let trial = fraction.min(t);
            match bracket {
                None if ascends => {
                    *bracket = Some(BisectionBracket {
                        low: T::zero(),
                        high: trial,
                        gradient_low: gx.to_vec(),
                        gradient_high: gy.to_vec(),
                        initial_width: trial,
                        initial_jump: distance(gx, gy),
                    });
                }
                Some(bracket) if ascends => {
                    bracket.high = trial;
                    bracket.gradient_high.copy_from_slice(gy);
                }
                Some(bracket) => {
                    bracket.low = trial;
                    bracket.gradient_low.copy_from_slice(gy);
                }
                None => {}
            }
            if let Some(bracket) = bracket {
                *fraction = (bracket.low + bracket.high) * real(0.5);
            }
        }
    }

    /// The particles whose brackets contain a kink, with these.
    pub fn kinks(&self) -> impl Iterator<Item = (usize, &BisectionBracket<T>)> {
        let brackets = self.brackets.iter().enumerate();
        brackets.filter_map(|(i, b)| Some((i, b.as_ref().filter(|b| b.is_kink())?)))
    }
}
