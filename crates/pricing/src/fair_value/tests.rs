//! Fair vols against real refits, and the edge.

use super::*;
use crate::black::OptionKind;
use crate::essvi::{CalibrationSettings, Calibrator, Fitted, SliceQuotes};

struct Chain {
    k: Vec<f64>,
    vol: Vec<f64>,
    half: Vec<f64>,
}

const YEARS: f64 = 0.25;

impl Chain {
    /// A smile that eSSVI can't follow, with noise and two strikes quoted twice.
    fn bumpy() -> Self {
        let truth = Slice { theta: 0.01, rho: -0.6, psi: 0.12 };
        let mut chain = Self { k: vec![], vol: vec![], half: vec![] };
        for lane in 0..40_u32 {
            let x = f64::from(lane - lane % 20 / 19);
            let k = -0.3 + 0.012 * x;
            let wave = 0.004 * libm::sin(0.5 * x) + 0.0007 * libm::cos(3.1 * f64::from(lane));
            chain.k.push(k);
            chain.vol.push((truth.total_variance(k) / YEARS).sqrt() + wave);
            chain.half.push(0.001 + 0.00005 * x);
        }
        chain
    }

    fn fit(&self) -> Fitted {
        let quotes = SliceQuotes {
            key: 1,
            years: YEARS,
            log_moneyness: &self.k,
            vol: &self.vol,
            half_width: &self.half,
        };
        Calibrator::new(CalibrationSettings::default()).fit(&[quotes]).unwrap()
    }

    fn fair(&self, fitted: &Fitted) -> Vec<Option<FairVol>> {
        let settings = CalibrationSettings::default();
        let inputs = FairInputs {
            slice: fitted.surface.slices()[0],
            report: &fitted.slices[0],
            model_error: settings.model_error,
            cutoff: settings.cutoff,
            years: YEARS,
            log_moneyness: &self.k,
            vol: &self.vol,
            half_width: &self.half,
        };
        let mut fair = Vec::new();
        let mut scratch = FairScratch::default();
        fair_vols(&inputs, &FairSettings::default(), &mut scratch, &mut fair).unwrap();
        fair
    }
}

#[test]
fn leaving_out_in_one_step_is_what_a_refit_without_the_quote_says() {
    let chain = Chain::bumpy();
    let fair = chain.fair(&chain.fit());
    let mut worst: f64 = 0.0;
    for lane in 0..chain.k.len() {
        // Refitted with the quote unseen, but still asked about.
        let mut without =
            Chain { k: chain.k.clone(), vol: chain.vol.clone(), half: chain.half.clone() };
        without.vol[lane] = f64::NAN;
        let refitted = without.fair(&without.fit())[lane].unwrap();
        let fair = fair[lane].unwrap();
        worst = worst.max((fair.vol - refitted.vol).abs() / refitted.standard_error);
    }
    assert!(worst < 0.05, "{worst} standard errors");
}

#[test]
fn a_quote_can_not_move_its_own_fair_value() {
    let chain = Chain::bumpy();
    let honest = chain.fair(&chain.fit());
    for lane in [0, 7, 20, 39] {
        let mut forged = Chain::bumpy();
        forged.vol[lane] += 0.05;
        let fair = forged.fair(&forged.fit())[lane].unwrap();
        let honest = honest[lane].unwrap();
        let moved = (fair.vol - honest.vol).abs();
        assert!(moved < 0.25 * honest.standard_error, "{lane}: {moved} {honest:?}");
    }
}

#[test]
fn stated_errors_cover_what_was_hidden() {
    let chain = Chain::bumpy();
    let fair = chain.fair(&chain.fit());
    let mut squares = 0.0;
    for (lane, fair) in fair.iter().enumerate() {
        let fair = fair.unwrap();
        let noise = HALF_SPREAD_TO_DEVIATION * chain.half[lane];
        squares += ((fair.vol - chain.vol[lane]) / libm::hypot(fair.standard_error, noise)).powi(2);
    }
    let ratio = (squares / fair.len() as f64).sqrt();
    assert!((0.3..1.5).contains(&ratio), "{ratio}");
}

#[test]
fn order_of_quotes_does_not_matter() {
    let chain = Chain::bumpy();
    let mut turned = Chain::bumpy();
    turned.k.reverse();
    turned.vol.reverse();
    turned.half.reverse();
    let mut fair = turned.fair(&turned.fit());
    fair.reverse();
    assert_eq!(fair, chain.fair(&chain.fit()));
}

#[test]
fn edge_is_counted_in_ticks_and_in_errors() {
    let contract = ForwardContract {
        forward: 100.0,
        strike: 100.0,
        years: 0.25,
        vol: 0.0,
        discount: 0.99,
        kind: OptionKind::Call,
    };
    let fair = FairVol { vol: 0.2, standard_error: 0.005 };
    let errors = InputErrors { forward: 0.1, rate: 0.01, premium: 0.0 };
    let value = fair_value(&contract, &fair, &errors, 0.02).unwrap();
    let european = ForwardContract { vol: 0.2, ..contract }.price_and_greeks().unwrap();
    assert!((value.price - european.price - 0.02).abs() < 1e-12);
    let expected = libm::hypot(european.vega * 0.005, european.delta * 0.1);
    let expected = libm::hypot(expected, european.rho * 0.01);
    assert!((value.standard_error - expected).abs() < 1e-12);
}

#[test]
fn unusable_input_has_its_reason() {
    let chain = Chain::bumpy();
    let fitted = chain.fit();
    let good = FairInputs {
        slice: fitted.surface.slices()[0],
        report: &fitted.slices[0],
        model_error: 0.001,
        cutoff: 4.0,
        years: YEARS,
        log_moneyness: &chain.k,
        vol: &chain.vol,
        half_width: &chain.half,
    };
    let ask = |inputs: &FairInputs<'_>, settings: &FairSettings| {
        fair_vols(inputs, settings, &mut FairScratch::default(), &mut Vec::new())
    };
    let settings = FairSettings::default();
    let short = FairInputs { vol: &chain.vol[1..], ..good };
    assert_eq!(ask(&short, &settings), Err(NoFairVols::LengthMismatch));
    assert_eq!(ask(&FairInputs { years: 0.0, ..good }, &settings), Err(NoFairVols::BadSettings));
    let flat = FairSettings { residual_length: 0.0, ..settings };
    assert_eq!(ask(&good, &flat), Err(NoFairVols::BadSettings));
    let mut k = chain.k.clone();
    k[3] = f64::NAN;
    let bad = FairInputs { log_moneyness: &k, ..good };
    assert_eq!(ask(&bad, &settings), Err(NoFairVols::BadLane { lane: 3 }));
}
