"""Seconds to a certified optimum: Frank-Wolfe and proximal steps of wasserflow beside the convex program.

    pip install -r benches/peers/convex/requirements.txt     (in a virtual environment)
    python benches/peers/convex/table.py                     (from the root of the repository)

Problems: d = 2, and d = 3 (two coordinates and a bias), n = 50, 200, 1000, seeds 0 to 2, written by the benchmark
`certified_optimum`. All methods run on one thread to a duality gap of 1e-6 F. F and the certified gap of every
result are computed by wasserflow. Results are appended to a file of JSON lines; those in it are not run again.
A method that reaches its limit on a problem is not run on the other seeds, nor on more samples.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[3]
RELATIVE_GAP = 1e-6
SIZES = [(2, 50), (2, 200), (2, 1000), (3, 50), (3, 200), (3, 1000)]
SEEDS = range(3)
OURS = ("corrective", "sliding", "jko")
CLARABEL = ("clarabel flow qdldl", "clarabel dense qdldl", "clarabel sampled qdldl")
FIRST_ORDER = ("fista", "pyscnn relu", "pyscnn gated")
TITLES = {
    "corrective": "`FrankWolfe::Corrective`", "sliding": "`FrankWolfe::Sliding`", "jko": "`Jko`",
    "clarabel flow qdldl": "convex program, sparse, Clarabel (QDLDL)",
    "clarabel dense qdldl": "convex program as published, Clarabel (QDLDL)",
    "clarabel sampled qdldl": "500 sampled patterns, not all, Clarabel (QDLDL)", "fista": "convex program, FISTA in NumPy",
    "pyscnn relu": "convex program, pyscnn `AL`", "pyscnn gated": "gated relaxation, pyscnn `RFISTA`",
}
# The run with the largest tolerance that leads to a certified gap of at most `RELATIVE_GAP` F is reported. For Clarabel
# it bounds residuals: at its default of 1e-8, F of the network is up to 7e-5 larger than the value of the program.
TOLERANCES = {"clarabel": ("1e-8", "1e-10", "1e-12"), "fista": ("0",), "pyscnn": ("1e-8", "1e-10", "1e-12", "1e-14", "1e-16", "1e-18")}


def program():
    """Builds the Rust program; returns its path."""
    command = ["cargo", "bench", "-p", "wasserflow-benches", "--bench", "certified_optimum", "--no-run", "--message-format=json"]
    lines = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    built = [json.loads(line) for line in lines]
    return next(m["executable"] for m in built if m.get("executable") and m["target"]["name"] == "certified_optimum")


def call(command, options):
    """The last line of output as JSON, or the reason of a failure."""
    env = dict(os.environ, RAYON_NUM_THREADS="1")
    ulimit = f'ulimit -t {options.limit} -v {int(options.memory * 2**20)} && exec "$@"'
    done = subprocess.run(["bash", "-c", ulimit, "bash", *map(str, command)], env=env, capture_output=True, text=True)
    if done.returncode == 0:
        return json.loads(done.stdout.strip().splitlines()[-1])
    if "emory" in done.stderr or "unable to allocate" in done.stderr.lower():
        return {"failed": f"out of memory ({options.memory:g} GiB)"}
    if done.returncode in (-24, -9, 152, 137):
        return {"failed": f"not finished in {options.limit} s"}
    return {"failed": done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit status {done.returncode}"}


def measure(rust, method, problem, options):
    """One method on one problem. `own`: the gap that the method reports; `gap`: the certified gap."""
    if method in OURS:
        result = call([rust, "solve", method, options.decay, problem], options)
        return result if "failed" in result else result | {"own": result["gap"]}
    neurons = options.data / f"neurons_{os.getpid()}.csv"
    here = Path(__file__).parent
    result = {}
    # The gap to all patterns cannot be reached with some of them.
    for tolerance in ("1e-10",) if "sampled" in method else TOLERANCES[method.split()[0]]:
        arguments = [options.decay, RELATIVE_GAP, neurons, tolerance]
        last, result = result, call([sys.executable, here / "run.py", method, problem, *arguments], options)
        if "failed" in result:  # the run before did not reach the gap
            return last | {"stopped": result["failed"]} if last else result
        if "primal" in result:
            result["own"] = result["primal"] - result["dual"]
        if method == "pyscnn gated":
            result |= {"energy": result["primal"], "gap": result["own"]}
        else:
            result |= call([rust, "certify", options.decay, problem, neurons], options)
            neurons.unlink()
        if "failed" in result:
            return result
        if result["gap"] <= RELATIVE_GAP * result["energy"]:
            return result | {"tolerance": tolerance}
    return result


def print_tables(results, options):
    print(f"\nlambda = {options.decay}, gap {RELATIVE_GAP} F, seconds: user (wall), median of the seeds that were run\n")
    sizes = [size for size in SIZES if any(r["size"] == list(size) for r in results)]
    print("| | " + " | ".join(f"d {d}, n {n}" for d, n in sizes) + " |\n|---" + "|---" * len(sizes) + "|")
    lowest = {}
    for r in results:
        if "failed" not in r and r["method"] != "pyscnn gated":
            key = (*r["size"], r["seed"])
            lowest[key] = min(lowest.get(key, float("inf")), r["energy"])
    short = lambda t: f"{t:.2g}" if t < 10 else f"{t:.0f}"
    methods = [m for m in options.methods if any(r["method"] == m for r in results)]
    for method in methods:
        cells = []
        for size in sizes:
            rows = [r for r in results if r["method"] == method and r["size"] == list(size)]
            good = [r for r in rows if "failed" not in r]
            text = ", ".join(sorted({r["failed"] for r in rows if "failed" in r}))
            if good:
                cell = f"{short(median(r['user'] for r in good))} ({short(median(r['wall'] for r in good))})"
                missed = sum(r["gap"] > RELATIVE_GAP * r["energy"] for r in good)
                cell += f", {missed} of {len(good)} above the gap" if missed else ""
                cell += f", {len(good)} seed" if len(good) == 1 else ""
                text = ", ".join(filter(None, (cell, text)))
            cells.append(text or "not run")
        print(f"| {TITLES[method]} | " + " | ".join(cells) + " |")
    print("\nLargest over the seeds: certified gap / F; the gap that the method reports / F; F / smallest F - 1\n")
    print("| | " + " | ".join(f"d {d}, n {n}" for d, n in sizes) + " |\n|---" + "|---" * len(sizes) + "|")
    for method in methods:
        cells = []
        for size in sizes:
            good = [r for r in results if r["method"] == method and r["size"] == list(size) and "failed" not in r]
            if not good:
                cells.append("")
                continue
            gap = max(r["gap"] / r["energy"] for r in good)
            own = max((abs(r["own"]) / r["energy"] for r in good if "own" in r), default=float("nan"))
            excess = max(r["energy"] / lowest[(*size, r["seed"])] - 1 for r in good)
            cells.append(f"{gap:.0e}; {own:.0e}; {excess:.0e}")
        print(f"| {TITLES[method]} | " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decay", default="2e-3", help="lambda")
    parser.add_argument("--limit", type=int, default=600, help="seconds of CPU time a run")
    parser.add_argument("--memory", type=float, default=16.0, help="GiB a run")
    parser.add_argument("--methods", type=lambda s: s.split(","), default=OURS + CLARABEL + FIRST_ORDER, help="separated by commas")
    parser.add_argument("--sizes", type=lambda s: [tuple(map(int, t.split("x"))) for t in s.split(",")], default=SIZES, help="2x50,3x200,..")
    parser.add_argument("--results", type=Path, default=ROOT / "target/convex/results.jsonl")
    parser.add_argument("--print", action="store_true", help="print the tables of the results, run nothing")
    options = parser.parse_args()
    options.data = options.results.parent / "problems"
    options.data.mkdir(parents=True, exist_ok=True)
    results = [json.loads(line) for line in options.results.read_text().splitlines()] if options.results.exists() else []
    if not options.print:
        rust = program()
        subprocess.run([rust, "data", options.data], check=True)
        for method in options.methods:
            for d, n in options.sizes:
                if method in ("fista",) and d == 3 or method == "clarabel sampled qdldl" and d == 2:
                    continue
                for seed in SEEDS:
                    mine = [r for r in results if r["method"] == method and r["decay"] == options.decay]
                    stopped = any("failed" in r and r["size"][0] == d and r["size"][1] <= n for r in mine)
                    if stopped or any(r["size"] == [d, n] and r["seed"] == seed for r in mine):
                        continue
                    result = measure(rust, method, options.data / f"d{d}_n{n}_s{seed}.csv", options)
                    result |= {"method": method, "size": [d, n], "seed": seed, "decay": options.decay}
                    results.append(result)
                    print(json.dumps(result), flush=True)
                    with options.results.open("a") as file:
                        file.write(json.dumps(result) + "\n")
    print_tables([r for r in results if r["decay"] == options.decay], options)
    print(f"\n{platform.platform()}, Python {platform.python_version()}")


if __name__ == "__main__":
    main()
