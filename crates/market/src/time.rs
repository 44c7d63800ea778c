//! The two times of the house and the exchange day.
//!
//! [`Timestamp`] is market time: quotes, sessions, expiries, order latency. [`ProcessTime`] is the
//! process's own monotonic time: deadlines, backoff, pacing. They are two types because a replay
//! runs market time far faster than the process, and a deadline mixed up with an expiry costs
//! money. Nothing here reads a clock; shells do, and pass `now` in.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// Nanoseconds in one second.
pub const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// Calendar seconds in a year of 365 days, the day count of all times to expiry in this house.
pub const SECONDS_PER_YEAR: f64 = 365.0 * 86_400.0;

/// An instant of market time: nanoseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The Unix epoch.
    pub const EPOCH: Self = Self(0);
    /// Later than every instant that occurs.
    pub const MAX: Self = Self(i64::MAX);

    /// From nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From whole seconds since the Unix epoch; what lies beyond the ends of time is its end.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(NANOS_PER_SECOND))
    }

    /// Nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// This instant plus `duration`, at most [`Timestamp::MAX`].
    #[must_use]
    pub const fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration_nanos(duration)))
    }

    /// This instant minus `duration`.
    #[must_use]
    pub const fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration_nanos(duration)))
    }

    /// The time since `earlier`; zero where `earlier` is in fact later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        let nanos = self.0.saturating_sub(earlier.0);
        if nanos <= 0 { Duration::ZERO } else { Duration::from_nanos(nanos as u64) }
    }

    /// Years (of 365 days) from this instant until `later`; negative when `later` has passed.
    #[must_use]
    pub fn years_until(self, later: Self) -> f64 {
        (later.0 - self.0) as f64 / (NANOS_PER_SECOND as f64 * SECONDS_PER_YEAR)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(instant) => instant.fmt(f),
            Err(_) => write!(f, "{} ns", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An instant of process time: nanoseconds since the process (or the simulation) began.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
#[serde(transparent)]
pub struct ProcessTime(u64);

impl ProcessTime {
    /// The start of the process.
    pub const ZERO: Self = Self(0);

    /// From nanoseconds since the start.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the start.
    #[must_use]
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// The time since `earlier`; zero where `earlier` is in fact later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for ProcessTime {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration_nanos(duration) as u64))
    }
}

impl Sub<Duration> for ProcessTime {
    type Output = Self;
    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration_nanos(duration) as u64))
    }
}

/// Both times of one moment, as a shell hands them to a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Now {
    /// Market time.
    pub market: Timestamp,
    /// Process time.
    pub process: ProcessTime,
}

const fn duration_nanos(duration: Duration) -> i64 {
    let nanos = duration.as_nanos();
    if nanos > i64::MAX as u128 { i64::MAX } else { nanos as i64 }
}

/// A calendar day; of an exchange (its trading day) unless the field says otherwise.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Date(jiff::civil::Date);

/// A text that is not a calendar day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a day, write YYYY-MM-DD or YYYYMMDD")]
pub struct DateError(pub String);

impl Date {
    /// The day `year-month-day`, if there is one.
    pub fn new(year: i16, month: i8, day: i8) -> Result<Self, DateError> {
        jiff::civil::Date::new(year, month, day)
            .map(Self)
            .map_err(|_| DateError(format!("{year:04}-{month:02}-{day:02}")))
    }

    /// From `YYYY-MM-DD` or `YYYYMMDD`.
    pub fn parse(text: &str) -> Result<Self, DateError> {
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        let well_formed = digits.len() == 8
            && digits.bytes().all(|b| b.is_ascii_digit())
            && (text.len() == 8 || text.len() == 10);
        let fail = || DateError(text.to_owned());
        if !well_formed {
            return Err(fail());
        }
        let year = digits[..4].parse().map_err(|_| fail())?;
        let month = digits[4..6].parse().map_err(|_| fail())?;
        let day = digits[6..].parse().map_err(|_| fail())?;
        Self::new(year, month, day).map_err(|_| fail())
    }

    /// The underlying civil date.
    #[must_use]
    pub const fn civil(self) -> jiff::civil::Date {
        self.0
    }

    /// This day plus `days` calendar days, clamped to the range of the calendar.
    #[must_use]
    pub fn plus_days(self, days: i32) -> Self {
        Self(self.0.saturating_add(jiff::Span::new().days(days)))
    }

    /// Calendar days from this day until `later` (negative when it lies before).
    #[must_use]
    pub fn days_until(self, later: Self) -> i32 {
        self.0.until(later.0).map_or(0, |span| span.get_days())
    }

    /// The day without separators, `YYYYMMDD`.
    #[must_use]
    pub fn compact(self) -> String {
        format!("{:04}{:02}{:02}", self.0.year(), self.0.month(), self.0.day())
    }

    /// Saturday or Sunday.
    #[must_use]
    pub fn is_weekend(self) -> bool {
        matches!(self.0.weekday(), jiff::civil::Weekday::Saturday | jiff::civil::Weekday::Sunday)
    }
}

impl From<jiff::civil::Date> for Date {
    fn from(date: jiff::civil::Date) -> Self {
        Self(date)
    }
}

impl TryFrom<String> for Date {
    type Error = DateError;
    fn try_from(text: String) -> Result<Self, DateError> {
        Self::parse(&text)
    }
}

impl From<Date> for String {
    fn from(date: Date) -> Self {
        date.to_string()
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_parse_in_both_spellings_and_nothing_else() {
        let day = Date::new(2020, 1, 6).unwrap();
        assert_eq!(Date::parse("2020-01-06"), Ok(day));
        assert_eq!(Date::parse("20200106"), Ok(day));
        for wrong in ["2020-1-6", "20201306", "2020/01/06", "", "2020-01-060"] {
            assert_eq!(Date::parse(wrong), Err(DateError(wrong.to_owned())));
        }
        assert_eq!(day.compact(), "20200106");
        assert_eq!(day.days_until(day.plus_days(40)), 40);
    }

    #[test]
    fn time_never_runs_backwards_in_a_difference() {
        let early = Timestamp::from_seconds(10);
        let late = early.plus(Duration::from_millis(1500));
        assert_eq!(late.since(early), Duration::from_millis(1500));
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!(late.to_string(), "1970-01-01T00:00:11.5Z");
    }
}
