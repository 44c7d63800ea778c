//! Tests for static arbitrage on a grid: what must hold before a surface is published.
//!
//! Exists beside the closed-form conditions because a proof in the algebra says nothing about a
//! slip in the code: these tests read nothing but total variance and its derivatives. Butterfly:
//! the function of Durrleman is not negative (Gatheral and Jacquier 2014, lemma 2.2). Calendar:
//! total variance at each log-moneyness does not fall with time (ibid., lemma 2.1). Wings: slopes
//! stay below two (Lee 2004). Repair is not attempted: what fails is refused.

use crate::essvi::{Curve, NoSurface, Surface};
use serde::{Deserialize, Serialize};

/// Rounding that is forgiven, relative to total variance.
const ROUNDING: f64 = 1e-12;

/// Where the tests look: `points` per slice, evenly within `reach` deviations of the money, and
/// twice as far out on either side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grid {
    /// Points of one slice.
    pub points: usize,
    /// Distance of the outermost ones from the money, in sqrt(total variance).
    pub reach: f64,
}

impl Default for Grid {
    /// 41 points to eight deviations.
    fn default() -> Self {
        Self { points: 41, reach: 8.0 }
    }
}

impl Grid {
    /// Log-moneyness of each point for a slice of this total variance at the money.
    pub fn of(&self, theta: f64) -> impl Iterator<Item = f64> + use<> {
        let deviation = theta.sqrt();
        let (reach, last) = (self.reach, (self.points.max(3) - 3) as f64);
        let inner = (0..self.points.max(3) - 2).map(move |at| {
            let share = if last > 0.0 { 2.0 * at as f64 / last - 1.0 } else { 0.0 };
            share * reach * deviation
        });
        [-2.0 * reach * deviation].into_iter().chain(inner).chain([2.0 * reach * deviation])
    }
}

/// The worst that was found, all of it allowed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ArbitrageReport {
    /// Points tested.
    pub points: usize,
    /// Least value of Durrleman's function.
    pub density_least: f64,
    /// Least rise of total variance from one expiry to the next, as a share of it; infinite for a
    /// single expiry.
    pub rise_least: f64,
}

/// Tests a surface, or says where it fails.
pub fn prove(surface: &Surface, grid: Grid) -> Result<ArbitrageReport, NoSurface> {
    let mut report =
        ArbitrageReport { points: 0, density_least: f64::INFINITY, rise_least: f64::INFINITY };
    let slices = surface.slices();
    for (index, slice) in slices.iter().enumerate() {
        for k in grid.of(slice.theta) {
            let curve = slice.curve(k);
            let value = density_test(&curve, k);
            // A NaN fails as well.
            if value.is_nan() || value < -ROUNDING {
                return Err(NoSurface::NegativeDensity { index, log_moneyness: k, value });
            }
            report.points += 1;
            report.density_least = report.density_least.min(value);
            if let Some(earlier) = index.checked_sub(1).map(|before| slices[before]) {
                let rise = curve.value - earlier.total_variance(k);
                if rise.is_nan() || rise < -ROUNDING * curve.value {
                    return Err(NoSurface::FallingVariance {
                        index,
                        log_moneyness: k,
                        value: -rise,
                    });
                }
                report.rise_least = report.rise_least.min(rise / curve.value);
            }
        }
    }
    Ok(report)
}

/// Durrleman's function, or a negative number where the curve is not even positive or rises faster
/// than two per unit of log-moneyness.
#[must_use]
pub fn density_test(curve: &Curve, k: f64) -> f64 {
    let sound = curve.value > 0.0 && curve.slope.abs() <= 2.0 + ROUNDING;
    if sound { curve.durrleman(k) } else { -1.0 }
}
