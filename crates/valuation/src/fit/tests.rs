//! Whole fits on made-up moments: recovery, early exercise, refusals, memory.

use super::*;
use crate::early_exercise::{ExerciseTerms, premium};
use market::instrument::ConId;
use market::time::Date;
use pricing::black::{ForwardContract, OptionKind};
use std::time::Duration;

const SPOT: f64 = 70.0;
const RATE: f64 = 0.02;

fn smile(years: f64) -> Slice {
    Slice { theta: 0.04 * years, rho: -0.4, psi: 0.15 * years.sqrt() }
}

/// Expiries of 3 and 9 months with strikes from 56 to 84; `half` spreads, `american` with what
/// early exercise adds.
fn moment(half: f64, american: bool, now: Timestamp) -> Vec<ExpiryNow> {
    [0.25, 0.75]
        .into_iter()
        .enumerate()
        .map(|(at, years)| {
            let (forward, discount) = (SPOT * (RATE * years).exp(), (-RATE * years).exp());
            let mut lines = Vec::new();
            for step in 0..15_u32 {
                let strike = 56.0 + 2.0 * f64::from(step);
                for kind in [OptionKind::Call, OptionKind::Put] {
                    let variance = smile(years).total_variance((strike / forward).ln());
                    let vol = (variance / years).sqrt();
                    let contract = ForwardContract { forward, strike, years, vol, discount, kind };
                    let added = if american {
                        let spot = Some(SPOT);
                        premium(&ExerciseTerms {
                            spot,
                            dividends: &[],
                            years,
                            forward,
                            forward_error: 0.0,
                            discount,
                            strike,
                            kind,
                            vol,
                        })
                    } else {
                        0.0
                    };
                    let price = contract.price_and_greeks().unwrap().price + added;
                    lines.push(LineNow {
                        id: 1000 * at as u64 + 2 * u64::from(step) + u64::from(kind.is_call()),
                        strike,
                        kind,
                        bid: (price - half).max(0.001),
                        ask: price + half,
                        tick: 0.01,
                        quoted: now,
                    });
                }
            }
            ExpiryNow {
                key: 100 + at as i64,
                expiry: Date::parse("2020-01-06").unwrap(),
                underlying: ConId(1),
                years,
                on_future: false,
                american,
                dividends: Vec::new(),
                spot: Some(UnderlyingNow { mid: SPOT, half_spread: 0.005 }),
                lines,
            }
        })
        .collect()
}

fn settings() -> FitSettings {
    FitSettings { rate_guess: RATE, ..FitSettings::default() }
}

#[test]
fn forward_surface_and_fair_values_are_recovered_also_from_american_quotes() {
    for american in [false, true] {
        let expiries = moment(0.02, american, Timestamp::EPOCH);
        let mut product = ProductFit::new(settings());
        let mut fit = product.fit(&expiries).unwrap();
        for _ in 0..10 {
            fit = product.fit(&expiries).unwrap();
        }
        for (own, found) in expiries.iter().zip(&fit.expiries) {
            let forward = SPOT * (RATE * own.years).exp();
            assert!((found.forward - forward).abs() < 0.02, "{american} {}", found.forward);
            for (line, of_line) in own.lines.iter().zip(&found.lines) {
                let fair = of_line.fair.expect("a fair value");
                let mid = 0.5 * (line.bid + line.ask);
                let off = (fair.price - mid).abs();
                assert!(off < 0.03, "{american} {line:?} {fair:?}");
                assert!(fair.standard_error > 0.0 && fair.standard_error < 0.5);
            }
        }
        let put = fit.expiries[1].lines.last().unwrap();
        assert_eq!(put.premium > 0.01, american, "a put far in the money: {put:?}");
    }
}

#[test]
fn a_moment_without_quotes_is_refused_and_changes_nothing() {
    let expiries = moment(0.02, false, Timestamp::EPOCH);
    let mut product = ProductFit::new(settings());
    let before = product.fit(&expiries).unwrap();
    let mut bare = expiries.clone();
    bare.iter_mut().for_each(|own| own.lines.clear());
    assert_eq!(product.fit(&bare).map(|_| ()), Err(NoSurface::Empty));
    bare.iter_mut().for_each(|own| own.spot = None);
    assert_eq!(product.fit(&bare).map(|_| ()), Err(NoSurface::Empty));
    let turned: Vec<ExpiryNow> = expiries.iter().rev().cloned().collect();
    assert_eq!(product.fit(&turned).map(|_| ()), Err(NoSurface::BadYears { index: 1 }));
    let after = product.fit(&expiries).unwrap();
    let theta = |fit: &MomentFit| fit.fitted.surface.slices()[0].theta;
    assert!((theta(&after) / theta(&before) - 1.0).abs() < 1e-4);
}

#[test]
fn order_of_quotes_does_not_matter() {
    let expiries = moment(0.02, true, Timestamp::EPOCH);
    let mut turned = expiries.clone();
    turned.iter_mut().for_each(|own| own.lines.reverse());
    let straight = ProductFit::new(settings()).fit(&expiries).unwrap();
    let reversed = ProductFit::new(settings()).fit(&turned).unwrap();
    assert_eq!(straight.fitted.surface, reversed.fitted.surface);
    for (a, b) in straight.expiries.iter().zip(&reversed.expiries) {
        let back: Vec<LineFit> = b.lines.iter().rev().copied().collect();
        assert_eq!(a.lines, back);
    }
}

#[test]
fn a_skewed_contract_is_foretold_with_its_skew_but_not_valued_with_it() {
    let mut product = ProductFit::new(settings());
    let mut now = Timestamp::EPOCH;
    let skewed = 6;
    for _ in 0..20 {
        let mut expiries = moment(0.02, false, now);
        let line = &mut expiries[0].lines[skewed];
        (line.bid, line.ask) = (line.bid + 0.05, line.ask + 0.05);
        product.fit(&expiries).unwrap();
        now = now.plus(Duration::from_secs(60));
    }
    let mut expiries = moment(0.02, false, now);
    let honest = 0.5 * (expiries[0].lines[skewed].bid + expiries[0].lines[skewed].ask);
    expiries[0].lines[skewed].bid += 0.05;
    expiries[0].lines[skewed].ask += 0.05;
    let line = expiries[0].lines[skewed];
    let fit = product.fit(&expiries).unwrap();
    let found = &fit.expiries[0];
    let fair = found.lines[skewed].fair.unwrap();
    assert!((fair.price - honest).abs() < 0.02, "{fair:?} {honest}");
    let vol = product.foretold(line.id, found.forward).unwrap();
    assert!((vol - found.lines[skewed].vol.unwrap()).abs() < 1e-3);
    assert!(vol > fair.vol);
    assert_eq!(product.foretold(987_654, found.forward), None);
}

#[test]
fn expiries_that_are_over_are_forgotten() {
    let expiries = moment(0.02, false, Timestamp::EPOCH);
    let mut product = ProductFit::new(settings());
    product.fit(&expiries).unwrap();
    product.forget_before(101);
    assert_eq!(product.carry_ratio(100), None);
    assert!(product.carry_ratio(101).is_some());
    assert_eq!(product.foretold(expiries[0].lines[0].id, 70.0), None);
}
