//! The queue under loom: the real one, with every interleaving of incarnations that append, fence
//! and drain. Its writer is in [`crate::journal::thread`], and so are the models with it.

use super::*;
use loom::thread;

fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

fn journal() -> JournalHandle {
    let bounds = QueueBounds { records: 8, bytes: 10_000, record_bytes: 2_000 };
    JournalHandle::new(Seq(10), bounds)
}

fn tag(role: &str, generation: u32) -> WriterTag {
    WriterTag::new(role, generation).expect("a short name")
}

fn append(journal: &JournalHandle, tag: &WriterTag) -> Result<SeqRange, AppendError> {
    let record = || NewRecord { kind: 1, schema_version: 1, checkpoint: false, payload: vec![7] };
    journal.append(tag, 0, vec![record(), record()])
}

/// Red when: `append` looks at the generations before it takes the lock that numbers; `fence`
/// reads the last number before it shuts out.
#[test]
fn what_an_older_generation_appends_is_settled_by_the_fence_or_refused() {
    explore(|| {
        let journal = journal();
        let older = {
            let journal = journal.clone();
            thread::spawn(move || [(); 2].map(|()| append(&journal, &tag("desk", 1))))
        };
        let settled = journal.fence(&tag("desk", 2)).expect("nobody newer is there");
        let mine = append(&journal, &tag("desk", 2)).expect("the present generation");
        assert!(mine.first > settled);
        let answers = older.join().expect("an append does not panic");
        let mut refused = false;
        for answer in answers {
            match answer {
                Ok(range) => {
                    assert!(range.last <= settled, "{range:?} came after the fence {settled:?}");
                    assert!(!refused, "accepted after a refusal");
                }
                Err(AppendError::Fenced { current: 2, .. }) => refused = true,
                Err(other) => panic!("{other}"),
            }
        }
        let left = journal.drain();
        let late = |queued: &&Queued| queued.tag.generation() == 1 && queued.seq > settled;
        assert!(left.iter().find(late).is_none(), "an older record behind the fence");
    });
}

/// Red when: `fence` compares the generation under one lock and writes it under another.
#[test]
fn of_two_that_fence_at_once_the_newer_one_remains() {
    explore(|| {
        let journal = journal();
        let older = {
            let journal = journal.clone();
            thread::spawn(move || journal.fence(&tag("desk", 2)).is_ok())
        };
        journal.fence(&tag("desk", 3)).expect("the newest is never refused");
        older.join().expect("a fence does not panic");
        let refused = append(&journal, &tag("desk", 2)).expect_err("a newer one is there");
        assert!(matches!(refused, AppendError::Fenced { generation: 2, current: 3, .. }));
        append(&journal, &tag("desk", 3)).expect("the present generation");
    });
}

/// Red when: numbers are given under one lock and queued under another.
#[test]
fn drains_hand_over_every_record_once_and_in_order() {
    explore(|| {
        let journal = journal();
        let appenders = ["desk", "risk"].map(|role| {
            let journal = journal.clone();
            thread::spawn(move || append(&journal, &tag(role, 1)).expect("there is room"))
        });
        let mut taken: Vec<u64> = journal.drain().iter().map(|queued| queued.seq.0).collect();
        for appender in appenders {
            let range = appender.join().expect("an append does not panic");
            assert_eq!(range.first.next(), range.last, "something came between the two");
        }
        taken.extend(journal.drain().iter().map(|queued| queued.seq.0));
        assert_eq!(taken, [11, 12, 13, 14]);
        assert_eq!(journal.waiting(), (0, 0));
    });
}
