//! The auditor: a pure machine that hears everything and tells each invariant.
//!
//! Records come in journal order once they are durable; wire events come with the durable watermark
//! of their moment and wait, where a record is needed, until every record up to it has been heard.
//! Quiet points (`on_truth`, `on_tree`, `on_state_compared`) are the caller's to choose: nothing is
//! under way, every durable record has been heard. Nothing here panics on any input.

use crate::fact::{self, Fact, Reading, Terms};
use crate::invariant::i01_one_live_order::OneLiveOrder;
use crate::invariant::i02_executions::EveryExecutionOnce;
use crate::invariant::i03_positions::PositionsFollow;
use crate::invariant::i04_cash::CashFollows;
use crate::invariant::i05_limits::LimitsHold;
use crate::invariant::i06_halt::HaltHolds;
use crate::invariant::i07_wire_equals_approved::WireEqualsApproved;
use crate::invariant::i08_durable_first::DurableFirst;
use crate::invariant::i09_fresh_data::FreshData;
use crate::invariant::i11_journal::JournalWhole;
use crate::invariant::i12_restarts::RestartsBounded;
use crate::invariant::i13_ready::ReadyInTime;
use crate::invariant::i15_unknown::UnknownByTheRule;
use crate::invariant::{Books, Check, Received};
use crate::report::{AuditReport, Place, Tally};
use crate::settings::{AuditSettings, InstrumentTerms};
use crate::truth::VenueTruth;
use crate::wire::WireEvent;
use market::instrument::ConId;
use market::time::Timestamp;
use std::collections::{BTreeMap, VecDeque};

/// Kinds of records beyond this many that nobody knows are counted under the last one.
const UNKNOWN_KINDS_KEPT: usize = 64;

/// See the file's header.
#[derive(Clone, Debug)]
pub struct Auditor {
    books: Books,
    tally: Tally,
    records: u64,
    unknown_kinds: BTreeMap<u16, u64>,
    /// In the order of arrival; released by the durable watermark.
    waiting: VecDeque<Received>,
    checks: Checks,
}

#[derive(Clone, Debug, Default)]
struct Checks {
    one_live_order: OneLiveOrder,
    executions: EveryExecutionOnce,
    positions: PositionsFollow,
    cash: CashFollows,
    limits: LimitsHold,
    halt: HaltHolds,
    wire: WireEqualsApproved,
    durable: DurableFirst,
    fresh: FreshData,
    journal: JournalWhole,
    restarts: RestartsBounded,
    ready: ReadyInTime,
    unknown: UnknownByTheRule,
}

impl Checks {
    fn all(&mut self) -> [&mut dyn Check; 13] {
        [
            &mut self.one_live_order,
            &mut self.executions,
            &mut self.positions,
            &mut self.cash,
            &mut self.limits,
            &mut self.halt,
            &mut self.wire,
            &mut self.durable,
            &mut self.fresh,
            &mut self.journal,
            &mut self.restarts,
            &mut self.ready,
            &mut self.unknown,
        ]
    }
}

impl Auditor {
    /// An auditor that has heard nothing.
    #[must_use]
    pub fn new(settings: AuditSettings) -> Self {
        Self {
            books: Books::new(settings),
            tally: Tally::default(),
            records: 0,
            unknown_kinds: BTreeMap::new(),
            waiting: VecDeque::new(),
            checks: Checks::default(),
        }
    }

    /// The terms of an instrument. Without them those that a booking recorded are used; with them
    /// the recorded ones must agree.
    pub fn add_instrument(&mut self, con_id: ConId, terms: InstrumentTerms) {
        self.books.terms.insert(con_id, terms);
    }

    /// The next durable record of the journal, in order, from its first one on.
    pub fn on_record(&mut self, record: &store::Record) {
        let place = Place { seq: Some(record.seq.0), time: Timestamp::from_nanos(record.time_ns) };
        if self.records == 0 {
            self.books.from_the_start = record.seq.0 <= 1;
        }
        self.records += 1;
        let (seq, epoch) = (record.seq.0, record.epoch);
        if !self.checks.journal.on_record(seq, epoch, place, &mut self.tally) {
            return;
        }
        self.books.epoch = self.books.epoch.max(epoch);
        match fact::read(record.kind, record.schema_version, &record.payload) {
            Ok(Reading::Fact(fact)) => self.on_fact(place, &fact),
            Ok(Reading::PassedOver) => {}
            Ok(Reading::UnknownKind) => {
                let known = self.unknown_kinds.contains_key(&record.kind);
                let kind = match self.unknown_kinds.last_key_value() {
                    Some((last, _)) if !known && self.unknown_kinds.len() >= UNKNOWN_KINDS_KEPT => {
                        *last
                    }
                    _ => record.kind,
                };
                *self.unknown_kinds.entry(kind).or_default() += 1;
            }
            Err(error) => {
                let why = format!("kind {}: {error}", record.kind);
                self.checks.journal.on_unreadable(place, &why, &mut self.tally);
            }
        }
        self.release();
    }

