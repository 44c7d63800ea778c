//! The reader on small archives written here, and on the real ones where `OPTIONSIB_DATA` points.

use super::market_hours::{Hours, read_market_hours};
use super::*;
use crate::instrument::{Fixing, InstrumentKind};
use crate::quality::{Flaw, FlawCounts, Gates, Verdict};
use std::io::Write;
use std::path::PathBuf;
use tempfile::TempDir;

fn day(text: &str) -> Date {
    Date::parse(text).unwrap()
}

fn at(text: &str) -> Timestamp {
    let instant: jiff::Timestamp = text.parse().unwrap();
    Timestamp::from_seconds(instant.as_second())
}

fn price(text: &str) -> Price {
    Price::parse(text).unwrap()
}

fn write_zip(root: &Path, path: &str, entries: &[(&str, &str)]) -> PathBuf {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    for (name, content) in entries {
        let options = zip::write::SimpleFileOptions::default();
        zip.start_file(*name, options).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
    path
}

const CALL: &str = "20151224_goog_minute_quote_american_call_7500000_20151226.csv";
const PUT: &str = "20151224_goog_minute_quote_american_put_7500000_20160115.csv";

fn goog(call: &str, put: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_zip(
        folder.path(),
        "option/usa/minute/goog/20151224_quote_american.zip",
        &[(PUT, put), (CALL, call)],
    );
    write_zip(
        folder.path(),
        "equity/usa/minute/goog/20151224_quote.zip",
        &[("20151224_goog_minute_quote.csv", "34200000,1,1,1,7490000,200,1,1,1,7491000,100\n")],
    );
    folder
}

const GOOD: &str = "34200000,,,,,0,,,,21500,19\n34260000,1,1,1,20000,4,1,1,1,21000,5";

fn load(folder: &TempDir, bad_rows: BadRows) -> Result<RecordedDay, LeanError> {
    Day::load(folder.path(), day("2015-12-24"), None, bad_rows)
}

#[test]
fn a_bar_becomes_known_a_minute_after_its_start_in_new_york() {
    let recorded = load(&goog(GOOD, GOOD), BadRows::Fail).unwrap();
    let times: Vec<Timestamp> = recorded.steps.iter().map(|step| step.time).collect();
    assert_eq!(times, [at("2015-12-24T14:31:00Z"), at("2015-12-24T14:32:00Z")]);
    let ids: Vec<ConId> = recorded.catalog.iter().map(|known| known.con_id).collect();
    let quoted: Vec<ConId> = recorded.steps[0].quotes.iter().map(|quote| quote.0).collect();
    assert_eq!((ids.as_slice(), &recorded.underlyings), (quoted.as_slice(), &vec![ids[0]]));
    let stock = recorded.steps[0].quotes[0].1;
    assert_eq!(stock.both(), Some((price("749.00"), price("749.10"))));
    let blank = recorded.steps[0].quotes[1].1;
    assert_eq!((blank.bid, blank.ask.unwrap().price), (None, price("2.15")));
    assert_eq!((recorded.option_bars, recorded.underlying_bars), (4, 1));
}

#[test]
fn a_saturday_expiry_is_the_last_trading_day_and_the_half_day_ends_at_one() {
    let recorded = load(&goog(GOOD, GOOD), BadRows::Fail).unwrap();
    let call = recorded.catalog.options_on(recorded.underlyings[0]).next().unwrap();
    let terms = call.option().unwrap();
    assert_eq!(call.local_symbol, "GOOG 20151224C750");
    assert_eq!(terms.expiry, day("2015-12-24"));
    assert_eq!(terms.last_trade, at("2015-12-24T18:00:00Z"));
    assert_eq!(terms.strike, price("750"));
}

#[test]
fn broken_rows_fail_by_file_line_and_field_or_are_counted() {
    let broken = format!("{GOOD}\n34320000,1,1,1,x,4,1,1,1,21000,5\n");
    let folder = goog(&broken, GOOD);
    let error = load(&folder, BadRows::Fail).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("20151224_quote_american.zip"), "{message}");
    assert!(message.contains(&format!("{CALL}, line 3: bid close `x`")), "{message}");
    let recorded = load(&folder, BadRows::SkipAndCount).unwrap();
    assert_eq!((recorded.skipped_rows, recorded.option_bars), (1, 4));

    let backwards = format!("{GOOD}\n34260000,,,,,0,,,,,0");
    let error = load(&goog(&backwards, GOOD), BadRows::Fail).unwrap_err();
    assert!(matches!(error, LeanError::Row { line: 3, field: "time", .. }), "{error}");
}

