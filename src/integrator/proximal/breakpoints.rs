//! Where, on its way along a direction, a particle meets the kink at which it should stop.

use nalgebra::DMatrix;

use super::active_set::ActiveSet;
use super::objective::{Point, Proximal};
use super::scratch::Scratch;
use crate::numeric::vector::dot;
use crate::real::{Real, epsilon, real};

/// Pairs of trials at most: once a bracket holds one kink, the error of its place is squared by each.
const ROUNDS: usize = 12;

/// How far each particle goes.
pub(super) struct Stops<T> {
    /// The share of the direction, 1 where nothing stops the particle.
    pub shares: Vec<T>,
    /// The unit normal of the kink that stops it, where it has been found.
    pub normals: Vec<Option<Vec<T>>>,
}

/// A way to go.
pub(super) struct Way<'a, T> {
    pub d: &'a DMatrix<T>,
    /// Whether the direction is that of all particles together.
    pub newton: bool,
    /// The distance from which the two sides of a kink will be seen: it is found to a thousandth of that.
    pub radius: T,
}

/// One end of a bracket: share, value, slope and gradient there.
#[derive(Clone)]
struct End<T> {
    t: T,
    value: T,
    slope: T,
    gradient: Vec<T>,
}

/// Two ends between which the slope turns from descent to ascent.
struct Bracket<T> {
    low: End<T>,
    high: End<T>,
    /// The last guess of the kink, and how far to both sides of it to look.
    guess: T,
    look: T,
    /// Width and jump at first.
    first: (T, T),
    /// The curvature of the pieces between kinks.
    kappa: T,
    /// Which ends the last pair of trials has replaced.
    sides: (bool, bool),
    /// The last width.
    last: T,
    /// Below this width the place is lost in rounding.
    resolution: T,
}

impl<T: Real> Bracket<T> {
    fn width(&self) -> T {
        self.high.t - self.low.t
    }

    fn jump(&self) -> T {
        distance(&self.low.gradient, &self.high.gradient)
    }

    fn done(&self) -> bool {
        self.width() <= self.resolution
    }

    /// Whether the jump has stayed while the bracket shrank: across a smooth search_direction both shrink alike.
    fn is_kink(&self) -> bool {
        let (width, jump) = self.first;
        let shrunk = self.width() / width;
        shrunk <= real(0.01) && self.jump() >= jump * shrunk.sqrt() * real(0.5)
    }

    /// Whether the jump has shrunk with the bracket: then the model of all particles knows better than to stop here.
    fn is_smooth(&self) -> bool {
        self.width() < real::<T>(1e-3) * self.first.0 && !self.is_kink()
    }

    /// Guesses the kink, where the parabolas of curvature `kappa` at both ends meet; the next trials are on both sides of it.
    ///
    /// The error of a guess goes with the square of the width. In the middle where the bracket has not shrunk by half.
    fn aim(&mut self) {
        let (a, b, width) = (&self.low, &self.high, self.width());
        let (sa, sb) = (a.slope - self.kappa * a.t, b.slope - self.kappa * b.t);
        let rise = b.value - a.value - real::<T>(0.5) * self.kappa * (b.t * b.t - a.t * a.t);
        let meet = a.t + (rise - sb * width) / (sa - sb);
        let inside = self.resolution * real(0.25);
        let guess = meet.max(a.t + inside).min(b.t - inside);
        let shrunk = width / self.last;
        let error = if self.sides == (true, true) {
            (guess - self.guess).abs() * shrunk * real(2.0)
        } else {
            width
        };
        self.look = error.max(inside).min(width * real(0.1));
        self.sides = (false, false);
        self.guess = if shrunk <= real(0.5) {
            guess
        } else {
            real::<T>(0.5) * (a.t + b.t)
        };
        self.last = width;
    }

    fn take(&mut self, end: End<T>) {
        if end.t <= self.low.t || end.t >= self.high.t {
            return;
        }
        if end.slope < T::zero() {
            self.low = end;
            self.sides.0 = true;
        } else {
            self.high = end;
            self.sides.1 = true;
        }
    }
}

