//! Objective and products against their definitions, with weights.

use super::fixture::{Case, Draw, Known, apply, assert_close, assert_near, identity};
use super::*;

const SHAPES: [(usize, usize); 4] = [(1, 1), (1, 4), (3, 1), (3, 4)];

/// An inner product that other ranks hold a part of.
struct Ranks<T>(T);

impl<T: Real> Energy<T> for Ranks<T> {
    fn particle_dim(&self) -> usize {
        1
    }
    fn value(&mut self, _: &EmpiricalMeasure<T>) -> T {
        T::zero()
    }
    fn velocity(&mut self, _: &EmpiricalMeasure<T>, out: &mut DMatrix<T>) -> T {
        out.fill(T::zero());
        T::zero()
    }
    fn inner(&mut self, mu: &EmpiricalMeasure<T>, u: &DMatrix<T>, v: &DMatrix<T>) -> T {
        self.0 + mu.weight(0) * u[0] * v[0]
    }
}

/// `P(v) = F(v) + sum_i c_i |v_i - w_i|^2 / (2 gamma)`
fn objective<T: Real>(case: &mut Case<T>, v: &DMatrix<T>) -> (T, T) {
    case.mu.points_mut().copy_from_slice(v.as_slice());
    let energy = case.energy.value(&case.mu);
    let apart = v - &case.anchor;
    (
        energy,
        energy + case.rate * case.inner(&apart, &apart) / real(2.0),
    )
}

fn values_and_gradients<T: Real>() {
    for (seed, shape) in SHAPES.into_iter().enumerate() {
        let mut case = Case::<T>::new(1 + seed as u64, shape);
        for rate in [0.75, 40.0, 0.0] {
            case.rate = real(rate);
            let x = case.start();
            assert_eq!(
                case.mu.points(),
                &case.points,
                "the measure is where the point is"
            );
            let v = case.points.clone();
            let (energy, value) = objective(&mut case, &v);
            let tight = real::<T>(64.0) * epsilon();
            assert_near(x.energy, energy, tight);
            assert_near(x.value, value, tight);
            // c_i grad P_i is the gradient of P in the coordinates: central differences.
            let h = epsilon::<T>().cbrt();
            let mut wanted = x.gradient.clone();
            for l in 0..v.len() {
                let (mut above, mut below) = (v.clone(), v.clone());
                above[l] += h;
                below[l] -= h;
                let rise = objective(&mut case, &above).1 - objective(&mut case, &below).1;
                wanted[l] = rise / (real::<T>(2.0) * h * case.mu.weight(l / shape.0));
            }
            assert_close(&x.gradient, &wanted, real::<T>(300.0) * h * h);
            let apart = &v - &case.anchor;
            assert_close(&x.gradient, &(apart * case.rate - &x.velocity), tight);
        }
    }
}

#[test]
fn value_and_gradient_are_those_of_the_objective() {
    values_and_gradients::<f32>();
    values_and_gradients::<f64>();
}

/// However far: the square of the distance may overflow.
#[test]
fn without_a_rate_there_is_no_distance() {
    let mut case = Case::<f64>::new(5, (2, 3));
    (case.rate, case.anchor) = (0.0, DMatrix::from_element(2, 3, 1e200));
    let x = case.start();
    assert!(x.energy.is_finite() && x.value == x.energy);
    assert_eq!(x.gradient, -&x.velocity);
}

fn probes<T: Real>() {
    for (seed, shape @ (p, m)) in SHAPES.into_iter().enumerate() {
        let mut case = Case::<T>::new(11 + seed as u64, shape);
        let at: DMatrix<T> = case.draw.matrix((p, 3 * m));
        let (mut values, mut gradient) = (vec![T::zero(); 3 * m], DMatrix::zeros(p, 3 * m));
        assert!(
            case.problem()
                .probe(&at, &mut values, &mut gradient)
                .is_some()
        );
        let (mut plain, mut descent) = (values.clone(), gradient.clone());
        case.energy
            .first_variation(&case.mu, &at, &mut plain, &mut descent);
        for (k, i) in (0..3 * m).map(|q| (q / m, q % m)) {
            let (q, far) = (k * m + i, at.column(k * m + i) - case.anchor.column(i));
            let wanted = plain[q] + case.rate * far.norm_squared() / real(2.0);
            let size = plain[q].abs() + wanted.abs();
            assert!((values[q] - wanted).abs() <= real::<T>(32.0) * epsilon::<T>() * size);
            let slope = &far * case.rate - descent.column(q);
            let off = (gradient.column(q) - slope).norm();
            assert!(
                off <= real::<T>(32.0) * epsilon::<T>() * (far.norm() + descent.column(q).norm())
            );
        }
        // At the particles themselves it is the gradient of P.
        let (x, mut values) = (case.start(), vec![T::zero(); m]);
        let mut gradient = x.v.clone();
        case.problem().probe(&x.v, &mut values, &mut gradient);
        assert_close(&gradient, &x.gradient, real::<T>(32.0) * epsilon());

        case.energy.silent = true;
        assert!(
            case.problem()
                .probe(&x.v, &mut values, &mut gradient)
                .is_none()
        );
    }
}

