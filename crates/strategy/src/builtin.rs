//! Makes the built-in strategies from tomes.
//!
//! The one place that knows which kinds exist; the wiring hands in what a tome can't say: the
//! catalog, the keys of this process life, and the durable part of the last one.

use crate::credit_spread::CreditSpread;
use crate::gamma_scalper::GammaScalper;
use crate::strategy::{BuildError, KeySource, Strategy};
use crate::tome::{Parameters, Tome};
use market::instrument::Catalog;

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
