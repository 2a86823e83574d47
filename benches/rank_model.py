#!/usr/bin/env python3
"""The cost model of docs/src/ranks.md: seconds of a step of Euler on P ranks, and memory of a rank.

    python3 benches/rank_model.py [-n N] [-d D] [-m M] [-k K] [--work S] [--alpha S] [--beta S] RANKS ..

`--work` is the time of one sample, coordinate and neuron on one rank. `--alpha` and `--beta` are the time of a sum over
2 ranks, `alpha + beta` times its length. A sum of L scalars over P ranks takes `alpha log2(P) + 2 (1 - 1/P) beta L`
(R. Thakur, R. Rabenseifner and W. Gropp, Optimization of collective communication operations in MPICH, 2005, with the
constants of P = 2). The defaults were measured by benches/mpi.rs.
"""

import argparse
from math import log2

BYTES = 8


def sum_seconds(ranks, length, alpha, beta):
    """The time of a sum over ranks."""
    return 0.0 if ranks == 1 else alpha * log2(ranks) + 2.0 * (1.0 - 1.0 / ranks) * beta * length


def step(columns, rows, o):
    """Seconds of the sums of a step, and bytes of a rank, on a grid.

    Particles are dealt out over `columns`, samples over `rows`: a rank has m / columns particles and n / rows samples.
    """
    p = o.d + o.k
    predictions = sum_seconds(columns, o.n * o.k / rows, o.alpha, o.beta)
    velocities = sum_seconds(rows, o.m * p / columns, o.alpha, o.beta)
    scalars = sum_seconds(columns * rows, 4, o.alpha, o.beta)
    memory = BYTES * (o.n * (o.d + 2 * o.k) / rows + 4 * o.m * p / columns)  # 4: measured with 10^6 neurons
    return predictions + velocities + scalars, memory


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=float, default=1e6, help="samples")
    parser.add_argument("-d", type=float, default=100, help="coordinates of a sample")
    parser.add_argument("-m", type=float, default=1e7, help="neurons")
    parser.add_argument("-k", type=float, default=1, help="outputs")
    parser.add_argument("--work", type=float, default=7.5e-11)
    parser.add_argument("--alpha", type=float, default=6.4e-6)
    parser.add_argument("--beta", type=float, default=5.3e-9)
    parser.add_argument("ranks", type=int, nargs="*", default=[1, 10, 100, 1000, 10000])
    o = parser.parse_args()

    print(f"n = {o.n:g}, d = {o.d:g}, m = {o.m:g}, k = {o.k:g}; work {o.work:g} s, alpha {o.alpha:g} s, beta {o.beta:g} s\n")
    print("| ranks | work (s) | particles: sums (s), step (s), GB | samples: sums (s), step (s), GB | best grid: sums (s), step (s), GB |")
    print("| --- | --- | --- | --- | --- |")
    for ranks in o.ranks:
        work = o.work * o.n * o.d * o.m / ranks
        cell = lambda sums, memory: f"{sums:.2g}, {work + sums:.5g}, {memory / 1e9:.2g}"
        grids = [(columns, ranks // columns) for columns in range(1, ranks + 1) if ranks % columns == 0]
        best = min(grids, key=lambda grid: step(*grid, o))
        print(
            f"| {ranks} | {work:.5g} | {cell(*step(ranks, 1, o))} | {cell(*step(1, ranks, o))} "
            f"| {best[0]} x {best[1]}: {cell(*step(*best, o))} |"
        )


if __name__ == "__main__":
    main()
