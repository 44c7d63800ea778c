//! Deliberate faults in our own code, to prove that the tests and the auditor would see them.
//!
//! In a normal build [`active`] is the constant `false` and costs nothing. With `--cfg mutations` a
//! test process names one fault with `set`, once, and the code then leaves out the step of that
//! name.
//!
//! | name | what is left out | promise |
//! |---|---|---|
//! | `skip_delta_limit` | the gate's refusal of a delta outside its limit | I5 |
//! | `skip_freshness` | the gate's refusal of data that is not fresh | I9 |
//! | `skip_halt_check` | the gate's refusal while halted, the session's check of the epoch | I6 |
//! | `swap_limit_after_hash` | `open` hands out an order whose limit is not the hashed one | I7 |

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
