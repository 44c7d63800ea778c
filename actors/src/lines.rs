//! The data lines of one product: which instruments, in which order, and the slots from the feed to
//! the pricing book. Feed and book number lines alike, so that a quote travels as a small integer.
//!
//! Lines are only added while the process lives; their number is bounded at the start.

use crate::runtime::slot::LineSlots;
use market::instrument::{ConId, Instrument};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use valuation::book::LineUpdate;

/// The most lines that one product may have in the life of a process: IB's own limit of market data
/// lines is far below it, and the built-in market lists about 40 options a day.
pub const PRODUCT_LINES_MAX: usize = 16_384;

/// More instruments were listed than a product has lines.
#[derive(Debug, thiserror::Error)]
#[error("{symbol} has used all {PRODUCT_LINES_MAX} lines, restart the node to drop expired ones")]
pub struct LinesExhausted {
    /// The product.
    pub symbol: String,
}

/// Shared by the feed, the book and whoever lists instruments.
#[derive(Debug)]
pub struct ProductLines {
    symbol: String,
    instruments: RwLock<Vec<Arc<Instrument>>>,
    quotes: LineSlots<LineUpdate>,
}

impl ProductLines {
    /// A product without lines.
    #[must_use]
    pub fn new(symbol: &str) -> Self {
        Self {
            symbol: symbol.to_owned(),
            instruments: RwLock::default(),
            quotes: LineSlots::new(PRODUCT_LINES_MAX),
        }
    }

    /// The product's root symbol.
    #[must_use]
    pub fn symbol(&self) -> &str {
        &self.symbol
    }

    /// Adds the instruments that have no line yet; true if any was added.
    ///
    /// # Errors
    /// When all lines are used; none was added then.
    pub fn add<'a>(
        &self,
        instruments: impl IntoIterator<Item = &'a Instrument>,
    ) -> Result<bool, LinesExhausted> {
        let mut lines = self.instruments.write().unwrap_or_else(PoisonError::into_inner);
        let known: std::collections::BTreeSet<ConId> =
            lines.iter().map(|instrument| instrument.con_id).collect();
        let new: Vec<Arc<Instrument>> = instruments
            .into_iter()
            .filter(|instrument| !known.contains(&instrument.con_id))
            .map(|instrument| Arc::new(instrument.clone()))
            .collect();
        if lines.len() + new.len() > PRODUCT_LINES_MAX {
            return Err(LinesExhausted { symbol: self.symbol.clone() });
        }
        let added = !new.is_empty();
        lines.extend(new);
        Ok(added)
    }

    /// The instruments, by line.
    pub fn instruments(&self) -> RwLockReadGuard<'_, Vec<Arc<Instrument>>> {
        self.instruments.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The slots from the feed to the book.
    #[must_use]
    pub const fn quotes(&self) -> &LineSlots<LineUpdate> {
        &self.quotes
    }
}
