//! What the account holds and what may still fill: the desk's picture, read by the gate.
//!
//! The desk owns and reserves exposure; this room only computes with it. A combo stays one pending
//! order, because its legs fill in ratio.

use crate::worst_case::Fills;
use market::instrument::{ConId, Contract};
use market::money::{Price, Quantity};
use market::quote::Side;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use trading::id::StrategyId;
use trading::order::signed_legs;

/// Why an order counts as something that may fill. All kinds count alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PendingKind {
    /// Cleared by the gate, not yet acknowledged.
    Reserved,
    /// Acknowledged and working.
    Working,
    /// We asked for a cancel that nobody confirmed.
    CancelPending,
    /// Its fate is not known.
    Unknown,
    /// Someone else's order in the account.
    External,
}

/// An order that may fill up to `remaining` units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingOrder {
    /// What it is for.
    pub contract: Contract,
    /// Bought or sold.
    pub side: Side,
    /// Units that may still fill; positive.
    pub remaining: Quantity,
    /// Its limit per unit.
    pub limit: Price,
    /// Why it counts.
    pub kind: PendingKind,
    /// Whose it is; `None` for an external order.
    pub strategy: Option<StrategyId>,
}

impl PendingOrder {
    /// The signed quantity per instrument if it fills whole.
    #[must_use]
    pub fn signed_legs(&self) -> Vec<(ConId, i64)> {
        let legs = signed_legs(&self.contract, self.side, self.remaining);
        legs.into_iter().map(|(con_id, quantity)| (con_id, quantity.0)).collect()
    }
}

/// Positions and everything that may change them.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Exposure {
    /// Signed contracts or shares per instrument.
    pub positions: BTreeMap<ConId, Quantity>,
    /// Orders that may fill.
    pub pending: Vec<PendingOrder>,
}

impl Exposure {
    /// As quantities, for worst-case arithmetic.
    #[must_use]
    pub fn fills(&self) -> Fills {
        Fills {
            // A flat position carries no risk, whatever became of its data.
            held: self
                .positions
                .iter()
                .filter(|(_, held)| !held.is_zero())
                .map(|(con_id, held)| (*con_id, held.0))
                .collect(),
            possible: self.pending.iter().map(PendingOrder::signed_legs).collect(),
        }
    }

    /// How many pending orders are for `contract` on `side`.
    #[must_use]
    pub fn open_orders(&self, contract: &Contract, side: Side) -> usize {
        let alike = |order: &&PendingOrder| order.side == side && order.contract == *contract;
        self.pending.iter().filter(alike).count()
    }
}
