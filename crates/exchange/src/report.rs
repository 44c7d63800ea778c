//! What the exchange says: acknowledgements, executions, fees, ends, refusals, and events that move
//! positions or cash without a trade.
//!
//! Cash follows from these alone, exactly: executions in stocks and options move their value, fees
//! move their amount, events move what they name. An execution in a future moves no cash; the
//! [`EventKind::Variation`] events do, at each trade that reduces the position and at each day end.

use crate::order::EndState;
use market::instrument::ConId;
use market::money::{Currency, Money, Price, Quantity};
use market::quote::Side;
use market::time::Timestamp;
use serde::{Deserialize, Serialize};

/// One execution in one instrument.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Execution {
    /// Its identity, `<8 hex>.<8 hex>.<line>.<revision>` as IB writes it.
    pub exec_id: String,
    /// The client's number of the order.
    pub client_order_id: i64,
    /// The venue's number of the order.
    pub perm_id: i64,
    /// The client's text.
    pub reference: String,
    /// The instrument.
    pub con_id: ConId,
    /// Bought or sold.
    pub side: Side,
    /// Contracts or shares; positive.
    pub quantity: Quantity,
    /// Price per unit of the underlying.
    pub price: Price,
    /// When.
    pub time: Timestamp,
    /// It is a leg of a combo's execution.
    pub leg: bool,
    /// What it cost; positive is paid.
    pub fee: Money,
    /// The currency of price and fee.
    pub currency: Currency,
    /// What it realised, fees apart, if it closed anything; a future's profit comes as variation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realised: Option<Money>,
}

/// A combo's own line (IB: the BAG execution). Its legs move the money, it moves none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComboExecution {
    /// Its identity; its legs share the first two groups.
    pub exec_id: String,
    /// The client's number of the order.
    pub client_order_id: i64,
    /// The venue's number of the order.
    pub perm_id: i64,
    /// The client's text.
    pub reference: String,
    /// Bought or sold.
    pub side: Side,
    /// Units; positive.
    pub quantity: Quantity,
    /// Net price of one bought unit.
    pub price: Price,
    /// When.
    pub time: Timestamp,
}

/// What an exercise moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The underlying.
    pub con_id: ConId,
    /// Signed: positive was received.
    pub quantity: Quantity,
    /// Price per unit: the strike. In a future no cash moves; a variation event follows.
    pub price: Price,
}

/// What happened without a trade. Quantities are the signed positions that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    /// An option ended worthless.
    OptionExpired {
        /// It.
        con_id: ConId,
        /// The position that ended.
        quantity: Quantity,
    },
    /// A long option was exercised.
    Exercised {
        /// It.
        con_id: ConId,
        /// The position that ended.
        quantity: Quantity,
        /// What it delivered.
        delivery: Delivery,
    },
    /// A short option was assigned.
    Assigned {
        /// It.
        con_id: ConId,
        /// The (negative) position that ended.
        quantity: Quantity,
        /// What it delivered.
        delivery: Delivery,
    },
    /// A position ended against cash (a future's has moved as variation before: amount 0).
    CashSettled {
        /// It.
        con_id: ConId,
        /// The position that ended.
        quantity: Quantity,
        /// Received; negative is paid.
        amount: Money,
    },
    /// A dividend.
    Dividend {
        /// The stock.
        con_id: ConId,
        /// Received; negative is paid, on a short position.
        amount: Money,
    },
    /// A future's position was carried to another price.
    Variation {
        /// The future.
        con_id: ConId,
        /// The price that the position is carried at from here on.
        mark: Price,
        /// Received; negative is paid.
        amount: Money,
    },
    /// Cash moved by itself: the opening deposit, or an adjusted deliverable's cash part.
    Cash {
        /// Received; negative is paid.
        amount: Money,
    },
}

/// One such event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its identity, never used twice.
    pub id: String,
    /// What happened.
    pub kind: EventKind,
    /// The currency of its amounts.
    pub currency: Currency,
    /// When.
    pub time: Timestamp,
}

/// One message to the client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// The order is with the exchange.
    Accepted {
        /// The client's number.
        client_order_id: i64,
        /// The venue's.
        perm_id: i64,
        /// The client's text.
        reference: String,
    },
    /// The order was refused (IB's codes: 103, 110, 200, 201, 321).
    Rejected {
        /// The client's number.
        client_order_id: i64,
        /// IB's code.
        code: u32,
        /// The reason.
        text: String,
    },
    /// Filled and remaining units changed; it moves nothing, executions do.
    Status {
        /// The client's number.
        client_order_id: i64,
        /// The venue's.
        perm_id: i64,
        /// Units filled so far.
        filled: Quantity,
        /// Units still working.
        remaining: Quantity,
    },
    /// An execution; a `Fee` follows it.
    Executed(Execution),
    /// A combo's own line; it comes before its legs.
    ComboExecuted(ComboExecution),
    /// What an execution cost.
    Fee {
        /// The execution.
        exec_id: String,
        /// Positive is paid.
        amount: Money,
        /// In this currency.
        currency: Currency,
    },
    /// The order works no more.
    Ended {
        /// The client's number.
        client_order_id: i64,
        /// The venue's.
        perm_id: i64,
        /// How it ended.
        end: EndState,
        /// Units filled.
        filled: Quantity,
    },
    /// A modify took effect.
    Modified {
        /// The client's number.
        client_order_id: i64,
        /// The limit from here on.
        limit: Price,
        /// The total from here on.
        quantity: Quantity,
    },
    /// A modify was refused; the order works on as it was.
    ModifyRejected {
        /// The client's number.
        client_order_id: i64,
        /// IB's code (104 not working, 110, 201, 321).
        code: u32,
        /// The reason.
        text: String,
    },
    /// A cancel was refused.
    CancelRejected {
        /// The client's number.
        client_order_id: i64,
        /// IB's code: 10148 it has ended, 10147 it was never here.
        code: u32,
        /// The reason.
        text: String,
    },
    /// An order that waited for its release, its parent or its trigger has come a stage further.
    Staged {
        /// The client's number.
        client_order_id: i64,
        /// The venue's.
        perm_id: i64,
    },
    /// Something happened without a trade.
    Event(Event),
}
