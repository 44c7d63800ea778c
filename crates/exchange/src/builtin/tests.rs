//! The built-in market as its users see it.

use super::*;
use market::instrument::Right;
use std::collections::BTreeMap;

fn start() -> Timestamp {
    midnight_utc(Date::new(2026, 11, 23).unwrap()).plus(Duration::from_secs(9 * 3_600))
}

/// A running hash (FNV-1a) over all that a step says.
fn hash(step: &MarketStep, mut state: u64) -> u64 {
    let mut add = |word: i64| state = (state ^ word as u64).wrapping_mul(0x0100_0000_01b3);
    add(step.time.nanos());
    for instrument in &step.listed {
        add(i64::from(instrument.con_id.0));
    }
    for (con_id, quote) in &step.quotes {
        add(i64::from(con_id.0));
        for level in [quote.bid, quote.ask].into_iter().flatten() {
            add(level.price.micros());
            add(i64::from(level.size));
        }
    }
    state
}

#[test]
fn the_same_seed_gives_the_same_20_000_steps() {
    let run = |seed| {
        let mut market = BuiltinMarket::new(seed, start());
        (0..20_000).fold(0, |state, _| hash(&market.next_step(), state))
    };
    let (first, second) = std::thread::scope(|scope| {
        let other = scope.spawn(|| run(7));
        (run(7), other.join().unwrap())
    });
    assert_eq!(first, second);
    let mut market = BuiltinMarket::new(8, start());
    let mut other = BuiltinMarket::new(7, start());
    assert_ne!(hash(&market.next_step(), 0), hash(&other.next_step(), 0));
}

#[test]
fn a_saved_market_continues_its_paths_number_for_number() {
    let mut market = BuiltinMarket::new(3, start());
    for _ in 0..500 {
        market.next_step();
    }
    let mut continued = BuiltinMarket::from_json(&market.to_json()).unwrap();
    let first = continued.next_step();
    assert_eq!(first.listed.len(), market.instruments().len());
    assert_eq!(first.time, market.next_time());
    market.next_step();
    for _ in 0..100 {
        market.next_step();
        continued.next_step();
    }
    for (one, other) in market.underlyings.iter().zip(&continued.underlyings) {
        assert_eq!(one.path, other.path);
    }
    assert!(BuiltinMarket::from_json("{}").is_err());
}

#[test]
fn quotes_are_on_ticks_uncrossed_and_mostly_two_sided() {
    let mut market = BuiltinMarket::new(1, start());
    let step = market.next_step();
    let rules: BTreeMap<ConId, TickRule> =
        step.listed.iter().map(|one| (one.con_id, one.tick.clone())).collect();
    assert_eq!(step.quotes.len(), step.listed.len());
    let mut two_sided = 0;
    for (con_id, quote) in &step.quotes {
        let ask = quote.ask.unwrap();
        assert!(rules[con_id].allows(ask.price), "{con_id:?} {quote:?}");
        if let Some(bid) = quote.bid {
            assert!(rules[con_id].allows(bid.price) && bid.price < ask.price, "{quote:?}");
            two_sided += 1;
        }
    }
    assert!(two_sided * 10 > step.quotes.len() * 7, "{two_sided} of {}", step.quotes.len());
}

#[test]
fn a_later_step_sends_a_fraction_of_the_lines() {
    let mut market = BuiltinMarket::new(1, start());
    let lines = market.next_step().quotes.len();
    let sent: usize = (0..40).map(|_| market.next_step().quotes.len()).sum();
    assert!(sent > 0 && sent / 40 < lines / 4, "{sent} in 40 steps of {lines} lines");
}

#[test]
fn index_option_vols_can_be_recovered() {
    let mut market = BuiltinMarket::new(2, start());
    let step = market.next_step();
    let quotes: BTreeMap<ConId, Quote> = step.quotes.iter().copied().collect();
    let spot = quotes[&SIMX].mid().unwrap().to_f64();
    let mut near_the_money = 0;
    for instrument in &step.listed {
        let Some(terms) = instrument.option().filter(|terms| terms.underlying == SIMX) else {
            continue;
        };
        let years = step.time.years_until(terms.last_trade);
        let strike = terms.strike.to_f64();
        if years < 0.01 || (strike / spot - 1.0).abs() > 0.02 {
            continue;
        }
        let quote = quotes[&instrument.con_id];
        let mid = quote.mid().unwrap().to_f64();
        let discount = libm::exp(-RATE * years);
        let value = |vol| {
            let kind = match terms.right {
                Right::Call => pricing::black::OptionKind::Call,
                Right::Put => pricing::black::OptionKind::Put,
            };
            let forward = spot / discount;
            let contract =
                pricing::black::ForwardContract { forward, strike, years, vol, discount, kind };
            contract.price_and_greeks().unwrap().price
        };
        let (mut low, mut high) = (0.01, 1.0);
        for _ in 0..60 {
            let vol = 0.5 * (low + high);
            if value(vol) < mid { low = vol } else { high = vol }
        }
        assert!((0.10..0.30).contains(&low), "{} {low}", instrument.local_symbol);
        near_the_money += 1;
    }
    assert!(near_the_money > 20, "{near_the_money}");
}

#[test]
fn expiries_roll_for_ever_and_ids_are_never_reused() {
    let mut market = BuiltinMarket::new(4, start()).with_interval(Duration::from_secs(1_800));
    let mut seen = BTreeMap::new();
    for _ in 0..48 * 120 {
        let step = market.next_step();
        for instrument in step.listed {
            let name = instrument.local_symbol.clone();
            assert!(instrument.last_trade().is_none_or(|end| end > step.time), "{name}");
            assert!(seen.insert(instrument.con_id, name).is_none());
        }
        let expiries = market.underlyings[0].chain.instruments().filter_map(Instrument::last_trade);
        let distinct: std::collections::BTreeSet<Timestamp> = expiries.collect();
        assert_eq!(distinct.len(), chain::EXPIRIES);
    }
}

#[test]
fn the_stock_falls_by_its_dividend_on_the_ex_date() {
    let mut market = BuiltinMarket::new(4, start()).with_interval(Duration::from_secs(60));
    let ex_date = market.dividends()[0].ex_date;
    assert_eq!(ex_date, Date::new(2026, 11, 26).unwrap());
    let mut last = market.underlyings[0].path.spot();
    while market.next_time() < midnight_utc(ex_date) {
        market.next_step();
        last = market.underlyings[0].path.spot();
    }
    market.next_step();
    let fall = last - market.underlyings[0].path.spot();
    assert!((fall - 0.5).abs() < 0.2, "{fall}");
    assert_eq!(market.dividends()[0].ex_date, ex_date.plus_days(91));
}
