//! The machine, one sentence a test, heard through the protobuf dialect.

mod faulty;
mod frames;
mod hostile;
mod mutated;
mod ordering;
mod serving;

use super::session::SUBSCRIPTIONS_MAX;
use super::{Connection, Input, Output, Settings, World};
use crate::control::{Answer, Command};
use crate::message::contract::Contract;
use crate::message::data::{MarketDataRequest, MarketDataTypeRequest};
use crate::message::order::*;
use crate::message::session::{Empty, IdsRequest, StartApiRequest};
use crate::message::{Request, Response};
use crate::wire;
use exchange::builtin::{BuiltinMarket, SIM};
use exchange::{Exchange, ExchangeConfig, MarketSource};
use market::instrument::{ConId, Right};
use market::time::{Now, ProcessTime, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;

/// A gateway on the built-in market with clients on protobuf connections.
struct Bench {
    world: World,
    now: Now,
    next: Connection,
    /// What each connection has not yet looked at.
    heard: BTreeMap<Connection, Vec<Response>>,
    closed: Vec<Connection>,
    log: Vec<String>,
    changes: Vec<exchange::books::BookChange>,
}

fn config() -> ExchangeConfig {
    ExchangeConfig {
        request_latency: Duration::ZERO,
        report_latency: Duration::ZERO,
        ..ExchangeConfig::default()
    }
}

impl Bench {
    fn new() -> Self {
        let start = Timestamp::from_seconds(1_795_170_600);
        let market = BuiltinMarket::new(7, start);
        let exchange = Exchange::new(config(), start);
        let source = MarketSource::Builtin(Box::new(market));
        let world = World::new(Settings::new("DU1"), exchange, source);
        let now = Now { market: start, process: ProcessTime::ZERO };
        let (heard, closed, changes) = (BTreeMap::new(), Vec::new(), Vec::new());
        let log = Vec::new();
        let mut bench = Self { world, now, next: 1, heard, closed, log, changes };
        bench.on(&Input::Time);
        bench
    }

    /// The same books in a new process: the market goes on, connections are gone.
    fn restart(&mut self) {
        self.changes.extend(self.world.take_changes());
        let exchange = Exchange::restore(config(), self.changes.clone()).unwrap();
        let market = BuiltinMarket::from_json(&self.world.market_state().unwrap()).unwrap();
        let source = MarketSource::Builtin(Box::new(market));
        self.world = World::new(Settings::new("DU1"), exchange, source);
        self.heard.clear();
        self.pass(250);
    }

    fn on(&mut self, input: &Input<'_>) {
        let outputs = self.world.on(input, self.now);
        self.take(outputs);
    }

    fn take(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Frame { connection, bytes } => {
                    let Some(number) = bytes.get(4..8) else { continue };
                    let number = i32::from_be_bytes(number.try_into().unwrap());
                    // The answer to the opening has no number.
                    if let Ok(response) = Response::decode(number - 200, &bytes[8..]) {
                        self.heard.entry(connection).or_default().push(response);
                    }
                }
                Output::Close { connection } => self.closed.push(connection),
                Output::Log(line) => self.log.push(line),
            }
        }
    }

    fn pass(&mut self, milliseconds: u64) {
        let more = Duration::from_millis(milliseconds);
        self.now.market = self.now.market.plus(more);
        let process = self.now.process.nanos() + milliseconds * 1_000_000;
        self.now.process = ProcessTime::from_nanos(process);
        self.on(&Input::Time);
    }

    fn connect(&mut self, client_id: i32) -> Connection {
        let connection = self.next;
        self.next += 1;
        self.on(&Input::Connected(connection));
        self.on(&Input::Bytes(connection, b"API\0\0\0\0\tv213..226"));
        let start = StartApiRequest { client_id, capabilities: String::new() };
        self.send(connection, &Request::StartApi(start));
        connection
    }

    /// Connects and forgets what the start tells.
    fn client(&mut self, client_id: i32) -> Connection {
        let connection = self.connect(client_id);
        self.listen(connection);
        connection
    }

    fn send(&mut self, connection: Connection, request: &Request) {
        let mut body = (request.id() + 200).to_be_bytes().to_vec();
        body.extend(request.encode());
        let mut frame = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
        frame.extend(body);
        self.on(&Input::Bytes(connection, &frame));
    }

    fn listen(&mut self, connection: Connection) -> Vec<Response> {
        self.heard.remove(&connection).unwrap_or_default()
    }

    fn ask(&mut self, connection: Connection, request: &Request) -> Vec<Response> {
        self.send(connection, request);
        self.listen(connection)
    }

    fn command(&mut self, command: &Command) -> Answer {
        let (answer, outputs) = self.world.command(command, self.now);
        self.take(outputs);
        answer
    }

    /// Two calls near the money of the third expiry, and their asks and bids.
    fn calls(&self) -> [ConId; 2] {
        let exchange = self.world.exchange();
        let spot = exchange.mark(SIM).unwrap();
        let options = exchange.instruments().filter_map(|one| Some((one, *one.option()?)));
        let mut calls: Vec<_> = options
            .filter(|(_, terms)| terms.underlying == SIM && terms.right == Right::Call)
            .collect();
        calls.sort_by_key(|(_, terms)| (terms.expiry, terms.strike));
        let mut expiries: Vec<_> = calls.iter().map(|(_, terms)| terms.expiry).collect();
        expiries.dedup();
        let above = |(_, terms): &&(_, market::instrument::OptionTerms)| {
            terms.expiry == expiries[2] && terms.strike > spot
        };
        let near: Vec<ConId> = calls.iter().filter(above).map(|(one, _)| one.con_id).collect();
        [near[0], near[2]]
    }

    fn ask_of(&self, con_id: ConId) -> f64 {
        self.world.exchange().quote(con_id).unwrap().ask.unwrap().price.to_f64()
    }
}

