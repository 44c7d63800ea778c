//! One order as the desk knows it: phase, executions per leg, permanent numbers, a modify in
//! flight.

use crate::order_state::OrderState;
use market::instrument::{ConId, Contract, Leg};
use market::money::{Price, Quantity};
use market::quote::Side;
use market::time::Timestamp;
use risk::exposure::{PendingKind, PendingOrder};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use trading::id::{ExecId, IntentKey, PermId, StrategyId};
use trading::intent::{Intent, Purpose, Target};
use trading::order::{Order, OrderHash};
use trading::report::EndState;

/// The durable phase; with the executions it gives the [`OrderState`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Approved, its write not confirmed.
    Pending,
    /// Written.
    Sent,
    /// Acknowledged.
    Working,
    /// Acknowledged, and a cancel asked for.
    CancelPending,
    /// Its fate is not known.
    Unknown,
    /// The broker (or the session, before it left) said that it ended.
    Ended(EndState),
    /// Proven absent.
    Abandoned,
}

/// One order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderEntry {
    /// As it works (or was approved); a modify changes it when the broker confirms.
    pub order: Order,
    /// The hash that was approved.
    pub hash: OrderHash,
    /// The intent that it serves: of the last modify, or its first.
    pub serves: IntentKey,
    /// What that intent wants.
    pub target: Target,
    /// Why.
    pub purpose: Purpose,
    /// When its first intent was made.
    pub created: Timestamp,
    /// Where it is.
    pub phase: Phase,
    /// The session confirmed its write.
    pub sent: bool,
    /// A cancel was asked for and not refused.
    pub cancel_asked: bool,
    /// Every permanent number that carried its reference; one, in a sound world.
    pub perm_ids: BTreeSet<PermId>,
    /// The order as it shall be, from the decision until the broker's answer.
    pub modify: Option<Order>,
    /// Signed executions per instrument.
    pub filled: BTreeMap<ConId, Quantity>,
    /// Units that the broker calls filled whose executions have not come.
    pub owed: Quantity,
    /// The combo's own lines that were seen.
    pub combo_lines: BTreeSet<ExecId>,
}

/// How far one leg is filled.
struct LegFilled {
    con_id: ConId,
    /// Signed contracts per unit of the order.
    per_unit: i64,
    /// Contracts filled, positive in the order's direction.
    in_direction: i64,
}

impl OrderEntry {
    /// A new order of an approved intent.
    pub(super) fn new(intent: &Intent, order: Order, hash: OrderHash) -> Self {
        Self {
            order,
            hash,
            serves: intent.key.clone(),
            target: intent.target.clone(),
            purpose: intent.purpose,
            created: intent.created,
            phase: Phase::Pending,
            sent: false,
            cancel_asked: false,
            perm_ids: BTreeSet::new(),
            modify: None,
            filled: BTreeMap::new(),
            owed: Quantity::ZERO,
            combo_lines: BTreeSet::new(),
        }
    }

    pub(super) fn acknowledge(&mut self) {
        match self.phase {
            Phase::Pending | Phase::Sent | Phase::Unknown => {
                self.phase = if self.cancel_asked { Phase::CancelPending } else { Phase::Working };
            }
            Phase::Working | Phase::CancelPending | Phase::Ended(_) | Phase::Abandoned => {}
        }
    }

    pub(super) fn take_modify(&mut self, limit: Price, quantity: Quantity) {
        if let Some(wanted) = self.modify.take() {
            self.hash = wanted.canonical_hash();
            self.order = wanted;
        }
        self.order.limit = limit;
        self.order.quantity = quantity;
    }

    /// Whose it is.
    #[must_use]
    pub const fn strategy(&self) -> &StrategyId {
        &self.order.key.strategy
    }

    /// Per leg, what one unit moves (signed contracts) and what is filled in that direction.
    fn legs(&self) -> impl Iterator<Item = LegFilled> {
        let (single, legs): (_, &[Leg]) = match &self.order.contract {
            Contract::Single(con_id) => (Some(Leg { con_id: *con_id, ratio: 1 }), &[]),
            Contract::Combo(combo) => (None, combo.legs()),
        };
        single.into_iter().chain(legs.iter().copied()).map(|leg| {
            let per_unit = i64::from(leg.ratio) * self.order.side.sign();
            let filled = self.filled.get(&leg.con_id).copied().unwrap_or_default().0;
            LegFilled { con_id: leg.con_id, per_unit, in_direction: filled * per_unit.signum() }
        })
    }

    /// Units of which every leg is filled.
    #[must_use]
    pub fn filled_units(&self) -> Quantity {
        let units = self.legs().map(|leg| leg.in_direction.div_euclid(leg.per_unit.abs()));
        Quantity(units.min().unwrap_or_default())
    }

    /// Units of which at least one leg is filled in part.
    #[must_use]
    pub fn touched_units(&self) -> i64 {
        let units = self.legs().map(|leg| {
            let per_unit = leg.per_unit.abs();
            (leg.in_direction + per_unit - 1).div_euclid(per_unit)
        });
        units.max().unwrap_or_default()
    }

