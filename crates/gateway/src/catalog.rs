//! Instruments in IB's words: contracts, their details, and which instrument a contract means.

use crate::message::contract::{
    ComboLeg, Contract, ContractDescription, ContractDetails, MarketRule, OptionParameters,
    PriceIncrement,
};
use crate::stamp::{self, ZONE};
use exchange::Exchange;
use exchange::day::utc_day;
use exchange::exchange::Refusal;
use market::calendar::Calendar;
use market::instrument::{
    self, Combo, ConId, Instrument, InstrumentKind, Leg, OptionTerms, Right, TickRule,
};
use market::money::Price;
use market::time::{Date, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Numbers of market rules begin here.
const FIRST_RULE: i32 = 26;
/// Sessions that trading hours name.
const SESSIONS_TOLD: usize = 5;
/// What orders may be.
const ORDER_TYPES: &str = "ACTIVETIM,GTC,GTD,IOC,LMT,MKT,OCA,STP,STPLMT,WHATIF";
const MINUTE_NANOS: i64 = 60_000_000_000;

/// IB's name of a kind.
pub const fn sec_type(kind: &InstrumentKind) -> &'static str {
    match kind {
        InstrumentKind::Stock => "STK",
        InstrumentKind::Index => "IND",
        InstrumentKind::Future(_) => "FUT",
        InstrumentKind::Option(_) => "OPT",
        InstrumentKind::FutureOption(_) => "FOP",
    }
}

const fn is_smart(kind: &InstrumentKind) -> bool {
    matches!(kind, InstrumentKind::Stock | InstrumentKind::Option(_))
}

fn expiry(instrument: &Instrument) -> Option<Date> {
    match &instrument.kind {
        InstrumentKind::Option(terms) | InstrumentKind::FutureOption(terms) => Some(terms.expiry),
        InstrumentKind::Future(terms) => Some(terms.expiry),
        InstrumentKind::Stock | InstrumentKind::Index => None,
    }
}

const fn right(terms: &OptionTerms) -> &'static str {
    match terms.right {
        Right::Call => "C",
        Right::Put => "P",
    }
}

/// The con id as the protocol carries it.
pub fn wire_id(con_id: ConId) -> i32 {
    i32::try_from(con_id.0).unwrap_or(i32::MAX)
}

/// The instrument as a contract.
pub fn contract_of(instrument: &Instrument) -> Contract {
    let last = expiry(instrument).map(Date::compact).unwrap_or_default();
    let option = instrument.option();
    let is_plain = matches!(instrument.kind, InstrumentKind::Stock | InstrumentKind::Index);
    let smart = is_smart(&instrument.kind);
    Contract {
        con_id: wire_id(instrument.con_id),
        symbol: instrument.symbol.clone(),
        sec_type: sec_type(&instrument.kind).to_owned(),
        last_trade_date_or_contract_month: last.clone(),
        last_trade_date: last,
        strike: option.map_or(0.0, |terms| terms.strike.to_f64()),
        right: option.map_or("", right).to_owned(),
        multiplier: if is_plain { 0.0 } else { f64::from(instrument.multiplier.0) },
        exchange: if smart { "SMART" } else { instrument.exchange.as_str() }.to_owned(),
        primary_exch: if is_plain { instrument.exchange.clone() } else { String::new() },
        currency: instrument.currency.code().to_owned(),
        local_symbol: instrument.local_symbol.clone(),
        trading_class: instrument.trading_class.clone(),
        ..Contract::default()
    }
}

/// The instruments that a contract's words fit at `now`, by rising con id. What has expired is
/// found by its con id, or if expired ones are asked for.
pub fn matching<'a>(
    exchange: &'a Exchange,
    wanted: &Contract,
    now: Timestamp,
) -> Vec<&'a Instrument> {
    if wanted.con_id != 0 {
        // Every order comes this way: no look at the whole list.
        let con_id = u32::try_from(wanted.con_id).map(ConId);
        return con_id.ok().and_then(|con_id| exchange.instrument(con_id)).into_iter().collect();
    }
    exchange
        .instruments()
        .filter(|one| (wanted.include_expired || is_listed(one, now)) && fits(one, wanted))
        .collect()
}

