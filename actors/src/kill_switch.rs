//! The kill switch's role: owns every latch, and with them the trading states.
//!
//! A halt raises the wire fence first, inside which no write can be under way, writes the halt
//! file, and is acknowledged; its record, the states and the cancels follow. Only a person's resume
//! ends it.
//!
//! *Restart:* latches from the journal and the halt file; what can't be read counts as tripped.
//! Until they are known the trading states stay as they were, which at a process's start is halted.
//! *Loses:* a trip that was queued; its breaker says it again.

use crate::book_keeper::BookKeeper;
use crate::breaker::{BreakerMessage, Watch};
use crate::desk::DeskMessage;
use crate::journal::{JournalPort, Recovering, writer_tag};
use crate::runtime::metrics;
use crate::runtime::role::{Context, Role, RoleError, RoleMessage};
use crate::runtime::role_ref::RoleRef;
use crate::strategy::StrategyMessage;
use arc_swap::ArcSwap;
use broker::wire_fence::WireFence;
use desk::fold::Latches;
use desk::record::{Latch, Record};
use market::time::ProcessTime;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use store::WriterTag;
use tokio::sync::oneshot;
use trading::id::StrategyId;
use trading::trading_state::{HaltEpoch, TradingState, TradingStates};

/// Messages kept while the fold isn't durable yet; beyond it the role gives up.
const EARLY_MAX: usize = 256;
/// A halt whose cancels the desk couldn't take is told again.
const RETELL: Duration = Duration::from_millis(100);

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
    /// A torn journal starts halted until a reconciliation is complete: the reason, if so.
    pub start_halted: Option<String>,
}

/// An acknowledged halt: no new or enlarged order reaches the wire from here on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HaltAcknowledged {
    /// What was cleared before this epoch is never written.
    pub halt_epoch: HaltEpoch,
}

/// What the kill switch is told.
#[derive(Debug)]
pub enum KillSwitchMessage {
    /// Halt.
    Halt {
        /// Why.
        reason: String,
        /// Answered once nothing more can reach the wire.
        reply: Option<oneshot::Sender<Result<HaltAcknowledged, String>>>,
    },
    /// The wire fence was halted without this role (watchdog): latch it.
    Fenced {
        /// Why.
        reason: String,
    },
    /// Release every latch: the halt, the breakers, the quarantines.
    Resume {
        /// By whom.
        by: String,
        /// Answered once it is recorded.
        reply: oneshot::Sender<Result<(), String>>,
    },
    /// A latch trips.
    Trip {
        /// Which.
        latch: Latch,
        /// What it leads to.
        state: TradingState,
        /// Why.
        reason: String,
    },
}

impl RoleMessage for KillSwitchMessage {
    fn label(&self) -> &'static str {
        match self {
            Self::Halt { .. } => "halt",
            Self::Fenced { .. } => "fenced",
            Self::Resume { .. } => "resume",
            Self::Trip { .. } => "trip",
        }
    }
}

enum Stage {
    Recovering { recovering: Recovering, early: VecDeque<KillSwitchMessage> },
    Running(Latches),
}

/// The role.
pub struct KillSwitchRole {
    spec: KillSwitchSpec,
    tag: WriterTag,
    stage: Stage,
    untold: Option<(String, ProcessTime)>,
}

impl KillSwitchRole {
    /// Shuts older incarnations out and begins to recover.
    pub fn start(
        spec: &KillSwitchSpec,
        cx: &mut Context<KillSwitchMessage>,
    ) -> Result<Self, RoleError> {
        metrics::HALTS.counter(&[]).increment(0);
        let tag = writer_tag("kill_switch", cx.generation())?;
        let recovering = Recovering::new(cx.now().process);
        let stage = Stage::Recovering { recovering, early: VecDeque::new() };
        let mut role = Self { spec: spec.clone(), tag, stage, untold: None };
        role.try_recover(cx)?;
        Ok(role)
    }

