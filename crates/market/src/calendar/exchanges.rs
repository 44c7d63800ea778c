//! The built-in exchange calendars for 2013 to 2030.
//!
//! They are rules of thumb made exact by a test against LEAN's market-hours database; a venue's
//! later notice (a day of mourning) has to be added to the holidays. Not here: holidays (holidays).

use super::holidays::{Holiday, holiday, is_half_day};
use super::{Calendar, zone};
use crate::session::{Session, wall_clock};
use crate::time::Date;
use jiff::civil::{Time, time};
use jiff::tz::TimeZone;

const FIRST_YEAR: i16 = 2013;
const LAST_YEAR: i16 = 2030;

impl Calendar {
    /// US stocks and options on stocks and ETFs (NYSE, Nasdaq, Cboe): 09:30 to 16:00 New York, to
    /// 13:00 on half days.
    #[must_use]
    pub fn us_equities() -> Self {
        Self::cash_market("US equities", time(16, 0, 0, 0), time(13, 0, 0, 0))
    }

    /// Cboe index options such as SPX and VIX, the regular session: 09:30 to 16:15 New York, 13:15
    /// on half days. The overnight session is left out: this house does not trade it.
    #[must_use]
    pub fn cboe_index_options() -> Self {
        Self::cash_market("Cboe index options", time(16, 15, 0, 0), time(13, 15, 0, 0))
    }

    /// CME Globex, E-mini S&P 500 futures and their options: 18:00 of the evening before to 17:00
    /// New York. Holidays are short sessions: until 13:00 (11:30 before 26 May 2014) on most, 13:15
    /// on half days, 09:15 on a Good Friday with an employment report; none on Christmas and New
    /// Year. CME books a short session into the next day's; here it is a trading day of its own.
    #[must_use]
    pub fn cme_globex_es() -> Self {
        let zone = new_york();
        let sessions = weekdays()
            .filter_map(|day| {
                let close = globex_close(day)?;
                // A closed day's evening opens at 18:00 like any other, so the one before counts.
                Some(Session {
                    day,
                    open: wall_clock(day.plus_days(-1), time(18, 0, 0, 0), &zone),
                    close: wall_clock(day, close, &zone),
                })
            })
            .collect();
        Self::new("CME Globex ES", zone, sessions).expect("days rise and sessions end by 17:00")
    }

    fn cash_market(name: &str, close: Time, early_close: Time) -> Self {
        let zone = new_york();
        let sessions = weekdays()
            .filter(|day| holiday(*day).is_none())
            .map(|day| Session {
                day,
                open: wall_clock(day, time(9, 30, 0, 0), &zone),
                close: wall_clock(day, if is_half_day(day) { early_close } else { close }, &zone),
            })
            .collect();
        Self::new(name, zone, sessions).expect("days rise and sessions lie within their day")
    }
}

/// When Globex closes in New York on a weekday, or `None` when it has no session.
fn globex_close(day: Date) -> Option<Time> {
    let short = if day.civil() < jiff::civil::date(2014, 5, 26) {
        time(11, 30, 0, 0)
    } else {
        time(13, 0, 0, 0)
    };
    match holiday(day) {
        Some(Holiday::NewYear | Holiday::Christmas) => None,
        Some(Holiday::GoodFriday) => {
            // The employment report of these years came out on Good Friday.
            let report = matches!(day.civil().year(), 2015 | 2021 | 2023 | 2026);
            report.then_some(time(9, 15, 0, 0))
        }
        None | Some(Holiday::Mourning) if is_half_day(day) => Some(time(13, 15, 0, 0)),
        None | Some(Holiday::Mourning) => Some(time(17, 0, 0, 0)),
        Some(
            Holiday::MartinLutherKing
            | Holiday::Presidents
            | Holiday::Memorial
            | Holiday::Juneteenth
            | Holiday::Independence
            | Holiday::Labor
            | Holiday::Thanksgiving,
        ) => Some(short),
    }
}

fn new_york() -> TimeZone {
    zone("America/New_York").expect("the zone is bundled with the program")
}

fn weekdays() -> impl Iterator<Item = Date> {
    let first = Date::new(FIRST_YEAR, 1, 1).expect("a first of January");
    let days = i32::from(LAST_YEAR - FIRST_YEAR + 1) * 366;
    (0..days)
        .map(move |days| first.plus_days(days))
        .take_while(|day| day.civil().year() <= LAST_YEAR)
        .filter(|day| !day.is_weekend())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    fn day(text: &str) -> Date {
        Date::parse(text).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        let instant: jiff::Timestamp = text.parse().unwrap();
        Timestamp::from_seconds(instant.as_second())
    }

    #[test]
    fn equities_close_at_one_on_half_days_and_keep_new_york_time_all_year() {
        let calendar = Calendar::us_equities();
        let hours = |text| {
            let session = calendar.session_on(day(text)).unwrap();
            (session.open, session.close)
        };
        let half = (at("2015-12-24T14:30:00Z"), at("2015-12-24T18:00:00Z"));
        assert_eq!(hours("2015-12-24"), half);
        let before = (at("2020-03-06T14:30:00Z"), at("2020-03-06T21:00:00Z"));
        assert_eq!(hours("2020-03-06"), before);
        let after = (at("2020-03-09T13:30:00Z"), at("2020-03-09T20:00:00Z"));
        assert_eq!(hours("2020-03-09"), after);
        assert!(!calendar.is_trading_day(day("2015-12-25")));
        assert_eq!(
            Calendar::cboe_index_options().close_of(day("2021-01-04")),
            Some(at("2021-01-04T21:15:00Z"))
        );
    }

    #[test]
    fn globex_opens_on_sunday_evening_and_rests_an_hour_a_day() {
        let calendar = Calendar::cme_globex_es();
        let monday = day("2020-01-06");
        assert_eq!(calendar.open_of(monday), Some(at("2020-01-05T23:00:00Z")));
        assert_eq!(calendar.close_of(monday), Some(at("2020-01-06T22:00:00Z")));
        assert_eq!(calendar.trading_day(at("2020-01-05T23:30:00Z")), monday);
        assert!(!calendar.is_open(at("2020-01-06T22:30:00Z")));
        assert_eq!(calendar.trading_day(at("2020-01-06T22:30:00Z")), day("2020-01-07"));
        assert!(!calendar.is_open(at("2020-01-04T12:00:00Z")), "a Saturday");
        let memorial = calendar.close_of(day("2020-05-25"));
        assert_eq!(memorial, Some(at("2020-05-25T17:00:00Z")));
        // Daylight saving starts inside the weekend: the Sunday session opens at 22:00 UTC.
        let dst = calendar.open_of(day("2020-03-09"));
        assert_eq!(dst, Some(at("2020-03-08T22:00:00Z")));
    }

    #[test]
    fn the_round_the_clock_calendar_never_closes() {
        let calendar = Calendar::round_the_clock();
        for text in ["1970-01-01T00:00:00Z", "2026-07-04T23:59:59Z"] {
            assert!(calendar.is_open(at(text)));
        }
        assert_eq!(
            calendar.next_close(at("2026-07-04T23:59:59Z")),
            Some(at("2026-07-05T00:00:00Z"))
        );
    }
}
