//! LEAN's market-hours database: weekly hours, holidays, early closes and late opens per product.
//!
//! Why: a calendar from outside, for products that are not built in and to check those that are.
//! Its file may hold more than we read; what we read must be sound. Not here: the calendar itself.

use super::LeanError;
use crate::calendar::{Calendar, zone};
use crate::session::{Session, wall_clock};
use crate::time::Date;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

/// Which hours of a product make a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hours {
    /// The regular market only, such as 09:30 to 16:00 for stocks.
    Regular,
    /// Everything without a break, such as Globex from 18:00 to 17:00.
    Extended,
}

#[derive(Deserialize)]
struct Database {
    entries: BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    exchange_time_zone: String,
    #[serde(default)]
    holidays: Vec<String>,
    #[serde(default)]
    early_closes: BTreeMap<String, String>,
    #[serde(default)]
    late_opens: BTreeMap<String, String>,
    #[serde(flatten)]
    week: BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize)]
struct Segment {
    start: String,
    end: String,
    state: String,
}

/// A stretch of one day, in seconds of its wall clock.
type Stretch = (u32, u32);

const DAY_SECONDS: u32 = 86_400;

/// A whole day on which the clocks are set back.
const LONGEST_SESSION: Duration = Duration::from_secs(25 * 3600);

struct Rules {
    week: [Vec<Stretch>; 7],
    holidays: BTreeSet<Date>,
    early_closes: BTreeMap<Date, u32>,
    late_opens: BTreeMap<Date, u32>,
}

/// The calendar of the entry `key` (such as `Equity-usa-[*]` or `Future-cme-ES`) of the database at
/// `path`, for the days from `first` to `last`.
///
/// A session belongs to the day on which it closes (Globex on a holiday's evening is the next
/// day's). A day with two sessions of its own is refused, and so are hours without a daily break.
///
/// # Errors
/// A missing file or entry, or one that states no daily sessions.
pub fn read_market_hours(
    path: &Path,
    key: &str,
    hours: Hours,
    first: Date,
    last: Date,
) -> Result<Calendar, LeanError> {
    let fail = |cause: String| LeanError::MarketHours {
        path: path.to_owned(),
        entry: key.to_owned(),
        cause,
    };
    let text = std::fs::read_to_string(path)
        .map_err(|cause| LeanError::Io { path: path.to_owned(), cause })?;
    let mut database: Database =
        serde_json::from_str(&text).map_err(|cause| fail(cause.to_string()))?;
    let entry = database.entries.remove(key);
    let entry = entry.ok_or_else(|| fail("there is no such entry".to_owned()))?;
    let entry: Entry = serde_json::from_value(entry).map_err(|cause| fail(cause.to_string()))?;
    let zone = zone(&entry.exchange_time_zone)?;
    let rules = rules(entry, hours).map_err(fail)?;
    let sessions = sessions(&rules, &zone, first, last).map_err(fail)?;
    Ok(Calendar::new(key, zone, sessions)?)
}

fn rules(mut entry: Entry, hours: Hours) -> Result<Rules, String> {
    let names = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let mut week: [Vec<Stretch>; 7] = Default::default();
    for (stretches, name) in week.iter_mut().zip(names) {
        let Some(segments) = entry.week.remove(name) else {
            continue;
        };
        let segments: Vec<Segment> =
            serde_json::from_value(segments).map_err(|cause| format!("{name}: {cause}"))?;
        for segment in segments {
            if hours == Hours::Extended || segment.state == "market" {
                stretches.push((seconds(&segment.start)?, seconds(&segment.end)?));
            }
        }
    }
    let dated = |times: &BTreeMap<String, String>| -> Result<BTreeMap<Date, u32>, String> {
        let read = |(day, time): (&String, &String)| Ok((us_date(day)?, seconds(time)?));
        times.iter().map(read).collect()
    };
    Ok(Rules {
        week,
        holidays: entry.holidays.iter().map(|day| us_date(day)).collect::<Result<_, _>>()?,
        early_closes: dated(&entry.early_closes)?,
        late_opens: dated(&entry.late_opens)?,
    })
}

