//! Makes the built-in strategies from tomes.
//!
//! The one place that knows which kinds exist; the wiring hands in what a tome can't say: the
//! catalog, the keys of this process life, and the durable part of the last one.

use crate::credit_spread::CreditSpread;
use crate::gamma_scalper::GammaScalper;
use crate::strategy::{KeySource, Strategy};
use crate::tome::{Parameters, Tome};
use market::instrument::Catalog;
use trading::id::StrategyId;

/// Why a tome can't become a strategy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The catalog has nothing of the product.
    #[error(
        "{id}.json: symbol is {symbol}, of which the catalog has no instrument; \
             load its reference data or name another"
    )]
    UnknownSymbol {
        /// The tome.
        id: StrategyId,
        /// Its symbol.
        symbol: String,
    },
    /// The strategy hedges, but the options' underlying can't be traded.
    #[error(
        "{id}.json: symbol is {symbol}, allowed are products with a stock or future to hedge \
             with; {option} is written on something that can't be traded"
    )]
    NoHedge {
        /// The tome.
        id: StrategyId,
        /// Its symbol.
        symbol: String,
        /// An option of it.
        option: String,
    },
    /// The durable part does not decode.
    #[error(
        "the durable part of {id} can't be read: {reason}; start it clean, flat and quarantined"
    )]
    Durable {
        /// The tome.
        id: StrategyId,
        /// What is wrong.
        reason: String,
    },
}

/// The strategy that a tome describes. `durable` is what an earlier life's
/// [`Strategy::durable`] gave, if there was one.
pub fn build(
    tome: &Tome,
    catalog: &Catalog,
    keys: KeySource,
    durable: Option<&[u8]>,
) -> Result<Box<dyn Strategy>, BuildError> {
    Ok(match &tome.parameters {
        Parameters::GammaScalper(own) => {
            Box::new(GammaScalper::new(tome, own, catalog, keys, durable)?)
        }
        Parameters::CreditSpread(own) => {
            Box::new(CreditSpread::new(tome, own, catalog, keys, durable)?)
        }
    })
}
