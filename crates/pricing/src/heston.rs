//! The model of Heston (Review of Financial Studies 6, 1993): a price whose variance reverts to a
//! mean and is correlated with it.
//!
//! Exists to price what a surface can't: a model of how the smile moves. `chain` prices all strikes
//! of an expiry in one pass (COS), `contour` a single option with the integrand decaying as fast as
//! it can, for the wings and to judge the other; `calibration` finds the parameters of a quoted
//! surface. Undiscounted prices on a forward of any size. Paths are not here. The condition of
//! Feller is reported, not enforced.

pub mod calibration;
mod complex;
mod contour;
mod cos;
mod transform;

pub use contour::price as contour;
pub use cos::chain;

use complex::Complex;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use transform::Transform;

/// The five parameters.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Heston {
    /// Variance now, annual: 1e-6 to 4.
    pub variance: f64,
    /// Speed of reversion per year: 1e-3 to 50.
    pub reversion: f64,
    /// Mean of the variance: 1e-6 to 4.
    pub mean: f64,
    /// Vol of the variance: 1e-3 to 5.
    pub vol_of_variance: f64,
    /// Correlation of price and variance: -0.999 to 0.999.
    pub correlation: f64,
}

/// Why there is no price.
#[derive(Debug, Clone, Copy, PartialEq, Error, Serialize, Deserialize)]
pub enum HestonRefusal {
    /// A number is NaN, infinite or outside of what is computed with.
    #[error("{name} is {value}, outside of {lowest} to {highest}; check the fit or the quote")]
    OutOfRange {
        /// Which.
        name: HestonInput,
        /// What it is.
        value: f64,
        /// The least accepted.
        lowest: f64,
        /// The most accepted.
        highest: f64,
    },
    /// More strikes than one call computes, or an output of another length.
    #[error("strikes and answers differ in length, or are more than 10000; pass them in parts")]
    Strikes,
    /// The integral or series does not settle.
    #[error("the transform does not settle within its terms; the parameters are too extreme")]
    NotSettled,
}

/// Names an input in a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum HestonInput {
    Variance,
    Reversion,
    Mean,
    VolOfVariance,
    Correlation,
    Forward,
    Strike,
    Years,
}

impl std::fmt::Display for HestonInput {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Variance => "variance",
            Self::Reversion => "reversion",
            Self::Mean => "mean variance",
            Self::VolOfVariance => "vol of variance",
            Self::Correlation => "correlation",
            Self::Forward => "forward",
            Self::Strike => "strike",
            Self::Years => "years",
        })
    }
}

fn within(name: HestonInput, value: f64, lowest: f64, highest: f64) -> Result<(), HestonRefusal> {
    if (lowest..=highest).contains(&value) {
        Ok(())
    } else {
        Err(HestonRefusal::OutOfRange { name, value, lowest, highest })
    }
}

impl Heston {
    /// Whether the variance never reaches zero: 2 reversion mean >= vol of variance squared.
    #[must_use]
    pub fn satisfies_feller(&self) -> bool {
        2.0 * self.reversion * self.mean >= self.vol_of_variance * self.vol_of_variance
    }

    fn check(&self, forward: f64, years: f64) -> Result<(), HestonRefusal> {
        within(HestonInput::Variance, self.variance, 1e-6, 4.0)?;
        within(HestonInput::Reversion, self.reversion, 1e-3, 50.0)?;
        within(HestonInput::Mean, self.mean, 1e-6, 4.0)?;
        within(HestonInput::VolOfVariance, self.vol_of_variance, 1e-3, 5.0)?;
        within(HestonInput::Correlation, self.correlation, -0.999, 0.999)?;
        within(HestonInput::Forward, forward, 1e-9, 1e12)?;
        within(HestonInput::Years, years, 1e-3, 30.0)
    }

    /// E[exp(i u ln(S / forward))].
    fn characteristic(&self, u: Complex, years: f64) -> Complex {
        Transform::at(self, u, years).exponent().exp()
    }

    /// Whether E[S^moment] is finite (Andersen, Piterbarg, Finance and Stochastics 11, 2007).
    fn has_moment(&self, years: f64, moment: f64) -> bool {
        let vol = self.vol_of_variance;
        let b = self.reversion - self.correlation * vol * moment;
        let charge = moment * (moment - 1.0) * vol * vol;
        let square = b * b - charge;
        if charge <= 0.0 {
            return true;
        }
        if square >= 0.0 {
            let d = square.sqrt();
            return b + d > 0.0 && b > 0.0 || {
                // b < 0: explodes at ln((b - d) / (b + d)) / d.
                let ratio = (b - d) / (b + d);
                d == 0.0 || ratio <= 0.0 || years < libm::log(ratio) / d
            };
        }
        let d = (-square).sqrt();
        // The pair of complex roots: explodes at 2 (pi 1{b > 0} + atan(d / -b)) / d.
        let angle = libm::atan2(d, -b);
        years < 2.0 * angle / d
    }

    /// ln E[(S / forward)^moment], if there is one.
    fn log_moment(&self, years: f64, moment: f64) -> Option<f64> {
        let value = self.characteristic(Complex { re: 0.0, im: -moment }, years).re;
        let is_sound = self.has_moment(years, moment) && value > 0.0 && value.is_finite();
        is_sound.then(|| libm::log(value))
    }

    /// Ends of ln(S / forward) beyond which there is less than `rest` of probability (below) and of
    /// the mean (above), by the sharpest of Markov's inequalities for some moments: every one
    /// holds, fewer make the range wider.
    fn ends(&self, years: f64, rest: f64, moments: u32) -> Option<(f64, f64)> {
        let (mut low, mut high) = (f64::NEG_INFINITY, f64::INFINITY);
        let cut = libm::log(rest);
        for index in 0..moments {
            let moment = 0.05 * libm::exp(8.0 / f64::from(moments) * f64::from(index));
            if let Some(log) = self.log_moment(years, -moment) {
                low = low.max((cut - log) / moment);
            }
            if let Some(log) = self.log_moment(years, 1.0 + moment) {
                high = high.min((log - cut) / moment);
            }
        }
        (low.is_finite() && high.is_finite() && low < high).then_some((low, high))
    }
}
