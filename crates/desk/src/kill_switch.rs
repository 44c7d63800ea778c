//! The kill switch: decides about every latch, and with them about the trading states.
//!
//! A pure machine with one thing at a time in hand. Whatever needs an answer from outside (the wire
//! fence, the halt file) ends a step; the shell carries the effects out in order, hands the answer
//! in, and the next step follows. So each place where a process can die lies between two effects,
//! and the order of effects is the promise:
//!
//! - a halt raises the wire fence, then writes the file, then is acknowledged; the cancels, the
//!   states and the record follow. It does not wait for a recovery;
//! - a trip holds at once (cancels, states), its record follows;
//! - a release holds only behind its record: states and breakers are told after it;
//! - what can't be read counts as tripped.
//!
//! Not here: the journal, the fence, the file and whom to tell (actors), what trips (risk).

use crate::fold::Latches;
use crate::record::{Latch, Record};
use market::time::ProcessTime;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use trading::id::StrategyId;
use trading::trading_state::{HaltEpoch, TradingState, TradingStates};

/// Events that wait while it recovers; beyond them it gives up, and a new life begins.
pub const WAITING_MAX: usize = 256;
/// Cancels that the desk could not take are told again after this.
pub const RETELL: Duration = Duration::from_millis(100);

/// Who asked: the shell's own number of the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asker(pub u64);

/// The wire fence as it stands now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireSeen {
    /// Its epoch.
    pub halt_epoch: HaltEpoch,
    /// Why it is halted, if it is.
    pub halted: Option<String>,
}

/// Who tells of latches and halts at the start of a life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witnesses {
    /// The journal's.
    pub latches: Latches,
    /// Why there is a halt file, if there is one; the error if that can't be read.
    pub file: Result<Option<String>, String>,
}

/// Whose working orders are cancelled.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CancelScope {
    /// Everybody's.
    All,
    /// One strategy's.
    Strategy(StrategyId),
}

/// What the kill switch is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KillSwitchEvent {
    /// The journal is durable up to the fence; this is what is known.
    Recovered(Box<Witnesses>),
    /// Halt.
    Halt {
        /// Why.
        reason: String,
        /// Who waits for the acknowledgement.
        asker: Option<Asker>,
    },
    /// Somebody else (the watchdog) has halted the wire.
    Fenced {
        /// Why.
        reason: String,
    },
    /// A person releases every latch.
    Resume {
        /// Who.
        by: String,
        /// Who waits for the answer.
        asker: Asker,
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
    /// Answer to [`KillSwitchEffect::HaltWire`].
    WireHalted,
    /// Answer to [`KillSwitchEffect::OpenWire`]; it stays halted if somebody halted meanwhile.
    WireOpened,
    /// Answer to [`KillSwitchEffect::WriteFile`].
    FileWritten(Result<(), String>),
    /// Answer to [`KillSwitchEffect::RemoveFile`].
    FileRemoved(Result<(), String>),
    /// Answer to [`KillSwitchEffect::Cancel`].
    DeskTold {
        /// Whose orders.
        scope: CancelScope,
        /// The desk has it.
        taken: bool,
    },
    /// The moment of [`KillSwitch::next_wake`] has come.
    Wake,
}

/// What the shell does, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KillSwitchEffect {
    /// Halt the wire: when it is done no write is in flight and none cleared before can follow.
    HaltWire {
        /// Why.
        reason: String,
    },
    /// Open the wire, under the next epoch, unless somebody halted it after `seen`.
    OpenWire {
        /// The epoch that the release was decided under.
        seen: HaltEpoch,
    },
    /// Write the halt file, durably.
    WriteFile {
        /// Why.
        reason: String,
    },
    /// Remove the halt file, durably.
    RemoveFile,
    /// Append this record.
    Record(Box<Record>),
    /// Publish these states, and tell strategies that they changed.
    Publish(TradingStates),
    /// Have the desk cancel working orders.
    Cancel {
        /// Whose.
        scope: CancelScope,
        /// Why.
        reason: String,
    },
    /// Tell a breaker that it is released.
    ReleaseBreaker {
        /// Which.
        name: String,
        /// What it guards.
        scope: String,
    },
    /// Acknowledge a halt with its epoch, or say why it can't be.
    AnswerHalt {
        /// Whom.
        asker: Asker,
        /// What was cleared before this epoch is never written.
        answer: Result<HaltEpoch, String>,
    },
    /// Answer a resume.
    AnswerResume {
        /// Whom.
        asker: Asker,
        /// Recorded, or why nothing was released.
        answer: Result<(), String>,
    },
    /// The latches are known and the states published.
    Ready,
    /// Too much waits: end this life.
    GiveUp(&'static str),
}