fn contract(con_id: ConId) -> Contract {
    Contract { con_id: con_id.0.cast_signed(), exchange: "SMART".to_owned(), ..Contract::default() }
}

fn limit(order_id: i32, con_id: ConId, action: &str, quantity: u32, price: f64) -> Request {
    place(order_id, contract(con_id), action, quantity, price, |_| {})
}

fn place(
    order_id: i32,
    contract: Contract,
    action: &str,
    quantity: u32,
    price: f64,
    change: impl FnOnce(&mut Order),
) -> Request {
    let mut order = Order {
        action: action.to_owned(),
        total_quantity: quantity.to_string(),
        order_type: "LMT".to_owned(),
        limit_price: Some(price),
        tif: "GTC".to_owned(),
        ..Order::default()
    };
    change(&mut order);
    Request::PlaceOrder(Box::new(PlaceOrderRequest { order_id, contract, order }))
}

fn cancel(order_id: i32) -> Request {
    Request::CancelOrder(CancelOrderRequest { order_id, cancel: None })
}

/// What is heard, in short words; ticks are left out.
fn words(heard: &[Response]) -> Vec<String> {
    let word = |response: &Response| {
        Some(match response {
            Response::OrderStatus(m) => {
                format!("{} {} {}/{}", m.order_id, m.status, m.filled, m.remaining)
            }
            Response::Error(m) => format!("{} error {}", m.id, m.code),
            Response::ExecutionDetails(m) => {
                format!("{} {} {}", m.contract.sec_type, m.execution.side, m.execution.shares)
            }
            Response::OrderBound(m) => format!("bound {}", m.order_id),
            Response::NextValidId(m) => format!("next {}", m.order_id),
            _ => return None,
        })
    };
    heard.iter().filter_map(word).collect()
}

fn codes(heard: &[Response]) -> Vec<i32> {
    let code = |response: &Response| match response {
        Response::Error(m) => Some(m.code),
        _ => None,
    };
    heard.iter().filter_map(code).collect()
}

#[test]
fn a_started_session_is_told_its_account_its_next_id_and_that_the_farms_are_up() {
    let mut bench = Bench::new();
    let connection = bench.connect(5);
    let heard = bench.listen(connection);
    let names: Vec<&str> = heard.iter().map(Response::name).collect();
    assert_eq!(names, ["ManagedAccounts", "NextValidId", "Error", "Error", "Error"]);
    assert_eq!(words(&heard), ["next 1", "-1 error 2104", "-1 error 2106", "-1 error 2158"]);
}

