//! Sparse transport plans with integer masses, and the solution of a transportation problem.

use super::masses::Mass;

/// The positive entries of a plan: `(i, j, pi_ij)`, masses in units of the quantum of mass.
pub(super) type Entries = Vec<(usize, usize, Mass)>;

/// A plan with the dual potentials that certify it: `u_i + v_j <= c_ij` in spite of rounding, with
/// equality up to rounding where mass moves.
#[derive(Debug)]
pub(super) struct Solution {
    pub(super) plan: Entries,
    /// Potentials of the rows.
    pub(super) u: Vec<f64>,
    /// Potentials of the columns; entries beyond the last column are padding.
    pub(super) v: Vec<f64>,
}

/// The null index: end of a list.
const NONE: u32 = u32::MAX;

/// A plan under construction: one linked list of entries a column, all in one pool.
#[derive(Debug)]
pub(super) struct Plan {
    head: Vec<u32>,
    entries: Vec<Entry>,
    /// Free slots of `entries`.
    unused: Vec<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    row: u32,
    next: u32,
    mass: Mass,
}

impl Plan {
    /// The zero plan.
    pub(super) fn new(columns: usize) -> Self {
        Self {
            head: vec![NONE; columns],
            entries: Vec::with_capacity(columns),
            unused: Vec::new(),
        }
    }

    /// The rows that send mass to column `j`, with that mass.
    pub(super) fn column(&self, j: usize) -> impl Iterator<Item = (u32, Mass)> + '_ {
        let mut next = self.head[j];
        std::iter::from_fn(move || {
            let entry = self.entries.get(next as usize)?;
            next = entry.next;
            Some((entry.row, entry.mass))
        })
    }

    /// All positive entries, `(i, j, pi_ij)`, by columns.
    pub(super) fn entries(&self) -> Entries {
        let columns = 0..self.head.len();
        columns
            .flat_map(|j| self.column(j).map(move |(i, mass)| (i as usize, j, mass)))
            .collect()
    }

    /// The mass `pi_ij`.
    pub(super) fn mass(&self, i: u32, j: usize) -> Mass {
        self.column(j)
            .find(|entry| entry.0 == i)
            .map_or(0, |entry| entry.1)
    }

    /// Adds `mass`, of either sign, to `pi_ij`, and removes the entry if it becomes zero.
    pub(super) fn add(&mut self, i: u32, j: usize, mass: Mass) {
        let (mut previous, mut slot) = (NONE, self.head[j]);
        while slot != NONE && self.entries[slot as usize].row != i {
            (previous, slot) = (slot, self.entries[slot as usize].next);
        }
        if slot == NONE {
            let entry = Entry {
                row: i,
                next: self.head[j],
                mass,
            };
            self.head[j] = self.insert(entry);
            return;
        }
        let entry = &mut self.entries[slot as usize];
        entry.mass += mass;
        if entry.mass == 0 {
            let next = entry.next;
            self.unused.push(slot);
            match previous {
                NONE => self.head[j] = next,
                _ => self.entries[previous as usize].next = next,
            }
        }
    }

    /// Stores an entry in a free slot of the pool; returns the slot.
    fn insert(&mut self, entry: Entry) -> u32 {
        if let Some(slot) = self.unused.pop() {
            self.entries[slot as usize] = entry;
            return slot;
        }
        self.entries.push(entry);
        (self.entries.len() - 1) as u32
    }
}
