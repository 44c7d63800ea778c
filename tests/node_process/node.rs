//! The built binary as a process of its own: an installation (configuration, state folder, port)
//! and a node that runs in it.
//!
//! A node is killed when its handle is dropped, and what it said on stderr is shown when a wait for
//! it fails. Waiting is polling with a deadline; no test of it asserts a time. What the answers
//! mean is the business of the tests.

use serde_json::{Value, json};
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

/// Long enough for a loaded machine; a wait that needs it has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(3);

/// The debug build is an order of magnitude slower: tests play fewer rounds of the same.
pub const QUICK: bool = cfg!(debug_assertions);

/// Polls until there is an answer.
#[track_caller]
pub fn until<T>(what: &str, patience: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "no {what} within {patience:?}");
        std::thread::sleep(POLL);
    }
}

/// A configuration, a state folder and a port, all of its own.
pub struct Installation {
    folder: tempfile::TempDir,
    state: PathBuf,
    address: SocketAddr,
}

impl Installation {
    /// As it is shipped.
    pub fn shipped() -> Self {
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
        copy(&shipped, &folder.path().join("config"));
        let free = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
        let address = free.local_addr().expect("it is bound");
        let state = folder.path().join("state");
        Self { folder, state, address }
    }

    /// With these keys on top of `environment/dev.yaml` (JSON is YAML).
    pub fn with(keys: &Value) -> Self {
        let own = Self::shipped();
        let mut whole = json!({
            "environment": "dev",
            "account": {"id": "DU0000001"},
            "chaos": {"permitted": true},
            "limits": {"daily_loss_max": 500_000},
            "breakers": {"daily_loss_max": 500_000},
        });
        merge(&mut whole, keys);
        fs::write(own.config().join("environment/dev.yaml"), whole.to_string())
            .expect("the copied configuration can be written");
        own
    }

    /// With another state folder.
    pub fn at(mut self, state: &Path) -> Self {
        state.clone_into(&mut self.state);
        self
    }

    /// Where its configuration is.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    /// Where its state is.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Writes tome `to`: tome `from` with these keys on top.
    pub fn tome(&self, from: &str, to: &str, keys: &Value) {
        let folder = self.config().join("strategies");
        let text = fs::read_to_string(folder.join(format!("{from}.json"))).expect("a shipped tome");
        let mut tome: Value = serde_json::from_str(&text).expect("a tome is JSON");
        merge(&mut tome, keys);
        tome["id"] = to.into();
        fs::write(folder.join(format!("{to}.json")), tome.to_string())
            .expect("the copied configuration can be written");
    }

    /// Strategies that trade as often as they can, with room for it: orders that cross, and orders
    /// that rest.
    pub fn lively(&self) {
        let order = |cross: u32, valid: u32| {
            json!({"cross_percent": cross, "valid_seconds": valid, "backoff_first_seconds": 1,
                "backoff_max_seconds": 5})
        };
        let scalp = |days_min: u32, cross: u32, valid: u32| {
            json!({"parameters": {"days_min": days_min, "units": 2, "restrike_basis_points": 60,
                "take_profit": 2.0, "stop_loss": 2.0, "hedge_band_units": 1.0, "pause_seconds": 1,
                "uneven_grace_seconds": 1, "order": order(cross, valid)}})
        };
        self.tome("gamma_scalper_sim", "scalper_that_crosses", &scalp(5, 100, 10));
        self.tome("gamma_scalper_sim", "scalper_that_rests", &scalp(12, 0, 120));
        let spread = json!({"parameters": {"profit_percent": 1, "stop_percent": 102,
            "pause_seconds": 1, "uneven_grace_seconds": 1, "order": order(30, 60)}});
        self.tome("credit_spread_simx", "spread_that_turns_over", &spread);
    }

