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

/// At which prices an order executes, and from when on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrderKind {
    /// At its limit or better.
    #[default]
    Limit,
    /// At whatever the market quotes.
    Market,
    /// A market order from the moment on at which the market reaches the trigger.
    Stop {
        /// A purchase waits until this is bid, a sale until this is asked.
        trigger: Price,
    },
    /// A limit order from that moment on.
    StopLimit {
        /// As above.
        trigger: Price,
    },
}

impl OrderKind {
    /// Whether the limit binds.
    #[must_use]
    pub const fn has_limit(self) -> bool {
        matches!(self, Self::Limit | Self::StopLimit { .. })
    }

    /// The price that it waits for.
    #[must_use]
    pub const fn trigger(self) -> Option<Price> {
        match self {
            Self::Stop { trigger } | Self::StopLimit { trigger } => Some(trigger),
            Self::Limit | Self::Market => None,
        }
    }
}

/// What an execution does to the other orders of its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GroupRule {
    /// It cancels them.
    CancelOthers,
    /// It reduces them in proportion, and the last unit cancels them.
    ReduceOthers,
}

/// Orders of which one cancels or reduces the others (IB: OCA).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderGroup {
    /// Its name, unique to the account.
    pub name: String,
    /// What an execution does.
    pub rule: GroupRule,
}

/// Everything about an order beyond a plain limit order of the account's first client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Instructions {
    /// Which of the account's clients sent it; order numbers are each client's own.
    pub client: i32,
    /// Limit, market or stop.
    pub kind: OrderKind,
    /// It waits at the broker until it is released (IB: `transmit` is false).
    pub held: bool,
    /// The same client's order that must be filled first.
    pub parent: Option<i64>,
    /// Its group.
    pub group: Option<OrderGroup>,
    /// It executes whole or not at all.
    pub whole_only: bool,
    /// It expires at this instant.
    pub good_till: Option<Timestamp>,
    /// The client's further words, kept and returned as they are.
    pub memo: String,
}

impl Instructions {
    /// A plain limit order of client 0.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

/// An order with its instructions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// The order.
    pub order: NewOrder,
    /// What else it says. Negative order numbers are the broker's own screen's: they follow no
    /// sequence.
    pub instructions: Instructions,
}

/// How far an open order has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// It waits for its release.
    Held,
    /// It waits for its parent to fill.
    AwaitsParent,
    /// It waits for its trigger.
    AwaitsTrigger,
    /// It can execute.
    #[default]
    Working,
}

impl Stage {
    /// It can execute.
    #[must_use]
    pub fn is_working(&self) -> bool {
        *self == Self::Working
    }
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// A new order.
    Submit(NewOrder),
    /// A new order with instructions.
    SubmitTicket(Box<Ticket>),
    /// The order of this client and number as it shall be from here on; contract, side and parent
    /// stay.
    Amend(Box<Ticket>),
    /// Stop working, for an order of any client.
    CancelFor {
        /// Whose.
        client: i32,
        /// Which order.
        client_order_id: i64,
    },
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
    /// What it says beyond a plain limit order.
    #[serde(default, skip_serializing_if = "Instructions::is_plain")]
    pub instructions: Instructions,
    /// How far it has come.
    #[serde(default, skip_serializing_if = "Stage::is_working")]
    pub stage: Stage,
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
    /// Whose it was.
    #[serde(default, skip_serializing_if = "is_first_client")]
    pub client: i32,
    /// The order as it last stood, if it had instructions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Box<OpenOrder>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field by reference")]
const fn is_first_client(client: &i32) -> bool {
    *client == 0
}
