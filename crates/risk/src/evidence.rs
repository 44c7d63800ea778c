//! What a decision of the gate rested on, in integers: the desk maps it into its records.

use market::instrument::ConId;
use market::money::Price;
use market::time::Timestamp;
use trading::trading_state::{HaltEpoch, TradingState};

/// One instrument's data as the gate saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuoteSeen {
    /// The instrument.
    pub con_id: ConId,
    /// Bid, if any.
    pub bid: Option<Price>,
    /// Ask, if any.
    pub ask: Option<Price>,
    /// When the market said so.
    pub quote_time: Timestamp,
    /// Live, two-sided, valid, and it contained the model value.
    pub fresh: bool,
    /// Confirmed live in this generation.
    pub live: bool,
    /// Model value, if there was one.
    pub fair: Option<Price>,
    /// Its standard error.
    pub fair_error: Option<Price>,
}

/// One limited figure: `after_milli` is at most `bound_milli`, or at most `before_milli` where that
/// was outside already. Thousandths of the limit's unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitSeen {
    /// Which limit, such as `delta/SIM`.
    pub limit: String,
    /// Worst case before the order.
    pub before_milli: i64,
    /// Worst case with it.
    pub after_milli: i64,
    /// The bound.
    pub bound_milli: i64,
}

/// The evidence of one decision.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct GateEvidence {
    /// Version of the market view of the first leg's symbol.
    pub view_version: u64,
    /// The data of each leg and of each leg's underlying.
    pub quotes: Vec<QuoteSeen>,
    /// Every figure that was compared, in the order of the checks.
    pub limits: Vec<LimitSeen>,
    /// Which pricing kernel made the model values.
    pub kernel: String,
    /// The strictest trading state that applied.
    pub trading_state: TradingState,
    /// The halt epoch under which it was decided.
    pub halt_epoch: HaltEpoch,
    /// The broker link was reconciled.
    pub link_ready: bool,
}
