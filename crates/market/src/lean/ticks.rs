//! Ticks of a stock, for load tests of the quote path: AIG's 2013-10-10 has 1.4 million quotes.
//!
//! A row speaks of one side; the other is carried forward, whichever exchange spoke last, because
//! LEAN's rows are changes of one consolidated book (measured: two rows in ten thousand cross that
//! way, against nearly all when each exchange is remembered on its own).

use super::archive::read_zip;
use super::source::bundled;
use super::{BadRows, FileClock, LeanError, row};
use crate::quote::{Level, RawQuote};
use crate::time::{Date, Timestamp};
use std::path::Path;

/// See [`super::read_ticks`].
pub(super) fn read(
    root: &Path,
    symbol: &str,
    date: Date,
) -> Result<Vec<(Timestamp, RawQuote)>, LeanError> {
    let name = format!("{}_quote.zip", date.compact());
    let folder = root.join("equity/usa/tick").join(symbol.to_lowercase());
    let clock = FileClock::new(date, bundled("America/New_York"));
    let (mut bid, mut ask): (Option<Level>, Option<Level>) = (None, None);
    let mut ticks = Vec::new();
    read_zip(
        &folder.join(name),
        BadRows::Fail,
        &mut 0,
        |_| true,
        |_, line| {
            let Some(row) = row::quote_tick(line)? else {
                return Ok(());
            };
            bid = row.bid.or(bid);
            ask = row.ask.or(ask);
            let time = clock.at(row.milliseconds);
            let price = |side: Option<Level>| side.map_or(f64::NAN, |level| level.price.to_f64());
            let size = |side: Option<Level>| side.map_or(0.0, |level| f64::from(level.size));
            ticks.push((
                time,
                RawQuote {
                    bid: price(bid),
                    ask: price(ask),
                    bid_size: size(bid),
                    ask_size: size(ask),
                    time,
                },
            ));
            Ok(())
        },
    )?;
    Ok(ticks)
}
