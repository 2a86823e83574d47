#!/usr/bin/env python3
"""One gradient step of the ReLU mean-field network: this library beside NumPy, PyTorch and JAX, in one run.

    python benches/peers/gradient.py                             # all shapes, two threads; needs numpy, torch, jax
    python benches/peers/gradient.py --threads 1 128,784,1000    # one shape, n,d,m
    python benches/peers/gradient.py --summary                   # and the paragraph on speed of the README

A step is value, gradient and Euler update of F = 1/(2n) sum_j (h(x_j) - y_j)^2 with
h(x) = 1/m sum_i a_i max(b_i.x, 0): here an Euler step of a `ParticleFlow` (`cargo bench --bench gradient`), there
products and gradients as an experienced user writes them. All programs take turns, ROUNDS times, a fraction of a second
each; the table contains the least times. Ratios are to the fastest peer. `peak` is the rate of fused multiply-adds
alone, for all threads; a step counts 4 n m d operations.
"""

import argparse
import os
import subprocess
import sys
import time

SHAPES = (
    "32,64,256 128,100,512 128,784,1000 256,3072,512 1000,10,1000 1797,65,4096 2000,100,2000 1200,128,6000 "
    "2000,784,1000 500,2,100"
)
STEP = 1e-6


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shapes", nargs="*", default=SHAPES.split(), help="n,d,m")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.3, help="of a program in a round")
    parser.add_argument("--scalars", nargs="*", default=["f32", "f64"])
    parser.add_argument("--no-compile", action="store_true", help="without torch.compile, which needs a C++ compiler")
    parser.add_argument("--cpu", action="store_true", help="CPU time, for one thread on a loaded machine")
    parser.add_argument("--summary", action="store_true", help="print the paragraph on speed of README.md too")
    parser.add_argument("--machine", help="the machine in words, for the summary")
    parser.add_argument("--bench", help="the compiled benchmark `gradient`; built if it is not given")
    return parser.parse_args()


ARGUMENTS = arguments()
for name in ("OMP", "MKL", "OPENBLAS"):
    os.environ[f"{name}_NUM_THREADS"] = str(ARGUMENTS.threads)
# Threads that wait in a loop take the cores from the program whose turn it is.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("KMP_BLOCKTIME", "0")
os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[: ARGUMENTS.threads]))  # the threads of JAX

import numpy as np  # noqa: E402
import torch  # noqa: E402
import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402

jax.config.update("jax_enable_x64", True)
torch.set_num_threads(ARGUMENTS.threads)


class Ours:
    """The benchmark `gradient`, which answers one request a line."""

    def __init__(self, path):
        path = path or self.build()
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    @staticmethod
    def build():
        command = "cargo bench -p wasserflow-benches --bench gradient --no-run --message-format short"
        report = subprocess.run(command.split(), stderr=subprocess.PIPE, text=True, check=True).stderr
        return report.rsplit("(", 1)[1].split(")")[0]

    def ask(self, request):
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def numpy_step(x, y, a, b):
    n, m, step = len(x), len(a), x.dtype.type(STEP)
    # Buffers are reused, as our workspace is.
    p, on, weighted = np.empty((n, m), x.dtype), np.empty((n, m), x.dtype), np.empty_like(x)

    def run():
        np.matmul(x, b.T, out=p)
        np.greater(p, 0, out=on)
        np.maximum(p, 0, out=p)
        r = p @ a
        r /= m
        r -= y
        value = 0.5 / n * float(r @ r)
        r /= n
        np.multiply(x, r[:, None], out=weighted)
        g = on.T @ weighted
        g *= step * a[:, None]
        a[:] -= step * (p.T @ r)
        b[:] -= g
        return value

    return run


def torch_loss(x, y):
    n = len(x)

    def loss(a, b):
        return 0.5 / n * (torch.relu(x @ b.T) @ a / len(a) - y).square().sum()

    return loss


