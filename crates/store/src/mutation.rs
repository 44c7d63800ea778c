//! Deliberate faults in our own code, to prove that the tests would see them.
//!
//! In a normal build [`active`] is the constant `false` and costs nothing. With
//! `--cfg mutations` a test process names one fault with `set`, once, and the code then leaves
//! out the step of that name. Which test must turn red is the business of the caller.
//!
//! | name | what is left out |
//! |---|---|
//! | `skip_fdatasync` | the fdatasync behind each batch of the journal |

#[cfg(mutations)]
static ACTIVE: std::sync::OnceLock<String> = std::sync::OnceLock::new();

/// Switches one fault on for the rest of the process. The first call wins.
#[cfg(mutations)]
pub fn set(name: &str) {
    ACTIVE.get_or_init(|| name.to_owned());
}

/// Whether the fault of this name is switched on.
#[cfg(mutations)]
pub fn active(name: &str) -> bool {
    ACTIVE.get().is_some_and(|active| active == name)
}

/// Whether the fault of this name is switched on: never, in this build.
#[cfg(not(mutations))]
pub const fn active(_name: &str) -> bool {
    false
}
