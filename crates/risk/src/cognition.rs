//! The cognition layer's answer: the market is in a state that the strategy is made for.
//!
//! A pure check of one view against the conditions of a strategy's tome. What isn't known isn't
//! assumed: a condition without a figure is a veto. Not here: who trades and how much.

use crate::worst_case::milli;
use serde::{Deserialize, Serialize};
use trading::approval::{Approval, Layer};
use trading::denial::{Denial, DenialCode};
use trading::order::OrderHash;
use valuation::view::MarketView;

/// The market state that a strategy is made for; an absent condition isn't checked.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Conditions {
    /// Highest realised volatility per year.
    pub realised_vol_max: Option<f64>,
    /// Lowest at-the-money implied volatility per year.
    pub implied_vol_min: Option<f64>,
    /// Highest at-the-money implied volatility per year.
    pub implied_vol_max: Option<f64>,
    /// Lowest share of two-sided option quotes that are fresh, 0 to 1.
    pub fresh_share_min: Option<f64>,
    /// Oldest market view that a decision may rest on, milliseconds of market time.
    pub view_age_ms_max: Option<u64>,
}

/// A condition that can't be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("condition `{field}` is {value}, write {allowed}")]
pub struct ConditionsError {
    /// Which.
    pub field: &'static str,
    /// What stands there.
    pub value: String,
    /// What may stand there.
    pub allowed: &'static str,
}

impl Conditions {
    /// Whether every condition can be meant.
    pub fn validate(&self) -> Result<(), ConditionsError> {
        let rows = [
            ("realised_vol_max", self.realised_vol_max, 10.0, "a volatility, 0 to 10"),
            ("implied_vol_min", self.implied_vol_min, 10.0, "a volatility, 0 to 10"),
            ("implied_vol_max", self.implied_vol_max, 10.0, "a volatility, 0 to 10"),
            ("fresh_share_min", self.fresh_share_min, 1.0, "a share, 0 to 1"),
        ];
        for (field, value, most, allowed) in rows {
            if let Some(value) = value.filter(|value| !(0.0..=most).contains(value)) {
                return Err(ConditionsError { field, value: value.to_string(), allowed });
            }
        }
        Ok(())
    }
}

/// Which side of its bound a figure must keep to.
#[derive(Clone, Copy)]
enum Side {
    AtMost,
    AtLeast,
}

/// Cognition's approval of the order with this hash, or its veto. Data quality is looked at first:
/// a regime read from bad data means nothing.
pub fn approve(
    conditions: &Conditions,
    view: &MarketView,
    now: market::time::Timestamp,
    order: OrderHash,
) -> Result<Approval, Denial> {
    use DenialCode::{DataQualityVeto, RegimeVeto};
    let regime = view.regime;
    let mut grounds = vec![("view".to_owned(), view.version.to_string())];
    if let Some(most) = conditions.view_age_ms_max {
        let age = now.since(view.time).as_millis();
        if age > u128::from(most) {
            let sentence = format!("the view of {} is {age} ms old, at most {most}", view.symbol);
            return Err(Denial::new(DataQualityVeto, sentence));
        }
        grounds.push(("view_age_ms".to_owned(), age.to_string()));
    }
    let fresh = regime.fresh_share;
    let rows = [
        ("fresh_share", fresh, Side::AtLeast, conditions.fresh_share_min, DataQualityVeto),
        (
            "realised_vol",
            regime.realised_vol,
            Side::AtMost,
            conditions.realised_vol_max,
            RegimeVeto,
        ),
        ("implied_vol", regime.implied_vol, Side::AtLeast, conditions.implied_vol_min, RegimeVeto),
        ("implied_vol", regime.implied_vol, Side::AtMost, conditions.implied_vol_max, RegimeVeto),
    ];
    for (name, figure, side, bound, code) in rows {
        let Some(bound) = bound else { continue };
        let (Some(figure), Some(bound)) = (figure.and_then(milli), milli(bound)) else {
            let sentence = format!("{name} of {} is not known", view.symbol);
            return Err(Denial::new(DataQualityVeto, sentence));
        };
        let (holds, word) = match side {
            Side::AtMost => (figure <= bound, "at most"),
            Side::AtLeast => (figure >= bound, "at least"),
        };
        if !holds {
            let sentence = format!(
                "{name} of {} is {figure} thousandths, the strategy wants {word} {bound}",
                view.symbol
            );
            return Err(Denial::new(code, sentence));
        }
        grounds.push((format!("{name}_milli"), format!("{figure} {word} {bound}")));
    }
    Ok(Approval { layer: Layer::Cognition, order, grounds })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use std::time::Duration;

    #[test]
    fn each_condition_vetoes_with_its_code_and_unknown_figures_veto_too() {
        use DenialCode::{DataQualityVeto, RegimeVeto};
        let none = Conditions::default();
        let all = Conditions {
            realised_vol_max: Some(0.2),
            implied_vol_min: Some(0.3),
            implied_vol_max: Some(0.3),
            fresh_share_min: Some(0.95),
            view_age_ms_max: Some(500),
        };
        let mut unknown = sample::view();
        unknown.regime.realised_vol = None;
        let mut broken = sample::view();
        broken.regime.implied_vol = Some(f64::NAN);
        let view = sample::view();
        let rows = [
            (none, &view, None),
            (none, &unknown, None),
            (all, &view, None),
            (all, &unknown, Some(DataQualityVeto)),
            (all, &broken, Some(DataQualityVeto)),
            (Conditions { realised_vol_max: Some(0.19), ..none }, &view, Some(RegimeVeto)),
            (Conditions { implied_vol_min: Some(0.31), ..none }, &view, Some(RegimeVeto)),
            (Conditions { implied_vol_max: Some(0.29), ..none }, &view, Some(RegimeVeto)),
            (Conditions { fresh_share_min: Some(0.96), ..none }, &view, Some(DataQualityVeto)),
        ];
        let hash = sample::buy_call().canonical_hash();
        let now = sample::OPEN.plus(Duration::from_millis(500));
        for (conditions, view, expected) in rows {
            let answer = approve(&conditions, view, now, hash);
            assert_eq!(answer.as_ref().err().map(|denial| denial.code), expected);
            if let Ok(approval) = answer {
                assert_eq!((approval.layer, approval.order), (Layer::Cognition, hash));
            }
        }
        let late = now.plus(Duration::from_millis(1));
        let veto = approve(&all, &view, late, hash).unwrap_err();
        assert_eq!(veto.code, DataQualityVeto);
    }

    #[test]
    fn conditions_out_of_range_are_refused() {
        assert!(Conditions::default().validate().is_ok());
        let wrong = Conditions { fresh_share_min: Some(f64::NAN), ..Conditions::default() };
        assert_eq!(wrong.validate().unwrap_err().field, "fresh_share_min");
    }
}