    fn on_fact(&mut self, place: Place, fact: &Fact) {
        for check in self.checks.all() {
            check.before(&self.books, place, fact, &mut self.tally);
        }
        self.books.orders.apply(place, self.books.epoch, fact);
        self.books.executions.apply(fact);
        match fact {
            Fact::ContractRestricted { con_id, restricted: true } => {
                self.books.restricted.insert(*con_id);
            }
            Fact::ContractRestricted { con_id, restricted: false } => {
                self.books.restricted.remove(con_id);
            }
            Fact::Filled { fill, terms: Some(terms), .. }
            | Fact::Corrected { fill, terms: Some(terms), .. } => self.learn(fill.con_id, terms),
            Fact::Lifecycle { terms, .. } => {
                for (con_id, terms) in terms {
                    self.learn(*con_id, terms);
                }
            }
            _ => {}
        }
        for check in self.checks.all() {
            check.after(&self.books, place, fact, &mut self.tally);
        }
    }

    fn learn(&mut self, con_id: ConId, terms: &Terms) {
        self.books.terms.entry(con_id).or_insert(InstrumentTerms {
            multiplier: terms.multiplier,
            is_future: terms.margined_daily,
            currency: terms.currency,
        });
    }

    /// What the venue received, with the durable watermark at that moment.
    pub fn on_wire(&mut self, event: WireEvent, durable_seq: u64, now: Timestamp) {
        let received = Received { event, durable_seq, place: Place::moment(now) };
        for check in self.checks.all() {
            check.on_arrival(&self.books, &received, &mut self.tally);
        }
        self.waiting.push_back(received);
        self.release();
    }

    /// Judges the wire events whose records have all been heard.
    fn release(&mut self) {
        let heard = self.checks.journal.last_seq();
        while self.waiting.front().is_some_and(|first| first.durable_seq <= heard) {
            let Some(received) = self.waiting.pop_front() else {
                return;
            };
            for check in self.checks.all() {
                check.on_wire(&self.books, &received, &mut self.tally);
            }
        }
    }

    /// The node answered that it is halted.
    pub fn on_halt_acknowledged(&mut self, halt_epoch: u64, now: Timestamp) {
        self.checks.halt.on_acknowledged(halt_epoch, now);
    }

    /// An operator asked the node to resume.
    pub fn on_resumed(&mut self, _now: Timestamp) {
        self.checks.halt.on_resumed();
    }

    /// The venue's truth at a quiet point.
    pub fn on_truth(&mut self, truth: &VenueTruth, now: Timestamp) {
        for check in self.checks.all() {
            check.on_truth(&self.books, truth, Place::moment(now), &mut self.tally);
        }
    }

    /// The live state at `seq` was compared with the fold of the journal up to there.
    pub fn on_state_compared(&mut self, seq: u64, same: bool, now: Timestamp) {
        let place = Place { seq: Some(seq), time: now };
        self.checks.durable.on_state_compared(place, same, &mut self.tally);
    }

    /// The store's verdict on the journal's chain.
    pub fn on_chain_verified(&mut self, verified: bool) {
        self.checks.journal.on_chain_verified(verified, &mut self.tally);
    }

    /// A role was started again.
    pub fn on_restart(&mut self, role: &str, now: Timestamp) {
        let settings = &self.books.settings;
        self.checks.restarts.on_restart(settings, role, Place::moment(now), &mut self.tally);
    }

    /// A role exhausted its restarts; `safe_state`: what is promised then was seen to be so.
    pub fn on_exhausted(&mut self, role: &str, safe_state: bool, now: Timestamp) {
        self.checks.restarts.on_exhausted(role, safe_state, Place::moment(now), &mut self.tally);
    }

    /// An operator revived a role, or a new process began with fresh intensities for it.
    pub fn on_revived(&mut self, role: &str) {
        self.checks.restarts.on_revived(role);
    }

    /// The supervision tree at a quiet point: each role with its status, such as `ready`.
    pub fn on_tree(&mut self, roles: &[(String, String)], now: Timestamp) {
        self.checks.restarts.on_tree(roles, Place::moment(now), &mut self.tally);
    }

    /// A fault begins.
    pub fn on_fault_injected(&mut self, _now: Timestamp) {
        self.checks.ready.on_fault_injected();
    }

    /// The last fault so far is lifted.
    pub fn on_fault_lifted(&mut self, now: Timestamp) {
        self.checks.ready.on_fault_lifted(now);
    }

    /// The node is reconciled with the broker.
    pub fn on_ready(&mut self, now: Timestamp) {
        let settings = &self.books.settings;
        self.checks.ready.on_ready(settings, Place::moment(now), &mut self.tally);
    }

