//! The supervision runtime: what hosts a role, restarts it, addresses it, and breaks it on purpose.
//!
//! Everything here is written once for all roles and knows nothing of trading. The same code runs
//! the node (several single-threaded runtimes) and the simulation (one paused runtime): time comes
//! from [`clock::Clock`] alone, every order of events is our own, decisions are in the pure machine
//! [`supervision`]. Roles live beside this module, one per file.

mod alarm;
pub mod board;
pub mod clock;
pub mod fault;
mod hand_over;
mod life;
pub mod metrics;
pub mod panic_hook;
pub mod policy;
pub mod protocol;
mod random;
pub mod role;
pub mod role_ref;
mod shell;
pub mod slot;
pub mod specification;
pub mod supervision;
mod supervisor;
mod sync;
pub mod tree;
pub mod watchdog;