#[test]
fn a_client_id_has_one_session_at_a_time() {
    let mut bench = Bench::new();
    let first = bench.client(5);
    let second = bench.connect(5);
    assert_eq!(codes(&bench.listen(second)), [326]);
    assert_eq!(bench.closed, [second]);
    bench.on(&Input::Closed(first));
    let third = bench.connect(5);
    assert_eq!(codes(&bench.listen(third)), [2104, 2106, 2158]);
}

#[test]
fn a_client_that_has_not_started_is_not_served() {
    let mut bench = Bench::new();
    bench.on(&Input::Connected(1));
    bench.on(&Input::Bytes(1, b"API\0\0\0\0\tv213..226"));
    assert_eq!(bench.ask(1, &Request::CurrentTime(Empty {})), []);
}

#[test]
fn a_client_that_sends_too_fast_is_told_and_then_closed() {
    let mut bench = Bench::new();
    let client = bench.client(1);
    let ask = Request::Ids(IdsRequest { count: 1 });
    let mut heard = Vec::new();
    for _ in 0..52 {
        heard.extend(bench.ask(client, &ask));
    }
    assert_eq!(heard.len(), 52);
    assert_eq!(codes(&heard), [100, 100]);
    bench.pass(1_000);
    bench.listen(client);
    assert_eq!(words(&bench.ask(client, &ask)), ["next 1"]);
    for _ in 0..200 {
        bench.send(client, &ask);
    }
    assert_eq!(bench.closed, [client]);
}

#[test]
fn a_line_tells_its_kind_then_bid_and_ask_and_greeks_and_then_changes() {
    let mut bench = Bench::new();
    let client = bench.client(1);
    let [call, _] = bench.calls();
    let request = MarketDataRequest { req_id: 9, contract: contract(call), ..Default::default() };
    let heard = bench.ask(client, &Request::MarketData(Box::new(request.clone())));
    assert!(matches!(&heard[0], Response::MarketDataType(m) if m.data_type == 1));
    let greeks = |tick: i32| {
        heard.iter().find_map(|response| match response {
            Response::TickOptionComputation(m) if m.tick_type == tick => Some(m.clone()),
            _ => None,
        })
    };
    for tick in [10, 11, 13] {
        let values = greeks(tick).unwrap();
        assert!(
            values.implied_vol > 0.05 && values.delta > 0.1 && values.delta < 0.6,
            "{values:?}"
        );
        assert!(values.theta < 0.0 && values.underlying_price > 90.0, "{values:?}");
    }
    bench.pass(10_000);
    assert!(!bench.listen(client).is_empty());
    let same = bench.ask(client, &Request::MarketData(Box::new(request)));
    assert_eq!(codes(&same), [322]);
}

#[test]
fn the_hundred_and_first_line_is_refused() {
    let mut bench = Bench::new();
    let client = bench.client(1);
    let contract = contract(SIM);
    let mut heard = Vec::new();
    for req_id in 0..101 {
        let request =
            MarketDataRequest { req_id, contract: contract.clone(), ..Default::default() };
        heard = bench.ask(client, &Request::MarketData(Box::new(request)));
        bench.now.process = ProcessTime::from_nanos(bench.now.process.nanos() + 50_000_000);
    }
    assert_eq!(codes(&heard), [101]);
}

#[test]
fn without_an_entitlement_lines_are_delayed_if_asked_for_and_refused_otherwise() {
    let mut bench = Bench::new();
    let client = bench.client(1);
    bench.command(&Command::Entitle { live: false });
    let line = |req_id| {
        let request = MarketDataRequest { req_id, contract: contract(SIM), ..Default::default() };
        Request::MarketData(Box::new(request))
    };
    assert_eq!(codes(&bench.ask(client, &line(1))), [354]);
    bench.send(client, &Request::MarketDataType(MarketDataTypeRequest { data_type: 3 }));
    bench.pass(1_000_000);
    let heard = bench.ask(client, &line(2));
    assert_eq!(codes(&heard), [10167]);
    assert!(matches!(&heard[1], Response::MarketDataType(m) if m.data_type == 3));
    let ticks: Vec<i32> = heard
        .iter()
        .filter_map(|response| match response {
            Response::TickPrice(m) => Some(m.tick_type),
            _ => None,
        })
        .collect();
    assert!(ticks.contains(&66) && ticks.contains(&67) && !ticks.contains(&1), "{ticks:?}");
}
