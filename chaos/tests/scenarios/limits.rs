//! What may pass: hedges when entries may not, and one of many against a limit of one.

use crate::hand::{Hand, STOCK, minute, option_id};
use crate::journal::{assert_balanced, records};
use crate::settings::{day, scalper};
use crate::wishes::wish;
use chaos::simulation::director::{Direction, Director, Stage};
use chaos::simulation::{SimulatedDay, run, run_directed};
use desk::record::Record;
use market::instrument::Right;
use market::money::Money;
use market::time::Timestamp;
use risk::setting::PerSymbol;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use trading::intent::{Purpose, Target};

/// Calm at first; from the fortieth minute on it moves by one per cent a minute.
fn calm_then_wild(seconds: u64) -> f64 {
    let wild = seconds >= 2_400 && (seconds / 60) % 2 == 1;
    if wild { 101.0 } else { 100.0 }
}

/// A strategy that is told of ReduceOnly wishes for nothing new: the wish is made in its name.
struct EntryOfItsOwn;

impl Director for EntryOfItsOwn {
    fn direct<'a>(&'a self, stage: Stage) -> Direction<'a> {
        Box::pin(async move {
            stage.until(minute(75)).await;
            wish(&stage, "late", option_id(0, 105, Right::Call), 1);
        })
    }
}

struct Evening {
    day: SimulatedDay,
    records: Vec<(Timestamp, Record)>,
}

/// One scalper holds a straddle from the calm on; another finds its first chain after an hour, in
/// the wild.
fn evening(conditions: &Value, loss_bound: Option<i64>) -> Evening {
    let mut hand = Hand::of(100, 10);
    let thirty_days = minute(0).plus(Duration::from_secs(30 * 86_400));
    hand.last_trades = vec![thirty_days, minute(60).plus(Duration::from_secs(5 * 86_400))];
    let holder = scalper("holder", &json!({"days_min": 20}), conditions);
    let late = scalper("late", &json!({"days_min": 3, "days_max": 4}), conditions);
    let mut spec = day(&hand, hand.along(calm_then_wild), vec![holder, late]);
    if let Some(bound) = loss_bound {
        spec.settings.breakers.daily_loss_max = Money::from_units(bound);
    }
    let medium = spec.medium.clone();
    let day = run_directed(spec, &EntryOfItsOwn).unwrap();
    assert_balanced(&day);
    let records = records(&medium, day.report.journal_seq);
    Evening { day, records }
}

impl Evening {
    /// Filled units of a strategy's hedges since `from`.
    fn hedges_filled(&self, from: Timestamp) -> usize {
        let hedged = |(at, record): &&(Timestamp, Record)| {
            let Record::Filled { fill, strategy, .. } = record else { return false };
            let own = strategy.as_ref().is_some_and(|id| id.as_str() == "holder");
            own && *at >= from && fill.con_id == STOCK
        };
        self.records.iter().filter(hedged).count()
    }

    fn entries_of(&self, strategy: &str) -> usize {
        let entry = |(_, record): &&(Timestamp, Record)| {
            let Record::IntentApproved { intent, .. } = record else { return false };
            intent.key.strategy.as_str() == strategy && intent.purpose == Purpose::Entry
        };
        self.records.iter().filter(entry).count()
    }

    fn denials_of(&self, strategy: &str) -> BTreeMap<String, u32> {
        let mut denials = BTreeMap::new();
        for (_, record) in &self.records {
            if let Record::IntentDenied { key, code, count, .. } = record
                && key.strategy.as_str() == strategy
            {
                *denials.entry(code.code().to_owned()).or_default() += count;
            }
        }
        denials
    }
}

#[test]
fn under_the_regime_veto_the_hedge_fills_and_an_entry_is_denied() {
    let calm_only = json!({"realised_vol_max": 0.5});
    let evening = evening(&calm_only, None);
    assert_eq!(evening.entries_of("holder"), 1);
    assert!(evening.hedges_filled(minute(45)) >= 3);
    assert_eq!(evening.entries_of("late"), 0);
    let denials = evening.denials_of("late");
    assert!(denials.get("REGIME_VETO").is_some_and(|count| *count >= 1), "{denials:?}");
}

