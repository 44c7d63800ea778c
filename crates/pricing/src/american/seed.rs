//! First guess of the exercise boundary: the QD+ approximation of M. Li, "Analytical approximations
//! for the critical stock prices of American options: a performance comparison", Review of
//! Derivatives Research 13 (2010), all nodes side by side.
//!
//! Exists to start Newton's method of `boundary` within its reach. Only the size of its error
//! matters (a few thousandths of the boundary), not its convergence to the last digit.

use super::lane::{DENSITY_AT_ZERO, cdf, exp, gauss, ln};
use super::normalised::Normalised;
use std::f64::consts::PI;

/// Newton steps from the asymptotic guess; the collocation's own steps do the rest.
const STEPS: usize = 4;

/// ln(boundary / strike) at the given square roots of time (1 is the option's own expiry).
#[inline(always)]
pub(super) fn boundary<const N: usize>(
    option: &Normalised,
    root_time: &[f64; N],
    log_limit: f64,
    log_floor: f64,
) -> [f64; N] {
    let Normalised { rate, dividend_yield, vol } = *option;
    let variance = vol * vol;
    let omega = 2.0 * (rate - dividend_yield) / variance;
    let span = log_limit - log_floor;
    // Short-time asymptotics of J. Evans, R. Kuske and J. Keller, "American options on assets with
    // dividends near expiry", Mathematical Finance 12 (2002): squares of the distance from the
    // strike in total vols for yield < rate and yield = rate, times time; the nearer one rules.
    let carry = rate - dividend_yield;
    let below = variance / (8.0 * PI * carry * carry).max(1e-280);
    let level_with = if dividend_yield > 0.0 { 0.25 / (PI.sqrt() * dividend_yield) } else { 1e280 };
    let mut log_boundary = [0.0; N];
    for i in 0..N {
        let time = root_time[i] * root_time[i];
        let total_vol = vol * root_time[i];
        let square = ln((below / time).max(1.0)).min(2.0 * ln((level_with / time).max(1.0)));
        let from_strike = total_vol * square.sqrt() + log_limit;
        // and for yield > rate, from the limit
        let distance = from_strike.max(0.639 * total_vol);
        // relaxes to the perpetual boundary
        log_boundary[i] = log_limit - span * (1.0 - exp(-distance / span));
    }
    for _ in 0..STEPS {
        for i in 0..N {
            let time = root_time[i] * root_time[i];
            let total_vol = vol * root_time[i];
            let discount = exp(-rate * time);
            let fade = exp(-dividend_yield * time);
            // (1 - discount) / rate, finite for rates about zero
            let annuity = if (rate * time).abs() < 1e-5 {
                time * (1.0 - 0.5 * rate * time)
            } else {
                (1.0 - discount) / rate
            };
            let disc = ((omega - 1.0) * (omega - 1.0) + 8.0 / (variance * annuity)).sqrt();
            let lambda = -0.5 * (omega - 1.0 + disc);
            let scale = discount / disc;
            let slope = 2.0 / (variance * annuity)
                - 4.0 / (variance * variance * annuity * annuity * disc * disc);
            let theta_weight = 2.0 / (variance * discount);
            let level = log_boundary[i];
            let spot = exp(level);
            let down = (level + (rate - dividend_yield) * time) / total_vol - 0.5 * total_vol;
            let up = down + total_vol;
            let (gauss_down, gauss_up) = (gauss(down), gauss(up));
            let below_down = 1.0 - cdf(down, gauss_down);
            let below_up = 1.0 - cdf(up, gauss_up);
            let density = DENSITY_AT_ZERO * discount * gauss_down;
            let stay = 1.0 - fade * below_up;
            let value = 1.0 - spot * stay - discount * below_down;
            let theta = -0.5 * vol * density / root_time[i] + rate * discount * below_down
                - dividend_yield * spot * fade * below_up;
            let theta_slope = 0.5 * density * down / time
                - rate * density / total_vol
                - dividend_yield * spot * fade * below_up
                + dividend_yield * density / total_vol;
            let weight = lambda + scale * slope;
            let residual = spot * stay + weight * value - scale * theta_weight * theta;
            let derivative = spot * stay + density / total_vol
                - weight * spot * stay
                - scale * theta_weight * theta_slope;
            let next = level - residual / derivative;
            // Not-a-number fails both comparisons and keeps the level.
            let next = if next > log_floor { next } else { 0.5 * (level + log_floor) };
            log_boundary[i] = if next < log_limit { next } else { 0.5 * (level + log_limit) };
        }
    }
    log_boundary
}
