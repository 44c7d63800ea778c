//! One timer per actor, armed anew after each handler at next to no cost.
//!
//! A task per deadline (ractor's `send_after`) would be a task per message. Here one task sleeps
//! until the earliest deadline it was told; a later one doesn't disturb it: it fires early, the
//! actor finds nothing due and arms it again.

use super::clock::Clock;
use market::time::ProcessTime;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

const NEVER: u64 = u64::MAX;

/// The timer of one actor; it ends when this is dropped.
pub(super) struct Alarm {
    armed: u64,
    setting: Arc<Setting>,
    task: AbortHandle,
}

struct Setting {
    deadline: AtomicU64,
    changed: Notify,
}

impl Alarm {
    /// A timer that calls `fire` at each deadline, on the present runtime.
    pub fn start(clock: Clock, fire: impl Fn() + Send + 'static) -> Self {
        let setting = Arc::new(Setting { deadline: AtomicU64::new(NEVER), changed: Notify::new() });
        let task = tokio::spawn(run(clock, Arc::clone(&setting), fire)).abort_handle();
        Self { armed: NEVER, setting, task }
    }

    /// The next wake that is wanted. `now` clamps what has passed already.
    pub fn want(&mut self, at: Option<ProcessTime>, now: ProcessTime) {
        let wanted = at.map_or(NEVER, |at| at.max(now).nanos());
        if wanted < self.armed {
            self.armed = wanted;
            self.setting.deadline.store(wanted, Ordering::Release);
            self.setting.changed.notify_one();
        }
    }

    /// The timer has fired and is unarmed.
    pub fn fired(&mut self) {
        self.armed = NEVER;
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(clock: Clock, setting: Arc<Setting>, fire: impl Fn()) {
    loop {
        let deadline = setting.deadline.load(Ordering::Acquire);
        if deadline == NEVER {
            setting.changed.notified().await;
            continue;
        }
        tokio::select! {
            biased;
            () = setting.changed.notified() => {}
            () = clock.sleep_until(ProcessTime::from_nanos(deadline)) => {
                let unarm = setting.deadline.compare_exchange(
                    deadline, NEVER, Ordering::AcqRel, Ordering::Acquire,
                );
                // Where it was just set anew the next round sleeps until that.
                if unarm.is_ok() {
                    fire();
                }
            }
        }
    }
}
