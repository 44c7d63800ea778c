//! What is told of orders and positions while the broker can't be reached: how they stood when it
//! was lost.
//!
//! Whoever asks during an outage must not learn what only the broker knows: an order that filled
//! since then is told as working, its executions are not told.

use super::World;
use exchange::{OpenOrder, Position};
use market::instrument::ConId;
use market::time::{Now, Timestamp};

/// How things stood when the broker was lost.
#[derive(Debug)]
pub struct LastKnown {
    at: Timestamp,
    orders: Vec<OpenOrder>,
    positions: Vec<(ConId, Position)>,
}

impl World {
    /// Keeps how things stand; a second loss changes nothing.
    pub(super) fn lose_broker(&mut self, now: Now) {
        if self.faults.outage.is_none() {
            let orders = self.exchange.open_orders().cloned().collect();
            let positions = self.exchange.book_positions().collect();
            self.faults.outage = Some(LastKnown { at: now.market, orders, positions });
        }
    }

    /// The working orders, as far as they are known.
    pub(super) fn known_orders(&self) -> Vec<OpenOrder> {
        match &self.faults.outage {
            Some(known) => known.orders.clone(),
            None => self.exchange.open_orders().cloned().collect(),
        }
    }

    /// The positions, as far as they are known.
    pub(super) fn known_positions(&self) -> Vec<(ConId, Position)> {
        match &self.faults.outage {
            Some(known) => known.positions.clone(),
            None => self.exchange.book_positions().collect(),
        }
    }

    /// Executions and ends of orders after this instant are not known.
    pub(super) fn known_until(&self) -> Timestamp {
        self.faults.outage.as_ref().map_or(Timestamp::MAX, |known| known.at)
    }
}
