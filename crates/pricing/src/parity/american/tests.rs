//! American parity on made-up chains whose premium is known.

use super::*;
use crate::black::ForwardContract;
use crate::parity::{DiscountSource, PairVerdict, parity_residuals};

const FORWARD: f64 = 101.3;
const YEARS: f64 = 0.5;
const DISCOUNT: f64 = 0.98;
const VOL: f64 = 0.25;

/// A premium with the shape of a put's: it grows into the money and with the rate.
fn premium(terms: &PremiumTerms) -> f64 {
    match terms.kind {
        OptionKind::Call => 0.0,
        OptionKind::Put => {
            let inside = terms.strike / terms.forward;
            (1.0 - terms.discount) * 10.0 * terms.vol * inside * inside * inside
        }
    }
}

fn chain(half: f64) -> [Vec<f64>; 5] {
    let mut columns: [Vec<f64>; 5] = Default::default();
    for lane in 0..41 {
        let strike = 80.0 + f64::from(lane);
        let price = |kind| {
            let contract = ForwardContract {
                forward: FORWARD,
                strike,
                years: YEARS,
                vol: VOL,
                discount: DISCOUNT,
                kind,
            };
            let terms =
                PremiumTerms { strike, kind, vol: VOL, forward: FORWARD, discount: DISCOUNT };
            contract.price_and_greeks().unwrap().price + premium(&terms)
        };
        let (call, put) = (price(OptionKind::Call), price(OptionKind::Put));
        for (column, value) in
            columns.iter_mut().zip([strike, call - half, call + half, put - half, put + half])
        {
            column.push(value);
        }
    }
    columns
}

fn inputs(columns: &[Vec<f64>; 5]) -> ParityInputs<'_> {
    let [strike, call_bid, call_ask, put_bid, put_ask] = columns;
    ParityInputs { strike, call_bid, call_ask, put_bid, put_ask }
}

#[test]
fn taking_the_premium_out_by_turns_gives_the_forward_that_ignoring_it_misses() {
    let columns = chain(0.005);
    let rate = -libm::log(DISCOUNT) / YEARS;
    let settings = ParitySettings::with_rate_guess(YEARS, rate);
    let naive = fit_parity(&inputs(&columns), &settings).unwrap();
    assert!((naive.forward - FORWARD).abs() > 0.02, "{naive:?}");
    let found = fit_american_parity(&inputs(&columns), &settings, premium).unwrap();
    assert!((found.fit.forward - FORWARD).abs() < 1e-6, "{found:?}");
    assert_eq!(found.fit.discount_source, DiscountSource::Guess);
    assert!((found.fit.discount - DISCOUNT).abs() < 1e-12);
    assert!((found.fit.discount_error - 0.01 * YEARS * DISCOUNT).abs() < 1e-12);
    let none = fit_american_parity(&inputs(&columns), &settings, |_| 0.0).unwrap();
    assert_eq!(none.fit, naive);
    assert!(found.turns <= 7, "{}", found.turns);
    for (lane, &vol) in found.vol.iter().enumerate() {
        assert!((vol - VOL).abs() < 1e-5, "{lane}: {vol}");
        assert_eq!(found.call_premium[lane], 0.0);
        assert!(found.put_premium[lane] > 0.0);
    }
}

#[test]
fn a_premium_that_answers_nonsense_counts_as_none() {
    let columns = chain(0.005);
    let settings = ParitySettings::with_rate_guess(YEARS, 0.04);
    let naive = fit_parity(&inputs(&columns), &settings).unwrap();
    for nonsense in [f64::NAN, f64::INFINITY, -3.0] {
        let found = fit_american_parity(&inputs(&columns), &settings, |_| nonsense).unwrap();
        assert_eq!(found.fit, naive);
    }
}

#[test]
fn residuals_say_which_pairs_their_own_quotes_do_not_explain() {
    let mut columns = chain(0.005);
    columns[1][3] += 0.5;
    columns[2][3] += 0.5;
    columns[3][5] = f64::NAN;
    columns[3][7] += 0.5;
    columns[4][7] += 0.5;
    let settings = ParitySettings::with_rate_guess(YEARS, -libm::log(DISCOUNT) / YEARS);
    let found = fit_american_parity(&inputs(&columns), &settings, premium).unwrap();
    let premiums = [&found.call_premium, &found.put_premium];
    for (column, premiums) in columns[1..].chunks_mut(2).zip(premiums) {
        for column in column {
            column.iter_mut().zip(premiums).for_each(|(quote, own)| *quote -= own);
        }
    }
    let residuals = parity_residuals(&inputs(&columns), &found.fit).unwrap();
    let of = |verdict| residuals.iter().filter(|own| own.verdict == verdict).count();
    assert_eq!(residuals[3].verdict, PairVerdict::Rich);
    assert_eq!(residuals[5].verdict, PairVerdict::Unquoted);
    assert_eq!(residuals[7].verdict, PairVerdict::Cheap);
    assert_eq!(of(PairVerdict::Inside), 38);
    assert!((residuals[3].half_width - 0.01).abs() < 1e-9);
}

#[test]
fn bounds_hold_what_american_pairs_may_cost() {
    // Strike 100, spot 100, rate 2 % for a year, no dividend: 0 to what the rate is worth.
    let stock = AmericanCarry::Stock { spot: 100.0, dividends: 0.0 };
    let (low, high) = american_parity_bounds(stock, 100.0, 0.98);
    assert_eq!(low, 0.0);
    assert!((high - 2.0).abs() < 1e-12);
    let paying = AmericanCarry::Stock { spot: 100.0, dividends: 1.5 };
    assert_eq!(american_parity_bounds(paying, 100.0, 0.98).0, -1.5);
    let (low, high) = american_parity_bounds(AmericanCarry::Future { forward: 100.0 }, 100.0, 0.98);
    assert!((low + 2.0).abs() < 1e-12 && (high - 2.0).abs() < 1e-12);
}
