//! The eSSVI surface: total variance in log-moneyness and time with three numbers per expiry.
//!
//! Exists because its absence of arbitrage can be decided in closed form, so a calibration can stay
//! inside the allowed domain (`essvi/domain.rs`) rather than hope. A slice is (Gatheral and
//! Jacquier 2014; Hendriks and Martini 2019)
//! w(k) = (theta + rho psi k + sqrt(psi^2 k^2 + 2 theta rho psi k + theta^2)) / 2, k = ln(K / F).
//! - Butterfly: psi (1 + |rho|) < 4 and psi^2 (1 + |rho|) <= 4 theta (sufficient).
//! - Calendar, earlier to later: theta rises, psi (1 + rho) and psi (1 - rho) do not fall, and psi
//!   / theta does not rise (sufficient; Mingone, arXiv 2204.00312).
//!
//! Rules between and beyond the expiries, each of which keeps both conditions:
//! - between two expiries theta, psi and rho psi are linear in time (Corbetta, Cohort, Laachir and
//!   Martini, arXiv 1804.04924);
//! - before the first one all three shrink with time: the vol of each strike stays the same;
//! - after the last one theta grows at the last forward variance, psi and rho stay;
//! - in strike a slice extends itself: its wings are straight lines below Lee's (2004) bound.
//!
//! Fitting is left to `essvi/calibration.rs`, the tests on a grid to `arbitrage`.

mod calibration;
mod domain;

pub use calibration::{CalibrationSettings, Calibrator, Fitted, SliceQuotes, SliceReport};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Rounding that the closed-form conditions forgive, relative.
const ROUNDING: f64 = 1e-9;

/// Total variance of one expiry.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// Total variance (vol^2 * years) at the forward; positive.
    pub theta: f64,
    /// Tilt, in (-1, 1).
    pub rho: f64,
    /// Slope: the wings rise by psi (1 +- rho) / 2 per unit of log-moneyness; positive.
    pub psi: f64,
}

/// Total variance and its first two derivatives in log-moneyness.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Curve {
    /// Total variance.
    pub value: f64,
    /// Per unit of log-moneyness.
    pub slope: f64,
    /// Slope per unit of log-moneyness.
    pub curvature: f64,
}

impl Curve {
    /// Durrleman's function at `k`: the risk-neutral density is it times a positive factor, so a
    /// negative value is butterfly arbitrage (Gatheral and Jacquier 2014, lemma 2.2).
    #[must_use]
    pub fn durrleman(&self, k: f64) -> f64 {
        let tilt = 1.0 - 0.5 * k * self.slope / self.value;
        let bend = 0.25 * self.slope * self.slope * (1.0 / self.value + 0.25);
        tilt * tilt - bend + 0.5 * self.curvature
    }
}

impl Slice {
    /// Total variance at log-moneyness `k`.
    #[must_use]
    pub fn total_variance(&self, k: f64) -> f64 {
        let tilted = self.rho * self.psi * k;
        let run = self.psi * k;
        0.5 * (self.theta + tilted + root(run, self.theta, self.rho))
    }

    /// Total variance with derivatives in log-moneyness.
    #[must_use]
    pub fn curve(&self, k: f64) -> Curve {
        let run = self.psi * k;
        let root = root(run, self.theta, self.rho);
        let lean = self.psi * (run + self.theta * self.rho);
        let free = self.psi * self.theta;
        Curve {
            value: 0.5 * (self.theta + self.rho * run + root),
            slope: 0.5 * (self.rho * self.psi + lean / root),
            curvature: 0.5 * free * free * (1.0 - self.rho * self.rho) / (root * root * root),
        }
    }

