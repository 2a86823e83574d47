//! The claims of a coupling, checked in exact arithmetic.
//!
//! Costs are enclosed between dyadic numbers that agree to 240 bits; all else is exact. No
//! intermediate value of the library is used.

use super::dyadic::{Dyadic, Round};
use super::optimum::optimum;

/// A measure with the exact values that the library received.
#[derive(Clone, Debug)]
pub struct Atoms {
    pub dim: usize,
    pub points: Vec<f64>,
    pub weights: Vec<f64>,
}

/// The results of the library, as they are.
#[derive(Clone, Debug)]
pub struct Claim {
    pub plan: Vec<(usize, usize, f64)>,
    pub phi: Vec<f64>,
    pub psi: Vec<f64>,
    pub cost: f64,
    pub gap: f64,
    pub distance: f64,
    pub squared_distance: f64,
}

/// The limits of a scalar type, in f64.
#[derive(Clone, Copy, Debug)]
pub struct Scalar {
    pub epsilon: f64,
    pub smallest: f64,
    pub largest: f64,
}

/// A claim that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Violation {
    /// The solver did not return within the time limit.
    Hang,
    /// The solver panicked.
    Panic,
    /// Valid measures were refused.
    Refused,
    /// The plan is not sorted, has an index out of range, or an entry that is not positive.
    Plan,
    /// A marginal of the plan differs from a weight by more than rounding and the quanta of mass.
    Marginal,
    /// The cost is not that of the plan.
    Cost,
    /// The distance is not that of the plan.
    Distance,
    /// The squared distance is not the square of the distance.
    Square,
    /// `phi_i + psi_j > |x_i - y_j|^p`, beyond rounding of these three numbers.
    Feasibility,
    /// `phi_i + psi_j < |x_i - y_j|^p` where mass moves, beyond rounding.
    Slackness,
    /// `W_p^p < cost - gap` by more than rounding: the claimed bound is false.
    Bound,
    /// `W_p^p < cost - gap` by rounding.
    Rounding,
    /// The gap is below the difference of the primal value and the dual value of the returned
    /// potentials, made feasible, although no false bound follows.
    Gap,
    /// `W_p^p` exceeds the cost beyond rounding: the cost is not that of a coupling.
    Excess,
    /// The gap is far above rounding of cost and potentials.
    Loose,
}

/// What the checker computed besides.
#[derive(Debug, Default)]
pub struct Report {
    pub violations: Vec<(Violation, String)>,
    /// Whether the potentials prove the bound.
    pub by_potentials: bool,
    /// Whether the exact optimum was computed.
    pub by_optimum: bool,
}

/// Atoms a side up to which the exact optimum is always computed.
const SMALL: usize = 6;
/// Augmentations of the exact solver.
const ROUNDS: usize = 2000;

