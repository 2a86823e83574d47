//! Birth, merging and pruning of neurons.

use nalgebra::{DMatrix, DVector};

use crate::activation::{Activation, Homogeneous};
use crate::energy::Energy;
use crate::feature::Ridge;
use crate::measure::EmpiricalMeasure;
use crate::numeric::vector::dot;
use crate::real::{Real, epsilon, real};

/// The measure with one more particle `r w`, of the mean weight of the others, where `r > 0` makes F fall; `None` if none does.
///
/// Meant for the [`escape`](crate::optimality::Certificate::escape) direction of a certificate. That F falls, by more than its
/// rounding, is checked by evaluating it. The search for r doubles or halves it, then takes the vertex of a parabola in `r^2`,
/// which is the exact minimum for a 2-homogeneous map, the square loss and weight decay.
///
/// ```
/// use wasserflow::nalgebra::{DMatrix, DVector};
/// use wasserflow::prelude::*;
///
/// let x = DMatrix::from_row_slice(1, 2, &[-1.0, 1.0]);
/// let risk = EmpiricalRisk::new(Square, x, DVector::from_vec(vec![0.0, 3.0]))?;
/// let mut energy = MeanFieldRisk::new(Ridge::new(Relu, 1), risk)?;
/// let nothing = EmpiricalMeasure::uniform(DMatrix::zeros(2, 1))?;
///
/// let certificate = optimality::certify(&mut energy, &nothing);
/// let born = sparse::insert(&mut energy, &nothing, certificate.escape().unwrap()).unwrap();
/// assert_eq!((born.len(), born.weight(1)), (2, 1.0));
/// assert!(energy.value(&born) < 1e-12); // 3 (x)_+ is the answer
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Panics
/// When `w` does not have the dimension of the particles.
///
/// Cost: some 10 evaluations of F.
pub fn insert<T: Real, E: Energy<T> + ?Sized>(
    energy: &mut E,
    mu: &EmpiricalMeasure<T>,
    w: &[T],
) -> Option<EmpiricalMeasure<T>> {
    let (p, m) = mu.points().shape();
    assert_eq!(
        w.len(),
        p,
        "the new particle must have the dimension of the others"
    );
    let mean = mu.mass() / real(m as f64);
    let weight = if mean > T::zero() { mean } else { T::one() };
    let points = mu.points().clone().insert_column(m, T::zero());
    let weights = DVector::from_iterator(m + 1, mu.weights().iter().copied().chain([weight]));
    let mut born = EmpiricalMeasure::weighted(points, weights).ok()?;

    let start = energy.value(mu);
    let mut value = |r: T| {
        for (born, &w) in born.points_mut()[m * p..].iter_mut().zip(w) {
            *born = r * w;
        }
        energy.value(&born)
    };
    let (two, half) = (real::<T>(2.0), real::<T>(0.5));
    let (mut r, mut best) = (T::one(), value(T::one()));
    let factor = if best < start { two } else { half };
    for _ in 0..64 {
        let next = value(r * factor);
        // Down until F has fallen, then on while it falls.
        if best < start && (next >= best || !next.is_finite()) {
            break;
        }
        (r, best) = (r * factor, next);
    }
    let (below, above) = (value(r * half), value(r * two));
    // The parabola through F at s / 4, s, 4 s, s = r^2: its vertex, in units of s.
    let (left, right) = ((best - below) / real(0.75), (above - best) / real(3.0));
    let curvature = (right - left) / real(3.75);
    let vertex = real::<T>(0.625) - left / (curvature * two);
    let mut candidates = vec![(below, r * half), (above, r * two)];
    if curvature > T::zero() && vertex > T::zero() {
        let r = r * vertex.sqrt();
        candidates.push((value(r), r));
    }
    for (found, at) in candidates {
        if found < best {
            (best, r) = (found, at);
        }
    }
    value(r);
    (start - best > real::<T>(8.0) * epsilon() * start.abs()).then_some(born)
}

