//! The desk: decides about intents and broker messages, writes what it decided into records, and
//! applies each record to its own [`State`] at once.
//!
//! `on` answers effects in order. A [`Effect::Send`] or [`Effect::SendModify`] waits until the
//! records before it in the same list are durable; a cancel and every answer inside the process goes
//! at once. What is not in [`State`] belongs to one life of the desk and is safe to lose: the
//! attached strategies, deadlines, absences, what the broker reported as filled.

mod denials;
mod intents;
mod reports;
mod rounds;
#[cfg(test)]
mod tests;

pub use denials::DenialPolicy;

use crate::order_state::OrderEvent;
use crate::reconcile::RoundResult;
use crate::record::Record;
use crate::state::{Phase, State};
use crate::view::DeskView;
use denials::Denials;
use market::instrument::{Catalog, ConId};
use market::money::{Money, Price, Quantity};
use market::time::{Date, Now, ProcessTime, Timestamp};
use reports::News;
use risk::cleared::Cleared;
use risk::gate::Gate;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use trading::approval::Approval;
use trading::denial::Denial;
use trading::id::{AccountId, Epoch, InstallId, IntentKey, OrderId, PermId, StrategyId};
use trading::intent::{Intent, Target};
use trading::order::{Order, OrderHash, TimeInForce};
use trading::report::{EndState, Fill, Report};
use trading::trading_state::TradingStates;
use valuation::view::Markets;

/// What the desk is told about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeskConfig {
    /// The installation; other installations' references are external.
    pub install: InstallId,
    /// The process life: intents of another are refused.
    pub epoch: Epoch,
    /// The account.
    pub account: AccountId,
    /// How long orders work.
    pub time_in_force: TimeInForce,
    /// The least time between two rounds that prove an order absent.
    pub settle: Duration,
    /// How long filled and the sum of executions, or a combo's legs, may differ.
    pub mismatch: Duration,
    /// How long a leg of a filled combo may be missing.
    pub leg_deadline: Duration,
    /// The first wait before a cancel is asked again; it doubles.
    pub cancel_retry_min: Duration,
    /// The longest wait.
    pub cancel_retry_max: Duration,
    /// How many records may wait to be durable before new intents are denied.
    pub backlog_records_max: usize,
    /// How long the oldest of them may have waited.
    pub backlog_age_max: Duration,
    /// How repeated denials are recorded.
    pub denials: DenialPolicy,
}

impl DeskConfig {
    /// The shipped values.
    #[must_use]
    pub fn new(install: InstallId, epoch: Epoch, account: AccountId) -> Self {
        Self {
            install,
            epoch,
            account,
            time_in_force: TimeInForce::Day,
            settle: Duration::from_secs(10),
            mismatch: Duration::from_secs(2),
            leg_deadline: Duration::from_secs(10),
            cancel_retry_min: Duration::from_secs(2),
            cancel_retry_max: Duration::from_secs(60),
            backlog_records_max: 10_000,
            backlog_age_max: Duration::from_secs(1),
            denials: DenialPolicy::default(),
        }
    }
}

/// What is not yet durable, as the shell counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Backlog {
    /// Records.
    pub records: usize,
    /// How long the oldest has waited.
    pub age: Duration,
}

/// What the desk asks about the world outside its machine. Implementations answer from what they
/// were given, without clocks or I/O.
pub trait Surroundings {
    /// The cognition layer's word on an order.
    fn cognition(&self, order: &Order) -> Result<Approval, Denial>;
    /// The performance layer's word on an order.
    fn performance(&self, order: &Order) -> Result<Approval, Denial>;
    /// Whether the sessions of all legs are open.
    fn session_open(&self, order: &Order, at: Timestamp) -> bool;
    /// When the order's time in force ends by the exchange calendar, for one made at `created`.
    fn time_in_force_end(&self, order: &Order, created: Timestamp) -> Option<Timestamp>;
}

/// The world as it is at one event.
pub struct Context<'a> {
    /// The views of all products.
    pub markets: &'a Markets,
    /// All instruments.
    pub catalog: &'a Catalog,
    /// The trading states.
    pub states: &'a TradingStates,
    /// Margin in use, by the risk book.
    pub margin_used: Money,
    /// What is not yet durable.
    pub backlog: Backlog,
    /// Calendars and the other two layers.
    pub surroundings: &'a dyn Surroundings,
}

/// Why the session did not write an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedSend {
    /// In words.
    pub reason: String,
    /// A byte of it may have left.
    pub may_have_left: bool,
}

