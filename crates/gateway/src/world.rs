//! The gateway as one machine: bytes, time and commands in; bytes and closed connections out.
//!
//! It owns the exchange, the market that moves it, and every session. `on` works off the market up
//! to `now`, then the input, then everything that clients have to hear. What it changed in the
//! books is taken by the host, written down, and only then may the host send what `on` returned.
//! Nothing in it reads a clock or a socket. Its parts: `session` (start, ids, sending), `orders`,
//! `account`, `lines` and `streams` (market data), `past` (bars and ticks), `reference` (contracts,
//! news), `faults`, `outage` (what is known while the broker can't be reached), `restart` (once a
//! day).

mod account;
mod faults;
mod lines;
mod orders;
mod outage;
mod past;
mod reference;
mod restart;
mod session;
mod streams;
#[cfg(test)]
mod tests;

use crate::control::{Answer, Command, Status};
use crate::history::History;
use crate::message::Request;
use crate::news::News;
use crate::wire::Incoming;
use exchange::books::BookChange;
use exchange::{Exchange, MarketSource, MarketStep};
use faults::Faults;
use market::calendar::Calendar;
use market::instrument::ConId;
use market::money::Money;
use market::time::{Now, ProcessTime, Timestamp};
use orders::Averages;
pub use restart::DailyRestart;
use restart::Restarts;
use session::{SUBSCRIPTIONS_MAX, Session};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A line for the log quotes clients, who may send a megabyte.
const LONGEST_LINE: usize = 400;

/// A connection, numbered by the host.
pub type Connection = u64;

/// What a gateway is set up with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The account's name; paper accounts begin with `DU`.
    pub account: String,
    /// Trading hours, as contract details tell them.
    pub calendar: Calendar,
    /// Lines of market data that all clients together may have open.
    pub lines_max: usize,
    /// Messages that a client may send within a second.
    pub messages_per_second: usize,
    /// The client that hears of all orders, if there is one.
    pub master_client: Option<i32>,
    /// A connection that has not started the API by then is closed.
    pub start_within: Duration,
    /// The restart of every day, if there is one.
    pub daily_restart: Option<DailyRestart>,
}

impl Settings {
    /// IB's own limits, for a market that never closes.
    #[must_use]
    pub fn new(account: &str) -> Self {
        Self {
            account: account.to_owned(),
            calendar: Calendar::round_the_clock(),
            lines_max: 100,
            messages_per_second: 50,
            master_client: None,
            start_within: Duration::from_secs(15),
            daily_restart: None,
        }
    }
}

/// What comes in.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// A socket was opened.
    Connected(Connection),
    /// Bytes from it.
    Bytes(Connection, &'a [u8]),
    /// It was closed from the other side.
    Closed(Connection),
    /// Time has passed.
    Time,
}

/// What goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Bytes for a connection.
    Frame {
        /// Which.
        connection: Connection,
        /// A whole frame.
        bytes: Vec<u8>,
    },
    /// The connection is to be closed, after what was sent.
    Close {
        /// Which.
        connection: Connection,
    },
    /// A line for the log.
    Log(String),
}

/// The machine.
pub struct World {
    settings: Settings,
    exchange: Exchange,
    source: MarketSource,
    sessions: BTreeMap<Connection, Session>,
    history: History,
    news: News,
    faults: Faults,
    restarts: Restarts,
    averages: Averages,
    outputs: Vec<Output>,
    /// Equity at the last day's end, for the day's profit.
    day_open: Money,
    last_day_end: Timestamp,
    next_profit: ProcessTime,
    bulletins: Vec<String>,
    quotes_total: u64,
    /// Messages that were not served, since they came too fast.
    too_fast: u64,
    /// Quoted since lines were last told.
    moved: BTreeSet<ConId>,
}

impl World {
    /// A gateway over an exchange and what moves it.
    #[must_use]
    pub fn new(settings: Settings, exchange: Exchange, source: MarketSource) -> Self {
        let averages = Averages::of_books(&exchange);
        let day_open = exchange.equity();
        Self {
            settings,
            exchange,
            source,
            sessions: BTreeMap::new(),
            history: History::default(),
            news: News::default(),
            faults: Faults::default(),
            restarts: Restarts::default(),
            averages,
            outputs: Vec::new(),
            day_open,
            last_day_end: Timestamp::EPOCH,
            next_profit: ProcessTime::ZERO,
            bulletins: Vec::new(),
            quotes_total: 0,
            too_fast: 0,
            moved: BTreeSet::new(),
        }
    }

