//! The auditor's role: gives the independent auditor every durable record, the wire and the tree,
//! and halts the node when a promise was broken.
//!
//! The auditor itself outlives the role (and in a simulation the node): what it has heard is not
//! lost with an actor.
//!
//! *Restart:* goes on behind the last record that was heard.
//! *Loses:* nothing.

use crate::journal::JournalPort;
use crate::messages::{DeskMessage, KillSwitchMessage};
use crate::runtime::metrics;
use crate::runtime::role::{Context, Role, RoleError, RoleMessage};
use crate::runtime::role_ref::RoleRef;
use arc_swap::ArcSwap;
use audit::fact::TimeInForce;
use audit::{
    AuditReport, AuditSettings, Auditor, ExecutionTruth, InstrumentTerms, VenueTruth, WireEvent,
    WireOrder,
};
use broker::port::{WireTap, Written, WrittenOrder};
use broker::simulated::{SimulatedVenue, WireMessage};
use desk::record::Latch;
use exchange::order::{NewOrder, TimeInForce as VenueTimeInForce};
use exchange::{EventKind, Exchange};
use market::instrument::{Instrument, InstrumentKind};
use market::time::{ProcessTime, Timestamp};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::{Disk, JournalError, JournalReader, Seq, read_from};
use trading::trading_state::TradingState;

/// Between two looks at the journal.
const EVERY: Duration = Duration::from_secs(1);
/// Between two proofs that the desk's state is the fold of its records.
const PROVE_EVERY: Duration = Duration::from_secs(60);

/// Records judged at one look: a journal that is read from its beginning must not keep the kill
/// switch, which shares this runtime, from its messages.
const RECORDS_A_LOOK: usize = 4_096;
/// What was told and not heard yet; whoever tells more has to hear all of it itself.
const TOLD_MAX: usize = 65_536;

type Told = Box<dyn FnOnce(&mut Auditor) + Send>;

/// The auditor with its place in the journal. Clones share it.
///
/// Whoever tells it something goes on at once: it is heard, in the order in which it was told,
/// before the next records are. So no role on the way of an order ever waits for a long read.
#[derive(Clone)]
pub struct Audit(Arc<Shared>);

struct Shared {
    told: Mutex<Vec<Told>>,
    audited: Mutex<Audited>,
    verdict: ArcSwap<AuditReport>,
}

struct Audited {
    auditor: Auditor,
    heard: Seq,
    reader: Option<(Arc<dyn Disk>, JournalReader)>,
}

impl Audit {
    /// An auditor that has heard nothing.
    #[must_use]
    pub fn new(settings: AuditSettings) -> Self {
        let auditor = Auditor::new(settings);
        let verdict = ArcSwap::from_pointee(auditor.report());
        let audited = Mutex::new(Audited { auditor, heard: Seq::ZERO, reader: None });
        Self(Arc::new(Shared { told: Mutex::default(), audited, verdict }))
    }

    /// Tells the auditor something.
    pub fn tell(&self, tell: impl FnOnce(&mut Auditor) + Send + 'static) {
        let waiting = {
            let mut told = self.0.told.lock().unwrap_or_else(PoisonError::into_inner);
            told.push(Box::new(tell));
            told.len()
        };
        if waiting > TOLD_MAX {
            drop(self.hear());
        }
    }

