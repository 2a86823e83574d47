#!/usr/bin/env python3
"""Energies of `O(m^2)` pairs beside PyTorch, KeOps and JAX, and the Sinkhorn divergence beside GeomLoss and OTT, in one run.

    python3 -m venv peers && peers/bin/pip install torch jax pykeops==2.3 geomloss ott-jax numpy
    cargo bench -p wasserflow-benches --bench pairs --no-run
    peers/bin/python benches/peers/pairs.py BINARY [ROUNDS] [FILTER] [POINTS] [PEERS]

BINARY is the executable that `cargo bench --no-run` prints, FILTER and PEERS regular expressions for the rows and the peers. All
rows are computed with 500 points first (compilation, and a check of all results), then ROUNDS times with POINTS, ours and then the
peers, all on two threads; the least wall-clock and CPU seconds of all rounds count. The points are written here and read by BINARY,
which writes its values and velocities. The value and the gradient of every peer must agree with them; the largest relative error (in
the norm of all gradients) is printed. The errors of both marginals of the plan that the potentials of a Sinkhorn divergence define are
computed here, in float64 and by the same function for all libraries: `sum_i |(row sum) - 1/m|` and that of the columns.
GeomLoss has no tolerance but a `scaling`; the environment variable SCALING sets it.
"""

import os
import re
import subprocess
import sys
import tempfile
import time

THREADS = "2"
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ[name] = THREADS

import jax  # noqa: E402  (after the number of threads is set)
import jax.interpreters.batching  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from geomloss import SamplesLoss  # noqa: E402
from geomloss._legacy import sinkhorn_samples  # noqa: E402  (the loop whose potentials are read)
from ott.geometry import pointcloud  # noqa: E402
from ott.tools import sinkhorn_divergence  # noqa: E402
from pykeops.torch import LazyTensor  # noqa: E402

if not hasattr(jax.interpreters.batching, "is_vmappable"):  # OTT 0.6 needs it for costs by blocks; JAX 0.10 has moved it
    from jax._src.interpreters import batching

    jax.interpreters.batching.is_vmappable = batching.is_vmappable
jax.config.update("jax_enable_x64", True)
torch.set_num_threads(int(THREADS))
BINARY = sys.argv[1]
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 3
FILTER = sys.argv[3] if len(sys.argv) > 3 else ""
POINTS = int(sys.argv[4]) if len(sys.argv) > 4 else 10_000
PEERS = sys.argv[5] if len(sys.argv) > 5 else ""
ROWS = 1000  # rows of costs that OTT computes at once
CHUNK = 500  # rows of a matrix of pairs in PyTorch: all of them, with coordinates, exceed the memory
AGREEMENT = {"f32": 2e-4, "f64": 1e-9}  # largest relative errors of values and gradients
SCALINGS = [0.5, 0.7, 0.9, 0.95, 0.98]  # of GeomLoss: the smallest one with the marginal error of the row is used
PROBE = 1000  # points on which it is chosen
TINY = 1e-30  # below the root of squares: without it the gradient at 0 is NaN


