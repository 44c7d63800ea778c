//! Faults of our own, switched on by name at run time in builds with `--cfg mutations` only, so
//! that a test can show that the auditor turns red. In every other build [`active`] is constantly
//! false.
//!
//! | name | what goes wrong |
//! |---|---|
//! | `skip_exec_dedupe` | an execution books again each time it is reported |
//! | `resend_unknown` | after a restart the order of an Unknown intent is sent again |
//! | `release_on_cancel_request` | a cancel gives the reservation back before the broker confirms |
//! | `drop_lifecycle` | lifecycle events are not booked |
//! | `drop_fee` | fees are not booked |
//! | `send_before_durable` | read by the shell: sends go out before their record is durable |
//! | `ready_without_reconcile` | desk and session count as ready as soon as the link is up |
//! | `skip_settle` | Unknown is abandoned after the first round that does not find it |
//! | `forget_last_order_id` | order numbers are counted from what the broker tells alone |
//! | `stack_modifies` | a modify is sent while another of the same order is on its way |
//! | `book_corrections_anew` | a corrected execution is booked beside the one that it replaces |
//! | `disown_found_orders` | working orders that a reconciliation finds are someone else's |
//! | `ignore_mismatch` | that an order has filled more than its executions say is no doubt |
//! | `ask_only_on_request` | without a reason nobody asks the broker where things stand |

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
