//! The parts of a descent along the faces, on energies whose answers are told place by place, and on known quadratics.

use nalgebra::DVector;

use super::super::proximal::fixture::{Case, assert_close, assert_near, identity, solve};
use super::*;
use crate::energy::Energy;
use crate::measure::EmpiricalMeasure;

mod descent;
mod search;

/// `F` and its gradient at the points.
type Function<'a> = &'a dyn Fn(&DMatrix<f64>) -> (f64, DMatrix<f64>);

/// The value and the gradient at a place.
type Own = fn(&[f64]) -> (f64, [f64; 2]);

/// An energy told by a function; its first variation is `own`, or else `sum_c |w_0 - c|`, or `-w_0` without kinks.
struct Told<'a> {
    of: Function<'a>,
    kinks: Vec<f64>,
    own: Option<Own>,
    curvature: f64,
    /// Velocities, first variations and curvatures asked.
    calls: usize,
}

impl Energy<f64> for Told<'_> {
    fn particle_dim(&self) -> usize {
        2
    }
    fn value(&mut self, mu: &EmpiricalMeasure<f64>) -> f64 {
        (self.of)(mu.points()).0
    }
    fn velocity(&mut self, mu: &EmpiricalMeasure<f64>, out: &mut DMatrix<f64>) -> f64 {
        self.calls += 1;
        let (value, gradient) = (self.of)(mu.points());
        out.copy_from(&-gradient);
        value
    }
    fn first_variation(
        &mut self,
        mu: &EmpiricalMeasure<f64>,
        at: &DMatrix<f64>,
        values: &mut [f64],
        descent: &mut DMatrix<f64>,
    ) -> Option<f64> {
        self.calls += 1;
        for (i, value) in values.iter_mut().enumerate() {
            let (v, gradient) = match self.own {
                Some(own) => own(&[at[(0, i)], at[(1, i)]]),
                None => creased(&self.kinks, at[(0, i)]),
            };
            *value = v;
            descent.column_mut(i).copy_from_slice(&gradient.map(|g| -g));
        }
        Some(self.value(mu))
    }
    fn curvature(
        &mut self,
        _: &EmpiricalMeasure<f64>,
        v: &DMatrix<f64>,
        out: &mut DMatrix<f64>,
    ) -> Option<()> {
        self.calls += 1;
        out.copy_from(&(v * self.curvature));
        Some(())
    }
}

/// `sum_c |w_0 - c|` and its gradient; `-w_0` without kinks.
fn creased(kinks: &[f64], w: f64) -> (f64, [f64; 2]) {
    if kinks.is_empty() {
        return (-w, [-1.0, 0.0]);
    }
    kinks
        .iter()
        .fold((0.0, [0.0; 2]), |(value, [slope, _]), c| {
            (value + (w - c).abs(), [slope + (w - c).signum(), 0.0])
        })
}

/// A told energy on two particles of the plane, of weights 5/4 and 1.
struct World<'a> {
    energy: Told<'a>,
    mu: EmpiricalMeasure<f64>,
    anchor: DMatrix<f64>,
    rate: f64,
}

impl<'a> World<'a> {
    fn new(of: Function<'a>, kinks: &[f64], points: &DMatrix<f64>) -> Self {
        let weights = DVector::from_fn(points.ncols(), |i, _| if i == 0 { 1.25 } else { 1.0 });
        let mu = EmpiricalMeasure::weighted(points.clone(), weights).expect("finite");
        let energy = Told {
            of,
            kinks: kinks.to_vec(),
            own: None,
            curvature: 1.0,
            calls: 0,
        };
        Self {
            energy,
            mu,
            anchor: points.clone(),
            rate: 0.0,
        }
    }

    fn problem(&mut self) -> Proximal<'_, f64> {
        Proximal {
            energy: &mut self.energy,
            mu: &mut self.mu,
            anchor: self.anchor.clone(),
            rate: self.rate,
        }
    }

    fn point(&mut self) -> Point<f64> {
        let v = self.mu.points().clone();
        let mut x = Point {
            velocity: v.clone(),
            gradient: v.clone(),
            v,
            energy: 0.0,
            value: 0.0,
        };
        self.problem().evaluate(&mut x);
        self.energy.calls = 0;
        x
    }
}

