"""Writes european_dense_mpmath.csv: random undiscounted options, exact to 25 digits (needs mpmath).

Inputs are the exact binary64; the values are those of the out-of-the-money option at the strike.
"""

import random

import mpmath as mp

mp.mp.dps = 60
random.seed(20261128)


def row():
    while True:
        years = 10 ** random.uniform(-3.5, 1.5)
        vol = 10 ** random.uniform(-2, 0.6)
        total = vol * years**0.5
        depth = random.choice(
            [random.uniform(0, 1.5), random.uniform(0, 6), random.uniform(0, 36)]
        )
        strike = 100 * float(mp.exp(random.choice([-1, 1]) * depth * total))
        if 1e-4 < strike < 1e6:
            break
    f, k, t, v = mp.mpf(100), mp.mpf(strike), mp.mpf(years), mp.mpf(vol)
    s = v * mp.sqrt(t)
    d1 = mp.log(f / k) / s + s / 2
    sign = 1 if strike > 100 else -1
    cdf = lambda x: mp.erfc(-x / mp.sqrt(2)) / 2
    density = mp.exp(-d1 * d1 / 2) / mp.sqrt(2 * mp.pi)
    price = sign * (f * cdf(sign * d1) - k * cdf(sign * (d1 - s)))
    values = [price, sign * cdf(sign * d1), density / (f * s), f * density * mp.sqrt(t)]
    kind = "call" if sign == 1 else "put"
    return ",".join(
        [kind, repr(strike), repr(years), repr(vol)] + [mp.nstr(x, 20) for x in values]
    )


with open("european_dense_mpmath.csv", "w", encoding="utf-8") as out:
    out.write("# COMPUTED with mpmath, 60 digits, by european_dense_mpmath.py:\n")
    out.write("# forward 100, no rate\n")
    out.write("type,K,T,vol,price,delta,gamma,vega\n")
    for _ in range(400):
        out.write(row() + "\n")
