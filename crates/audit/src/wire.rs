//! What the venue received, field by field, as a tap on its side of the wire tells it.

use market::instrument::ConId;
use market::quote::Side;

use crate::fact::TimeInForce;

/// An order as the venue received it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireOrder {
    /// The client's number.
    pub order_id: i64,
    /// The order reference.
    pub reference: String,
    /// The account; `None` where the tap can't see it.
    pub account: Option<String>,
    /// Instruments with their ratios, in any order; one of ratio 1 for a single instrument.
    pub legs: Vec<(ConId, i32)>,
    /// Bought or sold.
    pub side: Side,
    /// Contracts, shares or combo units; positive.
    pub quantity: i64,
    /// The limit per unit, in micro-units.
    pub limit_micros: i64,
    /// How long it works.
    pub time_in_force: TimeInForce,
    /// Until when the desk wants it, in nanoseconds; `None` where the tap can't see it.
    pub valid_until_nanos: Option<i64>,
}

/// One message that the venue received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireEvent {
    /// A new order.
    Placed(WireOrder),
    /// A change of a working order, under its number.
    Modified(WireOrder),
    /// A request to cancel.
    Canceled {
        /// The client's number.
        order_id: i64,
    },
}
