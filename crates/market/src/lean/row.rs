//! One line of a LEAN CSV: decimal fields to exact micro-units, with the field named on failure.
//!
//! Why hand-written: a day has hundreds of thousands of lines, and going through f64 would lose the
//! exactness that prices promise. Not here: which file a line comes from (archive).

use crate::money::{MICROS, Price};
use crate::quote::Level;

/// How prices are written in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PriceScale {
    /// As they are: the SPX index, futures and options on futures.
    Plain,
    /// Times 10,000: stocks, options on stocks and on indices.
    TenThousandths,
}

/// What is wrong with a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadField {
    pub field: &'static str,
    pub text: String,
    pub expected: &'static str,
}

/// A bar's close, or a tick: milliseconds since the file's midnight and what is quoted then.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct QuoteRow {
    pub milliseconds: i64,
    pub bid: Option<Level>,
    pub ask: Option<Level>,
}

/// One field after the other, with the name of each.
struct Fields<'a> {
    rest: std::slice::Split<'a, u8, fn(&u8) -> bool>,
}

impl<'a> Fields<'a> {
    fn new(line: &'a [u8]) -> Self {
        Self { rest: line.split((|byte| *byte == b',') as fn(&u8) -> bool) }
    }

    fn next(&mut self, field: &'static str) -> Result<&'a [u8], BadField> {
        self.rest.next().ok_or_else(|| bad(field, b"", "there (the line is too short)"))
    }

    fn end(mut self) -> Result<(), BadField> {
        self.rest.next().map_or(Ok(()), |extra| Err(bad("line", extra, "its end")))
    }

    fn milliseconds(&mut self) -> Result<i64, BadField> {
        let text = self.next("time")?;
        let value = whole(text).filter(|value| (0..86_400_000).contains(value));
        value.ok_or_else(|| bad("time", text, "milliseconds of a day"))
    }

    fn price(&mut self, field: &'static str, scale: PriceScale) -> Result<Option<Price>, BadField> {
        let text = self.next(field)?;
        if text.is_empty() {
            return Ok(None);
        }
        let fail = || bad(field, text, "a price with at most six decimals");
        let micros = micros(text).ok_or_else(fail)?;
        let micros = match scale {
            PriceScale::Plain => micros,
            PriceScale::TenThousandths if micros % 10_000 == 0 => micros / 10_000,
            PriceScale::TenThousandths => return Err(fail()),
        };
        Ok((micros != 0).then(|| Price::from_micros(micros)))
    }

    fn size(&mut self, field: &'static str) -> Result<u32, BadField> {
        let text = self.next(field)?;
        whole(text)
            .and_then(|size| u32::try_from(size).ok())
            .ok_or_else(|| bad(field, text, "a whole size"))
    }

    fn skip(&mut self, fields: [&'static str; 3]) -> Result<(), BadField> {
        fields.into_iter().try_for_each(|field| self.next(field).map(|_| ()))
    }
}

/// A quote bar: time, bid open, high, low, close, bid size, the same of the ask. The closes count.
pub(super) fn quote_bar(line: &[u8], scale: PriceScale) -> Result<QuoteRow, BadField> {
    let mut fields = Fields::new(line);
    let milliseconds = fields.milliseconds()?;
    fields.skip(["bid open", "bid high", "bid low"])?;
    let bid = fields.price("bid close", scale)?;
    let bid_size = fields.size("bid size")?;
    fields.skip(["ask open", "ask high", "ask low"])?;
    let ask = fields.price("ask close", scale)?;
    let ask_size = fields.size("ask size")?;
    fields.end()?;
    Ok(QuoteRow {
        milliseconds,
        bid: bid.map(|price| Level { price, size: bid_size }),
        ask: ask.map(|price| Level { price, size: ask_size }),
    })
}

/// A trade bar of an index: time, open, high, low, close, volume. Its close, half a tick below and
/// above, stands for a quote; nobody trades an index, so the sizes are 0.
pub(super) fn index_bar(line: &[u8], tick: Price) -> Result<QuoteRow, BadField> {
    let mut fields = Fields::new(line);
    let milliseconds = fields.milliseconds()?;
    fields.skip(["open", "high", "low"])?;
    let level = fields.price("close", PriceScale::Plain)?;
    fields.next("volume")?;
    fields.end()?;
    let half = Price::from_micros(tick.micros() / 2);
    let at = |price| Some(Level { price, size: 0 });
    Ok(QuoteRow {
        milliseconds,
        bid: level.and_then(|level| at(level - half)),
        ask: level.and_then(|level| at(level + half)),
    })
}

/// An open-interest line: time, contracts.
pub(super) fn open_interest(line: &[u8]) -> Result<u64, BadField> {
    let mut fields = Fields::new(line);
    fields.milliseconds()?;
    let text = fields.next("open interest")?;
    fields.end()?;
    whole(text)
        .and_then(|contracts| u64::try_from(contracts).ok())
        .ok_or_else(|| bad("open interest", text, "a number of contracts"))
}

/// A quote tick of a stock: time, bid, size, ask, size, exchange, condition, suspicious. A side
/// that it does not speak of is `None`. The whole row is `None` when LEAN marks it as suspicious.
pub(super) fn quote_tick(line: &[u8]) -> Result<Option<QuoteRow>, BadField> {
    let scale = PriceScale::TenThousandths;
    let mut fields = Fields::new(line);
    let milliseconds = fields.milliseconds()?;
    let bid = fields.price("bid", scale)?;
    let bid_size = fields.size("bid size")?;
    let ask = fields.price("ask", scale)?;
    let ask_size = fields.size("ask size")?;
    fields.next("exchange")?;
    fields.next("condition")?;
    let suspicious = match fields.next("suspicious")? {
        b"0" => false,
        b"1" => true,
        other => return Err(bad("suspicious", other, "0 or 1")),
    };
    fields.end()?;
    Ok((!suspicious).then(|| QuoteRow {
        milliseconds,
        bid: bid.map(|price| Level { price, size: bid_size }),
        ask: ask.map(|price| Level { price, size: ask_size }),
    }))
}

fn bad(field: &'static str, text: &[u8], expected: &'static str) -> BadField {
    let kept = &text[..text.len().min(40)];
    BadField { field, text: String::from_utf8_lossy(kept).into_owned(), expected }
}

fn whole(text: &[u8]) -> Option<i64> {
    micros(text).filter(|micros| micros % MICROS == 0).map(|micros| micros / MICROS)
}

/// Non-negative decimal text as micro-units; `None` beyond six decimals or 9e12.
fn micros(text: &[u8]) -> Option<i64> {
    let mut units: i64 = 0;
    let mut decimals: Option<u32> = None;
    let mut digits = 0;
    for byte in text {
        match byte {
            b'0'..=b'9' => {
                digits += 1;
                match &mut decimals {
                    Some(6) if *byte == b'0' => continue,
                    Some(6) => return None,
                    Some(count) => *count += 1,
                    None => {}
                }
                units = units.checked_mul(10)?.checked_add(i64::from(byte - b'0'))?;
            }
            b'.' if decimals.is_none() => decimals = Some(0),
            _ => return None,
        }
    }
    let missing = 6 - decimals.unwrap_or(0);
    (digits > 0).then_some(())?;
    units.checked_mul(10_i64.pow(missing))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn level(price: &str, size: u32) -> Option<Level> {
        let price = Price::parse(price).unwrap();
        Some(Level { price, size })
    }

    #[test]
    fn a_bar_counts_by_its_closes_and_a_blank_side_is_nobody() {
        let plain = quote_bar(b"82500000,,,,,0,264.75,265,264.5,264.25,1", PriceScale::Plain);
        let row = plain.unwrap();
        assert_eq!((row.milliseconds, row.bid), (82_500_000, None));
        assert_eq!(row.ask, level("264.25", 1));
        let scaled = quote_bar(
            b"34200000,2386000,2386000,2386000,2386000,5,1,1,1,2429000,6",
            PriceScale::TenThousandths,
        );
        let row = scaled.unwrap();
        assert_eq!((row.bid, row.ask), (level("238.60", 5), level("242.90", 6)));
    }

    #[test]
    fn broken_bars_name_the_field() {
        let field = |line: &[u8]| quote_bar(line, PriceScale::Plain).unwrap_err().field;
        assert_eq!(field(b""), "time");
        assert_eq!(field(b"86400000,,,,,0,,,,,0"), "time");
        assert_eq!(field(b"-1,,,,,0,,,,,0"), "time");
        assert_eq!(field(b"0,,,,1e3,0,,,,,0"), "bid close");
        assert_eq!(field(b"0,,,,.,0,,,,,0"), "bid close");
        assert_eq!(field(b"0,,,,,,,,,,0"), "bid size");
        assert_eq!(field(b"0,,,,,0,,,,1.0000001,0"), "ask close");
        assert_eq!(field(b"0,,,,,0,,,,,1.5"), "ask size");
        assert_eq!(field(b"0,,,,,0,,,,"), "ask size");
        assert_eq!(field(b"0,,,,,0,,,,,0,7"), "line");
    }

    #[test]
    fn ticks_speak_of_one_side_and_suspicious_ones_of_none() {
        let row = quote_tick(b"14400201,468700,100,0,0,P,1,0").unwrap().unwrap();
        assert_eq!((row.bid, row.ask), (level("46.87", 100), None));
        assert_eq!(quote_tick(b"14400201,468700,100,0,0,P,1,1"), Ok(None));
        let error = quote_tick(b"14400201,468700,100,0,0,P,1,x").unwrap_err();
        assert_eq!(error.field, "suspicious");
    }

    #[test]
    fn an_index_bar_is_quoted_half_a_tick_to_either_side() {
        let row = index_bar(b"0,1,1,1,3700.65,2", Price::from_micros(10_000)).unwrap();
        assert_eq!((row.bid, row.ask), (level("3700.645", 0), level("3700.655", 0)));
    }

    proptest! {
        #[test]
        fn decimals_read_as_money_does(units in 0_i64..9_000_000, decimals in 0_u32..1_000_000) {
            let text = format!("{units}.{decimals:06}");
            let expected = Price::parse(&text).unwrap().micros();
            prop_assert_eq!(micros(text.as_bytes()), Some(expected));
        }

        #[test]
        fn any_bytes_are_read_or_refused(line in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = (quote_bar(&line, PriceScale::TenThousandths), quote_tick(&line));
            let row = quote_bar(&line, PriceScale::Plain);
            prop_assert!(row.is_err() || line.iter().filter(|byte| **byte == b',').count() == 10);
        }
    }
}
