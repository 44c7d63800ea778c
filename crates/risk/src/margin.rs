//! The node's own estimate of the margin that an account needs, in the worst case over fills.
//!
//! Per underlying instrument the estimate is the largest of
//! - what the portfolio loses at expiry at any price within `move_share` of the underlying's mark:
//!   per spread that is the distance of the strikes, per naked option about Reg T's 20 % less what
//!   it is out of the money. It is taken once for every end T, with only the options that end at T
//!   or later;
//! - `uncovered_floor_share` of the underlying's price per share left uncovered (Reg T's 10 %);
//! - `stock_share` of the value of a stock position (Reg T's 50 %).
//!
//! To it comes what pending option orders would pay. Underlyings don't offset each other: it asks
//! for more than the broker would, futures above all (the broker asks a few percent). It knows
//! nothing of the account's equity and gives no credit for premium received. The broker's own
//! figure stays the authority: the gate takes the larger of the two.

use crate::exposure::{Exposure, PendingOrder};
use crate::setting::{LimitsError, PerSymbol};
use crate::uncovered::worst_uncovered_shares;
use crate::valuing::{Unavailable, Valuing};
use crate::worst_case::{Fills, clamped, milli};
use market::instrument::{ConId, InstrumentKind, Right};
use market::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How the estimate is made; shares of the underlying's price, 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarginRates {
    /// How far the underlying may move.
    pub move_share: PerSymbol<f64>,
    /// At least this much per share that a short option leaves uncovered.
    pub uncovered_floor_share: f64,
    /// At least this much of a stock position's value.
    pub stock_share: f64,
}

impl Default for MarginRates {
    fn default() -> Self {
        Self {
            move_share: PerSymbol { default: 0.2, by_symbol: BTreeMap::new() },
            uncovered_floor_share: 0.1,
            stock_share: 0.5,
        }
    }
}

impl MarginRates {
    pub(crate) fn validate(&self) -> Result<(), LimitsError> {
        let named = [self.uncovered_floor_share, self.stock_share, self.move_share.default];
        let shares = named.into_iter().chain(self.move_share.by_symbol.values().copied());
        for share in shares {
            if !(0.0..=1.0).contains(&share) {
                return Err(LimitsError::Range {
                    field: "margin",
                    value: share.to_string(),
                    allowed: "shares of the price, 0 to 1",
                });
            }
        }
        Ok(())
    }
}

/// The estimate for everything in `exposure`, in thousandths of a unit of currency.
pub fn worst_margin_milli(
    valuing: Valuing<'_>,
    rates: &MarginRates,
    exposure: &Exposure,
) -> Result<i64, Unavailable> {
    let fills = exposure.fills();
    let mut groups = BTreeSet::new();
    for con_id in fills.instruments() {
        groups.insert(valuing.group(con_id)?);
    }
    let mut total = 0_i128;
    for underlying in groups {
        total += group_margin(valuing, rates, &fills, underlying)?;
    }
    for order in &exposure.pending {
        total += premium_micros(valuing, order)?.max(0);
    }
    // Rounded up: an estimate that is a thousandth too high does no harm.
    Ok(clamped((total + 999).div_euclid(1000)))
}

/// What an option order would pay if it fills whole at its limit, in micro-units of currency
/// (negative: receive); zero for stocks and futures. A combo's price counts with the largest
/// multiplier of its legs.
pub fn premium_micros(valuing: Valuing<'_>, order: &PendingOrder) -> Result<i128, Unavailable> {
    let mut multiplier = 0;
    for leg in order.contract.legs() {
        let instrument = valuing.instrument(leg.con_id)?;
        if instrument.option().is_some() {
            multiplier = multiplier.max(i128::from(instrument.multiplier.0));
        }
    }
    let units = i128::from(order.side.sign()) * i128::from(order.remaining.0);
    Ok(i128::from(order.limit.micros()) * units * multiplier)
}

/// What one contract of a group pays at `price` of the underlying, in micro-units of currency.
#[derive(Clone, Copy)]
enum Payoff {
    Option { right: Right, strike: i128, shares: i128, end: Timestamp },
    Underlying { mark: i128, shares: i128 },
    Other,
}

impl Payoff {
    fn at(self, price: i128, from: Timestamp) -> i128 {
        match self {
            Self::Option { right, strike, shares, end } if end >= from => match right {
                Right::Call => (price - strike).max(0) * shares,
                Right::Put => (strike - price).max(0) * shares,
            },
            Self::Underlying { mark, shares } => (price - mark) * shares,
            Self::Option { .. } | Self::Other => 0,
        }
    }
}