/// Checks all claims of the coupling of `mu` and `nu` for the exponent p, an integer or a multiple
/// of 1/4.
pub fn check(mu: &Atoms, nu: &Atoms, p: f64, scalar: Scalar, claim: &Claim) -> Report {
    let mut report = Report::default();
    let mut fail = |violation, text: String| report.violations.push((violation, text));
    let (n, m) = (mu.weights.len(), nu.weights.len());
    let eps = scalar.epsilon;
    let tiny = Dyadic::from(scalar.smallest);

    let order = |e: &(usize, usize, f64)| (e.0, e.1);
    let sorted = claim.plan.windows(2).all(|w| order(&w[0]) < order(&w[1]));
    let valid = |&(i, j, mass): &(usize, usize, f64)| i < n && j < m && mass > 0.0;
    if !sorted || !claim.plan.iter().all(|e| valid(e) && e.2.is_finite()) {
        fail(Violation::Plan, format!("{:?}", claim.plan));
        return report;
    }
    if claim.phi.len() != n || claim.psi.len() != m {
        fail(Violation::Plan, "numbers of potentials".into());
        return report;
    }

    // Marginals.
    let (a, b) = (exact(&mu.weights), exact(&nu.weights));
    let (mass_a, mass_b): (Dyadic, Dyadic) = (a.iter().cloned().sum(), b.iter().cloned().sum());
    let largest_mass = (&mass_a).max(&mass_b);
    let mut rests = [a.clone(), b.clone()];
    for &(i, j, mass) in &claim.plan {
        let mass = Dyadic::from(mass);
        rests[0][i] = &rests[0][i] - &mass;
        rests[1][j] = &rests[1][j] - &mass;
    }
    // Rounding of the weights to 2^-62 of the mass, and of the entries to the scalar type.
    let quanta = &Dyadic::power_of_two(-61) * largest_mass;
    let quanta = &quanta * &Dyadic::from((n + m) as f64);
    let relative = Dyadic::from(4.0 * (n + m) as f64 * eps);
    for (side, weights) in [&a, &b].into_iter().enumerate() {
        for (i, (rest, weight)) in rests[side].iter().zip(weights).enumerate() {
            let allowed = &(&(&relative * weight) + &quanta) + &tiny;
            if rest.abs() > allowed {
                fail(
                    Violation::Marginal,
                    format!("side {side}, atom {i}: {rest:?} of {weight:?} is missing"),
                );
            }
        }
    }
    let moved: Dyadic = rests.iter().flatten().map(Dyadic::abs).sum();

    // The cost of the plan.
    let (low, high) = costs(mu, nu, p);
    let value = |c: &[Dyadic]| -> Dyadic {
        let entries = claim.plan.iter();
        entries
            .map(|&(i, j, mass)| &Dyadic::from(mass) * &c[i * m + j])
            .sum()
    };
    let (primal, primal_up) = (value(&low), value(&high));
    let rounding_of_cost = eps * (16 + n + m) as f64 + f64::EPSILON * p * (mu.dim + 8) as f64;
    let tolerance = Dyadic::from(rounding_of_cost);
    let largest = Dyadic::from(scalar.largest);
    let one = Dyadic::from(1.0);
    let bounds = (
        &(&primal * &(&one - &tolerance)) - &tiny,
        &(&primal_up * &(&one + &tolerance)) + &tiny,
    );
    let holds = if claim.cost.is_finite() {
        let cost = Dyadic::from(claim.cost);
        bounds.0 <= cost && cost <= bounds.1
    } else {
        claim.cost == f64::INFINITY && bounds.1 > largest
    };
    if !holds {
        fail(
            Violation::Cost,
            format!("{:e}, exact {primal:?}", claim.cost),
        );
    }

    // distance^p = primal, where the root is bracketed by a relative error.
    let relative = eps * (32 + n + m + mu.dim) as f64;
    let power = |factor: f64, shift: &Dyadic, direction| -> Dyadic {
        let root = &(&Dyadic::from(claim.distance) * &Dyadic::from(factor)) + shift;
        if root.is_positive() {
            root.powf(p, direction)
        } else {
            Dyadic::zero()
        }
    };
    let holds = if claim.distance.is_finite() && claim.distance >= 0.0 {
        power(1.0 - relative, &-&tiny, Round::Down) <= primal_up
            && primal <= power(1.0 + relative, &tiny, Round::Up)
    } else {
        claim.distance == f64::INFINITY && primal_up > largest.powf(p, Round::Down)
    };
    if !holds {
        fail(
            Violation::Distance,
            format!("{:e}, its power is {primal:?}", claim.distance),
        );
    }
    if claim.distance.is_finite() {
        let square = Dyadic::from(claim.distance).powi(2, Round::Down);
        let relative = Dyadic::from(2.0 * relative);
        let holds = if claim.squared_distance.is_finite() {
            let found = Dyadic::from(claim.squared_distance);
            (&found - &square).abs() <= &(&relative * &square) + &tiny
        } else {
            claim.squared_distance == f64::INFINITY && &square * &(&one + &relative) > largest
        };
        if !holds {
            fail(
                Violation::Square,
                format!(
                    "{:e}, distance {:e}",
                    claim.squared_distance, claim.distance
                ),
            );
        }
    }

    // Potentials.
    let finite = claim.phi.iter().chain(&claim.psi).all(|u| u.is_finite());
    let largest_cost = high.iter().max().unwrap();
    if !finite && largest_cost < &largest {
        fail(
            Violation::Feasibility,
            format!("phi {:?}, psi {:?}", claim.phi, claim.psi),
        );
    }
    let per_arc = Dyadic::from(16.0 * (8.0 * eps + f64::EPSILON * p * (mu.dim + 8) as f64));
    // A bound of the rounding error of the cost and of the dual value, and of the mass that the
    // quanta move.
    let explained = {
        let sizes = a.iter().zip(&claim.phi).chain(b.iter().zip(&claim.psi));
        let term = |(mass, u): (&Dyadic, &f64)| match u.is_finite() {
            true => mass * &Dyadic::from(u.abs()),
            false => Dyadic::zero(),
        };
        let sizes = &sizes.map(term).sum::<Dyadic>() + &primal_up;
        let factor = 256.0 * (eps * (64 + 4 * (n + m)) as f64)
            + 256.0 * f64::EPSILON * p * (mu.dim + 8) as f64;
        let subnormal = &tiny * &Dyadic::from(64.0);
        &(&(&Dyadic::from(factor) * &sizes) + &(&quanta * largest_cost)) + &subnormal
    };
    let mut dual = None;
    if finite {
        let (phi, psi) = (exact(&claim.phi), exact(&claim.psi));
        let mean_cost: Dyadic = high.iter().cloned().sum();
        let mean_cost = &mean_cost * &Dyadic::from(1.0 / (n * m) as f64);
        let (mut above, mut below) = (Dyadic::zero(), Dyadic::zero());
        let mut texts = [String::new(), String::new()];
        // For p = 2 the potentials of centred clouds are translated by terms of the size of the
        // mean cost.
        let allowed = |i: usize, j: usize| -> Dyadic {
            let size = &(&phi[i].abs() + &psi[j].abs()) + &(&high[i * m + j] + &mean_cost);
            &(&per_arc * &size) + &(&tiny * &Dyadic::from(4.0))
        };
        // Potentials are not improved below a relative gap of 1e-11.
        let slackness = |i: usize, j: usize| -> Dyadic {
            let size = &(&phi[i].abs() + &psi[j].abs()) + &(&high[i * m + j] + &mean_cost);
            &allowed(i, j) + &(&Dyadic::from(1e-10) * &size)
        };
        for i in 0..n {
            for j in 0..m {
                let excess = &(&phi[i] + &psi[j]) - &high[i * m + j];
                if excess.is_positive() && excess > above && excess > allowed(i, j) {
                    texts[0] = format!(
                        "({i}, {j}): {:?} + {:?} > {:?} by {excess:?}",
                        phi[i],
                        psi[j],
                        high[i * m + j]
                    );
                    above = excess;
                }
            }
        }
        for &(i, j, mass) in &claim.plan {
            let slack = &low[i * m + j] - &(&phi[i] + &psi[j]);
            if slack > below && slack > slackness(i, j) {
                texts[1] = format!(
                    "({i}, {j}) of mass {mass:e}: {:?} + {:?} < {:?} by {slack:?}",
                    phi[i],
                    psi[j],
                    low[i * m + j]
                );
                below = slack;
            }
        }
        let [above, below] = texts;
        for (violation, text) in [
            (Violation::Feasibility, above),
            (Violation::Slackness, below),
        ] {
            if !text.is_empty() {
                fail(violation, text);
            }
        }
        // The dual value of phi and of the largest feasible psi, over atoms of positive weight;
        // times both masses, for measures normalised to mass 1.
        let rows: Vec<usize> = (0..n).filter(|&i| a[i].is_positive()).collect();
        let transform = |j: usize| -> Dyadic {
            let reduced = rows.iter().map(|&i| &low[i * m + j] - &phi[i]);
            reduced.min().unwrap()
        };
        let columns = (0..m).filter(|&j| b[j].is_positive());
        let by_phi: Dyadic = rows.iter().map(|&i| &a[i] * &phi[i]).sum();
        let by_psi: Dyadic = columns.map(|j| &b[j] * &transform(j)).sum();
        dual = Some(&(&by_phi * &mass_b) + &(&by_psi * &mass_a));
    }

    // The bound: W_p^p >= cost - gap. If the masses differ by rounding, W_p^p is that of the
    // normalised measures, times the larger mass for a lower bound, and the smaller for an upper.
    let smallest_mass = (&mass_a).min(&mass_b);
    if claim.gap.is_nan() || claim.gap < 0.0 {
        fail(Violation::Bound, format!("gap {:e}", claim.gap));
        return report;
    }
    if claim.gap == f64::INFINITY {
        if claim.cost.is_finite() && largest_cost < &largest {
            fail(Violation::Loose, format!("cost {:e}, gap inf", claim.cost));
        }
        return report;
    }
    let gap = Dyadic::from(claim.gap);
    if !claim.cost.is_finite() {
        fail(
            Violation::Bound,
            format!("cost {:e}, gap {gap:?}", claim.cost),
        );
        return report;
    }
    let cost = Dyadic::from(claim.cost);
    let claimed = &(&cost - &gap) * smallest_mass;
    report.by_potentials = dual.as_ref().is_some_and(|dual| claimed <= *dual);
    if let Some(dual) = &dual
        && &(&(&primal - &gap) - &tiny) * smallest_mass > *dual
    {
        let text = format!(
            "gap {gap:?}, primal {primal:?}, cost {cost:?}, dual times masses {dual:?}, masses \
             {mass_a:?} {mass_b:?}"
        );
        report.violations.push((Violation::Gap, text));
    }
    let small = n.max(m) <= SMALL && (p < 50.0 || n * m <= 9);
    if (small || !report.by_potentials) && moved.is_positive() | cost.is_positive() {
        let scaled = |c: &[Dyadic], mass: &Dyadic| c.iter().map(|c| c * mass).collect::<Vec<_>>();
        let (a, b) = (scaled(&a, &mass_b), scaled(&b, &mass_a));
        if let Some(least) = optimum(&low, &a, &b, ROUNDS) {
            report.by_optimum = true;
            // The costs used are low by a relative error of 2^-240.
            let up = &least * &(&one + &Dyadic::power_of_two(-230));
            if claimed > up {
                let text = format!(
                    "cost {cost:?}, gap {gap:?}, optimum times masses {least:?}, masses {mass_a:?} \
                     {mass_b:?}"
                );
                let rounding = claimed <= &up + &(&explained * smallest_mass);
                let violation = if rounding {
                    Violation::Rounding
                } else {
                    Violation::Bound
                };
                report.violations.push((violation, text));
            }
            let above = &bounds.1 + &(&moved * largest_cost);
            if &above * largest_mass < least {
                let text = format!("cost {cost:?}, optimum times masses {least:?}");
                report.violations.push((Violation::Excess, text));
            }
        }
    }
    if gap > explained {
        let text = format!("gap {gap:?}, cost {cost:?}, rounding explains {explained:?}");
        report.violations.push((Violation::Loose, text));
    }
    report
}

fn exact(x: &[f64]) -> Vec<Dyadic> {
    x.iter().map(|&x| Dyadic::from(x)).collect()
}

/// The costs `|x_i - y_j|^p` row by row, rounded down and up.
pub fn costs(mu: &Atoms, nu: &Atoms, p: f64) -> (Vec<Dyadic>, Vec<Dyadic>) {
    let (x, y) = (exact(&mu.points), exact(&nu.points));
    let (mut low, mut high) = (Vec::new(), Vec::new());
    for x in x.chunks_exact(mu.dim) {
        for y in y.chunks_exact(mu.dim) {
            let square: Dyadic = x
                .iter()
                .zip(y)
                .map(|(x, y)| {
                    let z = x - y;
                    &z * &z
                })
                .sum();
            low.push(square.powf(0.5 * p, Round::Down));
            high.push(square.powf(0.5 * p, Round::Up));
        }
    }
    (low, high)
}
