//! The terms of what may be traded, as the broker told them, kept for the day.
//!
//! Orders and lines need an instrument's routing and currency, not only its number; details are
//! throttled, so each is asked once a day. Not here: when to ask (`data`).

use super::futures::{self, Ending};
use super::translate::TranslateError;
use ibapi::contracts::{ContractDetails, MarketRule, OptionRight, PriceIncrement, SecurityType};
use market::instrument::{
    ConId, Deliverable, ExerciseStyle, Fixing, FutureTerms, Instrument, InstrumentKind,
    OptionTerms, Right, Settlement, TickRule,
};
use market::money::{Currency, Multiplier, Price};
use market::time::{Date, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Instruments held at most; a hundred chains.
const INSTRUMENTS_MAX: usize = 200_000;
/// Options of a stock or an index end trading at this hour of their exchange, unless told.
const CLOSE_HOUR: &str = "16:00:00";
const EXCHANGE_ZONE: &str = "America/New_York";

/// Shared by whoever writes orders and whoever opens lines.
#[derive(Debug, Default)]
pub struct ContractBook(RwLock<Held>);

#[derive(Debug, Default)]
struct Held {
    instruments: BTreeMap<ConId, Arc<Instrument>>,
}

impl ContractBook {
    /// Takes terms; a later word about the same contract replaces them. Beyond the bound nothing is
    /// taken, and what isn't known can't be traded.
    pub fn insert(&self, instrument: Instrument) {
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if held.instruments.len() < INSTRUMENTS_MAX {
            held.instruments.insert(instrument.con_id, Arc::new(instrument));
        }
    }

    /// The terms of a contract.
    #[must_use]
    pub fn get(&self, con_id: ConId) -> Option<Arc<Instrument>> {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
        held.instruments.get(&con_id).cloned()
    }
}

/// The con id as the protocol carries it.
#[must_use]
pub fn wire_id(con_id: ConId) -> i32 {
    i32::try_from(con_id.0).unwrap_or(i32::MAX)
}

/// The terms that `details` tell. Exercise and settlement follow from what an option is written on:
/// IB doesn't say them. Options on indices are taken as European, in cash; on stocks as American,
/// by delivery; futures and options on them are those of a table (`futures`). Adjusted options (a
/// multiplier that isn't a whole number, or 0) are refused. `rules` are the price increments by the
/// number of their rule; where that isn't told the smallest increment holds for all prices.
///
/// # Errors
/// Terms that aren't complete or that we don't trade.
pub fn instrument_of(
    details: &ContractDetails,
    rules: &BTreeMap<i32, TickRule>,
) -> Result<Instrument, TranslateError> {
    let contract = &details.contract;
    let refuse = |reason: &str| TranslateError::Terms {
        con_id: contract.contract_id,
        reason: reason.to_owned(),
    };
    let number = u32::try_from(contract.contract_id).map_err(|_| refuse("no number"))?;
    let currency =
        Currency::try_from(contract.currency.0.clone()).map_err(|_| refuse("no currency"))?;
    let tick = Price::from_f64(details.min_tick)
        .filter(|tick| *tick > Price::ZERO)
        .ok_or_else(|| refuse("no price increment"))?;
    let flat = TickRule::flat(tick);
    let last_trade = || last_trade(details).ok_or_else(|| refuse("no last trading moment"));
    let last_day = contract.last_trade_date_or_contract_month.get(..8).unwrap_or_default();
    // A contract that trades until the day before it expires is fixed at that day's opening.
    let real = details.real_expiration_date.get(..8).unwrap_or(last_day);
    let fixing = if real == last_day { Fixing::Pm } else { Fixing::Am };
    let expiry = || Date::parse(real).map_err(|_| refuse("no expiry"));
    let on_index = details.under_security_type == "IND";
    let usual = Ending {
        style: if on_index { ExerciseStyle::European } else { ExerciseStyle::American },
        settlement: if on_index { Settlement::Cash } else { Settlement::Physical },
        fixing,
        hour: CLOSE_HOUR,
    };
    let tabled = || {
        let root = futures::root(&contract.symbol.0)
            .filter(|root| root.exchange == contract.exchange.0)
            .ok_or_else(|| refuse("a future that is not in our table"))?;
        let is_whole = contract.multiplier.parse() == Ok(f64::from(root.multiplier));
        is_whole.then_some(()).ok_or_else(|| refuse("not the multiplier of our table"))
    };
    let option = |ending: Ending| -> Result<OptionTerms, TranslateError> {
        Ok(OptionTerms {
            underlying: u32::try_from(details.under_contract_id)
                .ok()
                .filter(|underlying| *underlying > 0)
                .map(ConId)
                .ok_or_else(|| refuse("no underlying"))?,
            right: match contract.right {
                Some(OptionRight::Call) => Right::Call,
                Some(OptionRight::Put) => Right::Put,
                None => return Err(refuse("neither call nor put")),
            },
            strike: Price::from_f64(contract.strike).ok_or_else(|| refuse("no strike"))?,
            expiry: expiry()?,
            last_trade: last_trade()?,
            style: ending.style,
            settlement: ending.settlement,
            fixing: ending.fixing,
            deliverable: Deliverable::Standard,
        })
    };
    let kind = match contract.security_type {
        SecurityType::Stock => InstrumentKind::Stock,
        SecurityType::Index => InstrumentKind::Index,
        SecurityType::Option => InstrumentKind::Option(option(usual)?),
        SecurityType::FuturesOption => {
            tabled()?;
            let ending = futures::option(&contract.trading_class);
            let ending = ending.ok_or_else(|| refuse("a class that is not in our table"))?;
            InstrumentKind::FutureOption(option(ending)?)
        }
        SecurityType::Future => {
            tabled()?;
            InstrumentKind::Future(FutureTerms {
                expiry: expiry()?,
                last_trade: last_trade()?,
                settlement: futures::FUTURE.settlement,
                fixing: futures::FUTURE.fixing,
            })
        }
        _ => return Err(refuse("not a stock, an index, a future or an option")),
    };
    let multiplier = match kind {
        InstrumentKind::Stock | InstrumentKind::Index => Multiplier(1),
        InstrumentKind::Future(_) | InstrumentKind::Option(_) | InstrumentKind::FutureOption(_) => {
            let whole = contract.multiplier.trim_end_matches(".0").parse();
            let positive = whole.ok().filter(|multiplier| *multiplier > 0);
            Multiplier(positive.ok_or_else(|| refuse("no whole multiplier"))?)
        }
    };
    let listed = details.valid_exchanges.iter().find(|exchange| *exchange != "SMART");
    let own = [&contract.primary_exchange.0, &contract.exchange.0];
    let own = own.into_iter().find(|exchange| !exchange.is_empty() && *exchange != "SMART");
    Ok(Instrument {
        con_id: ConId(number),
        symbol: contract.symbol.0.clone(),
        local_symbol: contract.local_symbol.clone(),
        exchange: own.or(listed).cloned().unwrap_or_default(),
        currency,
        multiplier,
        tick: rule_of(details).and_then(|rule| rules.get(&rule)).cloned().unwrap_or(flat),
        trading_class: contract.trading_class.clone(),
        kind,
    })
}

/// The number of the rule of price increments where the contract is routed: rules are told in the
/// order of the exchanges.
#[must_use]
pub fn rule_of(details: &ContractDetails) -> Option<i32> {
    let smart = details.valid_exchanges.iter().position(|exchange| exchange == "SMART");
    details.market_rule_ids.get(smart.unwrap_or(0))?.trim().parse().ok()
}

/// A told rule of price increments; none if it can't be one.
#[must_use]
pub fn tick_rule(rule: &MarketRule) -> Option<TickRule> {
    let told = rule.price_increments.iter();
    let step = |step: &PriceIncrement| {
        Some((Price::from_f64(step.low_edge)?, Price::from_f64(step.increment)?))
    };
    TickRule::bands(told.map(step).collect::<Option<_>>()?).ok()
}

/// The end of trading: the day that is named, at the hour that is named or the usual one. Details
/// carry it as `20261120 15:00:00 US/Central`, the hour and its zone by choice.
#[must_use]
pub fn last_trade(details: &ContractDetails) -> Option<Timestamp> {
    let told = details.contract.last_trade_date_or_contract_month.replace('-', " ");
    let mut parts = told.split_ascii_whitespace();
    let day = parts.next()?;
    let own = (!details.last_trade_time.is_empty()).then_some(details.last_trade_time.as_str());
    let zone_told = Some(details.time_zone_id.as_str()).filter(|zone| !zone.is_empty());
    let (hour, zone) = match parts.next().or(own) {
        Some(hour) => (hour, parts.next().or(zone_told).unwrap_or(EXCHANGE_ZONE)),
        None => {
            let class = details.contract.trading_class.as_str();
            let hour = match details.contract.security_type {
                SecurityType::Future => futures::FUTURE.hour,
                SecurityType::FuturesOption => futures::option(class)?.hour,
                _ => CLOSE_HOUR,
            };
            (hour, EXCHANGE_ZONE)
        }
    };
    let seconds = if hour.len() == 5 { ":00" } else { "" };
    super::translate::time(&format!("{day} {hour}{seconds} {zone}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ibapi::contracts::{Contract, Exchange, Symbol};

    fn details() -> ContractDetails {
        ContractDetails {
            contract: Contract {
                contract_id: 9,
                symbol: Symbol("AAPL".to_owned()),
                security_type: SecurityType::Option,
                last_trade_date_or_contract_month: "20261218".to_owned(),
                strike: 250.0,
                right: Some(OptionRight::Put),
                multiplier: "100".to_owned(),
                exchange: Exchange("SMART".to_owned()),
                trading_class: "AAPL".to_owned(),
                ..Contract::default()
            },
            min_tick: 0.01,
            under_contract_id: 4,
            under_security_type: "STK".to_owned(),
            valid_exchanges: vec!["SMART".to_owned(), "CBOE".to_owned()],
            ..ContractDetails::default()
        }
    }

    #[test]
    fn an_option_on_a_stock_is_american_and_ends_at_the_close() {
        let instrument = instrument_of(&details(), &BTreeMap::new()).unwrap();
        let terms = instrument.option().unwrap();
        assert_eq!(
            (terms.style, terms.settlement),
            (ExerciseStyle::American, Settlement::Physical)
        );
        assert_eq!(terms.strike, Price::from_units(250));
        assert_eq!(instrument.exchange, "CBOE");
        // 16:00 in New York, in winter.
        assert_eq!(super::super::translate::time("20261218-21:00:00"), Ok(terms.last_trade));
    }

    #[test]
    fn the_hour_and_the_increments_are_the_ones_that_were_told() {
        let mut one = details();
        "20261218 20:00:00 UTC".clone_into(&mut one.contract.last_trade_date_or_contract_month);
        one.market_rule_ids = vec!["32".to_owned(), "26".to_owned()];
        let told = MarketRule {
            market_rule_id: 32,
            price_increments: vec![
                PriceIncrement { low_edge: 0.0, increment: 0.05 },
                PriceIncrement { low_edge: 3.0, increment: 0.1 },
            ],
        };
        let rules = BTreeMap::from([(32, tick_rule(&told).unwrap())]);
        let instrument = instrument_of(&one, &rules).unwrap();
        assert_eq!(instrument.tick, rules[&32]);
        let terms = instrument.option().unwrap();
        assert_eq!(super::super::translate::time("20261218-20:00:00"), Ok(terms.last_trade));
        assert_eq!((terms.expiry.compact(), terms.fixing), ("20261218".to_owned(), Fixing::Pm));
    }

    #[test]
    fn options_on_es_end_as_their_class_says_and_no_other_class_is_taken() {
        let fop = |class: &str, last: &str| {
            let mut one = details();
            one.contract.security_type = SecurityType::FuturesOption;
            one.contract.symbol = Symbol("ES".to_owned());
            one.contract.exchange = Exchange("CME".to_owned());
            one.contract.multiplier = "50".to_owned();
            class.clone_into(&mut one.contract.trading_class);
            last.clone_into(&mut one.contract.last_trade_date_or_contract_month);
            one.real_expiration_date = last[..8].to_owned();
            "FUT".clone_into(&mut one.under_security_type);
            one
        };
        let told = |details: &ContractDetails| {
            let instrument = instrument_of(details, &BTreeMap::new()).unwrap();
            assert!(matches!(instrument.kind, InstrumentKind::FutureOption(_)));
            assert_eq!(instrument.multiplier, Multiplier(50));
            let terms = *instrument.option().unwrap();
            assert_eq!(terms.settlement, Settlement::Physical);
            (terms.style, terms.fixing, terms.last_trade)
        };
        let at = |text| super::super::translate::time(text).unwrap();
        let quarterly = (ExerciseStyle::American, Fixing::Am, at("20261218 14:30:00 UTC"));
        assert_eq!(told(&fop("ES", "20261218 08:30:00 US/Central")), quarterly);
        assert_eq!(told(&fop("ES", "20261218")), quarterly);
        let friday = (ExerciseStyle::European, Fixing::Pm, at("20261211 21:00:00 UTC"));
        assert_eq!(told(&fop("EW2", "20261211 15:00:00 US/Central")), friday);
        assert_eq!(told(&fop("EW2", "20261211")), friday);
        let mut untabled = [(); 4].map(|()| fop("EW", "20261130"));
        "EYC".clone_into(&mut untabled[0].contract.trading_class);
        untabled[1].contract.symbol = Symbol("CL".to_owned());
        untabled[2].contract.exchange = Exchange("NYMEX".to_owned());
        "5".clone_into(&mut untabled[3].contract.multiplier);
        for one in untabled {
            assert!(instrument_of(&one, &BTreeMap::new()).is_err(), "{:?}", one.contract);
        }
    }

    #[test]
    fn a_future_settles_in_cash_on_the_opening() {
        let mut one = details();
        one.contract.security_type = SecurityType::Future;
        one.contract.symbol = Symbol("ES".to_owned());
        one.contract.exchange = Exchange("CME".to_owned());
        one.contract.multiplier = "50".to_owned();
        one.contract.right = None;
        "20261218 08:30:00 US/Central"
            .clone_into(&mut one.contract.last_trade_date_or_contract_month);
        let instrument = instrument_of(&one, &BTreeMap::new()).unwrap();
        let InstrumentKind::Future(terms) = instrument.kind else { panic!("{instrument:?}") };
        assert_eq!((terms.settlement, terms.fixing), (Settlement::Cash, Fixing::Am));
        one.contract.symbol = Symbol("CL".to_owned());
        assert!(instrument_of(&one, &BTreeMap::new()).is_err(), "crude oil is delivered");
    }

    #[test]
    fn terms_that_move_money_are_never_guessed() {
        let broken: [fn(&mut ContractDetails); 6] = [
            |one| one.contract.multiplier = String::new(),
            |one| one.contract.multiplier = "95.5".to_owned(),
            |one| one.contract.right = None,
            |one| one.under_contract_id = 0,
            |one| one.min_tick = 0.0,
            |one| one.contract.last_trade_date_or_contract_month = "202612".to_owned(),
        ];
        for (case, damage) in broken.into_iter().enumerate() {
            let mut one = details();
            damage(&mut one);
            assert!(instrument_of(&one, &BTreeMap::new()).is_err(), "case {case}");
        }
    }
}
