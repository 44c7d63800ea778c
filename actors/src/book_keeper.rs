//! The durable journal, folded once and kept: what every recovering role starts from.
//!
//! It never asks a live actor. It reads records up to the durable watermark, from the newest valid
//! snapshot at the process's start and incrementally afterwards, so that a restarted role costs the
//! tail and not the whole history. Snapshots are taken from it. Losing it costs a longer read.

use crate::journal::JournalPort;
use desk::fold::{Books, FoldError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::{Chain, Disk, JournalError, JournalReader, Record, Seq, Snapshot, read_from};

/// The journal can't be folded.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// It can't be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A record can't be folded.
    #[error(transparent)]
    Fold(#[from] FoldError),
}

/// The schema version of snapshots written by this build.
pub const SNAPSHOT_VERSION: u16 = 1;

/// Shared by all recovering roles.
#[derive(Clone)]
pub struct BookKeeper(Arc<Mutex<Kept>>);

struct Kept {
    disk: Arc<dyn Disk>,
    books: Books,
    at: Seq,
    chain: Chain,
    reader: Option<JournalReader>,
    folded: u64,
}

impl BookKeeper {
    /// A keeper that has read nothing; `snapshot` spares it the records up to there.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, snapshot: Option<(Books, Seq, Chain)>) -> Self {
        let (books, at, chain) = snapshot.unwrap_or((Books::default(), Seq::ZERO, Chain::ORIGIN));
        Self(Arc::new(Mutex::new(Kept { disk, books, at, chain, reader: None, folded: 0 })))
    }

    /// A keeper that has folded a journal at rest to its end, before anything depends on how long
    /// that takes. A torn or damaged end is left to the opening of the journal, which judges it.
    #[must_use]
    pub fn at_rest(disk: Arc<dyn Disk>, snapshot: Option<(Books, Seq, Chain)>) -> Self {
        let keeper = Self::new(Arc::clone(&disk), snapshot);
        {
            let mut kept = keeper.lock();
            for record in read_from(disk, kept.at.next(), None) {
                let folded =
                    record.map_err(KeeperError::from).and_then(|record| kept.fold(&record));
                if folded.is_err() {
                    break;
                }
            }
        }
        keeper
    }

    /// Folds up to `seq`, which must be durable, and hands the books to `look`.
    ///
    /// # Errors
    /// When a record can't be read or folded; the keeper then begins again from the start.
    pub fn at<T>(&self, seq: Seq, look: impl FnOnce(&Books) -> T) -> Result<T, KeeperError> {
        let mut kept = self.lock();
        kept.advance(seq)?;
        Ok(look(&kept.books))
    }

    /// Folds up to everything that is durable now.
    ///
    /// # Errors
    /// As [`BookKeeper::at`].
    pub fn now<T>(
        &self,
        journal: &JournalPort,
        look: impl FnOnce(&Books) -> T,
    ) -> Result<T, KeeperError> {
        self.at(journal.durable(), look)
    }

    /// A snapshot of everything that is durable now, and its state hash.
    ///
    /// # Errors
    /// As [`BookKeeper::at`].
    pub fn snapshot(&self, journal: &JournalPort) -> Result<(Snapshot, String), KeeperError> {
        let mut kept = self.lock();
        kept.advance(journal.durable())?;
        let snapshot = Snapshot {
            seq: kept.at,
            chain: kept.chain,
            schema_version: SNAPSHOT_VERSION,
            payload: kept.books.encode(),
        };
        Ok((snapshot, kept.books.state_hash().whole))
    }

    /// Records folded by this keeper.
    #[must_use]
    pub fn folded(&self) -> u64 {
        self.lock().folded
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn advance(&mut self, seq: Seq) -> Result<(), KeeperError> {
        if seq <= self.at {
            return Ok(());
        }
        let result = self.read_up_to(seq);
        if result.is_err() {
            // Half a fold is no state: the next one begins at the first record.
            (self.books, self.at, self.chain) = (Books::default(), Seq::ZERO, Chain::ORIGIN);
            self.reader = None;
        }
        result
    }

    fn read_up_to(&mut self, seq: Seq) -> Result<(), KeeperError> {
        let mut reader = match self.reader.take() {
            Some(mut reader) => {
                reader.extend(seq);
                reader
            }
            None => read_from(Arc::clone(&self.disk), self.at.next(), Some(seq)),
        };
        for record in &mut reader {
            self.fold(&record?)?;
        }
        self.reader = Some(reader);
        Ok(())
    }

    fn fold(&mut self, record: &Record) -> Result<(), KeeperError> {
        let (kind, version) = (record.kind, record.schema_version);
        self.books.apply(record.seq, record.epoch, kind, version, &record.payload)?;
        (self.at, self.chain) = (record.seq, record.chain);
        self.folded += 1;
        Ok(())
    }
}
