//! The table of the whole tree, for `tree --json`, the watchdog and the metrics.
//!
//! One [`Row`] per role, made when the tree is launched and living as long as it, so that
//! generations, restart counts and quarantine survive the supervisors that wrote them. Written
//! with relaxed atomics, read at any time; the order of rows is the order of the specification.

use super::policy::Beyond;
use super::role::RolePath;
use market::time::ProcessTime;
use serde::Serialize;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Upper bounds of the handler-time histogram of a row, in microseconds; one more bucket is open.
pub const HANDLER_BUCKETS_US: [u64; 7] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000];

/// Where a role is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Not started, or stopped with its supervisor.
    Stopped,
    /// Recovering.
    Starting,
    /// Handles messages, has not reported ready.
    Running,
    /// Handles messages and has what it needs.
    Ready,
    /// Asked to end.
    Stopping,
    /// Failed, waits for its restart.
    Backoff,
    /// Exited, the supervisor has not judged it yet.
    Failed,
    /// Down until an operator revives it.
    Quarantined,
    /// Ended for good.
    Finished,
}

impl Status {
    const ALL: [Self; 9] = [
        Self::Stopped,
        Self::Starting,
        Self::Running,
        Self::Ready,
        Self::Stopping,
        Self::Backoff,
        Self::Failed,
        Self::Quarantined,
        Self::Finished,
    ];

    /// Whether it handles messages.
    #[must_use]
    pub fn is_up(self) -> bool {
        matches!(self, Self::Running | Self::Ready)
    }
}

/// The entry of one role or supervisor.
#[derive(Debug)]
pub struct Row {
    path: RolePath,
    parent: Option<RolePath>,
    status: AtomicU8,
    generation: AtomicU64,
    restarts: AtomicU64,
    depth: AtomicU64,
    handled: AtomicU64,
    busy_since: AtomicU64,
    last_progress: AtomicU64,
    handler_us: [AtomicU64; HANDLER_BUCKETS_US.len() + 1],
    last_reason: Mutex<String>,
    bench: Mutex<Option<Beyond>>,
    /// Held by the state of the incarnation that lives: a replacement waits for it.
    pub(super) seat: Arc<Semaphore>,
}

/// One row as shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RowView {
    /// The role.
    pub role: RolePath,
    /// Its supervisor; none for the root.
    pub parent: Option<RolePath>,
    /// Where it is.
    pub status: Status,
    /// Its present or last incarnation, from 1.
    pub generation: u64,
    /// Restarts after failures.
    pub restarts: u64,
    /// Messages queued or in hand.
    pub queue_depth: u64,
    /// Messages and wake-ups handled, over all generations.
    pub handled: u64,
    /// Process time of the last handled message.
    pub last_progress: ProcessTime,
    /// Since when it handles the message in hand; none when idle.
    pub busy_since: Option<ProcessTime>,
    /// Counts per bucket of [`HANDLER_BUCKETS_US`], the last one open.
    pub handler_us: Vec<u64>,
    /// Why it last ended.
    pub last_reason: String,
}

impl Row {
    pub(super) fn new(path: RolePath, parent: Option<RolePath>) -> Self {
        Self {
            path,
            parent,
            status: AtomicU8::new(0),
            generation: AtomicU64::new(0),
            restarts: AtomicU64::new(0),
            depth: AtomicU64::new(0),
            handled: AtomicU64::new(0),
            busy_since: AtomicU64::new(0),
            last_progress: AtomicU64::new(0),
            handler_us: std::array::from_fn(|_| AtomicU64::new(0)),
            last_reason: Mutex::new(String::new()),
            bench: Mutex::new(None),
            seat: Arc::new(Semaphore::new(1)),
        }
    }

    /// The role.
    #[must_use]
    pub fn path(&self) -> &RolePath {
        &self.path
    }

    /// Where it is.
    #[must_use]
    pub fn status(&self) -> Status {
        let index = self.status.load(Ordering::Relaxed) as usize;
        Status::ALL.get(index).copied().unwrap_or(Status::Stopped)
    }

    /// Its present or last incarnation, from 1; 0 before the first.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// The row as shown.
    #[must_use]
    pub fn view(&self) -> RowView {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        // Stored plus one, so that zero can mean idle.
        let busy_since = read(&self.busy_since).checked_sub(1).map(ProcessTime::from_nanos);
        RowView {
            role: self.path.clone(),
            parent: self.parent.clone(),
            status: self.status(),
            generation: self.generation(),
            restarts: read(&self.restarts),
            queue_depth: read(&self.depth),
            handled: read(&self.handled),
            last_progress: ProcessTime::from_nanos(read(&self.last_progress)),
            busy_since,
            handler_us: self.handler_us.iter().map(read).collect(),
            last_reason: lock(&self.last_reason).clone(),
        }
    }

    pub(super) fn set_status(&self, status: Status) {
        self.status.store(status as u8, Ordering::Relaxed);
    }

    pub(super) fn set_generation(&self, generation: u64) {
        self.generation.store(generation, Ordering::Relaxed);
    }

    pub(super) fn set_depth(&self, depth: u64) {
        self.depth.store(depth, Ordering::Relaxed);
    }

    pub(super) fn count_restart(&self) {
        self.restarts.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn set_reason(&self, reason: &str) {
        reason.clone_into(&mut lock(&self.last_reason));
    }

    pub(super) fn bench(&self) -> Option<Beyond> {
        *lock(&self.bench)
    }

    pub(super) fn set_bench(&self, bench: Option<Beyond>) {
        *lock(&self.bench) = bench;
    }

    pub(super) fn begin(&self, at: ProcessTime) {
        self.busy_since.store(at.nanos().saturating_add(1), Ordering::Relaxed);
    }

    pub(super) fn end(&self, at: ProcessTime, took: Duration) {
        self.busy_since.store(0, Ordering::Relaxed);
        self.last_progress.store(at.nanos(), Ordering::Relaxed);
        self.handled.fetch_add(1, Ordering::Relaxed);
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = HANDLER_BUCKETS_US.iter().take_while(|bound| took_us > **bound).count();
        self.handler_us[bucket].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn idle(&self) {
        self.busy_since.store(0, Ordering::Relaxed);
    }
}

/// All rows of a tree. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TreeBoard(Arc<[Arc<Row>]>);

impl TreeBoard {
    pub(super) fn new(rows: Vec<Arc<Row>>) -> Self {
        Self(rows.into())
    }

    /// The rows in the order of the specification, parents before children.
    #[must_use]
    pub fn rows(&self) -> &[Arc<Row>] {
        &self.0
    }

    /// The row of a role.
    #[must_use]
    pub fn row(&self, path: &str) -> Option<&Arc<Row>> {
        self.0.iter().find(|row| row.path.as_str() == path)
    }

    /// The whole table as shown.
    #[must_use]
    pub fn view(&self) -> Vec<RowView> {
        self.0.iter().map(|row| row.view()).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
