//! SVI: recovery, the constraints, refusals.

use super::*;
use proptest::prelude::*;

fn check_recovered(truth: SviSlice) {
    let k: Vec<f64> = (0..25).map(|lane| -0.45 + 0.03 * f64::from(lane)).collect();
    let w: Vec<f64> = k.iter().map(|&k| truth.total_variance(k)).collect();
    let precision: Vec<f64> = w.iter().map(|w| 200.0 / w).collect();
    let fit = fit_svi(&k, &w, &precision, None).unwrap();
    for (k, w) in k.iter().zip(&w) {
        let off = fit.slice.total_variance(*k) / w - 1.0;
        assert!(off.abs() < 2e-5, "{truth:?} {fit:?} at {k}: {off}");
    }
    let warm = fit_svi(&k, &w, &precision, Some(&fit.slice)).unwrap();
    assert!(warm.cost <= fit.cost * (1.0 + 1e-6) + 1e-9);
}

#[test]
fn slices_are_recovered_from_their_own_variances() {
    for (a, b, rho, m, sigma) in [
        (0.01, 0.1, -0.6, 0.02, 0.15),
        (0.002, 0.2, -0.3, -0.05, 0.3),
        (0.02, 0.05, 0.4, 0.1, 0.08),
        (0.001, 0.06, -0.9, 0.0, 0.1),
    ] {
        check_recovered(SviSlice { a, b, rho, m, sigma });
    }
}

#[test]
fn derivatives_are_those_of_the_formula() {
    let slice = SviSlice { a: 0.01, b: 0.1, rho: -0.6, m: 0.02, sigma: 0.15 };
    let h = 1e-5;
    for k in [-0.5, 0.0, 0.3] {
        let (curve, up, down) = (slice.curve(k), slice.curve(k + h), slice.curve(k - h));
        assert!((curve.slope - (up.value - down.value) / (2.0 * h)).abs() < 1e-8);
        assert!((curve.curvature - (up.slope - down.slope) / (2.0 * h)).abs() < 1e-6);
    }
}

#[test]
fn axel_vogts_slice_is_found_to_allow_butterflies() {
    // Gatheral and Jacquier (2014), example 3.1: its density is negative near k = 0.8.
    let slice = SviSlice { a: -0.0410, b: 0.1331, rho: 0.3060, m: 0.3586, sigma: 0.4153 };
    assert!(slice.durrleman_least(-1.5, 1.5, 301) < 0.0);
    assert!(slice.durrleman_least(-1.5, 0.5, 201) > 0.0);
}

#[test]
fn unusable_quotes_have_their_reason() {
    let k = [0.0, 0.1, 0.2, 0.3, 0.4];
    let w = [0.04; 5];
    let p = [100.0; 5];
    assert_eq!(fit_svi(&k[..4], &w, &p, None), Err(NoSvi::LengthMismatch));
    let few = NoSvi::TooFewQuotes { needed: 5, found: 4 };
    assert_eq!(fit_svi(&k[..4], &w[..4], &p[..4], None), Err(few));
    let bad = [0.04, 0.04, f64::NAN, 0.04, 0.04];
    assert_eq!(fit_svi(&k, &bad, &p, None), Err(NoSvi::BadQuote { index: 2 }));
    assert_eq!(fit_svi(&[0.1; 5], &w, &p, None), Err(NoSvi::NotDetermined));
}

proptest! {
    #[test]
    fn every_fit_keeps_the_bounds_of_its_linear_part(
        rows in proptest::collection::vec((-2.0..2.0f64, 1e-4..1.0f64, 1.0..1e4f64), 5..30),
    ) {
        let column = |at: usize| rows.iter().map(|row| [row.0, row.1, row.2][at]).collect();
        let [k, w, p]: [Vec<f64>; 3] = [column(0), column(1), column(2)];
        if let Ok(SviFit { slice, cost, .. }) = fit_svi(&k, &w, &p, None) {
            prop_assert!(cost.is_finite() && slice.sigma > 0.0 && slice.rho.abs() <= 1.0);
            // Wings below Lee's bound: b (1 + |rho|) <= 4.
            prop_assert!(slice.b >= 0.0 && slice.b * (1.0 + slice.rho.abs()) <= 4.0 + 1e-9);
        }
    }
}