    /// The terms of instruments.
    pub fn add_instruments<'a>(&self, instruments: impl IntoIterator<Item = &'a Instrument>) {
        let mut audited = self.hear();
        for instrument in instruments {
            let terms = InstrumentTerms {
                multiplier: instrument.multiplier.0,
                is_future: matches!(instrument.kind, InstrumentKind::Future(_)),
                currency: instrument.currency,
            };
            audited.auditor.add_instrument(instrument.con_id, terms);
        }
    }

    /// Reads on up to `durable`, but no more than `records_max` records; answers whether it got
    /// there.
    ///
    /// # Errors
    /// When a record can't be read.
    pub fn catch_up(
        &self,
        disk: &Arc<dyn Disk>,
        durable: Seq,
        records_max: usize,
    ) -> Result<bool, JournalError> {
        let mut audited = self.hear();
        let Audited { auditor, heard, reader } = &mut *audited;
        if durable > *heard {
            let (_, reader) = match reader {
                // A new life of a simulated node has another disk object on the same bytes.
                Some((on, reader)) if Arc::ptr_eq(on, disk) => {
                    reader.extend(durable);
                    (on, reader)
                }
                other => {
                    let fresh = read_from(Arc::clone(disk), heard.next(), Some(durable));
                    let (on, reader) = other.insert((Arc::clone(disk), fresh));
                    (on, reader)
                }
            };
            for record in reader.take(records_max) {
                let record = record?;
                auditor.on_record(&record);
                *heard = record.seq;
            }
        }
        self.0.verdict.store(Arc::new(auditor.report()));
        Ok(*heard >= durable)
    }

    /// Forgets the reader: the journal was opened again.
    pub fn reopen(&self) {
        self.hear().reader = None;
    }

    /// Hears everything that the venue receives from here on.
    pub fn tap(&self, venue: &SimulatedVenue, journal: JournalPort) {
        let audit = self.clone();
        venue.tap(Box::new(move |message, now| {
            let (event, durable) = (wire_event(message), journal.durable().0);
            audit.tell(move |auditor| auditor.on_wire(event, durable, now));
        }));
    }

    /// Who hears everything that is written to a broker over a socket.
    #[must_use]
    pub fn wire_tap(&self, journal: JournalPort) -> Arc<dyn WireTap> {
        Arc::new(Tap { audit: self.clone(), journal })
    }

    /// Compares with the venue's truth, which must be at a quiet point.
    pub fn compare(&self, exchange: &Exchange, now: Timestamp) {
        let truth = truth(exchange);
        self.tell(move |auditor| auditor.on_truth(&truth, now));
    }

    /// The verdict on everything that was told and read so far.
    #[must_use]
    pub fn report(&self) -> AuditReport {
        self.hear().auditor.report()
    }

    /// The verdict of the last look, which waits for nobody.
    #[must_use]
    pub fn verdict(&self) -> Arc<AuditReport> {
        self.0.verdict.load_full()
    }

    /// Lets the auditor hear what it was told, in its order.
    fn hear(&self) -> MutexGuard<'_, Audited> {
        let mut audited = self.0.audited.lock().unwrap_or_else(PoisonError::into_inner);
        let told = {
            let mut told = self.0.told.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *told)
        };
        told.into_iter().for_each(|tell| tell(&mut audited.auditor));
        audited
    }
}

struct Tap {
    audit: Audit,
    journal: JournalPort,
}

impl WireTap for Tap {
    fn durable(&self) -> u64 {
        self.journal.durable().0
    }

    fn wrote(&self, written: Written, durable: u64, now: Timestamp) {
        let event = match written {
            Written::Placed(order) => WireEvent::Placed(written_order(order)),
            Written::Modified(order) => WireEvent::Modified(written_order(order)),
            Written::Canceled { order_id } => WireEvent::Canceled { order_id },
        };
        self.audit.tell(move |auditor| auditor.on_wire(event, durable, now));
    }
}

fn written_order(order: WrittenOrder) -> WireOrder {
    WireOrder {
        order_id: order.order_id,
        reference: order.reference,
        account: Some(order.account),
        legs: order.legs,
        side: order.side,
        quantity: order.quantity,
        limit_micros: order.limit.micros(),
        time_in_force: match order.time_in_force {
            trading::order::TimeInForce::Day => TimeInForce::Day,
            trading::order::TimeInForce::GoodTillCanceled => TimeInForce::GoodTillCanceled,
            trading::order::TimeInForce::ImmediateOrCancel => TimeInForce::ImmediateOrCancel,
        },
        valid_until_nanos: None,
    }
}

fn wire_order(order: &NewOrder) -> WireOrder {
    WireOrder {
        order_id: order.client_order_id,
        reference: order.reference.clone(),
        account: None,
        legs: order.contract.legs().iter().map(|leg| (leg.con_id, leg.ratio)).collect(),
        side: order.side,
        quantity: order.quantity.0,
        limit_micros: order.limit.micros(),
        time_in_force: match order.time_in_force {
            VenueTimeInForce::Day => TimeInForce::Day,
            VenueTimeInForce::GoodTillCanceled => TimeInForce::GoodTillCanceled,
            VenueTimeInForce::ImmediateOrCancel => TimeInForce::ImmediateOrCancel,
        },
        valid_until_nanos: None,
    }
}

fn wire_event(message: &WireMessage) -> WireEvent {
    match message {
        WireMessage::Placed(order) => WireEvent::Placed(wire_order(order)),
        WireMessage::Modified(order) => WireEvent::Modified(wire_order(order)),
        WireMessage::Canceled { client_order_id } => {
            WireEvent::Canceled { order_id: *client_order_id }
        }
    }
}

