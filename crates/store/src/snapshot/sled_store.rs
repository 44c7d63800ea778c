//! Snapshots in sled `=0.34.7`, and the only code that names sled.
//!
//! sled's `flush()` does not survive a power loss on Linux: it ends in `sync_file_range`, which
//! promises nothing about the drive. So after each flush the database file is synced through a
//! descriptor of our own, values stay at or below 4 KiB (larger ones would go to files that are
//! never synced), and a snapshot's head is written and synced after all its chunks. sled may
//! refuse or panic when it opens a damaged folder and has no repair: the folder then moves to
//! `quarantine/`, a new one is made, and the journal makes up for it.
//!
//! Trees: `head` from seq to [`SnapshotHead`], `chunk` from (seq, number) to bytes, `meta` from
//! `high_water` to seq.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::{SNAPSHOTS_KEPT, Snapshot, SnapshotError, SnapshotHead, SnapshotStore};
use crate::abort_point;
use crate::ballast::Ballast;
use crate::seq::Seq;

/// The largest value that is given to sled.
const CHUNK_BYTES: usize = 4096;
/// Deletions between two flushes.
const DELETE_BATCH: usize = 64;
const HIGH_WATER: &[u8] = b"high_water";
/// An earlier process may give its lock back a little after its end.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// How to open the store.
#[derive(Clone)]
pub struct SledOptions {
    /// Memory for sled's cache.
    pub cache_bytes: u64,
    /// Released once when the disk is full, because sled writes when it opens.
    pub ballast: Option<Ballast>,
}

impl Default for SledOptions {
    fn default() -> SledOptions {
        SledOptions { cache_bytes: 64 << 20, ballast: None }
    }
}

/// What opening found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SledStart {
    /// There was none.
    New,
    /// It was there and sound.
    Existing,
    /// It was there and unusable: a new one was made. Raise an alarm, fold the journal.
    Quarantined {
        /// Where the old one is now.
        to: PathBuf,
        /// What was wrong with it.
        why: String,
    },
}

/// The snapshot store of the production build, in `sled/` below the state folder.
pub struct SledSnapshots {
    database: sled::Db,
    heads: sled::Tree,
    chunks: sled::Tree,
    meta: sled::Tree,
    file: File,
    path: PathBuf,
}

impl SledSnapshots {
    /// Opens the store or makes it. Blocks for up to 2 s while another process has it. The caller
    /// holds the folder's lock.
    ///
    /// # Errors
    /// `InUse`, `StorageFull`, or a file system that refuses even a new folder.
    pub fn open(
        state_dir: &Path,
        options: &SledOptions,
    ) -> Result<(SledSnapshots, SledStart), SnapshotError> {
        let path = state_dir.join("sled");
        let existed = path.exists();
        match open_with_ballast(&path, options) {
            Ok(store) => Ok((store, if existed { SledStart::Existing } else { SledStart::New })),
            Err(SnapshotError::Database { why, .. }) if existed => {
                let to = quarantine(state_dir, &path)?;
                let store = open_with_ballast(&path, options)?;
                Ok((store, SledStart::Quarantined { to, why }))
            }
            Err(error) => Err(error),
        }
    }

    fn open_once(path: &Path, cache_bytes: u64) -> Result<SledSnapshots, SnapshotError> {
        let config =
            sled::Config::new().path(path).cache_capacity(cache_bytes).flush_every_ms(None);
        let (database, heads, chunks, meta) = guarded("open", path, || {
            let database = config.open()?;
            let heads = database.open_tree("head")?;
            let chunks = database.open_tree("chunk")?;
            let meta = database.open_tree("meta")?;
            Ok((database, heads, chunks, meta))
        })?;
        let file_path = path.join("db");
        let file = File::open(&file_path).map_err(|error| io_failure("open", &file_path, error))?;
        for dir in [Some(path), path.parent()].into_iter().flatten() {
            sync_dir(dir)?;
        }
        let store = SledSnapshots { database, heads, chunks, meta, file, path: path.to_owned() };
        store.check_blobs()?;
        store.drop_orphans()?;
        Ok(store)
    }

