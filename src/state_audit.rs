//! `optionsib audit STATE`: the invariants on a journal at rest, with the auditor's own decoder.
//!
//! What only the wire or the venue can show is not evaluable here and is said so; `replay` and a
//! running node check that part.

use crate::cli::Output;
use crate::failure::Failure;
use crate::state_tools::{damaged, disk};
use crate::terminal;
use audit::{AuditReport, AuditSettings};
use serde::Serialize;
use std::path::Path;

#[derive(Serialize)]
struct Audited<'a> {
    schema_version: u32,
    violations_total: u64,
    #[serde(flatten)]
    report: &'a AuditReport,
}

/// Audits the journal in `state` and prints the report.
///
/// # Errors
/// No journal, a damaged one, or a violated invariant (after the report was printed).
pub fn audit(state: &Path, output: Output) -> Result<(), Failure> {
    let disk = disk(state)?;
    let whole = store::verify(disk.as_ref()).map_err(|error| damaged(&error))?;
    if whole.torn.is_some() && !output.quiet {
        let last = whole.last_seq;
        eprintln!("the end of the journal is torn or being written: audited up to seq {last}");
    }
    let records = store::read_from(disk, whole.first_seq, Some(whole.last_seq));
    let report = audit::audit_journal(AuditSettings::default(), records, true)
        .map_err(|error| damaged(&error.source))?;
    if output.json {
        let violations_total = report.violations_total();
        terminal::print_json(&Audited { schema_version: 1, violations_total, report: &report })?;
    } else {
        terminal::print(&table(&report))?;
    }
    match report.violations_total() {
        0 => Ok(()),
        violations => Err(Failure::internal(format!("{violations} violations in the journal"))
            .next("`optionsib journal show --from SEQ` shows the records around each")),
    }
}

fn table(report: &AuditReport) -> String {
    let mut text = format!("{} records\n", report.records);
    for (invariant, checks) in &report.checks {
        let violated = report.violated.get(invariant).copied().unwrap_or(0);
        let verdict = match report.not_evaluable.get(invariant) {
            Some(why) => why.clone(),
            None if violated > 0 => format!("VIOLATED {violated} times"),
            None => "held".to_owned(),
        };
        text.push_str(&format!("{invariant:<4} {checks:>10} checks  {verdict}\n"));
    }
    for violation in &report.violations {
        let seq = violation.seq.map_or_else(|| "-".to_owned(), |seq| seq.to_string());
        let audit::Violation { invariant, time, sentence, .. } = violation;
        text.push_str(&format!("{invariant} at seq {seq}, {time}: {sentence}\n"));
    }
    for (kind, count) in &report.unknown_kinds {
        text.push_str(&format!("{count} records of kind {kind} are unknown to this build\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;
    use std::collections::BTreeMap;

    #[test]
    fn the_table_tells_held_violated_and_not_evaluable_apart() {
        let name = |text: &str| text.to_owned();
        let report = AuditReport {
            checks: BTreeMap::from([(name("I1"), 5), (name("I2"), 7), (name("I12"), 0)]),
            violated: BTreeMap::from([(name("I2"), 1)]),
            not_evaluable: BTreeMap::from([(name("I12"), name("not evaluable offline"))]),
            records: 9,
            ..AuditReport::default()
        };
        let text = table(&report);
        assert!(text.contains("I1            5 checks  held"), "{text}");
        assert!(text.contains("I2            7 checks  VIOLATED 1 times"), "{text}");
        assert!(text.contains("I12           0 checks  not evaluable offline"), "{text}");
    }

    #[test]
    fn a_folder_without_a_journal_can_not_be_audited() {
        let folder = tempfile::tempdir().unwrap();
        let failure = audit(folder.path(), Output::default()).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
    }
}
