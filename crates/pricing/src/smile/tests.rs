//! The smile on made-up expiries: exact recovery, leave-one-out against refitting, refusals.

use super::*;
use proptest::prelude::*;

fn strikes(count: usize) -> Vec<f64> {
    (0..count).map(|index| -0.3 + 0.5 * index as f64 / (count - 1) as f64).collect()
}

fn skew(k: f64) -> f64 {
    0.2 - 0.3 * k + 0.8 * k * k
}

#[test]
fn a_quadratic_smile_is_given_back_at_every_strike_and_between() {
    let k = strikes(25);
    let vol: Vec<f64> = k.iter().map(|&k| skew(k)).collect();
    let inputs = SmileInputs { log_moneyness: &k, vol: &vol, vol_error: &[0.002; 25] };
    let smile = Smile::fit(&inputs, 1.0).unwrap();
    assert_eq!(smile.quotes(), 25);
    for (index, vol) in vol.iter().enumerate() {
        let fair = smile.fair_vol_without(index).unwrap();
        assert!((fair.vol - vol).abs() < 1e-6, "{index} {fair:?}");
    }
    assert!((smile.fair_vol_at(0.0123).unwrap().vol - skew(0.0123)).abs() < 1e-7);
}

#[test]
fn a_wrong_quote_is_exposed_by_the_others() {
    let k = strikes(25);
    let mut vol: Vec<f64> = k.iter().map(|&k| skew(k)).collect();
    vol[12] += 0.10;
    let inputs = SmileInputs { log_moneyness: &k, vol: &vol, vol_error: &[0.002; 25] };
    let fair = Smile::fit(&inputs, 1.0).unwrap().fair_vol_without(12).unwrap();
    assert!((fair.vol - skew(k[12])).abs() < 1e-6, "{fair:?}");
    assert!(fair.standard_error < 0.002, "{fair:?}");
}

#[test]
fn errors_grow_outside_the_quoted_strikes() {
    let k = strikes(25);
    let vol: Vec<f64> = k.iter().map(|&k| skew(k)).collect();
    let inputs = SmileInputs { log_moneyness: &k, vol: &vol, vol_error: &[0.002; 25] };
    let smile = Smile::fit(&inputs, 1.0).unwrap();
    let inside = smile.fair_vol_at(0.0).unwrap().standard_error;
    assert!(smile.fair_vol_at(0.35).unwrap().standard_error > 3.0 * inside);
}

#[test]
fn unusable_input_has_its_reason() {
    let k = strikes(6);
    let fit = |k: &[f64], vol: &[f64], vol_error: &[f64], roughness| {
        Smile::fit(&SmileInputs { log_moneyness: k, vol, vol_error }, roughness).map(|_| ())
    };
    assert_eq!(fit(&k, &[0.2; 5], &[0.01; 6], 1.0), Err(NoSmile::LengthMismatch));
    assert_eq!(fit(&k, &[0.2; 6], &[0.01; 6], f64::NAN), Err(NoSmile::BadRoughness));
    assert_eq!(
        fit(&k[..4], &[0.2; 4], &[0.01; 4], 1.0),
        Err(NoSmile::TooFewQuotes { needed: 5, found: 4 })
    );
    let nan = [0.2, 0.2, f64::NAN, 0.2, 0.2, 0.2];
    assert_eq!(fit(&k, &nan, &[0.01; 6], 1.0), Err(NoSmile::BadQuote { index: 2 }));
    assert_eq!(fit(&k, &[0.2; 6], &[0.0; 6], 1.0), Err(NoSmile::BadQuote { index: 0 }));
    assert_eq!(fit(&[0.1; 6], &[0.2; 6], &[0.01; 6], 1.0), Err(NoSmile::NotDetermined));
    let smile =
        Smile::fit(&SmileInputs { log_moneyness: &k, vol: &[0.2; 6], vol_error: &[0.01; 6] }, 1.0)
            .unwrap();
    assert_eq!(smile.fair_vol_without(6), Err(NoSmile::NoSuchQuote { index: 6 }));
    assert_eq!(smile.fair_vol_at(f64::NAN), Err(NoSmile::NotDetermined));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Interior quotes, so that leaving one out leaves centre and range as they are; knots are
    /// taken from the full fit to compare algebra with algebra.
    #[test]
    fn leaving_out_by_algebra_equals_refitting(
        noise in prop::collection::vec(-0.03..0.03f64, 20),
        errors in prop::collection::vec(0.001..0.02f64, 20),
        index in 1usize..19,
    ) {
        let k = strikes(20);
        let vol: Vec<f64> = k.iter().zip(&noise).map(|(&k, noise)| skew(k) + noise).collect();
        let inputs = SmileInputs { log_moneyness: &k, vol: &vol, vol_error: &errors };
        let smile = Smile::fit(&inputs, 1.0).unwrap();
        let by_algebra = smile.fair_vol_without(index).unwrap();
        // A quote with a vanishing weight is a quote left out, on the same knots.
        let mut muted = errors.clone();
        muted[index] = 1e6;
        let inputs = SmileInputs { log_moneyness: &k, vol: &vol, vol_error: &muted };
        let refitted = Smile::fit(&inputs, 1.0).unwrap().fair_vol_at(k[index]).unwrap();
        prop_assert!((by_algebra.vol - refitted.vol).abs() < 1e-7);
        // The error may differ by the degrees of freedom counted, on the careful side.
        let ratio = by_algebra.standard_error / refitted.standard_error;
        prop_assert!((0.9..1.2).contains(&ratio), "{}", ratio);
    }

    #[test]
    fn a_quote_has_no_say_in_its_own_fair_vol(
        noise in prop::collection::vec(-0.03..0.03f64, 20),
        shift in -0.15..0.5f64,
        index in 0usize..20,
    ) {
        let k = strikes(20);
        let mut vol: Vec<f64> = k.iter().zip(&noise).map(|(&k, noise)| skew(k) + noise).collect();
        let fair = |vol: &[f64]| {
            let inputs = SmileInputs { log_moneyness: &k, vol, vol_error: &[0.005; 20] };
            Smile::fit(&inputs, 1.0).unwrap().fair_vol_without(index)
        };
        let before = fair(&vol);
        vol[index] = (vol[index] + shift).max(0.01);
        match (before, fair(&vol)) {
            (Ok(before), Ok(after)) => {
                prop_assert!((before.vol - after.vol).abs() < 1e-8);
                let ratio = before.standard_error / after.standard_error;
                prop_assert!((ratio - 1.0).abs() < 1e-5);
            }
            (before, after) => prop_assert_eq!(before, after),
        }
    }

    #[test]
    fn fewer_quotes_never_panic(count in 0usize..8, vol in 0.01..3.0f64, index in 0usize..9) {
        let k: Vec<f64> = strikes(9).into_iter().take(count).collect();
        let inputs = SmileInputs {
            log_moneyness: &k,
            vol: &vec![vol; count],
            vol_error: &vec![0.01; count],
        };
        if let Ok(smile) = Smile::fit(&inputs, 1.0) {
            prop_assert_eq!(count, smile.quotes());
            if let Ok(fair) = smile.fair_vol_without(index) {
                prop_assert!((fair.vol - vol).abs() < 1e-3);
            }
        }
    }
}
