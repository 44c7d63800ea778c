//! A recorded day stepped through the socket ends as the same orders end at the exchange in
//! process: the same fills, fees, positions and cash, to the last digit.
//!
//! The gateway's market stands still and is moved on from barrier to barrier. At each the script, a
//! seeded one, looks at the exchange in process, cancels, changes and places orders there, and says
//! the same through the adapter; a question that is answered behind them says that the gateway has
//! them all. In the end the adapter's fills and fees, and the books that the gateway wrote, are
//! compared with the exchange's. IB tells times in whole seconds, so do all moments here.
//!
//! Needs `OPTIONSIB_DATA`; `OPTIONSIB_BARRIERS` sets another number of barriers than the suite's.

use super::*;
use exchange::day::Days;
use exchange::recorded::RecordedMarket;
use exchange::{NewOrder, OpenOrder, Request};
use market::instrument::{Combo, Instrument, InstrumentKind, Leg};
use market::lean::{BadRows, Day, RecordedDay};
use market::money::Money;
use market::time::Date;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use trading::report::EndState;

const BARRIERS: usize = 400;
/// The day is over, with everything that happens at its end.
const AFTERWARDS: Duration = Duration::from_secs(30 * 3_600);
/// So many orders work at most; beyond it the script only changes and cancels.
const WORKING_MAX: usize = 40;

/// A small generator (Steele, Lea and Flood's SplitMix64): the script is the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn pick<'a, T>(&mut self, among: &'a [T]) -> Option<&'a T> {
        let count = u64::try_from(among.len()).unwrap();
        (count > 0).then(|| &among[usize::try_from(self.below(count)).unwrap()])
    }
}

/// What the script wants.
#[derive(Clone, Debug)]
enum Act {
    Cancel(i64),
    Modify(Order),
    Place(Order),
}

impl Act {
    /// In the exchange's own words.
    fn request(&self) -> Request {
        match self {
            Self::Cancel(client_order_id) => Request::Cancel { client_order_id: *client_order_id },
            Self::Modify(order) => Request::Modify {
                client_order_id: order.order_id.0,
                limit: order.limit,
                quantity: order.quantity,
            },
            Self::Place(order) => Request::Submit(NewOrder {
                client_order_id: order.order_id.0,
                reference: order.key.to_string(),
                contract: order.contract.clone(),
                side: order.side,
                quantity: order.quantity,
                limit: order.limit,
                time_in_force: exchange::TimeInForce::Day,
            }),
        }
    }
}

/// The exchange in process, moved by the recorded day.
struct InProcess {
    exchange: Exchange,
    source: MarketSource,
    refused: usize,
}

impl InProcess {
    fn advance(&mut self, to: Timestamp) {
        while self.source.next_time().is_some_and(|at| at <= to) {
            let step = self.source.step().unwrap();
            for instrument in step.listed {
                self.exchange.list(instrument);
            }
            self.exchange.on_quotes(&step.quotes, step.time);
        }
        self.exchange.on_time(to);
        self.note();
    }

    fn take(&mut self, act: &Act, now: Timestamp) {
        self.exchange.on_request(act.request(), now);
        self.note();
    }

    fn note(&mut self) {
        let reports = self.exchange.take_reports(Timestamp::MAX);
        let refused = |report: &&exchange::Report| {
            matches!(
                report,
                exchange::Report::Rejected { .. }
                    | exchange::Report::ModifyRejected { .. }
                    | exchange::Report::CancelRejected { .. }
            )
        };
        self.refused += reports.iter().filter(refused).count();
    }
}

struct Script {
    random: Random,
    next_id: i64,
    /// What was sent, by number: a modify repeats the rest of its order.
    sent: BTreeMap<i64, Order>,
}

impl Script {
    /// What is wanted at this barrier: cancels first, as the adapter's lanes have it.
    fn acts(&mut self, exchange: &Exchange, now: Timestamp) -> Vec<Act> {
        let working: Vec<OpenOrder> = exchange.open_orders().cloned().collect();
        let (mut cancels, mut others) = (Vec::new(), Vec::new());
        for open in &working {
            match self.random.below(100) {
                0..8 => cancels.push(Act::Cancel(open.client_order_id)),
                8..22 => others.extend(self.changed(open, exchange)),
                _ => {}
            }
        }
        if working.len() < WORKING_MAX {
            for _ in 0..=self.random.below(3) {
                others.extend(self.fresh(exchange, now));
            }
        }
        cancels.extend(others);
        cancels
    }

