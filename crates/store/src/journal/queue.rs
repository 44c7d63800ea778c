//! Where records get their numbers and wait to be written.
//!
//! [`JournalHandle::append`] numbers records under a short lock and never touches a file, so that
//! a caller's decision is in order at once and durable later. The queue is bounded and refuses; it
//! never drops. Fences live here too: they decide who may still append, which is a matter of order.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use thiserror::Error;

use crate::envelope::{CONTROL_KIND, NewRecord, WriterTag, encoded_bytes};
use crate::seq::{Seq, SeqRange};
use crate::sync::{AtomicU8, AtomicU64, Condvar, Mutex, MutexGuard, Ordering, wait_while};

/// Why an append was refused. Nothing of it was queued.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AppendError {
    /// Too much waits to be written: deny new work and try again after the watermark moves.
    #[error("journal queue is full ({records} records, {bytes} bytes wait): try again later")]
    Full {
        /// How many records wait.
        records: usize,
        /// How many bytes wait.
        bytes: usize,
    },
    /// The role lives on in a newer generation.
    #[error("{role} generation {generation} is fenced, generation {current} writes now: stop")]
    Fenced {
        /// The role.
        role: String,
        /// The generation that tried.
        generation: u32,
        /// The one that may write.
        current: u32,
    },
    /// More bytes than ever fit.
    #[error("append of {bytes} bytes is larger than the journal takes ({limit}): split it")]
    TooLarge {
        /// Bytes of the record or of the whole append, envelopes included.
        bytes: usize,
        /// The most that is taken.
        limit: usize,
    },
    /// More records than ever fit.
    #[error("append of {records} records is longer than the journal takes ({limit}): split it")]
    TooMany {
        /// How many.
        records: usize,
        /// The most that is taken.
        limit: usize,
    },
    /// An append without records has no place in the order.
    #[error("append without records")]
    Empty,
    /// Kind 0 is the journal's own.
    #[error("record kind {CONTROL_KIND} belongs to the journal: choose another")]
    ReservedKind,
    /// A write or sync failed.
    #[error("the journal failed and accepts nothing more: cancel only, then stop")]
    Failed,
    /// The journal was closed.
    #[error("the journal is closed")]
    Closed,
}

/// What the journal can still do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalState {
    /// It takes records and writes them.
    Open,
    /// It takes records until its queue is full, and tries to write them: the disk has no space.
    StorageFull,
    /// A write or sync failed. What is not durable may be lost; nothing is accepted.
    Failed,
    /// It was closed, or its writer is gone.
    Closed,
}

impl JournalState {
    const ALL: [JournalState; 4] =
        [JournalState::Open, JournalState::StorageFull, JournalState::Failed, JournalState::Closed];
}

pub(crate) struct QueueBounds {
    pub records: usize,
    pub bytes: usize,
    pub record_bytes: usize,
}

pub(crate) struct Queued {
    pub seq: Seq,
    pub tag: Arc<WriterTag>,
    pub time_ns: i64,
    pub record: NewRecord,
}

#[derive(Default)]
struct Queue {
    last_assigned: Seq,
    waiting: VecDeque<Queued>,
    waiting_bytes: usize,
    generations: BTreeMap<String, u32>,
}

type WorkHook = Arc<dyn Fn() + Send + Sync>;
type DurableHook = Arc<dyn Fn(Seq) + Send + Sync>;
type StateHook = Arc<dyn Fn(JournalState) + Send + Sync>;

#[derive(Default)]
struct Hooks {
    work: Vec<WorkHook>,
    durable: Vec<DurableHook>,
    state: Vec<StateHook>,
}

struct Shared {
    bounds: QueueBounds,
    queue: Mutex<Queue>,
    work: Condvar,
    durable: AtomicU64,
    state: AtomicU8,
    hooks: Mutex<Hooks>,
}

