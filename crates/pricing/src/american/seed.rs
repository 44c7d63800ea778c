//! First guess of the exercise boundary: the QD+ approximation of M. Li, "Analytical approximations
//! for the critical stock prices of American options: a performance comparison", Review of
//! Derivatives Research 13 (2010), all nodes side by side.
//!
//! Exists to start Newton's method of `boundary` within its reach. Only the size of its error
//! matters (a few thousandths of the boundary), not its convergence to the last digit.

use super::lane::{DENSITY_AT_ZERO, cdf, exp, gauss, ln};
use super::boundary::Normalised;

/// Newton steps; from the first guess of `asymptotic` the third changes the boundary by < 1e-4.
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
    let limit = exp(log_limit);
    let floor = exp(log_floor);
    let mut log_boundary = [0.0; N];
    for i in 0..N {
        // A relaxation from the limit at expiry to the perpetual boundary.
        let decay = -1.2 * vol * root_time[i] * limit / (limit - floor).max(1e-9 * limit);
        let start = floor + (limit - floor) * exp(decay);
        log_boundary[i] = ln(start);
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
            let theta_slope = 0.5 * density * down / time - rate * density / total_vol
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