#[test]
fn a_probe_is_the_part_of_its_particle() {
    probes::<f32>();
    probes::<f64>();
}

#[test]
fn any_is_so_for_one_particle_or_on_another_rank() {
    let mut case = Case::<f64>::new(21, (2, 3));
    let mut flags = DMatrix::from_element(2, 3, 7.0);
    let mut problem = case.problem();
    assert!(!problem.any(&mut flags, |_| false));
    for k in 0..3 {
        assert!(problem.any(&mut flags, |i| i == k));
    }
    assert!(problem.any(&mut flags, |_| true));

    let mut mu = EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 1.0)).unwrap();
    for (elsewhere, here, wanted) in [
        (0.0, false, false),
        (1.0, false, true),
        (0.0, true, true),
        (1.0, true, true),
    ] {
        let (mut ranks, anchor) = (Ranks(elsewhere), DMatrix::zeros(1, 1));
        let mut problem = Proximal {
            energy: &mut ranks,
            mu: &mut mu,
            anchor,
            rate: 1.0,
        };
        assert_eq!(problem.any(&mut DMatrix::zeros(1, 1), |_| here), wanted);
    }
}

#[test]
fn sizes_are_weighted_and_the_largest_is_not() {
    let mut case = Case::<f64>::new(22, (2, 3));
    let u = DMatrix::from_column_slice(2, 3, &[1.0, 2.0, -6.0, 8.0, 3.0, 4.0]);
    let v = DMatrix::from_column_slice(2, 3, &[1.0, 1.0, 0.5, 0.25, -1.0, 2.0]);
    // The weights are 1/4, 3/4, 5/4.
    let mut problem = case.problem();
    assert_eq!(problem.inner(&u, &v), 0.25 * 3.0 - 0.75 + 1.25 * 5.0);
    assert_near(
        problem.norm(&u),
        (0.25 * 5.0 + 75.0 + 1.25 * 25.0_f64).sqrt(),
        1e-15,
    );
    assert_eq!(problem.largest(&u), 10.0);
    assert_eq!(problem.largest(&DMatrix::zeros(2, 3)), 0.0);
}

fn products<T: Real>() {
    for (seed, shape) in SHAPES.into_iter().enumerate() {
        let mut case = Case::<T>::new(31 + seed as u64, shape);
        let u: DMatrix<T> = case.draw.matrix(shape);
        let mut out = DMatrix::from_element(shape.0, shape.1, real(9.0));
        for shift in [0.0, 0.5, 3.0].map(real::<T>) {
            let shifted = identity(&u) * shift;
            let x = case.start();
            case.mu.points_mut().fill(real(5.0));
            case.problem().bend(&x, &u, shift, &mut out);
            assert_eq!(case.mu.points(), &x.v);
            let wanted = apply(&(case.gauss_newton() + &shifted), &u);
            assert_close(&out, &wanted, real::<T>(64.0) * epsilon());

            // Along directions of any size, also from the origin and from far away.
            for place in [0.0, 1.0, 50.0].map(real::<T>) {
                let points = case.points.clone();
                let unit = T::one() / case.norm(&points);
                case.points *= unit * place;
                let x = case.start();
                // As well where the measure has gone elsewhere since.
                case.mu.points_mut().fill(real(5.0));
                for size in [1e-4, 1.0, 1e4].map(real::<T>) {
                    if size + place < real(0.1) {
                        continue; // Nothing tells the unit of length.
                    }
                    let along = &u * (size / case.norm(&u));
                    case.problem().differ(&x, &along, shift, &mut out);
                    let wanted = apply(&(case.hessian() + &shifted), &along);
                    assert_close(&out, &wanted, real::<T>(100.0) * epsilon::<T>().sqrt());
                }
                case.points = points;
            }
        }
        // Without a curvature it is the Hessian.
        case.energy.silent = true;
        let x = case.start();
        case.problem().bend(&x, &u, T::one(), &mut out);
        let wanted = apply(&(case.hessian() + identity(&u)), &u);
        assert_close(&out, &wanted, real::<T>(100.0) * epsilon::<T>().sqrt());
    }
}