fn is_listed(instrument: &Instrument, now: Timestamp) -> bool {
    instrument.last_trade().is_none_or(|last_trade| now < last_trade)
}

fn fits(instrument: &Instrument, wanted: &Contract) -> bool {
    let says = |wish: &str, is: &str| wish.is_empty() || wish.eq_ignore_ascii_case(is);
    let have = contract_of(instrument);
    let names_one = !wanted.symbol.is_empty() || !wanted.local_symbol.is_empty();
    let here = ["", "SMART", instrument.exchange.as_str()];
    let at = |exchange: &str| here.iter().any(|known| known.eq_ignore_ascii_case(exchange));
    let right = wanted.right.get(..1).unwrap_or_default();
    names_one
        && says(&wanted.symbol, &have.symbol)
        && says(&wanted.sec_type, &have.sec_type)
        && have
            .last_trade_date_or_contract_month
            .starts_with(wanted.last_trade_date_or_contract_month.as_str())
        && (wanted.strike == 0.0 || (wanted.strike - have.strike).abs() < 1e-6)
        && (right.is_empty() || matches!(right, "0" | "?") || says(right, &have.right))
        && (wanted.multiplier == 0.0 || wanted.multiplier == f64::from(instrument.multiplier.0))
        && at(&wanted.exchange)
        && says(&wanted.currency, &have.currency)
        && says(&wanted.local_symbol, &have.local_symbol)
        && says(&wanted.trading_class, &have.trading_class)
}

fn refuse<T>(code: u32, text: &str) -> Result<T, Refusal> {
    Err(Refusal { code, text: text.to_owned() })
}

/// The one instrument, or combo, that a contract means.
///
/// # Errors
/// 200 when it means none or several, 321 when a combo is none.
pub fn resolve(
    exchange: &Exchange,
    wanted: &Contract,
    now: Timestamp,
) -> Result<instrument::Contract, Refusal> {
    if wanted.sec_type != "BAG" {
        return match matching(exchange, wanted, now).as_slice() {
            [one] => Ok(instrument::Contract::Single(one.con_id)),
            [] => refuse(200, "No security definition has been found for the request"),
            _ => refuse(200, "The contract description specified is ambiguous"),
        };
    }
    if wanted.symbol.is_empty() {
        return refuse(321, "Error validating request: a BAG needs its symbol");
    }
    let mut legs = Vec::new();
    for leg in &wanted.combo_legs {
        legs.push(combo_leg(exchange, leg)?);
    }
    match Combo::new(legs) {
        Ok(combo) => Ok(instrument::Contract::Combo(combo)),
        Err(error) => refuse(321, &format!("Error validating request: {error}")),
    }
}

fn combo_leg(exchange: &Exchange, leg: &ComboLeg) -> Result<Leg, Refusal> {
    let con_id = u32::try_from(leg.con_id).map(ConId);
    let known = con_id.ok().filter(|con_id| exchange.instrument(*con_id).is_some());
    let Some(con_id) = known else {
        return refuse(200, &format!("No security definition for leg {}", leg.con_id));
    };
    let sign = match leg.action.as_str() {
        "BUY" => 1,
        "SELL" | "SSHORT" => -1,
        other => {
            let text = format!("Error validating request: a leg's action is `{other}`");
            return refuse(321, &text);
        }
    };
    if !(1..=1000).contains(&leg.ratio) {
        return refuse(321, "Error validating request: a leg's ratio is not from 1 to 1000");
    }
    Ok(Leg { con_id, ratio: sign * leg.ratio })
}

