//! Faults of our own in the shells, switched on by name at run time in builds with `--cfg
//! mutations` only, so that a test can show that the auditor turns red. In every other build
//! [`active`] is constantly false.
//!
//! | name | what goes wrong | promise |
//! |---|---|---|
//! | `ignore_intensity` | a role that failed too often is restarted all the same | I12 |

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