    /// Another limit, and now and then another size.
    fn changed(&mut self, open: &OpenOrder, exchange: &Exchange) -> Option<Act> {
        let limit = self.limit(&open.contract, open.side, exchange)?;
        let mut order = self.sent.get(&open.client_order_id)?.clone();
        order.limit = limit;
        if self.random.below(3) == 0 {
            let more = i64::try_from(self.random.below(5)).unwrap();
            order.quantity = open.filled + Quantity(1 + more);
        }
        self.sent.insert(open.client_order_id, order.clone());
        Some(Act::Modify(order))
    }

    fn fresh(&mut self, exchange: &Exchange, now: Timestamp) -> Option<Act> {
        let quoted: Vec<&Instrument> = exchange
            .instruments()
            .filter(|one| one.last_trade().is_none_or(|last| now < last))
            .filter(|one| !matches!(one.kind, InstrumentKind::Index))
            .filter(|one| {
                let both = exchange.quote(one.con_id).and_then(|quote| quote.both());
                both.is_some_and(|(bid, ask)| bid > Price::ZERO && bid < ask)
            })
            .collect();
        let options: Vec<&Instrument> =
            quoted.iter().copied().filter(|one| one.option().is_some()).collect();
        let (among, is_combo) = match self.random.below(10) {
            0..2 => (&quoted, false),
            2..6 => (&options, false),
            _ => (&options, true),
        };
        let first = *self.random.pick(among)?;
        let contract =
            if is_combo { self.spread(first, &options)? } else { Contract::Single(first.con_id) };
        let side = if self.random.below(2) == 0 { Side::Buy } else { Side::Sell };
        let limit = self.limit(&contract, side, exchange)?;
        // Now and then more than a quote shows.
        let most = if self.random.below(6) == 0 { 400 } else { 10 };
        let quantity = Quantity(1 + i64::try_from(self.random.below(most)).unwrap());
        let order_id = self.next_id;
        self.next_id += 1;
        let order = Order { limit, quantity, ..order(order_id, contract, side, 1, "1") };
        self.sent.insert(order_id, order.clone());
        Some(Act::Place(order))
    }

    /// One more of the same expiry and right against it, in one of two ratios.
    fn spread(&mut self, first: &Instrument, options: &[&Instrument]) -> Option<Contract> {
        let terms = first.option()?;
        let others: Vec<ConId> = options
            .iter()
            .filter(|other| {
                other.con_id != first.con_id
                    && other.option().is_some_and(|other| {
                        (other.underlying, other.expiry, other.right)
                            == (terms.underlying, terms.expiry, terms.right)
                    })
            })
            .map(|other| other.con_id)
            .collect();
        let second = *self.random.pick(&others)?;
        let ratio = if self.random.below(4) == 0 { -2 } else { -1 };
        let legs = vec![Leg { con_id: first.con_id, ratio: 1 }, Leg { con_id: second, ratio }];
        Some(Contract::Combo(Combo::new(legs).ok()?))
    }

    /// Some way from the near side to beyond the far one, on tick.
    fn limit(&mut self, contract: &Contract, side: Side, exchange: &Exchange) -> Option<Price> {
        let (mut bid, mut ask, mut tick) = (0, 0, 1);
        for leg in contract.legs() {
            let (low, high) = exchange.quote(leg.con_id)?.both()?;
            let ratio = i64::from(leg.ratio);
            let (near, far) = if ratio > 0 { (low, high) } else { (high, low) };
            bid += near.micros() * ratio;
            ask += far.micros() * ratio;
            let instrument = exchange.instrument(leg.con_id)?;
            tick = tick.max(instrument.tick.increment(low.max(high)).micros());
        }
        let percent = *self.random.pick(&[-60, 0, 40, 80, 100, 100, 150])?;
        let half = (ask - bid) / 2;
        let wanted = bid.midpoint(ask) + side.sign() * half * percent / 100;
        let limit = wanted.div_euclid(tick) * tick;
        let is_single = matches!(contract, Contract::Single(_));
        Some(Price::from_micros(if is_single { limit.max(tick) } else { limit }))
    }
}

