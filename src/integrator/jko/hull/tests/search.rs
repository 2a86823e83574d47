//! What a search tells of the kinks, and what becomes of the sites, against the plain definitions.

use nalgebra::DVector;

use super::super::*;
use super::{field, kinks, lies_near, point, site};
use crate::energy::{PotentialEnergy, WeightDecay};
use crate::measure::EmpiricalMeasure;
use crate::real::to_f64;

/// Six particles on the way `d` from `x`, with their slopes at the share `s` of a step of length `t`.
struct Way<T> {
    x: Point<T>,
    d: DMatrix<T>,
    t: f64,
}

/// The slope of a particle against its share: kinks at 0.3 and 0.7, a smooth turn at 0.25, none, ascent from the start, rest.
const SLOPES: [fn(f64) -> f64; 6] = [
    |s| if s < 0.3 { -1.0 } else { 3.0 },
    |s| if s < 0.7 { -2.0 + 0.1 * s } else { 1.5 },
    |s| 4.0 * s - 1.0,
    |s| 0.9 * s - 1.0,
    |s| 2.0 * s,
    |_| 0.0,
];

impl<T: Real> Way<T> {
    fn new(t: f64) -> Self {
        let x = field(
            2,
            &[0.0, 1.0, 2.0, -1.0, 0.5, 0.5, 3.0, 3.0, -2.0, 0.0, 1.0, 1.0],
        );
        let d = field(
            2,
            &[1.0, 0.0, 0.0, 2.0, -1.0, 1.0, 4.0, 4.0, 1.0, -2.0, 0.0, 0.0],
        );
        let mut way = Self {
            x: point(x.clone(), x),
            d,
            t,
        };
        way.x.gradient = way.at(way.x.v.clone()).gradient;
        way
    }

    fn share(&self, i: usize, v: &[T]) -> f64 {
        let (d, x) = (self.d.column(i), self.x.v.column(i));
        let far = dot(v, d.as_slice()) - dot(x.as_slice(), d.as_slice());
        if i == 5 {
            0.0
        } else {
            to_f64(far / d.norm_squared()) / self.t
        }
    }

    /// The gradient: of this slope along `d`, and a constant across.
    fn gradient(&self, i: usize, v: &[T]) -> Vec<T> {
        let d = self.d.column(i);
        let along = real::<T>(SLOPES[i](self.share(i, v))) / d.norm_squared().max(epsilon());
        vec![along * d[0] - d[1], along * d[1] + d[0]]
    }

    fn at(&self, v: DMatrix<T>) -> Point<T> {
        let gradient: Vec<T> = (0..6)
            .flat_map(|i| self.gradient(i, v.column(i).as_slice()))
            .collect();
        point(v, DMatrix::from_vec(2, 6, gradient))
    }

    fn trial(&self, shares: &mut Shares<T>) {
        let mut v = self.x.v.clone();
        shares.transport(real(self.t), &self.d, &mut v);
        shares.refine(&self.x, &self.at(v), &self.d, real(self.t));
    }
}

fn kinks_met_by<T: Real>() {
    const TRIALS: i32 = 10;
    for t in [0.25, 1.0, 4.0] {
        let way = Way::<T>::new(t);
        let mut shares = Shares::new(6);
        shares.shares.fill(real(100.0));
        let share = |shares: &Shares<T>, i: usize| to_f64(shares.shares[i]) / t;
        let found = |shares: &Shares<T>| {
            shares
                .brackets
                .iter()
                .map(|b| b.as_ref().is_some_and(Bracket::is_kink))
                .collect::<Vec<_>>()
        };
        for k in 1..=TRIALS {
            way.trial(&mut shares);
            for (i, turn) in [(0, 0.3), (1, 0.7)] {
                assert!(
                    (share(&shares, i) - turn).abs() <= 0.5_f64.powi(k),
                    "{k} {i}"
                );
            }
            // One width does not tell a kink from a turn.
            assert!(k > 1 || !found(&shares).contains(&true));
        }
        // Where it has turned, and not yet climbs as steeply as it fell.
        assert!((0.24..0.51).contains(&share(&shares, 2)));
        assert!(shares.shares[3..].iter().all(|&s| s == real(100.0)));
        assert_eq!(found(&shares), [true, true, false, false, false, false]);

        // The kinks leave a site just beyond, with the gradient there.
        let mut kinks = Kinks::new(6, real(1.0));
        kinks.gather(&shares, &way.x.v, &way.d);
        assert_eq!(
            kinks.sites.iter().map(Vec::len).collect::<Vec<_>>(),
            [1, 1, 0, 0, 0, 0]
        );
        for (i, turn) in [(0, 0.3), (1, 0.7)] {
            let Site { v, gradient, .. } = &kinks.sites[i][0];
            let beyond = way.share(i, v) - turn;
            assert!(
                beyond > -1e-5 && beyond < 2.0 * 0.5_f64.powi(TRIALS),
                "{i}: {beyond}"
            );
            let on = way.x.v.column(i) + way.d.column(i) * real::<T>(way.share(i, v) * t);
            assert!(lies_near(
                v,
                on.as_slice(),
                real::<T>(100.0) * epsilon::<T>()
            ));
            assert_eq!(*gradient, way.gradient(i, v));
        }
    }
}

