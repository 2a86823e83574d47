//! Level lines and regions of functions on a grid, by marching squares.
//!
//! Source: W. E. Lorensen and H. E. Cline, Marching cubes, 1987, in two dimensions, with linear
//! interpolation along the edges of a cell. The diagonal of a saddle is decided by the mean of its
//! four corners.

use std::collections::BTreeMap;

use super::panel::Point;

/// Values at the nodes of a rectangular grid, one row after the other.
#[derive(Debug, Clone)]
pub(super) struct Grid {
    /// Coordinates of the nodes, increasing.
    pub(super) xs: Vec<f64>,
    pub(super) ys: Vec<f64>,
    pub(super) values: Vec<f64>,
}

/// An edge of the grid: the index of its lower or left node, and whether it is vertical.
type Edge = (usize, bool);

impl Grid {
    fn value(&self, i: usize, j: usize) -> f64 {
        self.values[j * self.xs.len() + i]
    }

    /// The lines where the function has the value `level`.
    pub(super) fn level_lines(&self, level: f64) -> Vec<Vec<Point>> {
        let mut segments = Vec::new();
        for j in 0..self.ys.len() - 1 {
            for i in 0..self.xs.len() - 1 {
                self.cell(i, j, level, &mut segments);
            }
        }
        let lines = chains(&segments).into_iter();
        lines
            .map(|line| {
                line.into_iter()
                    .map(|edge| self.crossing(edge, level))
                    .collect()
            })
            .collect()
    }

    /// The outlines of the region where the function is above `level`, closed.
    pub(super) fn region(&self, level: f64) -> Vec<Vec<Point>> {
        self.enclosed(level).level_lines(level)
    }

    /// The grid with a border of values below the level, at the same positions as its own border.
    fn enclosed(&self, level: f64) -> Self {
        let repeated = |xs: &[f64]| -> Vec<f64> {
            let ends = (xs.first().copied(), xs.last().copied());
            ends.0
                .into_iter()
                .chain(xs.iter().copied())
                .chain(ends.1)
                .collect()
        };
        let (xs, ys) = (repeated(&self.xs), repeated(&self.ys));
        let mut values = Vec::with_capacity(xs.len() * ys.len());
        for j in 0..ys.len() {
            for i in 0..xs.len() {
                let is_border = i == 0 || j == 0 || i == xs.len() - 1 || j == ys.len() - 1;
                values.push(if is_border {
                    level - 1.0
                } else {
                    self.value(i - 1, j - 1)
                });
            }
        }
        Self { xs, ys, values }
    }

    /// The segments of a cell, as pairs of edges.
    fn cell(&self, i: usize, j: usize, level: f64, segments: &mut Vec<[Edge; 2]>) {
        let corners =
            [(i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1)].map(|(i, j)| self.value(i, j));
        let node = |i: usize, j: usize| j * self.xs.len() + i;
        let edges = [
            (node(i, j), false),
            (node(i + 1, j), true),
            (node(i, j + 1), false),
            (node(i, j), true),
        ];
        let above = corners.map(|value| value > level);
        let crossed: Vec<Edge> = (0..4)
            .filter(|&k| above[k] != above[(k + 1) % 4])
            .map(|k| edges[k])
            .collect();
        match crossed[..] {
            [a, b] => segments.push([a, b]),
            [a, b, c, d] => {
                // Edges in the order bottom, right, top, left.
                let middle = corners.iter().map(|value| value / 4.0).sum::<f64>() > level;
                if middle == above[0] {
                    segments.extend([[a, b], [c, d]]);
                } else {
                    segments.extend([[d, a], [b, c]]);
                }
            }
            _ => {}
        }
    }

    /// The point of an edge where the interpolated function has the value `level`.
    fn crossing(&self, (node, vertical): Edge, level: f64) -> Point {
        let width = self.xs.len();
        let (i, j) = (node % width, node / width);
        let (next_i, next_j) = if vertical { (i, j + 1) } else { (i + 1, j) };
        let [from, to] =
            [self.value(i, j), self.value(next_i, next_j)].map(|v| v / 2.0 - level / 2.0);
        let t = if from == to {
            0.5
        } else {
            (from / (from - to)).clamp(0.0, 1.0)
        };
        let between = |x: f64, y: f64| x * (1.0 - t) + y * t;
        [
            between(self.xs[i], self.xs[next_i]),
            between(self.ys[j], self.ys[next_j]),
        ]
    }
}

/// Joins segments that share an edge to lines; closed lines end where they start.
fn chains(segments: &[[Edge; 2]]) -> Vec<Vec<Edge>> {
    let mut at: BTreeMap<Edge, Vec<usize>> = BTreeMap::new();
    for (index, segment) in segments.iter().enumerate() {
        segment
            .iter()
            .for_each(|&edge| at.entry(edge).or_default().push(index));
    }
    let mut used = vec![false; segments.len()];
    let mut lines = Vec::new();
    // Open lines first, from an end that only one segment has.
    let ends = at
        .iter()
        .filter(|(_, list)| list.len() == 1)
        .map(|(&edge, _)| edge);
    let starts: Vec<Edge> = ends.chain(at.keys().copied()).collect();
    for start in starts {
        let mut line = vec![start];
        let mut edge = start;
        while let Some(&index) = at[&edge].iter().find(|&&index| !used[index]) {
            used[index] = true;
            let [a, b] = segments[index];
            edge = if a == edge { b } else { a };
            line.push(edge);
        }
        if line.len() > 1 {
            lines.push(line);
        }
    }
    lines
}
