//! A disk in memory that loses power, fills up and fails on command.
//!
//! It keeps apart what was synced and what was only written. [`MemoryDisk::crash`] keeps a random
//! part of the unsynced 4 KiB pages, in no order, and a prefix of the unsynced changes of names;
//! everything else goes back to what was synced. A failed sync marks its pages as clean without
//! writing them, as Linux does: a retry would lie. Same seed, same crash.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Disk;

/// The piece that lands, or does not, as a whole.
pub const PAGE_BYTES: usize = 4096;

/// A shared disk: clones see the same files, as two processes would.
#[derive(Clone, Default)]
pub struct MemoryDisk {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    names: BTreeMap<String, u64>,
    synced_names: BTreeMap<String, u64>,
    name_changes: Vec<NameChange>,
    faults: Faults,
    sync_count: u64,
    busy_ns: u64,
}

#[derive(Default)]
struct Inode {
    content: Vec<u8>,
    synced: Vec<u8>,
    dirty: BTreeSet<usize>,
}

struct NameChange {
    unlink: Option<String>,
    link: Option<(String, u64)>,
    waiting_for: BTreeSet<String>,
}

#[derive(Default)]
struct Faults {
    free_bytes: Option<u64>,
    fail_sync_in: Option<u64>,
    fail_write_in: Option<(u64, Option<ErrorKind>)>,
    cut_power_in: Option<u64>,
    power_is_off: bool,
    ignore_syncs: bool,
    sync_latency_ns: u64,
}

impl MemoryDisk {
    /// An empty disk without faults.
    pub fn new() -> MemoryDisk {
        MemoryDisk::default()
    }

    /// Cuts the power: unsynced pages survive by the toss of a coin, the rest is gone.
    pub fn crash(&self, seed: u64) {
        let mut random = SplitMix(seed);
        let mut inner = self.lock();
        inner.faults.cut_power_in = None;
        inner.faults.power_is_off = false;
        let changes = std::mem::take(&mut inner.name_changes);
        let kept = random.below(changes.len() as u64 + 1) as usize;
        for change in changes.into_iter().take(kept) {
            apply(&mut inner.synced_names, change);
        }
        inner.names = inner.synced_names.clone();
        let live: BTreeSet<u64> = inner.names.values().copied().collect();
        inner.inodes.retain(|inode, _| live.contains(inode));
        for inode in inner.inodes.values_mut() {
            if inode.content.len() != inode.synced.len() && random.below(2) == 1 {
                inode.synced.resize(inode.content.len(), 0);
            }
            let dirty = std::mem::take(&mut inode.dirty);
            for page in dirty {
                if random.below(2) == 1 {
                    inode.copy_page(page);
                }
            }
            inode.content = inode.synced.clone();
        }
    }

    /// Lets the `nth` changing operation from now on (1 is the next), and every one after it, fail
    /// without effect, until [`MemoryDisk::crash`] says what was left of the earlier ones.
    pub fn cut_power(&self, nth: u64) {
        self.lock().faults.cut_power_in = Some(nth);
    }

    /// Sets how many bytes may still be allocated; `None` is no limit.
    pub fn set_free_bytes(&self, bytes: Option<u64>) {
        self.lock().faults.free_bytes = bytes;
    }

    /// Lets the `nth` sync from now on (1 is the next) fail with an input/output error.
    pub fn fail_sync(&self, nth: u64) {
        self.lock().faults.fail_sync_in = Some(nth);
    }

    /// Lets the `nth` write from now on (1 is the next) fail, after half of its bytes. `None` is
    /// an input/output error.
    pub fn fail_write(&self, nth: u64, kind: Option<ErrorKind>) {
        self.lock().faults.fail_write_in = Some((nth, kind));
    }

    /// A disk that lies: syncs succeed and do nothing.
    pub fn ignore_syncs(&self, ignore: bool) {
        self.lock().faults.ignore_syncs = ignore;
    }

    /// A slow disk: each sync adds this to [`MemoryDisk::busy_ns`].
    pub fn set_sync_latency_ns(&self, latency_ns: u64) {
        self.lock().faults.sync_latency_ns = latency_ns;
    }

    /// The modelled time spent in syncs, for a simulation that runs the writer inline.
    pub fn busy_ns(&self) -> u64 {
        self.lock().busy_ns
    }

    /// How many syncs of files there were, failed ones included.
    pub fn sync_count(&self) -> u64 {
        self.lock().sync_count
    }

    /// Lets one bit rot, on the platter and in every cache. Outside the file nothing happens.
    pub fn flip_bit(&self, file: &str, offset: u64, bit: u8) {
        let mut inner = self.lock();
        if let Ok(inode) = inner.inode(file) {
            for content in [&mut inode.content, &mut inode.synced] {
                if let Some(byte) = content.get_mut(offset as usize) {
                    *byte ^= 1 << (bit % 8);
                }
            }
        }
    }

