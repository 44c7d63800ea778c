//! One process per state folder.
//!
//! Two writers in one journal would destroy it. The lock is an flock on `lock`: the kernel gives
//! it back when the process dies, so that a restart after a kill never waits for a stale file.
//! Only real disks have it; a simulation has one process anyway.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use thiserror::Error;

/// Why the state folder could not be taken.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another process works in the folder.
    #[error("state folder {path} is in use by process {holder}: stop it, or choose another folder")]
    Held {
        /// The lock file.
        path: PathBuf,
        /// The process id that the holder wrote, or `?`.
        holder: String,
    },
    /// The lock file could not be made or locked.
    #[error("cannot lock {path}: {source}")]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The right to write in a state folder, held until dropped.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

impl StateLock {
    /// Takes the folder, which is made if it is missing; does not wait.
    ///
    /// # Errors
    /// [`LockError::Held`] if another opener, also one in this process, has it.
    pub fn take(state_dir: &Path) -> Result<StateLock, LockError> {
        let path = state_dir.join("lock");
        let failed = |source: io::Error| LockError::Io { path: path.clone(), source };
        fs::create_dir_all(state_dir).map_err(failed)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut holder = String::new();
                let read = file.read_to_string(&mut holder);
                if read.is_err() || holder.trim().is_empty() {
                    holder = "?".to_owned();
                }
                return Err(LockError::Held { path, holder: holder.trim().to_owned() });
            }
            Err(error) => return Err(failed(error.into())),
        }
        // Only for people: whoever is refused is told by whom. A full disk must not stop us here.
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(StateLock { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_opener_is_told_who_holds_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let first = StateLock::take(dir.path()).unwrap();
        let refused = StateLock::take(dir.path()).unwrap_err();
        assert!(refused.to_string().contains(&std::process::id().to_string()), "{refused}");
        drop(first);
        StateLock::take(dir.path()).unwrap();
    }
}
