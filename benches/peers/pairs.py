#!/usr/bin/env python3
"""Energies of `O(m^2)` pairs beside PyTorch, KeOps and JAX, and the Sinkhorn divergence beside GeomLoss and OTT, in one run.

    python3 -m venv peers && peers/bin/pip install torch jax pykeops==2.3 geomloss ott-jax numpy
    cargo bench -p wasserflow-benches --bench pairs --no-run
    peers/bin/python benches/peers/pairs.py BINARY [ROUNDS] [FILTER]

BINARY is the executable that `cargo bench --no-run` prints. Each round runs ours and then the peers at every size, all on two
threads; the least wall-clock and CPU seconds of all rounds count. KeOps and JAX are called once before (compilation). The marginal
errors of the Sinkhorn potentials are computed here, in float64, for all libraries: the larger of the two total variations.
"""

import os
import subprocess
import sys
import tempfile
import time

THREADS = "2"
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ[name] = THREADS

import numpy as np  # noqa: E402  (after the number of threads is set)
import torch  # noqa: E402

torch.set_num_threads(int(THREADS))
BINARY = sys.argv[1]
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 3
FILTER = sys.argv[3] if len(sys.argv) > 3 else ""
M = 10_000
CHUNK = 2000  # rows of a matrix of pairs in PyTorch: the whole one exceeds the memory

least: dict[tuple[str, str], list[float]] = {}


def record(row, peer, wall, cpu):
    best = least.setdefault((row, peer), [float("inf"), float("inf")])
    best[:] = [min(best[0], wall), min(best[1], cpu)]


def measure(row, peer, work):
    """Times one call; the first call of a peer compiles and is not counted."""
    if FILTER not in row:
        return None
    if (row, peer) not in least:
        work()
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    record(row, peer, time.perf_counter() - wall, time.process_time() - cpu)
    print(f"  {row} {peer} {time.perf_counter() - wall:.3f} s, CPU {time.process_time() - cpu:.3f}", flush=True)
    return result


def ours(folder, name):
    found = subprocess.run([BINARY, folder, name], capture_output=True, text=True, check=True).stdout
    print(found, end="", flush=True)
    for line in found.splitlines():
        name, d, scalar, wall, cpu = (line.split() + ["", ""])[:5]
        if wall != "value":
            record(f"{name} {d} {scalar}", "wasserflow", float(wall), float(cpu))


# W(w - v) of the energies; s is the squared distance.
def gaussian(s, h):
    return (-s / (2 * h * h)).exp()


def root(s, _):
    return (s + 1e-30).sqrt()  # without it the gradient at 0 is NaN


def total(xs, ys, f, h, pairs):
    """`sum_ij f(|x_i - y_j|^2) / m^2`."""
    if pairs == "keops":
        from pykeops.torch import LazyTensor

        x, y = LazyTensor(xs[:, None, :]), LazyTensor(ys[None, :, :])
        return f(((x - y) ** 2).sum(-1), h).sum(1).sum() / (len(xs) * len(ys))
    if pairs == "cdist":
        d = torch.cdist(xs, ys)
        k = gaussian(d * d, h) if f is gaussian else d
    else:
        k = f(((xs[:, None, :] - ys[None, :, :]) ** 2).sum(-1), h)
    return k.sum() / (M * len(ys))


def energy_gradient(x, y, h, terms, pairs):
    """The gradient of `sum_k c_k int int f d(x) d(y or x)` for the terms `(c, f, with y)`."""
    if pairs == "keops":
        x = x.clone().requires_grad_()
        value = sum(c * total(x, y if cross else x, f, h, pairs) for c, f, cross in terms)
        return torch.autograd.grad(value, x)[0]
    rows = []
    for part in x.split(CHUNK):
        part = part.clone().requires_grad_()
        # The gradient of the symmetric sum is twice that in the first argument.
        value = sum(c * (1 if cross else 2) * total(part, y if cross else x, f, h, pairs) for c, f, cross in terms)
        rows.append(torch.autograd.grad(value, part)[0])
    return torch.cat(rows)


