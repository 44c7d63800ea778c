//! Exchange calendars: when trading is on, and which trading day an instant belongs to.
//!
//! Why precomputed: every session of the covered years is an interval of absolute instants, so that
//! a question is one binary search and daylight saving can't go wrong at run time. The built-in
//! exchanges are in `calendar/exchanges.rs`; LEAN's database is read by `lean`. Not here: what a
//! closed exchange means for an order.

mod exchanges;
pub(crate) mod holidays;

use crate::session::{Session, civil_day, wall_clock};
use crate::time::{Date, Timestamp};
use jiff::civil::Time;
use jiff::tz::TimeZone;
use std::sync::Arc;

/// The sessions of one exchange, one per trading day. Cheap to clone.
///
/// Outside the covered days (2013 to 2030 for the built-in exchanges) it is always closed; ask
/// [`Calendar::covers`] where that matters.
#[derive(Clone, Debug)]
pub struct Calendar {
    name: Arc<str>,
    zone: TimeZone,
    hours: Hours,
}

#[derive(Clone, Debug)]
enum Hours {
    /// Sorted, disjoint, one per day.
    Sessions(Arc<[Session]>),
    /// Every UTC day is one session.
    RoundTheClock,
}

/// Sessions that are no calendar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CalendarError {
    /// No such time zone.
    #[error("the time zone `{0}` is unknown, use an IANA name such as America/New_York")]
    Zone(String),
    /// A session that ends before it begins, or overlaps or precedes the one before it.
    #[error("the session of {day} in calendar {name} is empty or overlaps the one before it")]
    Session {
        /// The calendar.
        name: String,
        /// The session's day.
        day: Date,
    },
}

impl Calendar {
    /// A calendar of `sessions` by rising day, on an exchange whose clocks show `zone`.
    pub fn new(name: &str, zone: TimeZone, sessions: Vec<Session>) -> Result<Self, CalendarError> {
        let mut before: Option<&Session> = None;
        for session in &sessions {
            let follows = before
                .is_none_or(|before| before.day < session.day && before.close <= session.open);
            if !follows || session.open >= session.close {
                return Err(CalendarError::Session { name: name.to_owned(), day: session.day });
            }
            before = Some(session);
        }
        Ok(Self { name: name.into(), zone, hours: Hours::Sessions(sessions.into()) })
    }

    /// Always open; a trading day is a UTC day, weekends included. For the built-in market.
    #[must_use]
    pub fn round_the_clock() -> Self {
        Self { name: "round the clock".into(), zone: TimeZone::UTC, hours: Hours::RoundTheClock }
    }

    /// Its name, for messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the clocks on the exchange's wall show.
    #[must_use]
    pub const fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// Whether `day` lies between the first and the last session that it knows.
    #[must_use]
    pub fn covers(&self, day: Date) -> bool {
        match &self.hours {
            Hours::RoundTheClock => true,
            Hours::Sessions(sessions) => match (sessions.first(), sessions.last()) {
                (Some(first), Some(last)) => first.day <= day && day <= last.day,
                _ => false,
            },
        }
    }

    /// The instant at which the exchange's clocks show `seconds` after midnight on `day`; a day has
    /// no seconds after its last, so larger numbers mean that one.
    #[must_use]
    pub fn clock(&self, day: Date, seconds: u32) -> Timestamp {
        let seconds = seconds.min(86_399);
        let [hour, minute, second] = [seconds / 3600, seconds / 60 % 60, seconds % 60];
        let time = Time::constant(hour as i8, minute as i8, second as i8, 0);
        wall_clock(day, time, &self.zone)
    }

    /// Whether trading is on at `at`.
    #[must_use]
    pub fn is_open(&self, at: Timestamp) -> bool {
        self.session_of(at).is_some()
    }

    /// The session in progress at `at`.
    #[must_use]
    pub fn session_of(&self, at: Timestamp) -> Option<Session> {
        self.current_or_next(at).filter(|session| session.contains(at))
    }

