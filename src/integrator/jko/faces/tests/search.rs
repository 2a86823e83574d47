//! The search along a direction, on values and gradients told for each length.

use super::*;

/// Rise of the value and size of the gradient, at the length `t`.
type Script<'a> = &'a dyn Fn(f64) -> (f64, f64);

const VALUE: f64 = 1024.0;
/// What rounding may change in it, at the origin.
const NOISE: f64 = 8.0 * f64::EPSILON * VALUE;

/// How a search begins.
#[derive(Clone, Copy)]
struct Begin {
    /// `<z, d>`
    expected: f64,
    /// The slope told.
    slope: f64,
    /// The decrease that the model tells.
    told: f64,
    trust: Option<f64>,
    /// `P` at the start, above that at `x`.
    above: f64,
    /// The share at which a kink stops particle 0.
    kink: Option<f64>,
    /// The unit of length.
    unit: f64,
}

const BEGIN: Begin = Begin {
    expected: -0.01,
    slope: -1.0,
    told: 4.0,
    trust: None,
    above: 1.0,
    kink: None,
    unit: 1.0,
};

/// How it ended: what it returns, the length, the trust region in units, evaluations, and whether particle 0 is pinned.
#[derive(Debug, PartialEq)]
struct End {
    moved: bool,
    t: f64,
    trust: f64,
    evaluations: usize,
    pinned: bool,
}

/// `|d|`: particle 0 goes to the right and particle 1 up, each one unit.
const LENGTH: f64 = 1.5;

fn search(script: Script<'_>, begin: Begin) -> End {
    let unit = begin.unit;
    let of = |v: &DMatrix<f64>| {
        let t = v[(1, 1)] / unit;
        // The differences at `x` tell no curvature.
        let (rise, gradient) = if t.abs() < 1e-3 {
            (0.0, 1.0)
        } else {
            script(t)
        };
        // Across the kink the gradient does not fall.
        (
            VALUE + rise,
            plane(&[
                [if begin.kink.is_some() { 9.0 } else { 0.0 }, 0.0],
                [0.0, gradient],
            ]),
        )
    };
    let kinks: Vec<f64> = begin.kink.iter().map(|k| k * unit).collect();
    let mut world = World::new(&of, &kinks, &plane(&[[0.0, 0.0], [0.0, 0.0]]));
    let mut x = world.point();
    let (mut faces, mut scratch) = (faces(&x, 1e-6 * unit), scratch(&x));
    faces.d = plane(&[[unit, 0.0], [0.0, unit]]);
    faces.z = plane(&[[0.0, 0.0], [0.0, begin.expected / unit]]);
    faces.trust = begin.trust.map(|trust| trust * unit);
    faces.start = VALUE + begin.above;
    faces.model.told = begin.told;
    let moved = faces
        .search(&mut world.problem(), &mut x, begin.slope, &mut scratch)
        .expect("told");
    assert_eq!(
        world.energy.calls,
        faces.model.evaluations + faces.model.products
    );
    assert_eq!(x.value, of(&x.v).0);
    let t = x.v[(1, 1)] / unit;
    // What straightens the way moves particle 1 only.
    let way = if faces.model.products > 0 { 1.0 } else { t };
    let stopped = begin.kink.map_or(way, |k| way.min(k)) * unit;
    assert!(
        (x.v[(0, 0)] - stopped).abs() < 1e-6 * unit,
        "{} instead of {stopped}",
        x.v[(0, 0)]
    );
    let mut right = plane(&[[1.0, 0.0], [0.0, 0.0]]);
    faces.pins.project(&mut right);
    let trust = faces.trust.expect("after a step") / unit;
    End {
        moved,
        t,
        trust,
        evaluations: faces.model.evaluations,
        pinned: right.amax() < 0.5,
    }
}

