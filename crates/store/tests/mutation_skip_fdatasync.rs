//! Proof that the tests would see a missing fdatasync: with it left out, acknowledged records are
//! lost. Runs only in builds with `--cfg mutations`, in a process of its own.
#![cfg(mutations)]

use std::sync::Arc;

use store::journal::{self, JournalOptions};
use store::{MemoryDisk, NewRecord, Seq, WriterTag};

#[test]
fn without_fdatasync_an_acknowledged_record_is_lost() {
    mutation::set("skip_fdatasync");
    let options = || JournalOptions { segment_bytes: 16 << 10, ..JournalOptions::new(0) };
    let lost = (0..20).filter(|seed| {
        let disk = MemoryDisk::new();
        let mut opened = journal::open(Arc::new(disk.clone()), options()).unwrap();
        let tag = WriterTag::new("desk", 1).unwrap();
        let payload = vec![1; 100];
        let record = NewRecord { kind: 1, schema_version: 1, checkpoint: false, payload };
        opened.handle.append(&tag, 0, vec![record]).unwrap();
        assert_eq!(opened.writer.write_pending().unwrap(), Some(Seq(2)));
        disk.crash(*seed);
        let reopened = journal::open(Arc::new(disk), options());
        reopened.is_err() || reopened.is_ok_and(|found| found.recovery.last_seq < Seq(2))
    });
    assert!(lost.count() > 0, "nothing was lost though nothing was synced");
}