    /// The session in progress at `at`, else the next one.
    #[must_use]
    pub fn current_or_next(&self, at: Timestamp) -> Option<Session> {
        match &self.hours {
            Hours::RoundTheClock => Some(utc_day(civil_day(at, &TimeZone::UTC))),
            Hours::Sessions(sessions) => {
                let ended = sessions.partition_point(|session| session.close <= at);
                sessions.get(ended).copied()
            }
        }
    }

    /// The first open strictly after `after`.
    #[must_use]
    pub fn next_open(&self, after: Timestamp) -> Option<Timestamp> {
        match &self.hours {
            Hours::RoundTheClock => self.next_close(after),
            Hours::Sessions(sessions) => {
                let opened = sessions.partition_point(|session| session.open <= after);
                sessions.get(opened).map(|session| session.open)
            }
        }
    }

    /// The first close strictly after `after`.
    #[must_use]
    pub fn next_close(&self, after: Timestamp) -> Option<Timestamp> {
        self.current_or_next(after).map(|session| session.close)
    }

    /// The trading day that `at` belongs to: of the session in progress, or between sessions of the
    /// next one. Beyond the covered years: the exchange's calendar day.
    #[must_use]
    pub fn trading_day(&self, at: Timestamp) -> Date {
        self.current_or_next(at).map_or_else(|| civil_day(at, &self.zone), |session| session.day)
    }

    /// The session of `day`.
    #[must_use]
    pub fn session_on(&self, day: Date) -> Option<Session> {
        match &self.hours {
            Hours::RoundTheClock => Some(utc_day(day)),
            Hours::Sessions(sessions) => {
                let place = sessions.binary_search_by_key(&day, |session| session.day);
                place.ok().map(|place| sessions[place])
            }
        }
    }

    /// Whether `day` has a session.
    #[must_use]
    pub fn is_trading_day(&self, day: Date) -> bool {
        self.session_on(day).is_some()
    }

    /// The first trading day strictly after `day`.
    #[must_use]
    pub fn next_trading_day(&self, day: Date) -> Option<Date> {
        match &self.hours {
            Hours::RoundTheClock => Some(day.plus_days(1)),
            Hours::Sessions(sessions) => {
                let passed = sessions.partition_point(|session| session.day <= day);
                sessions.get(passed).map(|session| session.day)
            }
        }
    }

    /// The last trading day at or before `day`: where an expiry on a Saturday or holiday falls.
    #[must_use]
    pub fn last_trading_day(&self, day: Date) -> Option<Date> {
        match &self.hours {
            Hours::RoundTheClock => Some(day),
            Hours::Sessions(sessions) => {
                let passed = sessions.partition_point(|session| session.day <= day);
                let last = passed.checked_sub(1)?;
                self.covers(day).then(|| sessions[last].day)
            }
        }
    }

    /// When `day`'s session opens.
    #[must_use]
    pub fn open_of(&self, day: Date) -> Option<Timestamp> {
        self.session_on(day).map(|session| session.open)
    }

    /// When `day`'s session closes.
    #[must_use]
    pub fn close_of(&self, day: Date) -> Option<Timestamp> {
        self.session_on(day).map(|session| session.close)
    }

    /// All sessions that it knows, by rising day; empty for a calendar that is always open.
    #[must_use]
    pub fn sessions(&self) -> &[Session] {
        match &self.hours {
            Hours::RoundTheClock => &[],
            Hours::Sessions(sessions) => sessions,
        }
    }
}

/// The zone of this IANA name.
pub(crate) fn zone(name: &str) -> Result<TimeZone, CalendarError> {
    TimeZone::get(name).map_err(|_| CalendarError::Zone(name.to_owned()))
}