/// Follows every particle from `x` along `d`, which keeps to its active_set, to the kink where it should stop, if there is one.
///
/// Its slope is that of `F'(mu) + |. - w_i|^2 / (2 gamma)`, with `mu` at `x`; it stops where the slope turns from descent to ascent.
/// If `d` is a `newton` direction, the other particles move too, and would make the slope 0 at its end were there no kinks: so the
/// slope followed is `kappa (t - 1)`, `kappa` the curvature at the start, and all by which the slope departs from a line.
/// Between two ends the kink is where their parabolas meet (cutting planes in one dimension). `None` where the energy has
/// no first variation.
pub(super) fn stops<T: Real>(
    problem: &mut Proximal<'_, T>,
    x: &Point<T>,
    Way { d, newton, radius }: Way<'_, T>,
    active_set: &ActiveSet<T>,
    evaluations: &mut usize,
    scratch: &mut Scratch<T>,
) -> Option<Stops<T>> {
    let (p, m) = x.v.shape();
    let mut flags = scratch.take();
    let of = |i: usize| i * p..(i + 1) * p;
    let mut stops = Stops {
        shares: vec![T::one(); m],
        normals: vec![None; m],
    };
    problem.mu.points_mut().copy_from_slice(x.v.as_slice());

    // Every particle at several shares of its way. The slope followed is `slope - alpha + beta t`.
    let mut lines = vec![(T::zero(), T::zero()); m];
    let mut ends = |problem: &mut Proximal<'_, T>,
                    lines: &[(T, T)],
                    shares: &dyn Fn(usize) -> [T; 3],
                    count: usize| {
        let (mut at, mut gradients) = (DMatrix::zeros(p, count * m), DMatrix::zeros(p, count * m));
        let mut values = vec![T::zero(); count * m];
        for k in 0..count {
            for i in 0..m {
                at.column_mut(k * m + i).copy_from(&x.v.column(i));
                at.column_mut(k * m + i)
                    .axpy(shares(i)[k], &d.column(i), T::one());
            }
        }
        *evaluations += 1;
        problem.probe(&at, &mut values, &mut gradients)?;
        active_set.project(&mut gradients);
        let end = |(k, i): (usize, usize)| {
            let gradient = gradients
                .column(k * m + i)
                .iter()
                .copied()
                .collect::<Vec<T>>();
            let (t, value, (alpha, beta)) = (shares(i)[k], values[k * m + i], lines[i]);
            let slope = dot(&gradient, &d.as_slice()[of(i)]) - alpha + beta * t;
            End {
                t,
                value: value - alpha * t + real::<T>(0.5) * beta * t * t,
                slope,
                gradient,
            }
        };
        Some(
            (0..count)
                .map(|k| (0..m).map(|i| end((k, i))).collect::<Vec<_>>())
                .collect::<Vec<_>>(),
        )
    };
    let short = epsilon::<T>().cbrt();
    let first = ends(
        problem,
        &lines,
        &|_| [T::zero(), T::one(), short],
        if newton { 3 } else { 2 },
    )?;
    let mut first = first.into_iter();
    let (mut near, mut far) = (first.next()?, first.next()?);
    let mut kappas = vec![T::zero(); m];
    if let Some(next) = first.next() {
        for (i, (start, end)) in near.iter_mut().zip(&mut far).enumerate() {
            let rise = next[i].slope - start.slope;
            // A slope that changes at once has met a kink where it starts.
            let bends = rise.abs() <= real::<T>(0.01) * (start.slope.abs() + end.slope.abs());
            let curvature = if bends { rise / short } else { T::zero() };
            kappas[i] = curvature.max(real::<T>(0.1) * start.slope.abs());
            lines[i] = (start.slope + kappas[i], kappas[i] - curvature);
            start.slope = -kappas[i];
            end.slope += lines[i].1 - lines[i].0;
            end.value += real::<T>(0.5) * lines[i].1 - lines[i].0;
        }
    }
    let bracket = |(i, (low, high)): (usize, (End<T>, End<T>))| {
        let least = if newton {
            low.slope * real(-0.25)
        } else {
            T::zero()
        };
        let turned = low.slope < T::zero() && high.slope > least && high.value.is_finite();
        turned.then(|| {
            let (v, d) = (&x.v.as_slice()[of(i)], &d.as_slice()[of(i)]);
            let (size, rounding) = (
                dot(d, d).sqrt(),
                real::<T>(64.0) * epsilon::<T>() * dot(v, v).sqrt(),
            );
            let resolution = (radius / size).min(T::one()) * real(1e-3);
            let resolution = resolution.max(rounding / size).min(real(0.125));
            let first = (T::one(), distance(&low.gradient, &high.gradient));
            let mut bracket = Bracket {
                low,
                high,
                guess: T::one(),
                look: T::zero(),
                first,
                kappa: kappas[i],
                sides: (false, false),
                last: real(4.0),
                resolution,
            };
            bracket.aim();
            bracket.look = real(0.05);
            bracket
        })
    };
    let mut brackets: Vec<Option<Bracket<T>>> =
        near.into_iter().zip(far).enumerate().map(bracket).collect();
    for _ in 0..ROUNDS {
        if !problem.any(&mut flags, |i| {
            brackets[i].as_ref().is_some_and(|b| !b.done())
        }) {
            break;
        }
        let pair = |i: usize| {
            brackets[i].as_ref().map_or([T::zero(); 3], |b| {
                [b.guess - b.look, b.guess + b.look, T::zero()]
            })
        };
        for found in ends(problem, &lines, &pair, 2)? {
            for (end, bracket) in found.into_iter().zip(&mut brackets) {
                bracket.iter_mut().for_each(|b| b.take(end.clone()));
            }
        }
        for bracket in &mut brackets {
            bracket.iter_mut().for_each(Bracket::aim);
            if bracket.as_ref().is_some_and(Bracket::is_smooth) {
                *bracket = None;
            }
        }
    }
    for (i, bracket) in brackets.into_iter().enumerate() {
        let Some(b) = bracket.filter(Bracket::is_kink) else {
            continue;
        };
        stops.shares[i] = b.low.t;
        if b.width() <= b.resolution * real(1e3) {
            let (low, high, jump) = (&b.low.gradient, &b.high.gradient, b.jump());
            stops.shares[i] = b.guess;
            stops.normals[i] = Some(
                high.iter()
                    .zip(low)
                    .map(|(&high, &low)| (high - low) / jump)
                    .collect(),
            );
        }
    }
    scratch.give([flags]);
    Some(stops)
}

fn distance<T: Real>(u: &[T], v: &[T]) -> T {
    u.iter()
        .zip(v)
        .fold(T::zero(), |sum, (&u, &v)| sum + (u - v) * (u - v))
        .sqrt()
}
