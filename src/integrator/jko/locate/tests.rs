//! Stops on sums of kinks `a |n.w - c|` and parabolas, whose turns are known.

use std::cell::Cell;

use nalgebra::DVector;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::energy::{Energy, Potential, PotentialEnergy};
use crate::measure::EmpiricalMeasure;

mod bracket;

/// Value and gradient at a place.
type Function<'a, T> = &'a dyn Fn(&[T]) -> (T, Vec<T>);

/// A potential told by a function that returns value and gradient, and how many gradients were asked.
struct Told<'a, T> {
    of: Function<'a, T>,
    gradients: Cell<usize>,
}

impl<T: Real> Potential<T> for Told<'_, T> {
    fn value(&self, w: &[T]) -> T {
        (self.of)(w).0
    }
    fn gradient(&self, w: &[T], scale: T, out: &mut [T]) {
        self.gradients.set(self.gradients.get() + 1);
        out.iter_mut()
            .zip((self.of)(w).1)
            .for_each(|(out, g)| *out += scale * g);
    }
}

/// `a |n.w - c|`.
struct Kink {
    a: f64,
    n: Vec<f64>,
    c: f64,
}

impl Kink {
    /// The share at which `x + t d` meets it.
    fn share(&self, x: &[f64], d: &[f64]) -> f64 {
        (self.c - dot(&self.n, x)) / dot(&self.n, d)
    }
}

fn reals<T: Real>(x: &[f64]) -> Vec<T> {
    x.iter().map(|&x| real(x)).collect()
}

/// The sum of kinks.
fn creased<T: Real>(kinks: &[Kink]) -> impl Fn(&[T]) -> (T, Vec<T>) + use<T> {
    let kinks: Vec<(T, Vec<T>, T)> = kinks
        .iter()
        .map(|k| (real(k.a), reals(&k.n), real(k.c)))
        .collect();
    move |w| {
        let (mut value, mut g) = (T::zero(), vec![T::zero(); w.len()]);
        for (a, n, c) in &kinks {
            let s = dot(n, w) - *c;
            value += *a * s.abs();
            g.iter_mut()
                .zip(n)
                .for_each(|(g, &n)| *g += *a * s.signum() * n);
        }
        (value, g)
    }
}

/// A particle: place, direction and the gradient there of the distance, `(v - w) / gamma` with `gamma = 1`.
type Case = [Vec<f64>; 3];

fn run<T: Real>(
    of: Function<'_, T>,
    cases: &[Case],
    (newton, radius): (bool, f64),
    pins: Option<Pins<T>>,
) -> (Stops<T>, usize) {
    let (p, m) = (cases[0][0].len(), cases.len());
    let field =
        |k: usize| DMatrix::from_vec(p, m, cases.iter().flat_map(|c| reals::<T>(&c[k])).collect());
    let [v, d, own]: [DMatrix<T>; 3] = [0, 1, 2].map(field);
    let mut energy = PotentialEnergy::new(
        Told {
            of,
            gradients: Cell::new(0),
        },
        p,
    );
    let mut mu =
        EmpiricalMeasure::weighted(v.map(|_| T::one()), DVector::from_element(m, T::one()))
            .unwrap();
    let mut problem = Proximal {
        energy: &mut energy,
        mu: &mut mu,
        anchor: &v - &own,
        rate: T::one(),
    };
    let x = Point {
        velocity: v.clone(),
        gradient: v.clone(),
        v,
        energy: T::zero(),
        value: T::zero(),
    };
    let way = Way {
        d: &d,
        newton,
        radius: real(radius),
    };
    let (mut evaluations, mut scratch) = (0, Scratch::new((p, m), Vec::new()));
    let pins = pins.unwrap_or_else(|| Pins::new(m));
    let stops = stops(&mut problem, &x, way, &pins, &mut evaluations, &mut scratch).unwrap();
    assert_eq!(mu.points(), &x.v);
    assert_eq!(
        energy.potential().gradients.get(),
        m * (2 * evaluations + usize::from(newton))
    );
    (stops, evaluations)
}

