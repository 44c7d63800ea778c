//! Whether trading may go on: Active, ReduceOnly or Halted, per account, underlying and strategy.

use crate::id::StrategyId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How much trading is allowed; the larger is the stricter. Cancels always pass.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub enum TradingState {
    /// Everything that the gate allows.
    #[default]
    Active,
    /// Only orders that provably lower risk.
    ReduceOnly,
    /// Nothing new and nothing enlarged.
    Halted,
}

impl TradingState {
    /// Its name in metrics, JSON and on screen.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::ReduceOnly => "reduce_only",
            Self::Halted => "halted",
        }
    }
}

/// Rises with each halt: what was cleared under an older one may no longer be written.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct HaltEpoch(pub u64);

/// The states of every scope at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TradingStates {
    /// Of the account.
    pub account: TradingState,
    /// Of underlyings, by root symbol; absent is Active.
    pub underlyings: BTreeMap<String, TradingState>,
    /// Of strategies; absent is Active.
    pub strategies: BTreeMap<StrategyId, TradingState>,
    /// The halt epoch that these states belong to.
    pub halt_epoch: HaltEpoch,
}

impl TradingStates {
    /// Strategies that are held to less than trading: those in quarantine, by id.
    pub fn quarantined(&self) -> impl Iterator<Item = &StrategyId> {
        let restricted = self.strategies.iter().filter(|(_, state)| **state > TradingState::Active);
        restricted.map(|(strategy, _)| strategy)
    }

    /// The strictest state that applies to a strategy in an underlying.
    #[must_use]
    pub fn applying_to(&self, symbol: &str, strategy: &StrategyId) -> TradingState {
        let underlying = self.underlyings.get(symbol).copied().unwrap_or_default();
        let own = self.strategies.get(strategy).copied().unwrap_or_default();
        self.account.max(underlying).max(own)
    }
}
