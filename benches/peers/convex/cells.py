"""Activation patterns of n samples in R^2 or R^3: all cells of the arrangement of the hyperplanes x_j . b = 0.

The patterns are exact: the signs that enumerate them are checked against the rounding errors of their
inner products, and the number of cells against its closed form for samples in general position, 2 n for
d = 2 and n (n - 1) + 2 for d = 3. A cell is a polyhedral cone: it has extreme rays and facets.
"""

import numpy as np

# A sign is certain if the inner product exceeds this multiple of |x| |b|.
MARGIN = 1e-12


class Cells:
    """`signs`: C x n, True where x_j . b > 0. `facets`: pairs (cell, sample). `rays`: pairs (cell, ray), and the
    unit vectors `directions` of the rays. `edges`: triples (cell, neighbour, sample) of cells that differ in one sign."""

    def __init__(self, signs, facets, rays, directions, edges):
        self.signs, self.facets, self.rays, self.directions, self.edges = signs, facets, rays, directions, edges

    def __len__(self):
        return len(self.signs)

    def interior(self):
        """A vector inside each cell: the sum of its rays."""
        inside = np.zeros((len(self), self.directions.shape[1]))
        np.add.at(inside, self.rays[:, 0], self.directions[self.rays[:, 1]])
        return inside


def plane(x):
    """The 2 n arcs of the circle, in the order of their angles. Ray k is the left end of arc k."""
    n = len(x)
    normal = np.stack([-x[:, 1], x[:, 0]], axis=1) / np.linalg.norm(x, axis=1)[:, None]
    directions = np.concatenate([normal, -normal])
    sample = np.concatenate([np.arange(n), np.arange(n)])
    angle = np.arctan2(directions[:, 1], directions[:, 0])
    order = np.argsort(angle)
    directions, sample, angle = directions[order], sample[order], angle[order]
    middle = directions + np.roll(directions, -1, axis=0)
    products = middle @ x.T
    scale = np.linalg.norm(middle, axis=1)[:, None] * np.linalg.norm(x, axis=1)[None, :]
    if np.abs(products).min() <= MARGIN * scale.max():
        raise ValueError("two samples are parallel up to rounding")
    k, after = np.arange(2 * n), np.roll(np.arange(2 * n), -1)
    facets = np.concatenate([np.stack([k, sample], axis=1), np.stack([k, sample[after]], axis=1)])
    rays = np.concatenate([np.stack([k, k], axis=1), np.stack([k, after], axis=1)])
    edges = np.stack([k, after, sample[after]], axis=1)
    return Cells(products > 0, facets, rays, directions, edges)


def space(x):
    """The cells of the sphere. A vertex is +-(x_i x x_j), and belongs to four cells: those of the four signs of i, j.

    Cells are identified by the sum of random 64-bit integers of their positive samples; their number is checked."""
    n = len(x)
    i, j = np.triu_indices(n, 1)
    p = np.cross(x[i], x[j])
    p /= np.linalg.norm(p, axis=1)[:, None]
    numbers = np.random.default_rng(0).integers(0, 2**64, size=n, dtype=np.uint64)
    directions = np.concatenate([p, -p])
    i, j = np.concatenate([i, i]), np.concatenate([j, j])
    keys = np.empty((len(directions), 4), dtype=np.uint64)
    block = max(1, 20_000_000 // n)
    for start in range(0, len(directions), block):
        part = slice(start, start + block)
        products = directions[part] @ x.T
        row = np.arange(len(products))
        products[row, i[part]] = np.inf  # neither is positive below
        products[row, j[part]] = np.inf
        if np.abs(products).min() <= MARGIN * np.linalg.norm(x, axis=1).max():
            raise ValueError("three samples are coplanar up to rounding")
        products[row, i[part]] = products[row, j[part]] = -1.0
        base = (products > 0) @ numbers
        keys[part] = np.stack([base, base + numbers[i[part]], base + numbers[j[part]],
                               base + numbers[i[part]] + numbers[j[part]]], axis=1)
    unique, first, inverse = np.unique(keys.reshape(-1), return_index=True, return_inverse=True)
    count = len(unique)
    if count != n * (n - 1) + 2:
        raise ValueError(f"{count} cells in place of {n * (n - 1) + 2}")
    cell = inverse.reshape(-1, 4)
    vertex = np.repeat(np.arange(len(directions)), 4)
    rays = np.stack([cell.reshape(-1), vertex], axis=1)
    facets = np.unique(np.concatenate([rays * [1, 0] + np.stack([0 * vertex, np.repeat(i, 4)], axis=1),
                                       rays * [1, 0] + np.stack([0 * vertex, np.repeat(j, 4)], axis=1)]), axis=0)
    # Cells 0, 1 of a vertex differ in sample i, and so do 2, 3; cells 0, 2 and 1, 3 differ in sample j.
    pairs = [(cell[:, a], cell[:, b], s) for a, b, s in [(0, 1, i), (2, 3, i), (0, 2, j), (1, 3, j)]]
    edges = np.unique(np.concatenate([np.stack(pair, axis=1) for pair in pairs]), axis=0)
    signs = np.empty((count, n), dtype=bool)
    for start in range(0, count, block):
        part = slice(start, start + block)
        at = first[part]
        v, corner = at // 4, at % 4
        row = np.arange(len(at))
        positive = directions[v] @ x.T > 0
        positive[row, i[v]] = corner % 2 == 1
        positive[row, j[v]] = corner >= 2
        signs[part] = positive
    return Cells(signs, facets, rays, directions, edges)


def enumerate_cells(x):
    """All cells of the samples in the rows of x."""
    return plane(x) if x.shape[1] == 2 else space(x)