/// One fill in the words of both sides: identity, order, instrument, signed quantity, price, time,
/// whether it is a leg, and its fee.
type Booked = (String, i64, u32, i64, Price, Timestamp, bool, Money);

/// As the adapter told them, the executions and the fees that belong to them.
fn told(reports: &[Report]) -> Vec<Booked> {
    let fees: BTreeMap<&str, Money> = reports
        .iter()
        .filter_map(|one| match one {
            Report::Fee { exec_id, amount, .. } => Some((exec_id.0.as_str(), *amount)),
            _ => None,
        })
        .collect();
    let mut booked: Vec<Booked> = reports
        .iter()
        .filter_map(|one| if let Report::Execution(fill) = one { Some(fill) } else { None })
        .map(|fill| {
            let id = fill.exec_id.0.clone();
            let fee = *fees.get(id.as_str()).unwrap_or_else(|| panic!("no fee of {id}"));
            let (order, con_id) = (fill.order_id.0, fill.con_id.0);
            let signed = fill.side.sign() * fill.quantity.0;
            (id, order, con_id, signed, fill.price, fill.time, fill.combo_leg, fee)
        })
        .collect();
    booked.sort();
    booked
}

/// As an exchange has them in its books.
fn booked(exchange: &Exchange) -> Vec<Booked> {
    let all = exchange.executions(Timestamp::EPOCH).iter();
    let mut booked: Vec<Booked> = all
        .map(|one| {
            let signed = one.side.sign() * one.quantity.0;
            let (id, order) = (one.exec_id.clone(), one.client_order_id);
            (id, order, one.con_id.0, signed, one.price, one.time, one.leg, one.fee)
        })
        .collect();
    booked.sort();
    booked
}

fn config(day: &RecordedDay) -> ExchangeConfig {
    ExchangeConfig {
        starting_cash: Money::from_units(20_000_000),
        request_latency: Duration::ZERO,
        report_latency: Duration::ZERO,
        days: Days::of_calendar(&day.calendar, day.day, 5),
        ..ExchangeConfig::default()
    }
}

/// Everything that the adapter says until this question is answered: the gateway has then worked
/// off whatever was written before it.
fn settle(node: &mut Node, heard: &mut Vec<Report>) {
    node.try_ask(Question::OpenOrders).expect("asked");
    loop {
        match node.next() {
            BrokerEvent::Report(report) => heard.push(report),
            BrokerEvent::Answer { ticket: 7, .. } => return,
            other => panic!("neither a report nor the answer: {other:?}"),
        }
    }
}

fn say(node: &mut Node, act: &Act) {
    match act {
        Act::Cancel(order_id) => node.port.cancel(OrderId(*order_id)).expect("written"),
        Act::Modify(order) => node.modify(order),
        Act::Place(order) => node.place(order),
    }
}

