"""The convex program of a two-layer rectifier network over activation patterns, solved by Clarabel.

    min (1/2n) |sum_c D_c X (v_c - w_c) - y|^2 + 2 lambda sum_c (|v_c| + |w_c|),  v_c, w_c in the cone of cell c

(M. Pilanci and T. Ergen, 2020). D_c is diagonal with the activation pattern of c. Its minimum is that of
F(mu) = R(h_mu) + lambda int |w|^2 dmu over all measures: the neuron of v has |a| = |b| and a b = v.

Two equivalent forms of h = sum_c D_c X u_c, u_c = v_c - w_c:
    "dense"   n rows of about C d / 2 non-zeros, as written above;
    "flow"    f_e = sum of u_c below the edge e of a spanning tree of the cells, whose neighbours differ in one
              sample: u_c = f_c - sum over children f, and h_j is the sum of +-x_j . f_e over the edges that cross
              j, and of x_j . (sum of all u) if the root is active. O(C d) non-zeros.
"""

import clarabel
import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import breadth_first_order

from cells import Cells


def spanning_tree(count, edges, path):
    """Parent of each cell and the sample between them, from cell 0. `path`: the chain 0, 1, .. of the circle."""
    if path:
        parent, sample = np.arange(-1, count - 1), np.full(count, -1)
        forward = edges[edges[:, 1] == edges[:, 0] + 1]
        sample[forward[:, 1]] = forward[:, 2]
        return parent, sample
    a, b = edges[:, 0], edges[:, 1]
    graph = sparse.coo_array((np.ones(2 * len(a)), (np.r_[a, b], np.r_[b, a])), shape=(count, count)).tocsr()
    _, parent = breadth_first_order(graph, 0, directed=False, return_predecessors=True)
    lookup = sparse.coo_array((np.r_[edges[:, 2], edges[:, 2]] + 1.0, (np.r_[a, b], np.r_[b, a])), shape=(count, count)).tocsr()
    parent = np.where(parent < 0, -1, parent)
    sample = np.full(count, -1)
    child = np.flatnonzero(parent >= 0)
    sample[child] = np.asarray(lookup[child, parent[child]]).reshape(-1).astype(int) - 1
    return parent, sample


def prediction_rows(x, cells, form):
    """Blocks of the equations between (v, w), further free variables f, and h: returns (A_v, A_f, A_h), where the
    rows of `A_v u + A_f f + A_h h = 0` define h."""
    n, d = x.shape
    count = len(cells)
    if form == "dense":
        c, j = np.nonzero(cells.signs)
        rows, cols = np.repeat(j, d), (c[:, None] * d + np.arange(d)).reshape(-1)
        matrix = sparse.csc_array((x[j].reshape(-1), (rows, cols)), shape=(n, count * d))
        return matrix, sparse.csc_array((n, 0)), -sparse.eye_array(n, format="csc")
    parent, sample = spanning_tree(count, cells.edges, d == 2)
    child = np.flatnonzero(parent >= 0)
    eye = np.arange(d)
    spread = lambda k: (k[:, None] * d + eye).reshape(-1)
    # u_c - f_c + sum over children f = 0; f of the root is the sum of all u.
    size = count * d
    every = np.arange(size)
    balance_f = sparse.csc_array((np.r_[-np.ones(size), np.ones(len(child) * d)],
                                  (np.r_[every, spread(parent[child])], np.r_[every, spread(child)])), shape=(size, size))
    # h_j
    sign = np.where(cells.signs[child, sample[child]], 1.0, -1.0)
    active = np.flatnonzero(cells.signs[0])
    rows = np.r_[np.repeat(sample[child], d), np.repeat(active, d)]
    cols = np.r_[spread(child), np.tile(eye, len(active))]
    values = np.r_[(sign[:, None] * x[sample[child]]).reshape(-1), x[active].reshape(-1)]
    heights = sparse.csc_array((values, (rows, cols)), shape=(n, size))
    a_v = sparse.vstack([sparse.eye_array(size), sparse.csc_array((n, size))], format="csc")
    a_f = sparse.vstack([balance_f, heights], format="csc")
    a_h = sparse.vstack([sparse.csc_array((size, n)), -sparse.eye_array(n)], format="csc")
    return a_v, a_f, a_h