/// The address of a journal: clones are the same queue.
#[derive(Clone)]
pub struct JournalHandle {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for JournalHandle {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("JournalHandle")
            .field("durable", &self.durable())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

impl JournalHandle {
    pub(crate) fn new(last_seq: Seq, bounds: QueueBounds) -> JournalHandle {
        let queue = Queue { last_assigned: last_seq, ..Queue::default() };
        JournalHandle {
            shared: Arc::new(Shared {
                bounds,
                queue: Mutex::new(queue),
                work: Condvar::new(),
                durable: AtomicU64::new(last_seq.0),
                state: AtomicU8::new(JournalState::Open as u8),
                hooks: Mutex::new(Hooks::default()),
            }),
        }
    }

    /// Numbers records and queues them, in one piece of the order: nothing comes between them.
    /// They are durable, in this order, once [`JournalHandle::durable`] has reached them; a crash
    /// may keep the first of them and lose the rest.
    ///
    /// # Errors
    /// See [`AppendError`]; nothing was queued.
    pub fn append(
        &self,
        writer: &WriterTag,
        time_ns: i64,
        records: Vec<NewRecord>,
    ) -> Result<SeqRange, AppendError> {
        if records.iter().any(|record| record.kind == CONTROL_KIND) {
            return Err(AppendError::ReservedKind);
        }
        let bytes = self.check_size(writer, &records)?;
        let mut queue = self.queue();
        self.check_writer(&queue, writer)?;
        let count = records.len();
        let full = queue.waiting.len() + count > self.shared.bounds.records
            || queue.waiting_bytes + bytes > self.shared.bounds.bytes;
        if full && !queue.waiting.is_empty() {
            let (records, bytes) = (queue.waiting.len(), queue.waiting_bytes);
            return Err(AppendError::Full { records, bytes });
        }
        let range = queue.push(writer, time_ns, records, bytes);
        drop(queue);
        self.shared.work.notify_one();
        let hooks = self.hooks().work.clone();
        hooks.iter().for_each(|hook| hook());
        Ok(range)
    }

    fn check_size(&self, writer: &WriterTag, records: &[NewRecord]) -> Result<usize, AppendError> {
        let bounds = &self.shared.bounds;
        if records.is_empty() {
            return Err(AppendError::Empty);
        }
        if records.len() > bounds.records {
            return Err(AppendError::TooMany { records: records.len(), limit: bounds.records });
        }
        let mut total = 0;
        for record in records {
            let bytes = encoded_bytes(writer.role(), &record.payload);
            if bytes > bounds.record_bytes {
                return Err(AppendError::TooLarge { bytes, limit: bounds.record_bytes });
            }
            total += bytes;
        }
        let limit = bounds.bytes.max(bounds.record_bytes);
        if total > limit {
            return Err(AppendError::TooLarge { bytes: total, limit });
        }
        Ok(total)
    }

    fn check_writer(&self, queue: &Queue, writer: &WriterTag) -> Result<(), AppendError> {
        match self.state() {
            JournalState::Open | JournalState::StorageFull => {}
            JournalState::Failed => return Err(AppendError::Failed),
            JournalState::Closed => return Err(AppendError::Closed),
        }
        match queue.generations.get(writer.role()) {
            Some(current) if *current > writer.generation() => Err(AppendError::Fenced {
                role: writer.role().to_owned(),
                generation: writer.generation(),
                current: *current,
            }),
            Some(_) | None => Ok(()),
        }
    }

    /// Shuts out every older generation of the role. What it appended before is settled: fold up
    /// to the answer, once that is durable, and nothing of the old life can follow.
    ///
    /// # Errors
    /// [`AppendError::Fenced`] if a newer generation was here before, `Failed`, `Closed`.
    pub fn fence(&self, writer: &WriterTag) -> Result<Seq, AppendError> {
        let mut queue = self.queue();
        self.check_writer(&queue, writer)?;
        queue.generations.insert(writer.role().to_owned(), writer.generation());
        Ok(queue.last_assigned)
    }