/// Random particles among kinks, against the turns of their slopes told by plain algebra.
fn among_kinks<T: Real>(newton: bool) {
    let (p, m, radius) = (3, 150, 1e-3);
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let mut draw = |a: f64| -> Vec<f64> { (0..p).map(|_| rng.random_range(-a..a)).collect() };
    let kinks = [0.5, 1.0, 2.0].map(|a| {
        let n = draw(1.0);
        let size = dot(&n, &n).sqrt();
        Kink {
            a,
            n: n.iter().map(|n| n / size).collect(),
            c: draw(0.3)[0],
        }
    });
    let cases: Vec<Case> = (0..m).map(|_| [draw(1.0), draw(1.5), draw(3.0)]).collect();
    let (stops, evaluations) = run::<T>(&creased(&kinks), &cases, (newton, radius), None);
    assert!(evaluations <= 1 + ROUNDS);
    let (mut stopped, mut passed) = (0, 0);
    for (i, [x, d, own]) in cases.iter().enumerate() {
        let size = dot(d, d).sqrt();
        let start = dot(own, d)
            + kinks
                .iter()
                .map(|k| k.a * dot(&k.n, d) * (dot(&k.n, x) - k.c).signum())
                .sum::<f64>();
        // Slope at t: start + curvature t, or curvature (t - 1); and the jumps so far.
        let (slope, curvature) = if newton {
            (-size * size, size * size)
        } else {
            (start, size * size)
        };
        let mut met: Vec<(f64, &Kink)> = kinks
            .iter()
            .map(|k| (k.share(x, d), k))
            .filter(|k| k.0 > 0.0 && k.0 < 1.0)
            .collect();
        met.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (mut jumps, mut turn, mut clear) = (0.0, None, slope < 0.0);
        for &(t, kink) in &met {
            let before = slope + curvature * t + jumps;
            let jump = 2.0 * kink.a * dot(&kink.n, d).abs();
            jumps += jump;
            clear &= before.abs().min((before + jump).abs()) > 0.1 && (0.03..0.97).contains(&t);
            if before < 0.0 && before + jump > 0.0 {
                turn = Some((t, kink));
            }
        }
        clear &= met.windows(2).all(|k| k[1].0 - k[0].0 > 0.03);
        // Beside Newton's way a weak kink is passed, and a slope without curvature has no natural end.
        clear &= !newton || (jumps > 0.5 * curvature && curvature > 0.3 * start.abs());
        if !clear {
            continue;
        }
        let (share, normal) = (stops.shares[i], &stops.normals[i]);
        let Some((t, kink)) = turn else {
            assert!(
                share == T::one() && normal.is_none(),
                "{i}: {share} of {} kinks",
                met.len()
            );
            passed += 1;
            continue;
        };
        stopped += 1;
        let tolerance = real::<T>(1e-3 * radius) + real::<T>(256.0) * epsilon::<T>();
        assert!(
            (share - real(t)).abs() * real(size) <= tolerance,
            "{i}: {share} is not {t}"
        );
        let normal = normal.as_ref().unwrap();
        for (&n, &e) in normal.iter().zip(&kink.n) {
            assert!(
                (n - real(e * dot(&kink.n, d).signum())).abs() <= tolerance,
                "{i}: {normal:?} is not {:?}",
                kink.n
            );
        }
    }
    assert!(
        stopped > 10 && (newton || passed > 10),
        "{stopped} {passed}"
    );
}

#[test]
fn particles_stop_where_their_slopes_turn_at_a_kink() {
    among_kinks::<f32>(false);
    among_kinks::<f64>(false);
}

#[test]
fn on_the_way_of_newton_the_others_are_taken_to_move_too() {
    among_kinks::<f32>(true);
    among_kinks::<f64>(true);
}

