//! What the hand-offs that an order's way can't do without cost with nothing to do between them.
//!
//! Four, by the node's means (its own way has a few more): a thread that sleeps on a channel (the
//! journal's writer), a runtime that sleeps in its sockets (the desk's), another process at the
//! other end of a loopback socket (the gateway), and the thread that hears its answer. As many
//! bytes go out and come back as with an order. What an order takes beyond them is the node's own
//! and the gateway's.

use std::io;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// The first argument of the process at the other end; the second is its port.
pub const ECHO: &str = "echo";
/// What an order's frame has, and what the two of its acknowledgement have.
const ORDER_BYTES: usize = 144;
const ANSWER_BYTES: usize = 225;
/// Only a failure waits so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// The threads and the process.
pub struct HandOffs {
    begin: UnboundedSender<()>,
    took: Receiver<Duration>,
    other_end: Child,
}

impl HandOffs {
    /// Starts them.
    pub fn start() -> io::Result<Self> {
        let (begin, mut begins) = unbounded_channel();
        let (begun, begun_at) = channel();
        let (appended, appends) = channel();
        let (written_by, writer) = channel();
        let (heard, took) = channel();
        let (listening, port) = channel();
        let durable = Arc::new(Notify::new());
        let synced = Arc::clone(&durable);
        thread::spawn(move || {
            // The journal's writer, without a disk.
            while let Ok(()) = appends.recv() {
                synced.notify_one();
            }
        });
        thread::spawn(move || {
            runtime().block_on(async {
                // The connection to the gateway.
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
                let own = listener.local_addr().expect("it is bound").port();
                listening.send(own).expect("they wait for it");
                let (stream, _) = listener.accept().await.expect("the process connects");
                stream.set_nodelay(true).expect("loopback has it");
                let (mut read, write) = stream.into_split();
                written_by.send(write).expect("they wait for it");
                let mut answer = [0; ANSWER_BYTES];
                while read.read_exact(&mut answer).await.is_ok() {
                    let at = Instant::now();
                    let begun: Instant = begun_at.recv().expect("it was begun");
                    let _ = heard.send(at - begun);
                }
            });
        });
        let port = port.recv().map_err(io::Error::other)?;
        let other_end = Command::new(std::env::current_exe()?)
            .args([ECHO, &port.to_string()])
            .stdin(Stdio::null())
            .spawn()?;
        let write = writer.recv_timeout(PATIENCE).map_err(io::Error::other)?;
        thread::spawn(move || {
            runtime().block_on(async {
                // The desk and the session, without an order.
                while let Some(()) = begins.recv().await {
                    begun.send(Instant::now()).expect("the connection listens");
                    appended.send(()).expect("the writer listens");
                    durable.notified().await;
                    let written = write.try_write(&[0; ORDER_BYTES]).expect("it has room");
                    assert_eq!(written, ORDER_BYTES);
                }
            });
        });
        Ok(Self { begin, took, other_end })
    }

    /// How long all four take, once.
    pub fn once(&self) -> Duration {
        self.begin.send(()).expect("the threads live");
        self.took.recv_timeout(PATIENCE).expect("the other end answers")
    }
}

impl Drop for HandOffs {
    fn drop(&mut self) {
        // The threads end with the benchmark.
        let _ = self.other_end.kill();
        let _ = self.other_end.wait();
    }
}

/// The process at the other end.
pub fn echo(port: u16) -> io::Result<()> {
    runtime().block_on(async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let mut order = [0; ORDER_BYTES];
        while stream.read_exact(&mut order).await.is_ok() {
            stream.write_all(&[0; ANSWER_BYTES]).await?;
        }
        Ok(())
    })
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}
