//! One exchange session: from its open to its close, with the trading day that it belongs to.
//!
//! Why its own file: a session is an interval of absolute instants, and the wall clock of an
//! exchange (daylight saving) enters only here, where one is made. Not here: which days have a
//! session and when (calendar).

use crate::time::{Date, NANOS_PER_SECOND, Timestamp};
use jiff::SignedDuration;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A continuous stretch of trading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The trading day that it counts for: of a Globex session, the day on which it closes.
    pub day: Date,
    /// The first instant of trading.
    pub open: Timestamp,
    /// The first instant after trading.
    pub close: Timestamp,
}

impl Session {
    /// Whether trading is on: from the open (included) to the close (excluded).
    #[must_use]
    pub fn contains(&self, at: Timestamp) -> bool {
        self.open <= at && at < self.close
    }
}

/// The instant at which the clocks of `zone` show `time` on `day`. A time that daylight saving
/// skips is moved forward; of one that happens twice the first is meant.
///
/// # Panics
/// For days outside the years 1678 to 2261, which nanoseconds in 64 bits cannot hold.
#[must_use]
pub fn wall_clock(day: Date, time: Time, zone: &TimeZone) -> Timestamp {
    let zoned = zone
        .to_ambiguous_zoned(day.civil().to_datetime(time))
        .compatible()
        .expect("a civil time of the years that the calendars cover");
    let nanos = zoned.timestamp().as_nanosecond();
    Timestamp::from_nanos(i64::try_from(nanos).expect("an instant of the years 1678 to 2261"))
}

/// The instant at which the clocks of the zone with this name show `clock` on `day`. `None` for a
/// zone that nobody knows; days beyond the end of time are the end of time.
#[must_use]
pub fn clock_in(day: Date, clock: Duration, zone: &str) -> Option<Timestamp> {
    let zone = TimeZone::get(zone).ok()?;
    let clock = SignedDuration::try_from(clock).ok()?;
    let time = day.civil().to_datetime(Time::midnight()).checked_add(clock).ok()?;
    let zoned = zone.to_ambiguous_zoned(time).compatible().ok()?;
    let nanos = i64::try_from(zoned.timestamp().as_nanosecond()).ok();
    Some(nanos.map_or(Timestamp::MAX, Timestamp::from_nanos))
}

/// The calendar day that the clocks of `zone` show at `at`.
#[must_use]
pub fn civil_day(at: Timestamp, zone: &TimeZone) -> Date {
    let seconds = at.nanos().div_euclid(NANOS_PER_SECOND);
    let instant = jiff::Timestamp::from_second(seconds)
        .expect("every i64 of nanoseconds lies within the years that jiff covers");
    Date::from(zone.to_datetime(instant).date())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::time;

    #[test]
    fn the_wall_clock_follows_daylight_saving() {
        let zone = TimeZone::get("America/New_York").unwrap();
        let noon = |text| wall_clock(Date::parse(text).unwrap(), time(12, 0, 0, 0), &zone);
        assert_eq!(noon("2020-03-06").to_string(), "2020-03-06T17:00:00Z");
        assert_eq!(noon("2020-03-09").to_string(), "2020-03-09T16:00:00Z");
        let skipped = wall_clock(Date::parse("2020-03-08").unwrap(), time(2, 30, 0, 0), &zone);
        assert_eq!(skipped.to_string(), "2020-03-08T07:30:00Z");
        assert_eq!(civil_day(skipped, &zone), Date::parse("20200308").unwrap());
        assert_eq!(
            civil_day(Timestamp::from_seconds(-1), &TimeZone::UTC).to_string(),
            "1969-12-31"
        );
    }
}
