"""Prints what the peers need per option, beside `cargo bench -p pricing` of the same minutes.

Needs: pip install QuantLib==1.44 py_vollib. The options are those of the benchmark `european` of
crates/pricing: 2,048 of them, K 70 to 130, 7 to 730 days, vol 12 to 60 per cent, r 5 and q 2 per
cent. Figures are nanoseconds per option, the best of seven rounds, Python's own share included.
"""

import math
import time

import QuantLib as ql
from py_vollib.black.implied_volatility import implied_volatility as vollib_implied

OPTIONS = 2048
RATE, DIVIDEND_YIELD = 0.05, 0.02


def spread(low, high, step):
    return [low + (high - low) * ((i * step) % OPTIONS) / OPTIONS for i in range(OPTIONS)]


STRIKE = spread(70.0, 130.0, 7)
YEARS = spread(7 / 365, 2.0, 1013)
VOL = spread(0.12, 0.6, 389)


def kind(strike):
    return ql.Option.Call if strike > 100 else ql.Option.Put


def best_ns(work, rounds=7, options=OPTIONS):
    best = math.inf
    for _ in range(rounds):
        start = time.perf_counter_ns()
        work()
        best = min(best, time.perf_counter_ns() - start)
    return best / options


def black_formula():
    for k, t, v in zip(STRIKE, YEARS, VOL):
        ql.blackFormula(kind(k), k, 100.0, v * math.sqrt(t), math.exp(-RATE * t))


def black_calculator():
    for k, t, v in zip(STRIKE, YEARS, VOL):
        payoff = ql.PlainVanillaPayoff(kind(k), k)
        discount = math.exp(-RATE * t)
        of = ql.BlackCalculator(payoff, 100.0, v * math.sqrt(t), discount)
        of.value(), of.delta(100.0), of.gamma(100.0), of.vega(t), of.theta(100.0, t), of.rho(t)


def python_only():
    for k, t, v in zip(STRIKE, YEARS, VOL):
        kind(k), v * math.sqrt(t), math.exp(-RATE * t)


def instrument():
    """One option repriced after a tick of its spot: NPV and five Greeks."""
    today = ql.Date(2, 1, 2026)
    ql.Settings.instance().evaluationDate = today
    day = ql.Actual365Fixed()
    spot = ql.SimpleQuote(100.0)
    flat = lambda rate: ql.YieldTermStructureHandle(ql.FlatForward(today, rate, day))
    vol = ql.BlackVolTermStructureHandle(
        ql.BlackConstantVol(today, ql.NullCalendar(), 0.2, day)
    )
    process = ql.BlackScholesMertonProcess(
        ql.QuoteHandle(spot), flat(DIVIDEND_YIELD), flat(RATE), vol
    )
    option = ql.VanillaOption(
        ql.PlainVanillaPayoff(ql.Option.Put, 100.0), ql.EuropeanExercise(today + 182)
    )
    option.setPricingEngine(ql.AnalyticEuropeanEngine(process))

    def work():
        for i in range(OPTIONS):
            spot.setValue(100.0 + 1e-6 * i)
            option.NPV(), option.delta(), option.gamma()
            option.vega(), option.theta(), option.rho()

    return work


def quotes():
    return [
        ql.blackFormula(kind(k), k, 100.0, v * math.sqrt(t), 1.0)
        for k, t, v in zip(STRIKE, YEARS, VOL)
    ]


def quantlib_implied(prices):
    for k, t, p in zip(STRIKE, YEARS, prices):
        ql.blackFormulaImpliedStdDev(kind(k), k, 100.0, p, 1.0, 0.0, 0.2 * math.sqrt(t), 1e-12)


def vollib(prices):
    for k, t, p in zip(STRIKE, YEARS, prices):
        vollib_implied(p, 100.0, k, 0.0, t, "c" if k > 100 else "p")


if __name__ == "__main__":
    prices = quotes()
    for name, work in [
        ("the loop of Python around each call", python_only),
        ("QuantLib blackFormula, price only", black_formula),
        ("QuantLib BlackCalculator, price and 5 Greeks", black_calculator),
        ("QuantLib AnalyticEuropeanEngine, spot tick, price and 5 Greeks", instrument()),
        ("QuantLib blackFormulaImpliedStdDev to 1e-12", lambda: quantlib_implied(prices)),
        ("py_vollib implied volatility", lambda: vollib(prices)),
    ]:
        print(f"{best_ns(work):12.1f} ns  {name}")
