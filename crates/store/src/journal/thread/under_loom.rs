//! The writer's loop under loom: the real queue, writer and loop on a disk in memory, with every
//! interleaving of those who append, wait and close.
//!
//! Nothing times out here, so a lost wake-up shows as a deadlock. The count of synced bytes is a
//! relaxed atomic: what a reader knows of the disk, it knows through the watermark alone.

use super::*;
use crate::disk::Disk;
use crate::disk::memory::MemoryDisk;
use crate::envelope::{NewRecord, WriterTag};
use crate::journal::queue::AppendError;
use crate::journal::{JournalOptions, OpenedJournal, SEGMENT_BYTES_MIN, open};
use crate::reader::read_from;
use crate::seq::{Seq, SeqRange};
use loom::sync::atomic::{AtomicU64, Ordering::Relaxed};
use loom::sync::{Condvar, Mutex};
use std::io;
use std::sync::Arc;

/// The bytes of a payload, and so fewer than those of its record.
const PAYLOAD_BYTES: u64 = 100;

/// Explores `model` on a stack that is large enough to open a journal on it.
fn explore(model: impl Fn() + Sync + Send + 'static) {
    let model = Arc::new(model);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || {
        let model = Arc::clone(&model);
        let stage = loom::thread::Builder::new().stack_size(1 << 16);
        stage.spawn(move || model()).expect("loom has room").join().expect("the model holds");
    });
}

/// Counts what it synced.
struct CountingDisk {
    files: MemoryDisk,
    written: std::sync::atomic::AtomicU64,
    synced: AtomicU64,
}

impl CountingDisk {
    fn new() -> Arc<Self> {
        let (written, synced) = (std::sync::atomic::AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Self { files: MemoryDisk::new(), written, synced })
    }

    fn open(self: &Arc<Self>) -> OpenedJournal {
        let small = JournalOptions { segment_bytes: SEGMENT_BYTES_MIN, ..JournalOptions::new(0) };
        let opened = open(Arc::clone(self) as Arc<dyn Disk>, small).expect("the disk is sound");
        self.written.store(0, Relaxed);
        self.synced.store(0, Relaxed);
        opened
    }

    /// Every record that survives the worst power cut.
    fn surviving(&self) -> Seq {
        self.files.crash(1);
        let disk: Arc<dyn Disk> = Arc::new(self.files.clone());
        let records = read_from(disk, Seq::ZERO, None).map_while(Result::ok);
        records.last().map_or(Seq::ZERO, |record| record.seq)
    }
}

impl Disk for CountingDisk {
    fn create(&self, file: &str, length_bytes: u64) -> io::Result<()> {
        self.files.create(file, length_bytes)
    }
    fn length(&self, file: &str) -> io::Result<u64> {
        self.files.length(file)
    }
    fn read_at(&self, file: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.files.read_at(file, offset, buffer)
    }
    fn write_at(&self, file: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.written.fetch_add(bytes.len() as u64, Relaxed);
        self.files.write_at(file, offset, bytes)
    }
    fn sync_data(&self, file: &str) -> io::Result<()> {
        self.files.sync_data(file)?;
        self.synced.store(self.written.load(Relaxed), Relaxed);
        Ok(())
    }
    fn make_dir(&self, dir: &str) -> io::Result<()> {
        self.files.make_dir(dir)
    }
    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.files.sync_dir(dir)
    }
    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.files.list(dir)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.files.rename(from, to)
    }
    fn remove(&self, file: &str) -> io::Result<()> {
        self.files.remove(file)
    }
    fn exists(&self, file: &str) -> io::Result<bool> {
        self.files.exists(file)
    }
    fn free_bytes(&self) -> io::Result<u64> {
        self.files.free_bytes()
    }
}

fn append(journal: &JournalHandle) -> Result<SeqRange, AppendError> {
    let tag = WriterTag::new("desk", 1).expect("a short name");
    let payload = vec![7; PAYLOAD_BYTES as usize];
    journal.append(
        &tag,
        0,
        vec![NewRecord { kind: 1, schema_version: 1, checkpoint: false, payload }],
    )
}

fn spawn<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> loom::thread::JoinHandle<T> {
    let thread = loom::thread::Builder::new().stack_size(1 << 16);
    thread.spawn(work).expect("loom has room")
}

fn spawn_writer(mut writer: JournalWriter) -> loom::thread::JoinHandle<Result<(), JournalError>> {
    spawn(move || write_until_closed(&mut writer))
}

