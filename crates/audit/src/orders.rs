//! The fold of orders: what the records say of each one, in the auditor's own words.
//!
//! It knows which order serves which intent, every version that was approved, and whether the order
//! may still fill. Executions are counted elsewhere (executions); no invariant is judged here.

use crate::executions::Executions;
use crate::fact::{Approved, EndState, Fact, Order};
use crate::report::Place;
use market::instrument::ConId;
use std::collections::{BTreeMap, BTreeSet};

/// Approved versions that are kept for each order; a modify is one at a time, so the last few do.
const VERSIONS_KEPT: usize = 16;

/// Where an order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Durable; nobody says that it was written.
    Approved,
    /// Written.
    Sent,
    /// The broker has it.
    Working,
    /// Its fate is not known.
    Unknown,
    /// It certainly never left.
    Refused,
    /// Proven absent.
    Abandoned,
    /// It ended.
    Ended(EndState),
}

impl Phase {
    /// It may still fill. An inactive order may work again.
    #[must_use]
    pub const fn is_live(self) -> bool {
        match self {
            Self::Approved
            | Self::Sent
            | Self::Working
            | Self::Unknown
            | Self::Ended(EndState::Inactive) => true,
            Self::Refused | Self::Abandoned | Self::Ended(_) => false,
        }
    }
}

/// One version of an order that was approved.
#[derive(Clone, Debug)]
pub struct Version {
    /// Its record.
    pub seq: u64,
    /// The process life that approved it.
    pub epoch: u32,
    /// Rising from 0, the intent's own order.
    pub number: u64,
    /// The order.
    pub order: Order,
    /// Its hash, in hex.
    pub hash: String,
}

/// One order.
#[derive(Clone, Debug)]
pub struct Tracked {
    /// The order as the intent's approval had it.
    pub order: Order,
    /// The order reference.
    pub reference: String,
    /// Its legs, by rising id.
    pub legs: Vec<(ConId, i32)>,
    /// The process life that approved it.
    pub epoch: u32,
    /// The approved versions, oldest first, at most the last 16 of them and the first.
    pub versions: Vec<Version>,
    /// The largest quantity of any version.
    pub largest: i64,
    /// The quantity that works, as far as the records say.
    pub working: i64,
    /// A change was approved and has neither taken effect nor failed.
    pub modify_in_flight: bool,
    /// Where it is.
    pub phase: Phase,
    /// The record of its latest `Unknown`.
    pub unknown_at: Option<Place>,
    /// The broker's permanent numbers.
    pub perm_ids: BTreeSet<i64>,
}

impl Tracked {
    /// Who wants it.
    #[must_use]
    pub fn strategy(&self) -> &str {
        &self.order.key.strategy
    }

    /// Signed contracts per unit of the order in one instrument.
    #[must_use]
    pub fn unit(&self, con_id: ConId) -> i128 {
        let ratio = self.legs.iter().find(|leg| leg.0 == con_id).map_or(0, |leg| leg.1);
        i128::from(ratio) * i128::from(self.order.side.sign())
    }

    /// The lowest and highest signed change that it may still make in one instrument.
    #[must_use]
    pub fn pending(&self, con_id: ConId, executions: &Executions) -> (i128, i128) {
        let unit = self.unit(con_id);
        if !self.phase.is_live() || unit == 0 {
            return (0, 0);
        }
        let filled = executions.filled(&self.reference, con_id);
        // Legs of a combo come one by one: counted in units, the quick leg still has the slow one's
        // rest to come. Either view may be the desk's.
        let by_units = unit * self.filled_units(executions);
        let left = |quantity: i64, filled: i128| {
            let left = unit * i128::from(quantity) - filled;
            // Filled beyond its quantity: nothing is pending.
            if left.signum() == unit.signum() { left } else { 0 }
        };
        let wanted = self.versions.last().map_or(self.working, |last| last.order.quantity);
        let quantities =
            if self.modify_in_flight { [self.working, wanted] } else { [self.working; 2] };
        let figures = quantities.map(|quantity| [left(quantity, filled), left(quantity, by_units)]);
        let figures = figures.as_flattened();
        let low = figures.iter().copied().min().unwrap_or(0);
        let high = figures.iter().copied().max().unwrap_or(0);
        (low, high)
    }

    fn units(&self, executions: &Executions, con_id: ConId, round_up: bool) -> i128 {
        let unit = self.unit(con_id);
        if unit == 0 {
            return 0;
        }
        let filled = executions.filled(&self.reference, con_id) * unit.signum();
        let rounding = if round_up { unit.abs() - 1 } else { 0 };
        (filled + rounding).div_euclid(unit.abs())
    }

    /// Units of which every leg is filled.
    #[must_use]
    pub fn filled_units(&self, executions: &Executions) -> i128 {
        let units = self.legs.iter().map(|leg| self.units(executions, leg.0, false));
        units.min().unwrap_or(0)
    }

    /// Whole units are left of which no leg has filled, whatever a modify in flight may do.
    #[must_use]
    pub fn has_whole_units_left(&self, executions: &Executions) -> bool {
        let touched = self.legs.iter().map(|leg| self.units(executions, leg.0, true)).max();
        let wanted = self.versions.last().map_or(self.working, |last| last.order.quantity);
        let least = if self.modify_in_flight { self.working.min(wanted) } else { self.working };
        self.phase.is_live() && i128::from(least) > touched.unwrap_or(0)
    }

