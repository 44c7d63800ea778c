//! The fence under loom: the real one, with every interleaving of who writes and who halts.
//!
//! The wire is a pair of relaxed atomics: what the halter knows of it, it knows through the fence
//! alone. What a clearance is, is only compared here; `risk::cleared` tests the comparison.

use super::*;
use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use loom::thread;
use std::sync::Arc;

fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

#[derive(Default)]
struct Wire {
    in_flight: AtomicBool,
    written: AtomicU64,
}

impl Wire {
    fn write(&self) {
        assert!(!self.in_flight.swap(true, Relaxed), "two writes at once");
        self.written.store(self.written.load(Relaxed) + 1, Relaxed);
        self.in_flight.store(false, Relaxed);
    }

    /// The count of writes, at a moment at which none may be in flight.
    fn at_rest(&self) -> u64 {
        assert!(!self.in_flight.load(Relaxed), "a write is in flight");
        self.written.load(Relaxed)
    }
}

/// Whether the clearance still held, and so was written.
fn write_cleared(fence: &WireFence, wire: &Wire, cleared: Fence) -> bool {
    fence.write(|present| {
        let holds = present == cleared;
        if holds {
            wire.write();
        }
        holds
    })
}

/// Red when: `write` releases the lock before it runs the closure.
#[test]
fn after_an_acknowledged_halt_nothing_cleared_before_is_in_flight_or_follows() {
    explore(|| {
        let fence = Arc::new(WireFence::new(HaltEpoch(3), None));
        let wire = Arc::new(Wire::default());
        let cleared = Fence { halt_epoch: HaltEpoch(3), desk_generation: 0 };
        let writers = [0, 1].map(|_| {
            let (fence, wire) = (Arc::clone(&fence), Arc::clone(&wire));
            thread::spawn(move || write_cleared(&fence, &wire, cleared))
        });
        assert_eq!(fence.halt("test"), HaltEpoch(4));
        let acknowledged = wire.at_rest();
        for writer in writers {
            writer.join().expect("no write panics");
        }
        assert_eq!(wire.at_rest(), acknowledged, "a write followed the halt");
    });
}

/// Red when: the epoch is read after the latch (a clearance of the halt itself); `resume` leaves
/// the epoch as it is.
#[test]
fn whoever_clears_by_epoch_and_then_latch_never_writes_during_a_halt() {
    explore(|| {
        let fence = Arc::new(WireFence::new(HaltEpoch(3), None));
        let wire = Arc::new(Wire::default());
        let desk = {
            let (fence, wire) = (Arc::clone(&fence), Arc::clone(&wire));
            thread::spawn(move || {
                // As the kill switch publishes them.
                let halt_epoch = fence.halt_epoch();
                let cleared = Fence { halt_epoch, desk_generation: 0 };
                if fence.halted().is_none() && write_cleared(&fence, &wire, cleared) {
                    let of_the_halt = [HaltEpoch(4), HaltEpoch(5)];
                    assert!(!of_the_halt.contains(&halt_epoch), "cleared during the halt");
                }
            })
        };
        let second = {
            let fence = Arc::clone(&fence);
            thread::spawn(move || fence.halt("another reason"))
        };
        fence.halt("one reason");
        let acknowledged = wire.at_rest();
        second.join().expect("a halt does not panic");
        assert_eq!(fence.halt_epoch(), HaltEpoch(5));
        assert_eq!(wire.at_rest(), acknowledged, "a write during the halt");
        assert!(fence.resume(HaltEpoch(5)), "nobody halted since");
        desk.join().expect("no write panics");
    });
}

/// Red when: `write` releases the lock before it runs the closure.
#[test]
fn after_a_desk_was_admitted_its_predecessor_writes_no_more() {
    explore(|| {
        let fence = Arc::new(WireFence::new(HaltEpoch(3), None));
        let wire = Arc::new(Wire::default());
        fence.admit_desk(1);
        let older = {
            let (fence, wire) = (Arc::clone(&fence), Arc::clone(&wire));
            let cleared = Fence { halt_epoch: HaltEpoch(3), desk_generation: 1 };
            thread::spawn(move || write_cleared(&fence, &wire, cleared))
        };
        fence.admit_desk(2);
        let admitted = wire.at_rest();
        let cleared = Fence { halt_epoch: HaltEpoch(3), desk_generation: 2 };
        assert!(write_cleared(&fence, &wire, cleared));
        older.join().expect("no write panics");
        assert_eq!(wire.at_rest(), admitted + 1);
    });
}
