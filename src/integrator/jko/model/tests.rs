//! The model against dense matrices along the faces, and its minimum within the trust region against the known way there.

use nalgebra::DVector;

use super::super::proximal::fixture::{
    Case, Draw, apply, assert_close, assert_near, blocks, identity, solve,
};
use super::*;

const SHAPES: [(usize, usize); 5] = [(1, 1), (1, 3), (3, 1), (3, 3), (2, 4)];

/// Particle 0 on one surface, the last on as many as its coordinates; and the projection along them.
fn pinned<T: Real>(case: &mut Case<T>) -> (Pins<T>, DMatrix<T>) {
    let (p, m) = case.shape();
    let mut pins = Pins::new(m);
    let mut faces = vec![DMatrix::identity(p, p); m];
    for i in [0, m - 1] {
        if p > 1 && i + 1 < m {
            let n: DVector<T> = case.draw.vector::<T>(p).normalize();
            faces[i] -= &n * n.transpose();
            pins.take((0..m).map(|j| (j == i).then(|| n.as_slice().to_vec())));
        } else if m > 1 && i > 0 {
            faces[i].fill(T::zero());
            for l in 0..p {
                let unit: Vec<T> = (0..p)
                    .map(|k| if k == l { T::one() } else { T::zero() })
                    .collect();
                pins.take((0..m).map(|j| (j == i).then(|| unit.clone())));
            }
        }
    }
    (pins, blocks(faces))
}

/// `|B|` of a symmetric matrix.
fn size<T: Real>(b: &DMatrix<T>) -> DMatrix<T> {
    let eigen = b.clone().symmetric_eigen();
    let sizes = DMatrix::from_diagonal(&eigen.eigenvalues.map(|l| l.abs()));
    &eigen.eigenvectors * sizes * eigen.eigenvectors.transpose()
}

/// `|B_i| - B_i` of the blocks along the faces.
fn corrections<T: Real>(case: &Case<T>, faces: &DMatrix<T>) -> DMatrix<T> {
    let own = blocks((0..case.points.ncols()).map(|i| case.block(i)));
    let along = faces * (own + DMatrix::identity(faces.nrows(), faces.nrows()) * case.rate) * faces;
    size(&along) - along
}

/// One with a block a particle that differs, of both signs.
fn saddle<T: Real>(seed: u64, shape: (usize, usize)) -> Case<T> {
    let mut case = Case::<T>::new(seed, shape);
    case.energy.own *= real::<T>(0.25);
    case.energy.cubic *= real::<T>(3.0);
    for (i, mut w) in case.points.column_iter_mut().enumerate() {
        // The norm of the particle sets the step of the differences.
        w *= real::<T>([1.0, 2.0, 0.5, 1.5][i]);
    }
    case
}

fn corrects<T: Real>() {
    let mut seen = 0;
    for (seed, shape) in SHAPES.into_iter().cycle().take(20).enumerate() {
        let mut case = saddle::<T>(1 + seed as u64, shape);
        let (some, faces) = pinned(&mut case);
        let free = (Pins::new(shape.1), identity(&case.points));
        let (mut model, mut scratch) = (Model::new(), Scratch::new(shape, Vec::new()));
        for (count, (pins, faces)) in [free, (some, faces)].into_iter().enumerate() {
            let x = case.start();
            case.mu.points_mut().fill(real(5.0));
            assert!(
                model
                    .correct(&mut case.problem(), (&x, &pins), &mut scratch)
                    .is_some()
            );
            assert_eq!(model.evaluations, count + 1);
            assert_eq!(model.corrections.len(), shape.1);
            let wanted = corrections(&case, &faces);
            seen += usize::from(wanted.amax() > real(0.1));
            let off = (blocks(model.corrections.iter().cloned()) - &wanted).amax();
            assert!(
                off < real::<T>(500.0) * epsilon::<T>().sqrt(),
                "{off} of {}",
                wanted.amax()
            );
        }
    }
    assert!(seen > 10);
}

#[test]
fn corrections_are_those_of_the_dense_blocks() {
    corrects::<f32>();
    corrects::<f64>();
}

