//! Quotes: what the market bids and asks for one instrument.
//!
//! A [`RawQuote`] is what a data line says, floats and sentinels included; the quality gates turn
//! it into a [`Quote`] of exact prices or a typed verdict. Not here: those gates (quality).

use crate::money::Price;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Bought or sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Side {
    /// Buy.
    Buy,
    /// Sell.
    Sell,
}

impl Side {
    /// +1 for a purchase, -1 for a sale.
    #[must_use]
    pub const fn sign(self) -> i64 {
        match self {
            Self::Buy => 1,
            Self::Sell => -1,
        }
    }

    /// The other side.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }
}

/// A price and the size shown at it, in contracts or shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// The price.
    pub price: Price,
    /// Displayed size.
    pub size: u32,
}

/// The best bid and ask; a side that nobody quotes is `None`, never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    /// The best bid.
    pub bid: Option<Level>,
    /// The best ask.
    pub ask: Option<Level>,
    /// When the market said so.
    pub time: Timestamp,
}

impl Quote {
    /// Nobody quotes.
    #[must_use]
    pub const fn empty(time: Timestamp) -> Self {
        Self { bid: None, ask: None, time }
    }

    /// Bid and ask prices, when both sides are there.
    #[must_use]
    pub const fn both(&self) -> Option<(Price, Price)> {
        match (self.bid, self.ask) {
            (Some(bid), Some(ask)) => Some((bid.price, ask.price)),
            _ => None,
        }
    }

    /// The middle of bid and ask, rounded down to a micro-unit, when both sides are there.
    #[must_use]
    pub fn mid(&self) -> Option<Price> {
        let (bid, ask) = self.both()?;
        Some(Price::from_micros(bid.micros().midpoint(ask.micros())))
    }

    /// The level that an order of `side` meets: the ask for a buyer, the bid for a seller.
    #[must_use]
    pub const fn opposite(&self, side: Side) -> Option<Level> {
        match side {
            Side::Buy => self.ask,
            Side::Sell => self.bid,
        }
    }
}

/// Which kind of data a line delivers (IB: market data type 1 to 4). Only live data may be traded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DataType {
    /// Type 1.
    Live,
    /// Type 2: the last values of a closed market.
    Frozen,
    /// Type 3: 10 to 20 minutes old.
    Delayed,
    /// Type 4.
    DelayedFrozen,
}

/// One line's message as a data source words it: floats, NaN or -1 where a side is absent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RawQuote {
    /// Bid price, or NaN or -1 for none.
    pub bid: f64,
    /// Ask price, or NaN or -1 for none.
    pub ask: f64,
    /// Contracts or shares at the bid.
    pub bid_size: f64,
    /// Contracts or shares at the ask.
    pub ask_size: f64,
    /// When the source said so.
    pub time: Timestamp,
}
