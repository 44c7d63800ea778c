//! The trade branch over the real socket: link, desk and reconciler as machines, one order port,
//! and what a strategy says and hears. Their actors are left out: process time stands still unless
//! a test lets it pass, so that each wait of a machine (settling, backing off, proving an order
//! absent) is as long as it is in production and takes no time here. Every send is on a clearance
//! of the gate; its record comes first, and what is recorded survives a restart.

use super::clearance::{Market, gate};
use super::*;
use crate::downtime::DowntimeSchedule;
use crate::link::{BrokerLink, LinkEffect, LinkInput, LinkState, LinkTiming};
use crate::port::{WireTap, Written};
use desk::desk::{Desk, DeskAnswer, DeskConfig, DeskEvent, Effect, IntentOutcome, RefusedSend};
use desk::order_state::OrderState;
use desk::reconcile::{ReconcileEffect, ReconcileEvent, ReconcilePolicy, Reconciler};
use desk::record::Record;
use desk::state::State;
use market::time::{Date, Now, ProcessTime};
use std::sync::mpsc::Sender;
use trading::denial::DenialCode;
use trading::intent::{Intent, Purpose, Target};
use trading::report::Fill;

const INSTALL: InstallId = InstallId(0xab);

/// What was written to the broker, in order.
#[derive(Default)]
pub struct Wire(Mutex<Vec<Written>>);

impl WireTap for Wire {
    fn durable(&self) -> u64 {
        0
    }

    fn wrote(&self, written: Written, _durable: u64, _now: Timestamp) {
        self.0.lock().unwrap().push(written);
    }
}

/// What a desk leaves behind: its records, and how often it has lived.
pub struct Journal {
    records: Vec<Record>,
    epoch: u32,
}

impl Journal {
    pub fn new() -> Self {
        let started = Record::Started {
            install: INSTALL,
            account: AccountId(ACCOUNT.to_owned()),
            release: "test".to_owned(),
            configuration: String::new(),
            environment: "dev".to_owned(),
        };
        Self { records: vec![started], epoch: 0 }
    }

    pub fn count(&self, wanted: impl Fn(&Record) -> bool) -> usize {
        self.records.iter().filter(|record| wanted(record)).count()
    }

    fn fills(&self) -> impl Iterator<Item = &Fill> {
        self.records.iter().filter_map(|record| match record {
            Record::Filled { fill, .. } | Record::Corrected { fill, .. } => Some(fill),
            _ => None,
        })
    }
}

pub struct Trade {
    market: Market,
    link: BrokerLink,
    desk: Desk,
    reconciler: Reconciler,
    port: IbOrderPort,
    wire: Arc<Wire>,
    events: Receiver<(u32, BrokerEvent)>,
    tell: Sender<(u32, BrokerEvent)>,
    journal: Journal,
    answers: Vec<DeskAnswer>,
    now: Now,
    ticket: u64,
    next_seq: u32,
    /// How often the broker was lost behind a socket that stands.
    pub broker_lost: u32,
}

impl Trade {
    /// The next life of what `journal` tells, until it may trade.
    pub fn start(venue: &Venue, mut journal: Journal) -> Self {
        journal.epoch += 1;
        let generation = journal.epoch;
        let wire = Arc::new(Wire::default());
        let mut gateway = venue.gateway();
        for instrument in listed() {
            gateway.contracts.insert(instrument);
        }
        gateway.tap = Some(Arc::clone(&wire) as Arc<dyn WireTap>);
        let fence = Arc::new(WireFence::new(HaltEpoch(0), None));
        fence.admit_desk(generation);
        let mut state = State::default();
        journal.records.iter().for_each(|record| state.apply(record));
        let config = DeskConfig::new(INSTALL, Epoch(generation), AccountId(ACCOUNT.to_owned()));
        let now = Now { market: START, process: ProcessTime::ZERO };
        let (tell, events) = channel();
        let mut trade = Self {
            market: Market::new(),
            link: BrokerLink::new(LinkTiming::default(), DowntimeSchedule::none(), 0, now),
            desk: Desk::from_state(config, gate(), state, generation),
            reconciler: Reconciler::new(ReconcilePolicy::default()),
            port: IbOrderPort::new(gateway, fence),
            wire,
            events,
            tell,
            journal,
            answers: Vec::new(),
            now,
            ticket: 0,
            next_seq: 1,
            broker_lost: 0,
        };
        trade.desk(DeskEvent::Restarted);
        trade.ready();
        trade.desk(DeskEvent::Attach { strategy: owner() });
        trade
    }

