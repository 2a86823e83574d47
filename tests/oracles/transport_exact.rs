//! Couplings against exact arithmetic: plans, costs, potentials and gaps of adversarial problems.
//!
//! The checker is independent of the library: dyadic rationals in integers of any length, and its
//! own exact solver. It checks that
//!
//! - the plan has the weights as marginals, up to rounding and the quanta of mass;
//! - cost and distance are those of the plan;
//! - potentials are feasible and complementary to the plan, up to rounding of each arc;
//! - `W_p^p >= cost - gap`, by the returned potentials made feasible or by the exact optimum;
//! - the gap is not above what rounding explains.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;
use wasserflow::transport;

mod cases;
mod checker;
mod dyadic;
mod optimum;

use cases::{Case, FAMILIES, Family, case, known, large};
use checker::{Atoms, Claim, Scalar, Violation, check};

/// Time after which a problem of at most 40 atoms a side hangs.
const LIMIT: Duration = Duration::from_secs(5);

/// Hanging problems after which a run ends: their threads cannot be stopped.
const MAX_HANGS: usize = 3;

/// The limits of `f32` and `f64`.
const SINGLE: Scalar = Scalar {
    epsilon: f32::EPSILON as f64,
    smallest: f32::from_bits(1) as f64,
    largest: f32::MAX as f64,
};
const DOUBLE: Scalar = Scalar {
    epsilon: f64::EPSILON,
    smallest: f64::from_bits(1),
    largest: f64::MAX,
};

type Violations = Vec<(Violation, String)>;

/// Counts of a run.
#[derive(Default)]
struct Tally {
    problems: usize,
    by_potentials: usize,
    by_optimum: usize,
    /// The number of cases with a violation, and the smallest of them.
    found: BTreeMap<(Violation, Family), (usize, Case, String)>,
}

impl Tally {
    fn add(&mut self, case: &Case, violations: Violations) {
        for (violation, text) in violations {
            let smallest = (0, case.clone(), text.clone());
            let entry = self
                .found
                .entry((violation, case.family))
                .or_insert(smallest);
            entry.0 += 1;
            if case.size() < entry.1.size() {
                (entry.1, entry.2) = (case.clone(), text);
            }
        }
    }

    /// The smallest case of each violation.
    fn report(&self) -> String {
        let mut text = format!(
            "{} problems, {} bounds proved by potentials, {} optima\n",
            self.problems, self.by_potentials, self.by_optimum
        );
        for ((violation, _), (count, case, why)) in &self.found {
            text += &format!("{violation:?}, {count} times: {why}\n  {case}\n");
        }
        text
    }
}

fn measure<T: Real>(atoms: &Atoms) -> EmpiricalMeasure<T> {
    let numbers = |x: &[f64]| x.iter().map(|&x| real(x)).collect::<Vec<T>>();
    let points = DMatrix::from_vec(atoms.dim, atoms.weights.len(), numbers(&atoms.points));
    EmpiricalMeasure::weighted(points, DVector::from_vec(numbers(&atoms.weights))).unwrap()
}

/// Solves and checks the problems of a case, one after the other.
fn run<T: Real>(case: &Case, scalar: Scalar, tally: &mut Tally) -> Violations {
    let wide = |x: &T| x.to_f64().unwrap();
    let mut violations = Vec::new();
    let mut last: Option<transport::Coupling<T>> = None;
    for (k, (mu, nu)) in case.problems.iter().enumerate() {
        let (a, b) = (measure::<T>(mu), measure::<T>(nu));
        let solve = || match &last {
            Some(coupling) => coupling.update(&a, &b),
            None => transport::wp(&a, &b, real(case.p)),
        };
        tally.problems += 1;
        let coupling = match catch_unwind(AssertUnwindSafe(solve)) {
            Ok(Ok(coupling)) => coupling,
            Ok(Err(error)) => {
                violations.push((Violation::Refused, format!("problem {k}: {error}")));
                return violations;
            }
            Err(_) => {
                violations.push((Violation::Panic, format!("problem {k}")));
                return violations;
            }
        };
        let (phi, psi) = coupling.potentials();
        let claim = Claim {
            plan: coupling
                .plan()
                .iter()
                .map(|(i, j, c)| (*i, *j, wide(c)))
                .collect(),
            phi: phi.iter().map(wide).collect(),
            psi: psi.iter().map(wide).collect(),
            cost: wide(&coupling.cost()),
            gap: wide(&coupling.gap()),
            distance: wide(&coupling.distance()),
            squared_distance: wide(&coupling.squared_distance()),
        };
        let report = check(mu, nu, case.p, scalar, &claim);
        tally.by_potentials += usize::from(report.by_potentials);
        tally.by_optimum += usize::from(report.by_optimum);
        let found = report.violations.into_iter();
        violations.extend(found.map(|(kind, text)| (kind, format!("problem {k}: {text}"))));
        last = Some(coupling);
    }
    violations
}

