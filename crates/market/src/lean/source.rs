//! What a folder of LEAN data holds for one day: which products, and which archives of each.
//!
//! Every trap of the format that hangs on the product is decided here: the time zone and the price
//! scale of its files, its calendar, and which files make up one trading day. Not here: contract
//! terms (terms), reading (archive, row).

use super::LeanError;
use super::archive::ContractMonth;
use super::row::PriceScale;
use crate::calendar::{Calendar, zone};
use crate::session::civil_day;
use crate::time::{Date, Timestamp};
use jiff::tz::TimeZone;
use std::path::{Path, PathBuf};

/// The families of products that the reader knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Product {
    /// Options on ES futures.
    Future,
    /// Options on a stock.
    Equity,
    /// Options on an index.
    Index,
}

/// One zip of options.
#[derive(Clone, Debug)]
pub(super) struct OptionArchive {
    pub path: PathBuf,
    /// The day of its name, in the zone of its rows.
    pub day: Date,
    /// The class in capitals: `ES`, `GOOG`, `SPXW`.
    pub class: String,
    /// For options on futures.
    pub month: Option<ContractMonth>,
}

/// All archives of one underlying and day.
#[derive(Debug)]
pub(super) struct Source {
    pub product: Product,
    /// In capitals.
    pub symbol: String,
    pub options: Vec<OptionArchive>,
    /// Archives of the underlying, with the day of their names.
    pub underlyings: Vec<(PathBuf, Date)>,
    pub open_interest: Vec<OptionArchive>,
    pub calendar: Calendar,
    /// Bars that start in this span count; the rest of the files belongs to other trading days.
    pub span: (Timestamp, Timestamp),
}

impl Product {
    const ALL: [Self; 3] = [Self::Future, Self::Equity, Self::Index];

    fn calendar(self) -> Calendar {
        match self {
            Self::Future => Calendar::cme_globex_es(),
            Self::Equity => Calendar::us_equities(),
            Self::Index => Calendar::cboe_index_options(),
        }
    }

    /// The zone of the options' rows.
    pub(super) fn option_zone(self) -> TimeZone {
        match self {
            Self::Future => TimeZone::UTC,
            Self::Equity | Self::Index => bundled("America/New_York"),
        }
    }

    /// The zone of the underlying's rows.
    pub(super) fn underlying_zone(self) -> TimeZone {
        match self {
            Self::Future => TimeZone::UTC,
            Self::Equity => bundled("America/New_York"),
            Self::Index => bundled("America/Chicago"),
        }
    }

    pub(super) const fn option_scale(self) -> PriceScale {
        match self {
            Self::Future => PriceScale::Plain,
            Self::Equity | Self::Index => PriceScale::TenThousandths,
        }
    }

    pub(super) const fn underlying_scale(self) -> PriceScale {
        match self {
            Self::Future | Self::Index => PriceScale::Plain,
            Self::Equity => PriceScale::TenThousandths,
        }
    }

    /// What its rows can't say of themselves, for the day's provenance.
    pub(super) const fn caveat(self) -> &'static str {
        match self {
            Self::Future | Self::Equity => "",
            Self::Index => ", index quotes one tick wide around the level",
        }
    }
}

pub(super) fn bundled(name: &str) -> TimeZone {
    zone(name).expect("the zone is bundled with the program")
}

/// Finds the archives of `date` under `root`; of the only underlying there, or the one asked for.
pub(super) fn find(root: &Path, date: Date, underlying: Option<&str>) -> Result<Source, LeanError> {
    let mut found: Vec<Source> = Vec::new();
    for product in Product::ALL {
        let calendar = product.calendar();
        let Some(span) = span(product, &calendar, date) else {
            continue;
        };
        for archive in option_archives(root, product, "quote", &calendar, span, date)? {
            let symbol = underlying_symbol(root, product, &archive.class);
            let same = found
                .iter_mut()
                .find(|source| source.product == product && source.symbol == symbol);
            match same {
                Some(source) => source.options.push(archive),
                None => found.push(Source {
                    product,
                    symbol,
                    options: vec![archive],
                    underlyings: Vec::new(),
                    open_interest: Vec::new(),
                    calendar: calendar.clone(),
                    span,
                }),
            }
        }
    }
    let all: Vec<String> = found.iter().map(|source| source.symbol.clone()).collect();
    if let Some(wanted) = underlying {
        found.retain(|source| source.symbol.eq_ignore_ascii_case(wanted));
    }
    let mut source = match (found.len(), found.pop()) {
        (1, Some(source)) => source,
        (0, _) => {
            return Err(LeanError::NothingRecorded { root: root.to_owned(), date, found: all });
        }
        _ => {
            return Err(LeanError::Ambiguous { root: root.to_owned(), date, found: all });
        }
    };
    source.underlyings = underlying_archives(root, &source, date);
    if source.underlyings.is_empty() {
        return Err(LeanError::NoUnderlying { root: root.to_owned(), date, symbol: source.symbol });
    }
    let (product, span) = (source.product, source.span);
    let kind = "openinterest";
    source.open_interest = option_archives(root, product, kind, &source.calendar, span, date)?;
    source
        .open_interest
        .retain(|archive| underlying_symbol(root, product, &archive.class) == source.symbol);
    Ok(source)
}

