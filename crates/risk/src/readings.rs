//! Which of the risk book's figures the breakers are told, and when: the day's result every time,
//! each view once.
//!
//! Why not every figure at every change: breakers count consecutive views, and a view that is told
//! twice would count twice towards a trip. Not here: what a figure leads to (breaker).

use crate::breaker::BreakerEvent;
use crate::gate::DayResult;
use crate::risk_book::RiskBook;
use market::calendar::Calendar;
use market::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use valuation::view::Markets;

/// What has been told so far.
#[derive(Clone, Debug, Default)]
pub struct Readings {
    /// The version of each symbol's view that was told last.
    told: BTreeMap<String, u64>,
}

impl Readings {
    /// The events of these figures.
    pub fn read(
        &mut self,
        day: DayResult,
        book: &RiskBook,
        markets: &Markets,
        calendars: &BTreeMap<String, Arc<Calendar>>,
    ) -> Vec<BreakerEvent> {
        let mut events = vec![BreakerEvent::Day(day)];
        for (symbol, market) in markets {
            let told = self.told.entry(symbol.clone()).or_default();
            if std::mem::replace(told, market.version) == market.version {
                continue;
            }
            let worst = book.symbols.get(symbol).and_then(|risk| risk.worst.as_ref());
            let open = calendars.get(symbol).is_some_and(|days| is_open(days, market.time));
            events.push(BreakerEvent::View {
                symbol: symbol.clone(),
                version: market.version,
                realised_vol: market.regime.realised_vol,
                // Outside its session a product's quotes rest while its underlying may move on:
                // their age says nothing of the data.
                fresh_share: market.regime.fresh_share.filter(|_| open),
                exposure_outside: worst.is_some_and(|worst| worst.outside_limits),
            });
        }
        events
    }
}

/// A view is of the moment before its time.
fn is_open(calendar: &Calendar, at: Timestamp) -> bool {
    calendar.is_open(at.minus(Duration::from_nanos(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::risk_book::{SymbolRisk, WorstCase};
    use crate::worst_case::Interval;
    use market::session::Session;
    use market::time::Date;
    use proptest::prelude::*;
    use valuation::view::{MarketView, RegimeView};

    fn session() -> Session {
        Calendar::us_equities().session_on(Date::new(2020, 1, 6).unwrap()).unwrap()
    }

    fn calendars() -> BTreeMap<String, Arc<Calendar>> {
        BTreeMap::from([("SIM".to_owned(), Arc::new(Calendar::us_equities()))])
    }

    fn market(version: u64, time: Timestamp) -> Markets {
        let view = MarketView {
            symbol: "SIM".to_owned(),
            version,
            time,
            underlyings: Vec::new(),
            chains: BTreeMap::new(),
            surface: None,
            regime: RegimeView {
                realised_vol: Some(0.2),
                implied_vol: None,
                fresh_share: Some(0.5),
            },
        };
        Markets::from([("SIM".to_owned(), Arc::new(view))])
    }

    fn book(outside_limits: bool) -> RiskBook {
        let none = Interval { low: 0, high: 0 };
        let worst =
            WorstCase { delta_milli: none, vega_milli: none, uncovered_shares: 0, outside_limits };
        let risk = SymbolRisk {
            view_version: 1,
            greeks: crate::risk_book::NetGreeks::default(),
            premium: None,
            worst: Some(worst),
            missing: Vec::new(),
        };
        RiskBook { symbols: BTreeMap::from([("SIM".to_owned(), risk)]), ..RiskBook::default() }
    }

    fn freshness(time: Timestamp) -> Option<f64> {
        let day = DayResult::default();
        let mut readings = Readings::default();
        let events = readings.read(day, &book(false), &market(1, time), &calendars());
        let [BreakerEvent::Day(_), BreakerEvent::View { fresh_share, .. }] = &events[..] else {
            panic!("{events:?}")
        };
        *fresh_share
    }

    #[test]
    fn freshness_is_told_only_of_moments_within_the_session() {
        let (open, close) = (session().open, session().close);
        let second = Duration::from_secs(1);
        assert_eq!(freshness(open), None, "the moment before the open");
        assert_eq!(freshness(open.plus(second)), Some(0.5));
        assert_eq!(freshness(close), Some(0.5), "the last moment of the session");
        assert_eq!(freshness(close.plus(second)), None);
    }

    #[test]
    fn a_product_without_a_calendar_says_nothing_of_freshness() {
        let mut readings = Readings::default();
        let events = readings.read(
            DayResult::default(),
            &book(true),
            &market(1, session().close),
            &BTreeMap::new(),
        );
        let BreakerEvent::View { fresh_share, exposure_outside, .. } = &events[1] else {
            panic!("{events:?}")
        };
        assert_eq!((*fresh_share, *exposure_outside), (None, true));
    }

    proptest! {
        #[test]
        fn the_day_is_told_every_time_and_a_version_not_twice_in_a_row(
            versions in prop::collection::vec(1_u64..5, 1..50),
        ) {
            let calendars = BTreeMap::new();
            let mut readings = Readings::default();
            let mut last = None;
            for version in versions {
                let day = DayResult::default();
                let market = market(version, Timestamp::EPOCH);
                let events = readings.read(day, &book(false), &market, &calendars);
                prop_assert_eq!(&events[0], &BreakerEvent::Day(day));
                let expected = usize::from(last.replace(version) != Some(version));
                prop_assert_eq!(events.len(), 1 + expected);
            }
        }
    }
}
