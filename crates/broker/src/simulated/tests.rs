//! The faults of the order connection, each on a venue with one order that trades.

use super::faults::{Arrival, Fault, LinkFault, Moment, ReportFault, Said, VenueNews};
use super::{PortSpec, SimulatedOrderPort, SimulatedVenue};
use crate::port::{BrokerEvent, OrderPort, WriteError};
use crate::wire_fence::WireFence;
use exchange::builtin::{BuiltinMarket, SIM};
use exchange::order::{NewOrder, Request, TimeInForce};
use exchange::{Exchange, ExchangeConfig, MarketSource};
use market::instrument::Contract;
use market::money::{Price, Quantity};
use market::quote::Side;
use market::time::Timestamp;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use trading::id::OrderId;
use trading::report::{Question, Report};
use trading::trading_state::HaltEpoch;

struct Scene {
    venue: Arc<SimulatedVenue>,
    port: SimulatedOrderPort,
    now: Arc<Mutex<Timestamp>>,
    heard: Arc<Mutex<Vec<BrokerEvent>>>,
    struck: Arc<Mutex<Vec<&'static str>>>,
}

impl Scene {
    fn new() -> Self {
        let start = Timestamp::from_seconds(1_800_000_000);
        let source = MarketSource::Builtin(Box::new(BuiltinMarket::new(1, start)));
        let exchange = Exchange::new(ExchangeConfig::default(), start);
        let venue = Arc::new(SimulatedVenue::new(exchange, source, None));
        let now = Arc::new(Mutex::new(start));
        let clock = Arc::clone(&now);
        let spec = PortSpec {
            now: Arc::new(move || *clock.lock().unwrap()),
            fence: Arc::new(WireFence::new(HaltEpoch(0), None)),
        };
        let port = SimulatedOrderPort::new(Arc::clone(&venue), spec);
        let struck: Arc<Mutex<Vec<&'static str>>> = Arc::default();
        let told = Arc::clone(&struck);
        venue.on_news(Box::new(move |news, _| {
            if let VenueNews::Struck(fault) = news {
                told.lock().unwrap().push(fault.name());
            }
        }));
        let mut scene = Self { venue, port, now, heard: Arc::default(), struck };
        scene.pass(1_000);
        scene.connect(1);
        scene
    }

    fn connect(&mut self, generation: u32) {
        let heard = Arc::clone(&self.heard);
        self.port.connect(generation, Box::new(move |event| heard.lock().unwrap().push(event)));
    }

    fn pass(&self, milliseconds: u64) {
        let now = self.now().plus(Duration::from_millis(milliseconds));
        *self.now.lock().unwrap() = now;
        self.venue.advance(now).unwrap();
    }

    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap()
    }

    fn arm(&self, fault: Fault) {
        self.venue.arm(fault, self.now()).unwrap();
    }

    fn link(&self, at: Moment, fault: LinkFault) {
        self.arm(Fault::Link { at, fault });
    }

    /// Buys ten shares at any price; no clearance is needed on this side of the port.
    fn trade(&self, client_order_id: i64) {
        let order = NewOrder {
            client_order_id,
            reference: format!("order {client_order_id}"),
            contract: Contract::Single(SIM),
            side: Side::Buy,
            quantity: Quantity(10),
            limit: Price::from_units(1_000),
            time_in_force: TimeInForce::Day,
        };
        self.venue.lock().exchange.on_request(Request::Submit(order), self.now());
    }

    /// What was heard since the last call, in words.
    fn heard(&self) -> Vec<&'static str> {
        let events = std::mem::take(&mut *self.heard.lock().unwrap());
        let word = |event: BrokerEvent| match event {
            BrokerEvent::Connected { .. } => "connected",
            BrokerEvent::Disconnected { .. } => "disconnected",
            BrokerEvent::BrokerLost { .. } => "lost",
            BrokerEvent::BrokerBack { .. } => "back",
            BrokerEvent::Gap { .. } | BrokerEvent::HumanNeeded { .. } => "other",
            BrokerEvent::Answer { .. } => "answer",
            BrokerEvent::Report(report) => match report {
                Report::Acknowledged { .. } => "acknowledged",
                Report::Execution(_) => "execution",
                Report::Fee { .. } => "fee",
                Report::Status { .. } => "status",
                Report::Ended { .. } => "ended",
                Report::CancelRejected { .. } => "cancel rejected",
                _ => "report",
            },
        };
        events.into_iter().map(word).collect()
    }

    fn struck(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.struck.lock().unwrap())
    }

    fn filled(&self) -> usize {
        self.venue.with_exchange(|exchange| exchange.executions(Timestamp::EPOCH).len())
    }
}

const TRADE: [&str; 5] = ["acknowledged", "execution", "fee", "status", "ended"];

#[track_caller]
fn check_report(fault: ReportFault, expected: &[&str]) {
    let scene = Scene::new();
    scene.heard();
    scene.arm(Fault::Report { said: Said::Execution, fault });
    scene.trade(1);
    scene.pass(8_000);
    let heard: Vec<&str> = scene.heard().into_iter().filter(|word| *word != "report").collect();
    assert_eq!(heard, expected);
    assert_eq!(scene.struck().len(), 1);
    assert_eq!(scene.filled(), 1);
}

