//! The desk: decides about intents and broker messages, writes what it decided into records, and
//! applies each record to its own [`State`] at once.
//!
//! `on` answers effects in order. A [`Effect::Send`] or [`Effect::SendModify`] waits until the
//! records before it in the same list are durable; a cancel and every answer inside the process
//! goes at once. What is not in [`State`] belongs to one life of the desk and is safe to lose: the
//! attached strategies, deadlines, absences, what the broker reported as filled.

mod deadlines;
mod denials;
mod intents;
mod reports;
mod rounds;
#[cfg(test)]
mod tests;
mod unsaid;
mod words;

pub use denials::DenialPolicy;
pub use words::{
    Backlog, Context, DeskAnswer, DeskConfig, DeskEvent, Effect, ExDividend, IntentOutcome,
    LiveOrder, NextWake, RefusedSend, Surroundings,
};

use crate::order_state::OrderEvent;
use crate::record::Record;
use crate::state::{Phase, State};
use crate::view::DeskView;
use denials::Denials;
use market::instrument::ConId;
use market::money::{Currency, Money, Price, Quantity};
use market::time::{Date, Now, ProcessTime};
use reports::News;
use risk::gate::Gate;
use std::collections::{BTreeMap, BTreeSet};
use trading::id::{OrderId, PermId, StrategyId};

#[derive(Clone, Copy, Debug)]
struct Retry {
    attempts: u32,
    next: ProcessTime,
}

#[derive(Clone, Copy, Debug)]
struct Absence {
    first: ProcessTime,
    link_generation: u32,
}

/// The desk.
#[derive(Debug)]
pub struct Desk {
    config: DeskConfig,
    gate: Gate,
    state: State,
    /// The desk's own generation, which clearances carry.
    generation: u32,
    link_up: bool,
    link_generation: u32,
    reconciled: bool,
    highest_seen_id: i64,
    attached: BTreeSet<StrategyId>,
    denials: Denials,
    cancels: BTreeMap<OrderId, Retry>,
    absent: BTreeMap<OrderId, Absence>,
    sent_at: BTreeMap<OrderId, ProcessTime>,
    reported: BTreeMap<OrderId, Quantity>,
    mismatched: BTreeMap<OrderId, ProcessTime>,
    uneven: BTreeMap<OrderId, ProcessTime>,
    /// Differences of cash, and since when they stand still.
    cash_since: BTreeMap<Currency, (Money, ProcessTime)>,
    dead_perms: BTreeSet<PermId>,
    reconcile_again: Option<ProcessTime>,
    effects: Vec<Effect>,
    /// A reconciliation is among the effects.
    reconcile_asked: bool,
    changed: bool,
}

impl Desk {
    /// A desk on a folded state, in its life number `generation`. Its first event is
    /// [`DeskEvent::Restarted`].
    #[must_use]
    pub fn from_state(config: DeskConfig, gate: Gate, state: State, generation: u32) -> Self {
        let denials = Denials::new(config.denials);
        Self {
            config,
            gate,
            state,
            generation,
            link_up: false,
            link_generation: 0,
            reconciled: false,
            highest_seen_id: 0,
            attached: BTreeSet::new(),
            denials,
            cancels: BTreeMap::new(),
            absent: BTreeMap::new(),
            sent_at: BTreeMap::new(),
            reported: BTreeMap::new(),
            mismatched: BTreeMap::new(),
            uneven: BTreeMap::new(),
            cash_since: BTreeMap::new(),
            dead_perms: BTreeSet::new(),
            reconcile_again: None,
            effects: Vec::new(),
            reconcile_asked: false,
            changed: false,
        }
    }

