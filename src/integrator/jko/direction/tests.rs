//! Directions against dense systems and dense updates, in the inner product of the weights.

use nalgebra::DVector;

use super::super::proximal::fixture::{Case, apply, assert_close, assert_near, blocks, identity, solve};
use super::*;

/// A direction of [`newton`], what it returns, and the products that it took.
struct Turn<T> {
    d: DMatrix<T>,
    negative: Option<T>,
    products: usize,
}

/// `(H + K + shift) d = -g`, up to `forcing`; at `exact` or else by Gauss and Newton.
fn turn<T: Real>(
    case: &mut Case<T>,
    exact: Option<&Point<T>>,
    kinks: &Kinks<T>,
    (g, shift, forcing): (&DMatrix<T>, T, T),
) -> Turn<T> {
    let (mut scratch, mut d, mut products) = (Scratch::new(case.shape(), Vec::new()), g.clone(), 5);
    let system = (g, shift, forcing, shift);
    let negative = newton(&mut case.problem(), exact, kinks, system, &mut d, &mut scratch, &mut products);
    let held = scratch.into_fields().len();
    let mut again = (Scratch::new(case.shape(), vec![g.clone(); held]), g.clone(), 0);
    newton(&mut case.problem(), exact, kinks, system, &mut again.1, &mut again.0, &mut again.2);
    assert_eq!(again.0.into_fields().len(), held, "the fields are given back");
    Turn { d, negative, products: products - 5 }
}

fn smooth<T: Real>(case: &Case<T>) -> Kinks<T> {
    Kinks::new(case.shape().1, T::one())
}

/// Particle 0 and the last have come across a kink of unit normal n, at a distance h, by a step along n. Returns `K = k n n^T` too.
fn kinked<T: Real>(case: &mut Case<T>) -> (Kinks<T>, DMatrix<T>) {
    let ((p, m), h, x) = (case.shape(), real::<T>(0.125), case.start());
    let mut kinks = Kinks::new(m, T::one());
    let copy = |x: &Point<T>| Point { v: x.v.clone(), velocity: x.v.clone(), gradient: x.v.clone(), ..*x };
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
            let found = turn(&mut case, None, &kinks, (&g, shift, epsilon()));
            assert_close(&found.d, &-solve(&(case.gauss_newton() + &stiff), &g), tight);
            assert_eq!(found.negative, Some(T::zero()));
            let x = case.start();
            let found = turn(&mut case, Some(&x), &kinks, (&g, shift, epsilon::<T>().sqrt()));
            let wanted = -solve(&(case.hessian() + &stiff), &g);
            assert_close(&found.d, &wanted, real::<T>(100.0) * epsilon::<T>().sqrt());
            assert_eq!(found.negative, Some(T::zero()));
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
    let (one, two) = (&a * a.transpose(), &a * a.transpose() * 2.0 + &b * b.transpose());
    for (outer, distinct) in [(zero, 1), (one, 2), (two, 3)] {
        case.energy.outer = outer;
        for (kinks, stiffness) in [(&smooth(&case), &stiffness * 0.0), (&kinks, stiffness.clone())] {
            let found = turn(&mut case, None, kinks, (&g, 2.0, 1e-6));
            assert_eq!(found.products, distinct);
            let wanted = -solve(&(case.gauss_newton() + stiffness + identity(&g) * 2.0), &g);
            assert_close(&found.d, &wanted, 1e-6);
        }
    }
    let found = turn(&mut case, None, &kinks, (&(&g * 0.0), 2.0, 1e-6));
    assert_eq!((found.products, found.negative), (0, Some(0.0)));
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
        assert_eq!(turn(&mut case, None, &kinks, (&g, 1.0, left * 0.999)).products, 2);
        let found = turn(&mut case, None, &kinks, (&g, 1.0, left * 1.001));
        assert_eq!(found.products, 1);
        assert_close(&found.d, &(&g * -step), 1e-14);
        assert_eq!(turn(&mut case, None, &kinks, (&g, 1.0, 1.0)).products, 0);
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
    let x = case.start();
    let system = |g: [f64; 2]| DMatrix::from_column_slice(2, 1, &g);

    let found = turn(&mut case, Some(&x), &kinks, (&system([0.0, 3.0]), 0.5, 1e-6));
    assert_eq!((found.d, found.products), (system([0.0, 0.0]), 1));
    assert_near(found.negative.unwrap(), 1.5, 1e-6);

    let g = system([2.0, 1.0]);
    let h = DVector::from_vec(vec![4.5, -1.5]);
    let bent = DVector::from_vec(vec![9.0, -1.5]);
    let conjugate = DVector::from_vec(vec![1.5, 9.0]).normalize();
    let found = turn(&mut case, Some(&x), &kinks, (&g, 0.5, 1e-6));
    assert_eq!(found.products, 2);
    assert_close(&found.d, &(&g * (-g.norm_squared() / g.column(0).dot(&bent))), 1e-6);
    assert_near(found.negative.unwrap(), -conjugate.component_mul(&conjugate).dot(&h), 1e-6);
}

