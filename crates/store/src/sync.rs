//! The primitives of the journal's queue: the standard library's, or loom's in the tests of a build
//! with `--cfg loom`, which run the queue and its writer as they stand through every interleaving.

#[cfg(not(all(test, loom)))]
pub(crate) use self::production::*;
#[cfg(all(test, loom))]
pub(crate) use self::under_loom::*;

#[cfg(not(all(test, loom)))]
mod production {
    pub use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
    pub use std::sync::{Condvar, Mutex, MutexGuard};
    use std::time::Duration;

    /// Waits while `idle` holds, at most `at_most`.
    pub fn wait_while<T>(
        condition: &Condvar,
        guard: MutexGuard<'_, T>,
        at_most: Duration,
        idle: impl FnMut(&mut T) -> bool,
    ) {
        // A poisoned lock only means that another thread died; what it guards is whole.
        drop(condition.wait_timeout_while(guard, at_most, idle));
    }
}

#[cfg(all(test, loom))]
mod under_loom {
    pub use loom::sync::atomic::Ordering;
    pub use loom::sync::{Condvar, Mutex, MutexGuard};
    use std::sync::PoisonError;
    use std::time::Duration;

    /// Waits while `idle` holds, for ever: no time-out may hide a wake-up that was lost.
    pub fn wait_while<T>(
        condition: &Condvar,
        mut guard: MutexGuard<'_, T>,
        _at_most: Duration,
        mut idle: impl FnMut(&mut T) -> bool,
    ) {
        while idle(&mut guard) {
            guard = condition.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// loom's reduction remembers one access to each atomic. A thread that loads and then stores
    /// hides from it the loads of others, so it never tries the store before those. An exchange on
    /// a second atomic, relaxed so that nothing is synchronised by it, makes any two accesses
    /// dependent and thereby every order of them tried.
    macro_rules! in_every_order {
        ($($name:ident: $value:ty),*) => {$(
            pub struct $name {
                turn: loom::sync::atomic::AtomicUsize,
                value: loom::sync::atomic::$name,
            }

            impl $name {
                pub fn new(value: $value) -> Self {
                    let value = loom::sync::atomic::$name::new(value);
                    Self { turn: loom::sync::atomic::AtomicUsize::new(0), value }
                }

                pub fn load(&self, order: Ordering) -> $value {
                    self.turn.fetch_add(0, Ordering::Relaxed);
                    self.value.load(order)
                }

                pub fn store(&self, value: $value, order: Ordering) {
                    self.turn.fetch_add(0, Ordering::Relaxed);
                    self.value.store(value, order);
                }
            }
        )*};
    }

    in_every_order!(AtomicU8: u8, AtomicU64: u64);
}