#[test]
fn kinks_are_bracketed_and_told_from_smooth_turns() {
    kinks_met_by::<f64>();
    kinks_met_by::<f32>();
}

#[test]
fn every_particle_takes_its_share_of_a_direction() {
    let shares = Shares {
        shares: vec![0.5, 2.0, 1.0],
        brackets: vec![None, None, None],
    };
    let mut v = field::<f64>(2, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    shares.transport(1.5, &field(2, &[2.0, 4.0, 8.0, -2.0, 1.0, 0.0]), &mut v);
    assert_eq!(v, field(2, &[2.0, 4.0, 15.0, 1.0, 6.0, 6.0]));
}

/// A site with weight and place, to be compared.
fn seen(sites: &[Site<f64>]) -> Vec<(&[f64], &[f64])> {
    sites
        .iter()
        .map(|site| (&site.v[..], &site.gradient[..]))
        .collect()
}

#[test]
fn a_site_on_the_same_side_is_replaced() {
    let bracket = Bracket {
        low: 0.25,
        high: 0.5,
        before: vec![-1.0, 0.0],
        after: vec![3.0, 0.0],
        first: (4.0, 4.0),
    };
    let shares = Shares {
        shares: vec![1.0; 2],
        brackets: vec![None, Some(bracket)],
    };
    let sites = vec![
        site(&[7.0, 7.0], &[2.5, 0.5]),
        site(&[8.0, 8.0], &[3.0, 4.25]),
    ];
    let mut kinks = kinks(1.0, vec![vec![site(&[6.0, 6.0], &[3.0, 0.0])], sites]);
    kinks.gather(
        &shares,
        &field(2, &[1.0, 1.0, 2.0, 3.0]),
        &field(2, &[5.0, 5.0, -2.0, 4.0]),
    );
    assert_eq!(seen(&kinks.sites[0]), [(&[6.0, 6.0][..], &[3.0, 0.0][..])]);
    assert_eq!(
        seen(&kinks.sites[1]),
        [
            (&[8.0, 8.0][..], &[3.0, 4.25][..]),
            (&[1.0, 5.0][..], &[3.0, 0.0][..])
        ]
    );
}

#[test]
fn sites_follow_an_accepted_step() {
    let x = [
        [0.0, 0.0],
        [0.0, 0.0],
        [1.0, 1.0],
        [2.0, 0.0],
        [0.0, 3.0],
        [0.0, 0.0],
        [4.0, 4.0],
    ];
    let y = [
        [0.5, 0.0],
        [0.5, 0.0],
        [1.5, 0.0],
        [2.5, 1.0],
        [0.0, 4.0],
        [0.5, 0.0],
        [4.5, 4.0],
    ];
    let xg = [
        [-4.0, 1.0],
        [-1.0, 1.0],
        [-1.0, 1.0],
        [-1.0, 1.0],
        [2.0, -1.0],
        [-9.0, 1.0],
        [-1.0, 0.0],
    ];
    let yg = [
        [4.0, 1.0],
        [1.0, 1.0],
        [-2.0, 2.0],
        [4.0, -3.0],
        [2.0, 1.0],
        [-1.0, 9.0],
        [-1.0, 0.5],
    ];
    let far = || site(&[1.0, -1.0], &[5.0, -3.0]);
    let none = Vec::new;
    let sites = vec![
        none(),
        none(),
        vec![far(), site(&[9.0, 9.0], &[8.0, 8.0])],
        vec![far()],
        vec![far()],
        none(),
        none(),
    ];
    let mut kinks = kinks(1.0, sites);
    let of = |v: [[f64; 2]; 7], g: [[f64; 2]; 7]| {
        point(field(2, v.as_flattened()), field(2, g.as_flattened()))
    };
    kinks.follow(&of(x, xg), &of(y, yg), 10.0);
    let expected: [&[(&[f64], &[f64])]; 7] = [
        // A crossed kink leaves the start behind,
        &[(&[0.0, 0.0], &[-4.0, 1.0])],
        // a smooth turn nothing.
        &[],
        // Sites move along with place and gradient of their particle,
        &[(&[1.5, -2.0], &[4.0, -2.0]), (&[9.5, 8.0], &[7.0, 9.0])],
        // not if it has come to their side,
        &[(&[1.0, -1.0], &[5.0, -3.0])],
        // and where there are sites a turn is a crossing.
        &[(&[1.0, -1.0], &[5.0, -3.0]), (&[0.0, 3.0], &[2.0, -1.0])],
        // A jump without a turn is none.
        &[],
        &[],
    ];
    for (sites, expected) in kinks.sites.iter().zip(expected) {
        assert_eq!(seen(sites), expected);
    }
}

#[test]
fn a_turn_is_from_descent_to_ascent() {
    for (xg, yg, turns) in [
        ([-1.0, 0.0], [1.0, 0.0], true),
        ([1.0, 0.0], [-1.0, 0.0], false),
        ([-1.0, 0.0], [-0.5, 0.0], false),
        ([1.0, 0.0], [2.0, 0.0], false),
        ([0.0, 0.0], [2.0, 0.0], false),
        ([-1.0, 0.0], [0.0, 0.0], false),
        ([5.0, -3.0], [-5.0, 3.0], true),
        ([5.0, -2.0], [-5.0, 3.0], false),
        ([5.0, -3.0], [-5.0, 2.0], false),
    ] {
        assert_eq!(
            reverses(&[1.0, 3.0], &xg, &[2.0, 5.0], &yg),
            turns,
            "{xg:?} {yg:?}"
        );
    }
    assert!(
        !reverses(&[1.0, 3.0], &[-1.0, -1.0], &[1.0, 3.0], &[1.0, 1.0]),
        "nothing moved"
    );
}

#[test]
fn the_middle_is_the_mean_of_point_and_sites() {
    let g = [0.0, 0.0];
    let kinks = kinks(
        1.0,
        vec![
            vec![],
            vec![site(&[2.0, 6.0], &g)],
            vec![site(&[5.0, 0.0], &g), site(&[3.0, 8.0], &g)],
        ],
    );
    let mut v = field(2, &[7.0, 8.0, 1.0, 2.0, 1.0, 1.0]);
    kinks.middle(&mut v);
    assert!(
        lies_near(v.as_slice(), &[7.0, 8.0, 1.5, 4.0, 3.0, 3.0], 1e-12),
        "{v}"
    );
}

#[test]
fn halving_keeps_a_kink_between_a_particle_and_its_site() {
    // |v - c| in the first coordinate, from both sides; a particle without a site stays.
    let kink = [0.3, 0.9, -1.0];
    let gradient = |v: &DMatrix<f64>| {
        DMatrix::from_fn(2, 3, |l, i| {
            if l == 1 {
                0.5
            } else {
                (v[(0, i)] - kink[i]).signum()
            }
        })
    };
    let v = field(2, &[0.0, 2.0, 1.0, 2.0, 0.0, 2.0]);
    let mut x = point(v.clone(), gradient(&v));
    let mut kinks = kinks(
        1.0,
        vec![
            vec![site(&[1.0, 2.0], &[1.0, 0.5])],
            vec![site(&[0.0, 2.0], &[-1.0, 0.5])],
            vec![],
        ],
    );
    for k in 1..30 {
        let mut v = x.v.clone();
        kinks.middle(&mut v);
        v[(1, 2)] = 3.0;
        let gradient = gradient(&v);
        kinks.halve(&mut x, &point(v, gradient));
        for i in 0..2 {
            let site = &kinks.sites[i][0];
            assert_eq!((site.v[0] - x.v[(0, i)]).abs(), 0.5_f64.powi(k));
            assert!((site.v[0] - kink[i]) * (x.v[(0, i)] - kink[i]) <= 0.0);
            assert!(
                site.gradient == [(site.v[0] - kink[i]).signum(), 0.5]
                    && x.gradient[(0, i)] == -site.gradient[0]
            );
        }
        assert_eq!((x.v[(1, 2)], x.gradient[(0, 2)]), (2.0, 1.0));
    }

    // Of several ends the one whose gradient is nearest.
    for (g, end) in [
        ([3.0, 0.5], 1),
        ([1.0, 3.0], 2),
        ([0.5, 0.5], 0),
        ([9.0, 1.0], 1),
    ] {
        let mut x = point(field(2, &[1.0, 1.0]), field(2, &[0.0, 0.0]));
        let mut kinks = super::kinks(
            1.0,
            vec![vec![
                site(&[2.0, 2.0], &[4.0, 0.0]),
                site(&[3.0, 3.0], &[0.0, 4.0]),
            ]],
        );
        kinks.halve(&mut x, &point(field(2, &[5.0, 6.0]), field(2, &g)));
        let mut ends = vec![(x.v.as_slice(), x.gradient.as_slice())];
        ends.extend(seen(&kinks.sites[0]));
        let mut expected: [(&[f64], &[f64]); 3] = [
            (&[1.0, 1.0], &[0.0, 0.0]),
            (&[2.0, 2.0], &[4.0, 0.0]),
            (&[3.0, 3.0], &[0.0, 4.0]),
        ];
        expected[end] = (&[5.0, 6.0], &g);
        assert_eq!(ends, expected);
    }
}

#[test]
fn the_oldest_sites_are_forgotten() {
    let mut sites: Vec<Site<f64>> = Vec::new();
    for k in 0..SITES + 2 {
        insert(&mut sites, vec![k as f64], vec![-(k as f64)]);
        let kept = (k + 1).min(SITES);
        let expected: Vec<f64> = (k + 1 - kept..=k).map(|k| k as f64).collect();
        assert_eq!(
            sites.iter().map(|site| site.v[0]).collect::<Vec<_>>(),
            expected
        );
        assert!(sites.iter().all(|site| site.gradient[0] == -site.v[0]));
    }
}

#[test]
fn a_particle_is_pinned_where_it_has_sites_apart() {
    let mut energy = PotentialEnergy::new(WeightDecay::new(1.0).unwrap(), 2);
    let v = field(2, &[1.0, 1.0, 2.0, 2.0, 3.0, 3.0]);
    let mut mu =
        EmpiricalMeasure::weighted(v.clone(), DVector::from_vec(vec![0.5, 0.0, 0.25])).unwrap();
    let mut problem = Proximal {
        energy: &mut energy,
        mu: &mut mu,
        anchor: v.clone(),
        rate: 1.0,
    };
    let x = point(v.clone(), v);
    let (first, g) = (DMatrix::from_element(2, 3, 9.0), [0.0, 0.0]);
    let mut scratch = Scratch::new((2, 3), vec![first.clone()]);
    let near = |v: [f64; 2]| vec![site(&v, &g)];
    for (sites, spread, expected) in [
        ([vec![], vec![], vec![]], [0.0; 3], false),
        ([near([4.0, 5.0]), vec![], vec![]], [5.0, 0.0, 0.0], true),
        // A particle of weight 0 does not count.
        ([vec![], near([2.0, 2.5]), vec![]], [0.0, 0.5, 0.0], false),
        (
            [
                vec![],
                vec![],
                vec![
                    site(&[3.0, 3.5], &g),
                    site(&[0.0, 7.0], &g),
                    site(&[3.0, 4.0], &g),
                ],
            ],
            [0.0, 0.0, 5.0],
            true,
        ),
        ([near([1.0, 1.0]), vec![], vec![]], [0.0; 3], false),
    ] {
        let kinks = kinks(1.0, sites.into());
        let mut far = first.clone();
        kinks.spread(&x, &mut far);
        assert_eq!(
            far,
            field(2, &[spread[0], 0.0, spread[1], 0.0, spread[2], 0.0])
        );
        assert_eq!(
            pinned(&mut problem, &kinks, &x, &mut scratch),
            expected,
            "{spread:?}"
        );
    }
    assert_eq!(scratch.into_fields().len(), 1);
}
