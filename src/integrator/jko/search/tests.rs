//! Searches along lines whose values, walls and kinks are known.

use super::super::descent::fixture::{Bench, copy};
use super::super::direction::Damping;
use super::*;

/// `V = offset + k w^2 / 2`.
fn quadratic(k: f64, offset: f64) -> impl Fn(f64) -> (f64, f64) + 'static {
    move |w| (offset + k * w * w * 0.5, k * w)
}

/// `V = -w` up to `end`, and flat beyond.
fn ramp(end: f64) -> impl Fn(f64) -> (f64, f64) + 'static {
    move |w| {
        if w < end {
            (10.0 - w, -1.0)
        } else {
            (10.0 - end, 0.0)
        }
    }
}

fn moved(outcome: &Search) -> bool {
    matches!(outcome, Search::Moved)
}

/// Searches along `d` on the line from a point, with damping 1 and no kinks; returns the point found too.
fn along(bench: &mut Bench, d: f64, radius: f64) -> (Search, Descent<f64>, f64) {
    let mut x = bench.start();
    let mut descent = bench.descent(&x, &[d], radius);
    let outcome = bench.search(&mut descent, &mut x);
    assert!(!moved(&outcome) || x.value <= descent.start);
    assert!(moved(&outcome) || x.v == bench.points);
    (outcome, descent, x.v[0])
}

/// A step that decreases `P` by at least half of `|slope| / 2` is taken whole at the first trial, whatever the scale of things.
#[test]
fn the_full_step_is_taken_where_the_model_told_right() {
    for (k, offset) in [(2.0, 0.0), (2.0, 50.0), (1e-4, -1.0), (1e5, 3.0)] {
        // P(x + t d) - P(x) = (t - a t^2 / 2) slope.
        for (a, told) in [
            (0.6, true),
            (1.0, true),
            (1.3, true),
            (1.45, true),
            (1.55, false),
            (1.9, false),
        ] {
            let mut bench = Bench::line(3.0, quadratic(k, offset));
            let (outcome, descent, to) = along(&mut bench, -3.0 * a, 0.0);
            assert!(moved(&outcome));
            assert_eq!(descent.evaluations == 1, told, "k = {k}, {a}");
            assert_eq!(descent.smooth, told);
            assert!(descent.exact && descent.noise == 0.0 && descent.lessons == 0);
            if told {
                assert_eq!(to, 3.0 - 3.0 * a);
                let mut damping = Damping {
                    value: 1.0,
                    typical: 1.0,
                };
                damping.follow(2.0 - a);
                assert!((descent.damping.value - damping.value).abs() < 1e-12);
            }
        }
    }
}

/// A decrease too small for the model is taken after other trials only.
#[test]
fn small_decreases_are_taken_late() {
    for (end, told) in [(0.3, true), (0.26, true), (0.24, false), (0.05, false)] {
        let (outcome, descent, to) = along(&mut Bench::line(0.0, ramp(end)), 1.0, 0.0);
        assert!(moved(&outcome) && to == 1.0);
        assert_eq!(descent.evaluations == 1, told);
        assert_eq!(descent.smooth, told);
        assert!(
            told || descent.damping.value == 1.0,
            "a full step that is late says nothing of the damping"
        );
        assert!(descent.exact);
    }
}

/// A minute decrease is none: the step is halved until the decrease is in proportion to the slope.
#[test]
fn the_decrease_must_be_sufficient() {
    let dip = |w: f64| if w < 0.01 { (-w, -1.0) } else { (-1e-8, 0.0) };
    let (outcome, descent, to) = along(&mut Bench::line(0.0, dip), 1.0, 0.0);
    assert!(moved(&outcome) && to == 1.0 / 128.0);
    assert!(!descent.exact && !descent.smooth);

    // Nothing is lower, nothing is flatter.
    let mut bench = Bench::line(0.0, |w| (1e6 - 1e-9 * w, -1e-9));
    bench.energy.quantum = 1.0;
    assert!(matches!(along(&mut bench, 1.0, 0.0).0, Search::Failed));
}

/// Beyond a point the energy, its gradient or both are not finite: the step is the first of the halves that ends before it.
#[test]
fn steps_stop_short_of_what_is_not_finite() {
    let (nan, minus) = (f64::NAN, f64::NEG_INFINITY);
    for beyond in [
        (nan, nan),
        (-1e3, nan),
        (nan, -1.0),
        (minus, -1.0),
        (-1e3, minus),
    ] {
        for (k, end) in [(1, 0.6), (2, 0.3), (4, 0.1), (9, 0.003)] {
            let wall = move |w: f64| if w < end { (10.0 - w, -1.0) } else { beyond };
            let mut bench = Bench::line(0.0, wall);
            let mut x = bench.start();
            let mut descent = bench.descent(&x, &[1.0], 0.0);
            descent.damping.value = 1e-3;
            assert!(moved(&bench.search(&mut descent, &mut x)));
            let t = 0.5_f64.powi(k);
            assert_eq!((x.v[0], descent.evaluations), (t, k as usize + 1));
            assert_eq!(descent.exact, t > 0.1);
            assert!(!descent.smooth);
            // d^T (c + s) d = -slope / t for the curvature s that is missing; |slope| = |d|^2 here.
            assert!((descent.damping.value - (1.0 / t - 1.0)).abs() < 1e-9);
        }
        let wall = move |w: f64| if w == 0.0 { (0.0, -1.0) } else { beyond };
        let (outcome, descent, _) = along(&mut Bench::line(0.0, wall), 1.0, 0.0);
        assert!(matches!(outcome, Search::Failed));
        assert_eq!((descent.gain, descent.noise), (0.5, 0.0));
    }
}

