//! Brackets around the kink of a function of two parabolas.

use super::*;

/// The end at `t` of slope `kappa (t - c) + jump (t > kink)`, up to a constant in the value.
fn end<T: Real>(t: T, kappa: T, c: T, (kink, jump): (T, T)) -> End<T> {
    let (half, past) = (real::<T>(0.5), (t - kink).max(T::zero()));
    let slope = kappa * (t - c) + if t > kink { jump } else { T::zero() };
    let value = half * kappa * (t - c) * (t - c) + jump * past;
    End {
        t,
        value,
        slope,
        gradient: vec![slope, half * slope],
    }
}

/// A bracket about to aim for the first time.
fn bracket<T: Real>(low: End<T>, high: End<T>, kappa: T, resolution: T) -> Bracket<T> {
    let first = (high.t - low.t, distance(&low.gradient, &high.gradient));
    let (guess, look, sides, last) = (T::one(), T::zero(), (false, false), real(4.0));
    Bracket {
        low,
        high,
        guess,
        look,
        first,
        kappa,
        sides,
        last,
        resolution,
    }
}

fn meets<T: Real>() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..40 {
        let mut draw = |a: f64, b: f64| real::<T>(rng.random_range(a..b));
        let (low, kink, high) = (draw(0.0, 0.4), draw(0.45, 0.7), draw(0.75, 1.2));
        let (kappa, c, jump) = (draw(-1.0, 1.0), draw(1.5, 2.0), draw(3.0, 4.0));
        let at = |t| End {
            value: end(t, kappa, c, (kink, jump)).value - real(3.0),
            ..end(t, kappa, c, (kink, jump))
        };
        let mut b = bracket(at(low), at(high), kappa, real(1e-6));
        b.aim();
        assert!(
            (b.guess - kink).abs() <= real::<T>(64.0) * epsilon::<T>(),
            "{} {kink}",
            b.guess
        );
        assert!(b.look > T::zero() && b.look <= b.width());
        assert_eq!((b.sides, b.last), ((false, false), high - low));
    }
}

#[test]
fn the_guess_is_where_the_parabolas_meet() {
    meets::<f32>();
    meets::<f64>();
}

#[test]
fn a_bracket_that_has_not_shrunk_by_half_is_cut_in_the_middle() {
    let at = |t: f64| end(t, 0.0, 0.0, (0.875, 4.0));
    let low = End {
        slope: -1.0,
        ..at(0.5)
    };
    for (last, value, guess) in [
        (0.75, 1.5, 0.75),
        (0.9375, 1.5, 0.75),
        (1.0, 1.5, 0.6),
        (1.0, -9.0, 1.0),
        (1.0, 9.0, 0.5),
    ] {
        let mut b = bracket(low.clone(), End { value, ..at(1.0) }, 0.0, 4e-9);
        b.last = last;
        b.aim();
        assert!(
            f64::abs(b.guess - guess) < 2e-9,
            "{last} {value}: {}",
            b.guess
        );
        assert!(b.guess > 0.5 && b.guess < 1.0);
    }
}

#[test]
fn an_end_replaces_that_of_its_side_if_it_is_within() {
    let at = |t: f64, slope: f64| End {
        t,
        value: 0.0,
        slope,
        gradient: vec![slope],
    };
    let fresh = || bracket(at(0.25, -1.0), at(0.75, 1.0), 0.0, 1e-3);
    for (t, slope, ends, sides) in [
        (0.5, -0.5, (0.5, 0.75), (true, false)),
        (0.5, 0.5, (0.25, 0.5), (false, true)),
        (0.5, 0.0, (0.25, 0.5), (false, true)),
        (0.125, -0.5, (0.25, 0.75), (false, false)),
        (0.875, -0.5, (0.25, 0.75), (false, false)),
        (0.125, 0.5, (0.25, 0.75), (false, false)),
        (0.875, 0.5, (0.25, 0.75), (false, false)),
        (0.25, 0.5, (0.25, 0.75), (false, false)),
        (0.75, -0.5, (0.25, 0.75), (false, false)),
    ] {
        let mut b = fresh();
        b.take(at(t, slope));
        assert_eq!(((b.low.t, b.high.t), b.sides), (ends, sides), "{t} {slope}");
        assert!(b.low.slope < 0.0 && b.high.slope >= 0.0);
    }
}

#[test]
fn across_a_kink_the_jump_stays_and_across_a_smooth_turn_it_shrinks() {
    // Slope h (t - 1) + J (t > 2) around 2, at first from 0 to 4.
    for (h, jump) in [
        (1.0, 20.0),
        (10.0, 20.0),
        (10.0, 2.0),
        (10.0, 0.0),
        (0.1, 0.0),
    ] {
        let at = |t: f64| end(t, h, 1.0, (2.0, jump));
        for half in [2.0, 1.0, 0.1, 0.01, 1e-3, 1e-4, 1e-5, 1e-6] {
            let mut b = bracket(at(2.0 - half), at(2.0 + half), h, 1e-3);
            b.first = (4.0, distance(&at(0.0).gradient, &at(4.0).gradient));
            assert_eq!(b.width(), (2.0 + half) - (2.0 - half));
            assert_eq!(b.done(), b.width() <= 1e-3);
            let (kink, smooth) = (b.is_kink(), b.is_smooth());
            assert!(!(kink && smooth));
            // A small bracket tells; a large one does not.
            assert!(
                kink == (jump > 0.0 && half < 0.02) || (jump < h && half > 1e-4),
                "{h} {jump} {half}"
            );
            assert_eq!(
                smooth,
                jump == 0.0 && half < 1e-3 * 2.0,
                "{h} {jump} {half}"
            );
        }
    }
}

/// Aims and takes both trials until the width is below the resolution; returns how often.
fn rounds<T: Real>(b: &mut Bracket<T>, at: impl Fn(T) -> End<T>) -> usize {
    for round in 0..40 {
        if b.done() {
            return round;
        }
        b.aim();
        let trials = [b.guess - b.look, b.guess + b.look];
        trials.into_iter().for_each(|t| b.take(at(t)));
        assert!(b.low.slope < T::zero() && b.high.slope >= T::zero());
    }
    40
}

#[test]
fn the_error_of_a_bracket_is_squared_by_each_pair() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    for _ in 0..40 {
        let (kink, jump) = (rng.random_range(0.05..0.95), rng.random_range(4.0..8.0));
        // Of known curvature: two pairs, the first of which tells how far to look.
        let at = |t: f64| end(t, 1.5, 1.5, (kink, jump));
        let mut b = bracket(at(0.0), at(1.0), 1.5, 1e-12);
        assert!(rounds(&mut b, at) <= 4);
        assert!((b.guess - kink).abs() <= 1e-12);
        // Of unknown curvature, which differs on both sides.
        let at = |t: f64| {
            let End { value, slope, .. } = end(t, 1.0, 1.2, (kink, jump));
            let past = (t - kink).max(0.0);
            let slope = slope + 3.0 * past;
            End {
                t,
                value: value + 1.5 * past * past,
                slope,
                gradient: vec![slope],
            }
        };
        let mut b = bracket(at(0.0), at(1.0), 0.0, 1e-12);
        assert!(rounds(&mut b, at) <= ROUNDS);
        assert!((b.guess - kink).abs() <= 1e-12);
    }
}
