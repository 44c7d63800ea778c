//! What one setting of risk may be: a value per root symbol, money in a file, a range, and what is
//! wrong with one that can't be meant. Not here: which settings there are (`limits`, `margin`,
//! `stress`, `breaker`).

use crate::worst_case::milli;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A value per root symbol, with a default for all others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerSymbol<T> {
    /// For every symbol that is not named.
    pub default: T,
    /// For the named ones.
    #[serde(default = "BTreeMap::new")]
    pub by_symbol: BTreeMap<String, T>,
}

impl<T: Copy> PerSymbol<T> {
    /// The same for every symbol.
    #[must_use]
    pub const fn all(default: T) -> Self {
        Self { default, by_symbol: BTreeMap::new() }
    }

    /// The value for `symbol`.
    #[must_use]
    pub fn of(&self, symbol: &str) -> T {
        self.by_symbol.get(symbol).copied().unwrap_or(self.default)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = T> {
        std::iter::once(self.default).chain(self.by_symbol.values().copied())
    }
}

/// Money in a configuration file.
pub mod money_text {
    use market::money::{MICROS, Money};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Units(i64),
        Text(String),
    }

    /// Writes decimal text.
    pub fn serialize<S: Serializer>(money: &Money, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(money)
    }

    /// Reads whole units or decimal text.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Money, D::Error> {
        match Written::deserialize(deserializer)? {
            Written::Text(text) => Money::parse(&text).map_err(D::Error::custom),
            Written::Units(units) => units
                .checked_mul(MICROS)
                .map(Money::from_micros)
                .ok_or_else(|| D::Error::custom(format!("{units} is too much money"))),
        }
    }
}

/// A limit that can't be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitsError {
    /// Out of its range.
    #[error("limit `{field}` is {value}, write {allowed}")]
    Range {
        /// Which.
        field: &'static str,
        /// What stands there.
        value: String,
        /// What may stand there.
        allowed: &'static str,
    },
    /// A grid that can't show a loss on both sides.
    #[error(
        "the stress grid needs 1 to 25 spot moves between -0.9 and 0.9, some down and some up, \
             and 1 to 9 volatility shifts between -100 and 100 points, each with 0 or both signs"
    )]
    Stress,
}

/// Whether `value` is `least` or more.
pub(crate) fn at_least<T: PartialOrd + ToString>(
    field: &'static str,
    value: T,
    least: T,
    allowed: &'static str,
) -> Result<(), LimitsError> {
    // Written so that NaN fails.
    if value >= least {
        Ok(())
    } else {
        Err(LimitsError::Range { field, value: value.to_string(), allowed })
    }
}

/// Whether `value` is a factor that anything may be multiplied with.
pub(crate) fn factor(field: &'static str, value: f64) -> Result<(), LimitsError> {
    if (0.0..=1_000.0).contains(&value) && milli(value).is_some() {
        Ok(())
    } else {
        Err(LimitsError::Range { field, value: value.to_string(), allowed: "a number 0 to 1000" })
    }
}
