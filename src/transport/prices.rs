//! Column prices `v_j` and, for each row, the columns of least reduced cost `c_ij - v_j`.
//!
//! Prices only fall. So a bound on the reduced costs of the columns that a list leaves out holds for ever, and a list
//! is made again only when its best arc is no longer below that bound. Nothing else ever looks at all columns.

use super::cost::{Cost, LANES, Sink, padded};

/// An arc of a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arc {
    /// `c_ij`.
    pub(super) cost: f64,
    /// `c_ij - v_j` when the list was made: a lower bound of that ever after.
    pub(super) bound: f64,
    /// The column j.
    pub(super) column: u32,
}

/// The cheapest arcs of one row, by rising `bound`.
#[derive(Debug, Clone, Default)]
pub(super) struct Candidates {
    pub(super) arcs: Vec<Arc>,
    /// No arc that is left out has a reduced cost below it.
    pub(super) rest: f64,
    /// Arcs to keep.
    pub(super) size: usize,
    /// The version of the prices when the list was made.
    pub(super) version: u32,
}

/// The best arc of a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Best {
    pub(super) arc: Arc,
    /// Its reduced cost, the least of the row: `u_i = min_j c_ij - v_j`.
    pub(super) value: f64,
    /// A lower bound of the second least, not below `value`.
    pub(super) second: f64,
}

#[derive(Debug)]
pub(super) struct Prices<'a> {
    pub(super) cost: &'a Cost<'a>,
    pub(super) v: Vec<f64>,
    pub(super) lists: Vec<Candidates>,
    /// Counts the changes of prices that the lists must know of.
    pub(super) version: u32,
    /// The usual size of a list.
    pub(super) size: usize,
}

impl<'a> Prices<'a> {
    /// Lists of `size` arcs for every row at prices `v`.
    pub(super) fn new(cost: &'a Cost<'a>, v: Vec<f64>, size: usize) -> Self {
        let size = size.min(cost.columns());
        let lists = vec![
            Candidates {
                size,
                ..Candidates::default()
            };
            cost.rows()
        ];
        let mut prices = Self {
            cost,
            v: padded(v),
            lists,
            version: 0,
            size,
        };
        let rows: Vec<u32> = (0..cost.rows() as u32).collect();
        prices.refresh(&rows);
        prices
    }

    /// Lists of the arcs that are better than arc `(i, columns[i])` by less than `margin`, or better, at most `size` of them.
    pub(super) fn near(
        cost: &'a Cost<'a>,
        v: Vec<f64>,
        columns: &[usize],
        margin: f64,
        size: usize,
    ) -> Self {
        let rounding = 64.0 * f64::EPSILON;
        let list = |(i, &j): (usize, &usize)| {
            let c = cost.at(i, j);
            let rest = c - v[j] + margin + rounding * (c + v[j].abs());
            Candidates {
                rest,
                size,
                ..Candidates::default()
            }
        };
        let lists = columns.iter().enumerate().map(list).collect();
        let mut prices = Self {
            cost,
            v: padded(v),
            lists,
            version: 0,
            size: size.min(cost.columns()),
        };
        let rows: Vec<u32> = (0..cost.rows() as u32).collect();
        prices
            .cost
            .visit(&rows, &prices.v, &mut Select(&mut prices.lists));
        prices
            .lists
            .iter_mut()
            .for_each(|list| list.arcs.sort_unstable_by(by_bound));
        prices
    }

    /// These lists, at prices `v`.
    pub(super) fn with_lists(
        cost: &'a Cost<'a>,
        v: Vec<f64>,
        mut lists: Vec<Candidates>,
        size: usize,
    ) -> Self {
        lists
            .iter_mut()
            .for_each(|list| list.arcs.sort_unstable_by(by_bound));
        Self {
            cost,
            v: padded(v),
            lists,
            version: 0,
            size: size.min(cost.columns()),
        }
    }

