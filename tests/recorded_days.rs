//! Promise: the built binary trades recorded days, the same each time, with every promise checked,
//! also while its parts and its whole are killed; other code comes to the same cash.
//!
//! Needs `OPTIONSIB_DATA`, the folder of recorded market data; without it each test says aloud that
//! it is skipped. What single machines make of recorded data is tested in their rooms.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

const ES: (&str, &str) = ("lean_es_futopt_20200106", "2020-01-06");
const GOOG: (&str, &str) = ("lean_goog_opt_20151224", "2015-12-24");
const TWX: (&str, &str) = ("lean_twx_opt_20140605", "2014-06-05");

fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("OPTIONSIB_DATA").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: set OPTIONSIB_DATA to the folder with recorded market data");
    }
    folder
}

#[track_caller]
fn replay(data: &Path, (folder, day): (&str, &str), arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_optionsib"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .arg("replay")
        .arg(data.join(folder))
        .args(["--date", day, "--json", "--quiet"])
        .args(arguments)
        .output()
        .expect("the binary was built for this test");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{folder} {arguments:?}: {said}");
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

/// Traded by every kind of strategy, no promise broken, every promise checked that a replay can.
#[track_caller]
fn is_sound(report: &Value) {
    for kind in ["gamma_scalper", "credit_spread"] {
        let fills = report["fills_by_strategy"].as_object().expect("an object");
        let own = fills.iter().filter(|(name, _)| name.starts_with(kind));
        let filled: u64 = own.filter_map(|(_, count)| count.as_u64()).sum();
        assert!(filled > 0, "{kind} has no fill: {fills:?}");
    }
    assert_eq!(report["violations"], 0, "{}", report["violated"]);
    let checks = report["checks"].as_object().expect("an object");
    assert_eq!(checks.len(), 13, "{checks:?}");
    for (invariant, count) in checks {
        assert!(count.as_u64() > Some(0), "{invariant} was never evaluated");
    }
    let own_vol = report["implied_vol_share"].as_f64().expect("a number");
    assert!(own_vol >= 0.9, "only {own_vol} of the fresh quotes have a vol of their own");
    let pricing = report["pricing"].as_str().expect("a sentence");
    assert!(pricing.contains("American"), "it does not say how American options are priced");
}

/// The cash and the fees of a day, recomputed from its fills by a script that shares no code.
#[track_caller]
fn other_code_comes_to_the_same_cash(data: &Path, day: (&str, &str)) {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let (fills, report) = (folder.path().join("fills.json"), folder.path().join("report.json"));
    let whole = replay(data, day, &["--fills", &fills.display().to_string()]);
    is_sound(&whole);
    std::fs::write(&report, whole.to_string()).expect("a temporary folder can be written");
    let output = Command::new("python3")
        .arg("-B")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts/recompute_cash.py"))
        .arg(&fills)
        .arg("--report")
        .arg(&report)
        .output()
        .expect("python3 runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn es_is_traded_and_other_code_comes_to_the_same_cash() {
    let Some(data) = data() else { return };
    other_code_comes_to_the_same_cash(&data, ES);
}

#[test]
fn goog_is_traded_and_what_expires_that_day_settles() {
    let Some(data) = data() else { return };
    other_code_comes_to_the_same_cash(&data, GOOG);
    let lifecycle = replay(&data, GOOG, &[])["lifecycle"].clone();
    let settled: u64 = ["exercised", "assigned", "expired"]
        .iter()
        .filter_map(|event| lifecycle[event].as_u64())
        .sum();
    assert!(settled > 0, "nothing that was held expired: {lifecycle}");
}

#[test]
fn twx_is_traded_and_other_code_comes_to_the_same_cash() {
    let Some(data) = data() else { return };
    other_code_comes_to_the_same_cash(&data, TWX);
}

#[test]
fn the_same_day_gives_the_same_hash_and_another_seed_another() {
    let Some(data) = data() else { return };
    let hash = |arguments: &[&str]| replay(&data, ES, arguments)["state_hash"].clone();
    let first = hash(&[]);
    assert_eq!(first, hash(&[]));
    assert_ne!(first, hash(&["--seed", "2"]));
}

#[test]
fn a_day_under_chaos_breaks_no_promise_and_is_the_same_each_time() {
    let Some(data) = data() else { return };
    let report = replay(&data, ES, &["--chaos", "7"]);
    is_sound(&report);
    for (role, kills) in report["kills"].as_object().expect("an object") {
        assert!(kills.as_u64() >= Some(3), "{role} was killed {kills} times");
    }
    assert!(report["lives"].as_u64() >= Some(6), "{} lives", report["lives"]);
    let in_flight = report["kills_in_flight_permille"].as_u64();
    assert!(in_flight >= Some(300), "{in_flight:?} of a thousand kills met an intent in flight");
    assert_eq!(report["state_hash"], replay(&data, ES, &["--chaos", "7"])["state_hash"]);
}
