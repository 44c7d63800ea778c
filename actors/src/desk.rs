//! The desk's role: the shell around the one machine that turns intents into orders.
//!
//! It appends what the machine records, holds each send until its records are durable, and carries
//! everything else out at once.
//!
//! *Restart:* the fold of the journal up to the fence, then reconciled; strategies attach again.
//! *Loses:* intents and reports that were queued; strategies ask again, reconciliation asks again.

use crate::auditor::Audit;
use crate::book_keeper::BookKeeper;
use crate::journal::{JournalPort, Recovering, writer_tag};
use crate::messages::{
    BreakerMessage, CaretakerMessage, DeskMessage, LinkStatus, ReconcilerMessage, RiskMessage,
    SessionMessage, StrategyMessage,
};
use crate::order_steps::announce;
use crate::reconciler::LastReconciliation;
use crate::record_metrics;
use crate::runtime::protocol::ProtocolStep;
use crate::runtime::role::{Context, Role, RoleError};
use crate::runtime::role_ref::RoleRef;
use crate::views::Views;
use ::risk::breaker::BreakerEvent;
use ::risk::breaker::watch::Watch;
use arc_swap::{ArcSwap, ArcSwapOption};
use broker::link::LinkState;
use broker::wire_fence::WireFence;
use desk::desk::{
    Backlog, Context as DeskContext, Desk, DeskAnswer, DeskConfig, DeskEvent, Effect,
    IntentOutcome, NextWake, RefusedSend, Surroundings,
};
use desk::proof::ProofSchedule;
use desk::record::Record;
use desk::view::DeskView;
use market::instrument::Catalog;
use market::money::Money;
use market::time::{Now, ProcessTime, Timestamp};
use risk::cleared::Cleared;
use risk::gate::Gate;
use risk::limits::Limits;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use store::{Seq, WriterTag};
use trading::id::{IntentKey, OrderId, StrategyId};
use trading::order::Order;
use trading::report::EndState;
use trading::trading_state::TradingStates;

/// Messages that are kept while the fold isn't durable yet; beyond it the role gives up.
const EARLY_MAX: usize = 4_096;

/// What the desk needs.
#[derive(Clone)]
pub struct DeskSpec {
    /// The machine's settings; the epoch is the journal's.
    pub config: DeskConfig,
    /// The gate's limits.
    pub limits: Limits,
    /// The kernel's name in evidence.
    pub kernel: String,
    /// Where records go.
    pub journal: JournalPort,
    /// Where state comes from.
    pub keeper: BookKeeper,
    /// The views.
    pub views: Views,
    /// The instruments.
    pub catalog: Arc<ArcSwap<Catalog>>,
    /// The trading states.
    pub states: Arc<ArcSwap<TradingStates>>,
    /// Margin in use, by the risk book.
    pub margin_used: Arc<ArcSwap<Money>>,
    /// Cognition, performance and calendars.
    pub surroundings: Arc<dyn Surroundings + Send + Sync>,
    /// Where the link stands: the session tells only changes.
    pub link: Arc<ArcSwap<LinkStatus>>,
    /// Admits only this incarnation to the wire.
    pub fence: Arc<WireFence>,
    /// Where the desk's picture is published.
    pub view: Arc<ArcSwap<DeskView>>,
    /// Where the last reconciliation is published.
    pub reconciliation: Arc<ArcSwapOption<LastReconciliation>>,
    /// Writes orders.
    pub session: RoleRef<SessionMessage>,
    /// Asks the broker.
    pub reconciler: RoleRef<ReconcilerMessage>,
    /// Follows exposure.
    pub risk: RoleRef<RiskMessage>,
    /// Where answers go.
    pub strategies: BTreeMap<StrategyId, RoleRef<StrategyMessage>>,
    /// Where answers go while their strategy is down: it may be in quarantine.
    pub caretaker: RoleRef<CaretakerMessage>,
    /// Told of the broker's rejections.
    pub breakers: Vec<(Watch, RoleRef<BreakerMessage>)>,
    /// Told, at quiet points, that live and fold are one.
    pub audit: Audit,
    /// Tells a person.
    pub alarm: Arc<dyn Fn(&str) + Send + Sync>,
}

