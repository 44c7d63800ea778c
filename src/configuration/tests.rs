//! The shipped configuration is valid; each kind of mistake is named with its file and key.

use super::*;
use crate::failure::{Exit, Failure};
use market::time::Timestamp;
use std::fs;
use tempfile::TempDir;

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config");

fn load(folder: &Path, environment: Environment) -> Result<Configuration, ConfigurationError> {
    Configuration::load(&Source { folder, environment, strategies: None })
}

/// A copy of the shipped configuration, to be spoilt.
fn copy() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for below in ["", "environment", "strategies"] {
        let to = folder.path().join(below);
        fs::create_dir_all(&to).unwrap();
        for entry in fs::read_dir(Path::new(SHIPPED).join(below)).unwrap() {
            let from = entry.unwrap().path();
            if from.is_file() {
                fs::copy(&from, to.join(from.file_name().unwrap())).unwrap();
            }
        }
    }
    folder
}

fn append(folder: &TempDir, file: &str, text: &str) {
    let path = folder.path().join(file);
    let before = fs::read_to_string(&path).unwrap();
    fs::write(path, format!("{before}\n{text}\n")).unwrap();
}

fn replace(folder: &TempDir, file: &str, from: &str, to: &str) {
    let path = folder.path().join(file);
    let before = fs::read_to_string(&path).unwrap();
    assert!(before.contains(from), "{file} has no `{from}`");
    fs::write(path, before.replacen(from, to, 1)).unwrap();
}

fn problem(folder: &TempDir) -> String {
    let error = load(folder.path(), Environment::Dev).expect_err("the copy is spoilt");
    let failure = Failure::from(error);
    assert_eq!(failure.exit, Exit::Configuration);
    failure.to_string()
}

#[track_caller]
fn names(problem: &str, parts: &[&str]) {
    for part in parts {
        assert!(problem.contains(part), "`{part}` is missing in: {problem}");
    }
}

#[test]
fn the_shipped_dev_and_paper_configurations_are_valid() {
    let dev = load(Path::new(SHIPPED), Environment::Dev).unwrap();
    assert_eq!(dev.account.0, "DU0000001");
    assert_eq!(dev.api, "127.0.0.1:7400".parse().unwrap());
    assert_eq!(dev.market.speed_permille, 1_000);
    assert_eq!(dev.tomes.len(), 2);
    assert_eq!(dev.faults_max, Some(Duration::from_secs(60)));
    let paper = load(Path::new(SHIPPED), Environment::Paper).unwrap();
    assert!(paper.account.0.starts_with("DU"));
    assert_ne!(dev.fingerprint, paper.fingerprint);
}

#[test]
fn live_trades_real_accounts_at_ib_only() {
    let live = load(Path::new(SHIPPED), Environment::Live).unwrap();
    assert_eq!((live.broker.kind, live.faults_max), (BrokerKind::Ib, None));
    let folder = copy();
    replace(&folder, "environment/live.yaml", "kind: ib", "kind: simulated");
    let error = load(folder.path(), Environment::Live).unwrap_err();
    names(&Failure::from(error).to_string(), &["live.yaml: broker.kind", "write ib"]);
}

#[test]
fn an_unknown_key_is_named_with_the_file_that_has_it() {
    let folder = copy();
    append(&folder, "main.yaml", "colour: blue");
    names(&problem(&folder), &["main.yaml: colour", "unknown field `colour`"]);

    let folder = copy();
    replace(&folder, "main.yaml", "  premium_max: 100000", "  premium_maximum: 25000");
    names(&problem(&folder), &["main.yaml: limits.premium_maximum", "unknown field"]);

    let folder = copy();
    append(&folder, "environment/dev.yaml", "venue:\n  slippage: 1");
    names(&problem(&folder), &["dev.yaml: venue.slippage", "request_latency_ms"]);
}

#[test]
fn a_value_of_the_wrong_kind_is_named_with_file_key_and_kind() {
    let folder = copy();
    append(&folder, "environment/dev.yaml", "market:\n  seed: many");
    names(&problem(&folder), &["dev.yaml: market.seed", "\"many\""]);
    let folder = copy();
    replace(&folder, "main.yaml", "listen: 127.0.0.1:7400", "listen: everywhere");
    names(&problem(&folder), &["main.yaml: api.listen"]);
}

#[test]
fn a_value_out_of_range_is_named_with_what_is_allowed() {
    let table = [
        ("speed: 1.0", "speed: 0", "market.speed", "0.1 to 1000"),
        ("speed: 1.0", "speed: .nan", "market.speed", "0.1 to 1000"),
        ("segment_mib: 16", "segment_mib: 0", "journal.segment_mib", "1 to 1024"),
        ("backoff_min_ms: 250", "backoff_min_ms: 40000", "link.backoff_min_ms", "backoff_max_ms"),
        ("  margin_max: 2000000", "  margin_max: -1", "limits", "margin_max"),
        ("realised_vol_max: 0.8", "realised_vol_max: 99", "breakers.realised_vol_max", "0.01 to"),
        ("listen: 127.0.0.1", "listen: 0.0.0.0", "api.listen", "other machines"),
        ("schema_version: 1", "schema_version: 2", "schema_version", "reads 1"),
        ("- gamma_scalper_sim", "- Gamma", "strategies", "a-z"),
        ("- gamma_scalper_sim", "- credit_spread_simx", "strategies", "twice"),
        ("rate_guess: 0.01", "rate_guess: 7", "pricing.rate_guess", "-0.1 to 1"),
    ];
    for (from, to, key, allowed) in table {
        let folder = copy();
        replace(&folder, "main.yaml", from, to);
        names(&problem(&folder), &["main.yaml: ", key, allowed]);
    }
}