/// One stop in `R^1`, of a particle at 0 with the own slope `own`.
fn on_line(of: Function<'_, f64>, d: f64, own: f64, way: (bool, f64)) -> (f64, Option<f64>) {
    let (stops, _) = run(of, &[[vec![0.0], vec![d], vec![own]]], way, None);
    (stops.shares[0], stops.normals[0].as_ref().map(|n| n[0]))
}

#[test]
fn where_no_kink_turns_the_slope_a_particle_goes_all_the_way() {
    let kink = |a: f64, c: f64| creased::<f64>(&[Kink { a, n: vec![1.0], c }]);
    for newton in [false, true] {
        let way = (newton, 1e-4);
        // Beyond its end; on its way, but a ridge; still descending behind it; nowhere to go; no kink but a sharp turn.
        assert_eq!(on_line(&kink(2.0, 1.5), 1.0, -3.0, way), (1.0, None));
        assert_eq!(on_line(&kink(-2.0, 0.5), 1.0, -3.0, way), (1.0, None));
        assert_eq!(on_line(&kink(0.1, 0.5), 1.0, -3.0, way), (1.0, None));
        assert_eq!(on_line(&kink(2.0, 0.5), 0.0, -3.0, way), (1.0, None));
        let turn = |w: &[f64]| {
            let (s, near) = (w[0] - 0.4, (w[0] - 0.4).clamp(-0.2, 0.2));
            (40.0 * near * (s - 0.5 * near), vec![40.0 * near])
        };
        assert_eq!(on_line(&turn, 1.0, 0.0, way), (1.0, None));
        // Values and slopes that are no numbers.
        let wall = |w: &[f64]| {
            if w[0] < 0.9 {
                (-w[0], vec![-1.0])
            } else {
                (f64::INFINITY, vec![8.0])
            }
        };
        assert_eq!(on_line(&wall, 1.0, 0.0, way), (1.0, None));
        let void = |w: &[f64]| {
            if w[0] < 0.9 {
                (-w[0], vec![-1.0])
            } else {
                (f64::NAN, vec![f64::NAN])
            }
        };
        assert_eq!(on_line(&void, 1.0, 0.0, way), (1.0, None));
    }
    // A flat floor is no ascent.
    let floor = |w: &[f64]| {
        if w[0] < 0.5 {
            (0.5 - w[0] - 0.5 * w[0] * w[0], vec![-1.0 - w[0]])
        } else {
            (-0.5 * w[0] * w[0], vec![-w[0]])
        }
    };
    assert_eq!(on_line(&floor, 1.0, 0.0, (false, 1e-4)), (1.0, None));
    // A step in ascent has nothing to stop at.
    assert_eq!(
        on_line(&kink(2.0, 0.5), 1.0, 3.0, (false, 1e-4)),
        (1.0, None)
    );
}

#[test]
fn a_way_of_newton_ends_where_it_would_without_kinks() {
    // The own slope of the particle turns at 0.25; with the others moving too it would at 1.
    let kink = creased::<f64>(&[Kink {
        a: 2.0,
        n: vec![1.0],
        c: 0.75,
    }]);
    assert_eq!(on_line(&kink, 1.0, 1.75, (false, 1e-4)), (1.0, None));
    let (share, normal) = on_line(&kink, 1.0, 1.75, (true, 0.5));
    // The curvature is known there, so the parabolas meet at the kink itself, however large the radius.
    assert!(
        (share - 0.75).abs() < 1e-7 && normal == Some(1.0),
        "{share}"
    );
    let (share, normal) = on_line(&kink, 2.0, 1.75, (true, 0.5));
    assert!(
        (share - 0.375).abs() < 1e-7 && normal == Some(1.0),
        "{share}"
    );
    // The pace of the way is its curvature also where the slope is small at the start.
    let (share, normal) = on_line(
        &creased(&[Kink {
            a: 2.0,
            n: vec![1.0],
            c: 0.375,
        }]),
        1.0,
        1.99,
        (true, 1e-4),
    );
    assert!(
        (share - 0.375).abs() < 1e-7 && normal == Some(1.0),
        "{share}"
    );
    // A weak kink is taken for what the others do.
    assert_eq!(
        on_line(
            &creased(&[Kink {
                a: 0.05,
                n: vec![1.0],
                c: 0.9
            }]),
            1.0,
            -0.9,
            (true, 1e-4)
        ),
        (1.0, None)
    );
    // Where the potential is concave too, a slope of its own keeps the particle going up to the kink.
    let hump = |w: &[f64]| (kink(w).0 - w[0] * w[0], vec![kink(w).1[0] - 2.0 * w[0]]);
    let (share, normal) = on_line(&hump, 1.0, -0.5, (true, 0.5));
    assert!(
        (share - 0.75).abs() < 1e-7 && normal == Some(1.0),
        "{share}"
    );
}

