//! What a built-in strategy knows of its product's instruments: kinds, multipliers, ticks.
//!
//! A copy of the catalog's part for one root symbol, to which new listings are added. Quotes are in
//! the views, not here.

use market::instrument::{
    Catalog, Combo, ConId, Contract, Deliverable, Instrument, InstrumentKind, OptionTerms,
};
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub(crate) struct Product {
    symbol: String,
    instruments: BTreeMap<ConId, Instrument>,
}

impl Product {
    pub(crate) fn new(symbol: &str, catalog: &Catalog) -> Self {
        let own = catalog.iter().filter(|one| one.symbol == symbol);
        Self {
            symbol: symbol.to_owned(),
            instruments: own.map(|one| (one.con_id, one.clone())).collect(),
        }
    }

    pub(crate) fn symbol(&self) -> &str {
        &self.symbol
    }

    pub(crate) fn add(&mut self, instrument: &Instrument) {
        if instrument.symbol == self.symbol {
            let known = self.instruments.entry(instrument.con_id);
            known.or_insert_with(|| instrument.clone());
        }
    }

    pub(crate) fn get(&self, con_id: ConId) -> Option<&Instrument> {
        self.instruments.get(&con_id)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.instruments.is_empty()
    }

    /// An option whose contract still delivers what its class says: others are never opened.
    pub(crate) fn standard_option(&self, con_id: ConId) -> Option<&OptionTerms> {
        let terms = self.get(con_id)?.option()?;
        (terms.deliverable == Deliverable::Standard).then_some(terms)
    }

    /// A share or a future; an index can't be traded.
    pub(crate) fn is_hedge(&self, con_id: ConId) -> bool {
        let kind = self.get(con_id).map(|one| &one.kind);
        matches!(kind, Some(InstrumentKind::Stock | InstrumentKind::Future(_)))
    }

    /// The first option whose underlying can't be traded.
    pub(crate) fn unhedgeable_option(&self) -> Option<&Instrument> {
        let unhedgeable = |terms: &OptionTerms| !self.is_hedge(terms.underlying);
        self.instruments.values().find(|one| one.option().is_some_and(unhedgeable))
    }

    /// Ratios and instruments of a contract; `None` if one is not known.
    pub(crate) fn legs(&self, contract: &Contract) -> Option<Vec<(i32, &Instrument)>> {
        match contract {
            Contract::Single(con_id) => Some(vec![(1, self.get(*con_id)?)]),
            Contract::Combo(combo) => self.combo_legs(combo),
        }
    }

    fn combo_legs(&self, combo: &Combo) -> Option<Vec<(i32, &Instrument)>> {
        let legs = combo.legs().iter();
        legs.map(|leg| Some((leg.ratio, self.get(leg.con_id)?))).collect()
    }
}
