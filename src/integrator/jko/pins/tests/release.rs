//! Releases on sums of kinks along orthogonal axes, where every subgradient has a closed form.

use super::*;

/// `sum_k a_k |n_k.w|` along the axes: every particle at 0 is on all its kinks.
fn creases<T: Real>(a: [f64; 3]) -> FirstVariation<T> {
    Box::new(move |w| {
        let (mut value, mut g) = (T::zero(), vec![T::zero(); 3]);
        for (n, a) in AXES.iter().zip(a) {
            let (n, a) = (reals::<T>(n), real::<T>(a));
            let s = dot(&n, w);
            value += a * s.abs();
            g.iter_mut()
                .zip(&n)
                .for_each(|(g, &n)| *g += a * s.signum() * n);
        }
        (value, g)
    })
}

struct Released<T> {
    any: Option<bool>,
    z: DMatrix<T>,
    aside: DMatrix<T>,
    evaluations: usize,
}

/// Releases at the points `v` with the plain gradients `gradient`; `1/gamma = 1`, so `v - anchor` is each particle's own slope.
fn release<T: Real>(
    energy: &mut Told<T>,
    pins: &mut Pins<T>,
    (v, own, weights): (&DMatrix<T>, &DMatrix<T>, &[f64]),
    gradient: &DMatrix<T>,
    radius: f64,
) -> Released<T> {
    let elsewhere = DMatrix::from_element(v.nrows(), v.ncols(), real(7.0));
    let mut mu = EmpiricalMeasure::weighted(elsewhere, reals::<T>(weights).into()).unwrap();
    let mut problem = Proximal {
        energy,
        mu: &mut mu,
        anchor: v - own,
        rate: T::one(),
    };
    let (velocity, gradient) = (v.clone(), gradient.clone());
    let x = Point {
        v: v.clone(),
        velocity,
        gradient,
        energy: T::zero(),
        value: T::zero(),
    };
    let [mut z, mut aside] =
        [(); 2].map(|()| DMatrix::from_element(v.nrows(), v.ncols(), real(5.0)));
    let mut evaluations = 0;
    let mut scratch = Scratch::new(v.shape(), Vec::new());
    let out = (real(radius), &mut z, &mut aside, &mut evaluations);
    let any = pins.release(&mut problem, &x, out, &mut scratch);
    Released {
        any,
        z,
        aside,
        evaluations,
    }
}

/// A particle at the creases: where it is and its own slope, along the axes, the axes it is pinned on, and its weight.
type Case<'a> = ([f64; 3], [f64; 3], &'a [usize], f64);

