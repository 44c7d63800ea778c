//! Delta hedging in the underlying, inside a band: what a strategy does while it lives, and what
//! its caretaker does in its stead.
//!
//! All comparisons are made on integers: deltas in millionths of a unit of the underlying.

use crate::seat::{Seat, millionths};
use market::instrument::ConId;
use market::money::{MICROS, Quantity};
use market::time::Timestamp;
use std::collections::BTreeMap;
use trading::intent::{Intent, Purpose};
use valuation::view::MarketView;

/// How much net delta is left alone, and how large a hedge may get.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeltaBand {
    /// In units of the underlying; `None` is one unit of whatever hedges.
    pub(crate) units: Option<f64>,
    /// Most contracts or shares that the hedge may hold; `None` is as many as it takes.
    pub(crate) hedge_max: Option<u32>,
}

impl DeltaBand {
    /// Intents that bring the net delta of each underlying back to zero where it has left the
    /// band. A hedge of nothing is closed.
    pub(crate) fn hedge(&self, seat: &mut Seat, view: &MarketView, now: Timestamp) -> Vec<Intent> {
        let options = seat.options();
        let mut deltas: BTreeMap<ConId, Option<i64>> =
            seat.hedges().into_iter().map(|(id, _)| (id, Some(0))).collect();
        for (id, quantity) in &options {
            let Some(instrument) = seat.product.get(*id) else { continue };
            let Some(terms) = instrument.option() else { continue };
            let greeks = view.line(*id).and_then(|line| line.greeks());
            let units = quantity.0.saturating_mul(i64::from(instrument.multiplier.0));
            let delta = greeks.and_then(|greeks| millionths(greeks.delta));
            let delta = delta.and_then(|delta| delta.checked_mul(units));
            let sum = deltas.entry(terms.underlying).or_insert(Some(0));
            *sum = sum.zip(delta).and_then(|(sum, delta)| sum.checked_add(delta));
        }
        // An unknown delta is not hedged by guessing, and an index can't be traded.
        let known = |(id, delta): (ConId, Option<i64>)| Some((id, delta?));
        let deltas: Vec<(ConId, i64)> = deltas
            .into_iter()
            .filter_map(known)
            .filter(|(id, _)| seat.product.is_hedge(*id))
            .collect();
        deltas
            .into_iter()
            .filter_map(|delta| self.hedge_one(seat, delta, !options.is_empty(), view, now))
            .collect()
    }

    fn hedge_one(
        &self,
        seat: &mut Seat,
        (underlying, option_delta): (ConId, i64),
        holds_options: bool,
        view: &MarketView,
        now: Timestamp,
    ) -> Option<Intent> {
        let held = seat.position(underlying);
        if !holds_options {
            return seat.single(view, underlying, Quantity::ZERO, Purpose::Exit, now);
        }
        let multiplier = i64::from(seat.product.get(underlying)?.multiplier.0);
        let unit = multiplier.checked_mul(MICROS)?;
        let net = option_delta.checked_add(held.0.checked_mul(unit)?)?;
        let band = self.units.map_or(Some(unit), millionths)?;
        if net.abs() <= band {
            return None;
        }
        let most = self.hedge_max.map_or(i64::MAX, i64::from);
        let wanted = -nearest_multiple(option_delta, unit);
        let target = Quantity(wanted.clamp(-most, most));
        seat.single(view, underlying, target, Purpose::Hedge, now)
    }
}

/// `value / unit` to the nearest whole number, halves away from zero.
const fn nearest_multiple(value: i64, unit: i64) -> i64 {
    let whole = value / unit;
    let rest = value % unit;
    if rest.abs() >= unit - rest.abs() { whole + rest.signum() } else { whole }
}

#[cfg(test)]
mod tests {
    use super::nearest_multiple;

    #[test]
    fn halves_are_rounded_away_from_zero() {
        for (value, expected) in [(0, 0), (49, 0), (50, 1), (-50, -1), (149, 1), (-151, -2)] {
            assert_eq!(nearest_multiple(value, 100), expected, "{value}");
        }
    }
}
