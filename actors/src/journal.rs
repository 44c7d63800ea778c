//! The journal's role: opens the files, owns the writer, tells everyone how far things are durable.
//!
//! Roles append through [`JournalPort`], which numbers records at once; the writer (a thread of its
//! own in production, a step of this role under virtual time) makes them durable behind their
//! backs.
//!
//! *Restart:* reopens the files, which begins a new epoch; everything that appends restarts with
//! it.
//! *Loses:* what was queued and not durable; nobody has acted on it.

use crate::runtime::clock::Clock;
use crate::runtime::metrics;
use crate::runtime::role::{Context, Role, RoleError, RoleMessage};
use arc_swap::ArcSwapOption;
use desk::record::{Record, SCHEMA_VERSION};
use market::time::{ProcessTime, Timestamp};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::journal::open;
use store::{
    AppendError, Disk, JournalError, JournalHandle, JournalOptions, JournalState, JournalWriter,
    NewRecord, Recovery, SchemaLimits, Seq, SeqRange, ThreadEnd, WriterTag, WriterThread,
    spawn_writer_thread,
};

/// How long the writer's thread may take to end before the process must not go on.
const JOIN_PATIENCE: Duration = Duration::from_secs(2);

/// Where roles append. Survives restarts of the journal's role.
#[derive(Clone, Default)]
pub struct JournalPort(Arc<PortState>);

type DurableHook = Box<dyn Fn(Seq) + Send + Sync>;
type Listener = Arc<dyn Fn(Seq) + Send + Sync>;

#[derive(Default)]
struct PortState {
    handle: ArcSwapOption<JournalHandle>,
    epoch: std::sync::atomic::AtomicU32,
    /// The highest watermark of all openings: what was durable stays so while the journal is down.
    durable: AtomicU64,
    /// When the oldest record that isn't durable was appended.
    behind_since: Mutex<Option<ProcessTime>>,
    clock: ArcSwapOption<Clock>,
    listeners: Mutex<Vec<Listener>>,
    recovery: Mutex<Option<Recovery>>,
}

impl JournalPort {
    /// A port whose journal isn't open yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Numbers and queues records, in one piece of the order.
    ///
    /// # Errors
    /// As [`JournalHandle::append`]; `Closed` while the journal is down.
    pub fn append(
        &self,
        writer: &WriterTag,
        now: Timestamp,
        records: &[Record],
    ) -> Result<SeqRange, AppendError> {
        let handle = self.0.handle.load_full().ok_or(AppendError::Closed)?;
        let encode = |record: &Record| NewRecord {
            kind: record.kind(),
            schema_version: SCHEMA_VERSION,
            checkpoint: matches!(record, Record::Checkpoint { .. }),
            payload: record.encode(),
        };
        if let Some(clock) = &*self.0.clock.load() {
            let mut since = self.0.behind_since.lock().unwrap_or_else(PoisonError::into_inner);
            since.get_or_insert_with(|| clock.process());
        }
        handle.append(writer, now.nanos(), records.iter().map(encode).collect())
    }

    /// Shuts out older generations of a role; answers up to where it has to fold.
    ///
    /// # Errors
    /// As [`JournalHandle::fence`]; `Closed` while the journal is down.
    pub fn fence(&self, writer: &WriterTag) -> Result<Seq, AppendError> {
        self.0.handle.load_full().ok_or(AppendError::Closed)?.fence(writer)
    }

    /// Up to here everything survives a crash.
    #[must_use]
    pub fn durable(&self) -> Seq {
        let open = self.0.handle.load().as_ref().map_or(Seq::ZERO, |handle| handle.durable());
        open.max(Seq(self.0.durable.load(Ordering::Acquire)))
    }

    /// The last number given out.
    #[must_use]
    pub fn last_assigned(&self) -> Seq {
        let open = self.0.handle.load().as_ref().map_or(Seq::ZERO, |handle| handle.last_assigned());
        open.max(self.durable())
    }

