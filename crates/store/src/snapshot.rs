//! Snapshots: the state at a seq, so that a restart folds a tail and not everything.
//!
//! A snapshot is never the truth. Whoever loads one compares its chain value with the journal's at
//! that seq and folds on from there; a damaged one is reported and the next older one serves. The
//! same store keeps the journal's high-water mark, lazily.

pub mod memory;
pub mod sled_store;

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::envelope::Chain;
use crate::seq::Seq;

/// How many snapshots are kept; older ones go when a new one is durable.
pub const SNAPSHOTS_KEPT: usize = 3;

/// The state after the record `seq`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The last record that is folded into it.
    pub seq: Seq,
    /// The journal's chain value after that record.
    pub chain: Chain,
    /// The version of the payload, in the caller's numbering.
    pub schema_version: u16,
    /// The caller's bytes.
    pub payload: Vec<u8>,
}

impl Snapshot {
    /// What the store says of this snapshot: the hash covers every field.
    pub fn head(&self) -> SnapshotHead {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.seq.0.to_le_bytes());
        hasher.update(&self.chain.0);
        hasher.update(&self.schema_version.to_le_bytes());
        hasher.update(&self.payload);
        SnapshotHead {
            seq: self.seq,
            bytes: self.payload.len() as u64,
            blake3: *hasher.finalize().as_bytes(),
            chain: self.chain,
            schema_version: self.schema_version,
        }
    }
}

/// What is known of a snapshot without loading it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotHead {
    /// The last record that is folded into it.
    pub seq: Seq,
    /// Bytes of its payload.
    pub bytes: u64,
    /// Hash over seq, chain, version and payload.
    pub blake3: [u8; 32],
    /// The journal's chain value after `seq`.
    pub chain: Chain,
    /// The version of the payload.
    pub schema_version: u16,
}

/// A snapshot that is there and cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedSnapshot {
    /// Which one.
    pub seq: Seq,
    /// What is wrong with it.
    pub why: String,
}

/// The newest snapshot that is whole, and the newer ones that are not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LatestSnapshot {
    /// `None` if there is no whole one: fold the journal from its first record.
    pub snapshot: Option<Snapshot>,
    /// What was passed over; raise an alarm if this is not empty.
    pub damaged: Vec<DamagedSnapshot>,
}

/// Why a snapshot could not be written or read. The journal is not affected: go on without.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// There is none for this seq.
    #[error("no snapshot at seq {seq}")]
    NotFound {
        /// The seq asked for.
        seq: Seq,
    },
    /// It is there and not what was written.
    #[error("snapshot at seq {seq} is damaged ({why}): use an older one and fold further")]
    Damaged {
        /// Which one.
        seq: Seq,
        /// What is wrong with it.
        why: String,
    },
    /// Another process, or an earlier life of this one, has the database.
    #[error("snapshot store {path} is in use: wait for the other process to end")]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// No space, even after the ballast was released.
    #[error("disk is full at the snapshot store: free space")]
    StorageFull,
    /// The database refused or panicked; open again to have it quarantined.
    #[error("snapshot store failed to {operation}: {why}")]
    Database {
        /// What was tried.
        operation: &'static str,
        /// What it said.
        why: String,
    },
    /// The file system refused.
    #[error("cannot {operation} {path}: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A place for snapshots. Calls may block on a disk: use it off the hot path.
pub trait SnapshotStore: Send {
    /// Stores a snapshot durably, then forgets all but the newest [`SNAPSHOTS_KEPT`]. A crash in
    /// between leaves the older ones whole.
    ///
    /// # Errors
    /// The snapshot is then not there, or there whole.
    fn put(&mut self, snapshot: &Snapshot) -> Result<(), SnapshotError>;

    /// The snapshots that are there, oldest first; unreadable heads are left out.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn list(&self) -> Result<Vec<SnapshotHead>, SnapshotError>;

    /// Loads one and checks its hash.
    ///
    /// # Errors
    /// `NotFound`, `Damaged`, or whatever the store says.
    fn load(&self, seq: Seq) -> Result<Snapshot, SnapshotError>;

    /// A seq that the journal had made durable; [`Seq::ZERO`] if none was noted.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn high_water(&self) -> Result<Seq, SnapshotError>;

    /// Notes that the journal was durable up to here. Never lowers the mark.
    ///
    /// # Errors
    /// If the store cannot be written.
    fn set_high_water(&mut self, seq: Seq) -> Result<(), SnapshotError>;

    /// The newest snapshot that is whole. Newer damaged ones are reported, not errors.
    ///
    /// # Errors
    /// If the store cannot be read at all.
    fn latest_valid(&self) -> Result<LatestSnapshot, SnapshotError> {
        let mut latest = LatestSnapshot::default();
        for head in self.list()?.iter().rev() {
            match self.load(head.seq) {
                Ok(snapshot) => {
                    latest.snapshot = Some(snapshot);
                    break;
                }
                Err(error) => {
                    latest.damaged.push(DamagedSnapshot { seq: head.seq, why: error.to_string() });
                }
            }
        }
        Ok(latest)
    }
}
