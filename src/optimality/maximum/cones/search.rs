//! Branch and bound: the cone of the largest bound is split first.

use std::collections::BinaryHeap;

use super::ascent::Ascent;
use super::bounding::{ConeWorkspace, Evaluated};
use super::cell::{Cell, Split};
use super::leaves::{Cones, Leaf, Leaves};
use super::problem::ConeProblem;
use super::{BoundedMaximum, Climbed};
use crate::numeric::error_bounds::EPS;
use crate::numeric::parallel::{Parts, for_each};
use crate::optimality::effort::Limits;
use crate::optimality::piecewise_linear::PiecewiseLinearMap;

/// Cones split at once, a constant: the result must not depend on the number of threads.
const BATCH: usize = 16;

/// The size of the cones in the heap at which the search ends, in units of 4 bytes: 1 GiB.
const MAX_STORED: usize = 1 << 28;

/// The size of a cone without its crossing samples, in the same unit.
const CONE_SIZE: usize = 512;

/// The excess of a bound over the largest value found, in units of `EPS size`, that is rounding:
/// bounds contain an allowance of at most 32 units for the error of their last operations.
const SLACK: f64 = 64.0;

/// A cone of a batch, its parts, and the memory of their computation.
#[derive(Debug, Default)]
struct Slot<const D: usize> {
    cell: Option<Box<Cell<D>>>,
    parts: Vec<Evaluated<D>>,
    workspace: ConeWorkspace<D>,
}

/// The cones that are not decided, and the largest bound of the others.
struct Frontier<const D: usize> {
    heap: BinaryHeap<Box<Cell<D>>>,
    /// The first cones, not bounded so far.
    first: Vec<Leaf<D>>,
    /// The size of the heap.
    stored: usize,
    /// The largest bound of a cone that is decided.
    decided: f64,
    leaves: Leaves<D>,
}

impl<const D: usize> Frontier<D> {
    /// The next cone with a bound above `cut`.
    fn pop(&mut self, problem: &ConeProblem<'_, D>, cut: f64) -> Option<Box<Cell<D>>> {
        if let Some(leaf) = self.first.pop() {
            return Some(Box::new(Cell::new(problem, &leaf)));
        }
        while let Some(cell) = self.heap.pop() {
            self.stored -= cell.crossing.len() + CONE_SIZE;
            if cell.estimate > cut {
                return Some(cell);
            }
            self.decide(&cell.leaf(), cell.upper);
        }
        None
    }

    fn push(&mut self, cell: Box<Cell<D>>) {
        self.stored += cell.crossing.len() + CONE_SIZE;
        self.heap.push(cell);
    }

    fn decide(&mut self, leaf: &Leaf<D>, upper: f64) {
        self.decided = self.decided.max(upper);
        self.leaves.push(leaf);
    }
}

/// Bounds on `|g|`, from a first value at `start`; see [`maximum`](super::maximum).
///
/// The cones of a batch are bounded in parallel and merged in their order.
pub(super) fn search<const D: usize>(
    map: &PiecewiseLinearMap,
    start: &[f64],
    limits: Limits,
    memory: &mut Option<Cones>,
) -> BoundedMaximum {
    let problem = ConeProblem::<D>::new(map);
    let mut ascent = Ascent::new(&problem);
    let mut best = ascent.climb(std::array::from_fn(|r| start[r]));
    let mut slots: Vec<Slot<D>> = (0..BATCH).map(|_| Slot::default()).collect();
    let (first, work) = first_cones(&problem, memory.take(), limits);
    let mut frontier = Frontier {
        heap: BinaryHeap::new(),
        first,
        stored: 0,
        decided: 0.0,
        leaves: Leaves::default(),
    };
    let (mut cells, mut samples) = (0, 0);
    loop {
        let cut = (best.0 * (1.0 + limits.tolerance)).max(best.0 + SLACK * EPS * map.size);
        let initial = !frontier.first.is_empty();
        let mut count = 0;
        while count < BATCH && initial != frontier.first.is_empty() {
            let Some(cell) = frontier.pop(&problem, cut) else {
                break;
            };
            slots[count].cell = Some(cell);
            count += 1;
        }
        let exceeded = cells >= limits.cells || frontier.stored > MAX_STORED || limits.is_late();
        if count == 0 || exceeded {
            for slot in &mut slots[..count] {
                frontier.heap.extend(slot.cell.take());
            }
            break;
        }
        let task = |_: usize, part: Parts<'_, Slot<D>>| {
            for slot in part.data {
                let Slot {
                    cell,
                    parts,
                    workspace,
                } = slot;
                match cell {
                    Some(_) if limits.is_late() => {}
                    Some(cell) if initial => parts.push(workspace.evaluate(&problem, cell, cut)),
                    Some(cell) => parts.extend(workspace.split(&problem, cell, cut)),
                    None => {}
                }
            }
        };
        for_each(Parts::new(&mut slots[..count], 1), count > 1, &task);
        for slot in &mut slots[..count] {
            let Some(cell) = slot.cell.take() else {
                continue;
            };
            if slot.parts.is_empty() {
                // Late.
                frontier.push(cell);
                continue;
            }
            samples += cell.crossing.len();
            if slot.parts.iter().all(|part| part.cell.is_none()) {
                // The whole is kept for the next search instead of both parts.
                let upper = slot
                    .parts
                    .iter()
                    .fold(0.0_f64, |max, part| max.max(part.upper));
                frontier.decide(&cell.leaf(), upper);
            }
            let whole = slot.parts.iter().any(|part| part.cell.is_some());
            for part in slot.parts.drain(..) {
                cells += 1;
                if let Some((value, b)) = part.candidate
                    && value > best.0
                {
                    let next = ascent.climb(b);
                    if next.0 > best.0 {
                        best = next;
                    }
                }
                match part.cell {
                    Some(cell) => frontier.push(cell),
                    None if whole => frontier.decide(&part.leaf, part.upper),
                    None => {}
                }
            }
        }
    }
    let mut upper = frontier.decided.max(best.0);
    for cell in &frontier.heap {
        upper = upper.max(cell.upper);
        frontier.leaves.push(&cell.leaf());
    }
    for leaf in &frontier.first {
        upper = upper.max(map.size);
        frontier.leaves.push(leaf);
    }
    *memory = frontier.leaves.into_memory(map.k, work.unwrap_or(samples));
    let (value, b) = best;
    BoundedMaximum {
        best: Climbed {
            value,
            b: b.to_vec(),
        },
        upper,
    }
}

