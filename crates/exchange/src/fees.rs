//! What an execution costs: IB's published schedule as data (`config/fees.json`), in exact
//! decimals.
//!
//! The file states the rule in words, so that a short script in another language can recompute
//! every fee from a list of fills. A fee belongs to an order and an instrument as a whole (minimums
//! and maximums are per order); an execution pays what the order's rounded total rises by. Left to
//! others: when something executes (matching), who pays (books).

use market::instrument::{Instrument, InstrumentKind};
use market::money::{Currency, Money, Price, Quantity};
use market::quote::Side;
use serde::{Deserialize, Serialize};

/// Rates have nine decimals: the regulators publish seven.
const NANOS: i64 = 1_000_000_000;
/// Exact sums are kept in units of 1e-15: a rate (1e-9) times an amount (1e-6).
const FEMTOS_PER_CENT: i128 = 10_000_000_000_000;

/// A decimal rate with at most nine decimals, never negative.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate {
    nanos: i64,
}

/// Why a fee schedule can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeeError {
    /// A rate is not a plain decimal.
    #[error("fee rate `{0}` is not a decimal number from 0 with at most nine decimals")]
    Rate(String),
    /// Not JSON of the right shape.
    #[error("the fee schedule can't be read: {0}; compare it with the shipped config/fees.json")]
    Shape(String),
    /// Written for another version of this code.
    #[error("the fee schedule has schema_version {0}, this build reads 1")]
    Version(u32),
    /// A product has no price band from zero, or they are not rising.
    #[error("the {0:?} fees of `{1}` need price bands that rise from 0")]
    Bands(ProductKind, String),
}

impl TryFrom<String> for Rate {
    type Error = FeeError;
    fn try_from(text: String) -> Result<Self, FeeError> {
        let (units, decimals) = text.split_once('.').unwrap_or((&text, ""));
        let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let parsed = || {
            if units.is_empty() || decimals.len() > 9 || !plain(units) || !plain(decimals) {
                return None;
            }
            let whole: i64 = units.parse().ok()?;
            let part: i64 = format!("{decimals:0<9}").parse().ok()?;
            whole.checked_mul(NANOS)?.checked_add(part)
        };
        match parsed() {
            Some(nanos) => Ok(Self { nanos }),
            None => Err(FeeError::Rate(text)),
        }
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        format!("{}.{:09}", rate.nanos / NANOS, rate.nanos % NANOS)
    }
}

/// Which instruments a product's fees are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProductKind {
    /// Shares.
    Stock,
    /// Options on stocks and indices.
    Option,
    /// Futures.
    Future,
    /// Options on futures.
    FutureOption,
}

/// The commission per contract from a price upwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Band {
    /// Execution prices from here on.
    pub price_from: Rate,
    /// Per contract or share.
    pub per_unit: Rate,
}

/// The broker's own charge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commission {
    /// Rates by execution price, rising from 0.
    pub bands: Vec<Band>,
    /// Least charge of an order.
    pub minimum_per_order: Rate,
    /// Greatest charge as a part of the order's value (0.01 is one per cent); it beats the minimum.
    pub maximum_of_value: Option<Rate>,
}

/// Which executions a line is charged on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppliesTo {
    /// Purchases and sales.
    Both,
    /// Sales only.
    Sales,
}

/// What a line's rate multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Contracts or shares.
    Quantity,
    /// Price times quantity times multiplier.
    Value,
}

/// A charge of a third party that the broker passes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeeLine {
    /// Its short name.
    pub name: String,
    /// Who published the figure, and when.
    pub source: String,
    /// Purchases, sales or both.
    pub applies_to: AppliesTo,
    /// What the rate multiplies.
    pub basis: Basis,
    /// The rate.
    pub rate: Rate,
    /// Greatest charge of an order.
    pub maximum_per_order: Option<Rate>,
}

/// The fees of one product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProductFees {
    /// Its kind.
    pub kind: ProductKind,
    /// The root symbol, or `*` for every one. The first product that matches counts.
    pub symbol: String,
    /// What it is charged in.
    pub currency: Currency,
    /// The broker's charge.
    pub commission: Commission,
    /// Third parties' charges.
    pub lines: Vec<FeeLine>,
}

/// The whole schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeeSchedule {
    /// 1.
    pub schema_version: u32,
    /// Who published it.
    pub source: String,
    /// The day whose figures these are.
    pub as_of: String,
    /// The rule in words.
    pub rounding: String,
    /// Products, first match first.
    pub products: Vec<ProductFees>,
}

/// What one order has executed in one instrument so far, as far as fees go by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeeTally {
    /// Contracts or shares.
    pub quantity: Quantity,
    /// Their value.
    pub value: Money,
    /// Commission by bands before minimum and maximum, in 1e-9 units of currency.
    pub commission_nanos: i64,
    /// Charged so far, in whole cents.
    pub charged: Money,
}

impl FeeSchedule {
    /// The schedule that ships with the node.
    #[must_use]
    pub fn published() -> Self {
        Self::parse(include_str!("../../../config/fees.json"))
            .expect("the shipped fee file is read by a test")
    }

