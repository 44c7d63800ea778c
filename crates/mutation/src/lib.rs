//! Faults of our own, switched on by name at run time in builds with `--cfg mutations` only: each
//! leaves one protection out, so that a test can show that it turns red. In every other build
//! [`active`] is constantly false and costs nothing.
//!
//! One fault a process, whichever room it is in. Which test must turn red is the business of the
//! caller: `chaos/tests/mutations.rs`, `broker/src/ib/tests/protections.rs`, `tests/kill_nine.rs`.
//!
//! | name | room | what is left out or goes wrong |
//! |---|---|---|
//! | `skip_fdatasync` | store | the fdatasync behind each batch of the journal |
//! | `skip_delta_limit` | risk | the gate's refusal of a delta outside its limit |
//! | `skip_freshness` | risk | the gate's refusal of data that is not fresh |
//! | `skip_halt_check` | risk | the gate's refusal while halted, the session's check of the epoch |
//! | `swap_limit_after_hash` | risk | `open` hands out an order whose limit is not the hashed one |
//! | `skip_exec_dedupe` | desk | an execution books again each time it is reported |
//! | `resend_unknown` | desk | after a restart the order of an Unknown intent is sent again |
//! | `release_on_cancel_request` | desk | a cancel gives the reservation back before the broker confirms |
//! | `drop_lifecycle` | desk | lifecycle events are not booked |
//! | `drop_fee` | desk | fees are not booked |
//! | `send_before_durable` | desk | read by the shell: sends go out before their record is durable |
//! | `ready_without_reconcile` | desk | desk and session count as ready as soon as the link is up |
//! | `skip_settle` | desk | Unknown is abandoned after the first round that does not find it |
//! | `forget_last_order_id` | desk | order numbers are counted from what the broker tells alone |
//! | `stack_modifies` | desk | a modify is sent while another of the same order is on its way |
//! | `book_corrections_anew` | desk | a corrected execution is booked beside the one that it replaces |
//! | `disown_found_orders` | desk | working orders that a reconciliation finds are someone else's |
//! | `ignore_mismatch` | desk | that an order has filled more than its executions say is no doubt |
//! | `ask_only_on_request` | desk | without a reason nobody asks the broker where things stand |
//! | `repeat_executions` | broker | an execution is told as often as the wire tells it |
//! | `repeat_statuses` | broker | an order's status is told as often as the wire tells it |
//! | `ignore_broker_back` | broker | that the broker is back (1101, 1102) is not passed on |
//! | `stay_ready_without_broker` | broker | the link stays Ready when the broker is lost (1100) |
//! | `skip_heartbeat` | broker | nobody asks whether the socket still has another end |
//! | `give_up_when_in_use` | broker | a client id in use (326) is for a person, not for the next attempt |
//! | `connect_without_waiting` | broker | the next connection doesn't wait for the last one's end |
//! | `take_silence_for_empty` | broker | a question without a complete answer is answered: nothing |
//! | `late_cancel_ends_order` | broker | a cancel that came too late counts as the order's rejection |
//! | `own_every_number` | broker | order numbers of other clients and of the screen are taken for ours |
//! | `take_delayed_for_live` | broker | delayed data is asked for, and every line is called live |
//! | `ignore_farm_break` | broker | lines are not frozen when their farm is lost (2103) |
//! | `ignore_competing_session` | broker | lines are not frozen when another session has them (10197) |
//! | `skip_details_deadline` | broker | contract details are waited for without an end |
//! | `skip_account_check` | broker | whatever account the login has is traded |
//! | `wait_for_silent_lines` | broker | a line that never said anything is waited for |
//! | `skip_pacing` | broker | messages are written as fast as they come |
//! | `keep_lost_lines` | actors | a line that is lost stays live until its next quote |
//! | `ignore_intensity` | actors | a role that failed too often is restarted all the same |

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
