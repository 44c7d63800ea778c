//! Options on a stock that pays cash dividends, in the spot model: the stock drops by the cash at
//! each ex-date and is a geometric Brownian motion in between (a spot below its dividend drops to
//! zero). Never the escrowed model, which prices a different process.
//!
//! Exists because American stock options differ from options on a yield by more than their spread.
//! Calls are exercised just before an ex-date or not at all, so they are chains of integrals
//! (`backward`); so are Europeans. Puts are exercised in between and get a boundary for each period
//! (`period`). The class of the error is part of the answer. Dividends on or before now, and on or
//! after expiry, have no effect.
//!
//! Units as in `american`. Where `american` says strike, the error of calls is per 100 of strike
//! too.

#![expect(
    clippy::neg_cmp_op_on_partial_ord,
    reason = "a comparison that is not true also catches not-a-number"
)]
#![expect(
    clippy::needless_range_loop,
    reason = "numerical loops over several arrays of one length"
)]

mod backward;
mod payoff;
mod period;
mod put;

use crate::american::premium::Tick;
use crate::american::{self, Accuracy, AmericanGreeks, ErrorClass, implied};
use crate::black::{OptionKind, Refusal, SpotContract};
use crate::grid;
use crate::implied::NoVol;
use payoff::{Jet, Market};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Dividends that one option may see.
const DIVIDENDS_MAX: usize = 64;

/// What exercise between ex-dates may be worth, per strike, to be left out.
const NEGLIGIBLE: f64 = 1e-9;
/// Half widths of differences: a share of the vol, and an absolute rate.
const VOL_BUMP: f64 = 1e-3;
const RATE_BUMP: f64 = 1e-5;
const YIELD_BUMP: f64 = 1e-5;

/// Cash that the stock drops by at its ex-date.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CashDividend {
    /// Years from now to the ex-date.
    pub years: f64,
    /// Cash, in the spot's currency.
    pub cash: f64,
}

/// When the holder may exercise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Exercise {
    /// At expiry only.
    European,
    /// At any time.
    American,
}

/// Why there is no price.
#[derive(Debug, Clone, Copy, PartialEq, Error, Serialize, Deserialize)]
pub enum DividendRefusal {
    /// The option itself can't be priced.
    #[error(transparent)]
    Contract(#[from] Refusal),
    /// A dividend is NaN, infinite or negative.
    #[error("dividend {index} is not a finite amount of zero or more at a finite time; check it")]
    NotADividend {
        /// Position in the schedule.
        index: usize,
    },
    /// Ex-dates are not in ascending order.
    #[error("dividend {index} is before the one in front of it; sort the schedule")]
    NotAscending {
        /// Position of the dividend that is too early.
        index: usize,
    },
    /// More dividends before expiry than are computed with.
    #[error("{count} dividends before expiry, at most 64 are computed with; use a yield instead")]
    TooMany {
        /// Dividends before expiry.
        count: usize,
    },
    /// A regime for which no method here has a stated error.
    #[error("no method with a stated error for this rate and yield with cash dividends")]
    NoMethod,
}

/// A dividend in units of the strike.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Drop {
    years: f64,
    cash: f64,
}

/// Price and Greeks of one contract with its schedule of dividends, or why there are none. Without
/// dividends the American engine or Black's formula answers.
pub fn price_and_greeks(
    exercise: Exercise,
    contract: &SpotContract,
    dividends: &[CashDividend],
    accuracy: Accuracy,
) -> Result<AmericanGreeks, DividendRefusal> {
    let drops = drops(contract, dividends)?;
    if drops.is_empty() && exercise == Exercise::American {
        return Ok(american::price_and_greeks(contract, accuracy)?);
    }
    american::check_prices(contract.spot, contract.strike)?;
    let european = contract.price_and_greeks()?;
    if drops.is_empty() {
        return Ok(AmericanGreeks {
            price: european.price,
            delta: european.delta,
            gamma: european.gamma,
            vega: european.vega,
            theta: european.theta,
            rho: european.rho,
            yield_rho: Some(-contract.years * contract.spot * european.delta),
            exercise_now: false,
            error: ErrorClass::Exact,
        });
    }
    let market = Market::of(contract);
    let method = Method::of(exercise, contract);
    if method == Method::Quadrature {
        let jet = quadrature(exercise, contract, &market, &drops);
        let greeks = in_currency(contract, &jet, ErrorClass::Tight, false);
        return if greeks.is_finite() {
            Ok(greeks)
        } else {
            Err(DividendRefusal::Contract(Refusal::NotRepresentable))
        };
    }
    let tries = [(method, ErrorClass::Dividend), (Method::Grid, ErrorClass::Grid)];
    let first = usize::from(method == Method::Grid);
    tries[first..]
        .iter()
        .find_map(|(method, error)| {
            by_differences(contract, &market, *error, |market| {
                method.value(exercise, contract, market, &drops)
            })
        })
        .ok_or(DividendRefusal::NoMethod)
}

