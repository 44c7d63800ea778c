//! What the auditor found: how often each invariant was evaluated and where one did not hold.
//!
//! The tally is the only way to a verdict: a check that is not counted here was not made. The list
//! of violations is bounded per invariant; their number is not.

use market::time::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// Violations that are kept in full for each invariant; more are only counted.
pub const VIOLATIONS_KEPT_PER_INVARIANT: usize = 32;

/// The promises that are checked here, by their number in the design.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Invariant {
    /// At most one live order per intent.
    I1,
    /// Every execution once.
    I2,
    /// Positions follow from events.
    I3,
    /// Cash follows from events.
    I4,
    /// Limits hold in the worst case.
    I5,
    /// A halt holds.
    I6,
    /// The wire carries what was approved.
    I7,
    /// Durable first, and the fold equals the live state.
    I8,
    /// Fresh data only.
    I9,
    /// The journal has no gap.
    I11,
    /// Restarts are bounded.
    I12,
    /// Ready within the budget, and no order before.
    I13,
    /// Unknown orders are resolved by the rule.
    I15,
}

impl Invariant {
    /// All that are checked, in order.
    pub const ALL: [Self; 13] = [
        Self::I1,
        Self::I2,
        Self::I3,
        Self::I4,
        Self::I5,
        Self::I6,
        Self::I7,
        Self::I8,
        Self::I9,
        Self::I11,
        Self::I12,
        Self::I13,
        Self::I15,
    ];

    /// Its name, such as `I5`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::I1 => "I1",
            Self::I2 => "I2",
            Self::I3 => "I3",
            Self::I4 => "I4",
            Self::I5 => "I5",
            Self::I6 => "I6",
            Self::I7 => "I7",
            Self::I8 => "I8",
            Self::I9 => "I9",
            Self::I11 => "I11",
            Self::I12 => "I12",
            Self::I13 => "I13",
            Self::I15 => "I15",
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One place where an invariant did not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Which, such as `I5`.
    pub invariant: String,
    /// The journal record that shows it, if one does.
    pub seq: Option<u64>,
    /// The record's time, or when the auditor was told.
    pub time: Timestamp,
    /// What is wrong, with the figures.
    pub sentence: String,
}

/// The auditor's verdict so far.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize)]
pub struct AuditReport {
    /// Evaluations per invariant; every invariant has an entry.
    pub checks: BTreeMap<String, u64>,
    /// The first violations of each invariant, in the order in which they were found.
    pub violations: Vec<Violation>,
    /// All violations per invariant; absent is none.
    pub violated: BTreeMap<String, u64>,
    /// Invariants that could not be evaluated, and why.
    pub not_evaluable: BTreeMap<String, String>,
    /// Records that were read.
    pub records: u64,
    /// Records of kinds that this build does not know, by kind.
    pub unknown_kinds: BTreeMap<u16, u64>,
    /// Wire events whose records have not come yet.
    pub wire_events_waiting: usize,
}

impl AuditReport {
    /// All violations, also those that are not kept.
    #[must_use]
    pub fn violations_total(&self) -> u64 {
        self.violated.values().sum()
    }

    /// It was evaluated and never violated.
    #[must_use]
    pub fn held(&self, invariant: Invariant) -> bool {
        let evaluated = self.checks.get(invariant.name()).is_some_and(|count| *count > 0);
        evaluated && !self.violated.contains_key(invariant.name())
    }

    /// Invariants that did not hold, evaluated or not.
    #[must_use]
    pub fn not_held(&self) -> Vec<Invariant> {
        Invariant::ALL.into_iter().filter(|invariant| !self.held(*invariant)).collect()
    }
}

/// Where a check is made: a record or a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The record.
    pub seq: Option<u64>,
    /// When.
    pub time: Timestamp,
}

impl Place {
    /// A moment without a record.
    #[must_use]
    pub const fn moment(time: Timestamp) -> Self {
        Self { seq: None, time }
    }
}

/// Counts evaluations and keeps violations.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    checks: BTreeMap<Invariant, u64>,
    violated: BTreeMap<Invariant, u64>,
    violations: Vec<Violation>,
}

impl Tally {
    /// Counts one evaluation of `invariant`; where it does not hold, keeps the sentence.
    pub fn check(
        &mut self,
        invariant: Invariant,
        place: Place,
        holds: bool,
        sentence: impl FnOnce() -> String,
    ) {
        *self.checks.entry(invariant).or_default() += 1;
        if holds {
            return;
        }
        let count = self.violated.entry(invariant).or_default();
        *count += 1;
        if *count <= VIOLATIONS_KEPT_PER_INVARIANT as u64 {
            self.violations.push(Violation {
                invariant: invariant.name().to_owned(),
                seq: place.seq,
                time: place.time,
                sentence: sentence(),
            });
        }
    }

    /// The report, but for what only the auditor knows.
    #[must_use]
    pub fn report(&self) -> AuditReport {
        let count = |invariant: &Invariant| self.checks.get(invariant).copied().unwrap_or(0);
        AuditReport {
            checks: Invariant::ALL
                .iter()
                .map(|invariant| (invariant.name().to_owned(), count(invariant)))
                .collect(),
            violations: self.violations.clone(),
            violated: self
                .violated
                .iter()
                .map(|(invariant, count)| (invariant.name().to_owned(), *count))
                .collect(),
            ..AuditReport::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_never_evaluated_did_not_hold() {
        let mut tally = Tally::default();
        tally.check(Invariant::I5, Place::moment(Timestamp::EPOCH), true, String::new);
        let report = tally.report();
        assert!(report.held(Invariant::I5));
        assert!(!report.held(Invariant::I6));
        assert_eq!(report.not_held().len(), Invariant::ALL.len() - 1);
    }

    #[test]
    fn violations_are_bounded_and_counted() {
        let mut tally = Tally::default();
        for _ in 0..100 {
            tally.check(Invariant::I2, Place::moment(Timestamp::EPOCH), false, String::new);
        }
        let report = tally.report();
        assert_eq!(report.violations.len(), VIOLATIONS_KEPT_PER_INVARIANT);
        assert_eq!(report.violations_total(), 100);
    }
}