/// The cones of the last search and the work of one from the start, or the orthants; for one output
/// for both signs.
fn first_cones<const D: usize>(
    problem: &ConeProblem<'_, D>,
    memory: Option<Cones>,
    limits: Limits,
) -> (Vec<Leaf<D>>, Option<usize>) {
    let kept = memory.and_then(|cones| {
        let leaves = cones.leaves(problem.k, problem.len())?;
        // All of them have to be bounded before the first bound of the whole.
        let bounded = 2 * leaves.len() <= limits.cells && limits.deadline.is_none();
        bounded.then_some((leaves, cones.samples))
    });
    let work = kept.as_ref().map(|(_, samples)| *samples);
    let leaves = match kept {
        Some((leaves, _)) => leaves,
        None => {
            let signs: &[f64] = if problem.k == 1 { &[1.0, -1.0] } else { &[1.0] };
            let orthants = (0..1_usize << D).map(|orthant| {
                let side = |i: usize| if orthant >> i & 1 == 0 { 1.0 } else { -1.0 };
                std::array::from_fn(|i| std::array::from_fn(|r| if r == i { side(i) } else { 0.0 }))
            });
            let leaf = |v| {
                signs.iter().map(move |&sign| Leaf {
                    v,
                    sign,
                    cover: 0.0,
                })
            };
            orthants.flat_map(leaf).collect()
        }
    };
    (leaves, work)
}

impl<const D: usize> Cell<D> {
    /// A cone that all samples may cross.
    fn new(problem: &ConeProblem<'_, D>, leaf: &Leaf<D>) -> Self {
        Self {
            v: leaf.v,
            a: problem.linear.iter().map(|a| a.scaled(leaf.sign)).collect(),
            crossing: (0..problem.len() as u32).collect(),
            sign: leaf.sign,
            y: super::problem::centre(&leaf.v),
            upper: problem.map.size,
            estimate: problem.map.size,
            cover: leaf.cover,
            tolerated: 0.0,
            depth: 0,
            split: Split { p: 0, q: 1, s: 0.5 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::splitmix::SplitMix64;
    use crate::numeric::vector::norm;
    use crate::optimality::piecewise_linear::OneSidedSlopes;

    /// No unit vector of a cone is above its bound, for cones on random paths of splits.
    fn check<const D: usize>(k: usize, minus: f64) {
        let mut random = SplitMix64::new((8 * D + k) as u64);
        let n = 30;
        let x: Vec<f64> = (0..n * D).map(|_| random.normal()).collect();
        let u: Vec<f64> = (0..n * k).map(|_| random.normal()).collect();
        let map = PiecewiseLinearMap::new(&x, &u, D, k, OneSidedSlopes { plus: 1.0, minus });
        let problem = ConeProblem::<D>::new(&map);
        let mut workspace = ConeWorkspace::default();
        for path in 0..20 {
            let v = std::array::from_fn(|i| std::array::from_fn(|r| f64::from(r == i)));
            let sign = if k == 1 && path % 2 == 1 { -1.0 } else { 1.0 };
            let mut whole = Cell::new(
                &problem,
                &Leaf {
                    v,
                    sign,
                    cover: 0.0,
                },
            );
            for depth in 0..30 {
                let parts = if depth == 0 {
                    vec![workspace.evaluate(&problem, &whole, 0.0)]
                } else {
                    workspace.split(&problem, &whole, 0.0).into()
                };
                for part in &parts {
                    for i in 0..2 * D {
                        let mut b = [0.0; D];
                        for v in &part.leaf.v {
                            let s = random.normal().abs().powi(i as i32);
                            (0..D).for_each(|r| b[r] += s * v[r]);
                        }
                        let length = norm(&b);
                        let b = b.map(|b| b / length);
                        let g = map.evaluate(&b);
                        let value = if k == 1 { sign * g[0] } else { norm(&g) };
                        assert!(
                            value <= part.upper,
                            "{D}, {k}: {value} above {}",
                            part.upper
                        );
                    }
                }
                let at = if parts.len() == 2 && random.normal() > 0.0 {
                    1
                } else {
                    0
                };
                match parts.into_iter().nth(at).and_then(|part| part.cell) {
                    Some(cell) => whole = *cell,
                    None => break,
                }
            }
        }
    }

    #[test]
    fn no_vector_of_a_cone_is_above_its_bound() {
        for minus in [0.0, 0.3, -1.0] {
            for k in [1, 3] {
                check::<3>(k, minus);
                check::<4>(k, minus);
                check::<6>(k, minus);
            }
        }
    }
}
