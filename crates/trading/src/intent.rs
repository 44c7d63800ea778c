//! Intents: what a strategy wants its position to become.
//!
//! An intent names a target, not a trade. The desk nets the target against what the strategy has,
//! has working and has Unknown, so a strategy that decides the same again after a crash can't
//! double.

use crate::id::{IntentKey, StrategyId};
use market::instrument::{Combo, ConId, Contract};
use market::money::{Price, Quantity};
use market::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The position that an intent aims at, signed: negative is short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// So many contracts or shares of one instrument.
    Single {
        /// The instrument.
        con_id: ConId,
        /// The wanted position in it.
        position: Quantity,
    },
    /// So many units of a combo: the wanted position of each leg is its ratio times `units`.
    Combo {
        /// The legs.
        combo: Combo,
        /// Units; negative holds the sold combo.
        units: Quantity,
    },
}

impl Target {
    /// The contract that an order for this target is for.
    #[must_use]
    pub fn contract(&self) -> Contract {
        match self {
            Self::Single { con_id, .. } => Contract::Single(*con_id),
            Self::Combo { combo, .. } => Contract::Combo(combo.clone()),
        }
    }

    /// The wanted position per instrument.
    #[must_use]
    pub fn positions(&self) -> Vec<(ConId, Quantity)> {
        match self {
            Self::Single { con_id, position } => vec![(*con_id, *position)],
            Self::Combo { combo, units } => {
                let wanted = |ratio: i32| Quantity(i64::from(ratio) * units.0);
                combo.legs().iter().map(|leg| (leg.con_id, wanted(leg.ratio))).collect()
            }
        }
    }
}

/// Why a strategy wants it. The desk checks the claim: only the gate decides what lowers risk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Purpose {
    /// Opens or enlarges.
    Entry,
    /// Closes or shrinks.
    Exit,
    /// Offsets the risk of something held.
    Hedge,
}

/// A wish with a key. It becomes at most one order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Its identity; also the order reference.
    pub key: IntentKey,
    /// The position that it serves.
    pub target: Target,
    /// The worst acceptable price per unit of the contract: at most for a purchase, at least for a
    /// sale. A combo's is the net price of one bought unit and may be negative.
    pub limit: Price,
    /// Why.
    pub purpose: Purpose,
    /// After this market time it is void: not sent, and canceled where it still works.
    pub valid_until: Timestamp,
    /// When the strategy made it.
    pub created: Timestamp,
    /// The version of the market snapshot that the strategy saw.
    pub view_version: u64,
}

impl Intent {
    /// Who wants it.
    #[must_use]
    pub const fn strategy(&self) -> &StrategyId {
        &self.key.strategy
    }
}
