//! When the broker is expected to be away: its gateway's daily restart, its servers' resets, the
//! weekly login.
//!
//! Why a schedule: what comes every night is no alarm, and an order that is written in the second
//! of a restart is lost. The gate freezes entries before and in each downtime, the link retries
//! slowly in it and asks for a person only after it. All in market time, which at the broker is
//! everybody's time. Not here: what the link does meanwhile.

use jiff::civil::Time;
use jiff::tz::TimeZone;
use market::session::{civil_day, wall_clock};
use market::time::{Date, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// The longest downtime. Beyond it somebody has to be told; IB's longest is 240.
pub const DOWNTIME_MAX_MINUTES: u32 = 360;
/// The longest freeze before one.
pub const FREEZE_MAX_MINUTES: u32 = 120;
/// More rows than a week of any broker needs.
const ROWS_MAX: usize = 32;

/// Why the broker is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DowntimeKind {
    /// The gateway restarts and logs in again by itself.
    GatewayRestart,
    /// The broker's own servers are reset.
    ServerReset,
    /// The gateway restarts and the login is over: a person logs in.
    WeeklyLogin,
}

impl DowntimeKind {
    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::GatewayRestart => "the gateway's restart",
            Self::ServerReset => "the broker's server reset",
            Self::WeeklyLogin => "the weekly login",
        }
    }
}

/// A day of the week, as the configuration writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weekday {
    /// The first day of IB's week.
    Sunday,
    /// Then this.
    Monday,
    /// Then this.
    Tuesday,
    /// Then this.
    Wednesday,
    /// Then this.
    Thursday,
    /// Then this.
    Friday,
    /// The last one.
    Saturday,
}

impl Weekday {
    fn of(date: Date) -> Self {
        use jiff::civil::Weekday as Day;
        match date.civil().weekday() {
            Day::Sunday => Self::Sunday,
            Day::Monday => Self::Monday,
            Day::Tuesday => Self::Tuesday,
            Day::Wednesday => Self::Wednesday,
            Day::Thursday => Self::Thursday,
            Day::Friday => Self::Friday,
            Day::Saturday => Self::Saturday,
        }
    }
}

/// One row of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DowntimeRow {
    /// Why.
    pub kind: DowntimeKind,
    /// The days on which it begins.
    pub days: Vec<Weekday>,
    /// When, on the zone's clocks: `HH:MM`.
    pub at: String,
    /// How long it lasts.
    pub minutes: u32,
}

/// The section of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DowntimeSettings {
    /// Whose clocks are meant, such as `America/New_York`.
    pub zone: String,
    /// No entries so long before each.
    pub freeze_minutes: u32,
    /// What is expected, each week; nothing if empty.
    pub expected: Vec<DowntimeRow>,
}

/// Settings that are no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct DowntimeError {
    /// The key below the section.
    pub key: String,
    /// What is wrong, and what to write.
    pub reason: String,
}

/// One downtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Downtime {
    /// Why.
    pub kind: DowntimeKind,
    /// Its first instant.
    pub from: Timestamp,
    /// The first instant after it.
    pub until: Timestamp,
}

/// Where a moment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DowntimePhase {
    /// Nothing is expected.
    Clear,
    /// One is near: no entries.
    Ahead(Downtime),
    /// It is on: no entries, and a broker that is away is no surprise.
    On(Downtime),
}

impl DowntimePhase {
    /// Why entries are frozen, for people, if they are.
    #[must_use]
    pub fn entries_frozen(self) -> Option<String> {
        let (Downtime { kind, from, until }, when) = match self {
            Self::Clear => return None,
            Self::Ahead(downtime) => (downtime, "is near"),
            Self::On(downtime) => (downtime, "is due"),
        };
        Some(format!(
            "{} {when} ({from} to {until}), only orders that lower risk pass",
            kind.words()
        ))
    }
}

#[derive(Clone, Debug)]
struct Row {
    kind: DowntimeKind,
    days: Vec<Weekday>,
    at: Time,
    lasts: Duration,
}

/// The schedule. Cheap to clone.
#[derive(Clone, Debug)]
pub struct DowntimeSchedule {
    zone: TimeZone,
    freeze: Duration,
    rows: Arc<[Row]>,
}

fn wrong(key: impl Into<String>, reason: String) -> DowntimeError {
    DowntimeError { key: key.into(), reason }
}

const fn minutes(count: u32) -> Duration {
    Duration::from_secs(count as u64 * 60)
}

impl DowntimeSchedule {
    /// Nothing is ever expected: our own gateway, a simulation.
    #[must_use]
    pub fn none() -> Self {
        Self { zone: TimeZone::UTC, freeze: Duration::ZERO, rows: Arc::default() }
    }

