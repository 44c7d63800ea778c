//! The adapter against the simulated gateway, over a real socket: the scenario that the third-party
//! clients run too, and the incidents that other systems suffered.
//!
//! Each incident says what protects, and `protections` plays each with that taken out. Orders are
//! written on a clearance of the gate (`clearance`). Where an incident is about what the node makes
//! of the wire, desk, reconciler and link stand behind the port (`trade`). Nothing is timed: a test
//! waits for what must come, with a bound that only a failure reaches.

mod clearance;
mod corruption;
mod futures;
mod incidents;
mod lines;
mod nightly;
#[cfg(mutations)]
mod protections;
mod recorded_days;
mod scenario;
mod trade;
mod trade_incidents;

use super::{Gateway, IbDataPort, IbOrderPort, IbSettings};
use crate::port::{BrokerEvent, DataSink, OrderPort, WriteError};
use crate::wire_fence::WireFence;
use exchange::book_file::VenueFiles;
use exchange::builtin::BuiltinMarket;
use exchange::{Exchange, ExchangeConfig, MarketSource};
use gateway::server::{Bounds, Host, MarketClock, serve};
use gateway::world::{Settings, World};
use market::instrument::{ConId, Contract};
use market::money::{Price, Quantity};
use market::quote::{DataType, RawQuote, Side};
use market::time::{ProcessTime, Timestamp};
use risk::gate::Gate;
use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use tokio::sync::oneshot;
use trading::id::{AccountId, Epoch, InstallId, IntentKey, OrderId, StrategyId};
use trading::order::{Order, OrderHash, TimeInForce};
use trading::report::{Answer, Question, Report};
use trading::trading_state::HaltEpoch;

/// Only a failure waits so long; where failures are wanted, not as long.
const PATIENCE: Duration = Duration::from_secs(if cfg!(mutations) { 6 } else { 20 });
/// For what must not come.
const SILENCE: Duration = Duration::from_millis(150);
/// The stock of the built-in market.
const SIM: ConId = ConId(1001);
const EXECUTIONS: Question = Question::Executions { since: None };
const ACCOUNT: &str = "DU1234567";
const START: Timestamp = Timestamp::from_seconds(1_795_170_600);

/// Whatever port is free, for clients and for commands.
const FREE: [&str; 2] = ["127.0.0.1:0"; 2];

/// A gateway in this process, on ports of its own.
struct Venue {
    address: String,
    control: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
    books: Option<tempfile::TempDir>,
}

impl Venue {
    /// Its market stands still unless it is told to go on.
    fn start() -> Self {
        Self::of(Settings::new(ACCOUNT))
    }

    fn of(settings: Settings) -> Self {
        let source = MarketSource::Builtin(Box::new(BuiltinMarket::new(1, START)));
        let exchange = Exchange::new(exchange_config(), START);
        Self::serving(World::new(settings, exchange, source))
    }

    fn serving(world: World) -> Self {
        Self::hosting(world, START, None, FREE)
    }

    /// As [`Venue::start`], with books on disk: it can be restarted.
    fn with_books() -> Self {
        Self::on_books(tempfile::tempdir().unwrap(), FREE)
    }

    /// Ends it, and starts it again on its books, where it was: sessions, faults and whatever is
    /// not in the books are forgotten.
    fn restart(&mut self) {
        self.end();
        let books = self.books.take().expect("it has books");
        let again = Self::on_books(books, [&self.address, &self.control]);
        *self = again;
    }

    fn on_books(books: tempfile::TempDir, addresses: [&str; 2]) -> Self {
        let (files, found) = VenueFiles::open(books.path()).unwrap();
        let mut market = BuiltinMarket::new(1, START);
        let mut past = Vec::new();
        let exchange = if found.changes.is_empty() {
            Exchange::new(exchange_config(), START)
        } else {
            Exchange::restore(exchange_config(), found.changes).unwrap()
        };
        while market.next_time() <= exchange.books_time() {
            past.push(market.next_step());
        }
        let clock = if past.is_empty() { START } else { exchange.books_time() };
        let market = BuiltinMarket::from_json(&market.to_json()).unwrap();
        let source = MarketSource::Builtin(Box::new(market));
        let mut world = World::new(Settings::new(ACCOUNT), exchange, source);
        past.iter().for_each(|step| world.learn(step));
        let mut venue = Self::hosting(world, clock, Some(files), addresses);
        venue.books = Some(books);
        venue
    }