enum Stage {
    /// Until the journal is durable up to the fence.
    Recovering {
        recovering: Recovering,
        early: VecDeque<DeskMessage>,
    },
    Running(Box<Running>),
}

struct Running {
    desk: Desk,
    held: VecDeque<(Seq, Held)>,
    link: Option<LinkStatus>,
    /// When the oldest record that isn't durable was appended.
    behind_since: Option<ProcessTime>,
}

#[derive(Debug)]
enum Held {
    Place(Box<Cleared<Order>>),
    Modify(Box<Cleared<Order>>),
}

/// The role.
pub struct DeskRole {
    spec: DeskSpec,
    tag: WriterTag,
    generation: u32,
    stage: Stage,
    /// The last record of this role.
    last_own: Seq,
    proofs: ProofSchedule,
    market_offset: Now,
}

impl DeskRole {
    /// Shuts older incarnations out and begins to recover.
    pub fn start(spec: &DeskSpec, cx: &mut Context<DeskMessage>) -> Result<Self, RoleError> {
        let tag = writer_tag("desk", cx.generation())?;
        let generation = tag.generation();
        spec.fence.admit_desk(generation);
        let now = cx.now();
        let (recovering, early) = (Recovering::new(now.process), VecDeque::new());
        let stage = Stage::Recovering { recovering, early };
        let last_own = Seq::ZERO;
        let spec = spec.clone();
        let proofs = ProofSchedule::default();
        let mut role = Self { spec, tag, generation, stage, last_own, proofs, market_offset: now };
        role.try_recover(cx)?;
        Ok(role)
    }

    fn try_recover(&mut self, cx: &mut Context<DeskMessage>) -> Result<(), RoleError> {
        let Stage::Recovering { recovering, early } = &mut self.stage else { return Ok(()) };
        let polled = recovering.poll(&self.spec.journal, &self.tag, cx.now().process);
        let Some(fence) = polled.map_err(RoleError::failed)? else { return Ok(()) };
        self.last_own = fence;
        let state =
            self.spec.keeper.at(fence, |books| books.desk.clone()).map_err(RoleError::failed)?;
        let mut config = self.spec.config.clone();
        config.epoch = trading::id::Epoch(self.spec.journal.epoch());
        let gate = Gate::new(self.spec.limits.clone()).with_kernel(&self.spec.kernel);
        let desk = Desk::from_state(config, gate, state, self.generation);
        let early = std::mem::take(early);
        let running = Running { desk, held: VecDeque::new(), link: None, behind_since: None };
        self.stage = Stage::Running(Box::new(running));
        self.run(DeskEvent::Restarted, cx)?;
        // The session may have lived on: it says nothing again, and this incarnation has heard
        // nothing yet. What came meanwhile is newer and follows.
        let link = **self.spec.link.load();
        self.take(DeskMessage::Link(link), cx)?;
        for strategy in self.spec.strategies.values() {
            // One that is down attaches by itself when it starts.
            let _ = strategy.send(StrategyMessage::DeskStarted);
        }
        let _ = self.spec.caretaker.send(CaretakerMessage::DeskStarted);
        let _ = self.spec.reconciler.send(ReconcilerMessage::DeskStarted);
        for message in early {
            self.take(message, cx)?;
        }
        Ok(())
    }

    fn run(&mut self, event: DeskEvent, cx: &mut Context<DeskMessage>) -> Result<(), RoleError> {
        let now = cx.now();
        self.market_offset = now;
        let Stage::Running(running) = &mut self.stage else { return Ok(()) };
        let markets = self.spec.views.markets();
        let (catalog, states) = (self.spec.catalog.load(), self.spec.states.load());
        let margin_used = **self.spec.margin_used.load();
        let records = self.spec.journal.waiting();
        let age = running.behind_since.map_or(Duration::ZERO, |since| now.process.since(since));
        let context = DeskContext {
            markets: &markets,
            catalog: &catalog,
            states: &states,
            margin_used,
            backlog: Backlog { records, age },
            surroundings: &*self.spec.surroundings,
        };
        let effects = running.desk.on(event, &context, now);
        self.carry_out(effects, cx)
    }

