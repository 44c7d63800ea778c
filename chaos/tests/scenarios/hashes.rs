//! The state's hash: the same for the same seed, another for anything else.

use crate::hand::start;
use crate::journal::{assert_balanced, records};
use crate::settings::node;
use actors::node::Product;
use chaos::medium::Medium;
use chaos::simulation::{SimulatedDay, SimulationSpec, run};
use desk::fold::Books;
use desk::record::Record;
use exchange::builtin::BuiltinMarket;
use exchange::{ExchangeConfig, MarketSource};
use market::calendar::Calendar;
use market::money::Quantity;
use market::quality::Gates;
use std::sync::Arc;
use std::time::Duration;
use strategy::tome::Tome;
use valuation::book::BookSettings;

/// A shipped tome.
fn shipped(id: &str) -> Tome {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/strategies");
    let text = std::fs::read_to_string(format!("{folder}/{id}.json")).unwrap();
    Tome::parse(&format!("{id}.json"), &text).unwrap()
}

/// Half an hour of the built-in market with the shipped strategies.
fn half_an_hour(seed: u64) -> (SimulatedDay, Medium) {
    let market = BuiltinMarket::new(seed, start()).with_interval(Duration::from_secs(2));
    let products = ["SIM", "SIMX"].map(|symbol| Product {
        symbol: symbol.to_owned(),
        instruments: {
            let all = BuiltinMarket::new(seed, start()).next_step().listed;
            all.into_iter().filter(|one| one.symbol == symbol).collect()
        },
        calendar: Arc::new(Calendar::round_the_clock()),
        gates: Gates::default(),
        settings: BookSettings::default(),
        dividends: market::corporate_action::DividendSchedule::default(),
    });
    let medium = Medium::memory();
    let tomes = vec![shipped("gamma_scalper_sim"), shipped("credit_spread_simx")];
    let simulated = run(SimulationSpec {
        source: "built in".to_owned(),
        day: "2026-11-23".to_owned(),
        market: MarketSource::Builtin(Box::new(market)),
        products: products.to_vec(),
        exchange: ExchangeConfig::default(),
        dividends: Vec::new(),
        start: start(),
        end: start().plus(Duration::from_secs(1_800)),
        speed_permille: 1_000,
        settings: node(tomes),
        seed,
        chaos: None,
        medium: medium.clone(),
        progress: None,
    });
    let simulated = simulated.unwrap();
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
