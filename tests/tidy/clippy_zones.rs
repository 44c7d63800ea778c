//! The purity zones: clippy bans clocks, threads and hash maps per folder; nothing may slip out.
//!
//! The nearest `clippy.toml` replaces the one above it, so each must repeat what it still bans.

use crate::tree::{File, expect_findings, expect_none, files};

/// What every zone bans.
const BANNED: [&str; 2] = ["std::time::SystemTime::now", "std::collections::HashMap"];
/// What the machines may not read either.
const BANNED_IN_CRATES: [&str; 2] = ["std::time::Instant::now", "std::thread::spawn"];
/// Lints of the whole workspace without which the zones are only words.
const LINTS: [&str; 5] = [
    "disallowed_methods = \"deny\"",
    "disallowed_types = \"deny\"",
    "unwrap_used = \"warn\"",
    "dbg_macro = \"deny\"",
    "todo = \"deny\"",
];

fn findings(files: &[File]) -> Vec<String> {
    let mut findings = Vec::new();
    let text = |path: &str| files.iter().find(|file| file.path == path).map(|file| &file.text);
    for (zone, banned) in [("crates", &BANNED_IN_CRATES[..]), ("actors", &[])] {
        let path = format!("{zone}/clippy.toml");
        let found = text(&path).map_or("", String::as_str);
        for what in BANNED.iter().chain(banned).filter(|what| !found.contains(**what)) {
            findings.push(format!("{path} does not ban {what}; add it with its reason"));
        }
    }
    for file in files.iter().filter(|file| file.path.ends_with("/clippy.toml")) {
        for what in BANNED.iter().filter(|what| !file.text.contains(**what)) {
            if !["crates/clippy.toml", "actors/clippy.toml"].contains(&file.path.as_str()) {
                findings.push(format!("{} lost the ban of {what}; repeat it", file.path));
            }
        }
        for line in file.text.lines().filter(|line| line.contains("path =")) {
            if !line.contains("reason =") {
                findings.push(format!("{}: `{}` has no reason; add it", file.path, line.trim()));
            }
        }
    }
    let workspace = text("Cargo.toml").map_or("", String::as_str);
    for lint in LINTS.iter().filter(|lint| !workspace.contains(**lint)) {
        findings
            .push(format!("Cargo.toml: `{lint}` is gone from the workspace's lints; restore it"));
    }
    for file in files.iter().filter(|file| file.path.ends_with("Cargo.toml")) {
        if !file.text.contains("[lints]\nworkspace = true") {
            findings.push(format!("{}: add `[lints]` with `workspace = true`", file.path));
        }
    }
    findings
}

#[test]
fn clocks_threads_and_hash_maps_are_banned_where_machines_live() {
    expect_none(&findings(files()));
}

#[test]
fn the_rule_about_zones_finds_bad_samples() {
    let good: Vec<File> =
        files().iter().filter(|file| file.path.ends_with(".toml")).cloned().collect();
    let broken = |path: &str, from: &str, to: &str| {
        let mut files = good.clone();
        let file = files.iter_mut().find(|file| file.path == path).expect("the file exists");
        assert!(file.text.contains(from), "{path} has no `{from}`");
        file.text = file.text.replace(from, to);
        findings(&files)
    };
    let clock = broken("crates/clippy.toml", "std::time::Instant::now", "std::time::Instant::new");
    expect_findings(&clock, &["Instant::now"]);
    let lint = broken("Cargo.toml", "disallowed_types = \"deny\"", "disallowed_types = \"allow\"");
    expect_findings(&lint, &["disallowed_types"]);
    let lints = broken("crates/market/Cargo.toml", "[lints]", "[lint]");
    expect_findings(&lints, &["crates/market/Cargo.toml"]);
    let own = broken("crates/store/clippy.toml", "SystemTime::now", "SystemTime::new");
    expect_findings(&own, &["lost the ban"]);
    expect_none(&findings(&good));
}