    /// A file in `blobs/` is one that sled never syncs: nothing in such a store can be trusted.
    fn check_blobs(&self) -> Result<(), SnapshotError> {
        let blobs = self.path.join("blobs");
        let mut entries = match fs::read_dir(&blobs) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(io_failure("list", &blobs, error)),
        };
        if entries.next().is_some() {
            let why = "a value lies in sled/blobs, which is never synced".to_owned();
            return Err(SnapshotError::Database { operation: "keep values small", why });
        }
        Ok(())
    }

    fn commit(&self) -> Result<(), SnapshotError> {
        self.guarded("flush", || self.database.flush())?;
        self.file.sync_data().map_err(|error| io_failure("sync", &self.path.join("db"), error))
    }

    fn guarded<T>(
        &self,
        operation: &'static str,
        action: impl FnOnce() -> sled::Result<T>,
    ) -> Result<T, SnapshotError> {
        guarded(operation, &self.path, action)
    }

    fn head(&self, seq: Seq) -> Result<Option<SnapshotHead>, SnapshotError> {
        let Some(bytes) = self.guarded("read head", || self.heads.get(seq_key(seq)))? else {
            return Ok(None);
        };
        let head = rmp_serde::from_slice(&bytes);
        head.map(Some).map_err(|error| SnapshotError::Damaged { seq, why: error.to_string() })
    }

    fn head_seqs(&self) -> Result<BTreeSet<Seq>, SnapshotError> {
        let keys: Vec<sled::IVec> =
            self.guarded("list heads", || self.heads.iter().keys().collect())?;
        Ok(keys.iter().filter_map(|key| key_seq(key)).collect())
    }

    /// Removes chunks without a head: what a crash or a deletion left. Reads every key, so that
    /// damage shows at the opening.
    fn drop_orphans(&self) -> Result<(), SnapshotError> {
        let kept = self.head_seqs()?;
        let keys: Vec<sled::IVec> =
            self.guarded("list chunks", || self.chunks.iter().keys().collect())?;
        let orphans: Vec<&sled::IVec> = keys
            .iter()
            .filter(|key| !key_seq(key).is_some_and(|seq| kept.contains(&seq)))
            .collect();
        for batch in orphans.chunks(DELETE_BATCH) {
            self.guarded("delete chunks", || {
                batch.iter().try_for_each(|key| self.chunks.remove(key).map(drop))
            })?;
            self.commit()?;
        }
        Ok(())
    }

    fn forget_old(&self) -> Result<(), SnapshotError> {
        let seqs = self.head_seqs()?;
        let surplus = seqs.len().saturating_sub(SNAPSHOTS_KEPT);
        if surplus > 0 {
            self.guarded("delete heads", || {
                seqs.iter()
                    .take(surplus)
                    .try_for_each(|seq| self.heads.remove(seq_key(*seq)).map(drop))
            })?;
            self.commit()?;
        }
        self.drop_orphans()
    }
}

impl SnapshotStore for SledSnapshots {
    fn put(&mut self, snapshot: &Snapshot) -> Result<(), SnapshotError> {
        let seq = snapshot.seq;
        let head = snapshot.head();
        if self.head(seq).ok().flatten().is_some()
            && self.load(seq).is_ok_and(|old| old == *snapshot)
        {
            return Ok(());
        }
        self.guarded("replace head", || self.heads.remove(seq_key(seq)))?;
        self.drop_orphans()?;
        self.guarded("write chunks", || {
            for (number, chunk) in (0_u32..).zip(snapshot.payload.chunks(CHUNK_BYTES)) {
                self.chunks.insert(chunk_key(seq, number), chunk)?;
            }
            Ok(())
        })?;
        self.commit()?;
        abort_point::reached("snapshot_head");
        let bytes = rmp_serde::to_vec_named(&head).expect("a head is plain data");
        self.guarded("write head", || self.heads.insert(seq_key(seq), bytes))?;
        self.commit()?;
        self.forget_old()?;
        self.check_blobs()
    }

