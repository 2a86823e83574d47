//! Column prices `v_j` and, for each row, a list of candidate arcs of least reduced cost
//! `c_ij - v_j`.
//!
//! Prices only decrease, so reduced costs only increase. A lower bound on the reduced costs of the
//! arcs that a list omits therefore remains valid. A list is rebuilt, in one pass over all columns,
//! only when its best arc exceeds that bound.

use super::cost::{Cost, LANES, Sink, padded};

/// Rounding error of a reduced cost relative to its terms, with a safety factor for sums over
/// coordinates.
pub(super) const ROUNDING: f64 = 64.0 * f64::EPSILON;

/// A candidate arc of a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arc {
    /// The cost `c_ij`.
    pub(super) cost: f64,
    /// The reduced cost `c_ij - v_j` when the list was built: a lower bound of the current one.
    pub(super) bound: f64,
    /// The column j.
    pub(super) column: u32,
}

/// The candidate arcs of one row, in ascending order of `bound`.
#[derive(Debug, Clone, Default)]
pub(super) struct CandidateList {
    pub(super) arcs: Vec<Arc>,
    /// A lower bound on the reduced costs of all omitted arcs.
    pub(super) omitted_bound: f64,
    /// The number of arcs to keep.
    pub(super) size: usize,
    /// The version of the prices when the list was built.
    pub(super) version: u32,
}

/// The best arc of a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct BestColumn {
    pub(super) arc: Arc,
    /// The least reduced cost of the row, `u_i = min_j c_ij - v_j`.
    pub(super) value: f64,
    /// A lower bound of the second least reduced cost, at least `value`.
    pub(super) second: f64,
}

/// The prices of the columns with the candidate lists of the rows.
#[derive(Debug)]
pub(super) struct Prices<'a> {
    pub(super) cost: &'a Cost<'a>,
    /// The prices `v_j`, [`padded`] to whole panels.
    pub(super) v: Vec<f64>,
    pub(super) lists: Vec<CandidateList>,
    /// A counter that algorithms increase when they have changed the prices; see
    /// [`extend`](Self::extend).
    pub(super) version: u32,
    /// The default size of a list.
    pub(super) size: usize,
}

impl<'a> Prices<'a> {
    /// Builds a list of `size` arcs for every row at the prices `v`.
    pub(super) fn new(cost: &'a Cost<'a>, v: Vec<f64>, size: usize) -> Self {
        let list = CandidateList {
            size: size.min(cost.columns()),
            ..CandidateList::default()
        };
        let mut prices = Self::with_lists(cost, v, vec![list; cost.rows()], size);
        let rows: Vec<u32> = (0..cost.rows() as u32).collect();
        prices.rebuild(&rows);
        prices
    }

    /// Lists at most about `2 size` arcs `(i, j)` whose reduced cost exceeds that of
    /// `(i, columns[i])` by less than `margin`, at the prices `v`.
    pub(super) fn around_assignment(
        cost: &'a Cost<'a>,
        v: Vec<f64>,
        columns: &[usize],
        margin: f64,
        size: usize,
    ) -> Self {
        let list = |(i, &j): (usize, &usize)| {
            let c = cost.at(i, j);
            CandidateList::below(c - v[j] + margin + ROUNDING * (c + v[j].abs()), size)
        };
        let mut lists: Vec<_> = columns.iter().enumerate().map(list).collect();
        let rows: Vec<u32> = (0..cost.rows() as u32).collect();
        let v = padded(v);
        cost.visit(&rows, &v, &mut Select(&mut lists));
        Self::with_lists(cost, v, lists, size)
    }

    /// Prices `v` with the given lists, which are sorted here.
    pub(super) fn with_lists(
        cost: &'a Cost<'a>,
        v: Vec<f64>,
        mut lists: Vec<CandidateList>,
        size: usize,
    ) -> Self {
        for list in &mut lists {
            list.arcs.sort_unstable_by(by_bound);
        }
        Self {
            cost,
            v: padded(v),
            lists,
            version: 0,
            size: size.min(cost.columns()),
        }
    }