    fn hosting(
        world: World,
        clock: Timestamp,
        files: Option<VenueFiles>,
        addresses: [&str; 2],
    ) -> Self {
        #[cfg(mutations)]
        protections::take_out();
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = channel();
        let addresses = addresses.map(str::to_owned);
        let thread = std::thread::Builder::new()
            .spawn(move || {
                let runtime =
                    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let [address, control] = addresses;
                    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
                    let control = tokio::net::TcpListener::bind(control).await.unwrap();
                    let address = |one: &tokio::net::TcpListener| one.local_addr().unwrap();
                    tell.send((address(&listener), address(&control))).unwrap();
                    let host = Host {
                        world,
                        files,
                        clock: MarketClock::new(clock, 0.0),
                        listener,
                        control: Some(control),
                        on_status: Box::new(|_| ()),
                        bounds: Bounds::default(),
                    };
                    let stop = async {
                        let _ = stopped.await;
                    };
                    serve(host, stop).await.unwrap();
                });
            })
            .unwrap();
        let (address, control) = told.recv().unwrap();
        Self {
            address: address.to_string(),
            control: control.to_string(),
            stop: Some(stop),
            thread: Some(thread),
            books: None,
        }
    }

    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A server that panicked has failed the test already.
            let _ = thread.join();
        }
    }

    /// A command of its control port; answers how it stands.
    fn tell(&self, command: &str) -> String {
        let mut stream = TcpStream::connect(&self.control).unwrap();
        stream.write_all(format!("{command}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        assert!(answer.contains("done"), "{command}: {answer}");
        answer
    }

    fn advance(&self, milliseconds: u64) {
        self.tell(&format!(r#"{{"do":"advance","milliseconds":{milliseconds}}}"#));
    }

    fn gateway(&self) -> Gateway {
        let mut settings =
            IbSettings::paper(&self.address, AccountId(ACCOUNT.to_owned()), Arc::new(|| START));
        settings.answer_deadline = Duration::from_secs(10);
        settings.write_deadline = Duration::from_secs(5);
        Gateway::new(settings)
    }
}

impl Drop for Venue {
    fn drop(&mut self) {
        self.end();
    }
}

fn exchange_config() -> ExchangeConfig {
    ExchangeConfig {
        request_latency: Duration::ZERO,
        report_latency: Duration::ZERO,
        ..ExchangeConfig::default()
    }
}

/// What the market lists from its first moment on.
fn listed() -> Vec<market::instrument::Instrument> {
    let mut market = BuiltinMarket::new(1, START);
    let _ = market.next_step();
    market.instruments()
}

/// An order port, a gate before it, and what it hears.
struct Node {
    port: IbOrderPort,
    market: clearance::Market,
    gate: RefCell<Gate>,
    gateway: Gateway,
    events: Option<Receiver<BrokerEvent>>,
    generation: u32,
}

impl Node {
    fn new(gateway: Gateway) -> Self {
        let fence = Arc::new(WireFence::new(HaltEpoch(0), None));
        let port = IbOrderPort::new(gateway.clone(), fence);
        let (market, gate) = (clearance::Market::new(), RefCell::new(clearance::gate()));
        Self { port, market, gate, gateway, events: None, generation: 0 }
    }

    fn of(venue: &Venue) -> Self {
        Self::client(venue, 0)
    }

    /// Under an id of its own.
    fn client(venue: &Venue, order_client: i32) -> Self {
        let mut gateway = venue.gateway();
        gateway.settings.order_client = order_client;
        let mut node = Self::new(gateway);
        for instrument in listed() {
            node.gateway.contracts.insert(instrument);
        }
        let _ = node.connect();
        node
    }

    /// Begins the next connection; its first event.
    fn begin(&mut self) -> BrokerEvent {
        self.generation += 1;
        let (tell, events) = channel();
        self.port.connect(
            self.generation,
            Box::new(move |event| {
                // The test may have ended.
                let _ = tell.send(event);
            }),
        );
        self.events = Some(events);
        self.next()
    }

    fn connect(&mut self) -> OrderId {
        match self.begin() {
            BrokerEvent::Connected { next_order_id } => next_order_id,
            other => panic!("connected, not {other:?}"),
        }
    }

    fn next(&self) -> BrokerEvent {
        let events = self.events.as_ref().expect("it has begun");
        events.recv_timeout(PATIENCE).expect("an event comes")
    }

    /// Hears until `wanted` takes something.
    #[track_caller]
    fn until<T>(&self, mut wanted: impl FnMut(BrokerEvent) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(self.next()) {
                return found;
            }
        }
    }

    /// Every report that comes before a silence.
    fn reports(&self) -> Vec<Report> {
        let events = self.events.as_ref().expect("it has begun");
        let mut reports = Vec::new();
        loop {
            match events.recv_timeout(SILENCE) {
                Ok(BrokerEvent::Report(report)) => reports.push(report),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return reports,
            }
        }
    }

    #[track_caller]
    fn report<T>(&self, wanted: impl Fn(&Report) -> Option<T>) -> T {
        self.until(|event| match event {
            BrokerEvent::Report(report) => wanted(&report),
            BrokerEvent::Disconnected { reason } => panic!("disconnected: {reason}"),
            _ => None,
        })
    }

    fn place(&self, order: &Order) {
        self.write(order, true).expect("written");
    }

    fn modify(&self, order: &Order) {
        self.write(order, false).expect("written");
    }

    fn write(&self, order: &Order, new: bool) -> Result<OrderHash, WriteError> {
        let cleared = self.market.clear(&mut self.gate.borrow_mut(), order, !new);
        self.port.write(cleared, ProcessTime::ZERO, new)
    }

    fn try_ask(&mut self, question: Question) -> Result<(), WriteError> {
        self.port.ask(7, question)
    }

    #[track_caller]
    fn ask(&mut self, question: Question) -> Answer {
        self.try_ask(question).expect("asked");
        self.until(|event| match event {
            BrokerEvent::Answer { ticket: 7, answer } => Some(answer),
            _ => None,
        })
    }
}

fn order(order_id: i64, contract: Contract, side: Side, quantity: i64, limit: &str) -> Order {
    Order {
        order_id: OrderId(order_id),
        key: IntentKey {
            install: InstallId(0xab),
            epoch: Epoch(1),
            strategy: StrategyId::new("test").unwrap(),
            seq: u32::try_from(order_id).unwrap(),
        },
        account: AccountId(ACCOUNT.to_owned()),
        contract,
        side,
        quantity: Quantity(quantity),
        limit: Price::parse(limit).unwrap(),
        time_in_force: TimeInForce::Day,
        valid_until: START.plus(Duration::from_secs(3_600)),
    }
}

fn acknowledged(order_id: i64) -> impl Fn(&Report) -> Option<i64> {
    move |report| match report {
        Report::Acknowledged { order_id: OrderId(found), perm_id, .. } if *found == order_id => {
            Some(perm_id.0)
        }
        _ => None,
    }
}

/// Keeps what lines said.
#[derive(Default)]
struct Heard {
    said: Mutex<Said>,
    changed: Condvar,
}

#[derive(Default)]
struct Said {
    quotes: Vec<(u32, RawQuote)>,
    types: Vec<(u32, DataType)>,
}

impl DataSink for Heard {
    fn quotes(&self, batch: &[(u32, RawQuote)]) {
        self.said.lock().unwrap().quotes.extend_from_slice(batch);
        self.changed.notify_all();
    }

    fn confirmed(&self, line: u32, data: DataType) {
        self.said.lock().unwrap().types.push((line, data));
        self.changed.notify_all();
    }
}

impl Heard {
    /// Waits until `wanted` is true of what was said.
    #[track_caller]
    fn wait(&self, what: &str, wanted: impl Fn(&Said) -> bool) {
        let said = self.said.lock().unwrap();
        let waited = self.changed.wait_timeout_while(said, PATIENCE, |said| !wanted(said));
        let (said, late) = waited.unwrap();
        assert!(!late.timed_out(), "{what} did not come: {:?} {:?}", said.types, said.quotes);
    }
}

impl Said {
    fn last_type(&self, line: u32) -> Option<DataType> {
        self.types.iter().rev().find(|(told, _)| *told == line).map(|(_, data)| *data)
    }
}

fn data_port(gateway: Gateway) -> IbDataPort {
    for instrument in listed() {
        gateway.contracts.insert(instrument);
    }
    IbDataPort::start(gateway).expect("a thread")
}