#[test]
fn a_damaged_or_missing_archive_is_named() {
    let folder = goog(GOOD, GOOD);
    let stock = folder.path().join("equity/usa/minute/goog/20151224_quote.zip");
    std::fs::write(&stock, b"not a zip").unwrap();
    let error = load(&folder, BadRows::SkipAndCount).unwrap_err();
    assert!(matches!(&error, LeanError::Zip { path, .. } if *path == stock), "{error}");
    std::fs::remove_file(&stock).unwrap();
    let error = load(&folder, BadRows::Fail).unwrap_err();
    assert!(matches!(error, LeanError::NoUnderlying { .. }), "{error}");
    let error = Day::load(folder.path(), day("2015-12-23"), None, BadRows::Fail).unwrap_err();
    assert!(matches!(error, LeanError::NothingRecorded { .. }), "{error}");
    let other = Day::load(folder.path(), day("2015-12-24"), Some("TWX"), BadRows::Fail);
    let error = other.unwrap_err();
    assert!(
        matches!(&error, LeanError::NothingRecorded { found, .. } if found == &["GOOG"]),
        "{error}"
    );
}

#[test]
fn damaged_entries_and_strange_names_are_errors_or_counted() {
    let folder = goog(GOOD, GOOD);
    let options = "option/usa/minute/goog/20151224_quote_american.zip";
    let path = write_zip(folder.path(), options, &[(CALL, GOOD), ("readme.txt", "hello")]);
    let error = load(&folder, BadRows::Fail).unwrap_err();
    assert!(matches!(error, LeanError::EntryName { .. }), "{error}");
    assert_eq!(load(&folder, BadRows::SkipAndCount).unwrap().skipped_rows, 1);

    // Flip one byte of the second entry's content: its checksum no longer holds.
    write_zip(folder.path(), options, &[(CALL, GOOD), (PUT, GOOD)]);
    let mut bytes = std::fs::read(&path).unwrap();
    let name = PUT.as_bytes();
    let place = bytes.windows(name.len()).position(|window| window == name).unwrap();
    bytes[place + name.len() + 12] ^= 0xff;
    std::fs::write(&path, bytes).unwrap();
    let error = load(&folder, BadRows::Fail).unwrap_err();
    assert!(matches!(&error, LeanError::Zip { entry, .. } if entry == PUT), "{error}");
    let recorded = load(&folder, BadRows::SkipAndCount).unwrap();
    assert_eq!((recorded.skipped_rows, recorded.option_bars), (1, 2));
}

#[test]
fn two_underlyings_need_a_choice() {
    let folder = goog(GOOD, GOOD);
    write_zip(
        folder.path(),
        "option/usa/minute/twx/20151224_quote_american.zip",
        &[("20151224_twx_minute_quote_american_put_700000_20160115.csv", GOOD)],
    );
    let error = load(&folder, BadRows::Fail).unwrap_err();
    assert!(matches!(error, LeanError::Ambiguous { .. }), "{error}");
    assert!(Day::load(folder.path(), day("2015-12-24"), Some("goog"), BadRows::Fail).is_ok());
}