/// The contract that executions and positions of a combo order carry if its client's words are
/// gone.
pub fn bag_of(exchange: &Exchange, combo: &instrument::Contract) -> Contract {
    let legs = combo.legs();
    let first = legs.first().and_then(|leg| exchange.instrument(leg.con_id));
    Contract {
        symbol: first.map(|one| one.symbol.clone()).unwrap_or_default(),
        sec_type: "BAG".to_owned(),
        exchange: "SMART".to_owned(),
        currency: first.map(|one| one.currency.code().to_owned()).unwrap_or_default(),
        combo_legs: legs
            .iter()
            .map(|leg| ComboLeg {
                con_id: wire_id(leg.con_id),
                ratio: leg.ratio.abs(),
                action: if leg.ratio > 0 { "BUY" } else { "SELL" }.to_owned(),
                exchange: "SMART".to_owned(),
                ..ComboLeg::default()
            })
            .collect(),
        ..Contract::default()
    }
}

/// Dividends as IB's tick 59 words them: paid in the last twelve months, announced for the next,
/// the next ex-date and its amount, such as `0.5,2,20261127,0.5`; none without a next one.
pub fn dividends(exchange: &Exchange, con_id: ConId, now: Timestamp) -> Option<String> {
    let today = utc_day(now);
    let sum = |from: Date, to: Date| {
        let within = exchange.dividends(con_id).filter(|(day, _)| from < *day && *day <= to);
        within.map(|(_, amount)| amount.to_f64()).sum::<f64>()
    };
    let (day, amount) = exchange.dividends(con_id).find(|(day, _)| *day > today)?;
    let (past, next) = (sum(today.plus_days(-365), today), sum(today, today.plus_days(365)));
    Some(format!("{past},{next},{},{amount}", day.compact()))
}

/// Every price-increment rule in use, by number.
pub fn rules(exchange: &Exchange) -> BTreeMap<i32, TickRule> {
    let mut seen: Vec<&TickRule> = Vec::new();
    for instrument in exchange.instruments() {
        if !seen.contains(&&instrument.tick) {
            seen.push(&instrument.tick);
        }
    }
    (FIRST_RULE..).zip(seen.into_iter().cloned()).collect()
}

/// A rule as it is told.
pub fn market_rule(number: i32, rule: &TickRule) -> MarketRule {
    let step = |(from, increment): &(Price, Price)| PriceIncrement {
        low_edge: from.to_f64(),
        increment: increment.to_f64(),
    };
    MarketRule { market_rule_id: number, increments: rule.steps().iter().map(step).collect() }
}

/// The smallest increment of an instrument.
pub fn min_tick(instrument: &Instrument) -> Price {
    let increments = instrument.tick.steps().iter().map(|(_, increment)| *increment);
    increments.min().unwrap_or(Price::ZERO)
}

/// The contract as its details tell it: with the hour at which trading ends.
pub fn detailed(instrument: &Instrument) -> Contract {
    let mut contract = contract_of(instrument);
    if let Some(last_trade) = instrument.last_trade() {
        let text = stamp::with_zone(last_trade);
        contract.last_trade_date_or_contract_month = text;
    }
    contract
}

/// The terms of an instrument, told at `now`.
pub fn details(
    exchange: &Exchange,
    instrument: &Instrument,
    rules: &BTreeMap<i32, TickRule>,
    calendar: &Calendar,
    now: Timestamp,
) -> ContractDetails {
    let rule = rules.iter().find(|(_, rule)| **rule == instrument.tick).map_or(0, |(id, _)| *id);
    let underlying = instrument.option().and_then(|terms| exchange.instrument(terms.underlying));
    let smart = is_smart(&instrument.kind);
    let hours = trading_hours(calendar, now);
    let last = expiry(instrument).map(Date::compact).unwrap_or_default();
    ContractDetails {
        market_name: instrument.trading_class.clone(),
        min_tick: min_tick(instrument).to_string(),
        order_types: ORDER_TYPES.to_owned(),
        valid_exchanges: if smart {
            format!("SMART,{}", instrument.exchange)
        } else {
            instrument.exchange.clone()
        },
        price_magnifier: 1,
        under_con_id: underlying.map_or(0, |one| wire_id(one.con_id)),
        long_name: format!("{} (simulated)", instrument.symbol),
        contract_month: last.get(..6).unwrap_or_default().to_owned(),
        time_zone_id: ZONE.to_owned(),
        trading_hours: hours.clone(),
        liquid_hours: hours,
        agg_group: 1,
        under_symbol: underlying.map(|one| one.symbol.clone()).unwrap_or_default(),
        under_sec_type: underlying.map_or("", |one| sec_type(&one.kind)).to_owned(),
        market_rule_ids: if smart { format!("{rule},{rule}") } else { rule.to_string() },
        real_expiration_date: last,
        stock_type: if smart && underlying.is_none() { "COMMON" } else { "" }.to_owned(),
        min_size: "1".to_owned(),
        size_increment: "1".to_owned(),
        suggested_size_increment: "1".to_owned(),
        ..ContractDetails::default()
    }
}

