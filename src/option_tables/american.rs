//! Rows that the European kernels can't answer: American exercise, and cash dividends of either
//! style.
//!
//! Exists as the one seam to those engines: a row in, an answer or a sentence out.

use super::Priced;
use super::row::{Row, Style};

/// Price, Greeks and error class of a row.
pub(super) fn price(row: &Row) -> Result<Priced, String> {
    Err(no_engine(row))
}

/// The vol at which `price` gives the price of the row.
pub(super) fn implied_vol(row: &Row) -> Result<f64, String> {
    Err(no_engine(row))
}

fn no_engine(row: &Row) -> String {
    let what = match (row.style, row.dividends.len()) {
        (Style::American, 0) => "american exercise".to_owned(),
        (Style::American, count) => format!("american exercise with {count} cash dividends"),
        (Style::European, count) => format!("a european option with {count} cash dividends"),
    };
    format!("this build has no engine for {what}; ask for european rows with a yield q")
}
