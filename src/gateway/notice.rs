//! What a gateway leaves in its folder so that others find it: where it listens, its process, its
//! clock.
//!
//! The file alone proves nothing: it outlives a killed gateway. The lock beside it does, which the
//! kernel gives back with the process.

use market::time::Timestamp;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use store::{LockError, StateLock};

const FILE: &str = "gateway.json";
/// A gateway that was asked to end has so long for its books.
const END_WITHIN: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Where a gateway is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// Its process.
    pub pid: u32,
    /// Where clients connect.
    pub listening: String,
    /// Where commands come in.
    pub control: Option<String>,
    /// The account's name.
    pub account: String,
    /// Seconds of market time per second.
    pub speed: f64,
    /// Market time when it began to listen, nanoseconds since the epoch.
    pub market_nanos: i64,
    /// The wall's clock at that moment.
    pub wall_nanos: i64,
}

impl Notice {
    /// What the folder holds; none if nothing readable.
    #[must_use]
    pub fn read(folder: &Path) -> Option<Self> {
        let text = fs::read_to_string(folder.join(FILE)).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Replaces it, whole or not at all.
    ///
    /// # Errors
    /// When the folder can't be written.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let text = serde_json::to_string(self).map_err(io::Error::other)?;
        let fresh = folder.join(format!("{FILE}.new"));
        fs::write(&fresh, text)?;
        fs::rename(fresh, folder.join(FILE))
    }

    /// Market time now, if that gateway had gone on.
    #[must_use]
    pub fn market_now(&self) -> Timestamp {
        let passed = u64::try_from(wall_nanos().saturating_sub(self.wall_nanos)).unwrap_or(0);
        let passed = Duration::from_nanos(passed).as_secs_f64() * self.speed;
        // Bounded, so that no clock makes it panic.
        let passed = Duration::from_secs_f64(passed.clamp(0.0, 1e9));
        Timestamp::from_nanos(self.market_nanos).plus(passed)
    }
}

/// The notice of the gateway that runs in `folder`; none if none does. One that has only just begun
/// may not have left it yet: then it is that of the last.
///
/// # Errors
/// When the folder can't be locked for another reason.
pub fn running(folder: &Path) -> Result<Option<Notice>, LockError> {
    if !folder.exists() {
        return Ok(None);
    }
    match StateLock::take(folder) {
        Ok(_) => Ok(None),
        Err(LockError::Held { .. }) => Ok(Notice::read(folder)),
        Err(error) => Err(error),
    }
}

/// Ends the gateway of `folder` and waits for it; false if none runs there.
///
/// # Errors
/// In words: it can't be found, or doesn't end.
pub fn stop(folder: &Path) -> Result<bool, String> {
    let Some(found) = running(folder).map_err(|error| error.to_string())? else {
        return Ok(false);
    };
    let pid = i32::try_from(found.pid).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| format!("{} is no process", found.pid))?;
    kill_process(pid, Signal::TERM).map_err(|error| format!("process {}: {error}", found.pid))?;
    let deadline = Instant::now() + END_WITHIN;
    while running(folder).map_err(|error| error.to_string())?.is_some() {
        if Instant::now() >= deadline {
            return Err(format!("process {} does not end", found.pid));
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(true)
}

/// The wall's clock, nanoseconds since the epoch.
#[must_use]
pub fn wall_nanos() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_without_a_process_is_of_none_that_runs() {
        let folder = tempfile::tempdir().unwrap();
        let notice = Notice {
            pid: 1,
            listening: "127.0.0.1:1".to_owned(),
            control: None,
            account: "DU1".to_owned(),
            speed: 60.0,
            market_nanos: 5_000_000_000,
            wall_nanos: wall_nanos() - 1_000_000_000,
        };
        notice.write(folder.path()).unwrap();
        assert_eq!(Notice::read(folder.path()), Some(notice.clone()));
        assert!(notice.market_now() >= Timestamp::from_seconds(65));
        assert_eq!(running(folder.path()).unwrap(), None);
        assert_eq!(stop(folder.path()), Ok(false));
        let lock = StateLock::take(folder.path()).unwrap();
        assert_eq!(running(folder.path()).unwrap(), Some(notice));
        drop(lock);
    }
}
