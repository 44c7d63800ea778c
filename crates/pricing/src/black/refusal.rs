//! Why an option or a batch has no answer: typed reasons, and the checks that find them.
//!
//! Exists so that a single contract and a lane of a batch are refused by the same words. The
//! arithmetic behind is left to `kernel`, which only sees what passed here.

use super::kernel::{DISCOUNT_RANGE, PRICE_RANGE};
use super::{ForwardContract, SpotContract};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Years outside of this are refused.
pub(super) const YEARS_RANGE: std::ops::RangeInclusive<f64> = 1e-20..=1e20;
/// Vols above this are refused.
pub(super) const VOL_MAX: f64 = 1e100;

/// Why a lane has no Greeks.
#[derive(Debug, Clone, Copy, PartialEq, Error, Serialize, Deserialize)]
pub enum Refusal {
    /// An input is NaN or infinite.
    #[error("{input} is not a finite number; check the quote or curve it comes from")]
    NotFinite {
        /// The first input that is not finite.
        input: Input,
    },
    /// Forward, spot, strike or discount is zero or negative.
    #[error("{input} is not positive; the lognormal model can't price it")]
    NotPositive {
        /// The first input that is not positive.
        input: Input,
    },
    /// The vol is negative.
    #[error("vol is negative; no price exists")]
    NegativeVol,
    /// Time to expiry is zero: the value is what is left, Greeks do not exist.
    #[error("option has expired worth {intrinsic}; book the expiry instead of pricing it")]
    Expired {
        /// Undiscounted intrinsic value at the given forward.
        intrinsic: f64,
    },
    /// Time to expiry is negative.
    #[error("time to expiry is negative; check the clock and the calendar")]
    NegativeYears,
    /// A result left the range of f64, e.g. gamma at the money with no vol.
    #[error("a price or greek is not representable; inputs are too extreme")]
    NotRepresentable,
}

/// Names an input in a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// Forward price.
    Forward,
    /// Spot price.
    Spot,
    /// Strike price.
    Strike,
    /// Years to expiry.
    Years,
    /// Annual volatility.
    Vol,
    /// Discount factor.
    Discount,
    /// Continuous rate.
    Rate,
    /// Continuous dividend yield.
    DividendYield,
}

impl std::fmt::Display for Input {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Forward => "forward",
            Self::Spot => "spot",
            Self::Strike => "strike",
            Self::Years => "years to expiry",
            Self::Vol => "vol",
            Self::Discount => "discount factor",
            Self::Rate => "rate",
            Self::DividendYield => "dividend yield",
        })
    }
}

/// A batch that can't be answered as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PricingError {
    /// The slices of one batch differ in length.
    #[error("{column} has {found} lanes but the batch has {expected}; pass columns of one length")]
    LengthMismatch {
        /// The offending column.
        column: &'static str,
        /// Lanes of the first column.
        expected: usize,
        /// Lanes of the offending column.
        found: usize,
    },
}

impl ForwardContract {
    pub(super) fn check(&self) -> Result<(), Refusal> {
        for (input, value) in [(Input::Discount, self.discount), (Input::Forward, self.forward)] {
            require_positive(input, value)?;
        }
        check_terms(self.forward, self.strike, self.years, self.vol, self.kind.is_call())?;
        represent(DISCOUNT_RANGE.contains(&self.discount))
    }
}

impl SpotContract {
    pub(super) fn check(&self) -> Result<(), Refusal> {
        require_positive(Input::Spot, self.spot)?;
        require_finite(Input::Rate, self.rate)?;
        require_finite(Input::DividendYield, self.dividend_yield)?;
        check_terms(self.spot, self.strike, self.years, self.vol, self.kind.is_call())
    }
}

fn require_finite(input: Input, value: f64) -> Result<(), Refusal> {
    if value.is_finite() { Ok(()) } else { Err(Refusal::NotFinite { input }) }
}

fn require_positive(input: Input, value: f64) -> Result<(), Refusal> {
    require_finite(input, value)?;
    if value > 0.0 { Ok(()) } else { Err(Refusal::NotPositive { input }) }
}

fn represent(in_range: bool) -> Result<(), Refusal> {
    if in_range { Ok(()) } else { Err(Refusal::NotRepresentable) }
}

/// Checks what forward and spot contracts share; `underlying` is positive and finite.
fn check_terms(
    underlying: f64,
    strike: f64,
    years: f64,
    vol: f64,
    is_call: bool,
) -> Result<(), Refusal> {
    require_positive(Input::Strike, strike)?;
    require_finite(Input::Years, years)?;
    require_finite(Input::Vol, vol)?;
    if vol < 0.0 {
        return Err(Refusal::NegativeVol);
    }
    if years < 0.0 {
        return Err(Refusal::NegativeYears);
    }
    if years == 0.0 {
        let sign = if is_call { 1.0 } else { -1.0 };
        return Err(Refusal::Expired { intrinsic: (sign * (underlying - strike)).max(0.0) });
    }
    represent(
        PRICE_RANGE.contains(&underlying)
            && PRICE_RANGE.contains(&strike)
            && YEARS_RANGE.contains(&years)
            && vol <= VOL_MAX
            && !(vol == 0.0 && underlying == strike),
    )
}