/// `20261123:0930-20261123:1600;...` for the session in progress and those after it.
fn trading_hours(calendar: &Calendar, now: Timestamp) -> String {
    let stamp = |at: Timestamp| {
        let text = crate::stamp::with_zone(at);
        format!("{}:{}{}", &text[..8], &text[9..11], &text[12..14])
    };
    let mut sessions = Vec::new();
    let mut at = now;
    while sessions.len() < SESSIONS_TOLD
        && let Some(session) = calendar.current_or_next(at)
    {
        sessions.push(format!("{}-{}", stamp(session.open), stamp(session.close)));
        at = Timestamp::from_nanos(session.close.nanos().saturating_add(MINUTE_NANOS));
    }
    sessions.join(";")
}

/// Expiries and strikes on an underlying, one row per exchange and trading class.
pub fn option_parameters(
    exchange: &Exchange,
    req_id: i32,
    underlying: ConId,
    now: Timestamp,
) -> Vec<OptionParameters> {
    type Chain = (BTreeSet<Date>, BTreeSet<Price>);
    let mut classes: BTreeMap<(String, String, u32), Chain> = BTreeMap::new();
    for instrument in exchange.instruments().filter(|one| is_listed(one, now)) {
        let Some(terms) = instrument.option().filter(|terms| terms.underlying == underlying) else {
            continue;
        };
        let mut exchanges = vec![instrument.exchange.clone()];
        if is_smart(&instrument.kind) {
            exchanges.push("SMART".to_owned());
        }
        for at in exchanges {
            let key = (at, instrument.trading_class.clone(), instrument.multiplier.0);
            let chain = classes.entry(key).or_default();
            chain.0.insert(terms.expiry);
            chain.1.insert(terms.strike);
        }
    }
    let row = |((exchange, trading_class, multiplier), chain): (_, Chain)| OptionParameters {
        req_id,
        exchange,
        underlying_con_id: wire_id(underlying),
        trading_class,
        multiplier: u32::to_string(&multiplier),
        expirations: chain.0.into_iter().map(Date::compact).collect(),
        strikes: chain.1.into_iter().map(Price::to_f64).collect(),
    };
    classes.into_iter().map(row).collect()
}

/// Roots whose symbol begins like `pattern`, with the kinds written on them.
pub fn samples(exchange: &Exchange, pattern: &str) -> Vec<ContractDescription> {
    let wanted = pattern.to_ascii_uppercase();
    let roots = exchange.instruments().filter(|one| {
        one.option().is_none() && one.symbol.to_ascii_uppercase().starts_with(&wanted)
    });
    let describe = |root: &Instrument| {
        let written = exchange
            .instruments()
            .filter(|one| one.option().is_some_and(|terms| terms.underlying == root.con_id));
        let kinds: BTreeSet<&str> = written.map(|one| sec_type(&one.kind)).collect();
        ContractDescription {
            contract: Contract {
                primary_exch: root.exchange.clone(),
                description: format!("{} (simulated)", root.symbol),
                ..contract_of(root)
            },
            derivative_sec_types: kinds.into_iter().map(str::to_owned).collect(),
        }
    };
    roots.take(16).map(describe).collect()
}