TERMS = {
    "mmd": [(0.5, gaussian, False), (-1.0, gaussian, True)],
    "energy-distance": [(-0.5, root, False), (1.0, root, True)],
    "interaction": [(0.5, gaussian, False)],
}


def jax_gradient(x, y, h, terms):
    import jax
    import jax.numpy as jnp

    def f_of(f, s):
        return jnp.exp(-s / (2 * h * h)) if f is gaussian else jnp.sqrt(s + 1e-30)

    @jax.jit
    def gradient(x, y):
        def one(w):
            def value(w):
                sums = 0.0
                for c, f, cross in terms:
                    points = y if cross else x
                    sums += c * (1 if cross else 2) * f_of(f, ((w - points) ** 2).sum(-1)).mean()
                return sums

            return jax.grad(value)(w)

        return jax.lax.map(one, x, batch_size=64) / len(x)

    return lambda: gradient(x, y).block_until_ready()


def svgd(x, h, pairs):
    """The direction of SVGD for the standard normal density (score -x)."""
    if pairs == "keops":
        from pykeops.torch import LazyTensor

        a, b = LazyTensor(x[:, None, :]), LazyTensor(x[None, :, :])
        k = (-((a - b) ** 2).sum(-1) / (2 * h * h)).exp()
        return (k * (-b + (a - b) / (h * h))).sum(1) / len(x)
    rows = []
    for part in x.split(CHUNK):
        k = gaussian(torch.cdist(part, x) ** 2, h)
        rows.append((-k @ x + (part * k.sum(1, keepdim=True) - k @ x) / (h * h)) / len(x))
    return torch.cat(rows)


