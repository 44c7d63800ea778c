//! The node: command line, configuration, control API, logs and metrics around the tree of roles.
//!
//! It parses, wires and serves, and decides no trade. A library so that end-to-end tests and
//! benchmarks use the same words as the binary, whose `main` is one call.
//!
//! Reading order: [`cli`] and [`dispatch`] (what can be asked), [`configuration`], [`control`] (the
//! seam to the tree), [`api`] and [`client`] (the two ends of the wire), [`halting`].

pub mod api;
pub mod cli;
pub mod client;
pub mod configuration;
pub mod control;
pub mod dispatch;
pub mod failure;
pub mod gateway;
pub mod halting;
pub mod option_tables;
pub mod panic_cancel;
pub mod replay;
pub mod run;
pub mod state_audit;
pub mod state_tools;
pub mod surface;
pub mod telemetry;
pub mod terminal;
