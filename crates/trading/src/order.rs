//! Orders as the broker shall receive them, and their canonical hash.
//!
//! The hash binds the approvals to the bytes: an order that differs in one field from what the gate
//! approved is never written (promise I7).

use crate::id::{AccountId, IntentKey, OrderId};
use market::instrument::Contract;
use market::money::{Price, Quantity};
use market::quote::Side;
use market::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How long an order works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TimeInForce {
    /// Until the end of the session.
    Day,
    /// Until canceled.
    GoodTillCanceled,
    /// What fills at once; the rest is canceled.
    ImmediateOrCancel,
}

/// A limit order, complete: every field that reaches the broker is here. There are no market
/// orders: a node that may be wrong about the price bounds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Our number.
    pub order_id: OrderId,
    /// The intent that it serves; its text is the order reference.
    pub key: IntentKey,
    /// The account.
    pub account: AccountId,
    /// What is bought or sold.
    pub contract: Contract,
    /// Bought or sold (for a combo: its units).
    pub side: Side,
    /// Contracts, shares or combo units; positive.
    pub quantity: Quantity,
    /// The limit, per unit; a combo's net price may be negative.
    pub limit: Price,
    /// How long it works.
    pub time_in_force: TimeInForce,
    /// After this market time the desk cancels it.
    pub valid_until: Timestamp,
}

/// blake3 of an order's canonical encoding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OrderHash([u8; 32]);

impl OrderHash {
    /// The bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl TryFrom<String> for OrderHash {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let parsed = blake3::Hash::from_hex(&text);
        parsed.map(|hash| Self(*hash.as_bytes())).map_err(|_| format!("`{text}` is not a hash"))
    }
}

impl From<OrderHash> for String {
    fn from(hash: OrderHash) -> Self {
        hash.to_string()
    }
}

impl fmt::Display for OrderHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        blake3::Hash::from(self.0).to_hex().fmt(f)
    }
}

impl fmt::Debug for OrderHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Order {
    /// The hash over every field, in a fixed order and with lengths, so that no two orders share an
    /// encoding.
    #[must_use]
    pub fn canonical_hash(&self) -> OrderHash {
        let mut hasher = blake3::Hasher::new();
        let mut text = |field: &str| {
            hasher.update(&(field.len() as u64).to_le_bytes());
            hasher.update(field.as_bytes());
        };
        text(&self.key.to_string());
        text(&self.account.0);
        let legs = self.contract.legs();
        let side = match self.side {
            Side::Buy => 0_i64,
            Side::Sell => 1,
        };
        let time_in_force = match self.time_in_force {
            TimeInForce::Day => 0_i64,
            TimeInForce::GoodTillCanceled => 1,
            TimeInForce::ImmediateOrCancel => 2,
        };
        let mut numbers = vec![
            self.order_id.0,
            side,
            self.quantity.0,
            self.limit.micros(),
            time_in_force,
            self.valid_until.nanos(),
            legs.len() as i64,
        ];
        for leg in legs {
            numbers.extend([i64::from(leg.con_id.0), i64::from(leg.ratio)]);
        }
        for number in numbers {
            hasher.update(&number.to_le_bytes());
        }
        OrderHash(*hasher.finalize().as_bytes())
    }

    /// The signed quantity per instrument if the order fills whole.
    #[must_use]
    pub fn signed_legs(&self) -> Vec<(market::instrument::ConId, Quantity)> {
        signed_legs(&self.contract, self.side, self.quantity)
    }
}

/// The signed quantity per instrument of `quantity` units of `contract`.
#[must_use]
pub fn signed_legs(
    contract: &Contract,
    side: Side,
    quantity: Quantity,
) -> Vec<(market::instrument::ConId, Quantity)> {
    let units = side.sign() * quantity.0;
    let signed = |ratio: i32| Quantity(i64::from(ratio) * units);
    contract.legs().iter().map(|leg| (leg.con_id, signed(leg.ratio))).collect()
}