    /// Up to here, everything survives a crash.
    pub fn durable(&self) -> Seq {
        Seq(self.shared.durable.load(Ordering::Acquire))
    }

    /// The last number given out.
    pub fn last_assigned(&self) -> Seq {
        self.queue().last_assigned
    }

    /// How many records, and how many bytes, wait to be taken by the writer.
    pub fn waiting(&self) -> (usize, usize) {
        let queue = self.queue();
        (queue.waiting.len(), queue.waiting_bytes)
    }

    /// What the journal can still do.
    pub fn state(&self) -> JournalState {
        let state = usize::from(self.shared.state.load(Ordering::Acquire));
        JournalState::ALL[state.min(JournalState::ALL.len() - 1)]
    }

    /// Refuses appends from now on. What waits is still written.
    pub fn close(&self) {
        self.set_state(JournalState::Closed);
    }

    /// Adds a hook that is called after something was queued, on the thread that appended.
    pub fn on_work(&self, hook: Box<dyn Fn() + Send + Sync>) {
        self.hooks().work.push(Arc::from(hook));
    }

    /// Adds a hook that is called after the watermark moved, on the writer's thread: keep it short.
    pub fn on_durable(&self, hook: Box<dyn Fn(Seq) + Send + Sync>) {
        self.hooks().durable.push(Arc::from(hook));
    }

