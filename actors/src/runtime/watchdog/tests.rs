//! The watchdog with a scratch directory: its judgements and its socket.

use super::*;
use std::io::{BufRead, BufReader};
use std::sync::mpsc;

fn spec(state_dir: &Path, pulses: Vec<Pulse>) -> (WatchdogSpec, mpsc::Receiver<String>) {
    let (said, heard) = mpsc::channel();
    let spec = WatchdogSpec {
        state_dir: state_dir.to_owned(),
        poll: Duration::from_millis(1),
        grace: Duration::from_secs(60),
        pulses,
        journal_age: Box::new(|| Duration::ZERO),
        journal_age_max: Duration::from_secs(1),
        trip: Box::new(move |reason| said.send(reason.to_owned()).map_err(|e| e.to_string())),
        abort: Box::new(|_| ()),
    };
    (spec, heard)
}

#[test]
fn the_socket_trips_the_latch_and_answers_and_is_private() {
    let dir = tempfile::tempdir().unwrap();
    let (spec, heard) = spec(dir.path(), Vec::new());
    let path = dir.path().join(HALT_SOCKET);
    std::fs::write(&path, "stale").unwrap();
    let watchdog = Watchdog::start(spec).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let ask = |line: &str| {
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.write_all(line.as_bytes()).unwrap();
        let mut reply = String::new();
        BufReader::new(stream).read_line(&mut reply).unwrap();
        reply
    };
    assert_eq!(ask("halt odd fills\n"), "halted\n");
    assert_eq!(heard.recv().unwrap(), "odd fills");
    assert!(ask("resume\n").starts_with("unknown"));
    drop(watchdog);
    assert!(heard.recv().is_err(), "an unknown word trips nothing");
}

#[test]
fn the_halt_file_trips_once_while_it_lies_there() {
    let dir = tempfile::tempdir().unwrap();
    let (spec, heard) = spec(dir.path(), Vec::new());
    std::fs::write(dir.path().join(HALT_FILE), "by hand\nmore").unwrap();
    let watchdog = Watchdog::start(spec).unwrap();
    assert_eq!(heard.recv().unwrap(), "file HALT: by hand");
    drop(watchdog);
    assert!(heard.recv().is_err());
}

#[test]
fn a_runtime_without_a_beat_is_stuck_but_not_while_the_whole_process_is_held_up() {
    let dir = tempfile::tempdir().unwrap();
    let (idle, busy) = (Pulse::new("idle"), Pulse::new("busy"));
    let (mut spec, _heard) = spec(dir.path(), vec![busy.clone(), idle]);
    spec.poll = Duration::from_secs(10);
    #[expect(clippy::disallowed_methods, reason = "an origin for made-up instants")]
    let origin = Instant::now();
    let at = |seconds| origin + Duration::from_secs(seconds);
    let mut heart = Heart::new(&spec, at(0));
    // Stopped for eight minutes, which is one look.
    for second in [10, 20, 500, 510, 520] {
        busy.beat();
        assert_eq!(heart.stuck(&spec, at(second)), None, "within the grace at {second}");
    }
    busy.beat();
    assert_eq!(heart.stuck(&spec, at(521)), Some("idle"));
}

#[test]
fn requests_are_one_word_and_a_reason() {
    for (line, reason) in [
        ("halt", Some("without a reason")),
        ("halt bad day ", Some("bad day")),
        ("halting", None),
        ("", None),
    ] {
        assert_eq!(request(line), reason, "{line}");
    }
}
