//! The report of a simulated day: what was quoted, wished, denied, ordered, filled and killed, and
//! what the auditor says of it. Counts come from the durable journal, not from memories of actors.

use crate::plan::Matrix;
use audit::Violation;
use desk::fold::{Books, FoldError};
use desk::record::Record;
use market::instrument::Catalog;
use market::money::Money;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{Disk, JournalError, Seq, read_from};
use trading::report::Fill;

/// The version of the report's JSON; fields are only ever added.
pub const SCHEMA_VERSION: u32 = 1;

/// Money as decimal text.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ResultOfTheDay {
    /// Cash.
    pub cash: String,
    /// Fees paid.
    pub fees: String,
    /// Realised, before fees.
    pub realised: String,
    /// Unrealised at the last marks; none while a mark is missing.
    pub unrealised: Option<String>,
}

/// What one strategy holds of one instrument.
#[derive(Clone, Debug, Serialize)]
pub struct PositionOfTheDay {
    /// Whose.
    pub strategy: String,
    /// The instrument in words.
    pub contract: String,
    /// Its id.
    pub con_id: u32,
    /// Signed units.
    pub quantity: i64,
}

/// The report.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DayReport {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Where the market came from, and what was assumed of it.
    pub source: String,
    /// The day.
    pub day: String,
    /// How options are priced.
    pub pricing: String,
    /// Quotes that the venue published.
    pub quotes: u64,
    /// Per second of wall time, start-up excluded.
    pub quotes_per_s: f64,
    /// Seconds of wall time, start-up excluded.
    pub wall_s: f64,
    /// Implied vols solved, moved underlyings included.
    pub implied_vols: u64,
    /// Fresh two-sided option quotes.
    pub fresh_quotes: u64,
    /// Of these, those with an implied vol of their own.
    pub fresh_quotes_with_vol: u64,
    /// Share of fresh two-sided option quotes with an implied vol of their own.
    pub implied_vol_share: f64,
    /// Verdicts of the quality gates, by flaw.
    pub flaws: BTreeMap<String, u64>,
    /// Intents that the gate judged.
    pub intents: u64,
    /// Approved.
    pub approved: u64,
    /// Denied, by code.
    pub denied: BTreeMap<String, u64>,
    /// Orders written to the wire.
    pub orders: u64,
    /// Executions.
    pub fills: u64,
    /// Executions per strategy.
    pub fills_by_strategy: BTreeMap<String, u64>,
    /// Orders by how they ended.
    pub ended: BTreeMap<String, u64>,
    /// Orders whose fate was once not known.
    pub unknown: u64,
    /// Of these, proven absent.
    pub abandoned: u64,
    /// Lifecycle events, by kind.
    pub lifecycle: BTreeMap<String, u64>,
    /// The result.
    pub pnl: ResultOfTheDay,
    /// Positions at the end.
    pub positions: Vec<PositionOfTheDay>,
    /// Restarts after failures.
    pub restarts: u64,
    /// Whole lives of the node.
    pub lives: u32,
    /// Kills by role.
    pub kills: BTreeMap<String, u32>,
    /// Faults that struck, by kind: one for each message that was delayed, dropped and so on.
    pub faults: BTreeMap<String, u64>,
    /// Kills by role and step of the order protocol.
    pub kill_matrix: Matrix,
    /// Share of kills with an intent on its way, in thousandths.
    pub kills_in_flight_permille: u32,
    /// Planned strikes that the day was too short for.
    pub strikes_left: usize,
    /// Evaluations by invariant.
    pub checks: BTreeMap<String, u64>,
    /// Violations.
    pub violations: u64,
    /// The first of each invariant, in words.
    pub violated: Vec<Violation>,
    /// What was told to a person.
    pub alarms: Vec<String>,
    /// The last durable record.
    pub journal_seq: u64,
    /// The hash of the folded state.
    pub state_hash: String,
}

/// The journal of a day can't be read back.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A record can't be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A record can't be folded.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// A record can't be decoded.
    #[error(transparent)]
    Record(#[from] desk::record::RecordError),
}

/// What the journal says of the day.
#[derive(Debug, Default)]
pub struct Folded {
    /// The state at the end.
    pub books: Books,
    /// The fills, as booked.
    pub fills: Vec<Fill>,
    /// The fees, as reported.
    pub fees: BTreeMap<String, Money>,
    /// Lifecycle events, as booked.
    pub lifecycle: Vec<trading::lifecycle::LifecycleEvent>,
}

impl DayReport {
    /// Counts the records of the whole journal and folds them.
    ///
    /// # Errors
    /// When a record can't be read, decoded or folded.
    pub fn count(&mut self, disk: &Arc<dyn Disk>, up_to: Seq) -> Result<Folded, ReportError> {
        let mut folded = Folded::default();
        for record in read_from(Arc::clone(disk), Seq(1), Some(up_to)) {
            let record = record?;
            let (kind, version) = (record.kind, record.schema_version);
            folded.books.apply(record.seq, record.epoch, kind, version, &record.payload)?;
            if kind == store::envelope::CONTROL_KIND {
                continue;
            }
            self.count_record(Record::decode(kind, version, &record.payload)?, &mut folded);
        }
        self.journal_seq = up_to.0;
        self.state_hash = folded.books.state_hash().whole;
        Ok(folded)
    }

    fn count_record(&mut self, record: Record, folded: &mut Folded) {
        match record {
            Record::IntentApproved { .. } => {
                self.intents += 1;
                self.approved += 1;
            }
            Record::IntentDenied { code, count, .. } => {
                self.intents += u64::from(count);
                *self.denied.entry(code.code().to_owned()).or_default() += u64::from(count);
            }
            Record::Sent { .. } => self.orders += 1,
            Record::Unknown { .. } => self.unknown += 1,
            Record::Abandoned { .. } => self.abandoned += 1,
            Record::Ended { end, .. } => {
                *self.ended.entry(format!("{end:?}").to_lowercase()).or_default() += 1;
            }
            Record::Filled { fill, strategy, .. } => {
                self.fills += 1;
                let whose = strategy.map_or_else(|| "external".to_owned(), |id| id.to_string());
                *self.fills_by_strategy.entry(whose).or_default() += 1;
                folded.fills.push(fill);
            }
            Record::Fee { exec_id, amount, .. } => {
                folded.fees.insert(exec_id.0, amount);
            }
            Record::Lifecycle { event, .. } => {
                let kind = format!("{:?}", event.kind);
                let name = kind.split([' ', '{']).next().unwrap_or_default().to_lowercase();
                *self.lifecycle.entry(name).or_default() += 1;
                folded.lifecycle.push(event);
            }
            _ => {}
        }
    }

    /// Positions in words.
    pub fn describe(&mut self, books: &Books, catalog: &Catalog) {
        let ledger = &books.desk.ledger;
        for strategy in ledger.strategies() {
            for (con_id, quantity) in ledger.strategy_positions(&strategy) {
                let name = catalog.get(con_id).map_or_else(
                    |_| con_id.to_string(),
                    |instrument| instrument.local_symbol.clone(),
                );
                self.positions.push(PositionOfTheDay {
                    strategy: strategy.to_string(),
                    contract: name,
                    con_id: con_id.0,
                    quantity: quantity.0,
                });
            }
        }
    }
}
