//! Commands that read a state folder: `journal verify`, `journal show`, `snapshot list`.
//!
//! They change nothing. A running node may write meanwhile: what it hasn't finished writing is left
//! out and said so. Checking what the records mean is the audit's business.

use crate::cli::{ClientArgs, Output};
use crate::client::Client;
use crate::control::SnapshotView;
use crate::failure::Failure;
use crate::terminal::{self, Paint};
use desk::record::Record;
use market::time::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use store::envelope::CONTROL_KIND;
use store::{
    JournalError, LockError, RealDisk, Seq, SledOptions, SledSnapshots, SnapshotStore, StateLock,
};

/// The longest summary of a record in the table.
const SUMMARY_CHARS: usize = 110;

/// `journal verify --json`.
#[derive(Debug, Serialize)]
struct Verified {
    schema_version: u32,
    segments: u32,
    records: u64,
    first_seq: u64,
    last_seq: u64,
    chain: String,
    torn: Option<Torn>,
}

#[derive(Debug, Serialize)]
struct Torn {
    file: String,
    offset: u64,
    seq: u64,
    bytes: u64,
}

/// The disk of a state folder that has a journal.
pub(crate) fn disk(state: &Path) -> Result<Arc<RealDisk>, Failure> {
    if !state.join("journal").is_dir() {
        return Err(Failure::usage(format!("there is no journal in {}", state.display()))
            .because("the folder has no journal/")
            .next("name the node's state folder; `optionsib run` makes ./state"));
    }
    let disk = RealDisk::new(state).map_err(|error| {
        Failure::internal(format!("{} can't be read", state.display())).because(error)
    })?;
    Ok(Arc::new(disk))
}

pub(crate) fn damaged(error: &JournalError) -> Failure {
    Failure::internal("the journal does not verify").because(error).next(
        "keep a copy of the folder, then restore the segment from the archive; the node refuses to \
         start on it",
    )
}

/// Checks every byte of the journal.
///
/// # Errors
/// No journal, or a damaged one.
pub fn verify(state: &Path, output: Output) -> Result<(), Failure> {
    let report = store::verify(disk(state)?.as_ref()).map_err(|error| damaged(&error))?;
    let verified = Verified {
        schema_version: 1,
        segments: report.segments,
        records: report.records,
        first_seq: report.first_seq.0,
        last_seq: report.last_seq.0,
        chain: report.chain.to_string(),
        torn: report.torn.map(|torn| Torn {
            file: torn.file,
            offset: torn.offset,
            seq: torn.seq.0,
            bytes: torn.bytes,
        }),
    };
    if output.json {
        return terminal::print_json(&verified);
    }
    let Verified { segments, records, first_seq, last_seq, chain, torn, .. } = verified;
    let mut text = format!(
        "{records} records in {segments} segments, seq {first_seq} to {last_seq}, no gap, chain \
         {chain}\n"
    );
    if let Some(Torn { file, offset, seq, bytes }) = torn {
        text.push_str(&format!(
            "the end is torn: {bytes} bytes of {file} from {offset} (seq {seq}); the next start \
             cuts them and reconciles, or a running node is writing them\n"
        ));
    }
    terminal::print(&text)
}

/// Prints the records from `from` on, one a line.
///
/// # Errors
/// No journal, a damaged one, or a record of a newer build.
pub fn show(state: &Path, from: u64, output: Output) -> Result<(), Failure> {
    let mut lines = String::new();
    for item in store::read_from(disk(state)?, Seq(from), None) {
        match item {
            Ok(record) => lines.push_str(&line(&record, output.json)?),
            Err(JournalError::Torn(torn)) => {
                if !output.quiet {
                    eprintln!("the journal ends at seq {}, what follows is unfinished", torn.seq);
                }
                break;
            }
            Err(error) => {
                terminal::print(&lines)?;
                return Err(damaged(&error));
            }
        }
        // In pieces, so that a journal of any size needs no memory of its size.
        if lines.len() > 1 << 16 {
            terminal::print(&lines)?;
            lines.clear();
        }
    }
    terminal::print(&lines)
}

