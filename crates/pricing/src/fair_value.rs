//! What an option is worth by everything but its own quote, how sure that is, and the edge.
//!
//! Strategies and the gate's collar read it. The fair vol of a quote is the surface's, as if fitted
//! without it, plus what the surface leaves over at the other strikes (`residual_field`). Leaving
//! out is exact for the residuals; for the surface it is the first step of Newton (Cook 1977; for
//! robust fits Ronchetti, Field and Blanchard 1997), with the weights held, carried through the
//! residuals as well: the two add up to what a refit gives, which a test holds against refits.
//!
//! The error of a price has four parts, taken as independent: vol (residuals and parameters) by
//! vega, forward (with it dividends and borrow) by delta, rate by rho, and what quotes have in
//! common, because their makers share models and inventories.

mod persistence;

pub use persistence::{Persistence, Reversion, Seen};

use crate::black::{ForwardContract, ForwardGreeks, Refusal};
use crate::essvi::{Slice, SliceReport};
use crate::residual_field::{FieldScratch, Kernel, Point, Prediction, leave_one_out};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A mid inside a half spread h has about this standard deviation, in h (uniform).
const HALF_SPREAD_TO_DEVIATION: f64 = 0.577_350_269_189_625_8;
/// A quote that holds more than this share of its own surface can't be judged by the others.
const LEVERAGE_MOST: f64 = 0.95;
/// Residuals beyond so many amplitudes count as seen with that much noise.
const WILD: f64 = 4.0;

/// What shapes fair vols.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FairSettings {
    /// Prior deviation of what the surface leaves over, as a share of the vol at the money.
    pub residual_share: f64,
    /// Distance over which it is alike, in deviations of the underlying until expiry.
    pub residual_length: f64,
    /// Least error of a mid, in vol.
    pub noise_least: f64,
    /// Share of the error of neighbouring mids that they have in common.
    pub common_share: f64,
}

impl Default for FairSettings {
    fn default() -> Self {
        Self { residual_share: 0.05, residual_length: 1.0, noise_least: 1e-5, common_share: 0.5 }
    }
}

/// A vol with its standard error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FairVol {
    /// Annual vol.
    pub vol: f64,
    /// Standard error, without the error of the judged quote.
    pub standard_error: f64,
}

/// Why there are no fair vols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum NoFairVols {
    /// Columns of different length.
    #[error("columns differ in length; pass one lane per quote")]
    LengthMismatch,
    /// Log-moneyness is not finite.
    #[error("log-moneyness of lane {lane} is not finite; check strike and forward")]
    BadLane {
        /// The lane.
        lane: usize,
    },
    /// A setting or the time is not a positive finite number.
    #[error("a setting or the time to expiry is not a positive finite number")]
    BadSettings,
}

/// One expiry: its slice of the fitted surface, and one lane per option, in any order.
#[derive(Debug, Clone, Copy)]
pub struct FairInputs<'a> {
    /// The slice.
    pub slice: Slice,
    /// How it came out.
    pub report: &'a SliceReport,
    /// The model error that the surface was fitted with.
    pub model_error: f64,
    /// The cutoff that it was fitted with.
    pub cutoff: f64,
    /// Years to expiry.
    pub years: f64,
    /// ln(strike / forward).
    pub log_moneyness: &'a [f64],
    /// Vol of each mid; NaN where there is none: such a lane is judged but judges nobody.
    pub vol: &'a [f64],
    /// Half the bid-ask spread in vol.
    pub half_width: &'a [f64],
}

/// Room that one expiry leaves for the next.
#[derive(Debug, Default, Clone)]
pub struct FairScratch {
    order: Vec<u32>,
    points: Vec<Point>,
    predictions: Vec<Prediction>,
    field: FieldScratch,
    sizes: Vec<f64>,
}

