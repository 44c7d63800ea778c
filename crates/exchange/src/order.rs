//! Requests to the exchange and orders as the exchange sees them.
//!
//! These are the venue's own words: it shares none with `trading`, so that one misreading can't
//! pass its own test. Left to others: what happens to an order (exchange), what it costs (fees).

use crate::fees::FeeTally;
use market::instrument::{ConId, Contract};
use market::money::{Price, Quantity};
use market::quote::Side;
use market::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How long an order works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TimeInForce {
    /// Until the exchange day ends.
    Day,
    /// Until canceled or its contract expires.
    GoodTillCanceled,
    /// What does not execute at once is canceled.
    ImmediateOrCancel,
}

/// A new limit order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewOrder {
    /// The client's number; it must exceed every earlier one.
    pub client_order_id: i64,
    /// The client's text, echoed in every report (IB: orderRef).
    pub reference: String,
    /// One instrument, or a combo.
    pub contract: Contract,
    /// Buy or sell; selling a combo turns every leg around.
    pub side: Side,
    /// Units; positive.
    pub quantity: Quantity,
    /// Limit per unit of the underlying. A combo's is the net debit of one bought unit; it may be
    /// negative.
    pub limit: Price,
    /// How long it works.
    pub time_in_force: TimeInForce,
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// A new order.
    Submit(NewOrder),
    /// Another limit, another total quantity, or both.
    Modify {
        /// Which order.
        client_order_id: i64,
        /// The new limit.
        limit: Price,
        /// The new total, filled units included.
        quantity: Quantity,
    },
    /// Stop working.
    Cancel {
        /// Which order.
        client_order_id: i64,
    },
}

/// How an order ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EndState {
    /// Filled whole.
    Filled,
    /// Canceled by the client, or the rest of an immediate order.
    Canceled,
    /// Its day, or its contract, ended.
    Expired,
    /// Refused.
    Rejected,
}

/// An order that works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenOrder {
    /// The venue's account-wide number.
    pub perm_id: i64,
    /// The client's number.
    pub client_order_id: i64,
    /// The client's text.
    pub reference: String,
    /// What it is for.
    pub contract: Contract,
    /// Buy or sell.
    pub side: Side,
    /// Total units.
    pub quantity: Quantity,
    /// Units filled.
    pub filled: Quantity,
    /// The limit.
    pub limit: Price,
    /// How long it works.
    pub time_in_force: TimeInForce,
    /// When it was accepted.
    pub accepted: Timestamp,
    /// Its place in time: lower is served first. Another price or more units take a new one.
    pub priority: u64,
    /// What its fees go by, per instrument.
    pub tallies: BTreeMap<ConId, FeeTally>,
}

impl OpenOrder {
    /// Units that still work.
    #[must_use]
    pub fn remaining(&self) -> Quantity {
        self.quantity - self.filled
    }
}

/// An order that no longer works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompletedOrder {
    /// The venue's number; 0 for one that was refused before it had one.
    pub perm_id: i64,
    /// The client's number.
    pub client_order_id: i64,
    /// The client's text.
    pub reference: String,
    /// How it ended.
    pub end: EndState,
    /// Units filled.
    pub filled: Quantity,
    /// When it ended.
    pub time: Timestamp,
}
