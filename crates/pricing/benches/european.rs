//! Time per option of the European kernels at each instruction level, of vols and Greeks of a chain
//! of 5,000, and per expiry of parity and smile. Read ratios, not nanoseconds: in the same run are
//! a plain scalar version (textbook formula on `libm`), and `implied-vol` for its Black price and
//! its inversion. 2,048 options: K 70 to 130 per cent of the forward, 7 to 730 days, vol 12 to 60
//! per cent.

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use implied_vol::{DefaultSpecialFn, ImpliedBlackVolatility, PriceBlackScholes};
use pricing::black::{EuropeanGreeks, EuropeanInputs, HigherGreeks, SpotInputs};
use pricing::implied::{ImpliedInputs, NoVol, implied_vols};
use pricing::lanes::{Level, at_level};
use pricing::parity::{ParityInputs, ParitySettings, fit_parity};
use pricing::smile::{Smile, SmileInputs};
use std::f64::consts::FRAC_1_SQRT_2;
use std::hint::black_box;

const OPTIONS: usize = 2_048;
/// Contracts of a large underlying.
const CONTRACTS: usize = 5_000;
const STRIKES: usize = 60;

struct Chain {
    forward: Vec<f64>,
    strike: Vec<f64>,
    years: Vec<f64>,
    vol: Vec<f64>,
    discount: Vec<f64>,
    rate: Vec<f64>,
    dividend_yield: Vec<f64>,
    is_call: Vec<bool>,
}

impl Chain {
    fn of(options: usize) -> Self {
        let spread = |from: f64, to: f64, step: usize| -> Vec<f64> {
            let at = |index: usize| ((index * step) % options) as f64 / options as f64;
            (0..options).map(|index| from + (to - from) * at(index)).collect()
        };
        let (strike, years) = (spread(70.0, 130.0, 7), spread(7.0 / 365.0, 2.0, 1_013));
        Self {
            forward: vec![100.0; options],
            vol: spread(0.12, 0.6, 389),
            discount: years.iter().map(|years| libm::exp(-0.05 * years)).collect(),
            rate: vec![0.05; options],
            dividend_yield: vec![0.02; options],
            is_call: strike.iter().map(|strike| *strike > 100.0).collect(),
            strike,
            years,
        }
    }

    fn inputs(&self) -> EuropeanInputs<'_> {
        EuropeanInputs {
            forward: &self.forward,
            strike: &self.strike,
            years: &self.years,
            vol: &self.vol,
            discount: &self.discount,
            is_call: &self.is_call,
        }
    }

    /// What options of these prices imply their vols from.
    fn implied<'a>(&'a self, undiscounted_price: &'a [f64]) -> ImpliedInputs<'a> {
        ImpliedInputs {
            undiscounted_price,
            forward: &self.forward,
            strike: &self.strike,
            years: &self.years,
            is_call: &self.is_call,
        }
    }

    fn undiscounted(&self) -> Vec<f64> {
        let mut greeks = EuropeanGreeks::default();
        greeks.fill(&self.inputs()).expect("columns of one length");
        greeks.price.iter().zip(&self.discount).map(|(price, discount)| price / discount).collect()
    }

    fn on_spot(&self) -> SpotInputs<'_> {
        SpotInputs {
            spot: &self.forward,
            strike: &self.strike,
            years: &self.years,
            vol: &self.vol,
            rate: &self.rate,
            dividend_yield: &self.dividend_yield,
            is_call: &self.is_call,
        }
    }
}

/// Price and five Greeks as a textbook writes them, one option at a time.
fn plain_scalar(chain: &Chain, out: &mut [[f64; 6]]) {
    let cdf = |x: f64| 0.5 * libm::erfc(-x * FRAC_1_SQRT_2);
    for (lane, out) in out.iter_mut().enumerate() {
        let (forward, strike) = (chain.forward[lane], chain.strike[lane]);
        let (years, vol, discount) = (chain.years[lane], chain.vol[lane], chain.discount[lane]);
        let sign = if chain.is_call[lane] { 1.0 } else { -1.0 };
        let root_years = years.sqrt();
        let total_vol = vol * root_years;
        let d1 = libm::log(forward / strike) / total_vol + 0.5 * total_vol;
        let (first, second) = (cdf(sign * d1), cdf(sign * (d1 - total_vol)));
        let density = 0.398_942_280_401_432_7 * libm::exp(-0.5 * d1 * d1);
        let price = discount * sign * (forward * first - strike * second);
        let vega = discount * forward * density * root_years;
        let rate = -libm::log(discount) / years;
        *out = [
            price,
            discount * sign * first,
            discount * density / (forward * total_vol),
            vega,
            rate * price - 0.5 * vega * vol / years,
            -years * price,
        ];
    }
}

