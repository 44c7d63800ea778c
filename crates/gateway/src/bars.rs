//! What a request for bars means: sizes, spans, which price, and how dates are written.

use crate::history::PastBar;
use crate::message::data::Bar;
use crate::stamp;
use exchange::day::utc_day;
use market::time::Timestamp;

const DAY: i64 = 86_400;

/// Which price the bars are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Middles, or prints: the simulated market prints around its middle.
    Middle,
    /// Bids.
    Bid,
    /// Asks.
    Ask,
    /// Bid as open and low, ask as high and close, as IB gives them together.
    BidAsk,
}

impl Shown {
    /// From `whatToShow`; `None` for what a market of quotes can't show.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "" | "TRADES" | "MIDPOINT" | "ADJUSTED_LAST" => Self::Middle,
            "BID" => Self::Bid,
            "ASK" => Self::Ask,
            "BID_ASK" => Self::BidAsk,
            _ => return None,
        })
    }
}

/// Seconds of a bar size such as `5 mins`.
pub fn bar_seconds(text: &str) -> Option<i64> {
    let (count, unit) = text.trim().split_once(' ')?;
    let count: i64 = count.parse().ok()?;
    let unit = match unit.trim_end_matches('s') {
        "sec" => 1,
        "min" => 60,
        "hour" => 3_600,
        "day" => DAY,
        "week" | "W" => 7 * DAY,
        "month" | "M" => 30 * DAY,
        _ => return None,
    };
    let served = matches!(
        (count, unit),
        (1 | 5 | 10 | 15 | 30, 1) | (1 | 2 | 3 | 5 | 10 | 15 | 20 | 30, 60) | (1..=4 | 8, 3_600)
    );
    (served || unit >= DAY && count == 1).then_some(count * unit)
}

/// Seconds of a duration such as `2 D`.
pub fn span_seconds(text: &str) -> Option<i64> {
    let (count, unit) = text.trim().split_once(' ')?;
    let count: i64 = count.parse().ok().filter(|count| (1..=1_000_000).contains(count))?;
    let unit = match unit {
        "S" => 1,
        "D" => DAY,
        "W" => 7 * DAY,
        "M" => 30 * DAY,
        "Y" => 365 * DAY,
        _ => return None,
    };
    Some(count * unit)
}

/// A bar's date: a day for bars of a day and more; else seconds if the client asked for them.
pub fn date(start: i64, width: i64, format_date: i32) -> String {
    let at = Timestamp::from_seconds(start);
    if width >= DAY {
        utc_day(at).compact()
    } else if format_date == 2 {
        start.to_string()
    } else {
        stamp::with_zone(at)
    }
}

/// The bar as it is told.
pub fn told(bar: &PastBar, shown: Shown, width: i64, format_date: i32) -> Bar {
    let half = bar.spread / 2.0;
    let (open, high, low, close) = match shown {
        Shown::Middle => (bar.open, bar.high, bar.low, bar.close),
        Shown::Bid => (bar.open - half, bar.high - half, bar.low - half, bar.close - half),
        Shown::Ask => (bar.open + half, bar.high + half, bar.low + half, bar.close + half),
        Shown::BidAsk => (bar.open - half, bar.high + half, bar.low - half, bar.close + half),
    };
    Bar {
        date: date(bar.start, width, format_date),
        open: cents(open),
        high: cents(high),
        low: cents(low),
        close: cents(close),
        volume: bar.volume.to_string(),
        average: cents(bar.average()).to_string(),
        count: i32::try_from(bar.count).unwrap_or(i32::MAX),
    }
}

/// To a hundredth of a cent: what floating point leaves behind it is no price.
pub fn cents(price: f64) -> f64 {
    (price * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_spans_are_ibs() {
        assert_eq!(bar_seconds("5 mins"), Some(300));
        assert_eq!(bar_seconds("1 day"), Some(DAY));
        assert_eq!([bar_seconds("7 mins"), bar_seconds("5"), bar_seconds("2 days")], [None; 3]);
        assert_eq!(span_seconds("3600 S"), Some(3600));
        assert_eq!([span_seconds("1 X"), span_seconds("-1 D"), span_seconds("")], [None; 3]);
    }
}