class Table:
    """The least times of each peer, and its largest disagreement with ours."""

    def __init__(self, points):
        self.points = points
        self.least, self.errors, self.own, self.marginals = {}, {}, {}, {}

    def record(self, row, peer, wall, cpu):
        best = self.least.setdefault((row, peer), [float("inf"), float("inf")])
        best[:] = [min(best[0], wall), min(best[1], cpu)]

    def ours(self, folder, row):
        """Runs BINARY; keeps its value, gradient and what follows."""
        lines = subprocess.run([BINARY, folder, row], capture_output=True, text=True, check=True).stdout
        print(lines, end="", flush=True)
        for line in lines.splitlines():
            name, d, scalar, *numbers = line.split()
            if f"{name} {d} {scalar}" != row:
                continue
            if numbers[0] == "warm":
                self.record(row, "ours, warm start", float(numbers[1]), float(numbers[2]))
            elif numbers[0] != "value":
                self.record(row, "ours", float(numbers[0]), float(numbers[1]))
        found = np.fromfile(os.path.join(folder, row.replace(" ", "_") + ".f64"))
        d = int(row.split()[1])
        size = self.points * d
        velocities = found[1 : 1 + size].reshape(self.points, d)
        is_direction = row.startswith("svgd")
        gradient = velocities if is_direction else -velocities / self.points
        self.own[row] = found[0], gradient, found[1 + size :]

    def measure(self, row, peer, work, tolerance=None):
        """Times a call, which returns a value and a gradient; returns false, and does nothing, for other peers."""
        if not re.search(PEERS, peer):
            return False
        wall, cpu = time.perf_counter(), time.process_time()
        value, gradient = work()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        self.record(row, peer, wall, cpu)
        own_value, own, _ = self.own[row]
        gradient = np.asarray(gradient, dtype=np.float64)
        error = np.linalg.norm(gradient - own) / np.linalg.norm(own)
        if value is not None:
            error = max(error, abs(float(value) - own_value) / abs(own_value))
        self.errors[row, peer] = error
        print(f"  {row} {peer} {wall:.3f} s, CPU {cpu:.3f}, disagreement {error:.1e}", flush=True)
        tolerance = tolerance or AGREEMENT[row.split()[2]]
        assert error <= tolerance, f"{row}: {peer} differs by {error:.2e}, value {value} and {own_value}"
        return True

    def print(self):
        print("row | peer | wall s | CPU s | CPU / ours | disagreement | marginal errors")
        for (row, peer), (wall, cpu) in sorted(self.least.items(), key=lambda item: item[0][0]):
            error = self.errors.get((row, peer))
            error = "" if error is None else f"{error:.1e}"
            ratio = cpu / max(self.least[row, "ours"][1], 0.005)  # CPU seconds of BINARY are in steps of 0.01
            marginals = " ".join(f"{x:.1e}" for x in self.marginals.get((row, peer), []))
            print(row, peer, f"{wall:.3f}", f"{cpu:.2f}", f"{ratio:.1f}", error, marginals, sep=" | ")


# The energies: terms (c, W, with y) of `sum_k c_k int int W d(x) d(y or x)`. s is the squared distance.
def gaussian(s, h):
    return (-s / (2 * h * h)).exp()


def root(s, h):
    return (s + TINY).sqrt()


TERMS = {
    "mmd": [(0.5, gaussian, False), (-1.0, gaussian, True)],
    "energy-distance": [(-0.5, root, False), (1.0, root, True)],
    "interaction": [(0.5, gaussian, False)],
}


def target_constant(row, y, h):
    """The part of the energy that depends on y only: once, outside of the timings."""
    terms = {"mmd": (0.5, gaussian), "energy-distance": (-0.5, root), "interaction": (0.0, gaussian)}
    c, f = terms[row.split()[0]]
    y = y.double()
    sums = [f(torch.cdist(part, y, compute_mode="donot_use_mm_for_euclid_dist") ** 2, h).sum() for part in y.split(CHUNK)]
    return c * float(sum(sums)) / len(y) ** 2


def keops_autograd(x, y, h, terms):
    """As in the tutorials of KeOps: the gradient of the sum over a LazyTensor."""
    x = x.clone().requires_grad_()
    value = 0.0
    for c, f, cross in terms:
        a, b = LazyTensor(x[:, None, :]), LazyTensor((y if cross else x)[None, :, :])
        value = value + c * f(((a - b) ** 2).sum(-1), h).sum(1).sum() / len(x) ** 2
    return value.item(), torch.autograd.grad(value, x)[0]


def keops_by_hand(x, y, h, terms):
    """Value and gradient by one reduction for each term."""
    value, gradient = 0.0, torch.zeros_like(x)
    for c, f, cross in terms:
        a, b = LazyTensor(x[:, None, :]), LazyTensor((y if cross else x)[None, :, :])
        z = a - b
        s = (z**2).sum(-1)
        if f is gaussian:
            k = gaussian(s, h)
            sums = LazyTensor.cat((k, k * z), -1).sum(1)
            slope = -1.0 / (h * h)
        else:
            k = (s + TINY).rsqrt()
            sums = LazyTensor.cat((s * k, k * z), -1).sum(1)
            slope = 1.0
        value = value + c * sums[:, 0].sum() / len(x) ** 2
        gradient += (1 if cross else 2) * c * slope * sums[:, 1:] / len(x) ** 2
    return value.item(), gradient