#[test]
fn products_are_those_of_the_dense_matrices() {
    products::<f32>();
    products::<f64>();
}

/// Rounding levels are sums of sizes, each of a few epsilons, in `L2(mu)`.
fn levels<T: Real>() {
    let mut case = Case::<T>::new(41, (2, 3));
    case.rate = real(3.0);
    let zero = DMatrix::zeros(2, 3);
    let mut draw = Draw(5);
    let mut sized = |size: f64| {
        let u: DMatrix<T> = draw.matrix((2, 3));
        &u * (real::<T>(size) / case.norm(&u))
    };
    let (v, velocity) = (sized(2.0), sized(5.0));
    let at = |v: &DMatrix<T>, velocity: &DMatrix<T>, energy: f64, value: f64| Point {
        v: v.clone(),
        velocity: velocity.clone(),
        gradient: zero.clone(),
        energy: real(energy),
        value: real(value),
    };
    let near = |found: T, wanted: T| assert_near(found, wanted, real::<T>(16.0) * epsilon());

    let unit = case.problem().noise(&at(&zero, &zero, 1.0, 0.0));
    assert!(unit >= epsilon() && unit <= real::<T>(100.0) * epsilon());
    let mut noise = |x: Point<T>| case.problem().noise(&x) / unit;
    near(noise(at(&zero, &velocity, -3.0, 0.0)), real(3.0));
    near(noise(at(&v, &zero, 0.0, -7.0)), real(7.0));
    near(noise(at(&v, &velocity, 0.0, 0.0)), real(10.0));
    near(noise(at(&v, &velocity, -3.0, -7.0)), real(20.0));

    let rounding = case.problem().rounding(&at(&zero, &velocity, 1.0, 1.0)) / real(5.0);
    assert!(rounding >= epsilon() && rounding <= real::<T>(100.0) * epsilon());
    near(
        case.problem().rounding(&at(&v, &zero, 1.0, 1.0)) / rounding,
        real(6.0),
    );
    near(
        case.problem().rounding(&at(&v, &velocity, 1.0, 1.0)) / rounding,
        real(11.0),
    );
}

#[test]
fn rounding_levels_add_up() {
    levels::<f32>();
    levels::<f64>();
}

/// A gradient step of this length moves the points by a tenth of their size, where the gradient is small against that; it is
/// shorter than `gamma`.
#[test]
fn a_cautious_step_is_a_tenth() {
    let mut case = Case::<f64>::new(45, (2, 3));
    let mut x = case.start();
    x.v *= 2.0 / case.norm(&x.v);
    for residual in [1e-6, 1e-4] {
        case.rate = 0.0;
        let free = case.problem().cautious(&x, residual);
        assert!((free * residual - 0.2).abs() <= 2.0 * residual);
        case.rate = 3.0;
        let held = case.problem().cautious(&x, residual);
        assert!(held < 1.0 / 3.0);
        assert_near(1.0 / held, 3.0 + 1.0 / free, 1e-14);
    }
    // At the origin too there is a length.
    x.v.fill(0.0);
    let length = case.problem().cautious(&x, 0.5);
    assert!(length > 0.0 && length <= 1.0 / 3.0);
}

/// The fixture keeps the law of an energy: `velocity` is minus the gradient of the first variation at the particles.
#[test]
fn the_known_energy_is_consistent() {
    let mut case = Case::<f64>::new(51, (3, 2));
    let Known { cubic, .. } = &case.energy;
    assert!(cubic.norm() > 0.1);
    let (x, mut values) = (case.start(), vec![0.0; 2]);
    let mut descent = x.v.clone();
    let value = case
        .energy
        .first_variation(&case.mu, &x.v, &mut values, &mut descent);
    assert_eq!(value, Some(x.energy));
    assert_close(&descent, &x.velocity, 1e-14);
}
