//! A disk over another whose unsynced bytes live in this process: `kill -9` does to it what a power
//! cut does to a real one.
//!
//! Without it a killed process loses nothing that it wrote, synced or not, and a test that kills
//! the built binary can't see a missing sync. It is the worst case: nothing unsynced lands. Names
//! (files made, renamed, removed) are durable at once; [`super::memory::MemoryDisk`] models those.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Disk;

/// What was written to a file and not synced, in the order of writing.
type Unsynced = Vec<(u64, Vec<u8>)>;

/// Writes reach `below` when they are synced.
pub struct VolatileDisk {
    below: Arc<dyn Disk>,
    unsynced: Mutex<BTreeMap<String, Unsynced>>,
}

impl VolatileDisk {
    /// Over this disk.
    pub fn new(below: Arc<dyn Disk>) -> VolatileDisk {
        VolatileDisk { below, unsynced: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Unsynced>> {
        self.unsynced.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for VolatileDisk {
    fn create(&self, file: &str, length_bytes: u64) -> io::Result<()> {
        self.lock().remove(file);
        self.below.create(file, length_bytes)
    }

    fn length(&self, file: &str) -> io::Result<u64> {
        let unsynced = self.lock();
        let written = unsynced.get(file).into_iter().flatten();
        let end = written.map(|(offset, bytes)| offset + bytes.len() as u64).max();
        Ok(self.below.length(file)?.max(end.unwrap_or(0)))
    }

    fn read_at(&self, file: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.length(file)?;
        let unsynced = self.lock();
        let wanted = usize::try_from(length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let filled = wanted.min(buffer.len());
        let buffer = &mut buffer[..filled];
        let synced = self.below.read_at(file, offset, buffer)?;
        // Written beyond the end: what lies between is zeros.
        buffer[synced..].fill(0);
        for (at, bytes) in unsynced.get(file).into_iter().flatten() {
            let from = offset.max(*at);
            let to = (offset + filled as u64).min(at + bytes.len() as u64);
            if from < to {
                let part = &bytes[(from - at) as usize..(to - at) as usize];
                buffer[(from - offset) as usize..(to - offset) as usize].copy_from_slice(part);
            }
        }
        Ok(filled)
    }

    fn write_at(&self, file: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        // A file that isn't there is heard of at once, as below; a full disk when it is synced.
        self.below.length(file)?;
        self.lock().entry(file.to_owned()).or_default().push((offset, bytes.to_vec()));
        Ok(())
    }

    fn sync_data(&self, file: &str) -> io::Result<()> {
        let mut unsynced = self.lock();
        for (offset, bytes) in unsynced.remove(file).unwrap_or_default() {
            self.below.write_at(file, offset, &bytes)?;
        }
        self.below.sync_data(file)
    }

    fn make_dir(&self, dir: &str) -> io::Result<()> {
        self.below.make_dir(dir)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.below.sync_dir(dir)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.below.list(dir)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut unsynced = self.lock();
        self.below.rename(from, to)?;
        match unsynced.remove(from) {
            Some(writes) => unsynced.insert(to.to_owned(), writes),
            None => unsynced.remove(to),
        };
        Ok(())
    }

    fn remove(&self, file: &str) -> io::Result<()> {
        self.lock().remove(file);
        self.below.remove(file)
    }

    fn exists(&self, file: &str) -> io::Result<bool> {
        self.below.exists(file)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.below.free_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::MemoryDisk;
    use super::*;

    fn over(below: &MemoryDisk) -> VolatileDisk {
        VolatileDisk::new(Arc::new(below.clone()))
    }

    #[test]
    fn what_was_not_synced_dies_with_it() {
        let below = MemoryDisk::new();
        let disk = over(&below);
        disk.create("a", 8).unwrap();
        disk.write_at("a", 0, b"kept").unwrap();
        disk.sync_data("a").unwrap();
        disk.write_at("a", 2, b"lost").unwrap();
        assert_eq!(disk.read("a").unwrap(), b"kelost\0\0");
        drop(disk);
        assert_eq!(over(&below).read("a").unwrap(), b"kept\0\0\0\0");
    }

    #[test]
    fn it_reads_like_the_disk_below_whatever_is_synced() {
        let (below, same) = (MemoryDisk::new(), MemoryDisk::new());
        let disk = over(&below);
        for one in [&disk as &dyn Disk, &same] {
            one.create("a", 6).unwrap();
            one.write_at("a", 1, b"one").unwrap();
            one.write_at("a", 3, b"two").unwrap();
            one.sync_data("a").unwrap();
            one.write_at("a", 8, b"beyond").unwrap();
            one.rename("a", "b").unwrap();
            one.create("a", 2).unwrap();
            one.write_at("a", 0, b"xy").unwrap();
            one.remove("a").unwrap();
        }
        assert!(!disk.exists("a").unwrap() && disk.write_at("a", 0, b"x").is_err());
        assert_eq!(disk.length("b").unwrap(), same.length("b").unwrap());
        assert_eq!(disk.read("b").unwrap(), same.read("b").unwrap());
        for (offset, length) in [(0, 3), (2, 9), (7, 2), (13, 4), (20, 1)] {
            let (mut mine, mut theirs) = (vec![9; length], vec![9; length]);
            let count = disk.read_at("b", offset, &mut mine).unwrap();
            assert_eq!(count, same.read_at("b", offset, &mut theirs).unwrap(), "at {offset}");
            assert_eq!(mine[..count], theirs[..count], "at {offset}");
        }
        disk.sync_data("b").unwrap();
        same.sync_data("b").unwrap();
        assert_eq!(below.read("b").unwrap(), same.read("b").unwrap());
    }
}