fn group_margin(
    valuing: Valuing<'_>,
    rates: &MarginRates,
    fills: &Fills,
    underlying: ConId,
) -> Result<i128, Unavailable> {
    let instrument = valuing.instrument(underlying)?;
    let mark = i128::from(valuing.mark(underlying)?.micros());
    let share = |share: f64| -> Result<i128, Unavailable> {
        let thousandths = milli(share).map(i128::from);
        let amount = thousandths.map(|thousandths| mark.abs() * thousandths / 1000);
        amount.ok_or_else(|| Unavailable("a margin rate is not a number".to_owned()))
    };
    let mut payoffs = BTreeMap::new();
    let mut ends = BTreeSet::new();
    let reach = share(rates.move_share.of(&instrument.symbol))?;
    let (lowest, highest) = ((mark - reach).max(0), mark + reach);
    let mut prices = BTreeSet::from([lowest, mark, highest]);
    for con_id in fills.instruments() {
        let option = valuing.instrument(con_id)?.option();
        let payoff = match option {
            _ if con_id == underlying => {
                Payoff::Underlying { mark, shares: i128::from(valuing.units(con_id)?) }
            }
            Some(terms) if terms.underlying == underlying => {
                let strike = i128::from(terms.strike.micros());
                // Between strikes everything is linear: the worst price is a strike or an end.
                if (lowest..=highest).contains(&strike) {
                    prices.insert(strike);
                }
                ends.insert(terms.last_trade);
                let shares = i128::from(valuing.units(con_id)?);
                Payoff::Option { right: terms.right, strike, shares, end: terms.last_trade }
            }
            _ => Payoff::Other,
        };
        payoffs.insert(con_id, payoff);
    }
    ends.insert(Timestamp::MAX);
    let mut worst = 0_i128;
    for from in ends {
        for price in &prices {
            let pays = |legs: &[(ConId, i64)]| -> i128 {
                let leg = |(con_id, quantity): &(ConId, i64)| {
                    i128::from(*quantity) * payoffs[con_id].at(*price, from)
                };
                legs.iter().map(leg).sum()
            };
            let losses = fills.possible.iter().map(|legs| (-pays(legs)).max(0));
            worst = worst.max(losses.sum::<i128>() - pays(&fills.held));
        }
    }
    let uncovered = i128::from(worst_uncovered_shares(valuing, fills, underlying)?);
    let floor = share(rates.uncovered_floor_share)? * uncovered;
    let stock = if matches!(instrument.kind, InstrumentKind::Stock) {
        let held = fills.interval(|con_id| Ok(i64::from(con_id == underlying)))?;
        share(rates.stock_share)? * i128::from(held.worst())
    } else {
        0
    };
    Ok(worst.max(floor).max(stock))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{self, CALL_100, CALL_110, FUTURE, PUT_90, PUT_100, STOCK};
    use market::instrument::Contract;
    use market::money::{Price, Quantity};
    use market::quote::Side;
    use proptest::prelude::*;

    fn margin(held: &[(ConId, i64)], pending: Vec<PendingOrder>) -> i64 {
        let (catalog, markets) = (sample::catalog(), sample::markets());
        let positions = held.iter().map(|(con_id, held)| (*con_id, Quantity(*held))).collect();
        let exposure = Exposure { positions, pending };
        let valuing = Valuing { catalog: &catalog, markets: &markets };
        worst_margin_milli(valuing, &MarginRates::default(), &exposure).unwrap() / 1000
    }

    #[test]
    fn hand_computed_portfolios() {
        // The future's mark is 100, its multiplier 50, the move 20.
        type Row<'a> = (&'a str, &'a [(ConId, i64)], i64);
        let rows: &[Row<'_>] = &[
            ("flat", &[], 0),
            ("a future", &[(FUTURE, 1)], 20 * 50),
            ("a bought option is paid for", &[(CALL_100, 2)], 0),
            ("naked call at the money", &[(CALL_100, -1)], 20 * 50),
            ("naked put, 10 out of the money", &[(PUT_90, -1)], 10 * 50),
            ("call spread: its width", &[(CALL_100, -1), (CALL_110, 1)], 10 * 50),
            ("put spread: its width", &[(PUT_100, -3), (PUT_90, 3)], 3 * 10 * 50),
            ("debit spread", &[(CALL_100, 1), (CALL_110, -1)], 0),
            ("covered call: the future's", &[(CALL_100, -1), (FUTURE, 1)], 20 * 50),
            ("stock: half its value", &[(STOCK, 100)], 100 * 100 / 2),
        ];
        for (name, held, expected) in rows {
            assert_eq!(margin(held, vec![]), *expected, "{name}");
        }
    }

    #[test]
    fn pending_orders_count_with_their_worst_fill_and_their_premium() {
        let order = |con_id, side| PendingOrder {
            contract: Contract::Single(con_id),
            side,
            remaining: Quantity(1),
            limit: Price::from_units(3),
            kind: crate::exposure::PendingKind::Working,
            strategy: None,
        };
        assert_eq!(margin(&[], vec![order(CALL_100, Side::Buy)]), 3 * 50);
        assert_eq!(margin(&[], vec![order(CALL_100, Side::Sell)]), 20 * 50);
        // A purchase that would cover may not fill.
        let both = vec![order(CALL_100, Side::Sell), order(CALL_110, Side::Buy)];
        assert_eq!(margin(&[], both), 20 * 50 + 3 * 50);
    }

    proptest! {
        #[test]
        fn no_subset_of_fills_needs_more(
            held in prop::array::uniform5(-4_i64..5),
            pending in prop::collection::vec((0_usize..5, any::<bool>(), 1_i64..4), 0..5),
        ) {
            let names = [FUTURE, CALL_100, CALL_110, PUT_100, PUT_90];
            let order = |(index, buy, remaining): &(usize, bool, i64)| PendingOrder {
                contract: Contract::Single(names[*index]),
                side: if *buy { Side::Buy } else { Side::Sell },
                remaining: Quantity(*remaining),
                limit: Price::ZERO,
                kind: crate::exposure::PendingKind::Working,
                strategy: None,
            };
            let all: Vec<_> = names.into_iter().zip(held).collect();
            let worst = margin(&all, pending.iter().map(order).collect());
            for subset in 0_u32..1 << pending.len() {
                let mut filled = all.clone();
                for (bit, (index, buy, remaining)) in pending.iter().enumerate() {
                    if subset & (1 << bit) != 0 {
                        filled[*index].1 += if *buy { *remaining } else { -*remaining };
                    }
                }
                prop_assert!(margin(&filled, vec![]) <= worst);
            }
        }
    }
}
