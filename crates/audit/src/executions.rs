//! The fold of executions and lifecycle events: which count, and the positions that follow.
//!
//! An execution's id ends in its revision; all revisions of one execution share what stands before.
//! The highest revision counts; a bust removes every revision up to its own. Sums are 128 bit, so
//! that no journal can overflow them. Cash is added up elsewhere (I4).

use crate::fact::{Delivery, Fact, Fill, LifecycleEvent, LifecycleKind};
use market::instrument::ConId;
use market::money::Currency;
use std::collections::{BTreeMap, BTreeSet};

/// All that is known of one execution.
#[derive(Clone, Debug, Default)]
pub struct Execution {
    fill: Option<Fill>,
    strategy: Option<String>,
    busted: Option<u32>,
    /// By revision: the highest counts.
    fees: BTreeMap<u32, (Currency, i64)>,
}

impl Execution {
    /// The revision that counts, if any.
    #[must_use]
    pub fn booked(&self) -> Option<&Fill> {
        let fill = self.fill.as_ref()?;
        let standing = self.busted.is_none_or(|busted| revision(&fill.exec_id) > busted);
        standing.then_some(fill)
    }

    /// What it cost, if it counts and the fee is known.
    #[must_use]
    pub fn fee(&self) -> Option<(Currency, i64)> {
        self.booked()?;
        self.fees.last_key_value().map(|(_, fee)| *fee)
    }

    /// Any revision of it was recorded.
    #[must_use]
    pub const fn known(&self) -> Option<&Fill> {
        self.fill.as_ref()
    }
}

/// What all revisions of an execution share.
#[must_use]
pub fn stem(exec_id: &str) -> &str {
    exec_id.rsplit_once('.').map_or(exec_id, |(stem, _)| stem)
}

