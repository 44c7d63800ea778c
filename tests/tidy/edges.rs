//! Which package may use which: the table of the design, and the owners of heavy dependencies.
//!
//! Tests may reach wider (dev-dependencies are free): they don't end up in the node.

use crate::tree::{expect_findings, expect_none, root};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::Command;

/// What each package may use of the others.
const MAY_USE: &[(&str, &[&str])] = &[
    ("market", &[]),
    ("pricing", &[]),
    ("mutation", &[]),
    ("store", &["mutation"]),
    ("valuation", &["market", "pricing"]),
    ("trading", &["market"]),
    ("exchange", &["market", "pricing"]),
    ("risk", &["market", "valuation", "trading", "mutation"]),
    ("strategy", &["market", "valuation", "trading"]),
    ("desk", &["market", "valuation", "trading", "risk", "store", "mutation"]),
    ("broker", &["market", "trading", "risk", "exchange", "mutation"]),
    ("gateway", &["market", "exchange"]),
    ("audit", &["market", "store"]),
    (
        "actors",
        &[
            "market",
            "mutation",
            "pricing",
            "store",
            "valuation",
            "trading",
            "exchange",
            "risk",
            "strategy",
            "desk",
            "broker",
            "audit",
        ],
    ),
    // The simulation hands the tree its whole wiring, so it names the types of what it wires.
    (
        "chaos",
        &[
            "actors",
            "audit",
            "broker",
            "desk",
            "exchange",
            "market",
            "mutation",
            "risk",
            "store",
            "strategy",
            "trading",
            "valuation",
        ],
    ),
    (
        "optionsib",
        &[
            "market",
            "mutation",
            "pricing",
            "store",
            "valuation",
            "trading",
            "exchange",
            "risk",
            "strategy",
            "desk",
            "broker",
            "gateway",
            "audit",
            "actors",
            "chaos",
        ],
    ),
];

/// Who alone may use an outside crate that shapes everything that touches it.
const OWNERS: &[(&str, &[&str])] = &[
    ("ractor", &["actors"]),
    ("sled", &["store"]),
    ("ibapi", &["broker"]),
    ("axum", &["optionsib"]),
    ("hyper", &["optionsib"]),
    ("reqwest", &["optionsib"]),
    ("ureq", &["optionsib"]),
    ("anyhow", &["optionsib"]),
    ("clap", &["optionsib"]),
    ("metrics", &["actors"]),
    ("metrics-exporter-prometheus", &["optionsib"]),
    ("tokio", &["actors", "broker", "chaos", "gateway", "optionsib"]),
    ("prost", &["gateway"]),
    ("rand", &[]),
];

fn findings(metadata: &Value) -> Vec<String> {
    let empty = Vec::new();
    let packages = metadata["packages"].as_array().unwrap_or(&empty);
    let names: BTreeSet<&str> =
        packages.iter().filter_map(|package| package["name"].as_str()).collect();
    let mut findings = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let Some((_, allowed)) = MAY_USE.iter().find(|(known, _)| *known == name) else {
            findings.push(format!(
                "package {name} is not in the table of tests/tidy/edges.rs; add its row there"
            ));
            continue;
        };
        let used = package["dependencies"].as_array().unwrap_or(&empty);
        for dependency in used.iter().filter(|used| used["kind"] != "dev") {
            let used = dependency["name"].as_str().unwrap_or_default();
            if names.contains(used) && !allowed.contains(&used) {
                findings.push(format!(
                    "{name} depends on {used}, the table allows {allowed:?}; take the edge out of \
                     its Cargo.toml or move the code to a room that may know both"
                ));
            }
            let owners = OWNERS.iter().find(|(owned, _)| *owned == used).map(|(_, owners)| owners);
            if owners.is_some_and(|owners| !owners.contains(&name)) {
                findings.push(format!(
                    "{name} depends on {used}, which belongs to {owners:?} alone; go through the \
                     owner"
                ));
            }
        }
    }
    findings
}

#[test]
fn packages_use_only_what_the_table_allows() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    let packages = metadata["packages"].as_array().map_or(0, Vec::len);
    assert!(packages >= 10, "cargo named {packages} packages; is the workspace whole?");
    expect_none(&findings(&metadata));
}

#[test]
fn the_rules_about_edges_find_bad_samples() {
    let used = |name: &str, kind: Value| json!({"name": name, "kind": kind});
    let metadata = json!({"packages": [
        {"name": "market", "dependencies": [used("jiff", Value::Null)]},
        {"name": "trading", "dependencies": [
            used("market", Value::Null),
            used("risk", Value::Null),
            used("sled", json!("build")),
            used("ractor", json!("dev")),
        ]},
        {"name": "risk", "dependencies": []},
        {"name": "newcomer", "dependencies": []},
    ]});
    expect_findings(&findings(&metadata), &["on risk", "on sled", "newcomer"]);
}