    fn carry_out(
        &mut self,
        effects: Vec<Effect>,
        cx: &mut Context<DeskMessage>,
    ) -> Result<(), RoleError> {
        let mut records: Vec<Record> = Vec::new();
        let mut last = Seq::ZERO;
        let mut complete = None;
        for effect in effects {
            if let Effect::Record(record) = effect {
                if let Record::Reconciled { report } = &*record {
                    complete = report.complete.then_some(report.link_generation);
                }
                records.push(*record);
                continue;
            }
            last = self.append(&mut records, cx)?.max(last);
            match effect {
                Effect::Record(_) => {}
                Effect::Send(cleared) => self.hold(last, Held::Place(cleared), cx)?,
                Effect::SendModify(cleared) => self.hold(last, Held::Modify(cleared), cx)?,
                Effect::Cancel { order_id } => {
                    // While the session restarts nothing can be canceled; the desk asks again.
                    let _ = self.spec.session.send(SessionMessage::Cancel(order_id));
                }
                Effect::ToStrategy { strategy, answer } => self.answer(&strategy, answer, cx)?,
                Effect::Publish(view) => {
                    self.spec.view.store(Arc::from(view));
                    let _ = self.spec.risk.send(RiskMessage::Desk);
                }
                Effect::RequestReconcile(reason) => {
                    let _ = self.spec.reconciler.send(ReconcilerMessage::Request(reason));
                }
                Effect::Alarm(text) => (self.spec.alarm)(&text),
            }
        }
        self.append(&mut records, cx)?;
        if let Some(generation) = complete {
            let _ = self.spec.session.send(SessionMessage::Reconciled { generation });
        }
        if let Stage::Running(running) = &self.stage {
            if running.desk.is_ready() { cx.ready() } else { cx.unready() }
        }
        Ok(())
    }

    fn append(
        &mut self,
        records: &mut Vec<Record>,
        cx: &mut Context<DeskMessage>,
    ) -> Result<Seq, RoleError> {
        if records.is_empty() {
            return Ok(Seq::ZERO);
        }
        let now = cx.now();
        let range =
            self.spec.journal.append(&self.tag, now.market, records).map_err(RoleError::failed)?;
        if let Stage::Running(running) = &mut self.stage {
            running.behind_since.get_or_insert(now.process);
        }
        self.last_own = range.last;
        for (seq, record) in (range.first.0..).map(Seq).zip(records.drain(..)) {
            record_metrics::count(&record);
            match &record {
                Record::Reconciled { report } => {
                    let (ended, report) = (now.market, report.clone());
                    let last = LastReconciliation { seq, ended, report };
                    self.spec.reconciliation.store(Some(Arc::new(last)));
                }
                Record::IntentApproved { intent, .. } => {
                    announce(cx, ProtocolStep::Recorded, &intent.key)?;
                }
                Record::Filled { fill, .. } => {
                    if let Some(key) = self.key_of(fill.order_id) {
                        announce(cx, ProtocolStep::Filled, &key)?;
                        if fill.combo_leg {
                            announce(cx, ProtocolStep::Legged, &key)?;
                        }
                    }
                }
                Record::Ended { end: EndState::Rejected, .. } => {
                    BreakerMessage::tell(&self.spec.breakers, &BreakerEvent::Rejected);
                }
                Record::Acknowledged { order_id, .. } => {
                    if let Some(key) = self.key_of(*order_id) {
                        announce(cx, ProtocolStep::Acked, &key)?;
                    }
                }
                Record::SendRefused { order_id, .. }
                | Record::Ended { order_id, .. }
                | Record::Abandoned { order_id, .. } => {
                    if let Some(key) = self.key_of(*order_id) {
                        announce(cx, ProtocolStep::Settled, &key)?;
                    }
                }
                _ => {}
            }
        }
        Ok(range.last)
    }

