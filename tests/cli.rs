//! The built binary from outside: exit codes, and what goes to stdout and to stderr.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn optionsib(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_optionsib"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("OPTIONSIB_LOG")
        .output()
        .expect("the binary was built for this test")
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// An address where nothing listens.
fn nowhere() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
    listener.local_addr().expect("it is bound").to_string()
}

#[test]
fn help_is_data_and_wrong_usage_is_exit_2_on_stderr() {
    let folder = tempfile::tempdir().unwrap();
    let help = optionsib(&["--help"], folder.path());
    assert_eq!(help.status.code(), Some(0));
    let text = String::from_utf8(help.stdout).unwrap();
    for command in [
        "run",
        "replay",
        "status",
        "tree",
        "positions",
        "orders",
        "surfaces",
        "reconcile",
        "halt",
        "resume",
        "chaos",
        "journal",
        "snapshot",
        "audit",
        "surface",
        "price",
        "iv",
    ] {
        assert!(text.contains(&format!("  {command}")), "{command} is missing in {text}");
    }
    for wrong in [&["fly"][..], &[], &["halt"], &["run", "--environment", "prod"]] {
        let output = optionsib(wrong, folder.path());
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(output.stdout.is_empty(), "{wrong:?}");
    }
}

#[test]
fn without_a_node_every_question_is_exit_69_with_the_next_step() {
    let folder = tempfile::tempdir().unwrap();
    let api = nowhere();
    for command in [
        &["status"][..],
        &["tree"],
        &["positions"],
        &["orders"],
        &["surfaces"],
        &["reconcile"],
        &["reconcile", "--last"],
        &["resume", "--yes"],
        &["chaos", "list"],
        &["chaos", "clear"],
        &["chaos", "kill", "desk"],
        &["chaos", "delay", "desk", "1ms", "--for", "1s"],
        &["chaos", "panic", "desk"],
        &["snapshot", "create"],
        // Here with no state folder to leave the file HALT in.
        &["halt", "--reason", "lunch"],
    ] {
        let output = optionsib(&[command, &["--api", &api]].concat(), folder.path());
        assert_eq!(output.status.code(), Some(69), "{command:?}: {}", err(&output));
        assert!(output.stdout.is_empty());
        assert!(err(&output).contains("next:"), "{}", err(&output));
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");
}

#[test]
fn an_error_is_one_json_object_where_json_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let output = optionsib(&["status", "--json", "--api", &nowhere()], folder.path());
    let error: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(error["exit_code"], 69);
    for key in ["error", "why", "next"] {
        assert!(!error[key].as_str().unwrap().is_empty(), "{key}");
    }
}

#[test]
fn a_halt_without_a_node_leaves_the_file_and_says_that_nobody_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    fs::create_dir(&state).unwrap();
    let api = nowhere();
    let output = optionsib(&["halt", "--reason", "lunch", "--api", &api, "--json"], folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["acknowledged"], &report["way"]), (&false.into(), &"file".into()));
    assert_eq!(fs::read_to_string(state.join("HALT")).unwrap(), "lunch\n");
}

#[test]
fn resume_without_yes_is_exit_2() {
    let folder = tempfile::tempdir().unwrap();
    let output = optionsib(&["resume", "--api", &nowhere()], folder.path());
    assert_eq!(output.status.code(), Some(2));
    assert!(err(&output).contains("--yes"));
}

#[test]
fn a_wrong_configuration_is_exit_78_naming_file_and_key() {
    let folder = tempfile::tempdir().unwrap();
    let output = optionsib(&["run"], folder.path());
    assert_eq!(output.status.code(), Some(78));
    assert!(err(&output).contains("config/main.yaml"), "{}", err(&output));

    let config = folder.path().join("config");
    fs::create_dir_all(config.join("environment")).unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let main = fs::read_to_string(shipped.join("main.yaml")).unwrap();
    fs::write(config.join("main.yaml"), format!("{main}\nvenue_name: x\n")).unwrap();
    fs::copy(shipped.join("environment/dev.yaml"), config.join("environment/dev.yaml")).unwrap();
    let output = optionsib(&["run"], folder.path());
    assert_eq!(output.status.code(), Some(78));
    let text = err(&output);
    assert!(text.contains("main.yaml: venue_name: unknown field `venue_name`"), "{text}");
}

#[test]
fn live_is_exit_78_unless_the_accounts_last_four_characters_are_typed() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR"));
    let state = tempfile::tempdir().unwrap();
    let state = state.path().join("state").display().to_string();
    for typed in [&[][..], &["--live", "0002"], &["--live", "U0000001"]] {
        let asked = [&["run", "--environment", "live", "--state", &state][..], typed].concat();
        let output = optionsib(&asked, shipped);
        assert_eq!(output.status.code(), Some(78));
        assert!(err(&output).contains("real money"), "{}", err(&output));
    }
    let output = optionsib(&["run", "--live", "0001", "--state", &state], shipped);
    assert_eq!(output.status.code(), Some(2), "{}", err(&output));
    assert!(!Path::new(&state).exists());
}

#[test]
fn state_commands_on_a_folder_without_a_journal_are_exit_2() {
    let folder = tempfile::tempdir().unwrap();
    for command in [&["journal", "verify"][..], &["journal", "show"], &["snapshot", "list"]] {
        let output = optionsib(command, folder.path());
        assert_eq!(output.status.code(), Some(2), "{command:?}: {}", err(&output));
    }
}

#[test]
fn colour_never_reaches_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let output = optionsib(&["status", "--api", &nowhere()], folder.path());
    assert!(!output.stderr.contains(&0x1b) && !output.stdout.contains(&0x1b));
}