    /// Takes an input at `now` and returns what follows.
    pub fn on(&mut self, input: &Input<'_>, now: Now) -> Vec<Output> {
        self.advance(now);
        self.restart_when_due(now);
        match input {
            Input::Connected(connection) if self.is_restarting() => {
                self.outputs.push(Output::Close { connection: *connection });
            }
            Input::Connected(connection) => {
                self.sessions.insert(*connection, Session::opened(now.process));
            }
            Input::Bytes(connection, bytes) => self.on_bytes(*connection, bytes, now),
            Input::Closed(connection) => {
                self.faults.forget(*connection);
                if let Some(session) = self.sessions.remove(connection)
                    && let Some(client) = session.client
                {
                    self.log(format!("client {client} has closed its connection"));
                }
            }
            Input::Time => {}
        }
        self.close_silent(now);
        self.hear_exchange(now);
        self.tell_profit(now);
        self.release_held(now);
        std::mem::take(&mut self.outputs)
    }

    /// Carries out a command of the control port.
    pub fn command(&mut self, command: &Command, now: Now) -> (Answer, Vec<Output>) {
        self.advance(now);
        self.restart_when_due(now);
        let refused = self.obey(command, now).err();
        self.hear_exchange(now);
        self.release_held(now);
        let answer = match refused {
            Some(reason) => Answer::Refused(reason),
            None => Answer::Done(self.status(now)),
        };
        (answer, std::mem::take(&mut self.outputs))
    }

    /// How things stand.
    #[must_use]
    pub fn status(&self, now: Now) -> Status {
        Status {
            clients: self.sessions.values().filter_map(|session| session.client).collect(),
            working_orders: self.exchange.open_orders().count(),
            executions: self.exchange.executions(Timestamp::EPOCH).len(),
            lines: self.sessions.values().map(|session| session.lines.len()).sum(),
            market_nanos: now.market.nanos(),
            outage: self.faults.outage.is_some(),
            too_fast: self.too_fast,
            restarting: self.is_restarting(),
        }
    }

    /// When the market, or the exchange, next does something by itself, in market time.
    #[must_use]
    pub fn next_market(&self) -> Option<Timestamp> {
        match (self.source.next_time(), self.exchange.next_wake()) {
            (Some(quotes), Some(own)) => Some(quotes.min(own)),
            (quotes, own) => quotes.or(own),
        }
    }

    /// When something of the gateway's own is next due, in process time.
    #[must_use]
    pub fn next_process(&self) -> Option<ProcessTime> {
        let profit = self.sessions.values().any(|session| !session.profits.is_empty());
        let profit = profit.then_some(self.next_profit);
        let silent = self.sessions.values().filter(|session| session.client.is_none());
        let silent = silent.map(|session| session.opened + self.settings.start_within).min();
        [self.faults.next_release(), profit, silent].into_iter().flatten().min()
    }

    /// The changes of the books since the last call.
    pub fn take_changes(&mut self) -> Vec<BookChange> {
        self.exchange.take_changes()
    }

    /// One change that stands for all before it.
    #[must_use]
    pub fn snapshot(&self) -> BookChange {
        self.exchange.snapshot()
    }

    /// What the market needs to go on later; `None` for a recorded day.
    #[must_use]
    pub fn market_state(&self) -> Option<String> {
        self.source.state()
    }

    /// Quotes that the market has published.
    #[must_use]
    pub const fn quotes_total(&self) -> u64 {
        self.quotes_total
    }

    /// Learns a stretch of the past that the market itself no longer tells, before anybody
    /// connects.
    pub fn learn(&mut self, step: &MarketStep) {
        for instrument in &step.listed {
            self.exchange.list(instrument.clone());
        }
        self.history.on_quotes(&step.quotes, step.time);
    }

    /// Lets the market's steps before `clock` go by without trading on them: the books have seen
    /// them before a restart.
    pub fn skip_to(&mut self, clock: Timestamp) {
        while self.source.next_time().is_some_and(|at| at < clock) {
            let Some(step) = self.source.step() else { return };
            self.learn(&step);
        }
    }

    /// The exchange, for reports and tests.
    #[must_use]
    pub const fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// Says a line, whole lines of which nobody else can write: what clients send is quoted
    /// without its ends of lines, and cut.
    fn log(&mut self, line: String) {
        let printable = |one: char| if one.is_control() { '?' } else { one };
        let line = line.chars().take(LONGEST_LINE).map(printable).collect();
        self.outputs.push(Output::Log(line));
    }

    /// Works off the market and the exchange's own events until `now`, in order of time.
    fn advance(&mut self, now: Now) {
        loop {
            let quotes = self.source.next_time().filter(|at| *at <= now.market);
            let own = self.exchange.next_wake().filter(|at| *at <= now.market);
            match (quotes, own) {
                (None, None) => return self.tell_lines(now),
                (Some(at), own) if own.is_none_or(|own| at <= own) => self.take_step(now),
                (_, own) => {
                    self.exchange.on_time(own.unwrap_or(now.market));
                    self.hear_exchange(now);
                }
            }
        }
    }

