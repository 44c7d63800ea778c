//! The lock of the wire fence: the standard library's, or loom's in the tests of a build with
//! `--cfg loom`, which run the fence as it stands through every interleaving.

#[cfg(all(test, loom))]
pub(crate) use loom::sync::{Mutex, MutexGuard};
#[cfg(not(all(test, loom)))]
pub(crate) use std::sync::{Mutex, MutexGuard};
