//! What a price says about its own error: measured classes of the engines for listed options, and
//! for exotics a statement of the method's kind with a number in the currency of the price.
//!
//! Exists so that every engine answers in one vocabulary and that two prices can be compared within
//! what both claim. How each number was found is said where the method is.

use serde::{Deserialize, Serialize};

/// What is known about the error of a price, root mean square per 100 of strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ErrorClass {
    /// A closed form: rounding only.
    Exact,
    /// 1e-7.
    Reference,
    /// 1e-6, never seen above 3e-5.
    Tight,
    /// 1e-5, never seen above 1e-4 for vols to 150 % and ten years.
    Fast,
    /// 1e-4, never seen above 1e-3: puts with cash dividends.
    Dividend,
    /// 1e-3, never seen above 1e-2: finite differences.
    Grid,
    /// Not established: rates or vols outside of what was tested.
    Coarse,
}

impl ErrorClass {
    /// Root mean square error per 100 of strike that the class stands for.
    pub fn per_hundred(self) -> f64 {
        match self {
            Self::Exact => 1e-11,
            Self::Reference => 1e-7,
            Self::Tight => 1e-6,
            Self::Fast => 1e-5,
            Self::Dividend => 1e-4,
            Self::Grid => 1e-3,
            Self::Coarse => f64::INFINITY,
        }
    }

    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Reference => "reference",
            Self::Tight => "tight",
            Self::Fast => "fast",
            Self::Dividend => "dividend",
            Self::Grid => "grid",
            Self::Coarse => "coarse",
        }
    }
}

/// What kind of method made a price, and what it claims about the error, in the price's currency.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum StatedError {
    /// A closed form: rounding only.
    Exact {
        /// A bound of the rounding error.
        rounding: f64,
    },
    /// An infinite series or integral, cut off where the rest is below `bound`.
    Series {
        /// Bound of what was cut off, rounding included.
        bound: f64,
    },
    /// A lower bound of the true price, which lies at most `width` above it.
    LowerBound {
        /// How far the true price may be above.
        width: f64,
    },
    /// Another model's price for this one; the error was measured, not proved.
    Approximation {
        /// Not exceeded on the grid that is named where the method is.
        measured: f64,
    },
    /// An average over independent randomisations.
    MonteCarlo {
        /// Standard error over the randomisations.
        standard_error: f64,
    },
}

impl StatedError {
    /// How far the true price may be from the answer, four standard errors for Monte Carlo.
    #[must_use]
    pub fn reach(self) -> f64 {
        match self {
            Self::Exact { rounding } => rounding,
            Self::Series { bound } => bound,
            Self::LowerBound { width } => width,
            Self::Approximation { measured } => measured,
            Self::MonteCarlo { standard_error } => 4.0 * standard_error,
        }
    }
}