def torch_autograd(x, y, h, terms, distances):
    """Rows in chunks. The gradient of a symmetric sum is twice that in the first argument."""
    rows, total = [], 0.0
    for part in x.split(CHUNK):
        part = part.clone().requires_grad_()
        objective = 0.0
        for c, f, cross in terms:
            points = y if cross else x
            if distances == "cdist":
                r = torch.cdist(part, points, compute_mode="donot_use_mm_for_euclid_dist")
                k = gaussian(r * r, h) if f is gaussian else r
            else:
                k = f(((part[:, None, :] - points[None, :, :]) ** 2).sum(-1), h)
            k = k.sum() / len(x) ** 2
            total += c * k.item()
            objective = objective + c * (1 if cross else 2) * k
        rows.append(torch.autograd.grad(objective, part)[0])
    return total, torch.cat(rows)


def torch_by_hand(x, y, h, terms):
    """Rows in chunks: `sum_j k_ij (x_i - y_j)` by products of matrices."""
    ones = torch.ones(len(x), 1, dtype=x.dtype)
    total, gradient = 0.0, torch.zeros_like(x)
    for c, f, cross in terms:
        points = y if cross else x
        extended = torch.cat((points, ones), 1)
        for start in range(0, len(x), CHUNK):
            part = x[start : start + CHUNK]
            r = torch.cdist(part, points, compute_mode="donot_use_mm_for_euclid_dist")
            if f is gaussian:
                k = r.square_().mul_(-0.5 / (h * h)).exp_()
                slope = -1.0 / (h * h)
            else:
                total += c * r.sum().item() / len(x) ** 2
                k = torch.where(r > 0, 1 / r, 0)
                slope = 1.0
            sums = k @ extended
            if f is gaussian:
                total += c * sums[:, -1].sum().item() / len(x) ** 2
            scale = (1 if cross else 2) * c * slope / len(x) ** 2
            gradient[start : start + CHUNK] += scale * (part * sums[:, -1:] - sums[:, :-1])
    return total, gradient


def jax_autograd(x, y, h, terms):
    """`grad` of the sum of a row, mapped over the rows, under `jit`."""

    def f_of(f, s):
        return jnp.exp(-s / (2 * h * h)) if f is gaussian else jnp.sqrt(s + TINY)

    @jax.jit
    def gradient(x, y):
        def one(w):
            def objective(w):
                sums, value = 0.0, 0.0
                for c, f, cross in terms:
                    term = c * f_of(f, ((w - (y if cross else x)) ** 2).sum(-1)).mean()
                    sums, value = sums + (1 if cross else 2) * term, value + term
                return sums, value

            return jax.grad(objective, has_aux=True)(w)

        field, values = jax.lax.map(one, x, batch_size=64)
        return values.mean(), field / len(x)

    compiled = gradient.lower(x, y).compile()

    def work():
        value, field = compiled(x, y)
        return float(value), field.block_until_ready()

    return work


def svgd_keops(x, h):
    """The direction of SVGD for the standard normal density (score -x)."""
    a, b = LazyTensor(x[:, None, :]), LazyTensor(x[None, :, :])
    z = a - b
    k = gaussian((z**2).sum(-1), h)
    return None, (k * (z / (h * h) - b)).sum(1) / len(x)


def svgd_torch(x, h):
    rows, ones = [], torch.ones(len(x), 1, dtype=x.dtype)
    extended = torch.cat((x, ones), 1)
    for part in x.split(CHUNK):
        k = torch.cdist(part, x, compute_mode="donot_use_mm_for_euclid_dist").square_().mul_(-0.5 / (h * h)).exp_()
        sums = k @ extended
        product, total = sums[:, :-1], sums[:, -1:]
        rows.append((-product + (part * total - product) / (h * h)) / len(x))
    return None, torch.cat(rows)