/// Fair vol of each lane into `fair`, by all lanes but itself; `None` where the others do not
/// determine one.
pub fn fair_vols(
    inputs: &FairInputs<'_>,
    settings: &FairSettings,
    scratch: &mut FairScratch,
    fair: &mut Vec<Option<FairVol>>,
) -> Result<(), NoFairVols> {
    let lanes = inputs.vol.len();
    if inputs.log_moneyness.len() != lanes || inputs.half_width.len() != lanes {
        return Err(NoFairVols::LengthMismatch);
    }
    if let Some(lane) = (0..lanes).find(|&lane| !inputs.log_moneyness[lane].is_finite()) {
        return Err(NoFairVols::BadLane { lane });
    }
    let positive = |value: f64| value.is_finite() && value > 0.0;
    let of_settings = [settings.residual_share, settings.residual_length, settings.noise_least];
    let of_inputs = [inputs.years, inputs.slice.theta, inputs.cutoff, inputs.report.scale];
    if !of_settings.into_iter().chain(of_inputs).all(positive) {
        return Err(NoFairVols::BadSettings);
    }
    let deviation = inputs.slice.theta.sqrt();
    let amplitude = settings.residual_share * (inputs.slice.theta / inputs.years).sqrt();
    let kernel = Kernel { amplitude, length: settings.residual_length };
    scratch.order.clear();
    scratch.order.extend(0..lanes as u32);
    scratch.order.sort_unstable_by(|&a, &b| {
        let of = |lane: u32, column: &[f64]| column[lane as usize];
        let by = |column: &[f64]| of(a, column).total_cmp(&of(b, column));
        by(inputs.log_moneyness).then_with(|| by(inputs.vol)).then_with(|| by(inputs.half_width))
    });
    scratch.points.clear();
    for &lane in &scratch.order {
        let lane = lane as usize;
        let k = inputs.log_moneyness[lane];
        let (model, by) = vol_and_gradient(&inputs.slice, k, inputs.years);
        let (vol, half) = (inputs.vol[lane], inputs.half_width[lane]);
        let residual = vol - model;
        let usable = positive(vol) && half >= 0.0 && half.is_finite() && residual.is_finite();
        let seen = if usable { residual } else { 0.0 };
        let error = (HALF_SPREAD_TO_DEVIATION * half).max(settings.noise_least);
        let wild = (seen / (WILD * amplitude)).abs().max(1.0);
        let noise = if usable { error * error * wild * wild } else { f64::INFINITY };
        let position = k / deviation;
        scratch.points.push(Point { position, seen: [seen, by[0], by[1], by[2]], noise });
    }
    leave_one_out(kernel, &scratch.points, &mut scratch.field, &mut scratch.predictions);
    let scale = robust_scale(&scratch.points, &scratch.predictions, &mut scratch.sizes);
    let covariance = inverse(&inputs.report.information);
    fair.clear();
    fair.resize(lanes, None);
    for (at, &lane) in scratch.order.iter().enumerate() {
        let (point, told) = (&scratch.points[at], &scratch.predictions[at]);
        let k = inputs.log_moneyness[lane as usize];
        let (model, by) = vol_and_gradient(&inputs.slice, k, inputs.years);
        let Some(covariance) = &covariance else { continue };
        let shift = match point.noise.is_finite() {
            true => match shift_without(inputs, lane as usize, covariance) {
                Some(shift) => shift,
                None => continue,
            },
            false => [0.0; 3],
        };
        // What a parameter moves in the surface, the residuals of the others partly take back.
        let net: [f64; 3] = std::array::from_fn(|column| by[column] - told.mean[column + 1]);
        let vol = model + told.mean[0] + dot(&net, &shift);
        let of_parameters = dot(&net, &times(covariance, &net));
        let of_others = common_error(at, &scratch.points) * settings.common_share;
        let variance = scale * scale * told.variance + of_parameters.max(0.0);
        let standard_error = libm::hypot(variance.sqrt(), of_others);
        if positive(vol) && standard_error.is_finite() {
            fair[lane as usize] = Some(FairVol { vol, standard_error });
        }
    }
    Ok(())
}

/// The error of the nearest seen neighbours' mids, on average.
fn common_error(at: usize, points: &[Point]) -> f64 {
    let seen = |point: &&Point| point.noise.is_finite();
    let left = points[..at].iter().rev().find(seen);
    let right = points[at + 1..].iter().find(seen);
    let both = [left, right].into_iter().flatten();
    let (sum, count) =
        both.fold((0.0, 0.0), |(sum, count), own| (sum + own.noise.sqrt(), count + 1.0));
    if count > 0.0 { sum / count } else { 0.0 }
}

fn vol_and_gradient(slice: &Slice, k: f64, years: f64) -> (f64, [f64; 3]) {
    let (variance, by) = slice.gradient(k);
    let vol = (variance / years).sqrt();
    let per = 1.0 / (2.0 * vol * years);
    (vol, by.map(|own| own * per))
}

