//! LEAN's zips: their entries, the contract that each entry's name states, and their lines.
//!
//! Why one place: every line that can't be read has to be reported with file, entry, line and
//! field, or skipped and counted. Not here: what a line means (row), which archives there are
//! (source).

use super::row::BadField;
use super::{BadRows, LeanError};
use crate::instrument::{ExerciseStyle, Right};
use crate::money::Price;
use crate::time::Date;
use std::io::{Cursor, Read};
use std::path::Path;

/// No entry is larger: a day of ticks of a busy stock has 50 MB.
const LARGEST_ENTRY: u64 = 1 << 30;

/// What an entry's name says that it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryName {
    /// `YYYYMMDD_<sym>_minute_quote.csv`: a stock or an index.
    Spot,
    /// `YYYYMMDD_<sym>_minute_quote_YYYYMM.csv`: a future by its contract month.
    Future(ContractMonth),
    /// `YYYYMMDD_<sym>_minute_quote_<style>_<right>_<strike x 10000>_<expiry>.csv`.
    Option(OptionName),
}

/// Year and month of a future.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ContractMonth {
    pub year: i16,
    pub month: i8,
}

/// The terms in an option's file name; the expiry may be a Saturday.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OptionName {
    pub style: ExerciseStyle,
    pub right: Right,
    pub strike: Price,
    pub expiry: Date,
}

impl ContractMonth {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then_some(())?;
        let year = text[..4].parse().ok()?;
        let month: i8 = text[4..].parse().ok()?;
        (1..=12).contains(&month).then_some(Self { year, month })
    }

    /// `H0` for March 2020.
    pub(super) fn code(self) -> String {
        let letters = b"FGHJKMNQUVXZ";
        let letter = letters[usize::from(self.month.unsigned_abs() - 1) % letters.len()];
        format!("{}{}", char::from(letter), self.year % 10)
    }
}

impl EntryName {
    fn parse(name: &str) -> Option<Self> {
        let stem = name.strip_suffix(".csv")?;
        let parts: Vec<&str> = stem.split('_').collect();
        match parts.get(4..)? {
            [] => Some(Self::Spot),
            [month] => ContractMonth::parse(month).map(Self::Future),
            [style, right, strike, expiry] => {
                let style = match *style {
                    "american" => ExerciseStyle::American,
                    "european" => ExerciseStyle::European,
                    _ => return None,
                };
                let right = match *right {
                    "call" => Right::Call,
                    "put" => Right::Put,
                    _ => return None,
                };
                // The strike is written x 10000, so one unit of it is 100 micro-units.
                let strike: i64 = strike.parse().ok().filter(|strike| *strike > 0)?;
                Some(Self::Option(OptionName {
                    style,
                    right,
                    strike: Price::from_micros(strike.checked_mul(100)?),
                    expiry: Date::parse(expiry).ok()?,
                }))
            }
            _ => None,
        }
    }
}

/// Reads every line of every entry of the zip at `path`, entries in the zip's order.
///
/// `entry_wanted` is asked once per entry; `on_line` gets the entry's number, counted over the
/// wanted ones, and the line. What can't be read fails or is added to `skipped`. A zip that can't
/// be opened at all always fails: there is nothing left to replay.
pub(super) fn read_zip<E, L>(
    path: &Path,
    bad_rows: BadRows,
    skipped: &mut u64,
    mut entry_wanted: E,
    mut on_line: L,
) -> Result<(), LeanError>
where
    E: FnMut(&EntryName) -> bool,
    L: FnMut(usize, &[u8]) -> Result<(), BadField>,
{
    let zip_error = |entry: &str, cause: String| LeanError::Zip {
        path: path.to_owned(),
        entry: entry.to_owned(),
        cause,
    };
    let file =
        std::fs::read(path).map_err(|cause| LeanError::Io { path: path.to_owned(), cause })?;
    let mut zip = zip::ZipArchive::new(Cursor::new(file))
        .map_err(|cause| zip_error("the archive", cause.to_string()))?;
    let mut allow = |error: LeanError| match bad_rows {
        BadRows::Fail => Err(error),
        BadRows::SkipAndCount => {
            *skipped += 1;
            Ok(())
        }
    };
    let mut wanted = 0;
    let mut content = Vec::new();
    for index in 0..zip.len() {
        content.clear();
        let read = zip.by_index(index).map_err(|cause| cause.to_string());
        let (name, read) = match read {
            Ok(mut entry) => {
                let name = entry.name().map(|name| name.into_owned());
                let name = name.unwrap_or_else(|_| format!("entry {index}"));
                let read = entry.by_ref().take(LARGEST_ENTRY).read_to_end(&mut content);
                (name, read.map(|_| ()).map_err(|cause| cause.to_string()))
            }
            Err(cause) => (format!("entry {index}"), Err(cause)),
        };
        if let Err(cause) = read {
            allow(zip_error(&name, cause))?;
            continue;
        }
        let Some(entry) = EntryName::parse(&name) else {
            allow(LeanError::EntryName { path: path.to_owned(), entry: name })?;
            continue;
        };
        if !entry_wanted(&entry) {
            continue;
        }
        for (row, line) in content.split(|byte| *byte == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                continue;
            }
            if let Err(bad) = on_line(wanted, line) {
                allow(LeanError::Row {
                    path: path.to_owned(),
                    entry: name.clone(),
                    line: row + 1,
                    field: bad.field,
                    text: bad.text,
                    expected: bad.expected,
                })?;
            }
        }
        wanted += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_state_the_contract() {
        let name = "20140605_twx_minute_quote_american_put_950000_20160115.csv";
        assert_eq!(
            EntryName::parse(name),
            Some(EntryName::Option(OptionName {
                style: ExerciseStyle::American,
                right: Right::Put,
                strike: Price::from_units(95),
                expiry: Date::new(2016, 1, 15).unwrap(),
            }))
        );
        let month = ContractMonth { year: 2020, month: 3 };
        assert_eq!(
            EntryName::parse("20200105_es_minute_quote_202003.csv"),
            Some(EntryName::Future(month))
        );
        assert_eq!(month.code(), "H0");
        assert_eq!(EntryName::parse("20131010_aig_Quote_Tick.csv"), Some(EntryName::Spot));
        for wrong in [
            "readme.txt",
            "20200105_es.csv",
            "20200105_es_minute_quote_202013.csv",
            "20140605_twx_minute_quote_american_put_0_20160115.csv",
            "20140605_twx_minute_quote_bermudan_put_950000_20160115.csv",
            "20140605_twx_minute_quote_american_put_950000_20161315.csv",
        ] {
            assert_eq!(EntryName::parse(wrong), None, "{wrong}");
        }
    }
}
