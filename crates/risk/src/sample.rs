//! A small market for the tests of this room: one future at 100 with options, one stock.

use market::instrument::{
    Catalog, ConId, Contract, Deliverable, ExerciseStyle, Fixing, FutureTerms, Instrument,
    InstrumentKind, OptionTerms, Right, Settlement, TickRule,
};
use market::money::{Currency, Multiplier, Price, Quantity};
use market::quote::{Level, Quote, Side};
use market::time::{Date, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;
use trading::id::{AccountId, Epoch, InstallId, IntentKey, OrderId, StrategyId};
use trading::order::{Order, TimeInForce};
use valuation::view::{
    ChainView, DataState, FairValue, MarketView, Markets, OptionLine, RegimeView, UnderlyingLine,
    UnitGreeks,
};

pub const FUTURE: ConId = ConId(1);
pub const CALL_100: ConId = ConId(2);
pub const CALL_110: ConId = ConId(3);
pub const PUT_100: ConId = ConId(4);
pub const PUT_90: ConId = ConId(5);
pub const LATE_CALL: ConId = ConId(6);
pub const STOCK: ConId = ConId(7);
pub const INDEX: ConId = ConId(8);

/// The market time of every view.
pub const OPEN: Timestamp = Timestamp::from_seconds(1_000_000);
const FIRST_END: Timestamp = Timestamp::from_seconds(3_000_000);
const SECOND_END: Timestamp = Timestamp::from_seconds(6_000_000);

struct Listed {
    con_id: ConId,
    right: Right,
    strike: i64,
    end: Timestamp,
    mid: f64,
    greeks: UnitGreeks,
}

fn listed() -> Vec<Listed> {
    let row = |con_id, right, strike, end, mid, delta, gamma, vega| Listed {
        con_id,
        right,
        strike,
        end,
        mid,
        greeks: UnitGreeks { delta, gamma, vega, theta: -3.0, rho: 1.0 },
    };
    vec![
        row(CALL_100, Right::Call, 100, FIRST_END, 3.0, 0.5, 0.05, 10.0),
        row(CALL_110, Right::Call, 110, FIRST_END, 0.5, 0.12, 0.025, 5.0),
        row(PUT_100, Right::Put, 100, FIRST_END, 3.0, -0.5, 0.05, 10.0),
        row(PUT_90, Right::Put, 90, FIRST_END, 0.4, -0.1, 0.02, 4.5),
        row(LATE_CALL, Right::Call, 100, SECOND_END, 4.2, 0.52, 0.035, 15.0),
    ]
}

pub fn mid(con_id: ConId) -> f64 {
    listed().iter().find(|row| row.con_id == con_id).map_or(100.0, |row| row.mid)
}

pub fn catalog() -> Catalog {
    let base = |con_id: ConId, symbol: &str, multiplier, kind| Instrument {
        con_id,
        symbol: symbol.to_owned(),
        local_symbol: format!("{symbol} {con_id}"),
        exchange: "SIM".to_owned(),
        currency: Currency::USD,
        multiplier: Multiplier(multiplier),
        tick: TickRule::flat(Price::from_micros(10_000)),
        trading_class: symbol.to_owned(),
        kind,
    };
    let expiry = Date::new(2026, 6, 19).unwrap();
    let future = FutureTerms {
        expiry,
        last_trade: SECOND_END,
        settlement: Settlement::Cash,
        fixing: Fixing::Am,
    };
    let mut catalog = Catalog::default();
    catalog.insert(base(FUTURE, "SIM", 50, InstrumentKind::Future(future))).unwrap();
    catalog.insert(base(STOCK, "STK", 1, InstrumentKind::Stock)).unwrap();
    catalog.insert(base(INDEX, "IDX", 1, InstrumentKind::Index)).unwrap();
    for row in listed() {
        let terms = OptionTerms {
            underlying: FUTURE,
            right: row.right,
            strike: Price::from_units(row.strike),
            expiry,
            last_trade: row.end,
            style: ExerciseStyle::European,
            settlement: Settlement::Physical,
            fixing: Fixing::Pm,
            deliverable: Deliverable::Standard,
        };
        let kind = InstrumentKind::FutureOption(terms);
        catalog.insert(base(row.con_id, "SIM", 50, kind)).unwrap();
    }
    catalog
}

fn quote(mid: f64, half_spread: f64) -> Quote {
    let level = |price| Some(Level { price: Price::from_f64(price).unwrap(), size: 50 });
    Quote { bid: level(mid - half_spread), ask: level(mid + half_spread), time: OPEN }
}

pub fn line(row_con_id: ConId) -> OptionLine {
    let row = listed().into_iter().find(|row| row.con_id == row_con_id).unwrap();
    OptionLine {
        con_id: row.con_id,
        right: row.right,
        strike: Price::from_units(row.strike),
        quote: quote(row.mid, 0.05),
        state: DataState::Fresh,
        implied_vol: Some(0.3),
        fair: Some(FairValue { price: row.mid, standard_error: 0.02, vol: 0.3 }),
        greeks: Some(row.greeks),
    }
}

pub fn view() -> MarketView {
    let chain = |lines: Vec<OptionLine>, expiry: Date, last_trade| ChainView {
        underlying: FUTURE,
        expiry,
        last_trade,
        years: 0.06,
        forward: 100.0,
        discount: 0.999,
        at_the_money_vol: Some(0.3),
        lines,
        version: 9,
        time: OPEN,
    };
    let first = Date::new(2026, 6, 19).unwrap();
    let second = Date::new(2026, 7, 17).unwrap();
    let near = [CALL_100, CALL_110, PUT_100, PUT_90].map(line).to_vec();
    let underlying =
        UnderlyingLine { con_id: FUTURE, quote: quote(100.0, 0.02), state: DataState::Fresh };
    MarketView {
        symbol: "SIM".to_owned(),
        version: 41,
        time: OPEN,
        underlyings: vec![underlying],
        chains: BTreeMap::from([
            ((FUTURE, first), Arc::new(chain(near, first, FIRST_END))),
            ((FUTURE, second), Arc::new(chain(vec![line(LATE_CALL)], second, SECOND_END))),
        ]),
        surface: None,
        regime: RegimeView {
            realised_vol: Some(0.2),
            implied_vol: Some(0.3),
            fresh_share: Some(0.95),
        },
    }
}

/// `view` with one option's line changed.
pub fn with_line(mut view: MarketView, con_id: ConId, change: impl Fn(&mut OptionLine)) -> Markets {
    for chain in view.chains.values_mut() {
        let chain = Arc::make_mut(chain);
        chain.lines.iter_mut().filter(|line| line.con_id == con_id).for_each(&change);
    }
    markets_with(view)
}

pub fn markets_with(view: MarketView) -> Markets {
    let stock = MarketView {
        symbol: "STK".to_owned(),
        underlyings: vec![UnderlyingLine {
            con_id: STOCK,
            quote: quote(100.0, 0.01),
            state: DataState::Fresh,
        }],
        chains: BTreeMap::new(),
        ..view.clone()
    };
    Markets::from([("SIM".to_owned(), Arc::new(view)), ("STK".to_owned(), Arc::new(stock))])
}

pub fn markets() -> Markets {
    markets_with(view())
}

pub fn order(contract: Contract, side: Side, quantity: i64, limit: &str) -> Order {
    Order {
        order_id: OrderId(11),
        key: IntentKey {
            install: InstallId(1),
            epoch: Epoch(1),
            strategy: StrategyId::new("sample").unwrap(),
            seq: 1,
        },
        account: AccountId("DU1".to_owned()),
        contract,
        side,
        quantity: Quantity(quantity),
        limit: Price::parse(limit).unwrap(),
        time_in_force: TimeInForce::Day,
        valid_until: Timestamp::from_seconds(2_000_000),
    }
}

/// An order that passes every check on a flat account.
pub fn buy_call() -> Order {
    order(Contract::Single(CALL_100), Side::Buy, 2, "3.05")
}
