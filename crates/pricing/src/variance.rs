//! Realised volatility over slices of prices: close to close, range (Parkinson 1980) and
//! exponentially weighted (RiskMetrics 1996).
//!
//! Exists for the regime veto, which asks how fast the market moves, not what options cost.
//! Cleaning, sampling and splits are left to `market`; all results are annual vols.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a slice of prices has no volatility.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum NoVariance {
    /// Fewer observations than the estimator needs.
    #[error("{found} observations are too few, {needed} are needed")]
    TooFew {
        /// Observations the estimator needs.
        needed: usize,
        /// Observations given.
        found: usize,
    },
    /// A price is NaN, infinite, zero or negative.
    #[error("price {index} is not a positive finite number; clean the series first")]
    BadPrice {
        /// Position of the first bad price.
        index: usize,
    },
    /// A high lies below its low, or the two columns differ in length.
    #[error("high and low do not match at {index}; clean the series first")]
    BadRange {
        /// Position of the first mismatch.
        index: usize,
    },
    /// Periods per year not positive, or the decay not within (0, 1).
    #[error("periods per year must be positive and the decay between 0 and 1")]
    BadParameter,
}

fn check_prices(prices: &[f64]) -> Result<(), NoVariance> {
    match prices.iter().position(|price| !(price.is_finite() && *price > 0.0)) {
        Some(index) => Err(NoVariance::BadPrice { index }),
        None => Ok(()),
    }
}

fn check_periods(periods_per_year: f64) -> Result<(), NoVariance> {
    if periods_per_year.is_finite() && periods_per_year > 0.0 {
        Ok(())
    } else {
        Err(NoVariance::BadParameter)
    }
}

/// Sample standard deviation of log returns (mean removed), annualised. Needs three closes.
pub fn close_to_close_vol(closes: &[f64], periods_per_year: f64) -> Result<f64, NoVariance> {
    check_periods(periods_per_year)?;
    check_prices(closes)?;
    if closes.len() < 3 {
        return Err(NoVariance::TooFew { needed: 3, found: closes.len() });
    }
    let count = (closes.len() - 1) as f64;
    let returns = || closes.windows(2).map(|pair| libm::log(pair[1] / pair[0]));
    let mean = returns().sum::<f64>() / count;
    let squares: f64 = returns().map(|value| (value - mean) * (value - mean)).sum();
    Ok((squares / (count - 1.0) * periods_per_year).sqrt())
}

/// Parkinson's range estimator, annualised: variance = mean(ln(high / low)^2) / (4 ln 2). About
/// five times as efficient as close to close without gaps; it does not see overnight moves. Needs
/// one.
pub fn parkinson_vol(
    highs: &[f64],
    lows: &[f64],
    periods_per_year: f64,
) -> Result<f64, NoVariance> {
    check_periods(periods_per_year)?;
    check_prices(highs)?;
    check_prices(lows)?;
    if highs.len() != lows.len() {
        return Err(NoVariance::BadRange { index: highs.len().min(lows.len()) });
    }
    if highs.is_empty() {
        return Err(NoVariance::TooFew { needed: 1, found: 0 });
    }
    if let Some(index) = highs.iter().zip(lows).position(|(high, low)| high < low) {
        return Err(NoVariance::BadRange { index });
    }
    let squares: f64 = highs
        .iter()
        .zip(lows)
        .map(|(high, low)| {
            let range = libm::log(high / low);
            range * range
        })
        .sum();
    let variance = squares / (4.0 * std::f64::consts::LN_2 * highs.len() as f64);
    Ok((variance * periods_per_year).sqrt())
}

/// Exponentially weighted vol of log returns around zero, annualised; the newest price comes last.
/// `decay` is the weight kept per period (RiskMetrics daily: 0.94). Weights are normalised, so a
/// short series is not biased towards zero. Needs two closes.
pub fn ewma_vol(closes: &[f64], decay: f64, periods_per_year: f64) -> Result<f64, NoVariance> {
    check_periods(periods_per_year)?;
    if !(decay > 0.0 && decay < 1.0) {
        return Err(NoVariance::BadParameter);
    }
    check_prices(closes)?;
    if closes.len() < 2 {
        return Err(NoVariance::TooFew { needed: 2, found: closes.len() });
    }
    let (mut squares, mut weights) = (0.0, 0.0);
    for pair in closes.windows(2) {
        let value = libm::log(pair[1] / pair[0]);
        squares = decay * squares + value * value;
        weights = decay * weights + 1.0;
    }
    Ok((squares / weights * periods_per_year).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alternating_returns_have_the_vol_written_on_paper() {
        let closes = [100.0, 110.0, 100.0, 110.0, 100.0];
        let step = libm::log(1.1);
        let close_to_close = close_to_close_vol(&closes, 252.0).unwrap();
        assert!((close_to_close - step * (4.0f64 / 3.0 * 252.0).sqrt()).abs() < 1e-12);
        let weighted = ewma_vol(&closes, 0.94, 252.0).unwrap();
        assert!((weighted - step * 252.0f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn parkinson_matches_its_formula_and_ignores_scale() {
        let expected = libm::log(1.02) / (4.0 * std::f64::consts::LN_2).sqrt() * 16.0;
        let one = parkinson_vol(&[102.0, 51.0], &[100.0, 50.0], 256.0).unwrap();
        assert!((one - expected).abs() < 1e-12);
    }

    #[test]
    fn newest_return_weighs_most() {
        let calm_then_wild = ewma_vol(&[100.0, 100.0, 100.0, 110.0], 0.9, 252.0).unwrap();
        let wild_then_calm = ewma_vol(&[100.0, 110.0, 110.0, 110.0], 0.9, 252.0).unwrap();
        assert!(calm_then_wild > wild_then_calm);
    }

    #[test]
    fn garbage_is_refused_with_its_position() {
        assert_eq!(
            close_to_close_vol(&[1.0, f64::NAN, 1.0], 252.0),
            Err(NoVariance::BadPrice { index: 1 })
        );
        assert_eq!(
            close_to_close_vol(&[1.0, 2.0], 252.0),
            Err(NoVariance::TooFew { needed: 3, found: 2 })
        );
        assert_eq!(
            parkinson_vol(&[2.0, 1.0], &[1.0, 2.0], 252.0),
            Err(NoVariance::BadRange { index: 1 })
        );
        assert_eq!(
            parkinson_vol(&[2.0], &[1.0, 2.0], 252.0),
            Err(NoVariance::BadRange { index: 1 })
        );
        assert_eq!(parkinson_vol(&[], &[], 252.0), Err(NoVariance::TooFew { needed: 1, found: 0 }));
        assert_eq!(ewma_vol(&[1.0, 2.0], 1.0, 252.0), Err(NoVariance::BadParameter));
        assert_eq!(ewma_vol(&[1.0, 2.0], 0.9, 0.0), Err(NoVariance::BadParameter));
        assert_eq!(ewma_vol(&[1.0], 0.9, 1.0), Err(NoVariance::TooFew { needed: 2, found: 1 }));
    }
}
