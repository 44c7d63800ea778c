//! Time per number of exp, ln and the normal distribution at each level, beside `libm` in the same
//! run. Read ratios, not nanoseconds.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pricing::lanes::{Level, at_level, slices};
use std::hint::black_box;

const NUMBERS: usize = 1_024;

type OnSlices = fn(&[f64], &mut [f64]);
type Case = (&'static str, Vec<f64>, OnSlices, fn(f64) -> f64);

fn elementary(criterion: &mut Criterion) {
    let spread = |from: f64, to: f64| -> Vec<f64> {
        let at = |index: usize| ((index * 389) % NUMBERS) as f64 / NUMBERS as f64;
        (0..NUMBERS).map(|index| from + (to - from) * at(index)).collect()
    };
    let mut out = vec![0.0; NUMBERS];
    let cases: [Case; 4] = [
        ("exp", spread(-20.0, 5.0), slices::exp, libm::exp),
        ("ln", spread(0.3, 3.0), slices::ln, libm::log),
        ("normal_cdf", spread(-6.0, 6.0), slices::normal_cdf, |x| {
            0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
        }),
        ("erfc", spread(-3.0, 6.0), slices::erfc, libm::erfc),
    ];
    for (name, x, ours, peer) in cases {
        let mut group = criterion.benchmark_group(format!("per_number_{name}"));
        group.throughput(Throughput::Elements(NUMBERS as u64));
        for level in Level::supported() {
            at_level(level, || {
                group.bench_function(format!("{level:?}"), |bencher| {
                    bencher.iter(|| ours(black_box(&x), &mut out));
                });
            })
            .expect("it is supported");
        }
        group.bench_function("libm", |bencher| {
            bencher.iter(|| {
                for (out, x) in out.iter_mut().zip(black_box(&x)) {
                    *out = peer(*x);
                }
            });
        });
        group.finish();
    }
}

criterion_group!(benches, elementary);
criterion_main!(benches);
