//! The objective in exact arithmetic: unlimited binary floating point, and 300 bits for exponentials
//! and logarithms.

use dashu_float::FBig;

use super::parts::{AnyLoss, Sigma};

/// A binary number of unlimited precision: sums and products are exact.
pub type Exact = FBig;

/// The precision of exponentials and logarithms, in bits. The exact numbers that it rounds are
/// compared with an error of `2^-250`.
const BITS: usize = 300;

/// The margin beyond which `log(1 + exp m)` is `m` or 0 to more than [`BITS`] bits.
const LARGEST_MARGIN: f64 = 1e4;

pub fn exact(x: f64) -> Exact {
    let x = Exact::try_from(x).expect("a finite number");
    x.with_precision(0).value()
}

pub fn zero() -> Exact {
    exact(0.0)
}

fn rounded(x: &Exact) -> Exact {
    x.clone().with_precision(BITS).value()
}

/// Back to unlimited precision.
fn unlimited(x: Exact) -> Exact {
    x.with_precision(0).value()
}

fn abs(x: Exact) -> Exact {
    if x < zero() { -x } else { x }
}

/// `log(1 + sum_i exp m_i)`.
pub fn log_one_plus_exp(margins: &[Exact]) -> Exact {
    let largest = margins
        .iter()
        .fold(zero(), |max, m| if *m > max { m.clone() } else { max });
    let mut sum = rounded(&zero());
    let mut first = true;
    // The exponentials relative to the largest, of which one, that of 1 or of the largest margin,
    // is left out.
    for m in margins.iter().chain([&zero()]) {
        let m = m - &largest;
        if first && m == zero() {
            first = false;
        } else if m > exact(-LARGEST_MARGIN) {
            sum += rounded(&m).exp();
        }
    }
    if sum == zero() {
        return largest;
    }
    largest + unlimited(sum.ln_1p())
}

pub fn sigma(activation: Sigma, z: &Exact) -> Exact {
    let positive = *z > zero();
    match activation {
        Sigma::Identity => z.clone(),
        Sigma::Abs => abs(z.clone()),
        Sigma::Leaky(s) if !positive => z * exact(s),
        Sigma::Relu | Sigma::Leaky(_) if positive => z.clone(),
        Sigma::Power(r) if positive => (0..r).fold(exact(1.0), |power, _| power * z),
        _ => zero(),
    }
}

/// The loss, `None` where it exceeds the range of the elementary functions.
pub fn loss(loss: AnyLoss, y: f64, h: &Exact) -> Option<Exact> {
    let half = exact(0.5);
    let residual = h - exact(y);
    let slack = exact(1.0) - h * exact(y);
    Some(match loss {
        AnyLoss::Square => &residual * &residual * half,
        AnyLoss::Huber(t) => {
            let (r, t) = (abs(residual), exact(t));
            if r <= t {
                &r * &r * half
            } else {
                &t * (r - &t * half)
            }
        }
        AnyLoss::Quantile(q) => {
            let q = exact(q);
            if residual < zero() {
                -residual * q
            } else {
                residual * (exact(1.0) - q)
            }
        }
        AnyLoss::Absolute(s) => abs(residual) * exact(s),
        AnyLoss::Hinge if slack > zero() => slack,
        AnyLoss::SmoothHinge(s) if slack > zero() => {
            // s is a power of two, whose reciprocal is exact.
            if slack <= exact(s) {
                &slack * &slack * exact(0.5 / s)
            } else {
                slack - exact(0.5 * s)
            }
        }
        AnyLoss::Logistic => log_one_plus_exp(&[-(h * exact(y))]),
        AnyLoss::Exponential => {
            let m = -(h * exact(y));
            if abs(m.clone()) > exact(LARGEST_MARGIN) {
                return None;
            }
            unlimited(rounded(&m).exp())
        }
        _ => zero(),
    })
}

/// A network problem in double precision, all numbers exact.
#[derive(Debug, Clone)]
pub struct Problem {
    pub d: usize,
    pub k: usize,
    /// `d x n`.
    pub x: Vec<f64>,
    /// `k x n`, or the classes.
    pub y: Vec<f64>,
    pub weights: Vec<f64>,
    pub sigma: Sigma,
    /// `None`: softmax cross-entropy.
    pub loss: Option<AnyLoss>,
    pub lambda: f64,
}

/// Particles `(a, b)` with weights.
#[derive(Debug, Clone, Default)]
pub struct Particles {
    pub points: Vec<f64>,
    pub weights: Vec<f64>,
}

impl Particles {
    pub fn push(&mut self, w: impl IntoIterator<Item = f64>, weight: f64) {
        self.points.extend(w);
        self.weights.push(weight);
    }
}

impl Problem {
    pub fn len(&self) -> usize {
        self.weights.len()
    }

    fn dot(b: &[f64], x: &[f64]) -> Exact {
        let products = b.iter().zip(x).filter(|(b, x)| **b != 0.0 && **x != 0.0);
        products.fold(zero(), |sum, (&b, &x)| sum + exact(b) * exact(x))
    }

    /// `F(mu)`, exact up to `2^-250` relative for exponentials.
    pub fn energy(&self, mu: &Particles) -> Option<Exact> {
        let (d, k) = (self.d, self.k);
        let mut total = zero();
        let neurons: Vec<(Exact, &[f64], &[f64])> = mu
            .points
            .chunks_exact(k + d)
            .zip(&mu.weights)
            .filter(|(_, c)| **c != 0.0)
            .map(|(w, &c)| (exact(c), &w[..k], &w[k..]))
            .collect();
        for j in (0..self.len()).filter(|&j| self.weights[j] != 0.0) {
            let mut h = vec![zero(); k];
            for (c, a, b) in &neurons {
                let s = c * sigma(self.sigma, &Self::dot(b, &self.x[j * d..(j + 1) * d]));
                for (h, &a) in h.iter_mut().zip(*a) {
                    *h += &s * exact(a);
                }
            }
            let losses = match self.loss {
                Some(of) => {
                    let mut sum = zero();
                    for (h, &y) in h.iter().zip(&self.y[j * k..]) {
                        sum += loss(of, y, h)?;
                    }
                    sum
                }
                None => {
                    let y = self.y[j] as usize;
                    let others = (0..k).filter(|&l| l != y);
                    let margins: Vec<Exact> = others.map(|l| &h[l] - &h[y]).collect();
                    log_one_plus_exp(&margins)
                }
            };
            total += losses * exact(self.weights[j]);
        }
        let mut moment = zero();
        for (c, a, b) in &neurons {
            for &w in a.iter().chain(*b) {
                moment += c * exact(w) * exact(w);
            }
        }
        Some(total + moment * exact(self.lambda))
    }

    /// `|sum_j u_j sigma(b.x_j)|^2` and `|b|^2`.
    pub fn squared_gradient(&self, u: &[f64], b: &[f64]) -> (Exact, Exact) {
        let (d, k) = (self.d, self.k);
        let mut g = vec![zero(); k];
        for (x, u) in self.x.chunks_exact(d).zip(u.chunks_exact(k)) {
            let s = sigma(self.sigma, &Self::dot(b, x));
            g.iter_mut().zip(u).for_each(|(g, &u)| *g += &s * exact(u));
        }
        let square = g.iter().fold(zero(), |sum, g| sum + g * g);
        (square, Self::dot(b, b))
    }
}
