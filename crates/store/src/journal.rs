//! The journal: one order of records that survives everything up to its durable watermark.
//!
//! Segments of a fixed size lie in `journal/NNNN.wal`, zeroed and synced before use. A batch is one
//! write and one fdatasync; records are numbered when they are queued, durable when the watermark
//! passes them. Writing is in [`writer`], queueing in [`queue`], coming back after a crash in
//! `recovery`, the thread of the production build in [`thread`], archiving in [`retention`].
//!
//! What recovery makes of damage:
//!
//! | found | meaning | done |
//! |---|---|---|
//! | zeros to the end | clean end | go on |
//! | damage, and no later batch calls the damaged record durable | the last write was torn | cut |
//! | damage, and a later batch calls it durable | rot | refuse |
//! | damage or a gap in a segment that has a successor | rot or a lost file | refuse |
//! | a sealed segment without its successor, a file of the wrong length | lost file, cut | refuse |
//! | end below the high-water mark | lost tail | refuse |
//! | sound bytes in an unknown format, kind or version | a later build wrote them | refuse |

pub mod queue;
mod recovery;
pub mod retention;
pub(crate) mod scan;
pub(crate) mod segment;
pub mod thread;
pub mod writer;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ballast::Ballast;
use crate::disk::Disk;
use crate::envelope::Chain;
use crate::seq::Seq;
use queue::{JournalHandle, QueueBounds};
use writer::JournalWriter;

/// The smallest segment that is accepted.
pub const SEGMENT_BYTES_MIN: u64 = 4 * segment::HEADER_BYTES as u64;

/// Why the journal cannot be opened, read or written.
#[derive(Debug, Error)]
pub enum JournalError {
    /// Bytes that were durable are damaged or missing.
    #[error(
        "journal is corrupt: {file} at offset {offset}, seq {seq}: {why}; the node must not start: \
         move the state folder aside and restore it from a copy, then reconcile with the broker"
    )]
    Corrupt {
        /// The segment.
        file: String,
        /// Where in it, in bytes.
        offset: u64,
        /// The record that was expected there.
        seq: Seq,
        /// What was found instead.
        why: String,
    },
    /// Sound bytes that this build does not understand.
    #[error("{file} at offset {offset} was written by a newer build ({what}): start that build")]
    NewerBuild {
        /// The segment.
        file: String,
        /// Where in it, in bytes.
        offset: u64,
        /// What is unknown.
        what: String,
    },
    /// A reader without a bound came to a torn tail, which recovery will cut.
    #[error("{0}")]
    Torn(TornTail),
    /// The records asked for were archived.
    #[error("records from seq {asked} are no longer kept, the oldest is {first}: use a checkpoint")]
    NotKept {
        /// The first record asked for.
        asked: Seq,
        /// The first one that is there.
        first: Seq,
    },
    /// No space. Nothing acknowledged is lost, and the queued records are kept: free space, retry.
    #[error("disk is full while writing {file}: free space, the queued records are kept")]
    StorageFull {
        /// The file that could not be written.
        file: String,
    },
    /// The disk failed.
    #[error("cannot {operation} {file}: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// An earlier write or sync failed, which is never retried.
    #[error("the journal failed earlier and accepts nothing more: stop, and start again")]
    Failed,
    /// The options make no sense.
    #[error("journal options are unusable: {why}")]
    Options {
        /// Which and how.
        why: String,
    },
    /// The thread of the writer could not be started.
    #[error("cannot start the journal's thread: {0}")]
    Thread(io::Error),
}

pub(crate) fn io_error(operation: &'static str, file: &str, source: io::Error) -> JournalError {
    JournalError::Io { operation, file: file.to_owned(), source }
}

/// An error of a call that allocates space: a full disk is no failure of the disk.
pub(crate) fn space_error(operation: &'static str, file: &str, source: io::Error) -> JournalError {
    if source.kind() == io::ErrorKind::StorageFull {
        return JournalError::StorageFull { file: file.to_owned() };
    }
    io_error(operation, file, source)
}

/// The newest schema version of each kind that the caller can decode.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SchemaLimits {
    /// Every kind and version is let through: for tools that look at bytes only.
    #[default]
    Any,
    /// Only these kinds, up to these versions. The journal's own kind needs no entry.
    Known(BTreeMap<u16, u16>),
}

