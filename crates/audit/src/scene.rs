//! A small journal, wire and venue for the invariants' tests: one strategy that buys one call.

use crate::auditor::Auditor;
use crate::fact::{
    Approval, Approved, Clearance, Contract, EndState, Evidence, Fact, Fill, Intent, IntentKey,
    Layer, LifecycleEvent, LifecycleKind, LimitEvidence, Order, QuoteEvidence, Reconciliation,
    Target, TimeInForce, TradingState,
};
use crate::report::Invariant;
use crate::settings::{AuditSettings, InstrumentTerms};
use crate::truth::{ExecutionTruth, VenueTruth};
use crate::wire::{WireEvent, WireOrder};
use market::instrument::ConId;
use market::money::Currency;
use market::quote::Side;
use market::time::Timestamp;
use std::collections::BTreeMap;
use store::{Chain, Record, Seq};

pub const CALL: ConId = ConId(11);
pub const PUT: ConId = ConId(12);
pub const STOCK: ConId = ConId(13);
pub const FUTURE: ConId = ConId(14);
const PRICE: i64 = 1_500_000;

pub fn usd() -> Currency {
    Currency::USD
}

fn key(number: u32) -> IntentKey {
    IntentKey { install: 0xab, epoch: 1, strategy: "alpha".to_owned(), seq: number }
}

pub fn reference(number: u32) -> String {
    key(number).to_string()
}

/// An approval of order `100 + number` for the call, in order in every respect.
pub fn approved(number: u32, side: Side, quantity: i64, target: i64) -> Approved {
    let hash = format!("hash {number}");
    let yes = |layer| Approval { layer, order: hash.clone() };
    Approved {
        intent: Some(Intent {
            key: key(number),
            target: Target::Single { con_id: CALL, position: target },
            limit: PRICE,
        }),
        order: Order {
            order_id: 100 + i64::from(number),
            key: key(number),
            account: "DU1".to_owned(),
            contract: Contract::Single(CALL),
            side,
            quantity,
            limit: PRICE,
            time_in_force: TimeInForce::Day,
            valid_until: 9_000,
        },
        approvals: vec![yes(Layer::Cognition), yes(Layer::Risk), yes(Layer::Performance)],
        hash,
        clearance: Clearance::Full,
        evidence: Evidence {
            quotes: vec![QuoteEvidence {
                con_id: CALL,
                bid: Some(PRICE - 10_000),
                ask: Some(PRICE),
                fresh: true,
                live: true,
            }],
            limits: vec![LimitEvidence {
                limit: "delta/SIM".to_owned(),
                before_milli: 0,
                after_milli: 100,
                bound_milli: 1000,
            }],
            trading_state: TradingState::Active,
            halt_epoch: 1,
            link_ready: true,
        },
    }
}

pub fn wire(approved: &Approved) -> WireOrder {
    let order = &approved.order;
    WireOrder {
        order_id: order.order_id,
        reference: order.key.to_string(),
        account: Some(order.account.clone()),
        legs: order.contract.legs(),
        side: order.side,
        quantity: order.quantity,
        limit_micros: order.limit,
        time_in_force: order.time_in_force,
        valid_until_nanos: Some(order.valid_until),
    }
}

pub fn fill_of(con_id: ConId, exec_id: &str, side: Side, quantity: i64) -> Fill {
    Fill {
        exec_id: exec_id.to_owned(),
        reference: String::new(),
        con_id,
        side,
        quantity,
        price: PRICE,
        time: 0,
    }
}

pub fn fill(number: u32, exec_id: &str, side: Side, quantity: i64) -> Fill {
    Fill { reference: reference(number), ..fill_of(CALL, exec_id, side, quantity) }
}

/// A record, one second after the one before.
pub fn record(seq: u64, epoch: u32, fact: &Fact) -> Record {
    Record {
        seq: Seq(seq),
        kind: fact.kind(),
        schema_version: 1,
        epoch,
        role: "desk".to_owned(),
        generation: 1,
        time_ns: i64::try_from(seq).unwrap_or(i64::MAX / 2).saturating_mul(1_000_000_000),
        checkpoint: false,
        chain: Chain::ORIGIN,
        payload: rmp_serde::to_vec_named(fact).unwrap(),
    }
}

pub struct Scene {
    pub auditor: Auditor,
    /// What the venue says; executions, positions and cash follow the fills.
    pub venue: VenueTruth,
    epoch: u32,
    seq: u64,
    clock: i64,
    orders: BTreeMap<u32, Approved>,
}

impl Scene {
    pub fn new() -> Self {
        Self::with(AuditSettings::default())
    }

    pub fn with(settings: AuditSettings) -> Self {
        let mut scene = Self::begun(settings);
        let terms =
            |multiplier, is_future| InstrumentTerms { multiplier, is_future, currency: usd() };
        scene.auditor.add_instrument(CALL, terms(100, false));
        scene.auditor.add_instrument(STOCK, terms(1, false));
        scene.auditor.add_instrument(FUTURE, terms(50, true));
        scene
    }

    pub fn without_terms() -> Self {
        Self::begun(AuditSettings::default())
    }

    fn begun(settings: AuditSettings) -> Self {
        let mut scene = Self {
            auditor: Auditor::new(settings),
            venue: VenueTruth::default(),
            epoch: 1,
            seq: 0,
            clock: 0,
            orders: BTreeMap::new(),
        };
        scene.record(&Fact::Started {});
        scene.auditor.on_ready(scene.now());
        scene
    }

