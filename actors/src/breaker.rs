//! A breaker's role: one of `loss`, `regime` and `technical`, each in a seat of its own so that the
//! death of one leaves the others watching.
//!
//! *Restart:* what is latched comes back from the journal as tripped; what was counted towards a
//! trip begins again.
//! *Loses:* the counts of one window.

use crate::book_keeper::BookKeeper;
use crate::journal::JournalPort;
use crate::messages::{BreakerMessage, KillSwitchMessage};
use crate::runtime::role::{Context, Role, RoleError};
use crate::runtime::role_ref::RoleRef;
use ::risk::breaker::watch::{Watch, Watcher};
use ::risk::breaker::{BreakerLimits, Trip};
use desk::record::Latch;
use market::time::ProcessTime;
use std::collections::VecDeque;
use std::time::Duration;

/// Trips that the kill switch has not taken yet; one a breaker and scope, so few.
const UNTAKEN_MAX: usize = 256;
/// Between two tries to hand a trip over.
const RETRY: Duration = Duration::from_millis(100);

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

/// The role.
pub struct BreakerRole {
    spec: BreakerSpec,
    machine: Watcher,
    untaken: VecDeque<Trip>,
    retry: Option<ProcessTime>,
}

impl BreakerRole {
    /// Restores what is latched.
    pub fn start(spec: &BreakerSpec, cx: &mut Context<BreakerMessage>) -> Result<Self, RoleError> {
        let mut machine = Watcher::new(spec.watch, spec.limits.clone());
        let latched: Vec<Latch> = spec
            .keeper
            .now(&spec.journal, |books| books.latches.tripped.keys().cloned().collect())
            .map_err(RoleError::failed)?;
        for latch in latched {
            if let Latch::Breaker { name, scope } = latch {
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
                self.untaken.extend(self.machine.on(&event, cx.now()));
                if self.untaken.len() > UNTAKEN_MAX {
                    return Err(RoleError::failed("the kill switch takes no trips"));
                }
                self.hand_over(cx);
            }
            BreakerMessage::Released { name, scope } => {
                self.machine.release(&name, &scope, cx.now());
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
