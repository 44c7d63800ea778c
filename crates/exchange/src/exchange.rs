//! The exchange machine: requests, quotes and time in; reports and book changes out.
//!
//! A request takes `request_latency` to arrive and its reports `report_latency` to return. Orders
//! meet the market's quotes only: each instrument has one bid and one ask with a displayed size
//! that own executions use up until the next quote message for that line. What the client may ask
//! about (orders, executions, positions, cash, events) is answered from the books. Left to others:
//! where quotes come from (builtin, recorded), writing the changes down (book_file), sockets (the
//! host).

mod amending;
#[cfg(test)]
mod behaviour;
mod closing;
mod correcting;
mod intake;
mod linked;
#[cfg(test)]
mod linked_orders;
mod matching;
mod preview;
#[cfg(test)]
mod properties;

pub use intake::Refusal;
pub use preview::{MarginState, Preview};

use crate::books::{BookChange, BookError, Books, Position};
use crate::day::Days;
use crate::fees::FeeSchedule;
use crate::margin::MarginRule;
use crate::order::{CompletedOrder, OpenOrder, Request};
use crate::report::{ComboExecution, Event, EventKind, Execution, Report};
use market::instrument::{ConId, Instrument};
use market::money::{Currency, Money, Price, Quantity};
use market::quote::{Quote, Side};
use market::time::{Date, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// When short options are assigned early.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignmentRule {
    /// Decides, with instrument and day, which puts are assigned.
    pub seed: u64,
    /// Thousandths of a short call position that are assigned on the eve of an ex-date, when the
    /// call's time value is below the dividend.
    pub call_per_mille: u32,
    /// Chance, in thousandths per day, that a deep in-the-money short put is assigned.
    pub put_per_mille: u32,
}

/// What an exchange is set up with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangeConfig {
    /// The first group of every execution id.
    pub venue: u32,
    /// Cash at the opening of the account, US dollars.
    pub starting_cash: Money,
    /// How long a request is under way.
    pub request_latency: Duration,
    /// How long a report is under way.
    pub report_latency: Duration,
    /// What executions cost.
    pub fees: FeeSchedule,
    /// What positions require.
    pub margin: MarginRule,
    /// When days end.
    pub days: Days,
    /// Early assignment.
    pub assignment: AssignmentRule,
    /// When AM-settled contracts are fixed: seconds after midnight UTC of their expiry day.
    pub am_fixing_seconds: u32,
}

impl Default for ExchangeConfig {
    fn default() -> Self {
        Self {
            venue: 0xe1a2,
            starting_cash: Money::from_units(1_000_000),
            request_latency: Duration::from_millis(5),
            report_latency: Duration::from_millis(5),
            fees: FeeSchedule::published(),
            margin: MarginRule::default(),
            days: Days::RoundTheClock,
            assignment: AssignmentRule { seed: 0, call_per_mille: 1000, put_per_mille: 20 },
            am_fixing_seconds: 52_200,
        }
    }
}

/// One instrument's market, and which own orders look at it.
#[derive(Clone, Debug)]
struct Line {
    quote: Quote,
    bid_left: u32,
    ask_left: u32,
    mark: Option<Price>,
    orders: Vec<i64>,
}

impl Line {
    const fn new() -> Self {
        Self {
            quote: Quote::empty(Timestamp::EPOCH),
            bid_left: 0,
            ask_left: 0,
            mark: None,
            orders: Vec::new(),
        }
    }

    fn set(&mut self, quote: &Quote) {
        self.quote = *quote;
        self.bid_left = quote.bid.map_or(0, |level| level.size);
        self.ask_left = quote.ask.map_or(0, |level| level.size);
        if quote.both().is_some_and(|(bid, ask)| bid <= ask) {
            self.mark = quote.mid();
        }
    }

    /// What an order of `side` can execute against now: price and size left.
    fn opposite(&self, side: Side) -> Option<(Price, u32)> {
        let (bid, ask) = self.quote.both()?;
        let (price, left) = match side {
            Side::Buy => (ask, self.ask_left),
            Side::Sell => (bid, self.bid_left),
        };
        (bid < ask && left > 0).then_some((price, left))
    }
}