    fn try_recover(&mut self, cx: &mut Context<KillSwitchMessage>) -> Result<(), RoleError> {
        let Stage::Recovering { recovering, early } = &mut self.stage else { return Ok(()) };
        let now = cx.now().process;
        let polled = recovering.poll(&self.spec.journal, &self.tag, now);
        let Some(fence) = polled.map_err(RoleError::failed)? else { return Ok(()) };
        let latches =
            self.spec.keeper.at(fence, |books| books.latches.clone()).map_err(RoleError::failed)?;
        let early = std::mem::take(early);
        self.stage = Stage::Running(latches);
        // Three witnesses of a halt: the journal, the file, the fence. One is enough.
        let from_file = match self.spec.file.read() {
            Ok(reason) => reason,
            Err(why) => Some(format!("the halt file can't be read: {why}")),
        };
        let latched = self.latches().tripped.get(&Latch::Halt).map(|halt| halt.reason.clone());
        let reason = latched
            .clone()
            .or(from_file)
            .or_else(|| self.spec.fence.halted())
            .or_else(|| self.spec.start_halted.clone());
        if let Some(reason) = reason {
            if self.spec.fence.halted().is_none() {
                self.spec.fence.halt(&reason);
            }
            if latched.is_none() {
                self.trip(Latch::Halt, TradingState::Halted, reason.clone(), cx)?;
            }
            self.tell_desk(reason, cx);
        }
        self.publish();
        cx.ready();
        for message in early {
            self.take(message, cx)?;
        }
        Ok(())
    }

    fn latches(&self) -> Latches {
        match &self.stage {
            Stage::Running(latches) => latches.clone(),
            Stage::Recovering { .. } => Latches::default(),
        }
    }

    fn take(
        &mut self,
        message: KillSwitchMessage,
        cx: &mut Context<KillSwitchMessage>,
    ) -> Result<(), RoleError> {
        match message {
            KillSwitchMessage::Halt { reason, reply } => {
                let epoch = self.spec.fence.halt(&reason);
                let written = self.spec.file.write(&reason);
                if let Some(reply) = reply {
                    // Whoever asked may have gone; the halt stands.
                    let _ = reply.send(written.map(|()| HaltAcknowledged { halt_epoch: epoch }));
                }
                self.latch_halt(reason, cx)
            }
            KillSwitchMessage::Fenced { reason } => self.latch_halt(reason, cx),
            KillSwitchMessage::Resume { by, reply } => {
                let resumed = self.resume(&by, cx)?;
                let _ = reply.send(resumed);
                Ok(())
            }
            KillSwitchMessage::Trip { latch, state, reason } => {
                if state == TradingState::Halted {
                    self.spec.fence.halt(&reason);
                    self.tell_desk(reason.clone(), cx);
                }
                if let Latch::Quarantine(strategy) = &latch {
                    let (strategy, reason) = (strategy.clone(), reason.clone());
                    let _ = self.spec.desk.send(DeskMessage::CancelStrategy { strategy, reason });
                }
                self.trip(latch, state, reason, cx)?;
                self.publish();
                Ok(())
            }
        }
    }

    fn latch_halt(
        &mut self,
        reason: String,
        cx: &mut Context<KillSwitchMessage>,
    ) -> Result<(), RoleError> {
        self.tell_desk(reason.clone(), cx);
        self.trip(Latch::Halt, TradingState::Halted, reason, cx)?;
        self.publish();
        Ok(())
    }

    fn resume(
        &mut self,
        by: &str,
        cx: &mut Context<KillSwitchMessage>,
    ) -> Result<Result<(), String>, RoleError> {
        if let Err(why) = self.spec.file.remove() {
            return Ok(Err(why));
        }
        self.spec.fence.resume();
        self.untold = None;
        let tripped: Vec<Latch> = self.latches().tripped.into_keys().collect();
        for latch in &tripped {
            self.release(latch, by, cx)?;
            if let Latch::Breaker { name, scope } = latch {
                for (_, breaker) in &self.spec.breakers {
                    let (name, scope) = (name.clone(), scope.clone());
                    // One that is down restores itself from the journal, where it is released.
                    let _ = breaker.send(BreakerMessage::Released { name, scope });
                }
            }
        }
        self.publish();
        Ok(Ok(()))
    }

