//! Faults of our own, switched on by name at run time in builds with `--cfg mutations` only: each
//! takes out the protection against one incident, so that a test can show that it turns red. In
//! every other build [`active`] is constantly false.
//!
//! | name | what goes wrong |
//! |---|---|
//! | `repeat_executions` | an execution is told as often as the wire tells it |
//! | `repeat_statuses` | an order's status is told as often as the wire tells it |
//! | `ignore_broker_back` | that the broker is back (1101, 1102) is not passed on |
//! | `stay_ready_without_broker` | the link stays Ready when the broker is lost (1100) |
//! | `skip_heartbeat` | nobody asks whether the socket still has another end |
//! | `give_up_when_in_use` | a client id in use (326) is for a person, not for the next attempt |
//! | `connect_without_waiting` | the next connection doesn't wait for the last one's end |
//! | `take_silence_for_empty` | a question without a complete answer is answered: nothing |
//! | `late_cancel_ends_order` | a cancel that came too late counts as the order's rejection |
//! | `own_every_number` | order numbers of other clients and of the screen are taken for ours |
//! | `take_delayed_for_live` | delayed data is asked for, and every line is called live |
//! | `ignore_farm_break` | lines are not frozen when their farm is lost (2103) |
//! | `ignore_competing_session` | lines are not frozen when another session has them (10197) |
//! | `skip_details_deadline` | contract details are waited for without an end |
//! | `skip_account_check` | whatever account the login has is traded |
//! | `skip_pacing` | messages are written as fast as they come |

#[cfg(mutations)]
static ACTIVE: std::sync::OnceLock<String> = std::sync::OnceLock::new();

/// Switches one fault on for the rest of the process. The first call wins.
#[cfg(mutations)]
pub fn set(name: &str) {
    ACTIVE.get_or_init(|| name.to_owned());
}

/// Whether the fault of this name is switched on.
#[cfg(mutations)]
#[must_use]
pub fn active(name: &str) -> bool {
    ACTIVE.get().is_some_and(|active| active == name)
}

/// Whether the fault of this name is switched on: never, in this build.
#[cfg(not(mutations))]
#[must_use]
pub const fn active(_name: &str) -> bool {
    false
}