#[test]
fn on_a_quadratic_the_step_is_newtons() {
    for trust in [None, Some(1e3)] {
        let mut case = quadratic::<f64>(31, (2, 3));
        let mut x = case.start();
        let (mut faces, mut scratch) = (faces(&x, 1e-9), scratch(&x));
        let wanted = &x.v - solve(&(case.hessian() + identity(&x.v) * case.rate), &x.gradient);
        (faces.z, faces.d) = (x.gradient.clone(), &wanted - &x.v);
        let slope = case.inner(&faces.z, &faces.d);
        (faces.trust, faces.model.told) = (trust, -0.5 * slope);
        assert_eq!(
            faces.search(&mut case.problem(), &mut x, slope, &mut scratch),
            Some(true)
        );
        assert_close(&x.v, &wanted, 1e-12);
        assert!(faces.trust.expect("after a step") > case.norm(&faces.d));
    }
}

/// Lengths 1, 1/2, 1/8, 1/32, ..: the first that the energy accepts; the region shrinks to it.
#[test]
fn the_step_is_halved_and_quartered_where_the_energy_refuses() {
    for (k, accepted) in [1.0, 0.5, 0.125, 0.03125].into_iter().enumerate() {
        for (unit, trust) in [
            (1.0, None),
            (0.125, None),
            (16.0, None),
            (1.0, Some(8.0)),
            (16.0, Some(8.0)),
        ] {
            let end = search(
                &|t| {
                    if t > accepted {
                        (2.0, 1.0)
                    } else {
                        (-5.0, 1.0)
                    }
                },
                Begin {
                    unit,
                    trust,
                    ..BEGIN
                },
            );
            assert_eq!((end.moved, end.t, end.evaluations), (true, accepted, k + 2));
            if k > 0 {
                assert_near(end.trust, accepted * LENGTH, 1e-12);
            }
        }
    }
}

#[test]
fn where_the_energy_always_refuses_nothing_moves_and_the_region_shrinks() {
    for kink in [None, Some(0.25)] {
        for trust in [None, Some(0.5), Some(8.0)] {
            let shrunk = [1.0, 0.25, 32.0].map(|unit| {
                let end = search(
                    &|_| (2.0, 1.0),
                    Begin {
                        unit,
                        trust,
                        kink,
                        ..BEGIN
                    },
                );
                assert_eq!((end.moved, end.t, end.pinned), (false, 0.0, false));
                assert!(end.evaluations < 40);
                end.trust
            });
            assert!(shrunk[0] > 0.0 && shrunk[0] < 0.5 * LENGTH.min(trust.unwrap_or(LENGTH)));
            assert_near(shrunk[1], shrunk[0], 1e-12);
            assert_near(shrunk[2], shrunk[0], 1e-12);
        }
    }
}

/// Lower by a part of what the slope tells, or level with a smaller gradient where the model's decrease is lost.
#[test]
fn a_step_is_accepted_by_its_value_or_else_by_its_gradient() {
    let lost = Begin {
        slope: -NOISE,
        ..BEGIN
    };
    let flat = Begin {
        expected: 0.0,
        ..BEGIN
    };
    let rising = Begin {
        expected: 1e5,
        ..BEGIN
    };
    let below = |begin: Begin, above| Begin { above, ..begin };
    for (place, (rise, gradient, begin, accepted)) in [
        // Value: half and a part of 1e-8 of what is expected; equal; higher.
        (-0.005, 1.0, BEGIN, true),
        (-0.01 * 1e-8, 1.0, BEGIN, false),
        (0.0, 0.5, BEGIN, false),
        (0.0, 0.5, flat, false),
        (2.0, 0.5, rising, false),
        // Not finite.
        (f64::NEG_INFINITY, 0.5, BEGIN, false),
        (-5.0, f64::NAN, BEGIN, false),
        (f64::NAN, 0.5, lost, false),
        // Gradient.
        (0.5 * NOISE, 0.5, lost, true),
        (0.0, 0.5, lost, true),
        (0.0, 1.0, lost, false),
        (0.0, 1.5, lost, false),
        (0.5 * NOISE, 0.5, BEGIN, false),
        (3.0 * NOISE, 0.5, lost, false),
        // Above the start, or above x with a start far above.
        (0.0, 0.5, below(lost, -2.0 * NOISE), false),
        (0.0, 0.5, below(lost, -0.5 * NOISE), true),
        (3.0 * NOISE, 0.5, below(lost, 1e3), false),
    ]
    .into_iter()
    .enumerate()
    {
        let end = search(&|_| (rise, gradient), begin);
        let taken = if accepted { 1.0 } else { 0.0 };
        assert_eq!((end.moved, end.t), (accepted, taken), "{place}");
    }
}

