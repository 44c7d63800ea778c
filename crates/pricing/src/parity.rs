//! Forward and discount factor of one expiry from put-call parity, robust to bad quotes.
//!
//! European parity says call - put = discount * (forward - strike) at every strike: a straight line
//! in the strike. It is fitted by weighted least squares, weights 1 / spread^2, started from the
//! median of pairwise slopes (Theil 1950, Sen 1968) near the money and made resistant to outliers
//! by Tukey's biweight (Beaton and Tukey 1974). Where the slope is too uncertain to name a discount
//! factor, the caller's rate is taken and only the forward is fitted.
//!
//! American pairs obey parity only as two inequalities: `parity/american.rs` takes the exercise
//! premium out first, by turns with the fit. What each strike is off is reported by
//! [`parity_residuals`].

mod american;
mod residuals;

pub use american::{
    AmericanCarry, AmericanParityFit, PremiumTerms, american_parity_bounds, fit_american_parity,
};
pub use residuals::{PairVerdict, ParityResidual, parity_residuals};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Pairs nearest to the money that give the starting slope: 24 pairs make 276 slopes.
const START_PAIRS: usize = 24;
/// Tukey's constant: 95 % efficiency under normal errors.
const BIWEIGHT_CUTOFF: f64 = 4.685;
/// Reweighting rounds; it settles in three or four.
const ROUNDS: usize = 8;
/// A mid inside a spread of width w has about this standard deviation, in w (uniform).
const SPREAD_TO_DEVIATION: f64 = 0.288_675_134_594_812_9;
/// Spreads below this share of the median one are a momentary lock, not certainty.
const SPREAD_FLOOR: f64 = 0.25;
/// Last resort if all spreads are zero, as a share of the strike.
const SPREAD_FLOOR_OF_STRIKE: f64 = 1e-6;
/// Standard deviations that separate a fitted discount from the guess before it is disbelieved.
const DISBELIEF: f64 = 4.0;

/// One column per input, one lane per strike; all of one length, strikes in any order.
#[derive(Debug, Clone, Copy)]
pub struct ParityInputs<'a> {
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

/// What is known without the quotes, and how much is asked of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ParitySettings {
    /// Years to expiry.
    pub years: f64,
    /// Continuous annual rate used where the quotes do not name one.
    pub rate_guess: f64,
    /// Standard error of `rate_guess`: a fitted rate less certain than this, or further than four
    /// joint standard errors away, is replaced by the guess.
    pub rate_guess_error: f64,
    /// Pairs further than this from the money, in |ln(strike / forward)|, are left out.
    pub max_log_moneyness: f64,
    /// Fewest pairs that make a fit.
    pub min_pairs: usize,
}

impl ParitySettings {
    /// Settings for an expiry with a guessed rate, good to one point, five pairs asked for.
    pub fn with_rate_guess(years: f64, rate_guess: f64) -> Self {
        Self { years, rate_guess, rate_guess_error: 0.01, max_log_moneyness: 0.5, min_pairs: 5 }
    }
}

/// Where the discount factor of a fit comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DiscountSource {
    /// The slope of the quotes.
    Quotes,
    /// The rate guess, for the quotes did not name one.
    Guess,
}

/// Forward and discount of one expiry.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ParityFit {
    /// Forward price.
    pub forward: f64,
    /// Discount factor.
    pub discount: f64,
    /// Standard error of the forward.
    pub forward_error: f64,
    /// Standard error of the discount factor (of the guess, if it is one).
    pub discount_error: f64,
    /// Whether the discount is fitted or guessed.
    pub discount_source: DiscountSource,
    /// Pairs that carry weight at the end.
    pub pairs_used: usize,
    /// Largest |call - put - discount * (forward - strike)| of the pairs used, in price units.
    pub residual_max: f64,
}

/// Why there is no fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum NoFit {
    /// Columns of different length.
    #[error("parity columns differ in length; pass one lane per strike")]
    LengthMismatch,
    /// Years, rate or another setting is not usable.
    #[error("a parity setting is not finite or out of range; check years and rate guess")]
    BadSettings,
    /// Too few two-sided pairs with finite uncrossed quotes, or too few left near the money.
    #[error("{found} usable call-put pairs are too few, {needed} are needed")]
    TooFewPairs {
        /// Pairs asked for.
        needed: usize,
        /// Pairs found.
        found: usize,
    },
    /// The pairs contradict each other: most of them are outliers to any line, or no positive
    /// forward fits.
    #[error("call and put quotes do not fit one forward; wait for better quotes")]
    Inconsistent,
}

/// One usable strike: y = call mid - put mid, with the standard deviation of y.
#[derive(Clone, Copy)]
struct Pair {
    strike: f64,
    difference: f64,
    deviation: f64,
}

/// A line y = discount * (forward - strike), by discount and forward.
#[derive(Clone, Copy)]
struct Line {
    forward: f64,
    discount: f64,
}

