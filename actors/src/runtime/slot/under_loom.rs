//! Slots under loom: the real ones, with every interleaving of those who publish, the one who
//! reads, and its restart behind the real [`super::super::hand_over`].
//!
//! What is asked for: once nobody publishes and the reader has read its mailbox empty, it has seen
//! the newest value of every line. Nothing times out here and no later quote comes to the rescue.

use super::*;
use crate::runtime::hand_over::{HandOver, Mailbox};
use loom::sync::Condvar;
use loom::thread;
use market::time::{ProcessTime, Timestamp};
use std::sync::Arc;

const NOW: Now = Now { market: Timestamp::EPOCH, process: ProcessTime::ZERO };

fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// The wake messages of one incarnation of a reader; none can be put in once it has ended.
struct Inbox {
    state: Mutex<(usize, bool)>,
    changed: Condvar,
}

impl Inbox {
    fn open() -> Arc<Self> {
        Arc::new(Self { state: Mutex::new((0, true)), changed: Condvar::new() })
    }

    fn end(&self) {
        self.state.lock().expect("no thread panics").1 = false;
        self.changed.notify_all();
    }

    /// Takes a wake message, waiting for it; false when the inbox has ended and is empty.
    fn wait(&self) -> bool {
        let mut state = self.state.lock().expect("no thread panics");
        while state.0 == 0 && state.1 {
            state = self.changed.wait(state).expect("no thread panics");
        }
        let some = state.0 > 0;
        state.0 -= usize::from(some);
        some
    }

    fn is_empty(&self) -> bool {
        self.state.lock().expect("no thread panics").0 == 0
    }
}

impl Mailbox<()> for Arc<Inbox> {
    fn post(&self, (): ()) -> Result<(), ()> {
        let mut state = self.state.lock().expect("no thread panics");
        if !state.1 {
            return Err(());
        }
        state.0 += 1;
        self.changed.notify_all();
        Ok(())
    }
}

/// Red when: `drain_with` takes the token back in a lock of its own, after it has read; a publish
/// raises the token before the value is there.
#[test]
fn a_reader_that_sleeps_between_wakes_sees_the_newest_value_of_each_line() {
    explore(|| {
        let slots = Arc::new(LineSlots::new(2));
        let inbox = Inbox::open();
        let reader = {
            let (slots, inbox) = (Arc::clone(&slots), Arc::clone(&inbox));
            thread::spawn(move || {
                let (mut seen, mut scratch) = ([0; 2], Vec::new());
                while inbox.wait() {
                    slots.drain_with(&mut scratch, |line, stamped| {
                        assert!(stamped.value > seen[line], "an older value, or the same again");
                        seen[line] = stamped.value;
                    });
                }
                seen
            })
        };
        let publish = |slots: &LineSlots<u32>, inbox: &Arc<Inbox>, line, value| {
            if slots.publish(line, value, NOW).is_needed() {
                inbox.post(()).expect("the reader is there");
            }
        };
        let other = {
            let (slots, inbox) = (Arc::clone(&slots), Arc::clone(&inbox));
            thread::spawn(move || publish(&slots, &inbox, 1, 5))
        };
        publish(&slots, &inbox, 0, 1);
        publish(&slots, &inbox, 0, 2);
        other.join().expect("a publish does not panic");
        inbox.end();
        assert_eq!(reader.join().expect("a drain does not panic"), [2, 5]);
    });
}

/// Red when: `newer_than` takes the token back in a lock of its own, after it has read.
#[test]
fn a_reader_of_one_slot_sees_the_newest_value() {
    explore(|| {
        let slot = Arc::new(Slot::default());
        let inbox = Inbox::open();
        let reader = {
            let (slot, inbox) = (Arc::clone(&slot), Arc::clone(&inbox));
            thread::spawn(move || {
                let (mut value, mut sequence) = (0, 0);
                while inbox.wait() {
                    if let Some(stamped) = slot.newer_than(sequence) {
                        (value, sequence) = (stamped.value, stamped.sequence);
                    }
                }
                (value, sequence)
            })
        };
        for value in 1..=3 {
            if slot.publish(value, NOW).is_needed() {
                inbox.post(()).expect("the reader is there");
            }
        }
        inbox.end();
        assert_eq!(reader.join().expect("a look does not panic"), (3, 3));
    });
}

/// Red when: the address has no park (a wake that comes between the first drain of the new reader
/// and its installation is then refused, and nobody asks for another); the new reader doesn't
/// begin with `mark_all_changed`.
#[test]
fn a_reader_that_restarts_sees_what_was_published_meanwhile() {
    explore(|| {
        let slots = Arc::new(LineSlots::new(1));
        let address = Arc::new(HandOver::new(2, 1));
        let first = Inbox::open();
        address.install(&address.incumbent(1, Arc::clone(&first)));
        let publisher = {
            let (slots, address) = (Arc::clone(&slots), Arc::clone(&address));
            thread::spawn(move || {
                for value in 1..=2 {
                    if slots.publish(0, value, NOW).is_needed() && address.send(()).is_err() {
                        slots.wake_failed();
                    }
                }
            })
        };
        let (mut seen, mut scratch) = (0, Vec::new());
        // What it takes out of the slots, it takes along.
        slots.drain_with(&mut scratch, |_, _| ());
        first.end();
        address.clear(1);
        let mut drain = || {
            slots.drain_with(&mut scratch, |_, stamped| seen = stamped.value);
        };
        slots.mark_all_changed();
        drain();
        let second = Inbox::open();
        address.install(&address.incumbent(2, Arc::clone(&second)));
        if !second.is_empty() {
            second.wait();
            drain();
        }
        publisher.join().expect("a publish does not panic");
        while !second.is_empty() {
            second.wait();
            drain();
        }
        assert_eq!(seen, 2);
    });
}