    /// How many records wait to become durable.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.handle.load().as_ref().map_or(0, |handle| {
            (handle.last_assigned().0 - handle.durable().0.min(handle.last_assigned().0)) as usize
        })
    }

    /// What the journal can do; closed while it is down.
    #[must_use]
    pub fn state(&self) -> JournalState {
        self.0.handle.load().as_ref().map_or(JournalState::Closed, |handle| handle.state())
    }

    /// The epoch of the present opening.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.0.epoch.load(Ordering::Acquire)
    }

    /// What the present opening found.
    #[must_use]
    pub fn recovery(&self) -> Option<Recovery> {
        self.0.recovery.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Calls `hook` each time the watermark has moved, now and in later openings.
    pub fn on_durable(&self, hook: DurableHook) {
        self.listeners().push(Arc::from(hook));
    }

    fn listeners(&self) -> MutexGuard<'_, Vec<Listener>> {
        self.0.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, handle: &JournalHandle, recovery: Recovery, clock: &Clock) {
        let port = self.clone();
        self.0.clock.store(Some(Arc::new(clock.clone())));
        let (clock, synced) = (clock.clone(), metrics::JOURNAL_SYNC.histogram(&[]));
        self.0.durable.fetch_max(handle.durable().0, Ordering::AcqRel);
        handle.on_durable(Box::new(move |seq| {
            port.0.durable.fetch_max(seq.0, Ordering::AcqRel);
            let since = {
                let mut since = port.0.behind_since.lock().unwrap_or_else(PoisonError::into_inner);
                since.take()
            };
            if let Some(since) = since {
                synced.record(clock.process().since(since).as_secs_f64());
            }
            let listeners = port.listeners().clone();
            listeners.iter().for_each(|hear| hear(seq));
        }));
        self.0.epoch.store(recovery.epoch, Ordering::Release);
        *self.0.recovery.lock().unwrap_or_else(PoisonError::into_inner) = Some(recovery);
        self.0.handle.store(Some(Arc::new(handle.clone())));
    }
}

/// The kinds and versions that this build can decode.
#[must_use]
pub fn schema_limits() -> SchemaLimits {
    let known = Record::KINDS.iter().map(|(kind, _)| (*kind, SCHEMA_VERSION));
    SchemaLimits::Known(known.collect::<BTreeMap<u16, u16>>())
}

/// Between two looks at the watermark during a recovery.
const RECOVERY_POLL: Duration = Duration::from_millis(1);

/// How a role comes back: it shuts its older incarnations out, waits until what they appended is
/// durable, and folds up to there. While the journal itself is being opened it waits for that.
#[derive(Clone, Copy, Debug)]
pub struct Recovering {
    fence: Option<Seq>,
    next_look: ProcessTime,
}

impl Recovering {
    /// Nothing is known yet; the first look is due at once.
    #[must_use]
    pub const fn new(now: ProcessTime) -> Self {
        Self { fence: None, next_look: now }
    }

    /// Up to where to fold, once that is durable; until then look again at
    /// [`Recovering::next_look`].
    ///
    /// # Errors
    /// When a newer incarnation is there already, or the journal has failed.
    pub fn poll(
        &mut self,
        port: &JournalPort,
        tag: &WriterTag,
        now: ProcessTime,
    ) -> Result<Option<Seq>, AppendError> {
        if self.fence.is_none() {
            self.fence = match port.fence(tag) {
                Ok(fence) => Some(fence),
                Err(AppendError::Closed) => None,
                Err(error) => return Err(error),
            };
        }
        match self.fence {
            Some(fence) if port.durable() >= fence => Ok(Some(fence)),
            _ => {
                self.next_look = now + RECOVERY_POLL;
                Ok(None)
            }
        }
    }

    /// When to look again.
    #[must_use]
    pub const fn next_look(&self) -> ProcessTime {
        self.next_look
    }
}

/// How the writer runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriterMode {
    /// On a thread of its own.
    Thread,
    /// Inside this role, this long after records were queued: for virtual time.
    Inline {
        /// The modelled time of a write with its sync.
        latency: Duration,
    },
}

/// What the journal's role needs.
#[derive(Clone)]
pub struct JournalSpec {
    /// The disk with the journal's files.
    pub disk: Arc<dyn Disk>,
    /// Segment size, bounds, ballast. The time of opening is filled in.
    pub options: JournalOptions,
    /// How the writer runs.
    pub mode: WriterMode,
    /// The first record of each opening.
    pub started: Record,
    /// Where roles append.
    pub port: JournalPort,
    /// Called when the writer's thread does not end in time: the process must not go on.
    pub abort: Arc<dyn Fn(&str) + Send + Sync>,
}

/// What the journal's role is told.
#[derive(Debug)]
pub enum JournalMessage {
    /// Something was queued (virtual time only).
    Work,
    /// The writer failed or its thread ended.
    WriterEnded,
}

impl RoleMessage for JournalMessage {
    fn label(&self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::WriterEnded => "writer_ended",
        }
    }
}

