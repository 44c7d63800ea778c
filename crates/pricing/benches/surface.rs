//! Surfaces: eSSVI of 12 expiries x 40 quotes with its proofs, an SVI slice of 25, fair vols,
//! parity.

use criterion::{Criterion, criterion_group, criterion_main};
use pricing::arbitrage::{Grid, prove};
use pricing::essvi::{CalibrationSettings, Calibrator, Slice, SliceQuotes};
use pricing::fair_value::{FairInputs, FairScratch, FairSettings, fair_vols};
use pricing::parity::{ParityInputs, ParitySettings, fit_parity};
use pricing::svi::{SviSlice, fit_svi};
use std::hint::black_box;

struct Expiry {
    years: f64,
    k: Vec<f64>,
    vol: Vec<f64>,
    half: Vec<f64>,
}

/// Noisy quotes of an index-like surface; `bump` shifts every vol, as a market that moves does.
/// `tight` makes neighbouring expiries nearly cross, so that the conditions bind.
fn chain(count: usize, bump: f64, tight: bool) -> Vec<Expiry> {
    let mut state = 7_u64;
    let mut noise = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
    };
    let weeks = [1, 2, 3, 5, 8, 13, 26, 39, 52, 78, 104, 130];
    weeks
        .iter()
        .enumerate()
        .map(|(at, &weeks)| {
            let years = f64::from(weeks) / 52.0;
            let dip = if tight && at % 3 == 2 { 0.35 } else { 0.0 };
            let vol = (0.13 + 0.05 * years.sqrt().min(1.0)) * (1.0 - dip);
            let slice = Slice {
                theta: vol * vol * years,
                rho: -0.55 - 0.05 * years.min(1.0),
                psi: (1.0 - dip) * 0.2 * years.sqrt() / (1.0 + 0.3 * years),
            };
            let reach = slice.theta.sqrt();
            let k: Vec<f64> =
                (0..count).map(|i| reach * (5.5 * i as f64 / (count - 1) as f64 - 3.5)).collect();
            let vol = k
                .iter()
                .map(|&k| (slice.total_variance(k) / years).sqrt() + bump + 0.002 * noise());
            Expiry { years, vol: vol.collect(), half: vec![0.002; count], k }
        })
        .collect()
}

fn quotes(chain: &[Expiry]) -> Vec<SliceQuotes<'_>> {
    let both = chain.iter().enumerate();
    both.map(|(at, own)| SliceQuotes {
        key: at as i64,
        years: own.years,
        log_moneyness: &own.k,
        vol: &own.vol,
        half_width: &own.half,
    })
    .collect()
}

fn surfaces(criterion: &mut Criterion) {
    for (name, tight) in [("free", false), ("bound", true)] {
        let [first, second] = [chain(40, 0.0, tight), chain(40, 0.001, tight)];
        criterion.bench_function(&format!("essvi 12x40 {name}, cold, with proofs"), |bencher| {
            bencher.iter(|| {
                let mut calibrator = Calibrator::new(CalibrationSettings::default());
                calibrator.fit(black_box(&quotes(&first))).expect("quotes fit")
            });
        });
        let mut calibrator = Calibrator::new(CalibrationSettings::default());
        let mut turn = false;
        criterion.bench_function(&format!("essvi 12x40 {name}, warm, with proofs"), |bencher| {
            bencher.iter(|| {
                turn = !turn;
                let own = if turn { &first } else { &second };
                calibrator.fit(black_box(&quotes(own))).expect("quotes fit")
            });
        });
    }
    let chain = chain(40, 0.0, false);
    let fitted =
        Calibrator::new(CalibrationSettings::default()).fit(&quotes(&chain)).expect("quotes fit");
    criterion.bench_function("arbitrage proofs, 12 x 41 points", |bencher| {
        bencher.iter(|| prove(black_box(&fitted.surface), Grid::default()));
    });
    let (mut scratch, mut fair) = (FairScratch::default(), Vec::new());
    criterion.bench_function("fair vols leave-one-out, 40 quotes", |bencher| {
        bencher.iter(|| {
            let inputs = FairInputs {
                slice: fitted.surface.slices()[5],
                report: &fitted.slices[5],
                model_error: 0.001,
                cutoff: 4.0,
                years: chain[5].years,
                log_moneyness: &chain[5].k,
                vol: &chain[5].vol,
                half_width: &chain[5].half,
            };
            fair_vols(black_box(&inputs), &FairSettings::default(), &mut scratch, &mut fair)
        });
    });
}

fn slices(criterion: &mut Criterion) {
    let truth = SviSlice { a: 0.01, b: 0.1, rho: -0.6, m: 0.02, sigma: 0.15 };
    let k: Vec<f64> = (0..25).map(|lane| -0.45 + 0.03 * f64::from(lane)).collect();
    let wobble = |at: usize| 1.0 + 0.004 * [0.3, -1.0, 0.6, 1.0, -0.7][at % 5];
    let w: Vec<f64> =
        k.iter().enumerate().map(|(at, &k)| truth.total_variance(k) * wobble(at)).collect();
    let precision: Vec<f64> = w.iter().map(|w| 200.0 / w).collect();
    criterion.bench_function("svi slice of 25, cold", |bencher| {
        bencher.iter(|| fit_svi(black_box(&k), &w, &precision, None));
    });
    let start = fit_svi(&k, &w, &precision, None).expect("quotes fit").slice;
    let start = SviSlice { m: start.m + 0.01, sigma: start.sigma * 1.05, ..start };
    criterion.bench_function("svi slice of 25, warm", |bencher| {
        bencher.iter(|| fit_svi(black_box(&k), &w, &precision, Some(&start)));
    });
}

fn parity(criterion: &mut Criterion) {
    let strike: Vec<f64> = (0..40).map(|lane| 80.0 + f64::from(lane)).collect();
    let difference = |strike: f64| 0.98 * (101.3 - strike);
    let call: Vec<f64> = strike.iter().map(|&own| 30.0 + difference(own)).collect();
    let (call_ask, put_bid, put_ask) =
        (call.iter().map(|own| own + 0.1).collect::<Vec<f64>>(), vec![30.0; 40], vec![30.1; 40]);
    let inputs = ParityInputs {
        strike: &strike,
        call_bid: &call,
        call_ask: &call_ask,
        put_bid: &put_bid,
        put_ask: &put_ask,
    };
    let settings = ParitySettings::with_rate_guess(0.5, 0.04);
    criterion.bench_function("parity of 40 pairs", |bencher| {
        bencher.iter(|| fit_parity(black_box(&inputs), &settings));
    });
}

criterion_group!(benches, surfaces, slices, parity);
criterion_main!(benches);
