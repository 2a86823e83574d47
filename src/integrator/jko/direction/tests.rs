//! Directions against dense systems, in the inner product of the weights.

use nalgebra::DVector;

use super::super::proximal::fixture::{
    Case, apply, assert_close, assert_near, blocks, identity, solve,
};
use super::*;

/// A direction of [`newton`], what it returns, and the products that it took.
struct Turn<T> {
    d: DMatrix<T>,
    negative: Option<T>,
    products: usize,
}

/// `(H + K + shift) d = -g`, up to `forcing`; with the Hessian where `exact`, or else by Gauss and Newton.
fn turn<T: Real>(
    case: &mut Case<T>,
    exact: bool,
    kinks: &Kinks<T>,
    (g, shift, forcing): (&DMatrix<T>, T, T),
) -> Turn<T> {
    let (mut scratch, mut d, mut products) = (Scratch::new(case.shape(), Vec::new()), g.clone(), 5);
    let (x, system) = (case.start(), (g, shift, forcing, shift));
    let at = (&x, exact);
    let negative = newton(
        &mut case.problem(),
        at,
        kinks,
        system,
        &mut d,
        &mut scratch,
        &mut products,
    );
    let held = scratch.into_fields().len();
    let mut again = (
        Scratch::new(case.shape(), vec![g.clone(); held]),
        g.clone(),
        0,
    );
    newton(
        &mut case.problem(),
        at,
        kinks,
        system,
        &mut again.1,
        &mut again.0,
        &mut again.2,
    );
    assert_eq!(
        again.0.into_fields().len(),
        held,
        "the fields are given back"
    );
    Turn {
        d,
        negative,
        products: products - 5,
    }
}

fn smooth<T: Real>(case: &Case<T>) -> Kinks<T> {
    Kinks::new(case.shape().1, T::one())
}

/// Particle 0 and the last have come across a kink of unit normal n, at a distance h, by a step along n. Returns `K = k n n^T` too.
fn kinked<T: Real>(case: &mut Case<T>) -> (Kinks<T>, DMatrix<T>) {
    let ((p, m), h, x) = (case.shape(), real::<T>(0.125), case.start());
    let mut kinks = Kinks::new(m, T::one());
    let copy = |x: &Point<T>| Point {
        v: x.v.clone(),
        velocity: x.v.clone(),
        gradient: x.v.clone(),
        ..*x
    };
    let (mut from, mut to) = (copy(&x), copy(&x));
    let mut stiffness = vec![DMatrix::zeros(p, p); m];
    let mut sides = vec![(0, 1.0, 0.5)];
    if m > 1 {
        sides.push((m - 1, 3.0, 1.0));
    }
    for (i, before, after) in sides {
        let n: DVector<T> = case.draw.vector::<T>(p).normalize();
        to.v.set_column(i, &(x.v.column(i) + &n * h));
        from.gradient.set_column(i, &(&n * real::<T>(-before)));
        to.gradient.set_column(i, &(&n * real::<T>(after)));
        stiffness[i] = &n * n.transpose() * (real::<T>(before + after) / h);
    }
    kinks.follow(&from, &to, T::one());
    kinks.shortest(&to, &mut from.v);
    (kinks, blocks(stiffness))
}

const SHAPES: [(usize, usize); 5] = [(1, 1), (1, 3), (2, 1), (3, 2), (2, 4)];

fn solves<T: Real>() {
    let tight = real::<T>(2000.0) * epsilon();
    for (seed, shape) in SHAPES.into_iter().enumerate() {
        let mut case = Case::<T>::new(1 + seed as u64, shape);
        let g: DMatrix<T> = case.draw.matrix(shape);
        let shift = real::<T>(3.0);
        let (kinks, stiffness) = kinked(&mut case);
        for (kinks, stiffness) in [(smooth(&case), &stiffness * T::zero()), (kinks, stiffness)] {
            let stiff = stiffness + identity(&g) * shift;
            let found = turn(&mut case, false, &kinks, (&g, shift, epsilon()));
            assert_close(
                &found.d,
                &-solve(&(case.gauss_newton() + &stiff), &g),
                tight,
            );
            assert_eq!(found.negative, None);
            let found = turn(&mut case, true, &kinks, (&g, shift, epsilon::<T>().sqrt()));
            let wanted = -solve(&(case.hessian() + &stiff), &g);
            assert_close(&found.d, &wanted, real::<T>(100.0) * epsilon::<T>().sqrt());
            assert_eq!(found.negative, None);
        }
    }
}

