//! What the account must hold for its positions: Reg-T like for stocks and options, a flat amount
//! per contract for futures and short options on them.
//!
//! With a scan rule futures and their options are margined by scenarios instead. Simplified on
//! purpose: half of a stock's value; full value of long options; for short options
//! the larger of 20 % of the underlying less what it is out of the money and 10 % (calls: of the
//! underlying, puts: of the strike); short options paired with long ones of the same right that
//! expire no earlier need the width; calls covered by shares, and puts by shares sold short, need
//! nothing; of the calls and puts of one expiry only the dearer side counts, since the market ends
//! on one side (an iron condor needs one of its widths). Equity counts every
//! position at its mark. Left to others: when it is asked (intake).

mod scan;

pub use scan::ScanRule;

use market::instrument::{ConId, Instrument, InstrumentKind, OptionTerms, Right};
use market::money::{Money, Price, Quantity};
use market::time::Date;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The figures of the rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarginRule {
    /// Per future, long or short.
    pub per_future: Money,
    /// Per short option on a future that no long one covers.
    pub per_short_future_option: Money,
    /// Percent of a stock position's value.
    pub stock_percent: u32,
    /// Percent of the underlying for a short option, before the out-of-the-money amount.
    pub short_option_percent: u32,
    /// Least percent of the underlying (call) or the strike (put).
    pub short_option_floor_percent: u32,
    /// Futures and options on them by scenarios, in place of the flat amounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scan: Option<ScanRule>,
}

impl Default for MarginRule {
    fn default() -> Self {
        Self {
            per_future: Money::from_units(12_000),
            per_short_future_option: Money::from_units(12_000),
            stock_percent: 50,
            short_option_percent: 20,
            short_option_floor_percent: 10,
            scan: None,
        }
    }
}

/// A position with what margin goes by.
#[derive(Clone, Copy, Debug)]
pub struct Holding<'a> {
    /// Its terms.
    pub instrument: &'a Instrument,
    /// Signed.
    pub quantity: Quantity,
    /// Its price now.
    pub mark: Price,
    /// Its underlying's price now, for options.
    pub underlying_mark: Option<Price>,
    /// Until its last trade; 0 for what has none.
    pub years: f64,
}

struct OptionLot<'a> {
    terms: &'a OptionTerms,
    holding: Holding<'a>,
    left: i64,
}

impl MarginRule {
    /// What it takes to keep positions: half of the opening part for stocks (Regulation T: 50 and
    /// 25 %), ten elevenths for futures, the same for options.
    #[must_use]
    pub fn maintenance(&self) -> Self {
        let part = |amount: Money| Money::from_micros(amount.micros() / 11 * 10);
        Self {
            per_future: part(self.per_future),
            per_short_future_option: part(self.per_short_future_option),
            stock_percent: self.stock_percent / 2,
            scan: self.scan.map(ScanRule::maintenance),
            ..self.clone()
        }
    }

    /// What `holdings` require.
    #[must_use]
    pub fn requirement(&self, holdings: &[Holding<'_>]) -> Money {
        let Some(scan) = &self.scan else {
            return self.flat_requirement(holdings);
        };
        let by_future = |holding: &&Holding<'_>| {
            let kind = &holding.instrument.kind;
            matches!(kind, InstrumentKind::Future(_) | InstrumentKind::FutureOption(_))
        };
        let (futures, others): (Vec<_>, Vec<_>) = holdings.iter().partition(by_future);
        let others: Vec<Holding<'_>> = others.into_iter().copied().collect();
        scan.requirement(&futures) + self.flat_requirement(&others)
    }