fn faces<T: Real>(x: &Point<T>, radius: T) -> Faces<T> {
    let [v, velocity, gradient, z, d] = [(); 5].map(|()| x.v.map(|_| real(7.0)));
    Faces {
        pins: Pins::new(x.v.ncols()),
        radius,
        model: Model::new(),
        typical: None,
        trust: None,
        y: Point {
            v,
            velocity,
            gradient,
            energy: T::zero(),
            value: T::zero(),
        },
        z,
        d,
        start: x.value,
    }
}

fn scratch<T: Real>(x: &Point<T>) -> Scratch<T> {
    Scratch::new(x.v.shape(), Vec::new())
}

fn plane(columns: &[[f64; 2]]) -> DMatrix<f64> {
    DMatrix::from_fn(2, columns.len(), |r, i| columns[i][r])
}

#[test]
fn a_place_is_the_smaller_of_length_and_share_along_the_direction() {
    let flat = |v: &DMatrix<f64>| (0.0, v * 0.0);
    let mut world = World::new(&flat, &[], &plane(&[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]));
    let x = world.point();
    let mut faces = faces(&x, 1.0);
    faces.d = plane(&[[8.0, -8.0], [16.0, 4.0], [-4.0, 2.0]]);
    faces.place(&x, 0.5, &[1.0, 0.25, 0.5]);
    assert_eq!(faces.y.v, plane(&[[5.0, -2.0], [7.0, 5.0], [3.0, 7.0]]));
    faces.place(&x, 1.0, &[1.0, 0.0, 0.25]);
    assert_eq!(faces.y.v, plane(&[[9.0, -6.0], [3.0, 4.0], [4.0, 6.5]]));
}

/// `r^2 / (rate + curvature)` against the noise of `P`: lost at its size, not at a million times that.
#[test]
fn a_gain_is_lost_at_the_size_of_the_noise() {
    for value in [1e-9, 1.0, 1e9] {
        let of = move |v: &DMatrix<f64>| (value, v * 0.0);
        let mut world = World::new(&of, &[], &plane(&[[0.0, 0.0], [0.0, 0.0]]));
        let x = world.point();
        for (rate, typical) in [
            (1e-8, 1e-8),
            (1e8, 1e8),
            (1.0, 1e8),
            (1e8, 1.0),
            (1.0, 1e9),
            (1e-7, 0.0),
        ] {
            world.rate = rate;
            let mut faces = faces(&x, 1.0);
            for known in [Some(typical), None] {
                faces.typical = known;
                let noise = world.problem().noise(&x);
                assert_near(noise, 8.0 * f64::EPSILON * value, 1e-12);
                let residual = (noise * (rate + known.unwrap_or(0.0))).sqrt();
                assert!(faces.lost(&mut world.problem(), &x, residual));
                assert!(!faces.lost(&mut world.problem(), &x, residual * 1e3));
            }
        }
    }
}

/// Particles whose steepest descent meets the kink within the radius go there, the others stay; what is pinned cannot cross.
#[test]
fn particles_on_a_kink_are_found_and_pinned() {
    const RADIUS: f64 = 0.1;
    // Those from the third on are too far, beyond, or at rest.
    let w = plane(&[
        [0.96, 1.0],
        [1.03, -2.0],
        [0.8, 3.0],
        [1.3, 4.0],
        [-1.0, 0.0],
        [0.97, 5.0],
    ]);
    // How far `F` rises where the particles have moved, in noises; whether it falls.
    for (rise, moves) in [(-1e9, true), (0.0, true), (0.5, true), (4.0, false)] {
        let of = |v: &DMatrix<f64>| {
            let slopes = [3.0, 3.0, 3.0, 3.0, 0.2, 0.0];
            let gradient = DMatrix::from_fn(2, 6, |r, i| {
                if r == 0 {
                    slopes[i] * (v[(0, i)] - 1.0).signum()
                } else {
                    0.0
                }
            });
            let noise = 4.0 * f64::EPSILON * (2e6 + 1e3);
            (1e6 + if v == &w { 0.0 } else { rise * noise }, gradient)
        };
        let mut world = World::new(&of, &[1.0], &w);
        let mut x = world.point();
        let (mut faces, mut scratch) = (faces(&x, RADIUS), scratch(&x));
        assert!(
            faces
                .find_pins(&mut world.problem(), &mut x, &mut scratch)
                .is_some()
        );
        assert_eq!(faces.model.evaluations, world.energy.calls);
        let mut wanted = w.clone();
        if moves {
            wanted[(0, 0)] = 1.0;
            wanted[(0, 1)] = 1.0;
        }
        assert!(
            (&x.v - &wanted).amax() <= RADIUS * 1e-3,
            "{} instead of {wanted}",
            x.v
        );
        assert_eq!(x.value, of(&x.v).0);
        for i in 2..6 {
            assert_eq!(x.v.column(i), w.column(i));
        }
        let mut ones = DMatrix::from_element(2, 6, 1.0);
        faces.pins.project(&mut ones);
        let along: Vec<f64> = ones.row(0).iter().copied().collect();
        assert_eq!(along, [0.0, 0.0, 1.0, 1.0, 1.0, 1.0]);
        assert_eq!(ones.row(1).min(), 1.0);
    }
}

