//! The seam: what the node asks of a broker and what a broker says.
//!
//! Two ports, as IB has two connections: orders and data. Calls never wait; what comes of them
//! comes back as events, tagged with the connection's generation, so that a late word of a dead
//! connection is recognised. Not here: when to connect (link), when to ask (desk's reconciler).

use market::instrument::ConId;
use market::money::Price;
use market::quote::{DataType, RawQuote, Side};
use market::time::{ProcessTime, Timestamp};
use risk::cleared::{Cleared, RefusedClearance};
use trading::id::OrderId;
use trading::order::{Order, OrderHash, TimeInForce};
use trading::report::{Answer, Question, Report};

/// What the order connection says.
#[derive(Clone, Debug, PartialEq)]
pub enum BrokerEvent {
    /// The connection stands; the next order id is a lower bound only.
    Connected {
        /// The broker's next valid id.
        next_order_id: OrderId,
    },
    /// The connection is gone.
    Disconnected {
        /// Why, in words.
        reason: String,
    },
    /// It stands, but the broker behind it can't be reached.
    BrokerLost {
        /// Why, in words.
        reason: String,
    },
    /// The broker is back; what happened meanwhile must be asked.
    BrokerBack {
        /// What was said.
        reason: String,
    },
    /// Reports may be missing.
    Gap {
        /// Why, in words.
        reason: String,
    },
    /// Only a person can help: a login, a wrong account.
    HumanNeeded {
        /// What for.
        reason: String,
    },
    /// A report from the live stream.
    Report(Report),
    /// A complete answer to a question.
    Answer {
        /// The ticket of the question.
        ticket: u64,
        /// The answer.
        answer: Answer,
    },
}

/// Why an order was not written, or perhaps not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The clearance no longer holds: it certainly did not leave.
    #[error("the order was not written: {0}")]
    Refused(RefusedClearance),
    /// There is no connection: it certainly did not leave.
    #[error("the order was not written, the broker link is down; it is reconciled on reconnect")]
    NotConnected,
    /// The broker takes no more messages at this moment: it certainly did not leave.
    #[error("the order was not written, the broker's message limit is used up; it is tried again")]
    Paced,
    /// The protocol has no words for it: it certainly did not leave.
    #[error("the order was not written, it can't be said to the broker: {0}")]
    Unwritable(String),
    /// The connection broke during the write: nobody knows.
    #[error("the connection broke while the order was written, its fate is unknown")]
    Broken,
}

impl WriteError {
    /// Whether the broker may have received it all the same.
    #[must_use]
    pub const fn may_have_left(&self) -> bool {
        match self {
            Self::Refused(_) | Self::NotConnected | Self::Paced | Self::Unwritable(_) => false,
            Self::Broken => true,
        }
    }
}

/// An order as it was written to the broker, field by field: what the wire carried, for whoever
/// checks that it was the order that was cleared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenOrder {
    /// The order's number.
    pub order_id: i64,
    /// The order reference.
    pub reference: String,
    /// The account.
    pub account: String,
    /// What for: instruments and signed ratios.
    pub legs: Vec<(ConId, i32)>,
    /// Bought or sold.
    pub side: Side,
    /// Units.
    pub quantity: i64,
    /// The limit.
    pub limit: Price,
    /// How long it works.
    pub time_in_force: TimeInForce,
}

/// What was written to the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// A new order.
    Placed(WrittenOrder),
    /// A changed order, as it shall be.
    Modified(WrittenOrder),
    /// A cancel.
    Canceled {
        /// The order's number.
        order_id: i64,
    },
}

/// Sees what is written to the broker. Called by whoever writes; it must not block.
pub trait WireTap: Send + Sync {
    /// How far the journal is durable at this moment: asked before the first byte leaves.
    fn durable(&self) -> u64;

    /// This was written, or may have been.
    fn wrote(&self, written: Written, durable: u64, now: Timestamp);
}

/// Receives the events of one connection. Called from any thread; it must not block.
pub type EventSink = Box<dyn Fn(BrokerEvent) + Send + Sync>;

/// The order connection. At most one stands at a time.
pub trait OrderPort: Send {
    /// Begins connection `generation`; it answers with [`BrokerEvent::Connected`] or
    /// [`BrokerEvent::Disconnected`]. An older connection ends silently.
    fn connect(&mut self, generation: u32, sink: EventSink);

    /// Ends the connection.
    fn disconnect(&mut self);

    /// Writes a new order, checking its clearance under the wire fence immediately before.
    fn place(&mut self, order: Cleared<Order>, now: ProcessTime) -> Result<OrderHash, WriteError>;

    /// Writes a changed order under its old id, checked alike.
    fn modify(&mut self, order: Cleared<Order>, now: ProcessTime) -> Result<OrderHash, WriteError>;

    /// Asks for a cancel; always allowed.
    fn cancel(&mut self, order_id: OrderId) -> Result<(), WriteError>;

    /// Asks a question; the answer carries `ticket`.
    fn ask(&mut self, ticket: u64, question: Question) -> Result<(), WriteError>;
}

/// Receives what data lines say. Called from any thread; it must not block.
pub trait DataSink: Send + Sync {
    /// New quotes; a line is its index in the subscription.
    fn quotes(&self, batch: &[(u32, RawQuote)]);

    /// A line is confirmed, with this type of data.
    fn confirmed(&self, line: u32, data: DataType);
}

/// The data connection.
pub trait DataPort: Send {
    /// Subscribes to one line per instrument, in this order; replaces the subscription of the same
    /// name. Each line is confirmed and its current quote sent.
    fn subscribe(&mut self, name: &str, con_ids: &[ConId], sink: std::sync::Arc<dyn DataSink>);
}