    fn flat_requirement(&self, holdings: &[Holding<'_>]) -> Money {
        let mut total = Money::ZERO;
        let mut shares: BTreeMap<ConId, i64> = BTreeMap::new();
        let mut lots: Vec<OptionLot<'_>> = Vec::new();
        for holding in holdings {
            let value = holding.mark.value(holding.quantity.abs(), holding.instrument.multiplier);
            match &holding.instrument.kind {
                InstrumentKind::Stock | InstrumentKind::Index => {
                    total += percent(value, self.stock_percent);
                    shares.insert(holding.instrument.con_id, holding.quantity.0);
                }
                InstrumentKind::Future(_) => total += times(self.per_future, holding.quantity.0),
                InstrumentKind::Option(terms) | InstrumentKind::FutureOption(terms) => {
                    lots.push(OptionLot { terms, holding: *holding, left: holding.quantity.0 });
                }
            }
        }
        let (mut longs, shorts): (Vec<_>, Vec<_>) = lots.into_iter().partition(|lot| lot.left > 0);
        let mut sides: BTreeMap<(ConId, Date), [Money; 2]> = BTreeMap::new();
        for mut short in shorts {
            let paired = pair(&mut short, &mut longs);
            total += paired.paid;
            let at_risk = paired.at_risk + self.naked(&short, &mut shares);
            let terms = short.terms;
            let side = usize::from(terms.right == Right::Put);
            if matches!(short.holding.instrument.kind, InstrumentKind::FutureOption(_)) {
                total += at_risk;
            } else {
                sides.entry((terms.underlying, terms.expiry)).or_default()[side] += at_risk;
            }
        }
        total += sides.values().map(|[calls, puts]| *calls.max(puts)).sum();
        let long_value = |lot: &OptionLot<'_>| {
            lot.holding.mark.value(Quantity(lot.left), lot.holding.instrument.multiplier)
        };
        total + longs.iter().map(long_value).sum()
    }

    fn naked(&self, short: &OptionLot<'_>, shares: &mut BTreeMap<ConId, i64>) -> Money {
        let multiplier = short.holding.instrument.multiplier;
        let mut count = -short.left;
        if matches!(short.holding.instrument.kind, InstrumentKind::FutureOption(_)) {
            return times(self.per_short_future_option, count);
        }
        // Shares cover calls, shares sold short cover puts.
        let sign = if short.terms.right == Right::Call { 1 } else { -1 };
        if let Some(held) = shares.get_mut(&short.terms.underlying) {
            let covered = (sign * *held / i64::from(multiplier.0)).clamp(0, count);
            *held -= sign * covered * i64::from(multiplier.0);
            count -= covered;
        }
        let strike = short.terms.strike;
        let spot = short.holding.underlying_mark.unwrap_or(strike);
        let (out_of_the_money, floor_base) = match short.terms.right {
            Right::Call => (strike - spot, spot),
            Right::Put => (spot - strike, strike),
        };
        let value = |price: Price| price.value(Quantity(count), multiplier);
        let main = percent(value(spot), self.short_option_percent)
            - value(out_of_the_money.max(Price::ZERO));
        main.max(percent(value(floor_base), self.short_option_floor_percent))
    }
}

/// What pairs of short and long options require.
#[derive(Clone, Copy, Default)]
struct Paired {
    /// What was paid for the long side beyond the short one: lost wherever the market ends.
    paid: Money,
    /// What can be lost if the market ends on this side.
    at_risk: Money,
}

/// Pairs a short lot with long ones.
fn pair(short: &mut OptionLot<'_>, longs: &mut [OptionLot<'_>]) -> Paired {
    let mut paired = Paired::default();
    for long in longs.iter_mut() {
        let same = long.terms.underlying == short.terms.underlying
            && long.terms.right == short.terms.right
            && long.terms.last_trade >= short.terms.last_trade
            && long.holding.instrument.multiplier == short.holding.instrument.multiplier;
        let count = long.left.min(-short.left);
        if !same || count <= 0 {
            continue;
        }
        let width = match short.terms.right {
            Right::Call => long.terms.strike - short.terms.strike,
            Right::Put => short.terms.strike - long.terms.strike,
        };
        let debit = (long.holding.mark - short.holding.mark).max(Price::ZERO);
        let value =
            |price: Price| price.value(Quantity(count), short.holding.instrument.multiplier);
        paired.paid += value(debit);
        paired.at_risk += value((width - debit).max(Price::ZERO));
        long.left -= count;
        short.left += count;
    }
    paired
}