def svgd_jax(x, h):
    @jax.jit
    def direction(x):
        def one(w):
            z = w - x
            k = jnp.exp(-(z**2).sum(-1) / (2 * h * h))
            return k @ (z / (h * h) - x) / len(x)

        return jax.lax.map(one, x, batch_size=64)

    compiled = direction.lower(x).compile()
    return lambda: (None, compiled(x).block_until_ready())


def stein_kernel(s, dot, h, d):
    """`k s(w).s(v) + 2 f' (s(v) - s(w)).z - 2 d f' - 4 s f''` for the score `s(w) = -w`, without the factor k."""
    return dot - s / (h * h) + d / (h * h) - s / h**4


def stein_keops_autograd(x, h):
    x = x.clone().requires_grad_()
    w, v = LazyTensor(x[:, None, :]), LazyTensor(x[None, :, :])
    s = ((w - v) ** 2).sum(-1)
    u = gaussian(s, h) * stein_kernel(s, (w * v).sum(-1), h, x.shape[1])
    value = u.sum(1).sum() / (2 * len(x) ** 2)
    return value.item(), torch.autograd.grad(value, x)[0]


def stein_keops_by_hand(x, h):
    w, v = LazyTensor(x[:, None, :]), LazyTensor(x[None, :, :])
    z = w - v
    s = (z**2).sum(-1)
    k = gaussian(s, h)
    u = stein_kernel(s, (w * v).sum(-1), h, x.shape[1])
    slope = 2 / (h * h) + 2 / h**4
    sums = LazyTensor.cat((k * u, k * (v - z * (slope + u / (h * h)))), -1).sum(1)
    return sums[:, 0].sum().item() / (2 * len(x) ** 2), sums[:, 1:] / len(x) ** 2


def stein_torch_autograd(x, h):
    rows, total = [], 0.0
    for part in x.split(CHUNK):
        part = part.clone().requires_grad_()
        s = torch.cdist(part, x, compute_mode="donot_use_mm_for_euclid_dist") ** 2
        value = (gaussian(s, h) * stein_kernel(s, part @ x.T, h, x.shape[1])).sum() / len(x) ** 2
        total += value.item() / 2
        rows.append(torch.autograd.grad(value, part)[0])
    return total, torch.cat(rows)


def stein_torch_by_hand(x, h):
    rows, total, ones = [], 0.0, torch.ones(len(x), 1, dtype=x.dtype)
    extended = torch.cat((x, ones), 1)
    for part in x.split(CHUNK):
        s = torch.cdist(part, x, compute_mode="donot_use_mm_for_euclid_dist").square_()
        k = gaussian(s, h)
        ku = k * stein_kernel(s, part @ x.T, h, x.shape[1])
        total += ku.sum().item() / (2 * len(x) ** 2)
        along = (ku / (h * h) + (2 / (h * h) + 2 / h**4) * k) @ extended
        rows.append((k @ x - part * along[:, -1:] + along[:, :-1]) / len(x) ** 2)
    return total, torch.cat(rows)


def stein_jax(x, h):
    @jax.jit
    def gradient(x):
        def one(w):
            def objective(w):
                s = ((w - x) ** 2).sum(-1)
                return (jnp.exp(-s / (2 * h * h)) * stein_kernel(s, x @ w, h, x.shape[1])).mean()

            return jax.value_and_grad(objective)(w)

        values, field = jax.lax.map(one, x, batch_size=64)
        return values.mean() / 2, field / len(x)

    compiled = gradient.lower(x).compile()

    def work():
        value, field = compiled(x)
        return float(value), field.block_until_ready()

    return work


