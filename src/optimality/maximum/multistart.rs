//! Multi-start ascent on the unit sphere: the largest value found, which is no bound.

use crate::numeric::splitmix::SplitMix64;
use crate::numeric::vector::dot;
use crate::numeric::vector::norm;

/// How many starts of each kind are looked at, and how many of each are climbed from: the best of one kind only would all be the particles,
/// which sit on maxima already.
const LOOK: usize = 64;
const CLIMB: usize = 8;

/// Evaluations a climb.
const STEPS: usize = 100;

/// Unit vectors to start from.
pub(in crate::optimality) struct Starts {
    dim: usize,
    /// Those of each kind.
    kinds: Vec<Vec<f64>>,
}

impl Starts {
    /// Random directions of a fixed seed.
    pub(in crate::optimality) fn random(dim: usize) -> Self {
        let mut starts = Self {
            dim,
            kinds: vec![Vec::new()],
        };
        let mut draws = SplitMix64::new(0);
        for _ in 0..LOOK {
            let b: Vec<f64> = (0..dim).map(|_| draws.normal()).collect();
            starts.push(&b, 1.0);
        }
        starts
    }

    /// Adds the directions of the vectors given, evenly thinned, and their opposites.
    pub(in crate::optimality) fn and<'a>(mut self, given: impl Iterator<Item = &'a [f64]>) -> Self {
        let given: Vec<&[f64]> = given.collect();
        self.kinds.push(Vec::new());
        for b in given.iter().step_by(given.len().div_ceil(LOOK).max(1)) {
            self.push(b, 1.0);
            self.push(b, -1.0);
        }
        self
    }

    fn push(&mut self, b: &[f64], sign: f64) {
        let length = sign * norm(b);
        if let Some(kind) = self
            .kinds
            .last_mut()
            .filter(|_| length != 0.0 && length.is_finite())
        {
            kind.extend(b.iter().map(|b| b / length));
        }
    }
}

/// Where `f` is largest among what ascent reaches from the best starts. `f(b, gradient)` returns the value at b.
///
/// `f` is positively 1-homogeneous, so that `b + grad f / f` is the natural step; it is halved until the value rises.
pub(in crate::optimality) fn climb(
    starts: &Starts,
    f: impl Fn(&[f64], &mut [f64]) -> f64,
) -> Vec<f64> {
    let d = starts.dim;
    let mut gradient = vec![0.0; d];
    let mut chosen: Vec<(f64, &[f64])> = Vec::new();
    for kind in &starts.kinds {
        let mut ranked: Vec<(f64, &[f64])> = kind
            .chunks_exact(d)
            .map(|b| (f(b, &mut gradient), b))
            .collect();
        ranked.sort_by(|(s, _), (t, _)| t.total_cmp(s));
        chosen.extend(ranked.into_iter().take(CLIMB));
    }
    let mut best = (f64::NEG_INFINITY, vec![0.0; d]);
    for (mut value, b) in chosen {
        let mut b = b.to_vec();
        let (mut step, mut trial, mut slope) = (1.0, vec![0.0; d], vec![0.0; d]);
        f(&b, &mut gradient);
        for _ in 0..STEPS {
            // The gradient along the sphere.
            let (along, size) = (dot(&gradient, &b), norm(&gradient));
            gradient
                .iter_mut()
                .zip(&b)
                .for_each(|(g, b)| *g -= along * b);
            if norm(&gradient) <= 1e-13 * size || step < 1e-16 {
                break;
            }
            let length = step / value.abs().max(f64::MIN_POSITIVE);
            let length = length.min(1.0 / norm(&gradient));
            for ((trial, b), g) in trial.iter_mut().zip(&b).zip(&gradient) {
                *trial = b + length * g;
            }
            let unit = norm(&trial);
            trial.iter_mut().for_each(|b| *b /= unit);
            let reached = f(&trial, &mut slope);
            if reached > value {
                value = reached;
                std::mem::swap(&mut b, &mut trial);
                gradient.copy_from_slice(&slope);
                step *= 2.0;
            } else {
                gradient
                    .iter_mut()
                    .zip(&b)
                    .for_each(|(g, b)| *g += along * b);
                step *= 0.5;
            }
        }
        if value > best.0 {
            best = (value, b);
        }
    }
    best.1
}
