//! Our own gateway beside the node: found where it runs, started where it doesn't, never ended.
//!
//! It is a process of its own group, with its books in the state folder's `venue/`, so that no
//! kill of the node or of its terminal reaches it; it keeps filling while the node is down. One
//! that dies is started again at the same port, and goes on where it would be.

use crate::configuration::Configuration;
use crate::failure::Failure;
use crate::gateway::notice::{self, Notice};
use gateway::control::{Answer, Command as GatewayCommand, Status};
use market::time::Timestamp;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A gateway has so long to read its books and listen: they grow until they are compacted.
const START_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// An answer of the control port.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Between two looks whether it is still there.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// Last lines of its log that an error shows.
const LINES_SHOWN: usize = 5;

/// What a gateway is started with.
#[derive(Clone, Debug)]
pub struct GatewayPlan {
    folder: PathBuf,
    fees: PathBuf,
    account: String,
    cash: String,
    seed: u64,
    speed: f64,
    lines: u16,
}

impl GatewayPlan {
    /// Of a node's configuration; `seed` and `speed` are what was asked for instead of it.
    pub fn new(
        state: &Path,
        configuration: &Configuration,
        seed: Option<u64>,
        speed: Option<f64>,
    ) -> Self {
        let configured = configuration.market.speed_permille as f64 / 1_000.0;
        Self {
            folder: state.join("venue"),
            fees: configuration.venue.fees_file.clone(),
            account: configuration.account.0.clone(),
            cash: configuration.venue.starting_cash.to_string(),
            seed: seed.unwrap_or(configuration.market.seed),
            speed: speed.unwrap_or(configured),
            lines: configuration.broker.lines,
        }
    }

    /// The gateway that runs, or a new one.
    ///
    /// # Errors
    /// It can't be started, or is another account's.
    pub fn found_or_started(&self) -> Result<Notice, Failure> {
        let folder = self.folder.display();
        let failed = |why: &dyn std::fmt::Display| {
            Failure::internal(format!("the gateway in {folder} can't be used")).because(why).next(
                format!(
                    "look at {folder}/gateway.log; restore the folder from a copy, or name another \
                     --state"
                ),
            )
        };
        let running = notice::running(&self.folder).map_err(|error| failed(&error))?;
        let found = match running {
            Some(found) => found,
            None => self.start(0).map_err(|error| failed(&error))?,
        };
        if found.account != self.account {
            let why = format!("it is of account {}, not of {}", found.account, self.account);
            return Err(failed(&why));
        }
        if (found.speed - self.speed).abs() > 1e-9 {
            tracing::warn!("the gateway runs at {} times, not at {}", found.speed, self.speed);
        }
        Ok(found)
    }

    /// Starts it and waits until it listens.
    fn start(&self, port: u16) -> Result<Notice, String> {
        let in_words = |what: &str, error: &dyn std::fmt::Display| format!("{what}: {error}");
        std::fs::create_dir_all(&self.folder).map_err(|error| in_words("its folder", &error))?;
        let path = self.folder.join("gateway.log");
        let log = File::options().create(true).append(true).open(&path);
        let log = log.map_err(|error| in_words("its log", &error))?;
        let own = std::env::current_exe().map_err(|error| in_words("our own program", &error))?;
        let mut command = Command::new(own);
        command
            .args(["--quiet", "gateway", "--port", &port.to_string(), "--control-port", "0"])
            .args(["--account", &self.account, "--cash", &self.cash])
            .args(["--seed", &self.seed.to_string(), "--speed", &self.speed.to_string()])
            .args(["--lines", &self.lines.to_string()])
            .arg("--fees")
            .arg(&self.fees)
            .arg("--state")
            .arg(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            // Ctrl-C in our terminal is not for it.
            .process_group(0);
        let mut child = command.spawn().map_err(|error| in_words("it does not start", &error))?;
        let started = self.until_listening(&mut child, &path);
        // It is nobody's child to wait for, except that one that ended must not stay a zombie.
        std::thread::spawn(move || child.wait());
        started
    }

    fn until_listening(&self, child: &mut Child, log: &Path) -> Result<Notice, String> {
        let deadline = Instant::now() + START_WITHIN;
        loop {
            if let Some(notice) = Notice::read(&self.folder)
                && notice.pid == child.id()
            {
                return Ok(notice);
            }
            if let Ok(Some(status)) = child.try_wait() {
                let text = std::fs::read_to_string(log).unwrap_or_default();
                let lines: Vec<&str> = text.lines().collect();
                let last = lines[lines.len().saturating_sub(LINES_SHOWN)..].join(" | ");
                return Err(format!("it ended with {status}: {last}"));
            }
            if Instant::now() >= deadline {
                return Err(format!("it does not listen within {START_WITHIN:?}"));
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Starts it again whenever it is gone, at the port where the node looks for it; for ever, on a
    /// thread of its own.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn keep(self, port: u16) -> io::Result<()> {
        let watch = move || {
            loop {
                std::thread::sleep(WATCH_EVERY);
                if !matches!(notice::running(&self.folder), Ok(None)) {
                    continue;
                }
                tracing::warn!("the gateway is gone, it is started again");
                if let Err(reason) = self.start(port) {
                    tracing::error!(reason, "the gateway can't be started again");
                }
            }
        };
        std::thread::Builder::new().name("gateway".to_owned()).spawn(watch).map(drop)
    }
}

/// The market's time at the gateway, now.
///
/// # Errors
/// It doesn't answer.
pub fn market_time(found: &Notice) -> io::Result<Timestamp> {
    let Some(control) = &found.control else { return Ok(found.market_now()) };
    let mut stream = TcpStream::connect(control)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    let asked = serde_json::to_string(&GatewayCommand::Status).map_err(io::Error::other)?;
    stream.write_all(format!("{asked}\n").as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    match serde_json::from_str(&line).map_err(io::Error::other)? {
        Answer::Done(Status { market_nanos, .. }) => Ok(Timestamp::from_nanos(market_nanos)),
        Answer::Refused(reason) => Err(io::Error::other(reason)),
    }
}