    /// It has nothing left to fill in any leg.
    #[must_use]
    pub fn is_whole(&self, executions: &Executions) -> bool {
        self.legs.iter().all(|(con_id, _)| {
            let filled = executions.filled(&self.reference, *con_id);
            let unit = self.unit(*con_id);
            let reached = |version: &Version| filled == unit * i128::from(version.order.quantity);
            unit != 0 && filled != 0 && self.versions.iter().any(reached)
        })
    }
}

/// All orders of this installation.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    by_reference: BTreeMap<String, Tracked>,
    by_number: BTreeMap<i64, String>,
    live: BTreeSet<String>,
}

impl Orders {
    /// The order of a reference.
    #[must_use]
    pub fn get(&self, reference: &str) -> Option<&Tracked> {
        self.by_reference.get(reference)
    }

    /// The order of a number.
    #[must_use]
    pub fn numbered(&self, order_id: i64) -> Option<&Tracked> {
        self.by_reference.get(self.by_number.get(&order_id)?)
    }

    /// Orders that may still fill.
    pub fn live(&self) -> impl Iterator<Item = &Tracked> {
        self.live.iter().filter_map(|reference| self.by_reference.get(reference))
    }

    /// All orders.
    pub fn all(&self) -> impl Iterator<Item = &Tracked> {
        self.by_reference.values()
    }

    /// Takes in a record, after the invariants that compare it with what was before.
    pub fn apply(&mut self, place: Place, epoch: u32, fact: &Fact) {
        let seq = place.seq.unwrap_or_default();
        match fact {
            Fact::IntentApproved(approved) => self.begin(seq, epoch, approved),
            Fact::ModifyApproved(approved) => {
                self.change(approved.order.order_id, |order| {
                    order.add_version(seq, epoch, approved)
                });
            }
            Fact::Modified { order_id, quantity } => self.change(*order_id, |order| {
                order.working = *quantity;
                order.modify_in_flight = false;
            }),
            Fact::ModifyRejected { order_id } => {
                self.change(*order_id, |order| order.modify_in_flight = false);
            }
            Fact::Sent { order_id, .. } => self.change(*order_id, |order| {
                if order.phase == Phase::Approved {
                    order.phase = Phase::Sent;
                }
            }),
            Fact::SendRefused { order_id } => self.change(*order_id, |order| {
                // Of a refused modify the order works on as it was.
                order.modify_in_flight = false;
                if matches!(order.phase, Phase::Approved | Phase::Sent | Phase::Unknown) {
                    order.phase = Phase::Refused;
                }
            }),
            Fact::Acknowledged { order_id, perm_id } => self.change(*order_id, |order| {
                order.note_perm_id(*perm_id);
                if order.phase.is_live() {
                    order.phase = Phase::Working;
                }
            }),
            Fact::Reappeared { order_id, perm_id } => self.change(*order_id, |order| {
                order.note_perm_id(*perm_id);
                order.phase = Phase::Working;
            }),
            Fact::Unknown { order_id } => self.change(*order_id, |order| {
                order.phase = Phase::Unknown;
                order.unknown_at = Some(place);
            }),
            Fact::Abandoned { order_id, .. } => {
                self.change(*order_id, |order| order.phase = Phase::Abandoned);
            }
            Fact::Ended { order_id, end } => {
                self.change(*order_id, |order| order.phase = Phase::Ended(*end));
            }
            _ => {}
        }
    }

    fn begin(&mut self, seq: u64, epoch: u32, approved: &Approved) {
        let order = &approved.order;
        let reference = order.key.to_string();
        if self.by_reference.contains_key(&reference) {
            return;
        }
        let mut tracked = Tracked {
            legs: order.contract.legs(),
            reference: reference.clone(),
            epoch,
            versions: Vec::new(),
            largest: order.quantity,
            working: order.quantity,
            modify_in_flight: false,
            phase: Phase::Approved,
            unknown_at: None,
            perm_ids: BTreeSet::new(),
            order: order.clone(),
        };
        tracked.add_version(seq, epoch, approved);
        tracked.modify_in_flight = false;
        self.by_number.insert(order.order_id, reference.clone());
        self.live.insert(reference.clone());
        self.by_reference.insert(reference, tracked);
    }

    fn change(&mut self, order_id: i64, change: impl FnOnce(&mut Tracked)) {
        let Some(reference) = self.by_number.get(&order_id) else {
            return;
        };
        if let Some(order) = self.by_reference.get_mut(reference) {
            change(order);
            if order.phase.is_live() {
                self.live.insert(reference.clone());
            } else {
                self.live.remove(reference);
            }
        }
    }
}

impl Tracked {
    fn add_version(&mut self, seq: u64, epoch: u32, approved: &Approved) {
        let number = self.versions.last().map_or(0, |last| last.number + 1);
        if self.versions.len() == VERSIONS_KEPT {
            self.versions.remove(1);
        }
        self.versions.push(Version {
            seq,
            epoch,
            number,
            order: approved.order.clone(),
            hash: approved.hash.clone(),
        });
        self.largest = self.largest.max(approved.order.quantity);
        self.modify_in_flight = true;
    }

    /// Zero is no number: the broker has not given one yet.
    fn note_perm_id(&mut self, perm_id: i64) {
        if perm_id != 0 && self.perm_ids.len() < VERSIONS_KEPT {
            self.perm_ids.insert(perm_id);
        }
    }
}