    /// The durable state.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The link is up and reconciled: intents may become orders.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let reconciled = self.reconciled || mutation::active("ready_without_reconcile");
        self.link_up && reconciled
    }

    /// Takes one event and answers what is to be done.
    pub fn on(&mut self, event: DeskEvent, context: &Context<'_>, now: Now) -> Vec<Effect> {
        match event {
            DeskEvent::Restarted => self.on_restarted(context, now),
            DeskEvent::Intent(intent) => self.on_intent(&intent, context, now),
            DeskEvent::Attach { strategy } => self.on_attach(strategy),
            DeskEvent::Detach { strategy } => {
                self.attached.remove(&strategy);
            }
            DeskEvent::Report(report) => self.on_report(*report, context, now),
            DeskEvent::Link { up, generation, next_valid_id } => {
                self.on_link(up, generation, next_valid_id, context, now)
            }
            DeskEvent::SendOutcome { order_id, result } => {
                self.on_send_outcome(order_id, result, context, now);
            }
            DeskEvent::Reconciled(result) => self.on_reconciled(*result, context, now),
            DeskEvent::Day(day) => self.on_day(day, context),
            DeskEvent::Halt { reason } | DeskEvent::CancelAll { reason } => {
                self.cancel_where(&reason, context, now, |_| true);
            }
            DeskEvent::CancelStrategy { strategy, reason } => {
                self.cancel_where(&reason, context, now, |owner| *owner == strategy);
            }
            DeskEvent::Wake => {}
        }
        self.on_deadlines(context, now);
        if std::mem::take(&mut self.changed) {
            let view = DeskView::of(&self.state, self.is_ready(), &self.marks(context));
            self.effects.push(Effect::Publish(Box::new(view)));
        }
        self.reconcile_asked = false;
        std::mem::take(&mut self.effects)
    }

    /// Writes a record: applied here at once, and handed to the shell.
    fn record(&mut self, record: Record) {
        self.state.apply(&record);
        self.changed = true;
        self.effects.push(Effect::Record(Box::new(record)));
    }

    fn alarm(&mut self, sentence: String) {
        self.effects.push(Effect::Alarm(sentence));
    }

    fn request_reconcile(&mut self, reason: &str) {
        if !std::mem::replace(&mut self.reconcile_asked, true) {
            self.effects.push(Effect::RequestReconcile(reason.to_owned()));
        }
    }

    fn tell(&mut self, strategy: &StrategyId, answer: DeskAnswer) {
        self.effects.push(Effect::ToStrategy { strategy: strategy.clone(), answer });
    }

    fn tell_outcome(&mut self, order_id: OrderId, outcome: &IntentOutcome) {
        let Some(entry) = self.state.orders.get(&order_id) else {
            return;
        };
        let strategy = entry.strategy().clone();
        let keys = BTreeSet::from([entry.order.key.clone(), entry.serves.clone()]);
        for key in keys {
            let outcome = outcome.clone();
            self.tell(&strategy, DeskAnswer::Outcome { key, outcome });
        }
    }

    fn on_restarted(&mut self, context: &Context<'_>, now: Now) {
        let orders: Vec<OrderId> = self.state.live().map(|(order_id, _)| *order_id).collect();
        for order_id in orders {
            let news = News::because("restarted without an answer");
            self.happen(order_id, OrderEvent::Restarted, news, context, now);
        }
        self.request_reconcile("restart");
    }

    fn on_attach(&mut self, strategy: StrategyId) {
        let live = self.state.live().map(|(_, entry)| entry);
        let live = live
            .filter(|entry| *entry.strategy() == strategy)
            .map(|entry| LiveOrder {
                key: entry.serves.clone(),
                target: entry.target.clone(),
                remaining: entry.remaining(),
                unknown: entry.phase == Phase::Unknown,
            })
            .collect();
        let burnt = (self.config.epoch, strategy.clone());
        let highest = self.state.burnt.get(&burnt).copied();
        let answer = DeskAnswer::Attached {
            positions: self.state.ledger.strategy_positions(&strategy),
            live,
            next_seq: highest.unwrap_or_default().saturating_add(1),
        };
        self.tell(&strategy, answer);
        self.attached.insert(strategy);
    }

    fn on_link(
        &mut self,
        up: bool,
        generation: u32,
        next_valid_id: Option<i64>,
        context: &Context<'_>,
        now: Now,
    ) {
        self.highest_seen_id =
            self.highest_seen_id.max(next_valid_id.unwrap_or_default().saturating_sub(1));
        if self.link_up && up && generation == self.link_generation {
            return;
        }
        let was_up = self.link_up;
        self.link_up = up;
        self.reconciled = false;
        self.absent.clear();
        self.changed = true;
        if was_up || generation != self.link_generation {
            let orders: Vec<OrderId> = self.state.live().map(|(order_id, _)| *order_id).collect();
            for order_id in orders {
                let news = News::because("link lost before an answer");
                self.happen(order_id, OrderEvent::LinkLost, news, context, now);
            }
        }
        self.link_generation = generation;
        if up {
            self.request_reconcile("link up");
        }
    }

    fn on_day(&mut self, day: Date, context: &Context<'_>) {
        if self.state.day.day != Some(day) {
            let marks = self.marks(context);
            let day = Some(day);
            self.record(Record::Marked { marks, day });
        }
    }

    fn cancel_where(
        &mut self,
        reason: &str,
        context: &Context<'_>,
        now: Now,
        wanted: impl Fn(&StrategyId) -> bool,
    ) {
        let live = self.state.live();
        let orders: Vec<OrderId> = live
            .filter(|(_, entry)| wanted(entry.strategy()))
            .map(|(order_id, _)| *order_id)
            .collect();
        for order_id in orders {
            let news = News::because(reason);
            self.happen(order_id, OrderEvent::CancelAsked, news, context, now);
        }
    }

    /// The mid of every instrument held, where there is one.
    fn marks(&self, context: &Context<'_>) -> BTreeMap<ConId, Price> {
        let mut marks = BTreeMap::new();
        for con_id in self.state.ledger.positions().keys().copied() {
            let symbol = context.catalog.symbol(con_id).ok();
            let view = symbol.and_then(|symbol| context.markets.get(symbol));
            let line = view.and_then(|view| view.line(con_id));
            if let Some(mid) = line.and_then(|line| line.quote().mid()) {
                marks.insert(con_id, mid);
            }
        }
        marks
    }
}
