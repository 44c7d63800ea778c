//! Promise: damaged, foreign or missing state ends in a clear error or the documented repair, and
//! never in lost data.
//!
//! The built binary trades, is stopped or killed, something happens to its folder, and it is
//! started again. An error names the file, the place and the next step; a repair leaves the account
//! as the venue's own books have it.

#[allow(dead_code, reason = "each end-to-end test uses its part of it")]
#[path = "node_process/node.rs"]
mod node;
#[allow(dead_code, reason = "each end-to-end test uses its part of it")]
#[path = "node_process/venue_book.rs"]
mod venue_book;

use desk::fold::Books;
use node::{Installation, said, until};
use serde_json::json;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;
use store::{RealDisk, Seq, SledOptions, SledSnapshots, SnapshotStore};

const FAST: [&str; 2] = ["--speed", "60"];

fn lively() -> Installation {
    let installation = Installation::with(&Installation::lively_keys());
    installation.lively();
    installation
}

/// Trades until there are fills and a snapshot, then ends by SIGTERM or SIGKILL.
fn traded(installation: &Installation, in_order: bool) {
    let mut node = installation.run(&FAST);
    node.until_status("fills", |status| status["fills"].as_u64() >= Some(8));
    node.until("a snapshot", |client| {
        let kept = client.get("/snapshots").ok()?;
        (!kept.as_array()?.is_empty()).then_some(())
    });
    if in_order {
        assert_eq!(node.terminate().code(), Some(0), "{}", node.log());
    } else {
        node.kill();
    }
}

/// Starts again, waits until it is ready and in agreement with the venue, and ends in order.
#[track_caller]
fn goes_on(installation: &Installation) -> String {
    let mut node = installation.run(&FAST);
    let back = node.until_status("a node that is back", |status| status["broker_link"] == "ready");
    if back["trading_state"] == "halted" {
        // A start that was refused leaves a halt: a person looks before it trades again.
        let resumed = installation.cli(&["resume", "--yes"]);
        assert!(resumed.status.success(), "{}", said(&resumed));
    }
    node.until_ready();
    agrees(installation, &mut node);
    let log = node.log();
    assert_eq!(node.terminate().code(), Some(0), "{}", node.log());
    log
}

#[track_caller]
fn agrees(installation: &Installation, node: &mut node::Node) {
    node.until("agreement with the venue's book", |client| {
        let before = venue_book::read(installation.state());
        let status = client.get("/status").ok()?;
        let account = venue_book::recompute(&before);
        let fills = account.executions.len() as u64;
        let cash = venue_book::micros(status["pnl"]["cash"].as_str()?);
        let same = status["fills"].as_u64() == Some(fills) && cash == account.cash;
        assert_eq!(status["violations"], 0, "{status}");
        (same && venue_book::read(installation.state()) == before).then_some(())
    });
}

fn segments(state: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(state.join("journal")).expect("a journal");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a journal").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "wal"));
    files.sort();
    files
}

/// The segment that was written last, and the end of what was written: zeros follow.
fn written(state: &Path) -> (PathBuf, u64) {
    let used = |file: &PathBuf| {
        let bytes = fs::read(file).expect("a segment");
        bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1)
    };
    // The segment behind it is prepared ahead: it has a header and no record.
    let all: Vec<_> = segments(state).into_iter().map(|file| (used(&file), file)).collect();
    let (end, file) = all.into_iter().rfind(|(end, _)| *end > 1024).expect("records");
    (file, end)
}

fn change(file: &Path, offset: u64, to: impl Fn(u8) -> u8) {
    let file = OpenOptions::new().read(true).write(true).open(file).expect("a segment");
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).expect("within the segment");
    file.write_all_at(&[to(byte[0])], offset).expect("within the segment");
}

fn contents(state: &Path) -> Vec<Vec<u8>> {
    segments(state).iter().map(|file| fs::read(file).expect("a segment")).collect()
}

/// The start is refused with exit 70; the error names all of these, and nothing was changed.
#[track_caller]
fn refused(installation: &Installation, parts: &[&str]) {
    let before = contents(installation.state());
    let output = installation.run_to_end();
    assert_eq!(output.status.code(), Some(70), "{}", said(&output));
    names(&output, parts);
    assert!(contents(installation.state()) == before, "a refused journal was changed");
}