/// The differences are as exact for particles of any size.
#[test]
fn corrections_do_not_depend_on_the_unit_of_length() {
    for scale in [1e-6, 1.0, 1e6] {
        let mut case = saddle::<f64>(31, (3, 3));
        case.points *= scale;
        case.anchor *= scale;
        case.energy.cubic /= scale.cbrt();
        case.energy.linear *= scale;
        case.energy.own = DMatrix::from_diagonal_element(3, 3, -2.0);
        let (x, mut scratch) = (case.start(), Scratch::new((3, 3), Vec::new()));
        let mut model = Model::new();
        model.correct(&mut case.problem(), (&x, &Pins::new(3)), &mut scratch);
        let wanted = corrections(&case, &identity(&case.points));
        assert!(wanted.amax() > 1.0);
        assert_close(&blocks(model.corrections), &wanted, 1e-5);
    }
}

#[test]
fn many_coordinates_get_no_corrections() {
    for p in [LARGEST, LARGEST + 1] {
        let mut case = Case::<f64>::new(32, (p, 1));
        case.energy.own = DMatrix::from_diagonal_element(p, p, -2.0);
        let (x, mut scratch) = (case.start(), Scratch::new((p, 1), Vec::new()));
        let mut model = Model::new();
        model.corrections.push(DMatrix::zeros(p, p));
        assert!(
            model
                .correct(&mut case.problem(), (&x, &Pins::new(1)), &mut scratch)
                .is_some()
        );
        if p > LARGEST {
            assert_eq!((model.corrections.len(), model.evaluations), (0, 0));
        } else {
            assert!(model.corrections[0].norm() > 1.0);
        }
    }
}

#[test]
fn without_first_variation_there_is_no_model() {
    let mut case = Case::<f64>::new(33, (2, 2));
    case.energy.silent = true;
    let (x, mut scratch) = (case.start(), Scratch::new((2, 2), Vec::new()));
    let (mut model, pins, mut d) = (Model::new(), Pins::new(2), x.v.clone());
    assert!(
        model
            .correct(&mut case.problem(), (&x, &pins), &mut scratch)
            .is_none()
    );
    // Differences of velocities do without.
    let (matrix, along) = (case.hessian() + identity(&d) * 4.0, (&x.gradient, &pins));
    for trust in [None, Some(9.0)] {
        model.minimise(
            &mut case.problem(),
            (&x, trust),
            along,
            (4.0, 1e-6),
            &mut d,
            &mut scratch,
        );
        assert_close(&d, &-solve(&matrix, &x.gradient), 1e-5);
    }
}

/// `-<z, d> - <d, M d> / 2`
fn decrease<T: Real>(case: &Case<T>, matrix: &DMatrix<T>, z: &DMatrix<T>, d: &DMatrix<T>) -> T {
    -case.inner(z, d) - case.inner(d, &apply(matrix, d)) / real(2.0)
}

fn minimises<T: Real>() {
    let (tight, rough) = (
        real::<T>(2000.0) * epsilon(),
        real::<T>(1000.0) * epsilon::<T>().sqrt(),
    );
    for (seed, shape) in SHAPES.into_iter().cycle().take(10).enumerate() {
        let mut case = saddle::<T>(41 + seed as u64, shape);
        let z: DMatrix<T> = case.draw.matrix(shape);
        let (some, faces) = pinned(&mut case);
        let all = identity(&z);
        let (shift, x) = (case.rate, case.start());
        for (pins, faces) in [(Pins::new(shape.1), all.clone()), (some, faces)] {
            // On the faces the matrix, across them anything regular.
            let along =
                |matrix: &DMatrix<T>| &faces * (matrix + &all * shift) * &faces + (&all - &faces);
            let (mut model, mut scratch) = (Model::new(), Scratch::new(shape, Vec::new()));
            let mut d = z.clone();
            for exact in [false, true] {
                let mut matrix = case.gauss_newton();
                if exact {
                    assert!(
                        model
                            .correct(&mut case.problem(), (&x, &pins), &mut scratch)
                            .is_some()
                    );
                    matrix = case.hessian() + corrections(&case, &faces);
                }
                let wanted = -solve(&along(&matrix), &apply(&faces, &z));
                let (trust, forcing) = (
                    real::<T>(2.0) * case.norm(&wanted) + T::one(),
                    epsilon::<T>().sqrt(),
                );
                let place = (&x, exact.then_some(trust));
                let forcing = if exact { forcing } else { epsilon() };
                let system = (&z, &pins);
                model.minimise(
                    &mut case.problem(),
                    place,
                    system,
                    (shift, forcing),
                    &mut d,
                    &mut scratch,
                );
                let tolerance = if exact { rough } else { tight };
                let off = (&d - &wanted).amax();
                assert!(
                    off <= tolerance * (wanted.amax() + T::one()),
                    "{off} off {wanted}"
                );
                let told = decrease(&case, &along(&matrix), &z, &d);
                assert!((model.told - told).abs() <= tolerance * (told + T::one()));
            }
        }
    }
}

