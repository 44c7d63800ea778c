//! A strategy's role: hands its machine the market and the desk's answers, and its wishes to the
//! desk.
//!
//! In quarantine it gives up and stays down until a resume; the caretaker has its seat at the desk.
//!
//! *Restart:* the durable part from the journal; it may wish again once the desk has told it its
//! position and its live and Unknown intents. Effects are never replayed.
//! *Loses:* wishes that were not recorded; the machine decides again from its position.

use crate::book_keeper::BookKeeper;
use crate::desk_answers::{in_words_of_strategies, outcome_in_words_of_strategies};
use crate::journal::{JournalPort, Recovering, writer_tag};
use crate::messages::{DeskMessage, StrategyMessage};
use crate::order_steps::announce;
use crate::runtime::protocol::ProtocolStep;
use crate::runtime::role::{Context, Role, RoleError};
use crate::runtime::role_ref::RoleRef;
use crate::views::Views;
use arc_swap::ArcSwap;
use desk::desk::DeskAnswer;
use desk::record::{Latch, Record};
use market::time::{Now, ProcessTime};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use store::WriterTag;
use strategy::strategy::{KeySource, Strategy, StrategyEffect, StrategyEvent};
use trading::id::{Epoch, InstallId, StrategyId};
use trading::intent::Intent;
use trading::trading_state::{TradingState, TradingStates};

/// Messages that are kept while the fold isn't durable yet; beyond it the oldest go, which the desk
/// says again when the strategy attaches.
const EARLY_MAX: usize = 256;
/// Without an answer the strategy asks again where it stands.
const ATTACH_RETRY: Duration = Duration::from_secs(1);

/// Makes a strategy from its keys and, if it lived before, its durable part.
pub type StrategyFactory =
    Arc<dyn Fn(KeySource, Option<&[u8]>) -> Result<Box<dyn Strategy>, String> + Send + Sync>;

/// What a strategy's role needs.
#[derive(Clone)]
pub struct StrategySpec {
    /// Its id.
    pub id: StrategyId,
    /// The installation, part of its keys.
    pub install: InstallId,
    /// Its product.
    pub symbol: String,
    /// Makes the machine.
    pub make: StrategyFactory,
    /// Where records go.
    pub journal: JournalPort,
    /// Where its durable part comes from.
    pub keeper: BookKeeper,
    /// The views.
    pub views: Views,
    /// The trading states.
    pub states: Arc<ArcSwap<TradingStates>>,
    /// Who serves its wishes.
    pub desk: RoleRef<DeskMessage>,
}

enum Stage {
    Recovering { recovering: Recovering, early: VecDeque<StrategyMessage> },
    Running { machine: Box<dyn Strategy>, attached: bool, ask_again: ProcessTime },
}

/// The role.
pub struct StrategyRole {
    spec: StrategySpec,
    tag: WriterTag,
    stage: Stage,
    told: TradingState,
    seen_version: u64,
    last: Now,
}

impl StrategyRole {
    /// Shuts older incarnations out and begins to recover.
    pub fn start(
        spec: &StrategySpec,
        cx: &mut Context<StrategyMessage>,
    ) -> Result<Self, RoleError> {
        let tag = writer_tag(cx.path().as_str(), cx.generation())?;
        let now = cx.now();
        let (recovering, early) = (Recovering::new(now.process), VecDeque::new());
        let stage = Stage::Recovering { recovering, early };
        let told = TradingState::Active;
        let mut role = Self { spec: spec.clone(), tag, stage, told, seen_version: 0, last: now };
        role.try_recover(cx)?;
        Ok(role)
    }

    fn try_recover(&mut self, cx: &mut Context<StrategyMessage>) -> Result<(), RoleError> {
        let Stage::Recovering { recovering, early } = &mut self.stage else { return Ok(()) };
        let polled = recovering.poll(&self.spec.journal, &self.tag, cx.now().process);
        let Some(fence) = polled.map_err(RoleError::failed)? else { return Ok(()) };
        let keys = KeySource {
            install: self.spec.install,
            epoch: Epoch(self.spec.journal.epoch()),
            strategy: self.spec.id.clone(),
            next_seq: 1,
        };
        let quarantine = Latch::Quarantine(self.spec.id.clone());
        let (latched, durable) = self
            .spec
            .keeper
            .at(fence, |books| {
                let latched = books.latches.tripped.get(&quarantine);
                let durable = books.strategies.get(&self.spec.id).map(|bytes| bytes.to_vec());
                (latched.map(|tripped| tripped.reason.clone()), durable)
            })
            .map_err(RoleError::failed)?;
        if let Some(reason) = latched {
            // In quarantine nothing runs in this seat, whatever life of the process it is.
            return Err(RoleError::GaveUp(reason));
        }
        // What it is made of stays as it is: no restart would help.
        let machine = (self.spec.make)(keys, durable.as_deref()).map_err(RoleError::GaveUp)?;
        let early = std::mem::take(early);
        self.stage = Stage::Running { machine, attached: false, ask_again: cx.now().process };
        self.attach(cx);
        for message in early {
            self.take(message, cx)?;
        }
        Ok(())
    }

    fn attach(&mut self, cx: &mut Context<StrategyMessage>) {
        if let Stage::Running { attached, ask_again, .. } = &mut self.stage {
            *attached = false;
            *ask_again = cx.now().process + ATTACH_RETRY;
        }
        cx.unready();
        // Refused while the desk is down: it calls when it starts, and we ask again anyway.
        let _ = self.spec.desk.send(DeskMessage::Attach(self.spec.id.clone()));
    }

