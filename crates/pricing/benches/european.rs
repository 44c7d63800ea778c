//! Time per option of the European kernels and per expiry of parity and smile. Read ratios, not
//! nanoseconds: `implied-vol`'s own Black price is in the same run as the peer.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use implied_vol::{DefaultSpecialFn, PriceBlackScholes};
use pricing::black::{EuropeanGreeks, EuropeanInputs};
use pricing::implied::{ImpliedInputs, NoVol, implied_vols};
use pricing::parity::{ParityInputs, ParitySettings, fit_parity};
use pricing::smile::{Smile, SmileInputs};
use std::hint::black_box;

const OPTIONS: usize = 1_000;
const STRIKES: usize = 60;

fn european(criterion: &mut Criterion) {
    let spread = |from: f64, to: f64, step: usize| -> Vec<f64> {
        (0..OPTIONS)
            .map(|index| from + (to - from) * ((index * step) % OPTIONS) as f64 / OPTIONS as f64)
            .collect()
    };
    let forward = vec![100.0; OPTIONS];
    let (strike, years) = (spread(80.0, 125.0, 7), spread(0.02, 1.5, 13));
    let (vol, discount) = (spread(0.12, 0.6, 29), vec![0.98; OPTIONS]);
    let is_call: Vec<bool> = strike.iter().map(|strike| *strike > 100.0).collect();
    let inputs = EuropeanInputs {
        forward: &forward,
        strike: &strike,
        years: &years,
        vol: &vol,
        discount: &discount,
        is_call: &is_call,
    };
    let mut greeks = EuropeanGreeks::default();
    greeks.fill(&inputs).expect("columns of one length");
    let undiscounted: Vec<f64> = greeks.price.iter().map(|price| price / 0.98).collect();

    let mut group = criterion.benchmark_group("per_option");
    group.throughput(Throughput::Elements(OPTIONS as u64));
    group.bench_function("price_and_greeks", |bencher| {
        bencher.iter(|| greeks.fill(black_box(&inputs)).expect("columns of one length"));
    });
    group.bench_function("peer_price_only", |bencher| {
        bencher.iter(|| {
            (0..OPTIONS)
                .map(|lane| {
                    PriceBlackScholes::builder()
                        .forward(forward[lane])
                        .strike(black_box(strike[lane]))
                        .volatility(vol[lane])
                        .expiry(years[lane])
                        .is_call(is_call[lane])
                        .build_unchecked()
                        .calculate::<DefaultSpecialFn>()
                })
                .sum::<f64>()
        });
    });
    let implied = ImpliedInputs {
        undiscounted_price: &undiscounted,
        forward: &forward,
        strike: &strike,
        years: &years,
        is_call: &is_call,
    };
    let mut vols = vec![Err(NoVol::Expired); OPTIONS];
    group.bench_function("implied_vol", |bencher| {
        bencher
            .iter(|| implied_vols(black_box(&implied), &mut vols).expect("columns of one length"));
    });
    group.finish();
}

fn expiry(criterion: &mut Criterion) {
    let strike: Vec<f64> = (0..STRIKES).map(|index| 70.0 + index as f64).collect();
    let jitter = |index: usize| 0.02 * ((index * 37) % 11) as f64 / 11.0;
    let call: Vec<f64> = strike.iter().map(|strike| (101.0 - strike).max(0.0) + 3.0).collect();
    let put: Vec<f64> = strike.iter().map(|strike| (strike - 101.0).max(0.0) + 3.0).collect();
    let shifted = |mids: &[f64], by: f64| -> Vec<f64> {
        mids.iter().enumerate().map(|(index, mid)| mid + by + jitter(index)).collect()
    };
    let (call_bid, call_ask) = (shifted(&call, -0.05), shifted(&call, 0.05));
    let (put_bid, put_ask) = (shifted(&put, -0.04), shifted(&put, 0.04));
    let inputs = ParityInputs {
        strike: &strike,
        call_bid: &call_bid,
        call_ask: &call_ask,
        put_bid: &put_bid,
        put_ask: &put_ask,
    };
    let settings = ParitySettings::with_rate_guess(0.5, 0.0);
    let mut group = criterion.benchmark_group("per_expiry_of_60_strikes");
    group.bench_function("parity", |bencher| {
        bencher.iter(|| fit_parity(black_box(&inputs), &settings).expect("a fit"));
    });
    let log_moneyness: Vec<f64> = strike.iter().map(|strike| (strike / 101.0).ln()).collect();
    let vol: Vec<f64> = log_moneyness.iter().map(|k| 0.2 - 0.2 * k + k * k).collect();
    let vol_error = vec![0.003; STRIKES];
    let smile = SmileInputs { log_moneyness: &log_moneyness, vol: &vol, vol_error: &vol_error };
    group.bench_function("smile_with_every_quote_left_out", |bencher| {
        bencher.iter(|| {
            let fitted = Smile::fit(black_box(&smile), 1.0).expect("a smile");
            (0..fitted.quotes())
                .map(|index| fitted.fair_vol_without(index).expect("a fair vol").vol)
                .sum::<f64>()
        });
    });
    group.finish();
}

criterion_group!(benches, european, expiry);
criterion_main!(benches);