    /// Total variance, and its derivatives in theta, rho and psi.
    #[inline]
    #[must_use]
    pub fn gradient(&self, k: f64) -> (f64, [f64; 3]) {
        let run = self.psi * k;
        let root = root(run, self.theta, self.rho);
        let over = 1.0 / root;
        let tilted = self.rho * run;
        let value = 0.5 * (self.theta + tilted + root);
        let by_theta = 0.5 * (1.0 + (tilted + self.theta) * over);
        let by_rho = 0.5 * run * (1.0 + self.theta * over);
        let by_psi = 0.5 * k * (self.rho + (run + self.theta * self.rho) * over);
        (value, [by_theta, by_rho, by_psi])
    }

    /// The largest psi without butterfly arbitrage.
    #[must_use]
    pub fn psi_limit(theta: f64, rho: f64) -> f64 {
        let tilt = 1.0 + rho.abs();
        (4.0 / tilt).min(2.0 * (theta / tilt).sqrt())
    }

    /// Whether the closed-form condition rules out butterfly arbitrage.
    #[must_use]
    pub fn is_butterfly_free(&self) -> bool {
        let sound = self.theta > 0.0 && self.psi > 0.0 && self.rho.abs() < 1.0;
        sound && self.psi <= Self::psi_limit(self.theta, self.rho) * (1.0 + ROUNDING)
    }

    /// Whether the closed-form condition says that this slice lies nowhere below an earlier one.
    #[must_use]
    pub fn is_above(&self, earlier: &Self) -> bool {
        let least = 1.0 - ROUNDING;
        self.theta >= earlier.theta * least
            && self.psi * (1.0 + self.rho) >= earlier.psi * (1.0 + earlier.rho) * least
            && self.psi * (1.0 - self.rho) >= earlier.psi * (1.0 - earlier.rho) * least
            && self.psi * earlier.theta * least <= earlier.psi * self.theta
    }
}

/// sqrt((run + theta rho)^2 + theta^2 (1 - rho^2)), in the form that can't become negative.
#[inline]
fn root(run: f64, theta: f64, rho: f64) -> f64 {
    let lean = run + theta * rho;
    (lean * lean + theta * theta * (1.0 - rho * rho)).sqrt()
}

/// Why slices do not make a surface.
#[derive(Debug, Clone, Copy, PartialEq, Error, Serialize, Deserialize)]
pub enum NoSurface {
    /// No slice at all.
    #[error("no expiry has quotes enough for a slice; wait for quotes")]
    Empty,
    /// Times to expiry are not positive, finite and strictly rising.
    #[error("expiry {index} has no finite time above that of the one before; sort the expiries")]
    BadYears {
        /// Position of the first bad expiry.
        index: usize,
    },
    /// A slice has parameters outside of the model.
    #[error("slice {index} is not finite, or its parameters are out of range; fit it anew")]
    BadSlice {
        /// Its position.
        index: usize,
    },
    /// Columns of different length.
    #[error("quote columns of expiry {index} differ in length; pass one lane per quote")]
    LengthMismatch {
        /// Position of the expiry.
        index: usize,
    },
    /// The closed-form butterfly condition fails.
    #[error("slice {index} allows butterfly arbitrage; it is not published")]
    Butterfly {
        /// Its position.
        index: usize,
    },
    /// The closed-form calendar condition fails.
    #[error("slice {index} may lie below the one before; the surface is not published")]
    Calendar {
        /// Position of the later slice.
        index: usize,
    },
    /// Durrleman's function is negative on the grid.
    #[error("the density of slice {index} is negative at log-moneyness {log_moneyness}: {value}")]
    NegativeDensity {
        /// Position of the slice.
        index: usize,
        /// Where.
        log_moneyness: f64,
        /// Durrleman's function there.
        value: f64,
    },
    /// Total variance falls from one expiry to the next on the grid.
    #[error(
        "total variance falls by {value} from the expiry before to slice {index} at log-moneyness \
         {log_moneyness}"
    )]
    FallingVariance {
        /// Position of the later slice.
        index: usize,
        /// Where.
        log_moneyness: f64,
        /// By how much.
        value: f64,
    },
}

