//! The shell around the gateway: sockets, the clock, the books on disk. Decides nothing.
//!
//! One task owns the machine. It takes what readers bring, lets the machine work, writes the
//! changes of the books, and only then hands the frames to writers: what a client was told survives
//! the death of this process. Written, not synced: power loss is outside the simulation. Readers
//! wait when the machine is behind; a client that doesn't read its frames is closed once its queue
//! is full. The market's state is saved every few seconds; a restart replays it up to the books.
//! Whatever a stranger can make this process keep or say has a bound ([`Bounds`]). One client's
//! tasks are in `peer`, those of the control port in `control_port`.

mod control_port;
mod peer;
#[cfg(test)]
mod tests;

use crate::control::{Answer, Command, Status};
use crate::log_pace::LogPace;
use crate::world::{Connection, Input, Output, World};
use exchange::book_file::{VenueFileError, VenueFiles};
use market::time::{Now, ProcessTime, Timestamp};
use peer::Peer;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::Instant;

/// Chunks of bytes that may wait for the machine, of all clients together.
const INPUT_CHUNKS: usize = 256;
/// Inputs worked off before the books are written and the answers sent.
const BATCH: usize = 64;
/// A system without a free socket is asked again after this; whoever is connected is served
/// meanwhile.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);
/// Lines a second of what the machine has to say.
const REMARKS_PER_SECOND: u32 = 100;
/// Warnings a second of what is refused or broken.
const WARNINGS_PER_SECOND: u32 = 10;
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

/// What strangers may make a server hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Connections of clients; IB's own gateway serves 32.
    pub connections: usize,
    /// Frames that may wait for one client.
    pub frames: usize,
    /// Bytes of them. A client's connection holds twice that at most: while they are written they
    /// are there a second time.
    pub bytes: usize,
    /// Connections to the control port.
    pub commanders: usize,
    /// A connection to the control port that says nothing, or doesn't read, for this long is
    /// closed.
    pub silence: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 64,
            frames: 20_000,
            // The contract details of a chain of 20,000 options, told in one go.
            bytes: 16 << 20,
            commanders: 8,
            silence: Duration::from_secs(120),
        }
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
    /// What it may hold.
    pub bounds: Bounds,
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

struct Server {
    host: Host,
    peers: BTreeMap<Connection, Peer>,
    /// Places for clients and for the control port's connections.
    places: Arc<Semaphore>,
    commanders: Arc<Semaphore>,
    /// After an error of the system no connection is taken before this.
    accept_from: Option<Instant>,
    remarks: LogPace,
    warnings: LogPace,
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
        places: Arc::new(Semaphore::new(host.bounds.connections)),
        commanders: Arc::new(Semaphore::new(host.bounds.commanders)),
        host,
        peers: BTreeMap::new(),
        accept_from: None,
        remarks: LogPace::new(REMARKS_PER_SECOND),
        warnings: LogPace::new(WARNINGS_PER_SECOND),
        events,
        next_connection: 1,
        saved: Instant::now(),
        outputs: Vec::new(),
        replies: Vec::new(),
    };
    tokio::pin!(stop);
    loop {
        let now = Instant::now();
        server.accept_from = server.accept_from.filter(|from| *from > now);
        let wake = server.accept_from.unwrap_or(now + SLEEP_MAX).min(now + server.sleep());
        let accepts = server.accept_from.is_none();
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
            accepted = server.host.listener.accept(), if accepts => match accepted {
                Ok((stream, _)) => server.connect(stream),
                Err(error) => server.not_accepted(error)?,
            },
            accepted = accept(server.host.control.as_ref()), if accepts => match accepted {
                Ok(stream) => server.listen_to(stream),
                Err(error) => server.not_accepted(error)?,
            },
            () = tokio::time::sleep_until(wake) => server.pass_time(),
        }
        server.settle()?;
    }
    for peer in std::mem::take(&mut server.peers).into_values() {
        peer.stop_reading();
    }
    server.save()
}

/// Errors of one connection, or of a system that has no room left at this moment.
fn is_passing(error: &io::Error) -> bool {
    // Linux: ENOMEM, ENFILE, EMFILE, ENOBUFS; and what accept(2) passes on from the network, after
    // which it is to be called again. The standard library has no kinds for them.
    matches!(
        error.raw_os_error(),
        Some(12 | 23 | 24 | 105 | 64 | 71 | 92 | 95 | 100 | 101 | 112 | 113)
    ) || matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

fn and_left_out(lines: u64) -> String {
    if lines == 0 { String::new() } else { format!(" ({lines} lines were left out before)") }
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
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            let most = self.host.bounds.connections;
            return self.warn(&format!("a connection is refused: {most} are open"));
        };
        let connection = self.next_connection;
        self.next_connection += 1;
        if let Err(error) = stream.set_nodelay(true) {
            self.warn(&format!("connection {connection} has no TCP_NODELAY: {error}"));
        }
        let (bounds, events) = (self.host.bounds, self.events.clone());
        self.peers.insert(connection, Peer::serve(connection, stream, place, bounds, events));
        self.work(&Input::Connected(connection));
    }

    fn listen_to(&mut self, stream: TcpStream) {
        let bounds = self.host.bounds;
        let Ok(place) = Arc::clone(&self.commanders).try_acquire_owned() else {
            let most = bounds.commanders;
            self.warn(&format!("a connection to the control port is refused: {most} are open"));
            // It sees its connection closed in any case.
            let _ = control_port::refuse(&stream, bounds);
            return;
        };
        tokio::spawn(control_port::obey(stream, self.events.clone(), bounds, place));
    }

    fn not_accepted(&mut self, error: io::Error) -> Result<(), ServerError> {
        if !is_passing(&error) {
            return Err(ServerError::Listener(error));
        }
        self.accept_from = Some(Instant::now() + ACCEPT_AGAIN);
        self.warn(&format!("a connection can't be taken now: {error}"));
        Ok(())
    }

    fn warn(&mut self, line: &str) {
        if let Some(left_out) = self.warnings.admit(self.host.clock.now().process) {
            tracing::warn!("{line}{}", and_left_out(left_out));
        }
    }

    fn remark(&mut self, line: &str) {
        if let Some(left_out) = self.remarks.admit(self.host.clock.now().process) {
            tracing::info!("{line}{}", and_left_out(left_out));
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Bytes(connection, bytes) => self.work(&Input::Bytes(connection, &bytes)),
            Event::Closed(connection) => {
                self.drop_peer(connection);
                self.work(&Input::Closed(connection));
            }
            Event::Command(command, reply) => {
                match command.moves_clock() {
                    Ok(by) => self.host.clock.base = self.host.clock.base.plus(by),
                    Err(reason) => return self.replies.push((reply, Answer::Refused(reason))),
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
                if let Err(backlog) = peer.send(bytes) {
                    let peer::Backlog { frames, bytes } = backlog;
                    self.warn(&format!(
                        "connection {connection} is closed: {frames} frames ({bytes} bytes) wait \
                         and its client doesn't read"
                    ));
                    self.peers.remove(&connection).into_iter().for_each(Peer::abort);
                    self.work(&Input::Closed(connection));
                }
            }
            Output::Close { connection } => self.drop_peer(connection),
            Output::Log(line) => self.remark(&line),
        }
    }

    fn drop_peer(&mut self, connection: Connection) {
        if let Some(peer) = self.peers.remove(&connection) {
            peer.end();
        }
    }
}
