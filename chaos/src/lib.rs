//! Experiments on the whole node: simulation in virtual time, seeded schedules of faults, reports.
//!
//! The tree that is simulated is the tree that ships; only clock, disk, runtime and venue are
//! given. Verdicts come from the auditor, not from here.

pub mod disturbances;
pub mod medium;
pub mod plan;
pub mod report;
pub mod simulation;