#[test]
fn where_parabolas_meet_is_found_by_two_pairs_of_trials() {
    for c in [0.2, 0.5, 0.8] {
        for (d, own) in [(1.0, 1.9), (0.9, 1.5), (2.0, -1.0)] {
            let kink = creased::<f64>(&[Kink {
                a: 6.0,
                n: vec![1.0],
                c,
            }]);
            let (stops, evaluations) = run(
                &kink,
                &[[vec![0.0], vec![d], vec![own]]],
                (true, 1e-3),
                None,
            );
            assert!((stops.shares[0] - c / d).abs() < 1e-7 && stops.normals[0].is_some());
            assert!(evaluations <= 3, "{evaluations}");
        }
    }
}

#[test]
fn below_the_rounding_of_its_place_a_kink_is_not_sought() {
    // Beside the kink at 1015 the gradient turns with the way, by an angle like the width of the bracket.
    let of = |w: &[f32]| {
        let (s, far) = (w[0] - 1015.0, w[0] - 1000.0);
        (
            3.0 * s.abs() + far * w[1],
            vec![3.0 * s.signum() + w[1], far],
        )
    };
    let (stops, evaluations) = run(
        &of,
        &[[vec![1000.0, 0.0], vec![30.0, 0.0], vec![-15.0, 0.0]]],
        (false, 1e-6),
        None,
    );
    let (normal, rounding) = (
        stops.normals[0].as_ref().unwrap(),
        64.0 * f32::EPSILON * 1000.0,
    );
    assert!((stops.shares[0] * 30.0 - 15.0).abs() <= rounding);
    assert!(
        (normal[1] / normal[0]).abs() <= rounding / 6.0 * 1.01,
        "{normal:?}"
    );
    assert!(evaluations <= 4, "{evaluations}");
}

#[test]
fn a_kink_where_the_way_starts_stops_it_there() {
    for c in [1e-7, 4e-6] {
        let kink = creased::<f64>(&[Kink {
            a: 3.0,
            n: vec![1.0],
            c,
        }]);
        let (share, normal) = on_line(&kink, 1.0, 0.5, (true, 1e-4));
        assert!((share - c).abs() < 1e-7 && normal == Some(1.0), "{share}");
        let (share, normal) = on_line(&kink, -1.0, 0.5, (true, 1e-4));
        assert_eq!((share, normal), (1.0, None));
    }
}

#[test]
fn a_normal_is_seen_within_a_thousandth_of_the_radius() {
    // Beside the kink the gradient turns with the way: w_0 w_1, by an angle like the width of the bracket.
    let of = |w: &[f64]| {
        let jump = (w[0] - 0.5).signum();
        ((w[0] - 0.5).abs() + w[0] * w[1], vec![jump + w[1], w[0]])
    };
    for (radius, size) in [(1e-2, 1.0), (1e-3, 1e2), (1e-5, 1e2), (1e-4, 0.6)] {
        let (stops, _) = run::<f64>(
            &of,
            &[[vec![0.0; 2], vec![size, 0.0], vec![-0.5, 0.0]]],
            (false, radius),
            None,
        );
        let normal = stops.normals[0].as_ref().unwrap();
        // A jump of 2 against the change of the slope across the way.
        let tilt = (normal[1] / normal[0]).abs();
        assert!(
            tilt <= 1e-3 * radius / 2.0 * 1.01,
            "{radius} {size}: {tilt}"
        );
        assert!((dot(normal, normal) - 1.0).abs() < 1e-14);
        assert!((stops.shares[0] * size - 0.5).abs() <= 1e-3 * radius);
    }
}

