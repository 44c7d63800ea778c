//! The limits of one account, as the configuration words them.
//!
//! Units stand in the names: shares are units of the underlying (contracts times multiplier), money
//! is in the account's currency, written as whole units or as decimal text (`50000` or
//! `"50000.50"`). Not here: what is compared with them (gate) and how it is computed.

use crate::margin::MarginRates;
use crate::setting::{LimitsError, PerSymbol, at_least, factor, money_text};
use crate::stress::StressGrid;
use market::money::{Currency, Money};
use serde::{Deserialize, Serialize};

/// What an order must keep to when it provably lowers risk: instead of the entry limits, not on
/// top.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RiskReducingLimits {
    /// Contracts per leg of one order.
    pub quantity_max_contracts: i64,
    /// Shares per leg of one order.
    pub quantity_max_shares: i64,
    /// Such orders per second.
    pub orders_per_second_max: u32,
    /// How far the limit may be worse than the quoted mid, in half-spreads.
    pub collar_quote_half_spreads: f64,
    /// The quote collar is never narrower than so many ticks.
    pub collar_quote_ticks_min: u32,
    /// How far the limit may be worse than the model value, in its standard errors.
    pub collar_model_standard_errors: f64,
    /// The model collar is never narrower than so many ticks.
    pub collar_model_ticks_min: u32,
}

/// All limits of the gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The currency of all amounts; contracts in another one aren't cleared.
    pub currency: Currency,
    /// Contracts per leg of one order.
    pub quantity_max_contracts: i64,
    /// Shares per leg of one order.
    pub quantity_max_shares: i64,
    /// Option premium that one order may pay or take.
    #[serde(with = "money_text")]
    pub premium_max: Money,
    /// Margin after the worst case.
    #[serde(with = "money_text")]
    pub margin_max: Money,
    /// How far the limit may be worse than the quoted mid, in half-spreads.
    pub collar_quote_half_spreads: f64,
    /// The quote collar is never narrower than so many ticks.
    pub collar_quote_ticks_min: u32,
    /// How far the limit may be worse than the model value, in its standard errors.
    pub collar_model_standard_errors: f64,
    /// The model collar is never narrower than so many ticks.
    pub collar_model_ticks_min: u32,
    /// The same order again within this process time is a mistake, milliseconds.
    pub duplicate_window_ms: u64,
    /// Orders and modifies per second that aren't risk-reducing.
    pub orders_per_second_max: u32,
    /// Open orders per contract and side (IB allows 15).
    pub open_orders_per_side_max: u32,
    /// Net delta per root symbol, worst case, in shares.
    pub delta_max_shares: PerSymbol<i64>,
    /// Net vega per root symbol, worst case, in units of currency per point of volatility.
    pub vega_max_per_point: PerSymbol<i64>,
    /// Shares per root symbol that short options may leave uncovered, worst case.
    pub short_naked_max_shares: PerSymbol<i64>,
    /// Loss of the day (realised and unrealised, after fees) from which entries are denied.
    #[serde(with = "money_text")]
    pub daily_loss_max: Money,
    /// How the node estimates margin.
    pub margin: MarginRates,
    /// The scenarios that prove that an order lowers risk.
    pub stress: StressGrid,
    /// The limits of such orders.
    pub risk_reducing: RiskReducingLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            currency: Currency::USD,
            quantity_max_contracts: 20,
            quantity_max_shares: 1_000,
            premium_max: Money::from_units(25_000),
            margin_max: Money::from_units(250_000),
            collar_quote_half_spreads: 2.0,
            collar_quote_ticks_min: 2,
            collar_model_standard_errors: 4.0,
            collar_model_ticks_min: 4,
            duplicate_window_ms: 1_000,
            orders_per_second_max: 10,
            open_orders_per_side_max: 10,
            delta_max_shares: PerSymbol::all(1_000),
            vega_max_per_point: PerSymbol::all(5_000),
            short_naked_max_shares: PerSymbol::all(0),
            daily_loss_max: Money::from_units(5_000),
            margin: MarginRates::default(),
            stress: StressGrid::default(),
            risk_reducing: RiskReducingLimits {
                quantity_max_contracts: 50,
                quantity_max_shares: 5_000,
                orders_per_second_max: 10,
                collar_quote_half_spreads: 6.0,
                collar_quote_ticks_min: 10,
                collar_model_standard_errors: 12.0,
                collar_model_ticks_min: 20,
            },
        }
    }
}

impl Limits {
    /// Whether every limit can be meant; zero forbids what it limits.
    pub fn validate(&self) -> Result<(), LimitsError> {
        const WHOLE: &str = "0 or more";
        at_least("quantity_max_contracts", self.quantity_max_contracts, 0, WHOLE)?;
        at_least("quantity_max_shares", self.quantity_max_shares, 0, WHOLE)?;
        at_least("premium_max", self.premium_max, Money::ZERO, WHOLE)?;
        at_least("margin_max", self.margin_max, Money::ZERO, WHOLE)?;
        let cent = Money::from_micros(10_000);
        at_least("daily_loss_max", self.daily_loss_max, cent, "a positive amount")?;
        for value in self.delta_max_shares.values() {
            at_least("delta_max_shares", value, 0, WHOLE)?;
        }
        for value in self.vega_max_per_point.values() {
            at_least("vega_max_per_point", value, 0, WHOLE)?;
        }
        for value in self.short_naked_max_shares.values() {
            at_least("short_naked_max_shares", value, 0, WHOLE)?;
        }
        factor("collar_quote_half_spreads", self.collar_quote_half_spreads)?;
        factor("collar_model_standard_errors", self.collar_model_standard_errors)?;
        let reducing = &self.risk_reducing;
        at_least(
            "risk_reducing.quantity_max_contracts",
            reducing.quantity_max_contracts,
            0,
            WHOLE,
        )?;
        at_least("risk_reducing.quantity_max_shares", reducing.quantity_max_shares, 0, WHOLE)?;
        factor("risk_reducing.collar_quote_half_spreads", reducing.collar_quote_half_spreads)?;
        factor(
            "risk_reducing.collar_model_standard_errors",
            reducing.collar_model_standard_errors,
        )?;
        if self.orders_per_second_max > 50 || reducing.orders_per_second_max > 50 {
            return Err(LimitsError::Range {
                field: "orders_per_second_max",
                value: self.orders_per_second_max.max(reducing.orders_per_second_max).to_string(),
                allowed: "at most 50, the broker's message rate",
            });
        }
        if self.duplicate_window_ms > 60_000 {
            return Err(LimitsError::Range {
                field: "duplicate_window_ms",
                value: self.duplicate_window_ms.to_string(),
                allowed: "at most 60000",
            });
        }
        self.margin.validate()?;
        self.stress.validate()
    }
}
