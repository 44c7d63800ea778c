//! The latest market view of each product, shared as immutable snapshots.
//!
//! Why beside the mailboxes: a view is read by many and only the newest matters. A reader takes the
//! `Arc` it finds and decides on that one; it never sees half of two.

use arc_swap::ArcSwapOption;
use std::collections::BTreeMap;
use std::sync::Arc;
use valuation::view::{MarketView, Markets};

/// One cell per product, fixed when the tree is made.
#[derive(Clone, Debug)]
pub struct Views(Arc<BTreeMap<String, ArcSwapOption<MarketView>>>);

impl Views {
    /// Empty cells for these products.
    #[must_use]
    pub fn new(symbols: impl IntoIterator<Item = String>) -> Self {
        let cell = |symbol| (symbol, ArcSwapOption::empty());
        Self(Arc::new(symbols.into_iter().map(cell).collect()))
    }

    /// Replaces a product's view. A product that has no cell is a bug of the wiring.
    ///
    /// # Panics
    /// If the product has no cell.
    pub fn publish(&self, view: Arc<MarketView>) {
        let cell = self.0.get(&view.symbol).expect("the wiring made a cell for each product");
        cell.store(Some(view));
    }

    /// The latest view of a product.
    #[must_use]
    pub fn latest(&self, symbol: &str) -> Option<Arc<MarketView>> {
        self.0.get(symbol).and_then(ArcSwapOption::load_full)
    }

    /// The latest views of all products that have one.
    #[must_use]
    pub fn markets(&self) -> Markets {
        let loaded = self
            .0
            .iter()
            .filter_map(|(symbol, cell)| cell.load_full().map(|view| (symbol.clone(), view)));
        loaded.collect()
    }

    /// The products.
    pub fn symbols(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}
