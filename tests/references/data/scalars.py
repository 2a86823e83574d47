"""Prints tests/references/data/scalars.txt: activations and losses with their derivatives, from 600 digits (exp(-600) is not lost beside 1).

    python3 tests/references/data/scalars.py > tests/references/data/scalars.txt

Lines are `activation NAME u sigma(u) sigma'(u)` and `loss NAME y h l(y, h) dl/dh(y, h)`, in numbers that parse to
the nearest double. The formulas are the definitions, without care for overflow. Needs mpmath.
"""

from mpmath import mp, mpf, cos, diff, erf, erfc, exp, log, pi, sin, sqrt, tanh

mp.dps = 600

ACTIVATIONS = {
    "relu": (lambda u: max(u, 0), lambda u: mpf(u > 0)),
    "leaky_relu": (lambda u: u if u > 0 else u / 8, lambda u: mpf(1) if u > 0 else mpf(1) / 8),
    "relu_power_3": (lambda u: max(u, 0) ** 3, lambda u: 3 * max(u, 0) ** 2),
    "abs": (abs, lambda u: mpf((u > 0) - (u < 0))),
    "identity": (lambda u: u, lambda u: mpf(1)),
    "softplus": (lambda u: log(1 + exp(u)), lambda u: 1 / (1 + exp(-u))),
    "tanh": (tanh, lambda u: 1 / ((exp(u) + exp(-u)) / 2) ** 2),
    "sigmoid": (lambda u: 1 / (1 + exp(-u)), lambda u: exp(-u) / (1 + exp(-u)) ** 2),
    "erf": (erf, lambda u: 2 / sqrt(pi) * exp(-u * u)),
    "gelu": (
        lambda u: u * erfc(-u / sqrt(2)) / 2,
        lambda u: erfc(-u / sqrt(2)) / 2 + u * exp(-u * u / 2) / sqrt(2 * pi),
    ),
    "silu": (lambda u: u / (1 + exp(-u)), lambda u: 1 / (1 + exp(-u)) + u * exp(-u) / (1 + exp(-u)) ** 2),
    "sine": (sin, cos),
}
POINTS = [-600, -30, -5.5, -2, -1.25, -0.5, -1e-3, -1e-9, 1e-9, 1e-3, 0.375, 0.5, 1, 1.75, 3, 5.5, 30, 600]

LOSSES = {
    "square": (lambda y, h: (h - y) ** 2 / 2, lambda y, h: h - y),
    "huber": (
        lambda y, h: (h - y) ** 2 / 2 if abs(h - y) <= 0.75 else mpf(0.75) * (abs(h - y) - mpf(0.375)),
        lambda y, h: min(max(h - y, mpf(-0.75)), mpf(0.75)),
    ),
    "quantile": (
        lambda y, h: (y - h) / 4 if y >= h else (h - y) * 3 / 4,
        lambda y, h: -mpf(1) / 4 if y > h else mpf(3) / 4,
    ),
    "logistic": (lambda y, h: log(1 + exp(-y * h)), lambda y, h: -y / (1 + exp(y * h))),
    "exponential": (lambda y, h: exp(-y * h), lambda y, h: -y * exp(-y * h)),
    "hinge": (lambda y, h: max(1 - y * h, 0), lambda y, h: -y if y * h < 1 else mpf(0)),
    "smooth_hinge": (
        lambda y, h: (lambda r: r * r if r <= 0.5 else r - mpf(1) / 4)(max(1 - y * h, 0)),
        lambda y, h: -y * min(2 * max(1 - y * h, 0), mpf(1)),
    ),
}
PREDICTIONS = [-600, -40, -3, -1.25, -0.5, -1e-6, 0, 1e-6, 0.25, 0.625, 0.75, 1.5, 2.25, 7, 40, 600]


def number(x):
    """17 digits; what underflows a double is 0, as it must be."""
    x = float(x)
    return "0" if x == 0 else repr(x)


for name, (value, derivative) in ACTIVATIONS.items():
    for u in map(mpf, POINTS):
        # The derivative is checked against the definition of the function, away from its kink.
        if abs(u) > 1e-4 and abs(u) < 100:
            slope = diff(value, u, h=mpf(10) ** -20)
            assert abs(slope - derivative(u)) <= mpf(10) ** -15 * (abs(slope) + mpf(10) ** -10), (name, u)
        print("activation", name, number(u), number(value(u)), number(derivative(u)))
for name, (value, derivative) in LOSSES.items():
    for y in map(mpf, [-1, 1]):
        for h in map(mpf, PREDICTIONS):
            print("loss", name, number(y), number(h), number(value(y, h)), number(derivative(y, h)))
