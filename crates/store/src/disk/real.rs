//! Files of the operating system, below one folder.
//!
//! Keeps a few descriptors open because the journal writes to the same file again and again. Leaves
//! the lock on the folder to [`crate::StateLock`].

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::Disk;

const OPEN_FILES_MAX: usize = 16;
static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

/// The disk of the production build.
#[derive(Debug)]
pub struct RealDisk {
    root: PathBuf,
    open: Mutex<BTreeMap<String, Arc<File>>>,
}

impl RealDisk {
    /// Uses `root`, which is made if it is missing.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn new(root: &Path) -> io::Result<RealDisk> {
        fs::create_dir_all(root)?;
        Ok(RealDisk { root: root.to_owned(), open: Mutex::new(BTreeMap::new()) })
    }

    /// The folder that all paths are relative to.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn file(&self, name: &str) -> io::Result<Arc<File>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = open.get(name) {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(OpenOptions::new().read(true).write(true).open(self.root.join(name))?);
        if open.len() >= OPEN_FILES_MAX {
            open.pop_first();
        }
        open.insert(name.to_owned(), Arc::clone(&file));
        Ok(file)
    }

    fn forget(&self, name: &str) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

fn write_zeros(path: &Path, length_bytes: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    let mut offset = 0;
    while offset < length_bytes {
        let part = (length_bytes - offset).min(ZEROS.len() as u64);
        file.write_all_at(&ZEROS[..part as usize], offset)?;
        offset += part;
    }
    Ok(())
}

impl Disk for RealDisk {
    fn create(&self, file: &str, length_bytes: u64) -> io::Result<()> {
        self.forget(file);
        let path = self.root.join(file);
        let written = write_zeros(&path, length_bytes);
        if written.is_err() {
            // The half-made file would hold the space that is missing.
            let _ = fs::remove_file(&path);
        }
        written
    }

    fn length(&self, file: &str) -> io::Result<u64> {
        Ok(fs::metadata(self.root.join(file))?.len())
    }

    fn read_at(&self, file: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let file = self.file(file)?;
        let mut filled = 0;
        while filled < buffer.len() {
            match file.read_at(&mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_at(&self, file: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file(file)?.write_all_at(bytes, offset)
    }

    fn sync_data(&self, file: &str) -> io::Result<()> {
        self.file(file)?.sync_data()
    }

    fn make_dir(&self, dir: &str) -> io::Result<()> {
        let path = self.root.join(dir);
        if path.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(&path)?;
        File::open(&self.root)?.sync_all()
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        File::open(self.root.join(dir))?.sync_all()
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.root.join(dir)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_file()
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.forget(from);
        self.forget(to);
        fs::rename(self.root.join(from), self.root.join(to))
    }

    fn remove(&self, file: &str) -> io::Result<()> {
        self.forget(file);
        fs::remove_file(self.root.join(file))
    }

    fn exists(&self, file: &str) -> io::Result<bool> {
        self.root.join(file).try_exists()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let space = rustix::fs::statvfs(&self.root)?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }
}
