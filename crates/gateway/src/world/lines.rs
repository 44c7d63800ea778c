//! Market data: lines with ticks and Greeks, tick-by-tick lines, five-second bars, calculators.
//!
//! A line tells its kind (live, frozen, delayed) first, then what it knows, then every change. A
//! delayed line shows the market of fifteen minutes ago under the delayed tick numbers. Combos are
//! quoted from their legs.

use super::{Connection, World};
use crate::bars::cents;
use crate::catalog;
use crate::history::{self, PastBar};
use crate::message::contract::Contract;
use crate::message::data::*;
use crate::message::{Request, Response};
use crate::news::PROVIDER;
use crate::stamp;
use exchange::exchange::Refusal;
use exchange::greeks::Computation;
use market::instrument::{self, ConId};
use market::money::Price;
use market::quote::{Level, Quote};
use market::time::{Now, Timestamp};

const DELAY_SECONDS: i64 = 900;
const DAY_SECONDS: i64 = 86_400;
/// Generic tick for headlines.
const NEWS_TICK: &str = "292";
/// Generic tick for dividends, and the tick that answers it.
const DIVIDENDS_TICK: &str = "456";
const IB_DIVIDENDS: i32 = 59;
/// Headlines told at the opening of a line.
const HEADLINES_FIRST: usize = 3;

/// Tick numbers of one kind of line.
struct Numbers {
    bid: i32,
    ask: i32,
    last: i32,
    bid_size: i32,
    ask_size: i32,
    last_size: i32,
    high: i32,
    low: i32,
    volume: i32,
    close: i32,
    open: i32,
    /// Computations of bid, ask, last and model.
    options: [i32; 4],
}

const LIVE: Numbers = Numbers {
    bid: 1,
    ask: 2,
    last: 4,
    bid_size: 0,
    ask_size: 3,
    last_size: 5,
    high: 6,
    low: 7,
    volume: 8,
    close: 9,
    open: 14,
    options: [10, 11, 12, 13],
};
const DELAYED: Numbers = Numbers {
    bid: 66,
    ask: 67,
    last: 68,
    bid_size: 69,
    ask_size: 70,
    last_size: 71,
    high: 72,
    low: 73,
    volume: 74,
    close: 75,
    open: 76,
    options: [80, 81, 82, 83],
};

/// A line of market data.
#[derive(Clone, Debug)]
pub struct Line {
    contract: instrument::Contract,
    delayed: bool,
    news: bool,
    told: Option<Quote>,
    print: Option<(f64, u32)>,
}

impl World {
    pub(super) fn serve_lines(&mut self, connection: Connection, request: Request, now: Now) {
        let Some(session) = self.sessions.get_mut(&connection) else { return };
        match request {
            Request::MarketDataType(request) => {
                if (1..=4).contains(&request.data_type) {
                    session.data_type = request.data_type;
                } else {
                    let text = "Error validating request: market data types are 1 to 4";
                    self.error(connection, -1, 321, text, now);
                }
            }
            Request::MarketData(request) => self.open_line(connection, &request, now),
            Request::CancelMarketData(request) => {
                let known = session.lines.remove(&request.req_id).is_some();
                if !known {
                    let text = format!("Can't find EId with tickerId:{}", request.req_id);
                    self.error(connection, request.req_id, 300, &text, now);
                }
            }
            Request::TickByTick(request) => self.open_tick_line(connection, &request, now),
            Request::CancelTickByTick(request) => {
                session.ticks.remove(&request.req_id);
            }
            Request::RealTimeBars(request) => self.open_bar_line(connection, &request, now),
            Request::CancelRealTimeBars(request) => {
                session.bars.remove(&request.req_id);
            }
            Request::ImpliedVolatility(request) => {
                let (price, spot) = (request.option_price, request.underlying_price);
                let found = self.single(&request.contract, now).ok();
                let values =
                    found.and_then(|id| self.exchange.computation_at(id, price, spot, now.market));
                self.answer_computation(connection, request.req_id, values, now);
            }
            Request::OptionPrice(request) => {
                let (vol, spot) = (request.volatility, request.underlying_price);
                let found = self.single(&request.contract, now).ok();
                let values =
                    found.and_then(|id| self.exchange.valuation_at(id, vol, spot, now.market));
                self.answer_computation(connection, request.req_id, values, now);
            }
            _ => {}
        }
    }

    /// The con id of a contract that is one instrument.
    pub(super) fn single(&self, contract: &Contract, now: Now) -> Result<ConId, Refusal> {
        match catalog::resolve(&self.exchange, contract, now.market)? {
            instrument::Contract::Single(con_id) => Ok(con_id),
            instrument::Contract::Combo(_) => Err(Refusal {
                code: 321,
                text: "Error validating request: not for combos".to_owned(),
            }),
        }
    }

