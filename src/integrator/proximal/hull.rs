//! Kinks: subgradients gathered near a point, particle by particle, and the shortest one in their convex hull.

use nalgebra::DMatrix;

use super::objective::{Point, Proximal};
use super::scratch::Scratch;
use crate::numeric::vector::dot;
use crate::real::{Real, epsilon, real};

/// Sites kept a particle, besides the point itself.
const SITES: usize = 8;

/// A nearby position of one particle with the gradient found there.
struct Site<T> {
    v: Vec<T>,
    gradient: Vec<T>,
    /// Its share in the shortest convex combination; the rest is the share of the point itself.
    weight: T,
}

/// The kinks that are known: for each particle the sites, within a radius, on the other sides of the kinks near it.
///
/// Where a particle sits on a kink (a rectifier neuron with `b.x_j = 0`) the gradient jumps across it, and at a minimum 0 is in
/// the convex hull of its limits. The hull is taken particle by particle: a feature map has kinks in its own particle only,
/// and all else that a gradient depends on, it depends on continuously.
pub(super) struct Kinks<T> {
    /// Empty for most particles.
    sites: Vec<Vec<Site<T>>>,
    /// Orthonormal directions across the kinks and the curvature that the sites tell along them, `(i, n, k)`.
    normals: Vec<(usize, Vec<T>, T)>,
    /// The radius within which sites count.
    pub radius: T,
}

impl<T: Real> Kinks<T> {
    pub fn new(particles: usize, radius: T) -> Self {
        Self {
            sites: (0..particles).map(|_| Vec::new()).collect(),
            normals: Vec::new(),
            radius,
        }
    }

    /// Writes the shortest subgradient `z_i` of every particle, the one in the convex hull of its gradient and of those of
    /// its sites within the radius. Sites without a share in it are forgotten.
    pub fn shortest(&mut self, x: &Point<T>, z: &mut DMatrix<T>) {
        z.copy_from(&x.gradient);
        self.normals.clear();
        let p = x.v.nrows();
        for (i, sites) in self.sites.iter_mut().enumerate() {
            if sites.is_empty() {
                continue;
            }
            let at = i * p..(i + 1) * p;
            let (v, g, z) = (
                &x.v.as_slice()[at.clone()],
                &x.gradient.as_slice()[at.clone()],
                &mut z.as_mut_slice()[at],
            );
            sites.retain(|site| distance(&site.v, v) <= self.radius);
            let own = shortest(g, sites, z);
            sites.retain(|site| site.weight > T::zero());
            let first = self.normals.len();
            // Differences of the gradients that share in z, to one of them.
            let mut shared = sites.iter();
            let (base_v, base) = if own > T::zero() {
                (v, g)
            } else {
                shared
                    .next()
                    .map_or((v, g), |site| (&site.v, &site.gradient))
            };
            for site in shared {
                let apart = distance(&site.v, base_v)
                    .max(epsilon::<T>() * (epsilon::<T>() + dot(v, v).sqrt()));
                let mut n: Vec<T> = site
                    .gradient
                    .iter()
                    .zip(base)
                    .map(|(&s, &g)| s - g)
                    .collect();
                let size = dot(&n, &n).sqrt();
                for _ in 0..2 {
                    for (_, other, _) in &self.normals[first..] {
                        let s = dot(other, &n);
                        n.iter_mut()
                            .zip(other)
                            .for_each(|(n, &other)| *n -= s * other);
                    }
                }
                let rest = dot(&n, &n).sqrt();
                if rest > size * epsilon::<T>().sqrt() {
                    n.iter_mut().for_each(|n| *n /= rest);
                    self.normals.push((i, n, rest / apart));
                }
            }
        }
    }

    /// `u = (s + K)^-1 s u` with the stiffness `K = sum k n n^T` across the kinks.
    pub fn relax(&self, s: T, field: &mut DMatrix<T>) {
        self.along(field, |k| -k / (k + s));
    }

