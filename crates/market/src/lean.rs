//! Reader of the on-disk format of LEAN (QuantConnect's engine): one recorded day of options with
//! their underlyings, ticks of a stock, and the market-hours database.
//!
//! Why the rules are strict: a wrong time zone, a price scale or a bar read a minute early looks
//! plausible and ruins every result. What the reader decides:
//! - a bar is stamped at its start; its closing bid and ask are known 60 seconds later, and that is
//!   the time of its step and of its quote;
//! - rows are written on change only: a step has the instruments that changed, carry the rest;
//! - a blank side is nobody (`None`), never zero; quotes before and after the session are kept, as
//!   they are (stubs too), for the quality gates to judge with [`RecordedDay::calendar`];
//! - a Globex day runs from the close before it (its evening lies in the file of the day before) to
//!   its own close; later rows of its file belong to the next day and are only counted.
//!
//! This is one of the two places of this room that read files. Not here: gates, models, replay.

mod archive;
pub mod market_hours;
mod row;
mod source;
mod terms;
mod ticks;

use crate::calendar::{Calendar, CalendarError};
use crate::corporate_action::{DividendSchedule, FactorFileError, read_factor_file};
use crate::instrument::{Catalog, ConId, InstrumentError};
use crate::money::Price;
use crate::quote::{Quote, RawQuote};
use crate::session::wall_clock;
use crate::time::{Date, NANOS_PER_SECOND, Timestamp};
use archive::{ContractMonth, EntryName, OptionName, read_zip};
use jiff::civil::Time;
use jiff::tz::TimeZone;
use row::{BadField, QuoteRow};
use source::{OptionArchive, Product, Source};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;
use terms::Key;

/// Bars last a minute.
const BAR: Duration = Duration::from_secs(60);

/// What to do with rows and entries that can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRows {
    /// The first one is the error.
    Fail,
    /// They are left out and counted.
    SkipAndCount,
}

/// Why LEAN data can't be read.
#[derive(Debug, thiserror::Error)]
pub enum LeanError {
    /// A file or folder.
    #[error("can't read {path}: {cause}", path = path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        cause: std::io::Error,
    },
    /// An archive, or an entry of it, is damaged.
    #[error("{path}, {entry}: not a sound zip ({cause}); fetch it again", path = path.display())]
    Zip {
        /// The archive.
        path: PathBuf,
        /// The entry, or the archive itself.
        entry: String,
        /// The decoder's reason.
        cause: String,
    },
    /// An entry's name states no contract.
    #[error("{path}: the entry name `{entry}` states no contract", path = path.display())]
    EntryName {
        /// The archive.
        path: PathBuf,
        /// The entry.
        entry: String,
    },
    /// A line of an entry.
    #[error(
        "{path}, {entry}, line {line}: {field} `{text}` is not {expected}",
        path = path.display()
    )]
    Row {
        /// The archive.
        path: PathBuf,
        /// The entry.
        entry: String,
        /// The line, counted from 1.
        line: usize,
        /// Which field.
        field: &'static str,
        /// What stands there.
        text: String,
        /// What should.
        expected: &'static str,
    },
    /// No minute quotes of options for that day and underlying.
    #[error(
        "{root} has no minute quotes of the wanted options for {date} (it has: {found:?}); check \
         the folder, the day and the underlying",
        root = root.display()
    )]
    NothingRecorded {
        /// The folder.
        root: PathBuf,
        /// The day.
        date: Date,
        /// The underlyings that it does have on that day.
        found: Vec<String>,
    },
    /// More than one underlying, and none was asked for.
    #[error("{root} has several underlyings on {date}: {found:?}; name one", root = root.display())]
    Ambiguous {
        /// The folder.
        root: PathBuf,
        /// The day.
        date: Date,
        /// The underlyings.
        found: Vec<String>,
    },
    /// Options without their underlying can't be valued.
    #[error(
        "{root} has options on {symbol} for {date} but no minute quotes of {symbol} itself (or \
         trades of an index)",
        root = root.display()
    )]
    NoUnderlying {
        /// The folder.
        root: PathBuf,
        /// The day.
        date: Date,
        /// The underlying.
        symbol: String,
    },
    /// The future that options are written on is not in the archives or has no expiry day.
    #[error("no quotes or no expiry day of the future {symbol}{month} that options are written on")]
    NoUnderlyingFuture {
        /// The product.
        symbol: String,
        /// The month's code, such as `H0`.
        month: String,
    },
    /// The calendar has no such expiry.
    #[error("{contract} expires on {expiry}, which is beyond the built-in calendar")]
    Expiry {
        /// The class.
        contract: String,
        /// The day in its name.
        expiry: Date,
    },
    /// An entry of an option archive names no option.
    #[error("an entry of an archive of options names no option")]
    NotAnOption,
    /// The ids of one product don't suffice.
    #[error("{symbol} has {found} contracts, more than one product's ids")]
    TooManyContracts {
        /// The product.
        symbol: String,
        /// How many.
        found: usize,
    },
    /// Contradictory contracts.
    #[error(transparent)]
    Instrument(#[from] InstrumentError),
    /// A factor file.
    #[error("{path}: {cause}", path = path.display())]
    FactorFile {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        cause: FactorFileError,
    },
    /// The market-hours database.
    #[error("{path}, entry {entry}: {cause}", path = path.display())]
    MarketHours {
        /// The database.
        path: PathBuf,
        /// The entry's key.
        entry: String,
        /// What is wrong with it.
        cause: String,
    },
    /// Hours that make no calendar.
    #[error(transparent)]
    Calendar(#[from] CalendarError),
}

/// What became known at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarketStep {
    /// When the values are known: the end of the bar.
    pub time: Timestamp,
    /// The instruments that changed, by rising con id.
    pub quotes: Vec<(ConId, Quote)>,
}

