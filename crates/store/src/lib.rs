//! The store: a journal of records in files, and snapshots in sled.
//!
//! It knows bytes, kinds and sequence numbers, and not what they mean: that is the desk's and the
//! auditor's business. The journal is the truth. Whatever [`JournalHandle::durable`] has reached
//! survives a kill and a power loss; what it has not reached may be gone, but only from the end.
//! Snapshots only shorten the way back and may be deleted at any moment.
//!
//! Reading order: [`envelope`] (the bytes), [`disk`] (the seam to files), [`journal`] (writing and
//! recovery), [`reader`], [`snapshot`]. The store never reads a clock: times arrive as `i64`
//! nanoseconds with each record.

pub mod abort_point;
pub mod ballast;
pub mod disk;
pub mod envelope;
pub mod journal;
pub mod reader;
pub mod seq;
pub mod snapshot;
pub mod state_lock;
mod sync;

pub use ballast::Ballast;
pub use disk::{Disk, memory::MemoryDisk, real::RealDisk, volatile::VolatileDisk};
pub use envelope::{Chain, NewRecord, Record, TagError, WriterTag};
pub use journal::{
    JournalError, JournalOptions, OpenedJournal, Recovery, SchemaLimits, TornTail,
    queue::{AppendError, JournalHandle, JournalState},
    retention::{drop_segment, droppable_segments},
    thread::{ThreadEnd, WriterThread, spawn_writer_thread},
    writer::JournalWriter,
};
pub use reader::{JournalReader, VerifyReport, read_from, verify};
pub use seq::{Seq, SeqRange};
pub use snapshot::{
    DamagedSnapshot, LatestSnapshot, Snapshot, SnapshotError, SnapshotHead, SnapshotStore,
    memory::MemorySnapshots,
    sled_store::{SledOptions, SledSnapshots, SledStart},
};
pub use state_lock::{LockError, StateLock};
