//! The primitives of the hand-offs between threads: the standard library's, or loom's.
//!
//! The tests of a build with `--cfg loom` run [`super::slot`] and [`super::hand_over`] as they
//! stand through every interleaving, so these take their locks and atomics from here. `Arc` is the
//! standard library's in both: counting references is nothing of ours.

#[cfg(not(all(test, loom)))]
pub(super) use self::production::*;
#[cfg(all(test, loom))]
pub(super) use self::under_loom::*;

#[cfg(not(all(test, loom)))]
mod production {
    pub use std::sync::atomic::{AtomicUsize, Ordering};
    pub use std::sync::{Mutex, MutexGuard};

    /// A pointer that is read by everyone and replaced whole.
    pub type Latest<T> = arc_swap::ArcSwapOption<T>;
}

#[cfg(all(test, loom))]
mod under_loom {
    use std::sync::{Arc, PoisonError};

    pub use loom::sync::atomic::{AtomicUsize, Ordering};
    pub use loom::sync::{Mutex, MutexGuard};

    /// Stands in for arc_swap, which loom can't see into: a register with the release and acquire
    /// of one atomic and nothing more, so a reader may still see what was replaced.
    pub struct Latest<T> {
        /// Everything that was ever stored. Never held across a step of the model.
        stored: std::sync::Mutex<Vec<Arc<T>>>,
        /// Which of them is current, from 1; 0 is none.
        current: AtomicUsize,
        /// loom's reduction remembers one access to each atomic. A thread that loads and then
        /// stores hides from it the loads of others, so it never tries the store before those. An
        /// exchange here, relaxed so that nothing is synchronised by it, makes any two accesses
        /// dependent and thereby every order of them tried.
        turn: AtomicUsize,
    }

    impl<T> Latest<T> {
        pub fn empty() -> Self {
            let (current, turn) = (AtomicUsize::new(0), AtomicUsize::new(0));
            Self { stored: std::sync::Mutex::default(), current, turn }
        }

        /// Boxed because the caller expects to look through a guard.
        pub fn load(&self) -> Box<Option<Arc<T>>> {
            self.turn.fetch_add(0, Ordering::Relaxed);
            let current = self.current.load(Ordering::Acquire);
            let stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
            Box::new(current.checked_sub(1).map(|at| Arc::clone(&stored[at])))
        }

        pub fn store(&self, value: Option<Arc<T>>) {
            let current = value.map_or(0, |value| {
                let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
                stored.push(value);
                stored.len()
            });
            self.turn.fetch_add(0, Ordering::Relaxed);
            self.current.store(current, Ordering::Release);
        }
    }
}