/// One recorded trading day of one underlying and its options.
#[derive(Clone, Debug)]
pub struct RecordedDay {
    /// Where it comes from and what was made of it, for reports.
    pub source: String,
    /// The trading day.
    pub day: Date,
    /// The product, such as `ES` or `GOOG`.
    pub symbol: String,
    /// All instruments with their terms. The ids depend only on the symbol and the day's contracts.
    pub catalog: Catalog,
    /// What the options are written on: the stock, the index, or the futures.
    pub underlyings: Vec<ConId>,
    /// When the options trade.
    pub calendar: Calendar,
    /// The stock's ordinary dividends, past and future ones as LEAN knows them; empty for others.
    pub dividends: DividendSchedule,
    /// By rising time.
    pub steps: Vec<MarketStep>,
    /// Bars of options in the steps.
    pub option_bars: usize,
    /// Bars of the underlyings in the steps.
    pub underlying_bars: usize,
    /// Bars in the files that belong to other trading days.
    pub bars_of_other_days: usize,
    /// Rows and entries that could not be read.
    pub skipped_rows: u64,
    /// Open contracts as known in the morning, where the archives state them.
    pub open_interest: BTreeMap<ConId, u64>,
}

/// The entry to recorded days.
#[derive(Debug)]
pub enum Day {}

impl Day {
    /// Loads the trading day `date` from the folder `root`; `underlying` chooses among several.
    ///
    /// # Errors
    /// A missing, ambiguous or damaged recording; with [`BadRows::Fail`] also the first broken row.
    pub fn load(
        root: &Path,
        date: Date,
        underlying: Option<&str>,
        on_bad_row: BadRows,
    ) -> Result<RecordedDay, LeanError> {
        let source = source::find(root, date, underlying)?;
        let mut loader = Loader {
            source: &source,
            bad_rows: on_bad_row,
            skipped: 0,
            of_other_days: 0,
            series: BTreeMap::new(),
        };
        for archive in &source.options {
            loader.read_options(archive)?;
        }
        for (path, day) in &source.underlyings {
            loader.read_underlying(path, *day)?;
        }
        loader.finish(root, date)
    }
}

