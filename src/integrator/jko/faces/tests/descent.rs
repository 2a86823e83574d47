//! Whole descents: their counts and their ends.

use super::*;

fn goal<T: Real>(residual: f64, radius: f64, iterations: usize) -> Goal<T> {
    Goal {
        residual: real(residual),
        radius: real(radius),
        iterations,
    }
}

fn minimises<T: Real>() {
    for (seed, shape) in [(1, 1), (1, 3), (3, 1), (2, 3)].into_iter().enumerate() {
        let mut case = quadratic::<T>(41 + seed as u64, shape);
        let mut x = case.start();
        let mut scratch = scratch(&x);
        let (start, g) = (x.value, x.gradient.clone());
        let wanted = &x.v - solve(&(case.hessian() + identity(&g) * case.rate), &g);
        let tolerance = epsilon::<T>().sqrt();
        let goal = Goal {
            residual: tolerance * case.norm(&g) * real(0.1),
            radius: tolerance,
            iterations: 100,
        };
        let end = follow(&mut case.problem(), &mut x, T::one(), &goal, &mut scratch).expect("told");
        assert!(
            end.converged
                && end.residual <= goal.residual
                && end.iterations > 0
                && end.iterations < 100
        );
        assert_near(end.residual, case.norm(&x.gradient), real(1e-3));
        assert!(x.value < start);
        assert!(
            (&x.v - &wanted).amax() <= real::<T>(10.0) * tolerance * (T::one() + wanted.amax())
        );
        // From the minimum there is nothing to do.
        let end = follow(&mut case.problem(), &mut x, T::one(), &goal, &mut scratch).expect("told");
        assert!(end.converged && end.iterations == 0);
        let lent = scratch.into_fields();
        assert!(lent.len() >= 5);
    }
}

#[test]
fn a_quadratic_is_minimised() {
    minimises::<f32>();
    minimises::<f64>();
}

#[test]
fn without_first_variation_there_is_no_descent() {
    let mut case = quadratic::<f64>(51, (2, 2));
    case.energy.silent = true;
    let mut x = case.start();
    let mut scratch = scratch(&x);
    assert!(
        follow(
            &mut case.problem(),
            &mut x,
            1.0,
            &goal(1e-9, 1e-9, 9),
            &mut scratch
        )
        .is_none()
    );
}

/// `50 (v - u^2)^2 + (1 - u)^2` and its gradient: a bent valley.
fn valley(w: &[f64]) -> (f64, [f64; 2]) {
    let (a, b) = (w[1] - w[0] * w[0], 1.0 - w[0]);
    (
        50.0 * a * a + b * b,
        [-200.0 * a * w[0] - 2.0 * b, 100.0 * a],
    )
}

/// Every call is counted once.
#[test]
fn every_call_of_the_energy_is_counted_and_no_iteration_is_above_the_limit() {
    let of = |v: &DMatrix<f64>| {
        let (mut value, mut g) = (0.0, v * 0.0);
        for (i, w) in v.column_iter().enumerate() {
            let (own, gradient) = valley(&[w[0], w[1]]);
            value += [1.25, 1.0][i] * own;
            g.column_mut(i).copy_from_slice(&gradient);
        }
        (value, g)
    };
    for limit in [0, 1, 2, 3, 5, 200] {
        let mut world = World::new(&of, &[], &plane(&[[-1.0, 1.5], [0.5, -0.5]]));
        world.energy.own = Some(valley);
        let mut x = world.point();
        let (start, mut scratch) = (x.value, scratch(&x));
        let end = follow(
            &mut world.problem(),
            &mut x,
            1.0,
            &goal(1e-7, 1e-9, limit),
            &mut scratch,
        )
        .expect("told");
        assert_eq!(end.evaluations + end.products, world.energy.calls);
        assert!(end.iterations <= limit && x.value <= start);
        assert_eq!(x.value, of(&x.v).0);
        assert_eq!(end.converged, limit == 200);
        assert!(end.converged || end.iterations == limit);
        if limit == 200 {
            assert!((&x.v - DMatrix::from_element(2, 2, 1.0)).amax() < 1e-5);
        }
    }
}