    /// The schedule of these settings.
    ///
    /// # Errors
    /// [`DowntimeError`], naming the key.
    pub fn new(settings: &DowntimeSettings) -> Result<Self, DowntimeError> {
        let zone = TimeZone::get(&settings.zone).map_err(|_| {
            let reason = format!("`{}` is no time zone, write America/New_York", settings.zone);
            wrong("zone", reason)
        })?;
        if settings.freeze_minutes > FREEZE_MAX_MINUTES {
            let reason = format!(
                "{} is not allowed, write 0 to {FREEZE_MAX_MINUTES}",
                settings.freeze_minutes
            );
            return Err(wrong("freeze_minutes", reason));
        }
        if settings.expected.len() > ROWS_MAX {
            let reason = format!("more than {ROWS_MAX} rows, name several days in one");
            return Err(wrong("expected", reason));
        }
        let rows = settings.expected.iter().enumerate().map(|(number, row)| {
            let key = |field: &str| format!("expected[{number}].{field}");
            let at = Time::strptime("%H:%M", &row.at).map_err(|_| {
                wrong(key("at"), format!("`{}` is no time of day, write such as \"23:45\"", row.at))
            })?;
            if !(1..=DOWNTIME_MAX_MINUTES).contains(&row.minutes) {
                let reason =
                    format!("{} is not allowed, write 1 to {DOWNTIME_MAX_MINUTES}", row.minutes);
                return Err(wrong(key("minutes"), reason));
            }
            if row.days.is_empty() {
                return Err(wrong(key("days"), "name at least one day".to_owned()));
            }
            Ok(Row { kind: row.kind, days: row.days.clone(), at, lasts: minutes(row.minutes) })
        });
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        Ok(Self { zone, freeze: minutes(settings.freeze_minutes), rows: rows.into() })
    }

    /// Where `now` stands. Of several that are on, the one that ends last.
    #[must_use]
    pub fn phase(&self, now: Timestamp) -> DowntimePhase {
        if self.rows.is_empty() {
            return DowntimePhase::Clear;
        }
        let near: Vec<Downtime> = self.around(now);
        let on = near.iter().filter(|one| one.from <= now && now < one.until);
        if let Some(on) = on.max_by_key(|one| one.until) {
            return DowntimePhase::On(*on);
        }
        let ahead = near.iter().filter(|one| now < one.from && one.from.minus(self.freeze) <= now);
        ahead
            .min_by_key(|one| one.from)
            .map_or(DowntimePhase::Clear, |next| DowntimePhase::Ahead(*next))
    }

    /// The downtime that is on at `now`.
    #[must_use]
    pub fn on(&self, now: Timestamp) -> Option<Downtime> {
        match self.phase(now) {
            DowntimePhase::On(downtime) => Some(downtime),
            DowntimePhase::Clear | DowntimePhase::Ahead(_) => None,
        }
    }