#[test]
fn the_minimum_is_that_of_the_dense_model() {
    minimises::<f32>();
    minimises::<f64>();
}

/// One direction of curvature: with a shift of 1 two distinct eigenvalues. And a slope.
fn narrow(seed: u64) -> (Case<f64>, DMatrix<f64>) {
    let mut case = Case::<f64>::new(seed, (3, 4));
    let a: DVector<f64> = case.draw.vector(3);
    case.energy.outer = &a * a.transpose();
    case.energy.own.fill(0.0);
    case.energy.cubic.fill(0.0);
    let z = case.draw.matrix((3, 4));
    (case, z)
}

/// What `minimise` finds without pins and with a shift of 1: the direction, the decrease told and the products taken.
fn find(
    case: &mut Case<f64>,
    z: &DMatrix<f64>,
    trust: Option<f64>,
    forcing: f64,
) -> (DMatrix<f64>, f64, usize) {
    let (x, pins, shape) = (case.start(), Pins::new(case.shape().1), case.shape());
    let (mut model, mut scratch) = (Model::new(), Scratch::new(shape, Vec::new()));
    let (mut d, at) = (z.clone(), (&x, trust));
    (model.products, model.told) = (3, 7.0);
    model.minimise(
        &mut case.problem(),
        at,
        (z, &pins),
        (1.0, forcing),
        &mut d,
        &mut scratch,
    );
    let held = scratch.into_fields().len();
    let mut scratch = Scratch::new(shape, vec![z.clone(); held]);
    model.minimise(
        &mut case.problem(),
        at,
        (z, &pins),
        (1.0, forcing),
        &mut d,
        &mut scratch,
    );
    assert_eq!(
        scratch.into_fields().len(),
        held,
        "the fields are given back"
    );
    assert_eq!((model.products - 3) % 2, 0, "the same again");
    (d, model.told, (model.products - 3) / 2)
}

#[test]
fn a_product_an_eigenvalue_and_none_below_the_forcing() {
    let (mut case, z) = narrow(51);
    let matrix = case.gauss_newton() + identity(&z);
    let bent = apply(&matrix, &z);
    let step = case.inner(&z, &z) / case.inner(&z, &bent);
    let left = case.norm(&(&z - &bent * step)) / case.norm(&z);
    assert!(left > 0.05 && left < 0.95);
    for scale in [1.0, 1e3, 1e-3] {
        let z = &z * scale;
        let (d, told, products) = find(&mut case, &z, None, left * 0.999);
        assert_eq!(products, 2);
        assert_close(&d, &-solve(&matrix, &z), 1e-12);
        assert_near(told, decrease(&case, &matrix, &z, &d), 1e-12);
        let (d, told, products) = find(&mut case, &z, None, left * 1.001);
        assert_eq!(products, 1);
        assert_close(&d, &(&z * -step), 1e-12);
        assert_near(told, decrease(&case, &matrix, &z, &d), 1e-12);
        assert_eq!(find(&mut case, &z, None, 1.0), (&z * 0.0, 0.0, 0));
    }
    assert_eq!(
        find(&mut case, &(&z * 0.0), Some(1.0), 1e-6),
        (&z * 0.0, 0.0, 0)
    );
}