def torch_by_hand(x, y, a, b):
    n, m = len(x), len(a)
    p = torch.relu(x @ b.T)
    r = (p @ a / m - y) / n
    value = 0.5 * n * r.square().sum()
    g = (p > 0).to(p.dtype).T @ (x * r[:, None])
    return value, a - STEP * (p.T @ r), b - STEP * a[:, None] * g


def torch_autograd(loss, a, b):
    a, b = (torch.from_numpy(w.copy()).requires_grad_() for w in (a, b))

    def run():
        gradients = torch.autograd.grad(loss(a, b), (a, b))
        with torch.no_grad():
            for w, g in zip((a, b), gradients):
                w.sub_(g, alpha=STEP * len(a))

    return run


def torch_hand(function, x, y, a, b):
    state = [torch.from_numpy(w.copy()) for w in (a, b)]

    def run():
        with torch.no_grad():
            _, state[0], state[1] = function(x, y, *state)

    return run


def jax_step(gradient, x, y, a, b):
    step, state = jax.jit(gradient), [jnp.asarray(a), jnp.asarray(b)]

    def run():
        _, *state[:] = step(*state, x, y)
        state[1].block_until_ready()

    return run


def jax_autograd(a, b, x, y):
    def loss(a, b):
        return 0.5 / len(x) * jnp.sum((jax.nn.relu(x @ b.T) @ a / len(a) - y) ** 2)

    value, (da, db) = jax.value_and_grad(loss, (0, 1))(a, b)
    return value, a - STEP * len(a) * da, b - STEP * len(a) * db


def jax_by_hand(a, b, x, y):
    p = jax.nn.relu(x @ b.T)
    r = (p @ a / len(a) - y) / len(x)
    value = 0.5 * len(x) * jnp.sum(r * r)
    g = (p > 0).astype(p.dtype).T @ (x * r[:, None])
    return value, a - STEP * (r @ p), b - STEP * a[:, None] * g


def peers(n, d, m, scalar):
    """The steps of the peers on one problem, by name."""
    random, dtype = np.random.default_rng(0), np.float32 if scalar == "f32" else np.float64
    x, y, a, b = (random.standard_normal(shape).astype(dtype) for shape in ((n, d), n, m, (m, d)))
    tx, ty, jx, jy = torch.from_numpy(x), torch.from_numpy(y), jnp.asarray(x), jnp.asarray(y)
    loss = torch_loss(tx, ty)
    steps = {
        "NumPy": numpy_step(x, y, a.copy(), b.copy()),
        "PyTorch autograd": torch_autograd(loss, a, b),
        "PyTorch by hand": torch_hand(torch_by_hand, tx, ty, a, b),
        "JAX autograd": jax_step(jax_autograd, jx, jy, a, b),
        "JAX by hand": jax_step(jax_by_hand, jx, jy, a, b),
    }
    if not ARGUMENTS.no_compile:
        torch._dynamo.reset()
        compiled = torch.compile(loss, dynamic=False), torch.compile(torch_by_hand, dynamic=False)
        steps["compiled autograd"] = torch_autograd(compiled[0], a, b)
        steps["compiled by hand"] = torch_hand(compiled[1], tx, ty, a, b)
    return steps


def least(step):
    """The least milliseconds of a call, of calls for the time of a round, three at least."""
    step()
    clock = time.process_time if ARGUMENTS.cpu else time.perf_counter
    begin, best, calls = time.perf_counter(), float("inf"), 0
    while calls < 3 or time.perf_counter() - begin < ARGUMENTS.seconds:
        start = clock()
        step()
        best = min(best, clock() - start)
        calls += 1
    return 1e3 * best


def count():
    return {1: "one thread", 2: "two threads"}.get(ARGUMENTS.threads, f"{ARGUMENTS.threads} threads")