    /// Those that begin yesterday, today or tomorrow: none is longer than a day.
    fn around(&self, now: Timestamp) -> Vec<Downtime> {
        let today = civil_day(now, &self.zone);
        let days = (-1..=1).map(|offset| today.plus_days(offset));
        let on_day = |day: Date| {
            let rows = self.rows.iter().filter(move |row| row.days.contains(&Weekday::of(day)));
            rows.map(move |row| {
                let from = wall_clock(day, row.at, &self.zone);
                Downtime { kind: row.kind, from, until: from.plus(row.lasts) }
            })
        };
        days.flat_map(on_day).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Weekday::{Friday, Monday, Saturday, Sunday, Thursday, Tuesday, Wednesday};
    use proptest::prelude::*;

    fn row(kind: DowntimeKind, days: &[Weekday], at: &str, minutes: u32) -> DowntimeRow {
        DowntimeRow { kind, days: days.to_vec(), at: at.to_owned(), minutes }
    }

    /// As config/main.yaml has it, from IB's documents.
    fn ib() -> DowntimeSettings {
        let restarts = [Monday, Tuesday, Wednesday, Thursday, Friday, Saturday];
        let resets = [Sunday, Monday, Tuesday, Wednesday, Thursday, Friday];
        DowntimeSettings {
            zone: "America/New_York".to_owned(),
            freeze_minutes: 5,
            expected: vec![
                row(DowntimeKind::GatewayRestart, &restarts, "23:45", 10),
                row(DowntimeKind::WeeklyLogin, &[Sunday], "23:45", 10),
                row(DowntimeKind::ServerReset, &resets, "00:15", 90),
                row(DowntimeKind::ServerReset, &[Friday], "23:00", 240),
            ],
        }
    }

    fn new_york(text: &str) -> Timestamp {
        let instant: jiff::Zoned = format!("{text}[America/New_York]").parse().unwrap();
        Timestamp::from_nanos(i64::try_from(instant.timestamp().as_nanosecond()).unwrap())
    }

    fn phase(text: &str) -> (&'static str, Option<DowntimeKind>) {
        match DowntimeSchedule::new(&ib()).unwrap().phase(new_york(text)) {
            DowntimePhase::Clear => ("clear", None),
            DowntimePhase::Ahead(downtime) => ("ahead", Some(downtime.kind)),
            DowntimePhase::On(downtime) => ("on", Some(downtime.kind)),
        }
    }

    #[test]
    fn entries_are_frozen_before_a_downtime_and_in_it_and_not_a_second_longer() {
        let restart = Some(DowntimeKind::GatewayRestart);
        // A Wednesday.
        for (at, found) in [
            ("2026-11-25T23:39:59", ("clear", None)),
            ("2026-11-25T23:40:00", ("ahead", restart)),
            ("2026-11-25T23:44:59", ("ahead", restart)),
            ("2026-11-25T23:45:00", ("on", restart)),
            ("2026-11-25T23:54:59", ("on", restart)),
            ("2026-11-25T23:55:00", ("clear", None)),
            ("2026-11-26T00:10:00", ("ahead", Some(DowntimeKind::ServerReset))),
            ("2026-11-26T01:44:59", ("on", Some(DowntimeKind::ServerReset))),
            ("2026-11-26T01:45:00", ("clear", None)),
        ] {
            assert_eq!(phase(at), found, "{at}");
        }
    }

    #[test]
    fn a_sundays_restart_is_the_one_that_needs_a_person() {
        assert_eq!(phase("2026-11-29T23:50:00"), ("on", Some(DowntimeKind::WeeklyLogin)));
        assert_eq!(phase("2026-11-28T23:50:00"), ("on", Some(DowntimeKind::GatewayRestart)));
    }

    #[test]
    fn of_two_that_overlap_the_one_that_ends_last_counts_even_past_midnight() {
        let schedule = DowntimeSchedule::new(&ib()).unwrap();
        // Friday's restart lies within the weekend's reset, which ends on Saturday at three.
        let on = schedule.on(new_york("2026-11-27T23:50:00")).unwrap();
        assert_eq!(
            (on.kind, on.until),
            (DowntimeKind::ServerReset, new_york("2026-11-28T03:00:00"))
        );
        assert!(schedule.on(new_york("2026-11-28T02:59:59")).is_some());
        assert_eq!(schedule.on(new_york("2026-11-28T03:00:00")), None);
    }

    #[test]
    fn the_zones_clock_is_followed_over_the_end_of_daylight_saving() {
        let schedule = DowntimeSchedule::new(&ib()).unwrap();
        let utc = |text: &str| {
            let instant: jiff::Timestamp = text.parse().unwrap();
            Timestamp::from_nanos(i64::try_from(instant.as_nanosecond()).unwrap())
        };
        // 23:45 in New York: 03:45 UTC in October, 04:45 UTC in November.
        assert!(schedule.on(utc("2026-10-29T03:50:00Z")).is_some());
        assert!(schedule.on(utc("2026-11-05T04:50:00Z")).is_some());
        assert_eq!(schedule.on(utc("2026-11-05T03:50:00Z")), None);
    }

    #[test]
    fn settings_that_are_no_schedule_are_named_by_their_key() {
        type Spoil = fn(&mut DowntimeSettings);
        let table: &[(&str, Spoil)] = &[
            ("zone", |s| s.zone = "New York".to_owned()),
            ("freeze_minutes", |s| s.freeze_minutes = 121),
            ("expected[1].at", |s| s.expected[1].at = "24:00".to_owned()),
            ("expected[1].at", |s| s.expected[1].at = "noon".to_owned()),
            ("expected[2].minutes", |s| s.expected[2].minutes = 0),
            ("expected[2].minutes", |s| s.expected[2].minutes = 361),
            ("expected[3].days", |s| s.expected[3].days.clear()),
            ("expected", |s| s.expected = vec![s.expected[0].clone(); 33]),
        ];
        for (key, spoil) in table {
            let mut settings = ib();
            spoil(&mut settings);
            assert_eq!(DowntimeSchedule::new(&settings).unwrap_err().key, *key);
        }
    }

    proptest! {
        #[test]
        fn entries_are_frozen_exactly_from_the_freeze_to_the_end_of_each_row(
            minute in 0_i64..(60 * 24 * 400), freeze in 0_u32..=120, lasts in 1_u32..=360,
            hour in 0_u32..24,
        ) {
            let every = [Sunday, Monday, Tuesday, Wednesday, Thursday, Friday, Saturday];
            let settings = DowntimeSettings {
                zone: "UTC".to_owned(),
                freeze_minutes: freeze,
                expected: vec![row(
                    DowntimeKind::ServerReset, &every, &format!("{hour:02}:00"), lasts,
                )],
            };
            let schedule = DowntimeSchedule::new(&settings).unwrap();
            let now = Timestamp::from_seconds(1_700_000_000 / 86_400 * 86_400 + minute * 60);
            // Minutes since the last beginning, and so to the next.
            let since = (minute - i64::from(hour) * 60).rem_euclid(1_440);
            let expected = match since {
                _ if since < i64::from(lasts) => "on",
                _ if 1_440 - since <= i64::from(freeze) => "ahead",
                _ => "clear",
            };
            let found = match schedule.phase(now) {
                DowntimePhase::Clear => "clear",
                DowntimePhase::Ahead(_) => "ahead",
                DowntimePhase::On(_) => "on",
            };
            prop_assert_eq!(found, expected);
        }
    }
}
