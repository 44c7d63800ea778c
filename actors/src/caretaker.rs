//! The caretaker's role: while a strategy is quarantined, its machine has that strategy's seat at
//! the desk and carries its tome's policy out. One role for all of them; mostly there is nobody to
//! care for.
//!
//! Who is in care is read from the trading states, so it begins when the latch trips and ends with
//! the resume that releases it.
//!
//! *Restart:* who is quarantined from the states, what each holds from the desk.
//! *Loses:* wishes that were not recorded; the machine decides again from the position.

use crate::desk_answers::{in_words_of_strategies, outcome_in_words_of_strategies};
use crate::journal::JournalPort;
use crate::messages::{CaretakerMessage, DeskMessage};
use crate::order_steps::announce;
use crate::runtime::protocol::ProtocolStep;
use crate::runtime::role::{Context, Role, RoleError};
use crate::runtime::role_ref::RoleRef;
use crate::views::Views;
use ::strategy::caretaker::Caretaker;
use ::strategy::strategy::{KeySource, Strategy, StrategyEffect, StrategyEvent};
use ::strategy::tome::Tome;
use arc_swap::ArcSwap;
use desk::desk::DeskAnswer;
use market::instrument::Catalog;
use market::time::{Now, ProcessTime};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use trading::id::{Epoch, InstallId, StrategyId};
use trading::intent::Intent;
use trading::trading_state::{TradingState, TradingStates};

/// Without an answer it asks again where a strategy stands.
const ATTACH_RETRY: Duration = Duration::from_secs(1);

/// What the caretaker needs.
#[derive(Clone)]
pub struct CaretakerSpec {
    /// The installation, part of every key.
    pub install: InstallId,
    /// The strategies' tomes.
    pub wards: BTreeMap<StrategyId, Arc<Tome>>,
    /// The instruments.
    pub catalog: Arc<ArcSwap<Catalog>>,
    /// Knows the epoch of keys.
    pub journal: JournalPort,
    /// The views.
    pub views: Views,
    /// The trading states: who is quarantined.
    pub states: Arc<ArcSwap<TradingStates>>,
    /// Who serves its wishes.
    pub desk: RoleRef<DeskMessage>,
}

/// One strategy in care.
struct Ward {
    symbol: String,
    machine: Caretaker,
    attached: bool,
    ask_again: ProcessTime,
    told: TradingState,
    seen_version: u64,
}

/// The role.
pub struct CaretakerRole {
    spec: CaretakerSpec,
    wards: BTreeMap<StrategyId, Ward>,
    last: Now,
}

impl CaretakerRole {
    /// Takes on whoever is quarantined already.
    pub fn start(
        spec: &CaretakerSpec,
        cx: &mut Context<CaretakerMessage>,
    ) -> Result<Self, RoleError> {
        let mut role = Self { spec: spec.clone(), wards: BTreeMap::new(), last: cx.now() };
        role.on_states(cx)?;
        cx.ready();
        Ok(role)
    }

    fn on_states(&mut self, cx: &mut Context<CaretakerMessage>) -> Result<(), RoleError> {
        let states = self.spec.states.load_full();
        let quarantined: BTreeSet<&StrategyId> = states.quarantined().collect();
        self.wards.retain(|id, _| quarantined.contains(id));
        for id in quarantined {
            if !self.wards.contains_key(id) {
                self.take_on(id, cx.now())?;
            }
            let Some(ward) = self.wards.get_mut(id) else { continue };
            let state = states.applying_to(&ward.symbol, id);
            if std::mem::replace(&mut ward.told, state) != state {
                self.run(id, StrategyEvent::StateChanged(state), cx)?;
            }
        }
        Ok(())
    }

    fn take_on(&mut self, id: &StrategyId, now: Now) -> Result<(), RoleError> {
        let Some(tome) = self.spec.wards.get(id) else { return Ok(()) };
        let keys = KeySource {
            install: self.spec.install,
            epoch: Epoch(self.spec.journal.epoch()),
            strategy: id.clone(),
            next_seq: 1,
        };
        let machine = Caretaker::new(tome, &self.spec.catalog.load(), keys);
        let ward = Ward {
            symbol: tome.symbol.clone(),
            machine: machine.map_err(RoleError::failed)?,
            attached: false,
            ask_again: now.process,
            told: TradingState::Active,
            seen_version: 0,
        };
        tracing::info!(strategy = %id, policy = ?tome.quarantine_policy, "in care");
        self.wards.insert(id.clone(), ward);
        self.attach(id, now);
        Ok(())
    }

    fn attach(&mut self, id: &StrategyId, now: Now) {
        if let Some(ward) = self.wards.get_mut(id) {
            ward.attached = false;
            ward.ask_again = now.process + ATTACH_RETRY;
            // Refused while the desk is down: it calls when it starts, and we ask again anyway.
            let _ = self.spec.desk.send(DeskMessage::Attach(id.clone()));
        }
    }