#[test]
fn newton_needs_a_finite_curvature() {
    let mut case = Case::<f64>::new(14, (2, 3));
    let (g, kinks): (DMatrix<f64>, _) = (case.draw.matrix((2, 3)), smooth(&case));
    for outer in [f64::NAN, f64::INFINITY] {
        case.energy.outer.fill(outer);
        let found = turn(&mut case, None, &kinks, (&g, 1.0, 1e-6));
        assert_eq!((found.d, found.products), (&g * 0.0, 1));
        assert!(!found.negative.unwrap().is_finite());
    }
    case.energy.silent = true;
    let found = turn(&mut case, None, &kinks, (&g, 1.0, 1e-6));
    assert_eq!((found.d, found.products, found.negative), (&g * 0.0, 0, None));
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
    let (x, kinks) = (case.start(), smooth(&case));
    for exact in [None, Some(&x)] {
        let d = turn(&mut case, exact, &kinks, (&g, 2.0, 1e-6)).d;
        assert!(d.norm() > 0.0);
        assert_eq!(d.column(2), d.column(0));
    }
}

/// `<u, .>` as a row.
fn row<T: Real>(case: &Case<T>, u: &DMatrix<T>) -> DMatrix<T> {
    DMatrix::from_fn(1, u.len(), |_, l| case.mu.weight(l / u.nrows()) * u[l])
}

/// The update of Broyden, Fletcher, Goldfarb and Shanno: `H = (1 - s y*/sy) H (1 - y s*/sy) + s s*/sy`.
fn update<T: Real>(case: &Case<T>, inverse: &DMatrix<T>, s: &DMatrix<T>, y: &DMatrix<T>) -> DMatrix<T> {
    let column = |u: &DMatrix<T>| DMatrix::from_column_slice(u.len(), 1, u.as_slice());
    let (rho, one) = (T::one() / case.inner(s, y), DMatrix::identity(s.len(), s.len()));
    let left = &one - column(s) * row(case, y) * rho;
    let right = one - column(y) * row(case, s) * rho;
    left * inverse * right + column(s) * row(case, s) * rho
}

fn updates<T: Real>() {
    let shape = (3, 2);
    let mut case = Case::<T>::new(21, shape);
    let mut scratch = Scratch::new(shape, Vec::new());
    let (mut memory, first, mut kept) = (Memory::new(), real::<T>(0.375), Vec::new());
    let (g, mut d): (DMatrix<T>, DMatrix<T>) = (case.draw.matrix(shape), DMatrix::zeros(3, 2));
    let hessian = case.gauss_newton() + identity(&g) * real::<T>(0.5);
    for count in 0..PAIRS + 4 {
        let mut inverse = identity(&g) * first;
        if let Some((s, y)) = kept.last() {
            inverse = identity(&g) * (case.inner(s, y) / case.inner(y, y));
        }
        for (s, y) in &kept[count.saturating_sub(PAIRS)..] {
            inverse = update(&case, &inverse, s, y);
        }
        memory.direction(&mut case.problem(), (&g, first), &mut d);
        assert_close(&d, &-apply(&inverse, &g), real::<T>(3e4) * epsilon());
        if let Some((s, y)) = kept.last() {
            memory.direction(&mut case.problem(), (y, first), &mut d);
            assert_close(&d, &-s, real::<T>(3e4) * epsilon());
        }
        let s: DMatrix<T> = case.draw.matrix(shape);
        let y = apply(&hessian, &s);
        memory.keep(&mut case.problem(), s.clone(), y.clone(), &mut scratch);
        kept.push((s, y));
    }
    memory.clear(&mut scratch);
    assert_eq!(scratch.into_fields().len(), 2 * kept.len(), "all fields are given back");
    memory.direction(&mut case.problem(), (&g, first), &mut d);
    assert_eq!(d, &g * -first);
}

#[test]
fn the_memory_is_the_dense_update() {
    updates::<f32>();
    updates::<f64>();
}

/// Kept are pairs of positive curvature, whatever their units.
fn keeps<T: Real>() {
    let mut case = Case::<T>::new(22, (2, 1));
    let pair = |u: [f64; 2], scale: f64| DMatrix::from_column_slice(2, 1, &u.map(|u| real::<T>(u * scale)));
    let (g, first) = (pair([1.0, 2.0], 1.0), real::<T>(0.25));
    let unit = num_traits::ToPrimitive::to_f64(&epsilon::<T>()).unwrap();
    let (large, nan) = (2_f64.powi(29), f64::NAN);
    let angles = [(1.0, true), (unit.powf(0.25), true), (unit.powf(0.75), false), (0.0, false), (-0.5, false)];
    for (s_scale, y_scale) in
        [(1.0, 1.0), (large, large), (1.0 / large, 1.0 / large), (large, 1.0 / large), (1.0 / large, large)]
    {
        for (angle, wanted) in angles.into_iter().chain([(nan, false)]) {
            let (mut memory, mut scratch) = (Memory::new(), Scratch::new((2, 1), Vec::new()));
            let (s, y) = (pair([1.0, 0.0], s_scale), pair([angle, 1.0], y_scale));
            memory.keep(&mut case.problem(), s, y, &mut scratch);
            let mut d = g.clone();
            memory.direction(&mut case.problem(), (&g, first), &mut d);
            assert_eq!(d != &g * -first, wanted, "{angle}, {s_scale}, {y_scale}");
            assert_eq!(scratch.into_fields().len(), if wanted { 0 } else { 2 });
        }
    }
}

#[test]
fn the_memory_keeps_positive_curvature() {
    keeps::<f32>();
    keeps::<f64>();
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
            assert_near(after(usual, gain) / usual, after(typical, gain) / typical, real::<T>(4.0) * epsilon());
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
