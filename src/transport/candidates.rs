//! Candidate arcs: for each row the columns of least reduced cost, and a bound on all the others.

use super::cost::{Cost, Sink};

/// An arc of a row to column `j`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arc {
    /// `c_ij`.
    pub(super) cost: f64,
    /// `c_ij - v_j` when the list was made: prices `v_j` only fall, so it is a lower bound of that later.
    pub(super) bound: f64,
    /// The column j.
    pub(super) column: u32,
}

/// The cheapest arcs of one row in the order of `bound`.
#[derive(Debug, Clone, Default)]
pub(super) struct Candidates {
    pub(super) arcs: Vec<Arc>,
    /// No arc that is missing has `c_ij - v_j` below it.
    pub(super) rest: f64,
    /// Arcs to keep.
    pub(super) size: usize,
    /// The number of price changes when the list was made.
    pub(super) stamp: u32,
}

/// Remakes the lists of `rows`, each with its own `size`, at prices `v`.
pub(super) fn refresh(cost: &Cost, rows: &[u32], v: &[f64], lists: &mut [Candidates], stamp: u32) {
    for &i in rows {
        let list = &mut lists[i as usize];
        list.rest = if list.arcs.len() >= list.size && list.arcs.len() < v.len() {
            list.arcs.iter().map(|a| a.cost - v[a.column as usize]).fold(f64::NEG_INFINITY, f64::max)
        } else { f64::INFINITY };
        list.rest = list.rest.next_up();
        list.arcs.clear();
        list.stamp = stamp;
    }
    cost.visit(rows, v, &mut Select { lists });
    for &i in rows {
        let list = &mut lists[i as usize];
        if list.arcs.len() > list.size {
            list.cut();
        }
        list.arcs
            .sort_unstable_by(|a, b| a.bound.total_cmp(&b.bound).then(a.column.cmp(&b.column)));
        list.arcs.shrink_to(2 * list.size);
    }
}

impl Candidates {
    /// Keeps the `size` least arcs.
    #[cold]
    fn cut(&mut self) {
        let (_, least, _) = self
            .arcs
            .select_nth_unstable_by(self.size, |a, b| {
                a.bound.total_cmp(&b.bound).then(a.column.cmp(&b.column))
            });
        self.rest = least.bound;
        self.arcs.truncate(self.size);
    }
}

struct Select<'a> {
    lists: &'a mut [Candidates],
}

impl Sink for Select<'_> {
    #[inline(always)]
    fn tile(&mut self, i: usize, j0: usize, c: &[f64; 8], b: &[f64; 8]) {
        let list = &mut self.lists[i];
        let mut below = false;
        for &b in b {
            below |= b < list.rest;
        }
        if below {
            list.offer(j0, c, b);
        }
    }
}

impl Candidates {
    fn offer(&mut self, j0: usize, c: &[f64; 8], b: &[f64; 8]) {
        for l in 0..8 {
            if b[l] < self.rest {
                self.arcs.push(Arc {
                    cost: c[l],
                    bound: b[l],
                    column: (j0 + l) as u32,
                });
            }
        }
        if self.arcs.len() >= 2 * self.size + 8 {
            self.cut();
        }
    }
}