    fn answer_computation(
        &mut self,
        connection: Connection,
        req_id: i32,
        values: Option<Computation>,
        now: Now,
    ) {
        match values {
            Some(values) => {
                // Tick number 53: a custom computation.
                let tick = computation(req_id, 53, Some(&values));
                self.send(connection, Response::TickOptionComputation(tick), now);
            }
            None => {
                let text = "Error validating request: no option, or no such price of it";
                self.error(connection, req_id, 321, text, now);
            }
        }
    }

    fn open_line(&mut self, connection: Connection, request: &MarketDataRequest, now: Now) {
        let id = request.req_id;
        let contract = match catalog::resolve(&self.exchange, &request.contract, now.market) {
            Ok(contract) => contract,
            Err(refusal) => {
                let code = i32::try_from(refusal.code).unwrap_or(200);
                return self.error(connection, id, code, &refusal.text, now);
            }
        };
        let Some(session) = self.sessions.get(&connection) else { return };
        if session.lines.contains_key(&id) {
            return self.error(connection, id, 322, "Duplicate ticker id", now);
        }
        if self.lines_open() >= self.settings.lines_max {
            return self.error(connection, id, 101, "Max number of tickers has been reached", now);
        }
        let asked = session.data_type;
        let delayed = self.faults.not_entitled;
        if delayed && asked < 3 {
            let text = "Requested market data is not subscribed. Delayed market data is available.";
            return self.error(connection, id, 354, text, now);
        }
        if delayed {
            let text = "Requested market data is not subscribed. Displaying delayed market data.";
            self.error(connection, id, 10167, text, now);
        }
        let closed = self.source_has_ended();
        let data_type = match (delayed, closed) {
            (true, closed) => 3 + i32::from(closed && asked == 4),
            (false, closed) => 1 + i32::from(closed && asked % 2 == 0),
        };
        let kind = MarketDataType { req_id: id, data_type };
        self.send(connection, Response::MarketDataType(kind), now);
        let asks = |wanted: &str| {
            request.generic_ticks.split(',').any(|tick| tick.trim().starts_with(wanted))
        };
        let (news, dividends) = (asks(NEWS_TICK), asks(DIVIDENDS_TICK));
        let mut line = Line { contract, delayed, news, told: None, print: None };
        self.begin_line(connection, id, &mut line, now);
        if let (true, instrument::Contract::Single(con_id)) = (dividends, &line.contract)
            && let Some(value) = catalog::dividends(&self.exchange, *con_id, now.market)
        {
            let tick = TickString { req_id: id, tick_type: IB_DIVIDENDS, value };
            self.send(connection, Response::TickString(tick), now);
        }
        if request.snapshot || request.regulatory_snapshot {
            self.send(connection, Response::TickSnapshotEnd(TickSnapshotEnd { req_id: id }), now);
        } else if let Some(session) = self.sessions.get_mut(&connection) {
            session.lines.insert(id, line);
        }
    }

    /// Lines of all clients: they are the user's, not the client's. A connection that a fault has
    /// left half-open holds none.
    fn lines_open(&self) -> usize {
        let heard = self.sessions.values().filter(|session| !session.mute);
        heard.map(|session| session.lines.len()).sum()
    }

    /// Neither broker nor farm sends any.
    fn no_ticks(&self) -> bool {
        self.faults.outage.is_some() || self.faults.data_farm_down
    }

    /// A recorded day that is over leaves a closed market.
    fn source_has_ended(&self) -> bool {
        self.source.next_time().is_none()
    }

    fn begin_line(&mut self, connection: Connection, id: i32, line: &mut Line, now: Now) {
        if self.no_ticks() {
            return;
        }
        if let instrument::Contract::Single(con_id) = line.contract {
            let tick = self.exchange.instrument(con_id).map(catalog::min_tick);
            let parameters = TickParameters {
                req_id: id,
                min_tick: tick.unwrap_or(Price::ZERO).to_string(),
                bbo_exchange: "SIM0001".to_owned(),
                snapshot_permissions: 3,
            };
            self.send(connection, Response::TickParameters(parameters), now);
            self.tell_day(connection, id, con_id, line.delayed, now);
        }
        self.tell_line(connection, id, line, now);
        if line.news {
            self.tell_headlines(connection, id, line, HEADLINES_FIRST, now);
        }
    }

