//! Looks instruments, lines and sensitivities up, and turns a missing one into a typed refusal.
//!
//! Nothing here guesses: an instrument without reference data, a line without Greeks, a NaN, each
//! is [`Unavailable`], and what can't be valued can't be cleared.

use crate::worst_case::milli;
use market::instrument::{Catalog, ConId, Deliverable, Instrument, OptionTerms};
use market::money::Price;
use valuation::view::{Line, Markets};

/// A figure that risk needs is missing or not a number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub String);

/// Reference data and views of one moment.
#[derive(Clone, Copy, Debug)]
pub struct Valuing<'a> {
    /// All instruments.
    pub catalog: &'a Catalog,
    /// The views by root symbol.
    pub markets: &'a Markets,
}

impl<'a> Valuing<'a> {
    /// The instrument.
    pub fn instrument(&self, con_id: ConId) -> Result<&'a Instrument, Unavailable> {
        self.catalog.get(con_id).map_err(|error| Unavailable(error.to_string()))
    }

    /// The root symbol.
    pub fn symbol(&self, con_id: ConId) -> Result<&'a str, Unavailable> {
        self.instrument(con_id).map(|instrument| instrument.symbol.as_str())
    }

    /// The line.
    pub fn line(&self, con_id: ConId) -> Result<Line<'a>, Unavailable> {
        let instrument = self.instrument(con_id)?;
        let view = self.markets.get(&instrument.symbol);
        view.and_then(|view| view.line(con_id)).ok_or_else(|| {
            Unavailable(format!("{} has no line in any market view", instrument.local_symbol))
        })
    }

    /// What exposure in this instrument is grouped by: an option's underlying, else itself.
    pub fn group(&self, con_id: ConId) -> Result<ConId, Unavailable> {
        let instrument = self.instrument(con_id)?;
        Ok(instrument.option().map_or(con_id, |terms| terms.underlying))
    }

    /// Units of the underlying that one contract stands for (after corporate actions: delivers).
    pub fn units(&self, con_id: ConId) -> Result<i64, Unavailable> {
        let instrument = self.instrument(con_id)?;
        Ok(match instrument.option() {
            Some(OptionTerms { deliverable: Deliverable::Adjusted { units, .. }, .. }) => *units,
            _ => i64::from(instrument.multiplier.0),
        })
    }

    /// Delta of one contract in thousandths of a unit of the underlying.
    pub fn delta_milli(&self, con_id: ConId) -> Result<i64, Unavailable> {
        self.contract_milli(con_id, "delta", |greeks| greeks.delta)
    }

    /// Vega of one contract in thousandths of a unit of currency per point of volatility.
    pub fn vega_milli(&self, con_id: ConId) -> Result<i64, Unavailable> {
        self.contract_milli(con_id, "vega", |greeks| greeks.vega / 100.0)
    }

    fn contract_milli(
        &self,
        con_id: ConId,
        name: &str,
        of: impl Fn(valuation::view::UnitGreeks) -> f64,
    ) -> Result<i64, Unavailable> {
        let instrument = self.instrument(con_id)?;
        let greeks = self.line(con_id)?.greeks().map(of);
        greeks
            .and_then(|unit| milli(unit * f64::from(instrument.multiplier.0)))
            .ok_or_else(|| Unavailable(format!("{} has no usable {name}", instrument.local_symbol)))
    }

    /// The price per unit that it is marked at: the quoted mid, else the model value.
    pub fn mark(&self, con_id: ConId) -> Result<Price, Unavailable> {
        let line = self.line(con_id)?;
        let model = || match line {
            Line::Option(option, _) => option.fair.and_then(|fair| Price::from_f64(fair.price)),
            Line::Underlying(_) => None,
        };
        line.quote().mid().or_else(model).ok_or_else(|| {
            Unavailable(format!("con {con_id} has neither a two-sided quote nor a model value"))
        })
    }
}