/// One neuron for every direction of `b`: those of directions within `angle` (radians) of another become one, balanced.
///
/// `sum_i c_i a_i |b_i|^r sigma(e.x)` is one neuron of the direction e, r the degree of the activation. With `angle = 0` only
/// directions that agree up to rounding count as one, and h is the same up to rounding; else it changes by
/// `angle |x| sum_i c_i |a_i| |b_i|` at most (r = 1). Where sigma is even or odd, as [`Abs`](crate::activation::Abs) and [`Identity`](crate::activation::Identity) are, b and -b are one
/// direction. The weights of the merged add up. Weight decay does not rise. A neuron
/// that merges with none is left as it is, bit for bit.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// // (x)_+ + 3 (2 x)_+, over 2, is 7 / 2 (x)_+.
/// let mu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 2, &[1.0, 1.0, 3.0, 2.0]))?;
/// let one = sparse::merge(&Ridge::new(Relu, 1), &mu, 0.0);
/// assert_eq!((one.len(), one.mass()), (1, 1.0));
/// assert!((one.particle(0)[0] * one.particle(0)[1] - 3.5_f64).abs() < 1e-15);
/// # Ok::<(), wasserflow::prelude::MeasureError>(())
/// ```
///
/// # Panics
/// When the particles of `mu` are not those of `phi`.
///
/// Cost: `O(m m' d)` for m neurons of m' directions.
pub fn merge<A: Activation<T> + Homogeneous, T: Real>(
    phi: &Ridge<A>,
    mu: &EmpiricalMeasure<T>,
    angle: T,
) -> EmpiricalMeasure<T> {
    assert_eq!(
        phi.particle_dim(),
        mu.dim(),
        "the particles must be those of the map"
    );
    let (k, degree) = (phi.output_dim(), phi.activation().degree());
    let closest = angle + real::<T>(8.0) * epsilon();
    let parity = parity(phi.activation());
    let mut groups: Vec<(Vec<T>, Vec<Member<T>>)> = Vec::new();
    for i in 0..mu.len() {
        let e = direction(&mu.particle(i)[k..]);
        let same = Member {
            i,
            outer: T::one(),
            inner: T::one(),
        };
        let opposite = parity.map(|outer| Member {
            i,
            outer,
            inner: -T::one(),
        });
        let joins = |f: &[T], member: &Member<T>| {
            e.as_ref()
                .is_some_and(|e| distance(e, f, member.inner) <= closest)
        };
        let found = groups.iter_mut().find_map(|(f, members)| {
            let member = [Some(same), opposite]
                .into_iter()
                .flatten()
                .find(|member| joins(f, member))?;
            Some((members, member))
        });
        match found {
            Some((members, member)) => members.push(member),
            None => groups.push((e.unwrap_or_default(), vec![same])),
        }
    }
    collect(
        mu,
        groups
            .into_iter()
            .map(|(_, members)| fuse(mu, &members, k, degree)),
    )
}

/// `s = +-1` with `sigma(-z) = s sigma(z)`, where there is one.
fn parity<T: Real>(sigma: &impl Activation<T>) -> Option<T> {
    let (left, right) = (sigma.value(-T::one()), sigma.value(T::one()));
    [T::one(), -T::one()]
        .into_iter()
        .find(|&s| left == s * right)
}

/// The particle i of a group, as `(outer a, inner b)`.
#[derive(Clone, Copy)]
struct Member<T> {
    i: usize,
    outer: T,
    inner: T,
}

