//! Rot, cuts, lost and exchanged bytes: refused, naming the place, unless only the last batch is
//! hit.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use store::journal::{self, JournalOptions};
use store::{Disk, JournalError, MemoryDisk, SchemaLimits, Seq, verify};

use crate::rig::{
    SEGMENT_BYTES, append, last_batch, open, options, read_all, used_segments, write_batches,
};

/// Three segments, about 45 records.
fn written() -> MemoryDisk {
    let disk = MemoryDisk::new();
    write_batches(&mut open(&disk).expect("a new disk"), 40);
    disk
}

fn is_corrupt(disk: &MemoryDisk) -> bool {
    matches!(open(disk), Err(JournalError::Corrupt { .. }))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_flipped_bit_before_the_last_batch_is_always_refused(place: u64, bit in 0_u8..8) {
        let disk = written();
        let files = used_segments(&disk);
        let (last_file, last_offset) = last_batch(&disk);
        prop_assert!(files.len() >= 3);
        let rot_bytes = (files.len() as u64 - 1) * SEGMENT_BYTES + last_offset;
        let place = place % rot_bytes;
        let file = &files[(place / SEGMENT_BYTES) as usize];
        let offset = place % SEGMENT_BYTES;
        prop_assert!(*file != last_file || offset < last_offset);
        disk.flip_bit(file, offset, bit);
        prop_assert!(verify(&disk).is_err());
        prop_assert!(is_corrupt(&disk), "{file} {offset}");
    }

    #[test]
    fn a_flipped_bit_in_the_last_batch_costs_nothing_before_it(place: u64, bit in 0_u8..8) {
        let disk = written();
        let before = read_all(&disk);
        let (file, start) = last_batch(&disk);
        let offset = start + place % (SEGMENT_BYTES - start);
        disk.flip_bit(&file, offset, bit);
        let opened = open(&disk).expect("only the tail is hit");
        let torn = opened.recovery.torn.expect("the flip shows");
        prop_assert_eq!(&torn.file, &file);
        prop_assert!(torn.offset <= offset && torn.bytes > 0);
        let after = read_all(&disk);
        let kept = opened.recovery.last_seq.0 as usize;
        prop_assert!(kept >= before.len() - 2);
        prop_assert_eq!(&after[..kept], &before[..kept]);
        prop_assert!(open(&disk).expect("it was cut").recovery.torn.is_none());
    }

    #[test]
    fn a_file_that_was_cut_short_is_refused(place: u64) {
        let disk = written();
        let files = used_segments(&disk);
        let file = &files[place as usize % files.len()];
        let (last_file, last_offset) = last_batch(&disk);
        let length = if *file == last_file { last_offset } else { SEGMENT_BYTES - 1 };
        disk.truncate(file, place % length.max(4_097));
        prop_assert!(is_corrupt(&disk));
    }
}

#[test]
fn a_torn_batch_keeps_the_records_before_the_damage() {
    let disk = MemoryDisk::new();
    let mut opened = open(&disk).unwrap();
    for number in 0..5_u8 {
        append(&opened.handle, &[number; 100]);
    }
    opened.writer.write_pending().unwrap();
    drop(opened);
    let (file, start) = last_batch(&disk);
    disk.flip_bit(&file, start + 36 + 3 * 164 + 70, 2);
    let recovery = open(&disk).unwrap().recovery;
    let torn = recovery.torn.unwrap();
    assert_eq!((torn.seq, torn.offset), (Seq(5), start + 36 + 3 * 164));
    assert_eq!(recovery.last_seq, Seq(4));
    assert_eq!(verify(&disk).unwrap().last_seq, Seq(5), "three kept, two epochs");
}

#[test]
fn a_lost_segment_is_refused_wherever_it_was() {
    for lost in 0..3 {
        let disk = written();
        let file = used_segments(&disk)[lost].clone();
        disk.remove(&file).unwrap();
        assert!(is_corrupt(&disk), "{file} was removed");
        let disk = written();
        disk.create(&file, SEGMENT_BYTES).unwrap();
        assert!(is_corrupt(&disk), "{file} was blanked");
    }
}

#[test]
fn a_blanked_last_segment_shows_against_the_high_water_mark() {
    let disk = written();
    let last_seq = verify(&disk).unwrap().last_seq;
    let file = used_segments(&disk).pop().unwrap();
    // With the prepared one behind it the gap would show anyway.
    disk.remove("journal/0004.wal").unwrap();
    disk.create(&file, SEGMENT_BYTES).unwrap();
    let refused =
        journal::open(Arc::new(disk.clone()), JournalOptions { high_water: last_seq, ..options() });
    let error = refused.unwrap_err().to_string();
    assert!(error.contains(&format!("seq {last_seq} was durable")), "{error}");
}

#[test]
fn a_batch_from_another_journal_does_not_continue_the_chain() {
    let write = |payloads: [&[u8]; 3]| {
        let disk = MemoryDisk::new();
        let mut opened = open(&disk).unwrap();
        for payload in payloads {
            append(&opened.handle, payload);
            opened.writer.write_pending().unwrap();
        }
        disk
    };
    let ours = write([b"one", b"two", b"three"]);
    let theirs = write([b"one", b"TWO", b"three"]);
    let file = used_segments(&ours).pop().unwrap();
    let foreign = theirs.read(&file).unwrap();
    let at = foreign.windows(3).position(|window| window == b"TWO").unwrap();
    let begin = at - 64 - 36;
    ours.write_at(&file, begin as u64, &foreign[begin..at + 3]).unwrap();
    let error = open(&ours).unwrap_err();
    assert!(error.to_string().contains("chain"), "{error}");
}

#[test]
fn rot_is_named_by_file_offset_and_seq() {
    let disk = written();
    disk.flip_bit("journal/0001.wal", 4_096 + 36 + 100, 0);
    match open(&disk).unwrap_err() {
        JournalError::Corrupt { file, offset, seq, .. } => {
            assert_eq!((file.as_str(), seq), ("journal/0001.wal", Seq(2)));
            assert!((4_096..5_000).contains(&offset));
        }
        other => panic!("{other}"),
    }
}

#[test]
fn an_unknown_kind_or_a_newer_version_is_refused_as_the_work_of_a_newer_build() {
    let disk = written();
    let with = |known: &[(u16, u16)]| {
        let schema_limits = SchemaLimits::Known(BTreeMap::from_iter(known.iter().copied()));
        let options = JournalOptions { schema_limits, ..options() };
        journal::open(Arc::new(disk.clone()), options)
    };
    assert!(matches!(with(&[]), Err(JournalError::NewerBuild { .. })));
    assert!(matches!(with(&[(1, 0)]), Err(JournalError::NewerBuild { .. })));
    with(&[(1, 1)]).unwrap();
}