impl Line {
    fn residual(self, pair: &Pair) -> f64 {
        pair.difference - self.discount * (self.forward - pair.strike)
    }
}

/// Weighted sums of one round, centred on the weighted mean strike.
struct Moments {
    weight: f64,
    strike: f64,
    difference: f64,
    strike_square: f64,
    cross: f64,
}

/// Fits forward and discount of one expiry.
pub fn fit_parity(
    inputs: &ParityInputs<'_>,
    settings: &ParitySettings,
) -> Result<ParityFit, NoFit> {
    let guess = guessed_discount(settings)?;
    let mut pairs = usable_pairs(inputs)?;
    let needed = settings.min_pairs.max(1);
    let enough = |found| {
        if found < needed { Err(NoFit::TooFewPairs { needed, found }) } else { Ok(()) }
    };
    enough(pairs.len())?;
    let rough = rough_forward(&pairs, guess);
    if !(rough.is_finite() && rough > 0.0) {
        return Err(NoFit::Inconsistent);
    }
    pairs.retain(|pair| libm::log(pair.strike / rough).abs() <= settings.max_log_moneyness);
    enough(pairs.len())?;
    floor_deviations(&mut pairs);

    let guess_error = settings.rate_guess_error * settings.years * guess;
    if pairs.len() >= 3
        && let Some(start) = theil_sen_line(&mut pairs, rough)
        && let Some(fit) = reweighted(&pairs, start, None, needed)
        && fit.discount_error <= guess_error.max(f64::EPSILON)
        && (fit.discount - guess).abs() <= DISBELIEF * libm::hypot(fit.discount_error, guess_error)
    {
        return Ok(fit);
    }
    let start = Line { forward: rough_forward(&pairs, guess), discount: guess };
    let fit = reweighted(&pairs, start, Some(guess_error), needed).ok_or(NoFit::Inconsistent)?;
    Ok(fit)
}

fn guessed_discount(settings: &ParitySettings) -> Result<f64, NoFit> {
    let discount = libm::exp(-settings.rate_guess * settings.years);
    let usable = settings.years > 0.0
        && settings.rate_guess_error >= 0.0
        && settings.rate_guess_error.is_finite()
        && settings.max_log_moneyness > 0.0
        && discount.is_normal();
    if usable { Ok(discount) } else { Err(NoFit::BadSettings) }
}

fn usable_pairs(inputs: &ParityInputs<'_>) -> Result<Vec<Pair>, NoFit> {
    let lanes = inputs.strike.len();
    let columns = [inputs.call_bid, inputs.call_ask, inputs.put_bid, inputs.put_ask];
    if columns.iter().any(|column| column.len() != lanes) {
        return Err(NoFit::LengthMismatch);
    }
    let quoted = |bid: f64, ask: f64| bid >= 0.0 && ask > 0.0 && ask >= bid && ask.is_finite();
    let mut pairs = Vec::with_capacity(lanes);
    for (lane, &strike) in inputs.strike.iter().enumerate() {
        let (call_bid, call_ask) = (inputs.call_bid[lane], inputs.call_ask[lane]);
        let (put_bid, put_ask) = (inputs.put_bid[lane], inputs.put_ask[lane]);
        let usable = strike.is_finite() && strike > 0.0;
        if usable && quoted(call_bid, call_ask) && quoted(put_bid, put_ask) {
            let spread = libm::hypot(call_ask - call_bid, put_ask - put_bid);
            pairs.push(Pair {
                strike,
                difference: 0.5 * (call_bid + call_ask) - 0.5 * (put_bid + put_ask),
                deviation: SPREAD_TO_DEVIATION * spread,
            });
        }
    }
    Ok(pairs)
}

/// Median of the forwards that each pair implies under the guessed discount.
fn rough_forward(pairs: &[Pair], discount: f64) -> f64 {
    let mut forwards: Vec<f64> =
        pairs.iter().map(|pair| pair.strike + pair.difference / discount).collect();
    median(&mut forwards)
}

/// Upper median by total order; the slice must not be empty.
fn median(values: &mut [f64]) -> f64 {
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f64::total_cmp).1
}

fn floor_deviations(pairs: &mut [Pair]) {
    let mut deviations: Vec<f64> = pairs.iter().map(|pair| pair.deviation).collect();
    let floor = SPREAD_FLOOR * median(&mut deviations);
    for pair in pairs {
        let least = floor.max(SPREAD_FLOOR_OF_STRIKE * pair.strike);
        pair.deviation = pair.deviation.max(least);
    }
}

