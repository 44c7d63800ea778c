//! Model-free variance of one expiry from its option prices, and an index of two expiries.
//!
//! Three ways to the same number: the rule of the VIX white paper (Cboe 2019) on quotes; the
//! piecewise-linear replication of Derman, Kamal and Zou (1999) on a list of vols; and the integral
//! over a slice of the surface. Choosing the expiries and turning them into minutes is left to the
//! caller.

use crate::black::{ForwardContract, OptionKind};
use crate::essvi::Slice;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// So many zero bids in a row end the strip.
const ZERO_BIDS: usize = 2;
/// Minutes of a year of 365 days.
const MINUTES_PER_YEAR: f64 = 525_600.0;

/// One column per input, one lane per strike, by rising strike. A bid of zero is no bid.
#[derive(Debug, Clone, Copy)]
pub struct IndexQuotes<'a> {
    /// Strikes.
    pub strike: &'a [f64],
    /// Call bids.
    pub call_bid: &'a [f64],
    /// Call asks.
    pub call_ask: &'a [f64],
    /// Put bids.
    pub put_bid: &'a [f64],
    /// Put asks.
    pub put_ask: &'a [f64],
}

/// What one expiry gives.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TermVariance {
    /// Forward of the strike at which call and put are closest.
    pub forward: f64,
    /// The strike at or below it.
    pub at_strike: f64,
    /// Annual variance.
    pub variance: f64,
    /// Strikes in the strip.
    pub strikes: usize,
}

/// Why there is no variance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum NoIndex {
    /// Columns of different length.
    #[error("columns differ in length; pass one lane per strike")]
    LengthMismatch,
    /// Strikes are not positive and rising, or a price is not finite.
    #[error("lane {lane} is not finite or not above the one before; sort the strikes")]
    BadLane {
        /// The lane.
        lane: usize,
    },
    /// Time, rate or another parameter is not usable.
    #[error("time to expiry must be positive and the rate finite")]
    BadParameter,
    /// No strike has both a call and a put bid.
    #[error("no strike has a bid for call and put; there is no forward")]
    NoForward,
    /// Fewer than two strikes remain in the strip, or none at or below the forward.
    #[error("the strip has too few strikes around the forward; wait for quotes")]
    TooFewStrikes,
    /// The expiries do not lie one after the other, or the result is not positive.
    #[error("the two expiries do not span a positive variance at the wanted term")]
    NotSpanned,
}

/// Annual variance of one expiry by the white paper's rule.
pub fn term_variance(
    quotes: &IndexQuotes<'_>,
    years: f64,
    rate: f64,
) -> Result<TermVariance, NoIndex> {
    let lanes = quotes.strike.len();
    let columns = [quotes.call_bid, quotes.call_ask, quotes.put_bid, quotes.put_ask];
    if columns.iter().any(|column| column.len() != lanes) {
        return Err(NoIndex::LengthMismatch);
    }
    let growth = libm::exp(rate * years);
    if !(years > 0.0 && growth.is_normal()) {
        return Err(NoIndex::BadParameter);
    }
    for lane in 0..lanes {
        let before = if lane > 0 { quotes.strike[lane - 1] } else { 0.0 };
        let prices = columns.iter().all(|column| column[lane] >= 0.0 && column[lane] < f64::MAX);
        if !(prices && quotes.strike[lane] > before && quotes.strike[lane].is_finite()) {
            return Err(NoIndex::BadLane { lane });
        }
    }
    let call = |lane: usize| 0.5 * (quotes.call_bid[lane] + quotes.call_ask[lane]);
    let put = |lane: usize| 0.5 * (quotes.put_bid[lane] + quotes.put_ask[lane]);
    let closest = (0..lanes)
        .filter(|&lane| quotes.call_bid[lane] > 0.0 && quotes.put_bid[lane] > 0.0)
        .min_by(|&a, &b| (call(a) - put(a)).abs().total_cmp(&(call(b) - put(b)).abs()))
        .ok_or(NoIndex::NoForward)?;
    let forward = quotes.strike[closest] + growth * (call(closest) - put(closest));
    let centre = quotes.strike.partition_point(|&strike| strike <= forward);
    let centre = centre.checked_sub(1).ok_or(NoIndex::TooFewStrikes)?;
    let mut strip: Vec<(f64, f64)> = Vec::with_capacity(lanes);
    let below = (0..centre).rev().map(|lane| (lane, quotes.put_bid[lane], put(lane)));
    until_zero_bids(below, quotes.strike, &mut strip);
    strip.reverse();
    strip.push((quotes.strike[centre], 0.5 * (call(centre) + put(centre))));
    let above = (centre + 1..lanes).map(|lane| (lane, quotes.call_bid[lane], call(lane)));
    until_zero_bids(above, quotes.strike, &mut strip);
    if strip.len() < 2 {
        return Err(NoIndex::TooFewStrikes);
    }
    let last = strip.len() - 1;
    let mut sum = 0.0;
    for (at, &(strike, price)) in strip.iter().enumerate() {
        let width = match at {
            0 => strip[1].0 - strike,
            _ if at == last => strike - strip[last - 1].0,
            _ => 0.5 * (strip[at + 1].0 - strip[at - 1].0),
        };
        sum += width / (strike * strike) * growth * price;
    }
    let at_strike = quotes.strike[centre];
    let off = forward / at_strike - 1.0;
    let variance = (2.0 * sum - off * off) / years;
    Ok(TermVariance { forward, at_strike, variance, strikes: strip.len() })
}

