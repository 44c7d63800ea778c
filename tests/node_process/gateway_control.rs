//! The gateway beside a node, through its control port.

use super::node::Installation;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The one that serves an installation.
pub struct Gateway<'a>(pub &'a Installation);

impl Gateway<'_> {
    /// Where it listens and who it is, if it runs or did.
    pub fn notice(&self) -> Option<Value> {
        let text = fs::read_to_string(self.0.state().join("venue/gateway.json")).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// One that is being restarted hears nothing: then the fault has done its work already.
    pub fn tell(&self, command: &Value) {
        let _ = self.ask(command);
    }

    /// Its answer, if it gives one.
    #[track_caller]
    pub fn ask(&self, command: &Value) -> Option<Value> {
        let notice = self.notice()?;
        let mut stream = TcpStream::connect(notice["control"].as_str()?).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        stream.write_all(format!("{command}\n").as_bytes()).ok()?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).ok()?;
        assert!(answer.contains("done") || answer.is_empty(), "{command}: {answer}");
        serde_json::from_str(&answer).ok()
    }

    /// Messages that it didn't serve since they came too fast; it counts anew with its restart.
    pub fn too_fast(&self) -> u64 {
        let status = self.ask(&json!({"do": "status"}));
        status.and_then(|status| status["done"]["too_fast"].as_u64()).unwrap_or_default()
    }

    /// A fault on what it tells a client.
    pub fn message(&self, client: i32, message: &str, action: &Value, count: u64) {
        self.tell(&json!({"do": "fault", "client": client, "message": message, "action": action,
            "count": count}));
    }

    /// The next request of this kind doesn't reach it.
    pub fn request_lost(&self, client: i32, message: &str) {
        self.tell(&json!({"do": "fault", "client": client, "message": message, "action": "drop",
            "direction": "requests"}));
    }

    /// Tells every client a notice.
    pub fn notice_code(&self, code: i32) {
        self.tell(&json!({"do": "notice", "code": code}));
    }

    /// `kill -9`.
    pub fn kill(&self) {
        let pid = self.notice().and_then(|notice| notice["pid"].as_i64());
        let pid = pid.and_then(|pid| rustix::process::Pid::from_raw(i32::try_from(pid).ok()?));
        if let Some(pid) = pid {
            // It may be gone already.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}