/// A kink met at once is a pin gained, even where nothing is lower: but then it is no progress.
#[test]
fn kinks_met_by_the_whole_step_are_pinned() {
    let begin = Begin {
        kink: Some(0.25),
        ..BEGIN
    };
    for (rise, above, moved, t) in [
        (-0.005, 1.0, true, 1.0),
        (0.0, 1.0, false, 1.0),
        (0.5 * NOISE, 1.0, false, 1.0),
        (3.0 * NOISE, 1.0, false, 0.0),
        (0.0, -0.5 * NOISE, false, 1.0),
        (0.0, -2.0 * NOISE, false, 0.0),
    ] {
        let end = search(&|_| (rise, 1.0), Begin { above, ..begin });
        assert_eq!(
            (end.moved, end.t, end.pinned),
            (moved, t, t == 1.0),
            "{rise} {above}"
        );
    }
    // Level only where the step is shorter; lower there, beyond the kink and before it.
    let end = search(&|t| (if t == 1.0 { 2.0 } else { 0.0 }, 1.0), begin);
    assert_eq!((end.moved, end.t, end.pinned), (false, 0.0, false));
    let end = search(&|t| (if t == 1.0 { 2.0 } else { -1.0 }, 1.0), begin);
    assert_eq!((end.moved, end.t, end.pinned), (true, 0.5, true));
    let end = search(&|t| (if t > 0.2 { 2.0 } else { -1.0 }, 1.0), begin);
    assert_eq!((end.moved, end.t, end.pinned), (true, 0.125, false));
}

/// Across a pin the gradient does not count.
#[test]
fn the_region_follows_how_well_the_model_told() {
    for (unit, told) in [
        (1.0, 4.0),
        (0.125, 4.0),
        (16.0, 4.0),
        (1.0, 0.25),
        (16.0, 0.25),
    ] {
        let kept = |trust, good: f64| {
            // What straightens the way is refused.
            let script = |t: f64| {
                if t == 1.0 {
                    (-good * told, 1.0)
                } else {
                    (9.0, 1.0)
                }
            };
            search(
                &script,
                Begin {
                    trust,
                    unit,
                    told,
                    ..BEGIN
                },
            )
        };
        // After the first step: farther than that, whatever it was.
        let first = kept(None, 0.1);
        assert_eq!((first.evaluations, first.moved, first.t), (2, true, 1.0));
        assert!(first.trust > 1.2 * LENGTH && first.trust < 10.0 * LENGTH);
        assert_eq!(first.trust, kept(None, 1.0).trust);
        assert_near(first.trust, search(&|_| (-1.0, 1.0), BEGIN).trust, 1e-12);
        for trust in [0.5 * LENGTH, LENGTH, 1e3 * LENGTH] {
            let (good, fair, bad) = (
                kept(Some(trust), 1.0),
                kept(Some(trust), 0.5),
                kept(Some(trust), 0.1),
            );
            assert_eq!(
                [good.evaluations, fair.evaluations, bad.evaluations],
                [2, 3, 3]
            );
            assert!(good.trust >= trust && good.trust > 1.2 * LENGTH);
            assert!(bad.trust <= trust && bad.trust < 0.8 * LENGTH && bad.trust > 0.1 * LENGTH);
            assert!(good.trust == trust || trust < 10.0 * LENGTH);
            if trust == LENGTH {
                assert_near(fair.trust, LENGTH, 1e-12);
            }
            // The same in any unit.
            let one = |rise| {
                search(
                    &|t| if t == 1.0 { (rise, 1.0) } else { (9.0, 1.0) },
                    Begin {
                        trust: Some(trust),
                        ..BEGIN
                    },
                )
            };
            assert_near(good.trust, one(-4.0).trust, 1e-12);
            assert_near(bad.trust, one(-0.4).trust, 1e-12);
        }
    }
}