/// A wall in the values is as good as one of numbers that are not finite.
#[test]
fn steps_stop_short_of_a_wall() {
    for (t, end) in [(0.5, 0.6), (0.25, 0.3), (1.0 / 512.0, 0.003)] {
        let wall = move |w: f64| {
            if w < end {
                (10.0 - w, -1.0)
            } else {
                (11.0, -1.0)
            }
        };
        let (outcome, descent, to) = along(&mut Bench::line(0.0, wall), 1.0, 0.0);
        assert!(moved(&outcome));
        assert_eq!((to, descent.lessons), (t, 0));
    }
}

/// The damping raised is the curvature that would have made the Newton step t times as long.
#[test]
fn accept_raises_the_damping_to_the_curvature_missing() {
    let mut bench = Bench::new(&[0.5, 2.0], &[1.0, 2.0], |_, w, out| {
        out[0] = w[0];
        w[0] * w[0] * 0.5
    });
    let from = bench.start();
    let d = [-0.4, -0.2];
    for (t, exact) in [
        (0.5, true),
        (0.25, true),
        (0.125, true),
        (0.0625, false),
        (1.0 / 256.0, false),
    ] {
        for (value, was) in [(1e-6, true), (1e-6, false), (1e4, true)] {
            let (mut x, mut y) = (copy(&from), bench.at(&(&from.v * (1.0 - 0.1 * t))));
            let mut descent = bench.descent(&x, &d, 0.0);
            (descent.damping.value, descent.exact) = (value, was);
            let slope = bench.slope(&descent);
            // (s + bent) = s / t for the curvature s = |slope| / |d|^2 along d.
            let s = -slope / bench.inner(&descent.d, &descent.d);
            let expected = s / t - s;
            let shares = Shares::new(2);
            let end = y.v.clone();
            descent.accept(&mut bench.problem(), &mut x, &mut y, (t, 5, slope), &shares);
            if value < 1.0 {
                assert!((descent.damping.value - expected).abs() < 1e-9 * expected);
            } else {
                assert!(descent.damping.value >= 2.0 * value, "raised in any case");
            }
            assert_eq!(descent.exact, exact && was);
            assert!(x.v == end && y.v == from.v);
        }
    }
}

/// A full step at the first trial lets the damping follow how well the model told; a later one tells nothing.
#[test]
fn accept_follows_full_steps() {
    let mut bench = Bench::line(1.0, quadratic(1.0, 7.0));
    let from = bench.start();
    for (to, trial) in [(0.99, 0), (0.7, 0), (0.5, 0), (0.0, 0), (0.7, 1), (0.99, 6)] {
        let (mut x, mut y) = (copy(&from), bench.at(&(&from.v * to)));
        let mut descent = bench.descent(&x, &[-1.0], 0.0);
        descent.exact = false;
        let mut damping = Damping {
            value: 1.0,
            typical: 1.0,
        };
        if trial == 0 {
            damping.follow((1.0 - to * to) * 0.25 / 0.25);
        }
        descent.accept(
            &mut bench.problem(),
            &mut x,
            &mut y,
            (1.0, trial, -0.5),
            &Shares::new(1),
        );
        assert!((descent.damping.value - damping.value).abs() < 1e-12);
        assert_eq!(descent.smooth, trial == 0);
        assert!(!descent.exact);
    }
}

/// A particle that has crossed a jump of its gradient leaves a site behind, one that has crossed a bend does not.
#[test]
fn accept_follows_kinks() {
    // The curvature at which a bend is taken for a jump lies well between a tenth and ten thousand times that of the model.
    for (rate, typical) in [(100.0, 0.01), (0.01, 100.0), (50.0, 50.0)] {
        for (steep, kink) in [(1e3, false), (1e6, true)] {
            let mut bench = Bench::line(0.0, |_| (0.0, 0.0));
            bench.rate = rate;
            let (mut x, mut y) = (bench.start(), bench.start());
            (x.gradient[0], y.gradient[0], y.v[0]) = (-steep * 0.5, steep * 0.5, 1.0);
            let mut descent = bench.descent(&x, &[1.0], 10.0);
            descent.damping.typical = typical;
            descent.accept(
                &mut bench.problem(),
                &mut x,
                &mut y,
                (1.0, 0, -1.0),
                &Shares::new(1),
            );
            descent.kinks.shortest(&x, &mut descent.z);
            assert_eq!(descent.z[0] == 0.0, kink, "{rate}, {typical}: {steep}");
        }
    }
}

