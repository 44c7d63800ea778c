//! A halt: nothing after its acknowledgement, own orders cancelled, through a crash, until a
//! resume.

use crate::hand::{Hand, STOCK, minute};
use crate::journal::assert_balanced;
use crate::settings::{day, scalper};
use crate::wishes::wish;
use chaos::simulation::director::{Direction, Director, Stage};
use chaos::simulation::run_directed;
use desk::record::Latch;
use serde_json::json;
use std::cell::Cell;
use std::time::Duration;
use trading::trading_state::TradingState;

#[derive(Default)]
struct HaltCrashResume {
    resumed: Cell<bool>,
    /// The venue's next order number at the acknowledgement.
    at_the_halt: Cell<i64>,
}

fn next_order_id(stage: &Stage) -> i64 {
    stage.venue.with_exchange(|exchange| exchange.next_order_id())
}

fn working(stage: &Stage) -> usize {
    stage.venue.with_exchange(|exchange| exchange.open_orders().count())
}

impl Director for HaltCrashResume {
    fn direct<'a>(&'a self, stage: Stage) -> Direction<'a> {
        Box::pin(async move {
            if stage.life == 1 {
                stage.until(minute(10)).await;
                assert!(working(&stage) >= 2, "orders rest at the venue");
                stage.halt("a test").await.unwrap();
                self.at_the_halt.set(next_order_id(&stage));
                stage.clock.sleep(Duration::from_secs(5)).await;
                assert_eq!(working(&stage), 0, "own working orders are cancelled");
                // Strategies are told and wish for nothing; somebody wishes all the same.
                wish(&stage, "one", STOCK, 50);
                stage.until(minute(20)).await;
                assert_eq!(next_order_id(&stage), self.at_the_halt.get());
                stage.faults.crash();
                return;
            }
            // The next life begins halted, and stays so.
            stage.until(minute(21)).await;
            wish(&stage, "one", STOCK, 50);
            for minutes in 21..=30 {
                stage.until(minute(minutes)).await;
                assert_eq!(stage.parts.states.load().account, TradingState::Halted);
                assert_eq!(next_order_id(&stage), self.at_the_halt.get());
                assert_eq!(working(&stage), 0);
            }
            assert!(stage.parts.desk_view.load().ready, "it is reconciled and only halted");
            stage.resume("the test").await.unwrap();
            self.resumed.set(true);
            stage.until(minute(35)).await;
            assert!(next_order_id(&stage) > self.at_the_halt.get(), "it trades again");
        })
    }
}

#[test]
fn a_halt_stops_the_wire_cancels_own_orders_survives_a_crash_and_ends_only_by_resume() {
    let hand = Hand::of(45, 10);
    // Bids at the middle of a market that stands still rest.
    let patient = json!({
        "cross_percent": 0, "valid_seconds": 60,
        "backoff_first_seconds": 5, "backoff_max_seconds": 10,
    });
    let tomes = ["one", "two"]
        .map(|id| scalper(id, &json!({"order": patient, "pause_seconds": 1}), &json!({})))
        .to_vec();
    let spec = day(&hand, hand.along(|_| 100.0), tomes);
    let director = HaltCrashResume::default();
    let simulated = run_directed(spec, &director).unwrap();
    assert_balanced(&simulated);
    assert!(director.resumed.get());
    assert_eq!(simulated.report.lives, 2);
    assert_eq!(simulated.report.denied.get("HALTED"), Some(&2), "{:?}", simulated.report.denied);
    // The day's own drill has halted it once more.
    assert!(simulated.folded.books.latches.tripped.contains_key(&Latch::Halt));
}
