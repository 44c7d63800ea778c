//! The file `HALT` in the state folder: a halt that survives everything, written durably.

use actors::kill_switch::HaltFile;
use actors::runtime::watchdog::HALT_FILE;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The file.
#[derive(Debug)]
pub struct RealHaltFile {
    folder: PathBuf,
}

impl RealHaltFile {
    /// In this state folder.
    #[must_use]
    pub fn new(state: &Path) -> Self {
        Self { folder: state.to_owned() }
    }

    /// Writes it and says so on stderr if it can't be: the process is about to end.
    pub fn persist(&self, reason: &str) {
        if let Err(why) = self.write(reason) {
            eprintln!("optionsib: the halt could not be written down: {why}");
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.join(HALT_FILE)
    }

    fn sync_folder(&self) -> std::io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }
}

impl HaltFile for RealHaltFile {
    fn read(&self) -> Result<Option<String>, String> {
        match std::fs::read_to_string(self.path()) {
            Ok(reason) if reason.trim().is_empty() => Ok(Some("the file HALT".to_owned())),
            Ok(reason) => Ok(Some(reason.trim().to_owned())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    fn write(&self, reason: &str) -> Result<(), String> {
        let write = || -> std::io::Result<()> {
            let mut file = File::create(self.path())?;
            file.write_all(reason.as_bytes())?;
            file.sync_all()?;
            self.sync_folder()
        };
        write().map_err(|error| error.to_string())
    }

    fn remove(&self) -> Result<(), String> {
        match std::fs::remove_file(self.path()) {
            Ok(()) => self.sync_folder().map_err(|error| error.to_string()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
}
