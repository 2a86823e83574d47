//! Branch and bound: the cone of the largest bound is split first.

use std::collections::BinaryHeap;
use std::time::Instant;

use super::ascent::Ascent;
use super::cell::{Cell, Evaluated, Split, Workspace};
use super::problem::Problem;
use super::{BoundedMaximum, Limits};
use crate::numeric::error_bounds::EPS;
use crate::numeric::parallel::{Parts, for_each};
use crate::numeric::vector::norm;
use crate::optimality::piecewise_linear::PiecewiseLinearMap;

/// Cones split at once, a constant: the result must not depend on the number of threads.
const BATCH: usize = 16;

/// The excess of a bound over the largest value found, in units of `EPS size`, that is rounding:
/// bounds contain an allowance of at most 32 units for the error of their last operations.
const SLACK: f64 = 64.0;

/// The largest `|g|` found.
#[derive(Debug)]
struct Best<const D: usize> {
    /// `|g|` at the maximiser, up to rounding.
    value: f64,
    maximizer: [f64; D],
}

impl<const D: usize> Best<D> {
    fn update(&mut self, map: &PiecewiseLinearMap, b: &[f64; D]) {
        let value = norm(&map.evaluate(b));
        if value > self.value {
            (self.value, self.maximizer) = (value, *b);
        }
    }
}

#[derive(Debug, Default)]
struct Slot<const D: usize> {
    parent: Option<Box<Cell<D>>>,
    parts: Vec<Evaluated<D>>,
    workspace: Workspace<D>,
}

pub(super) fn search<const D: usize>(
    map: &PiecewiseLinearMap,
    start: &[f64],
    limits: &Limits,
) -> BoundedMaximum {
    let problem = Problem::<D>::new(map);
    let mut best = Best {
        value: 0.0,
        maximizer: std::array::from_fn(|r| start[r]),
    };
    let mut ascent = Ascent::new(&problem);
    best.update(map, &best.maximizer.clone());
    ascent.climb(&mut best.maximizer.clone(), |b| best.update(map, b));
    let mut slots: Vec<Slot<D>> = (0..BATCH).map(|_| Slot::default()).collect();
    let mut heap: BinaryHeap<Box<Cell<D>>> = BinaryHeap::new();
    let mut discarded = 0.0_f64;
    let mut cells = 0;
    let mut roots = roots(&problem);
    loop {
        let cut = (best.value * (1.0 + limits.tolerance)).max(best.value + SLACK * EPS * map.size);
        let initial = !roots.is_empty();
        let mut count = 0;
        while count < BATCH {
            let next = if initial { roots.pop() } else { heap.pop() };
            let Some(cell) = next else { break };
            if cell.estimate > cut {
                slots[count].parent = Some(cell);
                count += 1;
            } else {
                discarded = discarded.max(cell.upper);
            }
        }
        if count == 0 {
            break;
        }
        let expired = limits
            .deadline
            .is_some_and(|deadline| Instant::now() >= deadline);
        if cells >= limits.cells || expired {
            for slot in &mut slots[..count] {
                heap.extend(slot.parent.take());
            }
            heap.extend(roots.drain(..));
            break;
        }
        let task = |_: usize, part: Parts<'_, Slot<D>>| {
            for slot in part.data {
                let Slot {
                    parent,
                    parts,
                    workspace,
                } = slot;
                let Some(cell) = &*parent else { continue };
                if initial {
                    parts.push(workspace.evaluate(&problem, cell, cut));
                } else {
                    parts.extend(workspace.split(&problem, cell, cut));
                }
            }
        };
        for_each(Parts::new(&mut slots[..count], 1), count > 1, &task);
        for slot in &mut slots[..count] {
            slot.parent = None;
            for part in slot.parts.drain(..) {
                cells += 1;
                if let Some((value, b)) = part.candidate
                    && value > best.value
                {
                    best.update(map, &b);
                    let mut b = b;
                    ascent.climb(&mut b, |b| best.update(map, b));
                }
                match part.cell {
                    Some(cell) => heap.push(cell),
                    None => discarded = discarded.max(part.upper),
                }
            }
        }
    }
    let top = heap.peek().map_or(0.0, |cell| cell.upper);
    let finished = heap.is_empty();
    BoundedMaximum {
        upper: discarded.max(top).max(best.value),
        error: 0.0,
        maximizer: best.maximizer.to_vec(),
        cells,
        finished,
    }
}

/// The orthants, for both signs.
fn roots<const D: usize>(problem: &Problem<'_, D>) -> Vec<Box<Cell<D>>> {
    let mut roots = Vec::new();
    // For several outputs |g| itself is bounded.
    let signs: &[f64] = if problem.k == 1 { &[1.0, -1.0] } else { &[1.0] };
    for &sign in signs {
        for orthant in 0..1_usize << D {
            let mut v = [[0.0; D]; D];
            for i in 0..D {
                v[i][i] = if orthant >> i & 1 == 0 { 1.0 } else { -1.0 };
            }
            let a = problem.linear.iter().map(|a| a.scaled(sign)).collect();
            roots.push(Box::new(Cell {
                v,
                a,
                crossing: (0..problem.len() as u32).collect(),
                sign,
                y: std::array::from_fn(|i| v[i][i]),
                upper: problem.map.size,
                estimate: problem.map.size,
                cover: 0.0,
                tolerated: 0.0,
                depth: 0,
                split: Split { p: 0, q: 1, s: 0.5 },
            }));
        }
    }
    roots
}