/// The simulated exchange with one account.
#[derive(Clone, Debug)]
pub struct Exchange {
    config: ExchangeConfig,
    catalog: BTreeMap<ConId, Instrument>,
    books: Books,
    lines: BTreeMap<ConId, Line>,
    in_flight: VecDeque<(Timestamp, Request)>,
    /// When each is heard, by which client, and what it says.
    reports: VecDeque<(Timestamp, i32, Report)>,
    /// Whose request is being worked off; reports that name no order go to it.
    speaker: i32,
    changes: Vec<BookChange>,
    /// The next instant at which something happens by itself.
    due: Timestamp,
    /// A settlement without a price waits until then.
    settlement_retry: Timestamp,
    /// The latest time that the host has given.
    clock: Timestamp,
}

impl Exchange {
    /// A new account at `now`, with its starting cash as the first event.
    #[must_use]
    pub fn new(config: ExchangeConfig, now: Timestamp) -> Self {
        let mut exchange = Self::with_books(config, Books::default());
        exchange.commit(BookChange::Opened { time: now });
        let amount = exchange.config.starting_cash;
        if !amount.is_zero() {
            exchange.event(EventKind::Cash { amount }, Currency::USD, now);
        }
        exchange.refresh_due();
        exchange
    }

    /// The exchange whose changes these are, in order. Requests and reports that were under way are
    /// gone, and so is the market until its next quotes: only the books come back.
    pub fn restore<I>(config: ExchangeConfig, changes: I) -> Result<Self, BookError>
    where
        I: IntoIterator<Item = BookChange>,
    {
        let mut books = Books::default();
        for change in changes {
            books.apply(change)?;
        }
        Ok(Self::with_books(config, books))
    }

    fn with_books(config: ExchangeConfig, books: Books) -> Self {
        let mut lines: BTreeMap<ConId, Line> = BTreeMap::new();
        for order in books.open.values() {
            for leg in order.contract.legs() {
                let line = lines.entry(leg.con_id).or_insert_with(Line::new);
                line.orders.push(order.perm_id);
            }
        }
        let mut exchange = Self {
            config,
            catalog: books.instruments.clone(),
            books,
            lines,
            in_flight: VecDeque::new(),
            reports: VecDeque::new(),
            speaker: 0,
            changes: Vec::new(),
            due: Timestamp::MAX,
            settlement_retry: Timestamp::EPOCH,
            clock: Timestamp::EPOCH,
        };
        exchange.refresh_due();
        exchange
    }

    /// Makes an instrument tradable (an index: known). A second listing of an id changes nothing.
    pub fn list(&mut self, instrument: Instrument) {
        self.catalog.entry(instrument.con_id).or_insert(instrument);
    }

    /// Announces a dividend of `amount` per share; again for the same day replaces it.
    pub fn announce_dividend(&mut self, con_id: ConId, ex_date: Date, amount: Price) {
        let known = self.books.dividends.get(&con_id).and_then(|dates| dates.get(&ex_date));
        if known != Some(&amount) {
            self.commit(BookChange::DividendAnnounced { con_id, ex_date, amount });
        }
    }