/// How to open a journal.
#[derive(Clone)]
pub struct JournalOptions {
    /// Size of a segment in bytes; existing segments keep theirs.
    pub segment_bytes: u64,
    /// How many records may wait to be written.
    pub pending_records_max: usize,
    /// How many bytes may wait to be written; one larger append passes when nothing else waits.
    pub pending_bytes_max: usize,
    /// A seq that is known to have been durable, from the snapshot store: an end below it is loss.
    pub high_water: Seq,
    /// What the caller can decode.
    pub schema_limits: SchemaLimits,
    /// The time of the epoch record, nanoseconds since 1970.
    pub opened_at_ns: i64,
    /// Released once when the disk is full.
    pub ballast: Option<Ballast>,
}

impl JournalOptions {
    /// Segments of 16 MiB, a queue of 65,536 records and 32 MiB, nothing known of the past.
    pub fn new(opened_at_ns: i64) -> JournalOptions {
        JournalOptions {
            segment_bytes: 16 << 20,
            pending_records_max: 65_536,
            pending_bytes_max: 32 << 20,
            high_water: Seq::ZERO,
            schema_limits: SchemaLimits::Any,
            opened_at_ns,
            ballast: None,
        }
    }
}

/// The end of the journal that a crash tore and recovery cut. None of it was acknowledged, unless
/// the disk lost what it had confirmed: start halted and reconcile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The segment.
    pub file: String,
    /// Where the cut is, in bytes.
    pub offset: u64,
    /// The first record that is gone, if there was one.
    pub seq: Seq,
    /// How many bytes were cut.
    pub bytes: u64,
}

impl std::fmt::Display for TornTail {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let TornTail { file, offset, seq, bytes } = self;
        write!(formatter, "torn tail in {file} at offset {offset}: {bytes} bytes from seq {seq} on")
    }
}

/// What opening found and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// What was cut off, if the last write was torn.
    pub torn: Option<TornTail>,
    /// The first record that is kept; 1 unless segments were archived or the journal was empty.
    pub first_seq: Seq,
    /// The last record before this opening; [`Seq::ZERO`] if there was none. Fold up to here.
    pub last_seq: Seq,
    /// The chain value after it.
    pub chain: Chain,
    /// The newest checkpoint record.
    pub checkpoint: Option<Seq>,
    /// The epoch of this opening, already durable.
    pub epoch: u32,
    /// The record that says so.
    pub epoch_seq: Seq,
    /// How many segments are in use.
    pub segments: u32,
}

/// The payload of a control record: a process start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochStart {
    /// The new epoch.
    pub epoch: u32,
    /// How many bytes of a torn tail were cut before.
    #[serde(default)]
    pub torn_bytes: u64,
}

/// An open journal.
pub struct OpenedJournal {
    /// Owns the files.
    pub writer: JournalWriter,
    /// Queues records.
    pub handle: JournalHandle,
    /// What was found.
    pub recovery: Recovery,
}

impl std::fmt::Debug for OpenedJournal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("OpenedJournal").field("recovery", &self.recovery).finish()
    }
}

/// Opens the journal of a disk, or makes it: checks every record that is kept, cuts a torn tail,
/// and makes the next epoch durable before anything else. The caller holds the folder's lock.
///
/// # Errors
/// As the table of this file says; after any of them nothing was changed but a torn tail.
pub fn open(disk: Arc<dyn Disk>, options: JournalOptions) -> Result<OpenedJournal, JournalError> {
    if options.segment_bytes < SEGMENT_BYTES_MIN || options.segment_bytes > u64::from(u32::MAX) {
        let why = format!("segment_bytes {} is out of range", options.segment_bytes);
        return Err(JournalError::Options { why });
    }
    let found = recovery::recover(disk.as_ref(), &options)?;
    let bounds = QueueBounds {
        records: options.pending_records_max,
        bytes: options.pending_bytes_max,
        record_bytes: writer::record_capacity(options.segment_bytes),
    };
    let epoch = found.last_epoch.saturating_add(1);
    let handle = JournalHandle::new(found.last_seq, bounds);
    let mut recovery = Recovery {
        torn: found.torn,
        first_seq: found.first_seq,
        last_seq: found.last_seq,
        chain: found.chain,
        checkpoint: found.checkpoint,
        epoch,
        epoch_seq: found.last_seq,
        segments: found.segments,
    };
    let torn_bytes = recovery.torn.as_ref().map_or(0, |torn| torn.bytes);
    let opened_at_ns = options.opened_at_ns;
    let mut writer =
        JournalWriter::new(disk, options, handle.clone(), found.tail, found.chain, epoch);
    let start = EpochStart { epoch, torn_bytes };
    recovery.epoch_seq = writer.write_epoch_start(&start, opened_at_ns)?;
    Ok(OpenedJournal { writer, handle, recovery })
}
