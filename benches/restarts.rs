//! How long each role of the running node is away: from the kill until it is supervised again (its
//! next incarnation runs) and until it is ready, seen from outside through the API.
//!
//! `cargo bench --bench restarts [-- LIVES]`. The configuration is the shipped one on the built-in
//! market, real disk, shipped restart intensities, with the breaker on restarts out of reach: a
//! life of the node takes only as many kills as these forgive, so the figures are gathered over
//! many lives. They include a poll of the API (its cost is printed). It prints a distribution a
//! role and asserts none.

#[allow(dead_code, reason = "the end-to-end tests use more of it")]
#[path = "../tests/node_process/node.rs"]
mod node;

use node::{Client, Installation, Node};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const LIVES: usize = 35;
/// Kills of one role in one life, by what its supervisor forgives (`actors/src/node.rs`).
const PER_LIFE: [(&str, usize); 6] =
    [("core", 1), ("safety", 1), ("trade", 1), ("market", 3), ("pricing", 3), ("strategies", 3)];
const OPS_PER_LIFE: usize = 3;
/// Children of `trade` that a life kills: three failures in five minutes are forgiven.
const TRADE_PER_LIFE: usize = 3;

#[derive(Default)]
struct Times {
    supervised: Vec<Duration>,
    ready: Vec<Duration>,
}

struct Row {
    role: String,
    parent: String,
    generation: u64,
    ready: bool,
}

fn rows(client: &Client) -> Option<Vec<Row>> {
    let tree = client.get("/tree").ok()?;
    let row = |row: &Value| {
        Some(Row {
            role: row["role"].as_str()?.to_owned(),
            parent: row["parent"].as_str().unwrap_or_default().to_owned(),
            generation: row["generation"].as_u64()?,
            ready: row["status"] == "ready",
        })
    };
    tree.as_array()?.iter().map(row).collect()
}

fn main() {
    let lives = std::env::args().find_map(|word| word.parse().ok()).unwrap_or(LIVES);
    // More restarts in a minute than the technical breaker takes for a sound node.
    let installation = Installation::with(&json!({"breakers": {"restarts_max": 10_000}}));
    let mut times: BTreeMap<String, Times> = BTreeMap::new();
    let mut polls = Vec::new();
    for life in 0..lives {
        let mut node = installation.run(&[]);
        node.until_ready();
        for role in victims(&node, life) {
            strike(&mut node, &role, times.entry(role.clone()).or_default(), &mut polls);
        }
        node.terminate();
    }
    print("one poll of the API", &mut polls);
    for (role, mut took) in times {
        print(&format!("{role}, supervised"), &mut took.supervised);
        print(&format!("{role}, ready"), &mut took.ready);
    }
}

/// Whom this life kills: leaves as often as their supervisors forgive it, and two strikes that the
/// root counts, the journal and one scope after the other.
fn victims(node: &Node, life: usize) -> Vec<String> {
    let rows = rows(node.client()).expect("the tree of a node that is ready");
    let mut victims = Vec::new();
    let mut trade: Vec<&Row> = Vec::new();
    let mut scopes = Vec::new();
    for row in &rows {
        let times = PER_LIFE.iter().find(|(scope, _)| *scope == row.parent);
        match (row.role.as_str(), row.parent.as_str()) {
            // The API can't be asked while it is away itself.
            ("root" | "journal" | "api", _) => {}
            ("ops", "root") => {}
            (scope, "root") => scopes.push(scope.to_owned()),
            (_, "trade") => trade.push(row),
            (role, "ops") => victims.extend(vec![role.to_owned(); OPS_PER_LIFE]),
            (role, _) => {
                let times = times.map_or(0, |(_, times)| *times);
                victims.extend(vec![role.to_owned(); times]);
            }
        }
    }
    for turn in 0..TRADE_PER_LIFE.min(trade.len()) {
        victims.push(trade[(life + turn) % trade.len()].role.clone());
    }
    victims.push("journal".to_owned());
    victims.push(scopes[life % scopes.len()].clone());
    victims
}

fn strike(node: &mut Node, role: &str, times: &mut Times, polls: &mut Vec<Duration>) {
    let find = |client: &Client| rows(client)?.into_iter().find(|row| row.role == role);
    let before = node.until(role, find).generation;
    let struck = Instant::now();
    if let Err(why) = node.client().post("/chaos/kill", &json!({ "role": role })) {
        eprintln!("{role} was not struck: {why}");
        return;
    }
    node.until(&format!("{role} supervised"), |client| {
        let asked = Instant::now();
        let row = find(client)?;
        polls.push(asked.elapsed());
        (row.generation > before).then_some(())
    });
    times.supervised.push(struck.elapsed());
    node.until(&format!("{role} ready"), |client| find(client)?.ready.then_some(()));
    times.ready.push(struck.elapsed());
    node.until(&format!("all ready after {role}"), |client| {
        rows(client)?.iter().all(|row| row.ready).then_some(())
    });
}

fn print(what: &str, took: &mut [Duration]) {
    took.sort_unstable();
    let at = |share: usize| took.get((took.len() * share).div_ceil(100).saturating_sub(1));
    let ms = |share| at(share).map_or(f64::NAN, |took| took.as_secs_f64() * 1e3);
    println!(
        "{what:44} {:4} times: p50 {:7.1} ms, p99 {:7.1} ms, most {:7.1} ms",
        took.len(),
        ms(50),
        ms(99),
        ms(100)
    );
}
