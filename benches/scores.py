#!/usr/bin/env python3
"""Test scores of scikit-learn on the splits of the examples `classify`, `digits` and `regression`.

    pip install numpy==2.4.6 scikit-learn==1.9.1
    python3 benches/scores.py

The splits are drawn by the rule of `src/data/split.rs`, from the seeds 0 to 9. Inputs are standardised on the
training part. All models have the default settings of scikit-learn, except the random states and the settings
in the names of the rows; nothing is chosen by scores. The last digits depend on the machine.
"""

import csv
import os
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler

MASK = (1 << 64) - 1
STREAM = 0x5D2F_8A41_93C6_B70E
SPLITS = 10


class SplitMix64:
    def __init__(self, state):
        self.state = state

    def next(self):
        self.state = (self.state + 0x9E37_79B9_7F4A_7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58_476D_1CE4_E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D0_49BB_1331_11EB) & MASK
        return z ^ (z >> 31)


def shuffle(indices, rng):
    """The permutation of Fisher and Yates, with the index `floor(random (i + 1) / 2^64)`."""
    for i in range(len(indices) - 1, 0, -1):
        j = (rng.next() * (i + 1)) >> 64
        indices[i], indices[j] = indices[j], indices[i]


def parts(classes, test, seed):
    """The training part and the test part of lists of indices, `test` of each."""
    rng, train, held_out = SplitMix64(seed ^ STREAM), [], []
    for members in classes:
        members = list(members)
        shuffle(members, rng)
        count = min(max(int(test * len(members) + 0.5), 1), len(members) - 1)
        held_out += members[:count]
        train += members[count:]
    return sorted(train), sorted(held_out)


def random_split(n, test, seed):
    return parts([range(n)], test, seed)


def stratified(labels, test, seed):
    names = sorted(set(labels), key=float)
    return parts([[j for j, y in enumerate(labels) if y == name] for name in names], test, seed)


def table(name):
    path = os.path.join(os.path.dirname(__file__), "..", "data", name)
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def classification(name, label, models):
    rows = table(name)
    y = [row.pop(label) for row in rows]
    x = np.array([[float(value) for value in row.values()] for row in rows])
    scores = {model: [] for model in models}
    for seed in range(SPLITS):
        train, test = stratified(y, 0.2, seed)
        scale = StandardScaler().fit(x[train])
        targets = np.array(y)
        for model, new in models.items():
            fitted = new(seed).fit(scale.transform(x[train]), targets[train])
            scores[model].append(np.mean(fitted.predict(scale.transform(x[test])) == targets[test]))
    report(name, "accuracy", scores)


def regression(name, models):
    rows = table(name)
    y = np.array([float(row["mpg"]) for row in rows])
    numbers = ["cylinders", "displacement", "horsepower", "weight", "acceleration", "year"]
    x = np.array([[float(row[key]) for key in numbers] + [float(row["origin"] == o) for o in "123"] for row in rows])
    scores = {model: [] for model in models}
    for seed in range(SPLITS):
        train, test = random_split(len(y), 0.2, seed)
        scale, mean, deviation = StandardScaler().fit(x[train]), y[train].mean(), y[train].std()
        residual = ((y[test] - y[test].mean()) ** 2).sum()
        for model, new in models.items():
            fitted = new(seed).fit(scale.transform(x[train]), (y[train] - mean) / deviation)
            h = mean + deviation * fitted.predict(scale.transform(x[test]))
            scores[model].append(1 - ((h - y[test]) ** 2).sum() / residual)
    report(name, "R^2", scores)


class KernelClassifier:
    """Kernel ridge regression of one-hot targets; the class is that of the largest prediction."""

    def __init__(self):
        self.model = KernelRidge(kernel="rbf")

    def fit(self, x, y):
        self.classes = np.array(sorted(set(y), key=float))
        self.model.fit(x, (y[:, None] == self.classes[None, :]).astype(float))
        return self

    def predict(self, x):
        return self.classes[self.model.predict(x).argmax(axis=1)]


def report(name, score, scores):
    for model, values in scores.items():
        print(f"| {name} | {model} | {score} {np.mean(values):.3f} +- {np.std(values, ddof=1):.3f} |")


def main():
    # The values that tests/contract/fixed_seeds.rs pins for the Rust side.
    assert random_split(20, 0.25, 7)[1] == [0, 4, 5, 12, 17]
    warnings.simplefilter("ignore", ConvergenceWarning)
    networks = {
        "MLPClassifier": lambda seed: MLPClassifier(random_state=seed),
        "MLPClassifier(early_stopping=True)": lambda seed: MLPClassifier(early_stopping=True, random_state=seed),
        'KernelRidge(kernel="rbf") of one-hot targets': lambda _: KernelClassifier(),
        "LogisticRegression": lambda _: LogisticRegression(),
    }
    classification("wdbc.csv", "benign", networks)
    classification("digits.csv", "digit", networks)
    regression(
        "auto_mpg.csv",
        {
            "MLPRegressor": lambda seed: MLPRegressor(random_state=seed),
            "MLPRegressor(early_stopping=True)": lambda seed: MLPRegressor(early_stopping=True, random_state=seed),
            'KernelRidge(kernel="rbf")': lambda _: KernelRidge(kernel="rbf"),
            "LinearRegression": lambda _: LinearRegression(),
        },
    )


if __name__ == "__main__":
    main()
