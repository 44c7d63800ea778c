//! What the gate cleared a moment ago: for the order rate and for the duplicate window.
//!
//! Both look at process time and are forgotten at a restart, which costs at most one window:
//! intents don't repeat after a restart because the desk nets them against what it has.

use market::instrument::Contract;
use market::money::{Price, Quantity};
use market::quote::Side;
use market::time::ProcessTime;
use std::collections::VecDeque;
use std::time::Duration;
use trading::order::Order;

const RATE_WINDOW: Duration = Duration::from_secs(1);

/// The clearances of the last second, bounded by the rate itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct RateWindow(VecDeque<ProcessTime>);

impl RateWindow {
    /// How many there were within the second before `now`.
    pub fn count(&mut self, now: ProcessTime) -> usize {
        while self.0.front().is_some_and(|first| now.since(*first) >= RATE_WINDOW) {
            self.0.pop_front();
        }
        self.0.len()
    }

    pub fn record(&mut self, now: ProcessTime) {
        self.0.push_back(now);
    }
}

/// The orders of the last window; bounded by rate times window.
#[derive(Clone, Debug, Default)]
pub(crate) struct DuplicateWindow(VecDeque<(ProcessTime, Contract, Side, Quantity, Price)>);

impl DuplicateWindow {
    /// Forgets what is older than `window`.
    pub fn forget(&mut self, window: Duration, now: ProcessTime) {
        while self.0.front().is_some_and(|first| now.since(first.0) >= window) {
            self.0.pop_front();
        }
    }

    /// Whether the same contract, side, quantity and price is remembered.
    pub fn contains(&self, order: &Order) -> bool {
        self.0.iter().any(|(_, contract, side, quantity, limit)| {
            *contract == order.contract
                && *side == order.side
                && *quantity == order.quantity
                && *limit == order.limit
        })
    }

    pub fn record(&mut self, order: &Order, now: ProcessTime) {
        self.0.push_back((now, order.contract.clone(), order.side, order.quantity, order.limit));
    }
}
