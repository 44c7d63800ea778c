//! Autocallable notes on one underlying, by Monte Carlo with one-step survival.
//!
//! Exists because the payment at a call date jumps with the path, which ruins the estimate and its
//! differences. Here the chance of being called in the next step is paid in full, and the path goes
//! on conditioned on survival (Glasserman, Staum, Operations Research 49, 2001; Alm, Harrach,
//! Harrach, Keller, Journal of Computational Finance 17, 2013), so the estimate is smooth in the
//! spot. No issuer risk; coupons are paid at the call only.

use super::quantile::quantile_of_any;
use super::sobol::{DIMENSIONS_MAX, point};
use super::{Effort, MonteCarloRefusal, price_of};
use crate::exotics::{ExoticInput, Price, Underlying, within};
use crate::lanes::scalar::{exp, ln, normal_cdf};
use serde::{Deserialize, Serialize};

/// A note on a notional of one, looked at on equally spaced dates, the last at expiry.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Autocallable {
    /// How many dates, 1 to 64.
    pub dates: usize,
    /// On a date with the spot on or above it, the note ends.
    pub call_level: f64,
    /// Paid beside the notional then, per date passed.
    pub coupon: f64,
    /// Never called: the notional, less (strike - spot) / strike if below `protection` at expiry.
    pub protection: f64,
    /// Reference of that loss.
    pub strike: f64,
}

/// Estimates the note's value per notional.
pub fn estimate(
    underlying: &Underlying,
    note: &Autocallable,
    effort: &Effort,
) -> Result<Price, MonteCarloRefusal> {
    effort.check()?;
    underlying.check()?;
    within(ExoticInput::Barrier, note.call_level, 1e-9..=1e12)?;
    within(ExoticInput::Barrier, note.protection, 0.0..=note.call_level)?;
    within(ExoticInput::Strike, note.strike, 1e-9..=1e12)?;
    within(ExoticInput::Cash, note.coupon, 0.0..=10.0)?;
    if !(1..=DIMENSIONS_MAX).contains(&note.dates) {
        return Err(MonteCarloRefusal::Dates { count: note.dates });
    }
    let interval = underlying.years / note.dates as f64;
    let deviation = underlying.vol * interval.sqrt();
    let drift = (underlying.carry() - 0.5 * underlying.vol * underlying.vol) * interval;
    let discounts: Vec<f64> =
        (1..=note.dates).map(|date| exp(-underlying.rate * interval * date as f64)).collect();
    let (start, call) = (ln(underlying.spot), ln(note.call_level));
    let paths = 1u32 << effort.paths_log2;
    let mut means = Vec::with_capacity(effort.repetitions as usize);
    for repetition in 0..effort.repetitions {
        let seed = effort.seed_of(repetition);
        let mut sum = 0.0;
        for path in 0..paths {
            let (mut log, mut alive, mut value) = (start, 1.0, 0.0);
            for (date, discount) in discounts.iter().enumerate() {
                let z = (call - log - drift) / deviation;
                let stays = normal_cdf(z);
                let paid = 1.0 + note.coupon * (date + 1) as f64;
                value += alive * normal_cdf(-z) * discount * paid;
                alive *= stays;
                if alive == 0.0 {
                    break;
                }
                let drawn = quantile_of_any(point(date, path, seed) * stays);
                log += drift + deviation * if drawn < z { drawn } else { z };
            }
            if alive > 0.0 {
                let spot = exp(log);
                let loss = if spot < note.protection { 1.0 - spot / note.strike } else { 0.0 };
                value += alive * discounts[note.dates - 1] * (1.0 - loss.max(0.0));
            }
            sum += value;
        }
        means.push(sum / f64::from(paths));
    }
    Ok(price_of(&means)?)
}
