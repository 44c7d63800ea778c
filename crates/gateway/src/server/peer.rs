//! One client's socket: a task that reads, a task that writes, and a queue between the machine and
//! the writer that is bounded in frames and in bytes.
//!
//! A connection counts until its writer has ended, so that clients which are on their way out hold
//! no more sockets than the bound allows.

use super::{Bounds, Event};
use crate::world::Connection;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;

const CHUNK_BYTES: usize = 16 * 1024;
/// Frames that are written with one call.
const WRITTEN_AT_ONCE: usize = 1_024;
/// What was queued for a client that is closed may take so long to leave.
const LAST_FRAMES: Duration = Duration::from_secs(2);

/// A frame that waits, and its part of the bytes that may.
type Waiting = (Vec<u8>, OwnedSemaphorePermit);

/// A client that doesn't read what it is sent: what waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog {
    pub frames: usize,
    pub bytes: usize,
}

pub struct Peer {
    frames: mpsc::Sender<Waiting>,
    room: Arc<Semaphore>,
    bounds: Bounds,
    reader: JoinHandle<()>,
    writer: JoinHandle<()>,
}

impl Peer {
    /// Serves a socket; `place` is its place among the connections.
    pub fn serve(
        connection: Connection,
        stream: TcpStream,
        place: OwnedSemaphorePermit,
        bounds: Bounds,
        events: mpsc::Sender<Event>,
    ) -> Self {
        let (read, write) = stream.into_split();
        let (frames, queue) = mpsc::channel(bounds.frames);
        let room = Arc::new(Semaphore::new(bounds.bytes));
        let reader = tokio::spawn(read_from(connection, read, events));
        let writer = tokio::spawn(write_to(write, queue, place));
        Self { frames, room, bounds, reader, writer }
    }

    /// Queues a frame.
    ///
    /// # Errors
    /// When the queue is full.
    pub fn send(&self, frame: Vec<u8>) -> Result<(), Backlog> {
        // One that is longer than the whole queue may go alone.
        let room = u32::try_from(frame.len().min(self.bounds.bytes)).unwrap_or(u32::MAX);
        let full = |_| self.backlog();
        let permit = Arc::clone(&self.room).try_acquire_many_owned(room).map_err(full)?;
        // A writer that has ended leaves its queue closed: the reader's end comes soon.
        match self.frames.try_send((frame, permit)) {
            Err(mpsc::error::TrySendError::Full(_)) => Err(self.backlog()),
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
        }
    }

    fn backlog(&self) -> Backlog {
        let bytes = self.bounds.bytes - self.room.available_permits();
        Backlog { frames: self.bounds.frames - self.frames.capacity(), bytes }
    }

    /// The writer sends what is queued and closes the socket, for which it has a moment; the reader
    /// stops at once.
    pub fn end(self) {
        let Self { frames, reader, mut writer, .. } = self;
        reader.abort();
        drop(frames);
        tokio::spawn(async move {
            if tokio::time::timeout(LAST_FRAMES, &mut writer).await.is_err() {
                writer.abort();
            }
        });
    }

    /// Drops the socket with all that waits for it.
    pub fn abort(self) {
        self.reader.abort();
        self.writer.abort();
    }

    /// Reads no more.
    pub fn stop_reading(&self) {
        self.reader.abort();
    }
}

async fn read_from(connection: Connection, mut read: OwnedReadHalf, events: mpsc::Sender<Event>) {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let bytes = match read.read(&mut chunk).await {
            Ok(0) | Err(_) => break,
            Ok(length) => chunk[..length].to_vec(),
        };
        if events.send(Event::Bytes(connection, bytes)).await.is_err() {
            return;
        }
    }
    // Nobody listens once the server has ended.
    let _ = events.send(Event::Closed(connection)).await;
}

async fn write_to(
    mut write: OwnedWriteHalf,
    mut queue: mpsc::Receiver<Waiting>,
    _place: OwnedSemaphorePermit,
) {
    let mut waiting = Vec::new();
    let mut bytes = Vec::new();
    while queue.recv_many(&mut waiting, WRITTEN_AT_ONCE).await > 0 {
        bytes.clear();
        waiting.iter().for_each(|(frame, _)| bytes.extend_from_slice(frame));
        if write.write_all(&bytes).await.is_err() {
            // The reader sees the same end and reports it.
            return;
        }
        // Written: their room is free again.
        waiting.clear();
        bytes.shrink_to(CHUNK_BYTES);
    }
    let _ = write.shutdown().await;
}
