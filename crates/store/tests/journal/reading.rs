//! Reading while a writer is live, from any place, and going on.

use std::sync::Arc;

use proptest::prelude::*;
use store::{Disk, JournalError, MemoryDisk, Seq, read_from, verify};

use crate::rig::{append, open, read_all, write_batches};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn any_stretch_of_a_live_journal_reads_as_in_the_whole(from in 0_u64..90, length in 0_u64..90) {
        let disk = MemoryDisk::new();
        let mut opened = open(&disk).expect("a new disk");
        write_batches(&mut opened, 40);
        let all = read_all(&disk);
        let end = (from + length).min(all.len() as u64);
        let live: Arc<dyn Disk> = Arc::new(disk.clone());
        let read: Vec<_> = read_from(live, Seq(from), Some(Seq(end)))
            .collect::<Result<_, _>>()
            .expect("all of it is durable");
        let begin = (from.max(1) - 1).min(end) as usize;
        prop_assert_eq!(&read[..], &all[begin..end as usize]);
    }
}

#[test]
fn a_reader_follows_the_watermark_across_segments_without_repeating_itself() {
    let disk = MemoryDisk::new();
    let mut opened = open(&disk).unwrap();
    let live: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut reader = read_from(live, Seq::ZERO, Some(Seq::ZERO));
    let mut seen = Vec::new();
    for _ in 0..30 {
        write_batches(&mut opened, 1);
        append(&opened.handle, b"not durable yet");
        reader.extend(opened.handle.durable());
        seen.extend(reader.by_ref().map(Result::unwrap));
        assert_eq!(seen.len() as u64, opened.handle.durable().0);
    }
    opened.writer.write_pending().unwrap();
    assert_eq!(seen[..], read_all(&disk)[..seen.len()]);
}

#[test]
fn a_bound_beyond_the_end_is_a_loss_and_no_quiet_end() {
    let disk = MemoryDisk::new();
    write_batches(&mut open(&disk).unwrap(), 3);
    let last = verify(&disk).unwrap().last_seq;
    let mut reader = read_from(Arc::new(disk), last, Some(last.next()));
    assert_eq!(reader.next().unwrap().unwrap().seq, last);
    assert!(matches!(reader.next(), Some(Err(JournalError::Corrupt { .. }))));
    assert!(reader.next().is_none());
}

#[test]
fn a_report_counts_what_is_there_and_its_chain_is_that_of_the_last_record() {
    let disk = MemoryDisk::new();
    let mut opened = open(&disk).unwrap();
    write_batches(&mut opened, 40);
    let all = read_all(&disk);
    let report = verify(&disk).unwrap();
    assert_eq!((report.records, report.first_seq), (all.len() as u64, Seq(1)));
    assert_eq!((report.last_seq, report.chain), (Seq(81), all[80].chain));
    assert_eq!(report.chain, opened.writer.chain());
    assert!(report.segments >= 3 && report.torn.is_none());
}
