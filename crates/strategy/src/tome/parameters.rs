//! The parameters of the built-in kinds, with what is allowed in each field.
//!
//! Units stand in the names; amounts are in the product's currency, prices per unit of the
//! underlying. What the parameters mean in the market is told by the kinds themselves.

use super::WrongValue;
use market::money::Price;
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::ops::RangeInclusive;

/// How a kind asks for trades.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderParameters {
    /// Where between the mid (0) and the far side of the quote (100) the limit lies; beyond 100 it
    /// lies past the far side.
    pub cross_percent: u32,
    /// How long an intent is valid.
    pub valid_seconds: u32,
    /// The pause after a first denial; it doubles with each further one.
    pub backoff_first_seconds: u32,
    /// The longest such pause.
    pub backoff_max_seconds: u32,
}

/// Parameters of `gamma_scalper`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GammaScalperParameters {
    /// Fewest days to the end of trading at entry.
    pub days_min: u32,
    /// Most days at entry.
    pub days_max: u32,
    /// Straddles bought.
    pub units: u32,
    /// Closes below so many days.
    pub close_days: u32,
    /// Closes, to enter anew at the money, when the underlying is so far from the strike.
    pub restrike_basis_points: u32,
    /// Closes at this profit of the campaign.
    pub take_profit: f64,
    /// Closes at this loss of the campaign, positive.
    pub stop_loss: f64,
    /// Net delta within this band, in units of the underlying, is left alone.
    pub hedge_band_units: f64,
    /// Most contracts or shares that the hedge may hold.
    pub hedge_max: u32,
    /// How long a position may be uneven before its legs are closed singly.
    pub uneven_grace_seconds: u32,
    /// The pause between two campaigns.
    pub pause_seconds: u32,
    /// Least edge of an entry's limit against the model value, in standard errors of that: -2 gives
    /// away at most two, 1 wants to gain one. Without a model value there is no entry then. Absent:
    /// the model has no say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry_edge_standard_errors_min: Option<f64>,
    /// How it asks for trades.
    pub order: OrderParameters,
}

/// Which vertical is sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpreadSide {
    /// Puts below the market.
    Put,
    /// Calls above it.
    Call,
}

/// What happens to a spread near its expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AtExpiry {
    /// It is bought back `close_hours` before.
    Close,
    /// It is left to expire.
    LetExpire,
}

/// Parameters of `credit_spread`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreditSpreadParameters {
    /// Puts or calls.
    pub side: SpreadSide,
    /// Fewest days to the end of trading at entry.
    pub days_min: u32,
    /// Most days at entry.
    pub days_max: u32,
    /// Spreads sold.
    pub units: u32,
    /// Wanted delta of the sold leg, without its sign, in hundredths.
    pub short_delta_percent: u32,
    /// Wanted distance of the strikes, in units of the underlying's price.
    pub width: f64,
    /// Least credit per unit of the underlying.
    pub min_credit: f64,
    /// Buys back when closing costs at most this share of the credit.
    pub profit_percent: u32,
    /// Buys back when closing costs at least this share of the credit; above 100.
    pub stop_percent: u32,
    /// Near expiry.
    pub at_expiry: AtExpiry,
    /// Hours before the end of trading at which `close` acts.
    pub close_hours: u32,
    /// How long a position may be uneven before its legs are closed singly.
    pub uneven_grace_seconds: u32,
    /// The pause between two campaigns.
    pub pause_seconds: u32,
    /// Least edge of an entry's limit against the model value, in standard errors of that: -2 gives
    /// away at most two, 1 wants to gain one. Without a model value there is no entry then. Absent:
    /// the model has no say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry_edge_standard_errors_min: Option<f64>,
    /// How it asks for trades.
    pub order: OrderParameters,
}

fn within<T: PartialOrd + Display>(
    field: &'static str,
    found: T,
    allowed: RangeInclusive<T>,
) -> Result<(), WrongValue> {
    if allowed.contains(&found) {
        return Ok(());
    }
    Err(WrongValue {
        field,
        found: found.to_string(),
        allowed: format!("{} to {}", allowed.start(), allowed.end()),
    })
}

fn check_entry_edge(standard_errors: Option<f64>) -> Result<(), WrongValue> {
    let found = standard_errors.unwrap_or(0.0);
    within("entry_edge_standard_errors_min", found, -100.0..=100.0)
}

impl OrderParameters {
    fn check(&self) -> Result<(), WrongValue> {
        within("order.cross_percent", self.cross_percent, 0..=200)?;
        within("order.valid_seconds", self.valid_seconds, 1..=3600)?;
        within("order.backoff_first_seconds", self.backoff_first_seconds, 1..=600)?;
        let longest = self.backoff_first_seconds..=3600;
        within("order.backoff_max_seconds", self.backoff_max_seconds, longest)
    }
}

impl GammaScalperParameters {
    pub(crate) fn check(&self) -> Result<(), WrongValue> {
        within("days_max", self.days_max, 0..=1500)?;
        within("days_min", self.days_min, 0..=self.days_max)?;
        within("units", self.units, 1..=1000)?;
        within("close_days", self.close_days, 0..=self.days_min)?;
        within("restrike_basis_points", self.restrike_basis_points, 1..=10_000)?;
        within("take_profit", self.take_profit, 0.01..=1e9)?;
        within("stop_loss", self.stop_loss, 0.01..=1e9)?;
        within("hedge_band_units", self.hedge_band_units, 0.0..=1e9)?;
        within("hedge_max", self.hedge_max, 0..=1_000_000)?;
        within("uneven_grace_seconds", self.uneven_grace_seconds, 0..=3600)?;
        within("pause_seconds", self.pause_seconds, 0..=86_400)?;
        check_entry_edge(self.entry_edge_standard_errors_min)?;
        self.order.check()
    }
}

impl CreditSpreadParameters {
    pub(crate) fn check(&self) -> Result<(), WrongValue> {
        within("days_max", self.days_max, 0..=1500)?;
        within("days_min", self.days_min, 0..=self.days_max)?;
        within("units", self.units, 1..=1000)?;
        within("short_delta_percent", self.short_delta_percent, 1..=60)?;
        within("width", self.width, 0.000_001..=1e6)?;
        within("min_credit", self.min_credit, 0.000_001..=1e6)?;
        within("profit_percent", self.profit_percent, 1..=99)?;
        within("stop_percent", self.stop_percent, 101..=10_000)?;
        within("close_hours", self.close_hours, 0..=24 * 365)?;
        within("uneven_grace_seconds", self.uneven_grace_seconds, 0..=3600)?;
        within("pause_seconds", self.pause_seconds, 0..=86_400)?;
        check_entry_edge(self.entry_edge_standard_errors_min)?;
        self.order.check()
    }

    /// The least credit, exactly.
    #[must_use]
    pub fn least_credit(&self) -> Price {
        Price::from_f64(self.min_credit).expect("checked to be within range")
    }
}
