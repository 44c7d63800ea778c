//! What the market has said: bars by the minute and by five seconds, and the latest quotes.
//!
//! Kept in memory and bounded: three days of minutes, half an hour of five-second bars, two hundred
//! quotes per line. The market quotes and never prints, so a print is made of each quote: at its
//! bid or its ask in turn, with the smaller size. Bars are of middles; bid and ask bars lie half a
//! spread beside them.

use crate::stamp;
use market::instrument::ConId;
use market::quote::Quote;
use market::time::Timestamp;
use std::collections::{BTreeMap, VecDeque};

const MINUTES_KEPT: usize = 3 * 1440;
const FIVES_KEPT: usize = 360;
const QUOTES_KEPT: usize = 200;
/// Prints change sides this often.
const TURN_NANOS: i64 = 250_000_000;

/// One bar of middles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PastBar {
    /// Its first second since the epoch.
    pub start: i64,
    /// First middle.
    pub open: f64,
    /// Highest.
    pub high: f64,
    /// Lowest.
    pub low: f64,
    /// Last.
    pub close: f64,
    /// The last quote's width.
    pub spread: f64,
    /// Contracts or shares printed.
    pub volume: u64,
    /// Middles added up, for their average.
    pub sum: f64,
    /// Quotes.
    pub count: u32,
}

impl PastBar {
    fn new(start: i64, mid: f64, spread: f64, size: u32) -> Self {
        Self {
            start,
            open: mid,
            high: mid,
            low: mid,
            close: mid,
            spread,
            volume: u64::from(size),
            sum: mid,
            count: 1,
        }
    }

    fn add(&mut self, next: &Self) {
        self.high = self.high.max(next.high);
        self.low = self.low.min(next.low);
        (self.close, self.spread) = (next.close, next.spread);
        self.volume += next.volume;
        self.sum += next.sum;
        self.count = self.count.saturating_add(next.count);
    }

    /// The average of its middles.
    pub fn average(&self) -> f64 {
        self.sum / f64::from(self.count.max(1))
    }
}

#[derive(Clone, Debug, Default)]
struct Series {
    minutes: VecDeque<PastBar>,
    fives: VecDeque<PastBar>,
    quotes: VecDeque<Quote>,
}

/// The history of every line.
#[derive(Clone, Debug, Default)]
pub struct History(BTreeMap<ConId, Series>);

/// The print that is made of a quote: price and size.
pub fn print_of(quote: &Quote) -> Option<(f64, u32)> {
    let (bid, ask) = (quote.bid?, quote.ask?);
    let at_ask = quote.time.nanos() / TURN_NANOS % 2 == 0;
    let price = if at_ask { ask.price } else { bid.price };
    Some((price.to_f64(), bid.size.min(ask.size)))
}

impl History {
    /// Takes what the market says.
    pub fn on_quotes(&mut self, quotes: &[(ConId, Quote)], time: Timestamp) {
        let second = stamp::seconds(time);
        for (con_id, quote) in quotes {
            let series = self.0.entry(*con_id).or_default();
            push(&mut series.quotes, *quote, QUOTES_KEPT);
            let Some((bid, ask)) = quote.both() else { continue };
            let (bid, ask) = (bid.to_f64(), ask.to_f64());
            let size = print_of(quote).map_or(0, |(_, size)| size);
            for (bars, width, kept) in
                [(&mut series.minutes, 60, MINUTES_KEPT), (&mut series.fives, 5, FIVES_KEPT)]
            {
                let start = second - second.rem_euclid(width);
                let next = PastBar::new(start, f64::midpoint(bid, ask), ask - bid, size);
                match bars.back_mut() {
                    Some(last) if last.start == start => last.add(&next),
                    _ => push(bars, next, kept),
                }
            }
        }
    }

    /// Bars of `width` seconds that begin at or after `from` and before `until`.
    pub fn bars(&self, con_id: ConId, width: i64, from: i64, until: i64) -> Vec<PastBar> {
        let mut bars: Vec<PastBar> = Vec::new();
        for bar in self.source(con_id, width) {
            if bar.start < from || bar.start >= until {
                continue;
            }
            let start = bar.start - bar.start.rem_euclid(width);
            match bars.last_mut() {
                Some(last) if last.start == start => last.add(bar),
                _ => bars.push(PastBar { start, ..*bar }),
            }
        }
        bars
    }

    fn source(&self, con_id: ConId, width: i64) -> impl DoubleEndedIterator<Item = &PastBar> {
        let series = self.0.get(&con_id);
        let minutes = series.filter(|_| width >= 60).map(|series| series.minutes.iter());
        let fives = series.filter(|_| width < 60).map(|series| series.fives.iter());
        minutes.into_iter().flatten().chain(fives.into_iter().flatten())
    }

    /// The last minute that had begun at `second`: what a delayed line shows.
    pub fn minute_at(&self, con_id: ConId, second: i64) -> Option<&PastBar> {
        self.source(con_id, 60).rev().find(|bar| bar.start <= second)
    }

    /// The newest five-second bar that has ended before `second`.
    pub fn five_before(&self, con_id: ConId, second: i64) -> Option<&PastBar> {
        self.source(con_id, 5).rev().find(|bar| bar.start + 5 <= second)
    }

    /// When the history of a line begins.
    pub fn head(&self, con_id: ConId) -> Option<Timestamp> {
        let first = self.source(con_id, 60).next()?;
        Some(Timestamp::from_seconds(first.start))
    }

    /// The latest quotes, oldest first.
    pub fn quotes(&self, con_id: ConId) -> impl DoubleEndedIterator<Item = &Quote> {
        self.0.get(&con_id).into_iter().flat_map(|series| series.quotes.iter())
    }
}

fn push<T>(ring: &mut VecDeque<T>, next: T, kept: usize) {
    if ring.len() == kept {
        ring.pop_front();
    }
    ring.push_back(next);
}
