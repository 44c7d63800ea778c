//! Implied vol: the vol at which Black's formula gives an undiscounted price, or a typed reason.
//!
//! Exists so that one answer, with one set of reasons, is used for bids, mids and asks. The solver
//! is `implied-vol` (P. Jaeckel, "Let's Be Rational", Wilmott 2015, hybrid variant), accurate to
//! about twice the attainable accuracy. Time values are formed here, on the out-of-the-money side.
//! It calls the standard library's `exp` and `ln`: unlike `black`, its last bits follow the
//! platform. De-Americanising and discounting are left to the caller.

use crate::black::{OptionKind, PRICE_RANGE, PricingError};
use crate::lanes::elementary::ln_ratio;
use implied_vol::{DefaultSpecialFn, ImpliedBlackVolatilityNormalised};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// An in-the-money time value below this share of the price is rounding, not information.
const ROUNDING_OF_PRICE: f64 = 4.0 * f64::EPSILON;

/// Why a price has no implied vol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error, Serialize, Deserialize)]
pub enum NoVol {
    /// Price is zero or negative: nothing is bid.
    #[error("price is not positive; there is no quote to invert")]
    NoPrice,
    /// Price has no time value.
    #[error("price is at or below intrinsic value; check the forward or the age of the quote")]
    BelowIntrinsic,
    /// A call at or above the forward, a put at or above the strike.
    #[error("price is at or above what any vol can give; check the quote")]
    AboveCap,
    /// Time to expiry is zero or negative.
    #[error("option has expired; it has no vol")]
    Expired,
    /// An input is NaN or infinite.
    #[error("an input is not a finite number; check the quote or curve it comes from")]
    NotFinite,
    /// Forward or strike is zero or negative.
    #[error("forward or strike is not positive; the lognormal model can't price it")]
    NotPositive,
}

/// One column per input, one lane per price; all of one length. The same option may occupy several
/// lanes, e.g. bid, mid and ask.
#[derive(Debug, Clone, Copy)]
pub struct ImpliedInputs<'a> {
    /// Prices divided by the discount factor.
    pub undiscounted_price: &'a [f64],
    /// Forward prices.
    pub forward: &'a [f64],
    /// Strikes.
    pub strike: &'a [f64],
    /// Years to expiry.
    pub years: &'a [f64],
    /// True for calls.
    pub is_call: &'a [bool],
}

/// Annual implied vol of one undiscounted price.
pub fn implied_vol(
    undiscounted_price: f64,
    forward: f64,
    strike: f64,
    years: f64,
    kind: OptionKind,
) -> Result<f64, NoVol> {
    let inputs = [undiscounted_price, forward, strike, years];
    if !inputs.iter().all(|value| value.is_finite()) {
        return Err(NoVol::NotFinite);
    }
    if years <= 0.0 {
        return Err(NoVol::Expired);
    }
    if forward <= 0.0 || strike <= 0.0 {
        return Err(NoVol::NotPositive);
    }
    if !(PRICE_RANGE.contains(&forward) && PRICE_RANGE.contains(&strike)) {
        return Err(NoVol::BelowIntrinsic);
    }
    if undiscounted_price <= 0.0 {
        return Err(NoVol::NoPrice);
    }
    let (cap, intrinsic) = match kind {
        OptionKind::Call => (forward, (forward - strike).max(0.0)),
        OptionKind::Put => (strike, (strike - forward).max(0.0)),
    };
    if undiscounted_price >= cap {
        return Err(NoVol::AboveCap);
    }
    let time_value = undiscounted_price - intrinsic;
    let rounding = if intrinsic > 0.0 { ROUNDING_OF_PRICE * undiscounted_price } else { 0.0 };
    if time_value <= rounding {
        return Err(NoVol::BelowIntrinsic);
    }
    let normalised_price = time_value / (forward.sqrt() * strike.sqrt());
    if !normalised_price.is_normal() {
        return Err(NoVol::BelowIntrinsic);
    }
    let moneyness = -ln_ratio(forward, strike).abs();
    let total_vol = total_vol_of_normalised_price(moneyness, normalised_price)?;
    let vol = total_vol / years.sqrt();
    if vol.is_normal() { Ok(vol) } else { Err(NoVol::BelowIntrinsic) }
}

