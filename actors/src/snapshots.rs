//! The snapshots' role: a fold of the durable journal to sled, at intervals and on request.
//!
//! *Restart:* opens the store again; a damaged one is set aside and begun anew.
//! *Loses:* nothing: the journal alone is sufficient.

use crate::book_keeper::BookKeeper;
use crate::journal::JournalPort;
use crate::runtime::role::{Context, Role, RoleError, RoleMessage};
use market::time::ProcessTime;
use std::sync::Arc;
use std::time::Duration;
use store::{Seq, SnapshotHead, SnapshotStore};
use tokio::sync::oneshot;

/// Opens the store of one incarnation.
pub type OpenSnapshots = Arc<dyn Fn() -> Result<Box<dyn SnapshotStore>, String> + Send + Sync>;

/// What the snapshots' role needs.
#[derive(Clone)]
pub struct SnapshotsSpec {
    /// Opens the store.
    pub open: OpenSnapshots,
    /// Folds the journal.
    pub keeper: BookKeeper,
    /// How far it is durable.
    pub journal: JournalPort,
    /// Between two snapshots.
    pub interval: Duration,
    /// Records between two snapshots, if that comes first.
    pub records: u64,
}

/// A snapshot that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotTaken {
    /// The state at this record.
    pub seq: Seq,
    /// Its hash.
    pub state_hash: String,
}

/// What the snapshots' role is told.
#[derive(Debug)]
pub enum SnapshotsMessage {
    /// Take one now.
    Create(oneshot::Sender<Result<SnapshotTaken, String>>),
    /// Which are kept, oldest first.
    List(oneshot::Sender<Result<Vec<SnapshotHead>, String>>),
}

impl RoleMessage for SnapshotsMessage {
    fn label(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::List(_) => "list",
        }
    }
}

/// The role.
pub struct SnapshotsRole {
    spec: SnapshotsSpec,
    store: Box<dyn SnapshotStore>,
    last: Seq,
    /// When the next one is due, however few records there are.
    due: ProcessTime,
    look: ProcessTime,
}

/// How often the number of new records is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

impl SnapshotsRole {
    /// Opens the store.
    pub fn start(
        spec: &SnapshotsSpec,
        cx: &mut Context<SnapshotsMessage>,
    ) -> Result<Self, RoleError> {
        let store = (spec.open)().map_err(RoleError::failed)?;
        cx.ready();
        let look = cx.now().process + spec.interval.min(LOOK_EVERY);
        Ok(Self { spec: spec.clone(), store, last: Seq::ZERO, due: look, look })
    }

    fn create(&mut self) -> Result<SnapshotTaken, String> {
        let taken = self.spec.keeper.snapshot(&self.spec.journal);
        let (snapshot, state_hash) = taken.map_err(|error| error.to_string())?;
        let seq = snapshot.seq;
        self.store.put(&snapshot).map_err(|error| error.to_string())?;
        self.store.set_high_water(seq).map_err(|error| error.to_string())?;
        self.last = seq;
        crate::runtime::metrics::SNAPSHOT.gauge(&[]).set(seq.0 as f64);
        Ok(SnapshotTaken { seq, state_hash })
    }
}

impl Role for SnapshotsRole {
    type Message = SnapshotsMessage;

    fn handle(
        &mut self,
        message: SnapshotsMessage,
        _: &mut Context<SnapshotsMessage>,
    ) -> Result<(), RoleError> {
        match message {
            SnapshotsMessage::Create(reply) => {
                let result = self.create();
                // The asker may have given up; the snapshot is taken all the same.
                let _ = reply.send(result);
            }
            SnapshotsMessage::List(reply) => {
                let _ = reply.send(self.store.list().map_err(|error| error.to_string()));
            }
        }
        Ok(())
    }

    fn next_wake(&self) -> Option<(ProcessTime, &'static str)> {
        Some((self.look, "snapshot"))
    }

    fn on_wake(&mut self, cx: &mut Context<SnapshotsMessage>) -> Result<(), RoleError> {
        let now = cx.now().process;
        self.look = now + self.spec.interval.min(LOOK_EVERY);
        let fresh = self.spec.journal.durable().0.saturating_sub(self.last.0);
        if now >= self.due || fresh >= self.spec.records {
            self.due = now + self.spec.interval;
            if fresh > 0 {
                self.create().map_err(RoleError::failed)?;
            }
        }
        Ok(())
    }

    fn stopping(&mut self, _: &mut Context<SnapshotsMessage>) {
        if let Err(reason) = self.create() {
            tracing::warn!(reason, "no last snapshot; the journal has everything");
        }
    }
}