/// The measure without the neurons that do nothing: weight, output weights or direction 0, or so small that all that is
/// removed is below the rounding of h.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// let mu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 3, &[1.0, 1.0, 3.0, 0.0, 0.0, 2.0]))?;
/// let nu = sparse::prune(&Ridge::new(Relu, 1), &mu);
/// assert_eq!((nu.len(), nu.particle(0), nu.weight(0)), (1, &[1.0, 1.0][..], 1.0 / 3.0));
/// # Ok::<(), wasserflow::prelude::MeasureError>(())
/// ```
///
/// One particle stays, if only to carry nothing.
///
/// # Panics
/// When the particles of `mu` are not those of `phi`.
pub fn prune<A: Homogeneous, T: Real>(
    phi: &Ridge<A>,
    mu: &EmpiricalMeasure<T>,
) -> EmpiricalMeasure<T> {
    assert_eq!(
        phi.particle_dim(),
        mu.dim(),
        "the particles must be those of the map"
    );
    let (k, r) = (phi.output_dim(), phi.activation().degree() as i32);
    let share = |i: usize| {
        let (a, b) = mu.particle(i).split_at(k);
        mu.weight(i) * dot(a, a).sqrt() * dot(b, b).sqrt().powi(r)
    };
    let total = (0..mu.len()).fold(T::zero(), |sum, i| sum + share(i));
    let least = total * epsilon::<T>() / real(mu.len() as f64);
    let kept = (0..mu.len()).filter(|&i| share(i) > least);
    let mut kept: Vec<(T, Vec<T>)> = kept
        .map(|i| (mu.weight(i), mu.particle(i).to_vec()))
        .collect();
    if kept.is_empty() {
        kept.push((mu.weight(0), mu.particle(0).to_vec()));
    }
    collect(mu, kept.into_iter())
}

/// `b / |b|`, where it has a direction.
fn direction<T: Real>(b: &[T]) -> Option<Vec<T>> {
    let length = dot(b, b).sqrt();
    (length > T::zero()).then(|| b.iter().map(|&b| b / length).collect())
}

/// `|s e - f|`, infinite where f is no direction.
fn distance<T: Real>(e: &[T], f: &[T], s: T) -> T {
    if f.is_empty() {
        return real(f64::INFINITY);
    }
    e.iter()
        .zip(f)
        .fold(T::zero(), |sum, (&e, &f)| sum + (s * e - f) * (s * e - f))
        .sqrt()
}

/// The balanced neuron that does what the members do together, as `(c, (a, b))`.
fn fuse<T: Real>(
    mu: &EmpiricalMeasure<T>,
    members: &[Member<T>],
    k: usize,
    degree: u32,
) -> (T, Vec<T>) {
    if let &[Member { i, .. }] = members {
        return (mu.weight(i), mu.particle(i).to_vec());
    }
    let r = degree as i32;
    let (mut c, mut a) = (T::zero(), vec![T::zero(); k]);
    let mut e = vec![T::zero(); mu.dim() - k];
    for &Member { i, outer, inner } in members {
        let (ai, bi) = mu.particle(i).split_at(k);
        let length = dot(bi, bi).sqrt();
        c += mu.weight(i);
        for (a, &ai) in a.iter_mut().zip(ai) {
            *a += outer * mu.weight(i) * length.powi(r) * ai;
        }
        let share = inner * mu.weight(i) * dot(ai, ai).sqrt();
        for (e, &bi) in e.iter_mut().zip(bi) {
            *e += share * bi;
        }
    }
    // c |a| |b|^r = |sum c_i |b_i|^r a_i|, and |a|^2 + |b|^2 least: |b|^{2 r + 2} = r (|a| |b|^r)^2.
    let size = dot(&a, &a).sqrt();
    let e = direction(&e).filter(|_| c > T::zero() && size > T::zero());
    let Some(e) = e else {
        return (c, vec![T::zero(); mu.dim()]);
    };
    let product = size / c;
    let length = match degree {
        0 => T::one(),
        _ => (real::<T>(f64::from(degree)).sqrt() * product)
            .powf(T::one() / real(f64::from(degree + 1))),
    };
    let outer = product / length.powi(r) / size;
    (
        c,
        a.into_iter()
            .map(|a| outer * a)
            .chain(e.into_iter().map(|e| length * e))
            .collect(),
    )
}

/// The measure of weighted particles, of which there is at least one; `mu` where one has overflowed.
fn collect<T: Real>(
    mu: &EmpiricalMeasure<T>,
    neurons: impl Iterator<Item = (T, Vec<T>)>,
) -> EmpiricalMeasure<T> {
    let (weights, points): (Vec<T>, Vec<Vec<T>>) = neurons.unzip();
    let points = DMatrix::from_iterator(mu.dim(), weights.len(), points.into_iter().flatten());
    EmpiricalMeasure::weighted(points, DVector::from_vec(weights)).unwrap_or_else(|_| mu.clone())
}
