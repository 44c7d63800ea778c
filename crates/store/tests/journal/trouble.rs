//! Disks that fail and fill up: nothing acknowledged is lost, and a failure is final.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use store::journal::{self, JournalOptions};
use store::{
    AppendError, Ballast, Disk, JournalError, JournalState, MemoryDisk, Seq, ThreadEnd,
    spawn_writer_thread,
};

use crate::rig::{SEGMENT_BYTES, append, desk, open, options, read_all, record, write_batches};

#[test]
fn a_failed_sync_is_final_and_what_was_acknowledged_before_survives() {
    let disk = MemoryDisk::new();
    let mut opened = open(&disk).unwrap();
    write_batches(&mut opened, 2);
    let acknowledged = opened.handle.durable();
    append(&opened.handle, b"doubtful");
    disk.fail_sync(1);
    assert!(matches!(opened.writer.write_pending(), Err(JournalError::Io { .. })));
    assert_eq!(opened.handle.state(), JournalState::Failed);
    assert_eq!(opened.handle.durable(), acknowledged);
    let refused = opened.handle.append(&desk(), 5, vec![record(b"after")]);
    assert_eq!(refused, Err(AppendError::Failed));
    assert!(matches!(opened.writer.write_pending(), Err(JournalError::Failed)));
    drop(opened);
    disk.crash(1);
    assert_eq!(open(&disk).unwrap().recovery.last_seq, acknowledged);
}

#[test]
fn a_failed_write_is_final_too() {
    let disk = MemoryDisk::new();
    let mut opened = open(&disk).unwrap();
    append(&opened.handle, b"doubtful");
    disk.fail_write(1, None);
    assert!(opened.writer.write_pending().is_err());
    assert_eq!(opened.handle.state(), JournalState::Failed);
}

#[test]
fn a_full_disk_is_waited_out_and_costs_no_record() {
    let disk = MemoryDisk::new();
    let mut opened = open(&disk).unwrap();
    disk.set_free_bytes(Some(100));
    let mut appended = 0_u64;
    let full = loop {
        append(&opened.handle, &[7; 900]);
        appended += 1;
        match opened.writer.write_pending() {
            Ok(_) => assert!(appended < 100, "the segment is larger than it should be"),
            Err(error) => break error,
        }
    };
    assert!(matches!(full, JournalError::StorageFull { .. }), "{full}");
    assert!(appended > 10, "the prepared segment takes records on a full disk");
    assert_eq!(opened.handle.state(), JournalState::StorageFull);
    append(&opened.handle, b"still accepted");
    assert!(opened.writer.write_pending().is_err());
    disk.set_free_bytes(None);
    while opened.writer.write_pending().unwrap().is_some() {}
    assert_eq!(opened.handle.state(), JournalState::Open);
    assert_eq!(opened.handle.durable(), Seq(appended + 2));
    drop(opened);
    disk.crash(5);
    open(&disk).unwrap();
    assert_eq!(read_all(&disk).len() as u64, appended + 3);
}

#[test]
fn space_that_runs_out_in_the_middle_of_a_write_is_retried_with_the_same_bytes() {
    for nth in 1..=3 {
        let disk = MemoryDisk::new();
        let mut opened = open(&disk).unwrap();
        for _ in 0..30 {
            append(&opened.handle, &[9; 900]);
        }
        disk.fail_write(nth, Some(ErrorKind::StorageFull));
        assert!(opened.writer.write_pending().is_err());
        assert_eq!(opened.writer.write_pending().unwrap(), Some(Seq(31)));
        drop(opened);
        assert!(open(&disk).unwrap().recovery.torn.is_none());
    }
}

#[test]
fn the_ballast_is_given_up_before_a_full_disk_is_reported() {
    let disk = MemoryDisk::new();
    let ballast = Ballast::new(Arc::new(disk.clone()), SEGMENT_BYTES * 2);
    assert!(ballast.restore().unwrap());
    let options = JournalOptions { ballast: Some(ballast.clone()), ..options() };
    let mut opened = journal::open(Arc::new(disk.clone()), options).unwrap();
    disk.set_free_bytes(Some(0));
    write_batches(&mut opened, 20);
    assert!(!ballast.is_held().unwrap());
    assert_eq!(opened.handle.state(), JournalState::Open);
    assert!(disk.free_bytes().unwrap() <= SEGMENT_BYTES);
}

