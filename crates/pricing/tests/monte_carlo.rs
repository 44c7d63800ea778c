//! Monte Carlo against closed forms and proven bounds, within four standard errors. Seeds are
//! fixed, so these can't fail by chance.

use pricing::black::OptionKind::{Call, Put};
use pricing::exotics::asian::{self, Average};
use pricing::exotics::barrier::{self, Barrier, Knock, Side};
use pricing::exotics::{Payoff, Price, Underlying, european};
use pricing::monte_carlo::autocallable::{self, Autocallable};
use pricing::monte_carlo::{Effort, MonteCarloRefusal, PathPayoff, estimate};

const MARKET: Underlying =
    Underlying { spot: 100.0, years: 1.0, vol: 0.25, rate: 0.04, dividend_yield: 0.01 };
const EFFORT: Effort = Effort { paths_log2: 13, repetitions: 16, seed: 20_200_106 };

fn near(found: &Price, expected: &Price) {
    let difference = (found.value - expected.value).abs();
    assert!(difference <= found.error.reach() + expected.error.reach(), "{found:?} {expected:?}");
}

#[test]
fn arithmetic_averages_lie_between_their_bounds() {
    for (kind, strike, vol) in [(Call, 100.0, 0.25), (Put, 90.0, 0.4), (Call, 120.0, 0.6)] {
        let market = Underlying { vol, ..MARKET };
        let found = estimate(&market, &PathPayoff::Average { strike, kind }, 12, &EFFORT).unwrap();
        let average = Average { first: 1.0 / 12.0, fixings: 12, strike, kind };
        near(&found, &asian::conditioned(&market, &average).unwrap());
        near(&found, &asian::by_moments(&market, &average).unwrap());
        assert!(found.error.reach() < 0.01, "the control variate does its work: {found:?}");
    }
}

#[test]
fn barriers_watched_at_intervals_agree_with_the_moved_barrier() {
    for (level, side, kind) in
        [(85.0, Side::Down, Call), (130.0, Side::Up, Put), (140.0, Side::Up, Call)]
    {
        for steps in [12, 52] {
            let payoff = PathPayoff::KnockOut { strike: 100.0, kind, level, side };
            let found = estimate(&MARKET, &payoff, steps, &EFFORT).unwrap();
            let barrier = Barrier { level, side, knock: Knock::Out, rebate: 0.0 };
            let vanilla = Payoff::Vanilla { strike: 100.0, kind };
            near(&found, &barrier::watched(&MARKET, &vanilla, &barrier, steps).unwrap());
        }
    }
}

#[test]
fn a_lookback_on_one_date_is_a_vanilla_option_and_more_dates_are_worth_more() {
    let payoff = PathPayoff::Lookback { strike: 105.0, kind: Call };
    let one = estimate(&MARKET, &payoff, 1, &EFFORT).unwrap();
    near(&one, &european(&MARKET, &Payoff::Vanilla { strike: 105.0, kind: Call }).unwrap());
    let few = estimate(&MARKET, &payoff, 4, &EFFORT).unwrap();
    let many = estimate(&MARKET, &payoff, 64, &EFFORT).unwrap();
    assert!(one.value < few.value && few.value < many.value);
}

const NOTE: Autocallable =
    Autocallable { dates: 1, call_level: 105.0, coupon: 0.08, protection: 80.0, strike: 100.0 };

#[test]
fn a_note_with_one_date_is_three_digitals() {
    let effort = Effort { paths_log2: 11, ..EFFORT };
    let found = autocallable::estimate(&MARKET, &NOTE, &effort).unwrap();
    let digital = |strike, cash, kind| {
        european(&MARKET, &Payoff::CashOrNothing { strike, cash, kind }).unwrap().value
    };
    let asset = Payoff::AssetOrNothing { strike: 80.0, kind: Put };
    let value = digital(105.0, 1.08, Call) + digital(105.0, 1.0, Put) - digital(80.0, 1.0, Put)
        + european(&MARKET, &asset).unwrap().value / 100.0;
    assert!((found.value - value).abs() <= found.error.reach(), "{found:?} {value}");
}

#[test]
fn a_note_that_is_surely_called_is_a_bond_and_smooth_in_the_spot() {
    let effort = Effort { paths_log2: 8, ..EFFORT };
    let note = Autocallable { dates: 4, call_level: 1e-3, protection: 0.0, ..NOTE };
    let found = autocallable::estimate(&MARKET, &note, &effort).unwrap();
    assert!((found.value - 1.08 * (-0.01f64).exp()).abs() < 1e-9, "{found:?}");
    // One-step survival: with the same points, a second difference has no jumps in it.
    let note = Autocallable { dates: 4, protection: 0.0, ..NOTE };
    let at = |spot| {
        autocallable::estimate(&Underlying { spot, ..MARKET }, &note, &effort).unwrap().value
    };
    let second = (at(100.01) - 2.0 * at(100.0) + at(99.99)) / 1e-4;
    assert!(second.abs() < 0.01, "{second}");
}

#[test]
fn what_can_not_be_simulated_is_refused() {
    let payoff = PathPayoff::Lookback { strike: 105.0, kind: Call };
    for steps in [0, 65] {
        let refusal = estimate(&MARKET, &payoff, steps, &EFFORT).unwrap_err();
        assert_eq!(refusal, MonteCarloRefusal::Dates { count: steps });
    }
    let lazy = Effort { repetitions: 1, ..EFFORT };
    assert_eq!(estimate(&MARKET, &payoff, 4, &lazy), Err(MonteCarloRefusal::Effort));
    for bad in [f64::NAN, f64::INFINITY, 0.0, -1.0, 1e300] {
        let market = Underlying { vol: bad, ..MARKET };
        assert!(estimate(&market, &payoff, 4, &EFFORT).is_err());
        assert!(autocallable::estimate(&market, &NOTE, &EFFORT).is_err());
    }
}
