//! What the broker tells us, in our words: acknowledgements, executions, fees, rejections, and the
//! answers to the questions that reconciliation asks.

use crate::id::{ExecId, OrderId, PermId};
use crate::lifecycle::LifecycleEvent;
use market::instrument::{ConId, Contract};
use market::money::{Currency, Money, Price, Quantity};
use market::quote::Side;
use market::time::Timestamp;
use serde::{Deserialize, Serialize};

/// One execution in one instrument. Combo legs come one by one; the combo's own line is a
/// [`ComboExecution`], which checks and never books.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fill {
    /// Its identity: a fill books exactly once.
    pub exec_id: ExecId,
    /// Our order, or 0 and below for one that this client id did not send.
    pub order_id: OrderId,
    /// The broker's permanent number of the order.
    pub perm_id: PermId,
    /// The order reference; ours is an intent key in text.
    pub reference: String,
    /// The instrument.
    pub con_id: ConId,
    /// Bought or sold.
    pub side: Side,
    /// Contracts or shares; positive.
    pub quantity: Quantity,
    /// Price per unit.
    pub price: Price,
    /// When, by the broker.
    pub time: Timestamp,
    /// It is one leg of a combo's execution.
    pub combo_leg: bool,
}

/// A combo's own execution line (IB: the BAG line).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComboExecution {
    /// Its identity.
    pub exec_id: ExecId,
    /// Our order.
    pub order_id: OrderId,
    /// The broker's permanent number of the order.
    pub perm_id: PermId,
    /// Units filled.
    pub quantity: Quantity,
    /// Net price per unit.
    pub price: Price,
}

/// A working order as the broker describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenOrder {
    /// Our number, or 0 and below for one that this client id did not send.
    pub order_id: OrderId,
    /// The broker's permanent number.
    pub perm_id: PermId,
    /// The order reference.
    pub reference: String,
    /// What it is for.
    pub contract: Contract,
    /// Bought or sold.
    pub side: Side,
    /// Total units.
    pub quantity: Quantity,
    /// Units filled.
    pub filled: Quantity,
    /// The limit.
    pub limit: Price,
}

/// How an order ended, as the broker describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EndState {
    /// Filled whole.
    Filled,
    /// Canceled, by us or by the system.
    Canceled,
    /// Its time in force ended.
    Expired,
    /// Refused by the broker or the exchange.
    Rejected,
    /// Held by the broker without working (IB: Inactive).
    Inactive,
}

/// An order that no longer works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompletedOrder {
    /// The broker's permanent number.
    pub perm_id: PermId,
    /// The order reference.
    pub reference: String,
    /// How it ended.
    pub end: EndState,
    /// Units filled.
    pub filled: Quantity,
}

/// One thing that the broker said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// The order has a permanent number and is with the broker.
    Acknowledged {
        /// Our number.
        order_id: OrderId,
        /// The broker's.
        perm_id: PermId,
        /// The order reference that it echoes.
        reference: String,
    },
    /// Filled and remaining units changed. Never books: fills do.
    Status {
        /// Our number.
        order_id: OrderId,
        /// The broker's.
        perm_id: PermId,
        /// Units filled so far.
        filled: Quantity,
        /// Units still working.
        remaining: Quantity,
    },
    /// An execution, or a correction of one (same stem, higher revision).
    Execution(Fill),
    /// A combo's own line.
    ComboExecution(ComboExecution),
    /// The broker took an execution back.
    Busted {
        /// Which.
        exec_id: ExecId,
    },
    /// What an execution cost; it may come long after it.
    Fee {
        /// The execution.
        exec_id: ExecId,
        /// The fee; positive is paid.
        amount: Money,
        /// In this currency.
        currency: Currency,
    },
    /// The order ended without being refused.
    Ended {
        /// Our number.
        order_id: OrderId,
        /// The broker's.
        perm_id: PermId,
        /// How.
        end: EndState,
    },
    /// The order was refused.
    Rejected {
        /// Our number.
        order_id: OrderId,
        /// The broker's code.
        code: u32,
        /// Its words.
        text: String,
    },
    /// The cancel was refused: too late, or not known. It says nothing about the order.
    CancelRejected {
        /// Our number.
        order_id: OrderId,
        /// The broker's code.
        code: u32,
    },
    /// The modify was refused; the order works on as it was.
    ModifyRejected {
        /// Our number.
        order_id: OrderId,
        /// The broker's code.
        code: u32,
    },
    /// A modify took effect.
    Modified {
        /// Our number.
        order_id: OrderId,
        /// The limit that works from here on.
        limit: Price,
        /// The total quantity that works from here on.
        quantity: Quantity,
    },
    /// Something happened to a position or to cash without a trade.
    Lifecycle(LifecycleEvent),
}

/// What reconciliation asks, in the order in which it asks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Question {
    /// Every working order of the account.
    OpenOrders,
    /// Orders that ended.
    CompletedOrders,
    /// Executions, fees and lifecycle events.
    Executions {
        /// Only those at this time and later need be told; `None` asks for all that is kept. A
        /// broker that can't choose tells more.
        since: Option<Timestamp>,
    },
    /// Positions and cash.
    Positions,
}

impl Question {
    /// All of them, in order.
    #[must_use]
    pub const fn all(since: Option<Timestamp>) -> [Self; 4] {
        let executions = Self::Executions { since };
        [Self::OpenOrders, Self::CompletedOrders, executions, Self::Positions]
    }
}

/// A complete answer to one [`Question`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// To [`Question::OpenOrders`].
    OpenOrders(Vec<OpenOrder>),
    /// To [`Question::CompletedOrders`].
    CompletedOrders(Vec<CompletedOrder>),
    /// To [`Question::Executions`]: the same reports as in the live stream (executions, busts,
    /// fees, lifecycle events), oldest first.
    Executions(Vec<Report>),
    /// To [`Question::Positions`].
    Positions {
        /// Signed position per instrument; what is absent is flat.
        positions: Vec<(ConId, Quantity)>,
        /// Cash per currency.
        cash: Vec<(Currency, Money)>,
    },
}