    /// Cuts a file, durably. A missing file stays missing.
    pub fn truncate(&self, file: &str, length_bytes: u64) {
        let mut inner = self.lock();
        if let Ok(inode) = inner.inode(file) {
            inode.content.truncate(length_bytes as usize);
            inode.synced.truncate(length_bytes as usize);
            inode.dirty.retain(|page| page * PAGE_BYTES < length_bytes as usize);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inode {
    fn copy_page(&mut self, page: usize) {
        let start = page * PAGE_BYTES;
        let end = (start + PAGE_BYTES).min(self.content.len());
        if start >= end {
            return;
        }
        if self.synced.len() < end {
            self.synced.resize(end, 0);
        }
        self.synced[start..end].copy_from_slice(&self.content[start..end]);
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if self.content.len() < end {
            self.content.resize(end, 0);
        }
        self.content[offset..end].copy_from_slice(bytes);
        if !bytes.is_empty() {
            self.dirty.extend(offset / PAGE_BYTES..=(end - 1) / PAGE_BYTES);
        }
    }
}

impl Inner {
    fn inode(&mut self, file: &str) -> io::Result<&mut Inode> {
        let Some(number) = self.names.get(file) else {
            return Err(io::Error::new(ErrorKind::NotFound, format!("no file {file}")));
        };
        self.inodes
            .get_mut(number)
            .ok_or_else(|| io::Error::new(ErrorKind::NotFound, format!("no content of {file}")))
    }

    /// Every operation that changes something begins here.
    fn operate(&mut self) -> io::Result<()> {
        if let Some(left) = &mut self.faults.cut_power_in {
            *left = left.saturating_sub(1);
            self.faults.power_is_off |= *left == 0;
        }
        if self.faults.power_is_off {
            return Err(io::Error::other("power is off"));
        }
        Ok(())
    }

    fn allocate(&mut self, bytes: u64) -> io::Result<()> {
        if let Some(free) = &mut self.faults.free_bytes {
            *free = free.checked_sub(bytes).ok_or_else(|| {
                io::Error::new(ErrorKind::StorageFull, "memory disk is full, as it was told to be")
            })?;
        }
        Ok(())
    }

    fn change_names(&mut self, unlink: Option<&str>, link: Option<(&str, u64)>) {
        let mut waiting_for = BTreeSet::new();
        if let Some(name) = unlink {
            self.names.remove(name);
            waiting_for.insert(folder(name).to_owned());
        }
        if let Some((name, inode)) = link {
            self.names.insert(name.to_owned(), inode);
            waiting_for.insert(folder(name).to_owned());
        }
        self.name_changes.push(NameChange {
            unlink: unlink.map(str::to_owned),
            link: link.map(|(name, inode)| (name.to_owned(), inode)),
            waiting_for,
        });
    }

    fn sync_fails(&mut self) -> bool {
        self.sync_count += 1;
        self.busy_ns += self.faults.sync_latency_ns;
        match self.faults.fail_sync_in {
            Some(1) => {
                self.faults.fail_sync_in = None;
                true
            }
            Some(left) => {
                self.faults.fail_sync_in = Some(left - 1);
                false
            }
            None => false,
        }
    }

    fn write_fault(&mut self) -> Option<io::Error> {
        match self.faults.fail_write_in {
            Some((1, kind)) => {
                self.faults.fail_write_in = None;
                Some(match kind {
                    Some(kind) => io::Error::new(kind, "injected write error"),
                    None => io::Error::other("injected write error"),
                })
            }
            Some((left, kind)) => {
                self.faults.fail_write_in = Some((left - 1, kind));
                None
            }
            None => None,
        }
    }
}

fn apply(names: &mut BTreeMap<String, u64>, change: NameChange) {
    if let Some(name) = change.unlink {
        names.remove(&name);
    }
    if let Some((name, inode)) = change.link {
        names.insert(name, inode);
    }
}

fn folder(file: &str) -> &str {
    file.rsplit_once('/').map_or("", |(folder, _)| folder)
}

impl Disk for MemoryDisk {
    fn create(&self, file: &str, length_bytes: u64) -> io::Result<()> {
        let mut inner = self.lock();
        inner.operate()?;
        inner.allocate(length_bytes)?;
        let number = inner.next_inode;
        inner.next_inode += 1;
        let length = usize::try_from(length_bytes).map_err(io::Error::other)?;
        let content = vec![0; length];
        let dirty = (0..length.div_ceil(PAGE_BYTES)).collect();
        inner.inodes.insert(number, Inode { content, synced: Vec::new(), dirty });
        inner.change_names(None, Some((file, number)));
        Ok(())
    }

    fn length(&self, file: &str) -> io::Result<u64> {
        Ok(self.lock().inode(file)?.content.len() as u64)
    }

    fn read_at(&self, file: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut inner = self.lock();
        let content = &inner.inode(file)?.content;
        let start = usize::try_from(offset).map_err(io::Error::other)?.min(content.len());
        let count = buffer.len().min(content.len() - start);
        buffer[..count].copy_from_slice(&content[start..start + count]);
        Ok(count)
    }

    fn write_at(&self, file: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.lock();
        inner.operate()?;
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let length = inner.inode(file)?.content.len();
        let fault = inner.write_fault();
        let bytes = if fault.is_some() { &bytes[..bytes.len() / 2] } else { bytes };
        inner.allocate((offset + bytes.len()).saturating_sub(length) as u64)?;
        inner.inode(file)?.write(offset, bytes);
        match fault {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn sync_data(&self, file: &str) -> io::Result<()> {
        let mut inner = self.lock();
        inner.operate()?;
        let failed = inner.sync_fails();
        let ignored = inner.faults.ignore_syncs;
        let inode = inner.inode(file)?;
        if failed {
            inode.dirty.clear();
            return Err(io::Error::other("injected sync error"));
        }
        if !ignored {
            inode.synced.resize(inode.content.len(), 0);
            for page in std::mem::take(&mut inode.dirty) {
                inode.copy_page(page);
            }
        }
        Ok(())
    }

    fn make_dir(&self, _dir: &str) -> io::Result<()> {
        Ok(())
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let mut inner = self.lock();
        inner.operate()?;
        if inner.faults.ignore_syncs {
            return Ok(());
        }
        let mut left = Vec::new();
        for mut change in std::mem::take(&mut inner.name_changes) {
            change.waiting_for.remove(dir);
            if change.waiting_for.is_empty() {
                apply(&mut inner.synced_names, change);
            } else {
                left.push(change);
            }
        }
        inner.name_changes = left;
        Ok(())
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let inner = self.lock();
        let inside = inner.names.keys().filter(|name| folder(name) == dir);
        Ok(inside.map(|name| name.rsplit('/').next().unwrap_or(name).to_owned()).collect())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut inner = self.lock();
        inner.operate()?;
        inner.inode(from)?;
        let inode = inner.names[from];
        inner.change_names(Some(from), Some((to, inode)));
        Ok(())
    }

    fn remove(&self, file: &str) -> io::Result<()> {
        let mut inner = self.lock();
        inner.operate()?;
        let length = inner.inode(file)?.content.len() as u64;
        inner.change_names(Some(file), None);
        if let Some(free) = &mut inner.faults.free_bytes {
            *free += length;
        }
        Ok(())
    }

    fn exists(&self, file: &str) -> io::Result<bool> {
        Ok(self.lock().names.contains_key(file))
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(self.lock().faults.free_bytes.unwrap_or(u64::MAX))
    }
}

/// Vigna's splitmix64: enough randomness for a coin, the same on every machine.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn synced_file(pages: u64) -> MemoryDisk {
        let disk = MemoryDisk::new();
        disk.create("a/f", pages * PAGE_BYTES as u64).unwrap();
        disk.sync_data("a/f").unwrap();
        disk.sync_dir("a").unwrap();
        disk
    }

    #[test]
    fn a_crash_keeps_what_was_synced_and_a_random_part_of_the_rest() {
        let mut survivors = BTreeSet::new();
        for seed in 0..64 {
            let disk = synced_file(3);
            disk.write_at("a/f", 0, &[1; PAGE_BYTES]).unwrap();
            disk.sync_data("a/f").unwrap();
            disk.write_at("a/f", PAGE_BYTES as u64, &[2; 2 * PAGE_BYTES]).unwrap();
            disk.crash(seed);
            let content = disk.read("a/f").unwrap();
            assert_eq!(content[0], 1);
            survivors.insert((content[PAGE_BYTES], content[2 * PAGE_BYTES]));
        }
        assert_eq!(survivors.len(), 4, "every subset of the two pages must occur");
    }

    #[test]
    fn a_name_is_lost_or_kept_until_its_folder_is_synced() {
        let mut outcomes = BTreeSet::new();
        for seed in 0..32 {
            let disk = synced_file(1);
            disk.rename("a/f", "b/f").unwrap();
            disk.sync_dir("a").unwrap();
            disk.crash(seed);
            let both = (disk.exists("a/f").unwrap(), disk.exists("b/f").unwrap());
            assert_ne!(both.0, both.1, "a rename is atomic");
            outcomes.insert(both);
        }
        assert_eq!(outcomes.len(), 2);
    }

    #[test]
    fn after_a_failed_sync_a_second_one_succeeds_and_saves_nothing() {
        let disk = synced_file(1);
        disk.write_at("a/f", 0, b"x").unwrap();
        disk.fail_sync(1);
        disk.sync_data("a/f").unwrap_err();
        disk.sync_data("a/f").unwrap();
        for seed in 0..8 {
            disk.crash(seed);
            assert_eq!(disk.read("a/f").unwrap()[0], 0);
        }
    }
}
