//! Time of a million paths of 52 steps with a control variate, at each level.

use criterion::{Criterion, criterion_group, criterion_main};
use pricing::black::OptionKind;
use pricing::exotics::Underlying;
use pricing::lanes::{Level, at_level};
use pricing::monte_carlo::{Effort, PathPayoff, estimate};
use std::hint::black_box;

fn million(criterion: &mut Criterion) {
    let market =
        Underlying { spot: 100.0, years: 1.0, vol: 0.25, rate: 0.04, dividend_yield: 0.01 };
    let payoff = PathPayoff::Average { strike: 100.0, kind: OptionKind::Call };
    let effort = Effort { paths_log2: 16, repetitions: 16, seed: 1 };
    let mut group = criterion.benchmark_group("million_paths_of_52");
    group.sample_size(10);
    for level in Level::supported().filter(|level| *level != Level::Portable) {
        at_level(level, || {
            group.bench_function(format!("{level:?}"), |bencher| {
                bencher.iter(|| estimate(black_box(&market), &payoff, 52, &effort));
            });
        })
        .expect("it is supported");
    }
    group.finish();
}

criterion_group!(benches, million);
criterion_main!(benches);
