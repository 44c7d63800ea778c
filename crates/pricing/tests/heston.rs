//! Heston against the published prices, each beside Lewis' integral in 30 digits, and against what
//! must hold whatever the parameters.

use pricing::black::OptionKind::{Call, Put};
use pricing::heston::{Heston, HestonRefusal, chain, contour};
use proptest::prelude::*;

/// The published digits are off from the ninth and the eleventh on; two independent integrals agree
/// with ours.
const MISPRINTS: [&str; 2] = ["5.785155450", "22.318945791474590"];

#[test]
fn published_prices() {
    let table = include_str!("reference/heston_reference.csv");
    let lines = table.lines().filter(|line| !line.starts_with('#')).skip(1);
    let (mut seen, mut misprints) = (0, Vec::new());
    for line in lines {
        let fields: Vec<&str> = line.split(',').collect();
        let n = |index: usize| fields[index].parse::<f64>().unwrap();
        let (spot, strike, rate, dividend_yield, years) = (n(2), n(3), n(4), n(5), n(6));
        let heston = Heston {
            variance: n(7),
            reversion: n(8),
            mean: n(9),
            vol_of_variance: n(10),
            correlation: n(11),
        };
        let kind = if fields[1] == "call" { Call } else { Put };
        let forward = spot * ((rate - dividend_yield) * years).exp();
        let discount = (-rate * years).exp();
        let exact = n(14);
        let found = discount * contour(&heston, forward, strike, years, kind).unwrap();
        assert!((found - exact).abs() <= 1e-11 * exact, "{line} {found}");
        let mut of_chain = [0.0];
        chain(&heston, forward, years, &[strike], kind, &mut of_chain).unwrap();
        let found_chain = discount * of_chain[0];
        assert!((found_chain - exact).abs() <= 1e-8 * forward, "{line} {found_chain}");
        let decimals = fields[12].split('.').nth(1).map_or(0, str::len) as i32;
        let unit = 10f64.powi(-decimals).max(1e-11);
        if (found - n(12)).abs() > unit {
            misprints.push(fields[12].to_owned());
        }
        seen += 1;
    }
    assert_eq!(seen, 14);
    assert_eq!(misprints, MISPRINTS);
}

/// Far in the wings, against another integral in 90 digits (`heston_wings.py` beside the table).
#[test]
fn wings_are_relative() {
    let table = include_str!("reference/heston_wings.csv");
    let lines = table.lines().filter(|line| !line.starts_with('#')).skip(1);
    let (mut seen, mut least, mut worst) = (0, 1.0f64, 0.0f64);
    for line in lines {
        let fields: Vec<&str> = line.split(',').collect();
        let n = |index: usize| fields[index].parse::<f64>().unwrap();
        let heston = Heston {
            variance: n(3),
            reversion: n(4),
            mean: n(5),
            vol_of_variance: n(6),
            correlation: n(7),
        };
        let kind = if fields[0] == "call" { Call } else { Put };
        let found = contour(&heston, 1.0, n(1), n(2), kind).unwrap();
        let off = (found / n(8) - 1.0).abs();
        least = least.min(n(8));
        worst = worst.max(off);
        seen += 1;
    }
    assert!(seen == 95 && least < 1e-54, "{seen} {least:e}");
    assert!(worst <= 1e-12, "{worst:e}");
}

/// The chain's stated error, over a grid far wider than markets: its range leaves out at most 1e-12
/// of probability and of the mean, its terms end below 1e-14, and this is what becomes of both.
#[test]
fn the_chain_on_a_dense_grid() {
    let (mut worst, mut refused, mut seen) = (0.0f64, 0, 0);
    let mut index = 0;
    for variance in [0.01, 0.04, 0.16] {
        for reversion in [0.3, 1.5, 8.0] {
            for mean in [0.02, 0.09, 0.3] {
                for vol_of_variance in [0.05, 0.3, 1.0, 2.0] {
                    for correlation in [-0.95, -0.5, 0.0, 0.6] {
                        for years in [0.02, 0.1, 0.5, 2.0, 10.0] {
                            index += 1;
                            if cfg!(debug_assertions) && index % 13 != 0 {
                                continue;
                            }
                            let heston =
                                Heston { variance, reversion, mean, vol_of_variance, correlation };
                            match chain_error(&heston, years) {
                                Ok(error) => {
                                    if error > worst {
                                        println!("{error:e} {heston:?} {years}");
                                    }
                                    worst = worst.max(error)
                                }
                                Err(refusal) => {
                                    assert_eq!(refusal, HestonRefusal::NotSettled);
                                    refused += 1;
                                }
                            }
                            seen += 1;
                        }
                    }
                }
            }
        }
    }
    assert!(worst <= 1e-11, "{worst:e}");
    assert!(10 * refused <= seen, "{refused} of {seen} refused");
}