enum Writer {
    Thread(Option<WriterThread>),
    Inline {
        writer: Box<JournalWriter>,
        latency: Duration,
        due: Option<ProcessTime>,
        told: Arc<AtomicBool>,
    },
}

/// The role.
pub struct JournalRole {
    writer: Writer,
    handle: JournalHandle,
    port: JournalPort,
    abort: Arc<dyn Fn(&str) + Send + Sync>,
}

impl JournalRole {
    /// Opens the journal and starts its writer.
    pub fn start(spec: &JournalSpec, cx: &mut Context<JournalMessage>) -> Result<Self, RoleError> {
        let mut options = spec.options.clone();
        options.opened_at_ns = cx.now().market.nanos();
        options.schema_limits = schema_limits();
        let opened = open(Arc::clone(&spec.disk), options).map_err(RoleError::failed)?;
        let handle = opened.handle.clone();
        let ended = cx.pinned_ref();
        handle.on_state(Box::new(move |state| {
            if matches!(state, JournalState::Failed) {
                // The role itself is gone if it can't be told.
                let _ = ended.send(JournalMessage::WriterEnded);
            }
        }));
        let writer = match spec.mode {
            WriterMode::Thread => {
                let thread = spawn_writer_thread(opened.writer).map_err(RoleError::failed)?;
                Writer::Thread(Some(thread))
            }
            WriterMode::Inline { latency } => {
                let own = cx.pinned_ref();
                let told = Arc::new(AtomicBool::new(false));
                let tell = Arc::clone(&told);
                handle.on_work(Box::new(move || {
                    if !tell.swap(true, Ordering::AcqRel) {
                        // Refused only by a role that ended; what is queued ends with it.
                        let _ = own.send(JournalMessage::Work);
                    }
                }));
                Writer::Inline { writer: Box::new(opened.writer), latency, due: None, told }
            }
        };
        if let Some(torn) = &opened.recovery.torn {
            tracing::warn!(%torn, "the journal's last write was torn and cut");
        }
        spec.port.open(&handle, opened.recovery, cx.clock());
        let tag = writer_tag("journal", cx.generation())?;
        let records = std::slice::from_ref(&spec.started);
        spec.port.append(&tag, cx.now().market, records).map_err(RoleError::failed)?;
        cx.ready();
        Ok(Self { writer, handle, port: spec.port.clone(), abort: Arc::clone(&spec.abort) })
    }
}

/// The tag under which a role's incarnation appends.
pub fn writer_tag(role: &str, generation: u64) -> Result<WriterTag, RoleError> {
    let generation = u32::try_from(generation).map_err(RoleError::failed)?;
    WriterTag::new(role, generation).map_err(RoleError::failed)
}

impl Role for JournalRole {
    type Message = JournalMessage;

    fn handle(
        &mut self,
        message: JournalMessage,
        cx: &mut Context<JournalMessage>,
    ) -> Result<(), RoleError> {
        match message {
            JournalMessage::Work => {
                if let Writer::Inline { due, latency, .. } = &mut self.writer {
                    due.get_or_insert(cx.now().process + *latency);
                }
                Ok(())
            }
            JournalMessage::WriterEnded => Err(RoleError::failed(JournalError::Failed)),
        }
    }

    fn next_wake(&self) -> Option<(ProcessTime, &'static str)> {
        match &self.writer {
            Writer::Inline { due, .. } => due.map(|at| (at, "write and sync")),
            Writer::Thread(_) => None,
        }
    }

    fn on_wake(&mut self, _: &mut Context<JournalMessage>) -> Result<(), RoleError> {
        if let Writer::Inline { writer, due, told, .. } = &mut self.writer {
            *due = None;
            told.store(false, Ordering::Release);
            writer.write_pending().map_err(RoleError::failed)?;
        }
        Ok(())
    }
}

impl Drop for JournalRole {
    fn drop(&mut self) {
        // Only the present opening's handle is taken away: a newer one stays.
        self.handle.close();
        let current = self.port.0.handle.load_full();
        if current.is_some_and(|current| current.state() == JournalState::Closed) {
            self.port.0.handle.store(None);
        }
        if let Writer::Thread(thread) = &mut self.writer
            && let Some(thread) = thread.take()
            && let ThreadEnd::StillRunning = thread.close_and_join(JOIN_PATIENCE)
        {
            (self.abort)("the journal's writer did not end within 2 s");
        }
    }
}
