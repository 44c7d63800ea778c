"""QuantLib's American engines beside `cargo bench -p pricing --bench american` of the same
minutes.

Needs: pip install QuantLib==1.44. The options are the 200 of
crates/pricing/benches/american.rs, one NPV after a change of spot each; microseconds per
option, the best of five rounds. Python's own share (about a third of a microsecond) is inside.
"""

import math
import time

import QuantLib as ql

COUNT = 200
TODAY = ql.Date(1, 1, 2025)
DAYS = ql.Actual365Fixed()


def spread(index, step, low, high):
    return low + (high - low) * ((index * step) % COUNT) / COUNT


def flat(rate):
    return ql.YieldTermStructureHandle(ql.FlatForward(TODAY, rate, DAYS))


def option(index, engine):
    spot = ql.SimpleQuote(spread(index, 7, 70.0, 130.0))
    vol = ql.BlackConstantVol(TODAY, ql.NullCalendar(), spread(index, 29, 0.12, 0.6), DAYS)
    process = ql.BlackScholesMertonProcess(
        ql.QuoteHandle(spot),
        flat(spread(index, 17, 0.005, 0.06)),
        flat(spread(index, 3, 0.01, 0.08)),
        ql.BlackVolTermStructureHandle(vol),
    )
    kind = ql.Option.Call if index % 2 else ql.Option.Put
    expiry = TODAY + max(7, round(365 * spread(index, 13, 0.02, 2.0)))
    exercise = ql.AmericanExercise(TODAY, expiry)
    made = ql.VanillaOption(ql.PlainVanillaPayoff(kind, 100.0), exercise)
    made.setPricingEngine(engine(process))
    return spot, made


def main():
    ql.Settings.instance().evaluationDate = TODAY
    qd_fp = ql.QdFpAmericanEngine
    engines = {
        "QdFp fast": lambda process: qd_fp(process, qd_fp.fastScheme()),
        "QdFp accurate": lambda process: qd_fp(process, qd_fp.accurateScheme()),
        "FD 100 x 100": lambda process: ql.FdBlackScholesVanillaEngine(process, 100, 100),
    }
    for name, engine in engines.items():
        options = [option(index, engine) for index in range(COUNT)]
        best = math.inf
        for _ in range(5):
            start = time.perf_counter_ns()
            for spot, made in options:
                spot.setValue(spot.value() * (1 + 1e-9))
                made.NPV()
            best = min(best, time.perf_counter_ns() - start)
        print(f"{name}: {best / COUNT / 1000:.1f} us per option")


if __name__ == "__main__":
    main()
