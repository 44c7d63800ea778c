//! What happens to positions by itself: early assignment, and an expiry while the node is down.

use crate::hand::{Hand, STOCK, minute, start};
use crate::journal::{assert_balanced, positions, records};
use crate::settings::{call_seller, day, scalper};
use chaos::simulation::director::{Direction, Director, Stage};
use chaos::simulation::{run, run_directed};
use desk::record::Record;
use exchange::day::{midnight_utc, utc_day};
use market::money::Price;
use serde_json::json;
use std::time::Duration;
use trading::lifecycle::LifecycleKind;

#[test]
fn short_calls_are_assigned_early_on_the_eve_of_the_ex_date_and_the_books_follow() {
    let mut hand = Hand::of(100, 10);
    // The last hour and a half of the day before the stock goes ex.
    let midnight = midnight_utc(utc_day(start()).plus_days(1));
    hand.from = midnight.minus(Duration::from_secs(5_400));
    hand.last_trades = vec![midnight.plus(Duration::from_secs(9 * 86_400))];
    // Sold near the money, then carried deep into it: their time value falls below the dividend.
    let risen = |seconds: u64| (seconds.saturating_sub(900) as f64 / 2_700.0).min(1.0);
    let path = |seconds: u64| 100.0 + 12.0 * risen(seconds);
    let market = hand.along(path);
    let tome = call_seller("seller", &json!({}));
    let mut spec = day(&hand, market, vec![tome]);
    spec.dividends = vec![(STOCK, utc_day(midnight), Price::parse("1.00").unwrap())];
    let medium = spec.medium.clone();
    let simulated = run(spec).unwrap();
    assert_balanced(&simulated);
    let assigned: Vec<(Quantities, bool)> = records(&medium, simulated.report.journal_seq)
        .into_iter()
        .filter_map(|(_, record)| match record {
            Record::Lifecycle { event, .. } => match event.kind {
                LifecycleKind::Assigned { quantity, delivery, .. } => {
                    let delivered = delivery.map(|delivery| delivery.quantity.0);
                    Some(((quantity.0, delivered), event.time == midnight))
                }
                _ => None,
            },
            _ => None,
        })
        .collect();
    // Three calls were sold; each delivers a hundred shares, on the eve and not at their expiry.
    assert_eq!(assigned, [((-3, Some(-300)), true)], "{:?}", simulated.report.lifecycle);
    assert!(simulated.report.lifecycle["dividend"] >= 1, "{:?}", simulated.report.lifecycle);
}

type Quantities = (i64, Option<i64>);

/// Minutes from the start.
const EXPIRY: u64 = 360;

/// Crashes the whole node a second before the expiry; it is back seconds after it.
struct DownAtExpiry;

impl Director for DownAtExpiry {
    fn direct<'a>(&'a self, stage: Stage) -> Direction<'a> {
        Box::pin(async move {
            if stage.life == 1 {
                stage.until(minute(EXPIRY).minus(Duration::from_secs(1))).await;
                stage.faults.crash();
            }
        })
    }
}

#[test]
fn a_position_that_expires_while_the_node_is_down_comes_back_balanced_by_named_events() {
    let hand = Hand::of_the_last_day(EXPIRY + 30, EXPIRY);
    let market = hand.along(|seconds| if seconds < (EXPIRY - 30) * 60 { 100.0 } else { 103.0 });
    let changes = json!({"days_min": 0, "days_max": 0, "close_days": 0});
    let tome = scalper("scalper", &changes, &json!({}));
    let spec = day(&hand, market, vec![tome]);
    let medium = spec.medium.clone();
    let simulated = run_directed(spec, &DownAtExpiry).unwrap();
    assert_eq!(simulated.report.lives, 2);
    assert_balanced(&simulated);
    let records = records(&medium, simulated.report.journal_seq);
    let starts: Vec<_> = records
        .iter()
        .filter(|(_, record)| matches!(record, Record::Started { .. }))
        .map(|(at, _)| *at)
        .collect();
    let (Some(died), Some(back)) = (starts.first(), starts.get(1)) else {
        panic!("two lives begin, {starts:?}")
    };
    assert!(*died < minute(EXPIRY) && minute(EXPIRY) < *back, "it was down at the expiry");
    // Call and put each ended by an event of its own, told only after the restart.
    let bought = records.iter().filter_map(|(_, record)| match record {
        Record::Filled { fill, .. } if fill.con_id != STOCK => Some((fill.con_id, fill.quantity.0)),
        _ => None,
    });
    let mut bought: Vec<_> = bought.collect();
    bought.sort_unstable();
    assert_eq!(bought.len(), 2, "a straddle: {bought:?}, denied {:?}", simulated.report.denied);
    let mut ended = Vec::new();
    for (at, record) in &records {
        if let Record::Lifecycle { event, .. } = record {
            match event.kind {
                LifecycleKind::Exercised { con_id, quantity, .. }
                | LifecycleKind::Expired { con_id, quantity } => {
                    assert!(at >= back && event.time == minute(EXPIRY), "{event:?} at {at}");
                    ended.push((con_id, quantity.0));
                }
                _ => {}
            }
        }
    }
    ended.sort_unstable();
    assert_eq!(ended, bought);
    assert!(simulated.folded.books.desk.restricted.is_empty(), "no break is left unexplained");
    let (own, _) = positions(&simulated);
    assert!(bought.iter().all(|(con_id, _)| !own.contains_key(con_id)));
}
