//! What `exotics` states of its two approximations against slow methods that share nothing with
//! them: Kirk's spread against an integral over the second price, the watched barrier against the
//! chain of densities from watch to watch.

use pricing::black::OptionKind::{self, Call, Put};
use pricing::black::{EuropeanGreeks, EuropeanInputs};
use pricing::exotics::barrier::{self, Barrier, Knock, Side};
use pricing::exotics::spread::{self, Asset};
use pricing::exotics::{Payoff, Underlying};
use std::f64::consts::FRAC_1_SQRT_2;

/// Numbers in [0, 1), the same in every run.
struct Draw(u64);

impl Draw {
    fn between(&mut self, low: f64, high: f64) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        low + (high - low) * (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn density(x: f64) -> f64 {
    0.398_942_280_401_432_7 * libm::exp(-0.5 * x * x)
}

/// Undiscounted call on the first future less the second with a strike: given the second price the
/// first is lognormal, so it is one integral of Black's formula; by the trapezoidal rule, which
/// converges geometrically here.
fn spread_call(forwards: [f64; 2], vols: [f64; 2], rho: f64, years: f64, strike: f64) -> f64 {
    let deviations = vols.map(|vol| vol * years.sqrt());
    let inner = deviations[0] * (1.0 - rho * rho).sqrt();
    // The integrand's features are as narrow as the first price's own deviation in the second's.
    let step = (0.4 * inner / (inner + deviations[0] + deviations[1])).clamp(0.01, 0.1);
    let count = (20.0 / step) as usize;
    let z: Vec<f64> = (0..=count).map(|index| -10.0 + step * index as f64).collect();
    let lognormal = |at: f64, load: f64| libm::exp(load * at - 0.5 * load * load);
    let paid: Vec<f64> =
        z.iter().map(|z| strike + forwards[1] * lognormal(*z, deviations[1])).collect();
    let got: Vec<f64> =
        z.iter().map(|z| forwards[0] * lognormal(*z, rho * deviations[0])).collect();
    let mut greeks = EuropeanGreeks::default();
    let inputs = EuropeanInputs {
        forward: &got,
        strike: &paid,
        years: &vec![1.0; z.len()],
        vol: &vec![inner; z.len()],
        discount: &vec![1.0; z.len()],
        is_call: &vec![true; z.len()],
    };
    greeks.fill(&inputs).expect("columns of one length");
    greeks.price.iter().zip(&z).map(|(price, z)| price * density(*z) * step).sum()
}

/// 0.139 is the largest found among 200,000; to first order in the variance the largest possible is
/// n(1) / 2 = 0.121, where all of the variance is the second's.
#[test]
fn kirk_errs_by_less_than_it_states() {
    let mut draw = Draw(1);
    let count = if cfg!(debug_assertions) { 3_000 } else { 200_000 };
    let mut worst = 0.0f64;
    for _ in 0..count {
        let strike = 100.0 * draw.between(-6.0, 4.0).exp();
        let forwards = [(100.0 + strike) * draw.between(-2.0, 2.0).exp(), 100.0];
        let vols = [draw.between(0.02, 1.2), draw.between(0.02, 1.2)];
        let rho = draw.between(-0.99, 0.99);
        let years = draw.between(-3.0, 2.3).exp();
        let exact = spread_call(forwards, vols, rho, years, strike);
        let assets = [0, 1].map(|at| Asset {
            spot: forwards[at],
            quantity: 1.0,
            dividend_yield: 0.0,
            vol: vols[at],
        });
        let found = spread::kirk(&assets, rho, years, 0.0, strike, Call).unwrap();
        let off = (found.value - exact).abs();
        assert!(off <= found.error.reach(), "{found:?} {exact} {vols:?} {rho} {years} {strike}");
        if off > 1e-9 * (100.0 + strike) {
            worst = worst.max(off / found.error.reach());
        }
    }
    // What is stated is not many times what is true either.
    println!("kirk: {worst:.3} of what is stated");
    assert!(worst > 0.5, "{worst}");
}

/// Nodes and weights of Gauss and Legendre on [-1, 1] by Newton's method.
fn legendre(count: usize) -> Vec<(f64, f64)> {
    let polynomial = |x: f64| {
        let (mut before, mut now) = (1.0, x);
        for degree in 2..=count {
            let n = degree as f64;
            (before, now) = (now, ((2.0 * n - 1.0) * x * now - (n - 1.0) * before) / n);
        }
        (now, count as f64 * (x * now - before) / (x * x - 1.0))
    };
    let node = |index: usize| {
        let mut x = -libm::cos(std::f64::consts::PI * (index as f64 + 0.75) / (count as f64 + 0.5));
        for _ in 0..20 {
            let (value, slope) = polynomial(x);
            x -= value / slope;
        }
        let slope = polynomial(x).1;
        (x, 2.0 / ((1.0 - x * x) * slope * slope))
    };
    (0..count).map(node).collect()
}

/// An option that ends, with the rebate, at a watch where the price is on or beyond the barrier, by
/// carrying its value back from watch to watch: Gauss and Legendre on panels between the barrier,
/// the strike and nine deviations, a panel no wider than 1.5 deviations of one interval.
fn watched_exactly(
    market: &Underlying,
    (strike, is_digital, kind): (f64, bool, OptionKind),
    (level, side, rebate): (f64, Side, f64),
    watches: usize,
) -> f64 {
    let interval = market.years / watches as f64;
    let own = market.vol * interval.sqrt();
    let drift = (market.rate - market.dividend_yield - 0.5 * market.vol * market.vol) * interval;
    let whole = market.vol * market.years.sqrt();
    let reach = 9.0 * whole + (drift * watches as f64).abs() + whole * whole;
    let at = libm::log(level / market.spot);
    let (low, high) = match side {
        Side::Down => (at.max(-reach), reach),
        Side::Up => (-reach, at.min(reach)),
    };
    let kink = libm::log(strike / market.spot);
    let mut edges = vec![low];
    if kink > low && kink < high {
        edges.push(kink);
    }
    edges.push(high);
    let rule = legendre(12);
    let mut nodes = Vec::new();
    for pair in edges.windows(2) {
        let panels = ((pair[1] - pair[0]) / (1.5 * own)).ceil();
        let half = 0.5 * (pair[1] - pair[0]) / panels;
        for panel in 0..panels as usize {
            let middle = pair[0] + half * (2 * panel + 1) as f64;
            nodes.extend(rule.iter().map(|(x, weight)| (middle + half * x, half * weight)));
        }
    }
    let paid = |x: f64| {
        let gain = market.spot * libm::exp(x) - strike;
        let gain = if kind.is_call() { gain } else { -gain };
        if is_digital { f64::from(u8::from(gain > 0.0)) } else { gain.max(0.0) }
    };
    let mut values: Vec<f64> = nodes.iter().map(|(x, _)| paid(*x)).collect();
    // Per node: the first node within nine deviations of one interval, the weights from there, and
    // the chance of being beyond the barrier.
    let row = |from: f64| {
        let first = nodes.partition_point(|(x, _)| *x < from + drift - 9.0 * own);
        let end = nodes.partition_point(|(x, _)| *x < from + drift + 9.0 * own);
        let weight = |(x, weight): &(f64, f64)| weight / own * density((x - from - drift) / own);
        let away = (at - from - drift) / own;
        let beyond = libm::erfc(if side == Side::Up { away } else { -away } * FRAC_1_SQRT_2) / 2.0;
        (first, nodes[first..end].iter().map(weight).collect::<Vec<f64>>(), beyond)
    };
    let discount = libm::exp(-market.rate * interval);
    let back = |values: &[f64], (first, weights, beyond): &(usize, Vec<f64>, f64)| -> f64 {
        let alive: f64 =
            weights.iter().zip(&values[*first..]).map(|(weight, value)| weight * value).sum();
        discount * (alive + rebate * beyond)
    };
    let rows: Vec<_> = nodes.iter().map(|(x, _)| row(*x)).collect();
    for _ in 1..watches {
        values = rows.iter().map(|row| back(&values, row)).collect();
    }
    back(&values, &row(0.0))
}

/// 25,000 contracts of this kind hold as well, and none comes near but those whose strike is at the
/// barrier, of which all is stated to be wrong.
#[test]
fn a_watched_barrier_errs_by_less_than_it_states() {
    let mut draw = Draw(2);
    let count = if cfg!(debug_assertions) { 150 } else { 2_500 };
    let mut worst = [0.0f64; 3];
    for index in 0..count {
        let watches = [1, 2, 4, 12, 26, 52, 104][draw.between(0.0, 7.0) as usize];
        let market = Underlying {
            spot: 100.0,
            years: draw.between(-3.0, 1.0).exp(),
            vol: draw.between(0.08, 0.7),
            rate: draw.between(-0.02, 0.1),
            dividend_yield: draw.between(-0.02, 0.08),
        };
        let whole = market.vol * market.years.sqrt();
        let kind = if draw.between(0.0, 1.0) < 0.5 { Call } else { Put };
        let strike = 100.0 * (whole * draw.between(-1.5, 1.5)).exp();
        let side = if draw.between(0.0, 1.0) < 0.5 { Side::Down } else { Side::Up };
        let sign = if side == Side::Down { -1.0 } else { 1.0 };
        let distance = draw.between(-3.0, 0.9).exp() * whole;
        let level = 100.0 * (sign * distance).exp();
        // A vanilla, a digital, and a rebate alone.
        let contract = index % 3;
        let (payoff, rebate) = match contract {
            0 => (Payoff::Vanilla { strike, kind }, 0.0),
            1 => (Payoff::CashOrNothing { strike, cash: 1.0, kind }, 0.0),
            _ => (Payoff::CashOrNothing { strike: 1e12, cash: 1.0, kind: Call }, 1.0),
        };
        if contract == 2 && market.rate < 0.0 {
            continue;
        }
        let paid = if contract == 2 { (1e12, true, Call) } else { (strike, contract == 1, kind) };
        let exact = watched_exactly(&market, paid, (level, side, rebate), watches);
        let barrier = Barrier { level, side, knock: Knock::Out, rebate };
        let found = barrier::watched(&market, &payoff, &barrier, watches).unwrap();
        let off = (found.value - exact).abs();
        worst[contract] = worst[contract].max(off / (found.error.reach() + 1e-9));
    }
    println!("watched: {worst:.3?} of what is stated for vanillas, digitals and rebates");
    assert!(worst.iter().all(|share| (0.1..=1.0).contains(share)), "{worst:?}");
}
