//! The restart that IB's gateway makes once a day: every client is closed, and none is let in until
//! it is over. Books, working orders and the numbers of orders live on; sessions, with their lines
//! and what they asked for, are gone, and what fills meanwhile is told to whoever asks afterwards.

use super::{Connection, World};
use exchange::day::utc_day;
use market::session::clock_in;
use market::time::{Now, Timestamp};
use std::time::Duration;

/// IB's gateway is set to a time of its user's clocks; ours to New York's.
const ZONE: &str = "America/New_York";

/// When it restarts, and how long that takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DailyRestart {
    /// On New York's clocks, since midnight.
    pub at: Duration,
    /// Nobody is let in for so long, in market time.
    pub lasts: Duration,
}

impl DailyRestart {
    fn next_after(self, now: Timestamp) -> Timestamp {
        let days = (-1..=2).map(|days| utc_day(now).plus_days(days));
        let instants = days.filter_map(|day| clock_in(day, self.at, ZONE));
        instants.filter(|at| *at > now).min().unwrap_or(Timestamp::MAX)
    }
}

/// The next restart, and the one that is on.
#[derive(Debug, Default)]
pub struct Restarts {
    next: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl World {
    /// Whether nobody is let in.
    pub(super) const fn is_restarting(&self) -> bool {
        self.restarts.until.is_some()
    }

    /// Begins the daily restart at its time, and ends one that has lasted long enough.
    pub(super) fn restart_when_due(&mut self, now: Now) {
        if self.restarts.until.is_some_and(|until| until <= now.market) {
            self.end_restart();
        }
        let Some(daily) = self.settings.daily_restart else { return };
        let next = *self.restarts.next.get_or_insert_with(|| daily.next_after(now.market));
        if next <= now.market {
            self.restarts.next = Some(daily.next_after(now.market));
            self.restart(next.plus(daily.lasts), now);
        }
    }

    /// Closes every client, and lets none in before `until`. One that a jump of the clock has
    /// passed over closes them all the same, and is over at once.
    pub(super) fn restart(&mut self, until: Timestamp, now: Now) {
        let lasts = until.since(now.market).as_secs();
        self.log(format!("the gateway restarts, which takes {lasts} s"));
        self.restarts.until = Some(until);
        let connections: Vec<Connection> = self.sessions.keys().copied().collect();
        connections.into_iter().for_each(|connection| self.close(connection));
    }

    pub(super) fn end_restart(&mut self) {
        if self.restarts.until.take().is_some() {
            self.log("the restart is over".to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use market::time::Date;

    #[test]
    fn the_next_restart_is_at_the_same_time_of_new_york_in_summer_and_winter() {
        let hours = |count: u64| Duration::from_secs(count * 3_600);
        let daily = DailyRestart { at: hours(23), lasts: hours(1) };
        // The clocks go back on 1 November 2026: UTC-4 before, UTC-5 after.
        let at = |day: &str, of_utc: u64| {
            exchange::day::midnight_utc(Date::parse(day).unwrap()).plus(hours(of_utc))
        };
        let first = daily.next_after(at("20261031", 12));
        assert_eq!(first, at("20261101", 3));
        let second = daily.next_after(first);
        assert_eq!(second, at("20261102", 4));
        assert_eq!(daily.next_after(second), at("20261103", 4));
    }
}
