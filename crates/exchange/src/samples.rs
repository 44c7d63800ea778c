//! Instruments for this crate's tests.

use market::instrument::{
    ConId, Deliverable, ExerciseStyle, Fixing, FutureTerms, Instrument, InstrumentKind,
    OptionTerms, Right, Settlement, TickRule,
};
use market::money::{Currency, Multiplier, Price};
use market::time::{Date, Timestamp};

pub const STOCK: ConId = ConId(1);
pub const FUTURE: ConId = ConId(2);
pub const INDEX: ConId = ConId(3);

/// Expiry day of all sample options; trading ends at 20:00 UTC.
pub fn expiry() -> Date {
    Date::new(2026, 11, 27).unwrap()
}

/// `hour` o'clock UTC, `days` days after Monday 2026-11-23.
pub fn at(days: i32, hour: i64) -> Timestamp {
    let day = Date::new(2026, 11, 23).unwrap().plus_days(days);
    let midnight = crate::day::midnight_utc(day);
    Timestamp::from_nanos(midnight.nanos() + hour * 3_600_000_000_000)
}

fn instrument(con_id: ConId, symbol: &str, multiplier: u32, kind: InstrumentKind) -> Instrument {
    Instrument {
        con_id,
        symbol: symbol.to_owned(),
        local_symbol: format!("{symbol} {con_id}"),
        exchange: "TEST".to_owned(),
        currency: Currency::USD,
        multiplier: Multiplier(multiplier),
        tick: TickRule::flat(Price::from_micros(10_000)),
        trading_class: symbol.to_owned(),
        kind,
    }
}

pub fn stock() -> Instrument {
    instrument(STOCK, "SIM", 1, InstrumentKind::Stock)
}

pub fn future() -> Instrument {
    let terms = FutureTerms {
        expiry: expiry(),
        last_trade: at(4, 20),
        settlement: Settlement::Cash,
        fixing: Fixing::Pm,
    };
    instrument(FUTURE, "ES", 50, InstrumentKind::Future(terms))
}

pub fn index() -> Instrument {
    instrument(INDEX, "SIMX", 1, InstrumentKind::Index)
}

fn terms(underlying: ConId, right: Right, strike: i64) -> OptionTerms {
    OptionTerms {
        underlying,
        right,
        strike: Price::from_units(strike),
        expiry: expiry(),
        last_trade: at(4, 20),
        style: ExerciseStyle::American,
        settlement: Settlement::Physical,
        fixing: Fixing::Pm,
        deliverable: Deliverable::Standard,
    }
}

/// Con ids 1000 + strike for calls.
pub fn stock_call(strike: i64) -> Instrument {
    let kind = InstrumentKind::Option(terms(STOCK, Right::Call, strike));
    instrument(ConId(1000 + strike as u32), "SIM", 100, kind)
}

/// Con ids 2000 + strike for puts.
pub fn stock_put(strike: i64) -> Instrument {
    let kind = InstrumentKind::Option(terms(STOCK, Right::Put, strike));
    instrument(ConId(2000 + strike as u32), "SIM", 100, kind)
}

/// Con ids 10,000 + strike.
pub fn future_call(strike: i64) -> Instrument {
    let kind = InstrumentKind::FutureOption(terms(FUTURE, Right::Call, strike));
    instrument(ConId(10_000 + strike as u32), "ES", 50, kind)
}

/// Con ids 20,000 + strike; European, in cash.
pub fn index_call(strike: i64) -> Instrument {
    let mut terms = terms(INDEX, Right::Call, strike);
    terms.style = ExerciseStyle::European;
    terms.settlement = Settlement::Cash;
    instrument(ConId(20_000 + strike as u32), "SIMX", 100, InstrumentKind::Option(terms))
}