#[track_caller]
fn names(output: &Output, parts: &[&str]) {
    let text = said(output);
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

#[test]
fn a_flipped_bit_is_refused_with_file_offset_and_seq_and_flipped_back_nothing_is_lost() {
    let installation = lively();
    traded(&installation, true);
    let first = segments(installation.state()).remove(0);
    let middle = written(installation.state()).1.min(20_000) / 2;
    change(&first, middle, |byte| byte ^ 4);
    refused(&installation, &["journal/0001.wal", "offset", "seq", "restore", "next:"]);
    let verified = installation.cli(&["journal", "verify"]);
    assert_eq!(verified.status.code(), Some(70));
    names(&verified, &["journal/0001.wal", "offset", "seq"]);
    change(&first, middle, |byte| byte ^ 4);
    goes_on(&installation);
}

#[test]
fn a_truncated_journal_is_refused_and_restored_nothing_is_lost() {
    let installation = lively();
    traded(&installation, true);
    let (file, end) = written(installation.state());
    let whole = fs::read(&file).unwrap();
    // What a truncating copy leaves, and zeros where records were: below the high-water mark.
    for damaged in [whole[..end as usize / 2].to_vec(), {
        let mut zeroed = whole.clone();
        zeroed[end as usize / 2..].fill(0);
        zeroed
    }] {
        fs::write(&file, damaged).unwrap();
        let name = format!("journal/{}", file.file_name().unwrap().to_str().unwrap());
        refused(&installation, &[&name, "offset", "seq", "next:"]);
    }
    fs::write(&file, whole).unwrap();
    goes_on(&installation);
}

#[test]
fn a_torn_last_batch_is_cut_and_what_it_held_comes_back_from_the_venue() {
    let mut keys = Installation::lively_keys();
    // No snapshot but the one asked for: what it has folded may not be torn off.
    keys["snapshots"] = json!({"every_seconds": 3600, "every_records": 1_000_000});
    let installation = Installation::with(&keys);
    installation.lively();
    let mut node = installation.run(&FAST);
    node.until_status("fills", |status| status["fills"].as_u64() >= Some(4));
    let snapshot = installation.json(&["snapshot", "create"])["seq"].as_u64();
    node.until_status("more records", |status| {
        status["journal_seq"].as_u64() > snapshot.map(|seq| seq + 30)
    });
    node.kill();
    let last = installation.journal(1).len();
    let (file, end) = written(installation.state());
    change(&file, end - 20, |byte| !byte);
    let log = goes_on(&installation);
    assert!(log.contains("torn"), "the repair is said: {log}");
    assert!(installation.journal(1).len() > last / 2);
}

#[test]
fn a_foreign_file_in_the_journals_place_is_refused_and_kept() {
    let installation = lively();
    traded(&installation, true);
    let first = segments(installation.state()).remove(0);
    let whole = fs::read(&first).unwrap();
    fs::write(&first, "To whom it may concern\n".repeat(60_000)).unwrap();
    refused(&installation, &["journal/0001.wal", "offset", "next:"]);
    fs::write(&first, whole).unwrap();
    goes_on(&installation);
}

#[test]
fn another_nodes_journal_is_refused_by_its_installation() {
    let (one, other) = (lively(), lively());
    traded(&one, true);
    traded(&other, true);
    let (own, foreign) = (segments(one.state()), segments(other.state()));
    let kept: Vec<_> = own.iter().map(|file| (file.clone(), fs::read(file).unwrap())).collect();
    for file in &own {
        fs::remove_file(file).unwrap();
    }
    for file in &foreign {
        fs::copy(file, one.state().join("journal").join(file.file_name().unwrap())).unwrap();
    }
    refused(&one, &["foreign", "installation", "seq 2", "next:"]);
    for file in segments(one.state()) {
        fs::remove_file(file).unwrap();
    }
    for (file, bytes) in kept {
        fs::write(file, bytes).unwrap();
    }
    goes_on(&one);
}

#[test]
fn a_second_node_on_the_same_state_is_refused_and_the_first_trades_on() {
    let installation = lively();
    let mut first = installation.run(&FAST);
    first.until_ready();
    let elsewhere = Installation::shipped().at(installation.state());
    let output = elsewhere.run_to_end();
    assert_eq!(output.status.code(), Some(70), "{}", said(&output));
    names(&output, &["in use by process", "next: stop the other node"]);
    let fills = first.client().get("/status").unwrap()["fills"].as_u64();
    first.until_status("more fills", |status| status["fills"].as_u64() > fills);
    assert_eq!(first.terminate().code(), Some(0));
}

#[test]
fn an_unreadable_sled_is_set_aside_and_costs_only_a_longer_fold() {
    let installation = lively();
    traded(&installation, false);
    let before = fold(installation.state(), None);
    fs::write(installation.state().join("sled/db"), [0xA5; 70_000]).unwrap();
    fs::write(installation.state().join("sled/conf"), "rubbish").unwrap();
    let log = goes_on(&installation);
    assert!(log.contains("set aside"), "the repair is said: {log}");
    let aside = fs::read_dir(installation.state().join("quarantine")).unwrap();
    assert_eq!(aside.count(), 1);
    let after = fold(installation.state(), Some(before.seq));
    assert_eq!(after.state_hash(), before.state_hash());
}

#[test]
fn deleting_sled_changes_no_hash() {
    let installation = lively();
    traded(&installation, true);
    let whole = fold(installation.state(), None);
    let by_snapshot = snapshot_and_tail(installation.state());
    assert_eq!(by_snapshot.state_hash(), whole.state_hash(), "snapshot and tail = everything");
    fs::remove_dir_all(installation.state().join("sled")).unwrap();
    assert_eq!(fold(installation.state(), None).state_hash(), whole.state_hash());
    goes_on(&installation);
    let (again, rebuilt) =
        (fold(installation.state(), None), snapshot_and_tail(installation.state()));
    assert_eq!(rebuilt.state_hash(), again.state_hash(), "the snapshot made without the first");
    let prefix = fold(installation.state(), Some(whole.seq));
    assert_eq!(prefix.state_hash(), whole.state_hash());
}

#[test]
fn a_wrong_key_in_any_file_is_exit_78_naming_file_and_key() {
    let cases = [
        (json!({"limits": {"delta_maximum": 5}}), "environment/dev.yaml", "delta_maximum"),
        (json!({"journal": {"segment_mib": 0}}), "environment/dev.yaml", "journal.segment_mib"),
        (json!({"strategies": ["nobody"]}), "strategies/nobody.json", "No such file"),
    ];
    for (keys, file, key) in cases {
        let output = Installation::with(&keys).run_to_end();
        assert_eq!(output.status.code(), Some(78), "{}", said(&output));
        names(&output, &[file, key, "next:"]);
    }
    let installation = Installation::shipped();
    let keys = json!({"parameters": {"unitz": 3}});
    installation.tome("gamma_scalper_sim", "gamma_scalper_sim", &keys);
    let output = installation.run_to_end();
    assert_eq!(output.status.code(), Some(78), "{}", said(&output));
    names(&output, &["gamma_scalper_sim.json", "unitz", "next:"]);
    assert!(!installation.state().exists(), "nothing was begun");
}

#[test]
fn a_full_disk_halts_with_a_clear_reason_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let Some(_mounted) = SmallDisk::mount(folder.path()) else {
        eprintln!("SKIPPED: a full disk needs root and tmpfs");
        return;
    };
    let state = folder.path().join("state");
    let installation = lively().at(&state);
    // The venue is someone else's machine: its books don't fill up with ours.
    let venue = tempfile::tempdir().unwrap();
    fs::create_dir(&state).unwrap();
    std::os::unix::fs::symlink(venue.path(), state.join("venue")).unwrap();
    let mut node = installation.run(&FAST);
    node.until_status("fills", |status| status["fills"].as_u64() >= Some(8));
    let events = |node: &node::Node| node.client().get("/events?from=1").ok();
    let mut told = events(&node).expect("acknowledged events");
    let filler = folder.path().join("filler");
    fill(&filler);
    // The journal has its ballast and its segments made ahead: it goes on until those are used up,
    // while the folder is kept full.
    let ending = until("a halt or an end", node::PATIENCE * 2, || {
        fill(&filler);
        told = events(&node).unwrap_or_else(|| told.clone());
        if let Some(status) = node.ended() {
            return Some((status.code(), String::new()));
        }
        let status = node.client().get("/status").ok()?;
        (status["trading_state"] == "halted")
            .then(|| (None, status["halt_reason"].as_str().unwrap_or_default().to_owned()))
    });
    println!("on a full disk: exit {:?}, halt `{}`", ending.0, ending.1);
    match &ending {
        (None, reason) => assert!(!reason.is_empty(), "a halt says why"),
        (code, _) => {
            assert_eq!(*code, Some(70), "{}", node.log());
            let log = node.log();
            assert!(log.contains("full") || log.contains("No space left"), "{log}");
        }
    }
    node.kill();
    fs::remove_file(&filler).unwrap();
    let journal = installation.journal(1);
    for event in told.as_array().unwrap() {
        let seq = event["seq"].as_u64().unwrap();
        let kept = &journal[seq as usize - 1];
        assert_eq!(kept["seq"].as_u64(), Some(seq), "{event} is lost");
    }
    let mut node = installation.run(&FAST);
    node.until_status("a node that is back", |status| status["broker_link"] == "ready");
    agrees(&installation, &mut node);
    let resumed = installation.cli(&["resume", "--yes"]);
    assert!(resumed.status.success(), "{}", said(&resumed));
    node.until_ready();
    agrees(&installation, &mut node);
    assert_eq!(node.terminate().code(), Some(0), "{}", node.log());
}