/// `|w - c|` for particle 0, a quadratic for particle 1 with its minimum at 1.
fn mixed(c: f64) -> Bench {
    Bench::new(&[0.5, 2.0], &[0.0, 0.0], move |i, w, out| {
        out[0] = if i == 0 {
            (w[0] - c).signum()
        } else {
            w[0] - 1.0
        };
        if i == 0 {
            (w[0] - c).abs()
        } else {
            0.5 * (w[0] - 1.0) * (w[0] - 1.0)
        }
    })
}

/// The particle that meets a kink stops near it, the other goes its whole way; the kink is gathered.
#[test]
fn kinks_are_gathered_on_the_way() {
    let mut bench = mixed(1.5);
    let mut x = bench.start();
    let mut descent = bench.descent(&x, &[20.0, 1.0], 10.0);
    let outcome = bench.search(&mut descent, &mut x);
    assert!(moved(&outcome) && x.value < descent.start);
    assert_eq!(x.v[1], 1.0);
    assert!(x.v[0] > 0.0 && x.v[0] < 1.5);
    descent.kinks.shortest(&x, &mut descent.z);
    assert_eq!(descent.z.as_slice(), [0.0, 0.0]);
}

/// Where all trials cross a kink the search tells of it, without a move, as often as it is let, and where the hulls change by it.
#[test]
fn learns_of_kinks() {
    for (radius, lessons, c, learned) in [
        (10.0, 0, 0.01, true),
        (10.0, 1, 0.01, true),
        (0.01, 0, 0.01, false),
        (10.0, 100, 0.01, false),
    ] {
        let mut bench = Bench::line(0.0, move |w: f64| ((w - c).abs(), (w - c).signum()));
        let mut x = bench.start();
        let mut descent = bench.descent(&x, &[1.0], radius);
        descent.lessons = lessons;
        let outcome = bench.search(&mut descent, &mut x);
        assert_eq!(
            matches!(outcome, Search::Learned),
            learned,
            "{radius}, {lessons}"
        );
        if learned {
            assert!(
                x.v[0] == 0.0 && descent.lessons == lessons + 1 && descent.damping.value == 1.0
            );
            descent.kinks.shortest(&x, &mut descent.z);
            assert_eq!(descent.z[0], 0.0);
        } else {
            assert!(moved(&outcome) && x.v[0] < 2.0 * c && descent.lessons == lessons);
        }
    }
}

/// Values that do not change: what the slopes tell of a decrease between them is the rounding of the values, and what could be
/// gained is what the slope tells up to the minimum on the line.
#[test]
fn contradictions_of_values_and_slopes_are_noise() {
    for k in [1e-3, 1.0, 1e3] {
        // The minimum is at the share s of the direction.
        for s in [1.0 / 3.0, 0.1, 0.011] {
            for offset in [0.0, -300.0 * k] {
                let mut bench = Bench::line(1.0, quadratic(k, offset));
                bench.energy.quantum = 100.0 * k;
                let (outcome, descent, _) = along(&mut bench, -1.0 / s, 0.0);
                assert!(matches!(outcome, Search::Failed));
                // <z, s d>
                let gain = 0.5 * k;
                assert!(
                    descent.gain >= gain * 0.999 && descent.gain <= 2.0 * gain,
                    "{} {gain}",
                    descent.gain
                );
                // The largest of -<g(x + t d), t d> is gain / 4, at t = s / 2.
                assert!(
                    descent.noise > 0.18 * gain && descent.noise <= 0.2501 * gain,
                    "{} {gain}",
                    descent.noise
                );
                assert!(descent.damping.value >= 2.0 && descent.damping.value < 1e4);
            }
        }
    }
}

/// A quantum that is small against the decrease is never overestimated: convex values contradict slopes by rounding alone.
#[test]
fn noise_is_at_most_the_quantum() {
    let mut failed = 0;
    for round in 0..60 {
        let from = 1.0 + 0.01 * f64::from(round);
        for quantum in [1.0, 0.1, 1e-3] {
            let mut bench = Bench::line(from, quadratic(1.0, 20.0));
            bench.energy.quantum = quantum;
            let (outcome, descent, to) = along(&mut bench, -3.5 * from, 0.0);
            assert!(descent.noise <= quantum * 1.0001);
            if moved(&outcome) {
                assert!(to.abs() < from && descent.noise == 0.0);
            } else {
                failed += 1;
                assert!(descent.noise > 0.0);
            }
        }
    }
    assert!(failed > 0 && failed < 120, "{failed}");
}
