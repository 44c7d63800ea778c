//! The seam between the store and files.
//!
//! The journal is written against this trait so that a simulation can cut the power between any
//! two operations, thousands of times a second, and so that a full disk or a failing fsync is one
//! line in a test. What each call promises about power loss is written on it; the real disk gets
//! the promise from Linux, the memory disk models it. Snapshots in sled do not come through here.

pub mod memory;
pub mod real;
pub mod volatile;

use std::io;

/// Files below one root folder. Paths are relative, with `/` between folder and file.
pub trait Disk: Send + Sync {
    /// Makes a file of `length_bytes` zeros that were really written, not merely reserved, so that
    /// later writes change no metadata. Replaces a file of the same name. On error no file is left.
    ///
    /// # Errors
    /// `StorageFull` if the space is missing.
    fn create(&self, file: &str, length_bytes: u64) -> io::Result<()>;

    /// The length of a file in bytes.
    ///
    /// # Errors
    /// `NotFound` if there is none.
    fn length(&self, file: &str) -> io::Result<u64>;

    /// Fills `buffer` from `offset`; answers how many bytes there were before the end of the file.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn read_at(&self, file: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes all bytes at `offset`. Durable only after [`Disk::sync_data`]; until then its pages
    /// may land in any order, or not.
    ///
    /// # Errors
    /// `StorageFull` if the space is missing; the file may then hold a part of the bytes.
    fn write_at(&self, file: &str, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes everything written to the file durable (fdatasync).
    ///
    /// # Errors
    /// After an error nothing may be assumed about the bytes, not even that a second call tells
    /// the truth: never retry.
    fn sync_data(&self, file: &str) -> io::Result<()>;

    /// Makes a folder if it is missing.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn make_dir(&self, dir: &str) -> io::Result<()>;

    /// Makes the names in a folder durable: files created, renamed, removed.
    ///
    /// # Errors
    /// As [`Disk::sync_data`].
    fn sync_dir(&self, dir: &str) -> io::Result<()>;

    /// The names of the files in a folder, sorted; empty if there is no such folder.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;

    /// Gives a file another name. Durable after both folders are synced.
    ///
    /// # Errors
    /// `NotFound` if there is no such file.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file. Durable after its folder is synced.
    ///
    /// # Errors
    /// `NotFound` if there is no such file.
    fn remove(&self, file: &str) -> io::Result<()>;

    /// Whether there is a file of this name.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn exists(&self, file: &str) -> io::Result<bool>;

    /// How many bytes can still be written.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn free_bytes(&self) -> io::Result<u64>;

    /// The whole content of a file.
    ///
    /// # Errors
    /// `NotFound` if there is no such file.
    fn read(&self, file: &str) -> io::Result<Vec<u8>> {
        let length = usize::try_from(self.length(file)?).map_err(io::Error::other)?;
        let mut content = vec![0; length];
        let filled = self.read_at(file, 0, &mut content)?;
        content.truncate(filled);
        Ok(content)
    }
}
