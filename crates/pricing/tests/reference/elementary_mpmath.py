"""Writes elementary_mpmath.csv: arguments as exact binary64, values to 25 digits (needs mpmath)."""

import random

import mpmath as mp

mp.mp.dps = 60
random.seed(20261127)

FUNCTIONS = {
    "exp": lambda x: mp.exp(x),
    "ln": lambda x: mp.log(x),
    "normal_cdf": lambda x: mp.erfc(-x / mp.sqrt(2)) / 2,
    "normal_density": lambda x: mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi),
    "erfc": lambda x: mp.erfc(x),
}


def uniform(low, high, count):
    return [random.uniform(low, high) for _ in range(count)]


def powers(low, high, count, sign=1):
    return [sign * 10 ** random.uniform(low, high) for _ in range(count)]


ARGUMENTS = {
    "exp": [0.0, 709.78, -708.4, -740.0, -745.13]
    + uniform(-745, 709, 60)
    + uniform(-2, 2, 40)
    + powers(-18, -1, 15)
    + powers(-18, -1, 15, -1),
    "ln": [1.0, 5e-324, 2.2e-308, 1.7e308, 0.9999999999999999, 1.0000000000000002]
    + powers(-308, 308, 40)
    + uniform(0.4, 2.6, 50)
    + [1 + d for d in uniform(-1e-3, 1e-3, 30)],
    "normal_cdf": [0.0] + uniform(-38.4, 8, 60) + uniform(-4, 4, 50) + powers(-12, -1, 10, -1),
    "normal_density": [0.0] + uniform(-38.4, 38.4, 40) + uniform(-4, 4, 30),
    "erfc": [0.0] + uniform(-6, 27.2, 60) + uniform(-3, 3, 40) + powers(-12, -1, 10),
    "erfcx": [0.0] + uniform(0, 30, 50) + uniform(-26, 2, 40) + powers(0, 150, 30),
}

with open("elementary_mpmath.csv", "w", encoding="utf-8") as out:
    out.write("# COMPUTED with mpmath, 60 digits, by elementary_mpmath.py:\n")
    out.write("# x is the exact binary64\n")
    out.write("function,x,value\n")
    for name, arguments in ARGUMENTS.items():
        for x in sorted(arguments):
            out.write(f"{name},{x!r},{mp.nstr(FUNCTIONS[name](mp.mpf(x)), 25)}\n")
