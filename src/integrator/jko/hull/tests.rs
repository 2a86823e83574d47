//! Hulls, their shortest vectors and their normals, against the plain definitions.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use nalgebra::DVector;

mod search;

fn vector<T: Real>(v: &[f64]) -> Vec<T> {
    v.iter().map(|&v| real(v)).collect()
}

fn field<T: Real>(p: usize, v: &[f64]) -> DMatrix<T> {
    DMatrix::from_vec(p, v.len() / p, vector(v))
}

/// A point of which the hulls see place and gradient.
fn point<T: Real>(v: DMatrix<T>, gradient: DMatrix<T>) -> Point<T> {
    Point {
        velocity: -&gradient,
        v,
        gradient,
        energy: T::zero(),
        value: T::zero(),
    }
}

fn site<T: Real>(v: &[f64], gradient: &[f64]) -> Site<T> {
    Site {
        v: vector(v),
        gradient: vector(gradient),
        weight: T::one(),
    }
}

fn kinks<T: Real>(radius: f64, sites: Vec<Vec<Site<T>>>) -> Kinks<T> {
    Kinks {
        sites,
        normals: Vec::new(),
        radius: real(radius),
    }
}

fn random<T: Real>(rng: &mut ChaCha8Rng, len: usize) -> Vec<T> {
    (0..len)
        .map(|_| real(f64::from(rng.random_range(-1.0_f32..1.0))))
        .collect()
}

fn lies_near<T: Real>(u: &[T], v: &[T], tolerance: T) -> bool {
    u.len() == v.len() && distance(u, v) <= tolerance
}

/// Asserts that `z` is the convex combination of `g` and the sites' gradients that the shares tell; returns by how much it
/// fails to be the shortest one, `<g_s, z> >= |z|^2` for every vertex, in roundings.
///
/// The exchanges are bounded in number: of random hulls one in 200 is flat enough to use them up.
fn excess<T: Real>(g: &[T], sites: &[Site<T>], own: T, z: &[T]) -> T {
    let largest = sites.iter().fold(dot(g, g), |max, site| {
        max.max(dot(&site.gradient, &site.gradient))
    });
    let rounding = real::<T>(200.0) * epsilon::<T>();
    assert!(own >= T::zero() && sites.iter().all(|site| site.weight >= T::zero()));
    let total = sites.iter().fold(own, |sum, site| sum + site.weight);
    assert!(
        (total - T::one()).abs() <= rounding,
        "the shares add to {total}"
    );
    let mut sum: Vec<T> = g.iter().map(|&g| own * g).collect();
    for site in sites {
        sum.iter_mut()
            .zip(&site.gradient)
            .for_each(|(sum, &g)| *sum += site.weight * g);
    }
    assert!(
        lies_near(&sum, z, rounding * largest.sqrt()),
        "{sum:?} is not {z:?}"
    );
    let lowest = sites
        .iter()
        .fold(dot(g, z), |min, site| min.min(dot(&site.gradient, z)));
    assert!(
        dot(z, z) - lowest <= real::<T>(0.01) * largest,
        "{} by {lowest} of {largest}",
        dot(z, z)
    );
    (dot(z, z) - lowest) / (epsilon::<T>() * largest)
}

