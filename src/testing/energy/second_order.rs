//! The kinks and the second derivatives of an energy: breakpoints, Hessians, relaxed kinks.

use nalgebra::DMatrix;

use super::Displaced;
use crate::energy::Energy;
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, epsilon, real, to_f64};
use crate::testing::case::CaseRng;
use crate::testing::evaluation::{evaluate, measure, mixture, value_scale, velocity_scale};
use crate::testing::rounding::rounding;
use crate::testing::violation::{Violation, identical, require, within};

/// Checks `breakpoints`, `hessians` and `relax`.
///
/// A law that fails must fail at two other measures as well: differences across a point where the
/// second derivative jumps are inaccurate, and such points are rare.
pub(super) fn check<T: Real>(
    energy: &mut dyn Energy<T>,
    mu: &EmpiricalMeasure<T>,
    displaced: &Displaced,
    rng: &mut CaseRng,
    at: impl Fn() -> String,
) -> Result<(), Violation> {
    for law in [check_jumps, check_hessians] {
        let mut result = law(energy, mu, displaced, rng, &at);
        for _ in 0..2 {
            if result.is_err() {
                let mut other = mu.clone();
                for w in other.points_mut() {
                    *w += rng.uniform(-0.1, 0.1);
                }
                result = law(energy, &other, displaced, rng, &at);
            }
        }
        result?;
    }
    check_relaxation(energy, mu, rng, at)
}

/// A breakpoint between the ends of a segment.
struct Crossing<T> {
    particle: usize,
    t: T,
    normal: Vec<T>,
    jump: T,
}

/// The breakpoints of the segments from `w_i` to `w_i + v_i`.
fn crossings<T: Real>(
    energy: &mut dyn Energy<T>,
    mu: &EmpiricalMeasure<T>,
    v: &DMatrix<T>,
) -> Vec<Crossing<T>> {
    let mut crossings = Vec::new();
    energy.breakpoints(mu, v, T::zero(), &mut |b| {
        let t = -b.offset / b.rate;
        if t > T::zero() && t < T::one() {
            crossings.push(Crossing {
                particle: b.particle,
                t,
                normal: b.normal.to_vec(),
                jump: b.jump + t * b.jump_rate,
            });
        }
    });
    crossings
}

/// Minus the velocities of probes, particles of weight 0, and the number of breakpoints between the
/// first and the last one.
fn probe<T: Real>(
    energy: &mut dyn Energy<T>,
    mu: &EmpiricalMeasure<T>,
    points: &[Vec<T>],
) -> (Vec<Vec<T>>, usize) {
    let (p, m) = mu.points().shape();
    let probes = measure(p, points.concat(), vec![T::zero(); points.len()]);
    let mu = mixture(mu, 1.0, &probes, 0.0);
    let mut v = DMatrix::zeros(p, mu.len());
    let (first, last) = (&points[0], &points[points.len() - 1]);
    for (l, (&first, &last)) in first.iter().zip(last).enumerate() {
        v[(l, m)] = last - first;
    }
    let count = crossings(energy, &mu, &v)
        .iter()
        .filter(|crossing| crossing.particle == m)
        .count();
    let (_, velocity) = evaluate(energy, &mu);
    let gradients = (m..mu.len())
        .map(|i| velocity.column(i).iter().map(|&v| -v).collect())
        .collect();
    (gradients, count)
}

/// The probes `w + r s u` for `r = -2, -1, 1, 2`.
fn around<T: Real>(w: &[T], u: &[T], s: T) -> Vec<Vec<T>> {
    let probe = |r: f64| {
        w.iter()
            .zip(u)
            .map(move |(&w, &u)| w + real::<T>(r) * s * u)
    };
    [-2.0, -1.0, 1.0, 2.0].map(|r| probe(r).collect()).to_vec()
}

/// The largest `|u_l - v_l|`.
fn apart<T: Real>(u: &[T], v: impl IntoIterator<Item = T>) -> f64 {
    let difference = |(&u, v): (&T, T)| to_f64((u - v).abs());
    u.iter().zip(v).map(difference).fold(0.0, f64::max)
}

/// The difference of two gradients.
fn difference<T: Real>(u: &[T], v: &[T]) -> Vec<T> {
    u.iter().zip(v).map(|(&u, &v)| u - v).collect()
}

