//! One lane of Black's formula: the seam where a vectorised kernel will replace the scalar one.
//!
//! Works on undiscounted numbers that are already checked; refusals, discounting and the choice of
//! Greeks are left to `black`. The time value is always computed on the out-of-the-money side, and
//! through scaled functions, so that it keeps relative accuracy where both terms of the formula
//! cancel (short expiries) or vanish (deep tails): about (2 + d1^2) epsilons for given inputs.

use crate::normal::{DENSITY_AT_ZERO, exp_minus_half_square, mills, normal_cdf, normal_density};

/// Half total vol below which the difference of two Mills ratios is taken by its Taylor series.
const SERIES_HALF_VOL: f64 = 0.03;
/// Distance in standard deviations at which a time value underflows to zero.
const NO_TIME_VALUE: f64 = -39.0;

/// Undiscounted price with the two numbers that all Greeks are made of.
pub(super) struct Lane {
    /// Undiscounted price.
    pub price: f64,
    /// N(d1) for a call, -N(-d1) for a put.
    pub delta: f64,
    /// n(d1).
    pub density: f64,
}

/// Black's formula for forward, strike > 0 and total vol = vol * sqrt(years) >= 0.
pub(super) fn lane(forward: f64, strike: f64, total_vol: f64, is_call: bool) -> Lane {
    let moneyness = log_moneyness(forward, strike);
    let sign = if is_call { 1.0 } else { -1.0 };
    let intrinsic = (sign * (forward - strike)).max(0.0);
    let d1 =
        if moneyness == 0.0 { 0.5 * total_vol } else { moneyness / total_vol + 0.5 * total_vol };
    Lane {
        price: intrinsic + time_value(forward, strike, moneyness, total_vol),
        delta: sign * normal_cdf(sign * d1),
        density: normal_density(d1),
    }
}

/// ln(forward / strike), accurate also where the two are close.
pub(crate) fn log_moneyness(forward: f64, strike: f64) -> f64 {
    let ratio = forward / strike;
    if (0.5..=2.0).contains(&ratio) {
        libm::log1p((forward - strike) / strike)
    } else if ratio.is_normal() {
        libm::log(ratio)
    } else {
        libm::log(forward) - libm::log(strike)
    }
}

/// Undiscounted price of the out-of-the-money option at this strike.
fn time_value(forward: f64, strike: f64, moneyness: f64, total_vol: f64) -> f64 {
    let half_vol = 0.5 * total_vol;
    if half_vol == 0.0 {
        return 0.0;
    }
    let distance = -(moneyness.abs() / total_vol);
    let near = distance + half_vol;
    let far = distance - half_vol;
    if near > 0.0 && half_vol >= SERIES_HALF_VOL {
        let (low, high) = (forward.min(strike), forward.max(strike));
        return (low * normal_cdf(near) - high * normal_cdf(far)).max(0.0);
    }
    if distance < NO_TIME_VALUE {
        return 0.0;
    }
    let scale = forward.sqrt()
        * strike.sqrt()
        * exp_minus_half_square(distance)
        * libm::exp(-0.5 * half_vol * half_vol);
    if half_vol < SERIES_HALF_VOL {
        let ratio_slope = mills_difference(distance, half_vol);
        return (scale * DENSITY_AT_ZERO * total_vol * ratio_slope).max(0.0);
    }
    (DENSITY_AT_ZERO * scale * (mills(-near) - mills(-far))).max(0.0)
}

/// (Y(h + t) - Y(h - t)) / (2 t) for the Mills ratio Y = N / n at h <= 0 and small t, by the odd
/// Taylor terms; Y' = 1 + h Y and Y^(n+1) = h Y^(n) + n Y^(n-1). The first dropped term is below
/// t^8 / 945 < 1e-15.
fn mills_difference(h: f64, t: f64) -> f64 {
    let y0 = mills(-h);
    let y1 = 1.0 + h * y0;
    let y2 = h * y1 + y0;
    let y3 = h * y2 + 2.0 * y1;
    let y4 = h * y3 + 3.0 * y2;
    let y5 = h * y4 + 4.0 * y3;
    let y6 = h * y5 + 5.0 * y4;
    let y7 = h * y6 + 6.0 * y5;
    let square = t * t;
    y1 + square * (y3 / 6.0 + square * (y5 / 120.0 + square * y7 / 5040.0))
}