/// Which revision an id is; 0 where it has none.
#[must_use]
pub fn revision(exec_id: &str) -> u32 {
    let last = exec_id.rsplit_once('.').map(|(_, last)| last);
    last.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// The signed quantity of a fill.
#[must_use]
pub fn signed(fill: &Fill) -> i128 {
    i128::from(fill.side.sign()) * i128::from(fill.quantity)
}

/// All executions and lifecycle events.
#[derive(Clone, Debug, Default)]
pub struct Executions {
    by_stem: BTreeMap<String, Execution>,
    lifecycle: BTreeMap<String, LifecycleEvent>,
    positions: BTreeMap<ConId, i128>,
    strategies: BTreeMap<(String, ConId), i128>,
    /// Without lifecycle events: what a strategy's own executions add up to.
    traded: BTreeMap<(String, ConId), i128>,
    filled: BTreeMap<(String, ConId), i128>,
}

impl Executions {
    /// The execution that an id belongs to.
    #[must_use]
    pub fn of(&self, exec_id: &str) -> Option<&Execution> {
        self.by_stem.get(stem(exec_id))
    }

    /// All executions.
    pub fn all(&self) -> impl Iterator<Item = &Execution> {
        self.by_stem.values()
    }

    /// This event is booked.
    #[must_use]
    pub fn has_lifecycle(&self, id: &str) -> bool {
        self.lifecycle.contains_key(id)
    }

    /// All lifecycle events, by their identity.
    pub fn lifecycle(&self) -> impl Iterator<Item = &LifecycleEvent> {
        self.lifecycle.values()
    }

    /// The account's position in one instrument.
    #[must_use]
    pub fn position(&self, con_id: ConId) -> i128 {
        self.positions.get(&con_id).copied().unwrap_or(0)
    }

    /// Every instrument that ever moved.
    pub fn instruments(&self) -> impl Iterator<Item = ConId> + '_ {
        self.positions.keys().copied()
    }

    /// A strategy's position in one instrument.
    #[must_use]
    pub fn strategy_position(&self, strategy: &str, con_id: ConId) -> i128 {
        self.strategies.get(&(strategy.to_owned(), con_id)).copied().unwrap_or(0)
    }

    /// What the executions of each strategy add up to, without lifecycle events.
    #[must_use]
    pub const fn traded(&self) -> &BTreeMap<(String, ConId), i128> {
        &self.traded
    }

    /// Signed contracts that an order filled in one instrument.
    #[must_use]
    pub fn filled(&self, reference: &str, con_id: ConId) -> i128 {
        self.filled.get(&(reference.to_owned(), con_id)).copied().unwrap_or(0)
    }

    /// Takes in a record, after the invariants that compare it with what was before.
    pub fn apply(&mut self, fact: &Fact) {
        match fact {
            Fact::Filled { fill, strategy, .. } | Fact::Corrected { fill, strategy, .. } => {
                self.change(&fill.exec_id, |execution| {
                    let known = execution.fill.as_ref().map(|known| revision(&known.exec_id));
                    if known.is_none_or(|known| known < revision(&fill.exec_id)) {
                        execution.fill = Some(fill.clone());
                        if strategy.is_some() {
                            execution.strategy.clone_from(strategy);
                        }
                    }
                });
            }
            Fact::Busted { exec_id } => self.change(exec_id, |execution| {
                execution.busted = execution.busted.max(Some(revision(exec_id)));
            }),
            Fact::Fee { exec_id, amount, currency } => {
                let execution = self.by_stem.entry(stem(exec_id).to_owned()).or_default();
                execution.fees.entry(revision(exec_id)).or_insert((*currency, *amount));
            }
            Fact::Lifecycle { event, shares, .. } => self.book_lifecycle(event, shares),
            _ => {}
        }
    }

    fn change(&mut self, exec_id: &str, change: impl FnOnce(&mut Execution)) {
        let execution = self.by_stem.entry(stem(exec_id).to_owned()).or_default();
        let before = execution.booked().cloned().map(|fill| (fill, execution.strategy.clone()));
        change(execution);
        let after = execution.booked().cloned().map(|fill| (fill, execution.strategy.clone()));
        if before == after {
            return;
        }
        if let Some((fill, strategy)) = before {
            self.move_by(&fill, strategy, -signed(&fill));
        }
        if let Some((fill, strategy)) = after {
            self.move_by(&fill, strategy, signed(&fill));
        }
    }

    fn move_by(&mut self, fill: &Fill, strategy: Option<String>, quantity: i128) {
        *self.positions.entry(fill.con_id).or_default() += quantity;
        *self.filled.entry((fill.reference.clone(), fill.con_id)).or_default() += quantity;
        if let Some(strategy) = strategy {
            let key = (strategy, fill.con_id);
            *self.traded.entry(key.clone()).or_default() += quantity;
            *self.strategies.entry(key).or_default() += quantity;
        }
    }

    fn book_lifecycle(&mut self, event: &LifecycleEvent, shares: &[(String, ConId, i64)]) {
        if self.has_lifecycle(&event.id) {
            return;
        }
        self.lifecycle.insert(event.id.clone(), event.clone());
        for (con_id, quantity) in position_changes(&event.kind) {
            *self.positions.entry(con_id).or_default() += quantity;
        }
        for (strategy, con_id, quantity) in shares {
            let key = (strategy.clone(), *con_id);
            *self.strategies.entry(key).or_default() += i128::from(*quantity);
        }
    }

    /// Every strategy with the instruments that it ever moved.
    #[must_use]
    pub fn strategy_instruments(&self) -> BTreeSet<(String, ConId)> {
        self.strategies.keys().cloned().collect()
    }
}

/// The signed changes of the account's position that an event makes.
#[must_use]
pub fn position_changes(kind: &LifecycleKind) -> Vec<(ConId, i128)> {
    let ended = |con_id: ConId, quantity: i64| (con_id, -i128::from(quantity));
    let delivered = |delivery: Option<Delivery>| {
        delivery.map(|delivery| (delivery.con_id, i128::from(delivery.quantity)))
    };
    match *kind {
        LifecycleKind::Expired { con_id, quantity }
        | LifecycleKind::CashSettled { con_id, quantity, .. } => vec![ended(con_id, quantity)],
        LifecycleKind::Exercised { con_id, quantity, delivery }
        | LifecycleKind::Assigned { con_id, quantity, delivery } => {
            let mut changes = vec![ended(con_id, quantity)];
            changes.extend(delivered(delivery));
            changes
        }
        LifecycleKind::DeliverableChanged { con_id, before, after } => {
            vec![(con_id, i128::from(after) - i128::from(before))]
        }
        LifecycleKind::Dividend { .. }
        | LifecycleKind::Variation { .. }
        | LifecycleKind::Cash { .. } => Vec::new(),
    }
}