fn sessions(
    rules: &Rules,
    zone: &TimeZone,
    first: Date,
    last: Date,
) -> Result<Vec<Session>, String> {
    let mut sessions: Vec<Session> = Vec::new();
    // One day early: a session that closes on the first day may open on the evening before.
    let mut day = first.plus_days(-1);
    while day <= last {
        for (start, end) in stretches(rules, day) {
            let (open, close) = (instant(day, start, zone), instant(day, end, zone));
            // An end at midnight is provisional: the next day's first stretch may go on from it.
            match sessions.last_mut().filter(|session| session.close == open) {
                Some(session) => {
                    session.close = close;
                    session.day = day;
                }
                None => sessions.push(Session { day, open, close }),
            }
        }
        let span = sessions.last().map(|session| session.close.since(session.open));
        if span > Some(LONGEST_SESSION) {
            return Err(format!("on {day} it is open for more than a day without a break"));
        }
        day = day.plus_days(1);
    }
    sessions.retain(|session| first <= session.day && session.day <= last);
    Ok(sessions)
}

fn stretches(rules: &Rules, day: Date) -> Vec<Stretch> {
    if rules.holidays.contains(&day) {
        return Vec::new();
    }
    let weekday = usize::from(day.civil().weekday().to_monday_zero_offset().unsigned_abs());
    let (early, late) = (rules.early_closes.get(&day), rules.late_opens.get(&day));
    // On a day with both, trading stops at the early close and resumes at the late open.
    let allowed: Vec<Stretch> = match (early, late) {
        (None, None) => vec![(0, DAY_SECONDS)],
        (Some(close), None) => vec![(0, *close)],
        (None, Some(open)) => vec![(*open, DAY_SECONDS)],
        (Some(close), Some(open)) if open < close => vec![(*open, *close)],
        (Some(close), Some(open)) => vec![(0, *close), (*open, DAY_SECONDS)],
    };
    let mut kept: Vec<Stretch> = Vec::new();
    for (start, end) in &rules.week[weekday] {
        for (from, until) in &allowed {
            let (open, close) = ((*start).max(*from), (*end).min(*until));
            if open < close {
                kept.push((open, close));
            }
        }
    }
    kept
}

fn instant(day: Date, seconds: u32, zone: &TimeZone) -> crate::time::Timestamp {
    let day = day.plus_days(i32::from(seconds >= DAY_SECONDS));
    let time = Time::midnight().saturating_add(jiff::Span::new().seconds(seconds % DAY_SECONDS));
    wall_clock(day, time, zone)
}

/// `09:30:00`, and `1.00:00:00` or `1:00:00:00` for the end of the day.
fn seconds(text: &str) -> Result<u32, String> {
    let fail = || format!("`{text}` is not a time of day");
    if matches!(text, "1.00:00:00" | "1:00:00:00" | "24:00:00") {
        return Ok(DAY_SECONDS);
    }
    let parts: Vec<u32> =
        text.split(':').map(|part| part.parse().map_err(|_| fail())).collect::<Result<_, _>>()?;
    match parts[..] {
        [hours, minutes, seconds] if hours < 24 && minutes < 60 && seconds < 60 => {
            Ok(hours * 3600 + minutes * 60 + seconds)
        }
        _ => Err(fail()),
    }
}

/// `7/3/2015`, possibly with a time behind it.
fn us_date(text: &str) -> Result<Date, String> {
    let fail = || format!("`{text}` is not a day, write M/D/YYYY");
    let day = text.split_whitespace().next().unwrap_or("");
    let parts: Vec<i16> =
        day.split('/').map(|part| part.parse().map_err(|_| fail())).collect::<Result<_, _>>()?;
    let [month, monthday, year] = parts[..] else {
        return Err(fail());
    };
    let (month, monthday) = (i8::try_from(month), i8::try_from(monthday));
    match (month, monthday) {
        (Ok(month), Ok(monthday)) => Date::new(year, month, monthday).map_err(|_| fail()),
        _ => Err(fail()),
    }
}