/// Starting line from the pairs nearest to the rough forward; sorts the pairs by that distance.
fn theil_sen_line(pairs: &mut [Pair], rough: f64) -> Option<Line> {
    pairs.sort_unstable_by(|a, b| {
        let distance = |pair: &Pair| (pair.strike - rough).abs();
        distance(a).total_cmp(&distance(b)).then(a.strike.total_cmp(&b.strike))
    });
    let near = &pairs[..pairs.len().min(START_PAIRS)];
    let mut slopes = Vec::with_capacity(near.len() * near.len() / 2);
    for (index, first) in near.iter().enumerate() {
        for second in &near[index + 1..] {
            if second.strike != first.strike {
                let rise = first.difference - second.difference;
                slopes.push(rise / (second.strike - first.strike));
            }
        }
    }
    if slopes.is_empty() {
        return None;
    }
    let discount = median(&mut slopes);
    (discount.is_finite() && discount > 0.0)
        .then(|| Line { forward: rough_forward(near, discount), discount })
}

/// Biweight fit from `start`; with `fixed_error` the discount stays and only the forward moves.
/// None if fewer than half of the pairs, or than `needed`, keep weight, or nothing sensible fits.
fn reweighted(
    pairs: &[Pair],
    start: Line,
    fixed_error: Option<f64>,
    needed: usize,
) -> Option<ParityFit> {
    let mut line = start;
    let mut sizes = Vec::with_capacity(pairs.len());
    let mut scale = 1.0;
    for _ in 0..ROUNDS {
        scale = residual_scale(pairs, line, &mut sizes);
        let moments = moments(pairs, line, scale)?;
        let discount = match fixed_error {
            Some(_) => line.discount,
            None => -moments.cross / moments.strike_square,
        };
        let next = Line { forward: moments.strike + moments.difference / discount, discount };
        if !(next.discount > 0.0 && next.forward > 0.0 && next.forward.is_finite()) {
            return None;
        }
        let settled = (next.forward / line.forward - 1.0).abs() < 1e-12
            && (next.discount / line.discount - 1.0).abs() < 1e-12;
        line = next;
        if settled {
            break;
        }
    }
    let sums = moments(pairs, line, scale)?;
    let mut pairs_used = 0;
    let mut residual_max: f64 = 0.0;
    let mut squares = 0.0;
    for pair in pairs {
        let residual = line.residual(pair);
        if biweight(residual / (scale * pair.deviation)) > 0.0 {
            pairs_used += 1;
            residual_max = residual_max.max(residual.abs());
            let standard = residual / pair.deviation;
            squares += standard * standard;
        }
    }
    if pairs_used < needed || 2 * pairs_used < pairs.len() {
        return None;
    }
    let parameters = if fixed_error.is_some() { 1 } else { 2 };
    let freedom = pairs_used.saturating_sub(parameters).max(1) as f64;
    // Never below what the spreads allow: agreement of mids is no proof of precision.
    let variance = (squares / freedom).max(1.0);
    let discount_error = match fixed_error {
        Some(error) => error,
        None => (variance / sums.strike_square).sqrt(),
    };
    let level_error = (variance / sums.weight).sqrt() / line.discount;
    let lever_error = (line.forward - sums.strike) * discount_error / line.discount;
    let forward_error = libm::hypot(level_error, lever_error);
    if !(forward_error.is_finite() && discount_error.is_finite()) {
        return None;
    }
    Some(ParityFit {
        forward: line.forward,
        discount: line.discount,
        forward_error,
        discount_error,
        discount_source: if fixed_error.is_some() {
            DiscountSource::Guess
        } else {
            DiscountSource::Quotes
        },
        pairs_used,
        residual_max,
    })
}

/// Robust scale of the residuals in their own deviations: 1.4826 * median |r|, at least one.
fn residual_scale(pairs: &[Pair], line: Line, sizes: &mut Vec<f64>) -> f64 {
    sizes.clear();
    sizes.extend(pairs.iter().map(|pair| (line.residual(pair) / pair.deviation).abs()));
    (1.4826 * median(sizes)).max(1.0)
}

fn biweight(standard_residual: f64) -> f64 {
    let ratio = standard_residual / BIWEIGHT_CUTOFF;
    let inside = 1.0 - ratio * ratio;
    if inside > 0.0 { inside * inside } else { 0.0 }
}

fn moments(pairs: &[Pair], line: Line, scale: f64) -> Option<Moments> {
    let weight_of = |pair: &Pair| {
        biweight(line.residual(pair) / (scale * pair.deviation)) / (pair.deviation * pair.deviation)
    };
    let (mut weight, mut strike, mut difference) = (0.0, 0.0, 0.0);
    for pair in pairs {
        let own = weight_of(pair);
        weight += own;
        strike += own * pair.strike;
        difference += own * pair.difference;
    }
    if !(weight.is_finite() && weight > 0.0) {
        return None;
    }
    strike /= weight;
    difference /= weight;
    let (mut strike_square, mut cross) = (0.0, 0.0);
    for pair in pairs {
        let own = weight_of(pair);
        let offset = pair.strike - strike;
        strike_square += own * offset * offset;
        cross += own * offset * (pair.difference - difference);
    }
    Some(Moments { weight, strike, difference, strike_square, cross })
}

#[cfg(test)]
mod tests;
