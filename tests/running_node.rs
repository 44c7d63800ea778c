//! Promise: a running node trades by itself, shows itself, comes back from every kill of a part,
//! and stops when it is told to or when it can't go on.
//!
//! The built binary on the built-in market, through its command line and API as a person would.
//! What a whole-process kill does is `kill_nine.rs`; damaged state is `state_damage.rs`.

#[allow(dead_code, reason = "each end-to-end test uses its part of it")]
#[path = "node_process/node.rs"]
mod node;

use node::{Installation, Node, QUICK, said};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

const FAST: [&str; 2] = ["--speed", "60"];

fn lively() -> Installation {
    let installation = Installation::with(&Installation::lively_keys());
    installation.lively();
    installation
}

fn row(tree: &Value, role: &str) -> Option<Value> {
    tree.as_array()?.iter().find(|row| row["role"] == role).cloned()
}

fn generation(node: &Node, role: &str) -> u64 {
    let tree = node.client().get("/tree").expect("a tree");
    row(&tree, role).and_then(|row| row["generation"].as_u64()).expect("the role is in the tree")
}

#[track_caller]
fn has(object: &Value, keys: &[&str]) {
    for key in keys {
        assert!(object.get(key).is_some(), "`{key}` is missing in {object}");
    }
}

/// It books more fills than it had.
#[track_caller]
fn trades_on(node: &mut Node) {
    let fills = node.client().get("/status").ok().and_then(|status| status["fills"].as_u64());
    node.until_status("more fills", |status| {
        status["ready"] == true && status["fills"].as_u64() > fills
    });
}

#[test]
fn the_shipped_configuration_trades_by_itself_and_shows_itself() {
    let installation = Installation::shipped();
    let mut node = installation.run(&[]);
    node.until_status("a first fill", |status| status["fills"].as_u64() > Some(0));
    println!("start to the first fill on the shipped configuration: {:?}", node.age());
    node.until_ready();
    let status = installation.json(&["status"]);
    has(
        &status,
        &[
            "ready",
            "trading_state",
            "broker_link",
            "violations",
            "journal_seq",
            "open_orders",
            "positions",
            "uptime_s",
        ],
    );
    assert_eq!((&status["violations"], &status["trading_state"]), (&json!(0), &json!("active")));
    agrees_with_its_broker(&installation);
    let tree = installation.json(&["tree"]);
    for found in tree.as_array().expect("an array") {
        has(
            found,
            &["role", "parent", "status", "generation", "restarts", "queue_depth", "last_reason"],
        );
        assert_eq!(found["status"], "ready", "{found}");
        assert_eq!(found["restarts"], 0, "nothing restarts in a clean start: {found}");
    }
    for role in ["root", "journal", "desk", "session", "risk", "feed/SIM", "pricing/SIMX", "api"] {
        assert!(row(&tree, role).is_some(), "{role}");
    }
    let positions = installation.json(&["positions"]);
    let orders = installation.json(&["orders"]);
    for position in positions.as_array().expect("an array") {
        has(position, &["strategy", "contract", "quantity", "average_cost", "realised"]);
    }
    assert!(!orders.as_array().expect("an array").is_empty());
    for order in orders.as_array().expect("an array") {
        has(order, &["order_id", "reference", "side", "quantity", "filled", "limit", "state"]);
    }
    let surfaces = installation.json(&["surfaces"]);
    for product in ["SIM", "SIMX"] {
        let rows = surfaces.as_array().expect("an array");
        let own = rows.iter().find(|row| row["symbol"] == product).expect("it is fitted");
        has(own, &["expiry", "forward", "at_the_money_vol", "quotes", "residual_vol", "age_s"]);
    }
    assert_eq!(node.terminate().code(), Some(0), "{}", node.log());
    let kept = installation.json(&["snapshot", "list"]);
    assert!(!kept.as_array().expect("an array").is_empty(), "SIGTERM leaves a snapshot");
    assert_eq!(installation.json(&["journal", "verify"])["torn"], Value::Null);
}

/// Killed at most this often within ten minutes each: what the tree forgives. A scope of the root
/// counts towards the root's own intensity of two, so each node takes few of those.
#[test]
fn every_role_but_root_comes_back_from_a_kill_and_the_rest_trades_on() {
    let installation = lively();
    let mut node = installation.run(&FAST);
    node.until_ready();
    let tree = node.client().get("/tree").expect("a tree");
    let roles: Vec<(String, bool)> = tree
        .as_array()
        .expect("an array")
        .iter()
        .filter(|row| row["role"] != "root")
        .map(|row| {
            let role = row["role"].as_str().expect("a name").to_owned();
            let direct = row["parent"] == "root";
            (role, direct)
        })
        .collect();
    let (scopes, leaves): (Vec<_>, Vec<_>) = roles.into_iter().partition(|(_, direct)| *direct);
    println!("{} leaf roles, {} scopes", leaves.len(), scopes.len());
    for (role, _) in leaves {
        comes_back(&installation, &mut node, &role);
    }
    recovery_times(&node);
    assert_eq!(node.terminate().code(), Some(0), "{}", node.log());
    for pair in scopes.chunks(2) {
        let mut node = installation.run(&FAST);
        node.until_ready();
        for (role, _) in pair {
            comes_back(&installation, &mut node, role);
        }
        recovery_times(&node);
        assert_eq!(node.terminate().code(), Some(0), "{}", node.log());
    }
}