/// What happens to the desk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeskEvent {
    /// The desk begins this life: once, first.
    Restarted,
    /// A strategy wants something.
    Intent(Box<Intent>),
    /// A strategy starts and asks where it stands.
    Attach {
        /// Which.
        strategy: StrategyId,
    },
    /// A strategy is gone; it must attach again.
    Detach {
        /// Which.
        strategy: StrategyId,
    },
    /// The broker said something.
    Report(Box<Report>),
    /// The broker link changed.
    Link {
        /// The broker answers (whether the desk may trade is decided by reconciliation).
        up: bool,
        /// The connection's generation.
        generation: u32,
        /// The broker's next valid order number, when it has said one.
        next_valid_id: Option<i64>,
    },
    /// What became of a send.
    SendOutcome {
        /// The order.
        order_id: OrderId,
        /// The hash of what was written, or why nothing (or perhaps nothing) was.
        result: Result<OrderHash, RefusedSend>,
    },
    /// A reconciliation ended.
    Reconciled(Box<RoundResult>),
    /// An exchange day began.
    Day(Date),
    /// Every own working order is canceled: the kill switch.
    Halt {
        /// Why.
        reason: String,
    },
    /// Every own working order is canceled.
    CancelAll {
        /// Why.
        reason: String,
    },
    /// Every own working order of one strategy is canceled (quarantine).
    CancelStrategy {
        /// Whose.
        strategy: StrategyId,
        /// Why.
        reason: String,
    },
    /// A deadline of [`Desk::next_wake`] was reached.
    Wake,
}

/// A live order, as its strategy is told of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveOrder {
    /// The intent that it serves.
    pub key: IntentKey,
    /// What that wants.
    pub target: Target,
    /// Units that may still fill.
    pub remaining: Quantity,
    /// Its fate is not known.
    pub unknown: bool,
}

/// What became of an intent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IntentOutcome {
    /// It became (or changed) this order.
    Accepted {
        /// Which.
        order_id: OrderId,
    },
    /// Nothing to do: the target is served by what is held and working.
    Satisfied,
    /// Denied.
    Denied(Denial),
    /// Its order ended.
    Ended {
        /// How.
        end: EndState,
        /// Units filled.
        filled: Quantity,
    },
    /// Its order was proven absent.
    Abandoned,
}

/// What the desk tells a strategy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeskAnswer {
    /// Where it stands; from here on it may send intents.
    Attached {
        /// Its positions.
        positions: BTreeMap<ConId, Quantity>,
        /// Its live and Unknown orders.
        live: Vec<LiveOrder>,
        /// The first number for its keys in this epoch.
        next_seq: u32,
    },
    /// What became of an intent.
    Outcome {
        /// Which.
        key: IntentKey,
        /// What.
        outcome: IntentOutcome,
    },
    /// An execution of one of its orders.
    Filled {
        /// It.
        fill: Box<Fill>,
    },
    /// Its positions after something other than a plain fill.
    PositionsChanged(BTreeMap<ConId, Quantity>),
}

/// What the shell carries out, in order.
#[derive(Debug)]
pub enum Effect {
    /// Append to the journal.
    Record(Box<Record>),
    /// Send once all records before it in this list are durable.
    Send(Box<Cleared<Order>>),
    /// Send a changed order under the same number, with the same wait.
    SendModify(Box<Cleared<Order>>),
    /// Cancel at once.
    Cancel {
        /// Which.
        order_id: OrderId,
    },
    /// Tell a strategy.
    ToStrategy {
        /// Whom.
        strategy: StrategyId,
        /// What.
        answer: DeskAnswer,
    },
    /// The desk's picture changed.
    Publish(Box<DeskView>),
    /// Ask the broker where things stand.
    RequestReconcile(String),
    /// Tell a person.
    Alarm(String),
}