    /// The announced dividends of a stock by ex-date, those that were paid among them.
    pub fn dividends(&self, con_id: ConId) -> impl Iterator<Item = (Date, Price)> + '_ {
        let announced = self.books.dividends.get(&con_id).into_iter().flatten();
        announced.map(|(ex_date, amount)| (*ex_date, *amount))
    }

    /// Takes a request that the client sent at `now`.
    pub fn on_request(&mut self, request: Request, now: Timestamp) {
        let arrival = now.plus(self.config.request_latency);
        // A shorter latency never overtakes: requests travel on one connection.
        let arrival = self.in_flight.back().map_or(arrival, |(last, _)| arrival.max(*last));
        self.in_flight.push_back((arrival, request));
        self.on_time(now);
    }

    /// Works off what is due until `now`, then takes the market's quotes and fills what they reach.
    pub fn on_quotes(&mut self, quotes: &[(ConId, Quote)], now: Timestamp) {
        self.on_time(now);
        let mut touched: Vec<i64> = Vec::new();
        for (con_id, quote) in quotes {
            let line = self.lines.entry(*con_id).or_insert_with(Line::new);
            line.set(quote);
            touched.extend_from_slice(&line.orders);
        }
        if !touched.is_empty() {
            self.pull_triggers(&touched, now);
            touched.retain(|perm_id| self.books.open.contains_key(perm_id));
            self.match_resting(touched, now);
        }
    }

    /// Works off what is due until `now`: arrived requests, expiries, day ends, in order of time.
    pub fn on_time(&mut self, now: Timestamp) {
        self.clock = self.clock.max(now);
        loop {
            let arrival = self.in_flight.front().map_or(Timestamp::MAX, |(at, _)| *at);
            if self.due.min(arrival) > now {
                return;
            }
            if self.due <= arrival {
                self.close_due(self.due);
            } else if let Some((at, request)) = self.in_flight.pop_front() {
                self.receive(request, at);
            }
            self.refresh_due();
        }
    }

    /// When [`Exchange::on_time`] or [`Exchange::take_reports`] next has something to do.
    #[must_use]
    pub fn next_wake(&self) -> Option<Timestamp> {
        let arrival = self.in_flight.front().map_or(Timestamp::MAX, |(at, _)| *at);
        let report = self.reports.front().map_or(Timestamp::MAX, |(at, _, _)| *at);
        let next = self.due.min(arrival).min(report);
        (next < Timestamp::MAX).then_some(next)
    }

    /// The reports that have reached the client by `now`. The host takes them; what it never takes
    /// stays.
    pub fn take_reports(&mut self, now: Timestamp) -> Vec<Report> {
        self.take_addressed(now).into_iter().map(|(_, report)| report).collect()
    }

    /// The same, each with the client whose order or request it is about.
    pub fn take_addressed(&mut self, now: Timestamp) -> Vec<(i32, Report)> {
        let visible = self.reports.iter().take_while(|(at, _, _)| *at <= now).count();
        self.reports.drain(..visible).map(|(_, client, report)| (client, report)).collect()
    }

    /// The client is gone: reports under way to it are lost. Requests that it sent still arrive.
    pub fn drop_reports(&mut self) {
        self.reports.clear();
    }

    /// Whoever passes requests on is gone, and with it those that have not arrived.
    pub fn drop_requests(&mut self) {
        self.in_flight.clear();
    }

    /// The changes since the last call, to be written down before the next reports are sent.
    pub fn take_changes(&mut self) -> Vec<BookChange> {
        std::mem::take(&mut self.changes)
    }

    /// One change that stands for all before it.
    #[must_use]
    pub fn snapshot(&self) -> BookChange {
        BookChange::Snapshot(Box::new(self.books.clone()))
    }

    /// The books.
    #[must_use]
    pub const fn books(&self) -> &Books {
        &self.books
    }

    /// Working orders, by the venue's number.
    pub fn open_orders(&self) -> impl Iterator<Item = &OpenOrder> {
        self.books.open.values()
    }

    /// The order of this number, working or as it last stood (of those with instructions).
    #[must_use]
    pub fn order(&self, perm_id: i64) -> Option<&OpenOrder> {
        let ended = || {
            let mut completed = self.books.completed.iter().rev();
            completed.find(|order| order.perm_id == perm_id)?.order.as_deref()
        };
        self.books.open.get(&perm_id).or_else(ended)
    }

    /// The working order of this client and number.
    #[must_use]
    pub fn working_order(&self, client: i32, client_order_id: i64) -> Option<&OpenOrder> {
        self.working(client, client_order_id)
    }

    /// Orders that ended, oldest first.
    #[must_use]
    pub fn completed_orders(&self) -> &[CompletedOrder] {
        &self.books.completed
    }

    /// Executions at or after `since`, oldest first, each with its fee.
    #[must_use]
    pub fn executions(&self, since: Timestamp) -> &[Execution] {
        let all = &self.books.executions;
        &all[all.partition_point(|execution| execution.time < since)..]
    }

    /// Combos' own lines at or after `since`, oldest first.
    #[must_use]
    pub fn combo_executions(&self, since: Timestamp) -> &[ComboExecution] {
        let all = &self.books.combos;
        &all[all.partition_point(|execution| execution.time < since)..]
    }

    /// Events at or after `since`, oldest first.
    #[must_use]
    pub fn events(&self, since: Timestamp) -> &[Event] {
        let all = &self.books.events;
        &all[all.partition_point(|event| event.time < since)..]
    }

    /// Signed positions; what is absent is flat.
    #[must_use]
    pub fn positions(&self) -> Vec<(ConId, Quantity)> {
        let held = self.books.positions.iter();
        held.filter(|(_, position)| !position.quantity.is_zero())
            .map(|(con_id, position)| (*con_id, position.quantity))
            .collect()
    }

    /// Cash per currency.
    #[must_use]
    pub fn cash(&self) -> Vec<(Currency, Money)> {
        self.books.cash.iter().map(|(currency, amount)| (*currency, *amount)).collect()
    }

    /// Fees paid per currency.
    #[must_use]
    pub fn fees(&self) -> Vec<(Currency, Money)> {
        self.books.fees.iter().map(|(currency, amount)| (*currency, *amount)).collect()
    }

    /// The least number that a new order may have (IB: nextValidId).
    #[must_use]
    pub const fn next_order_id(&self) -> i64 {
        self.books.highest_client_order_id + 1
    }

    /// The same for any client.
    #[must_use]
    pub fn next_order_id_of(&self, client: i32) -> i64 {
        self.books.highest_number(client) + 1
    }

    /// `client` has been shown an order number; its own go on above it.
    pub fn see_number(&mut self, client: i32, number: i64) {
        if number > self.books.highest_number(client) {
            self.commit(BookChange::NumbersSeen { client, number });
        }
    }

    /// Every instrument that is listed or in the books, by rising con id.
    pub fn instruments(&self) -> impl Iterator<Item = &Instrument> {
        self.catalog.values()
    }

    /// The terms of an instrument.
    #[must_use]
    pub fn instrument(&self, con_id: ConId) -> Option<&Instrument> {
        self.catalog.get(&con_id)
    }

    /// The market's last quote.
    #[must_use]
    pub fn quote(&self, con_id: ConId) -> Option<Quote> {
        self.lines.get(&con_id).map(|line| line.quote)
    }

    /// The latest instant that the books tell of.
    #[must_use]
    pub fn books_time(&self) -> Timestamp {
        let books = &self.books;
        let opened = books.open.values().map(|order| order.accepted).max();
        let times = [
            Some(books.last_day_end),
            opened,
            books.completed.last().map(|order| order.time),
            books.executions.last().map(|one| one.time),
            books.events.last().map(|event| event.time),
        ];
        times.into_iter().flatten().max().unwrap_or(Timestamp::EPOCH)
    }

    /// When the last exchange day ended.
    #[must_use]
    pub const fn last_day_end(&self) -> Timestamp {
        self.books.last_day_end
    }

    /// Every instrument that the books have a position in, or had.
    pub fn book_positions(&self) -> impl Iterator<Item = (ConId, Position)> {
        self.books.positions.iter().map(|(con_id, position)| (*con_id, *position))
    }

    /// What a position stands in the books for.
    #[must_use]
    pub fn position(&self, con_id: ConId) -> Option<Position> {
        self.books.positions.get(&con_id).copied()
    }

    /// The middle of the last valid two-sided quote.
    #[must_use]
    pub fn mark(&self, con_id: ConId) -> Option<Price> {
        self.lines.get(&con_id).and_then(|line| line.mark)
    }

    fn commit(&mut self, change: BookChange) {
        self.books.apply(change.clone()).expect("the machine makes changes that fit its books");
        self.changes.push(change);
    }

    fn report(&mut self, report: Report, at: Timestamp) {
        self.report_to(self.speaker, report, at);
    }

    fn report_to(&mut self, client: i32, report: Report, at: Timestamp) {
        self.reports.push_back((at.plus(self.config.report_latency), client, report));
    }

    fn event(&mut self, kind: EventKind, currency: Currency, at: Timestamp) {
        let id = self.books.next_event_id();
        let event = Event { id, kind, currency, time: at };
        self.commit(BookChange::Event(event.clone()));
        self.report(Report::Event(event), at);
    }
}
