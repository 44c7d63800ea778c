//! Reasons, the fallback, and that the solver settles by itself wherever a price exists.

use super::*;
use crate::black::ForwardContract;
use proptest::prelude::*;

#[test]
fn every_bad_input_has_its_reason() {
    let of = |price, forward, strike, years, kind| implied_vol(price, forward, strike, years, kind);
    use NoVol::*;
    use OptionKind::{Call, Put};
    assert_eq!(of(f64::NAN, 100.0, 100.0, 1.0, Call), Err(NotFinite));
    assert_eq!(of(5.0, f64::INFINITY, 100.0, 1.0, Call), Err(NotFinite));
    assert_eq!(of(5.0, 100.0, 100.0, 0.0, Call), Err(Expired));
    assert_eq!(of(5.0, 100.0, 100.0, -1.0, Call), Err(Expired));
    assert_eq!(of(5.0, 100.0, 0.0, 1.0, Call), Err(NotPositive));
    assert_eq!(of(5.0, -1.0, 100.0, 1.0, Put), Err(NotPositive));
    assert_eq!(of(0.0, 100.0, 100.0, 1.0, Call), Err(NoPrice));
    assert_eq!(of(-0.05, 100.0, 100.0, 1.0, Call), Err(NoPrice));
    assert_eq!(of(20.0, 120.0, 100.0, 1.0, Call), Err(BelowIntrinsic));
    assert_eq!(of(19.0, 100.0, 120.0, 1.0, Put), Err(BelowIntrinsic));
    let (tiny, huge) = (f64::MIN_POSITIVE, f64::MAX);
    assert_eq!(of(tiny, huge, huge, 1.0, Call), Err(TooExtreme));
    assert_eq!(of(tiny, 1e70, 1e70, 1.0, Call), Err(BelowIntrinsic));
    assert_eq!(of(0.5, 1.0, 1.0, 1e-30, Call), Err(TooExtreme));
    assert_eq!(of(100.0, 100.0, 90.0, 1.0, Call), Err(AboveCap));
    assert_eq!(of(90.0, 100.0, 90.0, 1.0, Put), Err(AboveCap));
}

#[test]
fn columns_of_different_length_are_refused() {
    let inputs = ImpliedInputs {
        undiscounted_price: &[1.0, 2.0],
        forward: &[100.0],
        strike: &[100.0, 100.0],
        years: &[1.0, 1.0],
        is_call: &[true, true],
    };
    let mut vols = [Ok(0.5), Ok(0.5)];
    assert_eq!(
        implied_vols(&inputs, &mut vols),
        Err(PricingError::LengthMismatch { column: "forward", expected: 2, found: 1 })
    );
    assert_eq!(vols, [Ok(0.5), Ok(0.5)]);
}

#[test]
fn the_peer_leads_to_the_same_bits_as_our_own_guess() {
    for (moneyness, value) in [(0.0, 0.1), (0.1, 0.01), (0.1, 1e-30), (2.0, 0.6), (5.0, 0.01)] {
        let own = one(moneyness, value, 1.0 - value, None).unwrap();
        let start = by_peer(moneyness, value).unwrap();
        assert!(start != own && (start / own - 1.0).abs() < 1e-11, "{start} {own}");
        let led = one(moneyness, value, 1.0 - value, Some(start)).unwrap();
        assert!(led.to_bits().abs_diff(own.to_bits()) <= 1, "{led} {own}");
    }
}

proptest! {
    // One case in five is no price.
    #![proptest_config(ProptestConfig {
        max_global_rejects: 100_000, ..ProptestConfig::with_cases(4_000)
    })]

    #[test]
    fn the_solver_settles_without_the_peer(
        log_moneyness in -9.0..2.0f64, log_total_vol in -7.0..1.2f64, at_the_money in any::<bool>(),
    ) {
        let moneyness = if at_the_money { 0.0 } else { f64::powf(10.0, log_moneyness) };
        let total_vol = f64::powf(10.0, log_total_vol);
        let strike = moneyness.exp();
        prop_assume!(strike < 1e75);
        let call = ForwardContract {
            forward: 1.0, strike, years: 1.0, vol: total_vol, discount: 1.0, kind: OptionKind::Call,
        };
        let value = call.price_and_greeks().unwrap().price;
        prop_assume!(value.is_normal() && value < 1.0 - 1e-10);
        let mut problem = Problem::harmless();
        problem.moneyness = [ln_ratio(strike, 1.0); WIDTH];
        problem.value = [value; WIDTH];
        problem.rest = [1.0 - value; WIDTH];
        let solved = dispatch(Solve { problem, is_started: false });
        prop_assert!(solved.has_settled[0]);
        // 1 - value has lost what value had; the strike is rounded.
        let error = (solved.total_vol[0] / total_vol - 1.0).abs();
        let is_sharp = value <= 0.5 && moneyness >= 1e-3;
        prop_assert!(error < if is_sharp { 1e-12 } else { 1e-6 }, "{error:e}");
    }
}