    fn trip(
        &mut self,
        latch: Latch,
        state: TradingState,
        reason: String,
        cx: &mut Context<KillSwitchMessage>,
    ) -> Result<(), RoleError> {
        if self.latches().tripped.contains_key(&latch) {
            return Ok(());
        }
        tracing::warn!(?latch, reason, "latched");
        if state == TradingState::Halted {
            metrics::HALTS.counter(&[]).increment(1);
        }
        let halt_epoch = self.spec.fence.halt_epoch();
        self.record(Record::Tripped { latch, state, reason, halt_epoch }, cx)
    }

    fn release(
        &mut self,
        latch: &Latch,
        by: &str,
        cx: &mut Context<KillSwitchMessage>,
    ) -> Result<(), RoleError> {
        if !self.latches().tripped.contains_key(latch) {
            return Ok(());
        }
        let halt_epoch = self.spec.fence.halt_epoch();
        let (latch, by) = (latch.clone(), by.to_owned());
        self.record(Record::Released { latch, by, halt_epoch }, cx)
    }

    fn record(
        &mut self,
        record: Record,
        cx: &mut Context<KillSwitchMessage>,
    ) -> Result<(), RoleError> {
        // A trip holds at once; a release only behind its record, so that no approval precedes it.
        let releases = matches!(record, Record::Released { .. });
        if !releases {
            self.apply(&record);
        }
        let now = cx.now().market;
        let records = std::slice::from_ref(&record);
        self.spec.journal.append(&self.tag, now, records).map_err(RoleError::failed)?;
        if releases {
            self.apply(&record);
        }
        Ok(())
    }

    fn apply(&mut self, record: &Record) {
        if let Stage::Running(latches) = &mut self.stage {
            latches.apply(record);
        }
        self.publish();
    }

    fn publish(&self) {
        let mut states = self.latches().trading_states();
        states.halt_epoch = self.spec.fence.halt_epoch();
        if self.spec.fence.halted().is_some() {
            states.account = TradingState::Halted;
        }
        self.spec.states.store(Arc::new(states));
        for strategy in self.spec.strategies.values() {
            // One that is down reads the states when it attaches.
            let _ = strategy.send(StrategyMessage::States);
        }
    }

    fn tell_desk(&mut self, reason: String, cx: &Context<KillSwitchMessage>) {
        let halt = DeskMessage::Halt { reason: reason.clone() };
        self.untold = match self.spec.desk.send(halt) {
            Ok(()) => None,
            Err(_) => Some((reason, cx.now().process + RETELL)),
        };
    }
}

impl Role for KillSwitchRole {
    type Message = KillSwitchMessage;

    fn handle(
        &mut self,
        message: KillSwitchMessage,
        cx: &mut Context<KillSwitchMessage>,
    ) -> Result<(), RoleError> {
        if matches!(self.stage, Stage::Running(_)) {
            return self.take(message, cx);
        }
        // A halt does not wait for a recovery: the fence and the file hold it.
        let message = match message {
            KillSwitchMessage::Halt { reason, reply } => {
                let epoch = self.spec.fence.halt(&reason);
                let written = self.spec.file.write(&reason);
                if let Some(reply) = reply {
                    let _ = reply.send(written.map(|()| HaltAcknowledged { halt_epoch: epoch }));
                }
                KillSwitchMessage::Fenced { reason }
            }
            other => other,
        };
        if let Stage::Recovering { early, .. } = &mut self.stage {
            if early.len() >= EARLY_MAX {
                return Err(RoleError::failed("the journal does not become durable in time"));
            }
            early.push_back(message);
        }
        self.try_recover(cx)
    }

    fn next_wake(&self) -> Option<(ProcessTime, &'static str)> {
        match (&self.stage, &self.untold) {
            (Stage::Recovering { recovering, .. }, _) => Some((recovering.next_look(), "recovery")),
            (Stage::Running(_), Some((_, at))) => Some((*at, "tell the desk of the halt")),
            (Stage::Running(_), None) => None,
        }
    }

    fn on_wake(&mut self, cx: &mut Context<KillSwitchMessage>) -> Result<(), RoleError> {
        if matches!(self.stage, Stage::Recovering { .. }) {
            return self.try_recover(cx);
        }
        if let Some((reason, _)) = self.untold.take() {
            self.tell_desk(reason, cx);
        }
        Ok(())
    }
}