    /// `out += K u`.
    pub fn stiffen(&self, u: &DMatrix<T>, out: &mut DMatrix<T>) {
        let p = u.nrows();
        for (i, n, k) in &self.normals {
            let at = i * p..(i + 1) * p;
            let s = *k * dot(n, &u.as_slice()[at.clone()]);
            out.as_mut_slice()[at]
                .iter_mut()
                .zip(n)
                .for_each(|(out, &n)| *out += s * n);
        }
    }

    /// Removes the components of a field across the kinks.
    pub fn project(&self, field: &mut DMatrix<T>) {
        self.along(field, |_| -T::one());
    }

    /// `u += f(k) n <n, u>` for every normal.
    fn along(&self, field: &mut DMatrix<T>, f: impl Fn(T) -> T) {
        let p = field.nrows();
        for (i, n, k) in &self.normals {
            let u = &mut field.as_mut_slice()[i * p..(i + 1) * p];
            let s = f(*k) * dot(n, u);
            u.iter_mut().zip(n).for_each(|(u, &n)| *u += s * n);
        }
    }

    /// Gathers the kinks that a search has bracketed, from the far ends of the brackets.
    pub fn gather(&mut self, shares: &Shares<T>, start: &DMatrix<T>, d: &DMatrix<T>) {
        let p = d.nrows();
        for (i, bracket) in shares.brackets.iter().enumerate() {
            let Some(bracket) = bracket.as_ref().filter(|bracket| bracket.is_kink()) else {
                continue;
            };
            let at = i * p..(i + 1) * p;
            let (v, d) = (&start.as_slice()[at.clone()], &d.as_slice()[at]);
            let v = v
                .iter()
                .zip(d)
                .map(|(&v, &d)| v + bracket.high * d)
                .collect();
            // A site on the same side is replaced.
            let same = real::<T>(0.5) * bracket.jump();
            self.sites[i].retain(|site| distance(&site.gradient, &bracket.after) > same);
            insert(&mut self.sites[i], v, bracket.after.clone());
        }
    }

    /// Follows an accepted step from `x` to `y`: sites move along with their particle, and a particle that crossed a kink
    /// leaves a site behind.
    pub fn follow(&mut self, x: &Point<T>, y: &Point<T>, stiff: T) {
        let p = x.v.nrows();
        for (i, sites) in self.sites.iter_mut().enumerate() {
            let at = i * p..(i + 1) * p;
            let (xv, xg) = (
                &x.v.as_slice()[at.clone()],
                &x.gradient.as_slice()[at.clone()],
            );
            let (yv, yg) = (&y.v.as_slice()[at.clone()], &y.gradient.as_slice()[at]);
            let steep = distance(xg, yg) > stiff * distance(xv, yv);
            if (steep || !sites.is_empty()) && reverses(xv, xg, yv, yg) {
                insert(sites, xv.to_vec(), xg.to_vec());
                continue;
            }
            for site in sites {
                // Not if the particle has come to the side of the site.
                if distance(&site.gradient, yg) >= distance(xg, yg) {
                    for (s, (&x, &y)) in site.v.iter_mut().zip(xv.iter().zip(yv)) {
                        *s += y - x;
                    }
                    for (s, (&x, &y)) in site.gradient.iter_mut().zip(xg.iter().zip(yg)) {
                        *s += y - x;
                    }
                }
            }
        }
    }

    /// Moves every particle with sites to the middle of them, in `v`.
    pub fn middle(&self, v: &mut DMatrix<T>) {
        let p = v.nrows();
        for (sites, v) in self.sites.iter().zip(v.as_mut_slice().chunks_exact_mut(p)) {
            if !sites.is_empty() {
                let share = T::one() / real((1 + sites.len()) as f64);
                for (l, v) in v.iter_mut().enumerate() {
                    let mut sum = *v;
                    for site in sites {
                        sum += site.v[l];
                    }
                    *v = sum * share;
                }
            }
        }
    }