#[track_caller]
fn comes_back(installation: &Installation, node: &mut Node, role: &str) {
    let before = generation(node, role);
    let killed = Instant::now();
    let output = installation.cli(&["chaos", "kill", role]);
    // The API may die of it (it is in `ops`) before it has answered.
    let may_die = role == "ops" || role == "api";
    assert!(may_die || output.status.success(), "{role}: {}", said(&output));
    node.until(&format!("{role} again"), |client| {
        let row = row(&client.get("/tree").ok()?, role)?;
        (row["generation"].as_u64()? > before && row["status"] == "ready").then_some(())
    });
    node.until(&format!("every role after {role}"), |client| {
        let tree = client.get("/tree").ok()?;
        tree.as_array()?.iter().all(|row| row["status"] == "ready").then_some(())
    });
    println!("{role}: killed to all ready {:?}", killed.elapsed());
    trades_on(node);
    node.without_violations();
    let shown = node.client().text("/metrics").expect("metrics");
    let line = format!("optionsib_actor_generation{{role=\"{role}\"}}");
    assert!(shown.contains(&line), "{line}");
}

/// The distribution per role as `/metrics` has it, by the histogram's buckets.
fn recovery_times(node: &Node) {
    let text = node.client().text("/metrics").expect("metrics");
    let mut buckets: BTreeMap<String, Vec<(f64, u64)>> = BTreeMap::new();
    for line in text.lines() {
        let Some(rest) = line.strip_prefix("optionsib_actor_recovery_seconds_bucket{") else {
            continue;
        };
        // With what stands before it: `role=` ends in `le=`.
        let label = |name: &str| {
            let start = format!("{{{rest}").find(name)? + name.len() - 1;
            rest[start..].split('"').next().map(str::to_owned)
        };
        let (Some(role), Some(le)) = (label("{role=\""), label(",le=\"")) else { continue };
        let bound = le.parse().unwrap_or(f64::INFINITY);
        let count = rest.rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0);
        buckets.entry(role).or_default().push((bound, count));
    }
    for (role, mut steps) in buckets {
        steps.sort_by(|one, other| one.0.total_cmp(&other.0));
        let all = steps.last().map_or(0, |last| last.1);
        let at = |share: f64| {
            let wanted = (all as f64 * share).ceil() as u64;
            steps.iter().find(|(_, count)| *count >= wanted).map_or(f64::NAN, |step| step.0)
        };
        if all > 0 {
            println!(
                "recovery of {role}: {all} times, p50 <= {} s, p99 <= {} s",
                at(0.5),
                at(0.99)
            );
        }
    }
}

#[test]
fn a_strategy_killed_four_times_is_quarantined_for_good_and_the_others_go_on() {
    let installation = lively();
    let mut node = installation.run(&FAST);
    node.until_ready();
    let role = "strategy/scalper_that_crosses";
    for _ in 0..3 {
        comes_back(&installation, &mut node, role);
    }
    let output = installation.cli(&["chaos", "kill", role]);
    assert!(output.status.success(), "{}", said(&output));
    let quarantined = |client: &node::Client| {
        let row = row(&client.get("/tree").ok()?, role)?;
        (row["status"] == "quarantined").then_some(())
    };
    node.until("a quarantine", quarantined);
    trades_on(&mut node);
    let status = node.without_violations();
    assert_eq!(status["trading_state"], "active", "one strategy's failures are its own: {status}");
    node.kill();
    // The latch is in the journal: a new process has it too.
    let latched = installation.journal(1).into_iter().any(|line| {
        line["kind"] == "Tripped"
            && line["record"]["latch"] == json!({"Quarantine": "scalper_that_crosses"})
    });
    assert!(latched, "the quarantine is a record");
    let mut node = installation.run(&FAST);
    node.until_ready();
    let epoch = node.client().get("/status").expect("a status")["epoch"].as_u64();
    trades_on(&mut node);
    for line in installation.journal(1) {
        let approved = &line["record"];
        let entry = line["kind"] == "IntentApproved" && approved["clearance"] == "Full";
        let own = approved["intent"]["key"]["strategy"] == "scalper_that_crosses";
        assert!(!(entry && own && line["epoch"].as_u64() == epoch), "it may only reduce: {line}");
    }
}

