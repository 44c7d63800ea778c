//! Rows that the European kernels don't answer: American exercise, and cash dividends of either
//! style.
//!
//! Exists as the one seam to those engines: a row in, an answer or a sentence out. Cash dividends
//! are taken off the share when it trades without them, never escrowed.

use super::Priced;
use super::row::{Row, Style};
use pricing::american::Accuracy;
use pricing::black::SpotContract;
use pricing::dividends::{self, CashDividend, Exercise};

/// A table is asked once: it gets the better of the two schemes that are fast enough for a chain.
const ACCURACY: Accuracy = Accuracy::Tight;

/// Price, Greeks and error class of a row.
pub(super) fn price(row: &Row) -> Result<Priced, String> {
    let contract = contract(row, row.vol_or_price);
    let greeks = dividends::price_and_greeks(exercise(row), &contract, &schedule(row), ACCURACY)
        .map_err(|refusal| refusal.to_string())?;
    let numbers = [greeks.price, greeks.delta, greeks.gamma, greeks.vega, greeks.theta, greeks.rho];
    Ok(Priced { numbers, error_class: greeks.error.name().to_owned() })
}

/// The vol at which `price` gives the price of the row.
pub(super) fn implied_vol(row: &Row) -> Result<f64, String> {
    // The solver looks for the vol: the contract's own is not read.
    let contract = contract(row, 0.0);
    let schedule = schedule(row);
    dividends::implied_vol(exercise(row), row.vol_or_price, &contract, &schedule, ACCURACY)
        .map_err(|reason| reason.to_string())
}

const fn exercise(row: &Row) -> Exercise {
    match row.style {
        Style::European => Exercise::European,
        Style::American => Exercise::American,
    }
}

const fn contract(row: &Row, vol: f64) -> SpotContract {
    SpotContract {
        spot: row.spot,
        strike: row.strike,
        years: row.years,
        vol,
        rate: row.rate,
        dividend_yield: row.dividend_yield,
        kind: row.kind,
    }
}

fn schedule(row: &Row) -> Vec<CashDividend> {
    let dividend = |own: &super::row::Dividend| CashDividend { years: own.years, cash: own.cash };
    row.dividends.iter().map(dividend).collect()
}