/// The way of conjugate gradients goes from 0 to the lowest point along the slope, and from there to the minimum.
#[test]
fn the_way_ends_at_the_edge() {
    for seed in 61..66 {
        let (mut case, z) = narrow(seed);
        let matrix = case.gauss_newton() + identity(&z);
        let minimum = -solve(&matrix, &z);
        let corner = &z * (-case.inner(&z, &z) / case.inner(&z, &apply(&matrix, &z)));
        let (first, whole) = (case.norm(&corner), case.norm(&minimum));
        assert!(whole > first);
        for (trust, products) in [
            (0.3 * first, 1),
            (0.3 * first + 0.7 * whole, 2),
            (1.5 * whole, 2),
        ] {
            let wanted = if products == 1 {
                &corner * (trust / first)
            } else {
                let on = |t: f64| &corner * (1.0 - t) + &minimum * t;
                let (mut low, mut high) = (0.0, 1.0);
                for _ in 0..60 {
                    let middle = 0.5 * (low + high);
                    if case.norm(&on(middle)) > trust {
                        high = middle
                    } else {
                        low = middle
                    }
                }
                on(low)
            };
            let (d, told, found) = find(&mut case, &z, Some(trust), 1e-5);
            assert_eq!(found, products);
            assert_close(&d, &wanted, 1e-5);
            assert_near(told, decrease(&case, &matrix, &z, &d), 1e-6);
        }
    }
}

/// Where the model falls for ever, its minimum is at the edge; without an edge there is none.
#[test]
fn negative_curvature_leads_to_the_edge() {
    let (mut case, _) = narrow(71);
    case.energy.outer.fill(0.0);
    case.energy.own = DMatrix::from_diagonal(&DVector::from_vec(vec![-3.0, -1.0, 5.0]));
    for (l, curvature) in [(0, -2.0), (1, 0.0)] {
        let z = DMatrix::from_fn(3, 4, |k, i| if k == l { i as f64 - 1.0 } else { 0.0 });
        let (d, told, products) = find(&mut case, &z, Some(0.5), 1e-6);
        let wanted = &z * (-0.5 / case.norm(&z));
        assert_eq!(products, 1);
        assert_close(&d, &wanted, 1e-6);
        assert_near(told, 0.5 * case.norm(&z) - 0.125 * curvature, 1e-6);
    }
    // Gauss and Newton along a direction without curvature, and a model that is not finite.
    let z = DMatrix::from_element(3, 4, 1.0);
    let (mut model, mut scratch, mut d) =
        (Model::new(), Scratch::new((3, 4), Vec::new()), z.clone());
    let (x, pins) = (case.start(), Pins::new(4));
    model.minimise(
        &mut case.problem(),
        (&x, None),
        (&z, &pins),
        (0.0, 1e-6),
        &mut d,
        &mut scratch,
    );
    assert_eq!((&d, model.told), (&(&z * 0.0), 0.0));
    case.energy.linear.fill(f64::NAN);
    assert_eq!(find(&mut case, &z, Some(0.5), 1e-6), (&z * 0.0, 0.0, 1));
}

/// A particle of weight 0 on another one, with its slope, goes with it.
#[test]
fn a_particle_without_weight_goes_with_its_twin() {
    let mut case = saddle::<f64>(72, (3, 3));
    let mut z: DMatrix<f64> = case.draw.matrix((3, 3));
    case.mu.weights_mut()[2] = 0.0;
    for u in [&mut z, &mut case.points, &mut case.anchor] {
        let twin = u.column(0).clone_owned();
        u.set_column(2, &twin);
    }
    let (x, pins, mut scratch) = (case.start(), Pins::new(3), Scratch::new((3, 3), Vec::new()));
    let (mut model, mut d) = (Model::new(), z.clone());
    model.correct(&mut case.problem(), (&x, &pins), &mut scratch);
    for trust in [None, Some(0.1), Some(1e3)] {
        model.minimise(
            &mut case.problem(),
            (&x, trust),
            (&z, &pins),
            (1.0, 1e-4),
            &mut d,
            &mut scratch,
        );
        assert!(d.norm() > 0.0);
        assert_eq!(d.column(2), d.column(0));
    }
}

