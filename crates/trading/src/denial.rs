//! Denials: our own gate's no. A denied intent never leaves the process; a rejection is the
//! broker's.
//!
//! The codes are stable: they are metric labels, journal fields and the rows of the README's table.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! denial_codes {
    ($($(#[$doc:meta])* $name:ident => $code:literal,)*) => {
        /// Why the node denied an intent.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        pub enum DenialCode {
            $($(#[$doc])* #[serde(rename = $code)] $name,)*
        }

        impl DenialCode {
            /// Every code, in order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable code.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }
        }
    };
}

denial_codes! {
    /// The account, underlying or strategy is halted.
    Halted => "HALTED",
    /// Only risk-reducing orders pass, and this one does not provably reduce it.
    ReduceOnly => "REDUCE_ONLY",
    /// The broker link is not reconciled.
    NotReady => "NOT_READY",
    /// An expected downtime of the broker is near or due: only risk-reducing orders pass.
    BrokerDowntime => "BROKER_DOWNTIME",
    /// The strategy has not been told its position since its last start.
    StrategyNotAttached => "STRATEGY_NOT_ATTACHED",
    /// The key was used before.
    DuplicateKey => "DUPLICATE_KEY",
    /// The same contract, side, quantity and price was sent within the window.
    DuplicateIntent => "DUPLICATE_INTENT",
    /// The intent's validity had ended.
    IntentExpired => "INTENT_EXPIRED",
    /// An order of this strategy in this contract is not settled (working, cancel pending,
    /// Unknown).
    OrderInTheWay => "ORDER_IN_THE_WAY",
    /// The legs of the combo ask for different numbers of units.
    UnevenLegs => "UNEVEN_LEGS",
    /// The contract is not in the catalog.
    UnknownContract => "UNKNOWN_CONTRACT",
    /// The contract no longer trades, or its session is closed.
    NotTradable => "NOT_TRADABLE",
    /// The contract has an order whose fate is not known.
    UnknownOrder => "UNKNOWN_ORDER",
    /// A quote or model value is missing, stale, not live or fails a quality gate.
    StaleData => "STALE_DATA",
    /// The limit price is not a multiple of the tick.
    PriceIncrement => "PRICE_INCREMENT",
    /// The limit lies too far from the quoted mid.
    CollarQuote => "COLLAR_QUOTE",
    /// The limit lies too far from the model value, or there is none.
    CollarModel => "COLLAR_MODEL",
    /// More contracts than one order may have.
    QuantityLimit => "QUANTITY_LIMIT",
    /// More premium than one order may move.
    PremiumLimit => "PREMIUM_LIMIT",
    /// The margin after the worst case exceeds the limit.
    MarginLimit => "MARGIN_LIMIT",
    /// It could leave a short option that nothing covers.
    ShortNaked => "SHORT_NAKED",
    /// More orders in a second than allowed.
    OrderRate => "ORDER_RATE",
    /// Too many open orders in the contract on one side.
    OpenOrders => "OPEN_ORDERS",
    /// The worst-case net delta of the underlying exceeds its limit.
    DeltaLimit => "DELTA_LIMIT",
    /// The worst-case net vega of the underlying exceeds its limit.
    VegaLimit => "VEGA_LIMIT",
    /// The day's loss has reached its limit.
    DailyLoss => "DAILY_LOSS",
    /// Cognition: the volatility regime is not one that the strategy is made for.
    RegimeVeto => "REGIME_VETO",
    /// Cognition: the data or the model is not healthy.
    DataQualityVeto => "DATA_QUALITY_VETO",
    /// Performance: no valid certificate for this code, parameters and data.
    Uncertified => "UNCERTIFIED",
    /// Too much is not yet durable.
    JournalBehind => "JOURNAL_BEHIND",
    /// A risk figure is missing or not a number.
    RiskUnavailable => "RISK_UNAVAILABLE",
}

impl fmt::Display for DenialCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// One denial: its code and a sentence with the figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {sentence}")]
pub struct Denial {
    /// The stable code.
    pub code: DenialCode,
    /// What was wrong, with the figures and the limit.
    pub sentence: String,
}

impl Denial {
    /// A denial.
    #[must_use]
    pub const fn new(code: DenialCode, sentence: String) -> Self {
        Self { code, sentence }
    }
}
