//! The breakers row by row, and their one promise under random events: no trip without a release.

use super::*;
use market::time::Timestamp;
use proptest::prelude::*;

pub(super) fn at(seconds: u64) -> Now {
    Now {
        market: Timestamp::from_seconds(seconds as i64),
        process: ProcessTime::from_nanos(seconds * 1_000_000_000),
    }
}

fn day(realised: i64, unrealised: Option<i64>, fees: i64) -> BreakerEvent {
    BreakerEvent::Day(DayResult {
        realised: Money::from_units(realised),
        unrealised: unrealised.map(Money::from_units),
        fees: Money::from_units(fees),
    })
}

fn view(version: u64, realised_vol: Option<f64>, fresh_share: f64, outside: bool) -> BreakerEvent {
    BreakerEvent::View {
        symbol: "SIM".to_owned(),
        version,
        realised_vol,
        fresh_share: Some(fresh_share),
        exposure_outside: outside,
    }
}

fn breakers() -> Breakers {
    Breakers::new(BreakerLimits { consecutive_views: 3, rejects_max: 4, ..Default::default() })
}

#[test]
fn the_loss_breaker_counts_fees_and_latches() {
    let mut breakers = breakers();
    assert!(breakers.on(&day(-3_000, Some(-1_900), 99), at(1)).is_empty());
    let trips = breakers.on(&day(-3_000, Some(-1_900), 100), at(2));
    assert_eq!((trips[0].name, trips[0].state), ("loss", TradingState::ReduceOnly));
    assert_eq!(trips[0].scope, ACCOUNT);
    assert!(breakers.on(&day(-9_000, Some(0), 0), at(3)).is_empty(), "it is tripped already");
    assert_eq!(breakers.status("loss", ACCOUNT), Some(Status::Tripped));
}

#[test]
fn a_missing_mark_does_not_hide_a_realised_loss() {
    assert_eq!(breakers().on(&day(-5_000, None, 0), at(1)).len(), 1);
    assert!(breakers().on(&day(-4_999, None, 0), at(1)).is_empty());
}

#[test]
fn a_released_loss_breaker_trips_again_after_a_quarter_of_its_limit() {
    let mut breakers = breakers();
    breakers.on(&day(-5_000, Some(0), 0), at(1));
    assert!(breakers.release("loss", ACCOUNT, at(2)));
    assert!(breakers.on(&day(-6_249, Some(0), 0), at(3)).is_empty());
    assert_eq!(breakers.on(&day(-6_250, Some(0), 0), at(4)).len(), 1);
    assert!(breakers.release("loss", ACCOUNT, at(5)));
    breakers.on(&BreakerEvent::NewDay, at(6));
    assert_eq!(breakers.status("loss", ACCOUNT), Some(Status::Armed));
}

#[test]
fn the_regime_breaker_needs_consecutive_new_views() {
    let mut breakers = breakers();
    for (version, vol) in [(1, 0.9), (2, 0.9), (2, 0.9), (3, 0.7), (4, 0.9), (5, 0.9)] {
        assert!(breakers.on(&view(version, Some(vol), 1.0, false), at(version)).is_empty());
    }
    assert!(breakers.on(&view(6, None, 1.0, false), at(6)).is_empty());
    let trips = breakers.on(&view(7, Some(0.9), 1.0, false), at(7));
    assert_eq!((trips[0].name, trips[0].scope.as_str()), ("regime", "SIM"));
    assert!(breakers.release("regime", "SIM", at(8)));
    assert_eq!(breakers.on(&view(9, Some(0.9), 1.0, false), at(9)).len(), 1, "one is enough now");
    breakers.release("regime", "SIM", at(10));
    for version in 11..14 {
        breakers.on(&view(version, Some(0.1), 1.0, false), at(version));
    }
    assert_eq!(breakers.status("regime", "SIM"), Some(Status::Armed));
}

#[test]
fn a_passive_breach_of_exposure_trips() {
    let mut breakers = breakers();
    let trips: Vec<Trip> =
        (1..5).flat_map(|v| breakers.on(&view(v, None, 1.0, true), at(v))).collect();
    assert_eq!(trips.len(), 1);
    assert_eq!((trips[0].name, trips[0].state), ("exposure", TradingState::ReduceOnly));
}

