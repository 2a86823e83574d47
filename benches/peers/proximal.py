#!/usr/bin/env python3
"""L-BFGS (SciPy) and Adam on the problems of `proximal_data`, from the same starts.

    cargo bench -p wasserflow-benches --bench proximal_data -- DIR SECONDS GAMMA    # writes the problems
    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benches/peers/proximal.py DIR SECONDS

One row for each problem and method: gradients, CPU seconds, F, the norm of the gradient in L2(mu) relative to that at
the start (at a kink it is one of many subgradients), and F after 1, 3 and 10 s. A method ends at a relative norm of
1e-6, by its own criterion, or after SECONDS. Gradients are NumPy; Adam is written out, with its usual constants.
"""

import sys
import time

import numpy as np
from scipy.optimize import minimize

LAMBDA, TOLERANCE, TIMES, RATE = 1e-3, 1e-6, (1.0, 3.0, 10.0), 0.1


class Done(Exception):
    pass


class Problem:
    def __init__(self, folder, name, seconds):
        self.x, self.y, self.start = (
            np.loadtxt(f"{folder}/{name}_{part}.csv", delimiter=",", ndmin=2) for part in ("x", "y", "start")
        )
        self.y, self.name, self.seconds = self.y[:, 0], name, seconds
        self.outputs = self.start.shape[1] - self.x.shape[1]

    def gradient(self, w):
        """F and its gradient in L2(mu), m times the partial derivatives."""
        (n, _), (m, _), k = self.x.shape, w.shape, self.outputs
        a, b = w[:, :k], w[:, k:]
        u = np.maximum(self.x @ b.T, 0)
        h = u @ a / m
        if self.name == "auto_mpg":
            g = h - self.y[:, None]
            risk = 0.5 * np.sum(g * g)
        elif self.name == "wdbc":
            z = -self.y[:, None] * h
            risk = np.sum(np.logaddexp(0, z))
            g = -self.y[:, None] * np.exp(-np.logaddexp(0, -z))
        else:
            rows, labels = np.arange(n), self.y.astype(int)
            g = np.exp(h - h.max(1, keepdims=True))
            total = g.sum(1, keepdims=True)
            risk = np.sum(np.log(total[:, 0]) + h.max(1) - h[rows, labels])
            g /= total
            g[rows, labels] -= 1
        g /= n
        out = np.concatenate([u.T @ g, ((g @ a.T) * (u > 0)).T @ self.x], 1) + 2 * LAMBDA * w
        return risk / n + LAMBDA * np.sum(w * w) / m, out

    def run(self, label, method):
        self.count, self.best, self.at = 0, (np.inf, np.inf), [np.nan] * len(TIMES)
        self.first, self.begin = None, time.process_time()
        try:
            method(self)
        except Done:
            pass
        value, norm = self.best
        print(
            f"| {self.name} | {label} | | {self.count} | {time.process_time() - self.begin:.1f} | {value:.6f} | "
            f"{norm / self.first:.1e} | {', '.join(f'{v:.6f}' for v in self.at)} |",
            flush=True,
        )

    def evaluate(self, w):
        value, gradient = self.gradient(w)
        norm, spent = np.sqrt(np.sum(gradient**2) / len(w)), time.process_time() - self.begin
        self.first = norm if self.first is None else self.first
        self.count += 1
        self.best = min(self.best, (value, norm))
        for i, at in enumerate(TIMES):
            if np.isnan(self.at[i]) and spent >= at:
                self.at[i] = self.best[0]
        if norm <= TOLERANCE * self.first or spent >= self.seconds:
            raise Done
        return value, gradient


def lbfgs(problem):
    def function(w):
        value, gradient = problem.evaluate(w.reshape(problem.start.shape))
        return value, gradient.ravel() / len(problem.start)

    options = {"maxiter": 10**6, "maxfun": 10**6, "ftol": 0, "gtol": 0}
    minimize(function, problem.start.ravel(), jac=True, method="L-BFGS-B", options=options)


def adam(problem):
    w, mean, square, step = problem.start.copy(), 0.0, 0.0, 0
    while True:
        _, gradient = problem.evaluate(w)
        gradient /= len(w)
        step += 1
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        w -= RATE * mean / (1 - 0.9**step) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)


for name in ("auto_mpg", "wdbc", "digits"):
    for label, method in (("L-BFGS", lbfgs), ("Adam", adam)):
        Problem(sys.argv[1], name, float(sys.argv[2])).run(label, method)