    /// Open, high, low, volume and the close before.
    fn tell_day(
        &mut self,
        connection: Connection,
        id: i32,
        con_id: ConId,
        delayed: bool,
        now: Now,
    ) {
        let second = stamp::seconds(now.market) - if delayed { DELAY_SECONDS } else { 0 };
        let midnight = second - second.rem_euclid(DAY_SECONDS);
        let day = self.history.bars(con_id, DAY_SECONDS, midnight, second + 1);
        let before = self.history.minute_at(con_id, midnight - 1).copied();
        let Some(day) = day.last() else { return };
        let numbers = if delayed { &DELAYED } else { &LIVE };
        let close = before.map_or(day.open, |bar| bar.close);
        let prices = [
            (numbers.high, day.high),
            (numbers.low, day.low),
            (numbers.close, close),
            (numbers.open, day.open),
        ];
        for (tick_type, price) in prices {
            self.send(connection, tick_price(id, tick_type, cents(price), 0), now);
        }
        self.send(connection, tick_size(id, numbers.volume, &day.volume.to_string()), now);
    }

    /// The quote that a line shows now.
    fn quote_of(&self, contract: &instrument::Contract, delayed: bool, now: Now) -> Option<Quote> {
        if delayed {
            let instrument::Contract::Single(con_id) = contract else { return None };
            let then = stamp::seconds(now.market) - DELAY_SECONDS;
            return self.history.minute_at(*con_id, then).map(quote_of_bar);
        }
        match contract {
            instrument::Contract::Single(con_id) => self.exchange.quote(*con_id),
            instrument::Contract::Combo(_) => self.combo_quote(contract),
        }
    }

    /// A combo's bid and ask: what its legs would fetch and cost at once.
    fn combo_quote(&self, contract: &instrument::Contract) -> Option<Quote> {
        let (mut bid, mut ask, mut size) = (Price::ZERO, Price::ZERO, u32::MAX);
        let mut time = Timestamp::EPOCH;
        for leg in contract.legs() {
            let quote = self.exchange.quote(leg.con_id)?;
            let (low, high) = (quote.bid?, quote.ask?);
            let ratio = i64::from(leg.ratio);
            let (fetched, paid) = if ratio > 0 { (low, high) } else { (high, low) };
            bid += fetched.price.times(ratio);
            ask += paid.price.times(ratio);
            let units = u32::try_from(ratio.abs()).unwrap_or(1).max(1);
            size = size.min(low.size.min(high.size) / units);
            time = time.max(quote.time);
        }
        let level = |price| Some(Level { price, size });
        Some(Quote { bid: level(bid), ask: level(ask), time })
    }

    /// Tells what has changed on a line since it was last told.
    fn tell_line(&mut self, connection: Connection, id: i32, line: &mut Line, now: Now) {
        let Some(quote) = self.quote_of(&line.contract, line.delayed, now) else { return };
        let told = line.told.replace(quote);
        let numbers = if line.delayed { &DELAYED } else { &LIVE };
        let sides = [
            (quote.bid, told.map(|told| told.bid), numbers.bid, numbers.bid_size),
            (quote.ask, told.map(|told| told.ask), numbers.ask, numbers.ask_size),
        ];
        for (level, told, price_number, size_number) in sides {
            if told == Some(level) {
                continue;
            }
            // A side that nobody quotes is -1 with size 0.
            let (price, size) = level.map_or((-1.0, 0), |one| (one.price.to_f64(), one.size));
            self.send(connection, tick_price(id, price_number, price, size), now);
            self.send(connection, tick_size(id, size_number, &size.to_string()), now);
        }
        let print = history::print_of(&quote);
        if let Some((price, size)) = print.filter(|print| line.print != Some(*print)) {
            line.print = print;
            self.send(connection, tick_price(id, numbers.last, price, size), now);
            self.send(connection, tick_size(id, numbers.last_size, &size.to_string()), now);
            // Tick 45 (delayed: 88): when it was.
            let tick_type = if line.delayed { 88 } else { 45 };
            let value = stamp::seconds(quote.time).to_string();
            let tick = TickString { req_id: id, tick_type, value };
            self.send(connection, Response::TickString(tick), now);
        }
        if let instrument::Contract::Single(con_id) = line.contract {
            let print = print.and_then(|(price, _)| Price::from_f64(price));
            self.tell_computations(connection, id, con_id, &quote, print, numbers, now);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "what a line knows, taken apart by its caller")]
    fn tell_computations(
        &mut self,
        connection: Connection,
        id: i32,
        con_id: ConId,
        quote: &Quote,
        print: Option<Price>,
        numbers: &Numbers,
        now: Now,
    ) {
        let is_option = self.exchange.instrument(con_id).is_some_and(|one| one.option().is_some());
        if !is_option {
            return;
        }
        let prices = [
            quote.bid.map(|level| level.price),
            quote.ask.map(|level| level.price),
            print,
            quote.mid(),
        ];
        for (price, tick_type) in prices.into_iter().zip(numbers.options) {
            let values = price.and_then(|p| self.exchange.computation(con_id, p, now.market));
            let tick = computation(id, tick_type, values.as_ref());
            self.send(connection, Response::TickOptionComputation(tick), now);
        }
    }