#[test]
fn our_own_gateway_is_never_expected_to_be_away_and_ib_is_every_night() {
    // 23:50 in New York, a Wednesday.
    let night = Timestamp::from_seconds(1_795_668_600);
    for (environment, frozen) in
        [(Environment::Dev, false), (Environment::Paper, true), (Environment::Live, true)]
    {
        let configuration = load(Path::new(SHIPPED), environment).unwrap();
        let phase = configuration.downtime.phase(night);
        assert_eq!(phase.entries_frozen().is_some(), frozen, "{environment:?}");
    }
}

#[test]
fn a_downtime_that_is_none_is_named_with_its_row_in_the_file_that_has_it() {
    let paper = |folder: &TempDir| {
        let error = load(folder.path(), Environment::Paper).expect_err("the copy is spoilt");
        Failure::from(error).to_string()
    };
    for (from, to, key) in [
        ("at: \"00:15\"", "at: \"0:75\"", "expected[2].at"),
        ("minutes: 240", "minutes: 1440", "expected[3].minutes"),
        ("days: [sunday]", "days: [someday]", "expected[1].days[0]"),
        ("days: [sunday]", "days: []", "expected[1].days"),
    ] {
        let folder = copy();
        replace(&folder, "environment/paper.yaml", from, to);
        names(&paper(&folder), &["paper.yaml: downtime.", key]);
    }
    let folder = copy();
    replace(&folder, "main.yaml", "zone: America/New_York", "zone: New_York");
    names(&paper(&folder), &["main.yaml: downtime.zone", "America/New_York"]);
}

#[test]
fn the_environment_file_must_be_the_one_that_was_asked_for() {
    let folder = copy();
    replace(&folder, "environment/dev.yaml", "environment: dev", "environment: paper");
    names(&problem(&folder), &["dev.yaml: environment", "write `dev`"]);
}

#[test]
fn a_live_account_is_not_traded_in_dev() {
    for id in ["U1234567", "du1234567", "DU 1", ""] {
        let folder = copy();
        replace(&folder, "environment/dev.yaml", "id: DU0000001", &format!("id: '{id}'"));
        names(&problem(&folder), &["dev.yaml: account.id", "DU..."]);
    }
}

#[test]
fn a_missing_key_and_a_missing_file_are_named() {
    let folder = copy();
    replace(&folder, "main.yaml", "  poll_ms: 100\n", "");
    names(&problem(&folder), &["main.yaml: watchdog", "poll_ms"]);
    for file in
        ["main.yaml", "environment/dev.yaml", "fees.json", "strategies/gamma_scalper_sim.json"]
    {
        let folder = copy();
        fs::remove_file(folder.path().join(file)).unwrap();
        names(&problem(&folder), &[file, "No such file", "--config"]);
    }
}

#[test]
fn files_that_are_no_yaml_no_fee_table_or_no_tome_are_named() {
    let folder = copy();
    append(&folder, "main.yaml", "a: [");
    names(&problem(&folder), &["main.yaml"]);
    let folder = copy();
    fs::write(folder.path().join("environment/dev.yaml"), "").unwrap();
    names(&problem(&folder), &["dev.yaml", "not a map"]);
    let folder = copy();
    fs::write(folder.path().join("fees.json"), "{}").unwrap();
    names(&problem(&folder), &["fees.json"]);
    let folder = copy();
    replace(&folder, "strategies/gamma_scalper_sim.json", "\"kind\"", "\"kond\"");
    names(&problem(&folder), &["gamma_scalper_sim.json", "kond"]);
}

#[test]
fn the_fingerprint_follows_values_and_named_files_and_nothing_else() {
    let original = load(Path::new(SHIPPED), Environment::Dev).unwrap().fingerprint;
    let folder = copy();
    append(&folder, "main.yaml", "# a remark");
    let same =
        |folder: &TempDir| load(folder.path(), Environment::Dev).unwrap().fingerprint == original;
    assert!(same(&folder));
    append(&folder, "strategies/gamma_scalper_es.json", " ");
    assert!(same(&folder), "a tome that isn't configured");
    replace(&folder, "main.yaml", "premium_max: 100000", "premium_max: 25001");
    assert!(!same(&folder));
    let folder = copy();
    append(&folder, "strategies/gamma_scalper_sim.json", " ");
    assert!(!same(&folder));
}

#[test]
fn strategies_of_the_command_line_replace_the_configured_ones() {
    let strategies = ["credit_spread_es".to_owned()];
    let (folder, environment) = (Path::new(SHIPPED), Environment::Dev);
    let source = Source { folder, environment, strategies: Some(&strategies) };
    let configuration = Configuration::load(&source).unwrap();
    let names: Vec<&str> = configuration.tomes.iter().map(|tome| tome.id.as_str()).collect();
    assert_eq!(names, ["credit_spread_es"]);
    assert!(tomes_in(folder).unwrap().len() >= 4);
}