    /// Halves the brackets: `y` holds the middles, which take the place of the end on whose side they are, in `x` or in the sites.
    pub fn halve(&mut self, x: &mut Point<T>, y: &Point<T>) {
        let p = x.v.nrows();
        for (i, sites) in self.sites.iter_mut().enumerate() {
            if sites.is_empty() {
                continue;
            }
            let at = i * p..(i + 1) * p;
            let (xv, xg) = (
                &mut x.v.as_mut_slice()[at.clone()],
                &mut x.gradient.as_mut_slice()[at.clone()],
            );
            let (yv, yg) = (&y.v.as_slice()[at.clone()], &y.gradient.as_slice()[at]);
            let nearest = (0..sites.len())
                .map(|s| (s, distance(&sites[s].gradient, yg)))
                .reduce(|a, b| if b.1 < a.1 { b } else { a });
            match nearest {
                Some((s, far)) if far < distance(xg, yg) => {
                    sites[s].v.copy_from_slice(yv);
                    sites[s].gradient.copy_from_slice(yg);
                }
                _ => {
                    xv.copy_from_slice(yv);
                    xg.copy_from_slice(yg);
                }
            }
        }
    }

    /// Writes to `out` how far each particle's farthest site is, in its first coordinate.
    pub fn spread(&self, x: &Point<T>, out: &mut DMatrix<T>) {
        out.fill(T::zero());
        let p = out.nrows();
        for (i, sites) in self.sites.iter().enumerate() {
            let v = &x.v.as_slice()[i * p..(i + 1) * p];
            out[(0, i)] = sites
                .iter()
                .fold(T::zero(), |max, site| max.max(distance(&site.v, v)));
        }
    }
}

/// Whether any particle, on any rank, has sites.
pub(super) fn pinned<T: Real>(
    problem: &mut Proximal<'_, T>,
    kinks: &Kinks<T>,
    x: &Point<T>,
    scratch: &mut Scratch<T>,
) -> bool {
    let mut far = scratch.take();
    kinks.spread(x, &mut far);
    let pinned = problem.inner(&far, &far) > T::zero();
    scratch.give([far]);
    pinned
}

/// For each particle the share of a direction that it takes: bisection between kinks, all particles at once.
pub(super) struct Shares<T> {
    shares: Vec<T>,
    brackets: Vec<Option<Bracket<T>>>,
}

/// Two shares between which the slope of a particle turns from descent to ascent.
struct Bracket<T> {
    low: T,
    high: T,
    /// The gradients at `low` and `high`.
    before: Vec<T>,
    after: Vec<T>,
    /// Width and jump of the gradient at first.
    first: (T, T),
}

impl<T: Real> Bracket<T> {
    fn jump(&self) -> T {
        distance(&self.before, &self.after)
    }

    /// Whether the jump has stayed while the bracket shrank: across a smooth search_direction both shrink alike.
    fn is_kink(&self) -> bool {
        let (width, jump) = self.first;
        let shrunk = (self.high - self.low) / width;
        shrunk <= real(0.125) && self.jump() >= jump * real(0.5)
    }
}

impl<T: Real> Shares<T> {
    pub fn new(particles: usize) -> Self {
        Self {
            shares: vec![T::one(); particles],
            brackets: (0..particles).map(|_| None).collect(),
        }
    }

    /// `v_i += min(t, share_i) d_i`.
    pub fn transport(&self, t: T, d: &DMatrix<T>, v: &mut DMatrix<T>) {
        let p = d.nrows();
        let fields = v
            .as_mut_slice()
            .chunks_exact_mut(p)
            .zip(d.as_slice().chunks_exact(p));
        for ((v, d), &share) in fields.zip(&self.shares) {
            let share = share.min(t);
            v.iter_mut().zip(d).for_each(|(v, &d)| *v += share * d);
        }
    }

