"""One method on one problem: `run.py METHOD FILE LAMBDA RELATIVE_GAP NEURONS TOLERANCE`.

Reads rows x_1, .., x_d, y. Writes the neurons c, a, b_1, .., b_d of the solution to the file NEURONS, and prints a
line of JSON. Times are from the data to the solution: the patterns, the matrices and the solver. Short runs are
repeated: the least wall time and the mean user time. TOLERANCE: the residuals of Clarabel; the squared norm of a
subgradient of pyscnn.
"""

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ[variable] = "1"

import json
import resource
import sys
import time

import numpy as np

import program
from cells import enumerate_cells

METHODS = ("clarabel flow qdldl", "clarabel dense qdldl", "clarabel sampled qdldl", "fista", "pyscnn relu", "pyscnn gated")

# As in the Rust program.
REPEAT_FOR, REPEATS = 0.5, 200

# Directions that are sampled, in place of all patterns.
SAMPLES = 500

# Iterations of pyscnn at most.
ITERATIONS = 10_000_000


def once(name, x, y, lam, relative_gap, tolerance):
    kind, *parts = name.split()
    if kind == "clarabel":
        form, method = parts
        patterns = program.sampled(x, SAMPLES) if form == "sampled" else enumerate_cells(x)
        return program.solve(x, y, lam, patterns, "dense" if form == "sampled" else form, relative_gap, tolerance, method)
    import first_order

    if kind == "fista":
        return first_order.fista(x, y, lam, enumerate_cells(x), relative_gap)
    return first_order.pyscnn(x, y, lam, enumerate_cells(x), parts[0], tolerance, ITERATIONS)


def main():
    name, file, lam, relative_gap, neurons, tolerance = sys.argv[1:7]
    lam, relative_gap, tolerance = map(float, (lam, relative_gap, tolerance))
    data = np.loadtxt(file, delimiter=",")
    x, y = data[:, :-1].copy(), data[:, -1].copy()
    user = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_utime
    if not name.startswith("clarabel"):
        import first_order  # noqa: F401 (imports are not timed)
    wall, total, runs, start = np.inf, 0.0, 0, user()
    while runs == 0 or (total < REPEAT_FOR and runs < REPEATS):
        clock = time.perf_counter()
        result = once(name, x, y, lam, relative_gap, tolerance)
        seconds = time.perf_counter() - clock
        wall, total, runs = min(wall, seconds), total + seconds, runs + 1
    result["wall"], result["user"] = wall, (user() - start) / runs
    result["mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if "v" in result:
        rows = []
        for sign, vectors in ((1.0, result.pop("v")), (-1.0, result.pop("w"))):
            norm = np.linalg.norm(vectors, axis=1)
            root = np.sqrt(norm[norm > 0])
            rows.append(np.column_stack([np.ones_like(root), sign * root, vectors[norm > 0] / root[:, None]]))
        np.savetxt(neurons, np.concatenate(rows), delimiter=",", fmt="%.17g")
    print(json.dumps({key: float(value) if isinstance(value, np.floating) else value for key, value in result.items()}))


if __name__ == "__main__":
    main()
