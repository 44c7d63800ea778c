//! The holidays of the exchanges of the United States, by rule instead of by list.
//!
//! A rule holds for years that no list covers yet; LEAN's list checks the rules in a test. Not
//! here: what an exchange does on such a day (exchanges).

use crate::time::Date;
use jiff::civil::Weekday;

/// What a day is in the United States.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holiday {
    /// 1 January, on Monday if it is a Sunday, unobserved if it is a Saturday.
    NewYear,
    /// The third Monday of January.
    MartinLutherKing,
    /// The third Monday of February.
    Presidents,
    /// The Friday before Easter.
    GoodFriday,
    /// The last Monday of May.
    Memorial,
    /// 19 June since 2022, on the nearest weekday.
    Juneteenth,
    /// 4 July, on the nearest weekday.
    Independence,
    /// The first Monday of September.
    Labor,
    /// The fourth Thursday of November.
    Thanksgiving,
    /// 25 December, on the nearest weekday.
    Christmas,
    /// The equity exchanges mourned a president.
    Mourning,
}

/// The holiday that is observed on `day`.
pub(super) fn holiday(day: Date) -> Option<Holiday> {
    let civil = day.civil();
    let (year, month, monthday) = (civil.year(), civil.month(), civil.day());
    let nearest = |month, monthday| nearest_weekday(year, month, monthday) == Some(day);
    let weekday = civil.weekday();
    // Which one of its weekday in the month: days 15 to 21 are the third.
    let ordinal = (monthday - 1) / 7 + 1;
    match (month, weekday, ordinal) {
        (1, _, _) if monthday == 1 && !day.is_weekend() => Some(Holiday::NewYear),
        (1, Weekday::Monday, _) if monthday == 2 => Some(Holiday::NewYear),
        (1, Weekday::Monday, 3) => Some(Holiday::MartinLutherKing),
        (2, Weekday::Monday, 3) => Some(Holiday::Presidents),
        (3 | 4, Weekday::Friday, _) if easter(year) == Some(day.plus_days(2)) => {
            Some(Holiday::GoodFriday)
        }
        (5, Weekday::Monday, _) if monthday > 24 => Some(Holiday::Memorial),
        (6, _, _) if year >= 2022 && nearest(6, 19) => Some(Holiday::Juneteenth),
        (7, _, _) if nearest(7, 4) => Some(Holiday::Independence),
        (9, Weekday::Monday, 1) => Some(Holiday::Labor),
        (11, Weekday::Thursday, 4) => Some(Holiday::Thanksgiving),
        (12, _, _) if nearest(12, 25) => Some(Holiday::Christmas),
        _ if matches!((year, month, monthday), (2018, 12, 5) | (2025, 1, 9)) => {
            Some(Holiday::Mourning)
        }
        _ => None,
    }
}

/// Days on which the exchanges close early, without being holidays: the day after Thanksgiving, the
/// day before Independence Day and the day before Christmas, when both it and the holiday proper
/// fall on weekdays.
pub(super) fn is_half_day(day: Date) -> bool {
    let civil = day.civil();
    let eve =
        matches!((civil.month(), civil.day()), (7, 3) | (12, 24)) && !day.plus_days(1).is_weekend();
    let open = !day.is_weekend() && holiday(day).is_none();
    let thanksgiving_friday = holiday(day.plus_days(-1)) == Some(Holiday::Thanksgiving);
    open && (eve || thanksgiving_friday)
}

/// The day of month `month` that is its third Friday, where quarterly futures expire.
pub(crate) fn third_friday(year: i16, month: i8) -> Option<Date> {
    let first = Date::new(year, month, 1).ok()?;
    let to_friday = (Weekday::Friday.to_monday_zero_offset() + 7
        - first.civil().weekday().to_monday_zero_offset())
        % 7;
    Some(first.plus_days(i32::from(to_friday) + 14))
}

fn nearest_weekday(year: i16, month: i8, monthday: i8) -> Option<Date> {
    let day = Date::new(year, month, monthday).ok()?;
    Some(match day.civil().weekday() {
        Weekday::Saturday => day.plus_days(-1),
        Weekday::Sunday => day.plus_days(1),
        _ => day,
    })
}

/// Easter Sunday of the Gregorian calendar (the anonymous algorithm of 1876).
fn easter(year: i16) -> Option<Date> {
    let year = i32::from(year);
    let (a, b, c) = (year % 19, year / 100, year % 100);
    let moon = (19 * a + b - b / 4 - (b - (b + 8) / 25 + 1) / 3 + 15) % 30;
    let sunday = (32 + 2 * (b % 4) + 2 * (c / 4) - moon - c % 4) % 7;
    let shift = (a + 11 * moon + 22 * sunday) / 451;
    let total = moon + sunday - 7 * shift + 114;
    let (month, monthday) = (total / 31, total % 31 + 1);
    Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(monthday).ok()?)
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Date {
        Date::parse(text).unwrap()
    }

    #[test]
    fn holidays_move_with_the_weekend() {
        for (text, expected) in [
            ("2022-01-01", None),
            ("2021-12-31", None),
            ("2023-01-02", Some(Holiday::NewYear)),
            ("2020-04-10", Some(Holiday::GoodFriday)),
            ("2024-03-29", Some(Holiday::GoodFriday)),
            ("2020-06-19", None),
            ("2022-06-20", Some(Holiday::Juneteenth)),
            ("2020-07-03", Some(Holiday::Independence)),
            ("2021-12-24", Some(Holiday::Christmas)),
            ("2025-01-09", Some(Holiday::Mourning)),
            ("2020-11-26", Some(Holiday::Thanksgiving)),
        ] {
            assert_eq!(holiday(day(text)), expected, "{text}");
        }
        assert_eq!(third_friday(2020, 3), Some(day("2020-03-20")));
        assert_eq!(third_friday(2020, 5), Some(day("2020-05-15")));
    }

    #[test]
    fn half_days_need_a_weekday_on_both_sides() {
        for text in ["2015-12-24", "2015-11-27", "2014-07-03", "2023-07-03"] {
            assert!(is_half_day(day(text)), "{text}");
        }
        for text in ["2020-07-03", "2021-12-24", "2026-07-02", "2015-07-02", "2016-12-23"] {
            assert!(!is_half_day(day(text)), "{text}");
        }
    }
}
