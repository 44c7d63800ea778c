//! The ledger: positions, cost, cash, fees and results per account and per strategy, exactly.
//!
//! Every execution books once, by its id; a correction replaces lower revisions of the same stem
//! and a bust removes revisions up to its own, whichever arrives first. Movements of an instrument
//! are kept in the order of broker time and id, and an instrument is folded again when one arrives
//! late: so the books are a function of the *set* of facts, not of the order in which they came.
//! Fees join by execution id whenever they come and never hold a fill back. Not here: marks (the
//! caller's), limits (risk), what the broker says it holds (desk).

mod holding;
mod lifecycle;
mod line;
mod lines;
#[cfg(test)]
mod tests;

pub use holding::{Change, Holding, Terms};
use lifecycle::changes_of;
use line::{Movement, MovementKey};
use lines::{Lines, Sums};

use crate::id::{ExecId, StrategyId};
use crate::lifecycle::{LifecycleEvent, LifecycleId, LifecycleKind};
use crate::report::Fill;
use market::instrument::ConId;
use market::money::{Currency, Money, Price, Quantity};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How a strategy takes part in the change of position of a lifecycle event.
pub type Shares = Vec<(StrategyId, ConId, Quantity)>;

/// What an execution is to this ledger, before it is booked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Not known: books.
    New,
    /// A higher revision of one that is booked: replaces it.
    Corrects(ExecId),
    /// The same id again.
    Duplicate,
    /// A lower revision of one that is known.
    Superseded,
    /// Not known, but a bust of it came first: it is recorded and books nothing.
    AlreadyBusted,
}

/// All that is known of one execution, over its revisions.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Execution {
    fill: Option<Fill>,
    strategy: Option<StrategyId>,
    busted_revision: Option<u32>,
    /// By revision; the highest counts.
    fees: BTreeMap<u32, (Money, Currency)>,
}

impl Execution {
    fn booked(&self) -> Option<&Fill> {
        let fill = self.fill.as_ref()?;
        let busted = self.busted_revision;
        busted.is_none_or(|revision| fill.exec_id.revision() > revision).then_some(fill)
    }

    fn fee(&self) -> Option<(Money, Currency)> {
        self.booked()?;
        self.fees.values().next_back().copied()
    }
}

/// The ledger of one account.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ledger {
    executions: BTreeMap<String, Execution>,
    lifecycle: BTreeSet<LifecycleId>,
    lines: Lines,
    deposits: BTreeMap<Currency, Money>,
    fees: BTreeMap<Currency, Money>,
    strategy_fees: BTreeMap<StrategyId, BTreeMap<Currency, Money>>,
}

impl Ledger {
    /// What this execution would do.
    #[must_use]
    pub fn judge(&self, exec_id: &ExecId) -> Judgement {
        let Some(execution) = self.executions.get(exec_id.stem()) else {
            return Judgement::New;
        };
        let revision = exec_id.revision();
        match &execution.fill {
            Some(known) if known.exec_id == *exec_id => Judgement::Duplicate,
            Some(known) if known.exec_id.revision() >= revision => Judgement::Superseded,
            Some(known) => Judgement::Corrects(known.exec_id.clone()),
            None if execution.busted_revision.is_some_and(|bust| bust >= revision) => {
                Judgement::AlreadyBusted
            }
            None => Judgement::New,
        }
    }

    /// The execution that is booked under this id's stem.
    #[must_use]
    pub fn booked(&self, exec_id: &ExecId) -> Option<&Fill> {
        self.executions.get(exec_id.stem())?.booked()
    }

    /// Whose the execution of this id's stem is.
    #[must_use]
    pub fn owner(&self, exec_id: &ExecId) -> Option<&StrategyId> {
        self.executions.get(exec_id.stem())?.strategy.as_ref()
    }

    /// A bust of this id (or of a higher revision) is known.
    #[must_use]
    pub fn is_busted(&self, exec_id: &ExecId) -> bool {
        let known = self.executions.get(exec_id.stem());
        let busted = known.and_then(|execution| execution.busted_revision);
        busted.is_some_and(|revision| revision >= exec_id.revision())
    }

    /// The fee of this very id is known.
    #[must_use]
    pub fn has_fee(&self, exec_id: &ExecId) -> bool {
        let known = self.executions.get(exec_id.stem());
        known.is_some_and(|execution| execution.fees.contains_key(&exec_id.revision()))
    }

    /// This event is booked.
    #[must_use]
    pub fn has_lifecycle(&self, id: &LifecycleId) -> bool {
        self.lifecycle.contains(id)
    }

