//! Masses of two measures as integer multiples of one quantum, so that plans balance exactly.

use super::grid::{exponent, scaled};

/// A mass in quanta. The total is below 2^123, so that sums of masses do not overflow.
pub(super) type Mass = i128;

/// The total mass has about this many bits if the weights of a measure differ. A weight in f64
/// is then an exact multiple of the quantum down to 2^-67 of the total.
const BITS: i32 = 120;

/// The weights of two measures in quanta, with equal sums.
#[derive(Debug)]
pub(super) struct IntegerMasses {
    pub(super) a: Vec<Mass>,
    pub(super) b: Vec<Mass>,
    /// The sum of each side.
    pub(super) total: Mass,
    /// The quantum, in the unit of the weights.
    pub(super) quantum: f64,
    /// Whether weights that are not exactly equal were replaced by equal ones.
    pub(super) is_equalised: bool,
}

impl IntegerMasses {
    /// The masses of the weights `a` and `b`, of positive, finite sums.
    ///
    /// Weights that are equal up to the relative `tolerance` become equal integers: an assignment
    /// problem if their numbers agree. Others
    /// are rounded to a quantum of about 2^-120 of the mass, and the heaviest atom of the lighter
    /// side receives the difference of the totals.
    pub(super) fn new(a: &[f64], b: &[f64], tolerance: f64) -> Self {
        match (equal_weights(a, tolerance), equal_weights(b, tolerance)) {
            (Some(left), Some(right)) => Self::equal(a, b, &left, &right),
            _ => Self::rounded(a, b),
        }
    }

    fn equal(a: &[f64], b: &[f64], left: &EqualWeights, right: &EqualWeights) -> Self {
        let (n, m) = (left.count, right.count);
        let total = n / gcd(n, m) * m;
        let divide = |c: &[f64], atoms: Mass| {
            let mass = |&c: &f64| if c > 0.0 { total / atoms } else { 0 };
            c.iter().map(mass).collect()
        };
        let quantum = |side: &EqualWeights| side.weight / (total / side.count) as f64;
        Self {
            a: divide(a, n),
            b: divide(b, m),
            total,
            quantum: quantum(left).max(quantum(right)),
            is_equalised: !(left.is_exact && right.is_exact),
        }
    }

    fn rounded(a: &[f64], b: &[f64]) -> Self {
        let mass = |c: &[f64]| c.iter().sum::<f64>();
        let shift = exponent(mass(a).max(mass(b))) - BITS;
        let quanta = |c: &[f64]| {
            c.iter()
                .map(|&c| scaled(c, -shift).round() as Mass)
                .collect()
        };
        let (mut a, mut b): (Vec<Mass>, Vec<Mass>) = (quanta(a), quanta(b));
        let (sum_a, sum_b) = (a.iter().sum::<Mass>(), b.iter().sum::<Mass>());
        let (lighter, difference) = if sum_a < sum_b {
            (&mut a, sum_b - sum_a)
        } else {
            (&mut b, sum_a - sum_b)
        };
        if let Some(heaviest) = lighter.iter_mut().max() {
            *heaviest += difference;
        }
        Self {
            a,
            b,
            total: sum_a.max(sum_b),
            quantum: scaled(1.0, shift),
            is_equalised: false,
        }
    }
}

/// The positive weights of a measure if they are equal.
#[derive(Debug)]
struct EqualWeights {
    count: Mass,
    weight: f64,
    is_exact: bool,
}

fn equal_weights(c: &[f64], tolerance: f64) -> Option<EqualWeights> {
    let positive = || c.iter().copied().filter(|&c| c > 0.0);
    let (least, largest) = positive().fold((f64::INFINITY, 0.0_f64), |(least, largest), c| {
        (least.min(c), largest.max(c))
    });
    let count = positive().count() as Mass;
    let is_exact = least == largest;
    let weight = if is_exact {
        least
    } else {
        positive().sum::<f64>() / count as f64
    };
    (largest - least <= tolerance * least).then_some(EqualWeights {
        count,
        weight,
        is_exact,
    })
}

fn gcd(a: Mass, b: Mass) -> Mass {
    if b == 0 { a } else { gcd(b, a % b) }
}
