//! What a supervisor hears and what it does about it.
//!
//! The words between the machine in `supervision.rs` and the shell that serves it; children are
//! named by their index in the specification.

use crate::runtime::policy::{Beyond, Shutdown};
use std::time::Duration;

/// How an actor ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It stopped, by itself or asked.
    Normal,
    /// Error, panic, kill, failed start: the reason.
    Abnormal(String),
    /// It can't go on and no restart would help: the reason.
    GaveUp(String),
}

/// What a supervisor hears. `child` is the index in its specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Start all children.
    Begin,
    /// The child's recovery is done; it handles messages.
    Started { child: usize, generation: u64 },
    /// The child reports that it is ready, or not ready any more.
    Readiness { child: usize, generation: u64, ready: bool },
    /// The child has ended and its state is dropped.
    Exited { child: usize, generation: u64, exit: Exit },
    /// Everything that was pending when [`Action::Settle`] was asked for has been delivered.
    Settle,
    /// A moment named by [`Supervision::next_wake`] has come.
    Wake,
    /// An operator wants the child restarted, or taken out of quarantine. Not a failure.
    Revive { child: usize },
    /// Stop all children in reverse order and end.
    Shutdown,
}

/// What a supervisor does. Carried out in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start the child as this generation.
    Start { child: usize, generation: u64 },
    /// Ask the child to end.
    Stop { child: usize, how: Shutdown },
    /// Kill the child.
    Kill { child: usize },
    /// Deliver [`Event::Settle`] behind all that is pending.
    Settle,
    /// The child failed and is started again after the wait (with those that depend on it).
    Restarting { child: usize, after: Duration, reason: String },
    /// The child exited and isn't restarted.
    Rests { child: usize },
    /// The child stays down, see [`Beyond`].
    Benched { child: usize, beyond: Beyond, reason: String },
    /// A killed child has not ended in time; its generation is fenced and the tree goes on.
    Unkillable { child: usize },
    /// Trading must halt, because of this child.
    Halt { child: usize, reason: String },
    /// All children are stopped: fail towards the parent, because of this child.
    Escalate { child: usize, reason: String },
    /// The root is beyond its intensity, because of this child; nothing is restarted any more,
    /// nothing is stopped yet.
    Exhausted { child: usize, reason: String },
    /// All children are stopped after [`Event::Shutdown`]: end.
    Finished,
}