/// An American option without cash dividends on the grid; rates and vols that no grid can hold have
/// none.
pub(crate) fn by_grid(contract: &SpotContract) -> Option<AmericanGreeks> {
    let market = Market::of(contract);
    let rates = market.rate.abs().max(market.dividend_yield.abs());
    let total_vol = market.vol * contract.years.sqrt();
    if rates * contract.years > 5.0 || !(0.01..=5.0).contains(&total_vol) {
        return None;
    }
    by_differences(contract, &market, ErrorClass::Grid, |market| {
        Method::Grid.value(Exercise::American, contract, market, &[])
    })
}

/// How an option with cash dividends is valued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    /// Exercised at ex-dates and expiry only.
    Quadrature,
    /// A put with a boundary in each period.
    Periods,
    /// The rest.
    Grid,
}

impl Method {
    fn of(exercise: Exercise, contract: &SpotContract) -> Self {
        let SpotContract { rate, dividend_yield, .. } = *contract;
        if exercise == Exercise::European {
            Self::Quadrature
        } else if contract.kind.is_call() {
            let spot = contract.spot / contract.strike;
            let alone = only_at_ex_dates(&Market::of(contract), spot, contract.years);
            if alone { Self::Quadrature } else { Self::Grid }
        } else if rate <= 0.0 && dividend_yield >= 0.0 {
            Self::Quadrature
        } else if rate > 0.0 && dividend_yield >= 0.0 {
            Self::Periods
        } else {
            Self::Grid
        }
    }

    fn value(
        self,
        exercise: Exercise,
        contract: &SpotContract,
        market: &Market,
        drops: &[Drop],
    ) -> Option<(Tick, bool)> {
        let spot = contract.spot / contract.strike;
        match self {
            Self::Quadrature => {
                let Jet { value, delta, gamma, .. } = quadrature(exercise, contract, market, drops);
                Some((Tick { value, delta, gamma }, false))
            }
            Self::Periods => put::value(market, spot, contract.years, drops).ok(),
            Self::Grid => {
                let schedule: Vec<(f64, f64)> =
                    drops.iter().map(|drop| (drop.years, drop.cash)).collect();
                let problem = grid::Problem {
                    is_call: contract.kind.is_call(),
                    american: exercise == Exercise::American,
                    rate: market.rate,
                    dividend_yield: market.dividend_yield,
                    vol: market.vol,
                    years: contract.years,
                    drops: &schedule,
                };
                let tick = grid::value(&problem, spot)?;
                Some((tick, tick.gamma == 0.0 && tick.delta.abs() == 1.0))
            }
        }
    }
}

fn quadrature(exercise: Exercise, contract: &SpotContract, market: &Market, drops: &[Drop]) -> Jet {
    let is_call = contract.kind.is_call();
    let exercised = is_call && exercise == Exercise::American;
    let spot = contract.spot / contract.strike;
    backward::value(market, is_call, exercised, spot, contract.years, drops)
}

/// Whether a call is exercised between ex-dates for less than `NEGLIGIBLE`: what exercise earns
/// there is at most the yield on a call struck where yield and interest balance.
fn only_at_ex_dates(market: &Market, spot: f64, years: f64) -> bool {
    let Market { rate, dividend_yield, vol } = *market;
    if rate < 0.0 {
        return false;
    }
    if dividend_yield <= 0.0 {
        return true;
    }
    let balance = SpotContract {
        spot,
        strike: rate / dividend_yield,
        years,
        vol,
        rate: 0.0,
        dividend_yield: -(rate - dividend_yield).abs(),
        kind: OptionKind::Call,
    };
    let bound = balance.price_and_greeks().map(|greeks| dividend_yield * years * greeks.price);
    bound.is_ok_and(|bound| bound < NEGLIGIBLE)
}

