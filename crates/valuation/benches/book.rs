//! How many quotes a second one core prices: every option of a product requoted after its
//! underlying moved, so that each quote costs a volatility, Greeks, a fair value and a verdict.

#![allow(clippy::unwrap_used, reason = "a benchmark may fail by panic")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use market::instrument::{
    Catalog, ConId, Deliverable, ExerciseStyle, Fixing, Instrument, InstrumentKind, OptionTerms,
    Right, Settlement, TickRule,
};
use market::money::{Currency, Multiplier, Price};
use market::quote::{Level, Quote};
use market::time::{Date, Timestamp};
use pricing::black::{ForwardContract, OptionKind};
use std::hint::black_box;
use std::time::Duration;
use valuation::book::{BookSettings, LineUpdate, PricingBook};

const START: Timestamp = Timestamp::from_seconds(1_600_000_000);

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

/// A stock and ten expiries of 51 strikes.
fn catalog() -> Catalog {
    let mut catalog = Catalog::default();
    catalog.insert(instrument(1, InstrumentKind::Stock)).unwrap();
    for expiry in 1..=10_u32 {
        for strike in 75..=125_u32 {
            for (right, offset) in [(Right::Call, 0), (Right::Put, 500)] {
                let days = 20 * expiry;
                let terms = OptionTerms {
                    underlying: ConId(1),
                    right,
                    strike: Price::from_units(i64::from(strike)),
                    expiry: Date::new(2020, 9, 13).unwrap().plus_days(days as i32),
                    last_trade: START.plus(Duration::from_secs(u64::from(days) * 86_400)),
                    style: ExerciseStyle::European,
                    settlement: Settlement::Physical,
                    fixing: Fixing::Pm,
                    deliverable: Deliverable::Standard,
                };
                let id = 1000 * expiry + offset + strike;
                catalog.insert(instrument(id, InstrumentKind::Option(terms))).unwrap();
            }
        }
    }
    catalog
}

fn market(catalog: &Catalog, book: &PricingBook, spot: f64) -> Vec<(u32, LineUpdate)> {
    let level = |price: f64| Some(Level { price: Price::from_f64(price).unwrap(), size: 10 });
    let update = |one: &Instrument| {
        let mid = one.option().map_or(spot, |terms| {
            let strike = terms.strike.to_f64();
            let moneyness = (strike / 100.0).ln();
            let contract = ForwardContract {
                forward: spot,
                strike,
                years: START.years_until(terms.last_trade),
                vol: 0.22 - 0.15 * moneyness + 0.4 * moneyness * moneyness,
                discount: 1.0,
                kind: if terms.right == Right::Call { OptionKind::Call } else { OptionKind::Put },
            };
            contract.price_and_greeks().unwrap().price + 0.02
        });
        let quote = Quote { bid: level(mid - 0.01), ask: level(mid + 0.01), time: START };
        let line = book.line_index(one.con_id).unwrap();
        (line, LineUpdate { quote, two_sided_valid: true, live: true })
    };
    catalog.iter().map(update).collect()
}

fn requote(criterion: &mut Criterion) {
    let catalog = catalog();
    let mut book = PricingBook::new("TEST", &catalog, BookSettings::default());
    let markets = [100.0, 100.1].map(|spot| market(&catalog, &book, spot));
    let mut group = criterion.benchmark_group("book");
    group.throughput(Throughput::Elements(markets[0].len() as u64));
    let mut round = 0_u64;
    group.bench_function("requote_all_after_a_move", |bench| {
        bench.iter(|| {
            round += 1;
            let now = START.plus(Duration::from_millis(100 * round));
            book.on_quotes(&markets[(round % 2) as usize]);
            black_box(book.recompute(now))
        });
    });
    group.finish();
}

criterion_group!(benches, requote);
criterion_main!(benches);
