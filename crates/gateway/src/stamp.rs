//! Times as the protocol writes and reads them. The gateway's zone is UTC.

use exchange::day::{midnight_utc, utc_day};
use market::time::{Date, NANOS_PER_SECOND, Timestamp};
use std::time::Duration;

/// The name that every time of this gateway carries.
pub const ZONE: &str = "UTC";

/// `20261120 10:30:00 UTC`.
pub fn with_zone(at: Timestamp) -> String {
    format!("{} {} {ZONE}", utc_day(at).compact(), clock(at))
}

/// `20261120-10:30:00`, which is UTC by itself.
pub fn dashed(at: Timestamp) -> String {
    format!("{}-{}", utc_day(at).compact(), clock(at))
}

/// `2026-11-20 10:30:00.0`, as headlines have it.
pub fn headline(at: Timestamp) -> String {
    let day = utc_day(at).compact();
    format!("{}-{}-{} {}.0", &day[..4], &day[4..6], &day[6..], clock(at))
}

/// `10:30`.
pub fn minutes(at: Timestamp) -> String {
    clock(at)[..5].to_owned()
}

/// Whole seconds since the epoch.
pub const fn seconds(at: Timestamp) -> i64 {
    at.nanos().div_euclid(NANOS_PER_SECOND)
}

/// Whole milliseconds since the epoch.
pub const fn millis(at: Timestamp) -> i64 {
    at.nanos().div_euclid(NANOS_PER_SECOND / 1000)
}

fn clock(at: Timestamp) -> String {
    let second = at.since(midnight_utc(utc_day(at))).as_secs();
    format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
}

/// A time as clients write it: `yyyymmdd`, `yyyymmdd hh:mm:ss`, `yyyymmdd-hh:mm:ss`, with a zone
/// or without, which is UTC. A zone that nobody knows makes it no time at all.
pub fn parse(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let day = Date::parse(text.get(..8)?).ok()?;
    let rest = text.get(8..)?.trim_start_matches(['-', ' ']);
    let clock = rest.split([' ', '.']).next().unwrap_or_default();
    let mut seconds = 0_u64;
    if !clock.is_empty() {
        let mut parts = clock.split(':');
        for unit in [3600, 60, 1] {
            let part: u64 = parts.next().unwrap_or("0").parse().ok()?;
            seconds += part.min(99) * unit;
        }
    }
    let clock = Duration::from_secs(seconds);
    match rest.split_whitespace().nth(1) {
        None | Some(ZONE | "GMT" | "Z") => Some(midnight_utc(day).plus(clock)),
        Some(zone) => market::session::clock_in(day, clock, zone),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        let at = Timestamp::from_seconds(1_795_170_600);
        assert_eq!(with_zone(at), "20261120 10:30:00 UTC");
        for text in [with_zone(at), dashed(at), "20261120 10:30:00".to_owned()] {
            assert_eq!(parse(&text), Some(at), "{text}");
        }
        assert_eq!(parse("20261120"), Some(Timestamp::from_seconds(1_795_132_800)));
        for wrong in ["", "yesterday", "20261320", "20261120 aa:bb:cc", "2026\u{e9}\u{e9}20"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_time_of_new_york_was_read_as_utc_and_ended_orders_hours_early() {
        let at = Timestamp::from_seconds(1_795_170_600);
        for zone in ["US/Eastern", "America/New_York", "EST5EDT"] {
            assert_eq!(parse(&format!("20261120 05:30:00 {zone}")), Some(at), "{zone}");
        }
        assert_eq!(parse("20260706 05:30:00 US/Eastern"), parse("20260706 09:30:00 UTC"));
        assert_eq!(parse("20261120 05:30:00 Nowhere/Town"), None);
        assert_eq!(parse("60261120 10:30:00 US/Eastern"), Some(Timestamp::MAX));
    }

    /// Found by spoiled frames: one flipped bit makes 2026 of a good-till date 6026.
    #[test]
    fn a_date_beyond_the_end_of_time_is_the_end_of_time() {
        assert_eq!(parse("60261120 10:30:00"), Some(Timestamp::MAX));
        assert_eq!(parse("99991231"), Some(Timestamp::MAX));
    }
}