#[test]
fn a_root_beyond_its_intensity_ends_halted_with_70_and_only_resume_lets_it_trade() {
    for role in if QUICK { &["core"][..] } else { &["core", "trade"] } {
        let installation = lively();
        let mut node = installation.run(&FAST);
        node.until_ready();
        for _ in 0..2 {
            comes_back(&installation, &mut node, role);
        }
        // It may be gone before it has answered.
        installation.cli(&["chaos", "kill", role]);
        assert_eq!(node.until_ended().code(), Some(70), "{}", node.log());
        assert!(node.log().contains("next:"), "{}", node.log());
        let file = fs::read_to_string(installation.state().join("HALT")).expect("a HALT file");
        assert!(file.contains("exhausted"), "{file}");
        let mut node = installation.run(&FAST);
        stays_halted(&installation, &mut node);
        let resumed = installation.cli(&["resume", "--yes"]);
        assert!(resumed.status.success(), "{}", said(&resumed));
        trades_on(&mut node);
        assert!(!installation.state().join("HALT").exists());
        assert_eq!(node.terminate().code(), Some(0), "{}", node.log());
    }
}

/// Asked now, the broker says what the node's own books say.
#[track_caller]
fn agrees_with_its_broker(installation: &Installation) {
    let now = installation.json(&["reconcile"]);
    assert_eq!((&now["complete"], &now["unresolved"]), (&json!(true), &json!([])), "{now}");
    assert!(now["positions"].as_array().is_some_and(|held| !held.is_empty()), "{now}");
    let seq = now["seq"].as_u64().expect("a record");
    let record = &installation.journal(seq)[0];
    assert_eq!(record["kind"], "Reconciled", "{record}");
    let last = installation.json(&["reconcile", "--last"]);
    assert!(last["seq"].as_u64() >= Some(seq), "{last}");
}

/// Halted, linked to the venue, and nothing is approved or works while its market goes on.
#[track_caller]
fn stays_halted(installation: &Installation, node: &mut Node) {
    let halted = node.until_status("a halted node", |status| {
        status["trading_state"] == "halted"
            && status["broker_link"] == "ready"
            && status["open_orders"] == 0
    });
    let from = halted["journal_seq"].as_u64().expect("a number");
    let began = Instant::now();
    // A minute of market time and more.
    node.until("a while", |_| (began.elapsed().as_millis() > 1500).then_some(()));
    let later = installation.journal(from + 1);
    let sent = later.iter().find(|line| line["kind"] == "IntentApproved" || line["kind"] == "Sent");
    assert!(sent.is_none(), "sent in a halt: {sent:?}");
    let status = node.without_violations();
    assert_eq!(status["trading_state"], "halted", "{status}");
}

/// Fewer than its supervisor forgives in ten minutes.
const OPS_KILLS_MAX: u32 = 15;

#[test]
fn halt_works_through_the_socket_while_ops_is_down_and_through_a_stuck_api() {
    let installation = lively();
    let mut node = installation.run(&FAST);
    node.until_ready();
    // Killed again and again, within its intensity: whoever calls meets it down.
    let client = node.client().clone();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = stop.clone();
    let killer = std::thread::spawn(move || {
        let mut kills = 0_u32;
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) && kills < OPS_KILLS_MAX {
            kills += u32::from(client.post("/chaos/kill", &json!({"role": "ops"})).is_ok());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        kills
    });
    let report = by_socket(&installation);
    assert_eq!(report.trim(), "halted");
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let kills = killer.join().expect("the killer ends");
    assert!(kills > 0, "ops was killed meanwhile");
    println!("halted by the socket while ops was killed {kills} times");
    node.until("ops again", |client| {
        let tree = client.get("/tree").ok()?;
        tree.as_array()?.iter().all(|row| row["status"] == "ready").then_some(())
    });
    stays_halted(&installation, &mut node);
    let resumed = installation.cli(&["resume", "--yes"]);
    assert!(resumed.status.success(), "{}", said(&resumed));
    trades_on(&mut node);
    // The command finds its own way: the port takes connections and never answers.
    let stuck = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = stuck.local_addr().expect("it is bound").to_string();
    let state = installation.state().display().to_string();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_optionsib"))
        .args(["halt", "--reason", "stuck", "--json", "--api", &address, "--state", &state])
        .output()
        .expect("the binary was built for this test");
    assert!(output.status.success(), "{}", said(&output));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&report["acknowledged"], &report["way"]), (&json!(true), &json!("socket")));
    stays_halted(&installation, &mut node);
    let resumed = installation.cli(&["resume", "--yes"]);
    assert!(resumed.status.success(), "{}", said(&resumed));
    trades_on(&mut node);
    // And the plain way.
    let report = installation.json(&["halt", "--reason", "lunch"]);
    assert_eq!((&report["acknowledged"], &report["way"]), (&json!(true), &json!("api")));
    stays_halted(&installation, &mut node);
}

