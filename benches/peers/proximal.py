#!/usr/bin/env python3
"""L-BFGS (SciPy) and Adam (PyTorch) on the problems of `proximal_data`, from the same starts.

    cargo bench -p wasserflow-benches --bench proximal_data -- DIR SECONDS GAMMA    # writes the problems
    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benches/peers/proximal.py DIR SECONDS [GAMMA]

Without GAMMA, F is minimised. A row has the gradients, CPU seconds, F, the norm of the gradient in L2(mu) relative to
that at the start (at a kink it is one of many subgradients), and F after 1, 3 and 10 s. A method ends at a relative
norm of 1e-6, by its own criterion, or after SECONDS.

With GAMMA, the first proximal steps are minimised one by one, P(v) = F(v) + |v - w|^2 / (2 GAMMA m), from the result w
of the previous step of `Jko`. A row has the gradients and CPU seconds until P exceeds that of `Jko` by at most 1e-6 of
the decrease of `Jko`, and the least excess in that unit (negative: another minimum, below that of `Jko`).

Gradients are NumPy for L-BFGS and autograd for Adam, which has the best of the rates 0.001, 0.01 and 0.1.
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import minimize

LAMBDA, TOLERANCE, TIMES, RATES = 1e-3, 1e-6, (1.0, 3.0, 10.0), (0.001, 0.01, 0.1)
torch.set_num_threads(1)


class Done(Exception):
    pass


class Problem:
    def __init__(self, folder, name, seconds):
        self.folder, self.name, self.seconds = folder, name, seconds
        self.x, self.y, self.start = (self.read(part) for part in ("x", "y", "start"))
        self.y = self.y[:, 0]
        self.outputs = self.start.shape[1] - self.x.shape[1]
        self.anchor, self.reach = None, -np.inf
        self.tensors = torch.tensor(self.x), torch.tensor(self.y)

    def read(self, part):
        return np.loadtxt(f"{self.folder}/{self.name}_{part}.csv", delimiter=",", ndmin=2)

    def gradient(self, w):
        """F, or P, and its gradient in L2(mu), m times the partial derivatives."""
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
        value = risk / n + LAMBDA * np.sum(w * w) / m
        if self.anchor is not None:
            value += np.sum((w - self.anchor) ** 2) / (2 * self.gamma * m)
            out += (w - self.anchor) / self.gamma
        return value, out

    def tensor_value(self, w):
        """The same value in PyTorch."""
        (x, y), m, k = self.tensors, len(w), self.outputs
        h = torch.relu(x @ w[:, k:].T) @ w[:, :k] / m
        if self.name == "auto_mpg":
            risk = 0.5 * torch.mean((h[:, 0] - y) ** 2)
        elif self.name == "wdbc":
            risk = torch.mean(torch.nn.functional.softplus(-y * h[:, 0]))
        else:
            risk = torch.nn.functional.cross_entropy(h, y.long())
        value = risk + LAMBDA * torch.sum(w * w) / m
        if self.anchor is not None:
            value = value + torch.sum((w - torch.tensor(self.anchor)) ** 2) / (2 * self.gamma * m)
        return value

    def proximal(self, step, gamma):
        """The proximal problem of a step of `Jko`. Its result has to be reached."""
        self.anchor, self.gamma = self.read("start" if step == 1 else f"step_{step - 1}"), gamma
        self.start = self.anchor
        first, self.best_of_jko = self.gradient(self.start)[0], self.gradient(self.read(f"step_{step}"))[0]
        self.decrease = first - self.best_of_jko
        self.reach = self.best_of_jko + TOLERANCE * self.decrease

    def run(self, method):
        self.count, self.best, self.at = 0, (np.inf, np.inf), [np.nan] * len(TIMES)
        self.first, self.begin = None, time.process_time()
        try:
            method(self)
        except Done:
            pass
        self.spent = time.process_time() - self.begin

    def record(self, value, gradient):
        """Counts an evaluation. `gradient` is that in L2(mu)."""
        norm, spent = np.sqrt(np.sum(gradient**2) / len(gradient)), time.process_time() - self.begin
        self.first = norm if self.first is None else self.first
        self.count += 1
        self.best = min(self.best, (value, norm))
        for i, at in enumerate(TIMES):
            if np.isnan(self.at[i]) and spent >= at:
                self.at[i] = self.best[0]
        if norm <= TOLERANCE * self.first or value <= self.reach or spent >= self.seconds:
            raise Done


def lbfgs(problem):
    def function(w):
        value, gradient = problem.gradient(w.reshape(problem.start.shape))
        problem.record(value, gradient)
        return value, gradient.ravel() / len(problem.start)

    options = {"maxiter": 10**6, "maxfun": 10**6, "ftol": 0, "gtol": 0}
    minimize(function, problem.start.ravel(), jac=True, method="L-BFGS-B", options=options)


def adam(rate):
    def method(problem):
        w = torch.tensor(problem.start, requires_grad=True)
        optimizer = torch.optim.Adam([w], lr=rate)
        while True:
            optimizer.zero_grad()
            value = problem.tensor_value(w)
            value.backward()
            problem.record(value.item(), w.grad.numpy() * len(w))
            optimizer.step()

    return method


METHODS = [("L-BFGS", lbfgs)] + [(f"Adam, rate {rate}", adam(rate)) for rate in RATES]


def minimise(folder, seconds):
    for name in ("auto_mpg", "wdbc", "digits"):
        for label, method in METHODS:
            problem = Problem(folder, name, seconds)
            problem.run(method)
            value, norm = problem.best
            print(
                f"| {name} | {label} | {problem.count} | {problem.spent:.1f} | {value:.6f} | "
                f"{norm / problem.first:.1e} | {', '.join(f'{v:.6f}' for v in problem.at)} |",
                flush=True,
            )


def proximal_steps(folder, seconds, gamma):
    for name in ("auto_mpg", "wdbc", "digits"):
        steps = len(list(Path(folder).glob(f"{name}_step_*.csv")))
        for step in range(1, steps + 1):
            for label, method in METHODS:
                problem = Problem(folder, name, seconds)
                problem.proximal(step, gamma)
                problem.run(method)
                excess = (problem.best[0] - problem.best_of_jko) / problem.decrease
                print(
                    f"| {name} | step {step} | {label} | {problem.count} | {problem.spent:.3f} | {excess:.1e} |", flush=True
                )


if len(sys.argv) > 3:
    proximal_steps(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))
else:
    minimise(sys.argv[1], float(sys.argv[2]))
