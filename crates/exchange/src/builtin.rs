//! The built-in market: seeded, without files or network, running round the clock for ever.
//!
//! `SIM` is a stock near 100 with a quarterly dividend of 0.50 and American options; `SIMX` an
//! index near 4000 (quoted, never traded) with European options settled in cash. Both follow a
//! stochastic variance (Heston 1993, full truncation) with jumps. Everything that the path depends
//! on is in the state, which is saved as JSON and continues. f64 stays inside: what leaves is in
//! ticks.
//!
//! A step moves spots and re-quotes one of the four expiries in turn (all of them after a jump);
//! only lines that changed are sent. Left to others: trading (exchange), real time (the host).

mod chain;
mod path;

use crate::day::{midnight_utc, utc_day};
use crate::market_step::MarketStep;
use crate::random::Random;
use chain::Chain;
use market::instrument::{ConId, ExerciseStyle, Instrument, InstrumentKind, Settlement, TickRule};
use market::money::{Currency, Multiplier, Price};
use market::quote::{Level, Quote};
use market::time::{Date, Timestamp};
use path::{Dynamics, Path};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The stock.
pub const SIM: ConId = ConId(1001);
/// The index.
pub const SIMX: ConId = ConId(1002);
/// The continuous rate that forwards and discounts follow.
pub const RATE: f64 = 0.04;
/// The quarterly dividend of `SIM`.
pub const DIVIDEND: Price = Price::from_micros(500_000);

const FIRST_OPTION: u32 = 10_001;
const DAYS_TO_FIRST_EX_DATE: i32 = 3;
const DAYS_BETWEEN_EX_DATES: i32 = 91;
/// Ex-dates are announced so far ahead.
const ANNOUNCED_DATES: usize = 4;
/// One line in so many is refreshed although its prices stand still.
const REFRESH_ONE_IN: u32 = 16;

/// A dividend on the calendar of the built-in market.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduledDividend {
    /// The stock.
    pub con_id: ConId,
    /// The first day without it; it begins at midnight UTC.
    pub ex_date: Date,
    /// Per share.
    pub amount: Price,
}

/// One underlying with its chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Underlying {
    instrument: Instrument,
    path: Path,
    chain: Chain,
    last: Option<Quote>,
}

/// The market's whole state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BuiltinMarket {
    /// Moves the paths, and nothing else: they are the same whatever is quoted.
    random: Random,
    /// Sizes and widths of quotes.
    quoting: Random,
    clock: Timestamp,
    interval: Duration,
    steps: u64,
    next_con_id: u32,
    underlyings: Vec<Underlying>,
    ex_dates: Vec<Date>,
    started: bool,
}

/// A saved market that can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the saved state of the built-in market is not readable: {0}; remove it to start anew")]
pub struct BuiltinError(String);

impl BuiltinMarket {
    /// A new market whose first step is at `start`.
    #[must_use]
    pub fn new(seed: u64, start: Timestamp) -> Self {
        let price = |text| Price::parse(text).expect("a decimal");
        let bands = |low, high| {
            let rule = vec![(Price::ZERO, price(low)), (price("3"), price(high))];
            TickRule::bands(rule).expect("two rising bands")
        };
        let stock_options = chain::Style {
            exercise: ExerciseStyle::American,
            settlement: Settlement::Physical,
            tick: bands("0.01", "0.05"),
            spacing_micros: [500_000, 1_000_000, 1_000_000, 2_000_000],
        };
        let index_options = chain::Style {
            exercise: ExerciseStyle::European,
            settlement: Settlement::Cash,
            tick: bands("0.05", "0.10"),
            spacing_micros: [5_000_000, 10_000_000, 25_000_000, 50_000_000],
        };
        let underlying = |con_id, symbol, kind, path, style| Underlying {
            instrument: root(con_id, symbol, kind),
            path,
            chain: Chain::new(symbol, con_id, style),
            last: None,
        };
        let sim = Path::new(100.0, Dynamics::stock());
        let simx = Path::new(4_000.0, Dynamics::index());
        let first_ex_date = utc_day(start).plus_days(DAYS_TO_FIRST_EX_DATE);
        Self {
            random: Random::new(seed),
            quoting: Random::new(!seed),
            clock: start,
            interval: Duration::from_millis(250),
            steps: 0,
            next_con_id: FIRST_OPTION,
            underlyings: vec![
                underlying(SIM, "SIM", InstrumentKind::Stock, sim, stock_options),
                underlying(SIMX, "SIMX", InstrumentKind::Index, simx, index_options),
            ],
            ex_dates: (0..ANNOUNCED_DATES as i32)
                .map(|quarter| first_ex_date.plus_days(quarter * DAYS_BETWEEN_EX_DATES))
                .collect(),
            started: false,
        }
    }