/// Where a kink stops a particle the model did not tell: half of what the slope does is what is to gain.
#[test]
fn of_a_stopped_step_the_slope_tells() {
    for (rise, grows) in [(-0.005, true), (-0.0005, false)] {
        for told in [1e-9, 1e9] {
            let begin = Begin {
                trust: Some(LENGTH),
                kink: Some(0.25),
                told,
                ..BEGIN
            };
            let end = search(&|t| if t == 1.0 { (rise, 1.0) } else { (-9.0, 1.0) }, begin);
            assert_eq!((end.moved, end.t, end.pinned), (true, 1.0, true));
            assert!(
                if grows {
                    end.trust > LENGTH
                } else {
                    end.trust < LENGTH
                },
                "{}",
                end.trust
            );
        }
    }
}

/// A whole step that gains less than told is straightened: then the gain is that of the lower point.
#[test]
fn a_step_along_a_bent_valley_is_straightened() {
    for told in [0.25, 4.0] {
        let begin = Begin {
            trust: Some(LENGTH),
            told,
            ..BEGIN
        };
        let end = search(
            &|t| (if t == 1.0 { -0.1 * told } else { -told }, 1.0),
            begin,
        );
        assert!(
            end.moved && end.t < 0.9 && end.trust > LENGTH && end.evaluations == 3,
            "{end:?}"
        );
        // No lower: the step stays.
        let end = search(&|_| (-0.1 * told, 1.0), begin);
        assert!(
            end.moved && end.t == 1.0 && end.trust < LENGTH && end.evaluations == 3,
            "{end:?}"
        );
    }
}

/// The correction leads from the trial point to the minimum of the model there, at most a part of the step away.
#[test]
fn straightening_takes_the_lower_of_two_points() {
    let mut case = quadratic::<f64>(61, (2, 3));
    case.energy.own = DMatrix::identity(2, 2) * 3.0;
    case.energy.outer.fill(0.0);
    let x = case.start();
    let minimum = &x.v - &x.gradient / (3.0 + case.rate);
    let mut scratch = scratch(&x);
    let mut moves = Vec::new();
    for size in [1e3, 0.1, 0.2] {
        let (mut faces, mut c) = (faces(&x, 1e-9), scratch.take());
        faces.d.fill(1.0);
        faces.d *= size / case.norm(&faces.d);
        faces.y.v = x.v.map(|v| v + 1.0) + &x.gradient;
        case.problem().evaluate(&mut faces.y);
        let (before, value) = (faces.y.v.clone(), faces.y.value);
        faces.straighten(&mut case.problem(), &x, &mut c, &mut scratch);
        assert_eq!((faces.model.evaluations, faces.model.products), (1, 1));
        assert!(faces.y.value < value);
        assert_close(
            &faces.y.gradient,
            &((&faces.y.v - &minimum) * (3.0 + case.rate)),
            1e-6,
        );
        let moved = &faces.y.v - &before;
        let way = &minimum - &before;
        assert_close(
            &(&moved * (case.norm(&way) / case.norm(&moved))),
            &way,
            1e-6,
        );
        moves.push((case.norm(&moved), case.norm(&way)));
    }
    assert_near(moves[0].0, moves[0].1, 1e-6);
    assert!(moves[1].0 < 0.1);
    assert_near(moves[2].0, 2.0 * moves[1].0, 1e-9);
}
