//! The three layers that must agree before an order leaves: cognition, risk, performance.
//!
//! An approval is a fact with its evidence, bound to one order by its hash. Making approvals is the
//! work of `risk`; here is only what they say, so that records and the auditor can read them.

use crate::order::OrderHash;
use serde::{Deserialize, Serialize};

/// Which layer approves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Layer {
    /// The market state that the strategy is made for holds: regime, data quality, model health.
    Cognition,
    /// The gate's checks: limits, collar, margin, rates.
    Risk,
    /// The strategy version holds a valid certificate.
    Performance,
}

/// One layer's yes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Whose.
    pub layer: Layer,
    /// For exactly this order.
    pub order: OrderHash,
    /// On what grounds: short `name=value` pairs, exact numbers only.
    pub grounds: Vec<(String, String)>,
}

/// Why fewer than three approvals can suffice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Clearance {
    /// All three layers agree.
    Full,
    /// Worst-case revaluation proves that the order lowers risk: the risk approval suffices.
    RiskReducing,
}
