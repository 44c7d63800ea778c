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
//! Units as in `american`. Where `american` says strike, the error of calls is per 100 of strike too.

mod backward;
mod payoff;

use crate::american::{self, Accuracy, AmericanGreeks, ErrorClass};
use crate::black::{Refusal, SpotContract};
use payoff::{Jet, Market};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Dividends that one option may see.
const DIVIDENDS_MAX: usize = 64;

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
            yield_rho: -contract.years * contract.spot * european.delta,
            exercise_now: false,
            error: ErrorClass::Exact,
        });
    }
    let market =
        Market { rate: contract.rate, dividend_yield: contract.dividend_yield, vol: contract.vol };
    let is_call = contract.kind.is_call();
    let spot = contract.spot / contract.strike;
    let american_call = exercise == Exercise::American && is_call;
    let jet = backward::value(&market, is_call, american_call, spot, contract.years, &drops);
    Ok(in_currency(contract, &jet, ErrorClass::Tight, false))
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
        yield_rho: strike * jet.dividend_yield,
        exercise_now,
        error,
    }
}
