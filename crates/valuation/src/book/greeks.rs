//! From a European option's sensitivities to its forward to a line's, to its underlying.
//!
//! The forward follows the underlying's price and the rate; what early exercise adds has been
//! solved for the underlying and is added as it is.

use super::chain::Chain;
use crate::early_exercise::Added;
use crate::view::UnitGreeks;
use market::time::Timestamp;
use pricing::black::EuropeanGreeks;
use pricing::dividends::CashDividend;

impl Chain {
    /// Sensitivities to the underlying from those of the European option to the forward (delta,
    /// gamma, vega, theta, rho), and what early exercise adds.
    pub(super) fn unit_greeks(
        &self,
        [delta, gamma, vega, theta, rho]: [f64; 5],
        added: &Added,
    ) -> UnitGreeks {
        let growth = self.growth;
        UnitGreeks {
            delta: delta * growth + added.delta,
            gamma: gamma * growth * growth + added.gamma,
            vega: vega + added.vega,
            theta: theta - self.carry_rate * self.carry.forward() * delta + added.theta,
            rho: rho + self.forward_by_rate * delta + added.rho,
        }
    }

    /// Change of the forward per 1.00 of the rate, the underlying's price held: a dividend leaves
    /// it with what it would have earned until the expiry; a future is its own forward.
    pub(super) fn forward_by_rate(&self, now: Timestamp) -> f64 {
        if self.carry.is_on_future() {
            return 0.0;
        }
        let kept = |paid: CashDividend| {
            paid.years * paid.cash * libm::exp(self.carry_rate * (self.years - paid.years))
        };
        let dividends: f64 = self.dividends_ahead(now).map(kept).sum();
        self.years * self.carry.forward() + dividends
    }
}

/// Delta, gamma, vega, theta and rho of one lane.
pub(super) fn of_lane(greeks: &EuropeanGreeks, lane: usize) -> [f64; 5] {
    let EuropeanGreeks { delta, gamma, vega, theta, rho, .. } = greeks;
    [delta, gamma, vega, theta, rho].map(|column| column[lane])
}
