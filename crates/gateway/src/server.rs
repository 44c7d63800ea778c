//! The shell around the gateway: sockets, the clock, the books on disk. Decides nothing.
//!
//! One task owns the machine. It takes what readers bring, lets the machine work, writes the
//! changes of the books, and only then hands the frames to writers: what a client was told survives
//! the death of this process. Written, not synced: power loss is outside the simulation. Readers
//! wait when the machine is behind; a client that doesn't read its frames is closed once its queue
//! is full. The market's state is saved every few seconds; a restart replays it up to the books.

use crate::control::{Answer, Command, Status};
use crate::world::{Connection, Input, Output, World};
use exchange::book_file::{VenueFileError, VenueFiles};
use market::time::{Now, ProcessTime, Timestamp};
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Frames that may wait for one client.
const QUEUE_FRAMES: usize = 20_000;
/// Chunks of bytes that may wait for the machine, of all clients together.
const INPUT_CHUNKS: usize = 256;
const CHUNK_BYTES: usize = 16 * 1024;
/// Inputs worked off before the books are written and the answers sent.
const BATCH: usize = 64;
const LONGEST_COMMAND: u64 = 64 * 1024;
/// Connections at most; IB's own gateway serves 32 clients.
const CONNECTIONS_MAX: usize = 64;
/// A system without a free socket is asked again after this.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);
/// What was queued for a client that was dropped may take so long to leave.
const LAST_FRAMES: Duration = Duration::from_secs(2);
/// A quiet market is saved this often.
const SAVE_EVERY: Duration = Duration::from_secs(5);
/// A market that runs fast is looked at this often, and told as one change: IB sends an option's
/// ticks ten times a second at most, a stock's four times.
const MARKET_PACE: Duration = Duration::from_millis(25);
/// The longest sleep: the market's clock may be set while this task sleeps.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// Market time from process time.
#[derive(Clone, Copy, Debug)]
pub struct MarketClock {
    base: Timestamp,
    started: Instant,
    speed: f64,
}

impl MarketClock {
    /// A clock that shows `base` now and runs `speed` times as fast as the process; 0 stands still.
    #[must_use]
    pub fn new(base: Timestamp, speed: f64) -> Self {
        Self { base, started: Instant::now(), speed }
    }

    fn now(&self) -> Now {
        let elapsed = self.started.elapsed();
        let process = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        let market = self.base.plus(elapsed.mul_f64(self.speed));
        Now { market, process: ProcessTime::from_nanos(process) }
    }

    fn until(&self, at: Timestamp) -> Duration {
        if self.speed <= 0.0 {
            return SLEEP_MAX;
        }
        let left = at.since(self.now().market).as_secs_f64() / self.speed;
        Duration::from_secs_f64(left.min(SLEEP_MAX.as_secs_f64()))
    }
}

/// Hears, every few seconds, how the gateway stands.
pub type StatusListener = Box<dyn FnMut(&Status) + Send>;

/// What a server runs on.
pub struct Host {
    /// The machine.
    pub world: World,
    /// Where its books are kept, if they are.
    pub files: Option<VenueFiles>,
    /// Its clock.
    pub clock: MarketClock,
    /// Where clients connect.
    pub listener: TcpListener,
    /// Where commands come in.
    pub control: Option<TcpListener>,
    /// Who hears how it stands.
    pub on_status: StatusListener,
}