fn line(record: &store::Record, as_json: bool) -> Result<String, Failure> {
    let (name, body) = decode(record)?;
    let time = Timestamp::from_nanos(record.time_ns);
    if as_json {
        let object = json!({
            "seq": record.seq.0,
            "epoch": record.epoch,
            "role": record.role,
            "generation": record.generation,
            "time": time.to_string(),
            "kind": name,
            "record": body,
        });
        return Ok(format!("{object}\n"));
    }
    let mut summary: String = body.to_string();
    if summary.chars().count() > SUMMARY_CHARS {
        summary = summary.chars().take(SUMMARY_CHARS - 3).chain("...".chars()).collect();
    }
    let store::Record { seq, epoch, role, .. } = record;
    Ok(format!("{seq:>8} {epoch:>4} {time} {role:<24} {name:<18} {summary}\n"))
}

/// A record's name and its fields. Opaque bytes are shown by their length.
fn decode(record: &store::Record) -> Result<(&'static str, Value), Failure> {
    if record.kind == CONTROL_KIND {
        return Ok(("EpochStart", json!({ "epoch": record.epoch })));
    }
    let decoded =
        Record::decode(record.kind, record.schema_version, &record.payload).map_err(|error| {
            Failure::internal(format!("the record at seq {} can't be shown", record.seq))
                .because(error)
                .next("use the build that wrote it")
        })?;
    let name = decoded.name();
    let body = match decoded {
        Record::Checkpoint { state_hash, state } => {
            json!({ "state_hash": state_hash, "state_bytes": state.len() })
        }
        Record::StrategyDurable { strategy, payload } => {
            json!({ "strategy": strategy, "payload_bytes": payload.len() })
        }
        other => match serde_json::to_value(&other) {
            // Externally tagged: the name is shown already.
            Ok(Value::Object(mut tagged)) => tagged.remove(name).unwrap_or_default(),
            Ok(plain) => plain,
            Err(error) => {
                let what = format!("the record at seq {} has no JSON form", record.seq);
                return Err(Failure::internal(what).because(error));
            }
        },
    };
    Ok((name, body))
}

/// Lists the snapshots: from the folder, or from the node that holds it.
///
/// # Errors
/// The folder can't be read, and no node answers.
pub fn snapshots(client: &ClientArgs, output: Output) -> Result<(), Failure> {
    let list = snapshots_of(client)?;
    if output.json {
        terminal::print_json(&list)
    } else {
        terminal::print(&terminal::snapshots(&list, Paint::for_stdout()))
    }
}

fn snapshots_of(client: &ClientArgs) -> Result<Vec<SnapshotView>, Failure> {
    let state = &client.state.state;
    if !state.is_dir() {
        return Err(Failure::usage(format!("there is no state folder {}", state.display()))
            .next("name the node's state folder with --state"));
    }
    let unreadable = |error: &dyn std::fmt::Display| {
        Failure::internal(format!("the snapshots in {} can't be read", state.display()))
            .because(error)
            .next("`sled/` may be deleted while the node is stopped: the journal alone suffices")
    };
    let _lock = match StateLock::take(state) {
        Ok(lock) => lock,
        Err(LockError::Held { .. }) => return Client::new(client).get("/snapshots"),
        Err(error) => return Err(unreadable(&error)),
    };
    // Opening would make one.
    if !state.join("sled").is_dir() {
        return Ok(Vec::new());
    }
    let (store, _) =
        SledSnapshots::open(state, &SledOptions::default()).map_err(|error| unreadable(&error))?;
    let heads = store.list().map_err(|error| unreadable(&error))?;
    let view = |head: store::SnapshotHead| SnapshotView {
        seq: head.seq.0,
        bytes: head.bytes,
        blake3: head.blake3.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    Ok(heads.into_iter().map(view).collect())
}

#[cfg(test)]
mod tests;
