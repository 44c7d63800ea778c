//! The desk's picture for everyone else: positions, orders, cash, results. A copy, swapped in
//! whole; nobody decides about orders from it.

use crate::state::State;
use market::instrument::{ConId, Contract};
use market::money::{Currency, Money, Price, Quantity};
use market::quote::Side;
use risk::exposure::Exposure;
use risk::gate::DayResult;
use std::collections::BTreeMap;
use trading::id::{IntentKey, OrderId, PermId, StrategyId};

use crate::order_state::OrderState;

/// Ended orders that a view shows, the newest.
const ENDED_SHOWN: usize = 50;

/// One order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderView {
    /// Our number.
    pub order_id: OrderId,
    /// Its reference.
    pub key: IntentKey,
    /// The broker's numbers.
    pub perm_ids: Vec<PermId>,
    /// What it is for.
    pub contract: Contract,
    /// Bought or sold.
    pub side: Side,
    /// Total units.
    pub quantity: Quantity,
    /// Units filled in every leg.
    pub filled: Quantity,
    /// The limit that works.
    pub limit: Price,
    /// Where it is.
    pub state: OrderState,
    /// A modify is in flight.
    pub modifying: bool,
}

/// One strategy's books.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct StrategyView {
    /// Signed positions.
    pub positions: BTreeMap<ConId, Quantity>,
    /// Cash that its trading brought, less its fees.
    pub cash: BTreeMap<Currency, Money>,
    /// Result of what it closed, before fees.
    pub realised: BTreeMap<Currency, Money>,
    /// Fees paid.
    pub fees: BTreeMap<Currency, Money>,
}

/// The desk at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeskView {
    /// Intents may become orders.
    pub ready: bool,
    /// Per strategy.
    pub strategies: BTreeMap<StrategyId, StrategyView>,
    /// The account's positions and everything that may change them.
    pub exposure: Exposure,
    /// All live orders and the newest that ended.
    pub orders: Vec<OrderView>,
    /// Cash per currency.
    pub cash: BTreeMap<Currency, Money>,
    /// Realised per currency, since the ledger began.
    pub realised: BTreeMap<Currency, Money>,
    /// Fees per currency, since the ledger began.
    pub fees: BTreeMap<Currency, Money>,
    /// Of the exchange day.
    pub day: DayResult,
    /// Contracts that trade ReduceOnly, and why.
    pub restricted: BTreeMap<ConId, String>,
}

impl DeskView {
    /// The view of a state, valued at `marks`.
    #[must_use]
    pub fn of(state: &State, ready: bool, marks: &BTreeMap<ConId, Price>) -> Self {
        let ledger = &state.ledger;
        let strategies = ledger.strategies().into_iter().map(|strategy| {
            let view = StrategyView {
                positions: ledger.strategy_positions(&strategy),
                cash: ledger.strategy_cash(&strategy),
                realised: ledger.strategy_realised(&strategy),
                fees: ledger.strategy_fees(&strategy),
            };
            (strategy, view)
        });
        let shown = state.orders.newest(ENDED_SHOWN).into_iter();
        let orders = shown.map(|(order_id, entry)| OrderView {
            order_id: *order_id,
            key: entry.order.key.clone(),
            perm_ids: entry.perm_ids.iter().copied().collect(),
            contract: entry.order.contract.clone(),
            side: entry.order.side,
            quantity: entry.order.quantity,
            filled: entry.filled_units(),
            limit: entry.order.limit,
            state: entry.state(),
            modifying: entry.modify.is_some(),
        });
        Self {
            ready,
            strategies: strategies.collect(),
            exposure: state.exposure(None),
            orders: orders.collect(),
            cash: ledger.cash(),
            realised: ledger.realised(),
            fees: ledger.fees().clone(),
            day: state.day_result(marks),
            restricted: state.restricted.clone(),
        }
    }
}