#[test]
fn pinned_particles_do_not_see_the_kinks_they_are_on() {
    // One crosses w_0 = 0, one is pinned there, one passes all kinks.
    let of = creased::<f64>(&[
        Kink {
            a: 3.0,
            n: vec![1.0, 0.0],
            c: 0.0,
        },
        Kink {
            a: 4.0,
            n: vec![0.6, 0.8],
            c: 0.7,
        },
    ]);
    let mut pins = Pins::new(3);
    pins.take([None, Some(vec![1.0, 0.0]), None]);
    let case = |x: f64, d: f64, own: f64| [vec![x, 0.0], vec![d, 1.0], vec![own; 2]];
    let (stops, _) = run(
        &of,
        &[
            case(-0.25, 1.0, 1.5),
            case(0.0, 0.0, 1.5),
            case(-0.25, 1.0, -9.0),
        ],
        (false, 1e-4),
        Some(pins),
    );
    let near = |u: f64, v: f64| assert!((u - v).abs() < 1e-6, "{u} is not {v}");
    near(stops.shares[0], 0.25);
    near(stops.shares[1], 0.875);
    assert_eq!(stops.shares[2], 1.0);
    let normal = |i: usize| stops.normals[i].as_deref();
    normal(0)
        .unwrap()
        .iter()
        .zip([1.0, 0.0])
        .for_each(|(&n, e)| near(n, e));
    normal(1)
        .unwrap()
        .iter()
        .zip([0.0, 1.0])
        .for_each(|(&n, e)| near(n, e));
    assert_eq!(normal(2), None);
}

#[test]
fn a_kink_that_is_not_resolved_is_approached_from_the_side_of_descent() {
    // Both slopes are powers: no jump, but what looks like one at every width.
    for (q, ratio) in [(0.02, 2.0), (0.05, 4.0)] {
        let cusp = |w: &[f64]| {
            let s = w[0] - 0.3;
            let a = if s > 0.0 { ratio } else { 1.0 };
            (
                a * s.abs().powf(1.0 + q) / (1.0 + q),
                vec![a * s.signum() * s.abs().powf(q)],
            )
        };
        let (share, normal) = on_line(&cusp, 1.0, 0.0, (false, 1e-13));
        assert!(
            share < 0.3 && share > 0.299 && normal.is_none(),
            "{share} {normal:?}"
        );
    }
}

/// An energy without first variation.
struct Silent;

impl Energy<f64> for Silent {
    fn particle_dim(&self) -> usize {
        1
    }
    fn value(&mut self, _: &EmpiricalMeasure<f64>) -> f64 {
        0.0
    }
    fn velocity(&mut self, _: &EmpiricalMeasure<f64>, out: &mut DMatrix<f64>) -> f64 {
        out.fill(0.0);
        0.0
    }
}

#[test]
fn without_a_first_variation_there_are_no_stops() {
    let v = DMatrix::from_element(1, 2, 0.0);
    let mut mu = EmpiricalMeasure::uniform(v.clone()).unwrap();
    let mut problem = Proximal {
        energy: &mut Silent,
        mu: &mut mu,
        anchor: v.clone(),
        rate: 1.0,
    };
    let x = Point {
        v: v.clone(),
        velocity: v.clone(),
        gradient: v.clone(),
        energy: 0.0,
        value: 0.0,
    };
    let (way, mut scratch) = (
        Way {
            d: &v,
            newton: true,
            radius: 0.1,
        },
        Scratch::new((1, 2), Vec::new()),
    );
    assert!(stops(&mut problem, &x, way, &Pins::new(2), &mut 0, &mut scratch).is_none());
}