#[test]
fn where_no_particle_is_on_a_kink_nothing_moves() {
    let of = |v: &DMatrix<f64>| (v[(0, 0)], DMatrix::from_element(2, 2, 1.0));
    let mut world = World::new(&of, &[-9.0], &plane(&[[0.0, 0.0], [1.0, 0.0]]));
    let mut x = world.point();
    let (mut faces, v, mut scratch) = (faces(&x, 0.1), x.v.clone(), scratch(&x));
    assert!(
        faces
            .find_pins(&mut world.problem(), &mut x, &mut scratch)
            .is_some()
    );
    assert_eq!(
        (x.v, faces.model.evaluations, world.energy.calls),
        (v, 1, 1)
    );
}

/// The released go a gradient step `-slope / (rate + curvature)`, at least as far as `aside`; else a tenth; else `aside`.
#[test]
fn the_released_step_aside_to_a_lower_place() {
    let start = plane(&[[0.0, 0.0], [4.0, 5.0], [1.0, 1.0]]);
    let aside = plane(&[[0.0, 0.25], [0.0, 0.0], [0.5, 0.0]]);
    for (rate, typical, stiffness) in [(2.0, Some(6.0), 8.0), (3.0, None, 4.0)] {
        // Slopes -8 and -1/64 along the unit vectors: `8 / stiffness` far, and less than `aside`.
        let z = plane(&[[1.0, -8.0], [2.0, 2.0], [-1.0 / 64.0, 3.0]]);
        let far = plane(&[[0.0, 8.0 / stiffness], [0.0, 0.0], [0.5, 0.0]]);
        let places = [
            &start + &far,
            &start + &far * 0.1,
            &start + &aside,
            start.clone(),
        ];
        for (wanted, place) in places.iter().enumerate() {
            // Each place and its rise above x; where it is to go, the value is that of x.
            let of = |v: &DMatrix<f64>| {
                let here = (v - &start).amax() == 0.0;
                (
                    if here || (v - place).amax() < 1e-12 {
                        5.0
                    } else {
                        5.5
                    },
                    v * 0.0,
                )
            };
            let mut world = World::new(&of, &[], &start);
            let mut x = world.point();
            world.rate = rate;
            x.value -= 1e-3;
            world.anchor = place.clone();
            let mut faces = faces(&x, 1.0);
            (faces.typical, faces.start) = (typical, if wanted == 3 { 4.0 } else { 5.0 });
            if wanted < 2 {
                x.value = 5.0;
            }
            faces.z.copy_from(&z);
            faces.step_aside(&mut world.problem(), &mut x, &aside);
            assert!(
                (&x.v - place).amax() < 1e-12,
                "{wanted}: {} instead of {place}",
                x.v
            );
            assert_eq!(faces.model.evaluations, (wanted + 1).min(3));
            assert_eq!(world.energy.calls, faces.model.evaluations);
        }
    }
}

