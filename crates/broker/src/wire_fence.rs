//! The fence between clearing an order and writing it.
//!
//! A halt must not be acknowledged while an order that was cleared before it is still on its way to
//! the wire (promise I6), and an older incarnation of the desk must not write at all. Both the
//! writer and the one who halts take this lock: the writer checks and writes inside it, the halter
//! raises the epoch inside it. So when [`WireFence::halt`] returns, no write is in flight, and none
//! cleared before it will ever pass. It needs no actor and no runtime: the watchdog's thread can
//! call it.

use crate::sync::{Mutex, MutexGuard};
use risk::cleared::Fence;
use std::sync::PoisonError;
use trading::trading_state::HaltEpoch;

/// The epochs under which orders may be written. Shared by everyone who halts or writes.
#[derive(Debug)]
pub struct WireFence(Mutex<FenceState>);

#[derive(Debug)]
struct FenceState {
    fence: Fence,
    halted: Option<String>,
}

impl WireFence {
    /// A fence at these epochs; `halted` names the reason if a latch was found at start.
    #[must_use]
    pub fn new(halt_epoch: HaltEpoch, halted: Option<String>) -> Self {
        let fence = Fence { halt_epoch, desk_generation: 0 };
        Self(Mutex::new(FenceState { fence, halted }))
    }

    /// Runs `write` with the current fence while nobody can halt.
    pub fn write<T>(&self, write: impl FnOnce(Fence) -> T) -> T {
        let state = self.lock();
        write(state.fence)
    }

    /// Halts: raises the epoch. When it returns no older write is in flight or can follow.
    pub fn halt(&self, reason: &str) -> HaltEpoch {
        let mut state = self.lock();
        state.fence.halt_epoch = HaltEpoch(state.fence.halt_epoch.0 + 1);
        if state.halted.is_none() {
            state.halted = Some(reason.to_owned());
        }
        state.fence.halt_epoch
    }

    /// Ends a halt: raises the epoch again, so that nothing cleared before or during it passes.
    /// Answers whether it did: somebody who halted after `seen` wins.
    pub fn resume(&self, seen: HaltEpoch) -> bool {
        let mut state = self.lock();
        if state.fence.halt_epoch != seen {
            return false;
        }
        state.fence.halt_epoch = HaltEpoch(seen.0 + 1);
        state.halted = None;
        true
    }

    /// Why it is halted, if it is.
    #[must_use]
    pub fn halted(&self) -> Option<String> {
        self.lock().halted.clone()
    }

    /// The current halt epoch.
    #[must_use]
    pub fn halt_epoch(&self) -> HaltEpoch {
        self.lock().fence.halt_epoch
    }

    /// From here on only this incarnation of the desk may write.
    pub fn admit_desk(&self, generation: u32) {
        self.lock().fence.desk_generation = generation;
    }

    fn lock(&self) -> MutexGuard<'_, FenceState> {
        // A writer that panicked left both epochs whole: they are plain numbers set in one step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn a_halt_waits_for_the_write_in_flight_and_stops_the_next() {
        let fence = Arc::new(WireFence::new(HaltEpoch(3), None));
        let (entered_tell, entered) = std::sync::mpsc::channel();
        let written = Arc::new(AtomicBool::new(false));
        let writer = std::thread::scope(|scope| {
            let (held, written_there) = (Arc::clone(&fence), Arc::clone(&written));
            scope.spawn(move || {
                held.write(|seen| {
                    entered_tell.send(seen.halt_epoch).expect("the test listens");
                    std::thread::yield_now();
                    written_there.store(true, Ordering::SeqCst);
                });
            });
            let seen = entered.recv().expect("the writer starts");
            let epoch = fence_halt_after(&fence, &written);
            (seen, epoch)
        });
        assert_eq!(writer, (HaltEpoch(3), HaltEpoch(4)));
        assert_eq!(fence.write(|seen| seen.halt_epoch), HaltEpoch(4));
        assert_eq!(fence.halted().as_deref(), Some("test"));
        assert!(!fence.resume(HaltEpoch(3)), "it was halted since");
        assert_eq!(fence.halted().as_deref(), Some("test"));
        assert!(fence.resume(HaltEpoch(4)));
        assert_eq!(fence.halt_epoch(), HaltEpoch(5));
        assert_eq!(fence.halted(), None);
    }

    fn fence_halt_after(fence: &WireFence, written: &AtomicBool) -> HaltEpoch {
        let epoch = fence.halt("test");
        assert!(written.load(Ordering::SeqCst), "the write in flight ended before the halt did");
        epoch
    }
}

#[cfg(all(test, loom))]
mod under_loom;
