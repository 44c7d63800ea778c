//! The kill switch's role: the shell around the machine that owns every latch, and with them the
//! trading states (`crates/desk/src/kill_switch.rs`).
//!
//! *Restart:* latches from the journal and the halt file; what can't be read counts as tripped.
//! Until they are known the trading states stay as they were, which at a process's start is halted.
//! *Loses:* a trip that was queued; its breaker says it again.

use crate::book_keeper::BookKeeper;
use crate::journal::{JournalPort, Recovering, writer_tag};
use crate::messages::{
    BreakerMessage, CaretakerMessage, DeskMessage, HaltAcknowledged, KillSwitchMessage,
    StrategyMessage,
};
use crate::record_metrics;
use crate::runtime::metrics;
use crate::runtime::role::{Context, Role, RoleError};
use crate::runtime::role_ref::RoleRef;
use ::desk::kill_switch::{
    Asker, CancelScope, KillSwitch, KillSwitchEffect, KillSwitchEvent, WireSeen, Witnesses,
};
use ::risk::breaker::watch::Watch;
use arc_swap::ArcSwap;
use broker::wire_fence::WireFence;
use market::time::ProcessTime;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use store::WriterTag;
use tokio::sync::oneshot;
use trading::id::StrategyId;
use trading::trading_state::TradingStates;

/// The file that makes a halt survive everything.
pub trait HaltFile: Send + Sync {
    /// Why it is there, if it is.
    fn read(&self) -> Result<Option<String>, String>;
    /// Writes it, durably.
    fn write(&self, reason: &str) -> Result<(), String>;
    /// Removes it, durably.
    fn remove(&self) -> Result<(), String>;
}

/// What the kill switch needs.
#[derive(Clone)]
pub struct KillSwitchSpec {
    /// Stops the wire.
    pub fence: Arc<WireFence>,
    /// The halt file.
    pub file: Arc<dyn HaltFile>,
    /// Where records go.
    pub journal: JournalPort,
    /// Where latches come from.
    pub keeper: BookKeeper,
    /// Where the trading states are published.
    pub states: Arc<ArcSwap<TradingStates>>,
    /// Cancels.
    pub desk: RoleRef<DeskMessage>,
    /// Told of releases.
    pub breakers: Vec<(Watch, RoleRef<BreakerMessage>)>,
    /// Told of states.
    pub strategies: BTreeMap<StrategyId, RoleRef<StrategyMessage>>,
    /// Told of states.
    pub caretaker: RoleRef<CaretakerMessage>,
}

/// The role.
pub struct KillSwitchRole {
    spec: KillSwitchSpec,
    tag: WriterTag,
    /// Until the journal is durable up to the fence.
    recovering: Option<Recovering>,
    machine: KillSwitch,
    asked: u64,
    halts: BTreeMap<Asker, oneshot::Sender<Result<HaltAcknowledged, String>>>,
    resumes: BTreeMap<Asker, oneshot::Sender<Result<(), String>>>,
}

impl KillSwitchRole {
    /// Shuts older incarnations out and begins to recover.
    pub fn start(
        spec: &KillSwitchSpec,
        cx: &mut Context<KillSwitchMessage>,
    ) -> Result<Self, RoleError> {
        metrics::HALTS.counter(&[]).increment(0);
        let mut role = Self {
            spec: spec.clone(),
            tag: writer_tag("kill_switch", cx.generation())?,
            recovering: Some(Recovering::new(cx.now().process)),
            machine: KillSwitch::new(),
            asked: 0,
            halts: BTreeMap::new(),
            resumes: BTreeMap::new(),
        };
        role.try_recover(cx)?;
        Ok(role)
    }

    fn try_recover(&mut self, cx: &mut Context<KillSwitchMessage>) -> Result<(), RoleError> {
        let Some(recovering) = &mut self.recovering else { return Ok(()) };
        let polled = recovering.poll(&self.spec.journal, &self.tag, cx.now().process);
        let Some(fence) = polled.map_err(RoleError::failed)? else { return Ok(()) };
        let latches =
            self.spec.keeper.at(fence, |books| books.latches.clone()).map_err(RoleError::failed)?;
        self.recovering = None;
        let witnesses = Witnesses { latches, file: self.spec.file.read() };
        self.run(KillSwitchEvent::Recovered(Box::new(witnesses)), cx)
    }