#[test]
fn newton_solves_the_dense_system() {
    solves::<f32>();
    solves::<f64>();
}

/// Conjugate gradients end after a product for every distinct eigenvalue; the kinks are taken up by the preconditioner.
#[test]
fn newton_takes_a_product_an_eigenvalue() {
    let shape = (4, 5);
    let mut case = Case::<f64>::new(11, shape);
    let g: DMatrix<f64> = case.draw.matrix(shape);
    let a: DVector<f64> = case.draw.vector(4);
    let b: DVector<f64> = case.draw.vector(4);
    let (kinks, stiffness) = kinked(&mut case);
    let zero = DMatrix::zeros(4, 4);
    let (one, two) = (
        &a * a.transpose(),
        &a * a.transpose() * 2.0 + &b * b.transpose(),
    );
    for (outer, distinct) in [(zero, 1), (one, 2), (two, 3)] {
        case.energy.outer = outer;
        for (kinks, stiffness) in [
            (&smooth(&case), &stiffness * 0.0),
            (&kinks, stiffness.clone()),
        ] {
            let found = turn(&mut case, false, kinks, (&g, 2.0, 1e-6));
            assert_eq!(found.products, distinct);
            let wanted = -solve(&(case.gauss_newton() + stiffness + identity(&g) * 2.0), &g);
            assert_close(&found.d, &wanted, 1e-6);
        }
    }
    let found = turn(&mut case, false, &kinks, (&(&g * 0.0), 2.0, 1e-6));
    assert_eq!((found.products, found.negative), (0, None));
    assert_eq!(found.d, &g * 0.0);
}

/// One product is enough as soon as the residual that it leaves is below `forcing |g|`.
#[test]
fn newton_stops_at_the_forcing() {
    let mut case = Case::<f64>::new(12, (3, 4));
    let (g, kinks): (DMatrix<f64>, _) = (case.draw.matrix((3, 4)), smooth(&case));
    let a: DVector<f64> = case.draw.vector(3);
    case.energy.outer = &a * a.transpose() / a.norm_squared();
    let hg = apply(&(case.gauss_newton() + identity(&g)), &g);
    let step = case.inner(&g, &g) / case.inner(&g, &hg);
    let left = case.norm(&(&g - &hg * step)) / case.norm(&g);
    assert!(left > 0.05 && left < 0.95);
    for scale in [1.0, 1e3, 1e-3] {
        let g = &g * scale;
        assert_eq!(
            turn(&mut case, false, &kinks, (&g, 1.0, left * 0.999)).products,
            2
        );
        let found = turn(&mut case, false, &kinks, (&g, 1.0, left * 1.001));
        assert_eq!(found.products, 1);
        assert_close(&found.d, &(&g * -step), 1e-14);
        assert_eq!(turn(&mut case, false, &kinks, (&g, 1.0, 1.0)).products, 0);
    }
}

/// In the plane the second direction of conjugate gradients is known: the one conjugate to the first.
#[test]
fn newton_tells_how_negative_the_curvature_is() {
    let mut case = Case::<f64>::new(13, (2, 1));
    let kinks = smooth(&case);
    case.energy.outer.fill(0.0);
    case.energy.cubic.fill(0.0);
    case.energy.own = DMatrix::from_diagonal(&DVector::from_vec(vec![4.0, -2.0]));
    let system = |g: [f64; 2]| DMatrix::from_column_slice(2, 1, &g);

    let found = turn(&mut case, true, &kinks, (&system([0.0, 3.0]), 0.5, 1e-6));
    assert_eq!((found.d, found.products), (system([0.0, 0.0]), 1));
    assert_near(found.negative.unwrap(), 1.5, 1e-6);

    let g = system([2.0, 1.0]);
    let h = DVector::from_vec(vec![4.5, -1.5]);
    let bent = DVector::from_vec(vec![9.0, -1.5]);
    let conjugate = DVector::from_vec(vec![1.5, 9.0]).normalize();
    let found = turn(&mut case, true, &kinks, (&g, 0.5, 1e-6));
    assert_eq!(found.products, 2);
    assert_close(
        &found.d,
        &(&g * (-g.norm_squared() / g.column(0).dot(&bent))),
        1e-6,
    );
    assert_near(
        found.negative.unwrap(),
        -conjugate.component_mul(&conjugate).dot(&h),
        1e-6,
    );
}