#[test]
fn the_technical_breaker_halts_on_rejects_restarts_and_stale_data() {
    let mut rejects = breakers();
    let spread: Vec<Trip> =
        (0..20).flat_map(|n| rejects.on(&BreakerEvent::Rejected, at(n * 30))).collect();
    assert!(spread.is_empty());
    let burst: Vec<Trip> =
        (0..20).flat_map(|n| rejects.on(&BreakerEvent::Rejected, at(1_000 + n))).collect();
    assert_eq!(burst.len(), 1);
    assert_eq!((burst[0].name, burst[0].state), ("technical", TradingState::Halted));

    let mut restarts = breakers();
    let storm: Vec<Trip> =
        (0..21).flat_map(|n| restarts.on(&BreakerEvent::Restarted, at(n))).collect();
    assert_eq!(storm.len(), 1);

    for share in [0.1, f64::NAN] {
        let mut stale = breakers();
        let trips: Vec<Trip> =
            (1..30).flat_map(|v| stale.on(&view(v, None, share, false), at(v))).collect();
        assert_eq!(trips.len(), 1);
    }
}

/// A fast market was halted within 20 ms of a jump that its quotes had not followed yet.
#[test]
fn quotes_that_lag_behind_a_jump_do_not_halt_the_account() {
    let mut breakers = breakers();
    let lagging = (1..1_000).flat_map(|v| breakers.on(&view(v, None, 0.1, false), at(1)));
    assert_eq!(lagging.count(), 0);
    assert!(breakers.on(&view(1_000, None, 0.9, false), at(10)).is_empty());
    assert!(breakers.on(&view(1_001, None, 0.1, false), at(20)).is_empty(), "it has begun anew");
}

/// A data connection that was away for 16 s between two looks halted the account until somebody
/// came: the first quotes were back, most of the others not yet.
#[test]
fn a_data_connection_that_was_away_does_not_halt_the_account() {
    let away = |version| match view(version, None, 0.0, false) {
        BreakerEvent::View { symbol, version, realised_vol, exposure_outside, .. } => {
            BreakerEvent::View {
                symbol,
                version,
                realised_vol,
                fresh_share: None,
                exposure_outside,
            }
        }
        other => other,
    };
    let mut breakers = breakers();
    let before = (1..10).flat_map(|v| breakers.on(&view(v, None, 0.1, false), at(5)));
    assert_eq!(before.count(), 0);
    assert!(breakers.on(&away(10), at(6)).is_empty());
    let after = (11..20).flat_map(|v| breakers.on(&view(v, None, 0.2, false), at(22)));
    assert_eq!(after.count(), 0, "it has lasted no time yet");
    assert_eq!(breakers.on(&view(20, None, 0.2, false), at(37)).len(), 1);
}

#[test]
fn a_restored_latch_stays_until_it_is_released() {
    let mut breakers = breakers();
    assert!(breakers.restore("regime", "SIM"));
    assert!(breakers.restore("technical", ACCOUNT));
    assert!(!breakers.restore("unheard_of", ACCOUNT));
    assert_eq!(breakers.status("regime", "SIM"), Some(Status::Tripped));
    assert!(breakers.release("technical", ACCOUNT, at(1)));
    assert!(!breakers.release("technical", ACCOUNT, at(1)), "it is released already");
}

#[test]
fn bounds_that_cannot_be_meant_are_refused() {
    assert_eq!(BreakerLimits::default().validate(), Ok(()));
    let unreal = BreakerLimits { realised_vol_max: f64::NAN, ..BreakerLimits::default() };
    assert!(unreal.validate().is_err());
    let never = BreakerLimits { consecutive_views: 0, ..BreakerLimits::default() };
    assert!(never.validate().is_err());
}

pub(super) fn event() -> impl Strategy<Value = BreakerEvent> {
    prop_oneof![
        (-9_000_i64..3_000).prop_map(|realised| day(realised, Some(0), 0)),
        Just(BreakerEvent::NewDay),
        (1_u64..200, 0.0..2.0_f64, 0.0..1.0_f64, any::<bool>())
            .prop_map(|(version, vol, share, outside)| view(version, Some(vol), share, outside)),
        Just(BreakerEvent::Rejected),
        Just(BreakerEvent::Restarted),
    ]
}

proptest! {
    #[test]
    fn no_breaker_trips_twice_without_a_release(
        events in prop::collection::vec((event(), any::<bool>()), 0..200),
    ) {
        let mut breakers = breakers();
        let mut tripped = std::collections::BTreeSet::new();
        for (step, (event, release)) in events.into_iter().enumerate() {
            let now = at(step as u64);
            for trip in breakers.on(&event, now) {
                prop_assert!(tripped.insert((trip.name, trip.scope.clone())));
                prop_assert_eq!(breakers.status(trip.name, &trip.scope), Some(Status::Tripped));
            }
            if release && let Some((name, scope)) = tripped.pop_first() {
                prop_assert!(breakers.release(name, &scope, now));
            }
            for (name, scope) in &tripped {
                prop_assert_eq!(breakers.status(name, scope), Some(Status::Tripped));
            }
        }
        let text = serde_json::to_string(&breakers).unwrap();
        prop_assert_eq!(serde_json::from_str::<Breakers>(&text).unwrap(), breakers);
    }
}
