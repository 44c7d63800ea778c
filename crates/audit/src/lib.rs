//! The independent auditor: it reads the journal with its own decoder, adds up with its own
//! arithmetic, listens at the venue's side of the wire, and says which promises held.
//!
//! It shares no code with the rooms that it checks (no orders, ledger or limits of `trading`,
//! `desk` or `risk`): one misreading must not pass its own test. It counts its evaluations: an
//! invariant that was never evaluated did not hold. Checked here are I1 to I9, I11 to I13 and I15;
//! I10 (combo ratios) and I14 (visibility of faults) are left to later rooms. The journal's chain
//! itself is verified by `store`, which the caller reports.
//!
//! Reading order: [`auditor`] (the inputs), [`fact`] (what is read of a record), [`orders`] and
//! [`executions`] (the two folds that the invariants share), then one file per invariant.

pub mod auditor;
pub mod executions;
pub mod fact;
mod invariant;
#[cfg(test)]
mod lives;
pub mod offline;
pub mod orders;
pub mod report;
#[cfg(test)]
mod scene;
pub mod settings;
pub mod truth;
pub mod wire;

pub use auditor::Auditor;
pub use offline::{OfflineError, audit_journal};
pub use report::{AuditReport, Invariant, Violation};
pub use settings::{AuditSettings, InstrumentTerms, RestartBound};
pub use truth::{ExecutionTruth, VenueTruth};
pub use wire::{WireEvent, WireOrder};