/// The last way out may rise from `x`, to the start and its noise, not above.
#[test]
fn a_step_aside_never_rises_above_the_start() {
    let aside = plane(&[[0.5, 0.0], [0.0, 0.0]]);
    let noise = 8.0 * f64::EPSILON * 1024.0;
    for (rise, moves) in [(0.5, true), (-1.0, true), (0.0, true), (3.0, false)] {
        let of = |v: &DMatrix<f64>| match v[(0, 0)] {
            0.0 => (1024.0, v * 0.0),
            0.5 => (1024.0 + rise * noise, v * 0.0),
            _ => (2000.0, v * 0.0),
        };
        let mut world = World::new(&of, &[], &plane(&[[0.0, 0.0], [0.0, 0.0]]));
        let mut x = world.point();
        let mut faces = faces(&x, 1.0);
        x.value -= 2.0 * noise;
        faces.z = plane(&[[-4.0, 0.0], [1.0, 1.0]]);
        faces.step_aside(&mut world.problem(), &mut x, &aside);
        assert_eq!(x.v[(0, 0)], if moves { 0.5 } else { 0.0 });
        assert_eq!(faces.model.evaluations, 3);
    }
}

/// A quadratic: the Hessian is the same everywhere.
fn quadratic<T: Real>(seed: u64, shape: (usize, usize)) -> Case<T> {
    let mut case = Case::<T>::new(seed, shape);
    case.energy.cubic.fill(T::zero());
    case
}

/// The first direction is that of Gauss and Newton, damped by a hundredth of the curvature along `z`; later ones are Newton's.
#[test]
fn directions_are_dense_solutions() {
    for (seed, shape) in [(1, 1), (1, 3), (3, 1), (2, 3)].into_iter().enumerate() {
        let mut case = quadratic::<f64>(11 + seed as u64, shape);
        let x = case.start();
        let (mut faces, mut scratch) = (faces(&x, 1e-9), scratch(&x));
        faces.z = x.gradient.clone();
        let (z, residual) = (faces.z.clone(), case.norm(&x.gradient));
        let along = DMatrix::from_column_slice(
            shape.0,
            shape.1,
            (case.gauss_newton() * DVector::from_column_slice(z.as_slice())).as_slice(),
        );
        let typical = case.inner(&z, &along) / (residual * residual);
        let shift = case.rate + typical * 0.01;
        let slope = faces
            .turn(&mut case.problem(), &x, (residual, 1e-9), &mut scratch)
            .expect("told");
        assert_near(faces.typical.expect("known"), typical, 1e-10);
        assert_close(
            &faces.d,
            &-solve(&(case.gauss_newton() + identity(&z) * shift), &z),
            1e-7,
        );
        assert_near(slope, case.inner(&z, &faces.d), 1e-12);
        let first = faces.model.products;
        assert!(first >= 2 && faces.model.evaluations == 0);

        faces.trust = Some(1e6);
        let slope = faces
            .turn(&mut case.problem(), &x, (residual, 1e-9), &mut scratch)
            .expect("told");
        let newton = -solve(&(case.hessian() + identity(&z) * case.rate), &z);
        assert_close(&faces.d, &newton, 1e-5);
        assert_near(slope, case.inner(&z, &faces.d), 1e-12);
        assert_eq!(faces.model.evaluations, 1);
        assert!(faces.model.products > first);
        assert_near(faces.typical.expect("known"), typical, 1e-10);

        let trust = 0.25 * case.norm(&newton);
        faces.trust = Some(trust);
        assert!(
            faces
                .turn(&mut case.problem(), &x, (residual, 1e-9), &mut scratch)
                .expect("told")
                < 0.0
        );
        assert_near(case.norm(&faces.d), trust, 1e-9);
    }
}

#[test]
fn where_the_model_finds_no_descent_the_direction_is_a_cautious_gradient_step() {
    let mut case = quadratic::<f64>(21, (2, 3));
    let x = case.start();
    let (mut faces, mut scratch) = (faces(&x, 1e-9), scratch(&x));
    faces.z = &x.gradient * 3.0;
    faces.trust = Some(0.0);
    let (z, residual) = (faces.z.clone(), case.norm(&faces.z));
    let slope = faces
        .turn(&mut case.problem(), &x, (residual, 0.1), &mut scratch)
        .expect("told");
    let length = case.problem().cautious(&x, residual);
    assert_close(&faces.d, &(&z * -length), 1e-12);
    assert_near(slope, case.inner(&z, &faces.d), 1e-12);
}
