//! The journal's own thread in the production build.
//!
//! It sleeps until something is queued, writes, and sleeps again; records that arrive during a sync
//! form the next batch. The runtime's threads never wait for a disk. Under virtual time there is no
//! such thread.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::JournalError;
use super::queue::{JournalHandle, JournalState};
use super::writer::JournalWriter;

/// Longest sleep: bounds how late a lost wake-up could be noticed, should there ever be one.
const IDLE_MAX: Duration = Duration::from_millis(500);
/// Between two tries while the disk is full.
const FULL_DISK_PAUSE: Duration = Duration::from_millis(250);

/// How the thread ended.
#[derive(Debug)]
pub enum ThreadEnd {
    /// It wrote everything that was queued.
    Written,
    /// It stopped with an error; what was not durable is lost.
    Stopped(JournalError),
    /// It panicked; treat as stopped.
    Panicked,
    /// It did not end in time, so a write may still be under way: abort the process, or two
    /// writers may meet.
    StillRunning,
}

/// The running thread of a journal.
#[derive(Debug)]
pub struct WriterThread {
    handle: JournalHandle,
    thread: JoinHandle<()>,
    ended: mpsc::Receiver<Result<(), JournalError>>,
}

/// Moves the writer to a thread named `journal`.
///
/// # Errors
/// If the system gives no thread.
pub fn spawn_writer_thread(mut writer: JournalWriter) -> Result<WriterThread, JournalError> {
    let handle = writer.handle().clone();
    let (end, ended) = mpsc::channel();
    let thread = thread::Builder::new()
        .name("journal".to_owned())
        .spawn(move || {
            let result = write_until_closed(&mut writer);
            drop(writer);
            // Nobody listens any more if the owner was dropped; the state says what happened.
            let _ = end.send(result);
        })
        .map_err(JournalError::Thread)?;
    Ok(WriterThread { handle, thread, ended })
}

fn write_until_closed(writer: &mut JournalWriter) -> Result<(), JournalError> {
    loop {
        writer.handle().wait_for_work(IDLE_MAX);
        if write_once(writer)? {
            return Ok(());
        }
    }
}

/// Writes what waits, if anything does. True when the journal was closed and everything is written.
fn write_once(writer: &mut JournalWriter) -> Result<bool, JournalError> {
    // Looked at first: what was taken before it was closed is then among what waits.
    let closing = writer.handle().state() == JournalState::Closed;
    match writer.write_pending() {
        Ok(None) if closing => return Ok(true),
        Ok(_) => {}
        Err(JournalError::StorageFull { .. }) if !closing => thread::sleep(FULL_DISK_PAUSE),
        Err(error) => return Err(error),
    }
    Ok(false)
}

impl WriterThread {
    /// Whether the thread has ended, for a watchdog.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Closes the journal, lets what waits be written, and waits at most `timeout` for the end.
    pub fn close_and_join(self, timeout: Duration) -> ThreadEnd {
        self.handle.close();
        match self.ended.recv_timeout(timeout) {
            Ok(result) => match (self.thread.join(), result) {
                (Ok(()), Ok(())) => ThreadEnd::Written,
                (Ok(()), Err(error)) => ThreadEnd::Stopped(error),
                (Err(_), _) => ThreadEnd::Panicked,
            },
            Err(RecvTimeoutError::Disconnected) => ThreadEnd::Panicked,
            Err(RecvTimeoutError::Timeout) => ThreadEnd::StillRunning,
        }
    }
}

#[cfg(all(test, loom))]
mod under_loom;