    /// Tells tick-by-tick lines and bars what the market has just said.
    pub(super) fn tell_each(&mut self, quotes: &[(ConId, Quote)], now: Now) {
        if self.no_ticks() {
            return;
        }
        let changed = |con_id: ConId| quotes.binary_search_by_key(&con_id, |one| one.0).is_ok();
        for connection in self.connections(None) {
            self.tell_ticks(connection, &changed, now);
            self.tell_bars(connection, &changed, now);
        }
    }

    /// Tells every open line where its quote is now, of those that have changed since it was last
    /// told: what a market does between two looks is told as one change, as IB does.
    pub(super) fn tell_lines(&mut self, now: Now) {
        let moved = std::mem::take(&mut self.moved);
        if moved.is_empty() || self.no_ticks() {
            return;
        }
        let changed = |con_id: ConId| moved.contains(&con_id);
        for connection in self.connections(None) {
            let Some(session) = self.sessions.get_mut(&connection) else { continue };
            let concerns = |line: &Line| {
                line.delayed || line.contract.legs().iter().any(|leg| changed(leg.con_id))
            };
            let ids: Vec<i32> = session
                .lines
                .iter()
                .filter(|(_, line)| concerns(line))
                .map(|(id, _)| *id)
                .collect();
            for id in ids {
                let line = self.sessions.get_mut(&connection).and_then(|one| one.lines.remove(&id));
                let Some(mut line) = line else { continue };
                let before = line.told;
                let fresh = self.quote_of(&line.contract, line.delayed, now);
                if fresh != before {
                    self.tell_line(connection, id, &mut line, now);
                }
                if let Some(session) = self.sessions.get_mut(&connection) {
                    session.lines.insert(id, line);
                }
            }
        }
    }

    /// Tells the newest headlines to lines that asked for them.
    pub(super) fn tell_news(&mut self, fresh: usize, now: Now) {
        if fresh == 0 {
            return;
        }
        for connection in self.connections(None) {
            let Some(session) = self.sessions.get(&connection) else { continue };
            let lines: Vec<(i32, Line)> = session
                .lines
                .iter()
                .filter(|(_, line)| line.news)
                .map(|(id, line)| (*id, line.clone()))
                .collect();
            for (id, line) in lines {
                self.tell_headlines(connection, id, &line, fresh, now);
            }
        }
    }

    fn tell_headlines(
        &mut self,
        connection: Connection,
        id: i32,
        line: &Line,
        most: usize,
        now: Now,
    ) {
        let instrument::Contract::Single(con_id) = line.contract else { return };
        let items: Vec<TickNews> = self
            .news
            .newest(most)
            .iter()
            .filter(|item| item.con_id == con_id)
            .map(|item| TickNews {
                req_id: id,
                time_ms: stamp::millis(item.time),
                provider: PROVIDER.to_owned(),
                article_id: item.article_id.clone(),
                headline: item.headline.clone(),
                extra: String::new(),
            })
            .collect();
        for item in items {
            self.send(connection, Response::TickNews(item), now);
        }
    }
}

fn tick_price(req_id: i32, tick_type: i32, price: f64, size: u32) -> Response {
    let size = size.to_string();
    Response::TickPrice(TickPrice { req_id, tick_type, price, size, attributes: 0 })
}

fn tick_size(req_id: i32, tick_type: i32, size: &str) -> Response {
    Response::TickSize(TickSize { req_id, tick_type, size: size.to_owned() })
}

/// Values, or IB's sentinels where there are none: -1 for prices and volatility, -2 for Greeks.
fn computation(req_id: i32, tick_type: i32, values: Option<&Computation>) -> TickOptionComputation {
    let or = |value: Option<f64>, none: f64| value.unwrap_or(none);
    TickOptionComputation {
        req_id,
        tick_type,
        attributes: 1,
        implied_vol: or(values.map(|one| one.implied_vol), -1.0),
        delta: or(values.map(|one| one.delta), -2.0),
        option_price: or(values.map(|one| cents(one.price)), -1.0),
        dividends: or(values.map(|one| one.dividends), -1.0),
        gamma: or(values.map(|one| one.gamma), -2.0),
        vega: or(values.map(|one| one.vega), -2.0),
        theta: or(values.map(|one| one.theta), -2.0),
        underlying_price: or(values.map(|one| one.underlying), -1.0),
    }
}

fn quote_of_bar(bar: &PastBar) -> Quote {
    let level = |price: f64| Price::from_f64(cents(price)).map(|price| Level { price, size: 1 });
    Quote {
        bid: level(bar.close - bar.spread / 2.0),
        ask: level(bar.close + bar.spread / 2.0),
        time: Timestamp::from_seconds(bar.start),
    }
}