    /// Another time between steps than 250 ms.
    #[must_use]
    pub const fn with_interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// The state as text; [`BuiltinMarket::from_json`] continues its paths, number for number.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("the market's state has text keys and finite numbers")
    }

    /// Continues a saved market. Its first step lists and quotes everything again.
    pub fn from_json(text: &str) -> Result<Self, BuiltinError> {
        let mut market: Self =
            serde_json::from_str(text).map_err(|error| BuiltinError(error.to_string()))?;
        market.started = false;
        Ok(market)
    }

    /// When the next step is.
    #[must_use]
    pub const fn next_time(&self) -> Timestamp {
        self.clock
    }

    /// Every instrument that is listed now.
    #[must_use]
    pub fn instruments(&self) -> Vec<Instrument> {
        let mut all = Vec::new();
        for underlying in &self.underlyings {
            all.push(underlying.instrument.clone());
            all.extend(underlying.chain.instruments().cloned());
        }
        all
    }

    /// The announced dividends, the nearest first.
    #[must_use]
    pub fn dividends(&self) -> Vec<ScheduledDividend> {
        let dividend =
            |ex_date: &Date| ScheduledDividend { con_id: SIM, ex_date: *ex_date, amount: DIVIDEND };
        self.ex_dates.iter().map(dividend).collect()
    }

    /// Moves the market to its next moment.
    pub fn next_step(&mut self) -> MarketStep {
        let now = self.clock;
        let first = !self.started;
        self.started = true;
        let went_ex = self.roll_ex_dates(now);
        let mut step = MarketStep { time: now, ..MarketStep::default() };
        let years = self.interval.as_secs_f64() / market::time::SECONDS_PER_YEAR;
        for (index, underlying) in self.underlyings.iter_mut().enumerate() {
            let mut jumped = false;
            if self.steps > 0 {
                jumped = underlying.path.advance(years, RATE, &mut self.random);
            }
            let pays = underlying.instrument.con_id == SIM;
            if pays && went_ex {
                underlying.path.drop_by(DIVIDEND.to_f64());
                jumped = true;
            }
            let spot = underlying.path.spot();
            let listed = underlying.chain.relist(now, spot, &mut self.next_con_id);
            let relisted = !listed.is_empty();
            step.listed.extend(if first {
                let all = underlying.chain.instruments().cloned();
                std::iter::once(underlying.instrument.clone()).chain(all).collect()
            } else {
                listed
            });
            let all = first || jumped || relisted;
            let quote = quote_underlying(spot, pays, now, &mut self.quoting);
            if first || !same_prices(underlying.last, quote) {
                step.quotes.push((underlying.instrument.con_id, quote));
                underlying.last = Some(quote);
            }
            let dividends: &[Date] = if pays { &self.ex_dates } else { &[] };
            let view = chain::View { now, spot, path: &underlying.path, dividends };
            let turn = (self.steps as usize + index) % chain::EXPIRIES;
            for slot in (0..chain::EXPIRIES).filter(|slot| all || *slot == turn) {
                let random = &mut self.quoting;
                underlying.chain.quote(slot, &view, first, random, &mut step.quotes);
            }
        }
        step.quotes.sort_by_key(|(con_id, _)| *con_id);
        self.steps += 1;
        self.clock = now.plus(self.interval);
        step
    }

    /// Drops ex-dates that have begun, announces further ones, and says whether one has begun.
    fn roll_ex_dates(&mut self, now: Timestamp) -> bool {
        let mut went_ex = false;
        while let Some(first) = self.ex_dates.first().copied() {
            if midnight_utc(first) > now {
                break;
            }
            went_ex = true;
            self.ex_dates.remove(0);
            let last = self.ex_dates.last().copied().unwrap_or(first);
            self.ex_dates.push(last.plus_days(DAYS_BETWEEN_EX_DATES));
        }
        went_ex
    }
}

fn root(con_id: ConId, symbol: &str, kind: InstrumentKind) -> Instrument {
    Instrument {
        con_id,
        symbol: symbol.to_owned(),
        local_symbol: symbol.to_owned(),
        exchange: "SIMEX".to_owned(),
        currency: Currency::USD,
        multiplier: Multiplier(1),
        tick: TickRule::flat(Price::from_micros(10_000)),
        trading_class: symbol.to_owned(),
        kind,
    }
}

/// A stock is one or two cents wide; the index has a nominal width of 0.10 and size 1, because
/// nobody can trade it.
fn quote_underlying(spot: f64, is_stock: bool, time: Timestamp, random: &mut Random) -> Quote {
    let cents = (spot * 100.0).floor() as i64;
    let level = |cents: i64, size| Some(Level { price: Price::from_micros(cents * 10_000), size });
    if is_stock {
        let wide = i64::from(random.between(1, 2));
        let (bid_size, ask_size) = (random.between(100, 2_000), random.between(100, 2_000));
        Quote { bid: level(cents, bid_size), ask: level(cents + wide, ask_size), time }
    } else {
        Quote { bid: level(cents - 5, 1), ask: level(cents + 5, 1), time }
    }
}

fn same_prices(last: Option<Quote>, quote: Quote) -> bool {
    last.is_some_and(|last| last.both() == quote.both())
}

#[cfg(test)]
mod tests;
