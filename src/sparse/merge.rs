//! Merging of neurons with equal directions.

use nalgebra::{DMatrix, DVector};

use super::check_dim;
use crate::activation::{Activation, Homogeneous};
use crate::feature::Ridge;
use crate::measure::EmpiricalMeasure;
use crate::numeric::scaled::Scaled;
use crate::numeric::vector::norm;
use crate::real::{Real, epsilon, real};

/// The distance of unit vectors, in units of eps, up to which directions are equal: rounding error
/// of `b / |b|`.
const ROUNDING_UNITS: f64 = 8.0;

/// Merges the neurons whose input weights b have directions within `angle` (radians) into one
/// balanced neuron each.
///
/// Neurons of one direction e and a degree r satisfy
/// `sum_i c_i a_i sigma(b_i.x) = sum_i c_i a_i |b_i|^r sigma(e.x)`, which is one neuron. A neuron
/// joins the first group whose first member has a direction f with `|b / |b| - f| <= angle`. The
/// direction of the merged neuron is that of `sum_i c_i |a_i| b_i`. If sigma is even or odd, as
/// [`Abs`](crate::activation::Abs) and [`Identity`](crate::activation::Identity), b and -b are one
/// direction.
///
/// # Laws
/// - `angle = 0` merges directions equal up to rounding, and h is unchanged up to rounding. For
///   `angle > 0` and r = 1, h changes by at most `L angle |x| sum_i c_i |a_i| |b_i|`, L the
///   Lipschitz constant of sigma.
/// - The mass is unchanged: the weights of merged neurons are added.
/// - For `r <= 1` weight decay does not increase, up to rounding. For r > 1 it grows at most by the
///   factor `(sum_i c_i / min_i c_i)^((r - 1) / (r + 1))` over each group. A balanced neuron of
///   weight c and output `c |a| |b|^r = s` has the decay `~ c^((r - 1) / (r + 1)) s^(2 / (r + 1))`,
///   which grows with the weight. Two equal neurons of `ReluPower(2)` merge without growth, and
///   two of different outputs with at most `2^(1/3) - 1 = 26 %`.
/// - A neuron that is not merged is unchanged, bit for bit.
///
/// The laws hold at any scale, as norms and products do not over- or underflow. A group whose
/// merged neuron would not be representable, with norms above `T::MAX` or below the normal range,
/// is not merged.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// // The mean of (x)_+ and 3 (2 x)_+ is 7/2 (x)_+.
/// let mu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 2, &[1.0, 1.0, 3.0, 2.0]))?;
/// let one = sparse::merge(&Ridge::new(Relu, 1), &mu, 0.0);
/// assert_eq!((one.len(), one.mass()), (1, 1.0));
/// assert!((one.particle(0)[0] * one.particle(0)[1] - 3.5_f64).abs() < 1e-15);
/// # Ok::<(), wasserflow::prelude::MeasureError>(())
/// ```
///
/// A measure with a point or weight that is not valid is returned as it is.
///
/// # Panics
/// When the particles of `mu` do not have the dimension of `phi`.
///
/// Cost: `O(m m' d)` for m neurons of m' directions.
pub fn merge<A: Activation<T> + Homogeneous, T: Real>(
    phi: &Ridge<A>,
    mu: &EmpiricalMeasure<T>,
    angle: T,
) -> EmpiricalMeasure<T> {
    check_dim(phi.particle_dim(), mu.dim());
    if mu.check().is_err() {
        return mu.clone();
    }
    let (k, degree) = (phi.output_dim(), phi.activation().degree());
    let tolerance = angle + real::<T>(ROUNDING_UNITS) * epsilon();
    let parity = parity(phi.activation());
    let mut groups: Vec<Group<T>> = Vec::new();
    for i in 0..mu.len() {
        let (length, e) = Scaled::norm_and_direction(&mu.particle(i)[k..]);
        let e = (length.get() > T::zero()).then_some(e);
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
        let orientations = || [Some(same), opposite].into_iter().flatten();
        let joined = e.as_deref().is_some_and(|e| {
            groups.iter_mut().any(|group| {
                let member = orientations().find(|m| group.distance(e, m.inner) <= tolerance);
                group.members.extend(member);
                member.is_some()
            })
        });
        if !joined {
            groups.push(Group {
                direction: e,
                members: vec![same],
            });
        }
    }
    let neurons = groups.iter().flat_map(|group| {
        let unchanged = |member: &Member<T>| (mu.weight(member.i), mu.particle(member.i).to_vec());
        match group.members.as_slice() {
            [_] => None,
            members => merged(mu, members, k, degree),
        }
        .map_or_else(
            || group.members.iter().map(unchanged).collect(),
            |neuron| vec![neuron],
        )
    });
    let (weights, points): (Vec<T>, Vec<Vec<T>>) = neurons.unzip();
    let points = DMatrix::from_iterator(mu.dim(), weights.len(), points.into_iter().flatten());
    // A measure that is not finite is returned as it is.
    EmpiricalMeasure::weighted(points, DVector::from_vec(weights)).unwrap_or_else(|_| mu.clone())
}

