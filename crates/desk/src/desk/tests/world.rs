//! Two stocks that always trade at 100, limits that never bind, and three layers that agree.

use crate::desk::{Backlog, Context, Desk, DeskConfig, DeskEvent, Effect, Surroundings};
use crate::reconcile::{Agreement, RoundResult};
use crate::record::{Evidence, Record};
use crate::state::State;
use market::instrument::{
    Catalog, Combo, ConId, Contract, Instrument, InstrumentKind, Leg, TickRule,
};
use market::money::{Currency, Money, Multiplier, Price, Quantity};
use market::quote::{Level, Quote, Side};
use market::time::{Now, ProcessTime, Timestamp};
use risk::gate::Gate;
use risk::limits::Limits;
use risk::setting::PerSymbol;
use std::collections::BTreeMap;
use std::sync::Arc;
use trading::approval::{Approval, Clearance, Layer};
use trading::denial::Denial;
use trading::id::{AccountId, Epoch, InstallId, IntentKey, OrderId, PermId, StrategyId};
use trading::intent::{Intent, Purpose, Target};
use trading::order::{Order, TimeInForce};
use trading::report::Fill;
use trading::trading_state::TradingStates;
use valuation::view::{DataState, MarketView, Markets, RegimeView, UnderlyingLine};

pub(super) const ONE: ConId = ConId(1);
pub(super) const TWO: ConId = ConId(2);
pub(super) const OPEN: i64 = 1_000_000;
/// When the day of all orders ends.
pub(super) const CLOSE: Timestamp = Timestamp::from_seconds(OPEN + 100_000);

pub(super) fn owner() -> StrategyId {
    StrategyId::new("scalper").unwrap()
}

pub(super) fn at(seconds: u64) -> Now {
    Now {
        market: Timestamp::from_seconds(OPEN + seconds as i64),
        process: ProcessTime::from_nanos(seconds * 1_000_000_000),
    }
}

pub(super) fn key(epoch: u32, seq: u32) -> IntentKey {
    IntentKey { install: InstallId(7), epoch: Epoch(epoch), strategy: owner(), seq }
}

pub(super) fn price(text: &str) -> Price {
    Price::parse(text).unwrap()
}

pub(super) fn spread() -> Contract {
    let leg = |con_id, ratio| Leg { con_id, ratio };
    Contract::Combo(Combo::new(vec![leg(ONE, 1), leg(TWO, -2)]).unwrap())
}

/// An intent for `units` of a contract.
pub(super) fn intent(key: IntentKey, contract: &Contract, units: i64, limit: &str) -> Intent {
    let units = Quantity(units);
    let target = match contract {
        Contract::Single(con_id) => Target::Single { con_id: *con_id, position: units },
        Contract::Combo(combo) => Target::Combo { combo: combo.clone(), units },
    };
    Intent {
        key,
        target,
        limit: price(limit),
        purpose: Purpose::Entry,
        valid_until: Timestamp::from_seconds(OPEN + 10_000),
        created: Timestamp::from_seconds(OPEN),
        view_version: 1,
    }
}

pub(super) struct Calendar;

impl Surroundings for Calendar {
    fn cognition(&self, order: &Order) -> Result<Approval, Denial> {
        Ok(approval(Layer::Cognition, order))
    }
    fn performance(&self, order: &Order) -> Result<Approval, Denial> {
        Ok(approval(Layer::Performance, order))
    }
    fn session_open(&self, _: &Order, at: Timestamp) -> bool {
        at < CLOSE
    }
    fn entries_frozen(&self, _: Timestamp) -> Option<String> {
        None
    }
    fn time_in_force_end(&self, _: &Order, _: Timestamp) -> Option<Timestamp> {
        Some(CLOSE)
    }
}

fn approval(layer: Layer, order: &Order) -> Approval {
    Approval { layer, order: order.canonical_hash(), grounds: vec![] }
}

pub(super) struct World {
    markets: Markets,
    pub(super) catalog: Catalog,
    pub(super) states: TradingStates,
    pub(super) backlog: Backlog,
}

