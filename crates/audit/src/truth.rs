//! What the venue says is true, at a quiet point: nothing is under way and every record has been
//! read.

use market::instrument::ConId;
use market::money::Currency;
use market::quote::Side;
use std::collections::{BTreeMap, BTreeSet};

/// One execution that counts: latest revision, not busted. Combo lines are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutionTruth {
    /// Its identity.
    pub exec_id: String,
    /// The order reference.
    pub reference: String,
    /// The instrument.
    pub con_id: ConId,
    /// Bought or sold.
    pub side: Side,
    /// Contracts or shares; positive.
    pub quantity: i64,
    /// Price per unit, in micro-units.
    pub price_micros: i64,
}

/// The account at the venue.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct VenueTruth {
    /// All executions since the account was opened.
    pub executions: Vec<ExecutionTruth>,
    /// Signed position per instrument; what is absent is flat.
    pub positions: BTreeMap<ConId, i64>,
    /// Identities of the events that moved a position: expiry, settlement, exercise, assignment.
    pub position_events: BTreeSet<String>,
    /// Cash per currency, in micro-units.
    pub cash: BTreeMap<Currency, i64>,
    /// Working orders: order reference and permanent number.
    pub open_orders: Vec<(String, i64)>,
    /// What each execution cost (positive is paid), in micro-units.
    pub fees: BTreeMap<String, (Currency, i64)>,
}
