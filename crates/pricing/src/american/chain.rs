//! The chain of one expiry and exercise style: columns in, columns out.
//!
//! Exists as the seam for valuation and the command line. `Chain::solve` computes what depends on
//! vols and rates (boundaries); `Chain::tick` reprices every contract at a new spot from them. Each
//! lane is computed alone, so its bits depend neither on its place nor on how a chain is split.
//! Contracts with cash dividends are left to `dividends`, whose boundaries do not scale in strike.

use super::{Accuracy, AmericanGreeks, Boundary, SpotTick, check_prices};
use crate::black::{OptionKind, PricingError, Refusal};

/// What the contracts of a chain share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expiry {
    /// Years to expiry.
    pub years: f64,
    /// Continuous rate.
    pub rate: f64,
    /// Continuous dividend yield; the rate itself for options on a future.
    pub dividend_yield: f64,
    /// How exact boundaries are.
    pub accuracy: Accuracy,
}

/// One column per input, one lane per contract; all of one length.
#[derive(Debug, Clone, Copy)]
pub struct ChainInputs<'a> {
    /// Strikes.
    pub strike: &'a [f64],
    /// Annual vols.
    pub vol: &'a [f64],
    /// True for calls.
    pub is_call: &'a [bool],
}

/// The solved boundaries of a chain.
#[derive(Debug, Clone, Default)]
pub struct Chain {
    contracts: Vec<(f64, Result<Boundary, Refusal>)>,
}

impl Chain {
    /// Solves every contract, for all Greeks. Errors with `LengthMismatch` if columns differ.
    pub fn solve(expiry: &Expiry, inputs: &ChainInputs<'_>) -> Result<Self, PricingError> {
        let expected = inputs.strike.len();
        for (column, found) in [("vol", inputs.vol.len()), ("is_call", inputs.is_call.len())] {
            if found != expected {
                return Err(PricingError::LengthMismatch { column, expected, found });
            }
        }
        let contracts = (0..expected)
            .map(|lane| {
                let kind = if inputs.is_call[lane] { OptionKind::Call } else { OptionKind::Put };
                let boundary = Boundary::solve_with_greeks(
                    kind,
                    expiry.rate,
                    expiry.dividend_yield,
                    inputs.vol[lane],
                    expiry.years,
                    expiry.accuracy,
                );
                (inputs.strike[lane], boundary)
            })
            .collect();
        Ok(Self { contracts })
    }

    /// Price, delta and gamma of every contract at a spot, in the order of the columns.
    pub fn tick(&self, spot: f64, ticks: &mut Vec<Result<SpotTick, Refusal>>) {
        ticks.clear();
        ticks.extend(self.contracts.iter().map(|(strike, boundary)| {
            check_prices(spot, *strike)?;
            boundary.as_ref().map(|boundary| boundary.tick(spot, *strike)).map_err(|error| *error)
        }));
    }

    /// All Greeks of every contract at a spot, in the order of the columns.
    pub fn greeks(&self, spot: f64, greeks: &mut Vec<Result<AmericanGreeks, Refusal>>) {
        greeks.clear();
        greeks.extend(self.contracts.iter().map(|(strike, boundary)| {
            check_prices(spot, *strike)?;
            boundary.as_ref().map_err(|error| *error)?.checked_greeks(spot, *strike)
        }));
    }
}
