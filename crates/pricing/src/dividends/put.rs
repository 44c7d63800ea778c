//! American puts with cash dividends: from expiry back to now, period by period.
//!
//! Exists to join `american` (after the last ex-date) with `period` (before each ex-date). Just
//! before a drop a put is worth what it is worth after it: nobody exercises for the strike less the
//! spot when the drop is about to add the cash. Below boundary + cash that is the line strike +
//! cash - spot; above, the rest fades with the spot, and is sampled.

use super::Drop;
use super::backward::reach;
use super::payoff::{Columns, Line, Market, Payoff, REACH};
use super::period::{Period, waiting};
use crate::american::Accuracy;
use crate::american::boundary::NotConverged;
use crate::american::lane::{exp, ln};
use crate::american::normalised::Normalised;
use crate::american::premium::Tick;
use crate::american::put::Put;

/// Standard deviations of the narrowest kernel that get a panel of their own beside the boundary.
const BESIDE: f64 = 4.0;

/// What holds after a date.
enum After {
    Expiry(Put),
    Period(Period),
}

impl After {
    fn value(&self, spot: f64) -> Tick {
        match self {
            Self::Expiry(put) => put.tick(spot),
            Self::Period(period) => period.value(spot),
        }
    }

    /// The line that the value follows at low spots.
    fn line(&self, market: &Market, years: f64) -> Line {
        match self {
            Self::Expiry(put) if put.log_boundary().is_finite() => Line::strike(1.0),
            Self::Expiry(_) => Line::strike(1.0).discounted(market, years),
            Self::Period(period) => period.line(),
        }
    }

    fn log_boundary(&self) -> f64 {
        match self {
            Self::Expiry(put) => put.log_boundary(),
            Self::Period(period) => period.log_boundary(),
        }
    }
}

/// Value, delta and gamma of the put with strike 1, and whether it is exercised now.
pub(super) fn value(
    market: &Market,
    spot: f64,
    years: f64,
    drops: &[Drop],
) -> Result<(Tick, bool), NotConverged> {
    let reach = reach(market, spot, drops);
    let last = drops.last().map_or(0.0, |drop| drop.years);
    let remaining = years - last;
    let option = Normalised {
        rate: market.rate * remaining,
        dividend_yield: market.dividend_yield * remaining,
        vol: market.vol * remaining.sqrt(),
    };
    let mut after = After::Expiry(Put::solve(option, Accuracy::Tight, false)?);
    let mut until = years;
    for (index, drop) in drops.iter().enumerate().rev() {
        let before = if index == 0 { 0.0 } else { drops[index - 1].years };
        let length = drop.years - before;
        let step = until - drop.years;
        let payoff = before_drop(market, &after, drop.cash, step, length, years, &reach[index]);
        after = After::Period(Period::solve(market, payoff, length)?);
        until = drop.years;
    }
    Ok((after.value(spot), ln(spot) <= after.log_boundary()))
}

fn before_drop(
    market: &Market,
    after: &After,
    cash: f64,
    step: f64,
    length: f64,
    years: f64,
    reach: &(f64, f64),
) -> Payoff {
    let line = after.line(market, step).before_drop(cash);
    let mut payoff = Payoff::hinge(false, line);
    let beside = |spots: &[f64], side: f64| {
        let mut columns = Columns::zeros(spots.len());
        for (value, spot) in columns.value.iter_mut().zip(spots) {
            *value = after.value(spot - cash).value;
        }
        columns.add_line(&line, -side, spots);
        columns
    };
    let boundary = exp(after.log_boundary());
    let deviation = market.vol * step.min(length).sqrt();
    // The first kernels before the ex-date are as narrow as the time in which nobody exercises.
    let waiting = waiting(market, &payoff);
    let narrow = market.vol * waiting.clamp(1e-4 * length, length).sqrt();
    let fade = exp(REACH * market.vol * years.sqrt());
    let lowest = ln(cash + boundary.max(1.0 / fade)).max(reach.0 - REACH * deviation);
    let hinge = ln(line.level / line.slope);
    let highest = ln(cash + fade).min(reach.1);
    if reach.0 < ln(cash) {
        // below the dividend nothing is left of the stock and the strike is paid
        let paid = after.line(market, step).level;
        payoff.add_panel(reach.0, ln(cash).min(highest), deviation, |spots| {
            let mut columns = Columns::zeros(spots.len());
            columns.value.fill(paid.min(1.0));
            columns.add_line(&line, 1.0, spots);
            columns
        });
    }
    let near = (lowest + BESIDE * narrow).min(hinge);
    payoff.add_panel(lowest, near, narrow.min(deviation), |spots| beside(spots, -1.0));
    payoff.add_panel(near.max(lowest), hinge.min(highest), deviation, |spots| beside(spots, -1.0));
    payoff.add_panel(hinge.max(lowest), highest, deviation, |spots| beside(spots, 0.0));
    payoff
}