    fn take(
        &mut self,
        message: StrategyMessage,
        cx: &mut Context<StrategyMessage>,
    ) -> Result<(), RoleError> {
        match message {
            StrategyMessage::Market => self.on_market(cx),
            StrategyMessage::Desk(answer) => self.on_desk(*answer, cx),
            StrategyMessage::DeskStarted => {
                self.attach(cx);
                Ok(())
            }
            StrategyMessage::States => self.on_states(cx),
            StrategyMessage::Listed(instruments) => {
                if let Stage::Running { machine, .. } = &mut self.stage {
                    instruments.iter().for_each(|instrument| machine.listed(instrument));
                }
                Ok(())
            }
        }
    }

    fn on_market(&mut self, cx: &mut Context<StrategyMessage>) -> Result<(), RoleError> {
        let Some(view) = self.spec.views.latest(&self.spec.symbol) else { return Ok(()) };
        if view.version == self.seen_version {
            return Ok(());
        }
        self.seen_version = view.version;
        self.run(StrategyEvent::Market(&view), cx)
    }

    fn on_states(&mut self, cx: &mut Context<StrategyMessage>) -> Result<(), RoleError> {
        let state = self.spec.states.load().applying_to(&self.spec.symbol, &self.spec.id);
        if std::mem::replace(&mut self.told, state) == state {
            return Ok(());
        }
        self.run(StrategyEvent::StateChanged(state), cx)
    }

    fn on_desk(
        &mut self,
        answer: DeskAnswer,
        cx: &mut Context<StrategyMessage>,
    ) -> Result<(), RoleError> {
        match answer {
            DeskAnswer::Attached { positions, live, next_seq } => {
                if let Stage::Running { attached, .. } = &mut self.stage {
                    *attached = true;
                }
                let live = live.into_iter().map(in_words_of_strategies).collect();
                self.run(StrategyEvent::Attached { positions, live, next_seq }, cx)?;
                cx.ready();
                self.on_states(cx)?;
                self.seen_version = 0;
                self.on_market(cx)
            }
            DeskAnswer::Outcome { key, outcome } => {
                let outcome = outcome_in_words_of_strategies(outcome);
                self.run(StrategyEvent::Outcome { key, outcome }, cx)
            }
            DeskAnswer::Filled { fill } => self.run(StrategyEvent::Filled { fill: &fill }, cx),
            DeskAnswer::PositionsChanged(positions) => {
                self.run(StrategyEvent::PositionsChanged(positions), cx)
            }
        }
    }

    fn run(
        &mut self,
        event: StrategyEvent<'_>,
        cx: &mut Context<StrategyMessage>,
    ) -> Result<(), RoleError> {
        let Stage::Running { machine, .. } = &mut self.stage else { return Ok(()) };
        let effects = machine.on(event, cx.now());
        for effect in effects {
            match effect {
                StrategyEffect::Intent(intent) => self.wish(intent, cx)?,
                StrategyEffect::Durable => self.save(cx)?,
                StrategyEffect::Quarantine(reason) => return Err(RoleError::GaveUp(reason)),
            }
        }
        Ok(())
    }

    fn wish(&self, intent: Intent, cx: &mut Context<StrategyMessage>) -> Result<(), RoleError> {
        announce(cx, ProtocolStep::Idle, &intent.key)?;
        let key = intent.key.clone();
        if self.spec.desk.send(DeskMessage::Intent(Box::new(intent))).is_err() {
            // The desk is down; it calls when it starts, and attaching clears what was not taken.
            announce(cx, ProtocolStep::Settled, &key)?;
        }
        Ok(())
    }

    fn save(&self, cx: &mut Context<StrategyMessage>) -> Result<(), RoleError> {
        let Stage::Running { machine, .. } = &self.stage else { return Ok(()) };
        let record =
            Record::StrategyDurable { strategy: self.spec.id.clone(), payload: machine.durable() };
        let now = cx.now().market;
        self.spec.journal.append(&self.tag, now, &[record]).map_err(RoleError::failed)?;
        Ok(())
    }
}

impl Role for StrategyRole {
    type Message = StrategyMessage;

    fn handle(
        &mut self,
        message: StrategyMessage,
        cx: &mut Context<StrategyMessage>,
    ) -> Result<(), RoleError> {
        self.last = cx.now();
        if let Stage::Recovering { early, .. } = &mut self.stage {
            if early.len() >= EARLY_MAX {
                early.pop_front();
            }
            early.push_back(message);
            return self.try_recover(cx);
        }
        self.take(message, cx)
    }

    fn next_wake(&self) -> Option<(ProcessTime, &'static str)> {
        match &self.stage {
            Stage::Recovering { recovering, .. } => Some((recovering.next_look(), "recovery")),
            Stage::Running { attached: false, ask_again, .. } => Some((*ask_again, "attach")),
            Stage::Running { machine, .. } => machine.next_wake().map(|at| {
                // Market time may run faster than process time: look once a second at least.
                let ahead = at.since(self.last.market).min(Duration::from_secs(1));
                (self.last.process + ahead, "strategy")
            }),
        }
    }

    fn on_wake(&mut self, cx: &mut Context<StrategyMessage>) -> Result<(), RoleError> {
        self.last = cx.now();
        let due = match &self.stage {
            Stage::Recovering { .. } => return self.try_recover(cx),
            Stage::Running { attached: false, .. } => {
                self.attach(cx);
                return Ok(());
            }
            Stage::Running { machine, .. } => machine.next_wake(),
        };
        if due.is_some_and(|at| at <= self.last.market) {
            self.run(StrategyEvent::Wake, cx)?;
        }
        Ok(())
    }
}
