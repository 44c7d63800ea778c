//! One step of a market, wherever its quotes come from.

use market::instrument::{ConId, Instrument};
use market::quote::Quote;
use market::time::Timestamp;

/// What the market says at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MarketStep {
    /// When it becomes known.
    pub time: Timestamp,
    /// Instruments that are listed from here on.
    pub listed: Vec<Instrument>,
    /// The quotes that changed, by rising con id.
    pub quotes: Vec<(ConId, Quote)>,
}