fn hulls_of<T: Real>() {
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    let (mut outside, mut whole, mut unfinished) = (0, 0, 0);
    for round in 0..400 {
        let (p, count) = (1 + round % 6, rng.random_range(0..=SITES));
        let (spread, shift): (T, Vec<T>) = (real([1.0, 0.01, 30.0][round % 3]), random(rng, p));
        let mut draw = || {
            random::<T>(rng, p)
                .iter()
                .zip(&shift)
                .map(|(&g, &s)| spread * g + s)
                .collect::<Vec<T>>()
        };
        let g = draw();
        let mut sites: Vec<Site<T>> = (0..count)
            .map(|_| Site {
                v: vec![],
                gradient: draw(),
                weight: T::one(),
            })
            .collect();
        if round % 7 == 0 && count > 1 {
            // Gradients that are there twice.
            sites[0].gradient.copy_from_slice(&g);
            sites[count - 1].gradient = sites[count / 2].gradient.clone();
        }
        let mut z = vec![T::zero(); p];
        let own = shortest(&g, &mut sites, &mut z);
        unfinished += usize::from(excess(&g, &sites, own, &z) > real(20.0));
        outside += usize::from(own == T::zero());
        whole += usize::from(own > T::zero() && sites.iter().any(|site| site.weight > T::zero()));

        // Powers of two change no rounding.
        for scale in [real::<T>(2.0).powi(20), real::<T>(2.0).powi(-20)] {
            let g: Vec<T> = g.iter().map(|&g| g * scale).collect();
            let scaled = |site: &Site<T>| site.gradient.iter().map(|&g| g * scale).collect();
            let mut small: Vec<Site<T>> = sites
                .iter()
                .map(|site| Site {
                    v: vec![],
                    gradient: scaled(site),
                    weight: T::one(),
                })
                .collect();
            assert!(shortest(&g, &mut small, &mut z) == own);
            assert!(
                small
                    .iter()
                    .zip(&sites)
                    .all(|(small, site)| small.weight == site.weight)
            );
        }
    }
    assert!(unfinished <= 6, "{unfinished} are not shortest");
    assert!(
        outside > 20 && whole > 20,
        "{outside} without the point, {whole} with it and others"
    );
}

#[test]
fn the_shortest_vector_of_a_hull_is_optimal() {
    hulls_of::<f64>();
    hulls_of::<f32>();
}

/// The gradient of the point and those of its sites, the shortest vector, and the share of the point in it.
type Known<'a> = (&'a [f64], &'a [&'a [f64]], &'a [f64], f64);

#[test]
fn shortest_vectors_of_known_hulls() {
    let cases: [Known<'_>; 8] = [
        (&[3.0, 4.0], &[], &[3.0, 4.0], 1.0),
        (&[-1.0], &[&[3.0]], &[0.0], 0.75),
        (&[1.0, 2.0], &[&[1.0, -2.0]], &[1.0, 0.0], 0.5),
        (&[1.0, 1.0], &[&[2.0, 1.0]], &[1.0, 1.0], 1.0),
        (&[2.0, 3.0], &[&[0.5, 1.0], &[0.5, -1.0]], &[0.5, 0.0], 0.0),
        (&[1.0, 2.0], &[&[1.0, 2.0], &[1.0, 2.0]], &[1.0, 2.0], 1.0),
        (&[0.0, 0.0], &[&[0.0, 0.0]], &[0.0, 0.0], 1.0),
        (
            &[1.0, 0.0, 0.0],
            &[&[0.0, 1.0, 0.0], &[0.0, 0.0, 1.0]],
            &[1.0 / 3.0; 3],
            1.0 / 3.0,
        ),
    ];
    for (g, sites, expected, share) in cases {
        let mut sites: Vec<Site<f64>> = sites.iter().map(|gradient| site(&[], gradient)).collect();
        let mut z = vec![f64::NAN; g.len()];
        let own = shortest(g, &mut sites, &mut z);
        assert!(
            lies_near(&z, expected, 1e-12) && (own - share).abs() < 1e-12,
            "{g:?}: {z:?}, {own}"
        );
    }
    // The search ends, and its caller sees that the gradient is not finite.
    let mut z = [0.0, 0.0];
    shortest(&[f64::NAN, 1.0], &mut [site(&[], &[1.0, 2.0])], &mut z);
    assert!(z[0].is_nan());
}