    /// Reads a schedule from JSON text.
    pub fn parse(text: &str) -> Result<Self, FeeError> {
        let schedule: Self =
            serde_json::from_str(text).map_err(|error| FeeError::Shape(error.to_string()))?;
        if schedule.schema_version != 1 {
            return Err(FeeError::Version(schedule.schema_version));
        }
        for product in &schedule.products {
            let bands = &product.commission.bands;
            let from_zero = bands.first().is_some_and(|band| band.price_from.nanos == 0);
            let rising = bands.windows(2).all(|pair| pair[0].price_from < pair[1].price_from);
            if !from_zero || !rising {
                return Err(FeeError::Bands(product.kind, product.symbol.clone()));
            }
        }
        Ok(schedule)
    }

    /// Adds an execution of `quantity` (positive) to an order's `tally` and returns its fee. What
    /// no product covers is free.
    pub fn charge(
        &self,
        tally: &mut FeeTally,
        instrument: &Instrument,
        side: Side,
        quantity: Quantity,
        price: Price,
    ) -> Money {
        let value = price.value(quantity, instrument.multiplier).abs();
        tally.quantity += quantity;
        tally.value += value;
        let Some(product) = self.product(instrument) else {
            return Money::ZERO;
        };
        tally.commission_nanos += product.band_rate(price).nanos * quantity.0;
        let total = product.total(tally, side);
        let fee = total - tally.charged;
        tally.charged = total;
        fee
    }

    fn product(&self, instrument: &Instrument) -> Option<&ProductFees> {
        let kind = match instrument.kind {
            InstrumentKind::Stock => ProductKind::Stock,
            InstrumentKind::Option(_) => ProductKind::Option,
            InstrumentKind::Future(_) => ProductKind::Future,
            InstrumentKind::FutureOption(_) => ProductKind::FutureOption,
            InstrumentKind::Index => return None,
        };
        self.products.iter().find(|product| {
            product.kind == kind && (product.symbol == "*" || product.symbol == instrument.symbol)
        })
    }
}

impl ProductFees {
    fn band_rate(&self, price: Price) -> Rate {
        let nanos = i128::from(price.abs().micros()) * 1_000;
        let reached = |band: &&Band| i128::from(band.price_from.nanos) <= nanos;
        let below = self.commission.bands.iter().take_while(reached).last();
        below.unwrap_or(&self.commission.bands[0]).per_unit
    }

    fn total(&self, tally: &FeeTally, side: Side) -> Money {
        let value = i128::from(tally.value.micros());
        let units = i128::from(tally.quantity.0) * 1_000_000;
        let amount = |rate: Rate| i128::from(rate.nanos) * 1_000_000;
        let minimum = amount(self.commission.minimum_per_order);
        let mut total = minimum.max(i128::from(tally.commission_nanos) * 1_000_000);
        if let Some(part) = self.commission.maximum_of_value {
            total = total.min(i128::from(part.nanos) * value);
        }
        for line in &self.lines {
            if line.applies_to == AppliesTo::Sales && side == Side::Buy {
                continue;
            }
            let base = match line.basis {
                Basis::Quantity => units,
                Basis::Value => value,
            };
            let charge = i128::from(line.rate.nanos) * base;
            total += line.maximum_per_order.map_or(charge, |most| charge.min(amount(most)));
        }
        let cents = (total + FEMTOS_PER_CENT / 2).div_euclid(FEMTOS_PER_CENT);
        let cents = i64::try_from(cents).expect("fees far below the range of money");
        Money::from_micros(cents * 10_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn price(text: &str) -> Price {
        Price::parse(text).unwrap()
    }

    fn money(text: &str) -> Money {
        Money::parse(text).unwrap()
    }

    #[test]
    fn the_minimum_of_an_order_is_paid_once_over_its_partial_executions() {
        let fees = FeeSchedule::published();
        let option = samples::stock_call(100);
        let mut tally = FeeTally::default();
        // 1 contract: max(1.00, 0.65) + 0.0379 + 0.02 = 1.0579
        let first = fees.charge(&mut tally, &option, Side::Buy, Quantity(1), price("2.00"));
        // 3 contracts: 1.95 + 3 * 0.0579 = 2.1237
        let second = fees.charge(&mut tally, &option, Side::Buy, Quantity(2), price("2.00"));
        assert_eq!((first, second), (money("1.06"), money("1.06")));
    }

    #[test]
    fn cheap_options_have_cheaper_bands_and_sales_pay_the_regulators() {
        let fees = FeeSchedule::published();
        let option = samples::stock_call(100);
        let mut tally = FeeTally::default();
        // 10 * 0.25 + 10 * 0.0579 = 3.079; sale of 40.00: 0.001112; TAF 0.0279; sum 3.108012
        let fee = fees.charge(&mut tally, &option, Side::Sell, Quantity(10), price("0.04"));
        assert_eq!(fee, money("3.11"));
    }

    #[test]
    fn the_stock_maximum_beats_the_minimum() {
        let fees = FeeSchedule::published();
        let stock = samples::stock();
        let mut tally = FeeTally::default();
        let fee = fees.charge(&mut tally, &stock, Side::Buy, Quantity(1), price("20.00"));
        assert_eq!(fee, money("0.20"));
    }

    #[test]
    fn a_broken_schedule_is_refused() {
        let text = include_str!("../../../config/fees.json");
        assert!(matches!(FeeSchedule::parse("{}"), Err(FeeError::Shape(_))));
        let other = text.replace("\"schema_version\": 1", "\"schema_version\": 2");
        assert_eq!(FeeSchedule::parse(&other), Err(FeeError::Version(2)));
        let negative = text.replace("\"0.0379\"", "\"-0.0379\"");
        assert!(matches!(FeeSchedule::parse(&negative), Err(FeeError::Shape(_))));
    }
}
