//! A small market made by hand: one stock, calls and puts around it, and a path that the test
//! draws.
//!
//! Quotes follow Black (1976) at one volatility, so every line is fresh and every Greek is known
//! within a cent; what happens is decided by the path alone.

use actors::node::Product;
use exchange::MarketSource;
use exchange::day::{midnight_utc, utc_day};
use exchange::recorded::RecordedMarket;
use market::calendar::Calendar;
use market::corporate_action::DividendSchedule;
use market::instrument::{
    ConId, Deliverable, ExerciseStyle, Fixing, Instrument, InstrumentKind, OptionTerms, Right,
    Settlement, TickRule,
};
use market::lean::MarketStep;
use market::money::{Currency, Multiplier, Price};
use market::quality::Gates;
use market::quote::{Level, Quote};
use market::time::{Date, Timestamp};
use pricing::black::{ForwardContract, OptionKind};
use std::sync::Arc;
use std::time::Duration;
use valuation::book::BookSettings;

pub const STOCK: ConId = ConId(1);
pub const SYMBOL: &str = "HAND";

/// When every hand-made day begins: Monday 2026-11-23, 12:00 UTC.
pub fn start() -> Timestamp {
    midnight_utc(Date::new(2026, 11, 23).unwrap()).plus(Duration::from_secs(12 * 3_600))
}

/// `minutes` after the start.
pub fn minute(minutes: u64) -> Timestamp {
    start().plus(Duration::from_secs(minutes * 60))
}

pub struct Hand {
    /// From here on it is quoted.
    pub from: Timestamp,
    /// Between two quotes of everything.
    pub every: Duration,
    /// How many times.
    pub steps: u64,
    /// When each chain stops trading.
    pub last_trades: Vec<Timestamp>,
    /// How many each level shows.
    pub size: u32,
    /// Of every option.
    pub vol: f64,
    /// Half an option's spread, before a share of its value.
    pub half_spread: f64,
    /// What has less time value has no vol of its own to a cent, and no quotes.
    pub worth_quoting: f64,
}

impl Hand {
    /// `minutes` of a market that is quoted every `seconds`, with one chain of 30 days.
    pub fn of(minutes: u64, seconds: u64) -> Self {
        Self {
            from: start(),
            every: Duration::from_secs(seconds),
            steps: minutes * 60 / seconds,
            last_trades: vec![start().plus(Duration::from_secs(30 * 86_400))],
            size: 200,
            vol: 0.25,
            half_spread: 0.01,
            worth_quoting: 0.02,
        }
    }

    /// A market whose one chain ends within the day: `minutes` of it, trading until `last`. It
    /// expects much of the few hours, so that there are strikes enough to fit.
    pub fn of_the_last_day(minutes: u64, last: u64) -> Self {
        Self { last_trades: vec![minute(last)], vol: 1.0, ..Self::of(minutes, 30) }
    }

    pub fn instruments(&self) -> Vec<Instrument> {
        let mut all = vec![instrument(STOCK, 1, InstrumentKind::Stock, "HAND".to_owned())];
        for (chain, last_trade) in self.last_trades.iter().enumerate() {
            for strike in 80..=125_i64 {
                for right in [Right::Call, Right::Put] {
                    let terms = OptionTerms {
                        underlying: STOCK,
                        right,
                        strike: Price::from_units(strike),
                        expiry: utc_day(*last_trade),
                        last_trade: *last_trade,
                        style: ExerciseStyle::American,
                        settlement: Settlement::Physical,
                        fixing: Fixing::Pm,
                        deliverable: Deliverable::Standard,
                    };
                    let con_id = option_id(chain, strike, right);
                    let name = format!("HAND {chain} {strike} {right:?}");
                    all.push(instrument(con_id, 100, InstrumentKind::Option(terms), name));
                }
            }
        }
        all
    }

    pub fn product(&self) -> Product {
        Product {
            symbol: SYMBOL.to_owned(),
            instruments: self.instruments(),
            calendar: Arc::new(Calendar::round_the_clock()),
            gates: Gates::default(),
            settings: BookSettings { rate_guess: 0.0, ..BookSettings::default() },
            dividends: DividendSchedule::default(),
        }
    }

    /// The market along a path: seconds since its first quotes to the stock's price.
    pub fn along(&self, path: impl Fn(u64) -> f64) -> MarketSource {
        self.along_with(path, &[])
    }

    /// The same; bid and ask of the `locked` are one.
    pub fn along_with(&self, path: impl Fn(u64) -> f64, locked: &[ConId]) -> MarketSource {
        let steps = (0..self.steps)
            .map(|step| {
                let seconds = step * self.every.as_secs();
                let time = self.from.plus(Duration::from_secs(seconds));
                MarketStep { time, quotes: self.quotes(path(seconds), time, locked) }
            })
            .collect();
        let week = RecordedMarket::WEEK;
        let market = RecordedMarket::new(self.instruments(), steps, 1, week).unwrap();
        MarketSource::Recorded(market)
    }

    fn black(&self, spot: f64, terms: &OptionTerms, time: Timestamp) -> f64 {
        let contract = ForwardContract {
            forward: spot,
            strike: terms.strike.to_f64(),
            years: time.years_until(terms.last_trade),
            vol: self.vol,
            discount: 1.0,
            kind: if terms.right == Right::Call { OptionKind::Call } else { OptionKind::Put },
        };
        contract.price_and_greeks().unwrap().price
    }

    fn quotes(&self, spot: f64, time: Timestamp, locked: &[ConId]) -> Vec<(ConId, Quote)> {
        let mut quotes = Vec::new();
        for one in self.instruments() {
            let (fair, half) = match one.option() {
                None => (spot, 0.01),
                Some(terms) if terms.last_trade <= time => continue,
                Some(terms) => {
                    let fair = self.black(spot, terms, time);
                    let call = terms.right == Right::Call;
                    let moneyness = spot - terms.strike.to_f64();
                    let exercise = if call { moneyness } else { -moneyness }.max(0.0);
                    if fair - exercise < self.worth_quoting {
                        continue;
                    }
                    (fair, self.half_spread + fair * 0.004)
                }
            };
            let level = |price: Price| Some(Level { price, size: self.size });
            let bid = one.tick.round_down(Price::from_f64((fair - half).max(0.01)).unwrap());
            let ask = one.tick.round_up(Price::from_f64(fair + half).unwrap());
            let (bid, ask) = if locked.contains(&one.con_id) { (bid, bid) } else { (bid, ask) };
            quotes.push((one.con_id, Quote { bid: level(bid), ask: level(ask), time }));
        }
        quotes
    }
}

pub const fn option_id(chain: usize, strike: i64, right: Right) -> ConId {
    let side = if matches!(right, Right::Call) { 0 } else { 500 };
    ConId(1_000 * (chain as u32 + 1) + side + strike as u32)
}

fn instrument(con_id: ConId, multiplier: u32, kind: InstrumentKind, name: String) -> Instrument {
    Instrument {
        con_id,
        symbol: SYMBOL.to_owned(),
        local_symbol: name,
        exchange: "TEST".to_owned(),
        currency: Currency::USD,
        multiplier: Multiplier(multiplier),
        tick: TickRule::flat(Price::from_micros(10_000)),
        trading_class: SYMBOL.to_owned(),
        kind,
    }
}
