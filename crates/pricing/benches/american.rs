//! Time of the American engine: cold boundaries, spot ticks, all Greeks, implied vol, cash
//! dividends, and a chain. Read with the section "American" of `docs/pricing.md`.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pricing::american::chain::{Chain, ChainInputs, Expiry};
use pricing::american::implied::{VolCurve, implied_vol};
use pricing::american::{Accuracy, Boundary, price_and_greeks};
use pricing::black::{OptionKind, SpotContract};
use pricing::dividends::{self, CashDividend, Exercise};
use std::hint::black_box;

const CHAIN: usize = 5_000;

/// Market-like puts and calls, a week to two years.
fn contracts(count: usize) -> Vec<SpotContract> {
    let spread = |index: usize, step: usize, from: f64, to: f64| {
        from + (to - from) * ((index * step) % count) as f64 / count as f64
    };
    (0..count)
        .map(|index| SpotContract {
            spot: spread(index, 7, 70.0, 130.0),
            strike: 100.0,
            years: spread(index, 13, 0.02, 2.0),
            vol: spread(index, 29, 0.12, 0.6),
            rate: spread(index, 3, 0.01, 0.08),
            dividend_yield: spread(index, 17, 0.005, 0.06),
            kind: if index % 2 == 0 { OptionKind::Put } else { OptionKind::Call },
        })
        .collect()
}

fn solved(contract: &SpotContract, accuracy: Accuracy) -> Boundary {
    let SpotContract { years, vol, rate, dividend_yield, kind, .. } = *contract;
    Boundary::solve(kind, rate, dividend_yield, vol, years, accuracy).expect("a market-like option")
}

fn options(criterion: &mut Criterion) {
    let contracts = contracts(200);
    let mut group = criterion.benchmark_group("american_per_option");
    group.throughput(Throughput::Elements(contracts.len() as u64));
    for (name, accuracy) in [("fast", Accuracy::Fast), ("tight", Accuracy::Tight)] {
        group.bench_function(format!("cold_price_{name}"), |bencher| {
            bencher.iter(|| {
                contracts
                    .iter()
                    .map(|c| solved(black_box(c), accuracy).tick(c.spot, c.strike).price)
                    .sum::<f64>()
            });
        });
        group.bench_function(format!("cold_all_greeks_{name}"), |bencher| {
            bencher.iter(|| {
                contracts
                    .iter()
                    .filter_map(|c| price_and_greeks(black_box(c), accuracy).ok())
                    .map(|greeks| greeks.vega)
                    .sum::<f64>()
            });
        });
        let boundaries: Vec<_> = contracts.iter().map(|c| solved(c, accuracy)).collect();
        group.bench_function(format!("tick_price_delta_gamma_{name}"), |bencher| {
            bencher.iter(|| {
                contracts
                    .iter()
                    .zip(&boundaries)
                    .map(|(c, boundary)| boundary.tick(black_box(c.spot), c.strike).gamma)
                    .sum::<f64>()
            });
        });
    }
    let prices: Vec<f64> =
        contracts.iter().map(|c| solved(c, Accuracy::Fast).tick(c.spot, c.strike).price).collect();
    group.bench_function("implied_vol_cold", |bencher| {
        bencher.iter(|| {
            contracts
                .iter()
                .zip(&prices)
                .filter_map(|(c, price)| implied_vol(black_box(*price), c, Accuracy::Fast).ok())
                .sum::<f64>()
        });
    });
    group.finish();

    let curve = VolCurve::new(OptionKind::Put, 0.05, 0.01, 0.5, (0.1, 0.6)).expect("one boundary");
    let quotes: Vec<(f64, f64)> = (0..200)
        .map(|index| {
            let strike = 80.0 + 0.15 * f64::from(index);
            let boundary = Boundary::solve(OptionKind::Put, 0.05, 0.01, 0.25, 0.5, Accuracy::Fast);
            (boundary.expect("one boundary").tick(100.0, strike).price, strike)
        })
        .collect();
    let mut group = criterion.benchmark_group("american_implied_vol");
    group.throughput(Throughput::Elements(quotes.len() as u64));
    group.bench_function("by_curve", |bencher| {
        bencher.iter(|| {
            quotes
                .iter()
                .filter_map(|(price, strike)| {
                    curve.implied_vol(black_box(*price), 100.0, *strike).ok()
                })
                .sum::<f64>()
        });
    });
    group.finish();
}

fn cash_dividends(criterion: &mut Criterion) {
    let call = SpotContract {
        spot: 100.0,
        strike: 100.0,
        years: 1.0,
        vol: 0.3,
        rate: 0.05,
        dividend_yield: 0.0,
        kind: OptionKind::Call,
    };
    let put = SpotContract { kind: OptionKind::Put, ..call };
    let schedules = [
        vec![CashDividend { years: 0.4, cash: 1.0 }],
        [0.15, 0.4, 0.65, 0.9].map(|years| CashDividend { years, cash: 0.5 }).to_vec(),
    ];
    let mut group = criterion.benchmark_group("american_cash_dividends");
    for schedule in &schedules {
        for (name, contract) in [("call", &call), ("put", &put)] {
            group.bench_function(format!("{name}_{}_all_greeks", schedule.len()), |bencher| {
                bencher.iter(|| {
                    dividends::price_and_greeks(
                        Exercise::American,
                        black_box(contract),
                        schedule,
                        Accuracy::Tight,
                    )
                });
            });
        }
    }
    group.finish();
}

fn chain(criterion: &mut Criterion) {
    let strike: Vec<f64> = (0..CHAIN).map(|lane| 60.0 + 0.02 * lane as f64).collect();
    let vol: Vec<f64> = (0..CHAIN).map(|lane| 0.15 + 6e-5 * lane as f64).collect();
    let is_call: Vec<bool> = (0..CHAIN).map(|lane| lane % 2 == 0).collect();
    let inputs = ChainInputs { strike: &strike, vol: &vol, is_call: &is_call };
    let expiry =
        Expiry { years: 0.25, rate: 0.045, dividend_yield: 0.012, accuracy: Accuracy::Fast };
    let mut group = criterion.benchmark_group("american_chain_of_5000");
    group.sample_size(10);
    group.bench_function("cold", |bencher| {
        bencher.iter(|| Chain::solve(black_box(&expiry), &inputs));
    });
    let solved = Chain::solve(&expiry, &inputs).expect("columns of one length");
    let mut ticks = Vec::new();
    group.bench_function("tick", |bencher| {
        bencher.iter(|| solved.tick(black_box(100.1), &mut ticks));
    });
    let mut greeks = Vec::new();
    group.bench_function("all_greeks", |bencher| {
        bencher.iter(|| solved.greeks(black_box(100.1), &mut greeks));
    });
    group.finish();
}

criterion_group!(benches, options, cash_dividends, chain);
criterion_main!(benches);
