//! Pins against plain definitions: orthonormal bases, and shortest vectors by their optimality conditions.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::energy::Energy;
use crate::measure::EmpiricalMeasure;

mod release;

/// Value and gradient of `F'(mu)` at a place.
type FirstVariation<T> = Box<dyn Fn(&[T]) -> (T, Vec<T>)>;

/// An energy told by its first variation, which counts how often it is asked; `None`: it does not tell.
struct Told<T> {
    of: Option<FirstVariation<T>>,
    dim: usize,
    calls: usize,
    /// Where the measure was when last asked.
    mu: Vec<T>,
}

impl<T: Real> Energy<T> for Told<T> {
    fn particle_dim(&self) -> usize {
        self.dim
    }
    fn value(&mut self, _: &EmpiricalMeasure<T>) -> T {
        T::zero()
    }
    fn velocity(&mut self, _: &EmpiricalMeasure<T>, out: &mut DMatrix<T>) -> T {
        out.fill(T::zero());
        T::zero()
    }
    fn first_variation(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        at: &DMatrix<T>,
        values: &mut [T],
        descent: &mut DMatrix<T>,
    ) -> Option<T> {
        let of = self.of.as_ref()?;
        self.calls += 1;
        self.mu = mu.points().as_slice().to_vec();
        for (k, value) in values.iter_mut().enumerate() {
            let (v, g) = of(&at.as_slice()[k * self.dim..(k + 1) * self.dim]);
            *value = v;
            descent
                .column_mut(k)
                .iter_mut()
                .zip(&g)
                .for_each(|(out, &g)| *out = -g);
        }
        Some(T::zero())
    }
}

fn reals<T: Real>(x: &[f64]) -> Vec<T> {
    x.iter().map(|&x| real(x)).collect()
}

fn field<T: Real>(p: usize, columns: &[f64]) -> DMatrix<T> {
    DMatrix::from_vec(p, columns.len() / p, reals(columns))
}

fn near<T: Real>(u: &[T], v: &[T], tolerance: T) {
    assert_eq!(u.len(), v.len());
    assert!(
        u.iter().zip(v).all(|(&u, &v)| (u - v).abs() <= tolerance),
        "{u:?} is not {v:?}"
    );
}

/// Rows: an orthonormal basis of `R^3`.
const AXES: [[f64; 3]; 3] = [
    [2.0 / 3.0, 2.0 / 3.0, 1.0 / 3.0],
    [-2.0 / 3.0, 1.0 / 3.0, 2.0 / 3.0],
    [1.0 / 3.0, -2.0 / 3.0, 2.0 / 3.0],
];

/// The field whose columns have these coordinates along the axes.
fn along_axes<T: Real>(coordinates: &[[f64; 3]]) -> DMatrix<T> {
    let column = |c: &[f64; 3]| {
        (0..3)
            .map(|r| (0..3).map(|k| c[k] * AXES[k][r]).sum::<f64>())
            .collect::<Vec<_>>()
    };
    field(3, &coordinates.iter().flat_map(column).collect::<Vec<_>>())
}

/// Pins particle `i` on the axes listed.
fn pinned<T: Real>(axes: &[&[usize]]) -> Pins<T> {
    let mut pins = Pins::new(axes.len());
    for (i, axes) in axes.iter().enumerate() {
        axes.iter().for_each(|&k| pins.pin(i, reals(&AXES[k])));
    }
    pins
}

fn basis_is_orthonormal<T: Real>() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let tolerance = real::<T>(16.0) * epsilon::<T>();
    for p in 1..7 {
        let mut pins = Pins::<T>::new(2);
        let mut given: Vec<Vec<T>> = Vec::new();
        for k in 0..6 {
            let mut n: Vec<T> = (0..p).map(|_| real(rng.random_range(-1.0..1.0))).collect();
            if let Some(first) = given.first().filter(|_| k == 1) {
                // Nearly the same surface again: one pass of Gram and Schmidt loses digits here.
                n.iter_mut()
                    .zip(first)
                    .for_each(|(n, &f)| *n = *n * real(0.5) + f * real(100.0));
            }
            let size = dot(&n, &n).sqrt();
            n.iter_mut().for_each(|n| *n /= size);
            let before = pins.normals[1].len();
            pins.pin(1, n.clone());
            if pins.normals[1].len() > before {
                given.push(n);
            }
        }
        let basis = &pins.normals[1];
        assert!(pins.normals[0].is_empty());
        assert_eq!(basis.len(), p.min(MOST));
        for (k, e) in basis.iter().enumerate() {
            for (l, f) in basis.iter().enumerate() {
                let delta = if k == l { T::one() } else { T::zero() };
                assert!(
                    (dot(e, f) - delta).abs() <= tolerance,
                    "{p} {k} {l}: {}",
                    dot(e, f)
                );
            }
            // The k-th given is in the span of the first k, on the positive side of its own.
            let mut rest = given[k].clone();
            for e in &basis[..=k] {
                let s = dot(e, &rest);
                rest.iter_mut().zip(e).for_each(|(r, &e)| *r -= s * e);
            }
            assert!(dot(&rest, &rest).sqrt() <= tolerance && dot(&given[k], e) > T::zero());
        }
    }
}

