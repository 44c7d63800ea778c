//! One instrument's movements and what they add up to.
//!
//! Movements stand in the order of broker time and id. Executions of one instant come in any order
//! (brokers stamp whole seconds), so the books before the newest instant are kept aside: a late
//! movement of that instant is folded from there, an older one from the beginning.

use super::holding::{Change, Holding, Terms};
use crate::id::StrategyId;
use market::money::{Money, Quantity};
use market::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where a movement stands: broker time, then id.
pub(super) type MovementKey = (Timestamp, String);

/// One movement of an instrument: for the account, and how the strategies share in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Movement {
    pub(super) change: Change,
    pub(super) shares: Vec<(StrategyId, Quantity)>,
}

/// One instrument's movements and what they add up to.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) terms: Option<Terms>,
    movements: BTreeMap<MovementKey, Movement>,
    pub(super) account: Holding,
    pub(super) strategies: BTreeMap<StrategyId, Holding>,
    /// Follows from the movements, so it is not stored.
    #[serde(skip)]
    before_newest: Settled,
}

/// The books before the movements of the newest instant.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
struct Settled {
    account: Holding,
    strategies: BTreeMap<StrategyId, Holding>,
}

impl Line {
    /// Learns the terms; the first ones hold.
    pub(super) fn learn(&mut self, terms: Terms) {
        if self.terms.is_none() {
            self.terms = Some(terms);
            self.refold();
        }
    }

    pub(super) fn insert(&mut self, key: MovementKey, movement: Movement) {
        let newest = self.movements.last_key_value().map(|(newest, _)| newest);
        match newest {
            Some(newest) if key.0 < newest.0 => {
                self.movements.insert(key, movement);
                self.refold();
            }
            Some(newest) if key <= *newest => {
                let instant = key.0;
                self.movements.insert(key, movement);
                self.account = self.before_newest.account;
                self.strategies.clone_from(&self.before_newest.strategies);
                self.fold_from(instant);
            }
            Some(newest) => {
                if newest.0 < key.0 {
                    self.settle();
                }
                self.apply(&movement);
                self.movements.insert(key, movement);
            }
            None => {
                self.apply(&movement);
                self.movements.insert(key, movement);
            }
        }
    }

    pub(super) fn remove(&mut self, key: &MovementKey) {
        if self.movements.remove(key).is_some() {
            self.refold();
        }
    }

    /// Folds all movements again.
    pub(super) fn refold(&mut self) {
        self.account = Holding::default();
        self.strategies.clear();
        let Some(((newest, _), _)) = self.movements.last_key_value() else {
            self.settle();
            return;
        };
        let newest = *newest;
        let movements = std::mem::take(&mut self.movements);
        for movement in movements.range(..(newest, String::new())) {
            self.apply(movement.1);
        }
        self.movements = movements;
        self.settle();
        self.fold_from(newest);
    }

    fn settle(&mut self) {
        self.before_newest.account = self.account;
        self.before_newest.strategies.clone_from(&self.strategies);
    }

    fn fold_from(&mut self, instant: Timestamp) {
        let movements = std::mem::take(&mut self.movements);
        for movement in movements.range((instant, String::new())..) {
            self.apply(movement.1);
        }
        self.movements = movements;
    }

    fn apply(&mut self, movement: &Movement) {
        let terms = self.terms.as_ref();
        let held = self.account.quantity;
        match movement.change {
            // These have no shares of their own: all who hold it take part by what they hold.
            Change::Carry { mark, .. } => {
                let own = Change::Carry { mark, amount: None };
                for holding in self.strategies.values_mut() {
                    holding.apply(own, terms);
                }
            }
            Change::Income { amount } if !held.is_zero() => {
                for holding in self.strategies.values_mut() {
                    let amount = part_of(amount, holding.quantity, held);
                    holding.apply(Change::Income { amount }, terms);
                }
            }
            Change::Income { .. } => {}
            Change::Trade { .. } | Change::Settle { .. } | Change::Restate { .. } => {
                for (strategy, quantity) in &movement.shares {
                    let own = movement.change.part(*quantity);
                    let holding = self.strategies.entry(strategy.clone()).or_default();
                    holding.apply(own, terms);
                }
            }
        }
        self.account.apply(movement.change, terms);
    }
}

impl Change {
    /// The part of this change that moves `quantity` of its position.
    fn part(self, quantity: Quantity) -> Self {
        match self {
            Self::Trade { price, .. } => Self::Trade { quantity, price },
            Self::Settle { quantity: total, amount } => {
                Self::Settle { quantity, amount: part_of(amount, quantity, total) }
            }
            Self::Restate { .. } => Self::Restate { quantity },
            Self::Carry { .. } | Self::Income { .. } => self,
        }
    }
}

/// `amount` times `part` over `whole`, rounded toward zero to a micro-unit; nothing of nothing.
fn part_of(amount: Money, part: Quantity, whole: Quantity) -> Money {
    if whole.is_zero() {
        return Money::ZERO;
    }
    let micros = i128::from(amount.micros()) * i128::from(part.0) / i128::from(whole.0);
    // A strategy may hold more than the account (another is short): bounded, never wrapped.
    let bounded = micros.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
    Money::from_micros(i64::try_from(bounded).expect("clamped to an i64"))
}