/// Checks the cases in a thread of their own, so that one that does not return is reported.
fn check_all(cases: Vec<Case>) -> Tally {
    let mut rest = cases;
    let mut tally = Tally::default();
    let start = Instant::now();
    let most = std::env::var("HANGS").map_or(MAX_HANGS, |count| count.parse().unwrap());
    let mut hangs = 0;
    while !rest.is_empty() && hangs < most {
        let (send, receive) = channel();
        let work = rest.clone();
        std::thread::spawn(move || {
            for case in work {
                let mut counts = Tally::default();
                let violations = match case.single {
                    true => run::<f32>(&case, SINGLE, &mut counts),
                    false => run::<f64>(&case, DOUBLE, &mut counts),
                };
                if send.send((violations, counts)).is_err() {
                    return;
                }
            }
        });
        let mut done = 0;
        while done < rest.len() {
            match receive.recv_timeout(LIMIT) {
                Ok((violations, counts)) => {
                    tally.problems += counts.problems;
                    tally.by_potentials += counts.by_potentials;
                    tally.by_optimum += counts.by_optimum;
                    tally.add(&rest[done], violations);
                }
                Err(RecvTimeoutError::Timeout) => {
                    tally.add(
                        &rest[done],
                        vec![(Violation::Hang, format!("after {LIMIT:?}"))],
                    );
                    hangs += 1;
                    done += 1;
                    break;
                }
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("the checker panicked at {}", rest[done]);
                }
            }
            done += 1;
        }
        rest.drain(..done);
    }
    println!("{:.1} s, {}", start.elapsed().as_secs_f64(), tally.report());
    tally
}

/// The cases of some families, from small to large.
fn cases_of(families: &[Family], count: u64) -> Vec<Case> {
    let mut cases = Vec::new();
    for &family in families {
        for seed in 0..count {
            let limit = [1, 2, 3, 4, 40][(5 * seed / count) as usize];
            cases.push(case(family, seed, limit));
        }
    }
    cases
}

/// All claims, from cold starts.
#[test]
fn claims_on_ten_thousand_cold_problems() {
    use Family::{Far, Offset, Plain, Weights};
    let tally = check_all(cases_of(&[Plain, Weights, Far, Offset], 2500));
    assert!(tally.problems >= 10_000);
    assert!(tally.found.is_empty(), "{}", tally.report());
}

/// Every claim, in all families. The environment variables `CASES` and `FAMILY` select the number
/// of cases of a family and one family.
#[test]
fn all_claims_on_all_families() {
    let count = std::env::var("CASES").map_or(1500, |count| count.parse().unwrap());
    let families: Vec<Family> = match std::env::var("FAMILY") {
        Ok(name) => FAMILIES
            .into_iter()
            .filter(|f| format!("{f:?}") == name)
            .collect(),
        Err(_) => FAMILIES.to_vec(),
    };
    let tally = check_all(cases_of(&families, count));
    assert!(tally.found.is_empty(), "{}", tally.report());
}

/// The far atom moves the centre and the largest cost, and neither is the scale of the other costs.
#[test]
fn a_far_atom_in_large_clouds() {
    let mut cases = Vec::new();
    for seed in 0..3 {
        for radius in [1e3, 1e6, 1e7, 1e8] {
            cases.push(large(seed, 200, radius));
        }
    }
    let tally = check_all(cases);
    assert!(tally.found.is_empty(), "{}", tally.report());
}

/// Every claim, on small problems with one difficulty each.
#[test]
fn small_difficult_problems() {
    let tally = check_all(known());
    assert!(tally.found.is_empty(), "{}", tally.report());
}
