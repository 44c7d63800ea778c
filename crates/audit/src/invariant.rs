//! One file per invariant, each with the promise's sentence on top. A check sees every record
//! before and after it is folded, every wire event and every truth, and says its verdicts to the
//! tally.

pub mod i01_one_live_order;
pub mod i02_executions;
pub mod i03_positions;
pub mod i04_cash;
pub mod i05_limits;
pub mod i06_halt;
pub mod i07_wire_equals_approved;
pub mod i08_durable_first;
pub mod i09_fresh_data;
pub mod i11_journal;
pub mod i12_restarts;
pub mod i13_ready;
pub mod i15_unknown;

use crate::executions::Executions;
use crate::fact::Fact;
use crate::orders::Orders;
use crate::report::{Place, Tally};
use crate::settings::{AuditSettings, InstrumentTerms};
use crate::truth::VenueTruth;
use crate::wire::WireEvent;
use market::instrument::ConId;
use std::collections::{BTreeMap, BTreeSet};

/// What the checks share: the folds of all records so far.
#[derive(Clone, Debug)]
pub struct Books {
    /// The settings.
    pub settings: AuditSettings,
    /// Orders.
    pub orders: Orders,
    /// Executions, lifecycle events and positions.
    pub executions: Executions,
    /// Contracts that trade ReduceOnly because of a break.
    pub restricted: BTreeSet<ConId>,
    /// The terms of instruments, as told and as recorded.
    pub terms: BTreeMap<ConId, InstrumentTerms>,
    /// The process life that wrote the latest record.
    pub epoch: u32,
    /// The first record that was read is the journal's first.
    pub from_the_start: bool,
}

impl Books {
    /// No records yet.
    #[must_use]
    pub fn new(settings: AuditSettings) -> Self {
        Self {
            settings,
            orders: Orders::default(),
            executions: Executions::default(),
            restricted: BTreeSet::new(),
            terms: BTreeMap::new(),
            epoch: 0,
            from_the_start: true,
        }
    }
}

/// A wire event with what was durable when it was received.
#[derive(Clone, Debug)]
pub struct Received {
    /// It.
    pub event: WireEvent,
    /// The durable watermark at that moment.
    pub durable_seq: u64,
    /// That moment.
    pub place: Place,
}

/// One invariant's machine.
pub trait Check {
    /// A record, before it is folded.
    fn before(&mut self, _books: &Books, _place: Place, _fact: &Fact, _tally: &mut Tally) {}

    /// The same record, after it is folded.
    fn after(&mut self, _books: &Books, _place: Place, _fact: &Fact, _tally: &mut Tally) {}

    /// A wire event at the moment at which it was received: for what no record is needed.
    fn on_arrival(&mut self, _books: &Books, _wire: &Received, _tally: &mut Tally) {}

    /// A wire event, when every record that was durable then has been folded.
    fn on_wire(&mut self, _books: &Books, _wire: &Received, _tally: &mut Tally) {}

    /// The venue's truth at a quiet point.
    fn on_truth(&mut self, _books: &Books, _truth: &VenueTruth, _place: Place, _tally: &mut Tally) {
    }
}