    /// Adds a hook that is called after the state changed, on the thread that changed it.
    pub fn on_state(&self, hook: Box<dyn Fn(JournalState) + Send + Sync>) {
        self.hooks().state.push(Arc::from(hook));
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hooks(&self) -> MutexGuard<'_, Hooks> {
        self.shared.hooks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Numbers a record of the journal itself, past every bound; it is not queued.
    pub(crate) fn number_control(
        &self,
        writer: &WriterTag,
        time_ns: i64,
        own: NewRecord,
    ) -> Queued {
        let mut queue = self.queue();
        queue.last_assigned = queue.last_assigned.next();
        Queued { seq: queue.last_assigned, tag: Arc::new(writer.clone()), time_ns, record: own }
    }

    pub(crate) fn drain(&self) -> VecDeque<Queued> {
        let mut queue = self.queue();
        queue.waiting_bytes = 0;
        std::mem::take(&mut queue.waiting)
    }

    /// Blocks until something waits or the journal is no longer open; at most `at_most`.
    pub(crate) fn wait_for_work(&self, at_most: Duration) {
        let queue = self.queue();
        let idle = |queue: &mut Queue| {
            queue.waiting.is_empty()
                && matches!(self.state(), JournalState::Open | JournalState::StorageFull)
        };
        wait_while(&self.shared.work, queue, at_most, idle);
    }

    pub(crate) fn advance(&self, durable: Seq) {
        self.shared.durable.store(durable.0, Ordering::Release);
        let hooks = self.hooks().durable.clone();
        hooks.iter().for_each(|hook| hook(durable));
    }

    /// Failed stays failed; closed may only become failed.
    pub(crate) fn set_state(&self, next: JournalState) {
        {
            let _ordered_with_appends = self.queue();
            let now = self.state();
            let stays = now == JournalState::Failed
                || (now == JournalState::Closed && next != JournalState::Failed);
            if stays || now == next {
                return;
            }
            self.shared.state.store(next as u8, Ordering::Release);
        }
        self.shared.work.notify_all();
        let hooks = self.hooks().state.clone();
        hooks.iter().for_each(|hook| hook(next));
    }
}

impl Queue {
    fn push(
        &mut self,
        writer: &WriterTag,
        time_ns: i64,
        records: Vec<NewRecord>,
        bytes: usize,
    ) -> SeqRange {
        let tag = Arc::new(writer.clone());
        let first = self.last_assigned.next();
        for record in records {
            self.last_assigned = self.last_assigned.next();
            let (seq, tag) = (self.last_assigned, Arc::clone(&tag));
            self.waiting.push_back(Queued { seq, tag, time_ns, record });
        }
        self.waiting_bytes += bytes;
        SeqRange { first, last: self.last_assigned }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle() -> JournalHandle {
        let bounds = QueueBounds { records: 3, bytes: 1_000, record_bytes: 2_000 };
        JournalHandle::new(Seq(10), bounds)
    }

    fn tag(generation: u32) -> WriterTag {
        WriterTag::new("desk", generation).unwrap()
    }

    fn record(payload_bytes: usize) -> NewRecord {
        let payload = vec![1; payload_bytes];
        NewRecord { kind: 1, schema_version: 1, checkpoint: false, payload }
    }

    #[test]
    fn numbers_continue_without_a_gap_and_refused_appends_take_none() {
        let journal = handle();
        let first = journal.append(&tag(1), 0, vec![record(1), record(1)]).unwrap();
        assert_eq!((first.first, first.last), (Seq(11), Seq(12)));
        let refused = journal.append(&tag(1), 0, vec![record(1), record(1)]).unwrap_err();
        assert!(matches!(refused, AppendError::Full { records: 2, .. }), "{refused}");
        let next = journal.append(&tag(1), 0, vec![record(1)]).unwrap();
        assert_eq!((next.first, journal.last_assigned()), (Seq(13), Seq(13)));
        assert_eq!(journal.durable(), Seq(10));
    }

    #[test]
    fn bytes_are_bounded_but_one_large_record_passes_an_empty_queue() {
        let journal = handle();
        journal.append(&tag(1), 0, vec![record(1_500)]).unwrap();
        let refused = journal.append(&tag(1), 0, vec![record(1)]).unwrap_err();
        assert!(matches!(refused, AppendError::Full { .. }), "{refused}");
        assert_eq!(journal.drain().len(), 1);
        journal.append(&tag(1), 0, vec![record(1)]).unwrap();
        let refused = journal.append(&tag(1), 0, vec![record(2_000)]).unwrap_err();
        assert!(matches!(refused, AppendError::TooLarge { limit: 2_000, .. }), "{refused}");
        let refused = journal.append(&tag(1), 0, vec![record(1); 4]).unwrap_err();
        assert_eq!(refused, AppendError::TooMany { records: 4, limit: 3 });
    }

    #[test]
    fn a_fence_shuts_out_older_generations_of_that_role_only() {
        let journal = handle();
        journal.append(&tag(1), 0, vec![record(1)]).unwrap();
        assert_eq!(journal.fence(&tag(2)), Ok(Seq(11)));
        let refused = journal.append(&tag(1), 0, vec![record(1)]).unwrap_err();
        assert!(matches!(refused, AppendError::Fenced { generation: 1, current: 2, .. }));
        assert!(journal.fence(&tag(1)).is_err());
        let other = WriterTag::new("risk", 1).unwrap();
        journal.append(&other, 0, vec![record(1)]).unwrap();
        journal.append(&tag(2), 0, vec![record(1)]).unwrap();
    }

    #[test]
    fn failure_is_final_and_closing_refuses() {
        let journal = handle();
        journal.close();
        assert_eq!(journal.append(&tag(1), 0, vec![record(1)]), Err(AppendError::Closed));
        journal.set_state(JournalState::Failed);
        journal.close();
        journal.set_state(JournalState::Open);
        assert_eq!(journal.append(&tag(1), 0, vec![record(1)]), Err(AppendError::Failed));
        assert_eq!(journal.fence(&tag(1)), Err(AppendError::Failed));
    }

    #[test]
    fn empty_appends_and_the_journals_own_kind_are_refused() {
        let journal = handle();
        assert_eq!(journal.append(&tag(1), 0, vec![]), Err(AppendError::Empty));
        let own = NewRecord { kind: CONTROL_KIND, ..record(1) };
        assert_eq!(journal.append(&tag(1), 0, vec![own]), Err(AppendError::ReservedKind));
    }
}

#[cfg(all(test, loom))]
mod under_loom;
