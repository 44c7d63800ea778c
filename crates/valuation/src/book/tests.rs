//! The book against a synthetic market whose volatilities are known.

use super::*;
use crate::edge::ModelValue;
use crate::view::{FairValue, Line, OptionLine};
use market::instrument::{
    Deliverable, ExerciseStyle, Fixing, FutureTerms, OptionTerms, Right, Settlement, TickRule,
};
use market::money::{Currency, Multiplier, Price};
use market::quote::{Level, Side};
use pricing::arbitrage::{Grid, prove};
use pricing::black::{ForwardContract, OptionKind};
use proptest::prelude::*;
use std::time::Duration;

mod american;
mod surface;

const START: Timestamp = Timestamp::from_seconds(1_600_000_000);
const RATE: f64 = 0.02;
const YIELD: f64 = 0.005;
const STRIKES: std::ops::RangeInclusive<u32> = 80..=120;

fn last_trade(days: u32) -> Timestamp {
    START.plus(Duration::from_secs(u64::from(days) * 86_400))
}

fn instrument(id: u32, kind: InstrumentKind) -> Instrument {
    Instrument {
        con_id: ConId(id),
        symbol: "TEST".into(),
        local_symbol: format!("TEST {id}"),
        exchange: "SMART".into(),
        currency: Currency::USD,
        multiplier: Multiplier(100),
        tick: TickRule::flat(Price::from_micros(10_000)),
        trading_class: "TEST".into(),
        kind,
    }
}

fn option(id: u32, right: Right, strike: u32, days: u32) -> Instrument {
    let terms = OptionTerms {
        underlying: ConId(1),
        right,
        strike: Price::from_units(i64::from(strike)),
        expiry: Date::new(2020, 9, 13).unwrap().plus_days(days as i32),
        last_trade: last_trade(days),
        style: ExerciseStyle::European,
        settlement: Settlement::Physical,
        fixing: Fixing::Pm,
        deliverable: Deliverable::Standard,
    };
    instrument(id, InstrumentKind::Option(terms))
}

/// A stock at con id 1; calls at 1000 + strike and puts at 2000 + strike, 30 days; those of 60 days
/// 2000 further up.
fn catalog() -> Catalog {
    let mut catalog = Catalog::default();
    catalog.insert(instrument(1, InstrumentKind::Stock)).unwrap();
    for (base, days) in [(1000, 30), (3000, 60)] {
        for strike in STRIKES.step_by(2) {
            catalog.insert(option(base + strike, Right::Call, strike, days)).unwrap();
            catalog.insert(option(base + 1000 + strike, Right::Put, strike, days)).unwrap();
        }
    }
    catalog
}

fn true_vol(strike: f64, spot: f64) -> f64 {
    let k = libm::log(strike / spot);
    0.22 - 0.15 * k + 0.4 * k * k
}

fn quote(mid: f64, half_spread: f64, time: Timestamp) -> LineUpdate {
    let level = |price: f64| Some(Level { price: Price::from_f64(price).unwrap(), size: 10 });
    LineUpdate {
        quote: Quote { bid: level(mid - half_spread), ask: level(mid + half_spread), time },
        two_sided_valid: true,
        live: true,
    }
}

fn value(terms: &OptionTerms, spot: f64, now: Timestamp) -> f64 {
    let years = now.years_until(terms.last_trade);
    let strike = terms.strike.to_f64();
    let contract = ForwardContract {
        forward: spot * libm::exp((RATE - YIELD) * years),
        strike,
        years,
        vol: true_vol(strike, 100.0),
        discount: libm::exp(-RATE * years),
        kind: if terms.right == Right::Call { OptionKind::Call } else { OptionKind::Put },
    };
    contract.price_and_greeks().unwrap().price
}

/// Every line quoted around its true value.
fn market(
    catalog: &Catalog,
    book: &PricingBook,
    spot: f64,
    now: Timestamp,
) -> Vec<(u32, LineUpdate)> {
    let quoted = |one: &Instrument| match one.option() {
        None => quote(spot, 0.005, now),
        Some(terms) => {
            let value = value(terms, spot, now);
            quote(value, (0.01 * value).max(0.0001), now)
        }
    };
    let line = |one: &Instrument| book.line_index(one.con_id).unwrap();
    catalog.iter().map(|one| (line(one), quoted(one))).collect()
}