/// Red when: the watermark is stored relaxed; it is advanced before the sync, or without one.
#[test]
fn whoever_sees_the_watermark_sees_what_it_covers_on_the_disk() {
    explore(|| {
        let disk = CountingDisk::new();
        let opened = disk.open();
        let (journal, before) = (opened.handle.clone(), opened.handle.durable());
        let writer = spawn_writer(opened.writer);
        let reader = {
            let (journal, disk) = (journal.clone(), Arc::clone(&disk));
            spawn(move || {
                let covered = journal.durable().0 - before.0;
                let synced = disk.synced.load(Relaxed);
                assert!(synced >= covered * PAYLOAD_BYTES, "{covered} records, {synced} bytes");
            })
        };
        let taken = append(&journal).expect("there is room");
        reader.join().expect("the reader's promise holds");
        journal.close();
        writer.join().expect("no panic").expect("the disk is sound");
        assert_eq!(journal.durable(), taken.last);
    });
}

/// Red when: `append` wakes the writer before it has queued; `advance` runs its hooks before it
/// moves the watermark.
#[test]
fn whoever_waits_for_a_record_is_woken_once_it_is_durable() {
    explore(|| {
        let disk = CountingDisk::new();
        let opened = disk.open();
        let journal = opened.handle.clone();
        let reached = Arc::new((Mutex::new(Seq::ZERO), Condvar::new()));
        let (tell, watched) = (Arc::clone(&reached), journal.clone());
        journal.on_durable(Box::new(move |seq| {
            assert!(watched.durable() >= seq, "told of {seq:?} too early");
            *tell.0.lock().expect("no thread panics") = seq;
            tell.1.notify_all();
        }));
        let writer = spawn_writer(opened.writer);
        for _ in 0..2 {
            let taken = append(&journal).expect("there is room");
            let mut seen = reached.0.lock().expect("no thread panics");
            while *seen < taken.last {
                seen = reached.1.wait(seen).expect("no thread panics");
            }
        }
        journal.close();
        writer.join().expect("no panic").expect("the disk is sound");
    });
}

/// The writer begins as after a time-out, without having been woken.
///
/// Red when: `write_once` looks at the state only after it has written; `close` doesn't take the
/// lock under which appends look at the state, or wakes nobody.
#[test]
fn closing_loses_nothing_that_was_taken() {
    explore(|| {
        let disk = CountingDisk::new();
        let opened = disk.open();
        let (journal, mut writer) = (opened.handle.clone(), opened.writer);
        let writer = spawn(move || match write_once(&mut writer) {
            Ok(false) => write_until_closed(&mut writer),
            ended => ended.map(|_| ()),
        });
        let appender = {
            let journal = journal.clone();
            spawn(move || append(&journal))
        };
        journal.close();
        let answer = appender.join().expect("no panic");
        writer.join().expect("no panic").expect("the disk is sound");
        let survived = disk.surviving();
        match answer {
            Ok(taken) => assert_eq!((journal.durable(), survived), (taken.last, taken.last)),
            Err(refusal) => assert_eq!(refusal, AppendError::Closed),
        }
        assert_eq!(append(&journal), Err(AppendError::Closed));
    });
}

/// Red when: the watermark moves before the sync has answered; a failed journal goes on taking
/// appends.
#[test]
fn a_failed_sync_leaves_the_watermark_and_refuses_everything_after_it() {
    explore(|| {
        let disk = CountingDisk::new();
        let opened = disk.open();
        let (journal, before) = (opened.handle.clone(), opened.handle.durable());
        disk.files.fail_sync(2);
        let writer = spawn_writer(opened.writer);
        let appender = {
            let journal = journal.clone();
            spawn(move || [append(&journal), append(&journal)])
        };
        let late = append(&journal);
        let failed_before = journal.state() == JournalState::Failed;
        if failed_before {
            assert_eq!(append(&journal), Err(AppendError::Failed));
        }
        let early = appender.join().expect("no panic");
        journal.close();
        let ended = writer.join().expect("no panic");
        let taken = early.iter().chain([&late]).filter(|answer| answer.is_ok()).count() as u64;
        let covered = journal.durable().0 - before.0;
        match ended {
            // All of it went into the first batch, the second sync never came.
            Ok(()) => assert_eq!(covered, taken),
            Err(_) => {
                assert!(covered < taken, "a record is durable whose sync failed");
                assert_eq!(journal.state(), JournalState::Failed);
            }
        }
    });
}