fn truth(exchange: &Exchange) -> VenueTruth {
    let executions = exchange.executions(Timestamp::EPOCH);
    VenueTruth {
        executions: executions
            .iter()
            .map(|execution| ExecutionTruth {
                exec_id: execution.exec_id.clone(),
                reference: execution.reference.clone(),
                con_id: execution.con_id,
                side: execution.side,
                quantity: execution.quantity.0,
                price_micros: execution.price.micros(),
            })
            .collect(),
        positions: exchange.positions().into_iter().map(|(id, held)| (id, held.0)).collect(),
        position_events: exchange
            .events(Timestamp::EPOCH)
            .iter()
            .filter(|event| moves_a_position(&event.kind))
            .map(|event| event.id.clone())
            .collect(),
        cash: exchange
            .cash()
            .into_iter()
            .map(|(currency, amount)| (currency, amount.micros()))
            .collect(),
        open_orders: exchange
            .open_orders()
            .map(|order| (order.reference.clone(), order.perm_id))
            .collect(),
        fees: executions
            .iter()
            .map(|execution| {
                let fee = (execution.currency, execution.fee.micros());
                (execution.exec_id.clone(), fee)
            })
            .collect(),
    }
}

const fn moves_a_position(kind: &EventKind) -> bool {
    match kind {
        EventKind::OptionExpired { .. }
        | EventKind::CashSettled { .. }
        | EventKind::Exercised { .. }
        | EventKind::Assigned { .. } => true,
        EventKind::Dividend { .. } | EventKind::Variation { .. } | EventKind::Cash { .. } => false,
    }
}

/// What the auditor's role needs.
#[derive(Clone)]
pub struct AuditorSpec {
    /// The auditor.
    pub audit: Audit,
    /// The journal's disk.
    pub disk: Arc<dyn Disk>,
    /// How far the journal is durable.
    pub journal: JournalPort,
    /// Proves that its state is the fold.
    pub desk: RoleRef<DeskMessage>,
    /// Halts on a violation.
    pub kill_switch: RoleRef<KillSwitchMessage>,
}

/// What the auditor's role is told.
#[derive(Clone, Copy, Debug)]
pub enum AuditorMessage {
    /// Look now.
    Look,
}

impl RoleMessage for AuditorMessage {
    fn duplicate(&self) -> Option<Self> {
        Some(*self)
    }

    fn may_drop(&self) -> bool {
        true
    }

    fn label(&self) -> &'static str {
        match self {
            Self::Look => "look",
        }
    }
}

/// The role.
pub struct AuditorRole {
    spec: AuditorSpec,
    due: ProcessTime,
    prove: ProcessTime,
    violations: u64,
}

impl AuditorRole {
    /// Goes on where the auditor stands.
    pub fn start(spec: &AuditorSpec, cx: &mut Context<AuditorMessage>) -> Result<Self, RoleError> {
        cx.ready();
        let now = cx.now().process;
        Ok(Self { spec: spec.clone(), due: now, prove: now + PROVE_EVERY, violations: 0 })
    }

    fn look(&mut self, cx: &Context<AuditorMessage>) -> Result<(), RoleError> {
        let (audit, durable) = (&self.spec.audit, self.spec.journal.durable());
        let caught_up =
            audit.catch_up(&self.spec.disk, durable, RECORDS_A_LOOK).map_err(RoleError::failed)?;
        let now = cx.now().process;
        self.due = if caught_up { now + EVERY } else { now };
        let report = audit.verdict();
        for (invariant, count) in &report.checks {
            metrics::CHECKS.counter(&[invariant]).absolute(*count);
        }
        // From zero on: a counter that begins with its first event shows no increase of it.
        for invariant in report.checks.keys() {
            let count = report.violated.get(invariant).copied().unwrap_or(0);
            metrics::VIOLATIONS.counter(&[invariant]).absolute(count);
        }
        let violations = report.violations_total();
        if violations > self.violations {
            self.violations = violations;
            let last = report.violations.last();
            let reason = last.map_or_else(
                || "a promise was broken".to_owned(),
                |violation| format!("{}: {}", violation.invariant, violation.sentence),
            );
            tracing::error!(reason, "a promise was broken, trading halts");
            let latch = Latch::Breaker { name: "auditor".to_owned(), scope: "account".to_owned() };
            let trip = KillSwitchMessage::Trip { latch, state: TradingState::Halted, reason };
            if self.spec.kill_switch.send(trip).is_err() {
                // It is told again at the next look.
                self.violations = 0;
            }
        }
        Ok(())
    }
}

impl Role for AuditorRole {
    type Message = AuditorMessage;

    fn handle(
        &mut self,
        message: AuditorMessage,
        cx: &mut Context<AuditorMessage>,
    ) -> Result<(), RoleError> {
        match message {
            AuditorMessage::Look => self.look(cx),
        }
    }

    fn next_wake(&self) -> Option<(ProcessTime, &'static str)> {
        Some((self.due, "read the journal"))
    }

    fn on_wake(&mut self, cx: &mut Context<AuditorMessage>) -> Result<(), RoleError> {
        let now = cx.now().process;
        if now >= self.prove {
            self.prove = now + PROVE_EVERY;
            // A desk that is down proves it another time.
            let _ = self.spec.desk.send(DeskMessage::Prove);
        }
        self.look(cx)
    }
}