/// Why a server ends by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The books can't be written.
    #[error("the gateway can't write its books: {0}; free space or choose another --state")]
    Books(#[from] VenueFileError),
    /// The listening socket is broken.
    #[error("the gateway can't take connections any more: {0}")]
    Listener(#[source] io::Error),
}

enum Event {
    Bytes(Connection, Vec<u8>),
    Closed(Connection),
    Command(Box<Command>, oneshot::Sender<Answer>),
}

struct Peer {
    frames: mpsc::Sender<Vec<u8>>,
    reader: JoinHandle<()>,
    writer: JoinHandle<()>,
}

impl Peer {
    /// The writer sends what is queued and closes the socket, for which it has a moment; the reader
    /// stops at once.
    fn end(self) {
        let Self { frames, reader, mut writer } = self;
        reader.abort();
        drop(frames);
        tokio::spawn(async move {
            if tokio::time::timeout(LAST_FRAMES, &mut writer).await.is_err() {
                writer.abort();
            }
        });
    }
}

struct Server {
    host: Host,
    peers: BTreeMap<Connection, Peer>,
    events: mpsc::Sender<Event>,
    next_connection: Connection,
    saved: Instant,
    outputs: Vec<Output>,
    replies: Vec<(oneshot::Sender<Answer>, Answer)>,
}

/// Serves until `stop` completes; the books are then written to the end.
///
/// # Errors
/// When the books can't be written or the listening socket breaks.
pub async fn serve(host: Host, stop: impl Future<Output = ()>) -> Result<(), ServerError> {
    let (events, mut incoming) = mpsc::channel(INPUT_CHUNKS);
    let mut server = Server {
        host,
        peers: BTreeMap::new(),
        events,
        next_connection: 1,
        saved: Instant::now(),
        outputs: Vec::new(),
        replies: Vec::new(),
    };
    tokio::pin!(stop);
    loop {
        let wake = Instant::now() + server.sleep();
        tokio::select! {
            biased;
            () = &mut stop => break,
            Some(event) = incoming.recv() => {
                server.take(event);
                for _ in 0..BATCH {
                    let Ok(event) = incoming.try_recv() else { break };
                    server.take(event);
                }
            }
            accepted = server.host.listener.accept() => {
                match accepted {
                    Ok((stream, _)) => server.connect(stream),
                    Err(error) if is_passing(&error) => {
                        tracing::warn!(%error, "a connection can't be taken now");
                        tokio::time::sleep(ACCEPT_AGAIN).await;
                    }
                    Err(error) => return Err(ServerError::Listener(error)),
                }
            }
            accepted = accept(server.host.control.as_ref()) => {
                if let Ok(stream) = accepted {
                    tokio::spawn(obey(stream, server.events.clone()));
                }
            }
            () = tokio::time::sleep_until(wake) => server.pass_time(),
        }
        server.settle()?;
    }
    for peer in std::mem::take(&mut server.peers).into_values() {
        peer.reader.abort();
    }
    server.save()
}

/// Errors of one connection, or of a system that has no socket left at this moment.
fn is_passing(error: &io::Error) -> bool {
    // EMFILE and ENFILE of Linux; the standard library has no kinds for them.
    matches!(error.raw_os_error(), Some(23 | 24))
        || matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::Interrupted
        )
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

impl Server {
    fn sleep(&self) -> Duration {
        let world = &self.host.world;
        let market = world.next_market().map_or(SLEEP_MAX, |at| self.host.clock.until(at));
        let market = market.max(MARKET_PACE);
        let now = self.host.clock.now().process;
        let own = world.next_process().map_or(SLEEP_MAX, |at| at.since(now));
        market.min(own)
    }

    fn connect(&mut self, stream: TcpStream) {
        if self.peers.len() >= CONNECTIONS_MAX {
            tracing::warn!("a connection is refused: {CONNECTIONS_MAX} are open");
            return;
        }
        let connection = self.next_connection;
        self.next_connection += 1;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::warn!(connection, %error, "can't set TCP_NODELAY");
        }
        let (read, write) = stream.into_split();
        let (frames, queue) = mpsc::channel(QUEUE_FRAMES);
        let reader = tokio::spawn(read_from(connection, read, self.events.clone()));
        let writer = tokio::spawn(write_to(write, queue));
        self.peers.insert(connection, Peer { frames, reader, writer });
        self.work(&Input::Connected(connection));
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Bytes(connection, bytes) => self.work(&Input::Bytes(connection, &bytes)),
            Event::Closed(connection) => {
                self.drop_peer(connection);
                self.work(&Input::Closed(connection));
            }
            Event::Command(command, reply) => {
                if let Command::Advance { milliseconds } = *command {
                    let base = self.host.clock.base;
                    self.host.clock.base = base.plus(Duration::from_millis(milliseconds));
                }
                let now = self.host.clock.now();
                let (answer, outputs) = self.host.world.command(&command, now);
                self.outputs.extend(outputs);
                self.replies.push((reply, answer));
            }
        }
    }

    fn pass_time(&mut self) {
        self.work(&Input::Time);
    }

    fn work(&mut self, input: &Input<'_>) {
        let now = self.host.clock.now();
        let outputs = self.host.world.on(input, now);
        self.outputs.extend(outputs);
    }

    /// Writes the books, then sends what waited for them.
    fn settle(&mut self) -> Result<(), ServerError> {
        self.write_books()?;
        if self.saved.elapsed() >= SAVE_EVERY {
            self.save()?;
            let status = self.host.world.status(self.host.clock.now());
            (self.host.on_status)(&status);
        }
        for output in std::mem::take(&mut self.outputs) {
            self.carry_out(output);
        }
        for (reply, answer) in self.replies.drain(..) {
            // Whoever asked may be gone.
            let _ = reply.send(answer);
        }
        Ok(())
    }

    fn write_books(&mut self) -> Result<(), ServerError> {
        let changes = self.host.world.take_changes();
        let Some(files) = &mut self.host.files else { return Ok(()) };
        files.append(&changes)?;
        if files.wants_compaction() {
            files.compact(&self.host.world.snapshot())?;
        }
        Ok(())
    }

    fn save(&mut self) -> Result<(), ServerError> {
        self.saved = Instant::now();
        self.write_books()?;
        if let (Some(files), Some(state)) = (&mut self.host.files, self.host.world.market_state()) {
            files.save_market(&state)?;
        }
        Ok(())
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Frame { connection, bytes } => {
                let Some(peer) = self.peers.get(&connection) else { return };
                if peer.frames.try_send(bytes).is_err() {
                    tracing::warn!(connection, "the client doesn't read what it is sent: closed");
                    self.drop_peer(connection);
                    self.work(&Input::Closed(connection));
                }
            }
            Output::Close { connection } => self.drop_peer(connection),
            Output::Log(line) => tracing::info!("{line}"),
        }
    }

    fn drop_peer(&mut self, connection: Connection) {
        if let Some(peer) = self.peers.remove(&connection) {
            peer.end();
        }
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

async fn write_to(mut write: OwnedWriteHalf, mut queue: mpsc::Receiver<Vec<u8>>) {
    let mut waiting = Vec::new();
    while queue.recv_many(&mut waiting, QUEUE_FRAMES).await > 0 {
        if write.write_all(&waiting.concat()).await.is_err() {
            // The reader sees the same end and reports it.
            return;
        }
        waiting.clear();
    }
    let _ = write.shutdown().await;
}

/// Serves one connection of the control port: a command a line, an answer a line.
async fn obey(stream: TcpStream, events: mpsc::Sender<Event>) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read.take(LONGEST_COMMAND)).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let answer = match serde_json::from_str::<Command>(&line) {
            Err(error) => Answer::Refused(format!("not a command: {error}")),
            Ok(command) => {
                let (reply, answer) = oneshot::channel();
                if events.send(Event::Command(Box::new(command), reply)).await.is_err() {
                    return;
                }
                match answer.await {
                    Ok(answer) => answer,
                    Err(_) => return,
                }
            }
        };
        let mut text = serde_json::to_string(&answer).expect("answers have text keys");
        text.push('\n');
        if write.write_all(text.as_bytes()).await.is_err() {
            return;
        }
        lines.get_mut().get_mut().set_limit(LONGEST_COMMAND);
    }
}