/// Largest difference of chain and contour, over the larger of forward and strike.
fn chain_error(heston: &Heston, years: f64) -> Result<f64, HestonRefusal> {
    let deviation = (heston.variance.max(heston.mean) * years).sqrt();
    let strikes: Vec<f64> =
        (-4..=4).map(|count| (f64::from(count) * deviation).exp().clamp(1e-4, 1e4)).collect();
    let mut out = vec![0.0; strikes.len()];
    chain(heston, 1.0, years, &strikes, Put, &mut out)?;
    let mut worst = 0.0f64;
    for (found, strike) in out.iter().zip(&strikes) {
        worst =
            worst.max((found - contour(heston, 1.0, *strike, years, Put)?).abs() / strike.max(1.0));
    }
    Ok(worst)
}

fn models() -> impl Strategy<Value = Heston> {
    (0.01..0.3f64, 0.3..8.0f64, 0.01..0.3f64, 0.1..1.2f64, -0.9..0.5f64).prop_map(
        |(variance, reversion, mean, vol_of_variance, correlation)| Heston {
            variance,
            reversion,
            mean,
            vol_of_variance,
            correlation,
        },
    )
}

proptest! {
    #[test]
    fn both_methods_agree(heston in models(), years in 0.1..3.0f64, moneyness in 0.6..1.6f64) {
        let strike = 100.0 * moneyness;
        let exact = contour(&heston, 100.0, strike, years, Put).unwrap();
        let mut out = [0.0];
        match chain(&heston, 100.0, years, &[strike], Put, &mut out) {
            Ok(()) => prop_assert!((out[0] - exact).abs() <= 1e-8 * 100.0, "{} {exact}", out[0]),
            Err(refusal) => prop_assert_eq!(refusal, HestonRefusal::NotSettled),
        }
    }

    #[test]
    fn the_wings_fall_and_stay_positive(heston in models(), years in 0.1..3.0f64) {
        let mut before = f64::INFINITY;
        for strike in [100.0, 150.0, 250.0, 400.0] {
            let value = contour(&heston, 100.0, strike, years, Call).unwrap();
            prop_assert!(value > 0.0 && value < before, "{strike} {value} {before}");
            before = value;
        }
    }

    #[test]
    fn no_input_panics(
        numbers in prop::array::uniform8(prop_oneof![any::<f64>(), 1e-4..5.0f64, -1.0..1.0f64]),
    ) {
        let [variance, reversion, mean, vol_of_variance, correlation, forward, strike, years] =
            numbers;
        let heston = Heston { variance, reversion, mean, vol_of_variance, correlation };
        if let Ok(value) = contour(&heston, forward, strike, years, Call) {
            prop_assert!(value.is_finite() && value >= 0.0);
        }
        let mut out = [0.0];
        if chain(&heston, forward, years, &[strike], Put, &mut out).is_ok() {
            prop_assert!(out[0].is_finite());
        }
    }
}

#[test]
fn a_small_vol_of_variance_is_black() {
    let heston = Heston {
        variance: 0.04,
        reversion: 1.0,
        mean: 0.04,
        vol_of_variance: 1e-3,
        correlation: 0.0,
    };
    let black = pricing::black::ForwardContract {
        forward: 100.0,
        strike: 110.0,
        years: 1.0,
        vol: 0.2,
        discount: 1.0,
        kind: Call,
    };
    let expected = black.price_and_greeks().unwrap().price;
    let found = contour(&heston, 100.0, 110.0, 1.0, Call).unwrap();
    assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    assert!(heston.satisfies_feller());
}
