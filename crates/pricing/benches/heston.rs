//! Time of a Heston chain (all strikes of an expiry in one pass) and of one option by the contour.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pricing::black::OptionKind;
use pricing::heston::{Heston, chain, contour};
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

criterion_group!(benches, heston);
criterion_main!(benches);