#[test]
fn pins_are_an_orthonormal_basis_of_the_normals() {
    basis_is_orthonormal::<f32>();
    basis_is_orthonormal::<f64>();
}

#[test]
fn a_surface_that_cannot_be_crossed_is_no_new_pin() {
    let mut pins = Pins::<f64>::new(1);
    for n in [
        [1.0, 0.0, 0.0],
        [-1.0, 0.0, 0.0],
        [0.0, 0.0, 0.0],
        [f64::NAN, 0.0, 1.0],
        [0.6, 0.8, 0.0],
        [0.8, -0.6, 0.0],
    ] {
        pins.pin(0, n.to_vec());
    }
    assert_eq!(pins.normals, [[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]);
}

#[test]
fn the_particles_that_met_a_kink_are_pinned_on_it() {
    let mut pins = Pins::<f64>::new(3);
    pins.take([None, Some(vec![0.0, 1.0]), None]);
    pins.take([Some(vec![-1.0, 0.0]), Some(vec![1.0, 0.0]), None]);
    let expected = vec![
        vec![vec![-1.0, 0.0]],
        vec![vec![0.0, 1.0], vec![1.0, 0.0]],
        vec![],
    ];
    assert_eq!(pins.normals, expected);
}

fn projection<T: Real>() {
    let pins = pinned::<T>(&[&[1], &[], &[2, 0]]);
    let coordinates = [[1.0, -2.0, 3.0], [0.5, 4.0, -1.0], [-3.0, 2.0, 0.25]];
    let across = |[a, b, c]: [f64; 3], i: usize| [[a, 0.0, c], [a, b, c], [0.0, b, 0.0]][i];
    // Two fields side by side, the second one turned.
    let both: Vec<_> = (0..6).map(|k| coordinates[(k + k / 3) % 3]).collect();
    let kept: Vec<_> = both
        .iter()
        .enumerate()
        .map(|(k, &c)| across(c, k % 3))
        .collect();
    let mut fields = along_axes::<T>(&both);
    pins.project(&mut fields);
    near(
        fields.as_slice(),
        along_axes(&kept).as_slice(),
        real::<T>(16.0) * epsilon::<T>(),
    );
}

#[test]
fn a_projection_removes_what_goes_across_the_pins_only() {
    projection::<f32>();
    projection::<f64>();
}

#[test]
fn any_tells_whether_a_particle_of_some_weight_has_more_pins() {
    let mut energy = Told {
        of: None,
        dim: 3,
        calls: 0,
        mu: Vec::new(),
    };
    let mut mu =
        EmpiricalMeasure::weighted(DMatrix::zeros(3, 3), vec![0.3, 0.7, 0.0].into()).unwrap();
    let mut problem = Proximal {
        energy: &mut energy,
        mu: &mut mu,
        anchor: DMatrix::zeros(3, 3),
        rate: 1.0,
    };
    let mut flags = DMatrix::from_element(3, 3, 2.0);
    for (pins, most) in [
        (pinned::<f64>(&[&[], &[], &[]]), 0),
        (pinned(&[&[], &[0, 1], &[2, 1, 0]]), 2),
    ] {
        for level in 0..4 {
            assert_eq!(pins.any(&mut problem, level, &mut flags), level < most);
        }
    }
}

#[test]
fn a_place_is_on_the_told_side_of_each_pin_and_nearer_to_the_first() {
    let pins = pinned::<f64>(&[&[2], &[], &[1, 0, 2]]);
    let v = along_axes::<f64>(&[[1.0, 2.0, 3.0], [-1.0, 0.5, 0.0], [0.0, 4.0, 1.0]]);
    for step in [
        [0.5, 0.5, 0.5],
        [-0.5, 0.5, 0.5],
        [0.5, -0.5, 0.5],
        [0.5, 0.5, -0.5],
    ] {
        let mut out = v.clone();
        pins.place(&v, |k| step[k], &mut out);
        out -= &v;
        let moved = |i: usize, k: usize| dot(&out.as_slice()[3 * i..3 * i + 3], &AXES[k]);
        near(
            &[moved(0, 0), moved(0, 1), moved(0, 2)],
            &[0.0, 0.0, step[0]],
            1e-14,
        );
        near(&[moved(1, 0), moved(1, 1), moved(1, 2)], &[0.0; 3], 0.0);
        let shares = [
            moved(2, 1) / step[0],
            moved(2, 0) / step[1],
            moved(2, 2) / step[2],
        ];
        assert!(
            0.0 < shares[0] && shares[0] < 0.5 * shares[1] && shares[1] < 0.5 * shares[2],
            "{shares:?}"
        );
        assert!((shares[2] - 1.0).abs() <= 1e-14);
    }
}

fn shortest<T: Real>() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let (mut inside, mut ends) = (0, 0);
    for count in [1, 2, 3, 2, 3, 4, 1, 2, 4, 3] {
        // Jumps that lean over each other, as large as z: shares of all kinds.
        let entry =
            |scale: f64, rng: &mut ChaCha8Rng| real::<T>(scale * rng.random_range(-1.0..1.0));
        let mut jumps = Vec::new();
        let mut normals = Vec::new();
        for k in 0..count {
            let mut j: Vec<T> = (0..5).map(|_| entry(0.5, &mut rng)).collect();
            j[k] += T::one();
            let mut n = vec![T::zero(); 5];
            n[k] = T::one();
            jumps.push(j);
            normals.push(n);
        }
        let start: Vec<T> = (0..5).map(|_| entry(2.0, &mut rng)).collect();
        let mut z = start.clone();
        let shares = between(&mut z, &jumps, &normals);
        let mut expected = start;
        for (&s, j) in shares.iter().zip(&jumps) {
            assert!((T::zero()..=T::one()).contains(&s));
            expected.iter_mut().zip(j).for_each(|(z, &j)| *z -= s * j);
        }
        near(&z, &expected, real::<T>(64.0) * epsilon::<T>());
        // Shortest: no share can change so that z gets shorter.
        for (&s, j) in shares.iter().zip(&jumps) {
            let (gain, tolerance) = (dot(&z, j), real::<T>(64.0) * epsilon::<T>());
            assert!(s == T::one() || gain <= tolerance, "{shares:?} {gain}");
            assert!(s == T::zero() || gain >= -tolerance, "{shares:?} {gain}");
            if s > T::zero() && s < T::one() {
                inside += 1
            } else {
                ends += 1
            }
        }
        assert_eq!(shares.len(), count);
    }
    assert!(inside > 5 && ends > 5);
}