    /// The node is no longer reconciled: its link or its process went.
    pub fn on_not_ready(&mut self, now: Timestamp) {
        self.checks.ready.on_not_ready(now);
    }

    /// What a strategy's live intents ask for, by its own word, at a quiet point.
    pub fn on_targets(&mut self, strategy: &str, wanted: &BTreeMap<ConId, i64>, now: Timestamp) {
        let place = Place::moment(now);
        let check = &self.checks.one_live_order;
        check.on_targets(&self.books, strategy, wanted, place, &mut self.tally);
    }

    /// The run is over: what still waits for proof is judged.
    pub fn on_finished(&mut self, now: Timestamp) {
        let settings = &self.books.settings;
        self.checks.ready.on_finished(settings, Place::moment(now), &mut self.tally);
        self.checks.unknown.settle(&self.books, None, &mut self.tally);
    }

    /// The verdict so far.
    #[must_use]
    pub fn report(&self) -> AuditReport {
        AuditReport {
            records: self.records,
            unknown_kinds: self.unknown_kinds.clone(),
            wire_events_waiting: self.waiting.len(),
            ..self.tally.report()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::{Scene, approved, record, wire};
    use market::quote::Side;
    use proptest::prelude::*;
    use store::{Chain, Record, Seq};

    #[test]
    fn a_journal_whose_beginning_is_gone_is_not_compared_with_the_truth() {
        let mut auditor = Auditor::new(AuditSettings::default());
        auditor.on_record(&record(50, 3, &Fact::Started {}));
        let mut truth = VenueTruth::default();
        truth.positions.insert(ConId(11), 5);
        auditor.on_truth(&truth, Timestamp::EPOCH);
        assert_eq!(auditor.report().checks["I3"], 0);
        assert_eq!(auditor.report().violations_total(), 0);
    }

    fn any_payload() -> impl Strategy<Value = Vec<u8>> {
        let approval = Fact::IntentApproved(Box::new(approved(1, Side::Buy, 2, 2)));
        let valid = rmp_serde::to_vec_named(&approval).unwrap();
        let bitten = (proptest::collection::vec((0..valid.len(), any::<u8>()), 1..6)).prop_map(
            move |bites| {
                let mut bytes = valid.clone();
                for (index, byte) in bites {
                    bytes[index] = byte;
                }
                bytes
            },
        );
        prop_oneof![proptest::collection::vec(any::<u8>(), 0..200), bitten]
    }

    proptest! {
        #[test]
        fn garbage_never_panics(
            records in proptest::collection::vec(
                (0_u16..40, 0_u16..3, any_payload(), any::<u64>(), any::<u32>(), any::<i64>()),
                1..20,
            ),
        ) {
            let mut auditor = Auditor::new(AuditSettings::default());
            for (index, (kind, schema_version, payload, number, epoch, time_ns)) in
                records.into_iter().enumerate()
            {
                let seq = if number % 3 == 0 { number } else { index as u64 };
                auditor.on_record(&Record {
                    seq: Seq(seq),
                    kind,
                    schema_version,
                    epoch,
                    role: "desk".to_owned(),
                    generation: 1,
                    time_ns,
                    checkpoint: false,
                    chain: Chain::ORIGIN,
                    payload,
                });
                let order = wire(&approved(1, Side::Buy, i64::MAX, i64::MIN));
                auditor.on_wire(WireEvent::Placed(order), number, Timestamp::from_nanos(time_ns));
            }
            auditor.on_truth(&VenueTruth::default(), Timestamp::MAX);
            auditor.on_finished(Timestamp::MAX);
            prop_assert!(auditor.report().records > 0);
        }

        #[test]
        fn figures_at_the_edge_of_their_types_never_panic(
            edges in proptest::collection::vec(
                prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(-1_i64), any::<i64>()],
                8,
            ),
        ) {
            let mut scene = Scene::new();
            let mut order = approved(1, Side::Buy, edges[0], edges[1]);
            order.order.limit = edges[2];
            order.evidence.limits[0].after_milli = edges[3];
            scene.record(&Fact::IntentApproved(Box::new(order)));
            for number in 0..3 {
                let exec_id = format!("e.{number}.01");
                let mut fill = crate::scene::fill(1, &exec_id, Side::Sell, edges[4]);
                (fill.price, fill.time) = (edges[5], edges[6]);
                let strategy = Some("alpha".to_owned());
                scene.record(&Fact::Filled { fill, strategy, terms: None });
            }
            scene.modify(1, Side::Buy, edges[7]);
            scene.reconcile(&[], 1);
            scene.auditor.on_truth(&VenueTruth::default(), scene.now());
            prop_assert!(scene.auditor.report().records > 0);
        }
    }
}