/// Releases particles at the creases `a`; unpinned ones are told that their gradient is `mark` everywhere.
fn release_at_creases<T: Real>(
    a: [f64; 3],
    cases: &[Case<'_>],
    mark: f64,
) -> (Released<T>, Pins<T>) {
    let mut energy = Told {
        of: Some(creases(a)),
        dim: 3,
        calls: 0,
        mu: Vec::new(),
    };
    let each = |of: &dyn Fn(&Case<'_>) -> [f64; 3]| {
        along_axes::<T>(&cases.iter().map(of).collect::<Vec<_>>())
    };
    let (v, own) = (each(&|c| c.0), each(&|c| c.1));
    let weights: Vec<f64> = cases.iter().map(|c| c.3).collect();
    let mut pins = pinned(&cases.iter().map(|c| c.2).collect::<Vec<_>>());
    let marks = DMatrix::from_element(3, cases.len(), real(mark));
    let released = release(&mut energy, &mut pins, (&v, &own, &weights), &marks, RADIUS);
    assert_eq!(released.evaluations, energy.calls);
    assert_eq!(energy.mu, v.as_slice());
    (released, pins)
}

const RADIUS: f64 = 1e-3;

fn subgradients<T: Real>() {
    let a = [1.0, 2.0, 0.5];
    let cases: [Case<'_>; 6] = [
        ([0.0; 3], [1.0; 3], &[], 1.0),
        ([1.0, 0.0, -1.0], [0.3, -1.5, 0.2], &[1], 2.0),
        ([1.0, 0.0, 2.0], [-5.0, 3.0, -0.5], &[1], 0.0),
        ([0.0, -1.0, 0.0], [0.4, 9.0, -2.0], &[0, 2], 1.0),
        ([0.0; 3], [-4.0, 1.0, 0.7], &[2, 0, 1], 0.5),
        ([0.0; 3], [0.9, -1.9, 0.4], &[0, 1, 2], 0.5),
    ];
    // Along a pinned axis what is left of the own slope between the sides; along others the gradient.
    let mut expected = along_axes::<T>(&cases.map(|(at, own, axes, _)| {
        let left = |k: usize| own[k].signum() * (own[k].abs() - a[k]).max(0.0);
        [0, 1, 2].map(|k| {
            if axes.contains(&k) {
                left(k)
            } else {
                own[k] + a[k] * at[k].signum()
            }
        })
    }));
    expected.column_mut(0).fill(real(9.0));
    let (released, pins) = release_at_creases::<T>(a, &cases, 9.0);
    near(
        released.z.as_slice(),
        expected.as_slice(),
        real(4.0 * RADIUS),
    );
    // There is more to gain along the faces: nothing is released yet.
    assert_eq!(released.any, Some(false));
    assert_eq!(pins.normals, pinned(&cases.map(|c| c.2)).normals);
    assert!(released.aside.iter().all(|&a| a == T::zero()));
}

#[test]
fn the_subgradient_of_a_pinned_particle_is_the_shortest_between_its_sides() {
    subgradients::<f32>();
    subgradients::<f64>();
}

fn sides<T: Real>() {
    let a = [1.0, 2.0, 0.5];
    let cases: [Case<'_>; 7] = [
        ([1.0, 0.0, 1.0], [-1.0, 3.0, -0.5], &[1], 1.0),
        ([-1.0, 0.0, 1.0], [1.0, -3.5, -0.5], &[1], 1.0),
        ([0.0; 3], [0.4, -3.0, 0.1], &[0, 1, 2], 1.0),
        ([0.0; 3], [-2.5, 3.0, 0.1], &[2, 0, 1], 1.0),
        ([1.0, 1.0, 0.0], [-1.0, -2.0, 0.2], &[2], 1.0),
        ([1.0, 0.0, 1.0], [-1.0, 3.0, -0.5], &[1], 0.0),
        ([3.0; 3], [0.0; 3], &[], 1.0),
    ];
    let (released, pins) = release_at_creases::<T>(a, &cases, 0.0);
    assert_eq!(released.any, Some(true));
    let signs = cases.map(|(_, own, axes, _)| {
        [0, 1, 2].map(|k| {
            if axes.contains(&k) && own[k].abs() > a[k] {
                -own[k].signum()
            } else {
                0.0
            }
        })
    });
    let tolerance = real::<T>(64.0) * epsilon::<T>();
    near(
        released.aside.as_slice(),
        (along_axes::<T>(&signs) * real::<T>(RADIUS)).as_slice(),
        tolerance,
    );
    // It keeps the pins between whose sides 0 is.
    let kept = cases.map(|(_, own, axes, _)| {
        axes.iter()
            .copied()
            .filter(|&k| own[k].abs() <= a[k])
            .collect::<Vec<_>>()
    });
    let kept = pinned::<T>(&kept.each_ref().map(Vec::as_slice));
    for (found, kept) in pins.normals.iter().zip(&kept.normals) {
        assert_eq!(found.len(), kept.len());
        found
            .iter()
            .zip(kept)
            .for_each(|(n, e)| near(n, e, tolerance));
    }
    // Where the released go the objective is lower.
    let of = creases::<T>(a);
    for (i, (at, own, ..)) in cases
        .iter()
        .enumerate()
        .filter(|(i, _)| signs[*i] != [0.0; 3])
    {
        let (v, own) = (along_axes::<T>(&[*at]), along_axes::<T>(&[*own]));
        let w = &v + released.aside.column(i);
        let rise = of(w.as_slice()).0 - of(v.as_slice()).0 + own.dot(&(&w - &v));
        assert!(rise < real(-0.5 * RADIUS), "{i}: {rise}");
    }
}

#[test]
fn a_particle_is_released_from_the_pins_not_around_0_to_where_it_falls() {
    sides::<f32>();
    sides::<f64>();
}

/// Releases particles of one coordinate at 0, pinned there, of given own slopes, on `f`.
fn release_on_line(
    own: &[f64],
    f: FirstVariation<f64>,
    radius: f64,
) -> (Released<f64>, Vec<usize>) {
    let m = own.len();
    let mut energy = Told {
        of: Some(f),
        dim: 1,
        calls: 0,
        mu: Vec::new(),
    };
    let mut pins = Pins::new(m);
    pins.take(vec![Some(vec![1.0]); m]);
    let v = DMatrix::zeros(1, m);
    let released = release(
        &mut energy,
        &mut pins,
        (&v, &field(1, own), &vec![1.0; m]),
        &v,
        radius,
    );
    (released, pins.normals.iter().map(Vec::len).collect())
}

#[test]
fn the_sides_of_a_pin_are_seen_at_the_radius() {
    // w^2 + 2 |w|, with the slope w of the distance: 3 r + 2 and -3 r - 2 besides the own slope.
    let bowl = || -> FirstVariation<f64> {
        Box::new(|w| {
            (
                w[0] * w[0] + 2.0 * w[0].abs(),
                vec![2.0 * (w[0] + w[0].signum())],
            )
        })
    };
    let (released, pins) = release_on_line(&[3.0, 4.0, -4.0], bowl(), 0.5);
    assert_eq!(released.z.as_slice(), [0.0, 0.5, -0.5]);
    assert_eq!(released.aside.as_slice(), [0.0, -0.5, 0.5]);
    assert_eq!(pins, [1, 0, 0]);
    // One side at 0 is no reason to leave.
    let (released, pins) = release_on_line(&[3.5, -3.5], bowl(), 0.5);
    assert_eq!((released.any, pins), (Some(false), vec![1, 1]));
    assert_eq!(released.z.as_slice(), [0.0, 0.0]);
}

#[test]
fn from_a_ridge_a_particle_goes_where_it_falls_more() {
    let ridge: FirstVariation<f64> = Box::new(|w| (-2.0 * w[0].abs(), vec![-2.0 * w[0].signum()]));
    let (released, pins) = release_on_line(&[0.25, -0.25, 4.0], ridge, 0.125);
    assert_eq!(released.z.as_slice(), [2.125, -2.125, 5.875]);
    assert_eq!(released.aside.as_slice(), [-0.125, 0.125, -0.125]);
    assert_eq!((released.any, pins), (Some(true), vec![0, 0, 0]));
}

#[test]
fn the_strongest_pulls_go_first() {
    let crease =
        || -> FirstVariation<f64> { Box::new(|w| (2.0 * w[0].abs(), vec![2.0 * w[0].signum()])) };
    let (released, pins) = release_on_line(&[102.0, 2.01, -102.0], crease(), 1e-9);
    assert_eq!((released.any, pins), (Some(true), vec![0, 1, 0]));
    assert_eq!(released.aside.as_slice(), [-1e-9, 0.0, 1e-9]);
    let (released, pins) = release_on_line(&[2.01, -2.01], crease(), 1e-9);
    assert_eq!((released.any, pins), (Some(true), vec![0, 0]));
}

#[test]
fn a_gradient_that_is_no_number_is_told_and_releases_nothing() {
    let of: FirstVariation<f64> =
        Box::new(|w| (0.0, vec![if w[0] > 0.0 { f64::NAN } else { 1.0 }]));
    let (released, pins) = release_on_line(&[9.0, 0.0], of, 0.5);
    assert_eq!((released.any, pins), (Some(false), vec![1, 1]));
    assert!(released.z.iter().all(|z| z.is_nan()) && released.aside.iter().all(|&a| a == 0.0));
}

#[test]
fn without_a_first_variation_pins_cannot_be_released() {
    let mut energy = Told {
        of: None,
        dim: 3,
        calls: 0,
        mu: Vec::new(),
    };
    let v = DMatrix::<f64>::zeros(3, 2);
    let gradient = field(3, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let mut free = Pins::new(2);
    let released = release(
        &mut energy,
        &mut free,
        (&v, &v, &[1.0, 1.0]),
        &gradient,
        0.1,
    );
    assert_eq!((released.any, released.evaluations), (Some(false), 0));
    assert_eq!((released.z, released.aside), (gradient.clone(), v.clone()));
    let mut pins = pinned(&[&[], &[0, 1]]);
    assert_eq!(
        release(
            &mut energy,
            &mut pins,
            (&v, &v, &[1.0, 1.0]),
            &gradient,
            0.1
        )
        .any,
        None
    );
}