#[test]
fn a_globex_day_starts_in_the_file_of_the_day_before_and_ends_at_its_close() {
    let folder = tempfile::tempdir().unwrap();
    let row = |hour: u32| format!("{},,,,,0,1,1,1,264.75,1\n", hour * 3_600_000);
    for (file, hours) in [("20200105", vec![22, 23]), ("20200106", vec![0, 21, 22, 23])] {
        let rows: String = hours.into_iter().map(row).collect();
        let option = format!("{file}_es_minute_quote_american_call_30000000_20200320.csv");
        let options = format!("futureoption/cme/minute/es/202003/{file}_quote_american.zip");
        write_zip(folder.path(), &options, &[(&option, &rows)]);
        let future = format!("{file}_es_minute_quote_202003.csv");
        let other = format!("{file}_es_minute_quote_202006.csv");
        let futures = format!("future/cme/minute/es/{file}_quote.zip");
        write_zip(folder.path(), &futures, &[(&other, &rows), (&future, &rows)]);
    }
    let load = |date| Day::load(folder.path(), day(date), Some("ES"), BadRows::Fail).unwrap();
    let monday = load("2020-01-06");
    let times: Vec<Timestamp> = monday.steps.iter().map(|step| step.time).collect();
    let expected = [
        at("2020-01-05T22:01:00Z"),
        at("2020-01-05T23:01:00Z"),
        at("2020-01-06T00:01:00Z"),
        at("2020-01-06T21:01:00Z"),
    ];
    assert_eq!(times, expected);
    assert_eq!((monday.option_bars, monday.bars_of_other_days), (4, 4));
    assert_eq!(load("2020-01-07").option_bars, 2);
    let [future, option] = monday.catalog.iter().collect::<Vec<_>>()[..] else {
        panic!("one future and one option, not {}", monday.catalog.len());
    };
    assert_eq!(future.local_symbol, "ESH0");
    let terms = option.option().unwrap();
    assert_eq!((terms.underlying, terms.fixing), (future.con_id, Fixing::Am));
    assert_eq!(terms.last_trade, at("2020-03-20T13:30:00Z"));
    assert_eq!(future.last_trade(), Some(terms.last_trade));
}

fn data(folder: &str) -> Option<PathBuf> {
    let Some(root) = std::env::var_os("OPTIONSIB_DATA") else {
        eprintln!("skipped: OPTIONSIB_DATA does not say where the market data lies");
        return None;
    };
    let path = PathBuf::from(root).join(folder);
    assert!(path.is_dir(), "{} is missing", path.display());
    Some(path)
}

fn judge(recorded: &RecordedDay) -> FlawCounts {
    let mut counts = FlawCounts::default();
    for step in &recorded.steps {
        // A bar's close is of the last instant before its end.
        let open = recorded.calendar.is_open(step.time.minus(Duration::from_nanos(1)));
        for (con_id, quote) in &step.quotes {
            let tick = recorded.catalog.get(*con_id).unwrap().tick.clone();
            let tick = tick.increment(quote.mid().unwrap_or(Price::ZERO));
            let verdict = match Gates::default().flaw_of(tick, quote, step.time, open) {
                None => Verdict::Sound(*quote),
                Some(flaw) => Verdict::Flawed(flaw, *quote),
            };
            counts.add(&verdict);
        }
    }
    counts
}