fn edges<T: Real>() {
    let shape = (2, 3);
    let mut case = Case::<T>::new(81, shape);
    let tight = real::<T>(32.0) * epsilon();
    let (d, s): (DMatrix<T>, DMatrix<T>) = (case.draw.matrix(shape), case.draw.matrix(shape));
    let across = &s - &d * (case.inner(&d, &s) / case.inner(&d, &d));
    let inside = case.norm(&d);
    for s in [&s, &-&s, &(&s * real::<T>(1e-3)), &across, &d, &-&d] {
        for trust in [1.25, 3.0, 100.0].map(|k| inside * real::<T>(k)) {
            let far = to_edge(&mut case.problem(), &d, s, trust);
            assert!(far > T::zero());
            assert_near(case.norm(&(&d + s * far)), trust, tight);
        }
    }
    let zero = &d * T::zero();
    assert_near(
        to_edge(&mut case.problem(), &zero, &d, T::one()),
        T::one() / inside,
        tight,
    );
    // Beyond, at the edge, and where the region is a point.
    let half = inside * real(0.5);
    assert_eq!(to_edge(&mut case.problem(), &d, &d, half), T::zero());
    assert_eq!(
        to_edge(&mut case.problem(), &zero, &d, T::zero()),
        T::zero()
    );
}

#[test]
fn the_edge_is_where_the_trust_ends() {
    edges::<f32>();
    edges::<f64>();
}

/// On a line the way to the edge is `(trust - |d|) / |s|` on, or `(trust + |d|) / |s|` back: no digits are lost near the edge.
#[test]
fn the_way_to_a_near_edge_keeps_its_digits() {
    let mut case = Case::<f32>::new(82, (1, 1));
    case.mu.weights_mut()[0] = 1.0;
    let gap = 2_f32.powi(-10);
    let number = |u: f32| DMatrix::from_element(1, 1, u);
    for s in [0.3, 0.7, 1.1, 3.3, 5.7] {
        let far = to_edge(&mut case.problem(), &number(1.0 - gap), &number(s), 1.0);
        assert_near(far, gap / s, 8.0 * f32::EPSILON);
        let far = to_edge(&mut case.problem(), &number(gap - 1.0), &number(s), 1.0);
        assert_near(far, (2.0 - gap) / s, 8.0 * f32::EPSILON);
    }
}

/// `E = |B| - B` is the positive semidefinite one with `(B + E)^2 = B^2`, `B + E` positive semidefinite.
fn excesses<T: Real>() {
    let mut draw = Draw(91);
    for p in [1, 2, 3, 5] {
        for shift in [-3.0, -0.5, 0.0, 3.0].map(real::<T>) {
            let block: DMatrix<T> =
                draw.matrix((p, p)) + DMatrix::from_diagonal_element(p, p, shift);
            let b = (&block + block.transpose()) / real::<T>(2.0);
            let e = excess(block);
            let tolerance = real::<T>(200.0) * epsilon::<T>() * (b.norm() + T::one());
            assert!((&e - e.transpose()).amax() <= tolerance);
            assert!(e.symmetric_eigenvalues().min() >= -tolerance);
            assert!((&b + &e).symmetric_eigenvalues().min() >= -tolerance);
            let squares = (&b + &e) * (&b + &e) - &b * &b;
            assert!(squares.amax() <= tolerance * (b.norm() + T::one()));
        }
    }
    for bad in [f64::NAN, f64::INFINITY] {
        let mut block = DMatrix::from_diagonal_element(2, 2, real::<T>(-1.0));
        block[(0, 1)] = real(bad);
        assert_eq!(excess(block), DMatrix::zeros(2, 2));
    }
}

#[test]
fn the_excess_makes_the_size_of_a_block() {
    excesses::<f32>();
    excesses::<f64>();
}
