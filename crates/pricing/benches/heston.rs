//! Time of a Heston chain (all strikes of an expiry in one pass), of one option by the contour, and
//! of a calibration to a surface of 12 expiries of 40 strikes whose quotes are noisy.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pricing::black::OptionKind;
use pricing::heston::calibration::{ExpiryQuotes, HestonSettings, calibrate};
use pricing::heston::{Heston, chain, contour};
use pricing::implied::implied_vol;
use std::hint::black_box;

const HESTON: Heston =
    Heston { variance: 0.04, reversion: 2.0, mean: 0.05, vol_of_variance: 0.5, correlation: -0.6 };

fn heston(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("heston");
    for count in [1usize, 21, 101] {
        let strike = |index: usize| 70.0 + 60.0 * index as f64 / count as f64;
        let strikes: Vec<f64> = (0..count).map(strike).collect();
        let mut out = vec![0.0; count];
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(format!("chain_of_{count}"), |bencher| {
            bencher.iter(|| {
                chain(black_box(&HESTON), 100.0, 0.5, &strikes, OptionKind::Put, &mut out)
            });
        });
    }
    group.throughput(Throughput::Elements(1));
    group.bench_function("contour", |bencher| {
        bencher.iter(|| contour(black_box(&HESTON), 100.0, 120.0, 0.5, OptionKind::Call));
    });
    group.finish();
}

/// Strikes and vols of one expiry, half a half width of noise on the vols.
fn noisy_expiry(years: f64) -> [Vec<f64>; 2] {
    let at = |index: usize| 2.0 * (index as f64 / 39.0 - 0.5) * 2.0 * 0.22 * years.sqrt();
    let strikes: Vec<f64> = (0..40).map(|index| 100.0 * libm::exp(at(index))).collect();
    let noise = |index: usize| 0.001 * (((index * 37) % 11) as f64 / 5.0 - 1.0);
    let vol = |(index, strike): (usize, &f64)| {
        let kind = if *strike > 100.0 { OptionKind::Call } else { OptionKind::Put };
        let price = contour(&HESTON, 100.0, *strike, years, kind).expect("it settles");
        implied_vol(price, 100.0, *strike, years, kind).expect("a price") + noise(index)
    };
    let vols = strikes.iter().enumerate().map(vol).collect();
    [strikes, vols]
}

fn calibration(criterion: &mut Criterion) {
    let years: Vec<f64> = (0..12).map(|index| 0.04 * 1.45f64.powi(index)).collect();
    let columns: Vec<_> = years.iter().map(|years| noisy_expiry(*years)).collect();
    let half_width = [0.002; 40];
    let expiries: Vec<ExpiryQuotes<'_>> = years
        .iter()
        .zip(&columns)
        .map(|(years, [strike, vol])| ExpiryQuotes {
            forward: 100.0,
            years: *years,
            strike,
            vol,
            half_width: &half_width,
        })
        .collect();
    let cold = HestonSettings::default();
    let found = calibrate(&expiries, &cold).expect("a fit");
    let moved = Heston { variance: found.heston.variance * 1.05, ..found.heston };
    let warm = HestonSettings { start: Some(moved), ..cold };
    let steps = |settings| calibrate(&expiries, settings).expect("a fit").steps;
    println!("calibration: {} steps cold, {} warm; {found:?}", steps(&cold), steps(&warm));
    let mut group = criterion.benchmark_group("heston_calibration_12_by_40");
    group.sample_size(20);
    for (name, settings) in [("cold", cold), ("warm", warm)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| calibrate(black_box(&expiries), &settings));
        });
    }
    group.finish();
}

criterion_group!(benches, heston, calibration);
criterion_main!(benches);
