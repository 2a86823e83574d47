#!/usr/bin/env python3
"""More threads than cores: an Euler step on 8 threads beside the same step on 2, in turn in one run.

    python benches/threads.py                            # 2 and 8 threads, four shapes, f32 and f64
    python benches/threads.py --threads 4 64 1000,10,1000

For machines with as many cores as the first number of threads. Wall and CPU time of all threads, in milliseconds: the
least call of each of ROUNDS rounds, and the median of the rounds. The loss is that of the second number of threads.
"""

import argparse
import statistics
import subprocess

SHAPES = "1000,10,1000 1000,100,2000 128,784,1000 1797,65,4096"


def build():
    """The path of the benchmark `gradient`."""
    command = "cargo bench -p wasserflow-benches --bench gradient --no-run --message-format short"
    report = subprocess.run(command.split(), stderr=subprocess.PIPE, text=True, check=True).stderr
    return report.rsplit("(", 1)[1].split(")")[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shapes", nargs="*", default=SHAPES.split(), help="n,d,m")
    parser.add_argument("--threads", type=int, nargs=2, default=[2, 8])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.2, help="of a measurement")
    parser.add_argument("--bench", help="the compiled benchmark `gradient`; built if it is not given")
    arguments = parser.parse_args()
    path = arguments.bench or build()
    process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(request):
        process.stdin.write(request + "\n")
        process.stdin.flush()
        return float(process.stdout.readline())

    few, many = arguments.threads
    print(f"| n, d, m | | wall, {few} | {many} | loss | CPU, {few} | {many} | loss |\n|---|---|---|---|---|---|---|---|")
    for shape in arguments.shapes:
        for scalar in "f32", "f64":
            cells = []
            for clock in "", "cpu":
                times = {few: [], many: []}
                for _ in range(arguments.rounds):
                    for threads in few, many:
                        request = f"step {shape.replace(',', ' ')} {scalar} {threads} {arguments.seconds} {clock}"
                        times[threads].append(ask(request))
                loss = statistics.median(b / a for a, b in zip(times[few], times[many])) - 1
                cells += [f"{statistics.median(values):.3g}" for values in times.values()] + [f"{loss:+.1%}"]
            print(f"| {shape.replace(',', ', ')} | {scalar} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