#[track_caller]
fn through_the_socket_as_in_process(folder: &str, date: Date, seed: u64) {
    let Some(data) = std::env::var_os("OPTIONSIB_DATA") else {
        eprintln!("skipped: set OPTIONSIB_DATA to the folder with recorded market data");
        return;
    };
    let barriers = std::env::var("OPTIONSIB_BARRIERS").ok().and_then(|text| text.parse().ok());
    let barriers: usize = barriers.unwrap_or(BARRIERS);
    let day = Day::load(&Path::new(&data).join(folder), date, None, BadRows::Fail).unwrap();
    let config = config(&day);
    let begin = day.steps[0].time.minus(Duration::from_secs(1));
    let instruments: Vec<Instrument> = day.catalog.iter().cloned().collect();
    let moments: BTreeSet<Timestamp> = day.steps.iter().map(|step| step.time).collect();
    let moments: Vec<Timestamp> = moments.into_iter().collect();
    let mut exchange = Exchange::new(config.clone(), begin);
    for stock in instruments.iter().filter(|one| matches!(one.kind, InstrumentKind::Stock)) {
        for (ex_date, amount) in day.dividends.iter() {
            exchange.announce_dividend(stock.con_id, ex_date, amount);
        }
    }
    let market =
        RecordedMarket::new(instruments.clone(), day.steps, 1, RecordedMarket::WEEK).unwrap();
    let source = MarketSource::Recorded(market);

    let books = tempfile::tempdir().unwrap();
    let (files, _) = VenueFiles::open(books.path()).unwrap();
    let mut settings = Settings::new(ACCOUNT);
    settings.messages_per_second = 1_000_000;
    let world = World::new(settings, exchange.clone(), source.clone());
    let venue = Venue::hosting(world, begin, Some(files), FREE);
    let mut gateway = venue.gateway();
    // The day is played in moments: the pace of IB's gateway is not what is looked at.
    gateway.settings.messages_per_second = 1_000_000;
    let mut node = Node::new(Gateway::new(gateway.settings));
    for instrument in &instruments {
        node.gateway.contracts.insert(instrument.clone());
    }
    node.market = clearance::Market::of(instruments, begin);
    let next_id = node.connect().0;

    let mut own = InProcess { exchange, source, refused: 0 };
    let mut script = Script { random: Random(seed), next_id, sent: BTreeMap::new() };
    let (mut now, mut heard) = (begin, Vec::new());
    let (mut placed, mut modified, mut canceled) = (0, 0, 0);
    for barrier in 0..barriers {
        let moment = moments[barrier * moments.len() / barriers];
        let to = moment.plus(Duration::from_secs(script.random.below(50))).max(now);
        own.advance(to);
        venue.advance(u64::try_from(to.since(now).as_millis()).unwrap());
        now = to;
        for act in script.acts(&own.exchange, now) {
            match act {
                Act::Cancel(_) => canceled += 1,
                Act::Modify(_) => modified += 1,
                Act::Place(_) => placed += 1,
            }
            own.take(&act, now);
            say(&mut node, &act);
        }
        settle(&mut node, &mut heard);
    }
    let end = moments[moments.len() - 1].max(now).plus(AFTERWARDS);
    own.advance(end);
    venue.advance(u64::try_from(end.since(now).as_millis()).unwrap());
    settle(&mut node, &mut heard);
    heard.extend(node.reports());
    let Answer::Positions { positions, .. } = node.ask(Question::Positions) else {
        panic!("positions")
    };
    drop(node);
    drop(venue);

    let expected = booked(&own.exchange);
    let legs = expected.iter().filter(|one| one.6).count();
    let part = |report: &&Report| {
        matches!(report, Report::Status { filled, remaining, .. }
        if filled.0 > 0 && remaining.0 > 0)
    };
    let parts = heard.iter().filter(part).count();
    let ended = |wanted: EndState| {
        let is = |one: &&Report| matches!(one, Report::Ended { end, .. } if *end == wanted);
        heard.iter().filter(is).count()
    };
    eprintln!(
        "{folder}: {barriers} barriers, {placed} orders, {modified} modifies, {canceled} cancels, \
         {} refused; {} fills ({legs} of legs), {parts} words of parts, {} ended canceled; \
         cash {:?}",
        own.refused,
        expected.len(),
        ended(EndState::Canceled),
        own.exchange.cash()
    );
    assert!(expected.len() > barriers / 2 && legs > 0 && parts > 0, "the script does too little");
    assert!(modified > 0 && canceled > 0 && ended(EndState::Canceled) > 0);
    assert_eq!(told(&heard), expected, "what the adapter heard");
    let (_, found) = VenueFiles::open(books.path()).unwrap();
    let theirs = Exchange::restore(config, found.changes).unwrap();
    assert_eq!(booked(&theirs), expected, "what the gateway wrote down");
    assert_eq!(theirs.positions(), own.exchange.positions());
    assert_eq!(positions, own.exchange.positions());
    assert_eq!(theirs.fees(), own.exchange.fees());
    assert_eq!(theirs.cash(), own.exchange.cash());
    assert_eq!(theirs.events(Timestamp::EPOCH), own.exchange.events(Timestamp::EPOCH));
}

#[test]
fn a_day_of_es_through_the_socket_ends_as_the_same_orders_in_process() {
    let day = Date::new(2020, 1, 6).unwrap();
    through_the_socket_as_in_process("lean_es_futopt_20200106", day, 7);
}

#[test]
fn a_day_of_goog_through_the_socket_ends_as_the_same_orders_in_process() {
    let day = Date::new(2015, 12, 24).unwrap();
    through_the_socket_as_in_process("lean_goog_opt_20151224", day, 7);
}
