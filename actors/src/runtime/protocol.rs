//! The steps of sending an order at which chaos may strike, and who watches them.
//!
//! Roles announce steps; an observer set by chaos sees each one and may kill a role or the node
//! exactly there. Which steps to strike is decided by the observer.

use super::role::RolePath;

/// How far an intent has come on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProtocolStep {
    /// Decided, nothing recorded.
    Idle,
    /// Its record has been appended.
    Recorded,
    /// Its record is durable.
    Durable,
    /// Its order has been written to the socket.
    Sent,
    /// The broker has answered.
    Acked,
    /// One of its executions has been recorded.
    Filled,
    /// A changed order has been written to the socket.
    Modifying,
    /// A cancel has been handed to the connection.
    Canceling,
    /// A leg of a combo has been recorded: every other time the next one has not.
    Legged,
    /// It came to no order (denied, or nothing to do): the protocol is over.
    Settled,
}

/// What an observer wants at a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepVerdict {
    /// Go on.
    Pass,
    /// Kill this role.
    KillRole(RolePath),
    /// The whole node dies: nothing runs any more.
    CrashNode,
}

/// Sees every announced step, in the handler of the role that announces it.
pub trait StepObserver: Send + Sync {
    /// The intent with this key hash has reached `step` in `role`.
    fn on_step(&self, role: &RolePath, step: ProtocolStep, intent_key_hash: u64) -> StepVerdict;
}