def marginal_errors(x, y, f, g, epsilon):
    """The total variations of both marginals of `exp((f + g - c) / epsilon) / m^2` from the uniform ones, by blocks of rows."""
    f, g = (np.asarray(z, dtype=np.float64).ravel() for z in (f, g))
    columns, rows = np.zeros(len(y)), np.zeros(len(x))
    for start in range(0, len(x), CHUNK):
        part = slice(start, start + CHUNK)
        c = sum((x[part, None, l] - y[None, :, l]) ** 2 for l in range(x.shape[1])) / 2
        plan = np.exp((f[part, None] + g[None, :] - c) / epsilon) / (len(x) * len(y))
        rows[part] = plan.sum(1)
        columns += plan.sum(0)
    return np.abs(rows - 1 / len(x)).sum(), np.abs(columns - 1 / len(y)).sum()


def geomloss(x, y, epsilon, scaling, backend):
    """The potentials of the undebiased problem are those that the loop of GeomLoss returns: no second call is needed for them."""
    loss = SamplesLoss(loss="sinkhorn", p=2, blur=epsilon**0.5, scaling=scaling, backend=backend)
    kept, loop = [], sinkhorn_samples.sinkhorn_loop

    def keeping(*arguments, **options):
        found = loop(*arguments, **options)
        kept[:] = [z.detach().numpy() for z in (found[3], found[2])]  # of x and of y
        return found

    def work():
        points = x.clone().requires_grad_()
        sinkhorn_samples.sinkhorn_loop = keeping
        value = loss(points, y)
        sinkhorn_samples.sinkhorn_loop = loop
        return value.item(), torch.autograd.grad(value, points)[0]

    return work, lambda: kept


def geomloss_scaling(x, y, epsilon, tolerance):
    """The smallest scaling that has the marginal errors on the first points, else the largest one."""
    if "SCALING" in os.environ:
        return float(os.environ["SCALING"])
    x, y = x[:PROBE].double(), y[:PROBE].double()
    for scaling in SCALINGS:
        work, potentials = geomloss(x, y, epsilon, scaling, "tensorized")
        work()
        if max(marginal_errors(x.numpy(), y.numpy(), *potentials(), epsilon)) <= tolerance:
            break
    return scaling


def ott(x, y, epsilon, tolerance):
    # The cost of OTT is |x - y|^2; that of points divided by 2^(1/2) is half of it.
    scale = 2**0.5
    options = {"threshold": tolerance, "max_iterations": 10_000}
    # Costs by blocks of rows: the three matrices, with temporary ones, exceed 8 GiB at 10^4 points in f64.
    online = {"batch_size": ROWS} if len(x) > 2000 else {}

    @jax.jit
    def gradient(x, y):
        def value(x):
            out = sinkhorn_divergence.sinkhorn_divergence(
                pointcloud.PointCloud, x / scale, y / scale, epsilon=epsilon, solve_kwargs=options, **online
            )[1]
            return out.divergence, out.potentials[0]

        return jax.value_and_grad(value, has_aux=True)(x)

    kept, compiled = [], gradient.lower(x, y).compile()

    def work():
        (value, potentials), field = compiled(x, y)
        # Their plan `exp((f + g - c) / epsilon)` has no factor 1/m^2.
        kept[:] = [np.asarray(z) + epsilon * np.log(len(z)) for z in potentials]
        return float(value), field.block_until_ready()

    return work, lambda: kept