/// All quote ticks of the stock `symbol` on `date` under `root`, as a data line would say them (NaN
/// for a side not yet quoted), in the order and at the times recorded, without the suspicious rows.
///
/// # Errors
/// A missing or damaged archive; the first broken row.
pub fn read_ticks(
    root: &Path,
    symbol: &str,
    date: Date,
) -> Result<Vec<(Timestamp, RawQuote)>, LeanError> {
    ticks::read(root, symbol, date)
}

struct Loader<'a> {
    source: &'a Source,
    bad_rows: BadRows,
    skipped: u64,
    of_other_days: usize,
    series: BTreeMap<Key, Vec<Quote>>,
}

impl Loader<'_> {
    fn read_options(&mut self, archive: &OptionArchive) -> Result<(), LeanError> {
        let scale = self.source.product.option_scale();
        let clock = FileClock::new(archive.day, self.source.product.option_zone());
        let key = |entry: &EntryName| match entry {
            EntryName::Option(name) => Some(Key::option(&archive.class, archive.month, name)),
            EntryName::Spot | EntryName::Future(_) => None,
        };
        self.read(&archive.path, &clock, key, |line| row::quote_bar(line, scale))
    }

    fn read_underlying(&mut self, path: &Path, day: Date) -> Result<(), LeanError> {
        let product = self.source.product;
        let clock = FileClock::new(day, product.underlying_zone());
        let wanted: BTreeSet<Option<ContractMonth>> =
            self.source.options.iter().map(|archive| archive.month).collect();
        let key = |entry: &EntryName| {
            let month = match entry {
                EntryName::Spot => None,
                EntryName::Future(month) => Some(*month),
                EntryName::Option(_) => return None,
            };
            wanted.contains(&month).then_some(Key::Underlying(month))
        };
        let scale = product.underlying_scale();
        self.read(path, &clock, key, |line| match product {
            Product::Index => row::index_bar(line, Price::from_micros(10_000)),
            Product::Future | Product::Equity => row::quote_bar(line, scale),
        })
    }

    fn read(
        &mut self,
        path: &Path,
        clock: &FileClock,
        key: impl Fn(&EntryName) -> Option<Key>,
        parse: impl Fn(&[u8]) -> Result<QuoteRow, BadField>,
    ) -> Result<(), LeanError> {
        let (from, until) = self.source.span;
        let mut keys: Vec<Key> = Vec::new();
        let mut series: Vec<Vec<Quote>> = Vec::new();
        let mut of_other_days = 0;
        // The time of the entry's row before, to find rows out of order.
        let mut before = (usize::MAX, -1);
        read_zip(
            path,
            self.bad_rows,
            &mut self.skipped,
            |entry| {
                let key = key(entry);
                let wanted = key.is_some();
                keys.extend(key);
                wanted
            },
            |entry, line| {
                let row = parse(line)?;
                if before.0 == entry && row.milliseconds <= before.1 {
                    return Err(BadField {
                        field: "time",
                        text: row.milliseconds.to_string(),
                        expected: "after the row before",
                    });
                }
                before = (entry, row.milliseconds);
                let start = clock.at(row.milliseconds);
                if start < from || start >= until {
                    of_other_days += 1;
                    return Ok(());
                }
                series.resize_with(series.len().max(entry + 1), Vec::new);
                series[entry].push(Quote { bid: row.bid, ask: row.ask, time: start.plus(BAR) });
                Ok(())
            },
        )?;
        self.of_other_days += of_other_days;
        // A contract without a row is known all the same.
        series.resize_with(keys.len(), Vec::new);
        for (key, mut quotes) in keys.into_iter().zip(series) {
            self.series.entry(key).or_default().append(&mut quotes);
        }
        Ok(())
    }

    fn finish(mut self, root: &Path, date: Date) -> Result<RecordedDay, LeanError> {
        let source = self.source;
        let keys: BTreeSet<Key> = self.series.keys().cloned().collect();
        let (catalog, ids) = terms::catalog(source, &keys)?;
        let (mut option_bars, mut underlying_bars) = (0, 0);
        let mut quotes: Vec<(ConId, Quote)> = Vec::new();
        for (key, series) in &mut self.series {
            match key {
                Key::Option { .. } => option_bars += series.len(),
                Key::Underlying(_) => underlying_bars += series.len(),
            }
            let con_id = ids[key];
            quotes.extend(series.drain(..).map(|quote| (con_id, quote)));
        }
        quotes.sort_by_key(|(con_id, quote)| (quote.time, *con_id));
        let steps = quotes
            .chunk_by(|one, next| one.1.time == next.1.time)
            .map(|chunk| MarketStep { time: chunk[0].1.time, quotes: chunk.to_vec() })
            .collect();
        let open_interest = self.read_open_interest(&ids)?;
        let underlyings = ids
            .iter()
            .filter(|(key, _)| matches!(key, Key::Underlying(_)))
            .map(|(_, con_id)| *con_id)
            .collect();
        let folder = root
            .file_name()
            .map_or_else(|| root.display().to_string(), |name| name.to_string_lossy().into());
        Ok(RecordedDay {
            source: format!(
                "{folder}: {} {date}, minute bars, closing quotes{}",
                source.symbol,
                source.product.caveat()
            ),
            day: date,
            symbol: source.symbol.clone(),
            catalog,
            underlyings,
            calendar: source.calendar.clone(),
            dividends: dividends(root, source)?,
            steps,
            option_bars,
            underlying_bars,
            bars_of_other_days: self.of_other_days,
            skipped_rows: self.skipped,
            open_interest,
        })
    }

    fn read_open_interest(
        &mut self,
        ids: &BTreeMap<Key, ConId>,
    ) -> Result<BTreeMap<ConId, u64>, LeanError> {
        let mut known = BTreeMap::new();
        for archive in &self.source.open_interest {
            let mut names: Vec<OptionName> = Vec::new();
            let mut values: BTreeMap<usize, u64> = BTreeMap::new();
            read_zip(
                &archive.path,
                self.bad_rows,
                &mut self.skipped,
                |entry| match entry {
                    EntryName::Option(name) => {
                        names.push(*name);
                        true
                    }
                    EntryName::Spot | EntryName::Future(_) => false,
                },
                |entry, line| {
                    values.insert(entry, row::open_interest(line)?);
                    Ok(())
                },
            )?;
            for (entry, contracts) in values {
                let key = Key::option(&archive.class, archive.month, &names[entry]);
                known.extend(ids.get(&key).map(|con_id| (*con_id, contracts)));
            }
        }
        Ok(known)
    }
}