#[test]
fn hooks_hear_of_work_of_durability_and_of_failure() {
    let disk = MemoryDisk::new();
    let mut opened = open(&disk).unwrap();
    let [work, durable, failures] = [(); 3].map(|()| Arc::new(AtomicU64::new(0)));
    let heard = Arc::clone(&work);
    opened.handle.on_work(Box::new(move || {
        heard.fetch_add(1, Ordering::SeqCst);
    }));
    let heard = Arc::clone(&durable);
    opened.handle.on_durable(Box::new(move |seq| heard.store(seq.0, Ordering::SeqCst)));
    let heard = Arc::clone(&failures);
    opened.handle.on_state(Box::new(move |state| {
        heard.fetch_add(u64::from(state == JournalState::Failed), Ordering::SeqCst);
    }));
    let range = append(&opened.handle, b"x");
    assert_eq!(work.load(Ordering::SeqCst), 1);
    assert_eq!(durable.load(Ordering::SeqCst), 0);
    opened.writer.write_pending().unwrap();
    assert_eq!(durable.load(Ordering::SeqCst), range.last.0);
    append(&opened.handle, b"y");
    disk.fail_sync(1);
    opened.writer.write_pending().unwrap_err();
    assert_eq!(failures.load(Ordering::SeqCst), 1);
    assert_eq!(durable.load(Ordering::SeqCst), range.last.0);
}

#[test]
fn many_records_cost_one_sync_and_a_dropped_writer_closes_the_journal() {
    let disk = MemoryDisk::new();
    let mut opened = open(&disk).unwrap();
    for _ in 0..20 {
        append(&opened.handle, b"small");
    }
    let before = disk.sync_count();
    opened.writer.write_pending().unwrap();
    assert_eq!(disk.sync_count() - before, 1);
    let handle = opened.handle.clone();
    drop(opened);
    assert_eq!(handle.append(&desk(), 5, vec![record(b"x")]), Err(AppendError::Closed));
}

#[test]
fn a_writer_thread_that_does_not_end_in_time_is_reported() {
    let opened = open(&MemoryDisk::new()).unwrap();
    let handle = opened.handle.clone();
    let (free, stuck) = mpsc::channel::<()>();
    let stuck = Mutex::new(stuck);
    handle.on_durable(Box::new(move |_| {
        stuck.lock().expect("only this hook takes it").recv().expect_err("nothing is sent");
    }));
    let thread = spawn_writer_thread(opened.writer).unwrap();
    append(&handle, b"the hook of this one hangs");
    assert!(matches!(thread.close_and_join(Duration::from_millis(20)), ThreadEnd::StillRunning));
    drop(free);
}

#[test]
fn a_writer_thread_that_stops_says_why_and_fails_the_journal() {
    let disk = MemoryDisk::new();
    let opened = open(&disk).unwrap();
    let handle = opened.handle.clone();
    disk.fail_sync(1);
    append(&handle, b"never durable");
    let thread = spawn_writer_thread(opened.writer).unwrap();
    let end = thread.close_and_join(Duration::from_secs(60));
    assert!(matches!(end, ThreadEnd::Stopped(JournalError::Io { .. })), "{end:?}");
    assert_eq!(handle.state(), JournalState::Failed);
}

#[test]
fn a_panic_on_the_writer_thread_fails_the_journal() {
    let opened = open(&MemoryDisk::new()).unwrap();
    let handle = opened.handle.clone();
    handle.on_durable(Box::new(|seq| panic!("a hook that panics at {seq}, on purpose")));
    append(&handle, b"x");
    let thread = spawn_writer_thread(opened.writer).unwrap();
    assert!(matches!(thread.close_and_join(Duration::from_secs(60)), ThreadEnd::Panicked));
    assert_eq!(handle.state(), JournalState::Failed);
}