def pairs(table, folder, d, x64, y64):
    h = d**0.5
    for scalar, dtype in (("f32", torch.float32), ("f64", torch.float64)):
        x, y = x64.to(dtype), y64.to(dtype)
        jx, jy = jnp.asarray(x.numpy()), jnp.asarray(y.numpy())
        for name, terms in TERMS.items():
            row = f"{name} {d} {scalar}"
            if not re.search(FILTER, row):
                continue
            table.ours(folder, row)
            constant = target_constant(row, y, h)

            def plus(work):
                value, gradient = work()
                return value + constant, gradient

            peers = {
                "KeOps, by hand": lambda: keops_by_hand(x, y, h, terms),
                "KeOps, autograd": lambda: keops_autograd(x, y, h, terms),
                "PyTorch, by hand": lambda: torch_by_hand(x, y, h, terms),
                "PyTorch, cdist, autograd": lambda: torch_autograd(x, y, h, terms, "cdist"),
                "PyTorch, differences, autograd": lambda: torch_autograd(x, y, h, terms, "differences"),
                "JAX": jax_autograd(jx, jy, h, terms),
            }
            if table.points > 2000:  # slower than `cdist` by a factor of 2 to 10
                del peers["PyTorch, differences, autograd"]
            for peer, work in peers.items():
                table.measure(row, peer, lambda: plus(work))
        row = f"svgd {d} {scalar}"
        if re.search(FILTER, row):
            table.ours(folder, row)
            table.measure(row, "KeOps, by hand", lambda: svgd_keops(x, h))
            table.measure(row, "PyTorch, by hand", lambda: svgd_torch(x, h))
            table.measure(row, "JAX", svgd_jax(jx, h))
        row = f"stein {d} {scalar}"
        if re.search(FILTER, row):
            table.ours(folder, row)
            table.measure(row, "KeOps, by hand", lambda: stein_keops_by_hand(x, h))
            table.measure(row, "KeOps, autograd", lambda: stein_keops_autograd(x, h))
            table.measure(row, "PyTorch, by hand", lambda: stein_torch_by_hand(x, h))
            table.measure(row, "PyTorch, cdist, autograd", lambda: stein_torch_autograd(x, h))
            table.measure(row, "JAX", stein_jax(jx, h))


def divergences(table, folder, d, x64, y64):
    for epsilon, tolerance, scalar in (
        (0.05 * d, "1e-3", "f64"),
        (0.05 * d, "1e-3", "f32"),
        (0.05 * d, "1e-6", "f64"),
        (0.005 * d, "1e-3", "f64"),
        (0.005 * d, "1e-3", "f32"),
        (0.005 * d, "1e-6", "f64"),
    ):
        row = f"sinkhorn-{epsilon:g}-{tolerance} {d} {scalar}"
        if not re.search(FILTER, row):
            continue
        table.ours(folder, row)
        x, y = (z.to(torch.float32 if scalar == "f32" else torch.float64) for z in (x64, y64))
        f, g = np.split(table.own[row][2], 3)[:2]

        def record_marginals(peer, f, g):
            errors = table.marginals[row, peer] = marginal_errors(x64.numpy(), y64.numpy(), f, g, epsilon)
            print(f"  {row} {peer}: marginal errors {errors[0]:.2e} and {errors[1]:.2e}", flush=True)

        record_marginals("ours", f, g)
        jx, jy = jnp.asarray(x.numpy()), jnp.asarray(y.numpy())
        peers = {"OTT": lambda: ott(jx, jy, epsilon, float(tolerance))}
        if re.search(PEERS, "GeomLoss"):
            scaling = geomloss_scaling(x, y, epsilon, float(tolerance))
            peers[f"GeomLoss, online, {scaling}"] = lambda: geomloss(x, y, epsilon, scaling, "online")
            if table.points <= 2000 or scalar == "f32":  # four matrices of costs, and temporary ones
                peers[f"GeomLoss, tensorized, {scaling}"] = lambda: geomloss(x, y, epsilon, scaling, "tensorized")
        for peer, make in peers.items():
            if not re.search(PEERS, peer):
                continue
            work, potentials = make()
            # Values and gradients differ by the marginal errors of both.
            table.measure(row, peer, work, tolerance=100 * float(tolerance))
            record_marginals(peer, *potentials())


def run(points, rounds):
    torch.manual_seed(1)
    table = Table(points)
    with tempfile.TemporaryDirectory() as folder:
        clouds = {}
        for d in (2, 10):
            x = torch.randn(points, d, dtype=torch.float64)
            y = torch.randn(points, d, dtype=torch.float64) + 0.5
            clouds[d] = x, y
            for name, cloud in (("x", x), ("y", y)):
                cloud.numpy().tofile(os.path.join(folder, f"{name}_{d}.f64"))
        for _ in range(rounds):
            for d, (x, y) in clouds.items():
                pairs(table, folder, d, x, y)
                divergences(table, folder, d, x, y)
    return table


if __name__ == "__main__":
    run(500, 1)
    run(POINTS, ROUNDS).print()