/// Particles with random hulls, some sites beyond the radius, and what the hulls are by definition.
fn particles_of<T: Real>() {
    let rng = &mut ChaCha8Rng::seed_from_u64(2);
    let (tolerance, m) = (real::<T>(30.0) * epsilon::<T>().sqrt(), 5);
    let mut unfinished = 0;
    for p in [1, 2, 3, 5].repeat(20) {
        let x = point(
            DMatrix::from_vec(p, m, random(rng, p * m)),
            DMatrix::from_vec(p, m, random(rng, p * m)),
        );
        let mut sites: Vec<Vec<Site<T>>> = Vec::new();
        for i in 0..m {
            let around = x.v.column(i);
            let mut draw = || {
                let far: T = real(if rng.random_bool(0.3) { 5.0 } else { 0.1 });
                let mut off: Vec<T> = random(rng, p);
                let away = if off[0] > T::zero() {
                    T::one()
                } else {
                    -T::one()
                };
                off[0] += away;
                let v = off
                    .iter()
                    .zip(around.iter())
                    .map(|(&off, &v)| v + far * off)
                    .collect();
                Site {
                    v,
                    gradient: random(rng, p),
                    weight: T::one(),
                }
            };
            sites.push((0..i).map(|_| draw()).collect());
        }
        let radius = real(1.0);
        let near: Vec<Vec<Vec<T>>> = (sites.iter().enumerate())
            .map(|(i, sites)| {
                let near = sites
                    .iter()
                    .filter(|site| distance(&site.v, x.v.column(i).as_slice()) <= radius);
                near.map(|site| site.gradient.clone()).collect()
            })
            .collect();
        let mut kinks = Kinks {
            sites,
            normals: vec![(0, random(rng, p), T::one())],
            radius,
        };
        let mut z = DMatrix::from_element(p, m, T::one());
        kinks.shortest(&x, &mut z);

        let field = DMatrix::from_vec(p, m, random::<T>(rng, p * m));
        let (mut projected, mut relaxed, mut stiff) = (field.clone(), field.clone(), field.clone());
        kinks.project(&mut projected);
        let shift = real(0.7);
        kinks.relax(shift, &mut relaxed);
        // (s + K) (s + K)^-1 s u = s u
        stiff.copy_from(&relaxed);
        stiff *= shift;
        kinks.stiffen(&relaxed, &mut stiff);
        for i in 0..m {
            let (g, z) = (x.gradient.column(i), z.column(i));
            let kept = &kinks.sites[i];
            assert!(
                kept.iter()
                    .all(|site| site.weight > T::zero() && near[i].contains(&site.gradient))
            );
            let own = kept.iter().fold(T::one(), |own, site| own - site.weight);
            let own = if own > epsilon::<T>() * real(100.0) {
                own
            } else {
                T::zero()
            };
            let rest = near[i]
                .iter()
                .filter(|g| kept.iter().all(|site| site.gradient != **g));
            let rest: Vec<Site<T>> = rest
                .map(|g| Site {
                    v: vec![],
                    gradient: g.clone(),
                    weight: T::zero(),
                })
                .collect();
            let all: Vec<Site<T>> = (kept.iter())
                .map(|site| Site {
                    v: vec![],
                    gradient: site.gradient.clone(),
                    weight: site.weight,
                })
                .chain(rest)
                .collect();
            unfinished += usize::from(excess(g.as_slice(), &all, own, z.as_slice()) > real(20.0));

            // The normals span what the shared gradients span by their differences.
            let mut shared: Vec<DVector<T>> = kept
                .iter()
                .map(|s| DVector::from_vec(s.gradient.clone()))
                .collect();
            if own > T::zero() {
                shared.push(g.into_owned());
            }
            let across = shared.iter().map(|g| g - &shared[0]).collect::<Vec<_>>();
            let across = if across.is_empty() {
                DMatrix::zeros(p, 1)
            } else {
                DMatrix::from_columns(&across)
            };
            let inverse = across
                .clone()
                .pseudo_inverse(epsilon::<T>().sqrt())
                .unwrap();
            let u = field.column(i);
            let expected = u - &across * (inverse * u);
            assert!(
                lies_near(
                    projected.column(i).as_slice(),
                    expected.as_slice(),
                    tolerance
                ),
                "{p} {i} {own}"
            );
            let largest = kinks
                .normals
                .iter()
                .fold(T::one(), |max, (_, _, k)| max.max(*k));
            let product: Vec<T> = u.iter().map(|&u| u * shift).collect();
            assert!(lies_near(
                stiff.column(i).as_slice(),
                &product,
                largest * tolerance
            ));
        }
        // K = sum k n n^T, with orthonormal n, is what `stiffen` adds.
        let mut dense = DMatrix::<T>::zeros(p * m, p * m);
        for (i, n, k) in &kinks.normals {
            assert!(*k > T::zero() && k.is_finite() && !kinks.sites[*i].is_empty());
            for (j, other, _) in kinks.normals.iter().filter(|(j, _, _)| j == i) {
                let delta = if std::ptr::eq(n, other) {
                    T::one()
                } else {
                    T::zero()
                };
                assert!(
                    (dot(n, other) - delta).abs() <= real::<T>(100.0) * epsilon::<T>(),
                    "{j}"
                );
            }
            let n = DVector::from_column_slice(n);
            let mut block = dense.view_mut((i * p, i * p), (p, p));
            block += &n * n.transpose() * *k;
        }
        let mut out = x.v.clone();
        kinks.stiffen(&field, &mut out);
        let expected = DVector::from_column_slice(x.v.as_slice())
            + &dense * DVector::from_column_slice(field.as_slice());
        let tolerance = real::<T>(100.0) * epsilon::<T>() * (T::one() + dense.norm());
        assert!(lies_near(out.as_slice(), expected.as_slice(), tolerance));
    }
    assert!(unfinished <= 8, "{unfinished} of 400 are not shortest");
}