def stein(x, h, pairs):
    """The gradient of half the squared Stein discrepancy to the standard normal density."""
    d = x.shape[1]

    def kernel(w, v, dot):
        z = w - v
        s = (z * z).sum(-1)
        k = (-s / (2 * h * h)).exp()
        # k s(w).s(v) + 2 f' (s(v) - s(w)).z - 2 d f' - 4 s f'', the score s(w) = -w
        return k * (dot - s / (h * h) + d / (h * h) - s / h**4)

    if pairs == "keops":
        from pykeops.torch import LazyTensor

        x = x.clone().requires_grad_()
        w, v = LazyTensor(x[:, None, :]), LazyTensor(x[None, :, :])
        value = kernel(w, v, (w * v).sum(-1)).sum(1).sum() / (2 * len(x) ** 2)
        return torch.autograd.grad(value, x)[0]
    rows = []
    for part in x.split(CHUNK // 2):
        part = part.clone().requires_grad_()
        value = kernel(part[:, None, :], x[None, :, :], part @ x.T).sum() / len(x) ** 2
        rows.append(torch.autograd.grad(value, part)[0])
    return torch.cat(rows)


def marginal_error(x, y, f, g, epsilon):
    """The larger total variation of the marginals of `exp((f + g - c) / epsilon) / m^2`."""
    f, g = (np.asarray(z, dtype=np.float64).ravel() for z in (f, g))
    columns, rows = np.zeros(len(y)), np.zeros(len(x))
    for start in range(0, len(x), 1000):
        part = slice(start, start + 1000)
        c = ((x[part, None, :] - y[None, :, :]) ** 2).sum(-1) / 2
        plan = np.exp((f[part, None] + g[None, :] - c) / epsilon) / (len(x) * len(y))
        rows[part] = plan.sum(1)
        columns += plan.sum(0)
    return max(np.abs(rows - 1 / len(x)).sum(), np.abs(columns - 1 / len(y)).sum())


def geomloss(x, y, epsilon, scaling, backend):
    from geomloss import SamplesLoss

    blur = epsilon**0.5
    loss = SamplesLoss("sinkhorn", p=2, blur=blur, scaling=scaling, backend=backend)

    def work():
        points = x.clone().requires_grad_()
        value = loss(points, y)
        return value.item(), torch.autograd.grad(value, points)[0]

    potentials = SamplesLoss("sinkhorn", p=2, blur=blur, scaling=scaling, backend=backend, potentials=True, debias=False)
    return work, lambda: [z.numpy() for z in potentials(x, y)]


def ott(x, y, epsilon, tolerance):
    import jax
    import jax.numpy as jnp
    from ott.geometry import pointcloud
    from ott.problems.linear import linear_problem
    from ott.solvers.linear import sinkhorn
    from ott.tools import sinkhorn_divergence

    # The cost of OTT is |x - y|^2; that of points divided by 2^(1/2) is half of it.
    scale = 2**0.5
    options = {"threshold": tolerance, "max_iterations": 5000}

    @jax.jit
    def gradient(x):
        def value(x):
            return sinkhorn_divergence.sinkhorn_divergence(
                pointcloud.PointCloud, x / scale, y / scale, epsilon=epsilon, solve_kwargs=options
            )[0]

        return jax.value_and_grad(value)(x)

    def work():
        value, field = gradient(x)
        return float(value), field.block_until_ready()

    def potentials():
        geometry = pointcloud.PointCloud(x / scale, y / scale, epsilon=epsilon)
        out = sinkhorn.Sinkhorn(**options)(linear_problem.LinearProblem(geometry))
        return out.f, out.g

    _ = jnp
    return work, potentials


def main():
    import jax

    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp

    torch.manual_seed(1)
    with tempfile.TemporaryDirectory() as folder:
        clouds = {}
        for d in (2, 10):
            x = torch.randn(M, d, dtype=torch.float64)
            y = torch.randn(M, d, dtype=torch.float64) + 0.5
            clouds[d] = x, y
            for name, points in (("x", x), ("y", y)):
                points.numpy().tofile(os.path.join(folder, f"{name}_{d}.f64"))
        for _ in range(ROUNDS):
            for d, (x64, y64) in clouds.items():
                h = d**0.5
                for scalar, dtype in (("f32", torch.float32), ("f64", torch.float64)):
                    x, y = x64.to(dtype), y64.to(dtype)
                    jx, jy = jnp.asarray(x.numpy()), jnp.asarray(y.numpy())
                    for name, terms in TERMS.items():
                        row = f"{name} {d} {scalar}"
                        if FILTER in row:
                            ours(folder, row)
                            for pairs in ("keops", "cdist", "differences"):
                                measure(row, pairs, lambda: energy_gradient(x, y, h, terms, pairs))
                            measure(row, "jax", jax_gradient(jx, jy, h, terms))
                    for name, work in (("svgd", svgd), ("stein", stein)):
                        row = f"{name} {d} {scalar}"
                        if FILTER in row:
                            ours(folder, row)
                            for pairs in ("keops", "torch"):
                                measure(row, pairs, lambda: work(x, h, pairs))
                epsilon = 0.05 * d
                for tolerance in ("1e-3", "1e-6"):
                    row = f"sinkhorn-{epsilon:g}-{tolerance} {d} f64"
                    if FILTER not in row:
                        continue
                    ours(folder, row)
                    scaling = {"1e-3": 0.9, "1e-6": 0.99}[tolerance]
                    peers = {
                        "geomloss-online": geomloss(x64, y64, epsilon, scaling, "online"),
                        "geomloss-tensorized": geomloss(x64, y64, epsilon, scaling, "tensorized"),
                        "ott": ott(jnp.asarray(x64.numpy()), jnp.asarray(y64.numpy()), epsilon, float(tolerance)),
                    }
                    for peer, (work, potentials) in peers.items():
                        is_first = (row, peer) not in least
                        value, _ = measure(row, peer, work)
                        if is_first:
                            error = marginal_error(x64.numpy(), y64.numpy(), *potentials(), epsilon)
                            print(f"  {row} {peer} value {value:.9f} marginal {error:.2e}", flush=True)
    print("row, then least wall-clock seconds (CPU seconds; ratio of CPU seconds)")
    for row in dict.fromkeys(row for row, _ in least):
        own = least[row, "wasserflow"]
        cells = [f"{peer} {w:.3f} ({c:.2f}; {c / own[1]:.1f})" for (r, peer), (w, c) in least.items() if r == row]
        print(row, *cells, sep=" | ")


main()