/// Vega and rho by symmetric differences of the scheme, which is smooth in them; on the grid the
/// yield's too, one-sided, since below zero the regime may change. None where a value is missing.
fn by_differences(
    contract: &SpotContract,
    market: &Market,
    error: ErrorClass,
    value: impl Fn(&Market) -> Option<(Tick, bool)>,
) -> Option<AmericanGreeks> {
    let (tick, exercise_now) = value(market)?;
    let mut jet = Jet { value: tick.value, delta: tick.delta, gamma: tick.gamma, ..Jet::default() };
    if !exercise_now {
        let at = |market: Market| value(&market).map(|(tick, _)| tick.value);
        let Market { rate, dividend_yield, vol } = *market;
        let bump = VOL_BUMP * vol;
        let (up, down) = (vol + bump, vol - bump);
        jet.vol = (at(Market { vol: up, ..*market })? - at(Market { vol: down, ..*market })?)
            / (up - down);
        let (up, down) = (rate + RATE_BUMP, rate - RATE_BUMP);
        jet.rate = (at(Market { rate: up, ..*market })? - at(Market { rate: down, ..*market })?)
            / (up - down);
        if error == ErrorClass::Grid {
            let up = dividend_yield + YIELD_BUMP;
            let change = at(Market { dividend_yield: up, ..*market })? - tick.value;
            jet.dividend_yield = change / (up - dividend_yield);
        }
    }
    let greeks = in_currency(contract, &jet, error, exercise_now);
    let yield_rho = greeks.yield_rho.filter(|_| error == ErrorClass::Grid);
    Some(AmericanGreeks { yield_rho, ..greeks }).filter(AmericanGreeks::is_finite)
}

/// Implied vol of a price with a schedule of dividends, or why there is none. European prices too.
pub fn implied_vol(
    exercise: Exercise,
    price: f64,
    contract: &SpotContract,
    dividends: &[CashDividend],
    accuracy: Accuracy,
) -> Result<f64, NoVol> {
    let bounds = implied::bounds(exercise == Exercise::American, price, contract)?;
    let drops = drops(contract, dividends).map_err(|_| NoVol::NotFinite)?;
    if drops.is_empty() && exercise == Exercise::American {
        return implied::implied_vol(price, contract, accuracy);
    }
    implied::search(price / contract.strike, &bounds, |vol| {
        let at = |vol: f64| {
            let contract = SpotContract { vol, ..*contract };
            Some(value(exercise, &contract, &drops)?.0.value)
        };
        let bump = VOL_BUMP * vol;
        let middle = at(vol)?;
        Some((middle, (at(vol + bump)? - middle) / bump))
    })
}

/// Value, delta and gamma per strike by whatever method holds, and whether it is exercised now.
fn value(exercise: Exercise, contract: &SpotContract, drops: &[Drop]) -> Option<(Tick, bool)> {
    let market = Market::of(contract);
    let method = Method::of(exercise, contract);
    method
        .value(exercise, contract, &market, drops)
        .or_else(|| Method::Grid.value(exercise, contract, &market, drops))
}

/// The schedule that matters, in units of the strike.
fn drops(
    contract: &SpotContract,
    dividends: &[CashDividend],
) -> Result<Vec<Drop>, DividendRefusal> {
    let mut last = f64::NEG_INFINITY;
    let mut drops: Vec<Drop> = Vec::new();
    for (index, dividend) in dividends.iter().enumerate() {
        let CashDividend { years, cash } = *dividend;
        if !(years.is_finite() && cash.is_finite() && cash >= 0.0) {
            return Err(DividendRefusal::NotADividend { index });
        }
        if years < last {
            return Err(DividendRefusal::NotAscending { index });
        }
        last = years;
        if years <= 0.0 || years >= contract.years || cash == 0.0 {
            continue;
        }
        let cash = cash / contract.strike;
        match drops.last_mut() {
            Some(drop) if drop.years == years => drop.cash += cash,
            _ => drops.push(Drop { years, cash }),
        }
    }
    let count = drops.len();
    if count > DIVIDENDS_MAX { Err(DividendRefusal::TooMany { count }) } else { Ok(drops) }
}

/// From units of the strike; theta from the equation of Black and Scholes, which holds wherever
/// the option is alive.
fn in_currency(
    contract: &SpotContract,
    jet: &Jet,
    error: ErrorClass,
    exercise_now: bool,
) -> AmericanGreeks {
    let SpotContract { strike, vol, rate, dividend_yield, .. } = *contract;
    let spot = contract.spot / strike;
    let theta = if exercise_now {
        0.0
    } else {
        rate * jet.value
            - (rate - dividend_yield) * spot * jet.delta
            - 0.5 * vol * vol * spot * spot * jet.gamma
    };
    AmericanGreeks {
        price: strike * jet.value,
        delta: jet.delta,
        gamma: jet.gamma / strike,
        vega: strike * jet.vol,
        theta: strike * theta,
        rho: strike * jet.rate,
        yield_rho: Some(strike * jet.dividend_yield),
        exercise_now,
        error,
    }
}