    /// Bisects the particles whose slope along `d` has turned from descent at `x` to ascent at `y`.
    pub fn refine(&mut self, x: &Point<T>, y: &Point<T>, d: &DMatrix<T>, t: T) {
        let p = d.nrows();
        for (i, (share, bracket)) in self.shares.iter_mut().zip(&mut self.brackets).enumerate() {
            let at = i * p..(i + 1) * p;
            let (d, xg, yg) = (
                &d.as_slice()[at.clone()],
                &x.gradient.as_slice()[at.clone()],
                &y.gradient.as_slice()[at],
            );
            let (before, after) = (dot(xg, d), dot(yg, d));
            let turned = before < T::zero() && after > before * real(-0.25);
            let taken = share.min(t);
            match bracket {
                None if turned => {
                    let first = (taken, distance(xg, yg));
                    *bracket = Some(Bracket {
                        low: T::zero(),
                        high: taken,
                        before: xg.to_vec(),
                        after: yg.to_vec(),
                        first,
                    });
                }
                Some(bracket) if turned => {
                    bracket.high = taken;
                    bracket.after.copy_from_slice(yg);
                }
                Some(bracket) => {
                    bracket.low = taken;
                    bracket.before.copy_from_slice(yg);
                }
                None => {}
            }
            if let Some(bracket) = bracket {
                *share = (bracket.low + bracket.high) * real(0.5);
            }
        }
    }
}

/// Whether the slope along `y - x` changes sign from `x` to `y`, from descent to ascent.
fn reverses<T: Real>(xv: &[T], xg: &[T], yv: &[T], yg: &[T]) -> bool {
    let (mut before, mut after) = (T::zero(), T::zero());
    for l in 0..xv.len() {
        let d = yv[l] - xv[l];
        before += d * xg[l];
        after += d * yg[l];
    }
    before < T::zero() && after > T::zero()
}

fn insert<T: Real>(sites: &mut Vec<Site<T>>, v: Vec<T>, gradient: Vec<T>) {
    if sites.len() == SITES {
        sites.remove(0);
    }
    sites.push(Site {
        v,
        gradient,
        weight: T::one(),
    });
}

fn distance<T: Real>(u: &[T], v: &[T]) -> T {
    u.iter()
        .zip(v)
        .fold(T::zero(), |sum, (&u, &v)| sum + (u - v) * (u - v))
        .sqrt()
}

/// The shortest vector `z` in the convex hull of `g` and the sites' gradients, and their shares in it.
///
/// Exact exchanges of weight between the vertex that lies farthest along `z` and the one that lies least far.
fn shortest<T: Real>(g: &[T], sites: &mut [Site<T>], z: &mut [T]) -> T {
    let mut share = T::one();
    sites.iter_mut().for_each(|site| site.weight = T::zero());
    z.copy_from_slice(g);
    let largest = sites.iter().fold(dot(g, g), |max, site| {
        max.max(dot(&site.gradient, &site.gradient))
    });
    for _ in 0..100 * (1 + sites.len()) {
        // usize::MAX stands for the point itself.
        let own = dot(g, z);
        let (mut low, mut high) = ((own, usize::MAX), (own, usize::MAX));
        if share == T::zero() {
            high.0 = -largest;
        }
        for (s, site) in sites.iter().enumerate() {
            let along = dot(&site.gradient, z);
            if along < low.0 {
                low = (along, s);
            }
            if site.weight > T::zero() && along > high.0 {
                high = (along, s);
            }
        }
        if low.1 == high.1 || high.0 - low.0 <= real::<T>(4.0) * epsilon::<T>() * largest {
            break;
        }
        let vertex = |s: usize, l: usize| {
            if s == usize::MAX {
                g[l]
            } else {
                sites[s].gradient[l]
            }
        };
        let apart = (0..g.len()).fold(T::zero(), |sum, l| {
            let e = vertex(high.1, l) - vertex(low.1, l);
            sum + e * e
        });
        let available = if high.1 == usize::MAX {
            share
        } else {
            sites[high.1].weight
        };
        let step = ((high.0 - low.0) / apart).min(available);
        for l in 0..g.len() {
            z[l] += step * (vertex(low.1, l) - vertex(high.1, l));
        }
        for (s, sign) in [(high.1, -step), (low.1, step)] {
            if s == usize::MAX {
                share += sign
            } else {
                sites[s].weight += sign
            }
        }
    }
    share
}
