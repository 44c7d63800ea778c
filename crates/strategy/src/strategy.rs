//! The seam between the node and a strategy: events in, effects out.
//!
//! A strategy is a plain machine. It is told its position by `Attached` before it may wish for
//! anything, it names targets rather than trades, and it is told what became of each intent. What
//! is left to others: netting and sending (desk), permission (risk), durability (the shell, which
//! journals [`Strategy::durable`] whenever a [`StrategyEffect::Durable`] comes out).

use market::instrument::{ConId, Instrument};
use market::money::Quantity;
use market::time::{Now, Timestamp};
use std::collections::BTreeMap;
use trading::denial::Denial;
use trading::id::{Epoch, InstallId, IntentKey, OrderId, StrategyId};
use trading::intent::{Intent, Target};
use trading::report::{EndState, Fill};
use trading::trading_state::TradingState;
use valuation::view::MarketView;

/// A strategy instance.
pub trait Strategy: Send {
    /// Takes one event and says what it wants done.
    fn on(&mut self, event: StrategyEvent<'_>, now: Now) -> Vec<StrategyEffect>;

    /// The market time at which it wants a [`StrategyEvent::Wake`], if none comes before.
    fn next_wake(&self) -> Option<Timestamp>;

    /// Its durable part, as JSON: what a later life of it is made with. Integers only.
    fn durable(&self) -> Vec<u8>;

    /// A new listing of its product. One that is not told of it does not trade it.
    fn listed(&mut self, _instrument: &Instrument) {}
}

/// What a strategy is told.
#[derive(Clone, Debug)]
pub enum StrategyEvent<'a> {
    /// The desk knows it and this is where it stands. Before this no intent may come out.
    Attached {
        /// Its position per instrument; what is absent is flat.
        positions: BTreeMap<ConId, Quantity>,
        /// Its intents that are still at work, or Unknown.
        live: Vec<LiveIntent>,
        /// The first sequence number that it may use in this epoch.
        next_seq: u32,
    },
    /// The market of its product.
    Market(&'a MarketView),
    /// What became of an intent of its own.
    Outcome {
        /// Which.
        key: IntentKey,
        /// What.
        outcome: Outcome,
    },
    /// One of its orders traded: its position moves by it. A correction is followed by
    /// `PositionsChanged`.
    Filled {
        /// The execution.
        fill: &'a Fill,
    },
    /// Its whole position after anything but a plain fill: an expiry, an assignment, a correction.
    PositionsChanged(BTreeMap<ConId, Quantity>),
    /// The strictest trading state that applies to it.
    StateChanged(TradingState),
    /// The time of [`Strategy::next_wake`] has come.
    Wake,
}

/// An intent that the desk still works on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveIntent {
    /// Its key.
    pub key: IntentKey,
    /// What it aims at.
    pub target: Target,
    /// Units not yet filled.
    pub remaining: Quantity,
    /// Nobody knows whether its order lives.
    pub unknown: bool,
}

/// What became of an intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is an order.
    Accepted {
        /// Which.
        order_id: OrderId,
    },
    /// There was nothing to do: position and working orders already serve the target.
    Satisfied,
    /// The node denied it.
    Denied(Denial),
    /// Its order ended.
    Ended {
        /// How.
        end: EndState,
        /// Units filled.
        filled: Quantity,
    },
    /// Its order was Unknown and is given up; the key is burnt.
    Abandoned,
}

/// What a strategy wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StrategyEffect {
    /// Serve this wish.
    Intent(Intent),
    /// The durable part has changed.
    Durable,
    /// It can't go on, for this reason; its quarantine policy applies.
    Quarantine(String),
}

/// Makes the keys of one strategy in one epoch; sequence numbers only rise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySource {
    /// The installation.
    pub install: InstallId,
    /// The process life.
    pub epoch: Epoch,
    /// Whose keys.
    pub strategy: StrategyId,
    /// The next sequence number.
    pub next_seq: u32,
}

impl KeySource {
    /// The next key; `None` when all numbers of the epoch are used up.
    pub fn draw(&mut self) -> Option<IntentKey> {
        let seq = self.next_seq;
        self.next_seq = seq.checked_add(1)?;
        Some(IntentKey {
            install: self.install,
            epoch: self.epoch,
            strategy: self.strategy.clone(),
            seq,
        })
    }

    /// Never draws below `next_seq` again.
    pub fn skip_to(&mut self, next_seq: u32) {
        self.next_seq = self.next_seq.max(next_seq);
    }
}

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
