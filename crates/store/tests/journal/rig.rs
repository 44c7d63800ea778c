//! What the tests share: small segments on a memory disk, and records that are easy to tell apart.

use std::sync::Arc;

use store::journal::{self, JournalOptions, OpenedJournal};
use store::{
    Disk, JournalError, JournalHandle, MemoryDisk, NewRecord, Record, Seq, SeqRange, WriterTag,
    read_from,
};

pub const SEGMENT_BYTES: u64 = 16 << 10;

pub fn options() -> JournalOptions {
    JournalOptions { segment_bytes: SEGMENT_BYTES, ..JournalOptions::new(1_000) }
}

pub fn open(disk: &MemoryDisk) -> Result<OpenedJournal, JournalError> {
    journal::open(Arc::new(disk.clone()), options())
}

pub fn desk() -> WriterTag {
    WriterTag::new("desk", 1).expect("a short name")
}

pub fn record(payload: &[u8]) -> NewRecord {
    NewRecord { kind: 1, schema_version: 1, checkpoint: false, payload: payload.to_vec() }
}

pub fn append(journal: &JournalHandle, payload: &[u8]) -> SeqRange {
    journal.append(&desk(), 5, vec![record(payload)]).expect("the journal is open")
}

/// Appends batches of two records of 300 bytes, each written on its own.
pub fn write_batches(opened: &mut OpenedJournal, batches: u64) {
    for number in 0..batches {
        let payload = vec![number as u8; 300];
        append(&opened.handle, &payload);
        append(&opened.handle, &payload);
        opened.writer.write_pending().expect("the disk is sound");
    }
}

pub fn read_all(disk: &MemoryDisk) -> Vec<Record> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    read_from(disk, Seq::ZERO, None).collect::<Result<_, _>>().expect("the journal is sound")
}

/// The files of the segments that hold records, oldest first.
pub fn used_segments(disk: &MemoryDisk) -> Vec<String> {
    let names = disk.list("journal").expect("the folder is there");
    let files = names.into_iter().map(|name| format!("journal/{name}"));
    files
        .filter(|file| disk.read(file).expect("it was listed").iter().any(|byte| *byte != 0))
        .collect()
}

/// Where the last batch of the journal begins: its file and offset.
pub fn last_batch(disk: &MemoryDisk) -> (String, u64) {
    let file = used_segments(disk).pop().expect("a journal has a segment");
    let content = disk.read(&file).expect("it was listed");
    let offset = content
        .windows(4)
        .rposition(|window| window == b"OIBB")
        .expect("the last segment has a batch");
    (file, offset as u64)
}