    pub fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.clock)
    }

    pub fn tick(&mut self) {
        self.clock += 1;
    }

    pub fn last_seq(&self) -> u64 {
        self.seq
    }

    pub fn record(&mut self, fact: &Fact) {
        self.tick();
        self.record_at_once(fact);
    }

    /// At the instant of the record before.
    fn record_at_once(&mut self, fact: &Fact) {
        self.seq += 1;
        let time_ns = self.now().nanos();
        self.auditor.on_record(&Record { time_ns, ..record(self.seq, self.epoch, fact) });
    }

    pub fn restart(&mut self) {
        self.epoch += 1;
        self.record(&Fact::Started {});
    }

    pub fn approve(&mut self, number: u32, side: Side, quantity: i64, target: i64) -> WireOrder {
        let approved = approved(number, side, quantity, target);
        self.record(&Fact::IntentApproved(Box::new(approved.clone())));
        let wire = wire(&approved);
        self.orders.insert(number, approved);
        wire
    }

    pub fn wire_of(&self, number: u32) -> WireOrder {
        wire(&self.orders[&number])
    }

    pub fn modify(&mut self, number: u32, side: Side, quantity: i64) -> WireOrder {
        let mut changed = approved(number, side, quantity, 0);
        changed.intent = None;
        self.record(&Fact::ModifyApproved(Box::new(changed.clone())));
        wire(&changed)
    }

    pub fn place(&mut self, order: &WireOrder) {
        let (seq, now) = (self.seq, self.now());
        self.auditor.on_wire(WireEvent::Placed(order.clone()), seq, now);
    }

    pub fn change(&mut self, order: &WireOrder) {
        let (seq, now) = (self.seq, self.now());
        self.auditor.on_wire(WireEvent::Modified(order.clone()), seq, now);
    }

    pub fn fill(&mut self, number: u32, exec_id: &str, side: Side, quantity: i64) {
        self.execute(number, exec_id, side, quantity);
        let fill = fill(number, exec_id, side, quantity);
        self.record(&Fact::Filled { fill, strategy: Some("alpha".to_owned()), terms: None });
    }

    /// At the venue alone.
    pub fn execute(&mut self, number: u32, exec_id: &str, side: Side, quantity: i64) {
        let fill = fill(number, exec_id, side, quantity);
        self.venue.executions.push(ExecutionTruth {
            exec_id: exec_id.to_owned(),
            reference: fill.reference.clone(),
            con_id: fill.con_id,
            side,
            quantity,
            price_micros: fill.price,
        });
        *self.venue.positions.entry(CALL).or_default() +=
            if side == Side::Buy { quantity } else { -quantity };
        self.venue_cash_from_executions();
    }

    pub fn venue_cash_from_executions(&mut self) {
        let paid: i64 = self
            .venue
            .executions
            .iter()
            .map(|one| if one.side == Side::Buy { one.quantity } else { -one.quantity })
            .map(|signed| signed * PRICE * 100)
            .sum();
        self.venue.cash = [(usd(), -paid)].into();
    }

    /// Approves, fills and ends an order that buys `quantity` for a target of as many.
    pub fn trade_whole(&mut self, number: u32, quantity: i64) {
        let order = self.approve(number, Side::Buy, quantity, quantity);
        self.place(&order);
        self.fill(number, &format!("e{number}.1.01"), Side::Buy, quantity);
        self.record(&Fact::Ended { order_id: order.order_id, end: EndState::Filled });
    }

    pub fn fee(&mut self, exec_id: &str, amount: i64) {
        self.venue.fees.insert(exec_id.to_owned(), (usd(), amount));
        self.record(&Fact::Fee { exec_id: exec_id.to_owned(), amount, currency: usd() });
    }

    /// An event; `change` of the call falls to the strategy.
    pub fn lifecycle(&mut self, id: &str, kind: LifecycleKind, change: i64) {
        let event =
            LifecycleEvent { id: id.to_owned(), kind, currency: usd(), time: self.now().nanos() };
        let shares = if change == 0 { vec![] } else { vec![("alpha".to_owned(), CALL, change)] };
        self.record(&Fact::Lifecycle { event, shares, terms: vec![] });
    }

    /// A complete reconciliation that says what the venue says.
    pub fn reconcile(&mut self, open: &[&str], link_generation: u32) {
        self.tick();
        self.reconcile_at_once(open, link_generation);
    }

    pub fn reconcile_at_once(&mut self, open: &[&str], link_generation: u32) {
        let report = Reconciliation {
            link_generation,
            complete: true,
            stirred: false,
            positions: self.venue.positions.clone().into_iter().collect(),
            cash: self.venue.cash.clone().into_iter().collect(),
            open_orders: open.iter().map(|reference| ((*reference).to_owned(), 7)).collect(),
            unresolved: vec![],
        };
        self.record_at_once(&Fact::Reconciled { report });
    }

    /// Nothing is violated, and these were evaluated.
    pub fn expect_held(&self, invariants: &[Invariant]) {
        let report = self.auditor.report();
        assert_eq!(report.violations, []);
        for invariant in invariants {
            assert!(report.held(*invariant), "{invariant} was not evaluated");
        }
    }

    /// Exactly these are violated.
    pub fn expect_red(&self, invariants: &[Invariant]) {
        let report = self.auditor.report();
        let expected: Vec<_> = invariants.iter().map(|invariant| invariant.name()).collect();
        let violated: Vec<_> = report.violated.keys().map(String::as_str).collect();
        assert_eq!(violated, expected, "{:#?}", report.violations);
    }
}