    /// What [`Self::lively`] needs, for [`Self::with`].
    pub fn lively_keys() -> Value {
        json!({
            "strategies": ["scalper_that_crosses", "scalper_that_rests", "spread_that_turns_over"],
            "limits": {"orders_per_second_max": 50, "open_orders_per_side_max": 100,
                "quantity_max_contracts": 1000, "quantity_max_shares": 100_000,
                "premium_max": 100_000_000, "margin_max": 100_000_000,
                "daily_loss_max": 100_000_000,
                "delta_max_shares": {"default": 1_000_000},
                "vega_max_per_point": {"default": 100_000_000}},
            "breakers": {"daily_loss_max": 100_000_000, "realised_vol_max": 10.0},
            "journal": {"segment_mib": 1},
            "snapshots": {"every_seconds": 1},
        })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_optionsib"));
        command
            .current_dir(self.folder.path())
            .env_remove("OPTIONSIB_LOG")
            .env_remove("OPTIONSIB_ABORT_AT")
            .env_remove("OPTIONSIB_HOLD_AT")
            .env_remove("OPTIONSIB_POWER_CUT")
            .stdin(Stdio::null());
        command
    }

    /// The command line on this node: `--state` and, where it is taken, `--api` are added.
    pub fn cli(&self, arguments: &[&str]) -> Output {
        let mut command = self.command();
        command.args(arguments);
        match arguments.first() {
            Some(&"audit") => {
                command.arg(&self.state);
            }
            Some(&"journal" | &"panic") => {
                command.arg("--state").arg(&self.state);
            }
            _ => {
                command.arg("--state").arg(&self.state).args(["--api", &self.address.to_string()]);
            }
        }
        command.output().expect("the binary was built for this test")
    }

    /// The JSON that a command prints; it must succeed.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let output = self.cli(&[arguments, &["--json"]].concat());
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{arguments:?} printed no JSON: {error}"))
    }

    /// The journal's records from `from` on, as `journal show --json` prints them.
    #[track_caller]
    pub fn journal(&self, from: u64) -> Vec<Value> {
        let output = self.cli(&["journal", "show", "--json", "--from", &from.to_string()]);
        assert!(output.status.success(), "journal show: {}", said(&output));
        let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
        text.lines().map(|line| serde_json::from_str(line).expect("a record a line")).collect()
    }

    /// Ends the gateway, if one runs.
    pub fn stop_gateway(&self) {
        let mut command = self.command();
        command.args(["--quiet", "gateway", "--stop", "--state"]).arg(self.state.join("venue"));
        // A test that fails must fail with its own words.
        let _ = command.status();
    }

    /// Starts the node.
    pub fn run(&self, arguments: &[&str]) -> Node {
        self.run_with(arguments, &[])
    }

    /// Starts the node with traps, which are environment variables.
    pub fn run_with(&self, arguments: &[&str], traps: &[(&str, String)]) -> Node {
        let log = self.folder.path().join("node.log");
        let stderr = File::options().create(true).append(true).open(&log).expect("a log file");
        let mut command = self.command();
        command.arg("run").args(arguments);
        command.arg("--state").arg(&self.state).args(["--api", &self.address.to_string()]);
        command.envs(traps.iter().map(|(name, value)| (name, value)));
        let child = command.stdout(Stdio::null()).stderr(stderr).spawn();
        let child = child.expect("the binary was built for this test");
        let client = Client::new(self.address, self.state.join("api.token"));
        Node { child, client, log, started: Instant::now() }
    }

    /// Starts the node and waits for its end: for starts that must fail.
    #[track_caller]
    pub fn run_to_end(&self) -> Output {
        let mut command = self.command();
        command.arg("run").arg("--state").arg(&self.state);
        command.args(["--api", &self.address.to_string()]);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary was built for this test");
        let deadline = Instant::now() + PATIENCE;
        while child.try_wait().expect("our own child").is_none() {
            if Instant::now() >= deadline {
                // A node that runs although it must not would hang the test.
                let _ = child.kill();
            }
            std::thread::sleep(POLL);
        }
        child.wait_with_output().expect("our own child")
    }
}

/// The gateway outlives the node, but not the test.
impl Drop for Installation {
    fn drop(&mut self) {
        self.stop_gateway();
    }
}

/// What a command said on stderr.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Talks to the node's API, from any thread.
#[derive(Clone)]
pub struct Client {
    agent: ureq::Agent,
    address: SocketAddr,
    token: PathBuf,
}

