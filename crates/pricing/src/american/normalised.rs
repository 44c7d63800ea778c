//! The put that every American option is solved as: strike 1, expiry 1.

use super::lane::ln;

/// Derivatives in vol, rate and yield, in this order.
pub(crate) const PARAMETERS: usize = 3;

/// A put on strike 1 that expires at time 1: rate and yield times years, vol times their root.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Normalised {
    /// rate * years.
    pub rate: f64,
    /// dividend yield * years.
    pub dividend_yield: f64,
    /// vol * sqrt(years).
    pub vol: f64,
}

impl Normalised {
    /// ln of the boundary just before expiry: min(1, rate / yield).
    pub fn log_limit(&self) -> f64 {
        if self.dividend_yield > self.rate { ln(self.rate / self.dividend_yield) } else { 0.0 }
    }

    /// ln of the boundary of the option that never expires, not below -600.
    pub fn log_floor(&self) -> f64 {
        let variance = self.vol * self.vol;
        let slope = 2.0 * (self.rate - self.dividend_yield) / variance - 1.0;
        let income = 8.0 * self.rate / variance;
        let root = (slope * slope + income).sqrt();
        let sum = if slope < 0.0 { income / (root - slope) } else { slope + root };
        let power = 0.5 * sum;
        ln((power / (power + 1.0)).max(1e-260))
    }
}
