//! Europeans, and American calls, with cash dividends: from the last ex-date back to now.
//!
//! Exists because between ex-dates neither is exercised (a call only if its stock pays no yield and
//! rates are not negative, which `dividends` checks), so all that happens is at the dates: the spot
//! drops, and an American call may be exercised just before. E. Haug, J. Haug and A. Lewis, "Back
//! to basics: a new approach to the discrete dividend problem", Wilmott (2003), for one dividend;
//! here for any schedule. A spot below its dividend drops to zero.

use super::Drop;
use super::payoff::{Columns, Jet, Line, Market, Payoff, REACH};
use crate::american::lane::{exp, ln};

/// Newton steps for the critical spot; the function is concave, so they approach from below.
const STEPS: usize = 40;

/// Where the spot may be at each ex-date seen from now, as ln(spot) before the drop.
pub(super) fn reach(market: &Market, spot: f64, drops: &[Drop]) -> Vec<(f64, f64)> {
    let carry = market.rate - market.dividend_yield - 0.5 * market.vol * market.vol;
    let mut paid = 0.0;
    drops
        .iter()
        .map(|drop| {
            let width = REACH * market.vol * drop.years.sqrt();
            let centre = ln(spot) + carry * drop.years;
            let lowest = exp(centre - width) - paid;
            paid += drop.cash * exp((carry * drop.years).abs());
            let from = if lowest > 0.0 { ln(lowest.max(1e-300)) } else { -690.0 };
            (from, centre + width)
        })
        .collect()
}

/// Value and derivatives at `spot`, strike 1.
pub(super) fn value(
    market: &Market,
    is_call: bool,
    american_call: bool,
    spot: f64,
    years: f64,
    drops: &[Drop],
) -> Jet {
    let reach = reach(market, spot, drops);
    let mut payoff = Payoff::hinge(is_call, Line::strike(1.0));
    let mut until = years;
    for (index, drop) in drops.iter().enumerate().rev() {
        let before = if index == 0 { 0.0 } else { drops[index - 1].years };
        let step = until - drop.years;
        let window = Window {
            from: reach[index].0,
            to: reach[index].1,
            deviation: market.vol * step.min(drop.years - before).sqrt(),
            remaining_years: years - drop.years,
        };
        payoff = before_drop(market, &payoff, step, drop.cash, american_call, &window);
        until = drop.years;
    }
    payoff.expectation(market, until, spot)
}

/// Where a remainder matters: ln(spot) seen from now, the narrowest kernel, and the years to
/// expiry, over whose total vol time value fades.
pub(super) struct Window {
    pub from: f64,
    pub to: f64,
    pub deviation: f64,
    pub remaining_years: f64,
}

fn before_drop(
    market: &Market,
    next: &Payoff,
    step: f64,
    cash: f64,
    american_call: bool,
    window: &Window,
) -> Payoff {
    // where there is no stock left after the drop, a call is worth nothing
    let held_at = |spot: f64| {
        if spot > cash { next.expectation(market, step, spot - cash) } else { Jet::default() }
    };
    let held = |spots: &[f64]| {
        let after: Vec<f64> = spots.iter().map(|spot| (spot - cash).max(1e-300)).collect();
        next.expectations(market, step, &after)
    };
    let asymptote = next.line.discounted(market, step).before_drop(cash);
    let spread = exp(REACH * market.vol * window.remaining_years.sqrt());
    // time value fades on both sides of the hinge, measured after the drop
    let bend = (asymptote.level / asymptote.slope - cash).max(1e-300);
    let from = ln(cash + bend / spread).max(window.from);
    let to = ln(cash + bend * spread).min(window.to);
    if american_call && let Some(critical) = critical_spot(&held_at, &asymptote, exp(window.to)) {
        let mut payoff = Payoff::hinge(true, Line::strike(1.0));
        payoff.add_panel(from, 0.0_f64.min(window.to), window.deviation, held);
        let line = payoff.line;
        payoff.add_panel(
            window.from.max(0.0),
            ln(critical).min(window.to),
            window.deviation,
            |spots| {
                let mut columns = held(spots);
                columns.add_line(&line, -1.0, spots);
                columns
            },
        );
        return payoff;
    }
    let mut payoff = Payoff::hinge(next.is_call, asymptote);
    let hinge = ln(asymptote.level / asymptote.slope);
    let (inside, outside) = if next.is_call { (0.0, 1.0) } else { (-1.0, 0.0) };
    let beside = |spots: &[f64], side: f64| {
        let mut columns = held(spots);
        columns.add_line(&asymptote, -side, spots);
        columns
    };
    if !next.is_call && window.from < ln(cash) {
        // below the dividend the put is worth its discounted strike, not the line
        payoff.add_panel(window.from, ln(cash).min(window.to), window.deviation, |spots| {
            let discount = exp(-market.rate * window.remaining_years);
            let mut columns = Columns::zeros(spots.len());
            columns.value.fill(discount);
            columns.change[1].fill(-window.remaining_years * discount);
            columns.add_line(&asymptote, 1.0, spots);
            columns
        });
    }
    payoff.add_panel(from, hinge.min(window.to), window.deviation, |spots| beside(spots, inside));
    payoff.add_panel(hinge.max(window.from), to, window.deviation, |spots| beside(spots, outside));
    payoff
}

/// The spot from which a call is exercised just before the drop: spot - 1 = value after it. None
/// if there is none below `highest`.
fn critical_spot(held: &impl Fn(f64) -> Jet, asymptote: &Line, highest: f64) -> Option<f64> {
    let far = asymptote.at(highest).value;
    if !(highest > 1.0) || highest - 1.0 <= far {
        return None;
    }
    let mut spot = 1.0;
    for _ in 0..STEPS {
        let jet = held(spot);
        let gain = spot - 1.0 - jet.value;
        let slope = 1.0 - jet.delta;
        if gain >= 0.0 {
            return Some(spot);
        }
        if !(slope > 0.0) {
            return None;
        }
        let next = spot - gain / slope;
        if !(next < highest) {
            return None;
        }
        if next - spot <= 1e-13 * spot {
            return Some(next);
        }
        spot = next;
    }
    Some(spot)
}
