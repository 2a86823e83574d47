//! The plan `pi_ij > 0` in integer units of mass, by columns.

/// The plan as `(row, column, mass)`.
pub(super) type Entries = Vec<(usize, usize, i64)>;

const NONE: u32 = u32::MAX;

/// Linked lists, one a column, in one pool.
#[derive(Debug)]
pub(super) struct Plan {
    head: Vec<u32>,
    entries: Vec<Entry>,
    unused: Vec<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    row: u32,
    next: u32,
    mass: i64,
}

impl Plan {
    /// The plan that moves nothing.
    pub(super) fn new(columns: usize) -> Self {
        Self {
            head: vec![NONE; columns],
            entries: Vec::with_capacity(columns),
            unused: Vec::new(),
        }
    }

    /// The rows that send mass to column `j`, with that mass.
    pub(super) fn column(&self, j: usize) -> impl Iterator<Item = (u32, i64)> + '_ {
        let mut at = self.head[j];
        std::iter::from_fn(move || {
            let entry = self.entries.get(at as usize)?;
            at = entry.next;
            Some((entry.row, entry.mass))
        })
    }

    /// All of it, as `(i, j, pi_ij)`.
    pub(super) fn entries(&self) -> Entries {
        let columns = 0..self.head.len();
        columns
            .flat_map(|j| self.column(j).map(move |(i, mass)| (i as usize, j, mass)))
            .collect()
    }

    /// `pi_ij`.
    pub(super) fn mass(&self, i: u32, j: usize) -> i64 {
        self.column(j)
            .find(|entry| entry.0 == i)
            .map_or(0, |entry| entry.1)
    }

    /// `pi_ij += mass`, of either sign.
    pub(super) fn add(&mut self, i: u32, j: usize, mass: i64) {
        let (mut before, mut at) = (NONE, self.head[j]);
        while at != NONE && self.entries[at as usize].row != i {
            (before, at) = (at, self.entries[at as usize].next);
        }
        if at == NONE {
            let entry = Entry {
                row: i,
                next: self.head[j],
                mass,
            };
            self.head[j] = self.insert(entry);
            return;
        }
        let entry = &mut self.entries[at as usize];
        entry.mass += mass;
        if entry.mass == 0 {
            let next = entry.next;
            self.unused.push(at);
            match before {
                NONE => self.head[j] = next,
                _ => self.entries[before as usize].next = next,
            }
        }
    }

    fn insert(&mut self, entry: Entry) -> u32 {
        if let Some(slot) = self.unused.pop() {
            self.entries[slot as usize] = entry;
            return slot;
        }
        self.entries.push(entry);
        (self.entries.len() - 1) as u32
    }
}
