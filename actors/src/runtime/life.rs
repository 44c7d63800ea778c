//! One incarnation of a child as its supervisor holds it: how to stop it, how it ended.
//!
//! Children aren't linked through ractor: it kills linked children in the order of a hash map, and
//! tells of an exit before the old state is dropped. Instead a ward task awaits the child's join
//! handle and reports, and a supervisor that ends in whatever way kills its children in reverse
//! order (its state's `Drop`).

use super::policy::Shutdown;
use super::supervision::events::{Event, Exit};
use super::supervisor::SupervisorMessage;
use ractor::{ActorCell, ActorRef};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Handle and fate of one incarnation.
#[derive(Debug)]
pub(super) struct Life {
    parent: Option<ActorRef<SupervisorMessage>>,
    child: usize,
    generation: u64,
    state: Mutex<LifeState>,
    killed: Notify,
}

#[derive(Debug, Default)]
struct LifeState {
    killed: bool,
    target: Option<Target>,
    exit: Option<Exit>,
}

/// What runs.
#[derive(Clone, Debug)]
pub(super) enum Target {
    Role(ActorCell),
    Supervisor(ActorRef<SupervisorMessage>),
}

impl Target {
    fn cell(&self) -> ActorCell {
        match self {
            Self::Role(cell) => cell.clone(),
            Self::Supervisor(actor) => actor.get_cell(),
        }
    }
}

impl Life {
    pub fn new(parent: Option<ActorRef<SupervisorMessage>>, child: usize, generation: u64) -> Self {
        Self { parent, child, generation, state: Mutex::default(), killed: Notify::new() }
    }

    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The actor exists. False when it was killed before it did: then it dies at once.
    pub fn attach(&self, target: Target) -> bool {
        let mut state = self.lock();
        if state.killed {
            target.cell().kill();
            return false;
        }
        state.target = Some(target);
        true
    }

    pub fn is_killed(&self) -> bool {
        self.lock().killed
    }

    /// Waits for a kill before the actor exists; the ward alone waits here.
    pub async fn killed(&self) {
        self.killed.notified().await;
    }

    /// Asks for the end; whoever isn't there yet is killed.
    pub fn stop(&self, how: Shutdown) {
        let target = self.lock().target.clone();
        match (target, how) {
            (None, _) | (_, Shutdown::Kill) => self.kill(),
            (Some(Target::Supervisor(actor)), _) => {
                // Refused only by one that has ended already.
                let _ = actor.cast(SupervisorMessage::Event(Event::Shutdown));
            }
            (Some(Target::Role(cell)), Shutdown::Graceful(_)) => cell.stop(None),
            (Some(Target::Role(cell)), Shutdown::Drain(_)) => {
                // As above.
                let _ = cell.drain();
            }
        }
    }

    /// The role ends itself.
    pub fn stop_itself(&self) {
        if let Some(target) = self.lock().target.clone() {
            target.cell().stop(None);
        }
    }

    pub fn kill(&self) {
        let mut state = self.lock();
        state.killed = true;
        self.killed.notify_one();
        if let Some(target) = &state.target {
            target.cell().kill();
        }
    }

    pub fn note_exit(&self, exit: Exit) {
        self.lock().exit.get_or_insert(exit);
    }

    /// How it ended: as noted, and killed where nothing was.
    pub fn take_exit(&self) -> Exit {
        self.lock().exit.take().unwrap_or_else(|| Exit::Abnormal("killed".to_owned()))
    }

    pub fn report_started(&self) {
        self.report(Event::Started { child: self.child, generation: self.generation });
    }

    pub fn report_readiness(&self, ready: bool) {
        let (child, generation) = (self.child, self.generation);
        self.report(Event::Readiness { child, generation, ready });
    }

    pub fn report_exit(&self, exit: Exit) {
        self.report(Event::Exited { child: self.child, generation: self.generation, exit });
    }

    fn report(&self, event: Event) {
        if let Some(parent) = &self.parent {
            // A supervisor that has ended has killed us already.
            let _ = parent.cast(SupervisorMessage::Event(event));
        }
    }

    fn lock(&self) -> MutexGuard<'_, LifeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
