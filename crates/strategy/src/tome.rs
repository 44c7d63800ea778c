//! Tomes: the files `config/strategies/<id>.json`, one per strategy instance.
//!
//! A tome names the kind, its parameters, the market conditions that it is made for, and what
//! happens to its positions when it is quarantined. Reading the file is left to the node: this
//! parses text, and every error names the file, the field and what is allowed there. Checking the
//! conditions is cognition's work.

mod parameters;

pub use parameters::{
    AtExpiry, CreditSpreadParameters, GammaScalperParameters, OrderParameters, SpreadSide,
};

use crate::certificate::Fingerprint;
use serde::{Deserialize, Serialize};
use trading::id::StrategyId;

/// The one schema that this version reads.
pub const SCHEMA_VERSION: u32 = 1;

/// Why a tome is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TomeError {
    /// Not JSON, or a field is missing, unknown or of the wrong kind.
    #[error("{file}: {place}: {reason}")]
    Shape {
        /// The file.
        file: String,
        /// The whole tome or its part.
        place: &'static str,
        /// What is wrong, and the fields or values that exist.
        reason: String,
    },
    /// A field has a value that is not allowed.
    #[error("{file}: {field} is {found}, allowed is {allowed}")]
    Value {
        /// The file.
        file: String,
        /// The field, with its path.
        field: String,
        /// What stands there.
        found: String,
        /// What may stand there.
        allowed: String,
    },
}

/// A value that is not allowed, before its file is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WrongValue {
    pub(crate) field: &'static str,
    pub(crate) found: String,
    pub(crate) allowed: String,
}

/// What to do with the positions of a quarantined strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuarantinePolicy {
    /// Leave them.
    Hold,
    /// Neutralise their delta, and leave them.
    Hedge,
    /// Close them.
    Flatten,
}

/// The market state that a strategy is made for; absent bounds do not bind. Volatilities are
/// annual, 0.20 is twenty per cent.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MarketConditions {
    /// Highest realised volatility.
    pub realised_vol_max: Option<f64>,
    /// Lowest implied volatility.
    pub implied_vol_min: Option<f64>,
    /// Highest implied volatility.
    pub implied_vol_max: Option<f64>,
    /// Least share of two-sided quotes that are fresh, 0 to 1.
    pub fresh_share_min: Option<f64>,
}

/// The kind of a strategy with its parameters.
#[derive(Clone, Debug, PartialEq)]
pub enum Parameters {
    /// Long straddles, delta hedged.
    GammaScalper(GammaScalperParameters),
    /// Sold verticals.
    CreditSpread(CreditSpreadParameters),
}

impl Parameters {
    /// The kind's name in tomes and metrics.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::GammaScalper(_) => "gamma_scalper",
            Self::CreditSpread(_) => "credit_spread",
        }
    }
}