fn utc_day(day: Date) -> Session {
    Session {
        day,
        open: wall_clock(day, Time::midnight(), &TimeZone::UTC),
        close: wall_clock(day.plus_days(1), Time::midnight(), &TimeZone::UTC),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::LazyLock;

    static CALENDARS: LazyLock<Vec<Calendar>> = LazyLock::new(|| {
        vec![
            Calendar::us_equities(),
            Calendar::cboe_index_options(),
            Calendar::cme_globex_es(),
            Calendar::round_the_clock(),
        ]
    });

    // 2013-01-10 to 2030-12-01: next_* are never empty there.
    const FIRST: i64 = 1_357_800_000;
    const LAST: i64 = 1_922_300_000;

    proptest! {
        #[test]
        fn questions_about_one_instant_agree(which in 0..4_usize, seconds in FIRST..LAST) {
            let calendar = &CALENDARS[which];
            let at = Timestamp::from_seconds(seconds);
            let open = calendar.next_open(at).unwrap();
            let close = calendar.next_close(at).unwrap();
            prop_assert!(open > at && close > at);
            let day = calendar.trading_day(at);
            prop_assert!(calendar.is_trading_day(day));
            prop_assert_eq!(calendar.close_of(day), Some(close));
            prop_assert!(calendar.open_of(day).unwrap() < close);
            prop_assert_eq!(calendar.is_open(at), calendar.open_of(day).unwrap() <= at);
            prop_assert_eq!(calendar.is_open(at), calendar.session_of(at).is_some());
            if !calendar.is_open(at) {
                prop_assert_eq!(calendar.session_of(open).map(|s| s.day), Some(day));
            }
        }

        #[test]
        fn opens_and_closes_never_run_backwards(
            which in 0..4_usize, seconds in FIRST..LAST, later in 0..3_000_000_i64,
        ) {
            let calendar = &CALENDARS[which];
            let (at, then) = (
                Timestamp::from_seconds(seconds),
                Timestamp::from_seconds((seconds + later).min(LAST)),
            );
            prop_assert!(calendar.next_open(at) <= calendar.next_open(then));
            prop_assert!(calendar.next_close(at) <= calendar.next_close(then));
            prop_assert!(calendar.trading_day(at) <= calendar.trading_day(then));
        }

        #[test]
        fn trading_days_step_forward_and_back(which in 0..4_usize, days in 0..6_500_i32) {
            let calendar = &CALENDARS[which];
            let day = Date::new(2013, 1, 10).unwrap().plus_days(days);
            let next = calendar.next_trading_day(day).unwrap();
            prop_assert!(next > day && calendar.is_trading_day(next));
            let last = calendar.last_trading_day(day).unwrap();
            prop_assert!(last <= day && calendar.next_trading_day(last) == Some(next));
            prop_assert_eq!(last == day, calendar.is_trading_day(day));
        }
    }

    #[test]
    fn overlapping_or_empty_sessions_are_refused() {
        let day = Date::new(2020, 1, 6).unwrap();
        let session = |day: Date, open, close| Session {
            day,
            open: Timestamp::from_seconds(open),
            close: Timestamp::from_seconds(close),
        };
        let build = |sessions| Calendar::new("test", TimeZone::UTC, sessions);
        assert!(build(vec![session(day, 0, 5), session(day.plus_days(1), 5, 9)]).is_ok());
        for wrong in [
            vec![session(day, 5, 5)],
            vec![session(day, 0, 5), session(day.plus_days(1), 4, 9)],
            vec![session(day, 0, 5), session(day, 6, 9)],
        ] {
            assert!(matches!(build(wrong), Err(CalendarError::Session { .. })));
        }
    }

    #[test]
    fn an_empty_calendar_is_closed() {
        let calendar = Calendar::new("none", TimeZone::UTC, Vec::new()).unwrap();
        let at = Timestamp::from_seconds(FIRST);
        assert!(!calendar.is_open(at) && calendar.next_open(at).is_none());
        assert_eq!(calendar.trading_day(at).to_string(), "2013-01-10");
        assert_eq!(calendar.last_trading_day(calendar.trading_day(at)), None);
    }
}