    /// Makes the lists of `rows` again at today's prices.
    pub(super) fn refresh(&mut self, rows: &[u32]) {
        for &i in rows {
            let list = &mut self.lists[i as usize];
            // the largest of `size` reduced costs bounds the arcs to look for
            list.rest = if list.arcs.len() >= list.size {
                let reduced = list
                    .arcs
                    .iter()
                    .map(|arc| arc.cost - self.v[arc.column as usize]);
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
                list.cut();
            } else if list.arcs.len() == self.cost.columns() {
                list.rest = f64::INFINITY;
            }
            list.arcs.sort_unstable_by(by_bound);
            list.arcs.shrink_to(2 * list.size);
        }
    }

    /// Makes the list of row `i` again: with its usual size if prices have changed since, else with twice the arcs.
    pub(super) fn extend(&mut self, i: usize) {
        let list = &mut self.lists[i];
        list.size = if list.version == self.version {
            (2 * list.size).min(self.cost.columns())
        } else {
            self.size
        };
        self.refresh(&[i as u32]);
    }

    /// The best arc of row `i`, or `None` when its list is too old to tell.
    #[inline]
    pub(super) fn best(&self, i: usize) -> Option<Best> {
        let list = &self.lists[i];
        let (mut at, mut value, mut second) = (0, f64::INFINITY, f64::INFINITY);
        for (k, arc) in list.arcs.iter().enumerate() {
            if arc.bound >= second {
                break;
            }
            let reduced = arc.cost - self.v[arc.column as usize];
            if reduced < value {
                (at, second, value) = (k, value, reduced);
            } else if reduced < second {
                second = reduced;
            }
        }
        (value <= list.rest).then(|| Best {
            arc: list.arcs[at],
            value,
            second: second.min(list.rest),
        })
    }

    /// The best arc of row `i`.
    pub(super) fn best_now(&mut self, i: usize) -> Best {
        loop {
            if let Some(best) = self.best(i) {
                return best;
            }
            self.extend(i);
        }
    }

    /// The best column of every row, with its cost.
    pub(super) fn best_columns(&mut self) -> Vec<(usize, f64)> {
        let best = (0..self.cost.rows()).map(|i| self.best_now(i).arc);
        best.map(|arc| (arc.column as usize, arc.cost)).collect()
    }

    /// Whether the list of row `i` still ranks at least a quarter of its arcs.
    pub(super) fn ranks_enough(&self, i: usize) -> bool {
        let list = &self.lists[i];
        let known = list
            .arcs
            .iter()
            .filter(|arc| arc.cost - self.v[arc.column as usize] < list.rest)
            .count();
        4 * known >= list.size
    }
}

fn by_bound(a: &Arc, b: &Arc) -> std::cmp::Ordering {
    a.bound.total_cmp(&b.bound).then(a.column.cmp(&b.column))
}

impl Candidates {
    /// Adds the arc to column `j` of cost `c` and price `v`.
    pub(super) fn insert(&mut self, j: usize, c: f64, v: f64) {
        self.arcs.push(Arc {
            cost: c,
            bound: c - v,
            column: j as u32,
        });
    }

    /// Keeps the `size` least arcs.
    fn cut(&mut self) {
        self.rest = self
            .arcs
            .select_nth_unstable_by(self.size, by_bound)
            .1
            .bound;
        self.arcs.truncate(self.size);
    }

    #[cold]
    fn offer(&mut self, j0: usize, c: &[f64; LANES], b: &[f64; LANES]) {
        for l in 0..LANES {
            if b[l] < self.rest {
                self.arcs.push(Arc {
                    cost: c[l],
                    bound: b[l],
                    column: (j0 + l) as u32,
                });
            }
        }
        if self.arcs.len() >= 2 * self.size + LANES {
            self.cut();
        }
    }
}

struct Select<'a>(&'a mut [Candidates]);

impl Sink for Select<'_> {
    #[inline(always)]
    fn tile(&mut self, i: usize, j0: usize, c: &[f64; LANES], b: &[f64; LANES]) {
        let list = &mut self.0[i];
        let mut below = false;
        for &b in b {
            below |= b < list.rest;
        }
        if below {
            list.offer(j0, c, b);
        }
    }
}