/// Slices by time to expiry: a whole surface without static arbitrage, by construction of
/// [`Surface::new`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Surface {
    years: Vec<f64>,
    slices: Vec<Slice>,
}

impl Surface {
    /// Of slices by strictly rising years, checked by the closed-form conditions.
    pub fn new(years: Vec<f64>, slices: Vec<Slice>) -> Result<Self, NoSurface> {
        if slices.is_empty() {
            return Err(NoSurface::Empty);
        }
        let mut last = 0.0;
        for (index, &own) in years.iter().enumerate() {
            if !(own.is_finite() && own > last) {
                return Err(NoSurface::BadYears { index });
            }
            last = own;
        }
        if years.len() != slices.len() {
            return Err(NoSurface::BadYears { index: years.len().min(slices.len()) });
        }
        for (index, slice) in slices.iter().enumerate() {
            let finite = [slice.theta, slice.rho, slice.psi].iter().all(|value| value.is_finite());
            if !(finite && slice.theta > 0.0 && slice.psi > 0.0 && slice.rho.abs() < 1.0) {
                return Err(NoSurface::BadSlice { index });
            }
            if !slice.is_butterfly_free() {
                return Err(NoSurface::Butterfly { index });
            }
            if index > 0 && !slice.is_above(&slices[index - 1]) {
                return Err(NoSurface::Calendar { index });
            }
        }
        Ok(Self { years, slices })
    }

    /// Years to each expiry.
    #[must_use]
    pub fn years(&self) -> &[f64] {
        &self.years
    }

    /// The slices, in the same order.
    #[must_use]
    pub fn slices(&self) -> &[Slice] {
        &self.slices
    }

    /// The slice at any positive time, by the rules of this file's head.
    #[must_use]
    pub fn slice_at(&self, years: f64) -> Slice {
        let later = self.years.partition_point(|&own| own < years);
        if later == 0 {
            let share = years / self.years[0];
            let first = self.slices[0];
            return Slice { theta: first.theta * share, psi: first.psi * share, ..first };
        }
        let earlier = self.slices[later - 1];
        if later == self.years.len() {
            let beyond = years - self.years[later - 1];
            let theta = earlier.theta + beyond * self.last_forward_variance();
            return Slice { theta, ..earlier };
        }
        let (from, to) = (self.years[later - 1], self.years[later]);
        let share = (years - from) / (to - from);
        between(&earlier, &self.slices[later], share)
    }

    /// Total variance at `years` > 0 and log-moneyness `k`.
    #[must_use]
    pub fn total_variance(&self, k: f64, years: f64) -> f64 {
        self.slice_at(years).total_variance(k)
    }

    /// Annual vol at `years` > 0 and log-moneyness `k`.
    #[must_use]
    pub fn vol(&self, k: f64, years: f64) -> f64 {
        (self.total_variance(k, years) / years).sqrt()
    }

    /// Annual variance at the forward between two times, `from` < `to`; never negative.
    #[must_use]
    pub fn forward_variance(&self, from: f64, to: f64) -> f64 {
        let start = if from > 0.0 { self.slice_at(from).theta } else { 0.0 };
        (self.slice_at(to).theta - start) / (to - from)
    }

    fn last_forward_variance(&self) -> f64 {
        let last = self.years.len() - 1;
        if last == 0 {
            return self.slices[0].theta / self.years[0];
        }
        let rise = self.slices[last].theta - self.slices[last - 1].theta;
        rise / (self.years[last] - self.years[last - 1])
    }
}

fn between(earlier: &Slice, later: &Slice, share: f64) -> Slice {
    let mix = |from: f64, to: f64| from + share * (to - from);
    let psi = mix(earlier.psi, later.psi);
    let tilted = mix(earlier.rho * earlier.psi, later.rho * later.psi);
    Slice { theta: mix(earlier.theta, later.theta), rho: tilted / psi, psi }
}

#[cfg(test)]
mod tests;