/// The parity `s = +-1` of sigma, `sigma(-z) = s sigma(z)`, if it has one.
fn parity<T: Real>(sigma: &impl Activation<T>) -> Option<T> {
    let (left, right) = (sigma.value(-T::one()), sigma.value(T::one()));
    [T::one(), -T::one()]
        .into_iter()
        .find(|&s| left == s * right)
}

/// The particle i of a group, as `(outer a, inner b)`, `outer` and `inner` = +-1.
#[derive(Clone, Copy)]
struct Member<T> {
    i: usize,
    outer: T,
    inner: T,
}

/// Particles of one direction.
struct Group<T> {
    /// The direction of the first member; `None` if its b is 0.
    direction: Option<Vec<T>>,
    members: Vec<Member<T>>,
}

impl<T: Real> Group<T> {
    /// `|s e - f|`, f the direction of the group; infinite without a direction.
    fn distance(&self, e: &[T], s: T) -> T {
        let Some(f) = &self.direction else {
            return real(f64::INFINITY);
        };
        let difference: Vec<T> = e.iter().zip(f).map(|(&e, &f)| s * e - f).collect();
        norm(&difference)
    }
}

/// The balanced neuron that equals the sum of the members, as `(c, (a, b))`; `None` if it is not
/// representable.
fn merged<T: Real>(
    mu: &EmpiricalMeasure<T>,
    members: &[Member<T>],
    k: usize,
    degree: u32,
) -> Option<(T, Vec<T>)> {
    let mass = members.iter().fold(T::zero(), |c, m| c + mu.weight(m.i));
    let neurons = || {
        members.iter().map(|member| {
            let (a, b) = mu.particle(member.i).split_at(k);
            let (a, b) = (Scaled::norm_and_direction(a), Scaled::norm_and_direction(b));
            (member, Scaled::new(mu.weight(member.i)).times(a.0), a.1, b)
        })
    };
    // sum_i c_i |a_i| |b_i|^r (a_i / |a_i|) and sum_i c_i |a_i| |b_i| (b_i / |b_i|), in units of
    // their largest terms up to powers of two.
    let output = Scaled::largest_exponent(neurons().map(|(_, s, _, b)| s.times(b.0.powi(degree))));
    let input = Scaled::largest_exponent(neurons().map(|(_, s, _, b)| s.times(b.0)));
    let (mut a, mut e) = (vec![T::zero(); k], vec![T::zero(); mu.dim() - k]);
    for (member, share, ai, (length, ei)) in neurons() {
        let outer = member.outer * share.times(length.powi(degree)).relative_to(output);
        a.iter_mut().zip(&ai).for_each(|(a, &ai)| *a += outer * ai);
        let inner = member.inner * share.times(length).relative_to(input);
        e.iter_mut().zip(&ei).for_each(|(e, &ei)| *e += inner * ei);
    }
    let (size, a) = Scaled::norm_and_direction(&a);
    let (length, e) = Scaled::norm_and_direction(&e);
    if mass == T::zero() || size.get() == T::zero() || length.get() == T::zero() {
        return Some((mass, vec![T::zero(); mu.dim()]));
    }
    // c |a| |b|^r = size 2^output with the least |a|^2 + |b|^2: |b|^(r + 1) = sqrt(r) |a| |b|^r.
    // For r = 0 the output does not depend on |b|.
    let product = size.over(Scaled::new(mass)).times_power_of_two(output);
    let inner = match degree {
        0 => neurons()
            .map(|(.., (length, _))| length)
            .min_by(|x, y| x.total_cmp(*y))?,
        _ => product
            .times(Scaled::new(real(f64::from(degree).sqrt())))
            .root(degree + 1),
    };
    let (outer, inner) = (product.over(inner.powi(degree)).get(), inner.get());
    let representable = |x: T| x.is_finite() && T::max_value().is_none_or(|max| x * max > T::one());
    let a = a.into_iter().map(|a| outer * a);
    let w = a.chain(e.into_iter().map(|e| inner * e)).collect();
    (mass.is_finite() && representable(outer) && representable(inner)).then_some((mass, w))
}