    fn key_of(&self, order_id: OrderId) -> Option<IntentKey> {
        let Stage::Running(running) = &self.stage else { return None };
        running.desk.state().orders.get(&order_id).map(|entry| entry.order.key.clone())
    }

    fn hold(
        &mut self,
        seq: Seq,
        held: Held,
        cx: &mut Context<DeskMessage>,
    ) -> Result<(), RoleError> {
        if mutation::active("send_before_durable") {
            return self.release(held, cx);
        }
        if let Stage::Running(running) = &mut self.stage {
            running.held.push_back((seq, held));
        }
        self.release_durable(self.spec.journal.durable(), cx)
    }

    fn release_durable(
        &mut self,
        durable: Seq,
        cx: &mut Context<DeskMessage>,
    ) -> Result<(), RoleError> {
        loop {
            let Stage::Running(running) = &mut self.stage else { return Ok(()) };
            match running.held.front() {
                Some((seq, _)) if *seq <= durable => {}
                Some(_) | None => return Ok(()),
            }
            let Some((_, held)) = running.held.pop_front() else { return Ok(()) };
            self.release(held, cx)?;
        }
    }

    fn release(&mut self, held: Held, cx: &mut Context<DeskMessage>) -> Result<(), RoleError> {
        let (order_id, modify, message) = match held {
            Held::Place(cleared) => {
                announce(cx, ProtocolStep::Durable, &cleared.order().key)?;
                (cleared.order().order_id, false, SessionMessage::Place(*cleared))
            }
            Held::Modify(cleared) => {
                (cleared.order().order_id, true, SessionMessage::Modify(*cleared))
            }
        };
        if self.spec.session.send(message).is_err() {
            let refused = RefusedSend {
                reason: "the broker session is down".to_owned(),
                may_have_left: false,
            };
            tracing::debug!(%order_id, modify, "the session took no order");
            return self.run(DeskEvent::SendOutcome { order_id, result: Err(refused) }, cx);
        }
        Ok(())
    }

    fn answer(
        &self,
        strategy: &StrategyId,
        answer: DeskAnswer,
        cx: &Context<DeskMessage>,
    ) -> Result<(), RoleError> {
        let came_to_nothing = match &answer {
            DeskAnswer::Outcome {
                key,
                outcome: IntentOutcome::Denied(_) | IntentOutcome::Satisfied,
            } => Some(key.clone()),
            _ => None,
        };
        if let Some(role) = self.spec.strategies.get(strategy)
            && let Err(refused) = role.send(StrategyMessage::Desk(Box::new(answer)))
            && let StrategyMessage::Desk(answer) = refused.into_message()
        {
            // Whoever is down is told everything when it attaches.
            let strategy = strategy.clone();
            let _ = self.spec.caretaker.send(CaretakerMessage::Desk { strategy, answer });
        }
        came_to_nothing.map_or(Ok(()), |key| announce(cx, ProtocolStep::Settled, &key))
    }

    fn take(
        &mut self,
        message: DeskMessage,
        cx: &mut Context<DeskMessage>,
    ) -> Result<(), RoleError> {
        let event = match message {
            DeskMessage::Intent(intent) => DeskEvent::Intent(intent),
            DeskMessage::Attach(strategy) => DeskEvent::Attach { strategy },
            DeskMessage::Report(report) => DeskEvent::Report(report),
            DeskMessage::Link(status) => {
                if let Stage::Running(running) = &mut self.stage {
                    running.link = Some(status);
                }
                link_event(status, None)
            }
            DeskMessage::NextOrderId(order_id) => {
                let link = match &self.stage {
                    Stage::Running(running) => running.link,
                    Stage::Recovering { .. } => None,
                };
                let unknown =
                    LinkStatus { state: LinkState::Connecting, generation: 0, human: None };
                link_event(link.unwrap_or(unknown), Some(order_id.0))
            }
            DeskMessage::SendOutcome(outcome) => DeskEvent::SendOutcome {
                order_id: outcome.order_id,
                result: outcome.result.map_err(|error| RefusedSend {
                    reason: error.to_string(),
                    may_have_left: error.may_have_left(),
                }),
            },
            DeskMessage::Reconciled(result) => DeskEvent::Reconciled(result),
            DeskMessage::Halt { reason } => DeskEvent::Halt { reason },
            DeskMessage::CancelStrategy { strategy, reason } => {
                DeskEvent::CancelStrategy { strategy, reason }
            }
            DeskMessage::Day(day) => DeskEvent::Day(day),
            DeskMessage::Durable(seq) => return self.on_durable(seq, cx),
            DeskMessage::Prove => return self.prove(cx),
        };
        self.run(event, cx)
    }