    /// It dies: only what was recorded is left.
    pub fn kill(mut self) -> Journal {
        self.port.disconnect();
        self.journal
    }

    /// Hears, and lets time pass where only time helps, until orders may be written.
    #[track_caller]
    pub fn ready(&mut self) {
        // A reconciliation that a report disturbed is asked again: many turns, never endless.
        for _ in 0..1_000 {
            if self.link.state() == LinkState::Ready && self.desk.is_ready() && !self.is_asking() {
                return;
            }
            let waits = matches!(self.link.state(), LinkState::Connecting | LinkState::Degraded);
            if waits || self.is_asking() {
                self.hear();
            } else {
                self.pass(Duration::from_millis(100));
            }
        }
        panic!("not ready: {:?}", self.link.state());
    }

    /// Hears until `wanted` is true.
    #[track_caller]
    pub fn until(&mut self, what: &str, wanted: impl Fn(&Self) -> bool) {
        while !wanted(self) {
            let heard = self.events.recv_timeout(PATIENCE);
            let (generation, event) =
                heard.unwrap_or_else(|_| panic!("{what}: it did not come to that"));
            self.on_broker(generation, event);
        }
    }

    /// Lets process and market time pass at this end; whatever falls due meanwhile is done.
    #[track_caller]
    pub fn pass(&mut self, time: Duration) {
        let end = self.now.process + time;
        for _ in 0..10_000 {
            let wakes = [self.link.next_wake(), self.reconciler.next_wake()];
            let desk = self.desk.next_wake().process;
            let next = wakes.into_iter().chain([desk]).flatten().map(|(at, _)| at).min();
            let next = next.filter(|at| *at <= end).unwrap_or(end).max(self.now.process);
            let step = next.since(self.now.process);
            self.now = Now { market: self.now.market.plus(step), process: next };
            self.wake();
            while self.is_asking() {
                self.hear();
            }
            while let Ok((generation, event)) = self.events.recv_timeout(Duration::from_millis(5)) {
                self.on_broker(generation, event);
            }
            if next == end {
                return;
            }
        }
        panic!("time stands still at {:?}", self.now);
    }

    /// What a strategy wishes: a position in a contract, at a limit.
    pub fn wish(
        &mut self,
        contract: &Contract,
        units: i64,
        limit: &str,
    ) -> Result<IntentOutcome, DenialCode> {
        let units = Quantity(units);
        let target = match contract {
            Contract::Single(con_id) => Target::Single { con_id: *con_id, position: units },
            Contract::Combo(combo) => Target::Combo { combo: combo.clone(), units },
        };
        let epoch = Epoch(self.journal.epoch);
        let key = IntentKey { install: INSTALL, epoch, strategy: owner(), seq: self.next_seq };
        self.next_seq += 1;
        self.answers.clear();
        self.desk(DeskEvent::Intent(Box::new(Intent {
            key: key.clone(),
            target,
            limit: Price::parse(limit).unwrap(),
            purpose: Purpose::Entry,
            valid_until: self.now.market.plus(Duration::from_secs(3_600)),
            created: self.now.market,
            view_version: 1,
        })));
        let own = self.answers.iter().find_map(|answer| match answer {
            DeskAnswer::Outcome { key: of, outcome } if *of == key => Some(outcome.clone()),
            _ => None,
        });
        match own.expect("the desk answers every wish") {
            IntentOutcome::Denied(denial) => Err(denial.code),
            outcome => Ok(outcome),
        }
    }