/// Total vol (vol * sqrt(years)) of the time value over sqrt(forward * strike), at log-moneyness
/// x <= 0. The price must be positive; `AboveCap` from exp(x / 2) on.
pub fn total_vol_of_normalised_price(
    log_moneyness: f64,
    normalised_price: f64,
) -> Result<f64, NoVol> {
    let problem = ImpliedBlackVolatilityNormalised::builder()
        .log_moneyness(log_moneyness)
        .normalised_price(normalised_price)
        .build()
        .ok_or(NoVol::NotFinite)?;
    match problem.calculate::<DefaultSpecialFn>() {
        Some(total_vol) if total_vol.is_finite() && total_vol > 0.0 => Ok(total_vol),
        Some(_) | None => Err(NoVol::AboveCap),
    }
}

/// Inverts every lane into `vols`, which must have as many lanes as each column.
///
/// Errors with `LengthMismatch`, leaving `vols` as it was.
pub fn implied_vols(
    inputs: &ImpliedInputs<'_>,
    vols: &mut [Result<f64, NoVol>],
) -> Result<(), PricingError> {
    let expected = inputs.undiscounted_price.len();
    for (column, found) in [
        ("forward", inputs.forward.len()),
        ("strike", inputs.strike.len()),
        ("years", inputs.years.len()),
        ("is_call", inputs.is_call.len()),
        ("vols", vols.len()),
    ] {
        if found != expected {
            return Err(PricingError::LengthMismatch { column, expected, found });
        }
    }
    for (lane, vol) in vols.iter_mut().enumerate() {
        let kind = if inputs.is_call[lane] { OptionKind::Call } else { OptionKind::Put };
        *vol = implied_vol(
            inputs.undiscounted_price[lane],
            inputs.forward[lane],
            inputs.strike[lane],
            inputs.years[lane],
            kind,
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bad_input_has_its_reason() {
        let of =
            |price, forward, strike, years, kind| implied_vol(price, forward, strike, years, kind);
        use NoVol::*;
        use OptionKind::{Call, Put};
        assert_eq!(of(f64::NAN, 100.0, 100.0, 1.0, Call), Err(NotFinite));
        assert_eq!(of(5.0, f64::INFINITY, 100.0, 1.0, Call), Err(NotFinite));
        assert_eq!(of(5.0, 100.0, 100.0, 0.0, Call), Err(Expired));
        assert_eq!(of(5.0, 100.0, 100.0, -1.0, Call), Err(Expired));
        assert_eq!(of(5.0, 100.0, 0.0, 1.0, Call), Err(NotPositive));
        assert_eq!(of(5.0, -1.0, 100.0, 1.0, Put), Err(NotPositive));
        assert_eq!(of(0.0, 100.0, 100.0, 1.0, Call), Err(NoPrice));
        assert_eq!(of(-0.05, 100.0, 100.0, 1.0, Call), Err(NoPrice));
        assert_eq!(of(20.0, 120.0, 100.0, 1.0, Call), Err(BelowIntrinsic));
        assert_eq!(of(19.0, 100.0, 120.0, 1.0, Put), Err(BelowIntrinsic));
        let (tiny, huge) = (f64::MIN_POSITIVE, f64::MAX);
        assert_eq!(of(tiny, huge, huge, 1.0, Call), Err(BelowIntrinsic));
        assert_eq!(of(100.0, 100.0, 90.0, 1.0, Call), Err(AboveCap));
        assert_eq!(of(90.0, 100.0, 90.0, 1.0, Put), Err(AboveCap));
    }

    #[test]
    fn columns_of_different_length_are_refused() {
        let inputs = ImpliedInputs {
            undiscounted_price: &[1.0, 2.0],
            forward: &[100.0],
            strike: &[100.0, 100.0],
            years: &[1.0, 1.0],
            is_call: &[true, true],
        };
        let mut vols = [Ok(0.5), Ok(0.5)];
        assert_eq!(
            implied_vols(&inputs, &mut vols),
            Err(PricingError::LengthMismatch { column: "forward", expected: 2, found: 1 })
        );
        assert_eq!(vols, [Ok(0.5), Ok(0.5)]);
    }
}
