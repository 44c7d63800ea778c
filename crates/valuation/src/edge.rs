//! The edge: what trading at a price would gain by the model, in ticks and in standard errors.
//!
//! Exists so that strategies and the gate's collar mean the same by a model value and its error. A
//! contract's value is that of its legs; their errors add as if independent, which is the narrower
//! and so the stricter choice. An underlying has no model: among options it counts at its mid, with
//! half its spread as the error. Which edge is enough is left to the readers.

use crate::view::Line;
use market::instrument::ConId;
use market::money::Price;
use market::quote::Side;
use thiserror::Error;

/// What trading at a price would gain by the model: positive is a gain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Edge {
    /// In ticks.
    pub ticks: f64,
    /// In standard errors of the model value; infinite where that value has no error and the gain
    /// is not zero.
    pub standard_errors: f64,
}

/// The model value of one bought unit of a contract.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelValue {
    /// Price per unit; negative where the sold legs are worth more.
    pub price: f64,
    /// One standard error of it, per unit.
    pub standard_error: f64,
}

/// Why a contract has no model value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoModelValue {
    /// An option without a fair value.
    #[error("con {0} has no model value")]
    OfOption(ConId),
    /// An underlying without a mid.
    #[error("con {0} isn't two-sided")]
    OfUnderlying(ConId),
}

impl ModelValue {
    /// Of one bought unit of a contract with these legs (ratio and line); `None` when no leg is an
    /// option and so there is no model.
    pub fn of_legs<'a>(
        legs: impl IntoIterator<Item = (i32, Line<'a>)>,
    ) -> Result<Option<Self>, NoModelValue> {
        let (mut price, mut variance, mut options) = (0.0, 0.0, 0);
        for (ratio, line) in legs {
            let (own, error) = match line {
                Line::Option(option, _) => {
                    options += 1;
                    let fair = option.fair.ok_or(NoModelValue::OfOption(option.con_id))?;
                    (fair.price, fair.standard_error)
                }
                Line::Underlying(line) => {
                    let both = line.quote.both();
                    let (bid, ask) = both.ok_or(NoModelValue::OfUnderlying(line.con_id))?;
                    let half_spread = (ask.to_f64() - bid.to_f64()) / 2.0;
                    (f64::midpoint(bid.to_f64(), ask.to_f64()), half_spread)
                }
            };
            let ratio = f64::from(ratio);
            price += ratio * own;
            variance += (ratio * error) * (ratio * error);
        }
        Ok((options > 0).then_some(Self { price, standard_error: variance.sqrt() }))
    }