#[test]
fn newton_needs_a_finite_curvature() {
    let mut case = Case::<f64>::new(14, (2, 3));
    let (g, kinks): (DMatrix<f64>, _) = (case.draw.matrix((2, 3)), smooth(&case));
    for outer in [f64::NAN, f64::INFINITY] {
        case.energy.outer.fill(outer);
        let found = turn(&mut case, false, &kinks, (&g, 1.0, 1e-6));
        assert_eq!((found.d, found.products), (&g * 0.0, 1));
        assert_eq!(
            found.negative,
            Some(0.0),
            "no number tells how negative it is"
        );
    }
}

/// A particle of weight 0 on another one, with its gradient, goes with it.
#[test]
fn a_particle_without_weight_goes_with_its_twin() {
    let mut case = Case::<f64>::new(15, (3, 3));
    let mut g: DMatrix<f64> = case.draw.matrix((3, 3));
    case.mu.weights_mut()[2] = 0.0;
    for u in [&mut g, &mut case.points] {
        let twin = u.column(0).clone_owned();
        u.set_column(2, &twin);
    }
    let kinks = smooth(&case);
    for exact in [false, true] {
        let d = turn(&mut case, exact, &kinks, (&g, 2.0, 1e-6)).d;
        assert!(d.norm() > 0.0);
        assert_eq!(d.column(2), d.column(0));
    }
}

/// A hundredth of the size of the curvature along the gradient, as the energy tells it or differences do.
fn starts<T: Real>() {
    for (seed, shape) in SHAPES.into_iter().enumerate() {
        let mut case = Case::<T>::new(21 + seed as u64, shape);
        case.energy.own *= real::<T>(-4.0);
        let x = case.start();
        for silent in [false, true] {
            case.energy.silent = silent;
            case.mu.points_mut().fill(real(5.0));
            let matrix = if silent {
                case.hessian()
            } else {
                case.gauss_newton()
            };
            let along = case.inner(&x.gradient, &apply(&matrix, &x.gradient));
            let wanted = (along / case.inner(&x.gradient, &x.gradient)).abs();
            let mut scratch = Scratch::new(shape, Vec::new());
            let damping = Damping::new(&mut case.problem(), &x, &mut scratch);
            assert_near(
                damping.typical,
                wanted,
                real::<T>(200.0) * epsilon::<T>().sqrt(),
            );
            assert_near(
                damping.value,
                damping.typical / real(100.0),
                real::<T>(4.0) * epsilon(),
            );
            assert_eq!(scratch.into_fields().len(), 1);
        }
    }
    let mut case = Case::<T>::new(31, (2, 2));
    let mut x = case.start();
    x.gradient.fill(T::zero());
    let damping = Damping::new(
        &mut case.problem(),
        &x,
        &mut Scratch::new((2, 2), Vec::new()),
    );
    assert_eq!((damping.value, damping.typical), (T::zero(), T::zero()));
}

#[test]
fn the_damping_starts_from_the_curvature_along_the_gradient() {
    starts::<f32>();
    starts::<f64>();
}

/// Less where the model tells the decrease, more where it does not, in the units of a curvature; never 0.
fn follows<T: Real>() {
    for typical in [1e-3, 1.0, 1e3].map(real::<T>) {
        let after = |value: T, gain: f64| {
            let mut damping = Damping { value, typical };
            damping.follow(real(gain));
            assert_eq!(damping.typical, typical);
            damping.value
        };
        let usual = typical * real(0.01);
        assert!(after(usual, 1.0) < usual && after(usual, 1.5) < usual);
        assert!(after(usual, 0.0) > usual && after(usual, -1.0) > usual);
        assert_eq!(after(usual, 0.5), usual);
        for gain in [1.0, 0.0] {
            assert_near(
                after(usual, gain) / usual,
                after(typical, gain) / typical,
                real::<T>(4.0) * epsilon(),
            );
        }
        let mut least = typical;
        for _ in 0..100 {
            least = after(least, 1.0);
        }
        assert!(least > T::zero() && least < typical * epsilon::<T>().sqrt());
        assert!(after(least, 0.0) > least);
    }
}

#[test]
fn the_damping_follows_the_gain() {
    follows::<f32>();
    follows::<f64>();
}