#[test]
fn with_the_veto_and_the_loss_breaker_tripped_the_hedge_fills_and_an_entry_is_denied() {
    let calm_only = json!({"realised_vol_max": 0.5});
    let evening = evening(&calm_only, Some(5));
    let tripped = evening.day.folded.books.latches.tripped.keys();
    let names: Vec<String> = tripped.map(|latch| format!("{latch:?}")).collect();
    assert!(names.iter().any(|name| name.contains("loss")), "{names:?}");
    assert_eq!(evening.entries_of("holder"), 1);
    assert!(evening.hedges_filled(minute(45)) >= 3);
    assert_eq!(evening.entries_of("late"), 0);
    let denials = evening.denials_of("late");
    assert!(denials.get("REDUCE_ONLY").is_some_and(|count| *count >= 1), "{denials:?}");
}

#[test]
fn without_veto_and_breaker_the_late_entry_passes() {
    // The scene's own control: what is denied above is denied for these reasons alone.
    let evening = evening(&json!({}), None);
    assert_eq!(evening.entries_of("late"), 2, "{:?}", evening.denials_of("late"));
}

const BURST: usize = 6;

/// Several strategies that want the same straddle at the same view.
fn burst(
    change: impl FnOnce(&mut risk::limits::Limits),
) -> (SimulatedDay, Vec<(Timestamp, Record)>) {
    let hand = Hand::of(20, 10);
    let tomes = (0..BURST)
        .map(|number| {
            let patient = json!({
                "cross_percent": 100, "valid_seconds": 30,
                "backoff_first_seconds": 600, "backoff_max_seconds": 3_600,
            });
            // Of different sizes, lest the second one be taken for the first one again.
            let units = 3 + number;
            let changes = json!({"order": patient, "hedge_band_units": 1e6, "units": units});
            scalper(&format!("burst_{number}"), &changes, &json!({}))
        })
        .collect();
    let mut spec = day(&hand, hand.along(|_| 100.0), tomes);
    change(&mut spec.settings.limits);
    let medium = spec.medium.clone();
    let day = run(spec).unwrap();
    assert_balanced(&day);
    let records = records(&medium, day.report.journal_seq);
    (day, records)
}

/// Entries approved, and entries denied by code, within a second of the first approval.
fn in_the_burst(records: &[(Timestamp, Record)]) -> (usize, BTreeMap<String, u32>) {
    let approved = |record: &Record| matches!(record, Record::IntentApproved { .. });
    let first = records.iter().find(|(_, record)| approved(record)).unwrap().0;
    let (mut passed, mut denied) = (0, BTreeMap::new());
    for (at, record) in records {
        let together = at.since(first) < Duration::from_secs(1) && *at >= first;
        match record {
            Record::IntentApproved { intent, .. } if together => {
                assert!(matches!(intent.target, Target::Combo { .. }));
                passed += 1;
            }
            Record::IntentDenied { code, count, .. } if together => {
                *denied.entry(code.code().to_owned()).or_default() += count;
            }
            _ => {}
        }
    }
    (passed, denied)
}

#[test]
fn of_a_burst_of_intents_against_a_vega_limit_of_one_exactly_one_passes() {
    // Three straddles of thirty days have a vega of about 68 a point, four of 91.
    let (day, records) = burst(|limits| limits.vega_max_per_point = PerSymbol::all(100));
    let (passed, denied) = in_the_burst(&records);
    assert_eq!(passed, 1);
    assert_eq!(denied, BTreeMap::from([("VEGA_LIMIT".to_owned(), BURST as u32 - 1)]));
    assert_eq!(day.report.approved, 1, "nor does another pass later");
}

#[test]
fn of_a_burst_of_intents_against_one_order_a_second_exactly_one_passes() {
    let (_, records) = burst(|limits| limits.orders_per_second_max = 1);
    let (passed, denied) = in_the_burst(&records);
    assert_eq!(passed, 1);
    assert_eq!(denied, BTreeMap::from([("ORDER_RATE".to_owned(), BURST as u32 - 1)]));
}

#[test]
fn without_a_narrow_limit_the_whole_burst_passes() {
    let (_, records) = burst(|_| {});
    let (passed, denied) = in_the_burst(&records);
    assert_eq!((passed, denied), (BURST, BTreeMap::new()));
}