    fn list(&self) -> Result<Vec<SnapshotHead>, SnapshotError> {
        let mut heads = Vec::new();
        for seq in self.head_seqs()? {
            match self.head(seq) {
                Ok(head) => heads.extend(head),
                Err(SnapshotError::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(heads)
    }

    fn load(&self, seq: Seq) -> Result<Snapshot, SnapshotError> {
        let head = self.head(seq)?.ok_or(SnapshotError::NotFound { seq })?;
        let payload = self.guarded("read chunks", || {
            let mut payload = Vec::new();
            for entry in self.chunks.scan_prefix(seq_key(seq)) {
                payload.extend_from_slice(&entry?.1);
            }
            Ok(payload)
        })?;
        let (chain, schema_version) = (head.chain, head.schema_version);
        let snapshot = Snapshot { seq, chain, schema_version, payload };
        if snapshot.head() != head {
            return Err(SnapshotError::Damaged { seq, why: "hash differs".to_owned() });
        }
        Ok(snapshot)
    }

    fn high_water(&self) -> Result<Seq, SnapshotError> {
        let value = self.guarded("read high water", || self.meta.get(HIGH_WATER))?;
        Ok(value.and_then(|value| key_seq(&value)).unwrap_or(Seq::ZERO))
    }

    fn set_high_water(&mut self, seq: Seq) -> Result<(), SnapshotError> {
        if seq <= self.high_water()? {
            return Ok(());
        }
        self.guarded("write high water", || self.meta.insert(HIGH_WATER, &seq_key(seq)))?;
        self.commit()
    }
}

fn open_with_ballast(path: &Path, options: &SledOptions) -> Result<SledSnapshots, SnapshotError> {
    let opened = open_patiently(path, options.cache_bytes);
    if matches!(opened, Err(SnapshotError::StorageFull))
        && let Some(ballast) = &options.ballast
        && ballast.release().unwrap_or(false)
    {
        return open_patiently(path, options.cache_bytes);
    }
    opened
}

fn open_patiently(path: &Path, cache_bytes: u64) -> Result<SledSnapshots, SnapshotError> {
    let mut tries = 1;
    loop {
        match open_on_spare_thread(path, cache_bytes) {
            Err(SnapshotError::InUse { .. }) if tries < LOCK_TRIES => {
                tries += 1;
                thread::sleep(LOCK_PAUSE);
            }
            result => return result,
        }
    }
}

/// A panic inside sled must not unwind, nor poison, what the calling thread holds.
fn open_on_spare_thread(path: &Path, cache_bytes: u64) -> Result<SledSnapshots, SnapshotError> {
    let owned = path.to_owned();
    let opener = thread::Builder::new()
        .name("sled-open".to_owned())
        .spawn(move || SledSnapshots::open_once(&owned, cache_bytes))
        .map_err(|error| io_failure("start a thread for", path, error))?;
    opener.join().unwrap_or_else(|panic| Err(database_panic("open", panic.as_ref())))
}

fn guarded<T>(
    operation: &'static str,
    path: &Path,
    action: impl FnOnce() -> sled::Result<T>,
) -> Result<T, SnapshotError> {
    match catch_unwind(AssertUnwindSafe(action)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(sled::Error::Io(error))) if error.kind() == io::ErrorKind::StorageFull => {
            Err(SnapshotError::StorageFull)
        }
        // sled tells a held lock only in the text of an error of kind Other.
        Ok(Err(error)) if error.to_string().contains("could not acquire lock") => {
            Err(SnapshotError::InUse { path: path.to_owned() })
        }
        Ok(Err(error)) => Err(SnapshotError::Database { operation, why: error.to_string() }),
        Err(panic) => Err(database_panic(operation, panic.as_ref())),
    }
}

fn database_panic(operation: &'static str, panic: &(dyn std::any::Any + Send)) -> SnapshotError {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text");
    SnapshotError::Database { operation, why: format!("panic: {text}") }
}

/// Moves the database to the first free number below `quarantine/`.
fn quarantine(state_dir: &Path, path: &Path) -> Result<PathBuf, SnapshotError> {
    let dir = state_dir.join("quarantine");
    fs::create_dir_all(&dir).map_err(|error| io_failure("make", &dir, error))?;
    let to = (1_u32..)
        .map(|number| dir.join(number.to_string()))
        .find(|candidate| !candidate.exists())
        .expect("a folder holds fewer than four thousand million names");
    fs::rename(path, &to).map_err(|error| io_failure("quarantine", path, error))?;
    sync_dir(&dir)?;
    sync_dir(state_dir)?;
    Ok(to)
}

fn sync_dir(dir: &Path) -> Result<(), SnapshotError> {
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(|error| io_failure("sync", dir, error))
}

fn io_failure(operation: &'static str, path: &Path, source: io::Error) -> SnapshotError {
    if source.kind() == io::ErrorKind::StorageFull {
        return SnapshotError::StorageFull;
    }
    SnapshotError::Io { operation, path: path.to_owned(), source }
}

fn seq_key(seq: Seq) -> [u8; 8] {
    seq.0.to_be_bytes()
}

fn key_seq(key: &[u8]) -> Option<Seq> {
    Some(Seq(u64::from_be_bytes(key.get(..8)?.try_into().ok()?)))
}

fn chunk_key(seq: Seq, number: u32) -> [u8; 12] {
    let mut key = [0; 12];
    key[..8].copy_from_slice(&seq_key(seq));
    key[8..].copy_from_slice(&number.to_be_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Chain;

    fn snapshot(seq: u64, bytes: usize) -> Snapshot {
        let payload = (0..bytes).map(|index| (index as u64 * 31 + seq) as u8).collect();
        Snapshot { seq: Seq(seq), chain: Chain([7; 16]), schema_version: 2, payload }
    }

    fn open(dir: &Path) -> (SledSnapshots, SledStart) {
        let options = SledOptions { cache_bytes: 8 << 20, ballast: None };
        SledSnapshots::open(dir, &options).unwrap()
    }

    #[test]
    fn large_snapshots_survive_a_reopening_in_values_small_enough_for_the_synced_file() {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, start) = open(dir.path());
        assert_eq!(start, SledStart::New);
        for seq in 1..=5 {
            store.put(&snapshot(seq, 200_000)).unwrap();
        }
        store.put(&snapshot(5, 200_000)).unwrap();
        store.set_high_water(Seq(77)).unwrap();
        store.set_high_water(Seq(5)).unwrap();
        drop(store);
        let (store, start) = open(dir.path());
        assert_eq!(start, SledStart::Existing);
        let seqs: Vec<u64> = store.list().unwrap().iter().map(|head| head.seq.0).collect();
        assert_eq!(seqs, [3, 4, 5]);
        assert_eq!(store.chunks.len(), 3 * 200_000_usize.div_ceil(CHUNK_BYTES));
        assert_eq!(store.latest_valid().unwrap().snapshot, Some(snapshot(5, 200_000)));
        assert_eq!(store.high_water().unwrap(), Seq(77));
        assert!(matches!(store.load(Seq(1)), Err(SnapshotError::NotFound { .. })));
    }

    #[test]
    fn a_snapshot_without_its_head_does_not_exist_and_its_chunks_are_swept() {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, _) = open(dir.path());
        store.put(&snapshot(1, 10_000)).unwrap();
        store.chunks.insert(chunk_key(Seq(2), 0), b"half a snapshot").unwrap();
        store.commit().unwrap();
        drop(store);
        let (store, _) = open(dir.path());
        assert_eq!(store.chunks.len(), 3);
        assert_eq!(store.latest_valid().unwrap().snapshot, Some(snapshot(1, 10_000)));
    }

    #[test]
    fn a_snapshot_with_a_lost_chunk_is_reported_and_an_older_one_serves() {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, _) = open(dir.path());
        store.put(&snapshot(1, 10_000)).unwrap();
        store.put(&snapshot(2, 10_000)).unwrap();
        store.chunks.remove(chunk_key(Seq(2), 1)).unwrap();
        let latest = store.latest_valid().unwrap();
        assert_eq!(latest.snapshot, Some(snapshot(1, 10_000)));
        assert_eq!(latest.damaged[0].seq, Seq(2));
        store.put(&snapshot(2, 10_000)).unwrap();
        assert_eq!(store.latest_valid().unwrap().snapshot, Some(snapshot(2, 10_000)));
    }

