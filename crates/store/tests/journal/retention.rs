//! Archiving: only what lies before the second newest segment that begins with a checkpoint.

use std::sync::Arc;

use store::journal::OpenedJournal;
use store::{
    Disk, JournalError, MemoryDisk, NewRecord, Seq, drop_segment, droppable_segments, read_from,
};

use crate::rig::{desk, open, record, write_batches};

fn checkpoint(opened: &mut OpenedJournal) -> Seq {
    let state = NewRecord { checkpoint: true, ..record(b"the whole state") };
    let range = opened.handle.append(&desk(), 5, vec![state]).expect("the journal is open");
    opened.writer.write_pending().expect("the disk is sound");
    range.last
}

#[test]
fn a_segment_goes_only_when_two_checkpoints_begin_later_ones() {
    let disk = MemoryDisk::new();
    let mut opened = open(&disk).unwrap();
    checkpoint(&mut opened);
    write_batches(&mut opened, 12);
    assert!(droppable_segments(&disk, opened.handle.durable()).unwrap().is_empty());
    let older = checkpoint(&mut opened);
    write_batches(&mut opened, 12);
    assert!(droppable_segments(&disk, opened.handle.durable()).unwrap().is_empty());
    let newer = checkpoint(&mut opened);
    assert_eq!(droppable_segments(&disk, newer.previous()).unwrap(), [] as [u32; 0]);
    assert_eq!(droppable_segments(&disk, newer).unwrap(), [1]);
    assert_eq!(drop_segment(&disk, newer).unwrap(), Some(1));
    assert_eq!(drop_segment(&disk, newer).unwrap(), None);
    assert!(disk.exists("archive/0001.wal").unwrap());

    write_batches(&mut opened, 1);
    drop(opened);
    disk.crash(1);
    let recovery = open(&disk).unwrap().recovery;
    assert_eq!((recovery.first_seq, recovery.checkpoint), (older, Some(newer)));
    let disk: Arc<dyn Disk> = Arc::new(disk);
    let mut lost = read_from(Arc::clone(&disk), Seq(1), None);
    assert!(
        matches!(lost.next(), Some(Err(JournalError::NotKept { first, .. })) if first == older)
    );
    assert!(read_from(disk, older, None).all(|record| record.is_ok()));
}

#[test]
fn a_journal_whose_beginning_was_moved_away_by_hand_is_refused() {
    let disk = MemoryDisk::new();
    write_batches(&mut open(&disk).unwrap(), 40);
    disk.rename("journal/0001.wal", "elsewhere/0001.wal").unwrap();
    let error = open(&disk).unwrap_err();
    assert!(error.to_string().contains("no checkpoint begins"), "{error}");
}
