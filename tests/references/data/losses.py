"""Prints tests/references/data/losses.txt: losses and the softmax cross-entropy at arguments of every size, from 2000 bits.

    python3 tests/references/data/losses.py > tests/references/data/losses.txt

Lines are `LOSS METHOD y x f` with a loss `name:parameter`, a method of the trait `Loss`, the bits of the arguments and of
the nearest f64 in hexadecimal; and `softmax h_0 h_1 h_2 value g_0 g_1 g_2` for the label 0. Needs mpmath.
"""

import random
import struct

from mpmath import mp, mpf, exp, floor, log, log1p, nint

mp.prec = 2000
random.seed(1)


def bits(x):
    return f"{struct.unpack('<Q', struct.pack('<d', x))[0]:016x}"


def nearest(y):
    """The nearest f64, infinite beyond the range."""
    if y == 0:
        return 0.0
    e = max(int(floor(log(abs(y), 2))) - 52, -1074)
    digits = nint(y / mpf(2) ** e)
    if abs(digits) * mpf(2) ** e >= mpf(2) ** 1024:
        return float("inf") if y > 0 else float("-inf")
    return float(int(digits)) * 2.0 ** e if e > -1000 else float(int(digits)) * 2.0 ** (e + 500) * 2.0**-500


def log1pexp(u):
    return log1p(exp(u)) if u < 0 else u + log1p(exp(-u))


def sigmoid(u):
    return 1 / (1 + exp(-u)) if u > 0 else exp(u) / (1 + exp(u))


def xlogx(p):
    return p * log(p) if p > 0 else mpf(0)


def huber(t, r):
    return r * r / 2 if abs(r) <= t else t * (abs(r) - t / 2)


def smooth_hinge(s, m):
    r = max(1 - m, 0)
    return r * r / (2 * s) if r <= s else r - s / 2


# loss: value, derivative, second derivative or None, conjugate, of (parameter, y, x)
REGRESSION = {
    "square": (lambda t, y, h: (h - y) ** 2 / 2, lambda t, y, h: h - y, lambda t, y, h: mpf(1), lambda t, y, u: u * u / 2 + u * y),
    "huber": (
        lambda t, y, h: huber(t, h - y),
        lambda t, y, h: min(max(h - y, -t), t),
        lambda t, y, h: mpf(abs(h - y) < t),
        lambda t, y, u: u * u / 2 + u * y,
    ),
    "quantile": (
        lambda q, y, h: q * (y - h) if y >= h else (1 - q) * (h - y),
        lambda q, y, h: -q if y > h else 1 - q if y < h else mpf(0),
        None,
        lambda q, y, u: u * y,
    ),
}
CLASSIFICATION = {
    "logistic": (
        lambda t, y, h: log1pexp(-y * h),
        lambda t, y, h: -y * sigmoid(-y * h),
        lambda t, y, h: sigmoid(h) * sigmoid(-h),
        lambda t, y, u: xlogx(-u * y) + xlogx(1 + u * y),
    ),
    "exponential": (
        lambda t, y, h: exp(-y * h),
        lambda t, y, h: -y * exp(-y * h),
        lambda t, y, h: exp(-y * h),
        lambda t, y, u: xlogx(-u * y) + u * y,
    ),
    "hinge": (lambda t, y, h: max(1 - y * h, 0), lambda t, y, h: -y if y * h < 1 else mpf(0), None, lambda t, y, u: u * y),
    "smooth_hinge": (
        lambda s, y, h: smooth_hinge(s, y * h),
        lambda s, y, h: -y * min(max(1 - y * h, 0) / s, mpf(1)),
        None,
        lambda s, y, u: s * u * u / 2 + u * y,
    ),
}
PARAMETERS = {
    "square": [0.0],
    "huber": [0.75, 1e-200, 1e200],
    "quantile": [0.25, 1e-300, 1.0 - 1e-12],
    "logistic": [0.0],
    "exponential": [0.0],
    "hinge": [0.0],
    "smooth_hinge": [0.5, 1e-200, 1e200],
}
METHODS = ["value", "derivative", "second_derivative", "conjugate"]
COUNT = 24


def number(i):
    """Sizes near 1, tails of the exponential, and all powers of 2."""
    sign = random.choice((-1, 1))
    if i % 3 == 0:
        return sign * random.uniform(0, 3)
    if i % 3 == 1:
        return sign * random.uniform(0, 800)
    return sign * 2.0 ** random.uniform(-1070, 1000)


for name, functions in {**REGRESSION, **CLASSIFICATION}.items():
    for parameter in PARAMETERS[name]:
        for method, f in zip(METHODS, functions):
            if f is None:
                continue
            for i in range(COUNT):
                y = random.choice((-1.0, 1.0)) if name in CLASSIFICATION else number(i + i // 3)
                x = number(i)
                if name not in CLASSIFICATION and i % 4 == 3:
                    x = y * (1 + random.uniform(-1e-10, 1e-10))  # residuals that cancel
                if name in CLASSIFICATION and i % 4 == 3:
                    x = y * (1 + random.uniform(-1e-10, 1e-10))  # margins near 1
                if method == "conjugate":
                    p = random.random() if i % 2 else 2.0 ** random.uniform(-1000, 0)
                    p = 1 - 2.0 ** random.randint(-53, -1) if i % 6 == 1 else p
                    x = -y * p if name in CLASSIFICATION else x
                    x = parameter * random.uniform(-1, 1) if name == "huber" else x
                    x = random.uniform(-parameter, 1 - parameter) if name == "quantile" else x
                z = nearest(f(mpf(parameter), mpf(y), mpf(x)))
                print(f"{name}:{parameter!r} {method} {bits(y)} {bits(x)} {bits(z)}")

for i in range(150):
    scale = [1, 30, 300, 2000][i % 4]
    h = [random.uniform(-scale, scale) for _ in range(3)]
    if i % 5 == 0:
        h = [x + 1e8 for x in h]
    if i % 7 == 0:
        h[1] = h[0]
    h0, h1, h2 = map(mpf, h)
    total = 1 + exp(h1 - h0) + exp(h2 - h0)
    g1, g2 = exp(h1 - h0) / total, exp(h2 - h0) / total
    numbers = [*h, *map(nearest, [log1p(total - 1), -g1 - g2, g1, g2])]
    print("softmax", *map(bits, numbers))
