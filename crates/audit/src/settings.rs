//! What the auditor must be told: bounds that are promised in time or number, and the terms of
//! instruments, which no record holds.

use market::money::Currency;
use std::collections::BTreeMap;
use std::time::Duration;

/// At most so many restarts of a role within a sliding window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartBound {
    /// Restarts.
    pub restarts_max: u32,
    /// Length of the window.
    pub window: Duration,
}

/// The auditor's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditSettings {
    /// I12: the bound of roles that are not named.
    pub restart_bound: RestartBound,
    /// I12: bounds by the beginning of the role's path; the longest that fits counts.
    pub restart_bounds: BTreeMap<String, RestartBound>,
    /// I13: from the last fault's end until the node is reconciled.
    pub ready_budget: Duration,
    /// I15: least time between the two rounds that prove an order absent.
    pub unknown_settle: Duration,
    /// I6, I13: what was written before may arrive so much later. Zero where the tap is at the
    /// write.
    pub wire_grace: Duration,
}

impl Default for AuditSettings {
    fn default() -> Self {
        let ten_minutes = Duration::from_secs(600);
        Self {
            restart_bound: RestartBound { restarts_max: 10, window: ten_minutes },
            restart_bounds: BTreeMap::from([(
                "strategy/".to_owned(),
                RestartBound { restarts_max: 3, window: ten_minutes },
            )]),
            ready_budget: Duration::from_secs(60),
            unknown_settle: Duration::ZERO,
            wire_grace: Duration::ZERO,
        }
    }
}

/// The terms of an instrument that move money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstrumentTerms {
    /// Units of the underlying per contract; 1 for stocks.
    pub multiplier: u32,
    /// Only variation is paid, not value.
    pub is_future: bool,
    /// What it settles in.
    pub currency: Currency,
}