/// An energy whose gradient promises what its values do not hold ends the descent where it is.
#[test]
fn a_descent_that_finds_nothing_gives_up() {
    let start = plane(&[[0.0, 0.0], [0.0, 0.0]]);
    // The gradient, the value, and whether what is to gain is lost in its rounding.
    for (slope, value, lost) in [(1.0, 1.0, false), (1e-3, 1e7, true)] {
        let of = |v: &DMatrix<f64>| {
            let rise = if v == &start { 0.0 } else { 1.0 };
            (value + rise, DMatrix::from_element(2, 2, slope))
        };
        let mut world = World::new(&of, &[], &start);
        let mut x = world.point();
        let mut scratch = scratch(&x);
        let end = follow(
            &mut world.problem(),
            &mut x,
            1.0,
            &goal(1e-9, 1e-9, 500),
            &mut scratch,
        )
        .expect("told");
        assert_eq!((x.v, end.converged), (start.clone(), lost));
        assert!(
            end.iterations > 1 && end.iterations < 100,
            "{}",
            end.iterations
        );
        assert_near(end.residual, slope * 4.5_f64.sqrt(), 1e-12);
        assert_eq!(end.evaluations + end.products, world.energy.calls);
    }
}

/// A decrease below the rounding of `P` with a gradient that no longer falls is the end.
#[test]
fn where_the_decrease_is_lost_in_rounding_the_descent_has_converged() {
    let of = |_: &DMatrix<f64>| (1e12, DMatrix::from_element(2, 2, 1e-3));
    let mut world = World::new(&of, &[], &plane(&[[0.0, 0.0], [0.0, 0.0]]));
    let mut x = world.point();
    let mut scratch = scratch(&x);
    let end = follow(
        &mut world.problem(),
        &mut x,
        1.0,
        &goal(1e-9, 1e-9, 500),
        &mut scratch,
    )
    .expect("told");
    assert!(
        end.converged && end.residual > 1e-9 && end.iterations < 6,
        "{}",
        end.iterations
    );
}

#[test]
fn a_gradient_that_is_not_finite_ends_the_descent() {
    for bad in [f64::NAN, f64::INFINITY] {
        let of = move |_: &DMatrix<f64>| (1.0, DMatrix::from_element(2, 2, bad));
        let start = plane(&[[0.0, 0.0], [0.0, 0.0]]);
        let mut world = World::new(&of, &[], &start);
        let mut x = world.point();
        let mut scratch = scratch(&x);
        let end = follow(
            &mut world.problem(),
            &mut x,
            1.0,
            &goal(1e-9, 1e-9, 9),
            &mut scratch,
        )
        .expect("told");
        assert!(!end.converged && end.iterations == 0 && !end.residual.is_finite());
        assert_eq!(x.v, start);
    }
}

/// Kinks are looked for within the radius wanted, or what the rounding of the points needs, but no more than a part of the reach.
#[test]
fn kinks_are_seen_from_what_the_points_resolve() {
    for (kink, size, radius, reach, seen) in [
        (1e-4, 1.0, 1e-15, 1.0, false),
        (1e-4, 1.0, 1e-3, 1.0, true),
        (1e-9, 1e6, 1e-15, 1e3, true),
        (1e-8, 1e6, 1e-15, 1e-6, false),
        (1e-8, 1e6, 1e-7, 1e-6, true),
    ] {
        let start = plane(&[[0.0, 0.0], [0.0, size]]);
        let of = |v: &DMatrix<f64>| {
            (
                (v[(0, 0)] - kink).abs(),
                plane(&[[(v[(0, 0)] - kink).signum(), 0.0], [0.0, 0.0]]),
            )
        };
        let mut world = World::new(&of, &[kink], &start);
        let mut x = world.point();
        let mut scratch = scratch(&x);
        let end = follow(
            &mut world.problem(),
            &mut x,
            reach,
            &goal(1e-15, radius, 0),
            &mut scratch,
        )
        .expect("told");
        assert_eq!(end.iterations, 0);
        assert_eq!(x.v[(0, 0)] != 0.0, seen, "{kink} {size} {radius} {reach}");
    }
}
