//! `optionsib halt`: three ways in, because a halt must work when others don't.
//!
//! The API acknowledges when nothing new can reach the wire. If it doesn't answer, the watchdog's
//! socket trips the latch although every runtime hangs. If that isn't there either, the file `HALT`
//! is written: a running node takes it within a second, a stopped one at its next start.

use crate::api::HaltRequest;
use crate::cli::HaltArgs;
use crate::client::Client;
use crate::control::HaltAcknowledged;
use crate::failure::{Exit, Failure};
use actors::runtime::watchdog::{HALT_FILE, HALT_SOCKET};
use serde::Serialize;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// An API that takes longer is stuck, and the next way in is tried.
const API_PATIENCE: Duration = Duration::from_secs(2);
/// The watchdog looks several times a second; trips wait for the latch to be durable.
const SOCKET_PATIENCE: Duration = Duration::from_secs(5);

/// Which way the halt went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// The API acknowledged.
    Api,
    /// The watchdog acknowledged.
    Socket,
    /// The file was written; nobody has acknowledged.
    File,
}

/// A halt that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HaltReport {
    /// Somebody has acknowledged that it holds.
    pub acknowledged: bool,
    /// Which way it went.
    pub way: Way,
    /// The epoch that began with it, where the API acknowledged.
    pub halt_epoch: Option<u64>,
    /// What failed before.
    pub remarks: Vec<String>,
}

/// Halts by the first way that works.
///
/// # Errors
/// None works.
pub fn halt(args: &HaltArgs) -> Result<HaltReport, Failure> {
    halt_within(args, API_PATIENCE)
}

fn halt_within(args: &HaltArgs, api_patience: Duration) -> Result<HaltReport, Failure> {
    let mut remarks = Vec::new();
    let request = HaltRequest { reason: args.reason.clone() };
    let client = Client::with_patience(&args.client, api_patience);
    match client.post::<HaltAcknowledged>("/halt", &request) {
        Ok(acknowledged) => {
            let halt_epoch = Some(acknowledged.halt_epoch);
            return Ok(HaltReport { acknowledged: true, way: Way::Api, halt_epoch, remarks });
        }
        Err(failure) => remarks.push(format!("api: {} {}", failure.what, failure.why)),
    }
    let state = &args.client.state.state;
    match by_socket(state, &args.reason) {
        Ok(()) => {
            let way = Way::Socket;
            return Ok(HaltReport { acknowledged: true, way, halt_epoch: None, remarks });
        }
        Err(error) => remarks.push(format!("socket {HALT_SOCKET}: {error}")),
    }
    match by_file(state, &args.reason) {
        Ok(()) => Ok(HaltReport { acknowledged: false, way: Way::File, halt_epoch: None, remarks }),
        Err(error) => {
            remarks.push(format!("file {}: {error}", state.join(HALT_FILE).display()));
            Err(Failure::new(Exit::Unreachable, "the node could not be halted in any way")
                .because(remarks.join("; "))
                .next("name its --state folder, or stop its process, and cancel at the broker"))
        }
    }
}

fn by_socket(state: &Path, reason: &str) -> io::Result<()> {
    let mut stream = UnixStream::connect(state.join(HALT_SOCKET))?;
    stream.set_read_timeout(Some(SOCKET_PATIENCE))?;
    stream.set_write_timeout(Some(SOCKET_PATIENCE))?;
    writeln!(stream, "halt {reason}")?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    match answer.trim() {
        "halted" => Ok(()),
        other => Err(io::Error::other(format!("the watchdog answered `{other}`"))),
    }
}

fn by_file(state: &Path, reason: &str) -> io::Result<()> {
    // A folder that isn't there is the wrong one: making it would halt nobody.
    let folder = File::open(state)?;
    let mut file = File::create(state.join(HALT_FILE))?;
    writeln!(file, "{reason}")?;
    file.sync_all()?;
    folder.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{ClientArgs, StateArgs};
    use std::os::unix::net::UnixListener;

    fn args(state: &Path) -> HaltArgs {
        // Port 9 (discard) of a loopback address that nothing listens on.
        let api = "127.0.0.1:9".to_owned();
        let client = ClientArgs { api, state: StateArgs { state: state.to_owned() } };
        HaltArgs { reason: "lunch".to_owned(), client }
    }

    #[test]
    fn without_the_api_the_socket_takes_the_halt() {
        let state = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(state.path().join(HALT_SOCKET)).unwrap();
        let watchdog = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            stream.write_all(b"halted\n").unwrap();
            line
        });
        let report = halt(&args(state.path())).unwrap();
        assert_eq!((report.way, report.acknowledged), (Way::Socket, true));
        assert_eq!(watchdog.join().unwrap(), "halt lunch\n");
        assert!(!state.path().join(HALT_FILE).exists());
    }

    #[test]
    fn an_api_that_is_stuck_does_not_hold_the_halt_up() {
        let state = tempfile::tempdir().unwrap();
        // The system takes the connection, and nobody ever answers it.
        let stuck = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut args = args(state.path());
        args.client.api = stuck.local_addr().unwrap().to_string();
        let report = halt_within(&args, Duration::from_millis(50)).unwrap();
        assert_eq!(report.way, Way::File);
        assert!(report.remarks[0].contains("timeout"), "{:?}", report.remarks);
    }

    #[test]
    fn without_a_node_the_file_is_left_for_it_and_the_report_says_so() {
        let state = tempfile::tempdir().unwrap();
        let report = halt(&args(state.path())).unwrap();
        assert_eq!((report.way, report.acknowledged), (Way::File, false));
        assert_eq!(report.remarks.len(), 2);
        let text = std::fs::read_to_string(state.path().join(HALT_FILE)).unwrap();
        assert_eq!(text, "lunch\n");
    }

    #[test]
    fn a_watchdog_that_fails_to_trip_is_followed_by_the_file() {
        let state = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(state.path().join(HALT_SOCKET)).unwrap();
        let watchdog = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"failed: the latch is stuck\n").unwrap();
        });
        let report = halt(&args(state.path())).unwrap();
        watchdog.join().unwrap();
        assert_eq!((report.way, report.acknowledged), (Way::File, false));
    }

    #[test]
    fn a_state_folder_that_is_not_there_is_a_failure_not_a_new_folder() {
        let parent = tempfile::tempdir().unwrap();
        let missing = parent.path().join("elsewhere");
        let failure = halt(&args(&missing)).unwrap_err();
        assert_eq!(failure.exit, Exit::Unreachable);
        assert!(!missing.exists());
    }
}
