//! A market, and a gate that says yes: every instrument has a fresh line and a model value, the
//! other layers agree, and no limit binds. So every order of these tests is written on a clearance
//! that the gate made for it, and only what the wire does to it is in question.

use super::{START, listed};
use desk::desk::{Backlog, Context, Surroundings};
use market::instrument::{Catalog, Instrument, InstrumentKind};
use market::money::{Money, Price};
use market::quote::{Level, Quote};
use market::time::{Now, ProcessTime, Timestamp};
use risk::cleared::Cleared;
use risk::exposure::Exposure;
use risk::gate::{DayResult, Gate, GateInput};
use risk::limits::Limits;
use risk::setting::PerSymbol;
use std::collections::BTreeMap;
use std::sync::Arc;
use trading::approval::{Approval, Layer};
use trading::denial::Denial;
use trading::intent::Purpose;
use trading::order::Order;
use trading::trading_state::TradingStates;
use valuation::view::{
    ChainView, DataState, FairValue, MarketView, Markets, OptionLine, RegimeView, UnderlyingLine,
    UnitGreeks,
};

pub struct Market {
    markets: Markets,
    catalog: Catalog,
    states: TradingStates,
    now: Timestamp,
}

impl Market {
    /// What the venue lists from its first moment on.
    pub fn new() -> Self {
        Self::of(listed(), START)
    }

    /// What is listed, as it stands at one moment for good.
    pub fn of(instruments: Vec<Instrument>, now: Timestamp) -> Self {
        let mut catalog = Catalog::default();
        let mut views: BTreeMap<String, MarketView> = BTreeMap::new();
        for instrument in instruments {
            let view = views.entry(instrument.symbol.clone()).or_insert_with(|| MarketView {
                symbol: instrument.symbol.clone(),
                version: 1,
                time: now,
                underlyings: Vec::new(),
                chains: BTreeMap::new(),
                surface: None,
                regime: RegimeView::default(),
            });
            show(view, &instrument, now);
            catalog.insert(instrument).unwrap();
        }
        let markets = views.into_iter().map(|(symbol, view)| (symbol, Arc::new(view))).collect();
        Self { markets, catalog, states: TradingStates::default(), now }
    }

    /// The world as the desk is told it.
    pub fn context(&self) -> Context<'_> {
        Context {
            markets: &self.markets,
            catalog: &self.catalog,
            states: &self.states,
            margin_used: Money::ZERO,
            backlog: Backlog::default(),
            surroundings: &Agreeing,
        }
    }

    /// Has the gate clear an order, or a change of one that works.
    pub fn clear(&self, gate: &mut Gate, order: &Order, modify: bool) -> Cleared<Order> {
        let input = GateInput {
            order,
            purpose: Purpose::Entry,
            is_modify_of_remaining: modify.then_some(order.quantity),
            exposure: &Exposure::default(),
            markets: &self.markets,
            catalog: &self.catalog,
            states: &self.states,
            link_ready: true,
            day: DayResult { unrealised: Some(Money::ZERO), ..DayResult::default() },
            margin_used: Money::ZERO,
            cognition: Agreeing.cognition(order),
            performance: Agreeing.performance(order),
            session_open: true,
            entries_frozen: None,
            desk_generation: 0,
            now: Now { market: self.now, process: ProcessTime::ZERO },
        };
        gate.clear(input).map_err(|(denial, _)| denial).expect("the gate clears it")
    }
}

/// Adds the line of an instrument to its product's view.
fn show(view: &mut MarketView, instrument: &Instrument, now: Timestamp) {
    let level = |price| Some(Level { price: Price::parse(price).unwrap(), size: 100 });
    let quote = Quote { bid: level("9.95"), ask: level("10.05"), time: now };
    let con_id = instrument.con_id;
    let terms = match &instrument.kind {
        InstrumentKind::Option(terms) | InstrumentKind::FutureOption(terms) => terms,
        InstrumentKind::Stock | InstrumentKind::Index | InstrumentKind::Future(_) => {
            view.underlyings.push(UnderlyingLine { con_id, quote, state: DataState::Fresh });
            view.underlyings.sort_by_key(|line| line.con_id);
            return;
        }
    };
    let chain = view.chains.entry((terms.underlying, terms.expiry)).or_insert_with(|| {
        Arc::new(ChainView {
            underlying: terms.underlying,
            expiry: terms.expiry,
            last_trade: terms.last_trade,
            years: 0.1,
            forward: 100.0,
            discount: 1.0,
            at_the_money_vol: Some(0.3),
            lines: Vec::new(),
            version: 1,
            time: now,
        })
    });
    let chain = Arc::make_mut(chain);
    chain.lines.push(OptionLine {
        con_id,
        right: terms.right,
        strike: terms.strike,
        quote,
        state: DataState::Fresh,
        implied_vol: Some(0.3),
        fair: Some(FairValue { price: 10.0, standard_error: 0.02, vol: 0.3 }),
        greeks: Some(UnitGreeks { delta: 0.5, gamma: 0.01, vega: 10.0, theta: -3.0, rho: 1.0 }),
    });
    chain.lines.sort_by_key(|line| line.con_id);
}

/// A gate whose limits never bind.
pub fn gate() -> Gate {
    const MANY: u32 = 1_000_000;
    let fortune = Money::from_units(1_000_000_000_000);
    let mut limits = Limits {
        quantity_max_contracts: i64::from(MANY),
        quantity_max_shares: i64::from(MANY),
        premium_max: fortune,
        margin_max: fortune,
        collar_quote_ticks_min: MANY,
        collar_model_ticks_min: MANY,
        duplicate_window_ms: 0,
        orders_per_second_max: MANY,
        open_orders_per_side_max: MANY,
        delta_max_shares: PerSymbol::all(1_000_000_000),
        vega_max_per_point: PerSymbol::all(1_000_000_000),
        short_naked_max_shares: PerSymbol::all(1_000_000_000),
        daily_loss_max: fortune,
        ..Limits::default()
    };
    limits.risk_reducing.orders_per_second_max = MANY;
    limits.risk_reducing.quantity_max_shares = i64::from(MANY);
    limits.risk_reducing.collar_quote_ticks_min = MANY;
    limits.risk_reducing.collar_model_ticks_min = MANY;
    Gate::new(limits)
}

/// The other layers, and a session that never closes.
struct Agreeing;

impl Surroundings for Agreeing {
    fn cognition(&self, order: &Order) -> Result<Approval, Denial> {
        Ok(approval(Layer::Cognition, order))
    }
    fn performance(&self, order: &Order) -> Result<Approval, Denial> {
        Ok(approval(Layer::Performance, order))
    }
    fn session_open(&self, _: &Order, _: Timestamp) -> bool {
        true
    }
    fn entries_frozen(&self, _: Timestamp) -> Option<String> {
        None
    }
    fn time_in_force_end(&self, _: &Order, _: Timestamp) -> Option<Timestamp> {
        None
    }
}

fn approval(layer: Layer, order: &Order) -> Approval {
    Approval { layer, order: order.canonical_hash(), grounds: Vec::new() }
}
