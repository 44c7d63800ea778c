//! The full terms of recorded contracts: LEAN's names state class, right, strike and expiry; the
//! rest (multiplier, ticks, settlement, last trade) is the exchange's rule book, written down here.
//!
//! Not here: which contracts a day has (source, archive).

use super::LeanError;
use super::archive::{ContractMonth, OptionName};
use super::source::{Product, Source};
use crate::calendar::Calendar;
use crate::calendar::holidays::third_friday;
use crate::instrument::{
    Catalog, ConId, Deliverable, ExerciseStyle, Fixing, FutureTerms, Instrument, InstrumentKind,
    OptionTerms, Right, Settlement, TickRule,
};
use crate::money::{Currency, Multiplier, Price};
use crate::session::wall_clock;
use crate::time::{Date, Timestamp};
use jiff::civil::time;
use std::collections::{BTreeMap, BTreeSet};

/// A recorded contract. The order decides the con ids: underlyings first, options by class, month,
/// expiry, strike and right.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// The stock or index, or a future by its month.
    Underlying(Option<ContractMonth>),
    /// An option.
    Option {
        class: String,
        month: Option<ContractMonth>,
        expiry: Date,
        strike: Price,
        right: Right,
        style: ExerciseStyle,
    },
}

impl Key {
    pub(super) fn option(class: &str, month: Option<ContractMonth>, name: &OptionName) -> Self {
        Self::Option {
            class: class.to_owned(),
            month,
            expiry: name.expiry,
            strike: name.strike,
            right: name.right,
            style: name.style,
        }
    }
}

/// Options start this far above their product's first id.
const FIRST_OPTION: u32 = 100;

/// How many ids a product has.
const IDS_PER_PRODUCT: u32 = 8_000;

/// The first con id of a product: its first four letters as a number, times 8,000. The same symbol
/// has the same base in every folder and on every day; symbols that agree in four letters (GOOG,
/// GOOGL) share one and can't be in one catalog.
fn base(symbol: &str) -> u32 {
    let letters = symbol.bytes().chain(std::iter::repeat(0)).take(4);
    let number = letters.fold(0, |number, letter| {
        let digit = match letter {
            b'A'..=b'Z' => u32::from(letter - b'A') + 1,
            _ => 0,
        };
        number * 27 + digit
    });
    number * IDS_PER_PRODUCT
}

/// Assigns the con ids and writes down the terms of every contract.
pub(super) fn catalog(
    source: &Source,
    keys: &BTreeSet<Key>,
) -> Result<(Catalog, BTreeMap<Key, ConId>), LeanError> {
    let base = base(&source.symbol);
    let mut ids: BTreeMap<Key, ConId> = BTreeMap::new();
    let (mut underlyings, mut options) = (0, FIRST_OPTION);
    for key in keys {
        let counter = match key {
            Key::Underlying(_) => &mut underlyings,
            Key::Option { .. } => &mut options,
        };
        ids.insert(key.clone(), ConId(base + *counter));
        *counter += 1;
    }
    if underlyings > FIRST_OPTION || options > IDS_PER_PRODUCT {
        return Err(LeanError::TooManyContracts {
            symbol: source.symbol.clone(),
            found: keys.len(),
        });
    }
    let mut catalog = Catalog::default();
    for (key, con_id) in &ids {
        let instrument = match key {
            Key::Underlying(month) => underlying(source, *con_id, *month)?,
            Key::Option { month, .. } => {
                let parent = Key::Underlying(*month);
                let parent = ids.get(&parent).ok_or_else(|| LeanError::NoUnderlyingFuture {
                    symbol: source.symbol.clone(),
                    month: month.map_or_else(String::new, ContractMonth::code),
                })?;
                option(source, key, *con_id, *parent)?
            }
        };
        catalog.insert(instrument)?;
    }
    Ok((catalog, ids))
}

fn underlying(
    source: &Source,
    con_id: ConId,
    month: Option<ContractMonth>,
) -> Result<Instrument, LeanError> {
    let symbol = source.symbol.clone();
    let spot = |exchange: &str, kind| Instrument {
        con_id,
        symbol: symbol.clone(),
        local_symbol: symbol.clone(),
        exchange: exchange.to_owned(),
        currency: Currency::USD,
        multiplier: Multiplier(1),
        tick: TickRule::flat(CENT),
        trading_class: symbol.clone(),
        kind,
    };
    Ok(match month {
        None if source.product == Product::Index => spot("CBOE", InstrumentKind::Index),
        None => spot("SMART", InstrumentKind::Stock),
        Some(month) => {
            let expiry = future_expiry(source, month)?;
            Instrument {
                con_id,
                local_symbol: format!("{symbol}{}", month.code()),
                exchange: "CME".to_owned(),
                currency: Currency::USD,
                multiplier: Multiplier(50),
                tick: TickRule::flat(QUARTER),
                trading_class: symbol.clone(),
                symbol,
                kind: InstrumentKind::Future(FutureTerms {
                    expiry,
                    last_trade: morning_of(expiry, &source.calendar),
                    settlement: Settlement::Cash,
                    fixing: Fixing::Am,
                }),
            }
        }
    })
}

