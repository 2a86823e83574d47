//! The parts of a descent against dense systems and definitions.

use super::super::proximal::fixture::{Case, assert_close, assert_near, identity, solve};
use super::fixture::{Bench, copy};
use super::*;

/// `V = k |w - 1|^2 / 2` in every coordinate.
fn bowl(weights: &[f64], points: &[f64], k: f64) -> Bench {
    Bench::new(weights, points, move |_, w, out| {
        out.iter_mut()
            .zip(w)
            .for_each(|(out, w)| *out = k * (w - 1.0));
        w.iter().map(|w| 0.5 * k * (w - 1.0) * (w - 1.0)).sum()
    })
}

/// `r^2 / (rate + curvature)` far below the rounding is lost, far above it is not.
#[test]
fn lost_is_what_rounding_hides() {
    let mut bench = bowl(&[0.5, 2.0], &[3.0, -2.0], 1.0);
    let x = bench.start();
    for (rate, typical) in [(100.0, 0.01), (0.01, 100.0), (50.0, 50.0), (1e-3, 1e-3)] {
        bench.rate = rate;
        for noise in [0.0, 1e-3, 1e3] {
            let mut descent = bench.descent(&x, &[1.0, 1.0], 1.0);
            (descent.noise, descent.damping.typical) = (noise, typical);
            let level = noise.max(bench.problem().noise(&x)) * (rate + typical);
            assert!(descent.lost(&mut bench.problem(), &x, level.sqrt()));
            assert!(!descent.lost(&mut bench.problem(), &x, (level * 1e6).sqrt()));
        }
    }
}

/// The direction of the damped Newton method, by Gauss and Newton or exact, and its slope.
#[test]
fn turn_solves_the_dense_system() {
    for (shape, exact) in [
        ((1, 1), false),
        ((3, 2), false),
        ((2, 4), false),
        ((2, 3), true),
    ] {
        let mut case = Case::<f64>::new(3, shape);
        case.energy.own += DMatrix::identity(shape.0, shape.0) * 5.0;
        let x = case.start();
        let zero = vec![0.0; x.v.len()];
        let mut descent = bowl(&vec![1.0; shape.1], x.v.as_slice(), 1.0).descent(&x, &zero, 1.0);
        (descent.exact, descent.damping.value) = (exact, 0.4);
        let residual = case.norm(&x.gradient);
        let mut scratch = Scratch::new(shape, Vec::new());
        let slope = descent.turn(&mut case.problem(), &x, residual, false, &mut scratch);
        let hessian = if exact {
            case.hessian()
        } else {
            case.gauss_newton()
        };
        let wanted = -solve(&(hessian + identity(&x.v) * (case.rate + 0.4)), &x.gradient);
        assert_close(&descent.d, &wanted, 1e-5);
        assert_near(slope, case.inner(&x.gradient, &descent.d), 1e-12);
        assert!(slope < 0.0 && descent.exact == exact && descent.damping.value == 0.4);
        // After a failure it is the cautious gradient step.
        let slope = descent.turn(&mut case.problem(), &x, residual, true, &mut scratch);
        let length = case.problem().cautious(&x, residual);
        assert_close(&descent.d, &(&x.gradient * -length), 1e-15);
        assert_near(slope, case.inner(&x.gradient, &descent.d), 1e-12);
    }
}

/// Negative curvature `-k` raises the damping beyond `k`, but not far.
#[test]
fn turn_raises_the_damping_on_negative_curvature() {
    for (k, value) in [(0.1, 0.01), (10.0, 0.5), (1e3, 1.0)] {
        let mut bench = bowl(&[0.5, 2.0], &[3.0, -2.0], -k);
        let x = bench.start();
        let mut descent = bench.descent(&x, &[0.0, 0.0], 1.0);
        descent.damping.value = value;
        let mut scratch = Scratch::new((1, 2), Vec::new());
        let residual = bench.inner(&x.gradient, &x.gradient).sqrt();
        let slope = descent.turn(&mut bench.problem(), &x, residual, false, &mut scratch);
        assert!(descent.damping.value > k && descent.damping.value <= 4.0 * k && slope < 0.0);
        assert_close(
            &descent.d,
            &(&x.gradient / (k - descent.damping.value)),
            1e-5,
        );
    }
}

/// The brackets around a kink are halved seven times, the radius falls a hundredfold to that of the goal at most.
#[test]
fn shrink_halves_the_brackets() {
    for (start, moves) in [(f64::INFINITY, true), (f64::NEG_INFINITY, false)] {
        for (goal, radius) in [(1e-6, 0.1), (0.5, 0.5)] {
            let mut bench =
                Bench::line(0.0, |w| ((w - 0.3).abs(), if w < 0.3 { -1.0 } else { 1.0 }));
            let (from, mut x) = (bench.start(), bench.at(&DMatrix::from_element(1, 1, 1.0)));
            let goal = Goal {
                residual: 1e-6,
                radius: goal,
                iterations: 10,
            };
            let mut scratch = Scratch::new((1, 1), Vec::new());
            let mut descent = bench.descent(&x, &[0.0], 10.0);
            let mut y = copy(&x);
            descent.shrink(&mut bench.problem(), &mut x, &mut y, &goal, &mut scratch);
            assert_eq!(
                (descent.evaluations, descent.kinks.radius, x.v[0]),
                (0, radius, 1.0)
            );
            descent.kinks.radius = 10.0;
            descent.kinks.follow(&from, &x, 0.0);
            descent.start = start;
            descent.shrink(&mut bench.problem(), &mut x, &mut y, &goal, &mut scratch);
            assert_eq!((descent.evaluations, descent.kinks.radius), (8, radius));
            assert_eq!(x.v[0] == 1.0, !moves);
            if moves {
                let mut far = x.v.clone();
                descent.kinks.spread(&x, &mut far);
                assert!((x.v[0] - 0.3).abs() <= far[0] && (far[0] - 1.0 / 128.0).abs() < 1e-12);
            }
        }
    }
}

/// The ends of a descent, with the velocities asked for counted as evaluations and products.
#[test]
fn descend_counts_and_ends() {
    for (limit, k, from) in [
        (100, 2.0, 3.0),
        (1, 1e3, 3.0),
        (0, 2.0, 3.0),
        (100, 2.0, 1.0),
        (100, f64::NAN, 3.0),
    ] {
        let mut bench = bowl(&[0.5, 2.0], &[from, from], k);
        bench.rate = 0.5;
        let mut x = bench.start();
        let before = bench.energy.calls;
        let goal = Goal {
            residual: 1e-9,
            radius: 1e-9,
            iterations: limit,
        };
        let mut scratch = Scratch::new((1, 2), Vec::new());
        let ending = descend(&mut bench.problem(), &mut x, 0.01, &goal, &mut scratch);
        assert_eq!(
            bench.energy.calls - before,
            ending.evaluations + ending.products
        );
        assert_eq!(ending.converged, limit == 100 && k > 0.0);
        if !ending.converged {
            assert_eq!(ending.iterations, if k.is_nan() { 0 } else { limit });
        } else {
            assert!(
                (x.v[0] - (0.5 * from + k) / (0.5 + k)).abs() < 1e-8 && ending.residual <= 1e-9
            );
            assert_eq!(ending.iterations == 0, from == 1.0);
        }
    }
}