    /// Learns the terms of an instrument; the first ones hold (a corporate action makes a new one).
    pub fn learn(&mut self, con_id: ConId, terms: Terms) {
        if self.terms(con_id).is_none() {
            self.lines.change(con_id, |line| line.learn(terms));
        }
    }

    /// Books an execution or a correction of one; the same or a lower revision again does nothing.
    pub fn fill(&mut self, fill: &Fill, strategy: Option<&StrategyId>) {
        self.update(&fill.exec_id, |execution| {
            let revision = fill.exec_id.revision();
            let known = execution.fill.as_ref();
            if known.is_none_or(|known| known.exec_id.revision() < revision) {
                execution.fill = Some(fill.clone());
                execution.strategy = strategy.cloned().or(execution.strategy.take());
            }
        });
    }

    /// Takes an execution back, also before it is known.
    pub fn bust(&mut self, exec_id: &ExecId) {
        self.update(exec_id, |execution| {
            execution.busted_revision = execution.busted_revision.max(Some(exec_id.revision()));
        });
    }

    /// Books what an execution cost, also before it is known; the first fee of an id holds.
    pub fn fee(&mut self, exec_id: &ExecId, amount: Money, currency: Currency) {
        self.update(exec_id, |execution| {
            let revision = exec_id.revision();
            execution.fees.entry(revision).or_insert((amount, currency));
        });
    }

    fn update(&mut self, exec_id: &ExecId, change: impl FnOnce(&mut Execution)) {
        let execution = self.executions.entry(exec_id.stem().to_owned()).or_default();
        let before = (execution.booked().cloned(), execution.fee());
        let owner_before = execution.strategy.clone();
        change(execution);
        let after = (execution.booked().cloned(), execution.fee());
        let owner = execution.strategy.clone();
        if before.0 != after.0 {
            if let Some(fill) = before.0 {
                self.lines.change(fill.con_id, |line| line.remove(&movement_key(&fill)));
            }
            if let Some(fill) = after.0 {
                let change = Change::Trade {
                    quantity: Quantity(fill.side.sign() * fill.quantity.0),
                    price: fill.price,
                };
                let shares = owner.iter().map(|id| (id.clone(), change.quantity()));
                let movement = Movement { change, shares: shares.collect() };
                let key = movement_key(&fill);
                self.lines.change(fill.con_id, |line| line.insert(key, movement));
            }
        }
        if let Some((amount, currency)) = before.1 {
            self.add_fee(owner_before.as_ref(), -amount, currency);
        }
        if let Some((amount, currency)) = after.1 {
            self.add_fee(owner.as_ref(), amount, currency);
        }
    }

    fn add_fee(&mut self, owner: Option<&StrategyId>, amount: Money, currency: Currency) {
        *self.fees.entry(currency).or_default() += amount;
        if let Some(strategy) = owner {
            let own = self.strategy_fees.entry(strategy.clone()).or_default();
            *own.entry(currency).or_default() += amount;
        }
    }

    /// Books a lifecycle event once; `shares` says how the strategies take part in it.
    pub fn lifecycle(&mut self, event: &LifecycleEvent, shares: &Shares) {
        if !self.lifecycle.insert(event.id.clone()) {
            return;
        }
        if let LifecycleKind::Cash { amount } = event.kind {
            *self.deposits.entry(event.currency).or_default() += amount;
        }
        for (con_id, change) in changes_of(&event.kind) {
            let own = shares.iter().filter(|share| share.1 == con_id);
            let movement =
                Movement { change, shares: own.map(|share| (share.0.clone(), share.2)).collect() };
            // The tilde sorts behind every execution id of the same instant: an expiry ends what
            // was traded until then.
            let key = (event.time, format!("~{}", event.id.0));
            self.lines.change(con_id, |line| line.insert(key, movement));
        }
    }

    /// Executions that were heard of, busted ones included.
    #[must_use]
    pub fn executions_booked(&self) -> usize {
        self.executions.len()
    }

    /// The terms of an instrument, where they were learned.
    #[must_use]
    pub fn terms(&self, con_id: ConId) -> Option<&Terms> {
        self.lines.get(con_id)?.terms.as_ref()
    }

    /// The account's position in one instrument.
    #[must_use]
    pub fn position(&self, con_id: ConId) -> Quantity {
        self.lines.account.positions.get(&con_id).copied().unwrap_or_default()
    }

    /// Every position of the account that is not flat.
    #[must_use]
    pub const fn positions(&self) -> &BTreeMap<ConId, Quantity> {
        &self.lines.account.positions
    }