def machine():
    """The machine in words: cores, processor and instruction set."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        fields = dict(line.split(":", 1) for line in file if ":" in line)
    fields = {name.strip(): value.strip() for name, value in fields.items()}
    instructions = "AVX-512" if "avx512f" in fields.get("flags", "") else "AVX2"
    processor = fields.get("model name", "unknown processor")
    return f"a machine with {os.cpu_count()} cores ({processor}, {instructions})"


def summary(results, peak):
    """The paragraph on speed of README.md. `results`: (shape, scalar) -> (ratio, best peer, part of the peak)."""
    compiled = "" if ARGUMENTS.no_compile else " (also with `torch.compile`)"
    rates = " and ".join(f"{rate:.0f} GFLOP/s in `{scalar}`" for scalar, rate in peak.items())
    shapes, scalars = (list(dict.fromkeys(key[i] for key in results)) for i in (0, 1))
    lines = [
        f"The table compares an Euler step of a flow with the fastest of NumPy, PyTorch{compiled} and JAX.",
        f"All were measured in turn in one run, on {count()} of {ARGUMENTS.machine or machine()}.",
        f"Its peak is {rates} of multiply-adds, two for each sample, neuron and input. Where no part of it is given, a step takes",
        "less time than they would: rectifiers need fewer operations.",
        "",
        "| n, d, m | " + " | ".join(f"times as fast, `{s}` | of the peak" for s in scalars) + " |",
        "| --- |" + " --- | --- |" * len(scalars),
    ]
    for shape in shapes:
        cells = []
        for scalar in scalars:
            ratio, _, part = results[shape, scalar]
            cells += [f"{ratio:.2g}" if ratio < 9.95 else f"{ratio:.0f}", f"{100 * part:.0f} %" if part < 1 else ""]
        lines.append(f"| {shape} | " + " | ".join(cells) + " |")
    (shape, scalar), (ratio, name, part) = min(results.items(), key=lambda item: item[1][0])
    ahead = sum(ratio > 1 for ratio, _, _ in results.values())
    lines += [
        "",
        f"Ours is the fastest in {ahead} of {len(results)} cases.",
        f"The least ratio is {ratio:.2g}, beside {name} at ({shape}) in `{scalar}`, at {100 * part:.0f} % of the peak.",
    ]
    return "\n".join(lines)


def main():
    ours, threads = Ours(ARGUMENTS.bench), ARGUMENTS.threads
    peak = {scalar: max(ours.ask(f"peak {scalar} {threads}") for _ in range(3)) for scalar in ARGUMENTS.scalars}
    rates = ", ".join(f"{rate:.0f} GFLOP/s {scalar}" for scalar, rate in peak.items())
    print(f"{count()}, {'CPU' if ARGUMENTS.cpu else 'wall'} time, peak {rates}; least ms of {ARGUMENTS.rounds} rounds\n")
    print("| n, d, m | | ours | of the peak | best peer | ratio | all peers |\n|---|---|---|---|---|---|---|")
    results = {}
    for shape in ARGUMENTS.shapes:
        n, d, m = map(int, shape.split(","))
        for scalar in ARGUMENTS.scalars:
            steps = peers(n, d, m, scalar)
            times = {name: [] for name in ["ours", *steps]}
            for _ in range(ARGUMENTS.rounds):
                clock = "cpu" if ARGUMENTS.cpu else ""
                times["ours"].append(ours.ask(f"step {n} {d} {m} {scalar} {threads} {ARGUMENTS.seconds} {clock}"))
                for name, step in steps.items():
                    times[name].append(least(step))
            best = {name: min(values) for name, values in times.items()}
            own = best.pop("ours")
            name = min(best, key=best.get)
            rate = 4e-6 * n * m * d / own / peak[scalar]
            others = ", ".join(f"{peer} {ms:.3g}" for peer, ms in best.items())
            cells = f"{n}, {d}, {m}", scalar, f"{own:.3g}", f"{rate:.0%}", f"{best[name]:.3g} {name}"
            print("|", " | ".join(cells), f"| **{best[name] / own:.2g}** | {others} |", flush=True)
            results[cells[0], scalar] = best[name] / own, name, rate
    if ARGUMENTS.summary:
        print("\n" + summary(results, peak))


if __name__ == "__main__":
    sys.exit(main())
