//! All instruments' lines with their sums, which follow every change, so that asking for a
//! position, cash or a result never walks what was traded and closed long ago.
//!
//! Only the lines are stored: the sums are made again when they are read back, and a state's
//! encoding (and its hash) knows nothing of them.

use super::holding::Holding;
use super::line::Line;
use crate::id::StrategyId;
use market::instrument::ConId;
use market::money::{Currency, Money, Quantity};
use serde::{Deserialize, Serialize, Serializer};
use std::collections::{BTreeMap, BTreeSet};

/// What the lines of one currency add up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Total {
    /// How many they are; without one there is no total.
    lines: usize,
    pub(super) cash: Money,
    pub(super) realised: Money,
}

/// What one holder (the account or a strategy) has.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Sums {
    /// Instruments that it ever traded.
    pub(super) traded: BTreeSet<ConId>,
    /// Positions that are not flat.
    pub(super) positions: BTreeMap<ConId, Quantity>,
    /// Instruments with a position, or flat with a result that is still to be paid.
    pub(super) open: BTreeSet<ConId>,
    pub(super) totals: BTreeMap<Currency, Total>,
}

/// Lines by instrument.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(from = "BTreeMap<ConId, Line>")]
pub(super) struct Lines {
    by_instrument: BTreeMap<ConId, Line>,
    pub(super) account: Sums,
    pub(super) strategies: BTreeMap<StrategyId, Sums>,
}

impl Sums {
    fn add(&mut self, con_id: ConId, holding: &Holding, currency: Option<Currency>) {
        self.traded.insert(con_id);
        if !holding.quantity.is_zero() {
            self.positions.insert(con_id, holding.quantity);
        }
        if !holding.quantity.is_zero() || !holding.cost.is_zero() {
            self.open.insert(con_id);
        }
        if let Some(currency) = currency {
            let total = self.totals.entry(currency).or_default();
            total.lines += 1;
            total.cash += holding.cash;
            total.realised += holding.realised;
        }
    }

    fn take(&mut self, con_id: ConId, holding: &Holding, currency: Option<Currency>) {
        self.traded.remove(&con_id);
        self.positions.remove(&con_id);
        self.open.remove(&con_id);
        let Some(currency) = currency else { return };
        if let Some(total) = self.totals.get_mut(&currency) {
            total.lines -= 1;
            total.cash -= holding.cash;
            total.realised -= holding.realised;
            if total.lines == 0 {
                self.totals.remove(&currency);
            }
        }
    }
}

impl Lines {
    pub(super) fn get(&self, con_id: ConId) -> Option<&Line> {
        self.by_instrument.get(&con_id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&ConId, &Line)> {
        self.by_instrument.iter()
    }

    /// Changes one line, and the sums with it.
    pub(super) fn change(&mut self, con_id: ConId, change: impl FnOnce(&mut Line)) {
        let line = self.by_instrument.entry(con_id).or_default();
        let currency = line.terms.map(|terms| terms.currency);
        self.account.take(con_id, &line.account, currency);
        for (strategy, holding) in &line.strategies {
            if let Some(sums) = self.strategies.get_mut(strategy) {
                sums.take(con_id, holding, currency);
            }
        }
        let before: Vec<StrategyId> = line.strategies.keys().cloned().collect();
        change(line);
        add(&mut self.account, &mut self.strategies, con_id, line);
        for strategy in before {
            // Its only trades were taken back.
            if self.strategies.get(&strategy).is_some_and(|sums| sums.traded.is_empty()) {
                self.strategies.remove(&strategy);
            }
        }
    }
}

fn add(
    account: &mut Sums,
    strategies: &mut BTreeMap<StrategyId, Sums>,
    con_id: ConId,
    line: &Line,
) {
    let currency = line.terms.map(|terms| terms.currency);
    account.add(con_id, &line.account, currency);
    for (strategy, holding) in &line.strategies {
        if let Some(sums) = strategies.get_mut(strategy) {
            sums.add(con_id, holding, currency);
        } else {
            let sums = strategies.entry(strategy.clone()).or_default();
            sums.add(con_id, holding, currency);
        }
    }
}

impl From<BTreeMap<ConId, Line>> for Lines {
    fn from(mut by_instrument: BTreeMap<ConId, Line>) -> Self {
        let mut account = Sums::default();
        let mut strategies = BTreeMap::new();
        for (con_id, line) in &mut by_instrument {
            line.refold();
            add(&mut account, &mut strategies, *con_id, line);
        }
        Self { by_instrument, account, strategies }
    }
}

impl Serialize for Lines {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.by_instrument.serialize(serializer)
    }
}