impl World {
    pub(super) fn new() -> Self {
        let mut catalog = Catalog::default();
        let mut underlyings = Vec::new();
        for con_id in [ONE, TWO] {
            let stock = Instrument {
                con_id,
                symbol: "STK".to_owned(),
                local_symbol: format!("STK{con_id}"),
                exchange: "SIM".to_owned(),
                currency: Currency::USD,
                multiplier: Multiplier(1),
                tick: TickRule::flat(Price::from_micros(10_000)),
                trading_class: "STK".to_owned(),
                kind: InstrumentKind::Stock,
            };
            catalog.insert(stock).unwrap();
            let level = |text| Some(Level { price: price(text), size: 100 });
            underlyings.push(UnderlyingLine {
                con_id,
                quote: Quote {
                    bid: level("99.99"),
                    ask: level("100.01"),
                    time: Timestamp::from_seconds(OPEN),
                },
                state: DataState::Fresh,
            });
        }
        let view = MarketView {
            symbol: "STK".to_owned(),
            version: 1,
            time: Timestamp::from_seconds(OPEN),
            underlyings,
            chains: BTreeMap::new(),
            surface: None,
            regime: RegimeView::default(),
        };
        Self {
            markets: Markets::from([("STK".to_owned(), Arc::new(view))]),
            catalog,
            states: TradingStates::default(),
            backlog: Backlog::default(),
        }
    }

    pub(super) fn context(&self) -> Context<'_> {
        Context {
            markets: &self.markets,
            catalog: &self.catalog,
            states: &self.states,
            margin_used: Money::ZERO,
            backlog: self.backlog,
            surroundings: &Calendar,
        }
    }
}

pub(super) fn limits() -> Limits {
    Limits {
        quantity_max_contracts: 100_000,
        quantity_max_shares: 100_000,
        premium_max: Money::from_units(1_000_000_000),
        margin_max: Money::from_units(1_000_000_000),
        collar_quote_half_spreads: 1_000.0,
        collar_quote_ticks_min: 1_000_000,
        collar_model_ticks_min: 1_000_000,
        duplicate_window_ms: 0,
        orders_per_second_max: 100_000,
        open_orders_per_side_max: 1_000,
        delta_max_shares: PerSymbol::all(1_000_000),
        daily_loss_max: Money::from_units(1_000_000_000),
        ..Limits::default()
    }
}

pub(super) fn config(epoch: u32) -> DeskConfig {
    let account = AccountId("DU1".to_owned());
    DeskConfig::new(InstallId(7), Epoch(epoch), account)
}

pub(super) fn desk(state: State, epoch: u32) -> Desk {
    Desk::from_state(config(epoch), Gate::new(limits()), state, epoch)
}

/// The state with the installation known, as the first record makes it.
pub(super) fn fresh_state() -> State {
    let mut state = State::default();
    state.apply(&started());
    state
}

pub(super) fn started() -> Record {
    Record::Started {
        install: InstallId(7),
        account: AccountId("DU1".to_owned()),
        release: "test".to_owned(),
        configuration: String::new(),
        environment: "dev".to_owned(),
    }
}

/// The record of order 1: 3 units of instrument 1, bought at 100.
pub(super) fn approved() -> Record {
    let intent = intent(key(1, 1), &Contract::Single(ONE), 3, "100.00");
    let order = Order {
        order_id: OrderId(1),
        key: intent.key.clone(),
        account: AccountId("DU1".to_owned()),
        contract: Contract::Single(ONE),
        side: Side::Buy,
        quantity: Quantity(3),
        limit: price("100.00"),
        time_in_force: TimeInForce::Day,
        valid_until: intent.valid_until,
    };
    Record::IntentApproved {
        intent,
        hash: order.canonical_hash(),
        order,
        approvals: vec![],
        clearance: Clearance::Full,
        evidence: Evidence::default(),
    }
}

/// An execution of order 1.
pub(super) fn fill(exec_id: &str, quantity: i64) -> Fill {
    Fill {
        exec_id: trading::id::ExecId(exec_id.to_owned()),
        order_id: OrderId(1),
        perm_id: PermId(71),
        reference: key(1, 1).to_string(),
        con_id: ONE,
        side: Side::Buy,
        quantity: Quantity(quantity),
        price: price("100.00"),
        time: Timestamp::from_seconds(OPEN + 1),
        combo_leg: false,
    }
}

pub(super) fn filled(exec_id: &str, quantity: i64) -> Record {
    Record::Filled { fill: fill(exec_id, quantity), strategy: Some(owner()), terms: None }
}

/// A reconciliation that found nothing at all.
pub(super) fn nothing_found(started: Now, link_generation: u32) -> RoundResult {
    RoundResult {
        link_generation,
        rounds: 2,
        agreement: Agreement::Agreed,
        started: started.process,
        open: vec![],
        completed: vec![],
        since: None,
        reports: vec![],
        positions: vec![],
        cash: vec![],
    }
}

pub(super) fn link(generation: u32) -> DeskEvent {
    DeskEvent::Link { up: true, generation, next_valid_id: None }
}

/// The names of the records among the effects.
pub(super) fn names(effects: &[Effect]) -> Vec<&'static str> {
    let name = |effect: &Effect| match effect {
        Effect::Record(record) => Some(record.name()),
        _ => None,
    };
    effects.iter().filter_map(name).collect()
}
