//! How far an order's limit is worse than the quoted mid and than the model value.
//!
//! Only the bad side counts: a buyer's limit above, a seller's below. A limit on the good side can
//! rest, but it can't hurt. A combo's mid is the sum of its legs' mids; its half-spread the sum of
//! theirs (its legs are traded against both). Its model value and that value's standard error are
//! those that strategies read (`valuation::edge`): the distance from it is the limit's edge, where
//! that is a loss. What becomes of an order without a model value is the gate's to say.

use crate::valuing::{Unavailable, Valuing};
use crate::worst_case::milli;
use market::instrument::{Contract, Leg};
use market::money::{MICROS, Price};
use market::quote::Side;
use valuation::edge::ModelValue;

/// Distance and bound in thousandths of a price unit: the distance rounded up, the bound down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Distance {
    pub after_milli: i64,
    pub bound_milli: i64,
}

/// Why there is no distance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoDistance {
    /// A leg has no value to compare with.
    Missing(String),
    /// A figure is not a number.
    Unavailable(Unavailable),
}

impl From<Unavailable> for NoDistance {
    fn from(unavailable: Unavailable) -> Self {
        Self::Unavailable(unavailable)
    }
}

/// How wide a collar is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Width {
    /// Half-spreads or standard errors.
    pub multiple: f64,
    /// Never narrower than so many ticks.
    pub ticks_min: u32,
}

/// The increment of a contract's price: for a combo the finest of its legs'.
pub(crate) fn increment(
    valuing: Valuing<'_>,
    contract: &Contract,
    price: Price,
) -> Result<Price, Unavailable> {
    if let Contract::Single(con_id) = contract {
        return Ok(valuing.instrument(*con_id)?.tick.increment(price));
    }
    let mut finest = Price::from_units(1);
    for leg in contract.legs() {
        finest = finest.min(valuing.instrument(leg.con_id)?.tick.increment(Price::ZERO));
    }
    Ok(finest)
}

/// Against the quoted mid.
pub(crate) fn from_quote(
    valuing: Valuing<'_>,
    (contract, side, limit): (&Contract, Side, Price),
    width: Width,
) -> Result<Distance, NoDistance> {
    let (mut twice_mid, mut twice_half_spread) = (0_i128, 0_i128);
    for Leg { con_id, ratio } in contract.legs() {
        let line = valuing.line(con_id)?;
        let Some((bid, ask)) = line.quote().both() else {
            return Err(NoDistance::Missing(format!("con {con_id} has no two-sided quote")));
        };
        let (bid, ask) = (i128::from(bid.micros()), i128::from(ask.micros()));
        twice_mid += i128::from(ratio) * (bid + ask);
        twice_half_spread += i128::from(ratio.abs()) * (ask - bid);
    }
    let worse = i128::from(side.sign()) * (2 * i128::from(limit.micros()) - twice_mid);
    let widths = i128::from(thousandths(width.multiple)?) * twice_half_spread / 2 / 1000;
    Ok(distance((worse + 1).div_euclid(2), widths, floor(valuing, contract, limit, width)?))
}

/// Against the model value; `None` when no leg is an option and so there is no model.
pub(crate) fn from_model(
    valuing: Valuing<'_>,
    (contract, side, limit): (&Contract, Side, Price),
    width: Width,
) -> Result<Option<Distance>, NoDistance> {
    let legs = contract.legs();
    let mut lines = Vec::with_capacity(legs.len());
    for Leg { con_id, ratio } in legs {
        lines.push((ratio, valuing.line(con_id)?));
    }
    let value = ModelValue::of_legs(lines);
    let Some(value) = value.map_err(|none| NoDistance::Missing(none.to_string()))? else {
        return Ok(None);
    };
    let not_a_number = || Unavailable("a model value is not a number".to_owned());
    let error = Price::from_f64(value.standard_error).ok_or_else(not_a_number)?;
    let value = Price::from_f64(value.price).ok_or_else(not_a_number)?;
    let worse = i128::from(side.sign()) * (i128::from(limit.micros()) - i128::from(value.micros()));
    let widths = i128::from(thousandths(width.multiple)?) * i128::from(error.micros()) / 1000;
    Ok(Some(distance(worse, widths, floor(valuing, contract, limit, width)?)))
}

fn thousandths(multiple: f64) -> Result<i64, Unavailable> {
    milli(multiple).ok_or_else(|| Unavailable("a collar width is not a number".to_owned()))
}

fn floor(
    valuing: Valuing<'_>,
    contract: &Contract,
    limit: Price,
    width: Width,
) -> Result<i128, Unavailable> {
    let tick = increment(valuing, contract, limit)?;
    Ok(i128::from(tick.micros()) * i128::from(width.ticks_min))
}

fn distance(worse_micros: i128, widths_micros: i128, floor_micros: i128) -> Distance {
    let per_milli = i128::from(MICROS / 1000);
    let bound = widths_micros.max(floor_micros).max(0);
    let worse = worse_micros.max(0);
    Distance {
        after_milli: crate::worst_case::clamped((worse + per_milli - 1).div_euclid(per_milli)),
        bound_milli: crate::worst_case::clamped(bound.div_euclid(per_milli)),
    }
}
