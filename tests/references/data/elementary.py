"""Reference values of the smooth activations in f64, computed with mpmath in 400 bits.

usage: python3 elementary.py POINTS > elementary.txt

A line is `function x y e`: the bits of x and of the nearest f64 y in hexadecimal, and (f(x) - y) in 2^-12 units in the last
place of y."""
import random, struct, sys
from mpmath import mp, mpf, exp, expm1, log1p, tanh, erf, erfc, sin, cos, sqrt, pi, floor, log, nint

mp.prec = 400
random.seed(1)


def bits(x):
    return struct.unpack("<Q", struct.pack("<d", x))[0]


def nearest(y):
    """The f64 nearest to y, and the spacing there; mpmath rounds to 53 bits, here subnormals are rounded to theirs."""
    if y == 0:
        return 0.0, mpf(2) ** -1074
    e = max(int(floor(log(abs(y), 2))), -1022) - 52
    e = max(e, -1074)
    return float(nint(y / mpf(2) ** e) * mpf(2) ** e), mpf(2) ** e


def sigmoid(x):
    return 1 / (1 + exp(-x)) if x > 0 else exp(x) / (1 + exp(x))


def cdf(x):
    return erfc(-x / sqrt(mpf(2))) / 2


def bell(x):
    return exp(-x * x / 2) / sqrt(2 * pi)


FUNCTIONS = {
    "tanh": (tanh, 21),
    "sigmoid": (sigmoid, 746),
    "softplus": (lambda x: log1p(exp(x)) if x < 0 else x + log1p(exp(-x)), 746),
    "erf": (erf, 6),
    "erf'": (lambda x: 2 / sqrt(pi) * exp(-x * x), 27.3),
    "gelu": (lambda x: x * cdf(x), 38.6),
    "gelu'": (lambda x: cdf(x) + x * bell(x), 38.6),
    "silu": (lambda x: x * sigmoid(x), 746),
    "sine": (sin, 1e6),
    "cosine": (cos, 1e6),
    "tanh'": (lambda x: 4 * exp(-2 * abs(x)) / (1 + exp(-2 * abs(x))) ** 2, 373),
    "sigmoid'": (lambda x: exp(-abs(x)) / (1 + exp(-abs(x))) ** 2, 746),
    "silu'": (lambda x: sigmoid(x) * (1 + x * sigmoid(-x)), 746),
}


def points(count, limit):
    edges = [0.17328679513998632, 0.3465735902799726, 0.41421356237309503, 0.8813735870195430, 1.0, 3.5, 19.0, 709.0, 744.4]
    edges += [k * 1.5707963267948966 for k in (1, 2, 3, 4, 31, 355, 4657, 208341, 573204)]
    for x in edges:
        for x in (x, struct.unpack("<d", struct.pack("<Q", bits(x) + 1))[0], struct.unpack("<d", struct.pack("<Q", bits(x) - 1))[0]):
            if x <= limit:
                yield x
                yield -x
    for i in range(count):
        sign = random.choice((-1, 1))
        kind = i % 4
        if kind == 0:
            yield sign * random.uniform(0, limit)
        elif kind == 1:
            yield sign * random.uniform(0, min(limit, 3.0))
        elif kind == 2:
            yield sign * 2.0 ** random.uniform(-12, log(limit, 2))
        else:
            yield sign * 2.0 ** random.uniform(-1074, log(limit, 2))


def positive_points(count):
    """Normal arguments of the logarithm: near 1, where it vanishes, where its reduction changes, and everywhere."""
    for x in (1.0, 0.7071067811865476, 1.4142135623730951, 2.0, 2.2250738585072014e-308, 1.7976931348623157e308):
        for k in (-2, -1, 0, 1, 2):
            x2 = struct.unpack("<d", struct.pack("<Q", bits(x) + k))[0]
            if 2.2250738585072014e-308 <= x2 < float("inf"):
                yield x2
    for i in range(count):
        yield 1.0 + random.choice((-0.5, 1)) * 2.0 ** random.uniform(-52, 0) if i % 2 else 2.0 ** random.uniform(-1022, 1024)


def line(name, f, x):
    y, ulp = nearest(f(mpf(x)))
    print(f"{name} {bits(x):016x} {bits(y):016x} {int(nint((f(mpf(x)) - mpf(y)) / ulp * 4096))}")


for name, (f, limit) in FUNCTIONS.items():
    for x in map(float, points(int(sys.argv[1]), limit)):
        line(name, f, x)
for x in map(float, positive_points(int(sys.argv[1]))):
    line("log", log, x)