    fn on_durable(&mut self, seq: Seq, cx: &mut Context<DeskMessage>) -> Result<(), RoleError> {
        let caught_up = self.spec.journal.waiting() == 0;
        if let Stage::Running(running) = &mut self.stage {
            running.behind_since = if caught_up { None } else { Some(cx.now().process) };
        }
        self.release_durable(seq, cx)
    }

    /// At a quiet point, when everything of this role is durable, live and fold must be one.
    fn prove(&mut self, cx: &Context<DeskMessage>) -> Result<(), RoleError> {
        let Stage::Running(running) = &self.stage else { return Ok(()) };
        let durable = self.spec.journal.durable();
        if self.last_own > durable {
            return Ok(());
        }
        let live = running.desk.state();
        let now = cx.now();
        let size = (live.orders.len() + live.ledger.executions_booked()) as u64;
        if !self.proofs.take_if_due(self.last_own.0, size, now.process) {
            return Ok(());
        }
        let same =
            self.spec.keeper.at(durable, |books| books.desk == *live).map_err(RoleError::failed)?;
        let now = now.market;
        self.spec.audit.tell(move |auditor| auditor.on_state_compared(durable.0, same, now));
        Ok(())
    }

    fn wakes(&self) -> NextWake {
        match &self.stage {
            Stage::Running(running) => running.desk.next_wake(),
            Stage::Recovering { .. } => NextWake::default(),
        }
    }
}

/// The link counts as up for the desk while the broker can be asked and heard.
fn link_event(status: LinkStatus, next_valid_id: Option<i64>) -> DeskEvent {
    let up = match status.state {
        LinkState::Settling | LinkState::Reconciling | LinkState::Ready => true,
        LinkState::Down | LinkState::Connecting | LinkState::Degraded | LinkState::NeedsHuman => {
            false
        }
    };
    DeskEvent::Link { up, generation: status.generation, next_valid_id }
}

/// When process time will be at a market time, at natural speed: deadlines in market time are
/// looked at once a second at least, so a faster market is late by less than that.
fn process_at(market: Timestamp, now: Now) -> ProcessTime {
    now.process + market.since(now.market).min(Duration::from_secs(1))
}

impl Role for DeskRole {
    type Message = DeskMessage;

    fn handle(
        &mut self,
        message: DeskMessage,
        cx: &mut Context<DeskMessage>,
    ) -> Result<(), RoleError> {
        if let Stage::Recovering { early, .. } = &mut self.stage {
            if early.len() >= EARLY_MAX {
                return Err(RoleError::failed("the journal does not become durable in time"));
            }
            early.push_back(message);
            return self.try_recover(cx);
        }
        self.take(message, cx)
    }

    fn next_wake(&self) -> Option<(ProcessTime, &'static str)> {
        if let Stage::Recovering { recovering, .. } = &self.stage {
            return Some((recovering.next_look(), "recovery"));
        }
        let NextWake { market, process } = self.wakes();
        let market = market.map(|(at, why)| (process_at(at, self.market_offset), why));
        [market, process].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    fn on_wake(&mut self, cx: &mut Context<DeskMessage>) -> Result<(), RoleError> {
        if matches!(self.stage, Stage::Recovering { .. }) {
            return self.try_recover(cx);
        }
        self.run(DeskEvent::Wake, cx)
    }
}