/// How the slice's parameters move when a lane leaves the fit.
fn shift_without(
    inputs: &FairInputs<'_>,
    lane: usize,
    covariance: &[[f64; 3]; 3],
) -> Option<[f64; 3]> {
    let (vol, half) = (inputs.vol[lane], inputs.half_width[lane]);
    let error = libm::hypot(HALF_SPREAD_TO_DEVIATION * half, inputs.model_error);
    let precision = 1.0 / (2.0 * vol * inputs.years * error * inputs.report.scale);
    let (model, by) = inputs.slice.gradient(inputs.log_moneyness[lane]);
    let residual = (model - vol * vol * inputs.years) * precision;
    let kept = 1.0 / (1.0 + residual * residual / (inputs.cutoff * inputs.cutoff));
    let weight = kept * kept * precision;
    let moved = times(covariance, &by);
    let leverage = weight * precision * dot(&by, &moved);
    (leverage <= LEVERAGE_MOST).then(|| moved.map(|own| own * weight * residual / (1.0 - leverage)))
}

/// 1.4826 * median of the standardised surprises, at least one.
fn robust_scale(points: &[Point], predictions: &[Prediction], sizes: &mut Vec<f64>) -> f64 {
    sizes.clear();
    let seen = points.iter().zip(predictions).filter(|(point, _)| point.noise.is_finite());
    sizes.extend(seen.map(|(point, told)| {
        (point.seen[0] - told.mean[0]).abs() / (told.variance + point.noise).sqrt()
    }));
    if sizes.is_empty() {
        return 1.0;
    }
    let middle = sizes.len() / 2;
    (1.4826 * *sizes.select_nth_unstable_by(middle, f64::total_cmp).1).max(1.0)
}

fn dot(a: &[f64; 3], b: &[f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn times(matrix: &[[f64; 3]; 3], vector: &[f64; 3]) -> [f64; 3] {
    [dot(&matrix[0], vector), dot(&matrix[1], vector), dot(&matrix[2], vector)]
}

/// Inverse of a symmetric matrix given by its lower triangle; `None` if it has none.
fn inverse(lower: &[f64; 6]) -> Option<[[f64; 3]; 3]> {
    let [aa, ab, bb, ac, bc, cc] = *lower;
    let (first, second, third) = (bb * cc - bc * bc, ac * bc - ab * cc, ab * bc - ac * bb);
    let determinant = aa * first + ab * second + ac * third;
    if !(determinant.is_finite() && determinant > 0.0) {
        return None;
    }
    let [p, q, r] = [first, second, third].map(|own| own / determinant);
    let s = (aa * cc - ac * ac) / determinant;
    let t = (ab * ac - aa * bc) / determinant;
    let u = (aa * bb - ab * ab) / determinant;
    Some([[p, q, r], [q, s, t], [r, t, u]])
}

/// Errors of what a price is made of, besides its vol.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct InputErrors {
    /// Standard error of the forward; dividends and borrow are in it.
    pub forward: f64,
    /// Standard error of the continuous annual rate.
    pub rate: f64,
    /// Standard error of the early-exercise premium, in price.
    pub premium: f64,
}

/// A model value that was not fitted with the quote it is compared to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FairValue {
    /// Price per unit.
    pub price: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// The vol behind it.
    pub vol: f64,
    /// Parts of the error, in price: vol, forward, rate, premium.
    pub parts: [f64; 4],
}

/// Price and error of an option at its fair vol. `contract.vol` is ignored; `premium` is what early
/// exercise adds (zero for European options).
pub fn fair_value(
    contract: &ForwardContract,
    fair: &FairVol,
    errors: &InputErrors,
    premium: f64,
) -> Result<FairValue, Refusal> {
    let greeks: ForwardGreeks =
        ForwardContract { vol: fair.vol, ..*contract }.price_and_greeks()?;
    let parts = [
        greeks.vega * fair.standard_error,
        greeks.delta.abs() * errors.forward,
        greeks.rho.abs() * errors.rate,
        errors.premium,
    ];
    let squares: f64 = parts.iter().map(|own| own * own).sum();
    Ok(FairValue {
        price: greeks.price + premium,
        standard_error: squares.sqrt(),
        vol: fair.vol,
        parts,
    })
}

#[cfg(test)]
mod tests;
