//! The thread that watches the runtimes and takes a halt when everything else is stuck.
//!
//! No tokio here: it must work while every runtime hangs. It watches the pulse of each runtime and
//! the age of the journal, polls the file `HALT`, and serves a Unix socket (`halt <reason>`).
//! Production only; a simulation has no foreign threads. What a trip does is the closure's
//! business, and so is ending the process when a runtime is beyond help.

use super::clock::Clock;
use super::metrics;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The file whose presence halts trading.
pub const HALT_FILE: &str = "HALT";
/// The socket that takes `halt <reason>`.
pub const HALT_SOCKET: &str = "halt.sock";

/// A client gets this long to say its line and to take its answer.
const CLIENT_PATIENCE: Duration = Duration::from_millis(200);
/// Longer lines aren't read to their end.
const LINE_BYTES: u64 = 1024;

/// The heartbeat of one runtime.
#[derive(Clone, Debug)]
pub struct Pulse {
    name: &'static str,
    beats: Arc<AtomicU64>,
}

impl Pulse {
    /// A pulse that hasn't beaten yet.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self { name, beats: Arc::new(AtomicU64::new(0)) }
    }

    /// The runtime makes progress.
    pub fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// Beats every `every` on the present runtime, for ever: spawn it on the one to be watched.
    pub async fn keep_beating(self, clock: Clock, every: Duration) {
        loop {
            self.beat();
            clock.sleep(every).await;
        }
    }
}

type Trip = Box<dyn Fn(&str) -> Result<(), String> + Send>;

/// What the watchdog watches, and whom it calls.
pub struct WatchdogSpec {
    /// The node's state directory: `HALT` and `halt.sock` are in it.
    pub state_dir: PathBuf,
    /// How often it looks.
    pub poll: Duration,
    /// A runtime without a beat for this long is stuck.
    pub grace: Duration,
    /// The runtimes.
    pub pulses: Vec<Pulse>,
    /// How long the oldest record has waited to become durable.
    pub journal_age: Box<dyn Fn() -> Duration + Send>,
    /// Beyond this age trading halts.
    pub journal_age_max: Duration,
    /// Trips the latch with the reason; an answer means that it holds.
    pub trip: Trip,
    /// Ends the process: called once, after the trip, when a runtime is stuck.
    pub abort: Box<dyn Fn(&str) + Send>,
}

/// The running thread; dropping it stops and joins it.
#[derive(Debug)]
pub struct Watchdog {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Binds the socket (mode 0600, replacing a stale one) and starts the thread.
    ///
    /// # Errors
    /// The socket can't be bound, or the thread can't be started.
    pub fn start(spec: WatchdogSpec) -> io::Result<Self> {
        let listener = bind(&spec.state_dir.join(HALT_SOCKET))?;
        let stop = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("watchdog".to_owned())
            .spawn(move || watch(&spec, &listener, &until))?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported by the hook; there is nothing left to stop.
            let _ = thread.join();
        }
    }
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

#[expect(clippy::disallowed_methods, reason = "the watchdog must not depend on tokio's clock")]
fn watch(spec: &WatchdogSpec, listener: &UnixListener, stop: &AtomicBool) {
    let mut heart = Heart::new(spec, Instant::now());
    let mut halt_file = false;
    let mut journal_late = false;
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(spec.poll);
        serve(spec, listener);
        let present = halt_reason(&spec.state_dir);
        if let Some(reason) = &present {
            // A trip that failed is tried again at the next look.
            halt_file = halt_file || trip(spec, "halt_file", reason).is_ok();
        } else {
            halt_file = false;
        }
        let late = (spec.journal_age)() > spec.journal_age_max;
        if late && !journal_late {
            // Tried once per stall: the latch itself may need the journal.
            let _ = trip(spec, "journal", "the journal does not become durable in time");
        }
        journal_late = late;
        if let Some(stuck) = heart.stuck(spec, Instant::now()) {
            let reason = format!("the runtime `{stuck}` is stuck");
            // It is aborted whether or not the latch could be tripped.
            let _ = trip(spec, "stuck_runtime", &reason);
            (spec.abort)(&reason);
            return;
        }
    }
}

fn trip(spec: &WatchdogSpec, cause: &str, reason: &str) -> Result<(), String> {
    metrics::WATCHDOG_TRIPS.counter(&[cause]).increment(1);
    (spec.trip)(reason)
}

/// How long each runtime has not beaten.
struct Heart {
    looked: Instant,
    silent: Vec<(u64, Duration)>,
}

impl Heart {
    fn new(spec: &WatchdogSpec, now: Instant) -> Self {
        let beats = spec.pulses.iter().map(|pulse| pulse.beats.load(Ordering::Relaxed));
        Self { looked: now, silent: beats.map(|beats| (beats, Duration::ZERO)).collect() }
    }

    /// The runtime that has not beaten within the grace.
    fn stuck(&mut self, spec: &WatchdogSpec, now: Instant) -> Option<&'static str> {
        // Where this thread itself was held up (a stopped process, an overloaded machine), the
        // runtimes had no chance to beat either: a look counts for two polls at most.
        let passed = now.duration_since(self.looked).min(spec.poll * 2);
        self.looked = now;
        let mut stuck = None;
        for (pulse, (beats, silent)) in spec.pulses.iter().zip(&mut self.silent) {
            let present = pulse.beats.load(Ordering::Relaxed);
            if present == *beats {
                *silent += passed;
            } else {
                (*beats, *silent) = (present, Duration::ZERO);
            }
            if *silent > spec.grace {
                stuck = Some(pulse.name);
            }
        }
        stuck
    }
}

/// Why the file `HALT` is there, if it is. A file that can't be read halts too.
fn halt_reason(state_dir: &Path) -> Option<String> {
    match std::fs::read(state_dir.join(HALT_FILE)) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes[..bytes.len().min(LINE_BYTES as usize)]);
            let line = text.lines().next().unwrap_or_default().trim();
            Some(format!("file HALT: {line}"))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(format!("file HALT: {error}")),
    }
}

/// Takes every client that waits.
fn serve(spec: &WatchdogSpec, listener: &UnixListener) {
    while let Ok((stream, _)) = listener.accept() {
        // A client that vanishes has still tripped the latch.
        let _ = answer(spec, stream);
    }
}

fn answer(spec: &WatchdogSpec, mut stream: UnixStream) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(CLIENT_PATIENCE))?;
    stream.set_write_timeout(Some(CLIENT_PATIENCE))?;
    let reply = match request(&read_line(&mut stream)?) {
        Some(reason) => match trip(spec, "halt_socket", reason) {
            Ok(()) => "halted\n".to_owned(),
            Err(error) => format!("failed: {error}\n"),
        },
        None => "unknown: say `halt <reason>`\n".to_owned(),
    };
    stream.write_all(reply.as_bytes())
}

fn read_line(stream: &mut UnixStream) -> io::Result<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    let mut limited = stream.take(LINE_BYTES);
    while limited.read(&mut byte)? == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

/// The reason of a halt request.
fn request(line: &str) -> Option<&str> {
    let rest = line.trim().strip_prefix("halt")?;
    if rest.is_empty() {
        return Some("without a reason");
    }
    rest.strip_prefix(' ').map(str::trim)
}

#[cfg(test)]
mod tests;
