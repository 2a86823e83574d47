"""First-order methods on the convex program: FISTA on the cones of the plane, and the package pyscnn.

`fista`: prox steps of (1/2n) |A u - y|^2 + 2 lambda sum |v_c| with every v_c in its cone, d = 2. The proximal map is
the projection onto the cone followed by the shrinkage of its norm. Momentum is restarted when it points uphill
(B. O'Donoghue and E. Candes, 2015). A and its transpose are prefix sums over the arcs: O(n) an iteration.

`pyscnn`: A. Mishkin, A. Sahiner and M. Pilanci, Fast convex optimization for two-layer ReLU
networks, 2022, package pyscnn. `RFISTA` solves the gated relaxation: u_c is any vector, not a difference of vectors
in the cone. Its minimum is at most that of the rectifier network. `AL` solves the program with cones.
"""

import numpy as np

try:
    import torch
    from scnn.metrics import Metrics
    from scnn.models import ConvexGatedReLU, ConvexReLU
    from scnn.optimize import optimize_model
    from scnn.regularizers import NeuronGL1
    from scnn.solvers import AL, RFISTA

    torch.set_num_threads(1)
except ImportError:  # `fista` needs NumPy only
    optimize_model = None

# Iterations between evaluations of the duality gap.
EVERY = 100


def dual_value(residual, y, largest, lam):
    """max of -R*(c u) over |c| M <= 2 lambda, for u = (h - y)/n and M = `largest`."""
    n = len(y)
    u = residual / n
    bound = 2.0 * lam / largest if largest > 0 else np.inf
    c = np.clip(-(u @ y) / max(n * (u @ u), 1e-300), -bound, bound)
    return -0.5 * n * c * c * (u @ u) - c * (u @ y)


class Arcs:
    """A: vectors of the arcs of the circle to predictions, and its transpose, by prefix sums."""

    def __init__(self, x, cells):
        self.x, self.count = x, len(cells)
        signs = cells.signs.T  # n x arcs
        before = np.roll(signs, 1, axis=1)
        self.start, self.end = (signs & ~before).argmax(axis=1), (~signs & before).argmax(axis=1)
        self.wrapped = self.end < self.start
        self.first = signs[:, 0]
        self.left = cells.directions
        self.right = np.roll(cells.directions, -1, axis=0)
        turn = np.stack([-self.left[:, 1], self.left[:, 0]], axis=1)
        self.inner_left = turn  # v . turn >= 0: v lies counterclockwise of the left ray
        self.inner_right = np.stack([self.right[:, 1], -self.right[:, 0]], axis=1)

    def apply(self, u):
        prefix = np.concatenate([np.zeros((1, 2)), np.cumsum(u, axis=0)])
        total = prefix[self.end] - prefix[self.start]
        total[self.wrapped] += prefix[-1]
        return (self.x * total).sum(axis=1)

    def adjoint(self, r):
        moved = self.x * r[:, None]
        change = np.zeros((self.count, 2))
        np.add.at(change, self.start, moved)
        np.subtract.at(change, self.end, moved)
        change[0] = moved[self.first].sum(axis=0)
        return np.cumsum(change, axis=0)

    def project(self, v):
        """The projection of each row onto the cone of its arc."""
        inside = ((v * self.inner_left).sum(axis=1) >= 0) & ((v * self.inner_right).sum(axis=1) >= 0)
        a = np.maximum((v * self.left).sum(axis=1), 0.0)
        b = np.maximum((v * self.right).sum(axis=1), 0.0)
        edge = np.where((a > b)[:, None], a[:, None] * self.left, b[:, None] * self.right)
        return np.where(inside[:, None], v, edge)


def fista(x, y, lam, cells, relative_gap):
    """v, w with a duality gap of at most `relative_gap` F."""
    n, arcs = len(y), Arcs(x, cells)
    z = np.random.default_rng(0).standard_normal((len(cells), 2))
    for _ in range(100):  # the largest eigenvalue of A A'
        z /= np.linalg.norm(z)
        z = arcs.adjoint(arcs.apply(z))
    step = n / (2.0 * np.linalg.norm(z) * 1.01)
    v, w = np.zeros((len(cells), 2)), np.zeros((len(cells), 2))
    ahead_v, ahead_w, t, iterations = v, w, 1.0, 0

    def prox(u):
        u = arcs.project(u)
        norm = np.linalg.norm(u, axis=1)
        return u * np.maximum(1.0 - 2.0 * lam * step / np.maximum(norm, 1e-300), 0.0)[:, None]

    while True:
        if iterations % EVERY == 0:
            residual = arcs.apply(v - w) - y
            value = residual @ residual / (2 * n) + 2 * lam * (np.linalg.norm(v, axis=1).sum() + np.linalg.norm(w, axis=1).sum())
            g = arcs.adjoint(residual / n)
            largest = max(np.linalg.norm(arcs.project(g), axis=1).max(), np.linalg.norm(arcs.project(-g), axis=1).max())
            dual = dual_value(residual, y, largest, lam)
            if value - dual <= relative_gap * value:
                break
        g = arcs.adjoint((arcs.apply(ahead_v - ahead_w) - y) / n)
        next_v, next_w = prox(ahead_v - step * g), prox(ahead_w + step * g)
        if ((ahead_v - next_v) * (next_v - v)).sum() + ((ahead_w - next_w) * (next_w - w)).sum() > 0:
            t = 1.0
        t_next = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * t * t))
        momentum = (t - 1.0) / t_next
        ahead_v, ahead_w = next_v + momentum * (next_v - v), next_w + momentum * (next_w - w)
        v, w, t = next_v, next_w, t_next
        iterations += 1
    return {"v": v, "w": w, "status": "Solved", "iterations": iterations, "primal": value, "dual": dual}


def gated_values(x, y, lam, signs, u):
    """The objective of the gated relaxation and its dual bound."""
    n = len(y)
    h = ((u @ x.T) * signs).sum(axis=0)
    largest = np.linalg.norm(signs @ (x * ((h - y) / n)[:, None]), axis=1).max()
    value = ((h - y) ** 2).sum() / (2 * n) + 2 * lam * np.linalg.norm(u, axis=1).sum()
    return value, dual_value(h - y, y, largest, lam)


def pyscnn(x, y, lam, cells, formulation, tolerance, iterations):
    """One run of pyscnn with the gates of all cells, in f64, without rescaling of the data."""
    gates = cells.interior().T
    if formulation == "gated":
        model = ConvexGatedReLU(gates)
        solver = RFISTA(model, max_iters=iterations, tol=tolerance)
    else:
        model = ConvexReLU(gates)
        solver = AL(model, max_primal_iters=iterations, max_dual_iters=iterations, tol=tolerance, constraint_tol=tolerance)
    model, _ = optimize_model(model, solver, Metrics(), x, y[:, None], regularizer=NeuronGL1(2.0 * lam),
                              return_convex=True, unitize_data=False, dtype="float64")
    parameters = [np.asarray(p, dtype=float).reshape(-1, x.shape[1]) for p in model.parameters]
    if formulation == "gated":
        primal, dual = gated_values(x, y, lam, (x @ model.G > 0).T.astype(float), parameters[0])
        return {"status": "Solved", "primal": primal, "dual": dual}
    return {"v": parameters[0], "w": parameters[1], "status": "Solved"}