#[test]
fn between_gives_the_shortest_vector_of_the_hull() {
    shortest::<f32>();
    shortest::<f64>();
}

#[test]
fn between_leaves_a_jump_of_0_alone() {
    let mut z = [1.0, -2.0];
    assert_eq!(between::<f64>(&mut z, &[], &[]), [0.0; 0]);
    let normals = [vec![1.0, 0.0], vec![0.0, -1.0]];
    assert_eq!(
        between(&mut z, &[vec![0.0, 0.0], vec![0.0, -1.0]], &normals),
        [0.0, 1.0]
    );
    assert_eq!(z, [1.0, -1.0]);
}

#[test]
fn across_a_ridge_between_takes_the_side_that_falls_more() {
    // Slopes of value along n on this side, and along -n on the other, by all choices of signs.
    let n = vec![vec![0.0, 1.0], vec![1.0, 0.0]];
    for (here, there) in [
        (-3.0, -1.0),
        (-1.0, -3.0),
        (2.0, -4.0),
        (-4.0, 2.0),
        (-1.0, -1.5),
        (-1.5, -1.0),
    ] {
        // The gradient is `here` on this side, `-there` on the other; their jump is here + there < 0.
        let expected = f64::from(there < here);
        let (mut z, jump) = ([0.5, here], vec![0.25, here + there]);
        assert_eq!(between(&mut z, std::slice::from_ref(&jump), &n), [expected]);
        near(
            &z,
            &[0.5 - expected * 0.25, here - expected * jump[1]],
            1e-15,
        );
        // The same beside a convex jump, by which the sweeps go on.
        let (mut z, jump) = ([0.5, here], vec![0.0, here + there]);
        assert_eq!(
            between(&mut z, &[jump.clone(), vec![2.0, 0.0]], &n),
            [expected, 0.25]
        );
        near(&z, &[0.0, here - expected * jump[1]], 1e-15);
    }
    // The slopes that count are those with the shares of the other pins: 1 there, and -4 and 0 in the end.
    let mut z = [30.0, 1.0];
    assert_eq!(
        between(&mut z, &[vec![0.0, -4.0], vec![1.0, 5.0]], &n),
        [0.0, 1.0]
    );
    assert_eq!(z, [29.0, -4.0]);
}
