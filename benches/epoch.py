#!/usr/bin/env python3
"""An epoch of minibatches beside PyTorch, in one run: the digits of `data/digits.csv`, 1797 samples of 64 pixels and a
bias, 10 classes, softmax, 256 rectifier neurons, batches of 128, float32.

    python3 -m venv peers && peers/bin/pip install torch==2.15.0 numpy==2.4.6
    cargo bench -p wasserflow-benches --bench epoch --no-run
    peers/bin/python benches/epoch.py [THREADS] [ROUNDS]

The distribution's PyTorch works too (Debian: `apt-get install python3-torch libopenblas0-pthread`): it has no CUDA, and
uses the BLAS that the system is set to.

Each round runs `cargo bench --bench epoch` and then PyTorch, with the same number of threads; the least time of an
epoch counts. PyTorch: autograd with `torch.optim.SGD` as in its tutorials, and the gradient written by hand with
preallocated results, which has no overhead of the graph.
"""

import csv
import os
import re
import subprocess
import sys
import time

THREADS = int(sys.argv[1]) if len(sys.argv) > 1 else 1
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 3
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ[name] = str(THREADS)

import torch  # noqa: E402  (after the number of threads is set)

torch.set_num_threads(THREADS)
D, K, M, BATCH, DT = 65, 10, 256, 128, 0.1
EPOCHS = 100

torch.manual_seed(1)
with open(os.path.join(os.path.dirname(__file__), "..", "data", "digits.csv"), newline="", encoding="utf-8") as file:
    rows = [list(map(int, row)) for row in list(csv.reader(file))[1:]]
x = torch.tensor([row[:-1] + [16] for row in rows]).float() / 16
y = torch.tensor([row[-1] for row in rows])
N = len(rows)
assert x.shape == (N, D)


def least(epoch):
    epoch()
    times = []
    for _ in range(EPOCHS):
        start = time.perf_counter()
        epoch()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def autograd():
    b = (0.3 * torch.randn(M, D)).requires_grad_()
    a = (0.3 * torch.randn(M, K)).requires_grad_()
    optimiser = torch.optim.SGD([a, b], lr=DT * M)

    def epoch():
        for batch in torch.randperm(N).split(BATCH):
            optimiser.zero_grad()
            h = torch.relu(x[batch] @ b.T) @ a / M
            torch.nn.functional.cross_entropy(h, y[batch]).backward()
            optimiser.step()

    return least(epoch)


@torch.no_grad()
def by_hand():
    b, a = 0.3 * torch.randn(M, D), 0.3 * torch.randn(M, K)

    def epoch():
        for batch in torch.randperm(N).split(BATCH):
            samples, labels = x[batch], y[batch]
            activations = torch.relu_(samples @ b.T)
            g = torch.softmax(activations @ a / M, 1)
            g[torch.arange(len(labels)), labels] -= 1
            g /= len(labels)
            back = (g @ a.T) * (activations > 0)
            a.addmm_(activations.T, g, alpha=-DT)
            b.addmm_(back.T, samples, alpha=-DT)

    return least(epoch)


def ours():
    command = ["cargo", "bench", "--quiet", "-p", "wasserflow-benches", "--bench", "epoch"]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    print(found.strip())
    return float(re.search(r"epoch ([\d.]+) ms", found).group(1))


rows = {"wasserflow": ours, "PyTorch autograd": autograd, "PyTorch by hand": by_hand}
times = {name: [] for name in rows}
for _ in range(ROUNDS):
    for name, measure in rows.items():
        times[name].append(measure())
print(f"torch {torch.__version__}, {THREADS} threads, least ms of an epoch in each of {ROUNDS} rounds")
for name, values in times.items():
    print(f"{name:20} {min(values):8.3f}   ", " ".join(f"{value:.3f}" for value in values))