/// A file system of its own that is small; unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<Self> {
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=80m", "tmpfs"])
            .arg(at)
            .output()
            .ok()?;
        mount.status.success().then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that ends just now may have a file open.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

fn fill(file: &Path) {
    let mut file = OpenOptions::new().create(true).append(true).open(file).expect("a filler");
    while file.write_all(&[1; 4096]).is_ok() {}
}

/// The fold of the journal, up to a record.
fn fold(state: &Path, up_to: Option<Seq>) -> Books {
    tail(state, Books::default(), up_to)
}

fn snapshot_and_tail(state: &Path) -> Books {
    let (snapshots, _) = SledSnapshots::open(state, &SledOptions::default()).expect("snapshots");
    let newest = snapshots.latest_valid().expect("snapshots").snapshot.expect("one was written");
    tail(state, Books::decode(&newest.payload).expect("its payload decodes"), None)
}

fn tail(state: &Path, mut books: Books, up_to: Option<Seq>) -> Books {
    let disk = Arc::new(RealDisk::new(state).expect("the folder is there"));
    for record in store::read_from(disk, books.seq.next(), up_to) {
        // The end of a journal that a kill tore was never durable.
        let Ok(record) = record else { break };
        let store::Record { seq, epoch, kind, schema_version, payload, .. } = record;
        books.apply(seq, epoch, kind, schema_version, &payload).expect("the journal folds");
    }
    books
}