fn option(
    source: &Source,
    key: &Key,
    con_id: ConId,
    underlying: ConId,
) -> Result<Instrument, LeanError> {
    let Key::Option { class, month, expiry: named, strike, right, style } = key else {
        return Err(LeanError::NotAnOption);
    };
    let calendar = &source.calendar;
    let no_day = || LeanError::Expiry { contract: class.clone(), expiry: *named };
    // Old expiries are Saturdays, some are holidays: the trading day before is meant.
    let expiry = calendar.last_trading_day(*named).ok_or_else(no_day)?;
    let close = calendar.close_of(expiry).ok_or_else(no_day)?;
    let (fixing, last_trade) = match (source.product, month) {
        (Product::Equity, _) => (Fixing::Pm, close),
        // Quarterlies end with their future, on the opening settlement; others at 16:00.
        (Product::Future, Some(month)) if future_expiry(source, *month)? == expiry => {
            (Fixing::Am, morning_of(expiry, calendar))
        }
        (Product::Future, _) => {
            let four = wall_clock(expiry, time(16, 0, 0, 0), calendar.zone());
            (Fixing::Pm, four.min(close))
        }
        // SPX proper settles on the opening prices and stops trading the day before.
        (Product::Index, _) if *class == source.symbol => {
            let before = calendar.last_trading_day(expiry.plus_days(-1));
            let last = before.and_then(|day| calendar.close_of(day));
            (Fixing::Am, last.ok_or_else(no_day)?)
        }
        // Weeklies stop with the stock market on their last day, 15 minutes before the others.
        (Product::Index, _) => {
            let quarter_hour = std::time::Duration::from_secs(900);
            (Fixing::Pm, close.minus(quarter_hour))
        }
    };
    let (exchange, multiplier, settlement, tick) = match source.product {
        Product::Equity => ("SMART", 100, Settlement::Physical, (CENT, 3, NICKEL)),
        Product::Index => ("CBOE", 100, Settlement::Cash, (NICKEL, 3, DIME)),
        Product::Future => ("CME", 50, Settlement::Physical, (NICKEL, 10, QUARTER)),
    };
    let (below, threshold, above) = tick;
    let bands = vec![(Price::ZERO, below), (Price::from_units(threshold), above)];
    let terms = OptionTerms {
        underlying,
        right: *right,
        strike: *strike,
        expiry,
        last_trade,
        style: *style,
        settlement,
        fixing,
        deliverable: Deliverable::Standard,
    };
    let letter = match right {
        Right::Call => 'C',
        Right::Put => 'P',
    };
    let whole_strike = strike.to_string();
    let strike_text = whole_strike.strip_suffix(".00").unwrap_or(&whole_strike);
    Ok(Instrument {
        con_id,
        symbol: source.symbol.clone(),
        local_symbol: format!("{class} {}{letter}{strike_text}", expiry.compact()),
        exchange: exchange.to_owned(),
        currency: Currency::USD,
        multiplier: Multiplier(multiplier),
        tick: TickRule::bands(bands)?,
        trading_class: class.clone(),
        kind: match source.product {
            Product::Future => InstrumentKind::FutureOption(terms),
            Product::Equity | Product::Index => InstrumentKind::Option(terms),
        },
    })
}

const CENT: Price = Price::from_micros(10_000);
const NICKEL: Price = Price::from_micros(50_000);
const DIME: Price = Price::from_micros(100_000);
const QUARTER: Price = Price::from_micros(250_000);

/// ES futures expire on the third Friday of their month, or the trading day before it.
fn future_expiry(source: &Source, month: ContractMonth) -> Result<Date, LeanError> {
    let friday = third_friday(month.year, month.month);
    friday.and_then(|friday| source.calendar.last_trading_day(friday)).ok_or_else(|| {
        LeanError::NoUnderlyingFuture { symbol: source.symbol.clone(), month: month.code() }
    })
}

/// 09:30 New York, when the opening prices settle what expires in the morning.
fn morning_of(day: Date, calendar: &Calendar) -> Timestamp {
    wall_clock(day, time(9, 30, 0, 0), calendar.zone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_product_has_its_own_ids() {
        assert_eq!(base("ES"), base("ES"));
        assert!(base("ES").abs_diff(base("ET")) >= IDS_PER_PRODUCT);
        assert!(base("ZZZZ").checked_add(IDS_PER_PRODUCT).is_some());
        assert!(base("A") > 0);
    }
}