fn percent(amount: Money, percent: u32) -> Money {
    let micros = i128::from(amount.micros()) * i128::from(percent) / 100;
    Money::from_micros(i64::try_from(micros).expect("margin percentages keep amounts in range"))
}

fn times(amount: Money, count: i64) -> Money {
    let micros = i128::from(amount.micros()) * i128::from(count.abs());
    Money::from_micros(i64::try_from(micros).expect("quantities are bounded at intake"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn holding(instrument: &Instrument, quantity: i64, mark: i64) -> Holding<'_> {
        Holding {
            instrument,
            quantity: Quantity(quantity),
            mark: Price::from_units(mark),
            underlying_mark: Some(Price::from_units(100)),
            years: 0.1,
        }
    }

    #[test]
    fn a_spread_needs_its_width_and_a_covered_call_nothing_more() {
        let rule = MarginRule::default();
        let (low, high, stock) =
            (samples::stock_call(100), samples::stock_call(105), samples::stock());
        let naked = rule.requirement(&[holding(&low, -1, 3)]);
        let spread = rule.requirement(&[holding(&low, -1, 3), holding(&high, 1, 1)]);
        let covered = rule.requirement(&[holding(&stock, 100, 100), holding(&low, -1, 3)]);
        assert_eq!(naked, Money::from_units(2_000));
        assert_eq!(spread, Money::from_units(500));
        assert_eq!(covered, Money::from_units(5_000));
    }

    #[test]
    fn a_debit_spread_needs_what_was_paid() {
        let (low, high) = (samples::stock_call(100), samples::stock_call(105));
        let holdings = [holding(&low, 1, 3), holding(&high, -1, 1)];
        assert_eq!(MarginRule::default().requirement(&holdings), Money::from_units(200));
    }
    /// Worked out by hand after Regulation T; spot 100, 100 shares a contract.
    #[test]
    fn hand_worked_examples_of_regulation_t() {
        let (c105, c110) = (samples::stock_call(105), samples::stock_call(110));
        let (p90, p95) = (samples::stock_put(90), samples::stock_put(95));
        let (p100, stock) = (samples::stock_put(100), samples::stock());
        let naked_put = vec![holding(&p95, -1, 2)];
        let far_put = vec![holding(&p90, -1, 1)];
        let condor = vec![
            holding(&p90, 1, 1),
            holding(&p95, -1, 2),
            holding(&c105, -1, 2),
            holding(&c110, 1, 1),
        ];
        let mut uneven = condor.clone();
        (uneven[2].quantity, uneven[3].quantity) = (Quantity(-2), Quantity(2));
        let strangle = vec![holding(&p95, -1, 2), holding(&c105, -1, 2)];
        let two_long = vec![
            holding(&p95, 1, 2),
            holding(&p90, -1, 1),
            holding(&c105, 1, 2),
            holding(&c110, -1, 1),
        ];
        let short_stock = vec![holding(&stock, -100, 100), holding(&p100, -1, 3)];
        let table = [
            // 20 % of 10,000 less 500 out of the money: 1,500; the floor is 10 % of 9,500.
            ("naked put", naked_put, 1_500),
            // 20 % of 10,000 less 1,000 is 1,000; the floor of 10 % of 9,000 is less.
            ("far naked put", far_put, 1_000),
            // Both widths are 500, the market ends on one side.
            ("iron condor", condor, 500),
            // Two call spreads of 500 against one put spread of 500.
            ("uneven condor", uneven, 1_000),
            // The dearer side: both are 2,000 less 500.
            ("short strangle", strangle, 1_500),
            // Both debits of 100 are lost if the market stays.
            ("two debit spreads", two_long, 200),
            // Half of 10,000; the shares sold short cover the put.
            ("covered put", short_stock, 5_000),
        ];
        for (name, holdings, expected) in table {
            let required = MarginRule::default().requirement(&holdings);
            assert_eq!(required, Money::from_units(expected), "{name}");
        }
    }
}
