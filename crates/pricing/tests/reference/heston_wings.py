"""Writes heston_wings.csv: Heston out of the money, to 1e-55 of the forward.

Lewis' integral (Option Valuation under Stochastic Volatility, 2000) on its own line, imaginary part
one half, in so many digits that the cancellation there does not matter: nothing is shared with the
saddle point of the code under test. The trapezoidal rule on a strip without singularities
(Trefethen, Weideman, SIAM Review 56, 2014), accepted where twice the step gives the same 20 digits.
Inputs are binary64 numbers, exactly. Needs mpmath.
"""

import random

from mpmath import exp, log, mp, mpc, mpf, nstr, pi, sqrt

random.seed(20261128)
# Models, digits, steps per unit, and strikes in deviations: the second part lies deeper.
PARTS = [(10, 90, 64, [2, 4, 7, 11]), (4, 150, 128, [9, 14, 20])]


def characteristic(u, years, v0, kappa, theta, sigma, rho):
    """E[exp(i u ln(S / F))], without jumps of the logarithm."""
    i_u = mpc(0, 1) * u
    b = kappa - rho * sigma * i_u
    d = sqrt(b * b + sigma * sigma * (u * u + i_u))
    g = (b - d) / (b + d)
    decay = exp(-d * years)
    level = (b - d) * years - 2 * log((1 - g * decay) / (1 - g))
    slope = (b - d) * (1 - decay) / (1 - g * decay)
    return exp(kappa * theta / sigma**2 * level + v0 / sigma**2 * slope)


def grid(parameters, size):
    """phi(u - i/2) / (u^2 + 1/4) at the multiples of the step, until nothing is left."""
    values, index = [], 0
    while True:
        u = index * size
        value = characteristic(mpc(u, mpf(-1) / 2), *parameters) / (u * u + mpf(1) / 4)
        values.append(value)
        if abs(value) < mpf(10) ** (-mp.dps + 5):
            return values
        index += 1


def out_of_the_money(values, ratio, size):
    """The put below and the call above the forward, over the forward."""
    k = -log(ratio)
    turn, step = mpc(1), exp(mpc(0, 1) * size * k)
    sums = [mpf(0), mpf(0)]
    for index, value in enumerate(values):
        term = (turn * value).real * (mpf(1) / 2 if index == 0 else 1)
        sums[0] += term
        if index % 2 == 0:
            sums[1] += term
        turn *= step
    fine, coarse = sums[0] * size, sums[1] * 2 * size
    least = min(mpf(1), ratio)
    price = [least - sqrt(ratio) / pi * own for own in (fine, coarse)]
    return price[0], abs(price[1] / price[0] - 1)


def rows(deviations, size):
    numbers = [
        round(random.uniform(0.1, 2.5), 2),
        round(random.uniform(0.01, 0.2), 3),
        round(random.uniform(0.5, 6.0), 1),
        round(random.uniform(0.02, 0.2), 3),
        round(random.uniform(0.15, 1.1), 2),
        round(random.uniform(-0.9, 0.4), 2),
    ]
    values = grid([mpf(own) for own in numbers], size)
    deviation = (max(numbers[1], numbers[3]) * numbers[0]) ** 0.5
    for side in (-1, 1):
        for count in deviations:
            ratio = float(nstr(exp(side * count * deviation), 6))
            price, error = out_of_the_money(values, mpf(ratio), size)
            if error > mpf(10) ** -20:
                continue
            kind = "put" if side < 0 else "call"
            texts = ",".join(str(own) for own in [ratio] + numbers)
            print(f"{kind},{texts},{nstr(price, 18)}", flush=True)


def main():
    print("# By crates/pricing/tests/reference/heston_wings.py, mpmath; over the forward")
    print("kind,ratio,years,v0,kappa,theta,sigma,rho,value")
    for models, digits, steps, deviations in PARTS:
        mp.dps = digits
        for _ in range(models):
            rows(deviations, mpf(1) / steps)


if __name__ == "__main__":
    main()