fn by_socket(installation: &Installation) -> String {
    use std::io::{BufRead, BufReader, Write};
    let mut stream =
        std::os::unix::net::UnixStream::connect(installation.state().join("halt.sock"))
            .expect("the watchdog listens");
    writeln!(stream, "halt by the test").expect("it takes a line");
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).expect("it answers");
    answer
}

#[test]
fn a_delayed_role_is_listed_cleared_and_nothing_breaks() {
    let installation = lively();
    let mut node = installation.run(&FAST);
    node.until_ready();
    let armed = installation.json(&["chaos", "delay", "feed/SIM", "50ms", "--for", "30s"]);
    assert_eq!(armed["role"], "feed/SIM");
    assert_eq!(installation.json(&["chaos", "list"]).as_array().map(Vec::len), Some(1));
    trades_on(&mut node);
    installation.json(&["chaos", "clear"]);
    assert_eq!(installation.json(&["chaos", "list"]).as_array().map(Vec::len), Some(0));
    let unknown = installation.cli(&["chaos", "kill", "desc"]);
    assert_eq!(unknown.status.code(), Some(2), "{}", said(&unknown));
    trades_on(&mut node);
    node.without_violations();
}

#[test]
fn every_kind_of_fault_strikes_and_the_node_trades_on() {
    let installation = lively();
    let mut node = installation.run(&FAST);
    node.until_ready();
    for (kind, fault) in [
        ("panic", &["desk"][..]),
        ("error", &["strategy/scalper_that_rests"]),
        ("stall", &["pricing/SIM", "20ms", "--for", "5s"]),
        ("drop", &["session", "--share", "50", "--for", "5s"]),
        ("duplicate", &["desk", "--for", "5s"]),
    ] {
        installation.json(&[&["chaos", kind], fault].concat());
        let struck =
            format!("optionsib_chaos_injections_total{{role=\"{}\",fault=\"{kind}\"}}", fault[0]);
        node.until(&format!("{kind} at {}", fault[0]), |client| {
            client.text("/metrics").ok()?.contains(&struck).then_some(())
        });
        trades_on(&mut node);
    }
    installation.json(&["chaos", "clear"]);
    node.until_ready();
    node.without_violations();
    assert_eq!(node.terminate().code(), Some(0), "{}", node.log());
}

#[test]
fn a_long_journal_is_ready_about_as_fast_as_a_short_one() {
    let installation = lively();
    let records: u64 = if QUICK { 5_000 } else { 100_000 };
    let mut node = installation.run(&FAST);
    node.until_ready();
    let short = node.age();
    node.kill();
    // Operator records: real ones for the fold, and they move no money.
    lengthen(&installation, records);
    fs::remove_dir_all(installation.state().join("sled")).expect("the journal alone suffices");
    let mut node = installation.run(&FAST);
    let status = node.until_ready();
    let long = node.age();
    println!(
        "ready on a new journal in {short:?}, without snapshot on {records} records in {long:?}"
    );
    assert!(status["journal_seq"].as_u64() >= Some(records), "{status}");
    assert_eq!(node.terminate().code(), Some(0), "{}", node.log());
    let mut node = installation.run(&FAST);
    node.until_ready();
    println!("with a snapshot in {:?}", node.age());
    assert!(long < short * 100, "a restart that takes {long:?} is no restart");
}

fn lengthen(installation: &Installation, records: u64) {
    use std::sync::Arc;
    use store::{Disk, JournalOptions, NewRecord, RealDisk, WriterTag};
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(installation.state()).expect("the folder"));
    let mut options = JournalOptions::new(0);
    options.segment_bytes = 1 << 20;
    let mut opened = store::journal::open(disk, options).expect("it is whole");
    let tag = WriterTag::new("operator", 1).expect("a short name");
    let command = format!("a remark of about three hundred bytes{}", ".".repeat(200));
    let record = desk::record::Record::Operator { command };
    let (kind, payload) = (record.kind(), record.encode());
    for _ in 0..records / 1000 {
        let batch = (0..1000).map(|_| NewRecord {
            kind,
            schema_version: desk::record::SCHEMA_VERSION,
            checkpoint: false,
            payload: payload.clone(),
        });
        opened.handle.append(&tag, 0, batch.collect()).expect("room in the queue");
        while opened.writer.write_pending().expect("a working disk").is_some() {}
    }
}