    fn take_step(&mut self, now: Now) {
        let Some(step) = self.source.step() else { return };
        for instrument in &step.listed {
            self.exchange.list(instrument.clone());
        }
        let mut dividends = Vec::new();
        if let MarketSource::Builtin(market) = &self.source
            && !step.listed.is_empty()
        {
            for one in market.dividends() {
                dividends.push((one.con_id, one.ex_date));
                self.exchange.announce_dividend(one.con_id, one.ex_date, one.amount);
            }
        }
        if !step.listed.is_empty() {
            let fresh = self.news.look(&self.exchange, &dividends, step.time);
            self.tell_news(fresh, now);
        }
        self.exchange.on_quotes(&step.quotes, step.time);
        self.history.on_quotes(&step.quotes, step.time);
        self.quotes_total += step.quotes.len() as u64;
        self.hear_exchange(now);
        self.moved.extend(step.quotes.iter().map(|(con_id, _)| *con_id));
        self.tell_each(&step.quotes, Now { market: step.time, process: now.process });
        let end = self.exchange.last_day_end();
        if end != self.last_day_end {
            self.last_day_end = end;
            self.day_open = self.exchange.equity();
        }
    }

    fn on_bytes(&mut self, connection: Connection, bytes: &[u8], now: Now) {
        let Some(session) = self.sessions.get_mut(&connection).filter(|session| !session.mute)
        else {
            return;
        };
        let mut incoming = Vec::new();
        let result = session.reader.feed(bytes, &mut incoming);
        for one in incoming {
            match one {
                Incoming::Opened(version) => self.open(connection, version, now),
                Incoming::Request(request) => self.receive(connection, request, now),
                // At its pace too: each is answered, and a line in the log.
                Incoming::Unreadable(error) => {
                    if self.within_pace(connection, now) {
                        self.unreadable(connection, &error, now);
                    }
                }
            }
        }
        if let Err(error) = result {
            self.log(format!("connection {connection} is closed: {error}"));
            self.close(connection);
        }
    }

    fn receive(&mut self, connection: Connection, request: Request, now: Now) {
        let Some(session) = self.sessions.get(&connection) else { return };
        let client = session.client;
        // All but the one message that begins a session: what isn't served is work too.
        let begins = client.is_none() && matches!(request, Request::StartApi(_));
        if !begins && !self.within_pace(connection, now) {
            return;
        }
        if let Request::StartApi(start) = &request {
            self.start(connection, start.client_id, now);
            return;
        }
        let Some(client) = client else {
            let name = request.name();
            self.log(format!("connection {connection} asks {name} before it has started the API"));
            return;
        };
        if self.faults.swallows(client, request.name()) {
            self.log(format!("a fault has swallowed {} of client {client}", request.name()));
            return;
        }
        self.serve(connection, client, request, now);
        let kept = self.sessions.get(&connection).map_or(0, Session::subscriptions);
        if kept >= SUBSCRIPTIONS_MAX {
            self.log(format!("client {client} has {kept} subscriptions: closed"));
            self.close(connection);
        }
    }

    fn serve(&mut self, connection: Connection, client: i32, request: Request, now: Now) {
        match request {
            Request::PlaceOrder(_)
            | Request::CancelOrder(_)
            | Request::GlobalCancel(_)
            | Request::OpenOrders(_)
            | Request::AllOpenOrders(_)
            | Request::AutoOpenOrders(_)
            | Request::CompletedOrders(_)
            | Request::Executions(_)
            | Request::ExerciseOptions(_) => self.serve_order(connection, client, request, now),
            Request::MarketData(_)
            | Request::CancelMarketData(_)
            | Request::MarketDataType(_)
            | Request::TickByTick(_)
            | Request::CancelTickByTick(_)
            | Request::RealTimeBars(_)
            | Request::CancelRealTimeBars(_)
            | Request::ImpliedVolatility(_)
            | Request::OptionPrice(_)
            | Request::CancelImpliedVolatility(_)
            | Request::CancelOptionPrice(_) => self.serve_lines(connection, request, now),
            Request::HistoricalData(_)
            | Request::CancelHistoricalData(_)
            | Request::HeadTimestamp(_)
            | Request::CancelHeadTimestamp(_)
            | Request::HistoricalTicks(_)
            | Request::CancelHistoricalTicks(_) => self.serve_past(connection, request, now),
            Request::AccountData(_)
            | Request::Positions(_)
            | Request::CancelPositions(_)
            | Request::AccountSummary(_)
            | Request::CancelAccountSummary(_)
            | Request::PositionsMulti(_)
            | Request::CancelPositionsMulti(_)
            | Request::AccountUpdatesMulti(_)
            | Request::CancelAccountUpdatesMulti(_)
            | Request::Pnl(_)
            | Request::CancelPnl(_)
            | Request::PnlSingle(_)
            | Request::CancelPnlSingle(_) => self.serve_account(connection, request, now),
            _ => self.serve_reference(connection, client, request, now),
        }
    }

    /// The instrument that a request's con id names.
    fn known(&self, con_id: i32) -> Option<ConId> {
        let con_id = ConId(u32::try_from(con_id).ok()?);
        self.exchange.instrument(con_id).map(|instrument| instrument.con_id)
    }
}
