//! Promise: what happens to a running node is seen in Prometheus, on every panel of the dashboard.
//!
//! A real Prometheus scrapes the built binary while the test kills, delays, halts and resumes; then
//! every panel's query must have data, and the panels of what was done must show that it was done.
//! The dashboard's drawing is Grafana's and is not tested here.

#[allow(dead_code, reason = "each end-to-end test uses its part of it")]
#[path = "node_process/node.rs"]
mod node;

use node::{Installation, Node, PATIENCE, said, until};
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Prometheus itself, stopped when dropped.
struct Prometheus {
    child: Child,
    url: String,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // Refused only if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    fn start(folder: &Path, node: &Node) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
        let address = free.local_addr().expect("it is bound").to_string();
        drop(free);
        let target = node.client().address();
        let config = folder.join("prometheus.yml");
        let text = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n  - job_name: \
             optionsib\n    static_configs:\n      - targets: [\"{target}\"]\n"
        );
        fs::write(&config, text).expect("a temporary folder can be written");
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus was found before");
        Self { child, url: format!("http://{address}") }
    }

    /// The value of an instant query with one series, if it has one.
    fn ask(&self, query: &str) -> Option<f64> {
        let mut answer =
            ureq::get(format!("{}/api/v1/query", self.url)).query("query", query).call().ok()?;
        let answer: Value = answer.body_mut().read_json().ok()?;
        answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    }

    #[track_caller]
    fn sees(&self, query: &str, wanted: impl Fn(f64) -> bool) {
        until(query, PATIENCE, || self.ask(query).filter(|value| wanted(*value)));
    }

    /// Every panel's last values, as the script reports them.
    fn panels(&self) -> (bool, Value, String) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let output = Command::new("python3")
            .arg("-B")
            .arg(root.join("tests/scripts/panels.py"))
            .arg(&self.url)
            .arg(root.join("grafana/dashboards/optionsib.json"))
            .args(["--job", "optionsib", "--window", "120"])
            .output()
            .expect("python3 is there");
        let report = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        (output.status.success(), report, said(&output))
    }
}

fn installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

#[test]
fn every_panel_has_data_that_the_faults_changed() {
    if !(installed("prometheus") && installed("promtool") && installed("python3")) {
        assert!(std::env::var("CI").is_err(), "CI installs prometheus, promtool and python3");
        eprintln!("SKIPPED: prometheus, promtool or python3 is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let installation = Installation::with(&Installation::lively_keys());
    installation.lively();
    let mut node = installation.run(&["--speed", "60"]);
    node.until_ready();
    let prometheus = Prometheus::start(folder.path(), &node);
    prometheus.sees("up{job=\"optionsib\"}", |up| up == 1.0);
    prometheus.sees("sum(optionsib_fills_total)", |fills| fills > 0.0);

    let restarts = |role: &str| format!("optionsib_actor_restarts_total{{role=\"{role}\"}}");
    for role in ["feed/SIM", "desk"] {
        let killed = installation.cli(&["chaos", "kill", role]);
        assert!(killed.status.success(), "{}", said(&killed));
        prometheus.sees(&restarts(role), |count| count >= 1.0);
        node.until_ready();
    }
    installation.json(&["chaos", "delay", "strategy/scalper_that_crosses", "150ms", "--for", "5s"]);
    let delays = "optionsib_chaos_injections_total{fault=\"delay\"}";
    prometheus.sees(delays, |count| count >= 1.0);
    installation.json(&["halt", "--reason", "a scripted fault"]);
    prometheus.sees("max(optionsib_trading_state)", |state| state == 2.0);
    // A halt through the file is the watchdog's: its panel shows trips only after one.
    fs::write(installation.state().join("HALT"), "by the file\n").unwrap();
    prometheus.sees("sum(optionsib_watchdog_trips_total)", |trips| trips >= 1.0);
    let resumed = installation.cli(&["resume", "--yes"]);
    assert!(resumed.status.success(), "{}", said(&resumed));
    prometheus.sees("max(optionsib_trading_state)", |state| state == 0.0);
    node.until_ready();
    let executed = prometheus.ask("sum(optionsib_fills_total)").unwrap_or(0.0);
    prometheus.sees("sum(optionsib_fills_total)", |fills| fills > executed);

    promtool_is_content(&node);
    // The rates need a few scrapes; the last word counts.
    let mut last = (false, Value::Null, String::new());
    let deadline = std::time::Instant::now() + PATIENCE;
    while !last.0 && std::time::Instant::now() < deadline {
        last = prometheus.panels();
    }
    let (every, report, said) = last;
    println!("{} panels have data", report["panels"].as_object().map_or(0, serde_json::Map::len));
    assert!(every, "{said}\n{:#}", report["failed"]);
    shows_what_was_done(&prometheus, &report);
    node.without_violations();
    assert_eq!(node.terminate().code(), Some(0), "{}", node.log());
}

fn promtool_is_content(node: &Node) {
    let text = node.client().text("/metrics").expect("metrics");
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool was found before");
    child.stdin.take().expect("it is piped").write_all(text.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("our own child");
    let remarks = String::from_utf8_lossy(&output.stdout).into_owned() + &said(&output);
    assert!(output.status.success() && remarks.trim().is_empty(), "promtool: {remarks}");
}

/// What each fault must have left on its panel within the window, asked as the panel asks.
fn shows_what_was_done(prometheus: &Prometheus, report: &Value) {
    for (panel, series, query) in [
        (
            "Roles in figures",
            "feed/SIM",
            "max_over_time(optionsib_actor_restarts_total{role=\"feed/SIM\"}[2m])",
        ),
        ("Restarts", "desk", "max_over_time(optionsib_actor_restarts_total{role=\"desk\"}[2m])"),
        ("Recovery time", "desk", "sum(optionsib_actor_recovery_seconds_count{role=\"desk\"})"),
        ("Faults injected", "kill desk", "sum(optionsib_chaos_injections_total{role=\"desk\"})"),
        ("Halts and reconciliations", "halts", "sum(optionsib_halts_total)"),
        ("Trading state over time", "trading state", "max_over_time(optionsib_trading_state[2m])"),
        ("Broker link over time", "link", "count_values(\"v\", optionsib_link_state)"),
    ] {
        let last = &report["panels"][panel]["last"];
        let shown = last.as_object().expect("a panel has series");
        assert!(shown.keys().any(|key| key.contains(series)), "{panel} lacks {series}: {last}");
        prometheus.sees(query, |value| value >= 1.0);
    }
}