fn steps_are_sorted(recorded: &RecordedDay) {
    assert!(recorded.steps.windows(2).all(|pair| pair[0].time < pair[1].time));
    for step in &recorded.steps {
        assert!(step.quotes.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(step.quotes.iter().all(|(_, quote)| quote.time == step.time));
    }
    let quotes: usize = recorded.steps.iter().map(|step| step.quotes.len()).sum();
    assert_eq!(quotes, recorded.option_bars + recorded.underlying_bars);
}

#[test]
fn the_recorded_globex_day_is_complete_and_never_crossed() {
    let Some(root) = data("lean_es_futopt_20200106") else {
        return;
    };
    let load = |date| Day::load(&root, day(date), None, BadRows::Fail).unwrap();
    let monday = load("2020-01-06");
    steps_are_sorted(&monday);
    let options = monday.underlyings.iter().map(|id| monday.catalog.options_on(*id).count());
    assert_eq!(options.collect::<Vec<_>>(), [104, 107]);
    // 11,085 bars of Sunday evening and 234,544 of Monday until the close. Monday's file alone has
    // 243,505; its last 8,961 belong to Tuesday.
    assert_eq!(monday.option_bars, 11_085 + 234_544);
    assert_eq!(load("2020-01-07").option_bars, 243_505 - 234_544);
    let counts = judge(&monday);
    assert_eq!(counts.of(Flaw::Crossed), 0);
    assert!(counts.sound() > 210_000, "{counts:?}");
    assert!(monday.open_interest.is_empty() && monday.dividends.is_empty());
    for option in monday.catalog.iter().filter(|known| known.option().is_some()) {
        assert!(matches!(option.kind, InstrumentKind::FutureOption(_)));
    }
}

#[test]
fn the_recorded_half_day_of_goog_is_complete() {
    let Some(root) = data("lean_goog_opt_20151224") else {
        return;
    };
    let recorded = Day::load(&root, day("2015-12-24"), None, BadRows::Fail).unwrap();
    steps_are_sorted(&recorded);
    let stock = recorded.underlyings[0];
    let options: Vec<_> = recorded.catalog.options_on(stock).collect();
    let terms = options.iter().filter_map(|option| option.option());
    let expiries: BTreeSet<Date> = terms.map(|terms| terms.expiry).collect();
    assert_eq!((options.len(), expiries.len()), (2_192, 12));
    assert_eq!((recorded.option_bars, recorded.underlying_bars), (275_552, 260));
    assert_eq!(recorded.open_interest.len(), 2_058);
    assert_eq!(expiries.first(), Some(&day("2015-12-24")));
    let close = recorded.calendar.close_of(recorded.day).unwrap();
    assert_eq!(options[0].last_trade(), Some(close));
    eprintln!("GOOG: {:?}", judge(&recorded));
}

#[test]
fn twx_has_its_quarterly_dividends() {
    let Some(root) = data("lean_twx_opt_20140605") else {
        return;
    };
    let recorded = Day::load(&root, day("2014-06-05"), Some("TWX"), BadRows::Fail).unwrap();
    steps_are_sorted(&recorded);
    assert_eq!(recorded.catalog.options_on(recorded.underlyings[0]).count(), 184);
    assert_eq!(recorded.option_bars, 30_468);
    // The company paid 0.3175 in December too; LEAN's factors round that one up.
    let until = day("2015-01-16");
    let next: Vec<_> = recorded.dividends.between(recorded.day, until).collect();
    let expected = [(day("2014-08-27"), price("0.3175")), (day("2014-11-25"), price("0.32"))];
    assert_eq!(next, expected);
    // The spin-off of 9 June 2014 adjusts options, so it is no dividend.
    assert_eq!(recorded.dividends.on(day("2014-06-09")), Price::ZERO);
    let saturdays = recorded.catalog.iter().filter_map(|known| known.option());
    assert!(saturdays.into_iter().all(|terms| !terms.expiry.is_weekend()));
}

#[test]
fn spx_options_hang_on_the_index_and_aapl_says_what_it_lacks() {
    let Some(root) = data("lean_spx_opt_202101") else {
        return;
    };
    let recorded = Day::load(&root, day("2021-01-04"), None, BadRows::Fail).unwrap();
    steps_are_sorted(&recorded);
    assert_eq!(recorded.catalog.options_on(recorded.underlyings[0]).count(), 18);
    assert!(recorded.source.contains("one tick wide"), "{}", recorded.source);
    // The index opens at 09:30 New York although its file says 08:30: that is Chicago.
    let index = recorded.underlyings[0];
    let first = recorded.steps.iter().find(|step| step.quotes.iter().any(|q| q.0 == index));
    assert_eq!(first.unwrap().time, at("2021-01-04T14:31:00Z"));
    let fixings = recorded.catalog.iter().filter_map(|known| {
        let terms = known.option()?;
        Some((known.trading_class.as_str(), terms.fixing, terms.last_trade))
    });
    let fixings: Vec<_> = fixings.collect();
    assert!(fixings.contains(&("SPX", Fixing::Am, at("2021-01-14T21:15:00Z"))));
    assert!(fixings.contains(&("SPXW", Fixing::Pm, at("2021-01-08T21:00:00Z"))));
    let error = Day::load(&root, day("2021-01-06"), None, BadRows::Fail).unwrap_err();
    assert!(matches!(error, LeanError::NoUnderlying { .. }), "{error}");
    let aapl = data("lean_aapl_opt_201406_split").unwrap();
    let error = Day::load(&aapl, day("2014-06-06"), None, BadRows::Fail).unwrap_err();
    assert!(matches!(error, LeanError::NothingRecorded { .. }), "{error}");
}

#[test]
fn a_day_of_ticks_is_read_in_order() {
    let Some(root) = data("lean_equity_ticks_201310") else {
        return;
    };
    let ticks = read_ticks(&root, "AIG", day("2013-10-10")).unwrap();
    assert_eq!(ticks.len(), 1_424_679, "all rows but the suspicious one");
    assert!(ticks.windows(2).all(|pair| pair[0].0 <= pair[1].0));
    assert_eq!(ticks[0].0, Timestamp::from_nanos(1_381_392_000_201_000_000));
    assert!(ticks[0].1.ask.is_nan() && (ticks[1].1.bid - 46.87).abs() < 1e-9);
    let (mut crossed, mut verdicts) = (0, 0);
    for (time, quote) in &ticks {
        let verdict = Gates::default().judge(Price::from_micros(10_000), quote, *time, true);
        verdicts += 1;
        crossed += u64::from(verdict.flaw() == Some(Flaw::Crossed));
    }
    assert!(crossed * 1000 < verdicts, "{crossed} of {verdicts} crossed");
}

#[test]
fn the_built_in_calendars_agree_with_the_database() {
    let Some(root) = data("lean_reference") else {
        return;
    };
    let path = root.join("market-hours/market-hours-database.json");
    let read = |key, hours, last| {
        read_market_hours(&path, key, hours, day("2013-01-02"), day(last)).unwrap()
    };
    let differences = |ours: &Calendar, theirs: &Calendar, last: &str| {
        let span = day("2013-01-03").days_until(day(last));
        let days = (0..span).map(|days| day("2013-01-03").plus_days(days));
        days.filter(|day| ours.session_on(*day) != theirs.session_on(*day))
            .map(|day| day.to_string())
            .collect::<Vec<_>>()
    };
    let theirs = read("Equity-usa-[*]", Hours::Regular, "2028-12-20");
    let none: [&str; 0] = [];
    assert_eq!(differences(&Calendar::us_equities(), &theirs, "2028-12-20"), none);

    let theirs = read("Future-cme-ES", Hours::Extended, "2026-11-20");
    let ours = Calendar::cme_globex_es();
    let closes = ours.sessions().iter().filter_map(|session| {
        let close = theirs.close_of(session.day)?;
        (close != session.close).then(|| session.day.to_string())
    });
    // Half days by CME's notices that the database has as full ones.
    let half_days = ["2023-07-03", "2024-07-03", "2024-11-29"];
    assert_eq!(closes.collect::<Vec<_>>(), half_days);
    let opens = ours.sessions().iter().filter_map(|session| {
        let open = theirs.open_of(session.day)?;
        (open != session.open).then_some(session.day.civil())
    });
    // After an early close the database often forgets the evening: it opens at midnight.
    assert!(opens.into_iter().all(|day| (day.month(), day.day()) == (7, 4)));
    // What it has and we have not: holidays that it does not list, and two Sundays.
    let extra = theirs.sessions().iter().map(|session| session.day);
    let extra = extra.filter(|day| !ours.is_trading_day(*day) && !day.is_weekend());
    assert!(extra.into_iter().all(|day| matches!(day.civil().month(), 1 | 3 | 4 | 12)));
    for (key, hours) in [("Nothing", Hours::Regular), ("Crypto-binance-[*]", Hours::Extended)] {
        let error = read_market_hours(&path, key, hours, day("2020-01-01"), day("2020-02-01"));
        assert!(matches!(error, Err(LeanError::MarketHours { .. })), "{error:?}");
    }
}