#[test]
fn every_particle_has_the_hull_of_its_own_gradients_nearby() {
    particles_of::<f64>();
    particles_of::<f32>();
}

/// Kinks across orthogonal normals: `K (v_s - v) = g_s - g`, between the gradients that share in the shortest one.
fn secants_of<T: Real>() {
    let (h, tolerance) = (0.125, real::<T>(100.0) * epsilon::<T>());
    // Particle 0: the point and both sites share. Particle 1: only the two sites. Particle 2: no site.
    let x = point(
        field(3, &[1.0, 2.0, 3.0, -1.0, 0.0, 1.0, 5.0, 5.0, 5.0]),
        field(3, &[-1.0, 0.5, -2.0, 9.0, 9.0, 9.0, 1.0, 2.0, 3.0]),
    );
    let mut kinks = kinks(
        1.0,
        vec![
            vec![
                site(&[1.0 + h, 2.0, 3.0], &[2.0, 0.5, -2.0]),
                site(&[1.0, 2.0, 3.0 + 2.0 * h], &[-1.0, 0.5, 4.0]),
            ],
            vec![
                site(&[-1.0, h, 1.0], &[0.0, 2.0, 1.0]),
                site(&[-1.0, -h, 1.0], &[0.0, -2.0, 1.0]),
            ],
            vec![],
        ],
    );
    let mut z = DMatrix::zeros(3, 3);
    kinks.shortest(&x, &mut z);
    assert!(lies_near(
        z.as_slice(),
        &vector(&[0.0, 0.5, 0.0, 0.0, 0.0, 1.0, 1.0, 2.0, 3.0]),
        tolerance
    ));
    for (u, expected) in [
        (
            [h, 0.0, 0.0, 0.0, 2.0 * h, 0.0, 1.0, 1.0, 1.0],
            [3.0, 0.0, 0.0, 0.0, 4.0, 0.0, 0.0, 0.0, 0.0],
        ),
        (
            [0.0, 7.0, 2.0 * h, 8.0, 0.0, 9.0, 0.0, 0.0, 0.0],
            [0.0, 0.0, 6.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        ),
    ] {
        let mut out = DMatrix::zeros(3, 3);
        kinks.stiffen(&field(3, &u), &mut out);
        assert!(
            lies_near(out.as_slice(), &vector(&expected), tolerance * real(10.0)),
            "{out}"
        );
    }

    // Places that are told apart by rounding alone, or not at all, leave the stiffness finite.
    for (at, least) in [
        (3e4, real::<T>(1e-2) / (epsilon::<T>() * real(3e4))),
        (0.0, T::one()),
    ] {
        let x = point(field(1, &[at]), field(1, &[-1.0]));
        let mut kinks = self::kinks(1.0, vec![vec![site(&[at], &[3.0])]]);
        kinks.shortest(&x, &mut z.columns(0, 1).rows(0, 1).into_owned());
        let mut out = field(1, &[0.0]);
        kinks.stiffen(&field(1, &[1.0]), &mut out);
        assert!(
            out[0].is_finite() && out[0] >= least && (at == 0.0 || out[0] <= least * real(1e5)),
            "{}",
            out[0]
        );
    }
}

#[test]
fn the_stiffness_satisfies_the_secant_equation() {
    secants_of::<f64>();
    secants_of::<f32>();
}
