//! The control port's connections: a command a line, an answer a line, all of it bounded.
//!
//! A line has a longest, a connection a longest silence, and there are so many at most: whoever
//! connects and says nothing, or never reads its answers, holds nothing for long.

use super::{Bounds, Event};
use crate::control::{Answer, Command};
use std::io;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::timeout;

const LONGEST_COMMAND: usize = 64 * 1024;

/// Serves one connection until it ends, is silent for too long, or sends what is no line.
pub async fn obey(
    stream: TcpStream,
    events: mpsc::Sender<Event>,
    bounds: Bounds,
    _place: OwnedSemaphorePermit,
) {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut longest = (&mut read).take(LONGEST_COMMAND as u64 + 1);
        match timeout(bounds.silence, longest.read_until(b'\n', &mut line)).await {
            Ok(Ok(length)) if length > 0 => {}
            Ok(_) | Err(_) => return,
        }
        let whole = line.len() <= LONGEST_COMMAND;
        let answer = if !whole {
            Answer::Refused(format!("a command has {LONGEST_COMMAND} bytes at most"))
        } else {
            match serde_json::from_slice::<Command>(&line) {
                Err(error) => Answer::Refused(format!("not a command: {error}")),
                Ok(command) => match carry_out(command, &events).await {
                    Some(answer) => answer,
                    None => return,
                },
            }
        };
        let written = timeout(bounds.silence, write.write_all(&worded(&answer))).await;
        // The rest of a line that is too long is no command.
        if !whole || !matches!(written, Ok(Ok(()))) {
            return;
        }
    }
}

async fn carry_out(command: Command, events: &mpsc::Sender<Event>) -> Option<Answer> {
    let (reply, answer) = oneshot::channel();
    events.send(Event::Command(Box::new(command), reply)).await.ok()?;
    answer.await.ok()
}

/// Tells a connection that there are too many; whoever doesn't take these few bytes at once isn't
/// told.
///
/// # Errors
/// When they can't be written.
pub fn refuse(stream: &TcpStream, bounds: Bounds) -> io::Result<usize> {
    let most = bounds.commanders;
    stream.try_write(&worded(&Answer::Refused(format!("{most} connections are open, come again"))))
}

fn worded(answer: &Answer) -> Vec<u8> {
    let mut text = serde_json::to_vec(answer).expect("answers have text keys");
    text.push(b'\n');
    text
}