    /// A wish that becomes (or changes) an order, and is acknowledged.
    #[track_caller]
    pub fn working(&mut self, contract: &Contract, units: i64, limit: &str) -> OrderId {
        let outcome = self.wish(contract, units, limit);
        let Ok(IntentOutcome::Accepted { order_id }) = outcome else { panic!("{outcome:?}") };
        self.until("an acknowledgement", |trade| {
            let known = &trade.desk.state().orders[&order_id];
            !known.perm_ids.is_empty() && known.modify.is_none()
        });
        order_id
    }

    /// Every own working order is to be canceled.
    pub fn cancel_all(&mut self) {
        self.desk(DeskEvent::CancelAll { reason: "test".to_owned() });
    }

    /// Another exchange day begins.
    pub fn next_day(&mut self, day: Date) {
        let hours = Duration::from_secs(8 * 3_600);
        // In one step: who asks once a minute would ask five hundred times.
        self.now.market = self.now.market.plus(hours);
        self.desk(DeskEvent::Day(day));
    }

    pub fn is_ready(&self) -> bool {
        self.link.state() == LinkState::Ready
    }

    pub const fn state(&self) -> &State {
        self.desk.state()
    }

    pub fn order_state(&self, order_id: OrderId) -> OrderState {
        self.desk.state().orders[&order_id].state()
    }

    pub fn position(&self, con_id: ConId) -> i64 {
        self.desk.state().ledger.position(con_id).0
    }

    /// Units that may still fill.
    pub fn reserved(&self) -> i64 {
        let pending = self.desk.state().exposure(None).pending;
        pending.iter().map(|order| order.remaining.0).sum()
    }

    /// The last execution that was recorded, a correction too.
    pub fn last_fill(&self) -> Option<&Fill> {
        self.journal.fills().last()
    }

    /// Orders placed, modified, and cancels, as written to the wire in this life.
    pub fn written(&self) -> [usize; 3] {
        let written = self.wire.0.lock().unwrap();
        let count = |kind: fn(&Written) -> bool| written.iter().filter(|one| kind(one)).count();
        [
            count(|one| matches!(one, Written::Placed(_))),
            count(|one| matches!(one, Written::Modified(_))),
            count(|one| matches!(one, Written::Canceled { .. })),
        ]
    }

    /// Connections begun in this life.
    pub const fn connections(&self) -> u32 {
        self.link.generation()
    }

    fn is_asking(&self) -> bool {
        matches!(self.reconciler.next_wake(), Some((_, "broker's answer")))
    }

    #[track_caller]
    fn hear(&mut self) {
        let heard = self.events.recv_timeout(PATIENCE);
        let (generation, event) = heard.expect("an event comes");
        self.on_broker(generation, event);
    }

    fn wake(&mut self) {
        self.link(LinkInput::Wake);
        self.reconciler(ReconcileEvent::Wake);
        self.desk(DeskEvent::Wake);
    }

    fn on_broker(&mut self, generation: u32, event: BrokerEvent) {
        if generation != self.link.generation() {
            return;
        }
        match event {
            BrokerEvent::Connected { next_order_id } => {
                self.desk(self.link_event(Some(next_order_id.0)));
                self.link(LinkInput::Connected);
            }
            BrokerEvent::Disconnected { .. } => self.link(LinkInput::Disconnected),
            BrokerEvent::BrokerLost { .. } => {
                self.broker_lost += 1;
                self.link(LinkInput::BrokerLost);
            }
            BrokerEvent::BrokerBack { .. } => self.link(LinkInput::BrokerBack),
            BrokerEvent::Gap { reason } => {
                self.reconciler(ReconcileEvent::LiveReport);
                self.reconciler(ReconcileEvent::Request { reason });
            }
            BrokerEvent::HumanNeeded { reason } => panic!("a person is needed: {reason}"),
            BrokerEvent::Report(report) => {
                self.reconciler(ReconcileEvent::LiveReport);
                self.desk(DeskEvent::Report(Box::new(report)));
            }
            BrokerEvent::Answer { ticket, answer } if ticket == self.ticket => {
                self.reconciler(ReconcileEvent::Answer(Box::new(answer)));
            }
            BrokerEvent::Answer { .. } => {}
        }
    }

