//! An expected downtime: no entry before and in it, hedges all the same, a restart of the gateway
//! that alarms nobody, and trading afterwards.

use crate::hand::{Hand, minute, option_id};
use crate::journal::{assert_balanced, records};
use crate::settings::{day, scalper};
use crate::wishes::wish;
use broker::downtime::{DowntimeKind, DowntimeRow, DowntimeSchedule, DowntimeSettings, Weekday};
use broker::link::LinkState;
use broker::simulated::faults::{Fault, LinkFault, Moment};
use chaos::simulation::director::{Direction, Director, Stage};
use chaos::simulation::run_directed;
use desk::record::Record;
use market::instrument::Right;
use serde_json::json;
use std::cell::Cell;
use std::time::Duration;
use trading::intent::Purpose;

/// The hand-made day is a Monday that begins at noon: fifteen minutes from its fiftieth on.
fn schedule() -> DowntimeSchedule {
    let restart = DowntimeRow {
        kind: DowntimeKind::GatewayRestart,
        days: vec![Weekday::Monday],
        at: "12:50".to_owned(),
        minutes: 15,
    };
    let settings =
        DowntimeSettings { zone: "UTC".to_owned(), freeze_minutes: 5, expected: vec![restart] };
    DowntimeSchedule::new(&settings).unwrap()
}

#[derive(Default)]
struct Restart {
    was_down: Cell<bool>,
    came_back: Cell<bool>,
}

impl Director for Restart {
    fn direct<'a>(&'a self, stage: Stage) -> Direction<'a> {
        Box::pin(async move {
            stage.until(minute(47)).await;
            wish(&stage, "late", option_id(0, 105, Right::Call), 1);
            stage.until(minute(51)).await;
            let restart = LinkFault::Restart { lasting: Duration::from_secs(120) };
            let fault = Fault::Link { at: Moment::Now, fault: restart };
            stage.venue.arm(fault, stage.clock.now().market).unwrap();
            // Between two attempts.
            stage.until(minute(52).plus(Duration::from_secs(10))).await;
            self.was_down.set(stage.parts.link.load().state == LinkState::Down);
            // Two minutes, and at most half a minute until it is tried.
            stage.until(minute(54)).await;
            self.came_back.set(stage.parts.link.load().state == LinkState::Ready);
        })
    }
}

#[test]
fn around_a_restart_that_is_expected_hedges_pass_entries_wait_and_nobody_is_alarmed() {
    // Two scalpers: one holds a straddle from the start on and hedges each minute from the fortieth
    // on; the other finds its first chain in the sixtieth.
    let mut hand = Hand::of(100, 10);
    let thirty_days = minute(0).plus(Duration::from_secs(30 * 86_400));
    hand.last_trades = vec![thirty_days, minute(60).plus(Duration::from_secs(5 * 86_400))];
    let holder = scalper("holder", &json!({"days_min": 20}), &json!({}));
    let late = scalper("late", &json!({"days_min": 3, "days_max": 4}), &json!({}));
    let path = |seconds: u64| {
        let wild = seconds >= 2_400 && (seconds / 60) % 2 == 1;
        if wild { 101.0 } else { 100.0 }
    };
    let mut spec = day(&hand, hand.along(path), vec![holder, late]);
    spec.settings.downtime = schedule();
    let medium = spec.medium.clone();
    let director = Restart::default();
    let simulated = run_directed(spec, &director).unwrap();
    assert_balanced(&simulated);
    assert!(director.was_down.get() && director.came_back.get());
    let (frozen, over) = (minute(45), minute(65));
    let (mut reducing, mut frozen_entries, mut later) = (0, 0, 0);
    for (at, record) in records(&medium, simulated.report.journal_seq) {
        let Record::IntentApproved { intent, .. } = record else { continue };
        let entry = intent.purpose == Purpose::Entry;
        let within = frozen <= at && at < over;
        reducing += u32::from(within && !entry);
        frozen_entries += u32::from(within && entry);
        later += u32::from(at >= over && entry && intent.key.strategy.as_str() == "late");
    }
    assert_eq!(frozen_entries, 0);
    assert!(reducing >= 5, "{reducing} hedges");
    assert_eq!(later, 1, "it enters when the downtime is over");
    // The wish before it, and what the strategy itself asked for in it.
    let denied = simulated.report.denied.get("BROKER_DOWNTIME").copied().unwrap_or_default();
    assert!(denied >= 2, "{:?}", simulated.report.denied);
    let about_the_link = |text: &&String| {
        ["login", "is not back", "has not been ready"].iter().any(|words| text.contains(words))
    };
    let alarms = &simulated.report.alarms;
    assert_eq!(alarms.iter().filter(about_the_link).count(), 0, "{alarms:?}");
}