    /// The edge of trading one unit at a price, where the price moves in steps of `tick`.
    #[must_use]
    pub fn edge(&self, side: Side, at: Price, tick: Price) -> Edge {
        let gain = side.sign() as f64 * (self.price - at.to_f64());
        let per = |unit: f64| if gain == 0.0 { 0.0 } else { gain / unit };
        Edge { ticks: per(tick.to_f64()), standard_errors: per(self.standard_error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{ChainView, DataState, FairValue, OptionLine, UnderlyingLine};
    use market::instrument::Right;
    use market::quote::{Level, Quote};
    use market::time::{Date, Timestamp};
    use proptest::prelude::*;

    fn quote(bid: &str, ask: &str) -> Quote {
        let level = |text| Some(Level { price: Price::parse(text).unwrap(), size: 1 });
        Quote { bid: level(bid), ask: level(ask), time: Timestamp::EPOCH }
    }

    fn option(id: u32, price: f64, standard_error: f64) -> OptionLine {
        OptionLine {
            con_id: ConId(id),
            right: Right::Call,
            strike: Price::from_units(100),
            quote: quote("2.90", "3.10"),
            state: DataState::Fresh,
            implied_vol: None,
            fair: Some(FairValue { price, standard_error, vol: 0.2 }),
            greeks: None,
        }
    }

    fn chain() -> ChainView {
        ChainView {
            underlying: ConId(1),
            expiry: Date::new(2026, 6, 19).unwrap(),
            last_trade: Timestamp::from_seconds(1),
            years: 0.1,
            forward: 100.0,
            discount: 1.0,
            at_the_money_vol: None,
            lines: Vec::new(),
            version: 1,
            time: Timestamp::EPOCH,
        }
    }

    #[test]
    fn each_side_gains_on_its_own_side_of_the_model_value() {
        let price = |text| Price::parse(text).unwrap();
        let value = ModelValue { price: 3.30, standard_error: 0.05 };
        let bought = value.edge(Side::Buy, price("3.10"), price("0.05"));
        assert!((bought.ticks - 4.0).abs() < 1e-9 && (bought.standard_errors - 4.0).abs() < 1e-9);
        let sold = value.edge(Side::Sell, price("2.90"), price("0.05"));
        assert!((sold.ticks + 8.0).abs() < 1e-9 && (sold.standard_errors + 8.0).abs() < 1e-9);
        let certain = ModelValue { price: 3.0, standard_error: 0.0 };
        let at = |text| certain.edge(Side::Buy, price(text), price("0.05"));
        assert_eq!(at("3.00"), Edge { ticks: 0.0, standard_errors: 0.0 });
        assert_eq!(at("3.10").standard_errors, f64::NEG_INFINITY);
    }

    #[test]
    fn a_contract_is_worth_its_legs_and_says_which_one_has_no_value() {
        let (chain, call, put) = (chain(), option(2, 3.0, 0.03), option(3, 2.0, 0.02));
        let future = UnderlyingLine {
            con_id: ConId(1),
            quote: quote("99.96", "100.04"),
            state: DataState::Fresh,
        };
        let of = |legs: &[(i32, Line<'_>)]| ModelValue::of_legs(legs.iter().copied());
        let all = [
            (2, Line::Option(&call, &chain)),
            (-2, Line::Option(&put, &chain)),
            (-1, Line::Underlying(&future)),
        ];
        let value = of(&all).unwrap().unwrap();
        assert!((value.price + 98.0).abs() < 1e-9);
        let squares: f64 = 0.06 * 0.06 + 0.04 * 0.04 + 0.04 * 0.04;
        assert!((value.standard_error - squares.sqrt()).abs() < 1e-9);
        assert_eq!(of(&all[2..]), Ok(None), "an underlying alone has no model");
        let blind = OptionLine { fair: None, ..put };
        let legs = [all[0], (-2, Line::Option(&blind, &chain))];
        assert_eq!(of(&legs), Err(NoModelValue::OfOption(ConId(3))));
        let dark = UnderlyingLine { quote: Quote::empty(Timestamp::EPOCH), ..future };
        let legs = [all[0], (-1, Line::Underlying(&dark))];
        assert_eq!(of(&legs), Err(NoModelValue::OfUnderlying(ConId(1))));
    }

    proptest! {
        #[test]
        fn signs_and_units_of_an_edge(
            price in -500.0..500.0_f64,
            standard_error in 0.0..5.0_f64,
            at in -500_000_000..500_000_000_i64,
            tick in 1_000..1_000_000_i64,
        ) {
            let value = ModelValue { price, standard_error };
            let (at, tick) = (Price::from_micros(at), Price::from_micros(tick));
            let (buy, sell) = (value.edge(Side::Buy, at, tick), value.edge(Side::Sell, at, tick));
            prop_assert_eq!(buy.ticks, -sell.ticks);
            prop_assert_eq!(buy.standard_errors, -sell.standard_errors);
            prop_assert!(!buy.ticks.is_nan() && !buy.standard_errors.is_nan());
            // A better price for the buyer has more edge, in either unit.
            let better = value.edge(Side::Buy, at - tick, tick);
            prop_assert!((better.ticks - buy.ticks - 1.0).abs() < 1e-6);
            prop_assert!(better.standard_errors >= buy.standard_errors);
            let gain = price - at.to_f64();
            prop_assert!((buy.ticks * tick.to_f64() - gain).abs() <= 1e-9 * gain.abs().max(1.0));
            if buy.standard_errors.is_finite() {
                let back = buy.standard_errors * standard_error;
                prop_assert!((back - gain).abs() <= 1e-9 * gain.abs().max(1.0));
            }
        }
    }
}