    /// A leg is filled in more units than another.
    #[must_use]
    pub fn is_uneven(&self) -> bool {
        self.touched_units() != self.filled_units().0
    }

    /// Nothing can come of it that a reservation or a deadline must watch: it ended, its executions
    /// are booked, and its legs are even. So it reserves nothing ([`OrderEntry::pending`]).
    #[must_use]
    pub fn is_settled(&self) -> bool {
        !self.is_live() && self.owed <= Quantity::ZERO && !self.is_uneven()
    }

    /// Units without executions in every leg; never negative.
    #[must_use]
    pub fn remaining(&self) -> Quantity {
        Quantity((self.order.quantity - self.filled_units()).0.max(0))
    }

    fn copies(&self) -> i64 {
        i64::try_from(self.perm_ids.len().max(1)).unwrap_or(i64::MAX)
    }

    /// Where it is, for the table.
    #[must_use]
    pub fn state(&self) -> OrderState {
        // A modify in flight may have enlarged it, and a second permanent number is a second order
        // of the same size: neither is whole with the old quantity.
        let wanted = self.modify.as_ref().map_or(self.order.quantity, |wanted| wanted.quantity);
        let total = wanted.max(self.order.quantity).0.saturating_mul(self.copies());
        let whole = || self.filled_units().0 >= total;
        match self.phase {
            Phase::Pending => OrderState::Pending,
            Phase::Sent => OrderState::Sent,
            Phase::Unknown => OrderState::Unknown,
            Phase::Abandoned => OrderState::Abandoned,
            Phase::Ended(EndState::Filled) => OrderState::Filled,
            _ if whole() => OrderState::Filled,
            Phase::Working if self.filled_units().is_zero() && self.touched_units() == 0 => {
                OrderState::Working
            }
            Phase::Working => OrderState::PartlyFilled,
            Phase::CancelPending => OrderState::CancelPending,
            Phase::Ended(EndState::Canceled) => OrderState::Canceled,
            Phase::Ended(EndState::Expired) => OrderState::Expired,
            Phase::Ended(EndState::Rejected) => OrderState::Rejected,
            Phase::Ended(EndState::Inactive) => OrderState::Inactive,
        }
    }

    /// It may still fill, as far as we know.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.state().is_live()
    }

    /// Signed units that may still fill: what netting counts.
    #[must_use]
    pub fn working_units(&self) -> i64 {
        if !self.is_live() {
            return 0;
        }
        let total = self.modify.as_ref().map_or(self.order.quantity, |wanted| wanted.quantity);
        let left = (total - self.filled_units()).0.max(0);
        left * self.order.side.sign()
    }

    /// What it reserves: the larger of what works and what a modify in flight asks for, once per
    /// permanent number, and singly the legs that lag behind the others.
    #[must_use]
    pub fn pending(&self) -> Vec<PendingOrder> {
        let order = &self.order;
        let mut total = order.quantity.0;
        let mut limit = order.limit;
        if let Some(wanted) = &self.modify {
            total = total.max(wanted.quantity.0);
            limit = match order.side {
                Side::Buy => limit.max(wanted.limit),
                Side::Sell => limit.min(wanted.limit),
            };
        }
        let copies = self.copies();
        let given_back = self.cancel_asked && mutation::active("release_on_cancel_request");
        let left = if self.is_live() && !given_back {
            total.saturating_mul(copies) - self.touched_units()
        } else {
            self.owed.0
        };
        let pending = |contract: Contract, side: Side, remaining: i64, limit: Price| PendingOrder {
            contract,
            side,
            remaining: Quantity(remaining),
            limit,
            kind: self.kind(),
            strategy: Some(self.strategy().clone()),
        };
        let mut reserved = Vec::new();
        if left > 0 {
            reserved.push(pending(order.contract.clone(), order.side, left, limit));
        }
        let expected = self.touched_units().min(total.saturating_mul(copies));
        if matches!(order.contract, Contract::Combo(_)) {
            for leg in self.legs() {
                let missing = expected * leg.per_unit.abs() - leg.in_direction;
                if missing > 0 {
                    let side = if leg.per_unit > 0 { Side::Buy } else { Side::Sell };
                    let single = Contract::Single(leg.con_id);
                    // A leg alone has no limit of its own; the combo's bounds only the sum.
                    reserved.push(pending(single, side, missing, Price::ZERO));
                }
            }
        }
        reserved
    }

    const fn kind(&self) -> PendingKind {
        match self.phase {
            Phase::Pending | Phase::Sent => PendingKind::Reserved,
            Phase::Working | Phase::Ended(EndState::Filled) | Phase::Abandoned => {
                PendingKind::Working
            }
            Phase::CancelPending | Phase::Ended(_) => PendingKind::CancelPending,
            Phase::Unknown => PendingKind::Unknown,
        }
    }
}