/// The next deadlines, each with its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct NextWake {
    /// In market time.
    pub market: Option<(Timestamp, &'static str)>,
    /// In process time.
    pub process: Option<(ProcessTime, &'static str)>,
}

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
    dead_perms: BTreeSet<PermId>,
    reconcile_again: Option<ProcessTime>,
    effects: Vec<Effect>,
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
            dead_perms: BTreeSet::new(),
            reconcile_again: None,
            effects: Vec::new(),
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
    pub const fn is_ready(&self) -> bool {
        self.link_up && self.reconciled
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
            DeskEvent::Link {
                up,
                generation,
                next_valid_id,
            } => self.on_link(up, generation, next_valid_id, context, now),
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
        let asked = |effect: &Effect| matches!(effect, Effect::RequestReconcile(_));
        if !self.effects.iter().any(asked) {
            self.effects.push(Effect::RequestReconcile(reason.to_owned()));
        }
    }

    fn tell(&mut self, strategy: &StrategyId, answer: DeskAnswer) {
        self.effects.push(Effect::ToStrategy {
            strategy: strategy.clone(),
            answer,
        });
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
        self.highest_seen_id = self
            .highest_seen_id
            .max(next_valid_id.unwrap_or_default().saturating_sub(1));
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
        for (con_id, holding, _) in self.state.ledger.holdings() {
            if holding.quantity.is_zero() {
                continue;
            }
            let symbol = context.catalog.symbol(con_id).ok();
            let view = symbol.and_then(|symbol| context.markets.get(symbol));
            let line = view.and_then(|view| view.line(con_id));
            if let Some(mid) = line.and_then(|line| line.quote().mid()) {
                marks.insert(con_id, mid);
            }
        }
        marks
    }

    fn on_deadlines(&mut self, context: &Context<'_>, now: Now) {
        for record in self.denials.flush(now.process) {
            self.record(record);
        }
        let live: Vec<(OrderId, bool, bool)> = self
            .state
            .live()
            .map(|(order_id, entry)| {
                let expired = entry.order.valid_until <= now.market;
                (*order_id, expired, entry.cancel_asked)
            })
            .collect();
        for (order_id, expired, asked) in live {
            let due = self
                .cancels
                .get(&order_id)
                .is_none_or(|retry| retry.next <= now.process);
            if due && (asked || expired) && self.link_up {
                let news = News::because("intent expired");
                self.happen(order_id, OrderEvent::CancelAsked, news, context, now);
            }
        }
        let orders = &self.state.orders;
        self.cancels
            .retain(|order_id, _| orders.get(order_id).is_some_and(|entry| entry.is_live()));
        self.sent_at
            .retain(|order_id, _| orders.get(order_id).is_some_and(|entry| entry.is_live()));
        self.watch_mismatches(now);
        self.watch_legs(now);
        let unknown = self.state.live().any(|(_, entry)| entry.phase == Phase::Unknown);
        match self.reconcile_again {
            Some(at) if at <= now.process && self.link_up => {
                self.reconcile_again = None;
                self.request_reconcile("an order's fate is not known");
            }
            None if unknown && self.is_ready() => {
                self.reconcile_again = Some(now.process + self.config.settle);
            }
            _ => {}
        }
    }

    fn watch_mismatches(&mut self, now: Now) {
        let mismatch = self.config.mismatch;
        let mut settled = Vec::new();
        let mut due = false;
        for (order_id, since) in &mut self.mismatched {
            let entry = self.state.orders.get(order_id);
            let reported = self.reported.get(order_id).copied().unwrap_or_default();
            if entry.is_none_or(|entry| entry.filled_units() >= reported) {
                settled.push(*order_id);
            } else if now.process.since(*since) >= mismatch {
                *since = now.process;
                due = true;
            }
        }
        for order_id in settled {
            self.mismatched.remove(&order_id);
            self.reported.remove(&order_id);
        }
        if due {
            self.request_reconcile("filled differs from the sum of executions");
        }
    }

    fn watch_legs(&mut self, now: Now) {
        let uneven: Vec<OrderId> = self
            .state
            .orders
            .iter()
            .filter(|(_, entry)| entry.touched_units() != entry.filled_units().0)
            .map(|(order_id, _)| *order_id)
            .collect();
        self.uneven.retain(|order_id, _| uneven.contains(order_id));
        for order_id in uneven {
            let since = *self.uneven.entry(order_id).or_insert(now.process);
            if now.process.since(since) < self.config.leg_deadline {
                continue;
            }
            let contract = self.state.order(order_id).map(|order| order.contract.clone());
            let legs = contract.map(|contract| contract.legs()).unwrap_or_default();
            for leg in legs {
                if !self.state.restricted.contains_key(&leg.con_id) {
                    let reason = format!("a leg of combo order {order_id} is missing");
                    self.alarm(reason.clone());
                    self.record(Record::ContractRestricted {
                        con_id: leg.con_id,
                        restricted: true,
                        reason,
                    });
                }
            }
        }
    }

    /// When the desk wants to be woken, and why.
    #[must_use]
    pub fn next_wake(&self) -> NextWake {
        let validity = self
            .state
            .live()
            .filter(|(order_id, entry)| {
                !entry.cancel_asked && !self.cancels.contains_key(order_id) && self.link_up
            })
            .map(|(_, entry)| entry.order.valid_until)
            .min();
        let mut process: Vec<(ProcessTime, &'static str)> = Vec::new();
        process.extend(self.denials.next_flush().map(|at| (at, "denials to record")));
        if self.link_up {
            let retries = self.cancels.values().map(|retry| retry.next).min();
            process.extend(retries.map(|at| (at, "cancel to ask again")));
            process.extend(self.reconcile_again.map(|at| (at, "unknown order to resolve")));
        }
        let mismatch = self.mismatched.values().min();
        process.extend(mismatch.map(|at| (*at + self.config.mismatch, "fills to compare")));
        let restricted = |order_id: &OrderId| {
            let order = self.state.order(*order_id);
            let legs = order.map(|order| order.contract.legs()).unwrap_or_default();
            legs.iter().all(|leg| self.state.restricted.contains_key(&leg.con_id))
        };
        let uneven = self.uneven.iter().filter(|(order_id, _)| !restricted(order_id));
        let missing = uneven.map(|(_, since)| *since + self.config.leg_deadline).min();
        process.extend(missing.map(|at| (at, "combo leg to miss")));
        NextWake {
            market: validity.map(|at| (at, "validity of an order")),
            process: process.into_iter().min(),
        }
    }
}