/// What it waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// The fence, of a halt.
    HaltWire { reason: String, asker: Option<Asker> },
    /// The file, of a halt.
    HaltFile { reason: String, asker: Option<Asker> },
    /// The fence, of a latch that leads to Halted.
    TripWire { latch: Latch, reason: String },
    /// The fence, of a life that begins halted; whether the halt needs a latch of its own.
    StartWire { reason: String, latch: bool },
    /// The file, of a resume.
    ResumeFile { by: String, asker: Asker },
    /// The fence, of a resume.
    ResumeWire { breakers: Vec<(String, String)>, asker: Asker },
}

/// The machine of one life.
#[derive(Clone, Debug, Default)]
pub struct KillSwitch {
    /// Unknown until it has recovered.
    latches: Option<Latches>,
    step: Option<Step>,
    waiting: VecDeque<KillSwitchEvent>,
    /// Cancels that the desk hasn't taken.
    untold: BTreeMap<CancelScope, String>,
    retell_at: Option<ProcessTime>,
}

impl KillSwitch {
    /// One that knows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The latches, once they are known.
    #[must_use]
    pub const fn latches(&self) -> Option<&Latches> {
        self.latches.as_ref()
    }

    /// When it wants [`KillSwitchEvent::Wake`], and why.
    #[must_use]
    pub fn next_wake(&self) -> Option<(ProcessTime, &'static str)> {
        self.retell_at.map(|at| (at, "tell the desk again"))
    }

    /// Takes one event. Answers belong to the effects of the call before; other events may come at
    /// any time and wait their turn.
    pub fn on(
        &mut self,
        event: KillSwitchEvent,
        wire: &WireSeen,
        now: ProcessTime,
    ) -> Vec<KillSwitchEffect> {
        let mut effects = Vec::new();
        match event {
            KillSwitchEvent::DeskTold { scope, taken } => self.on_told(&scope, taken, now),
            KillSwitchEvent::Wake => self.retell(now, &mut effects),
            KillSwitchEvent::WireHalted
            | KillSwitchEvent::WireOpened
            | KillSwitchEvent::FileWritten(_)
            | KillSwitchEvent::FileRemoved(_) => self.go_on(event, wire, &mut effects),
            KillSwitchEvent::Recovered(_)
            | KillSwitchEvent::Halt { .. }
            | KillSwitchEvent::Fenced { .. }
            | KillSwitchEvent::Resume { .. }
            | KillSwitchEvent::Trip { .. } => self.waiting.push_back(event),
        }
        while self.step.is_none()
            && let Some(event) = self.next_event()
        {
            self.begin(event, wire, &mut effects);
        }
        if self.waiting.len() > WAITING_MAX {
            let why = "the journal does not become durable in time";
            effects.push(KillSwitchEffect::GiveUp(why));
        }
        effects
    }

    /// Before it has recovered only a halt is taken up: the fence and the file hold it.
    fn next_event(&mut self) -> Option<KillSwitchEvent> {
        if self.latches.is_some() {
            return self.waiting.pop_front();
        }
        let urgent = |event: &KillSwitchEvent| {
            matches!(event, KillSwitchEvent::Halt { .. } | KillSwitchEvent::Recovered(_))
        };
        let at = self.waiting.iter().position(urgent)?;
        self.waiting.remove(at)
    }