    /// A strategy's position in one instrument.
    #[must_use]
    pub fn strategy_position(&self, strategy: &StrategyId, con_id: ConId) -> Quantity {
        let position = self.of(strategy).and_then(|sums| sums.positions.get(&con_id));
        position.copied().unwrap_or_default()
    }

    /// Every position of a strategy that is not flat.
    #[must_use]
    pub fn strategy_positions(&self, strategy: &StrategyId) -> BTreeMap<ConId, Quantity> {
        self.of(strategy).map(|sums| sums.positions.clone()).unwrap_or_default()
    }

    /// Every strategy that ever traded.
    #[must_use]
    pub fn strategies(&self) -> BTreeSet<StrategyId> {
        self.lines.strategies.keys().cloned().collect()
    }

    fn of(&self, strategy: &StrategyId) -> Option<&Sums> {
        self.lines.strategies.get(strategy)
    }

    /// What a strategy holds, flat or not, with the instrument's terms if they are known.
    pub fn strategy_holdings<'a>(
        &'a self,
        strategy: &'a StrategyId,
    ) -> impl Iterator<Item = (ConId, &'a Holding, Option<&'a Terms>)> {
        let traded = self.of(strategy).into_iter().flat_map(|sums| &sums.traded);
        traded.filter_map(move |con_id| {
            let line = self.lines.get(*con_id)?;
            Some((*con_id, line.strategies.get(strategy)?, line.terms.as_ref()))
        })
    }

    /// What the account holds, flat or not, with the instrument's terms if they are known.
    pub fn holdings(&self) -> impl Iterator<Item = (ConId, &Holding, Option<&Terms>)> {
        self.lines.iter().map(|(con_id, line)| (*con_id, &line.account, line.terms.as_ref()))
    }

    /// Cash per currency: deposits, trades, events, less fees.
    #[must_use]
    pub fn cash(&self) -> BTreeMap<Currency, Money> {
        let mut cash = self.deposits.clone();
        for (currency, total) in &self.lines.account.totals {
            *cash.entry(*currency).or_default() += total.cash;
        }
        for (currency, paid) in &self.fees {
            *cash.entry(*currency).or_default() -= *paid;
        }
        cash
    }

    /// Cash that a strategy's trading brought per currency, less its fees.
    #[must_use]
    pub fn strategy_cash(&self, strategy: &StrategyId) -> BTreeMap<Currency, Money> {
        let totals = self.of(strategy).into_iter().flat_map(|sums| &sums.totals);
        let mut cash: BTreeMap<Currency, Money> =
            totals.map(|(currency, total)| (*currency, total.cash)).collect();
        for (currency, paid) in self.strategy_fees(strategy) {
            *cash.entry(currency).or_default() -= paid;
        }
        cash
    }

    /// Fees paid per currency.
    #[must_use]
    pub const fn fees(&self) -> &BTreeMap<Currency, Money> {
        &self.fees
    }

    /// Fees that a strategy's executions cost per currency.
    #[must_use]
    pub fn strategy_fees(&self, strategy: &StrategyId) -> BTreeMap<Currency, Money> {
        self.strategy_fees.get(strategy).cloned().unwrap_or_default()
    }

    /// Result of what the account closed per currency, before fees.
    #[must_use]
    pub fn realised(&self) -> BTreeMap<Currency, Money> {
        let totals = self.lines.account.totals.iter();
        totals.map(|(currency, total)| (*currency, total.realised)).collect()
    }

    /// Result of what a strategy closed per currency, before fees.
    #[must_use]
    pub fn strategy_realised(&self, strategy: &StrategyId) -> BTreeMap<Currency, Money> {
        let totals = self.of(strategy).into_iter().flat_map(|sums| &sums.totals);
        totals.map(|(currency, total)| (*currency, total.realised)).collect()
    }

    /// Result of the open positions at `marks` per currency; `None` when a position has no mark or
    /// no terms.
    #[must_use]
    pub fn unrealised(&self, marks: &BTreeMap<ConId, Price>) -> Option<BTreeMap<Currency, Money>> {
        let mut open: BTreeMap<Currency, Money> = BTreeMap::new();
        for con_id in &self.lines.account.open {
            let line = self.lines.get(*con_id)?;
            let holding = &line.account;
            let terms = line.terms.as_ref()?;
            let mark = match marks.get(con_id) {
                Some(mark) => *mark,
                None if holding.quantity.is_zero() => Price::ZERO,
                None => return None,
            };
            let result = holding.unrealised(mark, terms);
            *open.entry(terms.currency).or_default() += result;
        }
        Some(open)
    }
}

fn movement_key(fill: &Fill) -> MovementKey {
    (fill.time, fill.exec_id.stem().to_owned())
}
