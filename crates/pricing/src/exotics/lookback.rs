//! Lookback options, watched continuously: on the best price so far (floating) or with a strike
//! against it (fixed).
//!
//! Exists because the closed forms (Goldman, Sosin, Gatto 1979; Conze, Viswanathan 1991) divide by
//! the carry: near zero the same function, which is analytic there, is interpolated from where the
//! division is harmless. Watching at intervals is left to `monte_carlo`.

use super::{
    ExoticInput, ExoticRefusal, PRICES, Price, ROUNDING, Underlying, exp_times_cdf, finish, within,
};
use crate::black::OptionKind;
use crate::error_class::StatedError;
use crate::lanes::scalar::ln;

/// Below this size of 2 carry / vol^2 the price is interpolated between multiples of it.
const TILT_SMALL: f64 = 0.005;

/// A floating call pays S - minimum, a put maximum - S; `extreme` is that minimum or maximum so
/// far, the spot at the start.
pub fn floating(
    underlying: &Underlying,
    kind: OptionKind,
    extreme: f64,
) -> Result<Price, ExoticRefusal> {
    underlying.check()?;
    within(ExoticInput::Extreme, extreme, PRICES)?;
    let gap = if kind.is_call() { underlying.spot - extreme } else { extreme - underlying.spot };
    if gap < 0.0 {
        return Err(ExoticRefusal::ExtremeContradictsSpot);
    }
    let held = underlying.prepaid() - extreme * underlying.discount();
    let value = if kind.is_call() {
        held + extremum_option(underlying, -1.0, extreme)
    } else {
        extremum_option(underlying, 1.0, extreme) - held
    };
    finish(value, rounding(underlying, extreme), true)
}

/// A fixed call pays maximum - strike, a put strike - minimum, if positive.
pub fn fixed(
    underlying: &Underlying,
    kind: OptionKind,
    strike: f64,
    extreme: f64,
) -> Result<Price, ExoticRefusal> {
    underlying.check()?;
    within(ExoticInput::Extreme, extreme, PRICES)?;
    within(ExoticInput::Strike, strike, PRICES)?;
    let (gap, sign, level) = if kind.is_call() {
        (extreme - underlying.spot, 1.0, extreme.max(strike))
    } else {
        (underlying.spot - extreme, -1.0, extreme.min(strike))
    };
    if gap < 0.0 {
        return Err(ExoticRefusal::ExtremeContradictsSpot);
    }
    let locked_in = sign * (level - strike) * underlying.discount();
    let value = locked_in + extremum_option(underlying, sign, level);
    finish(value, rounding(underlying, level.max(strike)), true)
}

/// The interpolation and the division by a small carry cost digits.
fn rounding(underlying: &Underlying, level: f64) -> StatedError {
    let variance = underlying.total_vol() * underlying.total_vol();
    let size = underlying.prepaid() + level * underlying.discount();
    StatedError::Exact { rounding: 100.0 * ROUNDING * size * (1.0 + variance) }
}

/// Value of max(maximum - level, 0) (sign 1, level at least the spot) or of max(level - minimum, 0)
/// (sign -1, level at most the spot).
fn extremum_option(underlying: &Underlying, sign: f64, level: f64) -> f64 {
    let variance = underlying.vol * underlying.vol;
    let tilt = 2.0 * underlying.carry() / variance;
    if tilt.abs() >= 0.5 * TILT_SMALL {
        return at_tilt(underlying, sign, level, tilt);
    }
    // Lagrange on +-1..4 steps: the rest of the eighth order is below 1e-17 of the eighth
    // derivative, and the division by a step costs three digits.
    let nodes = [-4.0f64, -3.0, -2.0, -1.0, 1.0, 2.0, 3.0, 4.0];
    let x = tilt / TILT_SMALL;
    let mut sum = 0.0;
    for node in nodes {
        let mut weight = 1.0;
        for other in nodes.iter().filter(|other| **other != node) {
            weight *= (x - other) / (node - other);
        }
        sum += weight * at_tilt(underlying, sign, level, node * TILT_SMALL);
    }
    sum
}

/// The same with carry = tilt vol^2 / 2 (by the yield), away from zero.
fn at_tilt(underlying: &Underlying, sign: f64, level: f64, tilt: f64) -> f64 {
    let (variance, years) = (underlying.vol * underlying.vol, underlying.years);
    let carry = 0.5 * tilt * variance;
    let deviation = underlying.total_vol();
    let distance = ln(underlying.spot / level);
    let d1 = (distance + (carry + 0.5 * variance) * years) / deviation;
    let discount = -underlying.rate * years;
    let forward = carry * years + discount;
    let plain = underlying.spot * exp_times_cdf(forward, sign * d1)
        - level * exp_times_cdf(discount, sign * (d1 - deviation));
    let image =
        exp_times_cdf(discount - tilt * distance, sign * (d1 - 2.0 * carry * years / deviation));
    let running = underlying.spot / tilt * (exp_times_cdf(forward, sign * d1) - image);
    sign * (plain + running)
}
