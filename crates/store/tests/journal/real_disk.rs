//! The same on files of the operating system, with the writer on its own thread.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use store::journal;
use store::{
    Ballast, Disk, JournalState, RealDisk, Seq, ThreadEnd, read_from, spawn_writer_thread, verify,
};

use crate::rig::{append, desk, options, record};

#[test]
fn a_real_disk_does_what_the_seam_promises() {
    let dir = tempfile::tempdir().unwrap();
    let disk = RealDisk::new(dir.path()).unwrap();
    assert!(disk.list("journal").unwrap().is_empty());
    disk.make_dir("journal").unwrap();
    disk.create("journal/a", 100_000).unwrap();
    disk.write_at("journal/a", 10, b"bytes").unwrap();
    disk.sync_data("journal/a").unwrap();
    disk.sync_dir("journal").unwrap();
    assert_eq!(disk.length("journal/a").unwrap(), 100_000);
    let mut buffer = [0; 20];
    assert_eq!(disk.read_at("journal/a", 99_990, &mut buffer).unwrap(), 10);
    assert_eq!(disk.read("journal/a").unwrap()[10..15], *b"bytes");
    disk.rename("journal/a", "journal/b").unwrap();
    assert_eq!(disk.list("journal").unwrap(), ["b"]);
    assert!(!disk.exists("journal/a").unwrap());
    disk.remove("journal/b").unwrap();
    assert!(disk.length("journal/b").is_err());
    assert!(disk.free_bytes().unwrap() > 0);
    let ballast = Ballast::new(Arc::new(disk), 1 << 16);
    assert!(ballast.restore().unwrap() && ballast.release().unwrap());
}

#[test]
fn four_threads_append_and_everything_they_were_told_is_there_after_a_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(dir.path()).unwrap());
    let opened = journal::open(Arc::clone(&disk), options()).unwrap();
    let handle = opened.handle.clone();
    let (told, durable) = mpsc::channel();
    handle.on_durable(Box::new(move |seq| told.send(seq).expect("the test listens")));
    let thread = spawn_writer_thread(opened.writer).unwrap();
    let appenders: Vec<_> = (0..4_u8)
        .map(|number| {
            let handle = handle.clone();
            std::thread::spawn(move || {
                for _ in 0..50 {
                    append(&handle, &[number; 200]);
                }
            })
        })
        .collect();
    appenders.into_iter().for_each(|appender| appender.join().unwrap());
    assert_eq!(handle.last_assigned(), Seq(201));
    while durable.recv().unwrap() < Seq(201) {}
    append(&handle, b"written on closing");
    assert!(matches!(thread.close_and_join(Duration::from_secs(60)), ThreadEnd::Written));
    assert_eq!((handle.state(), handle.durable()), (JournalState::Closed, Seq(202)));
    assert!(handle.append(&desk(), 5, vec![record(b"x")]).is_err());

    let report = verify(disk.as_ref()).unwrap();
    assert_eq!((report.records, report.torn), (202, None));
    let opened = journal::open(Arc::clone(&disk), options()).unwrap();
    assert_eq!((opened.recovery.epoch, opened.recovery.last_seq), (2, Seq(202)));
    let epochs: Vec<u32> =
        read_from(disk, Seq(202), None).map(|record| record.unwrap().epoch).collect();
    assert_eq!(epochs, [1, 2]);
}