/// A valid tome.
#[derive(Clone, Debug, PartialEq)]
pub struct Tome {
    /// The instance's id; the file is named after it.
    pub id: StrategyId,
    /// The version of the strategy's code that the parameters are meant for.
    pub version: u32,
    /// The product that it trades, by root symbol.
    pub symbol: String,
    /// Kind and parameters.
    pub parameters: Parameters,
    /// The market state that it is made for.
    pub conditions: MarketConditions,
    /// What happens to its positions in quarantine.
    pub quarantine_policy: QuarantinePolicy,
    /// The path of its certificate, if it has one.
    pub certificate: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    GammaScalper,
    CreditSpread,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Draft {
    schema_version: u32,
    id: String,
    kind: Kind,
    version: u32,
    symbol: String,
    parameters: serde_json::Value,
    #[serde(default)]
    conditions: MarketConditions,
    quarantine_policy: QuarantinePolicy,
    #[serde(default)]
    certificate: Option<String>,
}

impl Tome {
    /// Reads the text of `file` (a name for errors; its stem must be the tome's id).
    pub fn parse(file: &str, text: &str) -> Result<Self, TomeError> {
        let shape = |place, error: serde_json::Error| TomeError::Shape {
            file: file.to_owned(),
            place,
            reason: error.to_string(),
        };
        let value = |path: &str, wrong: WrongValue| TomeError::Value {
            file: file.to_owned(),
            field: format!("{path}{}", wrong.field),
            found: wrong.found,
            allowed: wrong.allowed,
        };
        let draft: Draft = serde_json::from_str(text).map_err(|error| shape("tome", error))?;
        check_draft(&draft, file).map_err(|wrong| value("", wrong))?;
        check_conditions(&draft.conditions).map_err(|wrong| value("conditions.", wrong))?;
        let id = StrategyId::new(&draft.id).map_err(|_| {
            let allowed = "1 to 40 of a-z, 0-9 and _".to_owned();
            value("", WrongValue { field: "id", found: draft.id.clone(), allowed })
        })?;
        let in_parameters = |error| shape("parameters", error);
        let parameters = match draft.kind {
            Kind::GammaScalper => {
                let own: GammaScalperParameters =
                    serde_json::from_value(draft.parameters).map_err(in_parameters)?;
                own.check().map_err(|wrong| value("parameters.", wrong))?;
                Parameters::GammaScalper(own)
            }
            Kind::CreditSpread => {
                let own: CreditSpreadParameters =
                    serde_json::from_value(draft.parameters).map_err(in_parameters)?;
                own.check().map_err(|wrong| value("parameters.", wrong))?;
                Parameters::CreditSpread(own)
            }
        };
        Ok(Self {
            id,
            version: draft.version,
            symbol: draft.symbol,
            parameters,
            conditions: draft.conditions,
            quarantine_policy: draft.quarantine_policy,
            certificate: draft.certificate,
        })
    }

    /// What a certificate speaks of: kind, version and parameters, not the id or the product.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let parameters = match &self.parameters {
            Parameters::GammaScalper(own) => serde_json::to_vec(own),
            Parameters::CreditSpread(own) => serde_json::to_vec(own),
        };
        let parameters = parameters.expect("plain structs of finite numbers encode");
        let version = self.version.to_le_bytes();
        Fingerprint::of(&[self.parameters.kind().as_bytes(), &version, &parameters])
    }
}

fn check_draft(draft: &Draft, file: &str) -> Result<(), WrongValue> {
    let wrong = |field, found: &str, allowed: String| {
        Err(WrongValue { field, found: format!("`{found}`"), allowed })
    };
    if draft.schema_version != SCHEMA_VERSION {
        let found = draft.schema_version.to_string();
        return wrong("schema_version", &found, SCHEMA_VERSION.to_string());
    }
    let name = file.rsplit(['/', '\\']).next().unwrap_or(file);
    let stem = name.strip_suffix(".json").unwrap_or(name);
    if draft.id != stem {
        return wrong("id", &draft.id, format!("`{stem}`, the name of the file"));
    }
    if draft.symbol.is_empty() || draft.symbol.len() > 12 {
        return wrong("symbol", &draft.symbol, "a root symbol of 1 to 12 letters".to_owned());
    }
    if draft.version == 0 {
        return wrong("version", "0", "1 and above".to_owned());
    }
    Ok(())
}

fn check_conditions(conditions: &MarketConditions) -> Result<(), WrongValue> {
    let bounds = [
        ("realised_vol_max", conditions.realised_vol_max, 10.0),
        ("implied_vol_min", conditions.implied_vol_min, 10.0),
        ("implied_vol_max", conditions.implied_vol_max, 10.0),
        ("fresh_share_min", conditions.fresh_share_min, 1.0),
    ];
    for (field, bound, highest) in bounds {
        if let Some(found) = bound.filter(|bound| !(0.0..=highest).contains(bound)) {
            let allowed = format!("0 to {highest}");
            return Err(WrongValue { field, found: found.to_string(), allowed });
        }
    }
    if let (Some(low), Some(high)) = (conditions.implied_vol_min, conditions.implied_vol_max)
        && low > high
    {
        return Err(WrongValue {
            field: "implied_vol_min",
            found: low.to_string(),
            allowed: format!("at most implied_vol_max, {high}"),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