#[test]
fn panic_cancels_what_works_with_the_journal_and_the_snapshots_gone() {
    let installation = Installation::with(&Installation::lively_keys());
    installation.lively();
    let state = installation.state();
    let working = || venue_book::recompute(&venue_book::read(state)).working;
    // Its owner is dead and the gateway goes on: an order may fill before we look.
    let mut before = (0..20).map(|_| {
        let mut node = installation.run(&[]);
        node.until_ready();
        // One that still works after a while is one that rests.
        node.until("a resting order", |_| {
            let first: Vec<i64> = working().into_keys().collect();
            std::thread::sleep(Duration::from_millis(200));
            working().keys().any(|perm_id| first.contains(perm_id)).then_some(())
        });
        node.kill();
        working()
    });
    let before = before.find(|works| !works.is_empty()).expect("an order that rests");
    for folder in ["journal", "sled"] {
        fs::remove_dir_all(state.join(folder)).unwrap();
    }
    let output = installation.cli(&["panic", "--json"]);
    assert!(output.status.success(), "{}", said(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a report");
    assert_eq!(report["remaining"], serde_json::json!([]), "{report}");
    assert!(working().is_empty(), "{report}");
    assert_eq!(report["confirmed"], true, "{report}");
    let ended = ["canceled", "filled", "gone"].map(|how| report[how].as_array().unwrap().len());
    assert!(ended.iter().sum::<usize>() > 0, "{report}");
    println!("{} worked at the kill, {report}", before.len());
}