/// Checks the jump of the gradient at breakpoints: the differences across them at two distances.
fn check_jumps<T: Real>(
    energy: &mut dyn Energy<T>,
    mu: &EmpiricalMeasure<T>,
    displaced: &Displaced,
    rng: &mut CaseRng,
    at: &dyn Fn() -> String,
) -> Result<(), Violation> {
    const BREAKPOINTS: usize = 4;
    let (p, m) = mu.points().shape();
    let v = DMatrix::from_vec(p, m, displaced.direction(rng, p * m));
    let noise = 100.0 * rounding::<T>() * velocity_scale(energy, mu);
    for crossing in crossings(energy, mu, &v).iter().take(BREAKPOINTS) {
        let Crossing {
            particle,
            t,
            normal,
            jump,
        } = crossing;
        let (w, v) = (mu.points().column(*particle), v.column(*particle));
        let w: Vec<T> = w.iter().zip(v.iter()).map(|(&w, &v)| w + *t * v).collect();
        let size = |u: &[T]| u.iter().fold(T::zero(), |s, &u| s + u * u).sqrt();
        let distance = epsilon::<T>().sqrt() * size(&w) / size(normal);
        let (gradients, count) = probe(energy, mu, &around(&w, normal, distance));
        if count != 1 {
            continue; // another kink is near
        }
        let near = difference(&gradients[2], &gradients[1]);
        let far = difference(&gradients[3], &gradients[0]);
        let law = "the gradient jumps by jump n at a breakpoint";
        let error = apart(&near, normal.iter().map(|&n| *jump * n));
        let smooth = apart(&far, near.iter().copied());
        within(law, error, 2.0 * smooth + noise, || {
            format!("particle {particle}, {}", at())
        })?;
    }
    Ok(())
}

/// Checks `remainder + included` against differences of the gradient along one direction.
fn check_hessians<T: Real>(
    energy: &mut dyn Energy<T>,
    mu: &EmpiricalMeasure<T>,
    displaced: &Displaced,
    rng: &mut CaseRng,
    at: &dyn Fn() -> String,
) -> Result<(), Violation> {
    let (p, m) = mu.points().shape();
    let [mut remainder, mut included] = [(); 2].map(|()| vec![real(f64::NAN); p * p * m]);
    if energy.hessians(mu, &mut remainder, &mut included).is_none() {
        return Ok(());
    }
    let scale = velocity_scale(energy, mu);
    for i in 0..m {
        let u: Vec<T> = displaced.direction(rng, p);
        let step = epsilon::<T>().cbrt();
        let w = mu.particle(i).to_vec();
        let (gradients, count) = probe(energy, mu, &around(&w, &u, step));
        if count > 0 {
            continue;
        }
        let divided = |u: &[T], v: &[T], by: f64| -> Vec<T> {
            let quotient = |d: T| d / (real::<T>(by) * step);
            difference(u, v).into_iter().map(quotient).collect()
        };
        let near = divided(&gradients[2], &gradients[1], 2.0);
        let far = divided(&gradients[3], &gradients[0], 4.0);
        let block = p * p * i;
        let product = (0..p).map(|r| {
            let entry = |l: usize| remainder[block + l * p + r] + included[block + l * p + r];
            (0..p).fold(T::zero(), |sum, l| sum + entry(l) * u[l])
        });
        let law = "remainder + included is the Hessian of the first variation";
        let largest = |h: &[T]| h.iter().fold(0.0, |max, &h| to_f64(h.abs()).max(max));
        let noise = 1e2 * rounding::<T>() * scale / to_f64(step)
            + 1e3
                * to_f64(epsilon::<T>().sqrt())
                * (scale + largest(&remainder) + largest(&included));
        let error = apart(&near, product);
        let smooth = apart(&far, near.iter().copied());
        within(law, error, 2.0 * smooth + noise, || {
            format!("particle {i}, {}", at())
        })?;
    }
    Ok(())
}

/// Checks that a relaxation keeps F and the velocities at its measure, lowers F elsewhere by the
/// amount returned, and can be undone.
fn check_relaxation<T: Real>(
    energy: &mut dyn Energy<T>,
    mu: &EmpiricalMeasure<T>,
    rng: &mut CaseRng,
    at: impl Fn() -> String,
) -> Result<(), Violation> {
    let width = real(0.3);
    let mut moved = mu.clone();
    for w in moved.points_mut() {
        *w += rng.uniform(-0.5, 0.5);
    }
    let tolerance = rounding::<T>() * (value_scale(energy, mu) + value_scale(energy, &moved));
    let (exact, exact_moved) = (energy.value(mu), energy.value(&moved));
    let (_, velocity) = evaluate(energy, mu);
    if let Some(gap) = energy.relax(Some((mu, width))) {
        let law = "a new relaxation does not change F and the velocities at its measure";
        within(law, to_f64(gap).abs(), 0.0, &at)?;
        let (relaxed, v) = evaluate(energy, mu);
        within(law, (relaxed - to_f64(exact)).abs(), tolerance, &at)?;
        let scale = velocity_scale(energy, mu);
        let change = to_f64((v - velocity).amax());
        within(law, change, 10.0 * rounding::<T>() * scale, &at)?;
        let law = "a relaxed F is below F, by the gap returned";
        let (below, _) = evaluate(energy, &moved);
        let gap = energy.relax(Some((&moved, width))).map_or(f64::NAN, to_f64);
        require(law, gap >= 0.0, || format!("gap = {gap}"), &at)?;
        let error = (to_f64(exact_moved) - below - gap).abs();
        within(law, error, tolerance, &at)?;
    }
    energy.relax(None);
    let law = "relax(None) restores F, bit for bit";
    let restored = [energy.value(mu), energy.value(&moved)];
    identical(law, &restored, &[exact, exact_moved], at)
}
