//! Parity on made-up chains: exact, noisy, poisoned, unidentifiable and unusable.

use super::*;
use crate::black::{ForwardContract, OptionKind};

struct Chain {
    strike: Vec<f64>,
    call_bid: Vec<f64>,
    call_ask: Vec<f64>,
    put_bid: Vec<f64>,
    put_ask: Vec<f64>,
}

impl Chain {
    /// Forward 101.3, quotes `half_spread` around fair value at 20 % vol.
    fn fair(count: usize, step: f64, years: f64, rate: f64, half_spread: f64) -> Self {
        let mut chain = Self {
            strike: vec![],
            call_bid: vec![],
            call_ask: vec![],
            put_bid: vec![],
            put_ask: vec![],
        };
        for index in 0..count {
            let strike = 100.0 + step * (index as f64 - count as f64 / 2.0).floor();
            let value = |kind| {
                ForwardContract {
                    forward: 101.3,
                    strike,
                    years,
                    vol: 0.2,
                    discount: libm::exp(-rate * years),
                    kind,
                }
                .price_and_greeks()
                .unwrap()
                .price
            };
            let (call, put) = (value(OptionKind::Call), value(OptionKind::Put));
            chain.strike.push(strike);
            chain.call_bid.push((call - half_spread).max(0.0));
            chain.call_ask.push(call + half_spread.min(call));
            chain.put_bid.push((put - half_spread).max(0.0));
            chain.put_ask.push(put + half_spread.min(put));
        }
        chain
    }

    fn fit(&self, settings: &ParitySettings) -> Result<ParityFit, NoFit> {
        let inputs = ParityInputs {
            strike: &self.strike,
            call_bid: &self.call_bid,
            call_ask: &self.call_ask,
            put_bid: &self.put_bid,
            put_ask: &self.put_ask,
        };
        fit_parity(&inputs, settings)
    }
}

#[test]
fn exact_quotes_give_forward_and_rate_back() {
    let chain = Chain::fair(41, 1.0, 0.5, 0.04, 0.01);
    let fit = chain.fit(&ParitySettings::with_rate_guess(0.5, 0.03)).unwrap();
    assert_eq!(fit.discount_source, DiscountSource::Quotes);
    assert!((fit.forward - 101.3).abs() < 1e-9, "{fit:?}");
    assert!((fit.discount - libm::exp(-0.02)).abs() < 1e-10, "{fit:?}");
    assert_eq!(fit.pairs_used, 41);
    assert!(fit.residual_max < 1e-9);
}

#[test]
fn a_quarter_of_the_quotes_gone_mad_moves_nothing() {
    let mut chain = Chain::fair(41, 1.0, 0.5, 0.04, 0.02);
    for index in (0..41).step_by(4) {
        chain.call_bid[index] += 7.0 + index as f64;
        chain.call_ask[index] += 7.0 + index as f64;
    }
    let fit = chain.fit(&ParitySettings::with_rate_guess(0.5, 0.03)).unwrap();
    assert!((fit.forward - 101.3).abs() < 1e-6, "{fit:?}");
    assert!((fit.discount - libm::exp(-0.02)).abs() < 1e-7, "{fit:?}");
    assert_eq!(fit.pairs_used, 30);
}

#[test]
fn wide_quotes_of_a_short_expiry_take_the_guessed_rate() {
    let chain = Chain::fair(9, 1.0, 0.02, 0.04, 0.1);
    let fit = chain.fit(&ParitySettings::with_rate_guess(0.02, 0.03)).unwrap();
    assert_eq!(fit.discount_source, DiscountSource::Guess);
    assert_eq!(fit.discount, libm::exp(-0.02 * 0.03));
    assert!((fit.forward - 101.3).abs() < fit.forward_error, "{fit:?}");
}

#[test]
fn a_slope_far_from_the_guess_is_disbelieved() {
    let chain = Chain::fair(41, 1.0, 0.5, 0.40, 0.001);
    let fit = chain.fit(&ParitySettings::with_rate_guess(0.5, 0.03)).map(|fit| fit.discount_source);
    assert!(fit != Ok(DiscountSource::Quotes));
}

