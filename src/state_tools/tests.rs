//! Reading state folders that are whole, torn, damaged or not there.

use super::*;
use crate::cli::StateArgs;
use crate::failure::Exit;
use market::instrument::ConId;
use market::money::Price;
use store::{JournalOptions, NewRecord, WriterTag};
use trading::id::{AccountId, InstallId};

fn json_output() -> Output {
    Output { json: true, quiet: true }
}

fn envelope(record: &Record) -> store::Record {
    store::Record {
        seq: Seq(3),
        kind: record.kind(),
        schema_version: desk::record::SCHEMA_VERSION,
        epoch: 1,
        role: "desk".into(),
        generation: 1,
        time_ns: 1_000_000_000,
        checkpoint: false,
        chain: store::Chain::ORIGIN,
        payload: record.encode(),
    }
}

fn started() -> Record {
    Record::Started {
        install: InstallId(7),
        account: AccountId("SIM000001".into()),
        release: "0.1.0".into(),
        configuration: "c".repeat(64),
        environment: "dev".into(),
    }
}

/// A journal with one record of ours after the control record.
fn journal() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<RealDisk> = Arc::new(RealDisk::new(folder.path()).unwrap());
    let mut opened = store::journal::open(disk, JournalOptions::new(1)).unwrap();
    let record = started();
    let new = NewRecord {
        kind: record.kind(),
        schema_version: desk::record::SCHEMA_VERSION,
        checkpoint: false,
        payload: record.encode(),
    };
    let tag = WriterTag::new("session", 1).unwrap();
    opened.handle.append(&tag, 5, vec![new]).unwrap();
    opened.writer.write_pending().unwrap();
    folder
}

#[test]
fn a_record_is_one_line_of_json_with_its_fields() {
    let text = line(&envelope(&started()), true).unwrap();
    assert_eq!(text.matches('\n').count(), 1);
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["seq"], 3);
    assert_eq!(value["kind"], "Started");
    assert_eq!(value["record"]["account"], "SIM000001");
    assert_eq!(value["time"], "1970-01-01T00:00:01Z");
}

#[test]
fn opaque_bytes_are_shown_by_their_length() {
    let record = Record::Checkpoint { state_hash: "ab".into(), state: vec![0; 1_000] };
    let value: Value = serde_json::from_str(&line(&envelope(&record), true).unwrap()).unwrap();
    assert_eq!(value["record"], json!({"state_hash": "ab", "state_bytes": 1_000}));
}

#[test]
fn maps_by_instrument_have_a_json_form() {
    let marks = [(ConId(5), Price::from_units(2))].into_iter().collect();
    let record = Record::Marked { marks, day: None };
    let value: Value = serde_json::from_str(&line(&envelope(&record), true).unwrap()).unwrap();
    assert_eq!(value["record"]["marks"]["5"], 2_000_000);
}

#[test]
fn a_line_of_the_table_has_a_bounded_summary() {
    let text = line(&envelope(&started()), false).unwrap();
    assert!(text.contains("Started") && text.trim_end().ends_with("..."), "{text}");
    assert!(text.chars().count() < 250, "{text}");
}

#[test]
fn a_record_of_a_newer_build_is_an_error_that_names_its_seq() {
    let mut record = envelope(&started());
    record.schema_version = 99;
    let failure = line(&record, true).unwrap_err();
    assert_eq!(failure.exit, Exit::Internal);
    assert!(failure.what.contains("seq 3") && failure.why.contains("99"), "{failure}");
}

#[test]
fn a_whole_journal_verifies_and_a_flipped_bit_does_not() {
    let folder = journal();
    verify(folder.path(), json_output()).unwrap();
    show(folder.path(), 1, json_output()).unwrap();
    let mut segments: Vec<_> = std::fs::read_dir(folder.path().join("journal"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    segments.sort();
    let mut bytes = std::fs::read(&segments[0]).unwrap();
    // In the segment's header.
    bytes[20] ^= 1;
    std::fs::write(&segments[0], bytes).unwrap();
    let failure = verify(folder.path(), json_output()).unwrap_err();
    assert_eq!(failure.exit, Exit::Internal);
    assert!(!failure.why.is_empty() && !failure.next.is_empty(), "{failure}");
}

#[test]
fn a_folder_without_a_journal_is_a_usage_error_and_stays_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    for missing in [folder.path().to_owned(), folder.path().join("none")] {
        let failure = verify(&missing, json_output()).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert_eq!(show(&missing, 1, json_output()).unwrap_err().exit, Exit::Usage);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn snapshots_are_listed_from_a_folder_at_rest() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateArgs { state: folder.path().to_owned() };
    let client = ClientArgs { api: "127.0.0.1:9".into(), state };
    assert_eq!(snapshots_of(&client).unwrap(), []);
    let (mut store, _) = SledSnapshots::open(folder.path(), &SledOptions::default()).unwrap();
    let snapshot = store::Snapshot {
        seq: Seq(9),
        chain: store::Chain::ORIGIN,
        schema_version: 1,
        payload: vec![1; 10],
    };
    store.put(&snapshot).unwrap();
    drop(store);
    let list = snapshots_of(&client).unwrap();
    assert_eq!(list.len(), 1);
    assert_eq!((list[0].seq, list[0].bytes, list[0].blake3.len()), (9, 10, 64));
}

#[test]
fn the_snapshots_of_a_folder_in_use_are_asked_of_its_node() {
    let folder = tempfile::tempdir().unwrap();
    let _node = StateLock::take(folder.path()).unwrap();
    let state = StateArgs { state: folder.path().to_owned() };
    let client = ClientArgs { api: "127.0.0.1:9".into(), state };
    assert_eq!(snapshots_of(&client).unwrap_err().exit, Exit::Unreachable);
}