def build(x, y, lam, cells, form):
    """P, q, A, b, cones of Clarabel: min x'Px/2 + q'x, A x + s = b, s in the cones. Variables v, w, (t, s), f, r."""
    n, d = x.shape
    count = len(cells)
    size = count * d
    a_v, a_f, a_h = prediction_rows(x, cells, form)
    free, m = a_f.shape[1], a_v.shape[0]
    # r = h - y: the right-hand side is -A_h y.
    target = -(a_h @ y)
    zero = lambda rows, cols: sparse.csc_array((rows, cols))
    equations = sparse.hstack([a_v, -a_v, zero(m, 2 * count), a_f, a_h], format="csc")
    # Facets: sign_cj x_j . v_c >= 0.
    c, j = cells.facets.T
    sign = np.where(cells.signs[c, j], 1.0, -1.0)
    k = len(c)
    facet = sparse.csc_array(((sign[:, None] * x[j]).reshape(-1), (np.repeat(np.arange(k), d), (c[:, None] * d + np.arange(d)).reshape(-1))),
                             shape=(k, size))
    rest = zero(k, 2 * count + free + n)
    cone = sparse.vstack([sparse.hstack([-facet, zero(k, size), rest]), sparse.hstack([zero(k, size), -facet, rest])])
    # (t, v) in the second-order cone.
    rows = (np.arange(2 * count)[:, None] * (d + 1) + np.arange(1, d + 1)).reshape(-1)
    norms_v = sparse.csc_array((-np.ones(2 * size), (rows, np.arange(2 * size))), shape=(2 * count * (d + 1), 2 * size))
    norms_t = sparse.csc_array((-np.ones(2 * count), (np.arange(2 * count) * (d + 1), np.arange(2 * count))),
                               shape=(2 * count * (d + 1), 2 * count))
    norms = sparse.hstack([norms_v, norms_t, zero(2 * count * (d + 1), free + n)])
    matrix = sparse.vstack([equations, cone, norms], format="csc")
    total = matrix.shape[1]
    quadratic = sparse.csc_array((np.full(n, 1.0 / n), (np.arange(total - n, total), np.arange(total - n, total))), shape=(total, total))
    linear = np.zeros(total)
    linear[2 * size : 2 * size + 2 * count] = 2.0 * lam
    offset = np.zeros(matrix.shape[0])
    offset[:m] = target
    cones = [clarabel.ZeroConeT(m), clarabel.NonnegativeConeT(2 * k)]
    cones += [clarabel.SecondOrderConeT(d + 1)] * (2 * count)
    return quadratic, linear, matrix, offset, cones


def sampled(x, count, seed=0):
    """Patterns of Gaussian directions, not all of them: every sample is a constraint of each cone."""
    directions = np.random.default_rng(seed).standard_normal((count, x.shape[1]))
    signs = np.unique(directions @ x.T > 0, axis=0)
    cell, sample = np.divmod(np.arange(signs.size), len(x))
    return Cells(signs, np.stack([cell, sample], axis=1), None, None, None)


def solve(x, y, lam, cells, form, relative_gap, feasibility, method):
    """v, w of all cells, and what Clarabel reports. `feasibility` bounds the residuals of equations and cones."""
    quadratic, linear, matrix, offset, cones = build(x, y, lam, cells, form)
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.max_threads = 1
    settings.direct_solve_method = method
    settings.tol_gap_rel = relative_gap
    settings.tol_gap_abs = 1e-14
    settings.tol_feas = feasibility
    solver = clarabel.DefaultSolver(sparse.csc_matrix(sparse.triu(quadratic)), linear, sparse.csc_matrix(matrix),
                                    offset, cones, settings)
    solution = solver.solve()
    u = np.asarray(solution.x[: 2 * len(cells) * x.shape[1]]).reshape(2, len(cells), -1)
    return {"v": u[0], "w": u[1], "status": str(solution.status), "iterations": solution.iterations,
            "solver": solution.solve_time, "nonzeros": matrix.nnz, "primal": solution.obj_val, "dual": solution.obj_val_dual}
