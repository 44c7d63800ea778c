//! What a role is: a synchronous handler of messages, and what the runtime gives it.
//!
//! A role's file says what its messages are and calls its machine; everything else (mailbox depth,
//! fault gate, timer, metrics, restart) is written once in `shell.rs` and `supervisor.rs`.

use super::clock::Clock;
use super::fault::FaultBoard;
use super::life::Life;
use super::protocol::ProtocolStep;
use super::role_ref::{PinnedRef, RoleRef};
use market::time::{Now, ProcessTime};
use serde::{Serialize, Serializer};
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use tokio::task::AbortHandle;

/// The path of a role in the tree: `desk`, `feed/ES`, `strategy/gamma_scalper_1`. Unique.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RolePath(Arc<str>);

impl RolePath {
    /// A path of lower-case words; nothing is checked but uniqueness, at launch.
    #[must_use]
    pub fn new(path: impl Into<Arc<str>>) -> Self {
        Self(path.into())
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for RolePath {
    fn from(path: &str) -> Self {
        Self::new(path)
    }
}

impl From<String> for RolePath {
    fn from(path: String) -> Self {
        Self::new(path)
    }
}

impl fmt::Display for RolePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RolePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for RolePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// What a role can be sent.
pub trait RoleMessage: Send + 'static {
    /// A copy for the fault `duplicate`; none where a copy can't be (reply ports) or mustn't be.
    fn duplicate(&self) -> Option<Self>
    where
        Self: Sized,
    {
        None
    }

    /// Whether the fault `drop` may lose it: only what a real network could lose.
    fn may_drop(&self) -> bool {
        false
    }

    /// The kind of message, for traces.
    fn label(&self) -> &'static str;
}

/// Why a handler gives up; its supervisor restarts the role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoleError {
    /// The role can't go on: what failed, on what.
    #[error("{0}")]
    Failed(String),
    /// The role can't go on and no restart would help: what lies beyond its intensity happens at
    /// once.
    #[error("{0}")]
    GaveUp(String),
    /// A fault kills this role (or the node) at this very step: hand it up with `?`.
    #[error("killed at a protocol step")]
    Killed,
}

impl RoleError {
    /// From any error or sentence.
    #[must_use]
    pub fn failed(reason: impl fmt::Display) -> Self {
        Self::Failed(reason.to_string())
    }
}

/// A machine in its seat. Handlers are synchronous and never block: real work is in the machine,
/// sends don't wait.
pub trait Role: Sized + Send + 'static {
    /// What it can be sent.
    type Message: RoleMessage;

    /// Takes one message. An error, like a panic, ends this incarnation.
    fn handle(
        &mut self,
        message: Self::Message,
        cx: &mut Context<Self::Message>,
    ) -> Result<(), RoleError>;

    /// When [`Role::on_wake`] is wanted next, and why. Asked after every handler.
    fn next_wake(&self) -> Option<(ProcessTime, &'static str)> {
        None
    }

    /// The moment of [`Role::next_wake`] has come (at the earliest; up to a millisecond late, or
    /// behind what was queued).
    fn on_wake(&mut self, cx: &mut Context<Self::Message>) -> Result<(), RoleError> {
        let _ = cx;
        Ok(())
    }

    /// A graceful stop. Nothing may rely on it: a crash is the normal way to end.
    fn stopping(&mut self, cx: &mut Context<Self::Message>) {
        let _ = cx;
    }
}

/// What the runtime gives a role during one handler (and its start).
pub struct Context<M: RoleMessage> {
    pub(super) now: Now,
    pub(super) clock: Clock,
    pub(super) own: RoleRef<M>,
    pub(super) pinned: PinnedRef<M>,
    pub(super) life: Arc<Life>,
    pub(super) faults: FaultBoard,
    pub(super) started: bool,
    pub(super) ready: bool,
    pub(super) tasks: Vec<AbortHandle>,
}

impl<M: RoleMessage> Context<M> {
    /// Both times, read once when the message was taken up.
    #[must_use]
    pub fn now(&self) -> Now {
        self.now
    }

    /// The clock itself, for helper tasks; handlers use [`Context::now`].
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The path of this role.
    #[must_use]
    pub fn path(&self) -> &RolePath {
        self.own.path()
    }

    /// Which incarnation of the role this is, from 1 at the start of the process. Larger ones are
    /// later; it survives restarts of the supervisors too.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.life.generation()
    }

    /// The role's own stable address.
    #[must_use]
    pub fn own_ref(&self) -> &RoleRef<M> {
        &self.own
    }

    /// The address of this incarnation alone, for helper tasks: a late answer to a question of
    /// this incarnation never reaches the next one.
    #[must_use]
    pub fn pinned_ref(&self) -> PinnedRef<M> {
        self.pinned.clone()
    }

    /// Reports to supervisor and board that the role has what it needs. May be called again.
    pub fn ready(&mut self) {
        self.set_ready(true);
    }

    /// Reports that the role lacks what it needs (a connection, data); not a failure.
    pub fn unready(&mut self) {
        self.set_ready(false);
    }

    fn set_ready(&mut self, ready: bool) {
        if std::mem::replace(&mut self.ready, ready) != ready && self.started {
            self.life.report_readiness(ready);
        }
    }

    /// Ends this incarnation normally after this handler; a permanent role is restarted.
    pub fn stop(&self) {
        self.life.stop_itself();
    }

    /// Runs `task` beside the handlers, on the role's runtime; it ends with this incarnation.
    pub fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.retain(|task| !task.is_finished());
        self.tasks.push(tokio::spawn(task).abort_handle());
    }

    /// Sends `message` to this incarnation after `wait`. For one deadline prefer
    /// [`Role::next_wake`].
    pub fn send_after(&mut self, wait: std::time::Duration, message: M) {
        let (clock, pinned) = (self.clock.clone(), self.pinned.clone());
        self.spawn(async move {
            clock.sleep(wait).await;
            // Refused only when this incarnation ends or drowns; it asked, nobody else waits.
            let _ = pinned.send(message);
        });
    }

    /// The hooks of the order protocol.
    #[must_use]
    pub fn faults(&self) -> StepGate<'_> {
        StepGate { faults: &self.faults, path: self.own.path() }
    }
}

impl<M: RoleMessage> Drop for Context<M> {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Where a role announces its protocol steps.
#[derive(Clone, Copy)]
pub struct StepGate<'a> {
    faults: &'a FaultBoard,
    path: &'a RolePath,
}

impl StepGate<'_> {
    /// Whether anybody observes steps: callers spare themselves the key otherwise.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.faults.observes_steps()
    }

    /// Announces that the intent with this key hash has reached `step`. Costs one relaxed load
    /// when nobody observes.
    ///
    /// # Errors
    /// [`RoleError::Killed`] when the observer kills this role or the node here.
    pub fn step(&self, step: ProtocolStep, intent_key_hash: u64) -> Result<(), RoleError> {
        if self.faults.observes_steps() {
            return self.faults.step(self.path, step, intent_key_hash);
        }
        Ok(())
    }
}