    fn begin(
        &mut self,
        event: KillSwitchEvent,
        wire: &WireSeen,
        effects: &mut Vec<KillSwitchEffect>,
    ) {
        match event {
            KillSwitchEvent::Recovered(witnesses) => self.on_recovered(*witnesses, wire, effects),
            KillSwitchEvent::Halt { reason, asker } => {
                effects.push(KillSwitchEffect::HaltWire { reason: reason.clone() });
                self.step = Some(Step::HaltWire { reason, asker });
            }
            KillSwitchEvent::Fenced { reason } => {
                if wire.halted.is_some() {
                    self.trip_halted(Latch::Halt, reason, wire, effects);
                } else {
                    // A resume came between: the wire is halted anew before anything else.
                    effects.push(KillSwitchEffect::HaltWire { reason: reason.clone() });
                    self.step = Some(Step::TripWire { latch: Latch::Halt, reason });
                }
            }
            KillSwitchEvent::Resume { by, asker } => {
                effects.push(KillSwitchEffect::RemoveFile);
                self.step = Some(Step::ResumeFile { by, asker });
            }
            KillSwitchEvent::Trip { latch, state: TradingState::Halted, reason } => {
                effects.push(KillSwitchEffect::HaltWire { reason: reason.clone() });
                self.step = Some(Step::TripWire { latch, reason });
            }
            KillSwitchEvent::Trip { latch, state, reason } => {
                if let Latch::Quarantine(strategy) = &latch {
                    let scope = CancelScope::Strategy(strategy.clone());
                    self.cancel(scope, reason.clone(), effects);
                }
                self.trip(latch, state, reason, wire, effects);
            }
            KillSwitchEvent::WireHalted
            | KillSwitchEvent::WireOpened
            | KillSwitchEvent::FileWritten(_)
            | KillSwitchEvent::FileRemoved(_)
            | KillSwitchEvent::DeskTold { .. }
            | KillSwitchEvent::Wake => {}
        }
    }

    /// An answer; one that nobody waits for changes nothing.
    fn go_on(
        &mut self,
        answer: KillSwitchEvent,
        wire: &WireSeen,
        effects: &mut Vec<KillSwitchEffect>,
    ) {
        match (self.step.take(), answer) {
            (Some(Step::HaltWire { reason, asker }), KillSwitchEvent::WireHalted) => {
                effects.push(KillSwitchEffect::WriteFile { reason: reason.clone() });
                self.step = Some(Step::HaltFile { reason, asker });
            }
            (Some(Step::HaltFile { reason, asker }), KillSwitchEvent::FileWritten(written)) => {
                if let Some(asker) = asker {
                    let answer = written.map(|()| wire.halt_epoch);
                    effects.push(KillSwitchEffect::AnswerHalt { asker, answer });
                }
                if self.latches.is_some() {
                    self.trip_halted(Latch::Halt, reason, wire, effects);
                } else {
                    self.waiting.push_back(KillSwitchEvent::Fenced { reason });
                }
            }
            (Some(Step::TripWire { latch, reason }), KillSwitchEvent::WireHalted) => {
                self.trip_halted(latch, reason, wire, effects);
            }
            (Some(Step::StartWire { reason, latch }), KillSwitchEvent::WireHalted) => {
                self.start_halted(reason, latch, wire, effects);
            }
            (Some(Step::ResumeFile { by, asker }), KillSwitchEvent::FileRemoved(removed)) => {
                match removed {
                    Ok(()) => self.release_all(&by, asker, wire, effects),
                    Err(why) => {
                        let answer = Err(why);
                        effects.push(KillSwitchEffect::AnswerResume { asker, answer });
                    }
                }
            }
            (Some(Step::ResumeWire { breakers, asker }), KillSwitchEvent::WireOpened) => {
                self.publish(wire, effects);
                let released = |(name, scope)| KillSwitchEffect::ReleaseBreaker { name, scope };
                effects.extend(breakers.into_iter().map(released));
                effects.push(KillSwitchEffect::AnswerResume { asker, answer: Ok(()) });
            }
            (step, _) => self.step = step,
        }
    }

    /// The journal, the file, the fence, the start itself: one witness of a halt is enough.
    fn on_recovered(
        &mut self,
        witnesses: Witnesses,
        wire: &WireSeen,
        effects: &mut Vec<KillSwitchEffect>,
    ) {
        let Witnesses { latches, file } = witnesses;
        let from_file = file.unwrap_or_else(|why| Some(format!("the halt file: {why}")));
        let of_halt = latches.tripped.get(&Latch::Halt).map(|halt| halt.reason.clone());
        let elsewhere = from_file.or_else(|| wire.halted.clone());
        let account = latches.trading_states().account == TradingState::Halted;
        let halted = |tripped: &&crate::fold::Tripped| tripped.state == TradingState::Halted;
        let of_breaker = latches.tripped.values().find(halted).filter(|_| account);
        let latch = of_halt.is_none() && elsewhere.is_some();
        let of_breaker = of_breaker.map(|tripped| tripped.reason.clone());
        let reason = of_halt.or(elsewhere).or(of_breaker);
        self.latches = Some(latches);
        match reason {
            None => self.ready(wire, effects),
            Some(reason) if wire.halted.is_some() => {
                self.start_halted(reason, latch, wire, effects);
            }
            Some(reason) => {
                effects.push(KillSwitchEffect::HaltWire { reason: reason.clone() });
                self.step = Some(Step::StartWire { reason, latch });
            }
        }
    }