impl Client {
    fn new(address: SocketAddr, token: PathBuf) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(10)))
            .http_status_as_error(false)
            .proxy(None)
            .build();
        Self { agent: config.into(), address, token }
    }

    /// The body of a successful answer.
    pub fn get(&self, path: &str) -> Result<Value, String> {
        let text = self.text(&format!("/api/v1{path}"))?;
        serde_json::from_str(&text).map_err(|error| format!("{path}: {error}: {text}"))
    }

    /// The text of a successful answer.
    pub fn text(&self, path: &str) -> Result<String, String> {
        let answer = self.agent.get(format!("http://{}{path}", self.address)).call();
        let mut answer = answer.map_err(|error| error.to_string())?;
        let text = answer.body_mut().read_to_string().map_err(|error| error.to_string())?;
        if answer.status().is_success() { Ok(text) } else { Err(text) }
    }

    /// Commands with the token.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        let token = fs::read_to_string(&self.token).map_err(|error| error.to_string())?;
        let request = self.agent.post(format!("http://{}/api/v1{path}", self.address));
        let request = request.header("x-optionsib-token", token.trim());
        let mut answer = request.send_json(body).map_err(|error| error.to_string())?;
        let text = answer.body_mut().read_to_string().map_err(|error| error.to_string())?;
        if !answer.status().is_success() {
            return Err(text);
        }
        serde_json::from_str(&text).map_err(|error| format!("{path}: {error}: {text}"))
    }

    /// The address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// A node that runs.
pub struct Node {
    child: Child,
    client: Client,
    log: PathBuf,
    started: Instant,
}

impl Node {
    /// Its API.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// How long ago it was started.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// It has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("our own child")
    }

    /// Polls the node until `look` answers; none if it died by SIGKILL meanwhile.
    #[track_caller]
    pub fn until_or_killed<T>(
        &mut self,
        what: &str,
        mut look: impl FnMut(&Client) -> Option<T>,
    ) -> Option<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look(&self.client) {
                return Some(found);
            }
            if let Some(status) = self.ended() {
                let killed = status.signal() == Some(9);
                assert!(killed, "ended by {status} before {what}\n{}", self.log());
                return None;
            }
            if Instant::now() >= deadline {
                let status = self.client.get("/status");
                panic!("no {what} within {PATIENCE:?}: {status:?}\n{}", self.log());
            }
            std::thread::sleep(POLL);
        }
    }

    /// Polls the node until `look` answers.
    #[track_caller]
    pub fn until<T>(&mut self, what: &str, look: impl FnMut(&Client) -> Option<T>) -> T {
        let found = self.until_or_killed(what, look);
        found.unwrap_or_else(|| panic!("killed before {what}"))
    }

    /// Polls `status` until it is as wanted.
    #[track_caller]
    pub fn until_status(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.until(what, |client| client.get("/status").ok().filter(|status| wanted(status)))
    }

    /// Its status now, in which the auditor has found every promise kept.
    #[track_caller]
    pub fn without_violations(&self) -> Value {
        let status = self.client.get("/status").expect("a status");
        assert_eq!(status["violations"], 0, "{status}\n{}", self.log());
        status
    }

    /// Waits until it is reconciled and may trade.
    #[track_caller]
    pub fn until_ready(&mut self) -> Value {
        self.until_status("a ready node", |status| status["ready"] == true)
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        // Refused only if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM; answers how it ended.
    #[track_caller]
    pub fn terminate(&mut self) -> ExitStatus {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
        self.until_ended()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn until_ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end\n{}", self.log());
            std::thread::sleep(POLL);
        }
    }

    /// The end of what it wrote to stderr.
    pub fn log(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let last = &lines[lines.len().saturating_sub(40)..];
        format!("the node's last words:\n{}", last.join("\n"))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a temporary folder can be written");
    for entry in fs::read_dir(from).expect("the shipped configuration") {
        let entry = entry.expect("the shipped configuration");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a temporary folder can be written");
        }
    }
}

fn merge(whole: &mut Value, keys: &Value) {
    match (whole, keys) {
        (Value::Object(whole), Value::Object(keys)) => {
            for (key, value) in keys {
                merge(whole.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (whole, keys) => *whole = keys.clone(),
    }
}
