//! What a simulated node keeps its state on: memory that loses unsynced pages at a crash, or a real
//! folder.

use actors::kill_switch::HaltFile;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use store::{
    Disk, MemoryDisk, MemorySnapshots, RealDisk, SledOptions, SledSnapshots, SnapshotStore,
};

/// Where a simulated node lives.
#[derive(Clone)]
pub enum Medium {
    /// Memory with a power cord.
    Memory {
        /// The journal's disk.
        disk: MemoryDisk,
        /// Snapshots; they never outlive what the journal holds.
        snapshots: MemorySnapshots,
    },
    /// A folder; a crash of the simulated node loses nothing that was written.
    Folder {
        /// The journal's disk.
        disk: Arc<RealDisk>,
        /// The folder.
        path: Arc<Path>,
    },
}

impl Medium {
    /// Fresh memory.
    #[must_use]
    pub fn memory() -> Self {
        Self::Memory { disk: MemoryDisk::new(), snapshots: MemorySnapshots::default() }
    }

    /// A folder, made if need be.
    ///
    /// # Errors
    /// When it can't be made or opened.
    pub fn folder(path: &Path) -> std::io::Result<Self> {
        std::fs::create_dir_all(path)?;
        Ok(Self::Folder { disk: Arc::new(RealDisk::new(path)?), path: Arc::from(path) })
    }

    /// The journal's disk.
    #[must_use]
    pub fn disk(&self) -> Arc<dyn Disk> {
        match self {
            Self::Memory { disk, .. } => Arc::new(disk.clone()),
            Self::Folder { disk, .. } => Arc::clone(disk) as Arc<dyn Disk>,
        }
    }

    /// Opens the snapshots.
    ///
    /// # Errors
    /// When the store can't be opened.
    pub fn snapshots(&self) -> Result<Box<dyn SnapshotStore>, String> {
        match self {
            Self::Memory { snapshots, .. } => Ok(Box::new(snapshots.clone())),
            Self::Folder { path, .. } => SledSnapshots::open(path, &SledOptions::default())
                .map(|(store, _)| Box::new(store) as Box<dyn SnapshotStore>)
                .map_err(|error| error.to_string()),
        }
    }

    /// The power fails: what was not synced survives page by page at random.
    pub fn cut_power(&self, seed: u64) {
        if let Self::Memory { disk, .. } = self {
            disk.crash(seed);
        }
    }
}

/// A halt file in memory; what is written is durable.
#[derive(Clone, Default)]
pub struct MemoryHaltFile(Arc<Mutex<Option<String>>>);

impl HaltFile for MemoryHaltFile {
    fn read(&self) -> Result<Option<String>, String> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn write(&self, reason: &str) -> Result<(), String> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        Ok(())
    }

    fn remove(&self) -> Result<(), String> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(())
    }
}