    /// As the session and the desk's shell read a link's state.
    fn link_event(&self, next_valid_id: Option<i64>) -> DeskEvent {
        let up = matches!(
            self.link.state(),
            LinkState::Settling | LinkState::Reconciling | LinkState::Ready
        );
        DeskEvent::Link { up, generation: self.link.generation(), next_valid_id }
    }

    fn link(&mut self, input: LinkInput) {
        for effect in self.link.on(input, self.now) {
            match effect {
                LinkEffect::Connect { generation } => {
                    let tell = self.tell.clone();
                    self.port.connect(
                        generation,
                        Box::new(move |event| {
                            // The test may have ended.
                            let _ = tell.send((generation, event));
                        }),
                    );
                }
                LinkEffect::Disconnect => self.port.disconnect(),
                LinkEffect::Reconcile { .. } => {}
                LinkEffect::Alarm { cause } => panic!("a person is needed: {}", cause.sentence()),
                LinkEffect::Publish { state, generation } => {
                    self.desk(self.link_event(None));
                    let up = matches!(state, LinkState::Reconciling | LinkState::Ready);
                    self.reconciler(ReconcileEvent::Link { up, generation });
                }
            }
        }
    }

    fn reconciler(&mut self, event: ReconcileEvent) {
        for effect in self.reconciler.on(event, self.now.process) {
            match effect {
                ReconcileEffect::Ask(question) => {
                    self.ticket += 1;
                    // Unanswered, it runs into its deadline.
                    let _ = self.port.ask(self.ticket, question);
                }
                ReconcileEffect::Done(result) => self.desk(DeskEvent::Reconciled(result)),
                ReconcileEffect::Alarm(_) => {}
            }
        }
    }

    fn desk(&mut self, event: DeskEvent) {
        let effects = self.desk.on(event, &self.market.context(), self.now);
        let mut reconciled = None;
        // Records come first: what the others lead to is recorded behind them.
        for effect in &effects {
            let Effect::Record(record) = effect else { continue };
            if let Record::Reconciled { report } = &**record {
                reconciled = report.complete.then_some(report.link_generation);
            }
            self.journal.records.push((**record).clone());
        }
        // A send waits until its record is durable: the session hears of the reconciliation first.
        if let Some(generation) = reconciled {
            self.link(LinkInput::Reconciled { generation });
        }
        for effect in effects {
            match effect {
                Effect::Record(_) | Effect::Publish(_) | Effect::Alarm(_) => {}
                Effect::Send(cleared) => {
                    let order_id = cleared.order().order_id;
                    let result = match self.link.state() {
                        LinkState::Ready => self.port.place(*cleared, self.now.process),
                        _ => Err(WriteError::NotConnected),
                    };
                    self.written_as(order_id, result);
                }
                Effect::SendModify(cleared) => {
                    let order_id = cleared.order().order_id;
                    let result = match self.link.state() {
                        LinkState::Ready => self.port.modify(*cleared, self.now.process),
                        _ => Err(WriteError::NotConnected),
                    };
                    self.written_as(order_id, result);
                }
                Effect::Cancel { order_id } => {
                    // Without a connection the desk asks again.
                    let _ = self.port.cancel(order_id);
                }
                Effect::ToStrategy { answer, .. } => self.answers.push(answer),
                Effect::RequestReconcile(reason) => {
                    self.reconciler(ReconcileEvent::Request { reason });
                }
            }
        }
    }

    fn written_as(
        &mut self,
        order_id: OrderId,
        result: Result<trading::order::OrderHash, WriteError>,
    ) {
        let result = result.map_err(|error| RefusedSend {
            reason: error.to_string(),
            may_have_left: error.may_have_left(),
        });
        self.desk(DeskEvent::SendOutcome { order_id, result });
    }
}

fn owner() -> StrategyId {
    StrategyId::new("test").unwrap()
}
