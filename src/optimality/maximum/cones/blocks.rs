//! Samples in blocks of lanes.

/// Samples in a block: the doubles in a vector of AVX-512.
pub(super) const LANES: usize = 8;

/// One number for each sample in a block.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(align(64))]
pub(super) struct Lanes(pub(super) [f64; LANES]);

impl Lanes {
    pub(super) const ZERO: Self = Self([0.0; LANES]);

    #[inline(always)]
    pub(super) fn splat(x: f64) -> Self {
        Self([x; LANES])
    }

    #[inline(always)]
    pub(super) fn map2(self, other: Self, f: impl Fn(f64, f64) -> f64) -> Self {
        Self(std::array::from_fn(|l| f(self.0[l], other.0[l])))
    }

    /// `self + a b`
    #[inline(always)]
    pub(super) fn add_product<const FUSED: bool>(self, a: Self, b: Self) -> Self {
        Self(std::array::from_fn(|l| {
            if FUSED {
                a.0[l].mul_add(b.0[l], self.0[l])
            } else {
                self.0[l] + a.0[l] * b.0[l]
            }
        }))
    }

    #[inline(always)]
    pub(super) fn sum(self) -> f64 {
        let [a, b, c, d, e, f, g, h] = self.0;
        ((a + e) + (c + g)) + ((b + f) + (d + h))
    }
}

/// The coordinates of the samples in a block.
pub(super) type Block<const D: usize> = [Lanes; D];

/// Samples or their products with the vertices of a cone, in blocks; zeros fill the last one.
#[derive(Debug, Clone)]
pub(super) struct SampleRows<const D: usize> {
    pub(super) blocks: Vec<Block<D>>,
    pub(super) len: usize,
}

impl<const D: usize> Default for SampleRows<D> {
    fn default() -> Self {
        Self {
            blocks: Vec::new(),
            len: 0,
        }
    }
}

impl<const D: usize> SampleRows<D> {
    pub(super) fn clear(&mut self) {
        self.blocks.clear();
        self.len = 0;
    }

    #[inline]
    pub(super) fn push(&mut self, row: [f64; D]) {
        let lane = self.len % LANES;
        if lane == 0 {
            self.blocks.push([Lanes::ZERO; D]);
        }
        if let Some(block) = self.blocks.last_mut() {
            for r in 0..D {
                block[r].0[lane] = row[r];
            }
        }
        self.len += 1;
    }

    #[inline]
    pub(super) fn row(&self, j: usize) -> [f64; D] {
        let block = &self.blocks[j / LANES];
        std::array::from_fn(|r| block[r].0[j % LANES])
    }
}

/// One number for each sample.
#[derive(Debug, Clone, Default)]
pub(super) struct SampleColumn {
    pub(super) blocks: Vec<Lanes>,
    pub(super) len: usize,
}

impl SampleColumn {
    pub(super) fn clear(&mut self) {
        self.blocks.clear();
        self.len = 0;
    }

    #[inline]
    pub(super) fn push(&mut self, x: f64) {
        let lane = self.len % LANES;
        if lane == 0 {
            self.blocks.push(Lanes::ZERO);
        }
        if let Some(block) = self.blocks.last_mut() {
            block.0[lane] = x;
        }
        self.len += 1;
    }

    #[inline]
    pub(super) fn get(&self, j: usize) -> f64 {
        self.blocks[j / LANES].0[j % LANES]
    }

    #[inline]
    pub(super) fn set(&mut self, j: usize, x: f64) {
        self.blocks[j / LANES].0[j % LANES] = x;
    }

    pub(super) fn resize(&mut self, len: usize) {
        self.blocks.resize(len.div_ceil(LANES), Lanes::ZERO);
        self.len = len;
    }
}
