//! A breaker's role: one of `loss`, `regime` and `technical`, each in a seat of its own so that the
//! death of one leaves the others watching.
//!
//! *Restart:* what is latched comes back from the journal as tripped; what was counted towards a
//! trip begins again.
//! *Loses:* the counts of one window.

use crate::book_keeper::BookKeeper;
use crate::journal::JournalPort;
use crate::kill_switch::KillSwitchMessage;
use crate::runtime::role::{Context, Role, RoleError, RoleMessage};
use crate::runtime::role_ref::RoleRef;
use ::risk::breaker::{BreakerEvent, BreakerLimits, Breakers, Trip};
use desk::record::Latch;
use market::time::ProcessTime;
use std::collections::VecDeque;
use std::time::Duration;

/// Trips that the kill switch has not taken yet; one a breaker and scope, so few.
const UNTAKEN_MAX: usize = 256;
/// Between two tries to hand a trip over.
const RETRY: Duration = Duration::from_millis(100);

/// Which breakers a role watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// The day's loss.
    Loss,
    /// Volatility, and exposure that stays outside its limits.
    Regime,
    /// Rejections, restarts, stale data.
    Technical,
}

impl Watch {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Loss, Self::Regime, Self::Technical];

    /// The role's path.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Loss => "breaker/loss",
            Self::Regime => "breaker/regime",
            Self::Technical => "breaker/technical",
        }
    }

    fn owns(self, breaker: &str) -> bool {
        match self {
            Self::Loss => breaker == "loss",
            Self::Regime => breaker == "regime" || breaker == "exposure",
            Self::Technical => breaker == "technical",
        }
    }

    /// Whether an event concerns it.
    #[must_use]
    pub const fn hears(self, event: &BreakerEvent) -> bool {
        match (self, event) {
            (Self::Loss, BreakerEvent::Day(_) | BreakerEvent::NewDay)
            | (Self::Regime | Self::Technical, BreakerEvent::View { .. })
            | (Self::Technical, BreakerEvent::Rejected | BreakerEvent::Restarted) => true,
            (
                Self::Loss,
                BreakerEvent::View { .. } | BreakerEvent::Rejected | BreakerEvent::Restarted,
            )
            | (
                Self::Regime,
                BreakerEvent::Day(_)
                | BreakerEvent::NewDay
                | BreakerEvent::Rejected
                | BreakerEvent::Restarted,
            )
            | (Self::Technical, BreakerEvent::Day(_) | BreakerEvent::NewDay) => false,
        }
    }
}

/// What a breaker needs.
#[derive(Clone)]
pub struct BreakerSpec {
    /// Which.
    pub watch: Watch,
    /// The bounds.
    pub limits: BreakerLimits,
    /// Where latches come from.
    pub keeper: BookKeeper,
    /// How far that is durable.
    pub journal: JournalPort,
    /// Who latches a trip.
    pub kill_switch: RoleRef<KillSwitchMessage>,
}

/// What a breaker is told.
#[derive(Clone, Debug)]
pub enum BreakerMessage {
    /// Something to judge.
    Event(BreakerEvent),
    /// A person released the latch.
    Released {
        /// Which breaker.
        name: String,
        /// What it guards.
        scope: String,
    },
}

impl RoleMessage for BreakerMessage {
    fn duplicate(&self) -> Option<Self> {
        Some(self.clone())
    }

    fn may_drop(&self) -> bool {
        // The next view or result says the same again; a rejection is counted once.
        matches!(self, Self::Event(BreakerEvent::Day(_) | BreakerEvent::View { .. }))
    }

    fn label(&self) -> &'static str {
        match self {
            Self::Event(_) => "event",
            Self::Released { .. } => "released",
        }
    }
}

/// The role.
pub struct BreakerRole {
    spec: BreakerSpec,
    machine: Breakers,
    untaken: VecDeque<Trip>,
    retry: Option<ProcessTime>,
}

impl BreakerRole {
    /// Restores what is latched.
    pub fn start(spec: &BreakerSpec, cx: &mut Context<BreakerMessage>) -> Result<Self, RoleError> {
        let mut machine = Breakers::new(spec.limits.clone());
        let latched: Vec<Latch> = spec
            .keeper
            .now(&spec.journal, |books| books.latches.tripped.keys().cloned().collect())
            .map_err(RoleError::failed)?;
        for latch in latched {
            if let Latch::Breaker { name, scope } = latch
                && spec.watch.owns(&name)
            {
                machine.restore(&name, &scope);
            }
        }
        cx.ready();
        Ok(Self { spec: spec.clone(), machine, untaken: VecDeque::new(), retry: None })
    }

    fn hand_over(&mut self, cx: &mut Context<BreakerMessage>) {
        while let Some(trip) = self.untaken.pop_front() {
            let message = KillSwitchMessage::Trip {
                latch: Latch::Breaker { name: trip.name.to_owned(), scope: trip.scope.clone() },
                state: trip.state,
                reason: trip.reason.clone(),
            };
            if self.spec.kill_switch.send(message).is_err() {
                self.untaken.push_front(trip);
                self.retry = Some(cx.now().process + RETRY);
                return;
            }
        }
        self.retry = None;
    }
}

impl Role for BreakerRole {
    type Message = BreakerMessage;

    fn handle(
        &mut self,
        message: BreakerMessage,
        cx: &mut Context<BreakerMessage>,
    ) -> Result<(), RoleError> {
        match message {
            BreakerMessage::Event(event) => {
                let trips = self.machine.on(&event, cx.now());
                let own = trips.into_iter().filter(|trip| self.spec.watch.owns(trip.name));
                self.untaken.extend(own);
                if self.untaken.len() > UNTAKEN_MAX {
                    return Err(RoleError::failed("the kill switch takes no trips"));
                }
                self.hand_over(cx);
            }
            BreakerMessage::Released { name, scope } => {
                if self.spec.watch.owns(&name) {
                    self.machine.release(&name, &scope, cx.now());
                }
            }
        }
        Ok(())
    }

    fn next_wake(&self) -> Option<(ProcessTime, &'static str)> {
        self.retry.map(|at| (at, "hand a trip over"))
    }

    fn on_wake(&mut self, cx: &mut Context<BreakerMessage>) -> Result<(), RoleError> {
        self.hand_over(cx);
        Ok(())
    }
}
