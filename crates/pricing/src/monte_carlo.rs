//! Randomised quasi-Monte Carlo for what has no formula: payoffs that depend on the path of one
//! lognormal price, and autocallables.
//!
//! Exists because averages, discretely watched barriers and extremes, and notes that are called
//! have none. Points are Sobol's, scrambled anew in each of several independent repetitions; the
//! mean over repetitions is unbiased up to the fitted control variate (bias below 1 / paths of the
//! error) and their spread is its standard error. The same seed gives the same bits, whatever the
//! level of `lanes` and however the work is split. Smiles are left to `heston`.

pub mod autocallable;
mod directions;
mod paths;
pub mod quantile;
pub mod sobol;

use crate::black::OptionKind;
use crate::error_class::StatedError;
use crate::exotics::asian::{self, Average};
use crate::exotics::barrier::Side;
use crate::exotics::{ExoticInput, ExoticRefusal, Payoff, Price, Underlying, european, within};
use crate::lanes::dispatch;
use paths::{BLOCK, Facts, Plan, Walk};
use serde::{Deserialize, Serialize};
use sobol::{DIMENSIONS_MAX, mixed};
use std::ops::Range;
use thiserror::Error;

/// What a path pays at expiry; watched at equal intervals, the last at expiry.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum PathPayoff {
    /// An option on the arithmetic average of the watched prices.
    Average {
        /// Strike of the average.
        strike: f64,
        /// Call or put.
        kind: OptionKind,
    },
    /// A vanilla option that ends when a watched price is on or beyond the level.
    KnockOut {
        /// Strike.
        strike: f64,
        /// Call or put.
        kind: OptionKind,
        /// The barrier.
        level: f64,
        /// On which side of the spot.
        side: Side,
    },
    /// Maximum of the watched prices less the strike (call), strike less their minimum (put).
    Lookback {
        /// Strike.
        strike: f64,
        /// Call or put.
        kind: OptionKind,
    },
}

/// How much work, and from which seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effort {
    /// Binary logarithm of the paths of one repetition, 6 to 24.
    pub paths_log2: u32,
    /// Independent repetitions, 4 to 64: the error's own error is 1 / sqrt(2 (repetitions - 1)).
    pub repetitions: u32,
    /// Seed of the scramblings.
    pub seed: u64,
}

/// Why there is no estimate.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
pub enum MonteCarloRefusal {
    /// The contract or its market can't be priced.
    #[error(transparent)]
    Contract(#[from] ExoticRefusal),
    /// More or fewer dates than are computed with.
    #[error("{count} dates, 1 to 64 are computed with")]
    Dates {
        /// What was asked for.
        count: usize,
    },
    /// Too little or too much work.
    #[error("effort is outside of 2^6 to 2^24 paths and 4 to 64 repetitions")]
    Effort,
}

impl Effort {
    fn check(&self) -> Result<(), MonteCarloRefusal> {
        let is_sane = (6..=24).contains(&self.paths_log2) && (4..=64).contains(&self.repetitions);
        if is_sane { Ok(()) } else { Err(MonteCarloRefusal::Effort) }
    }

    fn seed_of(&self, repetition: u32) -> u64 {
        mixed(self.seed, u64::from(repetition))
    }
}

/// Sums over some paths of one repetition.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Sums {
    payoff: f64,
    control: f64,
    control_squares: f64,
    products: f64,
}

/// Blocks that are summed before they join the rest: a split between them changes no bit.
const CHUNK: u64 = 64;

/// A contract that is ready to be simulated.
struct Simulation {
    plan: Plan,
    payoff: PathPayoff,
    /// Undiscounted mean of the control, known by formula.
    control_mean: f64,
    discount: f64,
}

impl Simulation {
    fn of(
        underlying: &Underlying,
        payoff: &PathPayoff,
        steps: usize,
    ) -> Result<Self, MonteCarloRefusal> {
        underlying.check()?;
        if !(1..=DIMENSIONS_MAX).contains(&steps) {
            return Err(MonteCarloRefusal::Dates { count: steps });
        }
        let control = match *payoff {
            PathPayoff::Average { strike, kind } => {
                let first = underlying.years / steps as f64;
                let average = Average { first, fixings: steps, strike, kind };
                asian::geometric(underlying, &average)?
            }
            PathPayoff::KnockOut { strike, kind, level, .. } => {
                within(ExoticInput::Barrier, level, 1e-9..=1e12)?;
                european(underlying, &Payoff::Vanilla { strike, kind })?
            }
            PathPayoff::Lookback { strike, kind } => {
                european(underlying, &Payoff::Vanilla { strike, kind })?
            }
        };
        let discount = underlying.discount();
        let plan = Plan::of(underlying, steps);
        Ok(Self { plan, payoff: *payoff, control_mean: control.value / discount, discount })
    }

    /// Sums of the chunks of blocks in `chunks`, in order.
    fn chunks(&self, seeds: &[u32], blocks: u64, chunks: Range<u64>) -> Vec<Sums> {
        let mut bridge = vec![[0.0; BLOCK]; self.plan.steps()];
        let mut facts = Facts::of_nothing();
        let chunk_sums = |chunk: u64| {
            let mut sums = Sums::default();
            for block in chunk * CHUNK..((chunk + 1) * CHUNK).min(blocks) {
                let bridge = &mut bridge[..];
                let walk = Walk { plan: &self.plan, seeds, block, bridge, facts: &mut facts };
                dispatch(walk);
                self.add(&facts, &mut sums);
            }
            sums
        };
        chunks.map(chunk_sums).collect()
    }

