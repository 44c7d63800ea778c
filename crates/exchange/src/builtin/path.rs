//! How an underlying moves: log spot with stochastic variance and jumps.
//!
//! Heston (1993) by Euler steps with full truncation (Lord, Koekkoek, van Dijk 2010): the variance
//! may step below zero but acts as zero. Jumps arrive as a Poisson process with lognormal size.

use crate::random::Random;
use serde::{Deserialize, Serialize};

/// The parameters, per year.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dynamics {
    long_run_variance: f64,
    reversion: f64,
    vol_of_variance: f64,
    correlation: f64,
    jumps_per_year: f64,
    jump_mean: f64,
    jump_deviation: f64,
}

impl Dynamics {
    /// A single stock: about 24 % volatility, a jump most days.
    pub const fn stock() -> Self {
        Self {
            long_run_variance: 0.0576,
            reversion: 4.0,
            vol_of_variance: 0.6,
            correlation: -0.6,
            jumps_per_year: 250.0,
            jump_mean: -0.0005,
            jump_deviation: 0.005,
        }
    }

    /// An index: about 16 % volatility, smaller and rarer jumps.
    pub const fn index() -> Self {
        Self {
            long_run_variance: 0.0256,
            reversion: 3.0,
            vol_of_variance: 0.35,
            correlation: -0.75,
            jumps_per_year: 120.0,
            jump_mean: -0.0008,
            jump_deviation: 0.003,
        }
    }
}

/// A spot and its variance on their way.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Path {
    log_spot: f64,
    variance: f64,
    dynamics: Dynamics,
}

/// Spots are kept within this factor of 1, so that a very long run stays quotable.
const LEAST_SPOT: f64 = 5.0;
const GREATEST_SPOT: f64 = 100_000.0;
const LEAST_VARIANCE: f64 = 0.0025;

impl Path {
    /// At `spot` with the long-run variance.
    pub fn new(spot: f64, dynamics: Dynamics) -> Self {
        Self { log_spot: libm::log(spot), variance: dynamics.long_run_variance, dynamics }
    }

    /// The spot.
    pub fn spot(&self) -> f64 {
        libm::exp(self.log_spot)
    }

    /// Moves on by `years`; true if a jump came.
    pub fn advance(&mut self, years: f64, rate: f64, random: &mut Random) -> bool {
        let d = self.dynamics;
        let variance = self.variance.max(0.0);
        let (first, second) = (random.normal(), random.normal());
        let correlated =
            d.correlation * first + libm::sqrt(1.0 - d.correlation * d.correlation) * second;
        let deviation = libm::sqrt(variance * years);
        self.log_spot += (rate - 0.5 * variance) * years + deviation * first;
        self.variance += d.reversion * (d.long_run_variance - variance) * years
            + d.vol_of_variance * deviation * correlated;
        let jumped = random.uniform() < d.jumps_per_year * years;
        if jumped {
            self.log_spot += d.jump_mean + d.jump_deviation * random.normal();
        }
        self.log_spot = self.log_spot.clamp(libm::log(LEAST_SPOT), libm::log(GREATEST_SPOT));
        jumped
    }

    /// Takes a dividend off the spot.
    pub fn drop_by(&mut self, amount: f64) {
        self.log_spot = libm::log((self.spot() - amount).max(LEAST_SPOT));
    }

    /// The at-the-money volatility that the market expects over `years`: the mean of the reverting
    /// variance, jumps included.
    pub fn expected_volatility(&self, years: f64) -> f64 {
        let d = self.dynamics;
        let horizon = d.reversion * years.max(1e-6);
        let weight = -libm::expm1(-horizon) / horizon;
        let jumps =
            d.jumps_per_year * (d.jump_mean * d.jump_mean + d.jump_deviation * d.jump_deviation);
        let diffusion =
            d.long_run_variance + (self.variance.max(0.0) - d.long_run_variance) * weight;
        libm::sqrt((diffusion + jumps).max(LEAST_VARIANCE))
    }
}