/// Takes lanes with a bid until two in a row have none.
fn until_zero_bids(
    lanes: impl Iterator<Item = (usize, f64, f64)>,
    strike: &[f64],
    strip: &mut Vec<(f64, f64)>,
) {
    let mut missing = 0;
    for (lane, bid, mid) in lanes {
        if bid > 0.0 {
            missing = 0;
            strip.push((strike[lane], mid));
        } else {
            missing += 1;
            if missing == ZERO_BIDS {
                return;
            }
        }
    }
}

/// The index in vol (0.20, not 20) of two annual variances and their terms, interpolated linearly
/// in total variance to `target` minutes. The paper allows it to extrapolate, and so does this.
pub fn index_of(near: (f64, f64), next: (f64, f64), target: f64) -> Result<f64, NoIndex> {
    let ((near_variance, near_minutes), (next_variance, next_minutes)) = (near, next);
    let span = next_minutes - near_minutes;
    let total = near_variance * near_minutes * (next_minutes - target) / span
        + next_variance * next_minutes * (target - near_minutes) / span;
    let vol = (total / MINUTES_PER_YEAR * (MINUTES_PER_YEAR / target)).sqrt();
    let sound = span > 0.0 && near_minutes > 0.0 && target > 0.0 && vol.is_finite() && vol > 0.0;
    if sound { Ok(vol) } else { Err(NoIndex::NotSpanned) }
}

/// Annual variance that a strip of out-of-the-money options, each at its own vol, replicates by
/// Derman, Kamal and Zou's (1999, appendix A) piecewise-linear cover of the log contract around
/// `split`. `puts` from `split` downwards and `calls` from it upwards are (strike, vol) lists; the
/// last strike of each closes the cover and is not held.
pub fn replicated_variance(
    spot: f64,
    rate: f64,
    years: f64,
    split: f64,
    puts: &[(f64, f64)],
    calls: &[(f64, f64)],
) -> Result<f64, NoIndex> {
    let discount = libm::exp(-rate * years);
    let forward = spot / discount;
    if !(years > 0.0 && forward.is_normal() && forward > 0.0 && split > 0.0) {
        return Err(NoIndex::BadParameter);
    }
    let payoff = |strike: f64| 2.0 / years * ((strike - split) / split - libm::log(strike / split));
    let mut cost = 0.0;
    for (side, kind) in [(puts, OptionKind::Put), (calls, OptionKind::Call)] {
        let mut held = 0.0;
        for (lane, pair) in side.windows(2).enumerate() {
            let [(strike, vol), (beyond, _)] = [pair[0], pair[1]];
            let outward = if kind.is_call() { beyond > strike } else { beyond < strike };
            if !(outward && strike > 0.0 && beyond > 0.0) {
                return Err(NoIndex::BadLane { lane });
            }
            let slope = (payoff(beyond) - payoff(strike)) / (beyond - strike).abs();
            let contract = ForwardContract { forward, strike, years, vol, discount, kind };
            let greeks = contract.price_and_greeks().map_err(|_| NoIndex::BadLane { lane })?;
            cost += (slope - held) * greeks.price;
            held = slope;
        }
    }
    // The static part: what a forward struck at `split` instead of the forward price changes.
    let fixed = 2.0 / years * (libm::log(forward / split) - (forward / split - 1.0));
    Ok(fixed + cost / discount)
}

/// Annual model-free variance of a slice: the log contract's integral over out-of-the-money prices,
/// Simpson's rule over `reach` deviations to either side in `panels` (even) steps each.
pub fn slice_variance(
    slice: &Slice,
    years: f64,
    reach: f64,
    panels: usize,
) -> Result<f64, NoIndex> {
    let deviation = slice.theta.sqrt();
    let panels = panels.max(2).next_multiple_of(2);
    let step = reach * deviation / panels as f64;
    if !(years > 0.0 && step.is_normal() && step > 0.0) {
        return Err(NoIndex::BadParameter);
    }
    let mut total = 0.0;
    for (side, kind) in [(-1.0, OptionKind::Put), (1.0, OptionKind::Call)] {
        for at in 0..=panels {
            let k = side * step * at as f64;
            let strike = libm::exp(k);
            let vol = slice.total_variance(k).sqrt();
            let contract =
                ForwardContract { forward: 1.0, strike, years: 1.0, vol, discount: 1.0, kind };
            let greeks = contract.price_and_greeks().map_err(|_| NoIndex::BadParameter)?;
            let weight = match at {
                0 => 1.0,
                _ if at == panels => 1.0,
                _ if at % 2 == 1 => 4.0,
                _ => 2.0,
            };
            // dK / K^2 = dk / K.
            total += weight * greeks.price / strike;
        }
    }
    Ok(2.0 * total * step / 3.0 / years)
}

#[cfg(test)]
mod tests;