    fn add(&self, facts: &Facts, sums: &mut Sums) {
        let share = 1.0 / self.plan.steps() as f64;
        for lane in 0..BLOCK {
            let paid = |price: f64, strike: f64, kind: OptionKind| {
                let gain = if kind.is_call() { price - strike } else { strike - price };
                if gain > 0.0 { gain } else { 0.0 }
            };
            let (payoff, control) = match self.payoff {
                PathPayoff::Average { strike, kind } => (
                    paid(facts.sum[lane] * share, strike, kind),
                    paid(facts.geometric[lane], strike, kind),
                ),
                PathPayoff::KnockOut { strike, kind, level, side } => {
                    let whole = paid(facts.last[lane], strike, kind);
                    let is_alive = match side {
                        Side::Down => facts.low[lane] > level,
                        Side::Up => facts.high[lane] < level,
                    };
                    (if is_alive { whole } else { 0.0 }, whole)
                }
                PathPayoff::Lookback { strike, kind } => {
                    let best = if kind.is_call() { facts.high[lane] } else { facts.low[lane] };
                    (paid(best, strike, kind), paid(facts.last[lane], strike, kind))
                }
            };
            let control = control - self.control_mean;
            sums.payoff += payoff;
            sums.control += control;
            sums.control_squares += control * control;
            sums.products += payoff * control;
        }
    }
}

/// Estimates a path-dependent payoff watched at `steps` equal intervals, 1 to 64.
///
/// The control variate is the geometric average for averages, the vanilla option for the others.
pub fn estimate(
    underlying: &Underlying,
    payoff: &PathPayoff,
    steps: usize,
    effort: &Effort,
) -> Result<Price, MonteCarloRefusal> {
    effort.check()?;
    let simulation = Simulation::of(underlying, payoff, steps)?;
    let paths = 1u64 << effort.paths_log2;
    let blocks = paths / BLOCK as u64;
    let repetitions: Vec<Sums> = (0..effort.repetitions)
        .map(|repetition| {
            let seeds = simulation.plan.seeds(effort.seed_of(repetition));
            total(&simulation.chunks(&seeds, blocks, 0..blocks.div_ceil(CHUNK)))
        })
        .collect();
    let all = total(&repetitions);
    let count = paths as f64 * f64::from(effort.repetitions);
    let variance = all.control_squares - all.control * all.control / count;
    let covariance = all.products - all.payoff * all.control / count;
    let beta = if variance > 0.0 { covariance / variance } else { 0.0 };
    let means: Vec<f64> = repetitions
        .iter()
        .map(|sums| simulation.discount * (sums.payoff - beta * sums.control) / paths as f64)
        .collect();
    Ok(price_of(&means)?)
}

fn total(parts: &[Sums]) -> Sums {
    parts.iter().fold(Sums::default(), |sum, part| Sums {
        payoff: sum.payoff + part.payoff,
        control: sum.control + part.control,
        control_squares: sum.control_squares + part.control_squares,
        products: sum.products + part.products,
    })
}

/// Mean of independent repetitions and its standard error.
fn price_of(means: &[f64]) -> Result<Price, ExoticRefusal> {
    let count = means.len() as f64;
    let value = means.iter().sum::<f64>() / count;
    let squares: f64 = means.iter().map(|mean| (mean - value) * (mean - value)).sum();
    let rounding = 1e-12 * value.abs();
    let standard_error = (squares / (count * (count - 1.0))).sqrt() + rounding;
    if !(value.is_finite() && standard_error.is_finite()) {
        return Err(ExoticRefusal::NotRepresentable);
    }
    Ok(Price { value, error: StatedError::MonteCarlo { standard_error } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lanes::{Level, at_level};

    const MARKET: Underlying =
        Underlying { spot: 100.0, years: 1.0, vol: 0.25, rate: 0.04, dividend_yield: 0.01 };
    const PAYOFF: PathPayoff = PathPayoff::Average { strike: 100.0, kind: OptionKind::Call };
    const EFFORT: Effort = Effort { paths_log2: 13, repetitions: 4, seed: 5 };

    #[test]
    fn every_level_and_split_gives_the_same_bits() {
        let simulation = Simulation::of(&MARKET, &PAYOFF, 52).unwrap();
        let seeds = simulation.plan.seeds(11);
        let blocks = 5 * CHUNK + 3;
        let whole = simulation.chunks(&seeds, blocks, 0..6);
        let mut parts = simulation.chunks(&seeds, blocks, 0..2);
        parts.extend(simulation.chunks(&seeds, blocks, 2..6));
        assert_eq!(whole, parts);
        let best = estimate(&MARKET, &PAYOFF, 52, &EFFORT).unwrap();
        for level in Level::supported() {
            let found = at_level(level, || estimate(&MARKET, &PAYOFF, 52, &EFFORT)).unwrap();
            assert_eq!(found.unwrap().value.to_bits(), best.value.to_bits(), "{level:?}");
        }
        let other = estimate(&MARKET, &PAYOFF, 52, &Effort { seed: 6, ..EFFORT }).unwrap();
        assert_ne!(other.value.to_bits(), best.value.to_bits());
    }
}
