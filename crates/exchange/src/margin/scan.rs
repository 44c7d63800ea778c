//! Scenario margin for futures and the options on them, in the manner of CME's SPAN: the worst loss
//! of a product's whole portfolio over sixteen scenarios, and at least a minimum per short option.
//!
//! Scenarios: the future moves by 0, 1/3, 2/3 and 3/3 of the price range, up and down, each with
//! volatility up and down; two extreme moves of twice the range count with 35 % of their loss.
//! Options are revalued by Black (1976) at their marks' implied volatility; one without counts at
//! its intrinsic value. Not modelled: spreads between months and products, and the exchange's own
//! parameter files.

use super::Holding;
use market::instrument::{ConId, InstrumentKind, OptionTerms, Right};
use market::money::Money;
use pricing::black::{ForwardContract, OptionKind};
use pricing::implied::implied_vol;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The figures of the scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScanRule {
    /// How far the future moves, in thousandths of its price.
    pub price_range_per_mille: u32,
    /// How far volatility moves, in thousandths of itself.
    pub vol_range_per_mille: u32,
    /// Least requirement per short option.
    pub least_per_short_option: Money,
}

impl Default for ScanRule {
    fn default() -> Self {
        Self {
            price_range_per_mille: 60,
            vol_range_per_mille: 250,
            least_per_short_option: Money::from_units(50),
        }
    }
}

/// Thousandths of the price range, of the volatility range, and of the loss that counts.
const SCENARIOS: [(i32, i32, i32); 16] = [
    (0, 1000, 1000),
    (0, -1000, 1000),
    (333, 1000, 1000),
    (333, -1000, 1000),
    (-333, 1000, 1000),
    (-333, -1000, 1000),
    (667, 1000, 1000),
    (667, -1000, 1000),
    (-667, 1000, 1000),
    (-667, -1000, 1000),
    (1000, 1000, 1000),
    (1000, -1000, 1000),
    (-1000, 1000, 1000),
    (-1000, -1000, 1000),
    (2000, 0, 350),
    (-2000, 0, 350),
];

impl ScanRule {
    /// The range that positions are kept by: ten elevenths of the one that they are opened by.
    #[must_use]
    pub fn maintenance(self) -> Self {
        Self { price_range_per_mille: self.price_range_per_mille * 10 / 11, ..self }
    }

    /// What futures and options on futures require, per underlying future.
    #[must_use]
    pub fn requirement(&self, holdings: &[&Holding<'_>]) -> Money {
        let mut products: BTreeMap<ConId, Vec<&Holding<'_>>> = BTreeMap::new();
        for holding in holdings {
            let instrument = holding.instrument;
            let future = instrument.option().map_or(instrument.con_id, |terms| terms.underlying);
            products.entry(future).or_default().push(holding);
        }
        products.values().map(|holdings| self.product(holdings)).sum()
    }

    fn product(&self, holdings: &[&Holding<'_>]) -> Money {
        let worst = SCENARIOS.iter().map(|(price, vol, counted)| {
            let price = f64::from(*price) / 1e3 * f64::from(self.price_range_per_mille) / 1e3;
            let vol = f64::from(*vol) / 1e3 * f64::from(self.vol_range_per_mille) / 1e3;
            let loss: f64 = holdings.iter().map(|holding| loss(holding, price, vol)).sum();
            loss * f64::from(*counted) / 1e3
        });
        let worst = Money::from_f64(worst.fold(0.0, f64::max)).unwrap_or(Money::ZERO);
        let shorts: i64 = holdings
            .iter()
            .filter(|holding| holding.instrument.option().is_some())
            .map(|holding| (-holding.quantity.0).max(0))
            .sum();
        worst.max(super::times(self.least_per_short_option, shorts))
    }
}

/// What a position loses when its future moves by this part and volatility by that part.
fn loss(holding: &Holding<'_>, price_part: f64, vol_part: f64) -> f64 {
    let units = f64::from(holding.instrument.multiplier.0) * holding.quantity.0 as f64;
    let mark = holding.mark.to_f64();
    let InstrumentKind::FutureOption(terms) = &holding.instrument.kind else {
        return -units * mark * price_part;
    };
    let future = holding.underlying_mark.unwrap_or(terms.strike).to_f64();
    let moved = future * (1.0 + price_part);
    let value = revalued(terms, holding.years, mark, (future, moved), vol_part);
    units * (mark - value)
}

fn revalued(
    terms: &OptionTerms,
    years: f64,
    mark: f64,
    (future, moved): (f64, f64),
    vol_part: f64,
) -> f64 {
    let strike = terms.strike.to_f64();
    let (kind, intrinsic) = match terms.right {
        Right::Call => (OptionKind::Call, (moved - strike).max(0.0)),
        Right::Put => (OptionKind::Put, (strike - moved).max(0.0)),
    };
    let Ok(vol) = implied_vol(mark, future, strike, years, kind) else {
        return intrinsic;
    };
    let vol = vol * (1.0 + vol_part);
    let contract = ForwardContract { forward: moved, strike, years, vol, discount: 1.0, kind };
    contract.price_and_greeks().map_or(intrinsic, |greeks| greeks.price)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use market::money::{Price, Quantity};

    #[test]
    fn a_future_needs_its_range_and_a_covered_call_on_it_less() {
        let rule = ScanRule::default();
        let (future, call) = (samples::future(), samples::future_call(4_000));
        let holding = |instrument, quantity, mark| Holding {
            instrument,
            quantity: Quantity(quantity),
            mark: Price::from_units(mark),
            underlying_mark: Some(Price::from_units(4_000)),
            years: 0.1,
        };
        let alone = rule.requirement(&[&holding(&future, 1, 4_000)]);
        // 6 % of 4000 points at 50 a point.
        assert_eq!(alone, Money::from_units(12_000));
        let covered = rule.requirement(&[&holding(&future, 1, 4_000), &holding(&call, -1, 80)]);
        assert!(covered < alone && covered > Money::ZERO, "{covered}");
        let long_call = rule.requirement(&[&holding(&call, 1, 80)]);
        assert!(long_call <= Money::from_units(4_000), "{long_call}: no more than its premium");
        let short_call = rule.requirement(&[&holding(&call, -1, 80)]);
        // Worked out elsewhere: the payoff integrated over the lognormal law (Simpson, 20,000
        // steps), volatility 15.855 % by bisection. The worst are 6 % up, 6 % down, 6 % down.
        let expected = [(short_call, 9_226.56), (covered, 9_036.93), (long_call, 3_847.90)];
        for (required, expected) in expected {
            assert!((required.to_f64() - expected).abs() < 0.02, "{required} for {expected}");
        }
    }
}
