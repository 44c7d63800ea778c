//! When exchange days end: day orders expire, futures are marked, assignments and dividends happen.
//!
//! The machine asks only for the next end. The host lists real ends from a calendar of `market`;
//! the built-in market has one a day. Left to others: whether the market is open (no quotes, no
//! fills).

use market::calendar::Calendar;
use market::time::{Date, Timestamp};
use serde::{Deserialize, Serialize};

const SECONDS_PER_DAY: i64 = 86_400;

/// The end of one exchange day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DayEnd {
    /// The instant.
    pub at: Timestamp,
    /// The day that ends.
    pub day: Date,
    /// The day that follows.
    pub next: Date,
}

/// The days of a venue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Days {
    /// Every calendar day, ending at midnight UTC: a round-the-clock market.
    RoundTheClock,
    /// These, rising; afterwards no day ends any more.
    Listed(Vec<DayEnd>),
}

impl Days {
    /// The trading days of `calendar` from `first` on, at most `count` of them, each ending at its
    /// close.
    #[must_use]
    pub fn of_calendar(calendar: &Calendar, first: Date, count: usize) -> Self {
        let sessions = calendar.sessions().iter().filter(|session| session.day >= first);
        let ends = sessions.take(count).filter_map(|session| {
            let next = calendar.next_trading_day(session.day)?;
            Some(DayEnd { at: session.close, day: session.day, next })
        });
        Self::Listed(ends.collect())
    }

    /// The first day end after `instant`.
    #[must_use]
    pub fn next_end(&self, instant: Timestamp) -> Option<DayEnd> {
        match self {
            Self::Listed(ends) => ends.iter().find(|end| end.at > instant).copied(),
            Self::RoundTheClock => {
                let day_number = instant.nanos().div_euclid(SECONDS_PER_DAY * 1_000_000_000);
                let day = epoch_day().plus_days(i32::try_from(day_number).ok()?);
                let at = Timestamp::from_seconds((day_number + 1).checked_mul(SECONDS_PER_DAY)?);
                Some(DayEnd { at, day, next: day.plus_days(1) })
            }
        }
    }
}

/// Midnight UTC at which `day` begins.
#[must_use]
pub fn midnight_utc(day: Date) -> Timestamp {
    Timestamp::from_seconds(i64::from(epoch_day().days_until(day)) * SECONDS_PER_DAY)
}

/// The UTC day of an instant.
#[must_use]
pub fn utc_day(instant: Timestamp) -> Date {
    let days = instant.nanos().div_euclid(SECONDS_PER_DAY * 1_000_000_000);
    epoch_day().plus_days(i32::try_from(days).expect("an i64 of nanoseconds spans 106,752 days"))
}

fn epoch_day() -> Date {
    Date::new(1970, 1, 1).expect("the epoch is a day")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn listed_days_end_at_the_close_and_know_the_next_trading_day() {
        let date = |day| Date::new(2026, 11, day).unwrap();
        // The day before Thanksgiving closes at 21:00 UTC, the day after it at 18:00.
        let days = Days::of_calendar(&Calendar::us_equities(), date(25), 2);
        let end = |day, hour: u64, next| DayEnd {
            at: midnight_utc(date(day)).plus(Duration::from_secs(hour * 3_600)),
            day: date(day),
            next: date(next),
        };
        assert_eq!(days, Days::Listed(vec![end(25, 21, 27), end(27, 18, 30)]));
        assert_eq!(days.next_end(end(25, 21, 27).at), Some(end(27, 18, 30)));
    }

    #[test]
    fn a_round_the_clock_day_ends_at_the_next_midnight() {
        let day = Date::new(2026, 11, 22).unwrap();
        let end = Days::RoundTheClock.next_end(midnight_utc(day)).unwrap();
        assert_eq!((end.day, end.next), (day, day.plus_days(1)));
        assert_eq!(end.at, midnight_utc(day.plus_days(1)));
        assert_eq!(utc_day(end.at), end.next);
    }
}