fn running() -> (Catalog, PricingBook, Arc<MarketView>) {
    let catalog = catalog();
    let mut book = PricingBook::new("TEST", &catalog, BookSettings::default());
    book.on_quotes(&market(&catalog, &book, 100.0, START));
    let view = book.recompute(START).unwrap();
    (catalog, book, view)
}

fn near(view: &MarketView, id: u32) -> OptionLine {
    match view.line(ConId(id)) {
        Some(Line::Option(line, _)) => *line,
        other => panic!("{id} is {other:?}"),
    }
}

#[test]
fn a_priced_chain_gives_its_volatilities_and_forward_back() {
    let (_, book, view) = running();
    assert_eq!(view.chains.len(), 2);
    for chain in view.chains.values() {
        let growth = libm::exp((RATE - YIELD) * chain.years);
        assert!((chain.forward / (100.0 * growth) - 1.0).abs() < 2e-4, "{}", chain.forward);
        assert!((chain.at_the_money_vol.unwrap() - 0.22).abs() < 0.005);
        for line in chain
            .lines
            .iter()
            .filter(|line| (90..=110).contains(&(line.strike.micros() / 1_000_000)))
        {
            let vol = line.implied_vol.unwrap();
            let truth = true_vol(line.strike.to_f64(), 100.0);
            assert!((vol - truth).abs() < 0.01, "{line:?} {truth}");
            let fair = line.fair.unwrap();
            assert!((fair.vol - truth).abs() < 0.01, "{line:?} {truth}");
            assert_eq!(line.state, DataState::Fresh, "{line:?}");
        }
    }
    let call = near(&view, 1100).greeks.unwrap();
    assert!((call.delta - 0.52).abs() < 0.03, "{call:?}");
    assert!(call.gamma > 0.0 && call.vega > 0.0 && call.theta < 0.0);
    // Call less put is worth spot less discounted strike, less the yield's share: only the strike
    // knows the rate.
    let put = near(&view, 2100).greeks.unwrap();
    let years = START.years_until(last_trade(30));
    let strike = 100.0 * years * libm::exp(-RATE * years);
    assert!((call.rho - put.rho - strike).abs() < 0.02, "{call:?} {put:?} {strike}");
    let counts = book.counts();
    assert_eq!(counts.quotes_seen, 85);
    assert!(counts.fresh_with_own_vol * 10 >= counts.fresh * 9 && counts.fresh > 60, "{counts:?}");
    assert!(view.regime.fresh_share.unwrap() > 0.9);
}

#[test]
fn a_quote_does_not_vouch_for_itself() {
    let (_, mut book, before) = running();
    let line = book.line_index(ConId(1096)).unwrap();
    let shifted = near(&before, 1096).quote.mid().unwrap().to_f64() + 0.50;
    book.on_quotes(&[(line, quote(shifted, 0.02, START))]);
    let after = book.recompute(START).unwrap();
    let (old, new) = (near(&before, 1096), near(&after, 1096));
    let difference = (old.fair.unwrap().price - new.fair.unwrap().price).abs();
    assert!(difference < 1e-3, "{difference}");
    assert_eq!((old.state, new.state), (DataState::Fresh, DataState::Stale));
}

#[test]
fn quotes_that_rest_while_the_underlying_jumps_are_stale_until_they_move() {
    let (catalog, mut book, _) = running();
    let later = START.plus(Duration::from_secs(1));
    let stock = book.line_index(ConId(1)).unwrap();
    book.on_quotes(&[(stock, quote(103.0, 0.005, later))]);
    let jumped = book.recompute(later).unwrap();
    assert_eq!(near(&jumped, 1100).state, DataState::Stale);
    assert!(jumped.regime.fresh_share.unwrap() < 0.5);
    book.on_quotes(&market(&catalog, &book, 103.0, later));
    let settled = book.recompute(later).unwrap();
    assert_eq!(near(&settled, 1100).state, DataState::Fresh);
}

