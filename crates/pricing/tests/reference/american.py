"""Makes american_quantlib.csv (arguments: narrow or wide, and how many) with QuantLib 1.44, and,
with the argument lanes, the coefficients of `tail` in src/american/lane.rs (mpmath).
"""

import QuantLib as ql, numpy as np, sys


def lanes(k=6, n=23):
    from mpmath import mp, mpf, erfc, exp, sqrt, cos, pi

    mp.dps = 50
    tail = lambda y: erfc(y / sqrt(2)) * exp(y * y / 2) / 2
    f = lambda t: 1 / sqrt(2 * pi) if t >= 1 else (2 * k / (1 - t)) * tail(2 * k / (1 - t) - k)
    M = 64
    xs = [cos(pi * (j + mpf(1) / 2) / M) for j in range(M)]
    fs = [f(x) for x in xs]
    c = [
        (2 if m else 1) * sum(fs[j] * cos(pi * m * (j + mpf(1) / 2) / M) for j in range(M)) / M
        for m in range(n)
    ]
    T = [[mpf(1)], [mpf(0), mpf(1)]]
    while len(T) < n:
        t = [mpf(0)] + [2 * a for a in T[-1]]
        for j, a in enumerate(T[-2]):
            t[j] -= a
        T.append(t)
    out = [mpf(0)] * n
    for i in range(n):
        for j, a in enumerate(T[i]):
            out[j] += c[i] * a
    print([float(x) for x in out])


class P:
    def __init__(s):
        s.today = ql.Date(1, 1, 2025)
        ql.Settings.instance().evaluationDate = s.today
        s.dc = ql.Actual365Fixed()

    def inst(s, kind, S, K, r, q, days, v):
        sp = ql.SimpleQuote(S)
        proc = ql.BlackScholesMertonProcess(
            ql.QuoteHandle(sp),
            ql.YieldTermStructureHandle(ql.FlatForward(s.today, q, s.dc)),
            ql.YieldTermStructureHandle(ql.FlatForward(s.today, r, s.dc)),
            ql.BlackVolTermStructureHandle(
                ql.BlackConstantVol(s.today, ql.NullCalendar(), v, s.dc)
            ),
        )
        mat = s.today + int(days)
        o = ql.VanillaOption(
            ql.PlainVanillaPayoff(ql.Option.Call if kind else ql.Option.Put, K),
            ql.AmericanExercise(s.today, mat),
        )
        return sp, proc, o

    def hp(s, kind, S, K, r, q, days, v, fp):
        sp, proc, o = s.inst(kind, S, K, r, q, days, v)
        o.setPricingEngine(
            ql.QdFpAmericanEngine(
                proc,
                (
                    ql.QdFpAmericanEngine.highPrecisionScheme()
                    if fp != 9
                    else ql.QdFpTanhSinhIterationScheme(20, 40, 1e-12)
                ),
                ql.QdFpAmericanEngine.FP_A if fp == 0 else ql.QdFpAmericanEngine.FP_B,
            )
        )
        return o.NPV()


if __name__ == "__main__":
    if sys.argv[1] == "lanes":
        lanes()
        sys.exit()
    p = P()
    rng = np.random.default_rng(7)
    mode = sys.argv[1]
    n = int(sys.argv[2])
    import math

    out = open(f"ref_{mode}.csv", "w")
    for i in range(n):
        U = lambda a, b: a + (b - a) * rng.random()
        if mode == "narrow":
            S, r, q, v, d = (
                U(70, 130),
                U(0.01, 0.08),
                U(0.005, 0.06),
                U(0.12, 0.6),
                int(U(7, 730)),
            )
        else:
            S, r, q, v, d = (
                math.exp(U(-0.7, 0.7)) * 100,
                U(0.001, 0.15),
                U(-0.03, 0.15),
                math.exp(U(math.log(0.05), math.log(1.5))),
                int(math.exp(U(0, math.log(3650)))),
            )
        k = i % 2
        if mode != "narrow" and k == 1:
            r, q = q, r  # call: symmetric put has r>0
        try:
            a = p.hp(k, S, 100, r, q, d, v, 0)
        except Exception as e:
            a = float("nan")
        try:
            b = p.hp(k, S, 100, r, q, d, v, 1)
        except Exception as e:
            b = float("nan")
        out.write(f"{k},{S!r},100.0,{r!r},{q!r},{d/365!r},{v!r},{a!r},{b!r}\n")
        out.flush()