    /// Hands an event in, carries the effects out in order, and hands their answers in.
    fn run(
        &mut self,
        event: KillSwitchEvent,
        cx: &mut Context<KillSwitchMessage>,
    ) -> Result<(), RoleError> {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let halted = self.spec.fence.halted();
            let wire = WireSeen { halt_epoch: self.spec.fence.halt_epoch(), halted };
            for effect in self.machine.on(event, &wire, cx.now().process) {
                events.extend(self.carry_out(effect, cx)?);
            }
        }
        Ok(())
    }

    fn carry_out(
        &mut self,
        effect: KillSwitchEffect,
        cx: &mut Context<KillSwitchMessage>,
    ) -> Result<Option<KillSwitchEvent>, RoleError> {
        let answer = match effect {
            KillSwitchEffect::HaltWire { reason } => {
                self.spec.fence.halt(&reason);
                Some(KillSwitchEvent::WireHalted)
            }
            KillSwitchEffect::OpenWire { seen } => {
                self.spec.fence.resume(seen);
                Some(KillSwitchEvent::WireOpened)
            }
            KillSwitchEffect::WriteFile { reason } => {
                Some(KillSwitchEvent::FileWritten(self.spec.file.write(&reason)))
            }
            KillSwitchEffect::RemoveFile => {
                Some(KillSwitchEvent::FileRemoved(self.spec.file.remove()))
            }
            KillSwitchEffect::Record(record) => {
                tracing::warn!(?record, "latch");
                let (now, records) = (cx.now().market, std::slice::from_ref(&*record));
                self.spec.journal.append(&self.tag, now, records).map_err(RoleError::failed)?;
                record_metrics::count(&record);
                None
            }
            KillSwitchEffect::Publish(states) => {
                self.publish(states);
                None
            }
            KillSwitchEffect::Cancel { scope, reason } => {
                let message = match scope.clone() {
                    CancelScope::All => DeskMessage::Halt { reason },
                    CancelScope::Strategy(strategy) => {
                        DeskMessage::CancelStrategy { strategy, reason }
                    }
                };
                let taken = self.spec.desk.send(message).is_ok();
                Some(KillSwitchEvent::DeskTold { scope, taken })
            }
            KillSwitchEffect::ReleaseBreaker { name, scope } => {
                for (_, breaker) in &self.spec.breakers {
                    let (name, scope) = (name.clone(), scope.clone());
                    // One that is down restores itself from the journal, where it is released.
                    let _ = breaker.send(BreakerMessage::Released { name, scope });
                }
                None
            }
            KillSwitchEffect::AnswerHalt { asker, answer } => {
                if let Some(reply) = self.halts.remove(&asker) {
                    // Whoever asked may have gone; the halt stands.
                    let _ = reply.send(answer.map(|halt_epoch| HaltAcknowledged { halt_epoch }));
                }
                None
            }
            KillSwitchEffect::AnswerResume { asker, answer } => {
                if let Some(reply) = self.resumes.remove(&asker) {
                    let _ = reply.send(answer);
                }
                None
            }
            KillSwitchEffect::Ready => {
                cx.ready();
                None
            }
            KillSwitchEffect::GiveUp(why) => return Err(RoleError::failed(why)),
        };
        Ok(answer)
    }

    fn publish(&self, states: TradingStates) {
        self.spec.states.store(Arc::new(states));
        for strategy in self.spec.strategies.values() {
            // One that is down reads the states when it attaches.
            let _ = strategy.send(StrategyMessage::States);
        }
        // As above.
        let _ = self.spec.caretaker.send(CaretakerMessage::States);
    }

    const fn asker(&mut self) -> Asker {
        self.asked += 1;
        Asker(self.asked)
    }
}

impl Role for KillSwitchRole {
    type Message = KillSwitchMessage;

    fn handle(
        &mut self,
        message: KillSwitchMessage,
        cx: &mut Context<KillSwitchMessage>,
    ) -> Result<(), RoleError> {
        let event = match message {
            KillSwitchMessage::Halt { reason, reply } => {
                let asker = reply.map(|reply| {
                    let asker = self.asker();
                    self.halts.insert(asker, reply);
                    asker
                });
                KillSwitchEvent::Halt { reason, asker }
            }
            KillSwitchMessage::Fenced { reason } => KillSwitchEvent::Fenced { reason },
            KillSwitchMessage::Resume { by, reply } => {
                let asker = self.asker();
                self.resumes.insert(asker, reply);
                KillSwitchEvent::Resume { by, asker }
            }
            KillSwitchMessage::Trip { latch, state, reason } => {
                KillSwitchEvent::Trip { latch, state, reason }
            }
        };
        self.run(event, cx)?;
        self.try_recover(cx)
    }

    fn next_wake(&self) -> Option<(ProcessTime, &'static str)> {
        let recovery = self.recovering.as_ref().map(|one| (one.next_look(), "recovery"));
        recovery.into_iter().chain(self.machine.next_wake()).min_by_key(|(at, _)| *at)
    }

    fn on_wake(&mut self, cx: &mut Context<KillSwitchMessage>) -> Result<(), RoleError> {
        self.run(KillSwitchEvent::Wake, cx)?;
        self.try_recover(cx)
    }
}