#[test]
fn only_changed_expiries_are_published_anew() {
    let (_, mut book, before) = running();
    assert!(book.recompute(START).is_none());
    let line = book.line_index(ConId(1096)).unwrap();
    let again = near(&before, 1096).quote;
    book.on_quotes(&[(line, LineUpdate { quote: again, two_sided_valid: true, live: true })]);
    let after = book.recompute(START).unwrap();
    let same: Vec<bool> =
        before.chains.iter().map(|(key, chain)| Arc::ptr_eq(chain, &after.chains[key])).collect();
    assert_eq!(same, [false, true]);
    assert!(after.version > before.version);
}

#[test]
fn states_follow_what_the_feed_says() {
    let (_, mut book, before) = running();
    let update = |book: &PricingBook, id, two_sided_valid, live| {
        let quote = near(&before, id).quote;
        (book.line_index(ConId(id)).unwrap(), LineUpdate { quote, two_sided_valid, live })
    };
    let updates = [update(&book, 1100, false, true), update(&book, 1102, true, false)];
    book.on_quotes(&updates);
    let after = book.recompute(START).unwrap();
    assert_eq!(near(&after, 1100).state, DataState::Flawed);
    assert_eq!(near(&after, 1102).state, DataState::NotLive);
    assert!(near(&after, 1100).implied_vol.is_none() && near(&after, 1100).greeks.is_some());
}

#[test]
fn a_lone_option_is_judged_by_its_own_volatility() {
    let mut catalog = Catalog::default();
    catalog.insert(instrument(1, InstrumentKind::Stock)).unwrap();
    catalog.insert(option(1100, Right::Call, 100, 30)).unwrap();
    let mut book = PricingBook::new("TEST", &catalog, BookSettings::default());
    book.on_quotes(&market(&catalog, &book, 100.0, START));
    let view = book.recompute(START).unwrap();
    let line = near(&view, 1100);
    assert_eq!((line.state, line.fair), (DataState::Fresh, None));
    let stock = book.line_index(ConId(1)).unwrap();
    book.on_quotes(&[(stock, quote(104.0, 0.005, START))]);
    assert_eq!(near(&book.recompute(START).unwrap(), 1100).state, DataState::Stale);
}

#[test]
fn expired_lines_vanish_and_their_quotes_are_counted() {
    let (catalog, mut book, _) = running();
    let updates = market(&catalog, &book, 100.0, START);
    let view = book.recompute(last_trade(30)).unwrap();
    assert_eq!(view.chains.len(), 1);
    assert!(view.line(ConId(1100)).is_none() && view.line(ConId(3100)).is_some());
    book.on_quotes(&updates);
    assert_eq!(book.counts().unknown_lines, 42);
    let listed = option(9000, Right::Call, 101, 60);
    let line = book.add_instrument(&listed);
    assert_eq!((book.line_index(ConId(9000)), book.add_instrument(&listed)), (line, line));
    let now = last_trade(30).plus(Duration::from_secs(1));
    assert_eq!(near(&book.recompute(now).unwrap(), 9000).state, DataState::NotLive);
}

#[test]
fn a_restored_book_shows_the_old_numbers_as_stale_and_recovers() {
    let (catalog, _, before) = running();
    let mut book = PricingBook::new("TEST", &catalog, BookSettings::default());
    book.restore_from(&before);
    let warm = book.recompute(START).unwrap();
    assert!(warm.version > before.version);
    assert_eq!(near(&warm, 1100).implied_vol, near(&before, 1100).implied_vol);
    let states = |view: &MarketView| {
        view.chains.values().flat_map(|c| &c.lines).filter(|l| l.state == DataState::Fresh).count()
    };
    assert_eq!(states(&warm), 0);
    book.on_quotes(&market(&catalog, &book, 100.0, START));
    assert_eq!(states(&book.recompute(START).unwrap()), states(&before));
}

