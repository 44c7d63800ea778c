//! The state folder of a running node: lock, journal's disk, snapshots, and what the last life left
//! behind.

use super::{epoch_after, ownership, traps};
use crate::configuration::Configuration;
use crate::failure::Failure;
use crate::gateway::notice::wall_nanos;
use actors::book_keeper::BookKeeper;
use desk::fold::Books;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{
    Ballast, Disk, JournalOptions, RealDisk, Seq, SledOptions, SledSnapshots, SledStart,
    SnapshotError, SnapshotStore, StateLock,
};
use trading::id::InstallId;
use trading::trading_state::HaltEpoch;

/// Freed when the disk is full, so that fills in flight can still be written.
const BALLAST_BYTES: u64 = 64 << 20;

/// What was found, and what keeps it.
pub struct StateFolder {
    /// The folder.
    pub path: PathBuf,
    /// The journal's disk.
    pub disk: Arc<dyn Disk>,
    /// The installation.
    pub install: InstallId,
    /// The journal, folded from the newest valid snapshot to its end.
    pub keeper: BookKeeper,
    high_water: Seq,
    ballast: Ballast,
    _lock: StateLock,
}

impl StateFolder {
    /// Opens the folder, making it if need be.
    pub fn open(path: &Path, configuration: &Configuration) -> Result<Self, Failure> {
        let unusable = |what: &str, error: &dyn std::fmt::Display| {
            Failure::internal(format!("{} can't be used: {what}", path.display())).because(error)
        };
        std::fs::create_dir_all(path).map_err(|error| unusable("it can't be made", &error))?;
        let lock = StateLock::take(path).map_err(|error| {
            unusable("its lock", &error).next("stop the other node, or name another --state folder")
        })?;
        let real = RealDisk::new(path).map_err(|error| unusable("its disk", &error))?;
        let disk = traps::disk(Arc::new(real), configuration.faults_max.is_some());
        let ballast = Ballast::new(Arc::clone(&disk), BALLAST_BYTES);
        if let Err(error) = ballast.restore() {
            // A disk without room for it is a disk that is nearly full: the node still starts.
            eprintln!("optionsib: no room for the ballast file: {error}");
        }
        let store = open_snapshots(path).map_err(|error| unusable("its snapshots", &error))?;
        let newest = store.latest_valid().map_err(|error| unusable("its snapshots", &error))?;
        let high_water = store.high_water().map_err(|error| unusable("its snapshots", &error))?;
        drop(store);
        // A snapshot that can't be read costs a longer fold, nothing else.
        let snapshot = newest.snapshot.and_then(|snapshot| {
            let books = Books::decode(&snapshot.payload).ok()?;
            Some((books, snapshot.seq, snapshot.chain))
        });
        let install = install(path).map_err(|error| unusable("its install id", &error))?;
        ownership::check(path, &disk, install, &configuration.account)?;
        let keeper = BookKeeper::at_rest(Arc::clone(&disk), snapshot);
        Ok(Self { path: path.to_owned(), disk, install, keeper, high_water, ballast, _lock: lock })
    }

    /// How the journal is opened.
    pub fn journal_options(&self, configuration: &Configuration) -> JournalOptions {
        let mut options = JournalOptions::new(0);
        options.segment_bytes = configuration.journal.segment_bytes;
        options.high_water = self.high_water;
        options.ballast = Some(self.ballast.clone());
        options
    }

    /// The first halt epoch of this life.
    pub fn halt_epoch(&self) -> HaltEpoch {
        let last = self.keeper.at(Seq::ZERO, |books| books.latches.halt_epoch);
        epoch_after(last.unwrap_or_default())
    }
}

/// Opens `sled/`; a damaged one is set aside and begun anew, which is said.
pub fn open_snapshots(path: &Path) -> Result<SledSnapshots, SnapshotError> {
    let (store, start) = SledSnapshots::open(path, &SledOptions::default())?;
    if let SledStart::Quarantined { to, why } = start {
        let to = to.display();
        eprintln!("optionsib: the snapshots were damaged ({why}) and set aside in {to}");
    }
    Ok(store)
}

/// Drawn once, from the time of the first start: two installations on one account differ.
fn install(path: &Path) -> std::io::Result<InstallId> {
    let file = path.join("install");
    match std::fs::read_to_string(&file) {
        Ok(text) => u32::from_str_radix(text.trim(), 16)
            .map(InstallId)
            .map_err(|_| std::io::Error::other(format!("{} is no number", file.display()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let since = wall_nanos();
            let hash = blake3::hash(&since.to_le_bytes());
            let mut drawn = [0_u8; 4];
            drawn.copy_from_slice(&hash.as_bytes()[..4]);
            let drawn = u32::from_le_bytes(drawn);
            std::fs::write(&file, format!("{drawn:08x}\n"))?;
            std::fs::File::open(&file)?.sync_all()?;
            Ok(InstallId(drawn))
        }
        Err(error) => Err(error),
    }
}
