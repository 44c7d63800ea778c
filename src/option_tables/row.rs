//! One row of an option table, read by the names of its columns.
//!
//! Exists so that a bad field is named in words ("K: `1o0` is not a number") and never stops the
//! rows behind it. Whether the numbers make sense is left to the pricing crate, which has its own
//! typed reasons.

use crate::failure::Failure;
use csv::ByteRecord;
use pricing::black::OptionKind;

const COLUMNS: [&str; 7] = ["style", "type", "S", "K", "r", "q", "T"];

/// When an option can be exercised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    European,
    American,
}

/// A cash dividend.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Dividend {
    /// Years until the share trades without it.
    pub(super) years: f64,
    /// What is paid per share.
    pub(super) cash: f64,
}

/// A row that could be read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) style: Style,
    pub(super) kind: OptionKind,
    pub(super) spot: f64,
    pub(super) strike: f64,
    pub(super) rate: f64,
    pub(super) dividend_yield: f64,
    pub(super) years: f64,
    /// Annual vol, or the price whose vol is asked for.
    pub(super) vol_or_price: f64,
    pub(super) dividends: Vec<Dividend>,
}

/// Where the columns stand.
#[derive(Debug)]
pub(super) struct Header {
    places: [usize; 7],
    last: usize,
    last_name: &'static str,
    dividends: Option<usize>,
    columns: usize,
}

impl Header {
    /// Finds the columns, in any order and among others.
    pub(super) fn new(names: &ByteRecord, last_name: &'static str) -> Result<Self, Failure> {
        let place =
            |wanted: &str| names.iter().position(|name| name.trim_ascii() == wanted.as_bytes());
        let require = |wanted: &str| {
            place(wanted).ok_or_else(|| {
                Failure::usage(format!("the table has no column `{wanted}`")).next(format!(
                    "its first line must name the columns style,type,S,K,r,q,T,{last_name}"
                ))
            })
        };
        let mut places = [0; 7];
        for (place, name) in places.iter_mut().zip(COLUMNS) {
            *place = require(name)?;
        }
        Ok(Self {
            places,
            last: require(last_name)?,
            last_name,
            dividends: place("dividends"),
            columns: names.len(),
        })
    }

    /// Columns of the table as it came.
    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    /// Reads a row, or says what is wrong with it.
    pub(super) fn row(&self, record: &ByteRecord) -> Result<Row, String> {
        if record.len() != self.columns {
            let (found, expected) = (record.len(), self.columns);
            return Err(format!("the row has {found} fields where the table has {expected}"));
        }
        let text = |place: usize, name: &str| {
            std::str::from_utf8(&record[place])
                .map(str::trim)
                .map_err(|_| format!("{name}: the field is not UTF-8"))
        };
        let number = |place: usize, name: &str| {
            let text = text(place, name)?;
            text.parse::<f64>().map_err(|_| format!("{name}: `{text}` is not a number"))
        };
        let [style, kind, spot, strike, rate, dividend_yield, years] = self.places;
        let style = match text(style, "style")? {
            "european" => Style::European,
            "american" => Style::American,
            other => return Err(format!("style: `{other}` is neither european nor american")),
        };
        let kind = match text(kind, "type")? {
            "call" => OptionKind::Call,
            "put" => OptionKind::Put,
            other => return Err(format!("type: `{other}` is neither call nor put")),
        };
        let dividends = match self.dividends {
            Some(place) => dividends(text(place, "dividends")?)?,
            None => Vec::new(),
        };
        Ok(Row {
            style,
            kind,
            spot: number(spot, "S")?,
            strike: number(strike, "K")?,
            rate: number(rate, "r")?,
            dividend_yield: number(dividend_yield, "q")?,
            years: number(years, "T")?,
            vol_or_price: number(self.last, self.last_name)?,
            dividends,
        })
    }
}

/// Reads `t:cash;t:cash`; nothing is no dividend.
fn dividends(text: &str) -> Result<Vec<Dividend>, String> {
    let entries = text.split(';').map(str::trim).filter(|entry| !entry.is_empty());
    entries
        .map(|entry| {
            let pair = entry.split_once(':').and_then(|(years, cash)| {
                Some(Dividend {
                    years: years.trim().parse().ok()?,
                    cash: cash.trim().parse().ok()?,
                })
            });
            pair.ok_or_else(|| format!("dividends: `{entry}` is not time:cash"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(names: &str) -> Result<Header, Failure> {
        Header::new(&ByteRecord::from(names.split(',').collect::<Vec<_>>()), "vol")
    }

    fn row(fields: &str) -> Result<Row, String> {
        header("style,type,S,K,r,q,T,vol,dividends")
            .unwrap()
            .row(&ByteRecord::from(fields.split(',').collect::<Vec<_>>()))
    }

    #[test]
    fn a_row_is_read_by_the_names_of_its_columns() {
        let fields = "american, put ,100,9.5e1,0.05,0.01,0.5,0.2,0.1:1.5; 0.35:1.25";
        let read = row(fields).unwrap();
        assert_eq!((read.style, read.kind), (Style::American, OptionKind::Put));
        assert_eq!((read.spot, read.strike, read.vol_or_price), (100.0, 95.0, 0.2));
        assert_eq!(
            read.dividends,
            [Dividend { years: 0.1, cash: 1.5 }, Dividend { years: 0.35, cash: 1.25 }]
        );
        let turned = header("note,vol,T,q,r,K,S,type,style").unwrap();
        let record =
            ByteRecord::from(vec!["x", "0.2", "1", "0", "0", "90", "80", "call", "european"]);
        assert_eq!(turned.row(&record).unwrap().spot, 80.0);
    }

    #[test]
    fn a_bad_field_is_named() {
        for (fields, reason) in [
            ("asian,put,1,1,0,0,1,0.2,", "style: `asian` is neither european nor american"),
            ("european,p,1,1,0,0,1,0.2,", "type: `p` is neither call nor put"),
            ("european,put,1,1o0,0,0,1,0.2,", "K: `1o0` is not a number"),
            ("european,put,1,1,0,0,1,,", "vol: `` is not a number"),
            ("european,put,1,1,0,0,1,0.2,0.1", "dividends: `0.1` is not time:cash"),
            ("european,put,1", "the row has 3 fields where the table has 9"),
        ] {
            assert_eq!(row(fields).unwrap_err(), reason, "{fields}");
        }
        assert!(header("style,type,S,K,r,q,T").unwrap_err().what.contains("`vol`"));
    }
}