#[test]
fn the_future_is_the_forward_of_its_options() {
    let mut catalog = Catalog::default();
    let future = FutureTerms {
        expiry: Date::new(2020, 12, 18).unwrap(),
        last_trade: last_trade(90),
        settlement: Settlement::Cash,
        fixing: Fixing::Am,
    };
    catalog.insert(instrument(1, InstrumentKind::Future(future))).unwrap();
    for strike in STRIKES.step_by(2) {
        for (base, right) in [(1000, Right::Call), (2000, Right::Put)] {
            let mut one = option(base + strike, right, strike, 30);
            one.kind = InstrumentKind::FutureOption(*one.option().unwrap());
            catalog.insert(one).unwrap();
        }
    }
    let mut book = PricingBook::new("TEST", &catalog, BookSettings::default());
    let growth = libm::exp((RATE - YIELD) * START.years_until(last_trade(30)));
    let mut updates = market(&catalog, &book, 100.0, START);
    updates[0].1 = quote(100.0 * growth, 0.005, START);
    book.on_quotes(&updates);
    let view = book.recompute(START).unwrap();
    let chain = view.chains.values().next().unwrap();
    assert!((chain.forward - 100.0 * growth).abs() < 1e-6);
    // With the future's price held, the rate only discounts.
    let call = near(&view, 1100);
    let (rho, price) = (call.greeks.unwrap().rho, call.quote.mid().unwrap().to_f64());
    assert!((rho + chain.years * price).abs() < 1e-3, "{rho} {price}");
    assert_eq!(near(&view, 1100).state, DataState::Fresh);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn a_quote_has_no_say_in_its_fair_value_nor_in_the_unit_of_its_edge(
        strike in 42_u32..58,
        put in any::<bool>(),
        shift in -0.9..0.9_f64,
        half_spread in 0.01..0.5_f64,
    ) {
        let (_, mut book, before) = running();
        let id = 1000 + 2 * strike + if put { 1000 } else { 0 };
        let old = near(&before, id);
        let mid = old.quote.mid().unwrap().to_f64();
        let update = quote((mid + shift).max(half_spread + 0.01), half_spread, START);
        book.on_quotes(&[(book.line_index(ConId(id)).unwrap(), update)]);
        let new = near(&book.recompute(START).unwrap(), id);
        let (was, is) = (old.fair.unwrap(), new.fair.unwrap());
        prop_assert!((was.price - is.price).abs() <= 0.05 * was.standard_error, "{was:?} {is:?}");
        let errors = is.standard_error / was.standard_error;
        prop_assert!((errors - 1.0).abs() < 0.05, "{was:?} {is:?}");
        // The edge moves by what the quote moved, and by nothing else.
        let (at, tick) = (Price::from_f64(mid + shift).unwrap(), Price::from_micros(10_000));
        let ticks = |fair: FairValue| {
            let FairValue { price, standard_error, .. } = fair;
            ModelValue { price, standard_error }.edge(Side::Buy, at, tick).ticks
        };
        let moved = ticks(was) - ticks(is);
        prop_assert!(moved.abs() <= 5.0 * was.standard_error, "{moved}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_comes_the_view_stays_sane(
        updates in prop::collection::vec(
            (
                0_u32..100,
                -1.0..130.0_f64,
                0.0..5.0_f64,
                any::<bool>(),
                any::<bool>(),
                0_u64..90_000,
            ),
            1..60,
        ),
    ) {
        let (_, mut book, first) = running();
        let (mut version, mut now) = (first.version, START);
        for (line, mid, half_spread, two_sided_valid, live, seconds) in updates {
            now = now.plus(Duration::from_secs(seconds));
            let mut update = quote(mid, half_spread, now);
            update.two_sided_valid = two_sided_valid;
            update.live = live;
            book.on_quotes(&[(line, update)]);
            let Some(view) = book.recompute(now) else { continue };
            prop_assert!(view.version > version);
            version = view.version;
            if let Some(surface) = &view.surface {
                prop_assert!(surface.time <= now && surface.version <= version);
                prove(&surface.surface, Grid { points: 201, reach: 10.0 }).unwrap();
            }
            prop_assert!((0.0..=1.0).contains(&view.regime.fresh_share.unwrap_or(0.0)));
            for chain in view.chains.values() {
                prop_assert!(chain.last_trade > now && chain.forward.is_finite());
                for pair in chain.lines.windows(2) {
                    prop_assert!(pair[0].con_id < pair[1].con_id);
                }
                for line in &chain.lines {
                    if let Some(greeks) = line.greeks {
                        prop_assert!(greeks.delta.is_finite() && greeks.vega.is_finite());
                    }
                    if line.state == DataState::Fresh {
                        prop_assert!(line.quote.both().is_some());
                        prop_assert!(line.greeks.is_some(), "{line:?}");
                    }
                }
            }
        }
    }
}