#[test]
fn one_report_is_lost_doubled_late_or_overtaken_and_the_others_are_not() {
    check_report(ReportFault::Drop, &["acknowledged", "fee", "status", "ended"]);
    let twice = ["acknowledged", "execution", "execution", "fee", "status", "ended"];
    check_report(ReportFault::Duplicate, &twice);
    let last = ["acknowledged", "fee", "status", "ended", "execution"];
    check_report(ReportFault::Delay(Duration::from_secs(3)), &last);
    check_report(ReportFault::OvertakenBy(Said::Ended), &last);
    // What never overtakes it doesn't keep it for ever.
    check_report(ReportFault::OvertakenBy(Said::Leg), &last);
}

#[test]
fn a_closed_connection_says_so_and_its_reports_are_lost() {
    let mut scene = Scene::new();
    scene.trade(1);
    scene.link(Moment::Heard(Said::Acknowledged), LinkFault::Close);
    scene.pass(1_000);
    assert_eq!(scene.heard(), ["connected", "acknowledged", "disconnected"]);
    assert_eq!(scene.port.cancel(OrderId(1)), Err(WriteError::NotConnected));
    assert_eq!(scene.filled(), 1, "it traded on");
    scene.connect(2);
    assert_eq!(scene.heard(), ["connected"]);
}

#[test]
fn a_broken_write_is_received_or_not_and_the_writer_can_not_tell() {
    for arrival in [Arrival::InTime, Arrival::Never, Arrival::After(Duration::from_secs(4))] {
        let mut scene = Scene::new();
        scene.link(Moment::Cancel, LinkFault::Break(arrival));
        assert_eq!(scene.port.cancel(OrderId(77)), Err(WriteError::Broken));
        assert_eq!(scene.heard(), ["connected", "disconnected"]);
        scene.connect(2);
        scene.pass(1_000);
        let early = scene.heard();
        scene.pass(5_000);
        let late = scene.heard();
        let refused = |heard: &[&str]| heard.contains(&"cancel rejected");
        let expected = match arrival {
            Arrival::InTime => (true, false),
            Arrival::Never => (false, false),
            Arrival::After(_) => (false, true),
        };
        assert_eq!((refused(&early), refused(&late)), expected, "{arrival:?}");
    }
}

#[test]
fn a_half_open_socket_swallows_everything_until_a_heartbeat_notices() {
    let mut scene = Scene::new();
    scene.heard();
    scene.link(Moment::Now, LinkFault::HalfOpen { lasting: Duration::from_secs(10) });
    scene.trade(1);
    assert_eq!(scene.port.cancel(OrderId(9)), Ok(()));
    assert_eq!(scene.port.ask(1, Question::OpenOrders), Ok(()));
    scene.pass(9_000);
    assert_eq!(scene.heard(), Vec::<&str>::new());
    scene.pass(1_500);
    assert_eq!(scene.heard(), ["disconnected"]);
    assert_eq!(scene.filled(), 1);
}

#[test]
fn in_an_outage_requests_wait_and_what_happens_is_not_told() {
    let mut scene = Scene::new();
    scene.heard();
    scene.link(Moment::Now, LinkFault::Outage { lasting: Duration::from_secs(20) });
    scene.trade(1);
    assert_eq!(scene.port.cancel(OrderId(9)), Ok(()));
    scene.pass(19_000);
    assert_eq!(scene.heard(), ["lost"]);
    scene.pass(2_000);
    assert_eq!(scene.heard(), ["back", "cancel rejected"]);
    assert_eq!(scene.port.ask(1, Question::OpenOrders), Ok(()));
    assert_eq!(scene.heard(), ["answer"]);
}

#[test]
fn a_restarting_gateway_loses_what_it_has_not_passed_on_and_refuses_connections() {
    let mut scene = Scene::new();
    scene.heard();
    scene.trade(1);
    scene.link(Moment::Now, LinkFault::RollBack { numbers: 5 });
    scene.link(Moment::Now, LinkFault::Restart { lasting: Duration::from_secs(5) });
    scene.pass(1_000);
    assert_eq!(scene.filled(), 0, "it was on its way");
    scene.connect(2);
    assert_eq!(scene.heard(), ["disconnected", "disconnected"]);
    scene.pass(5_000);
    scene.connect(3);
    assert_eq!(scene.heard(), ["connected"]);
    assert_eq!(scene.struck(), ["order ids rolled back", "gateway restart"]);
}

#[test]
fn muted_reports_are_lost_and_questions_answered() {
    let mut scene = Scene::new();
    scene.heard();
    scene.link(Moment::Now, LinkFault::Mute { lasting: Duration::from_secs(2) });
    scene.trade(1);
    scene.pass(1_000);
    assert_eq!(scene.port.ask(1, Question::OpenOrders), Ok(()));
    assert_eq!(scene.heard(), ["answer"]);
    scene.pass(2_000);
    scene.trade(2);
    scene.pass(1_000);
    assert_eq!(scene.heard(), TRADE);
}

#[test]
fn faults_that_wait_are_bounded_and_can_be_forgotten() {
    let scene = Scene::new();
    let fault = Fault::Link { at: Moment::Modify, fault: LinkFault::Close };
    for _ in 0..64 {
        scene.venue.arm(fault, scene.now()).unwrap();
    }
    assert!(scene.venue.arm(fault, scene.now()).is_err());
    assert_eq!(scene.venue.disarm(), 64);
    assert!(scene.struck().is_empty());
}