#[test]
fn order_of_strikes_does_not_matter() {
    let chain = Chain::fair(31, 1.0, 0.5, 0.04, 0.03);
    let mut turned = Chain::fair(31, 1.0, 0.5, 0.04, 0.03);
    for column in [
        &mut turned.strike,
        &mut turned.call_bid,
        &mut turned.call_ask,
        &mut turned.put_bid,
        &mut turned.put_ask,
    ] {
        column.reverse();
    }
    let settings = ParitySettings::with_rate_guess(0.5, 0.03);
    assert_eq!(chain.fit(&settings), turned.fit(&settings));
}

#[test]
fn half_spread_noise_stays_within_the_stated_errors() {
    let mut chain = Chain::fair(61, 1.0, 0.5, 0.04, 0.05);
    let mut state = 12_345_u64;
    for index in 0..61 {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let shift = ((state >> 11) as f64 / (1u64 << 53) as f64 - 0.5) * 0.1;
        chain.call_bid[index] = (chain.call_bid[index] + shift).max(0.0);
        chain.call_ask[index] = (chain.call_ask[index] + shift).max(0.001);
    }
    let fit = chain.fit(&ParitySettings::with_rate_guess(0.5, 0.03)).unwrap();
    assert_eq!(fit.discount_source, DiscountSource::Quotes);
    assert!((fit.forward - 101.3).abs() < 4.0 * fit.forward_error, "{fit:?}");
    assert!((fit.discount - libm::exp(-0.02)).abs() < 4.0 * fit.discount_error, "{fit:?}");
    assert!(fit.forward_error < 0.02, "{fit:?}");
}

#[test]
fn unusable_input_has_its_reason() {
    let settings = ParitySettings::with_rate_guess(0.5, 0.03);
    let mut chain = Chain::fair(9, 1.0, 0.5, 0.04, 0.05);
    for value in &mut chain.call_bid[..5] {
        *value = f64::NAN;
    }
    assert_eq!(chain.fit(&settings), Err(NoFit::TooFewPairs { needed: 5, found: 4 }));
    chain.put_ask.pop();
    assert_eq!(chain.fit(&settings), Err(NoFit::LengthMismatch));
    let expired = ParitySettings { years: 0.0, ..settings };
    assert_eq!(chain.fit(&expired), Err(NoFit::BadSettings));
    let mut scattered = Chain::fair(12, 1.0, 0.5, 0.04, 0.001);
    for index in 0..12 {
        let jump = 3.0 * (index * index % 13) as f64;
        scattered.call_bid[index] += jump;
        scattered.call_ask[index] += jump;
    }
    let spread_out = scattered.fit(&settings);
    assert!(spread_out.is_err() || spread_out.unwrap().forward_error > 0.5, "{spread_out:?}");
}

proptest::proptest! {
    #[test]
    fn no_quotes_panic_and_no_fit_is_nan(
        rows in proptest::collection::vec(proptest::array::uniform5(number()), 0..12),
        years in number(),
        rate in number(),
    ) {
        let column = |index: usize| rows.iter().map(|row| row[index]).collect::<Vec<f64>>();
        let chain = Chain {
            strike: column(0),
            call_bid: column(1),
            call_ask: column(2),
            put_bid: column(3),
            put_ask: column(4),
        };
        let settings =
            ParitySettings { min_pairs: 1, ..ParitySettings::with_rate_guess(years, rate) };
        if let Ok(fit) = chain.fit(&settings) {
            proptest::prop_assert!(fit.forward.is_finite() && fit.forward > 0.0);
            proptest::prop_assert!(fit.discount.is_finite() && fit.discount > 0.0);
            proptest::prop_assert!(fit.forward_error.is_finite() && fit.residual_max.is_finite());
        }
    }
}

fn number() -> impl proptest::strategy::Strategy<Value = f64> {
    use proptest::prelude::*;
    prop_oneof![1 => any::<f64>(), 1 => Just(0.0), 1 => Just(f64::NAN), 12 => 0.01..3.0f64]
}
