//! Each promise has a fault of our own code that turns exactly it red, in a simulated run of the
//! whole tree. Built with `RUSTFLAGS="--cfg mutations"` only.
//!
//! A fault is switched on for a whole process, so the test runs itself once per fault and reads the
//! child's verdict. [`MUTATIONS`] is the table: fault, scene, and the promises that turn red; where
//! one fault inherently breaks two, the table says why. Every scene is also run without a fault.

#![allow(clippy::unwrap_used, reason = "a scene that can't be set fails its test")]
#![cfg(mutations)]

#[allow(dead_code, reason = "the faults need a part of the scene")]
#[path = "scene/market.rs"]
mod hand;
#[path = "mutations/scenes.rs"]
mod scenes;
#[allow(dead_code, reason = "the faults need a part of the scene")]
#[path = "scene/settings.rs"]
mod settings;
#[path = "scene/wishes.rs"]
mod wishes;

use scenes::Scene;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

const VARIABLE: &str = "OPTIONSIB_MUTATION";
const VERDICT: &str = "VERDICT ";

/// Fault, scene, the promises that turn red.
const MUTATIONS: &[(&str, Scene, &[&str])] = &[
    // Sent again while the first is under way to the venue: two orders of one intent. That it was
    // Unknown is not yet durable at that moment, so the rule of I15 has nothing to judge.
    ("resend_unknown", Scene::KillAtTheSend, &["I1"]),
    ("skip_exec_dedupe", Scene::Trading, &["I2"]),
    ("drop_lifecycle", Scene::WorthlessExpiry, &["I3"]),
    ("drop_fee", Scene::Trading, &["I4"]),
    ("skip_delta_limit", Scene::NarrowDelta, &["I5"]),
    ("release_on_cancel_request", Scene::CrossingCancels, &["I5"]),
    ("skip_halt_check", Scene::WishInAHalt, &["I6"]),
    ("swap_limit_after_hash", Scene::Trading, &["I7"]),
    ("send_before_durable", Scene::Trading, &["I8"]),
    ("skip_freshness", Scene::LockedQuote, &["I9"]),
    ("skip_fdatasync", Scene::PowerCut, &["I11"]),
    ("ignore_intensity", Scene::FourKills, &["I12"]),
    ("ready_without_reconcile", Scene::SlowToSettle, &["I13"]),
    ("skip_settle", Scene::CrashBeforeTheSend, &["I15"]),
];

fn run_child(mutation: &str, scene: Scene) -> BTreeMap<String, String> {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["the_child_runs_one_scene_with_one_fault", "--exact", "--nocapture"])
        .env(VARIABLE, format!("{mutation}/{scene:?}"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let verdict = said.lines().find_map(|line| line.split_once(VERDICT).map(|(_, json)| json));
    let Some(verdict) = verdict else {
        let complained = String::from_utf8_lossy(&output.stderr);
        panic!("{mutation} in {scene:?} came to no verdict: {said}\n{complained}")
    };
    serde_json::from_str(verdict).unwrap()
}

#[test]
fn the_child_runs_one_scene_with_one_fault() {
    let Ok(asked) = std::env::var(VARIABLE) else { return };
    let (mutation, scene) = asked.split_once('/').unwrap();
    mutation::set(mutation);
    let scene = Scene::ALL.into_iter().find(|one| format!("{one:?}") == scene).unwrap();
    let report = scenes::play(scene);
    let first = |invariant: &String| {
        let of = report.violations.iter().find(|one| one.invariant == *invariant);
        (invariant.clone(), of.map_or_else(String::new, |one| one.sentence.clone()))
    };
    let red: BTreeMap<String, String> = report.violated.keys().map(first).collect();
    println!("\n{VERDICT}{}", serde_json::to_string(&red).unwrap());
}

#[test]
fn each_fault_of_our_own_turns_its_promise_red_and_no_other() {
    let mut wrong = Vec::new();
    for (mutation, scene, expected) in MUTATIONS {
        let red = run_child(mutation, *scene);
        eprintln!("{mutation:28} {scene:?}: {red:?}");
        let found: BTreeSet<&str> = red.keys().map(String::as_str).collect();
        if found != expected.iter().copied().collect() {
            wrong.push(format!("{mutation}: {expected:?} expected, found {red:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn without_a_fault_no_scene_breaks_a_promise() {
    for scene in Scene::ALL {
        let red = run_child("none", scene);
        assert!(red.is_empty(), "{scene:?}: {red:#?}");
    }
}

#[test]
fn every_promise_that_is_checked_has_its_fault() {
    let covered: BTreeSet<&str> =
        MUTATIONS.iter().flat_map(|(_, _, red)| red.iter().copied()).collect();
    let checked = audit::Invariant::ALL.map(audit::Invariant::name);
    let missing: Vec<&str> = checked.into_iter().filter(|name| !covered.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
