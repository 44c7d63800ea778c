//! Takes new listings in while the node runs: catalog, lines, feeds, strategies and the auditor.

use crate::feed::FeedMessage;
use crate::messages::{CaretakerMessage, StrategyMessage};
use crate::node::NodeParts;
use market::instrument::{Catalog, Instrument};
use std::sync::Arc;

/// Where new listings go.
#[derive(Clone)]
pub struct Listing {
    parts: NodeParts,
    alarm: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Listing {
    /// Listings of a node.
    #[must_use]
    pub fn new(parts: NodeParts, alarm: Arc<dyn Fn(&str) + Send + Sync>) -> Self {
        Self { parts, alarm }
    }

    /// Takes instruments in; those that are known change nothing.
    pub fn take(&self, instruments: &[Instrument]) {
        let mut catalog = Catalog::clone(&self.parts.catalog.load());
        let known = catalog.len();
        for instrument in instruments {
            if let Err(error) = catalog.insert(instrument.clone()) {
                (self.alarm)(&error.to_string());
            }
        }
        if catalog.len() == known {
            return;
        }
        self.parts.catalog.store(Arc::new(catalog));
        self.parts.audit.add_instruments(instruments);
        for (symbol, seat) in &self.parts.products {
            let own: Vec<Instrument> =
                instruments.iter().filter(|one| one.symbol == *symbol).cloned().collect();
            match seat.lines.add(&own) {
                Ok(true) => {
                    // A feed that is down subscribes to all lines when it starts.
                    let _ = seat.feed.send(FeedMessage::Listed);
                }
                Ok(false) => continue,
                Err(error) => (self.alarm)(&error.to_string()),
            }
            let own: Arc<[Instrument]> = own.into();
            for strategy in self.parts.strategies.values() {
                // One that is down reads the catalog when it starts.
                let _ = strategy.send(StrategyMessage::Listed(Arc::clone(&own)));
            }
            // As above.
            let _ = self.parts.caretaker.send(CaretakerMessage::Listed(own));
        }
    }
}
