//! What happens to a position without a trade: expiry, exercise, assignment, settlement, dividends,
//! deliverable changes. Each has an identity of its own and books exactly once.

use market::instrument::ConId;
use market::money::{Currency, Money, Price, Quantity};
use market::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The broker's identity of a lifecycle or cash event.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LifecycleId(pub String);

/// Units of an underlying that an exercise moved into (or out of) the account, and at what price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The underlying.
    pub con_id: ConId,
    /// Signed: positive was received.
    pub quantity: Quantity,
    /// The price paid or received per unit (the strike).
    pub price: Price,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LifecycleKind {
    /// The contract ended worthless.
    Expired {
        /// It.
        con_id: ConId,
        /// The signed position that ended.
        quantity: Quantity,
    },
    /// Our long option was exercised.
    Exercised {
        /// The option.
        con_id: ConId,
        /// The signed option position that ended.
        quantity: Quantity,
        /// What was delivered, if settlement is physical.
        delivery: Option<Delivery>,
    },
    /// Our short option was assigned.
    Assigned {
        /// The option.
        con_id: ConId,
        /// The signed (negative) option position that ended.
        quantity: Quantity,
        /// What was delivered, if settlement is physical.
        delivery: Option<Delivery>,
    },
    /// A position ended at a settlement price in cash.
    CashSettled {
        /// The contract.
        con_id: ConId,
        /// The signed position that ended.
        quantity: Quantity,
        /// Cash received (negative: paid).
        amount: Money,
    },
    /// A dividend on a stock position.
    Dividend {
        /// The stock.
        con_id: ConId,
        /// Cash received (negative: paid, on a short position).
        amount: Money,
    },
    /// The daily variation of a futures position.
    Variation {
        /// The future.
        con_id: ConId,
        /// The settlement price that the position is carried at from here on.
        mark: Price,
        /// Cash received (negative: paid).
        amount: Money,
    },
    /// A corporate action changed how much is held.
    DeliverableChanged {
        /// The contract.
        con_id: ConId,
        /// The signed position before.
        before: Quantity,
        /// The signed position after.
        after: Quantity,
    },
    /// Cash moved without a position: deposit, withdrawal, interest.
    Cash {
        /// Received (negative: paid).
        amount: Money,
    },
}

/// One such event, as the broker reported it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifecycleEvent {
    /// Its identity.
    pub id: LifecycleId,
    /// What happened.
    pub kind: LifecycleKind,
    /// The currency of its amounts.
    pub currency: Currency,
    /// When.
    pub time: Timestamp,
}