    fn on_market(&mut self, cx: &mut Context<CaretakerMessage>) -> Result<(), RoleError> {
        for id in self.ids() {
            let Some(ward) = self.wards.get_mut(&id) else { continue };
            let Some(view) = self.spec.views.latest(&ward.symbol) else { continue };
            if std::mem::replace(&mut ward.seen_version, view.version) != view.version {
                self.run(&id, StrategyEvent::Market(&view), cx)?;
            }
        }
        Ok(())
    }

    fn on_desk(
        &mut self,
        id: &StrategyId,
        answer: DeskAnswer,
        cx: &mut Context<CaretakerMessage>,
    ) -> Result<(), RoleError> {
        match answer {
            DeskAnswer::Attached { positions, live, next_seq } => {
                let Some(ward) = self.wards.get_mut(id) else { return Ok(()) };
                ward.attached = true;
                ward.seen_version = 0;
                let live = live.into_iter().map(in_words_of_strategies).collect();
                self.run(id, StrategyEvent::Attached { positions, live, next_seq }, cx)?;
                self.on_market(cx)
            }
            DeskAnswer::Outcome { key, outcome } => {
                let outcome = outcome_in_words_of_strategies(outcome);
                self.run(id, StrategyEvent::Outcome { key, outcome }, cx)
            }
            DeskAnswer::Filled { fill } => self.run(id, StrategyEvent::Filled { fill: &fill }, cx),
            DeskAnswer::PositionsChanged(positions) => {
                self.run(id, StrategyEvent::PositionsChanged(positions), cx)
            }
        }
    }

    fn run(
        &mut self,
        id: &StrategyId,
        event: StrategyEvent<'_>,
        cx: &mut Context<CaretakerMessage>,
    ) -> Result<(), RoleError> {
        let Some(ward) = self.wards.get_mut(id) else { return Ok(()) };
        for effect in ward.machine.on(event, cx.now()) {
            match effect {
                StrategyEffect::Intent(intent) => wish(&self.spec.desk, intent, cx)?,
                // It keeps nothing, and is where a quarantine leads to.
                StrategyEffect::Durable | StrategyEffect::Quarantine(_) => {}
            }
        }
        Ok(())
    }

    fn ids(&self) -> Vec<StrategyId> {
        self.wards.keys().cloned().collect()
    }
}

fn wish(
    desk: &RoleRef<DeskMessage>,
    intent: Intent,
    cx: &Context<CaretakerMessage>,
) -> Result<(), RoleError> {
    announce(cx, ProtocolStep::Idle, &intent.key)?;
    let key = intent.key.clone();
    if desk.send(DeskMessage::Intent(Box::new(intent))).is_err() {
        // The desk is down; it calls when it starts, and attaching clears what was not taken.
        announce(cx, ProtocolStep::Settled, &key)?;
    }
    Ok(())
}

impl Role for CaretakerRole {
    type Message = CaretakerMessage;

    fn handle(
        &mut self,
        message: CaretakerMessage,
        cx: &mut Context<CaretakerMessage>,
    ) -> Result<(), RoleError> {
        self.last = cx.now();
        match message {
            CaretakerMessage::Market => self.on_market(cx)?,
            CaretakerMessage::States => self.on_states(cx)?,
            CaretakerMessage::DeskStarted => {
                self.ids().iter().for_each(|id| self.attach(id, cx.now()));
            }
            CaretakerMessage::Desk { strategy, answer } => self.on_desk(&strategy, *answer, cx)?,
            CaretakerMessage::Listed(instruments) => {
                for ward in self.wards.values_mut() {
                    instruments.iter().for_each(|one| ward.machine.listed(one));
                }
            }
        }
        Ok(())
    }

    fn next_wake(&self) -> Option<(ProcessTime, &'static str)> {
        let wake = |ward: &Ward| {
            if !ward.attached {
                return Some((ward.ask_again, "attach"));
            }
            // Market time may run faster than process time: look once a second at least.
            let ahead = ward.machine.next_wake()?.since(self.last.market);
            Some((self.last.process + ahead.min(Duration::from_secs(1)), "caretaker"))
        };
        self.wards.values().filter_map(wake).min_by_key(|(at, _)| *at)
    }

    fn on_wake(&mut self, cx: &mut Context<CaretakerMessage>) -> Result<(), RoleError> {
        self.last = cx.now();
        for id in self.ids() {
            let Some(ward) = self.wards.get(&id) else { continue };
            if !ward.attached {
                if ward.ask_again <= self.last.process {
                    self.attach(&id, self.last);
                }
            } else if ward.machine.next_wake().is_some_and(|at| at <= self.last.market) {
                self.run(&id, StrategyEvent::Wake, cx)?;
            }
        }
        Ok(())
    }
}