    /// Rebuilds the lists of `rows` at the current prices.
    pub(super) fn rebuild(&mut self, rows: &[u32]) {
        for &i in rows {
            let list = &mut self.lists[i as usize];
            // The largest of `size` current reduced costs bounds those of the `size` best arcs.
            list.omitted_bound = if list.arcs.len() >= list.size {
                let arcs = list.arcs.iter();
                let reduced = arcs.map(|arc| arc.cost - self.v[arc.column as usize]);
                reduced.fold(f64::NEG_INFINITY, f64::max).next_up()
            } else {
                f64::INFINITY
            };
            list.arcs.clear();
            list.version = self.version;
        }
        self.cost.visit(rows, &self.v, &mut Select(&mut self.lists));
        for &i in rows {
            let list = &mut self.lists[i as usize];
            if list.arcs.len() > list.size {
                list.truncate();
            } else if list.arcs.len() == self.cost.columns() {
                list.omitted_bound = f64::INFINITY;
            }
            list.arcs.sort_unstable_by(by_bound);
            list.arcs.shrink_to(2 * list.size);
        }
    }

    /// Rebuilds the list of row `i`: with the default size if prices have changed since it was
    /// built, and otherwise with twice its size.
    pub(super) fn extend(&mut self, i: usize) {
        let list = &mut self.lists[i];
        list.size = if list.version == self.version {
            (2 * list.size).min(self.cost.columns())
        } else {
            self.size
        };
        self.rebuild(&[i as u32]);
    }

    /// The best arc of row `i`, or `None` if an omitted arc may be better.
    #[inline]
    pub(super) fn best_of_list(&self, i: usize) -> Option<BestColumn> {
        let list = &self.lists[i];
        let (mut best, mut value, mut second) = (0, f64::INFINITY, f64::INFINITY);
        for (k, arc) in list.arcs.iter().enumerate() {
            if arc.bound >= second {
                break;
            }
            let reduced = arc.cost - self.v[arc.column as usize];
            if reduced < value {
                (best, second, value) = (k, value, reduced);
            } else if reduced < second {
                second = reduced;
            }
        }
        (value <= list.omitted_bound).then(|| BestColumn {
            arc: list.arcs[best],
            value,
            second: second.min(list.omitted_bound),
        })
    }

    /// The best arc of row `i`; extends its list as far as necessary.
    pub(super) fn best(&mut self, i: usize) -> BestColumn {
        loop {
            if let Some(best) = self.best_of_list(i) {
                return best;
            }
            self.extend(i);
        }
    }

    /// Whether at least a quarter of the list of row `i` is still better than all omitted arcs.
    pub(super) fn has_enough_candidates(&self, i: usize) -> bool {
        let list = &self.lists[i];
        let reduced = |arc: &&Arc| arc.cost - self.v[arc.column as usize];
        let better = |arc: &&Arc| reduced(arc) < list.omitted_bound;
        4 * list.arcs.iter().filter(better).count() >= list.size
    }
}

fn by_bound(a: &Arc, b: &Arc) -> std::cmp::Ordering {
    a.bound.total_cmp(&b.bound).then(a.column.cmp(&b.column))
}

impl CandidateList {
    /// An empty list of arcs with reduced costs below `bound`.
    pub(super) fn below(bound: f64, size: usize) -> Self {
        Self {
            omitted_bound: bound,
            size,
            ..Self::default()
        }
    }

    /// Adds the arc to column `j` of cost `c` and price `v`.
    pub(super) fn push(&mut self, j: usize, c: f64, v: f64) {
        self.arcs.push(Arc {
            cost: c,
            bound: c - v,
            column: j as u32,
        });
    }

    /// Keeps the `size` arcs of least reduced cost.
    fn truncate(&mut self) {
        let (_, first_omitted, _) = self.arcs.select_nth_unstable_by(self.size, by_bound);
        self.omitted_bound = first_omitted.bound;
        self.arcs.truncate(self.size);
    }

    /// Adds the arcs of a tile below the bound, and truncates the list when it has twice its size.
    #[cold]
    fn push_tile(&mut self, j0: usize, c: &[f64; LANES], b: &[f64; LANES]) {
        for l in 0..LANES {
            if b[l] < self.omitted_bound {
                self.arcs.push(Arc {
                    cost: c[l],
                    bound: b[l],
                    column: (j0 + l) as u32,
                });
            }
        }
        if self.arcs.len() >= 2 * self.size + LANES {
            self.truncate();
        }
    }
}

/// Collects the arcs of each row below its bound.
pub(super) struct Select<'a>(pub(super) &'a mut [CandidateList]);

impl Sink for Select<'_> {
    #[inline(always)]
    fn tile(&mut self, i: usize, j0: usize, c: &[f64; LANES], b: &[f64; LANES]) {
        let list = &mut self.0[i];
        let mut below = false;
        for &b in b {
            below |= b < list.omitted_bound;
        }
        if below {
            list.push_tile(j0, c, b);
        }
    }
}
