//! The audit of a journal at rest: what the records alone can show.
//!
//! Nobody listened at the wire and no venue answers, so promises about the process (I12) are marked
//! as not evaluable, and of the others only the part that the records show is counted.

use crate::auditor::Auditor;
use crate::report::{AuditReport, Invariant};
use crate::settings::AuditSettings;
use market::time::Timestamp;
use store::{JournalError, Record};

/// What an invariant lacks when only a journal is read.
const WITHOUT: [(Invariant, &str); 5] = [
    (Invariant::I4, "no reconciliation with cash, or a booking without its instrument's terms"),
    (Invariant::I8, "needs a tap on the wire, the live state hash, or a record of a send"),
    (Invariant::I12, "restarts and the tree are not in the journal"),
    (Invariant::I13, "needs the moments of faults and of readiness"),
    (Invariant::I15, "no order was ever sent or Unknown"),
];

/// The journal could not be read to its end; the report covers what came before.
#[derive(Debug, thiserror::Error)]
#[error("the audit stopped after record {after}: {source}")]
pub struct OfflineError {
    /// The last record that was read.
    pub after: u64,
    /// What was found so far.
    pub report: Box<AuditReport>,
    /// Why the reading stopped.
    pub source: JournalError,
}

/// Audits the records of a journal, which begin with its first one. `chain_verified` is the verdict
/// of [`store::verify`]; a journal that was not verified is not judged whole.
///
/// # Errors
/// If a record can't be read; the report so far is in the error.
pub fn audit_journal(
    settings: AuditSettings,
    records: impl IntoIterator<Item = Result<Record, JournalError>>,
    chain_verified: bool,
) -> Result<AuditReport, OfflineError> {
    let mut auditor = Auditor::new(settings);
    auditor.on_chain_verified(chain_verified);
    let mut last = (0, Timestamp::EPOCH);
    for record in records {
        match record {
            Ok(record) => {
                last = (record.seq.0, Timestamp::from_nanos(record.time_ns));
                auditor.on_record(&record);
            }
            Err(source) => {
                auditor.on_finished(last.1);
                let report = Box::new(finished(&auditor));
                return Err(OfflineError { after: last.0, report, source });
            }
        }
    }
    auditor.on_finished(last.1);
    Ok(finished(&auditor))
}

fn finished(auditor: &Auditor) -> AuditReport {
    let mut report = auditor.report();
    for invariant in Invariant::ALL {
        if report.checks.get(invariant.name()).copied().unwrap_or(0) > 0 {
            continue;
        }
        let known = WITHOUT.iter().find(|(lacking, _)| *lacking == invariant);
        let why = known.map_or("the journal has no record of this kind", |(_, why)| *why);
        let sentence = format!("not evaluable offline: {why}");
        report.not_evaluable.insert(invariant.name().to_owned(), sentence);
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fact::Fact;
    use crate::scene::{approved, record};
    use market::quote::Side;

    #[test]
    fn what_a_journal_cannot_show_is_marked() {
        let order = Fact::IntentApproved(Box::new(approved(1, Side::Buy, 2, 2)));
        let records = [record(1, 1, &Fact::Started {}), record(2, 1, &order)];
        let records = records.into_iter().map(Ok);
        let report = audit_journal(AuditSettings::default(), records, true).unwrap();
        assert_eq!(report.records, 2);
        assert_eq!(report.violations, []);
        assert!(report.held(Invariant::I5) && report.held(Invariant::I11));
        assert!(report.not_evaluable["I12"].starts_with("not evaluable offline"));
        assert!(!report.not_evaluable.contains_key("I9"));
    }

    #[test]
    fn a_violation_in_the_records_is_found() {
        let mut order = approved(1, Side::Buy, 2, 2);
        order.evidence.quotes[0].live = false;
        let order = Fact::IntentApproved(Box::new(order));
        let records = [record(1, 1, &order)].into_iter().map(Ok);
        let report = audit_journal(AuditSettings::default(), records, true).unwrap();
        assert_eq!(report.violated.keys().collect::<Vec<_>>(), ["I9"]);
        assert_eq!(report.violations[0].seq, Some(1));
    }
}