fn at_each_level(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, mut body: impl FnMut()) {
    for level in Level::supported() {
        at_level(level, || {
            group.bench_function(format!("{name}/{level:?}"), |bencher| bencher.iter(&mut body));
        })
        .expect("it is supported");
    }
}

fn european(criterion: &mut Criterion) {
    let chain = Chain::of(OPTIONS);
    let inputs = chain.inputs();
    let (mut greeks, mut higher) = (EuropeanGreeks::default(), HigherGreeks::default());
    let mut group = criterion.benchmark_group("per_option");
    group.throughput(Throughput::Elements(OPTIONS as u64));
    at_each_level(&mut group, "price_and_greeks", || {
        greeks.fill(black_box(&inputs)).expect("columns of one length");
    });
    at_each_level(&mut group, "price_and_greeks_on_spot", || {
        greeks.fill_on_spot(black_box(&chain.on_spot())).expect("columns of one length");
    });
    at_each_level(&mut group, "with_higher_greeks", || {
        greeks.fill_with_higher(black_box(&inputs), &mut higher).expect("columns of one length");
    });
    let mut rows = vec![[0.0; 6]; OPTIONS];
    group.bench_function("price_and_greeks/plain_scalar", |bencher| {
        bencher.iter(|| plain_scalar(black_box(&chain), black_box(&mut rows)));
    });
    group.bench_function("price_only/implied-vol", |bencher| {
        bencher.iter(|| {
            (0..OPTIONS)
                .map(|lane| {
                    PriceBlackScholes::builder()
                        .forward(chain.forward[lane])
                        .strike(black_box(chain.strike[lane]))
                        .volatility(chain.vol[lane])
                        .expiry(chain.years[lane])
                        .is_call(chain.is_call[lane])
                        .build_unchecked()
                        .calculate::<DefaultSpecialFn>()
                })
                .sum::<f64>()
        });
    });

    let undiscounted = chain.undiscounted();
    let implied = chain.implied(&undiscounted);
    let mut vols = vec![Err(NoVol::Expired); OPTIONS];
    at_each_level(&mut group, "implied_vol", || {
        implied_vols(black_box(&implied), &mut vols).expect("columns of one length");
    });
    group.bench_function("implied_vol/implied-vol", |bencher| {
        bencher.iter(|| {
            (0..OPTIONS)
                .filter_map(|lane| {
                    ImpliedBlackVolatility::builder()
                        .option_price(black_box(undiscounted[lane]))
                        .forward(chain.forward[lane])
                        .strike(chain.strike[lane])
                        .expiry(chain.years[lane])
                        .is_call(chain.is_call[lane])
                        .build_unchecked()
                        .calculate::<DefaultSpecialFn>()
                })
                .sum::<f64>()
        });
    });
    group.finish();
}

/// What a tick of the underlying costs: vols of 5,000 prices, then price and Greeks at these vols.
fn whole_chain(criterion: &mut Criterion) {
    let chain = Chain::of(CONTRACTS);
    let mut greeks = EuropeanGreeks::default();
    let undiscounted = chain.undiscounted();
    let implied = chain.implied(&undiscounted);
    let mut vols = vec![Err(NoVol::Expired); CONTRACTS];
    let mut column = vec![0.0; CONTRACTS];
    let mut group = criterion.benchmark_group("chain_of_5000");
    group.throughput(Throughput::Elements(CONTRACTS as u64));
    at_each_level(&mut group, "vols_and_greeks", || {
        implied_vols(black_box(&implied), &mut vols).expect("columns of one length");
        for (to, vol) in column.iter_mut().zip(&vols) {
            *to = vol.unwrap_or(f64::NAN);
        }
        let inputs = EuropeanInputs { vol: &column, ..chain.inputs() };
        greeks.fill(&inputs).expect("columns of one length");
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

criterion_group!(benches, european, whole_chain, expiry);
criterion_main!(benches);