/// Turns a file's milliseconds since midnight of its zone into instants.
struct FileClock {
    day: Date,
    zone: TimeZone,
    /// Midnight, if no daylight-saving change falls into the day.
    midnight: Option<Timestamp>,
}

impl FileClock {
    fn new(day: Date, zone: TimeZone) -> Self {
        let midnight = wall_clock(day, Time::midnight(), &zone);
        let next = wall_clock(day.plus_days(1), Time::midnight(), &zone);
        let whole_day = next.since(midnight) == Duration::from_secs(86_400);
        Self { day, zone, midnight: whole_day.then_some(midnight) }
    }

    /// `milliseconds` lie within the day, as the rows' reader makes sure.
    fn at(&self, milliseconds: i64) -> Timestamp {
        let nanos = milliseconds * (NANOS_PER_SECOND / 1000);
        match self.midnight {
            Some(midnight) => Timestamp::from_nanos(midnight.nanos() + nanos),
            None => {
                let time = Time::midnight().saturating_add(jiff::Span::new().nanoseconds(nanos));
                wall_clock(self.day, time, &self.zone)
            }
        }
    }
}

fn dividends(root: &Path, source: &Source) -> Result<DividendSchedule, LeanError> {
    let name = format!("{}.csv", source.symbol.to_lowercase());
    let path = root.join("equity/usa/factor_files").join(name);
    if source.product != Product::Equity || !path.is_file() {
        return Ok(DividendSchedule::default());
    }
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(cause) => return Err(LeanError::Io { path, cause }),
    };
    match read_factor_file(&text, &source.calendar) {
        Ok(actions) => Ok(actions.dividends()),
        Err(cause) => Err(LeanError::FactorFile { path, cause }),
    }
}

#[cfg(test)]
mod tests;