    fn start_halted(
        &mut self,
        reason: String,
        latch: bool,
        wire: &WireSeen,
        effects: &mut Vec<KillSwitchEffect>,
    ) {
        self.cancel(CancelScope::All, reason.clone(), effects);
        if latch {
            self.trip(Latch::Halt, TradingState::Halted, reason, wire, effects);
        }
        self.ready(wire, effects);
    }

    fn ready(&self, wire: &WireSeen, effects: &mut Vec<KillSwitchEffect>) {
        self.publish(wire, effects);
        effects.push(KillSwitchEffect::Ready);
    }

    /// The wire is halted already.
    fn trip_halted(
        &mut self,
        latch: Latch,
        reason: String,
        wire: &WireSeen,
        effects: &mut Vec<KillSwitchEffect>,
    ) {
        self.cancel(CancelScope::All, reason.clone(), effects);
        self.trip(latch, TradingState::Halted, reason, wire, effects);
    }

    /// Latches it, unless it is latched as strictly already.
    fn trip(
        &mut self,
        latch: Latch,
        state: TradingState,
        reason: String,
        wire: &WireSeen,
        effects: &mut Vec<KillSwitchEffect>,
    ) {
        let Some(latches) = &mut self.latches else { return };
        if latches.tripped.get(&latch).is_some_and(|tripped| tripped.state >= state) {
            self.publish(wire, effects);
            return;
        }
        let record = Record::Tripped { latch, state, reason, halt_epoch: wire.halt_epoch };
        latches.apply(&record);
        self.publish(wire, effects);
        effects.push(KillSwitchEffect::Record(Box::new(record)));
    }

    fn release_all(
        &mut self,
        by: &str,
        asker: Asker,
        wire: &WireSeen,
        effects: &mut Vec<KillSwitchEffect>,
    ) {
        let Some(latches) = &mut self.latches else { return };
        self.untold.clear();
        self.retell_at = None;
        let seen = wire.halt_epoch;
        // The epoch that begins when the wire opens.
        let halt_epoch = HaltEpoch(seen.0 + 1);
        let mut breakers = Vec::new();
        let tripped: Vec<Latch> = latches.tripped.keys().cloned().collect();
        for latch in tripped {
            if let Latch::Breaker { name, scope } = &latch {
                breakers.push((name.clone(), scope.clone()));
            }
            let record = Record::Released { latch, by: by.to_owned(), halt_epoch };
            latches.apply(&record);
            effects.push(KillSwitchEffect::Record(Box::new(record)));
        }
        effects.push(KillSwitchEffect::OpenWire { seen });
        self.step = Some(Step::ResumeWire { breakers, asker });
    }

    /// The latches' states; a halted wire stops the account, latched or not.
    fn publish(&self, wire: &WireSeen, effects: &mut Vec<KillSwitchEffect>) {
        let Some(latches) = &self.latches else { return };
        let mut states = latches.trading_states();
        states.halt_epoch = wire.halt_epoch;
        if wire.halted.is_some() {
            states.account = TradingState::Halted;
        }
        effects.push(KillSwitchEffect::Publish(states));
    }

    fn cancel(&mut self, scope: CancelScope, reason: String, effects: &mut Vec<KillSwitchEffect>) {
        self.untold.insert(scope.clone(), reason.clone());
        effects.push(KillSwitchEffect::Cancel { scope, reason });
    }

    fn on_told(&mut self, scope: &CancelScope, taken: bool, now: ProcessTime) {
        if taken {
            self.untold.remove(scope);
        }
        self.retell_at = (!self.untold.is_empty()).then(|| now + RETELL);
    }

    fn retell(&mut self, now: ProcessTime, effects: &mut Vec<KillSwitchEffect>) {
        if self.retell_at.take_if(|at| *at <= now).is_some() {
            let again = |(scope, reason): (&CancelScope, &String)| KillSwitchEffect::Cancel {
                scope: scope.clone(),
                reason: reason.clone(),
            };
            effects.extend(self.untold.iter().map(again));
        }
    }
}

#[cfg(test)]
mod tests;
