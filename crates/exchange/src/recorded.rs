//! Where the venue's quotes come from: the built-in market, or a recorded day.
//!
//! A recorded day can be played several times, each time later by a whole number of days, so that
//! the clock never runs back. Contracts keep their real last trading times: with the default of
//! seven days a far loop finds the near expiries gone, and their quotes fill nothing. A benchmark
//! that wants every contract alive passes a shift of one day and a calendar that is always open.

use crate::builtin::BuiltinMarket;
use crate::market_step::MarketStep;
use market::instrument::Instrument;
use market::lean;
use market::time::Timestamp;
use std::time::Duration;

/// A recorded day.
#[derive(Clone, Debug)]
pub struct RecordedMarket {
    instruments: Vec<Instrument>,
    steps: Vec<lean::MarketStep>,
    next: usize,
    finished_loops: u32,
    loops: u32,
    shift: Duration,
}

/// Why steps can't be played.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordedError {
    /// Times run back.
    #[error("step {0} of the recorded day is earlier than the one before it; sort the steps")]
    Unsorted(usize),
    /// A loop would begin before the one before it has ended.
    #[error("the recorded steps span {span:?}, longer than the shift of {shift:?} per loop")]
    Shift {
        /// From the first to the last step.
        span: Duration,
        /// Per loop.
        shift: Duration,
    },
}

impl RecordedMarket {
    /// The default shift per loop: a week keeps the weekday.
    pub const WEEK: Duration = Duration::from_secs(7 * 86_400);

    /// A day to be played `loops` times, later by `shift` each time.
    pub fn new(
        instruments: Vec<Instrument>,
        steps: Vec<lean::MarketStep>,
        loops: u32,
        shift: Duration,
    ) -> Result<Self, RecordedError> {
        if let Some(index) = steps.windows(2).position(|pair| pair[0].time > pair[1].time) {
            return Err(RecordedError::Unsorted(index + 1));
        }
        if let (Some(first), Some(last)) = (steps.first(), steps.last()) {
            let span = last.time.since(first.time);
            if loops > 1 && span >= shift {
                return Err(RecordedError::Shift { span, shift });
            }
        }
        Ok(Self { instruments, steps, next: 0, finished_loops: 0, loops, shift })
    }

    fn next_time(&self) -> Option<Timestamp> {
        if self.finished_loops >= self.loops {
            return None;
        }
        self.steps.get(self.next).map(|step| step.time.plus(self.shift * self.finished_loops))
    }

    fn step(&mut self) -> Option<MarketStep> {
        let time = self.next_time()?;
        let mut quotes = self.steps[self.next].quotes.clone();
        let delay = self.shift * self.finished_loops;
        for (_, quote) in &mut quotes {
            quote.time = quote.time.plus(delay);
        }
        self.next += 1;
        if self.next == self.steps.len() {
            (self.next, self.finished_loops) = (0, self.finished_loops + 1);
        }
        Some(MarketStep { time, listed: std::mem::take(&mut self.instruments), quotes })
    }
}

/// Either source behind one face, so that the host is the same for both.
#[derive(Clone, Debug)]
pub enum MarketSource {
    /// The seeded market; it never ends.
    Builtin(Box<BuiltinMarket>),
    /// A recorded day.
    Recorded(RecordedMarket),
}

impl MarketSource {
    /// When the next step becomes known; `None` after the last.
    #[must_use]
    pub fn next_time(&self) -> Option<Timestamp> {
        match self {
            Self::Builtin(market) => Some(market.next_time()),
            Self::Recorded(market) => market.next_time(),
        }
    }

    /// The next step. The first lists all instruments.
    pub fn step(&mut self) -> Option<MarketStep> {
        match self {
            Self::Builtin(market) => Some(market.next_step()),
            Self::Recorded(market) => market.step(),
        }
    }

    /// What the market needs to go on later, as text; a recorded day starts over.
    #[must_use]
    pub fn state(&self) -> Option<String> {
        match self {
            Self::Builtin(market) => Some(market.to_json()),
            Self::Recorded(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use market::quote::Quote;

    #[test]
    fn loops_repeat_the_day_later_and_list_instruments_once() {
        let quote = Quote::empty(samples::at(0, 10));
        let step = |time| lean::MarketStep { time, quotes: vec![(samples::STOCK, quote)] };
        let steps = vec![step(samples::at(0, 10)), step(samples::at(0, 11))];
        let day =
            RecordedMarket::new(vec![samples::stock()], steps.clone(), 2, RecordedMarket::WEEK);
        let mut source = MarketSource::Recorded(day.unwrap());
        let played: Vec<MarketStep> = std::iter::from_fn(|| source.step()).collect();
        let times: Vec<Timestamp> = played.iter().map(|step| step.time).collect();
        assert_eq!(
            times,
            [samples::at(0, 10), samples::at(0, 11), samples::at(7, 10), samples::at(7, 11)]
        );
        assert_eq!(played[2].quotes[0].1.time, samples::at(7, 10));
        assert_eq!(played.iter().map(|step| step.listed.len()).sum::<usize>(), 1);
        let short = Duration::from_secs(60);
        assert!(RecordedMarket::new(Vec::new(), steps, 2, short).is_err());
    }
}
