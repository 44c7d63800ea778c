//! The adapter against the simulated gateway, over a real socket: the scenario that the third-party
//! clients run too, and the incidents that other systems suffered.
//!
//! Each incident says what protects. Eight were seen to fail with the protection taken out; fills
//! in an outage, ids rolled back, 326, an order lost on its way, an answer without its end, a
//! correction and details that never come were not tried so. Nothing is timed: a test waits for
//! what must come, with a bound that only a failure reaches.

mod incidents;
mod recorded_days;
mod scenario;

use super::{Gateway, IbDataPort, IbOrderPort, IbSettings};
use crate::port::{BrokerEvent, DataSink, OrderPort, WriteError};
use crate::wire_fence::WireFence;
use exchange::book_file::VenueFiles;
use exchange::builtin::BuiltinMarket;
use exchange::{Exchange, ExchangeConfig, MarketSource};
use gateway::server::{Host, MarketClock, serve};
use gateway::world::{Settings, World};
use market::instrument::{ConId, Contract};
use market::money::{Price, Quantity};
use market::quote::{DataType, RawQuote, Side};
use market::time::Timestamp;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use tokio::sync::oneshot;
use trading::id::{AccountId, Epoch, InstallId, IntentKey, OrderId, StrategyId};
use trading::order::{Order, TimeInForce};
use trading::report::{Answer, Question, Report};
use trading::trading_state::HaltEpoch;

/// Only a failure waits so long.
const PATIENCE: Duration = Duration::from_secs(20);
/// For what must not come.
const SILENCE: Duration = Duration::from_millis(150);
/// The stock of the built-in market.
const SIM: ConId = ConId(1001);
const EXECUTIONS: Question = Question::Executions { since: None };
const ACCOUNT: &str = "DU1234567";
const START: Timestamp = Timestamp::from_seconds(1_795_170_600);

/// A gateway in this process, on ports of its own.
struct Venue {
    address: String,
    control: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Venue {
    /// Its market stands still unless it is told to go on.
    fn start() -> Self {
        let config = ExchangeConfig {
            request_latency: Duration::ZERO,
            report_latency: Duration::ZERO,
            ..ExchangeConfig::default()
        };
        let source = MarketSource::Builtin(Box::new(BuiltinMarket::new(1, START)));
        let exchange = Exchange::new(config, START);
        Self::serving(World::new(Settings::new(ACCOUNT), exchange, source))
    }

    fn serving(world: World) -> Self {
        Self::serving_with(world, START, None)
    }

    /// From this moment of its market on, with its books in these files.
    fn serving_with(world: World, from: Timestamp, files: Option<VenueFiles>) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = channel();
        let thread = std::thread::Builder::new()
            .spawn(move || {
                let runtime =
                    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let bind = || tokio::net::TcpListener::bind("127.0.0.1:0");
                    let (listener, control) = (bind().await.unwrap(), bind().await.unwrap());
                    let address = |one: &tokio::net::TcpListener| one.local_addr().unwrap();
                    tell.send((address(&listener), address(&control))).unwrap();
                    let host = Host {
                        world,
                        files,
                        clock: MarketClock::new(from, 0.0),
                        listener,
                        control: Some(control),
                        on_status: Box::new(|_| ()),
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
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A server that panicked has failed the test already.
            let _ = thread.join();
        }
    }
}

/// What the market lists from its first moment on.
fn listed() -> Vec<market::instrument::Instrument> {
    let mut market = BuiltinMarket::new(1, START);
    let _ = market.next_step();
    market.instruments()
}

/// An order port and what it hears.
struct Node {
    port: IbOrderPort,
    gateway: Gateway,
    events: Option<Receiver<BrokerEvent>>,
    generation: u32,
}

impl Node {
    fn new(gateway: Gateway) -> Self {
        let fence = Arc::new(WireFence::new(HaltEpoch(0), None));
        let port = IbOrderPort::new(gateway.clone(), fence);
        Self { port, gateway, events: None, generation: 0 }
    }

    fn of(venue: &Venue) -> Self {
        let mut node = Self::new(venue.gateway());
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
        self.port.write_uncleared(order, true).expect("written");
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

fn data_port(venue: &Venue) -> IbDataPort {
    let gateway = venue.gateway();
    for instrument in listed() {
        gateway.contracts.insert(instrument);
    }
    IbDataPort::start(gateway).expect("a thread")
}
