//! The state's hash: the same for the same seed, another for anything else.

use crate::built_in::{days, shipped};
use crate::journal::{assert_balanced, records};
use chaos::medium::Medium;
use chaos::simulation::{SimulatedDay, run};
use desk::fold::Books;
use desk::record::Record;
use market::money::Quantity;
use std::time::Duration;

/// Half an hour of the built-in market with the shipped strategies.
fn half_an_hour(seed: u64) -> (SimulatedDay, Medium) {
    let tomes = vec![shipped("gamma_scalper_sim"), shipped("credit_spread_simx")];
    let spec = days(seed, 1_800, Duration::from_secs(2), tomes);
    let medium = spec.medium.clone();
    let simulated = run(spec).unwrap();
    assert_balanced(&simulated);
    assert!(simulated.report.fills_by_strategy.len() == 2, "both strategies trade");
    (simulated, medium)
}

fn hash(records: &[Record]) -> String {
    let mut books = Books::default();
    records.iter().for_each(|record| books.apply_record(record));
    books.state_hash().whole
}

#[test]
fn one_seed_is_one_state_hash_and_another_seed_another() {
    let (first, _) = half_an_hour(1);
    let (again, _) = half_an_hour(1);
    let (other, _) = half_an_hour(2);
    assert_eq!(first.report.state_hash, again.report.state_hash);
    assert_eq!(first.report.journal_seq, again.report.journal_seq);
    assert_ne!(first.report.state_hash, other.report.state_hash);
}

#[test]
fn one_fill_latch_or_reservation_changed_in_the_journal_changes_the_hash() {
    let (simulated, medium) = half_an_hour(1);
    let records: Vec<Record> = records(&medium, simulated.report.journal_seq)
        .into_iter()
        .map(|(_, record)| record)
        .collect();
    let honest = hash(&records);
    assert_eq!(honest, simulated.report.state_hash);
    // The last of each kind, changed by the least that can be changed.
    let with = |change: &dyn Fn(&mut Record) -> bool| {
        let mut changed = records.clone();
        let done = changed.iter_mut().rev().any(change);
        assert!(done, "the journal has such a record");
        hash(&changed)
    };
    let fill = with(&|record| match record {
        Record::Filled { fill, .. } => {
            fill.quantity = Quantity(fill.quantity.0 + 1);
            true
        }
        _ => false,
    });
    let price = with(&|record| match record {
        Record::Filled { fill, .. } => {
            fill.price += market::money::Price::from_micros(1);
            true
        }
        _ => false,
    });
    let latch = with(&|record| match record {
        Record::Tripped { reason, .. } => {
            reason.push('.');
            true
        }
        _ => false,
    });
    let reservation = with(&|record| match record {
        Record::IntentApproved { order, .. } => {
            order.quantity = Quantity(order.quantity.0 + 1);
            true
        }
        _ => false,
    });
    let hashes = [&honest, &fill, &price, &latch, &reservation];
    let distinct: std::collections::BTreeSet<_> = hashes.into_iter().collect();
    assert_eq!(distinct.len(), hashes.len());
}
