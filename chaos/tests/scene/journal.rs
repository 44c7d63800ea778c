//! What a scene left in its journal, read back record by record.

use chaos::medium::Medium;
use chaos::simulation::SimulatedDay;
use desk::record::Record;
use market::instrument::ConId;
use market::time::Timestamp;
use std::collections::BTreeMap;
use store::{Seq, read_from};

/// Every record of the desk's kinds up to `last`, with the market time at which it was appended.
pub fn records(medium: &Medium, last: u64) -> Vec<(Timestamp, Record)> {
    read_from(medium.disk(), Seq(1), Some(Seq(last)))
        .map(|record| record.unwrap())
        .filter(|record| record.kind != store::envelope::CONTROL_KIND)
        .map(|record| {
            let decoded = Record::decode(record.kind, record.schema_version, &record.payload);
            (Timestamp::from_nanos(record.time_ns), decoded.unwrap())
        })
        .collect()
}

/// Positions by the node's books and by the venue's, flat ones left out.
pub fn positions(day: &SimulatedDay) -> (BTreeMap<ConId, i64>, BTreeMap<ConId, i64>) {
    let own = day.folded.books.desk.ledger.positions();
    let own = own.iter().map(|(con_id, held)| (*con_id, held.0)).filter(|(_, held)| *held != 0);
    let venue = day.venue.with_exchange(|exchange| exchange.positions());
    let venue = venue.into_iter().map(|(con_id, held)| (con_id, held.0));
    (own.collect(), venue.collect())
}

/// Both books agree on positions and cash, and the auditor found nothing.
pub fn assert_balanced(day: &SimulatedDay) {
    let report = &day.report;
    assert_eq!(report.violations, 0, "{:#?}", report.violated);
    let (own, venue) = positions(day);
    assert_eq!(own, venue);
    let own = day.folded.books.desk.ledger.cash();
    for (currency, amount) in day.venue.with_exchange(|exchange| exchange.cash()) {
        assert_eq!(own.get(&currency), Some(&amount), "cash in {currency}");
    }
}