    #[test]
    fn a_damaged_database_is_put_aside_and_a_new_one_begins() {
        let dir = tempfile::tempdir().unwrap();
        for round in 1..=2 {
            let (mut store, _) = open(dir.path());
            store.put(&snapshot(1, 50_000)).unwrap();
            drop(store);
            fs::write(dir.path().join("sled/conf"), b"not a configuration").unwrap();
            let (store, start) = open(dir.path());
            let SledStart::Quarantined { to, why } = start else {
                panic!("expected a quarantine, got {start:?}");
            };
            assert_eq!(to, dir.path().join("quarantine").join(round.to_string()));
            assert!(!why.is_empty());
            assert!(store.list().unwrap().is_empty());
        }
    }

    #[test]
    fn a_rotten_database_never_yields_a_snapshot_that_was_not_put() {
        for damage in 0..6_usize {
            let dir = tempfile::tempdir().unwrap();
            let (mut store, _) = open(dir.path());
            store.put(&snapshot(1, 50_000)).unwrap();
            store.put(&snapshot(2, 50_000)).unwrap();
            drop(store);
            let file = dir.path().join("sled/db");
            let mut bytes = fs::read(&file).unwrap();
            let middle = bytes.len() * (damage + 1) / 8;
            if damage % 2 == 0 {
                bytes.truncate(middle);
            } else {
                let end = (middle + 8192).min(bytes.len());
                bytes[middle..end].fill(0);
            }
            fs::write(&file, bytes).unwrap();
            let (store, _) = open(dir.path());
            if let Ok(latest) = store.latest_valid()
                && let Some(found) = latest.snapshot
            {
                assert_eq!(found, snapshot(found.seq.0, 50_000), "damage {damage}");
            }
        }
    }
}