/// The instants that belong to the trading day: from the close before it to its own for a Globex
/// day, whose evening lies in the file of the day before; the whole New York day otherwise, with
/// the hours before and after the session, which the gates tell apart.
fn span(product: Product, calendar: &Calendar, date: Date) -> Option<(Timestamp, Timestamp)> {
    let session = calendar.session_on(date)?;
    match product {
        Product::Future => {
            let before = calendar.last_trading_day(date.plus_days(-1))?;
            Some((calendar.close_of(before)?, session.close))
        }
        Product::Equity | Product::Index => {
            let midnight = |day| {
                let time = jiff::civil::Time::midnight();
                crate::session::wall_clock(day, time, calendar.zone())
            };
            Some((midnight(date), midnight(date.plus_days(1))))
        }
    }
}

/// The days of the files that hold rows of the span.
fn file_days(product: Product, span: (Timestamp, Timestamp), date: Date) -> Vec<Date> {
    match product {
        Product::Equity | Product::Index => vec![date],
        Product::Future => {
            let first = civil_day(span.0, &TimeZone::UTC);
            let days = first.days_until(civil_day(span.1, &TimeZone::UTC));
            (0..=days).map(|days| first.plus_days(days)).collect()
        }
    }
}

fn option_archives(
    root: &Path,
    product: Product,
    kind: &str,
    calendar: &Calendar,
    span: (Timestamp, Timestamp),
    date: Date,
) -> Result<Vec<OptionArchive>, LeanError> {
    debug_assert!(calendar.is_trading_day(date));
    // (folder of the class, class, contract month)
    let mut folders: Vec<(PathBuf, String, Option<ContractMonth>)> = Vec::new();
    match product {
        Product::Future => {
            for class in children(&root.join("futureoption/cme/minute"))? {
                for folder in children(&class)? {
                    let month = ContractMonth::parse(&file_name(&folder));
                    folders.push((folder, capitals(&class), month));
                }
            }
        }
        Product::Equity | Product::Index => {
            let family = match product {
                Product::Index => "indexoption",
                Product::Equity | Product::Future => "option",
            };
            for class in children(&root.join(family).join("usa/minute"))? {
                let name = capitals(&class);
                folders.push((class, name, None));
            }
        }
    }
    let mut archives = Vec::new();
    for (folder, class, month) in folders {
        for day in file_days(product, span, date) {
            let start = format!("{}_{kind}_", day.compact());
            for path in children(&folder)? {
                let name = file_name(&path);
                // One dot: LEAN's repository also has stray `.zip.zip` files.
                let plain = name.ends_with(".zip") && name.matches('.').count() == 1;
                if plain && name.starts_with(&start) {
                    archives.push(OptionArchive { path, day, class: class.clone(), month });
                }
            }
        }
    }
    Ok(archives)
}

fn underlying_archives(root: &Path, source: &Source, date: Date) -> Vec<(PathBuf, Date)> {
    let symbol = source.symbol.to_lowercase();
    let (folder, kind) = match source.product {
        Product::Future => ("future/cme/minute", "quote"),
        Product::Equity => ("equity/usa/minute", "quote"),
        Product::Index => ("index/usa/minute", "trade"),
    };
    let folder = root.join(folder).join(symbol);
    let days = file_days(source.product, source.span, date).into_iter();
    days.map(|day| (folder.join(format!("{}_{kind}.zip", day.compact())), day))
        .filter(|(path, _)| path.is_file())
        .collect()
}

/// SPXW is a class of options on SPX: the weeklies of an index have a W appended.
fn underlying_symbol(root: &Path, product: Product, class: &str) -> String {
    let index = root.join("index/usa/minute");
    match (product, class.strip_suffix('W')) {
        (Product::Index, Some(stem)) if index.join(stem.to_lowercase()).is_dir() => stem.to_owned(),
        _ => class.to_owned(),
    }
}

/// What lies in a folder, sorted; nothing if there is no such folder.
fn children(folder: &Path) -> Result<Vec<PathBuf>, LeanError> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let fail = |cause| LeanError::Io { path: folder.to_owned(), cause };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        paths.push(entry.map_err(fail)?.path());
    }
    paths.sort_unstable();
    Ok(paths)
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn capitals(path: &Path) -> String {
    file_name(path).to_uppercase()
}
