//! Named points at which a test may end the process, always compiled in: what is tested is what
//! ships.
//!
//! Unwatched, a point costs one relaxed load. What happens at a point is the watcher's business.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

type Watcher = Box<dyn Fn(&str) + Send + Sync>;

static WATCHED: AtomicBool = AtomicBool::new(false);
static WATCHER: OnceLock<Watcher> = OnceLock::new();

/// Calls `watcher` at every point from here on. Only the first watcher of a process counts.
pub fn watch(watcher: Watcher) {
    if WATCHER.set(watcher).is_ok() {
        WATCHED.store(true, Ordering::Release);
    }
}

/// The process has come to a point.
pub(crate) fn reached(point: &str) {
    if WATCHED.load(Ordering::Relaxed)
        && let Some(watcher) = WATCHER.get()
    {
        watcher(point);
    }
}
